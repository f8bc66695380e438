//! Anthropic's messages as a client's protocol, over an upstream of each protocol.

use reqwest::blocking::Response;
use serde_json::{Map, Value, json};

use crate::{
    harness::{CLEAN, PLANTED, Server, Setup, every_protocol},
    upstream::{Act, Upstream, anthropic, chunks, completion, message},
};

/// Sends a request for a message; `more` replaces or adds members.
fn ask(server: &Server, model: &str, more: Value) -> Response {
    let mut body =
        json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    let members: Map<String, Value> = serde_json::from_value(more).unwrap();
    body.as_object_mut().unwrap().extend(members);
    server.post("/messages", &server.key, &body)
}

/// The events of a stream: each name with its data.
fn events(text: &str) -> Vec<(String, Value)> {
    text.split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event
                .strip_prefix("event: ")
                .unwrap()
                .split_once("\ndata: ")
                .unwrap();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        })
        .collect()
}

/// The pieces of a stream's text and of its calls' arguments.
fn said(events: &[(String, Value)]) -> String {
    events
        .iter()
        .filter_map(|(_, e)| {
            let delta = &e["delta"];
            delta["text"].as_str().or(delta["partial_json"].as_str())
        })
        .collect()
}

fn start_of_message() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_up", "type": "message", "role": "assistant", "model": "up", "content": [], "stop_reason": null, "usage": {"input_tokens": 5, "output_tokens": 1}}})
}

#[test]
fn a_request_passes_to_an_anthropic_upstream_but_for_what_is_ours() {
    let upstream = Upstream::start();
    upstream.on("a", vec![Act::Json(200, message(json!([]), "end_turn"))]);
    let server = every_protocol(&upstream).start();
    let body = r#"{"unknown": {"b":1.50, "a":[ ]},"model":"lab/anth","provider":{"zdr":true},"system":[{"type":"text","text":"h\u00e9","cache_control":{"type":"ephemeral","scope":"x"}}],
        "messages":[{"role":"user","content":"hi"},{"role":"system","content":"now"}],"max_tokens":64000,"metadata":{"user_id":"device-1"},"temperature":1.0e0,"session_id":"s"}"#;
    let response = server
        .request("POST", "/messages?beta=true")
        .header("x-api-key", &server.key)
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "one-2025-01-01,two-2025-01-01")
        .header("x-stainless-lang", "js")
        .header("x-claude-code-session-id", "secret-session")
        .body(body)
        .send()
        .unwrap();
    assert_eq!(response.status(), 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(
        (seen.path.as_str(), seen.headers["anthropic-beta"].as_str()),
        ("/v1/messages", "one-2025-01-01,two-2025-01-01")
    );
    assert_eq!(seen.headers["x-api-key"], "upstream-secret-key");
    for name in [
        "authorization",
        "x-stainless-lang",
        "x-claude-code-session-id",
    ] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
    let sent = &seen.body;
    assert_eq!(sent["model"], "a");
    assert_eq!(sent["max_tokens"], 4096, "lowered to the endpoint's");
    assert_eq!(sent["system"][0]["cache_control"]["scope"], "x");
    assert_eq!(sent["messages"][1]["role"], "system");
    assert!(sent.get("provider").is_none() && sent.get("session_id").is_none());
    let user = sent["metadata"]["user_id"].as_str().unwrap();
    assert!(!user.contains("device"), "{user}");
    let order: Vec<&String> = sent.as_object().unwrap().keys().collect();
    assert_eq!(
        order,
        [
            "unknown",
            "model",
            "system",
            "messages",
            "max_tokens",
            "metadata",
            "temperature"
        ]
    );
    let answer: Value = response.json().unwrap();
    assert_eq!(
        answer["anyrouter_metadata"]["omitted"],
        json!(["metadata.user_id"])
    );
    assert_eq!(
        answer["anyrouter_metadata"]["notes"][0],
        "max_tokens was lowered from 64000 to 4096, the most that the endpoint gives"
    );
}

#[test]
fn a_message_is_the_same_from_either_upstream_and_has_its_record() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("Hello"))]);
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(json!([{"type": "text", "text": "Hello"}]), "end_turn"),
        )],
    );
    let server = every_protocol(&upstream).start();
    for (model, protocol) in [
        ("lab/open", "openai_chat"),
        ("lab/anth", "anthropic_messages"),
    ] {
        let response = ask(&server, model, json!({}));
        let header = response.headers()["request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let answer: Value = response.json().unwrap();
        assert_eq!(
            answer["content"],
            json!([{"type": "text", "text": "Hello"}])
        );
        assert_eq!(
            (
                &answer["type"],
                &answer["role"],
                &answer["model"],
                &answer["stop_reason"]
            ),
            (
                &json!("message"),
                &json!("assistant"),
                &json!(model),
                &json!("end_turn")
            )
        );
        assert_eq!(answer["anyrouter_metadata"]["requestId"], header);
        let id = answer["id"].as_str().unwrap();
        assert!(id.starts_with("msg_") && id != "msg_up", "{id}");
        let record = server.record_of(id);
        assert_eq!(record["outcome"], "ok");
        assert_eq!(record["inbound"], "anthropic_messages", "{record}");
        assert_eq!(record["outbound"], protocol, "{record}");
    }
}

#[test]
fn errors_have_anthropics_shape_from_the_key_to_the_middle_of_a_stream() {
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![Act::Json(
            400,
            json!({"error": {"message": "secret", "code": "odd_value"}}),
        )],
    );
    let half = vec![
        start_of_message(),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Half"}}),
    ];
    let mut overloaded = anthropic(&half);
    overloaded.extend(anthropic(&[
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}),
    ]));
    upstream.on(
        "a",
        vec![Act::Events(overloaded), Act::Events(anthropic(&half))],
    );
    let server = every_protocol(&upstream).start();
    let cases = [
        (
            server.post("/messages", "sk-ar-v1-no", &json!({})),
            401,
            "authentication_error",
        ),
        (ask(&server, "no/such", json!({})), 404, "not_found_error"),
        (
            ask(&server, "lab/open", json!({"messages": 5})),
            400,
            "invalid_request_error",
        ),
        (
            ask(&server, "lab/open", json!({})),
            400,
            "invalid_request_error",
        ),
        (
            ask(
                &server,
                "lab/open",
                json!({"messages": [{"role": "tool", "content": "x"}]}),
            ),
            400,
            "invalid_request_error",
        ),
        (
            server.post("/messages/count_tokens", "sk-ar-v1-no", &json!({})),
            401,
            "authentication_error",
        ),
    ];
    for (response, status, kind) in cases {
        assert_eq!(response.status(), status);
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let error: Value = response.json().unwrap();
        assert_eq!(
            (&error["type"], &error["error"]["type"]),
            (&json!("error"), &json!(kind)),
            "{error}"
        );
        assert_eq!(error["request_id"], id);
        assert!(
            error["error"]["message"].is_string() && !error.to_string().contains("secret"),
            "{error}"
        );
    }
    for code in ["overloaded", "upstream_error"] {
        let text = ask(&server, "lab/anth", json!({"stream": true}))
            .text()
            .unwrap();
        let events = events(&text);
        assert_eq!(said(&events), "Half");
        let (name, error) = events.last().unwrap();
        assert_eq!(
            (name.as_str(), &error["error"]["code"]),
            ("error", &json!(code)),
            "{error}"
        );
        assert!(
            !text.contains("message_stop") && !text.contains("secret"),
            "{text}"
        );
    }
}

#[test]
fn a_refusal_by_policy_says_so_and_agents_do_not_retry_it() {
    let upstream = Upstream::start();
    let server = Setup::new()
        .provider(
            "trains",
            "anthropic_messages",
            &upstream,
            &CLEAN.replace("trains_on_paid = false", "trains_on_paid = true"),
        )
        .model("lab/x", &[("trains", "x", "")])
        .start();
    let response = ask(&server, "lab/x", json!({}));
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["x-should-retry"], "false");
    let error: Value = response.json().unwrap();
    assert_eq!(error["error"]["type"], "policy_blocked");
    assert_eq!(error["error"]["code"], "privacy_restricted");
    assert_eq!(
        error["error"]["explanation"]["excluded"][0]["endpoint"],
        "trains/lab-x"
    );
    assert!(upstream.seen().is_empty());
    let unknown = ask(&server, "no/such", json!({}));
    assert_eq!(unknown.headers()["x-should-retry"], "false");
    let upstream = Upstream::start();
    upstream.on("a", vec![Act::Json(500, json!({}))]);
    let failed = ask(&every_protocol(&upstream).start(), "lab/anth", json!({}));
    assert_eq!(failed.status(), 502);
    assert!(!failed.headers().contains_key("x-should-retry"));
}

#[test]
fn threads_are_refused_so_that_sdks_go_on_without_them() {
    let server = every_protocol(&Upstream::start()).start();
    let error: Value = ask(&server, "lab/anth", json!({"thread": {"type": "create"}}))
        .json()
        .unwrap();
    assert_eq!(
        error["error"]["details"],
        json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]})
    );
}

#[test]
fn a_slow_upstream_is_covered_by_pings_and_can_still_fall_back() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Hang]);
    upstream.on("a", vec![Act::Events(anthropic(&[
        start_of_message(),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "late"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ]))]);
    let server = every_protocol(&upstream)
        .more("[deadlines]\ncomment = 0.1\nfirst_byte = 0.5")
        .start();
    let text = ask(
        &server,
        "lab/open",
        json!({"stream": true, "models": ["lab/anth"]}),
    )
    .text()
    .unwrap();
    let events = events(&text);
    assert_eq!(events[0].0, "ping", "{text}");
    assert_eq!(said(&events), "late");
    assert_eq!(events.last().unwrap().0, "message_stop");
    assert!(
        events
            .iter()
            .skip_while(|(name, _)| name == "ping")
            .all(|(name, _)| name != "ping")
    );
}

#[test]
fn tools_and_results_reach_a_chat_upstream_and_what_has_no_counterpart_is_named() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    let server = every_protocol(&upstream).start();
    let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let answer: Value = ask(&server, "lab/open", json!({
        "system": [{"type": "text", "text": "x-anthropic-billing-header: v=1;"}, {"type": "text", "text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"}, picture]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1.50}},
                {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "one"}, picture]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true},
                {"type": "text", "text": "go on"}]},
            {"role": "system", "content": "Now be brief."}],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "output_config": {"effort": "low"}, "context_management": {"edits": []},
        "stop_sequences": ["END"], "temperature": 0.5, "top_k": 5,
    })).json().unwrap();
    assert_eq!(answer["content"][0]["text"], "ok", "{answer}");
    let url = "data:image/png;base64,AAAA";
    let sent = upstream.seen().pop().unwrap().body;
    assert_eq!(
        sent["messages"],
        json!([
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}}]},
        {"role": "assistant", "content": "I look.", "tool_calls": [
            {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1.5}"}},
            {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "one"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "error"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "go on"}]},
        {"role": "system", "content": "Now be brief."}])
    );
    assert_eq!(
        sent["tools"],
        json!([{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}])
    );
    assert_eq!(
        (
            &sent["tool_choice"],
            &sent["parallel_tool_calls"],
            &sent["stop"],
            &sent["temperature"],
            &sent["reasoning_effort"]
        ),
        (
            &json!("required"),
            &json!(false),
            &json!(["END"]),
            &json!(0.5),
            &json!("low")
        )
    );
    let omitted = answer["anyrouter_metadata"]["omitted"].as_array().unwrap();
    for name in ["context_management", "top_k", "system[0]", "tools[1]"] {
        assert!(omitted.contains(&json!(name)), "{name}: {omitted:?}");
    }
}

#[test]
fn values_do_not_reach_either_upstream_and_come_back() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(json!([{"type": "text", "text": "ok"}]), "end_turn"),
        )],
    );
    let server = every_protocol(&upstream).start();
    let request = |stream: bool| {
        json!({"redact_upstream": true, "stream": stream, "metadata": {"user_id": PLANTED[0]},
        "system": [{"type": "text", "text": format!("The SSN is {}.", PLANTED[2])}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": format!("My card is {}, my mail {}", PLANTED[1], PLANTED[0])}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": format!("IBAN {}", PLANTED[3]), "signature": "bWFkZSB1cA=="}, {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": {"iban": PLANTED[3]}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": format!("paid by {}", PLANTED[0])}]}],
        "tools": [{"name": "pay", "description": format!("Ask {}", PLANTED[0]), "input_schema": {"type": "object"}}]})
    };
    for model in ["lab/open", "lab/anth"] {
        let answer = ask(&server, model, request(false));
        assert_eq!(answer.status(), 200, "{}", answer.text().unwrap());
    }
    for seen in upstream.seen() {
        let text = format!("{:?} {}", seen.headers, seen.body);
        for value in PLANTED {
            assert!(!text.contains(value), "{value} left in {text}");
        }
        assert!(
            text.contains("\"pay\"") && text.contains("toolu_1"),
            "the protocol's own words stay: {text}"
        );
    }
    // The mail's placeholder, as the provider saw it.
    let seen = upstream.seen_of("a").pop().unwrap().body;
    let mail = seen["tools"][0]["description"]
        .as_str()
        .unwrap()
        .trim_start_matches("Ask ")
        .to_owned();
    let answer = format!("Write to {mail}, please.");
    let input = json!({"to": mail}).to_string();
    for cut in 1..answer.len() {
        let (before, after) = answer.split_at(cut);
        let (input_before, input_after) = input.split_at(cut.min(input.len()));
        let text = |piece: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}});
        let json = |piece: &str| json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}});
        upstream.on("a", vec![Act::Events(anthropic(&[
            start_of_message(),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}), text(before), text(after),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "pay", "input": {}}}), json(input_before), json(input_after),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ]))]);
        upstream.on("o", vec![Act::Events(chunks(&[before, after]))]);
        let expected = format!("Write to {}, please.", PLANTED[0]);
        let events_of = |model: &str| events(&ask(&server, model, request(true)).text().unwrap());
        let of_messages = said(&events_of("lab/anth"));
        assert_eq!(
            of_messages,
            format!("{expected}{}", json!({"to": PLANTED[0]})),
            "cut at {cut}"
        );
        assert_eq!(said(&events_of("lab/open")), expected, "cut at {cut}");
    }
}

#[test]
fn a_signed_thought_goes_to_the_client_and_back_as_the_provider_wrote_it() {
    let upstream = Upstream::start();
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(json!([{"type": "text", "text": "ok"}]), "end_turn"),
        )],
    );
    let server = every_protocol(&upstream).start();
    let user = json!({"role": "user", "content": format!("I am {}", PLANTED[0])});
    let first = |server: &Server, content: Value| {
        ask(
            server,
            "lab/anth",
            json!({"redact_upstream": true, "messages": content}),
        )
    };
    first(&server, json!([user]));
    let seen = upstream.seen().pop().unwrap().body;
    let mail = seen["messages"][0]["content"]
        .as_str()
        .unwrap()
        .trim_start_matches("I am ")
        .to_owned();
    let thought = json!({"type": "thinking", "thinking": format!("The mail is {mail}."), "signature": "c2lnbmVk"});
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(
                json!([thought, {"type": "text", "text": format!("Hello {mail}")}]),
                "end_turn",
            ),
        )],
    );
    let answer: Value = first(&server, json!([user])).json().unwrap();
    assert_eq!(
        answer["content"][1]["text"],
        format!("Hello {}", PLANTED[0])
    );
    assert_eq!(
        answer["content"][0]["thinking"], thought["thinking"],
        "as it was signed"
    );
    let again = json!([user, {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": "go on"}]);
    assert_eq!(first(&server, again.clone()).status(), 200);
    let seen = upstream.seen().pop().unwrap().body;
    assert_eq!(
        seen["messages"][1]["content"][0], thought,
        "it goes back as it was"
    );
    // Without redaction, the provider gets its own signature as well.
    let plain = json!({"messages": again});
    assert_eq!(ask(&server, "lab/anth", plain).status(), 200);
    let seen = upstream.seen().pop().unwrap().body;
    assert_eq!(seen["messages"][1]["content"][0], thought);
    // Another text under the same signature does not.
    let mut forged = again;
    forged[1]["content"][0]["thinking"] = json!(format!("Call {}", PLANTED[2]));
    let answer: Value = first(&server, forged).json().unwrap();
    assert_eq!(
        answer["anyrouter_metadata"]["omitted"],
        json!(["messages[1].content[0]"])
    );
    let seen = upstream.seen().pop().unwrap().body;
    assert_eq!(seen["messages"][1]["content"][0]["type"], "text", "{seen}");
    assert!(!seen.to_string().contains(PLANTED[2]));
}

#[test]
fn blocks_of_other_kinds_and_empty_conversations_do_not_confuse_a_translation() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    let server = every_protocol(&upstream).start();
    let found = json!({"type": "search_result", "source": "https://example.com", "title": "T", "content": [{"type": "text", "text": "found"}]});
    let answer: Value = ask(&server, "lab/open", json!({
        "thinking": {"type": "disabled"},
        "stop_sequences": ["a", "b", "c", "d", "e", "f"],
        "messages": [
            {"role": "user", "content": [found]},
            {"role": "assistant", "content": [
                {"type": "redacted_thinking", "data": "x"},
                {"type": "code_execution_tool_result", "tool_use_id": "s", "content": {"type": "code_execution_result"}},
                {"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": [{"type": "text", "text": "broken"}, found]},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "page"}]}}]}],
    })).json().unwrap();
    let sent = upstream.seen().pop().unwrap().body;
    let text = "T\nhttps://example.com\nfound";
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "t", "content": format!("error: broken\n{text}")},
            {"role": "user", "content": [{"type": "text", "text": "page"}]}]),
        "{answer}"
    );
    assert_eq!(sent["reasoning_effort"], "none");
    assert_eq!(
        answer["anyrouter_metadata"]["omitted"],
        json!([
            "messages[1].content[0]",
            "messages[1].content[1]",
            "stop_sequences[4]",
            "stop_sequences[5]"
        ])
    );
    // As JavaScript writes text that was cut in the middle of a character.
    let cut = r#"{"model": "lab/open", "max_tokens": 9, "messages": [{"role": "user", "content": "a\ud83d"}]}"#;
    let response = server
        .request("POST", "/messages")
        .bearer_auth(&server.key)
        .body(cut)
        .send()
        .unwrap();
    assert_eq!(response.status(), 200);
    let sent = upstream.seen().pop().unwrap().body;
    assert_eq!(sent["messages"][0]["content"], "a\u{fffd}");
    let empty = json!([{"role": "user", "content": ""}]);
    for messages in [json!([]), json!(null), empty] {
        let response = ask(&server, "lab/open", json!({"messages": messages}));
        assert_eq!(response.status(), 400);
    }
}

#[test]
fn nothing_that_names_a_person_passes_to_an_anthropic_upstream() {
    let upstream = Upstream::start();
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(json!([{"type": "text", "text": "ok"}]), "end_turn"),
        )],
    );
    let server = every_protocol(&upstream).start();
    let answer: Value = ask(
        &server,
        "lab/anth",
        json!({
            "system": [{"type": "text", "text": "x-anthropic-billing-header: cc=jane;"}, {"type": "text", "text": "Be kind."}],
            "max_tokens": null, "user": "jane", "user_profile_id": "jane",
            "metadata": {"account": "jane", "user_id": null}, "messages": [{"role": "user", "content": "hi"}]}),
    )
    .json()
    .unwrap();
    let sent = upstream.seen().pop().unwrap().body;
    assert!(!sent.to_string().contains("jane"), "{sent}");
    assert!(sent["max_tokens"].is_u64());
    assert_eq!(
        sent["system"],
        json!([{"type": "text", "text": "Be kind."}])
    );
    assert_eq!(
        answer["anyrouter_metadata"]["omitted"],
        json!([
            "system[0]",
            "user",
            "user_profile_id",
            "metadata.account",
            "metadata.user_id"
        ])
    );
}

#[test]
fn reasoning_without_a_signature_comes_back_to_a_provider_that_wants_it() {
    let upstream = Upstream::start();
    let mut answer = completion("");
    answer["choices"][0]["message"]["reasoning_content"] = json!("Hm.");
    answer["choices"][0]["message"]["tool_calls"] =
        json!([{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    upstream.on("d", vec![Act::Json(200, answer)]);
    upstream.on("a", vec![Act::Json(200, message(json!([]), "end_turn"))]);
    let server = every_protocol(&upstream)
        .provider(
            "deep",
            "openai_chat",
            &upstream,
            "dialect = { reasoning_back = \"reasoning_content\" }",
        )
        .model("lab/deep", &[("deep", "d", "")])
        .start();
    let tools =
        json!({"tools": [{"name": "f", "description": "f", "input_schema": {"type": "object"}}]});
    let first: Value = ask(&server, "lab/deep", tools.clone()).json().unwrap();
    let content = &first["content"];
    // Packages drop a thought without one.
    assert!(content[0]["signature"].as_str().unwrap().len() > 10);
    let mut more = tools;
    more["messages"] = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "x"}]}]);
    ask(&server, "lab/deep", more.clone());
    let sent = upstream.seen_of("d").pop().unwrap().body;
    assert_eq!(sent["messages"][1]["reasoning_content"], "Hm.", "{sent}");
    assert!(!sent.to_string().contains("anyrouter."), "{sent}");
    // Another provider gets neither the thought nor what stands for its signature.
    ask(&server, "lab/anth", more);
    let sent = upstream.seen_of("a").pop().unwrap().body;
    assert_eq!(sent["messages"][1]["content"].as_array().unwrap().len(), 1);
}

#[test]
fn what_a_model_cannot_do_is_told_in_the_words_that_claude_code_knows() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let long = "prompt is too long: 3333404 tokens > 200000 maximum, in a file of Jane's";
    for (said, class) in [
        (
            "This model does not support the effort parameter.",
            "effort_unsupported",
        ),
        (
            "This model does not support effort level 'max'. Supported levels: high, low.",
            "effort_unsupported",
        ),
        (
            "adaptive thinking is not supported on this model",
            "thinking_type:adaptive",
        ),
        (
            "\"thinking.type.enabled\" is not supported for this model.",
            "thinking_type:enabled",
        ),
        (
            "messages.1.content.0: Invalid `signature` in `thinking` block",
            "thinking_signature",
        ),
        (long, "prompt_too_long"),
    ] {
        let error =
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": said}});
        upstream.on("a", vec![Act::Json(400, error)]);
        let response = ask(&server, "lab/anth", json!({}));
        assert_eq!(response.status(), 400, "{said}");
        let text = response.text().unwrap();
        assert!(!text.contains("Jane"), "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let token = format!("capability_rejected: {class}");
        assert_eq!(answer["error"]["message"], token, "{answer}");
        // Other protocols have their own message, and the class among the rest.
        let chat: Value = server.chat("lab/anth", json!({})).json().unwrap();
        assert_eq!(chat["error"]["metadata"]["capability"], class, "{chat}");
        assert_ne!(chat["error"]["message"], token, "{chat}");
    }
    // Unsure: the usual text. An overload is no capability, whatever it says.
    for (status, said) in [(400, "messages: the effort is appreciated"), (529, long)] {
        let error = json!({"type": "error", "error": {"type": "x", "message": said}});
        upstream.on("a", vec![Act::Json(status, error)]);
        let text = ask(&server, "lab/anth", json!({})).text().unwrap();
        assert!(!text.contains("capability"), "{text}");
    }
}

#[test]
fn tokens_are_counted_by_a_provider_that_does_so_and_else_estimated() {
    let upstream = Upstream::start();
    upstream.on("c", vec![Act::Json(200, json!({"input_tokens": 42}))]);
    upstream.on("g", vec![Act::Json(200, json!({"totalTokens": 43}))]);
    let keeps = "terms = { trains_on_paid = false, trains_on_free = false, publishes_free = false, retention_days = 30, zdr = false }";
    let server = Setup::new()
        .provider("anthropic", "anthropic_messages", &upstream, keeps)
        .provider("google-ai-studio", "gemini", &upstream, keeps)
        .provider("other", "anthropic_messages", &upstream, "")
        .model("lab/counted", &[("anthropic", "c", "")])
        .model("lab/goog", &[("google-ai-studio", "g", "")])
        .model("lab/other", &[("other", "o", "")])
        .start();
    let body = |model: &str| json!({"model": model, "max_tokens": 9, "metadata": {"user_id": "x"}, "tools": [], "messages": [{"role": "user", "content": "Hello"}]});
    let count = |model: &str| -> Value {
        let answer = server.post("/messages/count_tokens", &server.key, &body(model));
        assert_eq!(answer.status(), 200);
        answer.json().unwrap()
    };
    assert_eq!(
        count("lab/counted"),
        json!({"input_tokens": 42, "estimated": false})
    );
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.path, "/v1/messages/count_tokens");
    let mut members: Vec<&String> = seen.body.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["messages", "model", "tools"]);
    let record = server.wait_for_record(|r| r["api_type"] == "count_tokens");
    assert_eq!(
        (
            &record["outcome"],
            &record["native_tokens_prompt"],
            &record["total_cost"]
        ),
        (&json!("ok"), &json!(0), &json!(0.0))
    );
    // Google's form.
    let path = server
        .base
        .replace("/api/v1", "/v1beta/models/lab/goog:countTokens");
    let counted = server.http.post(path).header("x-goog-api-key", &server.key);
    let counted =
        counted.json(&json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}));
    let counted: Value = counted.send().unwrap().json().unwrap();
    assert_eq!(counted, json!({"totalTokens": 43, "estimated": false}));
    let seen = upstream.seen().pop().unwrap();
    assert!(
        seen.path.ends_with("/models/g:countTokens"),
        "{}",
        seen.path
    );
    assert_eq!(seen.body["generateContentRequest"]["model"], "models/g");
    // A provider that does not count, one that policy excludes, and one that fails.
    let sent = upstream.seen().len();
    assert_eq!(count("lab/other")["estimated"], true);
    server.patch_privacy(&json!({"enforce_zdr": true}));
    assert_eq!(count("lab/counted")["estimated"], true);
    assert_eq!(upstream.seen().len(), sent, "nothing was sent");
    server.patch_privacy(&json!({"enforce_zdr": false}));
    upstream.on("c", vec![Act::Json(500, json!({"type": "error"}))]);
    assert_eq!(count("lab/counted")["estimated"], true);
}
