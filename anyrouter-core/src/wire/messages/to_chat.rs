//! Translation of an Anthropic request to an OpenAI chat request. Members without a counterpart are
//! omitted and listed for the client.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::billing::rest_of;
use crate::catalog::Protocol;
use crate::wire::{
    adjust::Adjustments,
    client_metadata::BILLING,
    fault::{RequestFault, member_problem},
    json::{RawJsonStr, push_comma, push_member, push_number, push_raw, push_string, push_value},
    proof::Reader,
    request::Request,
};

/// Members that have a counterpart in chat, or that only the gateway reads.
const TRANSLATED: [&str; 14] = [
    "max_tokens",
    "messages",
    "model",
    "output_config",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "cache_control",
];

/// Maximum number of stop sequences in an OpenAI chat request.
const STOPS: usize = 4;

/// Returns true if chat can express a member of an Anthropic request.
pub(in crate::wire) fn chat_carries(member: &str) -> bool {
    TRANSLATED.contains(&member)
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
}

/// A string, or a list of blocks.
enum Content<'a> {
    Blocks(Vec<Block<'a>>),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An untagged enum would copy the content, and could not keep raw values.
        let text = <&'a RawValue>::deserialize(deserializer)?.get();
        let content = if text.starts_with('"') {
            serde_json::from_str(text).map(Self::Text)
        } else {
            serde_json::from_str(text).map(Self::Blocks)
        };
        content.map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_use_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    is_error: Option<bool>,
}

impl<'a> Block<'a> {
    /// Returns the content of a block whose content has the form of a message's.
    fn content(&self, at: &str) -> Result<Option<Content<'a>>, RequestFault> {
        let content = self.content.filter(|c| c.get() != "null");
        content
            .map(|content| serde_json::from_str(content.get()))
            .transpose()
            .map_err(|e| {
                let at = format!("{at}.content");
                RequestFault::member(&at, member_problem(&at, "a string or a list of blocks", &e))
            })
    }

    fn source(&self) -> Option<Source<'a>> {
        serde_json::from_str(self.source?.get()).ok()
    }

    /// Returns the text of a block that is one: of a text, of a document of text, or of a search
    /// result, which begins with its title and address.
    fn said(&self, at: &str) -> Result<Option<Cow<'_, str>>, RequestFault> {
        Ok(match &*self.kind {
            "text" => self.text.as_deref().map(Cow::Borrowed),
            "search_result" => {
                let address = self.source.and_then(|s| serde_json::from_str(s.get()).ok());
                let address: Cow<'_, str> = address.unwrap_or_default();
                let title = self.title.as_deref().unwrap_or_default();
                let content = joined(self.content(at)?);
                Some(format!("{title}\n{address}\n{content}").into())
            }
            "document" => {
                #[derive(Deserialize)]
                struct Source<'a> {
                    #[serde(borrow)]
                    content: Content<'a>,
                }
                let source = self
                    .source
                    .and_then(|s| serde_json::from_str::<Source<'_>>(s.get()).ok());
                source.map(|source| joined(Some(source.content)).into())
            }
            _ => None,
        })
    }
}

/// Returns the texts of some content, one on each line.
fn joined(content: Option<Content<'_>>) -> String {
    match content {
        None => String::new(),
        Some(Content::Text(text)) => text.into_owned(),
        Some(Content::Blocks(blocks)) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|b| b.text.as_deref()).collect();
            texts.join("\n")
        }
    }
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    media_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    description: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    input_schema: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
}

/// Returns the body of the chat request, with the reasoning of earlier turns if `with_reasoning` is
/// true. Proofs of reasoning that `reader` made stay with it.
pub(in crate::wire) fn to_chat(
    request: &Request,
    reader: Reader<'_>,
    with_reasoning: bool,
    adjusted: &mut Adjustments,
) -> Result<Vec<u8>, RequestFault> {
    for name in request.parameters() {
        if !chat_carries(name) && !crate::route::GATEWAY_MEMBERS.contains(&name) {
            adjusted.omit(name);
        }
    }
    let messages: Vec<Message<'_>> = request
        .get("messages", "a list of messages, each with a `role`")?
        .ok_or_else(|| RequestFault::missing("messages"))?;
    let mut out = Vec::with_capacity(request.body().len() + 512);
    out.extend_from_slice(b"{\"messages\":[");
    push_system(&mut out, request, adjusted)?;
    let before = out.len();
    for (i, message) in messages.iter().enumerate() {
        push_turn(&mut out, message, i, (reader, with_reasoning), adjusted)?;
    }
    if out.len() == before {
        return Err(RequestFault::member(
            "messages",
            "`messages` has no message with content; send at least one",
        ));
    }
    out.push(b']');
    push_tools(&mut out, request, adjusted)?;
    push_settings(
        &mut out,
        request,
        reader.protocol == Protocol::Chat,
        adjusted,
    )?;
    out.push(b'}');
    Ok(out)
}

fn push_system(
    out: &mut Vec<u8>,
    request: &Request,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let system: Option<Content<'_>> = request.get("system", "a string or a list of text blocks")?;
    let texts: Vec<&str> = match &system {
        None => return Ok(()),
        Some(Content::Text(text)) => match rest_of(text) {
            Some(rest) => {
                adjusted.omit("system, its first line");
                vec![rest]
            }
            None => vec![text],
        },
        Some(Content::Blocks(blocks)) => {
            let mut texts = Vec::new();
            for (i, block) in blocks.iter().enumerate() {
                match block.text.as_deref() {
                    Some(text) if i == 0 && text.starts_with(BILLING) => {
                        adjusted.omit("system[0]");
                    }
                    Some(text) => texts.push(text),
                    None => adjusted.omit(format!("system[{i}]")),
                }
            }
            texts
        }
    };
    push_text_message(out, "system", &texts);
    Ok(())
}

/// Appends a text message, unless all its texts are empty.
fn push_text_message(out: &mut Vec<u8>, role: &str, texts: &[&str]) {
    let texts: Vec<&&str> = texts.iter().filter(|t| !t.is_empty()).collect();
    if texts.is_empty() {
        return;
    }
    push_comma(out);
    out.extend_from_slice(b"{\"role\":");
    push_string(out, role);
    push_member(out, b"\"content\"");
    if let [one] = texts.as_slice() {
        push_string(out, one);
    } else {
        out.push(b'[');
        for text in texts {
            push_part(out, text);
        }
        out.push(b']');
    }
    out.push(b'}');
}

fn push_part(out: &mut Vec<u8>, text: &str) {
    push_comma(out);
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    push_string(out, text);
    out.push(b'}');
}

fn push_turn(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    i: usize,
    reasoning: (Reader<'_>, bool),
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let at = format!("messages[{i}]");
    let content = message.content.as_ref();
    match (&*message.role, content) {
        (role @ ("user" | "assistant" | "system"), Some(Content::Text(text))) => {
            push_text_message(out, role, &[text]);
            Ok(())
        }
        ("assistant", Some(Content::Blocks(blocks))) => {
            push_assistant(out, blocks, &at, reasoning, adjusted)
        }
        ("user" | "system", Some(Content::Blocks(blocks))) => {
            let is_chat = reasoning.0.protocol == Protocol::Chat;
            push_user(out, &message.role, blocks, &at, is_chat, adjusted)
        }
        ("user" | "assistant" | "system", None) => Ok(()),
        _ => Err(RequestFault::member(
            format!("{at}.role"),
            format!("`{at}.role` must be user, assistant or system"),
        )),
    }
}

/// Appends the tool results of a turn, each as a message, and then the user's other content.
fn push_user(
    out: &mut Vec<u8>,
    role: &str,
    blocks: &[Block<'_>],
    at: &str,
    is_chat: bool,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let mut parts = vec![b'['];
    for (j, block) in blocks.iter().enumerate() {
        if block.kind != "tool_result" {
            continue;
        }
        let at = format!("{at}.content[{j}]");
        let id = block
            .tool_use_id
            .as_deref()
            .ok_or_else(|| RequestFault::missing(&format!("{at}.tool_use_id")))?;
        push_comma(out);
        out.extend_from_slice(b"{\"role\":\"tool\",\"tool_call_id\":");
        push_string(out, id);
        push_member(out, b"\"content\"");
        let mut text = String::new();
        match block.content(&at)? {
            None => {}
            Some(Content::Text(said)) => text.push_str(&said),
            Some(Content::Blocks(inner)) => {
                for (k, block) in inner.iter().enumerate() {
                    let at = format!("{at}.content[{k}]");
                    match block.said(&at)? {
                        Some(said) => {
                            if !text.is_empty() {
                                text.push('\n');
                            }
                            text.push_str(&said);
                        }
                        // Tool results in chat are text: an image goes into the user's message.
                        None if push_file(&mut parts, block, is_chat) => {}
                        None => adjusted.omit(at),
                    }
                }
            }
        }
        if block.is_error == Some(true) {
            // Chat has no flag for it.
            text.insert_str(0, if text.is_empty() { "error" } else { "error: " });
        }
        push_string(out, &text);
        out.push(b'}');
    }
    for (j, block) in blocks.iter().enumerate() {
        let at = format!("{at}.content[{j}]");
        if block.kind == "tool_result" {
            continue;
        }
        match block.said(&at)? {
            Some(text) => {
                if !text.is_empty() {
                    push_part(&mut parts, &text);
                }
            }
            None if push_file(&mut parts, block, is_chat) => {}
            None => adjusted.omit(at),
        }
    }
    if parts.len() > 1 {
        parts.push(b']');
        push_comma(out);
        out.extend_from_slice(b"{\"role\":");
        push_string(out, role);
        push_member(out, b"\"content\"");
        out.extend_from_slice(&parts);
        out.push(b'}');
    }
    Ok(())
}

/// Appends an image or a document as a content part. Returns false if chat has no counterpart; chat
/// providers take documents as data alone.
fn push_file(parts: &mut Vec<u8>, block: &Block<'_>, is_chat: bool) -> bool {
    let Some(source) = block.source() else {
        return false;
    };
    let kind = source.media_type.as_deref();
    match (&*block.kind, &*source.kind, &source.data, &source.url) {
        ("image", "base64", Some(data), _) => {
            push_comma(parts);
            let url = format!("data:{};base64,{data}", kind.unwrap_or("image/png"));
            push_value(
                parts,
                &json!({"type": "image_url", "image_url": {"url": url}}),
            );
        }
        ("image", "url", _, Some(url)) => {
            push_comma(parts);
            push_value(
                parts,
                &json!({"type": "image_url", "image_url": {"url": url}}),
            );
        }
        ("document", "url", _, Some(url)) if !is_chat => {
            let name = block.title.as_deref().unwrap_or("document.pdf");
            push_comma(parts);
            push_value(
                parts,
                &json!({"type": "file", "file": {"filename": name, "file_data": url}}),
            );
        }
        ("document", "text", Some(text), _) => push_part(parts, text),
        ("document", "base64", Some(data), _) => {
            let name = block.title.as_deref().unwrap_or("document.pdf");
            let data = format!("data:{};base64,{data}", kind.unwrap_or("application/pdf"));
            push_comma(parts);
            push_value(
                parts,
                &json!({"type": "file", "file": {"filename": name, "file_data": data}}),
            );
        }
        _ => return false,
    }
    true
}

fn push_assistant(
    out: &mut Vec<u8>,
    blocks: &[Block<'_>],
    at: &str,
    (reader, with_reasoning): (Reader<'_>, bool),
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let (mut text, mut reasoning, mut details) = (String::new(), String::new(), Vec::new());
    let mut calls = vec![b'['];
    for (j, block) in blocks.iter().enumerate() {
        match &*block.kind {
            "text" => text.push_str(block.text.as_deref().unwrap_or_default()),
            "thinking"
                if let Some(proof) = block.signature.as_deref().and_then(|s| reader.open(s)) =>
            {
                let text = block.thinking.as_deref().unwrap_or_default();
                details.push(json!({
                    "type": "reasoning.text", "text": text, "signature": proof.text,
                    "format": reader.format(), "index": details.len(),
                }));
            }
            "thinking" if with_reasoning => {
                reasoning.push_str(block.thinking.as_deref().unwrap_or_default());
            }
            "tool_use" => {
                let missing =
                    |name: &str| RequestFault::missing(&format!("{at}.content[{j}].{name}"));
                let id = block.id.as_deref().ok_or_else(|| missing("id"))?;
                let name = block.name.as_deref().ok_or_else(|| missing("name"))?;
                push_comma(&mut calls);
                calls.extend_from_slice(b"{\"id\":");
                push_string(&mut calls, id);
                calls.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
                push_string(&mut calls, name);
                push_member(&mut calls, b"\"arguments\"");
                push_string(&mut calls, block.input.map_or("{}", RawValue::get));
                calls.extend_from_slice(b"}}");
            }
            _ => adjusted.omit(format!("{at}.content[{j}]")),
        }
    }
    let has_calls = calls.len() > 1;
    if text.is_empty() && !has_calls {
        return Ok(());
    }
    push_comma(out);
    out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
    if text.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        push_string(out, &text);
    }
    if !reasoning.is_empty() {
        push_member(out, b"\"reasoning\"");
        push_string(out, &reasoning);
    }
    if !details.is_empty() {
        push_member(out, b"\"reasoning_details\"");
        push_value(out, &details.into());
    }
    if has_calls {
        calls.push(b']');
        push_member(out, b"\"tool_calls\"");
        out.extend_from_slice(&calls);
    }
    out.push(b'}');
    Ok(())
}

fn push_tools(
    out: &mut Vec<u8>,
    request: &Request,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let tools: Vec<&RawValue> = request.get("tools", "a list of tools")?.unwrap_or_default();
    let mut written = vec![b'['];
    for (i, tool) in tools.iter().enumerate() {
        let tool: Tool<'_> = serde_json::from_str(tool.get()).map_err(|e| {
            let at = format!("tools[{i}]");
            RequestFault::member(&at, member_problem(&at, "a tool with a `name`", &e))
        })?;
        let is_clients = tool.kind.as_deref().is_none_or(|kind| kind == "custom");
        let Some(schema) = tool.input_schema.filter(|_| is_clients) else {
            // Anthropic defines or runs this tool.
            adjusted.omit(format!("tools[{i}]"));
            continue;
        };
        push_comma(&mut written);
        written.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
        push_string(&mut written, &tool.name);
        if let Some(description) = tool.description {
            push_member(&mut written, b"\"description\"");
            written.extend_from_slice(description.get().as_bytes());
        }
        push_member(&mut written, b"\"parameters\"");
        push_raw(&mut written, schema);
        if let Some(strict) = tool.strict {
            push_member(&mut written, b"\"strict\"");
            push_value(&mut written, &json!(strict));
        }
        written.extend_from_slice(b"}}");
    }
    if written.len() == 1 {
        return Ok(());
    }
    written.push(b']');
    push_member(out, b"\"tools\"");
    out.extend_from_slice(&written);
    let choice: Option<Value> = request.get("tool_choice", "an object with `type`")?;
    let Some(choice) = choice else {
        return Ok(());
    };
    let member = |name: &str| choice.get(name);
    let translated = match member("type").and_then(Value::as_str) {
        Some("auto") => json!("auto"),
        Some("any") => json!("required"),
        Some("none") => json!("none"),
        Some("tool") if member("name").is_some_and(Value::is_string) => {
            json!({"type": "function", "function": {"name": member("name")}})
        }
        _ => {
            return Err(RequestFault::member(
                "tool_choice",
                "`tool_choice.type` must be auto, any, none, or tool with a `name`",
            ));
        }
    };
    push_member(out, b"\"tool_choice\"");
    push_value(out, &translated);
    if member("disable_parallel_tool_use") == Some(&json!(true)) {
        push_member(out, b"\"parallel_tool_calls\"");
        out.extend_from_slice(b"false");
    }
    Ok(())
}

fn push_settings(
    out: &mut Vec<u8>,
    request: &Request,
    is_chat: bool,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    if let Some(limit) = request.max_tokens {
        push_member(out, b"\"max_tokens\"");
        push_number(out, limit);
    }
    for name in ["temperature", "top_k", "top_p"] {
        if let Some(value) = request.raw(name) {
            if is_chat && name == "top_k" {
                // Not a member of OpenAI's: some chat providers refuse it.
                adjusted.omit(name);
                continue;
            }
            push_member(out, format!("\"{name}\"").as_bytes());
            out.extend_from_slice(value);
        }
    }
    let stops: Vec<RawJsonStr<'_>> = request
        .get("stop_sequences", "a list of strings")?
        .unwrap_or_default();
    for left in STOPS..stops.len() {
        adjusted.omit(format!("stop_sequences[{left}]"));
    }
    if !stops.is_empty() {
        push_member(out, b"\"stop\"");
        out.push(b'[');
        for stop in stops.iter().take(STOPS) {
            push_comma(out);
            out.extend_from_slice(stop.get().as_bytes());
        }
        out.push(b']');
    }
    if request.reasoning.effort.as_deref() == Some("none") {
        // In the member that is left out where a model never reasons.
        push_member(out, b"\"reasoning\"");
        push_value(out, &json!({"effort": "none"}));
    } else if let Some(effort) = effort(request)? {
        push_member(out, b"\"reasoning_effort\"");
        push_string(out, &effort);
    }
    let output: Option<Value> = request.get("output_config", "an object")?;
    if let Some(schema) = output
        .as_ref()
        .and_then(|o| o.get("format"))
        .filter(|format| format.get("type") == Some(&json!("json_schema")))
        .and_then(|format| format.get("schema"))
    {
        let mut format = json!({"name": "response", "schema": schema});
        if is_strict(schema)
            && let Some(format) = format.as_object_mut()
        {
            format.insert("strict".to_owned(), json!(true));
        }
        push_member(out, b"\"response_format\"");
        push_value(out, &json!({"type": "json_schema", "json_schema": format}));
    }
    if request.stream {
        push_member(out, b"\"stream\"");
        out.extend_from_slice(b"true");
    }
    Ok(())
}

/// Returns true if OpenAI accepts a schema as strict: it requires every property of every object, and
/// allows no other.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            let properties = members.get("properties").and_then(Value::as_object);
            let is_closed = properties.is_none_or(|properties| {
                let required = members.get("required").and_then(Value::as_array);
                let is_required =
                    |name: &String| required.is_some_and(|r| r.iter().any(|n| n == name.as_str()));
                members.get("additionalProperties") == Some(&json!(false))
                    && properties.keys().all(is_required)
            });
            is_closed && members.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

/// Returns the requested effort. A token budget becomes the effort that usually has it; adaptive
/// thinking without an effort leaves the choice to the model.
fn effort(request: &Request) -> Result<Option<String>, RequestFault> {
    #[derive(Deserialize)]
    struct Output {
        effort: Option<String>,
    }
    let output: Option<Output> = request.get("output_config", "an object")?;
    let by_budget = request.reasoning.max_tokens.map(|budget| match budget {
        0..=2048 => "low",
        2049..=10_000 => "medium",
        _ => "high",
    });
    Ok(output
        .and_then(|o| o.effort)
        .or_else(|| by_budget.map(ToOwned::to_owned)))
}
