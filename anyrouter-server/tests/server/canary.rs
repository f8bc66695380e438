//! P01 and P07: markers in everything that is said, on success and on every failure path; then
//! every byte that the server wrote is searched for them, as they are, as base64 and JSON-escaped.
//! None may be found.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    faults::until,
    harness::{Server, every_protocol},
    upstream::{Act, Upstream, anthropic, message},
};

/// A marker that stands nowhere else; the `é` makes its JSON escape differ from it.
fn marker(n: u32) -> String {
    format!("canary{n}é{:08x}zebra", n.wrapping_mul(0x9e37_79b9))
}

fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii() {
                c.to_string()
            } else {
                format!("\\u{:04x}", u32::from(c))
            }
        })
        .collect()
}

/// Every spelling that a marker could be written in.
fn spellings(marker: &str) -> Vec<Vec<u8>> {
    let mut out = vec![marker.as_bytes().to_vec(), escaped(marker).into_bytes()];
    // Base64 at each of the three alignments, without the ends that depend on the neighbours.
    for shift in 0..3 {
        let encoded = STANDARD.encode([vec![b' '; shift], marker.as_bytes().to_vec()].concat());
        out.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
    }
    out
}

fn files(folder: &Path, out: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, out);
        } else if !path.ends_with("anyrouter.toml") && !path.ends_with("boot.json") {
            out.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

pub(crate) fn search(server: &Server, markers: &[String]) {
    let mut written = Vec::new();
    files(server.dir.path(), &mut written);
    assert!(
        written
            .iter()
            .any(|(name, bytes)| name.ends_with("anyrouter.db") && bytes.len() > 1000),
        "the database is searched"
    );
    assert!(
        server
            .output()
            .iter()
            .any(|p| fs::metadata(p).is_ok_and(|m| m.len() > 0)),
        "so is what was printed"
    );
    for (name, bytes) in &written {
        for marker in markers {
            for spelling in spellings(marker) {
                let found = bytes.windows(spelling.len()).any(|w| w == spelling);
                assert!(
                    !found,
                    "{} is in {name}",
                    String::from_utf8_lossy(&spelling)
                );
            }
        }
    }
}

/// The events in the log: name, class and reason.
fn events(server: &Server) -> Vec<String> {
    let lines = server.err();
    let lines = lines
        .lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let words = lines.map(|line| {
        let of = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
        [of("event"), of("class"), of("reason")]
            .join(" ")
            .trim()
            .to_owned()
    });
    words.collect()
}

#[test]
fn nothing_that_was_said_is_written_anywhere() {
    let upstream = Upstream::start();
    let m: Vec<String> = (0..16).map(marker).collect();
    let answer = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": m[8], "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": json!({"a": m[9]}).to_string()}}]}, "finish_reason": m[10]}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    let error = json!({"error": {"message": m[11], "type": m[11], "code": m[11]}});
    let chunk = format!(
        "data: {}\n\n",
        json!({"id": m[12], "choices": [{"index": 0, "delta": {"content": m[12]}, "finish_reason": null}]})
    );
    let open_acts = vec![
        Act::Json(200, answer),
        Act::Events(vec![chunk.clone(), "data: [DONE]\n\n".to_owned()]),
        Act::Pause(vec![chunk.clone()], vec![format!("data: {error}\n\n")]),
        Act::Pause(vec![chunk], vec![format!("data: {{garbage {}\n\n", m[13])]),
        Act::Json(400, error.clone()),
        Act::Json(500, error.clone()),
        Act::Json(401, error.clone()),
        Act::With(
            200,
            vec![("content-type", "text/html")],
            format!("<p>{}</p>", m[13]),
        ),
        Act::Raw(format!("{} not http", m[13]).into_bytes()),
    ];
    let anthropic_acts = vec![
        Act::Json(
            200,
            message(
                json!([{"type": "thinking", "thinking": m[14], "signature": "s"}, {"type": "text", "text": m[14]}]),
                "end_turn",
            ),
        ),
        Act::Events(anthropic(&[
            json!({"type": "error", "error": {"type": m[15], "message": m[15]}}),
        ])),
        Act::Json(
            529,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": m[15]}}),
        ),
    ];
    // An endpoint for each answer: none has to wait for another's cooldown.
    let mut setup = every_protocol(&upstream).more("[log]\nformat = \"json\"");
    let mut models = Vec::new();
    for (provider, acts) in [("open", open_acts), ("anth", anthropic_acts)] {
        for (n, act) in acts.into_iter().enumerate() {
            let model = format!("lab/{provider}{n}");
            upstream.on(&format!("{provider}{n}"), vec![act.clone()]);
            setup = setup.model(&model, &[(provider, &format!("{provider}{n}"), "")]);
            models.push((model, matches!(act, Act::Events(_) | Act::Pause(..))));
        }
    }
    let count = models.len();
    upstream.on("o", vec![Act::Json(200, json!({"choices": []}))]);
    let server = setup.start();
    upstream.go_on();
    let said = |stream: bool| {
        json!({"stream": stream, "user": m[0], "stop": [m[1]],
            "messages": [
                {"role": "system", "content": m[2]},
                {"role": "user", "content": [{"type": "text", "text": m[3]}, {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", STANDARD.encode(&m[4]))}}]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": json!({"a": m[5]}).to_string()}}]},
                {"role": "tool", "tool_call_id": "c", "content": m[6]}],
            "tools": [{"type": "function", "function": {"name": "f", "description": m[7], "parameters": {"type": "object"}}}]})
    };
    for (model, stream) in &models {
        let response = server.chat(model, said(*stream));
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        // The record is there once the last byte is.
        let _ = response.text();
        assert_ne!(
            server.record_of(&id)["attempts"],
            json!([]),
            "{model} was asked"
        );
    }
    // The same in Anthropic's protocol.
    for (model, stream) in &models {
        let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": STANDARD.encode(&m[4])}});
        let said = json!({"model": model, "stream": stream, "max_tokens": 9, "metadata": {"user_id": m[0]}, "stop_sequences": [m[1]],
            "system": [{"type": "text", "text": m[2]}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": m[3]}, picture]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": m[5], "signature": m[5]}, {"type": "tool_use", "id": "c", "name": "f", "input": {"a": m[5]}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": m[6]}]}],
            "tools": [{"name": "f", "description": m[7], "input_schema": {"type": "object"}}]});
        let response = server.post("/messages", &server.key, &said);
        let id = response.headers()["request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let _ = response.text();
        assert_ne!(
            server.record_of(&id)["attempts"],
            json!([]),
            "{model} was asked"
        );
        let mut wrong = said;
        wrong["messages"] = json!([{"role": m[3], "content": {"text": m[3]}}]);
        let _ = server.post("/messages", &server.key, &wrong).text();
        let _ = server
            .post("/messages/count_tokens", &server.key, &wrong)
            .text();
    }
    // A model's only endpoint cools down after the third failure.
    for _ in 0..2 {
        let _ = server.chat("lab/open5", said(false)).text();
    }
    // Requests that are refused, malformed or unknown.
    for bad in [
        json!({"provider": {"only": ["nobody"]}}),
        json!({"provider": {"sort": m[3]}}),
        json!({"stream": m[3]}),
        json!({"provider": {"require_parameters": true}, "seed": 1, "models": []}),
    ] {
        let mut request = said(false);
        request
            .as_object_mut()
            .unwrap()
            .extend(bad.as_object().unwrap().clone());
        let _ = server.chat("lab/anth", request).text();
    }
    let broken = format!(
        "{{\"model\":\"lab/open\",\"messages\":[{{\"content\":\"{}",
        m[3]
    );
    let _ = server
        .request("POST", "/chat/completions")
        .bearer_auth(&server.key)
        .body(broken)
        .send()
        .unwrap()
        .text();
    let _ = server
        .request("POST", &format!("/chat/completions?x={}", "y"))
        .bearer_auth(&server.key)
        .body(m[3].clone())
        .send()
        .unwrap()
        .text();
    let explained: Value = server
        .post(
            "/route/explain",
            &server.key,
            &crate::harness::body("lab/open", said(false)),
        )
        .json()
        .unwrap();
    assert!(explained["eligible"].is_array());
    // What operators are told of all that failed is there to be searched.
    for event in [
        "upstream_failed credential",
        "upstream_failed server_error",
        "upstream_failed bad_answer",
        "upstream_failed overloaded",
        "upstream_failed connection_failed http",
        "cooldown_opened",
    ] {
        until(event, || events(&server).iter().any(|e| e == event));
    }
    search(&server, &m);

    // A crash in the middle, and what the next start writes.
    let mut server = server;
    server.kill();
    search(&server, &m);
    server.start_again();
    assert!(server.logs().len() >= 3 * count + 6);
    search(&server, &m);
}

#[test]
fn no_key_is_written_anywhere() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(500, json!({}))]);
    let mut server = every_protocol(&upstream).start();
    let made: Value = server
        .post("/keys", &server.management, &json!({"name": "k"}))
        .json()
        .unwrap();
    let keys = vec![
        server.key.clone(),
        server.management.clone(),
        made["key"].as_str().unwrap().to_owned(),
        "upstream-secret-key".to_owned(),
    ];
    for key in &keys {
        let _ = server
            .post(
                "/chat/completions",
                key,
                &crate::harness::body("lab/open", json!({})),
            )
            .text();
    }
    search(&server, &keys);
    server.kill();
    server.start_again();
    search(&server, &keys);
}

/// A key of nobody's, as a client might paste it in a wrong place.
fn key_marker(n: u32) -> String {
    format!("sk-ar-v1-{:064x}", u128::from(n) + 0xdead_beef_0000_0000)
}

#[test]
fn what_stands_in_a_wrong_place_is_neither_stored_nor_repeated() {
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![Act::Json(200, crate::upstream::completion("fine"))],
    );
    let server = every_protocol(&upstream).start();
    let mut markers = Vec::new();
    let mut next = |is_key: bool| {
        let n = markers.len() as u32 + 100;
        markers.push(if is_key { key_marker(n) } else { marker(n) });
        markers[markers.len() - 1].clone()
    };
    let mut said = Vec::new();
    for is_key in [false, true] {
        // Every member of a chat request that is a name, an id or a wish.
        let members: [(&str, fn(&str) -> Value); 14] = [
            ("model", |m| json!(m)),
            ("models", |m| json!([m])),
            ("user", |m| json!(m)),
            ("session_id", |m| json!(m)),
            ("preset", |m| json!(m)),
            ("metadata", |m| json!({ m: m })),
            (
                "trace",
                |m| json!({"trace_id": m, "trace_name": m, "span_name": m, "generation_name": m}),
            ),
            ("provider", |m| json!({"only": [m]})),
            ("provider", |m| json!({"ignore": [m], "order": [m]})),
            ("provider", |m| json!({"quantizations": [m]})),
            ("service_tier", |m| json!(m)),
            ("tool_choice", |m| json!(m)),
            ("prompt_cache_key", |m| json!(m)),
            ("safety_identifier", |m| json!(m)),
        ];
        for (member, value) in members {
            for model in ["lab/open", "lab/anth"] {
                let mut body = crate::harness::body(model, json!({}));
                body[member] = value(&next(is_key));
                said.push(
                    server
                        .post("/chat/completions", &server.key, &body)
                        .text()
                        .unwrap(),
                );
            }
        }
        // A member that nobody knows, on each route that takes a body.
        for path in [
            "/chat/completions",
            "/route/explain",
            "/privacy/preview",
            "/keys",
        ] {
            let mut body = crate::harness::body("lab/open", json!({}));
            body[next(is_key)] = json!(1);
            said.push(server.post(path, &server.management, &body).text().unwrap());
        }
        for header in [
            "x-session-id",
            "x-anyrouter-trace-id",
            "x-anyrouter-app",
            "x-anyrouter-provider",
            "x-request-id",
            "http-referer",
            "x-title",
            "user-agent",
            "origin",
            "referer",
            "accept-language",
            "openai-organization",
            "openai-project",
            "x-stainless-lang",
            "traceparent",
            "idempotency-key",
        ] {
            let value = reqwest::header::HeaderValue::from_bytes(next(is_key).as_bytes()).unwrap();
            let request = server
                .request("POST", "/chat/completions")
                .bearer_auth(&server.key)
                .header(header, value);
            said.push(
                request
                    .json(&crate::harness::body("lab/open", json!({})))
                    .send()
                    .unwrap()
                    .text()
                    .unwrap(),
            );
        }
        for path in [
            "/models/",
            "/models?q=",
            "/generation?id=",
            "/logs/",
            "/logs?model=",
            "/keys/",
            "/nothing/",
            "/providers?x=",
        ] {
            let path = format!("{path}{}", next(is_key).replace('é', "%C3%A9"));
            said.push(
                server
                    .request("GET", &path)
                    .bearer_auth(&server.management)
                    .send()
                    .unwrap()
                    .text()
                    .unwrap(),
            );
        }
        // A bearer that is none.
        said.push(
            server
                .post(
                    "/chat/completions",
                    &next(true),
                    &crate::harness::body("lab/open", json!({})),
                )
                .text()
                .unwrap(),
        );
    }
    for path in ["/logs", "/keys", "/privacy"] {
        said.push(
            server
                .request("GET", path)
                .bearer_auth(&server.management)
                .send()
                .unwrap()
                .text()
                .unwrap(),
        );
    }
    search(&server, &markers);
    for marker in markers.iter().filter(|m| m.starts_with("sk-")) {
        let repeated = said.iter().find(|text| text.contains(marker.as_str()));
        assert!(
            repeated.is_none(),
            "{marker} is repeated: {}",
            repeated.unwrap()
        );
    }
}
