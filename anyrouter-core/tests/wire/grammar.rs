//! The grammars of the protocols' streams: a stream for a client must be in the order that its protocol
//! states.

use std::collections::BTreeMap;

use anyrouter_core::catalog::Protocol;
use serde_json::Value;

/// Fails where a stream for a client is not in the order that the protocol states. A stream that is
/// not whole ends early.
pub(crate) fn check(client: Protocol, seen: &str, is_whole: bool) {
    match client {
        Protocol::Chat => chat(seen, is_whole),
        Protocol::Messages => messages(seen, is_whole),
        Protocol::Responses => responses(seen, is_whole),
        Protocol::Gemini => gemini(seen, is_whole),
    }
}

/// Chat: chunks that have the same id, a finish reason for each choice and nothing of it afterwards,
/// and `[DONE]`.
fn chat(seen: &str, is_whole: bool) {
    let mut finished: Vec<Value> = Vec::new();
    let mut is_done = false;
    for event in seen.split_terminator("\n\n") {
        assert!(!is_done, "nothing follows [DONE]: {event}");
        let Some(data) = event.strip_prefix("data: ") else {
            panic!("an event is one line of data: {event}")
        };
        if data == "[DONE]" {
            is_done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"));
        assert_eq!(chunk["object"], "chat.completion.chunk", "{event}");
        for choice in chunk["choices"].as_array().unwrap() {
            let is_empty = choice["delta"]
                .as_object()
                .is_some_and(serde_json::Map::is_empty);
            assert!(
                is_empty || !finished.contains(&choice["index"]),
                "content after the finish reason: {event}"
            );
            if !choice["finish_reason"].is_null() {
                finished.push(choice["index"].clone());
            }
        }
    }
    assert_eq!(is_done, is_whole, "{seen}");
}

/// Google's: events with CRLF and a blank after the colon, each with parts that have one kind of data,
/// and in the last one the finish reason and the usage.
fn gemini(seen: &str, is_whole: bool) {
    let mut is_ended = false;
    for event in seen.split_terminator("\r\n\r\n") {
        assert!(!is_ended, "nothing follows the end: {event}");
        let Some(data) = event.strip_prefix("data: ") else {
            panic!("an event is one line of data: {event}")
        };
        assert!(!data.contains(['\r', '\n']), "{event}");
        let chunk: Value = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"));
        is_ended = !chunk["anyrouter_metadata"].is_null();
        let candidates = chunk["candidates"].as_array();
        assert!(candidates.is_some() || is_ended, "{event}");
        for candidate in candidates.into_iter().flatten() {
            let parts = candidate["content"]["parts"].as_array();
            for part in parts.into_iter().flatten() {
                let kinds = [
                    "text",
                    "functionCall",
                    "inlineData",
                    "executableCode",
                    "codeExecutionResult",
                ];
                let count = kinds.iter().filter(|kind| !part[kind].is_null()).count();
                assert_eq!(count, 1, "{event}");
                if let Some(call) = part["functionCall"].as_object() {
                    assert!(call.get("args").is_none_or(Value::is_object), "{event}");
                }
            }
        }
    }
    assert_eq!(is_ended, is_whole, "{seen}");
}

/// Responses: `response.created`, items one after the other, each with its parts and then whole, and
/// one of `response.completed`, `response.incomplete` and `response.failed` with all items.
fn responses(seen: &str, is_whole: bool) {
    let mut items: Vec<Value> = Vec::new();
    let mut open = BTreeMap::new();
    let (mut has_begun, mut is_ended) = (false, false);
    for (number, event) in seen.split_terminator("\n\n").enumerate() {
        assert!(!is_ended, "nothing follows the end: {event}");
        let (name, data) = event
            .strip_prefix("event: ")
            .and_then(|e| e.split_once("\ndata: "))
            .unwrap_or_else(|| panic!("an event has a name and data: {event}"));
        let value: Value = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"));
        assert_eq!(value["type"], name, "{event}");
        assert_eq!(value["sequence_number"], number, "{event}");
        assert!(has_begun || name == "response.created", "{event}");
        let index = value["output_index"].as_u64();
        match name {
            "response.created" => has_begun = true,
            "response.in_progress" => {}
            "response.output_item.added" => {
                assert!(open.is_empty(), "items do not overlap: {seen}");
                open.insert(index.unwrap(), String::new());
                assert_eq!(index, Some(items.len() as u64), "{event}");
            }
            "response.output_item.done" => {
                let said = open
                    .remove(&index.unwrap())
                    .expect("an item that was added");
                let item = &value["item"];
                let whole = ["/content/0/text", "/summary/0/text", "/arguments", "/input"]
                    .iter()
                    .find_map(|p| item.pointer(p)?.as_str());
                assert_eq!(whole.unwrap_or_default(), said, "{event}");
                items.push(item.clone());
            }
            "response.completed" | "response.incomplete" => {
                let response = &value["response"];
                assert!(open.is_empty(), "{seen}");
                assert_eq!(response["output"], Value::Array(items.clone()), "{seen}");
                assert_eq!(
                    format!("response.{}", response["status"].as_str().unwrap()),
                    name
                );
                assert!(response["usage"]["total_tokens"].is_u64(), "{event}");
                assert!(
                    response["anyrouter_metadata"]["requestId"].is_string(),
                    "{event}"
                );
                is_ended = true;
            }
            _ => {
                let said = open.get_mut(&index.unwrap());
                let said = said.unwrap_or_else(|| panic!("an item that is open: {event}"));
                if let (true, Some(delta)) = (
                    name.strip_suffix(".delta").is_some(),
                    value["delta"].as_str(),
                ) {
                    said.push_str(delta);
                }
            }
        }
    }
    assert_eq!(is_ended, is_whole, "{seen}");
}

/// Fails where a stream for an Anthropic client is not in the order that the protocol states:
/// `message_start`, blocks one after the other with rising indexes, one `message_delta` or more,
/// `message_stop`; `ping` anywhere; `error` instead of any rest.
fn messages(seen: &str, is_whole: bool) {
    let (mut state, mut next, mut open) = ("before", 0, None);
    for event in seen.split_terminator("\n\n") {
        let (name, data) = event
            .strip_prefix("event: ")
            .and_then(|e| e.split_once("\ndata: "))
            .unwrap_or_else(|| panic!("an event has a name and data: {event}"));
        let value: Value = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"));
        assert_eq!(value["type"], name, "{event}");
        let index = value["index"].as_u64();
        match (name, state) {
            ("message_start", "before") => state = "open",
            ("content_block_start", "open") if open.is_none() => {
                assert_eq!(index, Some(next), "{event}");
                (open, next) = (index, next + 1);
            }
            ("content_block_delta", "open") => assert!(open.is_some() && index == open, "{event}"),
            ("content_block_stop", "open") => {
                assert!(open.is_some() && index == open, "{event}");
                open = None;
            }
            // Usage may follow the stop reason in an event of its own.
            ("message_delta", "open" | "finished") if open.is_none() => {
                assert!(value["usage"]["output_tokens"].is_u64(), "{event}");
                let is_last = value["delta"]["stop_reason"].is_string();
                assert!(is_last || state == "open", "{event}");
                state = if is_last { "finished" } else { "open" };
            }
            ("message_stop", "finished") => {
                assert!(
                    value["anyrouter_metadata"]["requestId"].is_string(),
                    "{event}"
                );
                state = "ended";
            }
            ("ping" | "notice", _) => {}
            _ => panic!("{event} in the state `{state}`, with {open:?} open:\n{seen}"),
        }
    }
    assert!(!is_whole || state == "ended", "{seen}");
}
