//! Parsing of the members that only chat requests have: the usage chunk, the effort in two forms,
//! and the output limit under its older and newer name.

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    catalog::Protocol,
    wire::{
        fault::RequestFault,
        request::{Members, Reasoning, Request, Whole},
    },
};

const MEMBERS: Members = Members {
    prompt: &["messages", "tools"],
    read: &[
        "stream_options",
        "max_completion_tokens",
        "usage",
        "reasoning",
        "reasoning_effort",
        "response_format",
        "stop",
        "parallel_tool_calls",
        "prompt_cache_key",
        "user",
    ],
};

/// Reads a chat request.
pub(in crate::wire) fn read(body: Bytes, depth: usize) -> Result<Request, RequestFault> {
    #[derive(Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    let mut request = Request::scan(Protocol::Chat, &MEMBERS, body, depth)?;
    let options: Option<StreamOptions> =
        request.get("stream_options", "an object with `include_usage`")?;
    let completion = request.whole("max_completion_tokens", "a whole number above 0")?;
    let max_tokens = completion.or(request.max_tokens);
    if max_tokens == Some(0) {
        return Err(RequestFault::member(
            "max_tokens",
            "`max_tokens` must be above 0",
        ));
    }
    let _: Option<serde::de::IgnoredAny> = request.get("usage", "an object")?;
    request.reasoning = reasoning(&request)?;
    request.user = request.get("user", "a string")?;
    request.cache_key = request.get("prompt_cache_key", "a string")?;
    request.include_usage = options.and_then(|o| o.include_usage).unwrap_or(false);
    request.max_tokens = max_tokens;
    Ok(request)
}

fn reasoning(request: &Request) -> Result<Reasoning, RequestFault> {
    #[derive(Deserialize)]
    struct Thinking {
        effort: Option<String>,
        max_tokens: Option<Whole>,
        exclude: Option<bool>,
        enabled: Option<bool>,
    }
    let thinking: Option<Thinking> =
        request.get("reasoning", "an object with `effort` or `max_tokens`")?;
    let mut reasoning = Reasoning {
        effort: request.get("reasoning_effort", "a string")?,
        ..Reasoning::default()
    };
    if let Some(e) = thinking {
        let by_switch = e.enabled.and_then(|on| {
            (e.effort.is_none() && e.max_tokens.is_none()).then_some(if on {
                "medium"
            } else {
                "none"
            })
        });
        let asked = e.effort.or(by_switch.map(ToOwned::to_owned));
        reasoning = Reasoning {
            effort: reasoning.effort.or(asked),
            max_tokens: e.max_tokens.map(|n| n.0),
            exclude: e.exclude.unwrap_or(false),
            is_shown: true,
        };
    }
    // An older name of `reasoning.exclude`.
    reasoning.exclude |= request.raw("include_reasoning") == Some(b"false");
    let levels = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    if reasoning
        .effort
        .as_deref()
        .is_some_and(|e| !levels.contains(&e))
    {
        return Err(RequestFault::member(
            "reasoning_effort",
            format!("the effort must be one of {}", levels.join(", ")),
        ));
    }
    Ok(reasoning)
}
