//! Tools of a Responses request as tools of a chat request. Tools in namespaces get a name with the
//! namespace, and a custom tool, which takes text, becomes a function with one text. The answer's
//! calls get the client's names and kinds again.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::wire::{
    adjust::{Adjustments, ClientTool},
    fault::{RequestFault, member_problem},
    json::{RawJsonStr, push_comma, push_member, push_raw, push_string, push_value},
    messages::tool_name,
    request::Request,
};

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(borrow, default)]
    format: Option<Format<'a>>,
    #[serde(borrow, default)]
    tools: Option<Vec<&'a RawValue>>,
}

/// The form of a custom tool's input.
#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow, default)]
    syntax: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    definition: Option<Cow<'a, str>>,
}

/// Returns the name in the chat request for a tool.
pub(super) fn chat_name(namespace: Option<&str>, name: &str, adjusted: &mut Adjustments) -> String {
    match namespace {
        Some(namespace) => tool_name(&format!("{namespace}__{name}"), adjusted),
        None => tool_name(name, adjusted),
    }
}

/// Appends the tools and the choice among them.
pub(super) fn push_tools(
    out: &mut Vec<u8>,
    request: &Request,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let tools: Vec<&RawValue> = request.get("tools", "a list of tools")?.unwrap_or_default();
    let mut written = vec![b'['];
    for (i, tool) in tools.iter().enumerate() {
        push_tool(&mut written, tool, None, &format!("tools[{i}]"), adjusted)?;
    }
    if written.len() == 1 {
        return Ok(());
    }
    written.push(b']');
    push_member(out, b"\"tools\"");
    out.extend_from_slice(&written);
    if let Some(choice) = request.get("tool_choice", "a string or an object")? {
        push_choice(out, &choice, adjusted);
    }
    if let Some(parallel) = request.raw("parallel_tool_calls") {
        push_member(out, b"\"parallel_tool_calls\"");
        out.extend_from_slice(parallel);
    }
    Ok(())
}

fn push_tool(
    out: &mut Vec<u8>,
    tool: &RawValue,
    namespace: Option<&str>,
    at: &str,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let tool: Tool<'_> = serde_json::from_str(tool.get())
        .map_err(|e| RequestFault::member(at, member_problem(at, "a tool with a `type`", &e)))?;
    let is_custom = tool.kind == "custom";
    let name = match (&*tool.kind, &tool.name) {
        ("namespace", name) => {
            for (i, inner) in tool.tools.iter().flatten().enumerate() {
                let at = format!("{at}.tools[{i}]");
                push_tool(out, inner, name.as_deref().or(namespace), &at, adjusted)?;
            }
            return Ok(());
        }
        ("function" | "custom", Some(name)) => name,
        ("function" | "custom", None) => {
            return Err(RequestFault::missing(&format!("{at}.name")));
        }
        // A tool that the provider runs, or of a kind that no other protocol has.
        _ => {
            adjusted.omit(at);
            return Ok(());
        }
    };
    let sent = chat_name(namespace, name, adjusted);
    if is_custom || namespace.is_some() {
        let joined = adjusted.tool_name(&sent).to_owned();
        let tool = ClientTool {
            name: name.clone().into_owned(),
            namespace: namespace.map(ToOwned::to_owned),
            is_custom,
        };
        adjusted.client_tools.push((joined, tool));
    }
    push_comma(out);
    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    push_string(out, &sent);
    let grammar = tool.format.as_ref().and_then(grammar_of);
    let mut description = tool.description.unwrap_or_default().into_owned();
    if let Some(grammar) = grammar {
        description.push_str(&grammar);
    }
    if !description.is_empty() {
        push_member(out, b"\"description\"");
        push_string(out, &description);
    }
    push_member(out, b"\"parameters\"");
    match tool.parameters.filter(|p| p.get() != "null") {
        _ if is_custom => push_value(
            out,
            &json!({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"], "additionalProperties": false}),
        ),
        Some(parameters) => push_raw(out, parameters),
        None => out.extend_from_slice(b"{\"type\":\"object\",\"properties\":{}}"),
    }
    if tool.strict == Some(true) {
        push_member(out, b"\"strict\"");
        out.extend_from_slice(b"true");
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// Returns the grammar of a custom tool's input as a part of its description, since no other
/// protocol enforces one.
fn grammar_of(format: &Format<'_>) -> Option<String> {
    let definition = format.definition.as_deref()?;
    let syntax = format.syntax.as_deref().unwrap_or("lark");
    Some(format!(
        "\n\nThe member `input` must match this grammar ({syntax}):\n{definition}"
    ))
}

fn push_choice(out: &mut Vec<u8>, choice: &Value, adjusted: &mut Adjustments) {
    let mut function = |tool: &Value| {
        let name = tool.get("name").and_then(Value::as_str)?;
        let namespace = tool.get("namespace").and_then(Value::as_str);
        let name = chat_name(namespace, name, adjusted);
        Some(json!({"type": "function", "function": {"name": name}}))
    };
    let translated = match choice.get("type").and_then(Value::as_str) {
        None if choice.is_string() => Some(choice.clone()),
        Some("function" | "custom") => function(choice),
        Some("allowed_tools") => {
            let tools = choice.get("tools").and_then(Value::as_array);
            let tools: Vec<Value> = tools.into_iter().flatten().filter_map(function).collect();
            let mode = choice.get("mode").cloned().unwrap_or_else(|| json!("auto"));
            Some(json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}))
        }
        _ => None,
    };
    match translated {
        Some(translated) => {
            push_member(out, b"\"tool_choice\"");
            push_value(out, &translated);
        }
        None => adjusted.omit("tool_choice"),
    }
}

/// Returns the arguments that stand for the input of a custom tool.
pub(super) fn arguments_of(input: &str) -> String {
    json!({"input": input}).to_string()
}

/// Returns the input of a custom tool for the arguments of its function, both without the quotes of
/// their JSON strings. What is not an object with an `input` is the input itself.
pub(super) fn custom_input(arguments: &[u8]) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow)]
        input: RawJsonStr<'a>,
    }
    let quoted = [b"\"", arguments, b"\""].concat();
    let object: Option<String> = serde_json::from_slice(&quoted).ok();
    let input = object.as_deref().and_then(|object| {
        let arguments: Arguments<'_> = serde_json::from_str(object).ok()?;
        let text = arguments.input.get();
        text.get(1..text.len().saturating_sub(1))
            .map(|text| text.as_bytes().to_vec())
    });
    input.unwrap_or_else(|| arguments.to_vec())
}
