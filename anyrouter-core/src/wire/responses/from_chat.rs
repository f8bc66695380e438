//! Translation of a chat request to a Responses request. Members without a counterpart are omitted
//! and listed for the client.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::read::DEPTH;
use crate::{
    catalog::{Endpoint, Protocol, Reasons},
    ids::push_hex,
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        client_metadata::{CACHE_KEY_NOTE, Person},
        fault::{RequestFault, member_problem},
        json::{
            Object, TextOr, object_of, objects, push_comma, push_member, push_number, push_string,
            push_value,
        },
        proof::format_of,
        request::Request,
    },
};

/// Members that are translated or need no translation; all others have no counterpart.
const TRANSLATED: [&str; 18] = [
    "include_reasoning",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "user",
    "verbosity",
];

/// Least value of `max_output_tokens`.
const LEAST_OUTPUT: u64 = 16;

/// Maximum length of a call's id.
const LONGEST_ID: usize = 64;

/// Returns true if a member of a chat request can be translated.
pub(in crate::wire) fn carries(request: &Request, member: &str) -> bool {
    match member {
        "n" => request.raw("n") == Some(b"1"),
        "store" => request.raw("store") == Some(b"false"),
        _ => TRANSLATED.contains(&member) || GATEWAY_MEMBERS.contains(&member),
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
    #[serde(borrow, default)]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(default)]
    reasoning_details: Option<Vec<Detail>>,
}

type Content = TextOr<Value>;

#[derive(Deserialize)]
struct Detail {
    text: Option<String>,
    summary: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    format: Option<String>,
}

/// Returns the body for a Responses upstream. `person` is what the provider may know of the client.
pub(in crate::wire) fn from_chat(
    request: &Request,
    endpoint: &Endpoint,
    person: &Person<'_>,
    adjusted: &mut Adjustments,
) -> Result<Bytes, RequestFault> {
    for name in request.parameters().filter(|p| !carries(request, p)) {
        adjusted.omit(name);
    }
    let text = request
        .raw("messages")
        .ok_or_else(|| RequestFault::missing("messages"))?;
    let messages = objects(text, DEPTH).map_err(|_| {
        RequestFault::member(
            "messages",
            "`messages` must be a list of messages, each an object with a `role`",
        )
    })?;
    let mut out = Vec::with_capacity(text.len() + 512);
    out.extend_from_slice(b"{\"model\":");
    push_string(&mut out, &endpoint.upstream_model);
    out.extend_from_slice(b",\"input\":[");
    let mut custom = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        push_turn(
            &mut out,
            message,
            &mut custom,
            &format!("messages[{i}]"),
            adjusted,
        )?;
    }
    if out.last() == Some(&b'[') {
        return Err(RequestFault::member(
            "messages",
            "`messages` has no message with content; send at least one",
        ));
    }
    out.push(b']');
    push_tools(&mut out, request, adjusted)?;
    push_settings(&mut out, request, endpoint, adjusted)?;
    push_cache_key(&mut out, request, person, adjusted);
    if let Some(user) = person.user {
        push_member(&mut out, b"\"safety_identifier\"");
        push_string(&mut out, user);
    }
    if request.stream {
        push_member(&mut out, b"\"stream\"");
        out.extend_from_slice(b"true");
    }
    out.extend_from_slice(b",\"store\":false}");
    Ok(out.into())
}

/// Appends the items of a message.
fn push_turn(
    out: &mut Vec<u8>,
    message: &Object<'_>,
    custom: &mut Vec<String>,
    at: &str,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let message: Message<'_> = serde_json::from_slice(message.raw()).map_err(|e| {
        RequestFault::member(
            at,
            member_problem(at, "a message as OpenAI's API describes it", &e),
        )
    })?;
    let mut push = |item: &Value| {
        push_comma(out);
        push_value(out, item);
    };
    match &*message.role {
        "assistant" => {
            for detail in message.reasoning_details.iter().flatten() {
                if let Some(item) = reasoning_item(detail) {
                    push(&item);
                }
            }
            let texts = match message.content {
                None => Vec::new(),
                Some(Content::Text(text)) => vec![text],
                Some(Content::Parts(parts)) => texts_of(&parts, at, adjusted),
            };
            let text: String = texts.into_iter().chain(message.refusal).collect();
            if !text.is_empty() {
                push(&object_of([
                    ("role", "assistant".into()),
                    ("content", text.into()),
                ]));
            }
            for (j, call) in message.tool_calls.iter().flatten().enumerate() {
                let item = call_item(call).ok_or_else(|| {
                    let at = format!("{at}.tool_calls[{j}]");
                    RequestFault::member(&at, format!("`{at}` must have an `id` and a `function`"))
                })?;
                let text = |name: &str| item.get(name).and_then(Value::as_str);
                if text("type") == Some("custom_tool_call") {
                    custom.extend(text("call_id").map(ToOwned::to_owned));
                }
                push(&item);
            }
        }
        "tool" => {
            let id = message
                .tool_call_id
                .ok_or_else(|| RequestFault::missing(&format!("{at}.tool_call_id")))?;
            let output = match message.content {
                None => json!(""),
                Some(Content::Text(text)) => text.into(),
                Some(Content::Parts(parts)) => parts_of(&parts, at, adjusted),
            };
            let id = call_id(&id);
            let kind = if custom.iter().any(|known| *known == id) {
                "custom_tool_call_output"
            } else {
                "function_call_output"
            };
            push(&object_of([
                ("type", kind.into()),
                ("call_id", id.into()),
                ("output", output),
            ]));
        }
        role @ ("user" | "system" | "developer") => {
            let content = match message.content {
                None => return Ok(()),
                Some(Content::Text(text)) => text.into(),
                Some(Content::Parts(parts)) => parts_of(&parts, at, adjusted),
            };
            if content != json!("") && content != json!([]) {
                push(&object_of([("role", role.into()), ("content", content)]));
            }
        }
        _ => {
            return Err(RequestFault::member(
                format!("{at}.role"),
                format!("`{at}.role` must be system, developer, user, assistant or tool"),
            ));
        }
    }
    Ok(())
}

/// Returns the reasoning item for an entry that has OpenAI's proof. OpenAI refuses reasoning
/// without its encrypted form, since nothing is stored.
fn reasoning_item(detail: &Detail) -> Option<Value> {
    let proof = detail.data.as_deref().or(detail.signature.as_deref())?;
    if proof.is_empty() || detail.format.as_deref() != Some(format_of(Protocol::Responses)) {
        return None;
    }
    let text = detail.text.as_deref().or(detail.summary.as_deref());
    let summary: Vec<Value> = text
        .filter(|t| !t.is_empty())
        .map(|text| json!({"type": "summary_text", "text": text}))
        .into_iter()
        .collect();
    Some(json!({"type": "reasoning", "summary": summary, "encrypted_content": proof}))
}

/// Returns an id of at most 64 characters, always the same for a longer one.
fn call_id(id: &str) -> Cow<'_, str> {
    if id.len() <= LONGEST_ID {
        return id.into();
    }
    let mut hex = String::with_capacity(64);
    push_hex(&Sha256::digest(id.as_bytes()), |digit| {
        hex.push(char::from(digit));
    });
    hex.truncate(32);
    format!("call_{hex}").into()
}

fn call_item(call: &Value) -> Option<Value> {
    let id = call_id(call.get("id")?.as_str()?);
    if let Some(custom) = call.get("custom") {
        let (name, input) = (custom.get("name")?.as_str()?, custom.get("input"));
        let input = input.and_then(Value::as_str).unwrap_or_default();
        return Some(
            json!({"type": "custom_tool_call", "call_id": id, "name": name, "input": input}),
        );
    }
    let function = call.get("function")?;
    let name = function.get("name")?.as_str()?;
    let arguments = function.get("arguments").and_then(Value::as_str);
    let arguments = arguments.filter(|a| !a.trim().is_empty()).unwrap_or("{}");
    Some(json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments}))
}

fn texts_of(parts: &[Value], at: &str, adjusted: &mut Adjustments) -> Vec<String> {
    let mut texts = Vec::new();
    for (j, part) in parts.iter().enumerate() {
        let said = part.get("text").or_else(|| part.get("refusal"));
        match said.and_then(Value::as_str) {
            Some(text) => texts.push(text.to_owned()),
            None => adjusted.omit(format!("{at}.content[{j}]")),
        }
    }
    texts
}

/// Returns parts as those of the protocol; text alone is a string.
fn parts_of(parts: &[Value], at: &str, adjusted: &mut Adjustments) -> Value {
    let mut translated = Vec::with_capacity(parts.len());
    for (j, part) in parts.iter().enumerate() {
        match part_of(part) {
            Some(part) => translated.push(part),
            None => adjusted.omit(format!("{at}.content[{j}]")),
        }
    }
    match translated.as_mut_slice() {
        [one] if one["type"] == "input_text" => one["text"].take(),
        _ => Value::Array(translated),
    }
}

fn part_of(part: &Value) -> Option<Value> {
    let text = |pointer: &str| part.pointer(pointer).and_then(Value::as_str);
    match text("/type")? {
        "text" => Some(json!({"type": "input_text", "text": text("/text")?})),
        "image_url" => {
            let url = text("/image_url/url").or_else(|| text("/image_url"))?;
            let detail = text("/image_url/detail").unwrap_or("auto");
            Some(json!({"type": "input_image", "image_url": url, "detail": detail}))
        }
        "file" => {
            let data = text("/file/file_data")?;
            let is_address = data.starts_with("http://") || data.starts_with("https://");
            let name = text("/file/filename").unwrap_or("document.pdf");
            Some(if is_address {
                json!({"type": "input_file", "file_url": data})
            } else {
                json!({"type": "input_file", "filename": name, "file_data": data})
            })
        }
        "input_audio" => Some(part.clone()),
        _ => None,
    }
}

fn push_tools(
    out: &mut Vec<u8>,
    request: &Request,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let tools: Vec<Value> = request.get("tools", "a list of tools")?.unwrap_or_default();
    let mut flat = Vec::with_capacity(tools.len());
    for (i, tool) in tools.iter().enumerate() {
        match flat_tool(tool) {
            Some(tool) => flat.push(tool),
            None => adjusted.omit(format!("tools[{i}]")),
        }
    }
    if flat.is_empty() {
        return Ok(());
    }
    push_member(out, b"\"tools\"");
    push_value(out, &Value::Array(flat));
    let choice: Option<Value> = request.get("tool_choice", "a string or an object")?;
    if let Some(choice) = choice {
        match flat_choice(&choice) {
            Some(choice) => {
                push_member(out, b"\"tool_choice\"");
                push_value(out, &choice);
            }
            None => adjusted.omit("tool_choice"),
        }
    }
    if let Some(parallel) = request.raw("parallel_tool_calls") {
        push_member(out, b"\"parallel_tool_calls\"");
        out.extend_from_slice(parallel);
    }
    Ok(())
}

/// Returns a tool with its members beside its type. A function that does not say so is not strict in
/// chat, and would be here.
fn flat_tool(tool: &Value) -> Option<Value> {
    let kind = tool.get("type").and_then(Value::as_str);
    let kind = kind.unwrap_or("function");
    let mut flat = tool.get(kind)?.as_object()?.clone();
    flat.insert("type".to_owned(), json!(kind));
    match kind {
        "function" => {
            if flat.get("strict").is_none_or(Value::is_null) {
                flat.insert("strict".to_owned(), json!(false));
            }
            if flat.get("parameters").is_none_or(Value::is_null) {
                let none = json!({"type": "object", "properties": {}});
                flat.insert("parameters".to_owned(), none);
            }
        }
        "custom" => {
            if let Some(grammar) = flat.get("format").and_then(|f| f.get("grammar")).cloned() {
                let member = |name: &str| grammar.get(name).cloned().unwrap_or_default();
                let format = json!({"type": "grammar", "syntax": member("syntax"), "definition": member("definition")});
                flat.insert("format".to_owned(), format);
            }
        }
        _ => return None,
    }
    Some(flat.into())
}

fn flat_choice(choice: &Value) -> Option<Value> {
    let flat = |tool: &Value| {
        let kind = tool.get("type")?.as_str()?;
        let name = tool.pointer(&format!("/{kind}/name"))?.as_str()?;
        Some(json!({"type": kind, "name": name}))
    };
    match choice.get("type").and_then(Value::as_str) {
        None => choice.is_string().then(|| choice.clone()),
        Some("allowed_tools") => {
            let allowed = choice.get("allowed_tools")?;
            let tools = allowed.get("tools")?.as_array()?;
            let tools: Vec<Value> = tools.iter().filter_map(flat).collect();
            let mode = allowed
                .get("mode")
                .cloned()
                .unwrap_or_else(|| json!("auto"));
            Some(json!({"type": "allowed_tools", "mode": mode, "tools": tools}))
        }
        Some(_) => flat(choice),
    }
}

fn push_settings(
    out: &mut Vec<u8>,
    request: &Request,
    endpoint: &Endpoint,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let dialect = endpoint.dialect(Protocol::Responses);
    if let Some(limit) = request.output_limit(endpoint, adjusted) {
        if limit < LEAST_OUTPUT {
            adjusted.note(format!(
                "max_tokens was raised from {limit} to {LEAST_OUTPUT}, the least that the protocol accepts"
            ));
        }
        push_member(out, b"\"max_output_tokens\"");
        push_number(out, limit.max(LEAST_OUTPUT));
    }
    let effort = request.reasoning.effort.as_deref();
    for name in ["temperature", "top_p"] {
        let Some(value) = request.raw(name) else {
            continue;
        };
        if !dialect.refuses(name, effort) {
            push_member(out, format!("\"{name}\"").as_bytes());
            out.extend_from_slice(value);
        } else if !matches!(value, b"1" | b"1.0") {
            adjusted.omit(name);
        }
    }
    let mut reasoning = serde_json::Map::new();
    if let Some(effort) = effort {
        match dialect.effort(effort) {
            Some(sent) => {
                if sent != effort {
                    adjusted.note(format!(
                        "reasoning effort {effort} was sent as {sent}, the nearest that the endpoint accepts"
                    ));
                }
                reasoning.insert("effort".to_owned(), json!(sent));
            }
            None => adjusted.omit("reasoning_effort"),
        }
    }
    if request.reasoning.max_tokens.is_some() {
        adjusted.omit("reasoning.max_tokens");
    }
    let is_shown = request.reasoning.is_shown && !request.reasoning.exclude;
    if is_shown && effort != Some("none") {
        reasoning.insert("summary".to_owned(), json!("auto"));
    }
    adjusted.hides_reasoning = request.reasoning.exclude;
    let asks = !reasoning.is_empty() && effort != Some("none");
    if !reasoning.is_empty() {
        push_member(out, b"\"reasoning\"");
        push_value(out, &Value::Object(reasoning));
    }
    if asks || reasons(endpoint) {
        push_member(out, b"\"include\"");
        out.extend_from_slice(b"[\"reasoning.encrypted_content\"]");
    }
    push_text(out, request)?;
    Ok(())
}

/// Appends the name of the conversation, by which the provider finds its prompt cache.
fn push_cache_key(
    out: &mut Vec<u8>,
    request: &Request,
    person: &Person<'_>,
    adjusted: &mut Adjustments,
) {
    let is_hashed = person
        .treatment(Protocol::Chat, "prompt_cache_key")
        .is_some();
    let key = match &request.cache_key {
        Some(_) if is_hashed => {
            adjusted.note(CACHE_KEY_NOTE);
            person.cache_key
        }
        key => key.as_deref(),
    };
    if let Some(key) = key {
        push_member(out, b"\"prompt_cache_key\"");
        push_string(out, key);
    }
}

/// Returns true if the model reasons without being asked to. Others refuse to give encrypted
/// reasoning.
pub(in crate::wire) fn reasons(endpoint: &Endpoint) -> bool {
    matches!(
        endpoint.dialect(Protocol::Responses).reasons,
        Some(Reasons::Always | Reasons::ByDefault)
    )
}

/// Appends the form of the output.
fn push_text(out: &mut Vec<u8>, request: &Request) -> Result<(), RequestFault> {
    let mut text = serde_json::Map::new();
    let format: Option<Value> = request.get("response_format", "an object")?;
    if let Some(format) = format {
        let mut flat = match format.get("json_schema") {
            Some(Value::Object(schema)) => schema.clone(),
            _ => serde_json::Map::new(),
        };
        flat.insert(
            "type".to_owned(),
            format.get("type").cloned().unwrap_or_else(|| json!("text")),
        );
        text.insert("format".to_owned(), flat.into());
    }
    if let Some(verbosity) = request.get::<Value>("verbosity", "a string")? {
        text.insert("verbosity".to_owned(), verbosity);
    }
    if !text.is_empty() {
        push_member(out, b"\"text\"");
        push_value(out, &Value::Object(text));
    }
    Ok(())
}
