//! What real providers do, and what a client sees of it: failures in every shape, deviations from
//! the protocol, waits.

use serde_json::{Value, json};

use crate::{
    harness::{CLEAN, Server, Setup, data, every_protocol, text_of},
    upstream::{Act, Upstream, anthropic, chunks, completion, message},
};

/// One model at `first`, of this protocol, and then at `second`.
fn fallback(upstream: &Upstream, protocol: &str) -> Server {
    Setup::new()
        .provider("first", protocol, upstream, "")
        .provider("second", "openai_chat", upstream, "")
        .model(
            "lab/x",
            &[
                ("first", "f", "priority = 1"),
                ("second", "s", "priority = 2"),
            ],
        )
        .start()
}

fn sse(events: &[&str]) -> Act {
    Act::Events(events.iter().map(|e| format!("{e}\n\n")).collect())
}

const ROLE: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"f","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
const HALF: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"f","choices":[{"index":0,"delta":{"content":"Half"},"finish_reason":null}]}"#;
const STOP: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"f","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const DONE: &str = "data: [DONE]";

#[test]
fn a_stream_that_fails_before_it_gave_anything_is_answered_by_another_endpoint() {
    let azure = r#"data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}"#;
    for (protocol, events) in [
        (
            "openai_chat",
            vec![r#"data: {"object":"error","message":"secret","code":500}"#],
        ),
        ("openai_chat", vec![r#"data: {"detail":"secret"}"#]),
        (
            "openai_chat",
            vec!["event: error\ndata: {\"message\":\"secret\"}"],
        ),
        ("openai_chat", vec![r#"data: {"error":"secret"}"#]),
        ("openai_chat", vec![DONE]),
        ("openai_chat", vec![ROLE, DONE]),
        (
            "openai_chat",
            vec![ROLE, r#"data: {"error":{"message":"secret","code":503}}"#],
        ),
        (
            "openai_chat",
            vec![azure, ROLE, r#"data: {"error":{"message":"secret"}}"#],
        ),
        ("openai_chat", vec![ROLE]),
        (
            "anthropic_messages",
            vec![
                r#"data: {"type":"message_start","message":{"id":"m"}}"#,
                r#"data: {"type":"error","error":{"type":"overloaded_error","message":"secret"}}"#,
            ],
        ),
        (
            "anthropic_messages",
            vec![
                r#"data: {"type":"message_start","message":{"id":"m"}}"#,
                "event: ping\ndata: {\"type\":\"ping\"}",
                r#"data: {"type":"message_stop"}"#,
            ],
        ),
    ] {
        let upstream = Upstream::start();
        upstream.on("f", vec![sse(&events)]);
        upstream.on("s", vec![Act::Events(chunks(&["Whole"]))]);
        let server = fallback(&upstream, protocol);
        let response = server.chat("lab/x", json!({"stream": true}));
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = response.text().unwrap();
        assert_eq!(text_of(&data(&text)), "Whole", "{events:?}: {text}");
        assert!(!text.contains("secret"), "{text}");
        let record = server.record_of(&id);
        assert_eq!(
            (
                &record["outcome"],
                record["attempts"].as_array().unwrap().len()
            ),
            (&json!("ok"), 2),
            "{events:?}"
        );
    }
}

#[test]
fn a_response_that_fails_after_it_began_is_no_success_and_costs_what_it_used() {
    for end in [
        vec![r#"data: {"object":"error","message":"secret"}"#],
        vec!["event: error\ndata: secret"],
        vec![DONE],
        vec![],
        vec![
            r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#,
            DONE,
        ],
    ] {
        let upstream = Upstream::start();
        let mut events = vec![ROLE, HALF];
        events.extend(&end);
        upstream.on("f", vec![sse(&events)]);
        let server = fallback(&upstream, "openai_chat");
        let response = server.chat("lab/x", json!({"stream": true}));
        assert_eq!(response.status(), 200);
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = response.text().unwrap();
        let events = data(&text);
        let last = events.last().unwrap();
        assert_eq!(
            (
                &last["choices"][0]["finish_reason"],
                last["error"]["code"].is_string()
            ),
            (&json!("error"), true),
            "{end:?}: {text}"
        );
        assert!(
            !text.contains("[DONE]") && !text.contains("secret") && last.get("usage").is_none(),
            "{text}"
        );
        let record = server.record_of(&id);
        assert_eq!(
            (&record["outcome"], &record["finish_reason"]),
            (&json!("upstream_error"), &Value::Null),
            "{end:?}"
        );
        assert_eq!(
            upstream.seen_of("s").len(),
            0,
            "the client was given something, so no other endpoint is asked"
        );
    }
}

#[test]
fn a_stream_that_gave_its_finish_reason_is_complete_without_its_last_event() {
    let upstream = Upstream::start();
    upstream.on("o", vec![sse(&[ROLE, HALF, STOP])]);
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Half"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 7}}),
    ];
    upstream.on("a", vec![Act::Events(anthropic(&events))]);
    let server = every_protocol(&upstream).start();
    for (model, prompt) in [("lab/open", Value::Null), ("lab/anth", json!(9))] {
        let response = server.chat(model, json!({"stream": true}));
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = response.text().unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        let record = server.record_of(&id);
        assert_eq!(record["outcome"], "ok", "{record}");
        if !prompt.is_null() {
            assert_eq!(
                record["tokens_prompt"], prompt,
                "zeros in the last event say nothing: {record}"
            );
        }
    }
}

#[test]
fn a_stream_that_gave_its_finish_reason_is_complete_however_its_connection_ends() {
    let stop = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}});
    let start = json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}});
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Half"}});
    let anthropic_events = anthropic(&[start, block, stop]);
    let open = |last: &str| {
        Act::Events(
            [ROLE, HALF, STOP]
                .iter()
                .map(|e| format!("{e}\n\n"))
                .chain([last.to_owned()])
                .collect(),
        )
    };
    let whole = |events: &[&str]| {
        events
            .iter()
            .map(|e| format!("{e}\n\n"))
            .collect::<Vec<_>>()
    };
    for (model, name, act) in [
        ("lab/open", "o", open("data: {\"choices\":[],\"usa")),
        ("lab/open", "o", open("data: no JSON\n\n")),
        (
            "lab/open",
            "o",
            Act::PauseBreak(whole(&[ROLE, HALF]), whole(&[STOP])),
        ),
        (
            "lab/anth",
            "a",
            Act::Events([anthropic_events.clone(), vec![format!("{DONE}\n\n")]].concat()),
        ),
        (
            "lab/anth",
            "a",
            Act::PauseBreak(anthropic_events.clone(), vec![]),
        ),
    ] {
        let upstream = Upstream::start();
        upstream.on(name, vec![act.clone()]);
        upstream.go_on();
        let server = every_protocol(&upstream).start();
        let response = server.chat(model, json!({"stream": true}));
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = response.text().unwrap();
        assert!(
            text.ends_with("data: [DONE]\n\n"),
            "{model} {act:?}: {text}"
        );
        assert_eq!(server.record_of(&id)["outcome"], "ok", "{model} {act:?}");
    }
}

#[test]
fn a_plain_200_without_a_choice_or_with_an_error_is_answered_by_another_endpoint() {
    for body in [
        json!({"id": "c", "object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}}),
        json!({"object": "error", "message": "secret", "type": "internal_server_error"}),
        json!({"detail": "secret"}),
        json!({"error": "secret"}),
        json!({"choices": [{"index": 0, "finish_reason": "stop"}]}),
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Half"}, "finish_reason": null}]}),
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Half"}, "finish_reason": "network_error"}]}),
        json!({"object": "error", "message": "secret", "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]}),
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "error", "error": {"code": 502, "message": "secret"}}]}),
        json!([]),
    ] {
        let upstream = Upstream::start();
        upstream.on("f", vec![Act::Json(200, body.clone())]);
        upstream.on("s", vec![Act::Json(200, completion("Whole"))]);
        let server = fallback(&upstream, "openai_chat");
        let answer: Value = server.chat("lab/x", json!({})).json().unwrap();
        assert_eq!(
            answer["choices"][0]["message"]["content"], "Whole",
            "{body}: {answer}"
        );
    }
}

#[test]
fn what_is_the_providers_is_tried_elsewhere_and_what_is_the_requests_is_not() {
    for (protocol, status, body, elsewhere) in [
        (
            "openai_chat",
            400,
            json!([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid. Please pass a valid API key.", "details": [{"reason": "API_KEY_INVALID"}]}}]),
            true,
        ),
        (
            "openai_chat",
            400,
            json!({"code": "invalid-argument", "error": "Incorrect API key provided. You can obtain one"}),
            true,
        ),
        (
            "openai_chat",
            400,
            json!({"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "User location is not supported for the API use."}}),
            true,
        ),
        (
            "openai_chat",
            403,
            json!({"error": {"code": "unsupported_country_region_territory", "type": "request_forbidden"}}),
            true,
        ),
        (
            "openai_chat",
            498,
            json!({"error": {"code": "capacity_exceeded"}}),
            true,
        ),
        (
            "openai_chat",
            413,
            json!({"error": {"type": "tokens", "code": "rate_limit_exceeded"}}),
            true,
        ),
        ("openai_chat", 424, json!({}), true),
        ("openai_chat", 524, json!({}), true),
        (
            "anthropic_messages",
            529,
            json!({"type": "error", "error": {"type": "overloaded_error"}}),
            true,
        ),
        (
            "anthropic_messages",
            400,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "You have reached your specified API usage limits. You will regain access on"}}),
            true,
        ),
        (
            "openai_chat",
            400,
            json!({"error": {"code": "context_length_exceeded", "type": "invalid_request_error"}}),
            false,
        ),
        (
            "openai_chat",
            403,
            json!({"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "Hello"}}}),
            false,
        ),
        (
            "openai_chat",
            400,
            json!({"error": {"code": "content_filter"}}),
            false,
        ),
        (
            "openai_chat",
            422,
            json!({"detail": [{"loc": ["body", "messages"], "type": "missing", "msg": "Field required", "input": "Hello"}]}),
            false,
        ),
    ] {
        let upstream = Upstream::start();
        upstream.on("f", vec![Act::Json(status, body.clone())]);
        upstream.on("s", vec![Act::Json(200, completion("Whole"))]);
        let server = fallback(&upstream, protocol);
        let response = server.chat("lab/x", json!({}));
        assert_eq!(
            response.status().is_success(),
            elsewhere,
            "{status} {body}: {}",
            response.text().unwrap()
        );
        assert_eq!(
            upstream.seen_of("s").len(),
            usize::from(elsewhere),
            "{status} {body}"
        );
        // An endpoint that failed rests; one that refused a request does not.
        let next = server.chat("lab/x", json!({}));
        assert_eq!(
            upstream.seen_of("f").len(),
            if elsewhere { 1 } else { 2 },
            "{status} {body}: {}",
            next.status()
        );
    }
}

#[test]
fn a_moderation_refusal_tells_the_caller_so_and_keeps_nobody_else_waiting() {
    let upstream = Upstream::start();
    let flagged = json!({"error": {"code": 403, "message": "Input flagged: secret", "metadata": {"reasons": ["violence"], "flagged_input": "Hello"}}});
    upstream.on(
        "o",
        vec![Act::Json(403, flagged), Act::Json(200, completion("Fine"))],
    );
    let server = every_protocol(&upstream).start();
    let response = server.chat("lab/open", json!({}));
    let answer: Value = response.json().unwrap();
    assert_eq!(
        (&answer["error"]["http_status"], &answer["error"]["code"]),
        (&json!(403), &json!("content_policy_violation")),
        "{answer}"
    );
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("moderation"),
        "{answer}"
    );
    assert!(
        !answer.to_string().contains("Hello") && !answer.to_string().contains("secret"),
        "{answer}"
    );
    assert_eq!(
        server.chat("lab/open", json!({})).status(),
        200,
        "the next person is served"
    );
}

#[test]
fn a_refusal_names_its_reason_by_code_type_and_member() {
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![
            Act::Json(400, json!({"object": "error", "message": "Hello", "type": "invalid_request_error", "param": "messages[0].content", "code": "3230"})),
            Act::Json(422, json!({"detail": [{"loc": ["body", "messages", 0, "content"], "type": "string_type", "msg": "Hello"}]})),
        ],
    );
    let server = every_protocol(&upstream).start();
    let first: Value = server.chat("lab/open", json!({})).json().unwrap();
    assert_eq!(
        (
            &first["error"]["param"],
            &first["error"]["metadata"]["provider_code"]
        ),
        (&json!("messages[0].content"), &json!("3230"))
    );
    let second: Value = server.chat("lab/open", json!({})).json().unwrap();
    assert_eq!(
        (&second["error"]["param"], &second["error"]["http_status"]),
        (&json!("body.messages.0.content"), &json!(422))
    );
    assert_eq!(second["error"]["metadata"]["provider_type"], "string_type");
    assert!(!format!("{first}{second}").contains("Hello"));
}

#[test]
fn a_providers_wait_is_passed_on_in_every_form() {
    let date = "Wed, 21 Oct 2099 07:28:00 GMT";
    for (headers, body, seconds) in [
        (vec![("retry-after", "7")], json!({}), 7),
        (vec![("retry-after-ms", "2500")], json!({}), 3),
        (vec![("retry-after", date)], json!({}), 86_400),
        (
            vec![
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1m5s"),
            ],
            json!({}),
            65,
        ),
        (
            vec![],
            json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}]}}),
            48,
        ),
    ] {
        let upstream = Upstream::start();
        upstream.on("o", vec![Act::With(429, headers.clone(), body.to_string())]);
        let server = every_protocol(&upstream).start();
        let response = server.chat("lab/open", json!({}));
        assert_eq!(response.status(), 429);
        assert_eq!(
            response.headers()["retry-after"],
            seconds.to_string().as_str(),
            "{headers:?} {body}"
        );
    }
}

#[test]
fn events_without_their_content_type_are_events_and_json_under_it_is_not() {
    let events = chunks(&["Whole"]).concat();
    for kind in [
        Some("text/plain; charset=utf-8"),
        Some("application/octet-stream"),
        None,
    ] {
        let upstream = Upstream::start();
        upstream.on(
            "o",
            vec![Act::With(
                200,
                kind.map(|k| ("content-type", k)).into_iter().collect(),
                format!(": hello\n\n{events}"),
            )],
        );
        let server = every_protocol(&upstream).start();
        let text = server
            .chat("lab/open", json!({"stream": true}))
            .text()
            .unwrap();
        assert_eq!(text_of(&data(&text)), "Whole", "{kind:?}: {text}");
    }
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![Act::With(
            200,
            vec![],
            json!({"error": {"code": "x"}}).to_string(),
        )],
    );
    assert_eq!(
        every_protocol(&upstream)
            .start()
            .chat("lab/open", json!({"stream": true}))
            .status(),
        502
    );
    // An error in JSON, called a stream, is read as what it is: a moderation's refusal is the
    // request's.
    let upstream = Upstream::start();
    let error = json!({"error": {"code": "content_filter", "message": "m"}}).to_string();
    upstream.on(
        "o",
        vec![Act::With(
            200,
            vec![("content-type", "text/event-stream")],
            error,
        )],
    );
    let refused = every_protocol(&upstream)
        .start()
        .chat("lab/open", json!({"stream": true}));
    assert_eq!(
        refused.json::<Value>().unwrap()["error"]["code"],
        "content_filter"
    );
}

#[test]
fn a_whole_answer_to_a_client_that_asked_for_a_stream_is_streamed() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}});
    let mut chat = completion("Whole");
    chat["choices"][0]["message"]["tool_calls"] = json!([call]);
    let message = message(
        json!([{"type": "text", "text": "Whole"}, {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": 1}}]),
        "tool_use",
    );
    for (model, name, body) in [("lab/open", "o", chat), ("lab/anth", "a", message)] {
        for kind in ["application/json", "text/event-stream"] {
            let upstream = Upstream::start();
            let pretty = serde_json::to_string_pretty(&body).unwrap();
            upstream.on(
                name,
                vec![Act::With(200, vec![("content-type", kind)], pretty)],
            );
            let server = every_protocol(&upstream).start();
            let events = data(&server.chat(model, json!({"stream": true})).text().unwrap());
            assert_eq!(text_of(&events), "Whole", "{model} {kind}");
            assert!(
                events
                    .iter()
                    .all(|e| e["object"] == "chat.completion.chunk")
            );
            let choices: Vec<&Value> = events.iter().map(|e| &e["choices"][0]).collect();
            let calls: Vec<&Value> = choices
                .iter()
                .filter_map(|choice| choice["delta"].get("tool_calls"))
                .collect();
            assert_eq!(calls[0][0]["id"], "call_1");
            assert!(calls.iter().all(|call| call[0]["index"] == 0), "{calls:?}");
            let reasons: Vec<&Value> = choices
                .iter()
                .map(|choice| &choice["finish_reason"])
                .filter(|reason| !reason.is_null())
                .collect();
            assert_eq!(reasons, ["tool_calls"]);
            let last = events.last().unwrap();
            assert!(
                last["usage"]["total_tokens"].as_u64().unwrap() > 0
                    && last["usage"].get("estimated").is_none(),
                "{last}"
            );
            assert_eq!(
                server.record_of(last["id"].as_str().unwrap())["outcome"],
                "ok"
            );
        }
    }
}

#[test]
fn a_stream_to_a_client_that_asked_for_a_whole_answer_is_put_together() {
    let chat = [
        r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Wh"},"finish_reason":null}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"ole","reasoning_content":"h"}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"reasoning_content":"m","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#,
        "[DONE]",
    ];
    let anthropic = [
        r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Whole"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_1","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"x\""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":":1}"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":4}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    for (model, name, events) in [
        ("lab/open", "o", &chat[..]),
        ("lab/anth", "a", &anthropic[..]),
    ] {
        let upstream = Upstream::start();
        upstream.on(
            name,
            vec![Act::Events(
                events.iter().map(|e| format!("data: {e}\n\n")).collect(),
            )],
        );
        let server = every_protocol(&upstream).start();
        let answer: Value = server.chat(model, json!({})).json().unwrap();
        assert_eq!(answer["object"], "chat.completion", "{answer}");
        let (choice, message) = (&answer["choices"][0], &answer["choices"][0]["message"]);
        assert_eq!(
            (&message["role"], &message["content"], &message["reasoning"]),
            (&json!("assistant"), &json!("Whole"), &json!("hm"))
        );
        let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}});
        assert_eq!(message["tool_calls"][0]["function"], call["function"]);
        assert_eq!(
            (&message["tool_calls"][0]["id"], &choice["finish_reason"]),
            (&call["id"], &json!("tool_calls"))
        );
        if model == "lab/anth" {
            let signature = &message["reasoning_details"][0]["signature"];
            assert_eq!(signature.as_str().unwrap().rsplit('.').next(), Some("c2ln"));
            let detail = json!({"type": "reasoning.text", "text": "hm", "signature": signature, "format": "anthropic-claude-v1", "index": 0});
            assert_eq!(message["reasoning_details"], json!([detail]));
        }
        assert_eq!(
            (
                &answer["usage"]["prompt_tokens"],
                &answer["usage"]["completion_tokens"]
            ),
            (&json!(3), &json!(4))
        );
        assert!(
            answer["anyrouter_metadata"]["upstream"]["provider"]
                .as_str()
                .is_some()
        );
        let record = server.record_of(answer["id"].as_str().unwrap());
        assert_eq!(
            (&record["outcome"], &record["native_finish_reason"]),
            (
                &json!("ok"),
                &json!(if model == "lab/open" {
                    "tool_calls"
                } else {
                    "tool_use"
                })
            )
        );
    }
    // Half a stream is no answer.
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![Act::Events(vec![format!("data: {}\n\n", chat[0])])],
    );
    assert_eq!(
        every_protocol(&upstream)
            .start()
            .chat("lab/open", json!({}))
            .status(),
        502
    );
}

#[test]
fn a_models_only_endpoint_keeps_serving_after_one_failure_and_rests_after_three() {
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![
            Act::Json(500, json!({})),
            Act::Json(200, completion("Fine")),
            Act::Json(500, json!({})),
        ],
    );
    let server = every_protocol(&upstream).start();
    let statuses: Vec<u16> = (0..6)
        .map(|_| server.chat("lab/open", json!({})).status().as_u16())
        .collect();
    assert_eq!(statuses, [502, 200, 502, 502, 502, 503]);
}

#[test]
fn an_event_over_the_limit_is_an_error_that_names_it() {
    let upstream = Upstream::start();
    let long = format!("data: {}", "x".repeat(33 << 20));
    upstream.on("o", vec![Act::Events(vec![long])]);
    let answer: Value = every_protocol(&upstream)
        .start()
        .chat("lab/open", json!({"stream": true}))
        .json()
        .unwrap();
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains(&(32 << 20).to_string()),
        "{answer}"
    );
}

#[test]
fn an_output_limit_above_the_endpoints_is_lowered_and_said_so() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(json!([{"type": "text", "text": "x"}]), "end_turn"),
        )],
    );
    let server = every_protocol(&upstream).start();
    for (model, upstream_model) in [("lab/open", "o"), ("lab/anth", "a")] {
        let answer: Value = server
            .chat(
                model,
                json!({"max_tokens": 64000.0, "reasoning": {"max_tokens": 60000}}),
            )
            .json()
            .unwrap();
        let notes = answer["anyrouter_metadata"]["notes"].to_string();
        assert!(
            notes.contains("64000") && notes.contains("4096"),
            "{answer}"
        );
        let sent = &upstream.seen_of(upstream_model)[0].body;
        assert_eq!(sent["max_tokens"], 4096, "{sent}");
        assert!(
            sent["thinking"]["budget_tokens"]
                .as_u64()
                .is_none_or(|b| b < 4096),
            "{sent}"
        );
    }
}

#[test]
fn an_operators_own_facts_about_dialects_and_errors_come_first() {
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![
            Act::Json(418, json!({"error": {"code": "teapot"}})),
            Act::Json(200, completion("x")),
        ],
    );
    let server = Setup::new()
        .more("[[fault]]\nclass = \"overloaded\"\nstatus = [418]\nwords = [\"teapot\"]\nsource = \"its manual\"\n")
        .provider(
            "own",
            "openai_chat",
            &upstream,
            &format!("dialect = {{ developer_role = false, max_tokens = \"max_completion_tokens\" }}\n{CLEAN}"),
        )
        .model("lab/x", &[("own", "o", "")])
        .start();
    assert_eq!(server.chat("lab/x", json!({})).status(), 503);
    let messages = json!([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]);
    server.chat("lab/x", json!({"max_tokens": 5, "messages": messages}));
    let sent = &upstream.seen()[1].body;
    assert_eq!(
        (&sent["messages"][0]["role"], &sent["max_completion_tokens"]),
        (&json!("system"), &json!(5))
    );
}
