//! The tools of a request, and which of them may or must be called.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    push_member,
    request::{comma, push, push_cache_control, push_raw},
};
use crate::wire::openai_chat::{ChatRequest, RequestFault};

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow, default)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
}
pub(super) fn push_tools(out: &mut Vec<u8>, request: &ChatRequest, omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    let tools: Vec<Tool<'_>> = request.get("tools", "a list of tools")?.unwrap_or_default();
    if !tools.is_empty() {
        push_member(out, b"\"tools\"");
        out.push(b'[');
        for (i, tool) in tools.iter().enumerate() {
            let function = tool.function.as_ref().filter(|_| tool.kind.as_deref().is_none_or(|k| k == "function"));
            let Some(f) = function else {
                omitted.push(format!("tools[{i}]"));
                continue;
            };
            comma(out);
            out.extend_from_slice(b"{\"name\":");
            push_raw(out, f.name);
            if let Some(description) = f.description {
                push_member(out, b"\"description\"");
                push_raw(out, description);
            }
            push_member(out, b"\"input_schema\"");
            match f.parameters.filter(|p| p.get() != "null") {
                Some(schema) => push_raw(out, schema),
                None => out.extend_from_slice(b"{\"type\":\"object\",\"properties\":{}}"),
            }
            if f.strict == Some(true) {
                push_member(out, b"\"strict\"");
                out.extend_from_slice(b"true");
            }
            push_cache_control(out, tool.cache_control.map(|c| c.get().as_bytes()));
            out.push(b'}');
        }
        out.push(b']');
    }
    let parallel: Option<bool> = request.get("parallel_tool_calls", "true or false")?;
    let choice: Option<Value> = request.get("tool_choice", "a string or an object")?;
    let mut translated = match choice {
        Some(Value::String(s)) => match s.as_str() {
            "auto" => Some(json!({"type": "auto"})),
            "required" => Some(json!({"type": "any"})),
            "none" => Some(json!({"type": "none"})),
            _ => return Err(RequestFault::member("tool_choice", "`tool_choice` must be auto, none, required or a function")),
        },
        Some(object) => match object.pointer("/function/name").and_then(Value::as_str) {
            Some(name) => Some(json!({"type": "tool", "name": name})),
            None => {
                omitted.push("tool_choice".to_owned());
                None
            }
        },
        None => None,
    };
    if parallel == Some(false) && !tools.is_empty() {
        let choice = translated.get_or_insert_with(|| json!({"type": "auto"}));
        if choice.get("type") != Some(&json!("none")) {
            choice["disable_parallel_tool_use"] = json!(true);
        }
    }
    if let Some(choice) = translated.filter(|_| !tools.is_empty()) {
        push_member(out, b"\"tool_choice\"");
        push(out, &choice);
    }
    Ok(())
}
