//! Settings for thinking and for the form of the output: effort, budget and schema in Anthropic's
//! form.

use serde_json::{Value, json};

use super::{conversation::Conversation, schema};
use crate::{
    catalog::{Dialect, Endpoint, ForcedTool, ThinkingForm},
    wire::{
        adjust::Adjustments,
        fault::RequestFault,
        json::{push_member, push_value},
        request::Request,
    },
};

/// Default maximum length of an answer if neither the request nor the catalog limits it, in tokens.
pub(super) const MAX_TOKENS: u64 = 4096;

/// The thinking mode of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    Off,
    Budget(u64),
    Adaptive(Option<&'static str>),
}

/// Minimum thinking budget, in tokens.
pub(super) const LEAST_BUDGET: u64 = 1024;

/// Chooses the thinking mode. If the API would refuse thinking, it is disabled, and the request is
/// sent without it.
pub(super) fn thinking(
    request: &Request,
    endpoint: &Endpoint,
    dialect: &Dialect,
    conversation: &Conversation<'_>,
    adjusted: &mut Adjustments,
) -> Thinking {
    let effort = request.reasoning.effort.as_deref().filter(|e| *e != "none");
    if effort.is_none() && request.reasoning.max_tokens.is_none() {
        return Thinking::Off;
    }
    let is_adaptive = match dialect.thinking {
        Some(form) => form == ThinkingForm::Adaptive,
        None => endpoint.can("adaptive_thinking") == Some(true),
    };
    let mut left_off = |why: &str| {
        adjusted.omit("reasoning");
        if !why.is_empty() {
            adjusted.note(format!("thinking was disabled: {why}"));
        }
        Thinking::Off
    };
    if endpoint.can("reasoning") == Some(false) {
        return left_off("");
    }
    let forced = request.raw("tool_choice").is_some_and(|c| {
        matches!(c, b"\"required\"" | b"\"any\"")
            || memchr::memmem::find(c, b"\"function\"").is_some()
    });
    let is_forced_badly = dialect.forced_tool == Some(ForcedTool::WithoutThinking)
        || (dialect.forced_tool.is_none() && !is_adaptive);
    if forced && is_forced_badly && request.raw("tools").is_some() {
        return left_off(
            "`tool_choice` forces a call, which the model does not accept while it thinks",
        );
    }
    if !is_adaptive && request.max_tokens.is_some_and(|most| most <= LEAST_BUDGET) {
        return left_off("`max_tokens` leaves no room for the minimum budget of 1,024 tokens");
    }
    if let Some(reason) = conversation.forbids_thinking() {
        return left_off(reason);
    }
    if is_adaptive {
        if request.reasoning.max_tokens.is_some() {
            adjusted.omit("reasoning.max_tokens");
        }
        let takes = |level: &str| {
            dialect
                .efforts
                .as_ref()
                .is_some_and(|e| e.iter().any(|t| t == level))
        };
        return Thinking::Adaptive(effort.map(|e| match e {
            "minimal" | "low" => "low",
            "medium" => "medium",
            "xhigh" if takes("xhigh") => "xhigh",
            "xhigh" | "max" => "max",
            _ => "high",
        }));
    }
    let whole = asked(request, endpoint).unwrap_or(MAX_TOKENS);
    let share = match effort {
        Some("minimal") => 10,
        Some("low") => 20,
        Some("high") => 80,
        Some("xhigh" | "max") => 95,
        _ => 50,
    };
    // The answer needs some tokens besides the thinking.
    let most = endpoint
        .max_output
        .unwrap_or(u64::from(u32::MAX))
        .saturating_sub(LEAST_BUDGET)
        .max(LEAST_BUDGET);
    let wanted = request
        .reasoning
        .max_tokens
        .unwrap_or(whole.saturating_mul(share) / 100);
    if wanted > most && request.reasoning.max_tokens.is_some() {
        adjusted.note(format!(
            "reasoning.max_tokens was lowered from {wanted} to {most}"
        ));
    }
    Thinking::Budget(wanted.min(most).max(LEAST_BUDGET))
}

/// Returns the requested maximum length of the answer, lowered to the endpoint's maximum.
fn asked(request: &Request, endpoint: &Endpoint) -> Option<u64> {
    let most = endpoint.max_output;
    request
        .max_tokens
        .map(|n| most.map_or(n, |most| n.min(most)))
        .or(most)
}

/// Returns `max_tokens`, which includes the thinking and must exceed its budget.
pub(super) fn max_tokens(
    request: &Request,
    endpoint: &Endpoint,
    thinking: Thinking,
    adjusted: &mut Adjustments,
) -> u64 {
    let asked = request
        .output_limit(endpoint, adjusted)
        .or(endpoint.max_output)
        .unwrap_or(MAX_TOKENS);
    match thinking {
        Thinking::Budget(budget) if asked <= budget => budget
            .saturating_add(asked.min(MAX_TOKENS))
            .min(endpoint.max_output.unwrap_or(u64::MAX).max(budget + 1)),
        _ => asked,
    }
}

/// Appends `thinking` and `output_config`.
pub(super) fn push_thinking(
    out: &mut Vec<u8>,
    request: &Request,
    dialect: &Dialect,
    thinking: Thinking,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let mut output = serde_json::Map::new();
    let mut object = match thinking {
        Thinking::Off => None,
        Thinking::Budget(tokens) => Some(json!({"type": "enabled", "budget_tokens": tokens})),
        Thinking::Adaptive(effort) => {
            output.extend(effort.map(|e| ("effort".to_owned(), json!(e))));
            Some(json!({"type": "adaptive"}))
        }
    };
    if let Some(object) = &mut object {
        adjusted.hides_reasoning = request.reasoning.exclude;
        if request.reasoning.exclude {
            object["display"] = json!("omitted");
        } else if dialect.thinking_shown == Some(false) {
            object["display"] = json!("summarized");
        }
        push_member(out, b"\"thinking\"");
        push_value(out, object);
    }
    let format: Option<Value> = request.get("response_format", "an object")?;
    if let Some(schema) = format
        .as_ref()
        .filter(|f| f["type"] == "json_schema")
        .and_then(|f| f.pointer("/json_schema/schema"))
        && dialect.json_schema != Some(false)
    {
        output.insert(
            "format".to_owned(),
            json!({"type": "json_schema", "schema": schema::of_output(schema)}),
        );
    }
    if !output.is_empty() {
        push_member(out, b"\"output_config\"");
        push_value(out, &Value::Object(output));
    }
    Ok(())
}

/// Returns an instruction for an output format that the endpoint cannot enforce. In this case,
/// `response_format` is listed as omitted.
pub(super) fn instruction(
    request: &Request,
    dialect: &Dialect,
    adjusted: &mut Adjustments,
) -> Result<Option<String>, RequestFault> {
    let format: Option<Value> = request.get("response_format", "an object")?;
    let Some(format) = format else {
        return Ok(None);
    };
    let words = match format.get("type").and_then(Value::as_str) {
        Some("json_object") => {
            "Respond with one JSON object and nothing else: no text around it, no code fence."
                .to_owned()
        }
        Some("json_schema") if dialect.json_schema == Some(false) => {
            let schema = format
                .pointer("/json_schema/schema")
                .cloned()
                .unwrap_or_default();
            format!(
                "Respond with one JSON document and nothing else: no text around it, no code fence. It must match this JSON schema: {schema}"
            )
        }
        _ => return Ok(None),
    };
    adjusted.omit("response_format");
    adjusted.note("response_format was sent as an instruction, which nothing enforces");
    Ok(Some(words))
}
