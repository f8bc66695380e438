//! Translation of a Responses request to an OpenAI chat request. The items of an assistant's turn
//! become one message. Members without a counterpart are omitted and listed for the client.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    read::items,
    tools::{arguments_of, chat_name, push_tools},
};
use crate::catalog::Protocol;
use crate::wire::{
    adjust::Adjustments,
    fault::{RequestFault, member_problem},
    json::{
        Object, TextOr, object_of, push_comma, push_member, push_number, push_string, push_value,
    },
    proof::Reader,
    request::Request,
};

/// Members that have a counterpart in chat, that only the gateway reads, or whose absence changes
/// nothing.
const TRANSLATED: [&str; 15] = [
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "model",
    "parallel_tool_calls",
    "reasoning",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
];

/// Returns true if chat can express a member of a Responses request.
pub(in crate::wire) fn chat_carries(member: &str) -> bool {
    TRANSLATED.contains(&member)
}

/// An item of the input.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text_or_none")]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text_or_none")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text_or_none")]
    namespace: Option<Cow<'a, str>>,
    /// A string; an object in items of some kinds.
    #[serde(borrow, default, deserialize_with = "text_or_none")]
    arguments: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text_or_none")]
    input: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text_or_none")]
    encrypted_content: Option<Cow<'a, str>>,
}

/// Reads a string, an object as its text, and `None` for any other value: items of kinds that are not
/// known have members of any type.
fn text_or_none<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'a, str>>, D::Error> {
    let text = <&'a RawValue>::deserialize(deserializer)?.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).ok(),
        Some(b'{') => Some(Cow::Borrowed(text)),
        _ => None,
    })
}

type Content = TextOr<Part>;

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
    image_url: Option<String>,
    detail: Option<String>,
    file_data: Option<String>,
    file_url: Option<String>,
    filename: Option<String>,
    input_audio: Option<Value>,
}

impl Part {
    fn said(&self) -> Option<&str> {
        self.text.as_deref().or(self.refusal.as_deref())
    }

    /// Returns the image, file or audio as a part of a chat message.
    fn file(&self, is_chat: bool) -> Option<Value> {
        match self.kind.as_str() {
            "input_image" => {
                let url = self.image_url.as_deref()?;
                let image = match self.detail.as_deref() {
                    None => json!({"url": url}),
                    // Chat has no level above `high`.
                    Some("original") => json!({"url": url, "detail": "high"}),
                    Some(detail) => json!({"url": url, "detail": detail}),
                };
                Some(json!({"type": "image_url", "image_url": image}))
            }
            "input_file" => {
                // Chat providers take data alone; others take an address as well.
                let address = self.file_url.as_deref().filter(|_| !is_chat);
                let data = self.file_data.as_deref().or(address)?;
                let name = self.filename.as_deref().unwrap_or("document.pdf");
                Some(json!({"type": "file", "file": {"filename": name, "file_data": data}}))
            }
            "input_audio" => {
                let audio = self.input_audio.as_ref()?;
                Some(json!({"type": "input_audio", "input_audio": audio}))
            }
            _ => None,
        }
    }
}

/// The messages so far.
struct Messages<'a> {
    out: Vec<u8>,
    turn: Turn,
    /// The ids of calls whose results have not come.
    open: Vec<String>,
    /// Messages between calls and their results, which chat has only after the results.
    between: Vec<Value>,
    /// Images and files of tool results, which chat has only in the user's messages.
    files: Vec<Value>,
    reader: Reader<'a>,
    with_reasoning: bool,
}

/// The assistant's turn that is being read.
#[derive(Default)]
struct Turn {
    text: String,
    reasoning: String,
    details: Vec<Value>,
    calls: Vec<Value>,
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
    let mut messages = Messages {
        out: b"{\"messages\":[".to_vec(),
        turn: Turn::default(),
        open: Vec::new(),
        between: Vec::new(),
        files: Vec::new(),
        reader,
        with_reasoning,
    };
    if let Some(instructions) = request.get::<Cow<'_, str>>("instructions", "a string")? {
        messages.push("system", instructions.into());
    }
    let input = request.raw("input").unwrap_or(b"\"\"");
    if input.starts_with(b"[") {
        for (i, object) in items(input)?.iter().enumerate() {
            messages.item(object, &format!("input[{i}]"), adjusted)?;
        }
    } else if let Some(text) = request.get::<Cow<'_, str>>("input", "a string or a list")? {
        messages.push("user", text.into());
    }
    messages.end_turn();
    messages.end_results();
    let mut out = messages.out;
    if out.last() == Some(&b'[') {
        return Err(RequestFault::member(
            "input",
            "`input` has nothing to answer; send at least one message",
        ));
    }
    out.push(b']');
    push_tools(&mut out, request, adjusted)?;
    push_settings(&mut out, request, adjusted)?;
    out.push(b'}');
    Ok(out)
}

impl Messages<'_> {
    fn push(&mut self, role: &str, content: Value) {
        let is_empty = content.as_str().is_some_and(str::is_empty)
            || content.as_array().is_some_and(Vec::is_empty);
        let message = object_of([("role", role.into()), ("content", content)]);
        if is_empty {
        } else if self.open.is_empty() {
            push_comma(&mut self.out);
            push_value(&mut self.out, &message);
        } else {
            self.between.push(message);
        }
    }

    fn is_chat(&self) -> bool {
        self.reader.protocol == Protocol::Chat
    }

    /// Ends the results of a turn's calls: files and messages among them follow.
    fn end_results(&mut self) {
        self.open.clear();
        let files = std::mem::take(&mut self.files);
        self.push("user", files.into());
        for message in std::mem::take(&mut self.between) {
            push_comma(&mut self.out);
            push_value(&mut self.out, &message);
        }
    }

    fn item(
        &mut self,
        object: &Object<'_>,
        at: &str,
        adjusted: &mut Adjustments,
    ) -> Result<(), RequestFault> {
        let wrong = |e: &serde_json::Error| {
            RequestFault::member(at, member_problem(at, "an item with a `type`", e))
        };
        let item: Item<'_> = serde_json::from_slice(object.raw()).map_err(|e| wrong(&e))?;
        let kind = item.kind.as_deref().unwrap_or("message");
        match kind {
            "message" => self.message(&item, object, at, adjusted)?,
            "function_call" | "custom_tool_call" => self.call(&item, at, adjusted)?,
            "function_call_output" | "custom_tool_call_output" => {
                self.result(&item, object, at, adjusted)?;
            }
            "reasoning" => self.reasoning(&item, object, at, adjusted)?,
            _ => adjusted.omit(at),
        }
        Ok(())
    }

    fn message(
        &mut self,
        item: &Item<'_>,
        object: &Object<'_>,
        at: &str,
        adjusted: &mut Adjustments,
    ) -> Result<(), RequestFault> {
        let content = content_of(object, "content", at)?;
        match item.role.as_deref() {
            Some("assistant") => {
                let texts = match content {
                    None => Vec::new(),
                    Some(Content::Text(text)) => vec![text],
                    Some(Content::Parts(parts)) => texts_of(parts, at, adjusted),
                };
                if !self.turn.text.is_empty() && !texts.is_empty() {
                    self.turn.text.push_str("\n\n");
                }
                for text in texts {
                    self.turn.text.push_str(&text);
                }
            }
            Some(role @ ("user" | "system" | "developer")) => {
                self.end_turn();
                // Few providers know the role `developer`.
                let role = if role == "user" { role } else { "system" };
                let content = match content {
                    None => return Ok(()),
                    Some(Content::Text(text)) => text.into(),
                    Some(Content::Parts(parts)) => parts_of(&parts, self.is_chat(), at, adjusted),
                };
                self.push(role, content);
            }
            _ => {
                return Err(RequestFault::member(
                    format!("{at}.role"),
                    format!("`{at}.role` must be user, assistant, system or developer"),
                ));
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        item: &Item<'_>,
        at: &str,
        adjusted: &mut Adjustments,
    ) -> Result<(), RequestFault> {
        let missing = |name: &str| RequestFault::missing(&format!("{at}.{name}"));
        let id = item.call_id.as_deref().ok_or_else(|| missing("call_id"))?;
        let name = item.name.as_deref().ok_or_else(|| missing("name"))?;
        let arguments = match (&item.input, &item.arguments) {
            (Some(input), _) => arguments_of(input),
            (None, Some(arguments)) if !arguments.trim().is_empty() => arguments.to_string(),
            (None, _) => "{}".to_owned(),
        };
        let name = chat_name(item.namespace.as_deref(), name, adjusted);
        let function = json!({"name": name, "arguments": arguments});
        self.turn
            .calls
            .push(json!({"id": id, "type": "function", "function": function}));
        Ok(())
    }

    fn result(
        &mut self,
        item: &Item<'_>,
        object: &Object<'_>,
        at: &str,
        adjusted: &mut Adjustments,
    ) -> Result<(), RequestFault> {
        self.end_turn();
        let id = item
            .call_id
            .as_deref()
            .ok_or_else(|| RequestFault::missing(&format!("{at}.call_id")))?;
        let mut text = String::new();
        match content_of(object, "output", at)? {
            None => {}
            Some(Content::Text(said)) => text = said,
            Some(Content::Parts(parts)) => {
                for (j, part) in parts.iter().enumerate() {
                    match (part.said(), part.file(self.is_chat())) {
                        (Some(said), _) => {
                            if !text.is_empty() {
                                text.push('\n');
                            }
                            text.push_str(said);
                        }
                        (None, Some(file)) => self.files.push(file),
                        (None, None) => adjusted.omit(format!("{at}.output[{j}]")),
                    }
                }
            }
        }
        push_comma(&mut self.out);
        push_value(
            &mut self.out,
            &json!({"role": "tool", "tool_call_id": id, "content": text}),
        );
        self.open.retain(|open| open != id);
        if self.open.is_empty() {
            self.end_results();
        }
        Ok(())
    }

    fn reasoning(
        &mut self,
        item: &Item<'_>,
        object: &Object<'_>,
        at: &str,
        adjusted: &mut Adjustments,
    ) -> Result<(), RequestFault> {
        let mut text = String::new();
        for member in ["summary", "content"] {
            if let Some(Content::Parts(parts)) = content_of(object, member, at)?
                && text.is_empty()
            {
                let texts: Vec<&str> = parts.iter().filter_map(Part::said).collect();
                text = texts.join("\n\n");
            }
        }
        let proof = item.encrypted_content.as_deref();
        if let Some(proof) = proof.and_then(|p| self.reader.open(p)) {
            let index = self.turn.details.len();
            let format = self.reader.format();
            self.turn.details.push(if proof.is_whole {
                json!({"type": "reasoning.encrypted", "data": proof.text, "format": format, "index": index})
            } else {
                json!({"type": "reasoning.text", "text": text, "signature": proof.text, "format": format, "index": index})
            });
        } else if self.with_reasoning {
            self.turn.reasoning.push_str(&text);
        } else {
            adjusted.omit(at);
        }
        Ok(())
    }

    /// Appends the assistant's message.
    fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if turn.text.is_empty() && turn.calls.is_empty() {
            return;
        }
        self.end_results();
        let ids = turn.calls.iter().filter_map(|call| call["id"].as_str());
        self.open = ids.map(ToOwned::to_owned).collect();
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        let mut insert = |name: &str, value: Value, is_empty: bool| {
            if !is_empty {
                message.insert(name.to_owned(), value);
            }
        };
        let content = Some(&turn.text).filter(|text| !text.is_empty());
        insert("content", json!(content), false);
        insert(
            "reasoning",
            json!(turn.reasoning),
            turn.reasoning.is_empty(),
        );
        insert(
            "reasoning_details",
            json!(turn.details),
            turn.details.is_empty(),
        );
        insert("tool_calls", json!(turn.calls), turn.calls.is_empty());
        push_comma(&mut self.out);
        push_value(&mut self.out, &Value::Object(message));
    }
}

/// Reads a member of an item that is a string or a list of parts.
fn content_of(
    object: &Object<'_>,
    member: &str,
    at: &str,
) -> Result<Option<Content>, RequestFault> {
    object.read(member).map_err(|e| {
        let at = format!("{at}.{member}");
        RequestFault::member(&at, member_problem(&at, "a string or a list of parts", &e))
    })
}

fn texts_of(parts: Vec<Part>, at: &str, adjusted: &mut Adjustments) -> Vec<String> {
    let mut texts = Vec::new();
    for (j, part) in parts.into_iter().enumerate() {
        match part.text.or(part.refusal) {
            Some(text) => texts.push(text),
            None => adjusted.omit(format!("{at}.content[{j}]")),
        }
    }
    texts
}

/// Returns parts as those of a chat message; a single text is a string.
fn parts_of(parts: &[Part], is_chat: bool, at: &str, adjusted: &mut Adjustments) -> Value {
    let mut translated = Vec::new();
    for (j, part) in parts.iter().enumerate() {
        match part
            .said()
            .map(|text| json!({"type": "text", "text": text}))
            .or_else(|| part.file(is_chat))
        {
            Some(part) => translated.push(part),
            None => adjusted.omit(format!("{at}.content[{j}]")),
        }
    }
    match translated.as_mut_slice() {
        [one] if one["type"] == "text" => one["text"].take(),
        _ => Value::Array(translated),
    }
}

fn push_settings(
    out: &mut Vec<u8>,
    request: &Request,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    if let Some(limit) = request.max_tokens {
        push_member(out, b"\"max_tokens\"");
        push_number(out, limit);
    }
    for name in ["temperature", "top_p"] {
        if let Some(value) = request.raw(name) {
            push_member(out, format!("\"{name}\"").as_bytes());
            out.extend_from_slice(value);
        }
    }
    match request.reasoning.effort.as_deref() {
        None => {}
        Some("none") => {
            // In the member that is left out where a model never reasons.
            push_member(out, b"\"reasoning\"");
            push_value(out, &json!({"effort": "none"}));
        }
        Some(effort) => {
            let known = ["minimal", "low", "medium", "high", "xhigh", "max"];
            push_member(out, b"\"reasoning_effort\"");
            // Agents have further names for more than `high`.
            push_string(
                out,
                if known.contains(&effort) {
                    effort
                } else {
                    "max"
                },
            );
        }
    }
    let text: Option<Value> = request.get("text", "an object")?;
    let member = |name: &str| text.as_ref().and_then(|t| t.get(name)).cloned();
    if member("verbosity").is_some() {
        // Some chat providers refuse it.
        adjusted.omit("text.verbosity");
    }
    match member("format") {
        Some(Value::Object(mut format)) => {
            let kind = format.remove("type").unwrap_or_default();
            let translated = match kind.as_str() {
                Some("json_schema") => Some(json!({"type": kind, "json_schema": format})),
                Some("json_object") => Some(json!({"type": kind})),
                Some("text") => None,
                _ => {
                    adjusted.omit("text.format");
                    None
                }
            };
            if let Some(translated) = translated {
                push_member(out, b"\"response_format\"");
                push_value(out, &translated);
            }
        }
        Some(format) if !format.is_null() => adjusted.omit("text.format"),
        _ => {}
    }
    if request.stream {
        push_member(out, b"\"stream\"");
        out.extend_from_slice(b"true");
    }
    Ok(())
}
