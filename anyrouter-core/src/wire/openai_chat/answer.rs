//! A whole answer from an OpenAI-chat upstream: the values of `id` and `model` replaced in place, our members inserted, every other
//! byte as it came.

use serde::Deserialize;

use crate::{
    usage::Tokens,
    wire::{
        answer::{AnswerFault, AnswerNames, Meter, PlainAnswer, token_of},
        json::{Member, Scanner, members, push_string},
    },
};

/// Answers nest less deeply than this.
pub(super) const DEPTH: usize = 256;

/// Turns a whole answer into the client's.
pub fn plain(names: &AnswerNames, body: &[u8]) -> Result<PlainAnswer, AnswerFault> {
    let wrong = || AnswerFault::NotTheProtocol("an OpenAI chat completion");
    if std::str::from_utf8(body).is_err() {
        return Err(wrong());
    }
    let members = members(body, DEPTH).map_err(|_| wrong())?;
    let find = |name: &str| members.iter().find(|m| m.is(body, name));
    if let Some(error) = find("error").filter(|m| m.value(body) != b"null") {
        return Err(error_of(error.value(body)));
    }
    let choices = find("choices").filter(|m| m.value(body).starts_with(b"[")).ok_or_else(wrong)?;
    let mut meter = Meter::default();
    read_choices(choices.value(body), b"message", &mut meter);
    meter.upstream_id = find("id").and_then(|m| serde_json::from_slice::<String>(m.value(body)).ok()).and_then(|id| token_of(&id));
    meter.tokens = find("usage").and_then(|m| read_usage(m.value(body)));

    let mut out = Vec::with_capacity(body.len() + 512);
    let mut written = 0;
    let mut present = Vec::new();
    for member in &members {
        let Some(name) = ["id", "model", "provider", "anyrouter_metadata", "usage"].into_iter().find(|n| member.is(body, n)) else {
            continue;
        };
        out.extend_from_slice(body.get(written..member.value.start).unwrap_or_default());
        push_ours(&mut out, name, names, &meter, member.value(body));
        written = member.value.end;
        present.push(name);
    }
    let end = body.iter().rposition(|b| *b == b'}').ok_or_else(wrong)?;
    out.extend_from_slice(body.get(written..end).unwrap_or_default());
    for name in ["id", "model", "usage", "provider", "anyrouter_metadata"].into_iter().filter(|n| !present.contains(n)) {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        push_ours(&mut out, name, names, &meter, b"null");
    }
    out.extend_from_slice(body.get(end..).unwrap_or_default());
    Ok(PlainAnswer { body: out.into(), meter })
}

fn push_ours(out: &mut Vec<u8>, name: &str, names: &AnswerNames, meter: &Meter, theirs: &[u8]) {
    match name {
        "id" => push_string(out, &names.id),
        "model" => push_string(out, &names.model),
        "provider" => push_string(out, &names.provider),
        "usage" => push_usage(out, names, meter, theirs),
        _ => names.push_metadata(out),
    }
}

/// The upstream's usage object with its cost; ours where it has none that can be read.
pub(super) fn push_usage(out: &mut Vec<u8>, names: &AnswerNames, meter: &Meter, theirs: &[u8]) {
    let (Some(tokens), Ok(members)) = (meter.tokens, members(theirs, DEPTH)) else { return names.push_usage(out, meter) };
    let cost = members.iter().find(|m| m.is(theirs, "cost"));
    let (before, after) = match cost {
        Some(Member { value, .. }) => (value.start, value.end),
        None => (theirs.len() - 1, theirs.len() - 1),
    };
    out.extend_from_slice(theirs.get(..before).unwrap_or_default());
    if cost.is_none() {
        out.extend_from_slice(if members.is_empty() { b"\"cost\":" } else { b",\"cost\":" });
    }
    names.push_cost(out, &tokens);
    out.extend_from_slice(theirs.get(after..).unwrap_or_default());
}

/// What a usage object says, if it can be true.
pub(super) fn read_usage(text: &[u8]) -> Option<Tokens> {
    #[derive(Deserialize)]
    struct Usage {
        prompt_tokens: u64,
        completion_tokens: Option<u64>,
        prompt_tokens_details: Option<Prompt>,
        completion_tokens_details: Option<Completion>,
    }
    #[derive(Deserialize)]
    struct Prompt {
        cached_tokens: Option<u64>,
        cache_write_tokens: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Completion {
        reasoning_tokens: Option<u64>,
    }
    let usage: Usage = serde_json::from_slice(text).ok()?;
    let tokens = Tokens {
        prompt: usage.prompt_tokens,
        completion: usage.completion_tokens.unwrap_or(0),
        cached: usage.prompt_tokens_details.as_ref().and_then(|d| d.cached_tokens).unwrap_or(0),
        cache_write: usage.prompt_tokens_details.as_ref().and_then(|d| d.cache_write_tokens).unwrap_or(0),
        reasoning: usage.completion_tokens_details.and_then(|d| d.reasoning_tokens).unwrap_or(0),
    };
    // Details that cannot be true do not take the totals with them.
    [tokens, Tokens { cached: 0, cache_write: 0, reasoning: 0, ..tokens }].into_iter().find(Tokens::is_plausible)
}

/// Counts the text of `choices` and finds why they ended. `of` is the member that has the text: `message` or `delta`.
pub(super) fn read_choices(text: &[u8], of: &[u8], meter: &mut Meter) {
    let mut scanner = Scanner::new(text, DEPTH);
    let mut finish = None;
    // The text was scanned before: it is JSON, and this cannot fail.
    let _ = scanner.array(|s| {
        s.object(|s, name| {
            let name = text.get(name.start + 1..name.end - 1).unwrap_or_default();
            if name == of {
                return s.object(|s, name| {
                    let name = text.get(name.start + 1..name.end - 1).unwrap_or_default();
                    s.count(matches!(name, b"content" | b"reasoning" | b"reasoning_content" | b"refusal" | b"tool_calls"));
                    s.value()?;
                    s.count(false);
                    Ok(())
                });
            }
            let value = s.value()?;
            if name == b"finish_reason" {
                finish = text.get(value).filter(|v| *v != b"null").or(finish);
            }
            Ok(())
        })
    });
    meter.text += scanner.volume().text;
    if let Some(reason) = finish.and_then(|f| serde_json::from_slice::<String>(f).ok()).and_then(|r| token_of(&r)) {
        meter.native_finish_reason = Some(reason.clone());
        meter.finish_reason = Some(reason);
    }
}

/// The error object of an OpenAI-shaped answer, less its message.
pub(super) fn error_of(text: &[u8]) -> AnswerFault {
    #[derive(Deserialize)]
    struct Error {
        code: Option<serde_json::Value>,
        r#type: Option<String>,
    }
    let error: Option<Error> = serde_json::from_slice(text).ok();
    let code = error.as_ref().and_then(|e| match e.code.as_ref()? {
        serde_json::Value::String(s) => token_of(s),
        serde_json::Value::Number(n) => Some(n.to_string()),
        _ => None,
    });
    AnswerFault::Error { code, kind: error.and_then(|e| e.r#type).and_then(|t| token_of(&t)) }
}
