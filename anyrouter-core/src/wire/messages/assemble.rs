//! Conversion of a whole message to the events of a stream, and the reverse, for upstreams that
//! answer in another form than requested.

use bytes::Bytes;
use serde_json::{Map, Value, json, value::RawValue};

use crate::wire::{
    fault::AnswerFault,
    json::{escape_strings, push_format, unescape_strings},
    meta::ResponseMeta,
    sse::Splitter,
};

/// Returns the events of a whole message.
pub(super) fn to_events(body: &[u8]) -> Result<Vec<u8>, AnswerFault> {
    let mut message: Map<String, Value> = serde_json::from_slice(body).map_err(|_| wrong())?;
    let Some(Value::Array(content)) = message.insert("content".to_owned(), json!([])) else {
        return Err(wrong());
    };
    let mut take = |name: &str| message.insert(name.to_owned(), Value::Null);
    let mut delta = Map::new();
    for name in ["stop_reason", "stop_sequence", "stop_details", "container"] {
        if let Some(value) = take(name) {
            delta.insert(name.to_owned(), value);
        }
    }
    let usage = message.get("usage").cloned().unwrap_or_default();
    let mut out = Vec::with_capacity(body.len() * 2);
    push(
        &mut out,
        &json!({"type": "message_start", "message": message}),
    );
    for (index, block) in content.into_iter().enumerate() {
        let (start, deltas) = parts_of(block);
        push(
            &mut out,
            &json!({"type": "content_block_start", "index": index, "content_block": start}),
        );
        for delta in deltas {
            push(
                &mut out,
                &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            );
        }
        push(
            &mut out,
            &json!({"type": "content_block_stop", "index": index}),
        );
    }
    push(
        &mut out,
        &json!({"type": "message_delta", "delta": delta, "usage": usage}),
    );
    push(&mut out, &json!({"type": "message_stop"}));
    Ok(out)
}

/// Splits a block into its start and its deltas. A block of a type without deltas is sent whole.
fn parts_of(mut block: Value) -> (Value, Vec<Value>) {
    let kind = text_of(&block, "type").to_owned();
    let mut take = |name: &str, empty: Value| match block.get_mut(name) {
        Some(value) if !value.is_null() => Some(std::mem::replace(value, empty)),
        _ => None,
    };
    let mut deltas = Vec::new();
    match kind.as_str() {
        "text" => {
            if let Some(Value::Array(citations)) = take("citations", Value::Null) {
                deltas.extend(
                    citations
                        .into_iter()
                        .map(|citation| json!({"type": "citations_delta", "citation": citation})),
                );
            }
            if let Some(text) = take("text", json!("")) {
                deltas.push(json!({"type": "text_delta", "text": text}));
            }
        }
        "thinking" => {
            if let Some(text) = take("thinking", json!("")) {
                deltas.push(json!({"type": "thinking_delta", "thinking": text}));
            }
            if let Some(signature) = take("signature", json!("")) {
                deltas.push(json!({"type": "signature_delta", "signature": signature}));
            }
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            if let Some(input) = take("input", json!({})) {
                deltas.push(json!({"type": "input_json_delta", "partial_json": input.to_string()}));
            }
        }
        _ => {}
    }
    (block, deltas)
}

/// Returns a member that is a string, or an empty string.
fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn push(out: &mut Vec<u8>, event: &Value) {
    let name = text_of(event, "type");
    out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
}

/// Assembles a whole message from the events that a relay wrote.
pub(in crate::wire) fn of_events(
    names: &ResponseMeta,
    events: &[u8],
) -> Result<Bytes, AnswerFault> {
    let mut message = None::<Map<String, Value>>;
    let mut blocks: Vec<(Map<String, Value>, String)> = Vec::new();
    let mut splitter = Splitter::new(events.len());
    let fed = splitter.feed(events, |event| {
        let data = event.data.as_deref().unwrap_or_default();
        let Ok(event) = serde_json::from_slice::<Value>(&escape_strings(data)) else {
            return true;
        };
        let index = event
            .get("index")
            .and_then(Value::as_u64)
            .and_then(|i| usize::try_from(i).ok());
        let part = |name: &str| event.get(name).and_then(Value::as_object).cloned();
        match text_of(&event, "type") {
            "message_start" => message = part("message"),
            "content_block_start" => {
                blocks.push((part("content_block").unwrap_or_default(), String::new()));
            }
            "content_block_delta" => {
                let block = index.and_then(|index| blocks.get_mut(index));
                if let (Some((block, input)), Some(delta)) = (block, event.get("delta")) {
                    add_delta(block, input, delta);
                }
            }
            "message_delta" => {
                let message = message.get_or_insert_default();
                let known = |(_, value): &(String, Value)| !value.is_null();
                let delta = part("delta").unwrap_or_default().into_iter();
                let usage = part("usage").unwrap_or_default().into_iter();
                message.extend(delta.filter(known));
                match message.get_mut("usage").and_then(Value::as_object_mut) {
                    Some(all) => all.extend(usage.filter(known)),
                    None => {
                        message.insert("usage".to_owned(), Value::Object(usage.collect()));
                    }
                }
                let others = event.as_object().cloned().unwrap_or_default();
                message.extend(
                    others
                        .into_iter()
                        .filter(|(name, _)| !["type", "delta", "usage"].contains(&name.as_str())),
                );
            }
            _ => {}
        }
        true
    });
    fed.map_err(|e| AnswerFault::TooLong { limit: e.limit })?;
    let mut message = message.ok_or_else(wrong)?;
    message.remove("anyrouter_metadata");
    message.insert("content".to_owned(), Value::Null);
    let mut out = Vec::with_capacity(events.len() / 2);
    for (name, value) in &message {
        out.push(if out.is_empty() { b'{' } else { b',' });
        push_format(&mut out, format_args!("\"{name}\":"));
        if name == "content" {
            push_content(&blocks, &mut out);
        } else {
            out.extend(unescape_strings(value.to_string().as_bytes()));
        }
    }
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_metadata(&mut out, &[]);
    out.push(b'}');
    Ok(out.into())
}

fn push_content(blocks: &[(Map<String, Value>, String)], out: &mut Vec<u8>) {
    out.push(b'[');
    for (n, (block, input)) in blocks.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        // The input as it is: numbers keep their digits.
        let input = serde_json::from_str::<String>(&format!("\"{input}\""))
            .ok()
            .filter(|input| serde_json::from_str::<&RawValue>(input).is_ok());
        out.push(b'{');
        let members = block
            .iter()
            .filter(|(name, _)| input.is_none() || *name != "input");
        for (m, (name, value)) in members.enumerate() {
            push_format(
                out,
                format_args!("{}\"{name}\":", if m > 0 { "," } else { "" }),
            );
            out.extend(unescape_strings(value.to_string().as_bytes()));
        }
        if let Some(input) = input {
            push_format(out, format_args!(",\"input\":{}", input.trim()));
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// Adds a delta to its block; pieces of a call's input are joined in `input`.
fn add_delta(block: &mut Map<String, Value>, input: &mut String, delta: &Value) {
    let mut join = |name: &str| match block.get_mut(name) {
        Some(Value::String(text)) => text.push_str(text_of(delta, name)),
        _ => {
            block.insert(name.to_owned(), text_of(delta, name).into());
        }
    };
    match text_of(delta, "type") {
        "text_delta" => join("text"),
        "thinking_delta" => join("thinking"),
        "signature_delta" => join("signature"),
        "compaction_delta" => join("content"),
        "input_json_delta" => input.push_str(text_of(delta, "partial_json")),
        "citations_delta" => {
            let citation = delta.get("citation").cloned().unwrap_or_default();
            match block.get_mut("citations") {
                Some(Value::Array(citations)) => citations.push(citation),
                _ => {
                    block.insert("citations".to_owned(), vec![citation].into());
                }
            }
        }
        _ => {}
    }
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an Anthropic message")
}
