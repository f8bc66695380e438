//! Streams of compatible providers that deviate from their protocol: nothing is lost, and a client of
//! every protocol gets a stream in the order that its own protocol states.

use anyrouter_core::{catalog::Protocol, wire::answer::plain};
use serde_json::{Value, json};

use crate::{
    grammar::check,
    names,
    pairs::{Answer, Finish, Said, keeps_order},
    stream,
};

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

fn call(id: &str, arguments: Value) -> Said {
    Said::Call {
        id: id.to_owned(),
        name: "weather".to_owned(),
        arguments,
    }
}

/// Checks what clients of every protocol see of a provider's stream. A call with an empty id has one
/// that the gateway makes.
fn says(provider: Protocol, upstream: &str, said: &[Said], finish: Finish) {
    let expected = Answer {
        said: said.to_vec(),
        finish,
    };
    for client in Protocol::ALL {
        let (seen, fault) = stream(provider, client, &[upstream.as_bytes()]);
        assert_eq!(fault, None, "{client:?}: {upstream}\n{seen}");
        check(client, &seen, true);
        let mut got = Answer::read(client, seen.as_bytes(), true).joined();
        let mut wanted = expected.clone();
        if !keeps_order(client) {
            (got, wanted) = (
                got.without_order().joined(),
                wanted.without_order().joined(),
            );
        }
        for (got, wanted) in got.said.iter_mut().zip(&wanted.said) {
            if let (Said::Call { id, .. }, Said::Call { id: none, .. }) = (got, wanted)
                && none.is_empty()
            {
                let id = std::mem::take(id);
                assert!(client == provider || !id.is_empty(), "{client:?}: {seen}");
            }
        }
        assert_eq!(got, wanted, "{client:?}: {upstream}\n{seen}");
    }
}

/// A Responses stream of these events, each with its number.
fn responses(events: &[Value]) -> String {
    let event = |(number, event): (usize, &Value)| {
        let mut event = event.clone();
        event["sequence_number"] = json!(number);
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    };
    events.iter().enumerate().map(event).collect()
}

fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "resp_up", "object": "response", "status": "in_progress", "model": "up", "output": []}})
}

fn ended(status: &str, output: Value) -> Value {
    json!({"type": format!("response.{status}"), "response": {"id": "resp_up", "object": "response", "status": status, "model": "up", "output": output,
        "incomplete_details": if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null },
        "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}}})
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn delta(index: u64, text: &str) -> Value {
    json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": index, "content_index": 0, "delta": text})
}

fn function_call(arguments: &str) -> Value {
    json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": arguments, "status": "completed"})
}

#[test]
fn items_that_a_responses_provider_does_not_announce_are_not_lost() {
    let hello = [text("Hello")];
    for events in [
        // Text without any item.
        vec![
            created(),
            delta(0, "Hel"),
            delta(0, "lo"),
            ended("completed", json!([message("Hello")])),
        ],
        // The same, and a last event that leaves its items out.
        vec![
            created(),
            delta(0, "Hel"),
            delta(0, "lo"),
            ended("completed", json!([])),
        ],
        // An item without its part.
        vec![
            created(),
            json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []}}),
            delta(0, "Hello"),
            ended("completed", json!([message("Hello")])),
        ],
        // Only the whole item.
        vec![
            created(),
            json!({"type": "response.output_item.done", "output_index": 0, "item": message("Hello")}),
            ended("completed", json!([message("Hello")])),
        ],
        // Only the last event.
        vec![created(), ended("completed", json!([message("Hello")]))],
        // No first event.
        vec![delta(0, "Hello"), ended("completed", json!([]))],
        // A text and its end under other ids than it was announced with.
        vec![
            created(),
            json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "other", "status": "in_progress", "role": "assistant", "content": []}}),
            delta(0, "Hello"),
            json!({"type": "response.output_item.done", "output_index": 0, "item": message("Hello")}),
            ended("completed", json!([message("Hello")])),
        ],
    ] {
        says(
            Protocol::Responses,
            &responses(&events),
            &hello,
            Finish::Done,
        );
    }
}

#[test]
fn calls_that_a_responses_provider_writes_otherwise_arrive_whole() {
    let arguments = json!({"city": "Bern"});
    let text = arguments.to_string();
    let added = |id: Value| json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "id": "fc_1", "call_id": id, "name": "weather", "arguments": "", "status": "in_progress"}});
    let piece = |piece: &str| json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": piece});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": function_call(&text)});
    for events in [
        // In pieces, without the event of the whole.
        vec![
            created(),
            added(json!("call_1")),
            piece(&text[..5]),
            piece(&text[5..]),
            ended("completed", json!([function_call(&text)])),
        ],
        // Whole, without pieces.
        vec![
            created(),
            added(json!("call_1")),
            done.clone(),
            ended("completed", json!([])),
        ],
        vec![
            created(),
            done.clone(),
            ended("completed", json!([function_call(&text)])),
        ],
        // Only in the last event.
        vec![created(), ended("completed", json!([function_call(&text)]))],
    ] {
        let calls = [call("call_1", arguments.clone())];
        says(
            Protocol::Responses,
            &responses(&events),
            &calls,
            Finish::Calls,
        );
    }
}

#[test]
fn a_response_that_is_incomplete_says_so_to_every_client() {
    let events = [
        created(),
        delta(0, "Hel"),
        ended("incomplete", json!([message("Hel")])),
    ];
    says(
        Protocol::Responses,
        &responses(&events),
        &[text("Hel")],
        Finish::Limit,
    );
}

#[test]
fn a_response_that_failed_is_a_fault_wherever_its_error_stands() {
    let error = json!({"code": "server_error", "message": "secret"});
    let failed = |more: Value| {
        let mut event = json!({"type": "response.failed", "response": {"id": "resp_up", "object": "response", "model": "up", "output": []}});
        let members = more.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(members);
        event
    };
    for last in [
        failed(
            json!({"response": {"id": "resp_up", "object": "response", "status": "failed", "model": "up", "output": [], "error": error}}),
        ),
        failed(json!({ "error": error })),
        failed(json!({})),
        json!({"type": "error", "code": "server_error", "message": "secret"}),
        json!({ "type": "error", "error": error }),
    ] {
        for client in Protocol::ALL {
            let upstream = responses(&[created(), delta(0, "Hel"), last.clone()]);
            let (seen, fault) = stream(Protocol::Responses, client, &[upstream.as_bytes()]);
            assert!(fault.is_some(), "{client:?}: {last}\n{seen}");
            assert!(!seen.contains("secret"), "{client:?}: {seen}");
            check(client, &seen, false);
        }
    }
}

/// A stream in Google's protocol: the parts of each chunk, and its finish reason.
fn gemini(chunks: &[(Value, Option<&str>)]) -> String {
    let chunk = |(parts, finish): &(Value, Option<&str>)| {
        let mut chunk = json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}, "modelVersion": "up", "responseId": "up"});
        if let Some(finish) = finish {
            chunk["candidates"][0]["finishReason"] = json!(finish);
        }
        format!("data: {chunk}\r\n\r\n")
    };
    chunks.iter().map(chunk).collect()
}

#[test]
fn chunks_of_googles_protocol_that_deviate_lose_nothing() {
    let hello = [text("Hello")];
    for chunks in [
        // The finish reason stands in every chunk.
        vec![
            (json!([{"text": "Hel"}]), Some("STOP")),
            (json!([{"text": "lo"}]), Some("STOP")),
        ],
        // Parts that are empty or absent.
        vec![
            (json!([]), None),
            (json!([{"text": "Hello"}]), None),
            (json!([{"text": ""}]), Some("STOP")),
        ],
        vec![
            (json!([{"text": "Hello"}]), None),
            (Value::Null, Some("STOP")),
        ],
    ] {
        says(Protocol::Gemini, &gemini(&chunks), &hello, Finish::Done);
    }
    // Several calls without ids, in one chunk and in several.
    let one = json!({"functionCall": {"name": "weather", "args": {"n": 1}}});
    let two = json!({"functionCall": {"name": "weather", "args": {"n": 2}}});
    let calls = [call("", json!({"n": 1})), call("", json!({"n": 2}))];
    for chunks in [
        vec![(json!([one, two]), Some("STOP"))],
        vec![(json!([one]), None), (json!([two]), Some("STOP"))],
        vec![(json!([one]), Some("STOP")), (json!([two]), Some("STOP"))],
    ] {
        says(Protocol::Gemini, &gemini(&chunks), &calls, Finish::Calls);
    }
}

#[test]
fn a_call_without_an_id_is_one_call() {
    let item = json!({"type": "function_call", "name": "f", "arguments": "{}"});
    let events = [
        json!({"type": "response.created", "response": {"id": "r", "status": "in_progress"}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}}),
    ];
    let theirs: String = events.iter().map(|e| format!("data: {e}\n\n")).collect();
    let answer = plain(
        &names(Protocol::Responses, Protocol::Chat),
        theirs.as_bytes(),
    )
    .unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let calls = &answer["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls.as_array().unwrap().len(), 1, "{answer}");
}

#[test]
fn a_call_that_broke_off_is_not_made() {
    let of = |arguments: &str| {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let theirs = json!({"id": "x", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [call]}}]});
        // Half a character, as some servers write it.
        let theirs = theirs.to_string().replace("HALF", "\\ud83d");
        let answer = plain(
            &names(Protocol::Chat, Protocol::Messages),
            theirs.as_bytes(),
        );
        serde_json::from_slice::<Value>(&answer.unwrap().body).unwrap()
    };
    let broken = of("{\"a\": \"unfin");
    assert_eq!(broken["content"], json!([]));
    assert_eq!(broken["stop_reason"], "max_tokens");
    assert_eq!(
        broken["anyrouter_metadata"]["omitted"],
        json!(["response: a call that broke off"])
    );
    assert_eq!(of(" ")["content"][0]["input"], json!({}));
    let half = of("{\"k\": \"aHALFb\"}");
    assert_eq!(half["content"][0]["input"], json!({"k": "a\u{fffd}b"}));
}

#[test]
fn one_part_that_cannot_be_read_does_not_take_the_others_away() {
    for content in [
        json!([null, {"type": "output_text", "text": "hello"}]),
        json!("hello"),
    ] {
        let theirs = json!({"id": "r", "status": "completed", "output": [{"type": "message", "role": "assistant", "content": content}]});
        let answer = plain(
            &names(Protocol::Responses, Protocol::Chat),
            theirs.to_string().as_bytes(),
        );
        let answer: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "hello");
    }
}
