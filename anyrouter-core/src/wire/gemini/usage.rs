//! Usage of Google's protocol: thoughts are counted beside the candidates, and the prompt of tools
//! beside the prompt.

use serde::{Deserialize, Deserializer};

use crate::{
    usage::Tokens,
    wire::{json::push_numbers, meter::count},
};

/// Usage as an upstream reports it; `None` if there are no counts, or if they are not plausible.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage(pub(super) Option<Tokens>);

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let usage = serde_json::Value::deserialize(deserializer)?;
        // Counts of 0 are left out.
        let of = |name: &str| usage.get(name).and_then(count).unwrap_or(0);
        let thoughts = of("thoughtsTokenCount");
        let tokens = Tokens {
            prompt: of("promptTokenCount").saturating_add(of("toolUsePromptTokenCount")),
            completion: of("candidatesTokenCount").saturating_add(thoughts),
            cached: of("cachedContentTokenCount"),
            cache_write: 0,
            cache_write_1h: 0,
            reasoning: thoughts,
        };
        let has_counts = usage.get("promptTokenCount").is_some();
        Ok(Self(
            Some(tokens).filter(|t| has_counts && t.is_plausible()),
        ))
    }
}

/// Appends a usage object.
pub(super) fn push_usage(t: &Tokens, out: &mut Vec<u8>) {
    push_numbers(
        out,
        &[
            ("{\"promptTokenCount\":", t.prompt),
            (
                ",\"candidatesTokenCount\":",
                t.completion.saturating_sub(t.reasoning),
            ),
            (",\"totalTokenCount\":", t.total()),
        ],
    );
    for (name, count) in [
        (",\"cachedContentTokenCount\":", t.cached),
        (",\"thoughtsTokenCount\":", t.reasoning),
    ] {
        if count > 0 {
            push_numbers(out, &[(name, count)]);
        }
    }
    out.push(b'}');
}
