//! The tools of a request, and its choice of tools that may or must be called.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{cache_control::push_cache_control, names::tool_name, schema};
use crate::{
    catalog::{Dialect, ForcedTool},
    wire::{
        adjust::Adjustments,
        fault::RequestFault,
        json::{push_comma, push_member, push_raw, push_string, push_value},
        request::Request,
    },
};

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
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
}

/// Appends `tools` and `tool_choice`.
pub(super) fn push_tools(
    out: &mut Vec<u8>,
    request: &Request,
    dialect: &Dialect,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let tools: Vec<Tool<'_>> = request.get("tools", "a list of tools")?.unwrap_or_default();
    let allowed = allowed_tools(request)?;
    let start = out.len();
    push_member(out, b"\"tools\"");
    out.push(b'[');
    let mut count = 0;
    for (i, tool) in tools.iter().enumerate() {
        let function = tool
            .function
            .as_ref()
            .filter(|_| tool.kind.as_deref().is_none_or(|k| k == "function"));
        let Some(f) = function else {
            adjusted.omit(format!("tools[{i}]"));
            continue;
        };
        // `allowed_tools` has no counterpart, so the other tools are not sent.
        if allowed
            .as_ref()
            .is_some_and(|a| !a.names.iter().any(|n| *n == f.name))
        {
            continue;
        }
        count += 1;
        push_comma(out);
        out.extend_from_slice(b"{\"name\":");
        push_string(out, &tool_name(&f.name, adjusted));
        if let Some(description) = f.description.filter(|d| d.get().starts_with('"')) {
            push_member(out, b"\"description\"");
            push_raw(out, description);
        }
        push_member(out, b"\"input_schema\"");
        match f.parameters.filter(|p| p.get() != "null") {
            Some(schema) => push_schema(out, schema, i, adjusted)?,
            None => out.extend_from_slice(b"{\"type\":\"object\",\"properties\":{}}"),
        }
        // A strict schema must be closed, and the default for a missing one is not.
        if f.strict == Some(true) && f.parameters.is_some_and(|p| p.get() != "null") {
            push_member(out, b"\"strict\"");
            out.extend_from_slice(b"true");
        }
        push_cache_control(
            out,
            tool.cache_control.map(|c| c.get().as_bytes()),
            adjusted,
        );
        out.push(b'}');
    }
    out.push(b']');
    if count == 0 {
        out.truncate(start);
    }
    push_choice(out, request, count > 0, dialect, adjusted)
}

/// A `tool_choice` of the type `allowed_tools`: the names of the tools that may be called.
struct Allowed {
    names: Vec<String>,
}

fn allowed_tools(request: &Request) -> Result<Option<Allowed>, RequestFault> {
    let choice: Option<Value> = request.get("tool_choice", "a string or an object")?;
    let Some(tools) = choice
        .as_ref()
        .filter(|c| c["type"] == "allowed_tools")
        .and_then(|c| c.pointer("/allowed_tools/tools"))
    else {
        return Ok(None);
    };
    let name = |tool: &Value| {
        tool.pointer("/function/name")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
    };
    Ok(Some(Allowed {
        names: tools
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(name)
            .collect(),
    }))
}

fn push_schema(
    out: &mut Vec<u8>,
    schema: &RawValue,
    i: usize,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let at = format!("tools[{i}].function.parameters");
    let parsed: Value = serde_json::from_str(schema.get()).map_err(|_| {
        RequestFault::member(
            &at,
            format!("`{at}` must be a JSON schema that nests less deeply"),
        )
    })?;
    match schema::of_tool(&parsed) {
        None => push_raw(out, schema),
        Some((changed, is_kept)) => {
            if !is_kept {
                adjusted.omit(at);
            }
            push_value(out, &changed);
        }
    }
    Ok(())
}

fn push_choice(
    out: &mut Vec<u8>,
    request: &Request,
    has_tools: bool,
    dialect: &Dialect,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let parallel: Option<bool> = request.get("parallel_tool_calls", "true or false")?;
    let choice: Option<Value> = request.get("tool_choice", "a string or an object")?;
    let mut translated = match &choice {
        Some(Value::String(s)) => match s.as_str() {
            "auto" => Some(json!({"type": "auto"})),
            "required" | "any" => Some(json!({"type": "any"})),
            "none" => Some(json!({"type": "none"})),
            _ => {
                return Err(RequestFault::member(
                    "tool_choice",
                    "`tool_choice` must be auto, none, required or a function",
                ));
            }
        },
        Some(object) if object["type"] == "allowed_tools" => {
            let is_required = object
                .pointer("/allowed_tools/mode")
                .is_some_and(|m| m == "required");
            Some(json!({"type": if is_required { "any" } else { "auto" }}))
        }
        Some(object) => match object.pointer("/function/name").and_then(Value::as_str) {
            Some(name) => Some(json!({"type": "tool", "name": tool_name(name, adjusted)})),
            None => {
                adjusted.omit("tool_choice");
                None
            }
        },
        None => None,
    };
    if !has_tools {
        if choice.is_some_and(|c| c != "none" && c != "auto") {
            adjusted.omit("tool_choice");
        }
        return Ok(());
    }
    if dialect.forced_tool == Some(ForcedTool::No)
        && translated
            .as_ref()
            .is_some_and(|c| c["type"] == "any" || c["type"] == "tool")
    {
        adjusted.omit("tool_choice");
        adjusted.note("the model cannot be forced to call a tool, so it may answer without a call");
        translated = None;
    }
    if parallel == Some(false) {
        let choice = translated.get_or_insert_with(|| json!({"type": "auto"}));
        if choice.get("type") != Some(&json!("none")) {
            choice["disable_parallel_tool_use"] = json!(true);
        }
    }
    if let Some(choice) = translated {
        push_member(out, b"\"tool_choice\"");
        push_value(out, &choice);
    }
    Ok(())
}
