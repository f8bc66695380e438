//! Usage as OpenAI-chat providers report it, each in its dialect, and as the client gets it.
//!
//! The names come from a table. Whether reasoning stands beside `completion_tokens` (xAI, Gemini) and whether cached tokens stand
//! beside `prompt_tokens` is decided by arithmetic on the total, so that no provider is named here. Sources: OpenAI's API reference;
//! the deviations of DeepSeek, Groq, Moonshot, xAI and Gemini as recorded (docs/providers.md).

use serde_json::{Map, Value};

use crate::{
    usage::Tokens,
    wire::{
        answer::{AnswerNames, Meter},
        anthropic_messages::push_member,
        json::{Member, members},
    },
};

use super::answer::DEPTH;

/// The names of a count, the first that stands there and is a number counts.
const PROMPT: &[&str] = &["prompt_tokens", "input_tokens"];
const COMPLETION: &[&str] = &["completion_tokens", "output_tokens"];
const CACHED: &[&str] = &[
    "prompt_tokens_details/cached_tokens",
    "input_tokens_details/cached_tokens",
    "prompt_cache_hit_tokens",
    "cached_tokens",
    "cache_read_input_tokens",
];
const CACHE_WRITE: &[&str] = &[
    "prompt_tokens_details/cache_write_tokens",
    "input_tokens_details/cache_write_tokens",
    "prompt_tokens_details/cache_creation_tokens",
    "cache_creation_input_tokens",
];
const CACHE_WRITE_1H: &[&str] = &["cache_creation/ephemeral_1h_input_tokens"];
const REASONING: &[&str] = &["completion_tokens_details/reasoning_tokens", "output_tokens_details/reasoning_tokens", "reasoning_tokens"];

/// The counts of a usage object; none where it has none, or where they cannot be true.
pub(super) fn read_usage(text: &[u8]) -> Option<Tokens> {
    tokens_of(&serde_json::from_slice(text).ok()?)
}

fn tokens_of(usage: &Value) -> Option<Tokens> {
    let first = |names: &[&str]| names.iter().find_map(|path| count(path.split('/').try_fold(usage, |v, name| v.get(name))?));
    let prompt = first(PROMPT)?;
    let completion = first(COMPLETION).unwrap_or(0);
    let (cached, cache_write) = (first(CACHED).unwrap_or(0), first(CACHE_WRITE).unwrap_or(0));
    let reasoning = first(REASONING).unwrap_or(0);
    let mut tokens = Tokens { prompt, completion, cached, cache_write, cache_write_1h: first(CACHE_WRITE_1H).unwrap_or(0), reasoning };
    // Anthropic's words leave the cache out of `input_tokens`; elsewhere more cached than prompt says the same.
    let in_cache = cached.saturating_add(cache_write);
    let is_anthropic = usage.get("prompt_tokens").is_none() && usage.get("cache_read_input_tokens").is_some();
    if is_anthropic || in_cache > prompt {
        tokens.prompt = prompt.saturating_add(in_cache);
    }
    // What the total has beyond prompt and completion is reasoning, reported or not.
    let total = first(&["total_tokens"]);
    let beside = match total {
        // Of the prompt as it was reported.
        Some(total) if reasoning > 0 && total == prompt.saturating_add(completion).saturating_add(reasoning) => reasoning,
        Some(total) => total.saturating_sub(tokens.prompt.saturating_add(completion)),
        None => 0,
    };
    if beside > 0 {
        tokens.completion = completion.saturating_add(beside);
        tokens.reasoning = reasoning.max(beside);
    } else if reasoning > completion {
        // More than the whole of which it would be a part: it is in neither count.
        tokens.completion = completion.saturating_add(reasoning);
    }
    // Details that cannot be true do not take the totals with them.
    let totals = Tokens { prompt: tokens.prompt, completion: tokens.completion, ..Tokens::default() };
    [tokens, totals].into_iter().find(Tokens::is_plausible)
}

/// A count: a whole number, or a float that is one.
fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0 && *n < 9e15).map(|n| n as u64))
}

/// Appends the usage object that the client gets: the upstream's with its cost, byte for byte, where its counts are OpenAI's; ours with
/// the upstream's other members where they are not, or where there are none.
pub(super) fn push_usage(out: &mut Vec<u8>, names: &AnswerNames, meter: &Meter, theirs: Option<&[u8]>) {
    let parsed = theirs.and_then(|t| serde_json::from_slice::<Map<String, Value>>(t).ok());
    let (Some(tokens), Some(theirs), Some(parsed)) = (meter.tokens, theirs, parsed) else {
        return names.push_usage(out, meter);
    };
    if is_openais(&parsed, &tokens) {
        return push_with_cost(out, names, &tokens, theirs);
    }
    let mut ours = Vec::new();
    names.push_usage(&mut ours, meter);
    push_united(out, &ours, theirs, 1);
}

/// Appends an object with the members of both, as they are spelt; of two alike, ours counts. Objects within are united `deep` deep.
fn push_united(out: &mut Vec<u8>, ours: &[u8], theirs: &[u8], deep: usize) {
    let (of_ours, of_theirs) = (members(ours, DEPTH).unwrap_or_default(), members(theirs, DEPTH).unwrap_or_default());
    let same = |all: &[Member], text: &[u8], name: &str| all.iter().find(|m| m.is(text, name)).cloned();
    out.push(b'{');
    for member in &of_ours {
        push_member(out, ours.get(member.name.clone()).unwrap_or_default());
        let value = member.value(ours);
        let other = member.decoded_name(ours).and_then(|name| same(&of_theirs, theirs, &name)).map(|m| m.value(theirs));
        match other.filter(|o| deep > 0 && o.starts_with(b"{") && value.starts_with(b"{")) {
            Some(other) => push_united(out, value, other, deep - 1),
            None => out.extend_from_slice(value),
        }
    }
    for member in &of_theirs {
        if member.decoded_name(theirs).is_some_and(|name| same(&of_ours, ours, &name).is_none()) {
            push_member(out, theirs.get(member.name.clone()).unwrap_or_default());
            out.extend_from_slice(member.value(theirs));
        }
    }
    out.push(b'}');
}

/// Whether a usage object says what `tokens` says, in OpenAI's names.
fn is_openais(usage: &Map<String, Value>, tokens: &Tokens) -> bool {
    let is = |name: &str, count: u64| usage.get(name).and_then(Value::as_u64) == Some(count);
    let detail = |of: &str, name: &str| usage.get(of).and_then(|d| d.get(name)).and_then(Value::as_u64).unwrap_or(0);
    is("prompt_tokens", tokens.prompt)
        && is("completion_tokens", tokens.completion)
        && is("total_tokens", tokens.total())
        && detail("prompt_tokens_details", "cached_tokens") == tokens.cached
        && detail("prompt_tokens_details", "cache_write_tokens") == tokens.cache_write
        && detail("completion_tokens_details", "reasoning_tokens") == tokens.reasoning
}

fn push_with_cost(out: &mut Vec<u8>, names: &AnswerNames, tokens: &Tokens, theirs: &[u8]) {
    let Ok(members) = members(theirs, DEPTH) else { return };
    // Each that stands there: of two, nobody knows which a client reads.
    let mut written = 0;
    for Member { value, .. } in members.iter().filter(|m| m.is(theirs, "cost")) {
        out.extend_from_slice(theirs.get(written..value.start).unwrap_or_default());
        names.push_cost(out, tokens);
        written = value.end;
    }
    if written == 0 {
        written = theirs.len() - 1;
        out.extend_from_slice(theirs.get(..written).unwrap_or_default());
        out.extend_from_slice(if members.is_empty() { b"\"cost\":" } else { b",\"cost\":" });
        names.push_cost(out, tokens);
    }
    out.extend_from_slice(theirs.get(written..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_dialect_counts_the_same() {
        let tokens = |prompt, completion, cached, cache_write, reasoning| Tokens {
            prompt,
            completion,
            cached,
            cache_write,
            reasoning,
            ..Tokens::default()
        };
        for (usage, expected) in [
            (json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}), tokens(10, 5, 0, 0, 0)),
            (json!({"prompt_tokens": 10.0, "completion_tokens": 5.0}), tokens(10, 5, 0, 0, 0)),
            (json!({"input_tokens": 10, "output_tokens": 5}), tokens(10, 5, 0, 0, 0)),
            // OpenAI: reasoning within the completion.
            (
                json!({"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60, "completion_tokens_details": {"reasoning_tokens": 40}}),
                tokens(10, 50, 0, 0, 40),
            ),
            // xAI: reasoning beside the completion.
            (
                json!({"prompt_tokens": 291, "completion_tokens": 26, "total_tokens": 513, "prompt_tokens_details": {"cached_tokens": 290}, "completion_tokens_details": {"reasoning_tokens": 196}}),
                tokens(291, 222, 290, 0, 196),
            ),
            // Gemini: the total alone tells of it.
            (json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}), tokens(10, 105, 0, 0, 100)),
            // No total, and more reasoning than completion.
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 40}}),
                tokens(10, 45, 0, 0, 40),
            ),
            // DeepSeek, Moonshot.
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2}),
                tokens(10, 5, 8, 0, 0),
            ),
            (json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cached_tokens": 8}), tokens(10, 5, 8, 0, 0)),
            // Anthropic's words, which leave the cache out.
            (
                json!({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}),
                tokens(130, 5, 100, 20, 0),
            ),
            (
                json!({"prompt_tokens": 130, "completion_tokens": 5, "total_tokens": 135, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}),
                tokens(130, 5, 100, 20, 0),
            ),
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115, "prompt_tokens_details": {"cached_tokens": 100}}),
                tokens(110, 5, 100, 0, 0),
            ),
        ] {
            assert_eq!(tokens_of(&usage), Some(expected), "{usage}");
        }
        for usage in [json!({}), json!({"prompt_tokens": 1.5}), json!({"prompt_tokens": -1}), json!({"completion_tokens": 5}), json!([])] {
            assert_eq!(tokens_of(&usage), None, "{usage}");
        }
    }
}
