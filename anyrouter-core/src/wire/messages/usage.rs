//! Parsing of Anthropic's token usage.

use serde::{Deserialize, Deserializer};

use crate::{usage::Tokens, wire::meter};

/// Usage as Anthropic reports it: `input_tokens` excludes tokens that the cache read or wrote.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    input_tokens: Option<Count>,
    output_tokens: Option<Count>,
    cache_read_input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    cache_write_1h: Option<Count>,
    thinking_tokens: Option<Count>,
}

/// A number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(u64);

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let usage = serde_json::Value::deserialize(deserializer)?;
        let of = |usage: &serde_json::Value, name: &str| {
            usage.get(name).and_then(meter::count).map(Count)
        };
        let count = |name: &str| of(&usage, name);
        let detail = |group: &str, name: &str| of(usage.get(group)?, name);
        Ok(Self {
            input_tokens: count("input_tokens"),
            output_tokens: count("output_tokens"),
            cache_read_input_tokens: count("cache_read_input_tokens"),
            cache_creation_input_tokens: count("cache_creation_input_tokens"),
            cache_write_1h: detail("cache_creation", "ephemeral_1h_input_tokens"),
            thinking_tokens: detail("output_tokens_details", "thinking_tokens"),
        })
    }
}

impl Usage {
    /// Returns the usage updated by a later report. A zero does not replace a count, since relays
    /// repeat the members without their counts.
    pub(super) fn updated(self, later: Self) -> Self {
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

    /// Returns true if the report has the tokens of the answer.
    pub(super) fn has_output(self) -> bool {
        self.output_tokens.is_some()
    }

    pub(super) fn tokens(self) -> Option<Tokens> {
        let count = |count: Option<Count>| count.map_or(0, |c| c.0);
        let (cached, cache_write) = (
            count(self.cache_read_input_tokens),
            count(self.cache_creation_input_tokens),
        );
        let tokens = Tokens {
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
        Some(tokens).filter(Tokens::is_plausible)
    }
}
