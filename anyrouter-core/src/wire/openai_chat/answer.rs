//! A whole answer from an OpenAI-chat upstream: the values of `id` and `model` replaced in place, our members inserted, every other
//! byte as it came.

use std::{borrow::Cow, ops::Range};

use serde::Deserialize;
use smallvec::SmallVec;

use crate::{
    usage::Tokens,
    wire::{
        answer::{AnswerFault, AnswerNames, Meter, PlainAnswer, token_of},
        json::{JsonFault, Member, Scanner, bare_name, members, push_string, utf8},
    },
};

/// Answers nest less deeply than this.
pub(super) const DEPTH: usize = 256;

/// Turns a whole answer into the client's.
pub fn plain(names: &AnswerNames, body: &[u8]) -> Result<PlainAnswer, AnswerFault> {
    let wrong = || AnswerFault::NotTheProtocol("an OpenAI chat completion");
    if utf8(body).is_none() {
        return Err(wrong());
    }
    let mut meter = Meter::default();
    let mut ours: SmallVec<[(Ours, Range<usize>); 8]> = SmallVec::new();
    let (mut choices, mut error) = (false, None);
    let mut scanner = Scanner::new(body, DEPTH);
    let scanned = scanner.object(|s, name| {
        let name = bare_name(body.get(name.clone()).unwrap_or_default());
        if &*name == b"choices" && s.peek() == Some(b'[') {
            choices = true;
            return read_choices(s, body, b"message", &mut meter);
        }
        let value = s.value()?;
        let text = body.get(value.clone()).unwrap_or_default();
        let of_ours = match &*name {
            b"id" => {
                meter.upstream_id = serde_json::from_slice::<Cow<'_, str>>(text).ok().and_then(|id| token_of(&id));
                Ours::Id
            }
            b"model" => Ours::Model,
            b"provider" => Ours::Provider,
            b"usage" => {
                meter.tokens = read_usage(text);
                Ours::Usage
            }
            b"anyrouter_metadata" => Ours::Metadata,
            b"error" if text != b"null" => {
                error = Some(error_of(text));
                return Ok(());
            }
            _ => return Ok(()),
        };
        ours.push((of_ours, value));
        Ok(())
    });
    scanned.and_then(|()| scanner.end()).map_err(|_| wrong())?;
    if let Some(error) = error {
        return Err(error);
    }
    if !choices {
        return Err(wrong());
    }
    let mut out = Vec::with_capacity(body.len() + 512);
    let mut written = 0;
    for (of_ours, value) in &ours {
        out.extend_from_slice(body.get(written..value.start).unwrap_or_default());
        of_ours.push(&mut out, names, &meter, body.get(value.clone()).unwrap_or_default());
        written = value.end;
    }
    let end = body.iter().rposition(|b| *b == b'}').ok_or_else(wrong)?;
    out.extend_from_slice(body.get(written..end).unwrap_or_default());
    for (of_ours, name) in ALL_OURS.iter().filter(|(o, _)| !ours.iter().any(|(known, _)| known == o)) {
        out.extend_from_slice(name);
        of_ours.push(&mut out, names, &meter, b"null");
    }
    out.extend_from_slice(body.get(end..).unwrap_or_default());
    Ok(PlainAnswer { body: out.into(), meter })
}

/// A member whose value is ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    Id,
    Model,
    Provider,
    Usage,
    Metadata,
}

/// Each with what stands before its value where it is added.
const ALL_OURS: [(Ours, &[u8]); 5] = [
    (Ours::Id, b",\"id\":"),
    (Ours::Model, b",\"model\":"),
    (Ours::Usage, b",\"usage\":"),
    (Ours::Provider, b",\"provider\":"),
    (Ours::Metadata, b",\"anyrouter_metadata\":"),
];

impl Ours {
    fn push(self, out: &mut Vec<u8>, names: &AnswerNames, meter: &Meter, theirs: &[u8]) {
        match self {
            Self::Id => names.push_id(out),
            Self::Model => push_string(out, names.model.as_str()),
            Self::Provider => push_string(out, &names.provider),
            Self::Usage => push_usage(out, names, meter, theirs),
            Self::Metadata => names.push_metadata(out),
        }
    }
}

/// The upstream's usage object with its cost; ours where it has none that can be read.
pub(super) fn push_usage(out: &mut Vec<u8>, names: &AnswerNames, meter: &Meter, theirs: &[u8]) {
    let (Some(tokens), Ok(members)) = (meter.tokens, members(theirs, DEPTH)) else { return names.push_usage(out, meter) };
    // Each that stands there: of two, nobody knows which a client reads.
    let mut written = 0;
    for Member { value, .. } in members.iter().filter(|m| m.is(theirs, "cost")) {
        out.extend_from_slice(theirs.get(written..value.start).unwrap_or_default());
        names.push_cost(out, &tokens);
        written = value.end;
    }
    if written == 0 {
        written = theirs.len() - 1;
        out.extend_from_slice(theirs.get(..written).unwrap_or_default());
        out.extend_from_slice(if members.is_empty() { b"\"cost\":" } else { b",\"cost\":" });
        names.push_cost(out, &tokens);
    }
    out.extend_from_slice(theirs.get(written..).unwrap_or_default());
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

/// Passes over a list of `choices` in `text`, counts their text and finds why they ended. `of` is the member that has the text:
/// `message` or `delta`.
pub(super) fn read_choices(scanner: &mut Scanner<'_>, text: &[u8], of: &[u8], meter: &mut Meter) -> Result<(), JsonFault> {
    let bare = |name: &Range<usize>| bare_name(text.get(name.clone()).unwrap_or_default());
    let mut finish = None;
    scanner.array(|s| {
        // What stands in the list may be anything; objects are read.
        if s.peek() != Some(b'{') {
            return Ok(());
        }
        s.object(|s, name| {
            let name = bare(name);
            if *name == *of && s.peek() == Some(b'{') {
                return s.object(|s, name| {
                    s.count(matches!(&*bare(name), b"content" | b"reasoning" | b"reasoning_content" | b"refusal" | b"tool_calls"));
                    s.value()?;
                    s.count(false);
                    Ok(())
                });
            }
            let value = s.value()?;
            if &*name == b"finish_reason" {
                finish = text.get(value).filter(|v| *v != b"null").or(finish);
            }
            Ok(())
        })
    })?;
    meter.text += std::mem::take(scanner.volume_mut()).text;
    if let Some(reason) = finish.and_then(|f| serde_json::from_slice::<Cow<'_, str>>(f).ok()).and_then(|r| token_of(&r)) {
        meter.native_finish_reason = Some(reason.clone());
        meter.finish_reason = Some(reason);
    }
    Ok(())
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
