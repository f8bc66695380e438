//! A whole message as the events of a stream, and the reverse, for upstreams that answer in the other
//! form than was asked for.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::wire::{fault::AnswerFault, meta::ResponseMeta, sse::Splitter};

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

/// Returns the beginning of a block and its deltas. Blocks without deltas of their own begin whole.
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

/// Returns the text of a member, or an empty string.
fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn push(out: &mut Vec<u8>, event: &Value) {
    let name = text_of(event, "type");
    out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
}

/// Returns the whole message of the events that a relay wrote.
pub(in crate::wire) fn of_events(
    names: &ResponseMeta,
    events: &[u8],
) -> Result<Bytes, AnswerFault> {
    let mut message = None::<Map<String, Value>>;
    let mut blocks: Vec<(Map<String, Value>, String)> = Vec::new();
    let mut splitter = Splitter::new(events.len());
    let fed = splitter.feed(events, |event| {
        let data = event.data.as_deref().unwrap_or_default();
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
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
                message.extend(part("delta").unwrap_or_default());
                match message.get_mut("usage").and_then(Value::as_object_mut) {
                    Some(usage) => usage.extend(part("usage").unwrap_or_default()),
                    None => {
                        let usage = part("usage").unwrap_or_default();
                        message.insert("usage".to_owned(), usage.into());
                    }
                }
            }
            _ => {}
        }
        true
    });
    fed.map_err(|e| AnswerFault::TooLong { limit: e.limit })?;
    let mut message = message.ok_or_else(wrong)?;
    let content = blocks.into_iter().map(|(mut block, input)| {
        if let Ok(input) = serde_json::from_str::<Value>(&input) {
            block.insert("input".to_owned(), input);
        }
        Value::Object(block)
    });
    message.insert("content".to_owned(), content.collect());
    message.remove("anyrouter_metadata");
    let mut out = Value::Object(message).to_string().into_bytes();
    // Our member stands before the closing brace.
    out.pop();
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_metadata(&mut out, &[]);
    out.push(b'}');
    Ok(out.into())
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
