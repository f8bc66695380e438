//! An OpenAI chat request as an Anthropic one. Text goes over as it is spelt, without being unescaped and escaped again. What has no
//! place there is left out and named, so that the caller is told.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::push_member;
use crate::{
    catalog::Endpoint,
    wire::{
        json::push_string,
        openai_chat::{ChatRequest, RequestFault},
    },
};

/// What an answer may have where neither the request nor the catalog says, in tokens.
const MAX_TOKENS: u64 = 4096;

/// Members that Anthropic has no place for.
const NO_PLACE: [&str; 18] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "min_p",
    "modalities",
    "n",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "repetition_penalty",
    "seed",
    "store",
    "top_a",
    "top_logprobs",
    "verbosity",
];

/// The members of a request that cannot be translated, before anything is built: what `require_parameters` is asked about.
pub fn untranslatable(request: &ChatRequest) -> Vec<String> {
    let mut out: Vec<String> = request.parameters().filter(|p| NO_PLACE.contains(p)).map(ToOwned::to_owned).collect();
    out.retain(|p| !(p == "n" && request.raw("n") == Some(b"1")));
    if let Ok(Some(format)) = request.get::<Value>("response_format", "an object")
        && format.get("type").and_then(Value::as_str) == Some("json_object")
    {
        out.push("response_format".to_owned());
    }
    out
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    tool_call_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_details: Option<Vec<ReasoningDetail<'a>>>,
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    function: CalledFunction<'a>,
}

#[derive(Deserialize)]
struct CalledFunction<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ReasoningDetail<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    index: Option<u64>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    image_url: Option<ImageUrl<'a>>,
    #[serde(borrow, default)]
    file: Option<File<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ImageUrl<'a> {
    Object {
        #[serde(borrow)]
        url: Cow<'a, str>,
    },
    Bare(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    file_data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    filename: Option<&'a RawValue>,
}

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

/// The body for an Anthropic upstream. What could not be translated is named in `omitted`, what was changed in `notes`.
pub fn to_anthropic_messages(
    request: &ChatRequest,
    endpoint: &Endpoint,
    omitted: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<Bytes, RequestFault> {
    let messages: Vec<Message<'_>> =
        request.get("messages", "a list of messages, each with a `role`")?.ok_or_else(|| missing("messages"))?;
    omitted.extend(untranslatable(request));
    let mut out = Vec::with_capacity(request.raw("messages").map_or(0, <[u8]>::len) + 512);
    out.extend_from_slice(b"{\"model\":");
    push_string(&mut out, &endpoint.upstream_model);
    let thinking = thinking(request, endpoint, omitted);
    push_member(&mut out, b"\"max_tokens\"");
    push(&mut out, &json!(max_tokens(request, endpoint, &thinking)));
    push_system(&mut out, &messages, omitted)?;
    push_messages(&mut out, &messages, omitted)?;
    push_tools(&mut out, request, omitted)?;
    push_sampling(&mut out, request, &thinking, omitted, notes)?;
    push_thinking(&mut out, request, &thinking)?;
    if request.stream {
        push_member(&mut out, b"\"stream\"");
        out.extend_from_slice(b"true");
    }
    out.push(b'}');
    Ok(out.into())
}

fn missing(name: &str) -> RequestFault {
    RequestFault::member(name, format!("`{name}` is missing"))
}

fn push(out: &mut Vec<u8>, value: &Value) {
    // Writing to a `Vec` cannot fail.
    let _ = serde_json::to_writer(out, value);
}

fn push_raw(out: &mut Vec<u8>, value: &RawValue) {
    out.extend_from_slice(value.get().as_bytes());
}

fn is_system(message: &Message<'_>) -> bool {
    matches!(&*message.role, "system" | "developer")
}

/// System and developer messages, wherever they stand, become the one system prompt.
fn push_system(out: &mut Vec<u8>, messages: &[Message<'_>], omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    if !messages.iter().any(is_system) {
        return Ok(());
    }
    push_member(out, b"\"system\"");
    out.push(b'[');
    for (i, message) in messages.iter().enumerate().filter(|(_, m)| is_system(m)) {
        push_content(out, message.content, message.cache_control, &format!("messages[{i}].content"), omitted)?;
    }
    out.push(b']');
    Ok(())
}

/// Turns, user and assistant by turns: what stands side by side in one role becomes one turn, since all results of parallel tool
/// calls must come in one.
fn push_messages(out: &mut Vec<u8>, messages: &[Message<'_>], omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    push_member(out, b"\"messages\"");
    out.push(b'[');
    let mut open: Option<&str> = None;
    for (i, message) in messages.iter().enumerate().filter(|(_, m)| !is_system(m)) {
        let at = format!("messages[{i}]");
        let role = match &*message.role {
            "assistant" => "assistant",
            "user" | "tool" => "user",
            _ => {
                return Err(RequestFault::member(
                    format!("{at}.role"),
                    format!("`{at}.role` must be system, developer, user, assistant or tool"),
                ));
            }
        };
        let before = out.len();
        if open != Some(role) {
            if open.is_some() {
                out.extend_from_slice(b"]},");
            }
            out.extend_from_slice(b"{\"role\":\"");
            out.extend_from_slice(role.as_bytes());
            out.extend_from_slice(b"\",\"content\":[");
        }
        let start = out.len();
        match &*message.role {
            "tool" => push_tool_result(out, message, &at, omitted)?,
            "assistant" => push_assistant(out, message, &at, omitted)?,
            _ => push_content(out, message.content, message.cache_control, &format!("{at}.content"), omitted)?,
        }
        if out.len() == start {
            out.truncate(before);
        } else {
            open = Some(role);
        }
    }
    out.extend_from_slice(if open.is_some() { b"]}]" } else { b"]" });
    Ok(())
}

fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'[')) {
        out.push(b',');
    }
}

fn push_tool_result(out: &mut Vec<u8>, message: &Message<'_>, at: &str, omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    let id = message.tool_call_id.ok_or_else(|| missing(&format!("{at}.tool_call_id")))?;
    comma(out);
    out.extend_from_slice(b"{\"type\":\"tool_result\",\"tool_use_id\":");
    push_raw(out, id);
    if let Some(content) = message.content {
        push_member(out, b"\"content\"");
        if content.get().starts_with('[') {
            out.push(b'[');
            push_content(out, Some(content), None, &format!("{at}.content"), omitted)?;
            out.push(b']');
        } else {
            push_raw(out, content);
        }
    }
    push_cache_control(out, message.cache_control);
    out.push(b'}');
    Ok(())
}

fn push_assistant(out: &mut Vec<u8>, message: &Message<'_>, at: &str, omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    push_thoughts(out, message.reasoning_details.as_deref().unwrap_or_default());
    push_content(out, message.content.or(message.refusal), message.cache_control, &format!("{at}.content"), omitted)?;
    for (j, call) in message.tool_calls.iter().flatten().enumerate() {
        comma(out);
        out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
        push_raw(out, call.id);
        push_member(out, b"\"name\"");
        push_raw(out, call.function.name);
        push_member(out, b"\"input\"");
        let arguments = call.function.arguments.as_deref().map(str::trim).filter(|a| !a.is_empty()).unwrap_or("{}");
        match serde_json::from_str::<&RawValue>(arguments) {
            Ok(object) if object.get().starts_with('{') => push_raw(out, object),
            _ => {
                omitted.push(format!("{at}.tool_calls[{j}].function.arguments"));
                out.extend_from_slice(b"{}");
            }
        }
        out.push(b'}');
    }
    Ok(())
}

/// Thinking goes back only with the signature that vouches for it. A stream gives both in pieces, which bear one index.
fn push_thoughts(out: &mut Vec<u8>, details: &[ReasoningDetail<'_>]) {
    for pieces in details.chunk_by(|a, b| a.kind == b.kind && a.index.is_some() && a.index == b.index) {
        let Some(first) = pieces.first() else { continue };
        let signature = pieces.iter().find_map(|p| p.signature.filter(|s| s.get() != "null"));
        match (&*first.kind, signature, first.data) {
            ("reasoning.text", Some(signature), _) => {
                comma(out);
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"");
                for text in pieces.iter().filter_map(|p| p.text) {
                    let inner = text.get().strip_prefix('"').and_then(|t| t.strip_suffix('"'));
                    out.extend_from_slice(inner.unwrap_or_default().as_bytes());
                }
                out.push(b'"');
                push_member(out, b"\"signature\"");
                push_raw(out, signature);
                out.push(b'}');
            }
            ("reasoning.encrypted", _, Some(data)) => {
                comma(out);
                out.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
                push_raw(out, data);
                out.push(b'}');
            }
            _ => {}
        }
    }
}

fn push_cache_control(out: &mut Vec<u8>, cache_control: Option<&RawValue>) {
    if let Some(cache) = cache_control {
        push_member(out, b"\"cache_control\"");
        push_raw(out, cache);
    }
}

/// Appends content blocks for a string or a list of parts.
fn push_content(
    out: &mut Vec<u8>,
    content: Option<&RawValue>,
    cache_control: Option<&RawValue>,
    at: &str,
    omitted: &mut Vec<String>,
) -> Result<(), RequestFault> {
    let Some(content) = content else { return Ok(()) };
    if content.get().starts_with('"') {
        // An empty text block is refused.
        if content.get() != "\"\"" {
            comma(out);
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            push_raw(out, content);
            push_cache_control(out, cache_control);
            out.push(b'}');
        }
        return Ok(());
    }
    if content.get() == "null" {
        return Ok(());
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get())
        .map_err(|_| RequestFault::member(at, format!("`{at}` must be a string or a list of parts, each with a `type`")))?;
    for (i, part) in parts.iter().enumerate() {
        if !push_part(out, part) {
            omitted.push(format!("{at}[{i}]"));
        }
    }
    Ok(())
}

/// Appends one part; false where it cannot be translated.
fn push_part(out: &mut Vec<u8>, part: &Part<'_>) -> bool {
    let start = out.len();
    comma(out);
    match &*part.kind {
        "text" | "refusal" => {
            let Some(text) = part.text.or(part.refusal) else {
                out.truncate(start);
                return false;
            };
            if text.get() == "\"\"" {
                out.truncate(start);
                return true;
            }
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            push_raw(out, text);
        }
        "image_url" => {
            let (Some(ImageUrl::Object { url } | ImageUrl::Bare(url)), true) = (&part.image_url, true) else {
                out.truncate(start);
                return false;
            };
            out.extend_from_slice(b"{\"type\":\"image\",\"source\":");
            push_source(out, url);
        }
        "file" => {
            let data = part.file.as_ref().and_then(|f| f.file_data.as_deref());
            let Some(data) = data else {
                out.truncate(start);
                return false;
            };
            out.extend_from_slice(b"{\"type\":\"document\",\"source\":");
            push_source(out, data);
            if let Some(name) = part.file.as_ref().and_then(|f| f.filename) {
                push_member(out, b"\"title\"");
                push_raw(out, name);
            }
        }
        _ => {
            out.truncate(start);
            return false;
        }
    }
    push_cache_control(out, part.cache_control);
    out.push(b'}');
    true
}

/// A picture or file, as its data or as its address.
fn push_source(out: &mut Vec<u8>, url: &str) {
    let data = url.strip_prefix("data:").and_then(|d| d.split_once(";base64,"));
    out.extend_from_slice(if data.is_some() { b"{\"type\":\"base64\",\"media_type\":" } else { b"{\"type\":\"url\",\"url\":" });
    match data {
        Some((media_type, data)) => {
            push_string(out, media_type.split(';').next().unwrap_or(media_type));
            push_member(out, b"\"data\"");
            push_string(out, data);
        }
        None => push_string(out, url),
    }
    out.push(b'}');
}

fn push_tools(out: &mut Vec<u8>, request: &ChatRequest, omitted: &mut Vec<String>) -> Result<(), RequestFault> {
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
            push_cache_control(out, tool.cache_control);
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

fn push_sampling(
    out: &mut Vec<u8>,
    request: &ChatRequest,
    thinking: &Thinking,
    omitted: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<(), RequestFault> {
    // While it thinks, the model takes no other temperature than its own.
    let thinks = !matches!(thinking, Thinking::Off);
    if let Some(temperature) = request.get::<f64>("temperature", "a number")? {
        if thinks && (temperature - 1.0).abs() > f64::EPSILON {
            omitted.push("temperature".to_owned());
        } else {
            if temperature > 1.0 {
                notes.push("temperature was lowered to 1, the provider's highest".to_owned());
            }
            push_member(out, b"\"temperature\"");
            push(out, &json!(temperature.min(1.0)));
        }
    }
    for name in ["top_p", "top_k"] {
        if let Some(raw) = request.raw(name) {
            push_member(out, format!("\"{name}\"").as_bytes());
            out.extend_from_slice(raw);
        }
    }
    match request.get::<Value>("stop", "a string or a list of strings")? {
        Some(Value::String(stop)) => {
            push_member(out, b"\"stop_sequences\"");
            push(out, &json!([stop]));
        }
        Some(stops @ Value::Array(_)) => {
            push_member(out, b"\"stop_sequences\"");
            push(out, &stops);
        }
        Some(_) => return Err(RequestFault::member("stop", "`stop` must be a string or a list of strings")),
        None => {}
    }
    if let Some(user) = request.get::<String>("user", "a string")? {
        push_member(out, b"\"metadata\"");
        push(out, &json!({"user_id": user}));
    }
    Ok(())
}

/// How the model is asked to think.
enum Thinking {
    Off,
    Budget(u64),
    Adaptive(Option<&'static str>),
}

/// The least that a budget may be.
const LEAST_BUDGET: u64 = 1024;

fn thinking(request: &ChatRequest, endpoint: &Endpoint, omitted: &mut Vec<String>) -> Thinking {
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
fn max_tokens(request: &ChatRequest, endpoint: &Endpoint, thinking: &Thinking) -> u64 {
    let asked = request.max_tokens.or(endpoint.max_output).unwrap_or(MAX_TOKENS);
    match thinking {
        Thinking::Budget(budget) if asked <= *budget => budget.saturating_add(asked.min(MAX_TOKENS)),
        _ => asked,
    }
}

fn push_thinking(out: &mut Vec<u8>, request: &ChatRequest, thinking: &Thinking) -> Result<(), RequestFault> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Document};

    fn translate(text: &str, capabilities: &str) -> (Value, Vec<String>) {
        let toml = format!(
            "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"\nupstream_model=\"up\"\nmax_output=8192\n{capabilities}"
        );
        let catalog = Catalog::from_documents(&[Document::from_toml(&toml).unwrap()]).unwrap();
        let request = ChatRequest::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap();
        let (mut omitted, mut notes) = (Vec::new(), Vec::new());
        let body = to_anthropic_messages(&request, &catalog.endpoints()[0], &mut omitted, &mut notes).unwrap();
        (serde_json::from_slice(&body).unwrap(), omitted)
    }

    #[test]
    fn a_conversation_with_tools_becomes_turns_of_blocks() {
        let (body, omitted) = translate(
            r#"{"model":"a/m","messages":[
                {"role":"system","content":"be kind"},{"role":"developer","content":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}]},
                {"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"image_url","image_url":{"url":"https://x/y.png"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,QQ=="}}]},
                {"role":"assistant","content":null,"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig"}],"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.50}"}},{"id":"t2","type":"function","function":{"name":"g","arguments":""}}]},
                {"role":"tool","tool_call_id":"t1","content":"one"},{"role":"tool","tool_call_id":"t2","content":[{"type":"text","text":"two"}]},
                {"role":"user","content":"go on"}],
              "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"g"}}],
              "tool_choice":"required","parallel_tool_calls":false,"stop":"END","temperature":0.5,"user":"u","stream":true}"#,
            "",
        );
        assert_eq!(omitted, [""; 0]);
        assert_eq!(
            body,
            json!({
                "model": "up", "max_tokens": 8192,
                "system": [{"type": "text", "text": "be kind"}, {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
                "messages": [
                    {"role": "user", "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}, "title": "a.pdf"}]},
                    {"role": "assistant", "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "sig"},
                        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1.50}},
                        {"type": "tool_use", "id": "t2", "name": "g", "input": {}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                        {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "two"}]},
                        {"type": "text", "text": "go on"}]}],
                "tools": [
                    {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true},
                    {"name": "g", "input_schema": {"type": "object", "properties": {}}}],
                "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
                "temperature": 0.5, "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "stream": true})
        );
    }

    #[test]
    fn thinking_that_was_streamed_in_pieces_goes_back_whole() {
        let (body, _) = translate(
            r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","reasoning_details":[
                {"type":"reasoning.text","text":"Let \"me","index":0},{"type":"reasoning.text","text":" see","index":0},{"type":"reasoning.text","signature":"c2ln","index":0},
                {"type":"reasoning.encrypted","data":"b64","index":1},{"type":"reasoning.text","text":"unsigned","index":2}]}]}"#,
            "",
        );
        let thoughts = json!([{"type": "thinking", "thinking": "Let \"me see", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "b64"}, {"type": "text", "text": "y"}]);
        assert_eq!(body["messages"][1]["content"], thoughts);
    }

    #[test]
    fn what_has_no_place_is_named() {
        let (body, omitted) = translate(
            r#"{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}},{"type":"text","text":"x"}]}],"seed":1,"logit_bias":{},"n":1,"response_format":{"type":"json_object"}}"#,
            "",
        );
        assert_eq!(omitted, ["seed", "logit_bias", "response_format", "messages[0].content[0]"]);
        assert_eq!(body["messages"][0]["content"], json!([{"type": "text", "text": "x"}]));
    }

    #[test]
    fn effort_becomes_a_budget_or_adaptive_thinking() {
        let text = r#"{"messages":[{"role":"user","content":"x"}],"reasoning":{"effort":"high"},"max_tokens":2000}"#;
        let (body, _) = translate(text, "");
        assert_eq!((&body["thinking"]["budget_tokens"], &body["max_tokens"]), (&json!(1600), &json!(2000)));
        let (body, _) = translate(text, "capabilities = [\"reasoning\", \"adaptive_thinking\"]");
        assert_eq!(body["thinking"], json!({"type": "adaptive"}));
        assert_eq!(body["output_config"], json!({"effort": "high"}));
        let (body, omitted) = translate(text, "capabilities = [\"tools\"]");
        assert!(body.get("thinking").is_none() && omitted == ["reasoning"]);
    }

    #[test]
    fn structured_output_becomes_an_output_format() {
        let (body, _) = translate(
            r#"{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}}"#,
            "",
        );
        assert_eq!(body["output_config"]["format"], json!({"type": "json_schema", "schema": {"type": "object"}}));
    }

    #[test]
    fn text_goes_over_as_it_is_spelt() {
        let request =
            ChatRequest::parse(Bytes::from_static(br#"{"messages":[{"role":"user","content":"\u00e9\ud83d\ude00 \"q\""}]}"#), 9).unwrap();
        let toml = "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"";
        let catalog = Catalog::from_documents(&[Document::from_toml(toml).unwrap()]).unwrap();
        let body = to_anthropic_messages(&request, &catalog.endpoints()[0], &mut Vec::new(), &mut Vec::new()).unwrap();
        assert!(String::from_utf8_lossy(&body).contains(r#""text":"\u00e9\ud83d\ude00 \"q\"""#));
        assert!(String::from_utf8_lossy(&body).contains(r#""max_tokens":4096"#));
    }
}
