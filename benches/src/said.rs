//! What the simulated provider says in each of the four protocols: an answer of 200 bytes of text,
//! or a stream of 50 pieces. A piece of a slow stream carries the time at which it was written.

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    Chat,
    Responses,
    Messages,
    Gemini,
}

const PIECES: usize = 50;

/// Stands in a piece for the time at which it is written, in microseconds since 1970.
const TIME: &str = "t0000000000000000";

impl Protocol {
    pub(crate) fn of_path(path: &str) -> Self {
        if path.ends_with("/messages") {
            Self::Messages
        } else if path.ends_with("/responses") {
            Self::Responses
        } else if path.contains("enerateContent") {
            Self::Gemini
        } else {
            Self::Chat
        }
    }

    pub(crate) fn whole(self) -> Bytes {
        static ALL: LazyLock<[Bytes; 4]> = LazyLock::new(|| {
            [
                chat_whole(),
                responses_whole(),
                messages_whole(),
                gemini_whole(),
            ]
            .map(|value| value.to_string().into())
        });
        ALL[self as usize].clone()
    }

    /// The events of a stream. Those with `TIME` in them are to be stamped when they are written.
    pub(crate) fn events(self) -> &'static [Bytes] {
        static ALL: LazyLock<[Vec<Bytes>; 4]> = LazyLock::new(|| {
            [
                chat_events(),
                responses_events(),
                messages_events(),
                gemini_events(),
            ]
        });
        &ALL[self as usize]
    }
}

/// Writes the time into an event that has a place for it.
pub(crate) fn stamped(event: &Bytes) -> Bytes {
    let Some(at) = find(event, TIME.as_bytes()) else {
        return event.clone();
    };
    let mut out = event.to_vec();
    out[at + 1..at + TIME.len()].copy_from_slice(format!("{:016}", micros()).as_bytes());
    out.into()
}

/// The delays of the stamped pieces in a part of a stream, in microseconds. `last` is the stamp of
/// the piece before: events that repeat the whole text say nothing new.
pub(crate) fn delays(mut part: &[u8], last: &mut u64) -> Vec<u64> {
    let (now, mut out) = (micros(), Vec::new());
    while let Some(at) = find(part, b" t1") {
        let digits = &part[at + 2..];
        if let Some(written) = digits
            .get(..16)
            .and_then(|d| std::str::from_utf8(d).ok()?.parse::<u64>().ok())
            .filter(|written| written > last)
        {
            *last = written;
            out.push(now.saturating_sub(written));
        }
        part = digits;
    }
    out
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

fn micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

fn text() -> String {
    "word ".repeat(40)
}

fn pieces() -> impl Iterator<Item = String> {
    (0..PIECES).map(|n| format!("word {n} {TIME} "))
}

fn event(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

fn named(value: &Value) -> Bytes {
    let name = value["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n").into()
}

fn chat_whole() -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
           "choices": [{"index": 0, "message": {"role": "assistant", "content": text()}, "finish_reason": "stop"}],
           "usage": {"prompt_tokens": 20, "completion_tokens": 40, "total_tokens": 60}})
}

fn chat_events() -> Vec<Bytes> {
    let chunk = |delta: Value, finish: Value| {
        event(
            &json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}),
        )
    };
    let mut out: Vec<_> = pieces()
        .map(|piece| chunk(json!({"content": piece}), Value::Null))
        .collect();
    out.push(chunk(json!({}), json!("stop")));
    out.push(event(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                           "usage": {"prompt_tokens": 20, "completion_tokens": 100, "total_tokens": 120}})));
    out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    out
}

fn messages_whole() -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": text()}], "stop_reason": "end_turn", "stop_sequence": null,
           "usage": {"input_tokens": 20, "output_tokens": 40}})
}

fn messages_events() -> Vec<Bytes> {
    let mut out = vec![
        named(
            &json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null,
                     "usage": {"input_tokens": 20, "output_tokens": 1}}}),
        ),
        named(
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
    ];
    out.extend(pieces().map(|piece| {
        named(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}))
    }));
    out.push(named(&json!({"type": "content_block_stop", "index": 0})));
    out.push(named(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 100}})));
    out.push(named(&json!({"type": "message_stop"})));
    out
}

fn response(status: &str, output: Value, usage: Value) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "background": false, "error": null, "incomplete_details": null, "instructions": null,
           "model": "m", "output": output, "parallel_tool_calls": true, "store": false, "tool_choice": "auto", "tools": [], "usage": usage, "metadata": {}})
}

fn message(status: &str, said: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": [{"type": "output_text", "text": said, "annotations": [], "logprobs": []}]})
}

fn responses_usage(output: u32) -> Value {
    json!({"input_tokens": 20, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 20 + output})
}

fn responses_whole() -> Value {
    response(
        "completed",
        json!([message("completed", &text())]),
        responses_usage(40),
    )
}

fn responses_events() -> Vec<Bytes> {
    let said: String = pieces().collect();
    let mut all = vec![
        json!({"type": "response.created", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.in_progress", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}}),
        json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": [], "logprobs": []}}),
    ];
    all.extend(pieces().map(|piece| {
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": piece, "logprobs": []})
    }));
    all.push(json!({"type": "response.output_text.done", "item_id": "msg_1", "output_index": 0, "content_index": 0, "text": said, "logprobs": []}));
    all.push(json!({"type": "response.content_part.done", "item_id": "msg_1", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": said, "annotations": [], "logprobs": []}}));
    all.push(json!({"type": "response.output_item.done", "output_index": 0, "item": message("completed", &said)}));
    all.push(json!({"type": "response.completed", "response": response("completed", json!([message("completed", &said)]), responses_usage(100))}));
    for (n, value) in all.iter_mut().enumerate() {
        value["sequence_number"] = n.into();
    }
    all.iter().map(named).collect()
}

fn generated(said: &str, finish: Option<&str>, output: u32) -> Value {
    let mut candidate =
        json!({"content": {"parts": [{"text": said}], "role": "model"}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    json!({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": output, "totalTokenCount": 20 + output}, "modelVersion": "m", "responseId": "r-1"})
}

fn gemini_whole() -> Value {
    generated(&text(), Some("STOP"), 40)
}

fn gemini_events() -> Vec<Bytes> {
    let mut out: Vec<_> = pieces()
        .map(|piece| event(&generated(&piece, None, 50)))
        .collect();
    out.push(event(&generated("", Some("STOP"), 100)));
    out
}
