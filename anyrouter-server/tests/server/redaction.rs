//! P10, and the half of P01 that concerns providers: values leave as placeholders, and come back in
//! every kind of answer.

use serde_json::{Value, json};

use crate::{
    harness::{Server, body, data, every_protocol, text_of},
    upstream::{Act, Upstream, anthropic, chunks, completion, message},
};

/// What is planted, in everything that a request can say.
const PLANTED: [&str; 6] = [
    "jane.planted@example.com",
    "+1 415-555-2671",
    "4111 1111 1111 1111",
    "AKIAIOSFODNN7EXAMPLE",
    "536-22-1234",
    "DE89 3704 0044 0532 0130 00",
];

fn said(stream: bool) -> Value {
    json!({"stream": stream, "user": PLANTED[0], "metadata": {"contact": PLANTED[1]}, "redact_upstream": true,
        "messages": [
            {"role": "system", "content": format!("The customer's SSN is {}.", PLANTED[4])},
            {"role": "user", "content": [{"type": "text", "text": format!("My card is {} and my mail {}", PLANTED[2], PLANTED[0])}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "pay", "arguments": json!({"iban": PLANTED[5], "deep": json!({"key": PLANTED[3]}).to_string()}).to_string()}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": format!("paid; call {}", PLANTED[1])}],
        "tools": [{"type": "function", "function": {"name": "pay", "description": format!("Ask {} first", PLANTED[0]), "parameters": {"type": "object", "properties": {"iban": {"type": "string"}}}}}]})
}

/// The placeholder of a value, as the provider saw it.
fn placeholder(server: &Server, upstream: &Upstream, value: &str) -> String {
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    let answer = server.chat(
        "lab/open",
        json!({"redact_upstream": true, "messages": [{"role": "user", "content": value}]}),
    );
    assert_eq!(answer.status(), 200, "{}", answer.text().unwrap());
    upstream.seen().last().unwrap().body["messages"][0]["content"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_provider_sees_no_planted_value_wherever_it_stands() {
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
    for model in ["lab/open", "lab/anth"] {
        let answer = server.chat(model, said(false));
        assert_eq!(answer.status(), 200);
        let counts = server.record(&answer)["redacted"].clone();
        assert!(
            counts["EMAIL"].as_u64() >= Some(2)
                && counts["CREDIT_CARD"] == 1
                && counts["IBAN"] == 1,
            "{counts}"
        );
    }
    let seen: Vec<String> = upstream
        .seen()
        .iter()
        .map(|s| format!("{} {:?} {}", s.path, s.headers, s.body))
        .collect();
    assert_eq!(seen.len(), 2);
    for (text, value) in seen
        .iter()
        .flat_map(|t| PLANTED.iter().map(move |v| (t, v)))
    {
        assert!(!text.contains(value), "{value} left in {text}");
    }
    assert!(
        upstream.seen()[0].body["messages"][2]["tool_calls"][0]["function"]["name"] == "pay",
        "the protocol's own words stay"
    );
    assert!(upstream.seen()[0].body.get("redact_upstream").is_none());
}

#[test]
fn a_plain_answer_gets_its_values_back() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let mail = placeholder(&server, &upstream, PLANTED[0]);
    assert!(mail.starts_with("EMAIL_"), "{mail}");
    let mut answer = completion(&format!("Wrote to {mail}, or {}.", mail.to_lowercase()));
    answer["choices"][0]["message"]["reasoning"] = format!("They gave {mail}").into();
    answer["choices"][0]["message"]["tool_calls"] = json!([{"id": "c", "type": "function", "function": {"name": "send", "arguments": json!({"to": mail}).to_string()}}]);
    upstream.on("o", vec![Act::Json(200, answer)]);
    let request =
        json!({"redact_upstream": true, "messages": [{"role": "user", "content": PLANTED[0]}]});
    let restored: Value = server.chat("lab/open", request).json().unwrap();
    let said = &restored["choices"][0]["message"];
    assert_eq!(
        said["content"],
        format!("Wrote to {0}, or {0}.", PLANTED[0])
    );
    assert_eq!(said["reasoning"], format!("They gave {}", PLANTED[0]));
    assert_eq!(
        said["tool_calls"][0]["function"]["arguments"],
        json!({"to": PLANTED[0]}).to_string()
    );
}

#[test]
fn a_stream_gets_its_values_back_at_every_split() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let mail = placeholder(&server, &upstream, PLANTED[0]);
    let request = || json!({"redact_upstream": true, "stream": true, "messages": [{"role": "user", "content": PLANTED[0]}]});
    let expected = format!("To {}: done", PLANTED[0]);
    let text = format!("To {mail}: done");
    for size in [1, 2, 3, 5, 8, 13, 60] {
        let pieces: Vec<String> = text
            .as_bytes()
            .chunks(size)
            .map(|c| String::from_utf8(c.to_vec()).unwrap())
            .collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        upstream.on("o", vec![Act::Events(chunks(&pieces))]);
        let answer = server.chat("lab/open", request()).text().unwrap();
        assert_eq!(text_of(&data(&answer)), expected, "pieces of {size}");
        assert!(answer.ends_with("data: [DONE]\n\n"));
        let deltas = pieces.iter().map(|p| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}}));
        let events = [
            json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "up", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ]
        .into_iter()
        .chain(deltas)
        .chain([
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 5}}),
            json!({"type": "message_stop"}),
        ]);
        upstream.on(
            "a",
            vec![Act::Events(anthropic(&events.collect::<Vec<_>>()))],
        );
        let answer = server.chat("lab/anth", request()).text().unwrap();
        assert_eq!(
            text_of(&data(&answer)),
            expected,
            "translated, pieces of {size}"
        );
    }
}

#[test]
fn a_streamed_tool_call_gets_its_values_back_as_json() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let mail = placeholder(&server, &upstream, PLANTED[0]);
    let arguments = json!({"to": mail}).to_string();
    let chunk = |delta: Value, finish: Value| {
        format!(
            "data: {}\n\n",
            json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        )
    };
    let mut events = vec![chunk(
        json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "send", "arguments": ""}}]}),
        Value::Null,
    )];
    events.extend(
        arguments
            .as_bytes()
            .chunks(3)
            .map(|c| chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": String::from_utf8_lossy(c)}}]}), Value::Null)),
    );
    events.push(chunk(json!({}), json!("tool_calls")));
    events.push("data: [DONE]\n\n".to_owned());
    upstream.on("o", vec![Act::Events(events)]);
    let request = json!({"redact_upstream": true, "stream": true, "messages": [{"role": "user", "content": PLANTED[0]}]});
    let answer = data(&server.chat("lab/open", request).text().unwrap());
    let sent: String = answer
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(sent, json!({"to": PLANTED[0]}).to_string());
}

#[test]
fn a_placeholder_is_the_same_after_a_restart_and_another_in_another_session() {
    let upstream = Upstream::start();
    let mut server = every_protocol(&upstream).start();
    let first = placeholder(&server, &upstream, PLANTED[0]);
    server.kill();
    server.start_again();
    assert_eq!(placeholder(&server, &upstream, PLANTED[0]), first);
    let session = json!({"redact_upstream": true, "session_id": "s-1", "messages": [{"role": "user", "content": PLANTED[0]}]});
    assert_eq!(server.chat("lab/open", session).status(), 200);
    let other = upstream.seen().last().unwrap().body["messages"][0]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(other.starts_with("EMAIL_") && other != first, "{other}");
}

#[test]
fn instance_account_key_and_request_can_each_ask_for_it_and_none_can_take_it_back() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    // Whether the provider sees the address; the answer's header says the same.
    let sees = |server: &Server, key: &str, header: bool| {
        let more = json!({"redact_upstream": false, "messages": [{"role": "user", "content": PLANTED[0]}]});
        let mut request = server
            .request("POST", "/chat/completions")
            .bearer_auth(key)
            .json(&body("lab/open", more));
        if header {
            request = request.header("X-AnyRouter-Redact", "upstream");
        }
        let answer = request.send().unwrap();
        assert_eq!(answer.status(), 200);
        let is_seen = upstream.seen().last().unwrap().body["messages"][0]["content"] == PLANTED[0];
        let said = answer
            .headers()
            .get("x-anyrouter-redacted")
            .map(|value| value.to_str().unwrap());
        assert_eq!(said, (!is_seen).then_some("EMAIL=1"));
        is_seen
    };
    let server = every_protocol(&upstream).start();
    assert!(sees(&server, &server.key, false), "nobody asked for it");
    assert!(!sees(&server, &server.key, true), "the request asks");
    let nothing = server
        .request("POST", "/chat/completions")
        .bearer_auth(&server.key)
        .header("X-AnyRouter-Redact", "upstream");
    let nothing = nothing
        .json(&body(
            "lab/open",
            json!({"messages": [{"role": "user", "content": "Hello"}]}),
        ))
        .send()
        .unwrap();
    assert_eq!(
        nothing.headers()["x-anyrouter-redacted"],
        "0",
        "it was looked through, and nothing was found"
    );
    let made: Value = server
        .post(
            "/keys",
            &server.management,
            &json!({"name": "k", "privacy": {"redact_upstream": true}}),
        )
        .json()
        .unwrap();
    assert!(
        !sees(&server, made["key"].as_str().unwrap(), false),
        "the key asks"
    );
    server.patch_privacy(&json!({"redact_upstream": true}));
    assert!(!sees(&server, &server.key, false), "the account asks");
    let rule = "[privacy]\nredact_upstream = true\n[redact]\nrules = [{ label = \"EMPLOYEE\", pattern = \"EMP-[0-9]{6}\" }]\n";
    let instance = every_protocol(&upstream).more(rule).start();
    assert!(!sees(&instance, &instance.key, false), "the instance asks");
    assert_eq!(
        instance
            .chat(
                "lab/open",
                json!({"messages": [{"role": "user", "content": "EMP-123456"}]})
            )
            .status(),
        200
    );
    let seen = upstream.seen().last().unwrap().body["messages"][0]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        seen.starts_with("EMPLOYEE_"),
        "the instance's rules hold: {seen}"
    );
    let key = std::fs::metadata(instance.dir.path().join("data/keyring.toml")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777,
        0o600,
        "its owner's alone"
    );
}

#[test]
fn an_accounts_own_rules_hold_and_wrong_ones_are_refused() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    let server = every_protocol(&upstream).start();
    let refused = server
        .request("PATCH", "/privacy")
        .bearer_auth(&server.management)
        .json(&json!({"redaction_rules": [{"label": "EMPLOYEE", "pattern": "EMP-(\\d+"}]}))
        .send()
        .unwrap();
    assert_eq!(refused.status(), 400);
    let error: Value = refused.json().unwrap();
    assert_eq!(error["error"]["param"], "redaction_rules");
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("rule 0 has a pattern that is none"),
        "{error}"
    );
    server.patch_privacy(&json!({"redact_upstream": true, "redaction_rules": [
        {"label": "EMPLOYEE", "pattern": "EMP-\\d{6}"}, {"label": "PROJECT", "words": ["Blue Heron"], "action": "block"}]}));
    let ask = |text: &str| {
        server.chat(
            "lab/open",
            json!({"messages": [{"role": "user", "content": text}]}),
        )
    };
    assert_eq!(ask("EMP-123456 is ill").status(), 200);
    let seen = upstream.seen().last().unwrap().body["messages"][0]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        seen.starts_with("EMPLOYEE_") && seen.ends_with(" is ill"),
        "{seen}"
    );
    let count = upstream.seen().len();
    let blocked = ask("What of Blue Heron?");
    assert_eq!(
        (blocked.status().as_u16(), upstream.seen().len()),
        (400, count),
        "nothing was sent"
    );
    let error: Value = blocked.json().unwrap();
    assert_eq!(error["error"]["code"], "redaction_blocked");
    assert!(!error.to_string().contains("Heron"), "{error}");
    assert_eq!(
        ask("What of blue\n  heron?").status(),
        400,
        "over the end of a line as well"
    );
}

#[test]
fn a_rule_does_not_rewrite_the_protocols_own_words() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    let server = every_protocol(&upstream).start();
    let words = [
        "text", "content", "messages", "role", "user", "model", "type", "url", "function", "name",
        "metadata", "key",
    ];
    server.patch_privacy(&json!({"redact_upstream": true, "redaction_rules": [{"label": "OWN_WORD", "words": words}]}));
    let more = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "a text"}]}], "metadata": {"key": "a key"},
        "tools": [{"type": "function", "function": {"name": "get_url", "parameters": {"type": "object", "properties": {}}}}]});
    let answer = server.chat("lab/open", more);
    assert_eq!(answer.status(), 200, "{}", answer.text().unwrap());
    let seen = upstream.seen().last().unwrap().body.clone();
    assert_eq!(seen["messages"][0]["role"], "user");
    assert_eq!(seen["messages"][0]["content"][0]["type"], "text");
    assert!(
        seen["messages"][0]["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("a OWN_WORD_"),
        "{seen}"
    );
    assert_eq!(seen["tools"][0]["function"]["name"], "get_url");
    assert_eq!(seen["tools"][0]["function"]["parameters"]["type"], "object");
    assert!(!seen.to_string().contains("a key"), "{seen}");
}

#[test]
fn a_preview_shows_what_would_leave_and_keeps_nothing() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let text = format!("Mail {}", PLANTED[0]);
    let shown: Value = server
        .post("/privacy/preview", &server.key, &json!({"text": text}))
        .json()
        .unwrap();
    assert!(
        shown["redacted"]
            .as_str()
            .unwrap()
            .starts_with("Mail EMAIL_"),
        "{shown}"
    );
    assert_eq!(shown["spans"][0]["start"], 5);
    assert_eq!(shown["counts"], json!({"EMAIL": 1}));
    let shown: Value = server
        .post(
            "/privacy/preview",
            &server.key,
            &json!({"json": {"card": 4_111_111_111_111_111_u64}}),
        )
        .json()
        .unwrap();
    assert!(
        shown["redacted"]["card"]
            .as_str()
            .unwrap()
            .starts_with("CREDIT_CARD_"),
        "{shown}"
    );
    assert_eq!(
        server
            .post("/privacy/preview", &server.key, &json!({}))
            .status(),
        400
    );
    assert_eq!(server.logs().len(), 0);
}
