//! Parsing of the members that only Google's requests have. Each may be spelt in `camelCase` or in
//! `snake_case`. The model and the switch for streams are in the address.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use crate::{
    catalog::Protocol,
    wire::{
        fault::RequestFault,
        request::{Members, Reasoning, Request},
    },
};

const MEMBERS: Members = Members {
    prompt: &[
        "contents",
        "systemInstruction",
        "system_instruction",
        "tools",
    ],
    read: &[
        "cachedContent",
        "cached_content",
        "contents",
        "generationConfig",
        "generation_config",
        "systemInstruction",
        "system_instruction",
        "toolConfig",
        "tool_config",
    ],
};

/// The configuration of an answer, with the members that have a counterpart.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(alias = "max_output_tokens")]
    max_output_tokens: Option<Number>,
    #[serde(rename = "thinkingConfig", alias = "thinking_config")]
    thinking: Option<Thinking>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Thinking {
    #[serde(rename = "thinkingBudget", alias = "thinking_budget")]
    budget: Option<Number>,
    #[serde(rename = "thinkingLevel", alias = "thinking_level")]
    level: Option<String>,
    #[serde(alias = "include_thoughts")]
    include_thoughts: Option<bool>,
}

/// A number, which may be written as a string (ProtoJSON).
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        value
            .as_f64()
            .or_else(|| value.as_str()?.parse().ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not a number"))
    }
}

/// Reads a request.
pub(in crate::wire) fn read(body: Bytes, depth: usize) -> Result<Request, RequestFault> {
    let mut request = Request::scan(Protocol::Gemini, &MEMBERS, body, depth)?;
    if request
        .raw("contents")
        .is_some_and(|c| !c.starts_with(b"[") && !c.starts_with(b"{"))
    {
        return Err(RequestFault::member(
            "contents",
            "`contents` must be a list of objects with `role` and `parts`",
        ));
    }
    let config: Config = either(
        &request,
        "generationConfig",
        "generation_config",
        "an object",
    )?
    .unwrap_or_default();
    let limit = match config.max_output_tokens {
        None => None,
        Some(Number(n)) if n >= 1.0 && n.fract() == 0.0 => Some(n as u64),
        Some(_) => {
            return Err(RequestFault::member(
                "generationConfig.maxOutputTokens",
                "`maxOutputTokens` must be a whole number above 0",
            ));
        }
    };
    request.max_tokens = limit;
    request.reasoning = reasoning(config.thinking.unwrap_or_default());
    // The address says both.
    request.model = None;
    request.stream = false;
    Ok(request)
}

fn reasoning(thinking: Thinking) -> Reasoning {
    let by_level = thinking
        .level
        .filter(|level| level != "THINKING_LEVEL_UNSPECIFIED")
        .map(|level| level.to_ascii_lowercase());
    let (effort, max_tokens) = match (by_level, thinking.budget.map(|n| n.0)) {
        (Some(level), _) => (Some(level), None),
        (None, Some(0.0)) => (Some("none".to_owned()), None),
        // The model decides.
        (None, Some(budget)) if budget < 0.0 => (None, None),
        (None, budget) => (None, budget.map(|b| b as u64)),
    };
    Reasoning {
        effort,
        max_tokens,
        exclude: thinking.include_thoughts == Some(false),
        is_shown: thinking.include_thoughts == Some(true),
    }
}

/// Reads a member in either spelling.
pub(super) fn either<'a, T: Deserialize<'a>>(
    request: &'a Request,
    camel: &str,
    snake: &str,
    expected: &str,
) -> Result<Option<T>, RequestFault> {
    match request.get(camel, expected)? {
        Some(value) => Ok(Some(value)),
        None => request.get(snake, expected),
    }
}
