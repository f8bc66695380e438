//! Parsing of the usage that OpenAI-chat providers report, and writing of the client's usage.
//!
//! A table has the names of the counts. Arithmetic on the total decides if `completion_tokens`
//! excludes reasoning (xAI, Gemini) and if `prompt_tokens` excludes cached tokens, so that the code
//! depends on no provider. Sources: OpenAI's API reference; the deviations of DeepSeek,
//! Groq, Moonshot, xAI and Gemini as recorded (docs/providers.md).

use smallvec::SmallVec;

use crate::{
    part::Part as _,
    usage::Tokens,
    wire::{
        json::{Member, members, push_member},
        meta::ResponseMeta,
        meter::Meter,
    },
};

use super::{shape::DEPTH, write::push_usage_of};

/// Path of a member, or of a member within a member.
type Path = &'static [&'static str];

/// Paths of a count: the first one that exists and is a number is used.
const PROMPT: &[Path] = &[&["prompt_tokens"], &["input_tokens"]];
const COMPLETION: &[Path] = &[&["completion_tokens"], &["output_tokens"]];
const CACHED: &[Path] = &[
    &["prompt_tokens_details", "cached_tokens"],
    &["input_tokens_details", "cached_tokens"],
    &["prompt_cache_hit_tokens"],
    &["cached_tokens"],
    &["cache_read_input_tokens"],
];
const CACHE_WRITE: &[Path] = &[
    &["prompt_tokens_details", "cache_write_tokens"],
    &["input_tokens_details", "cache_write_tokens"],
    &["prompt_tokens_details", "cache_creation_tokens"],
    &["cache_creation_input_tokens"],
];
const CACHE_WRITE_1H: &[Path] = &[&["cache_creation", "ephemeral_1h_input_tokens"]];
const TOTAL: Path = &["total_tokens"];
const REASONING: &[Path] = &[
    &["completion_tokens_details", "reasoning_tokens"],
    &["output_tokens_details", "reasoning_tokens"],
    &["reasoning_tokens"],
];

/// A parsed usage object: its members, and the members of the objects in it.
pub(super) struct Usage<'a> {
    text: &'a [u8],
    members: Vec<Member>,
    inner: SmallVec<[(Member, Vec<Member>); 4]>,
}

impl<'a> Usage<'a> {
    /// Reads an object; `None` if `text` is not an object.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let members = members(text, DEPTH).ok()?;
        let objects = members.iter().filter(|m| m.value(text).starts_with(b"{"));
        let inner = objects
            .filter_map(|m| Some((m.clone(), inner_members(text, m)?)))
            .collect();
        Some(Self {
            text,
            members,
            inner,
        })
    }

    /// Returns the value at a path; the last one, if a member occurs twice.
    fn get(&self, path: Path) -> Option<&'a [u8]> {
        let last = |all: &[Member], name: &str| {
            all.iter()
                .rev()
                .find(|m| m.is(self.text, name))
                .map(|m| m.value(self.text))
        };
        match path {
            [name] => last(&self.members, name),
            [outer, name] => last(
                &self
                    .inner
                    .iter()
                    .rev()
                    .find(|(m, _)| m.is(self.text, outer))?
                    .1,
                name,
            ),
            _ => None,
        }
    }

    fn count(&self, path: Path) -> Option<u64> {
        count(self.get(path)?)
    }
}

/// Returns the members of the object that is the value of `outer`.
fn inner_members(text: &[u8], outer: &Member) -> Option<Vec<Member>> {
    let found = members(outer.value(text), DEPTH).ok()?;
    let at = outer.value.start;
    let moved = |r: &std::ops::Range<usize>| r.start + at..r.end + at;
    Some(
        found
            .iter()
            .map(|m| Member::new(text, moved(&m.name), moved(&m.value)))
            .collect(),
    )
}

/// Returns the counts of a usage object; `None` if it has none or they are implausible.
pub(super) fn tokens_of(usage: &Usage<'_>) -> Option<Tokens> {
    let first = |names: &[Path]| names.iter().find_map(|path| usage.count(path));
    let prompt = first(PROMPT)?;
    let completion = first(COMPLETION).unwrap_or(0);
    let (cached, cache_write) = (first(CACHED).unwrap_or(0), first(CACHE_WRITE).unwrap_or(0));
    let reasoning = first(REASONING).unwrap_or(0);
    let mut tokens = Tokens {
        prompt,
        completion,
        cached,
        cache_write,
        cache_write_1h: first(CACHE_WRITE_1H).unwrap_or(0),
        reasoning,
    };
    // Anthropic's `input_tokens` exclude cached tokens. Elsewhere, more cached than prompt tokens
    // show the same.
    let in_cache = cached.saturating_add(cache_write);
    let is_anthropic = usage.get(&["prompt_tokens"]).is_none()
        && usage.get(&["cache_read_input_tokens"]).is_some();
    if is_anthropic || in_cache > prompt {
        tokens.prompt = prompt.saturating_add(in_cache);
    }
    // The part of the total beyond prompt and completion is reasoning, even if it is not reported.
    let total = first(&[TOTAL]);
    let beside = match total {
        // This compares with the prompt as reported, before the cache was added.
        Some(total)
            if reasoning > 0
                && total == prompt.saturating_add(completion).saturating_add(reasoning) =>
        {
            reasoning
        }
        Some(total) => total.saturating_sub(tokens.prompt.saturating_add(completion)),
        None => 0,
    };
    if beside > 0 {
        tokens.completion = completion.saturating_add(beside);
        tokens.reasoning = reasoning.max(beside);
    } else if reasoning > completion {
        // Reasoning that exceeds the completion cannot be a part of it, so it is added.
        tokens.completion = completion.saturating_add(reasoning);
    }
    // Implausible details do not invalidate the totals.
    let totals = Tokens {
        prompt: tokens.prompt,
        completion: tokens.completion,
        ..Tokens::default()
    };
    [tokens, totals].into_iter().find(Tokens::is_plausible)
}

/// Reads a count: a whole number, which may be written as a float.
fn count(value: &[u8]) -> Option<u64> {
    let value = std::str::from_utf8(value).ok()?;
    let whole = |n: &f64| *n >= 0.0 && n.fract() == 0.0 && *n < 9e15;
    value
        .parse()
        .ok()
        .or_else(|| value.parse::<f64>().ok().filter(whole).map(|n| n as u64))
}

/// Appends the client's usage object. If the upstream's counts have OpenAI's form, this is the
/// upstream's object, byte for byte, with the gateway's cost. Otherwise it is the gateway's object,
/// with the upstream's other members.
pub(super) fn push_usage(
    out: &mut Vec<u8>,
    names: &ResponseMeta,
    meter: &Meter,
    theirs: Option<&Usage<'_>>,
) {
    let (Some(tokens), Some(usage)) = (meter.tokens, theirs) else {
        return push_usage_of(names, out, meter);
    };
    if is_openais(usage, &tokens) {
        return push_with_cost(out, names, &tokens, usage);
    }
    let mut ours = Vec::new();
    push_usage_of(names, &mut ours, meter);
    push_united(out, &ours, usage.text, 1);
}

/// Appends an object with the raw members of both objects; `ours` takes precedence. Nested objects
/// are merged down to the depth `deep`.
fn push_united(out: &mut Vec<u8>, ours: &[u8], theirs: &[u8], deep: usize) {
    let (of_ours, of_theirs) = (
        members(ours, DEPTH).unwrap_or_default(),
        members(theirs, DEPTH).unwrap_or_default(),
    );
    let same =
        |all: &[Member], text: &[u8], name: &str| all.iter().find(|m| m.is(text, name)).cloned();
    out.push(b'{');
    for member in &of_ours {
        push_member(out, ours.get(member.name.clone()).unwrap_or_default());
        let value = member.value(ours);
        let other = member
            .decoded_name(ours)
            .and_then(|name| same(&of_theirs, theirs, &name))
            .map(|m| m.value(theirs));
        match other.filter(|o| deep > 0 && o.starts_with(b"{") && value.starts_with(b"{")) {
            Some(other) => push_united(out, value, other, deep - 1),
            None => out.extend_from_slice(value),
        }
    }
    for member in &of_theirs {
        if member
            .decoded_name(theirs)
            .is_some_and(|name| same(&of_ours, ours, &name).is_none())
        {
            push_member(out, theirs.get(member.name.clone()).unwrap_or_default());
            out.extend_from_slice(member.value(theirs));
        }
    }
    out.push(b'}');
}

/// Returns true if a usage object has the counts of `tokens` under OpenAI's names.
fn is_openais(usage: &Usage<'_>, tokens: &Tokens) -> bool {
    // A client may parse counts as integers, so `10.0` is not passed on.
    let whole = |path: Path| {
        std::str::from_utf8(usage.get(path)?)
            .ok()?
            .parse::<u64>()
            .ok()
    };
    whole(&["prompt_tokens"]) == Some(tokens.prompt)
        && whole(&["completion_tokens"]) == Some(tokens.completion)
        && whole(&["total_tokens"]) == Some(tokens.total())
        && whole(&["prompt_tokens_details", "cached_tokens"]).unwrap_or(0) == tokens.cached
        && whole(&["prompt_tokens_details", "cache_write_tokens"]).unwrap_or(0)
            == tokens.cache_write
        && whole(&["completion_tokens_details", "reasoning_tokens"]).unwrap_or(0)
            == tokens.reasoning
}

fn push_with_cost(out: &mut Vec<u8>, names: &ResponseMeta, tokens: &Tokens, usage: &Usage<'_>) {
    let (theirs, members) = (usage.text, &usage.members);
    // Every `cost` is replaced, since a client may read any of duplicate members.
    let mut written = 0;
    for Member { value, .. } in members.iter().filter(|m| m.is(theirs, "cost")) {
        out.extend_from_slice(theirs.part(written..value.start));
        names.push_cost(out, tokens);
        written = value.end;
    }
    if written == 0 {
        written = theirs.len() - 1;
        out.extend_from_slice(theirs.part(..written));
        out.extend_from_slice(if members.is_empty() {
            b"\"cost\":"
        } else {
            b",\"cost\":"
        });
        names.push_cost(out, tokens);
    }
    out.extend_from_slice(theirs.part(written..));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(usage: &serde_json::Value) -> Option<Tokens> {
        Usage::read(usage.to_string().as_bytes()).and_then(|u| tokens_of(&u))
    }

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
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}),
                tokens(10, 5, 0, 0, 0),
            ),
            (
                json!({"prompt_tokens": 10.0, "completion_tokens": 5.0}),
                tokens(10, 5, 0, 0, 0),
            ),
            (
                json!({"input_tokens": 10, "output_tokens": 5}),
                tokens(10, 5, 0, 0, 0),
            ),
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
            // Gemini: only the total includes the reasoning.
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}),
                tokens(10, 105, 0, 0, 100),
            ),
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
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cached_tokens": 8}),
                tokens(10, 5, 8, 0, 0),
            ),
            // Anthropic's names, whose prompt excludes cached tokens.
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
            assert_eq!(read(&usage), Some(expected), "{usage}");
        }
        for usage in [
            json!({}),
            json!({"prompt_tokens": 1.5}),
            json!({"prompt_tokens": -1}),
            json!({"completion_tokens": 5}),
            json!([]),
        ] {
            assert_eq!(read(&usage), None, "{usage}");
        }
    }
}
