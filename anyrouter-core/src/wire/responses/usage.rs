//! Usage of the Responses protocol: `input_tokens` includes what the cache read and wrote,
//! `output_tokens` includes reasoning.

use serde::{Deserialize, Deserializer};

use crate::{
    usage::Tokens,
    wire::{json::push_numbers, meter::count},
};

/// Usage as an upstream reports it; `None` if it is not plausible.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage(pub(super) Option<Tokens>);

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let usage = serde_json::Value::deserialize(deserializer)?;
        let of = |name: &str| usage.get(name).and_then(count);
        let detail = |of: &str, name: &str| usage.get(of)?.get(name).and_then(count);
        let input = |name: &str| detail("input_tokens_details", name).unwrap_or(0);
        let tokens = || {
            Some(Tokens {
                prompt: of("input_tokens")?,
                completion: of("output_tokens")?,
                cached: input("cached_tokens"),
                cache_write: input("cache_write_tokens"),
                cache_write_1h: 0,
                reasoning: detail("output_tokens_details", "reasoning_tokens").unwrap_or(0),
            })
        };
        Ok(Self(tokens().filter(Tokens::is_plausible)))
    }
}

/// Appends a usage object.
pub(super) fn push_usage(t: &Tokens, out: &mut Vec<u8>) {
    push_numbers(
        out,
        &[
            ("{\"input_tokens\":", t.prompt),
            (",\"input_tokens_details\":{\"cached_tokens\":", t.cached),
            (",\"cache_write_tokens\":", t.cache_write),
            ("},\"output_tokens\":", t.completion),
            (
                ",\"output_tokens_details\":{\"reasoning_tokens\":",
                t.reasoning,
            ),
            ("},\"total_tokens\":", t.total()),
        ],
    );
    out.push(b'}');
}
