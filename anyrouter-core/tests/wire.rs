//! The protocols, in bytes: golden transcripts (`tests/wire/*`), and that no split of the bytes
//! changes what a client sees.
//!
//! A transcript is `NAME.PROTOCOL.KIND.upstream`, what the provider sends, with what a client of chat
//! gets in `NAME.PROTOCOL.KIND.client`, a client of messages in `NAME.PROTOCOL.KIND.messages`, and one
//! of responses in `NAME.PROTOCOL.KIND.responses`, and one of Google's protocol in
//! `NAME.PROTOCOL.KIND.gemini`. After a change that is meant,
//! `UPDATE_GOLDEN=1 cargo test -p anyrouter-core --features gateway --test wire` writes the latter
//! anew; `git diff` shows the difference.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)] // transcripts are files

#[path = "wire/deviations.rs"]
mod deviations;
#[path = "wire/grammar.rs"]
mod grammar;
#[path = "wire/matrix.rs"]
mod matrix;
#[path = "wire/pairs.rs"]
mod pairs;
#[path = "wire/proofs.rs"]
mod proofs;
#[path = "wire/rewrites.rs"]
mod rewrites;

use std::{fs, path::PathBuf, sync::Arc};

use anyrouter_core::{
    catalog::{Catalog, Document, Prices, Protocol, Usd},
    ids::RequestId,
    wire::{
        adjust::Adjustments,
        answer::{Relay, plain},
        fault::AnswerFault,
        inbound::inbound,
        messages::to_anthropic_messages,
        meta::ResponseMeta,
    },
};
use bytes::Bytes;
use grammar::check;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Names of an answer from a provider of `protocol`, for a client of `client`.
fn names(protocol: Protocol, client: Protocol) -> Box<ResponseMeta> {
    let mut prices = Prices::default();
    (prices.prompt, prices.completion) = (
        Some(Usd::per_token("1").unwrap()),
        Some(Usd::per_token("2").unwrap()),
    );
    Box::new(ResponseMeta {
        id: RequestId::parse("req_000000000000000000000000").unwrap(),
        model: "lab/x".into(),
        provider: "Prov".into(),
        provider_slug: "prov".into(),
        endpoint: "prov/lab-x".into(),
        created: 1,
        latency_ms: 5,
        prices,
        include_usage: false,
        prompt_estimate: 3,
        adjusted: Adjustments::default(),
        protocol,
        client,
        faults: Arc::default(),
    })
}

/// Events of an Anthropic stream that begins well and goes on like this.
fn anthropic(events: &[&str]) -> (String, Option<AnswerFault>) {
    let mut text =
        String::from("data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n");
    for e in events {
        text.push_str(&format!("data: {e}\n\n"));
    }
    stream(Protocol::Messages, Protocol::Chat, &[text.as_bytes()])
}

#[test]
fn what_should_be_a_string_and_is_none_does_not_get_through_a_translation() {
    let start =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let lines = "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":{\"x\":\ndata: 1}}}";
    let (seen, fault) = anthropic(&[start, lines]);
    assert_eq!(
        fault,
        Some(AnswerFault::NotTheProtocol("an Anthropic stream"))
    );
    assert!(
        seen.split_terminator("\n\n").all(|e| !e.contains('\n')),
        "each event is one line: {seen}"
    );
}

#[test]
fn after_the_reason_nothing_more_of_the_answer_comes() {
    let (seen, fault) = anthropic(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"c","name":"f","input":{}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    assert_eq!(fault, None);
    let after = seen
        .split("\"finish_reason\":\"tool_calls\"")
        .nth(1)
        .unwrap();
    assert!(
        !after.contains("tool_calls") || after.contains("finishReason"),
        "{after}"
    );
    assert!(!after.contains("\"arguments\""), "{after}");
}

#[test]
fn the_arguments_of_a_call_are_whole_however_a_provider_writes_them() {
    let start = |input: &str| {
        format!(
            r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"tool_use","id":"c","name":"f","input":{input}}}}}"#
        )
    };
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#;
    let untyped =
        r#"{"type":"content_block_delta","index":0,"delta":{"partial_json":"{\"a\":1}"}}"#;
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#;
    for (events, expected) in [
        (vec![start("{}").as_str(), delta, stop, end], r#"{"a":1}"#),
        (vec![&start("{}"), untyped, stop, end], r#"{"a":1}"#),
        (vec![&start(r#"{"a":1}"#), stop, end], r#"{"a":1}"#),
        (vec![&start(r#"{"a":1}"#), end], r#"{"a":1}"#),
        (vec![&start(r#"{"a":1}"#), delta, stop, end], r#"{"a":1}"#),
        (vec![&start(r#""{\"a\":1}""#), stop, end], r#"{"a":1}"#),
        (vec![&start(r#""""#), delta, end], r#"{"a":1}"#),
        (vec![&start("null"), end], "{}"),
        (vec![&start("{}"), stop, end], "{}"),
    ] {
        let (seen, fault) = anthropic(&events);
        assert_eq!(fault, None, "{events:?}");
        let chunks = seen
            .split_terminator("\n\n")
            .filter_map(|e| serde_json::from_str::<Value>(e.strip_prefix("data: ")?).ok());
        let said: Vec<Value> = chunks
            .map(|c| c["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].clone())
            .collect();
        let arguments: String = said.iter().filter_map(Value::as_str).collect();
        assert_eq!(arguments, expected, "{events:?}");
    }
}

#[test]
fn thoughts_that_a_block_begins_with_are_not_lost() {
    let (seen, fault) = anthropic(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"hm","signature":"sig"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","name":"f","input":{}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
    ]);
    assert_eq!(fault, None);
    assert!(
        seen.contains(r#""reasoning":"hm""#) && seen.contains(r#".sig""#),
        "{seen}"
    );
    assert!(
        seen.contains(r#""id":"call_000000000000000000000000_0""#),
        "a call without an id gets one: {seen}"
    );
}

/// What a client sees of a stream whose bytes come in these pieces: the bytes, the end included, or
/// those before a fault.
fn stream(protocol: Protocol, client: Protocol, pieces: &[&[u8]]) -> (String, Option<AnswerFault>) {
    let mut relay = Relay::new(names(protocol, client), 1 << 20);
    let mut out = Vec::new();
    let text = |out: Vec<u8>| String::from_utf8(out).unwrap();
    for piece in pieces {
        match relay.feed(piece, &mut out) {
            Ok(progress) if progress.done => {
                out.extend_from_slice(&relay.last());
                return (text(out), None);
            }
            Ok(_) => {}
            Err(fault) => return (text(out), Some(fault)),
        }
    }
    match relay.end(&mut out) {
        Ok(()) => {
            out.extend_from_slice(&relay.last());
            (text(out), None)
        }
        Err(fault) => (text(out), Some(fault)),
    }
}

fn protocol(name: &str) -> Protocol {
    if name.contains(".anthropic.") {
        Protocol::Messages
    } else if name.contains(".responses.") {
        Protocol::Responses
    } else if name.contains(".google.") {
        Protocol::Gemini
    } else {
        Protocol::Chat
    }
}

/// Every transcript: its name and the provider's bytes.
fn transcripts() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut all: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "upstream"))
        .collect();
    all.sort();
    all.into_iter()
        .map(|p| (p.clone(), fs::read(p).unwrap()))
        .collect()
}

#[test]
fn golden_transcripts() {
    let all = transcripts();
    assert!(all.len() >= 8, "the transcripts are there");
    for (path, bytes) in all {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for (client, extension) in [
            (Protocol::Chat, "client"),
            (Protocol::Messages, "messages"),
            (Protocol::Responses, "responses"),
            (Protocol::Gemini, "gemini"),
        ] {
            let seen = if name.contains(".stream.") {
                let (text, fault) = stream(protocol(&name), client, &[&bytes]);
                check(client, &text, fault.is_none());
                fault.map_or(text.clone(), |f| format!("{text}fault: {f:?}\n"))
            } else {
                match plain(&names(protocol(&name), client), &bytes) {
                    Ok(answer) => String::from_utf8(answer.body.to_vec()).unwrap(),
                    Err(fault) => format!("fault: {fault:?}\n"),
                }
            };
            let golden = path.with_extension(extension);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&golden, &seen).unwrap();
            }
            assert_eq!(
                seen,
                fs::read_to_string(&golden).unwrap_or_default(),
                "{name} for {client:?}: UPDATE_GOLDEN=1 writes it anew"
            );
        }
    }
}

#[test]
fn no_single_split_of_any_transcript_changes_what_a_client_sees() {
    for (path, bytes) in transcripts()
        .into_iter()
        .filter(|(p, _)| p.to_str().unwrap().contains(".stream."))
    {
        let protocol = protocol(path.to_str().unwrap());
        for client in Protocol::ALL {
            let whole = stream(protocol, client, &[&bytes]);
            for at in 0..=bytes.len() {
                let (a, b) = bytes.split_at(at);
                assert_eq!(
                    stream(protocol, client, &[a, b]),
                    whole,
                    "{path:?} split at {at}"
                );
            }
            let each: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(
                stream(protocol, client, &each),
                whole,
                "{path:?} byte by byte"
            );
        }
    }
}

#[test]
fn a_stream_passes_byte_for_byte_between_messages_and_messages() {
    let upstream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"up\",\"id\":\"msg_up\",\"x\":1.0e0,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}  }\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"} }\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"h\\u00e9\"},\"unknown\":[1, 2]}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0       }\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2} }\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"   }\n\n",
    );
    let (seen, fault) = stream(
        Protocol::Messages,
        Protocol::Messages,
        &[upstream.as_bytes()],
    );
    assert_eq!(fault, None);
    check(Protocol::Messages, &seen, true);
    let ours = upstream
        .replace("\"up\"", "\"lab/x\"")
        .replace("msg_up", "msg_000000000000000000000000");
    let (before, last) = seen.split_at(seen.find("event: message_stop").unwrap());
    assert_eq!(before, &ours[..ours.find("event: message_stop").unwrap()]);
    assert!(
        last.contains("\"usage\":{\"inputTokens\":3,\"outputTokens\":2"),
        "{last}"
    );
}

/// The message that a client assembles from an Anthropic upstream's events, between
/// `message_start` and `message_stop`.
fn relayed(start: &Value, events: &[Value]) -> Value {
    let event = |event: &Value| {
        let name = event["type"].as_str().unwrap().lines().next().unwrap();
        format!("event: {name}\ndata: {event}\n\n")
    };
    let mut bytes = event(&json!({"type": "message_start", "message": start}));
    bytes.extend(events.iter().map(event));
    bytes.push_str(&event(&json!({"type": "message_stop"})));
    let (seen, fault) = stream(Protocol::Messages, Protocol::Messages, &[bytes.as_bytes()]);
    assert_eq!(fault, None, "{events:?}");
    check(Protocol::Messages, &seen, true);
    let whole = plain(
        &names(Protocol::Messages, Protocol::Messages),
        bytes.as_bytes(),
    )
    .unwrap();
    let whole: Value = serde_json::from_slice(&whole.body).unwrap();
    // Packages read these members without asking.
    for member in ["/type", "/role", "/content", "/usage/output_tokens"] {
        assert!(whole.pointer(member).is_some(), "{member}: {whole}");
    }
    let first: Value = serde_json::from_str(
        seen.lines()
            .find_map(|line| line.strip_prefix("data: "))
            .unwrap(),
    )
    .unwrap();
    assert!(first["message"]["content"].is_array() && first["message"]["usage"].is_object());
    assert!(
        seen.split("\n\n")
            .filter(|event| event.starts_with("event: message_delta"))
            .all(|event| event.contains("\"output_tokens\":")),
        "{seen}"
    );
    whole
}

#[test]
fn deviations_of_compatible_providers_lose_nothing() {
    let start = json!({"id": "m", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}});
    let begin = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let end = |index: u64| json!({"type": "content_block_stop", "index": index});
    let finish = |reason: &str, usage: Value| json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage});
    let text = || json!({"type": "text", "text": ""});
    let says = |text: &str| json!({"type": "text_delta", "text": text});
    let is = |text: &str| json!({"type": "text", "text": text});
    let usage = json!({"output_tokens": 7});
    let tool = |id: Value, input: Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});

    let bare = json!({"id": "m", "content": null, "usage": null});
    let message = relayed(
        &bare,
        &[
            begin(0, json!({"type": "text", "text": null})),
            delta(0, says("a")),
            end(0),
            finish("end_turn", json!(null)),
        ],
    );
    assert_eq!(message["content"], json!([is("a")]), "missing members");

    let message = relayed(
        &start,
        &[
            begin(1, text()),
            delta(1, says("a")),
            end(1),
            begin(3, text()),
            delta(3, says("b")),
            end(3),
            finish("end_turn", usage.clone()),
        ],
    );
    assert_eq!(
        message["content"],
        json!([is("a"), is("b")]),
        "gaps between indexes"
    );

    let message = relayed(
        &start,
        &[
            begin(0, text()),
            delta(0, says("a")),
            begin(0, text()),
            delta(0, says("b")),
            end(0),
            finish("end_turn", usage.clone()),
        ],
    );
    assert_eq!(
        message["content"],
        json!([is("a"), is("b")]),
        "an index that is used again"
    );

    let message = relayed(
        &start,
        &[
            begin(0, text()),
            begin(1, text()),
            delta(1, says("b")),
            delta(0, says("a")),
            end(0),
            delta(1, says("c")),
            finish("end_turn", usage.clone()),
        ],
    );
    assert_eq!(
        message["content"],
        json!([is("a"), is("bc")]),
        "blocks that overlap, and one that stays open"
    );

    let message = relayed(
        &start,
        &[
            begin(0, text()),
            delta(0, json!({"text": "a"})),
            delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, says("b")),
            end(0),
            finish("end_turn", usage.clone()),
        ],
    );
    assert_eq!(
        message["content"],
        json!([is("a"), {"type": "thinking", "thinking": "hm", "signature": ""}, is("b")]),
        "deltas without a type, and in a block of another kind"
    );

    let message = relayed(
        &start,
        &[
            begin(0, tool(json!(""), json!("{\"a\":1}"))),
            end(0),
            begin(1, tool(json!("t"), json!(null))),
            delta(
                1,
                json!({"type": "input_json_delta", "partial_json": "{\"b\":12345678901234567890123}"}),
            ),
            end(1),
            finish("end_turn", usage.clone()),
        ],
    );
    assert_eq!(
        message["content"][0],
        tool(json!("call_000000000000000000000000_0"), json!({"a": 1}))
    );
    assert_eq!(message["stop_reason"], "tool_use", "calls decide");

    let message = relayed(
        &start,
        &[
            begin(0, text()),
            delta(0, says("a")),
            json!({"type": "message_delta", "delta": {}, "usage": usage}),
            finish("end_turn", json!(null)),
        ],
    );
    assert_eq!(
        message["usage"]["output_tokens"], 7,
        "usage before the stop reason"
    );
    let message = relayed(
        &start,
        &[
            begin(0, text()),
            finish("end_turn", json!({"output_tokens": 0})),
            json!({"type": "message_delta", "delta": {}, "usage": usage}),
        ],
    );
    assert_eq!(
        message["usage"]["output_tokens"], 7,
        "usage after the stop reason"
    );
    assert_eq!(message["stop_reason"], "end_turn");

    let message = relayed(
        &start,
        &[
            begin(0, json!({"type": "compaction", "content": null})),
            delta(0, json!({"type": "compaction_delta", "content": "short"})),
            end(0),
            json!({"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "XX"}, "usage": {"output_tokens": 1}, "context_management": {"applied_edits": []}}),
            json!({"type": "message_delta", "delta": {}, "usage": {"input_tokens": null, "output_tokens": 7}}),
        ],
    );
    assert_eq!(message["content"][0]["content"], "short");
    assert_eq!(
        (
            &message["stop_sequence"],
            &message["usage"]["output_tokens"],
            &message["usage"]["input_tokens"]
        ),
        (&json!("XX"), &json!(7), &json!(3)),
        "later events take nothing away: {message}"
    );
    assert!(message["context_management"].is_object());

    let empty =
        json!({"id": "m", "type": "message", "role": "assistant", "content": "", "usage": {}});
    let message = relayed(
        &empty,
        &[
            json!({"type": "notice", "message": "hello", "delta": 5}),
            begin(0, text()),
            delta(0, json!({"type": "text_delta", "text": null})),
            delta(0, says("a")),
            end(0),
            finish("end_turn", usage.clone()),
        ],
    );
    assert_eq!(
        message["content"],
        json!([is("a")]),
        "members that have another type"
    );

    let unknown = json!({"type": "hologram", "text": {"x": 1}, "id": 5});
    let message = relayed(
        &start,
        &[
            json!({"type": "zzz\n\nevent: error\ndata: {}"}),
            begin(0, unknown.clone()),
            delta(0, json!({"type": "ray", "text": 7})),
            end(0),
            finish("end_turn", usage.clone()),
        ],
    );
    assert_eq!(
        message["content"],
        json!([unknown]),
        "blocks that are not known yet"
    );
}

#[test]
fn a_whole_message_that_deviates_is_repaired_and_any_other_passes() {
    let pass = |body: &str| {
        let answer = plain(
            &names(Protocol::Messages, Protocol::Messages),
            body.as_bytes(),
        )
        .unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let conforming = r#"{"id": "m", "type": "message", "role":"assistant", "model": "up", "content": [ {"type":"tool_use","id":"t","name":"f","input":{"n":12345678901234567890123}} ],"stop_reason":"tool_use", "usage":{"input_tokens":1,"output_tokens":2} ,"x":1.0e0}"#;
    let ours = conforming
        .replace("\"m\"", "\"msg_000000000000000000000000\"")
        .replace("\"up\"", "\"lab/x\"");
    assert!(pass(conforming).starts_with(ours.strip_suffix('}').unwrap()));
    let deviating = r#"{"content":[{"type":"text","text":null},{"type":"tool_use","name":"f","input":"{\"a\":1}"}],"stop_reason":"end_turn"}"#;
    let message: Value = serde_json::from_str(&pass(deviating)).unwrap();
    assert_eq!(
        message["content"],
        json!([
            {"type": "text", "text": ""},
            {"type": "tool_use", "name": "f", "input": {"a": 1}, "id": "call_000000000000000000000000_0"}
        ])
    );
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["role"], "assistant");
    assert!(message["usage"]["output_tokens"].is_u64());
}

#[test]
fn the_meter_is_the_same_for_every_client() {
    for (path, bytes) in transcripts() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.contains(".stream.") {
            let meters = Protocol::ALL.map(|client| {
                let mut relay = Relay::new(names(protocol(&name), client), 1 << 20);
                let _ = relay.feed(&bytes, &mut Vec::new());
                let meter = relay.meter();
                (
                    meter.tokens,
                    meter.finish_reason.clone(),
                    meter.native_finish_reason.clone(),
                    meter.upstream_id.clone(),
                )
            });
            assert!(meters.iter().all(|m| *m == meters[0]), "{name}: {meters:?}");
        }
    }
}

/// The blocks that a client of Anthropic's protocol reads from a chat upstream's deltas, sent in
/// one piece and event by event.
fn blocks_of_chat(deltas: &[Value], finish: &str) -> Value {
    let chunk = |delta: &Value, finish: Option<&str>| {
        let chunk =
            json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let mut chunks: Vec<String> = deltas.iter().map(|d| chunk(d, None)).collect();
    chunks.push(chunk(&json!({}), Some(finish)));
    chunks.push("data: [DONE]\n\n".to_owned());
    let whole = chunks.concat();
    let pieces: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
    let (seen, fault) = stream(Protocol::Chat, Protocol::Messages, &pieces);
    assert_eq!(fault, None);
    assert_eq!(
        stream(Protocol::Chat, Protocol::Messages, &[whole.as_bytes()]).0,
        seen
    );
    check(Protocol::Messages, &seen, true);
    let answer = plain(&names(Protocol::Chat, Protocol::Messages), whole.as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    json!([answer["content"], answer["stop_reason"]])
}

fn call(index: u64, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": format!("t{index}"), "function": {"name": "f", "arguments": arguments}}]})
}

fn piece(index: u64, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

#[test]
fn pieces_of_calls_mix_with_each_other_and_with_text() {
    let tool = |n: u64, input: Value| json!({"type": "tool_use", "id": format!("t{n}"), "name": "f", "input": input});
    let text = |text: &str| json!({"type": "text", "text": text});
    let cases = [
        // Pieces without content follow a call that is complete.
        (
            vec![
                call(0, "{\"a\":1}"),
                call(1, ""),
                piece(0, "\n"),
                piece(0, ""),
                piece(1, "{\"b\":2}"),
            ],
            json!([tool(0, json!({"a": 1})), tool(1, json!({"b": 2}))]),
        ),
        // Text, and reasoning, interrupt a call.
        (
            vec![call(0, "{\"a\":"), json!({"content": "\n"}), piece(0, "1}")],
            json!([tool(0, json!({"a": 1})), text("\n")]),
        ),
        (
            vec![
                json!({"content": "x"}),
                call(0, "{\"a\":"),
                json!({"reasoning_content": "hm"}),
                piece(0, "1}"),
                json!({"content": "y"}),
            ],
            json!([text("x"), tool(0, json!({"a": 1})), {"type": "thinking", "thinking": "hm", "signature": "anyrouter.openai_chat.proof.2990267db99b."}, text("y")]),
        ),
        // Calls interleave, and one has no arguments.
        (
            vec![
                call(0, ""),
                call(1, "{\"b\":"),
                call(2, "{"),
                piece(2, "}"),
                piece(1, "[\"}\"]}"),
            ],
            json!([
                tool(0, json!({})),
                tool(1, json!({"b": ["}"]})),
                tool(2, json!({}))
            ]),
        ),
    ];
    let odd = json!({"tool_calls": [{"index": 0, "id": "functions.get:0", "function": {"name": "f", "arguments": "{}"}}]});
    let seen = blocks_of_chat(&[odd], "tool_calls");
    let id = seen[0][0]["id"].as_str().unwrap();
    assert!(
        id.starts_with("toolu_") && id.len() == 30,
        "Anthropic would refuse the id in the next turn: {seen}"
    );
    for (deltas, content) in cases {
        let seen = blocks_of_chat(&deltas, "tool_calls");
        assert_eq!(seen, json!([content, "tool_use"]), "{deltas:?}");
    }
}

#[test]
fn a_character_that_is_cut_in_two_arrives_whole() {
    let chunk =
        |delta: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
    let stream = [
        chunk(r#"{"content":"A\ud83d"}"#),
        chunk(r#"{"content":"\ude00B"}"#),
        chunk(r#"{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{\"a\":\"\ud83d"}}]}"#),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"\ude00\"}"}}]}"#),
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let answer = plain(
        &names(Protocol::Chat, Protocol::Messages),
        stream.as_bytes(),
    )
    .unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["content"][0]["text"], "A😀B");
    assert_eq!(answer["content"][1]["input"], json!({"a": "😀"}));
}

#[test]
fn a_refusal_is_one_for_every_client() {
    let seen = blocks_of_chat(&[json!({"refusal": "No."})], "stop");
    assert_eq!(seen, json!([[{"type": "text", "text": "No."}], "refusal"]));
    let whole = json!({"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": null, "refusal": "No."}, "finish_reason": "stop"}]});
    let answer = plain(
        &names(Protocol::Chat, Protocol::Messages),
        whole.to_string().as_bytes(),
    )
    .unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["stop_reason"], "refusal");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\é]{1,6}", inner, 0..3)
                .prop_map(Value::from_iter)
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-z\"\\\\é]{1,6}", value(), 0..4).prop_map(Value::from_iter)
}

proptest! {
    #[test]
    fn tool_arguments_arrive_equal_whatever_pieces_they_come_in(arguments in object(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let text = serde_json::to_string(&arguments).unwrap();
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).filter(|i| text.is_char_boundary(*i)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let mut events = vec![
            json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
        ];
        events.extend(at.windows(2).map(|w| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": &text[w[0]..w[1]]}})));
        events.extend([json!({"type": "content_block_stop", "index": 0}), json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}}), json!({"type": "message_stop"})]);
        let bytes: String = events.iter().map(|e| format!("event: x\ndata: {e}\n\n")).collect();
        let (seen, fault) = stream(Protocol::Messages, Protocol::Chat, &[bytes.as_bytes()]);
        prop_assert_eq!(fault, None);
        let joined: String = seen
            .split("\n\n")
            .filter_map(|e| serde_json::from_str::<Value>(e.strip_prefix("data: ")?).ok())
            .filter_map(|c| c["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str().map(ToOwned::to_owned))
            .collect();
        prop_assert_eq!(serde_json::from_str::<Value>(&joined).unwrap(), arguments.clone());

        let whole = json!({"id": "m", "type": "message", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": arguments}], "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
        let answer = plain(&names(Protocol::Messages, Protocol::Chat), whole.to_string().as_bytes()).unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let got: Value = serde_json::from_str(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap()).unwrap();
        prop_assert_eq!(got, whole["content"][0]["input"].clone());
    }

    #[test]
    fn what_a_client_sends_is_translated_or_refused_and_always_json(content in value(), arguments in value(), stop in value(), choice in value()) {
        let toml = "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"";
        let catalog = Catalog::from_documents(&[Document::from_toml(toml).unwrap()]).unwrap();
        let body = json!({"model": "a/m", "stop": stop, "tool_choice": choice, "messages": [
            {"role": "user", "content": content}, {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": arguments.to_string()}}]}, {"role": "tool", "tool_call_id": "t", "content": "x"}]});
        let request = inbound(Protocol::Chat, Bytes::from(body.to_string()), 64).unwrap();
        if let Ok(out) = to_anthropic_messages(&request, &catalog.endpoints()[0], None, &mut Adjustments::default()) {
            let out: Value = serde_json::from_slice(&out).unwrap();
            let roles: Vec<&str> = out["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
            prop_assert!(roles.windows(2).all(|w| w[0] != w[1]), "turns alternate: {roles:?}");
            prop_assert!(out["messages"].as_array().unwrap().iter().all(|m| !m["content"].as_array().unwrap().is_empty()), "no turn is empty");
        }
    }

    #[test]
    fn no_bytes_of_an_upstream_make_a_relay_panic_or_emit_what_is_not_an_event(noise in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(), client in prop::sample::select(&Protocol::ALL[..])) {
        let all: Vec<(PathBuf, Vec<u8>)> = transcripts().into_iter().filter(|(p, _)| p.to_str().unwrap().contains(".stream.")).collect();
        let (path, bytes) = &all[which.index(all.len())];
        let at = at.index(bytes.len() + 1);
        let damaged = [&bytes[..at], &noise, &bytes[at..]].concat();
        let mut relay = Relay::new(names(protocol(path.to_str().unwrap()), client), 1 << 16);
        let mut out = Vec::new();
        if relay.feed(&damaged, &mut out).is_ok_and(|p| !p.done) {
            let _ = relay.end(&mut out);
        }
        for line in out.split(|b| matches!(b, b'\n' | b'\r')) {
            if let Some(data) = line.strip_prefix(b"data: ") {
                prop_assert!(data.is_empty() || serde_json::from_slice::<Value>(data).is_ok(), "{}", String::from_utf8_lossy(data));
            }
        }
    }
}
