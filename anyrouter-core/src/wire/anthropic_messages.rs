//! Anthropic messages, as an upstream's protocol: OpenAI chat requests are translated into it, answers out of it. Source: Anthropic
//! API reference, *Messages*, *Streaming messages*, *Extended thinking*, *Adaptive thinking*, *Structured outputs*.

mod answer;
mod messages;
mod request;
mod stream;
mod thinking;
mod tools;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use self::{answer::plain, request::to_anthropic_messages, request::untranslatable, stream::StreamTranslator};

/// The version of the API that is spoken: the value of `anthropic-version`.
pub const VERSION: &str = "2023-06-01";

/// What is appended to a provider's base address.
pub fn path(base_url: &str) -> &'static str {
    if base_url.ends_with("/v1") { "/messages" } else { "/v1/messages" }
}

/// Appends a member's name, given with its quotes, and the colon; a comma before it where it is not the first.
pub(super) fn push_member(out: &mut Vec<u8>, quoted_name: &[u8]) {
    if !matches!(out.last(), Some(b'{')) {
        out.push(b',');
    }
    out.extend_from_slice(quoted_name);
    out.push(b':');
}

/// A JSON string as it is spelt, with its quotes: it can be passed on without being unescaped and escaped again.
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
        if raw.get().starts_with('"') { Ok(Self(raw)) } else { Err(serde::de::Error::custom("not a string")) }
    }
}

/// OpenAI's word for why an answer ended.
fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

/// Usage as Anthropic reports it: `input_tokens` without what the cache read or wrote.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Usage {
    /// With what a later report says in place of what this one did.
    fn updated(self, later: Self) -> Self {
        Self {
            input_tokens: later.input_tokens.or(self.input_tokens),
            output_tokens: later.output_tokens.or(self.output_tokens),
            cache_read_input_tokens: later.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: later.cache_creation_input_tokens.or(self.cache_creation_input_tokens),
            output_tokens_details: later.output_tokens_details.or(self.output_tokens_details),
        }
    }

    fn tokens(self) -> Option<crate::usage::Tokens> {
        let (cached, cache_write) = (self.cache_read_input_tokens.unwrap_or(0), self.cache_creation_input_tokens.unwrap_or(0));
        let tokens = crate::usage::Tokens {
            prompt: self.input_tokens?.checked_add(cached)?.checked_add(cache_write)?,
            completion: self.output_tokens?,
            cached,
            cache_write,
            reasoning: self.output_tokens_details.and_then(|d| d.thinking_tokens).unwrap_or(0),
        };
        Some(tokens).filter(crate::usage::Tokens::is_plausible)
    }
}
