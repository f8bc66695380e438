//! The messages of a request: turns, parts, pictures and files, tool calls and their results, and earlier thoughts.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Spelt, push_member,
    request::{comma, missing, push_cache_control, push_raw},
};
use crate::wire::{
    json::{Object, objects, push_string},
    openai_chat::{ChatRequest, RequestFault, member_problem},
};

/// A message: its members as they are spelt.
pub(super) struct Message<'a> {
    role: Cow<'a, str>,
    object: Object<'a>,
}

fn push_spelt(out: &mut Vec<u8>, string: Spelt<'_>) {
    out.extend_from_slice(string.get().as_bytes());
}

/// The members that are read, of a message and of a part.
const OF_A_MESSAGE: [&str; 7] = ["role", "content", "tool_calls", "tool_call_id", "refusal", "reasoning_details", "cache_control"];
const OF_A_PART: [&str; 6] = ["type", "text", "refusal", "image_url", "file", "cache_control"];

/// The request was scanned before, within its own bound.
const DEPTH: usize = 512;

/// Reads the messages of a request.
pub(super) fn messages<'a>(request: &'a ChatRequest) -> Result<Vec<Message<'a>>, RequestFault> {
    let text = request.raw("messages").ok_or_else(|| missing("messages"))?;
    let wrong = |at: &str, what: &str| RequestFault::member(at, format!("`{at}` must be {what}"));
    let objects = objects(text, DEPTH).map_err(|_| wrong("messages", "a list of messages, each an object with a `role`"))?;
    let read = |(i, object): (usize, Object<'a>)| -> Result<Message<'a>, RequestFault> {
        let at = || format!("messages[{i}]");
        if let Some(name) = object.twice(&OF_A_MESSAGE) {
            let at = at();
            return Err(RequestFault::member(&at, format!("`{name}` stands twice in `{at}`; send it once")));
        }
        let role = object.read("role").ok().flatten().ok_or_else(|| wrong(&format!("{}.role", at()), ROLES))?;
        Ok(Message { role, object })
    };
    objects.into_iter().enumerate().map(read).collect()
}

const ROLES: &str = "system, developer, user, assistant or tool";

impl<'a> Message<'a> {
    /// A list that is read here; `at` is the message's place.
    fn list<T: Deserialize<'a>>(&self, name: &str, at: &str) -> Result<Vec<T>, RequestFault> {
        let list = self.object.read(name).map_err(|e| {
            RequestFault::member(format!("{at}.{name}"), member_problem(&format!("{at}.{name}"), "a list as OpenAI's API describes it", &e))
        });
        Ok(list?.unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Spelt<'a>,
    #[serde(borrow)]
    function: CalledFunction<'a>,
}

#[derive(Deserialize)]
struct CalledFunction<'a> {
    #[serde(borrow)]
    name: Spelt<'a>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ReasoningDetail<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    signature: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    data: Option<Spelt<'a>>,
    #[serde(default)]
    index: Option<u64>,
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
    filename: Option<Spelt<'a>>,
}

fn is_system(message: &Message<'_>) -> bool {
    matches!(&*message.role, "system" | "developer")
}

/// System and developer messages, wherever they stand, become the one system prompt.
pub(super) fn push_system(out: &mut Vec<u8>, messages: &[Message<'_>], omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    if !messages.iter().any(is_system) {
        return Ok(());
    }
    push_member(out, b"\"system\"");
    out.push(b'[');
    for (i, message) in messages.iter().enumerate().filter(|(_, m)| is_system(m)) {
        push_content(out, message.object.get("content"), message.object.get("cache_control"), &format!("messages[{i}].content"), omitted)?;
    }
    out.push(b']');
    Ok(())
}

/// Turns, user and assistant by turns: what stands side by side in one role becomes one turn, since all results of parallel tool
/// calls must come in one.
pub(super) fn push_messages(out: &mut Vec<u8>, messages: &[Message<'_>], omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    push_member(out, b"\"messages\"");
    out.push(b'[');
    let mut open: Option<&str> = None;
    for (i, message) in messages.iter().enumerate().filter(|(_, m)| !is_system(m)) {
        let at = format!("messages[{i}]");
        let role = match &*message.role {
            "assistant" => "assistant",
            "user" | "tool" => "user",
            _ => {
                return Err(RequestFault::member(format!("{at}.role"), format!("`{at}.role` must be {ROLES}")));
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
            _ => push_content(out, message.object.get("content"), message.object.get("cache_control"), &format!("{at}.content"), omitted)?,
        }
        if out.len() == start {
            out.truncate(before);
        } else {
            open = Some(role);
        }
    }
    if open.is_none() {
        return Err(RequestFault::member("messages", "`messages` has nothing for the model to answer; send at least one with content"));
    }
    out.extend_from_slice(b"]}]");
    Ok(())
}
fn push_tool_result(out: &mut Vec<u8>, message: &Message<'_>, at: &str, omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    let id = message.object.get("tool_call_id").ok_or_else(|| missing(&format!("{at}.tool_call_id")))?;
    if !id.starts_with(b"\"") {
        return Err(RequestFault::member(format!("{at}.tool_call_id"), format!("`{at}.tool_call_id` must be a string")));
    }
    comma(out);
    out.extend_from_slice(b"{\"type\":\"tool_result\",\"tool_use_id\":");
    out.extend_from_slice(id);
    if let Some(content) = message.object.get("content") {
        push_member(out, b"\"content\"");
        if content.starts_with(b"[") {
            out.push(b'[');
            push_content(out, Some(content), None, &format!("{at}.content"), omitted)?;
            out.push(b']');
        } else if content.starts_with(b"\"") {
            out.extend_from_slice(content);
        } else {
            return Err(RequestFault::member(format!("{at}.content"), format!("`{at}.content` must be a string or a list of parts")));
        }
    }
    push_cache_control(out, message.object.get("cache_control"));
    out.push(b'}');
    Ok(())
}

fn push_assistant(out: &mut Vec<u8>, message: &Message<'_>, at: &str, omitted: &mut Vec<String>) -> Result<(), RequestFault> {
    push_thoughts(out, &message.list("reasoning_details", at)?);
    let said = message.object.get("content").or(message.object.get("refusal"));
    push_content(out, said, message.object.get("cache_control"), &format!("{at}.content"), omitted)?;
    for (j, call) in message.list::<ToolCall<'_>>("tool_calls", at)?.iter().enumerate() {
        comma(out);
        out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
        push_spelt(out, call.id);
        push_member(out, b"\"name\"");
        push_spelt(out, call.function.name);
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
        let signature = pieces.iter().find_map(|p| p.signature);
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
                push_spelt(out, signature);
                out.push(b'}');
            }
            ("reasoning.encrypted", _, Some(data)) => {
                comma(out);
                out.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
                push_spelt(out, data);
                out.push(b'}');
            }
            _ => {}
        }
    }
}
/// Appends content blocks for a string or a list of parts.
fn push_content(
    out: &mut Vec<u8>,
    content: Option<&[u8]>,
    cache_control: Option<&[u8]>,
    at: &str,
    omitted: &mut Vec<String>,
) -> Result<(), RequestFault> {
    let Some(content) = content else { return Ok(()) };
    if content.starts_with(b"\"") {
        // An empty text block is refused.
        if content != b"\"\"" {
            comma(out);
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            out.extend_from_slice(content);
            push_cache_control(out, cache_control);
            out.push(b'}');
        }
        return Ok(());
    }
    let wrong = || RequestFault::member(at, format!("`{at}` must be a string or a list of parts, each with a `type`"));
    for (i, part) in objects(content, DEPTH).map_err(|_| wrong())?.iter().enumerate() {
        let kind: Cow<'_, str> = part.read("type").ok().flatten().ok_or_else(wrong)?;
        if let Some(name) = part.twice(&OF_A_PART) {
            return Err(RequestFault::member(at, format!("`{name}` stands twice in `{at}[{i}]`; send it once")));
        }
        if !push_part(out, &kind, part).map_err(|_| wrong())? {
            omitted.push(format!("{at}[{i}]"));
        }
    }
    Ok(())
}

/// Appends one part; false where it cannot be translated.
fn push_part(out: &mut Vec<u8>, kind: &str, part: &Object<'_>) -> serde_json::Result<bool> {
    match kind {
        "text" | "refusal" => {
            let text: Option<Spelt<'_>> = part.read("text")?;
            let Some(text) = text.map_or_else(|| part.read("refusal"), |text| Ok(Some(text)))? else { return Ok(false) };
            if text.get() == "\"\"" {
                return Ok(true);
            }
            comma(out);
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            push_spelt(out, text);
        }
        "image_url" => {
            let Some(ImageUrl::Object { url } | ImageUrl::Bare(url)) = part.read("image_url")? else { return Ok(false) };
            comma(out);
            out.extend_from_slice(b"{\"type\":\"image\",\"source\":");
            push_source(out, &url);
        }
        "file" => {
            let Some(File { file_data: Some(data), filename }) = part.read("file")? else { return Ok(false) };
            comma(out);
            out.extend_from_slice(b"{\"type\":\"document\",\"source\":");
            push_source(out, &data);
            if let Some(name) = filename {
                push_member(out, b"\"title\"");
                push_spelt(out, name);
            }
        }
        _ => return Ok(false),
    }
    push_cache_control(out, part.get("cache_control"));
    out.push(b'}');
    Ok(true)
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
