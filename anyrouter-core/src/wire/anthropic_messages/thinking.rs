//! How much a model may think: effort and budget as Anthropic has them.

use serde_json::{Value, json};

use super::{push_member, request::push};
use crate::{
    catalog::Endpoint,
    wire::openai_chat::{ChatRequest, RequestFault},
};

/// What an answer may have where neither the request nor the catalog says, in tokens.
const MAX_TOKENS: u64 = 4096;

/// How the model is asked to think.
pub(super) enum Thinking {
    Off,
    Budget(u64),
    Adaptive(Option<&'static str>),
}

/// The least that a budget may be.
const LEAST_BUDGET: u64 = 1024;

pub(super) fn thinking(request: &ChatRequest, endpoint: &Endpoint, omitted: &mut Vec<String>) -> Thinking {
    let effort = request.reasoning.effort.as_deref().filter(|e| *e != "none");
    if effort.is_none() && request.reasoning.max_tokens.is_none() {
        return Thinking::Off;
    }
    if endpoint.can("reasoning") == Some(false) {
        omitted.push("reasoning".to_owned());
        return Thinking::Off;
    }
    if endpoint.can("adaptive_thinking") == Some(true) {
        if request.reasoning.max_tokens.is_some() {
            omitted.push("reasoning.max_tokens".to_owned());
        }
        return Thinking::Adaptive(effort.map(|e| match e {
            "minimal" | "low" => "low",
            "medium" => "medium",
            "xhigh" | "max" => "max",
            _ => "high",
        }));
    }
    let whole = request.max_tokens.or(endpoint.max_output).unwrap_or(MAX_TOKENS);
    let share = match effort {
        Some("minimal") => 10,
        Some("low") => 20,
        Some("high") => 80,
        Some("xhigh" | "max") => 95,
        _ => 50,
    };
    let most = endpoint.max_output.unwrap_or(u64::from(u32::MAX));
    Thinking::Budget(request.reasoning.max_tokens.unwrap_or(whole.saturating_mul(share) / 100).min(most).max(LEAST_BUDGET))
}

/// `max_tokens` includes the thinking, and must be above its budget.
pub(super) fn max_tokens(request: &ChatRequest, endpoint: &Endpoint, thinking: &Thinking) -> u64 {
    let asked = request.max_tokens.or(endpoint.max_output).unwrap_or(MAX_TOKENS);
    match thinking {
        Thinking::Budget(budget) if asked <= *budget => budget.saturating_add(asked.min(MAX_TOKENS)),
        _ => asked,
    }
}

pub(super) fn push_thinking(out: &mut Vec<u8>, request: &ChatRequest, thinking: &Thinking) -> Result<(), RequestFault> {
    let mut output = serde_json::Map::new();
    match thinking {
        Thinking::Off => {}
        Thinking::Budget(tokens) => {
            push_member(out, b"\"thinking\"");
            push(out, &json!({"type": "enabled", "budget_tokens": tokens}));
        }
        Thinking::Adaptive(effort) => {
            push_member(out, b"\"thinking\"");
            push(out, &json!({"type": "adaptive"}));
            output.extend(effort.map(|e| ("effort".to_owned(), json!(e))));
        }
    }
    let format: Option<Value> = request.get("response_format", "an object")?;
    if let Some(schema) = format.as_ref().filter(|f| f["type"] == "json_schema").and_then(|f| f.pointer("/json_schema/schema")) {
        output.insert("format".to_owned(), json!({"type": "json_schema", "schema": schema}));
    }
    if !output.is_empty() {
        push_member(out, b"\"output_config\"");
        push(out, &Value::Object(output));
    }
    Ok(())
}
