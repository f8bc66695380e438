//! Anthropic messages, as an upstream's protocol: OpenAI chat requests are translated into it,
//! answers out of it. Source: Anthropic API reference, *Messages*, *Streaming messages*, *Extended
//! thinking*, *Adaptive thinking*, *Structured outputs*.

mod answer;
mod conversation;
mod names;
mod request;
mod schema;
mod source;
mod stream;
mod thinking;
mod tools;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use self::{
    answer::plain, request::to_anthropic_messages, request::untranslatable,
    stream::StreamTranslator,
};

/// The version of the API that is spoken: the value of `anthropic-version`.
pub const VERSION: &str = "2023-06-01";

/// What is appended to a provider's base address.
pub fn path(base_url: &str) -> &'static str {
    if base_url.ends_with("/v1") {
        "/messages"
    } else {
        "/v1/messages"
    }
}

/// Appends a member's name, given with its quotes, and the colon; a comma before it where it is not
/// the first.
pub(super) fn push_member(out: &mut Vec<u8>, quoted_name: &[u8]) {
    if !matches!(out.last(), Some(b'{')) {
        out.push(b',');
    }
    out.extend_from_slice(quoted_name);
    out.push(b':');
}

/// A JSON string as it is spelt, with its quotes: it can be passed on without being unescaped and
/// escaped again.
#[derive(Clone, Copy)]
struct Spelt<'a>(&'a RawValue);

impl<'a> Spelt<'a> {
    fn get(self) -> &'a str {
        self.0.get()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Spelt<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('"') {
            Ok(Self(raw))
        } else {
            Err(serde::de::Error::custom("not a string"))
        }
    }
}

/// The client's name of a tool, as JSON.
fn client_name<'a>(name: Spelt<'a>, adjusted: &crate::wire::adjust::Adjustments) -> Cow<'a, str> {
    if adjusted.tool_names.is_empty() {
        return name.get().into();
    }
    let Ok(theirs) = serde_json::from_str::<Cow<'_, str>>(name.get()) else {
        return name.get().into();
    };
    let ours = adjusted.tool_name(&theirs);
    serde_json::to_string(ours).map_or_else(|_| name.get().into(), Into::into)
}

/// OpenAI's word for a stop reason; calls decide, where there are any.
fn finish_reason(stop_reason: &str, has_calls: bool) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        _ if has_calls => "tool_calls",
        _ => "stop",
    }
}

/// Usage as Anthropic reports it: `input_tokens` without what the cache read or wrote.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    input_tokens: Option<Count>,
    output_tokens: Option<Count>,
    cache_read_input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    cache_write_1h: Option<Count>,
    thinking_tokens: Option<Count>,
}

/// A number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count(u64);

impl Count {
    /// A count; some relays write floats, or strings. What cannot be read was not said: an answer
    /// that is good is not lost for it.
    fn of(value: &serde_json::Value) -> Option<Self> {
        let float = || {
            value
                .as_f64()
                .filter(|n| *n >= 0.0 && *n < 9e15)
                .map(|n| n as u64)
        };
        value
            .as_u64()
            .or_else(float)
            .or_else(|| value.as_str()?.parse().ok())
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let usage = serde_json::Value::deserialize(deserializer)?;
        let count = |pointer: &str| usage.pointer(pointer).and_then(Count::of);
        Ok(Self {
            input_tokens: count("/input_tokens"),
            output_tokens: count("/output_tokens"),
            cache_read_input_tokens: count("/cache_read_input_tokens"),
            cache_creation_input_tokens: count("/cache_creation_input_tokens"),
            cache_write_1h: count("/cache_creation/ephemeral_1h_input_tokens"),
            thinking_tokens: count("/output_tokens_details/thinking_tokens"),
        })
    }
}

impl Usage {
    /// With what a later report says in place of what this one did. A zero says nothing: relays
    /// repeat the members without the counts.
    fn updated(self, later: Self) -> Self {
        let last =
            |now: Option<Count>, before: Option<Count>| now.filter(|n| n.0 > 0).or(before).or(now);
        Self {
            input_tokens: last(later.input_tokens, self.input_tokens),
            output_tokens: last(later.output_tokens, self.output_tokens),
            cache_read_input_tokens: last(
                later.cache_read_input_tokens,
                self.cache_read_input_tokens,
            ),
            cache_creation_input_tokens: last(
                later.cache_creation_input_tokens,
                self.cache_creation_input_tokens,
            ),
            cache_write_1h: last(later.cache_write_1h, self.cache_write_1h),
            thinking_tokens: last(later.thinking_tokens, self.thinking_tokens),
        }
    }

    fn tokens(self) -> Option<crate::usage::Tokens> {
        let count = |count: Option<Count>| count.map_or(0, |c| c.0);
        let (cached, cache_write) = (
            count(self.cache_read_input_tokens),
            count(self.cache_creation_input_tokens),
        );
        let tokens = crate::usage::Tokens {
            prompt: self
                .input_tokens?
                .0
                .checked_add(cached)?
                .checked_add(cache_write)?,
            completion: self.output_tokens?.0,
            cached,
            cache_write,
            cache_write_1h: count(self.cache_write_1h).min(cache_write),
            reasoning: count(self.thinking_tokens),
        };
        Some(tokens).filter(crate::usage::Tokens::is_plausible)
    }
}
