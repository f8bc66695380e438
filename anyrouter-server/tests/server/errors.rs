//! Bad input and bad upstreams: a clear error in the client's protocol, a stable code, the request
//! id, one record, and no body.

use serde_json::{Value, json};

use crate::{
    harness::{CLEAN, Server, Setup, body, every_protocol},
    upstream::{Act, Upstream, completion},
};

/// Sends a raw body and gives status and error.
fn send(server: &Server, raw: Vec<u8>) -> (u16, Value) {
    let response = server
        .request("POST", "/chat/completions")
        .bearer_auth(&server.key)
        .body(raw)
        .send()
        .unwrap();
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let answer: Value = response.json().unwrap();
    assert_eq!(answer["anyrouter_metadata"]["requestId"], id.as_str());
    assert_eq!(answer["error"]["http_status"], status);
    let record = server.record_of(&id);
    assert_eq!(
        (&record["http_status"], &record["error_code"]),
        (&json!(status), &answer["error"]["code"])
    );
    assert_eq!(
        (&record["outcome"], &record["cost"], &record["estimated"]),
        (&json!("invalid"), &json!("0"), &json!(false))
    );
    (status, answer["error"].clone())
}

#[test]
fn a_body_that_is_no_request_is_a_400_with_its_record() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream)
        .more("[limits]\nbody = 100000")
        .start();
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for (raw, code) in [
        (b"".to_vec(), "invalid_json"),
        (b"{\"model\": \"lab/open\", \"mess".to_vec(), "invalid_json"),
        (b"[]".to_vec(), "invalid_json"),
        (b"{\"a\": \"\xff\xfe\"}".to_vec(), "invalid_json"),
        (deep.into_bytes(), "invalid_json"),
        (
            format!(
                "{{\"model\":\"m\",\"x\":{}1{}}}",
                "[".repeat(500),
                "]".repeat(500)
            )
            .into_bytes(),
            "invalid_json",
        ),
        (b"{}".to_vec(), "invalid_parameter"),
        (b"{\"model\":\"lab/open\"}".to_vec(), "invalid_parameter"),
        (
            b"{\"model\":\"lab/open\",\"model\":\"lab/anth\",\"messages\":[]}".to_vec(),
            "invalid_parameter",
        ),
    ] {
        let (status, error) = send(&server, raw.clone());
        assert_eq!(
            (status, &error["code"]),
            (400, &json!(code)),
            "{}",
            String::from_utf8_lossy(&raw[..raw.len().min(60)])
        );
        assert_eq!(error["type"], "invalid_request_error");
    }
    let (status, error) = send(&server, vec![b' '; 100_001]);
    assert_eq!(
        (status, &error["code"], &error["type"]),
        (413, &json!("body_too_large"), &json!("request_too_large"))
    );
    assert!(upstream.seen().is_empty());
}

#[test]
fn every_gateway_member_of_a_wrong_type_is_named_and_not_repeated() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    for (member, value) in [
        ("model", json!(7)),
        ("models", json!("canary-value")),
        ("stream", json!("canary-value")),
        ("stream_options", json!({"include_usage": "canary-value"})),
        ("max_tokens", json!("canary-value")),
        ("max_completion_tokens", json!(-1)),
        ("min_context", json!("canary-value")),
        ("require_params", json!("canary-value")),
        ("reasoning", json!({"effort": 7})),
        ("reasoning_effort", json!("canary-value")),
        ("session_id", json!(["canary-value"])),
        ("trace", json!("canary-value")),
        ("preset", json!(7)),
        ("provider", json!("canary-value")),
        ("provider", json!({"zdr": "canary-value"})),
        ("provider", json!({"zrd": true})),
        ("provider", json!({"sort": "canary-value"})),
        ("provider", json!({"only": "canary-value"})),
        ("provider", json!({"data_collection": "canary-value"})),
        ("provider", json!({"max_price": {"prompt": "canary-value"}})),
        ("provider", json!({"preferred_max_latency": "canary-value"})),
        ("provider", json!({"quantizations": 8})),
        ("provider", json!({"zdr": true, "zdr_": true})),
    ] {
        let mut request = body("lab/open", json!({}));
        request[member] = value.clone();
        let (status, error) = send(&server, request.to_string().into_bytes());
        assert_eq!(
            (status, &error["code"]),
            (400, &json!("invalid_parameter")),
            "{member}: {value}"
        );
        assert!(
            error["param"].as_str().unwrap().starts_with(member),
            "{member}: {error}"
        );
        assert!(!error.to_string().contains("canary-value"), "{error}");
    }
}

#[test]
fn a_preset_is_a_layer_of_policy_and_is_not_passed_over() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    for (body, param) in [
        (json!({"model": "lab/open", "preset": "x"}), "preset"),
        (json!({"model": "lab/open@preset/x"}), "model"),
        (json!({"model": "@preset/x"}), "model"),
    ] {
        let mut whole = json!({"messages": []});
        whole
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        let answer: Value = server
            .post("/chat/completions", &server.key, &whole)
            .json()
            .unwrap();
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["param"]),
            (&json!("invalid_parameter"), &json!(param))
        );
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn an_unknown_model_names_its_neighbours() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let response = server.chat("lab/opne", json!({}));
    let record = server.record(&response);
    assert_eq!(response.status(), 404);
    let error: Value = response.json().unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["param"]),
        (&json!("model_not_found"), &json!("model"))
    );
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("lab/open"),
        "{error}"
    );
    assert_eq!(
        (&record["outcome"], &record["http_status"]),
        (&json!("refused"), &json!(404))
    );
}

#[test]
fn each_way_to_have_no_endpoint_has_its_code_and_its_explanation() {
    let upstream = Upstream::start();
    let server = Setup::new()
        .provider("clean", "openai_chat", &upstream, "")
        .provider(
            "trains",
            "openai_chat",
            &upstream,
            "terms = { trains_on_paid = true, source = \"https://t.example\", checked = \"2026-10-01\" }",
        )
        .provider("keyless", "openai_chat", &upstream, &format!("env = [\"NOT_SET\"]\n{CLEAN}").replace("api_key", ""))
        .model("lab/clean", &[("clean", "c", "context = 1000\nmax_output = 100\nquantization = \"fp8\"")])
        .model("lab/trains", &[("trains", "t", "")])
        .start();
    for (model, more, status, code, excluded_by) in [
        (
            "lab/trains",
            json!({}),
            404,
            "privacy_restricted",
            "data_policy:training",
        ),
        (
            "lab/clean",
            json!({"provider": {"max_price": {"prompt": "0.5"}}}),
            404,
            "constraint_filtered",
            "max_price",
        ),
        (
            "lab/clean",
            json!({"min_context": 2000}),
            404,
            "constraint_filtered",
            "context_length",
        ),
        (
            "lab/clean[2k]",
            json!({}),
            404,
            "constraint_filtered",
            "context_length",
        ),
        (
            "lab/clean",
            json!({"max_tokens": 101, "require_params": true}),
            404,
            "constraint_filtered",
            "context_length",
        ),
        (
            "lab/clean",
            json!({"provider": {"quantizations": ["bf16"]}}),
            404,
            "constraint_filtered",
            "quantization",
        ),
        (
            "lab/clean",
            json!({"provider": {"only": ["trains"]}}),
            404,
            "constraint_filtered",
            "allowed_providers",
        ),
        (
            "lab/clean",
            json!({"provider": {"ignore": ["CLEAN"]}}),
            404,
            "constraint_filtered",
            "allowed_providers",
        ),
        (
            "lab/clean",
            json!({"tools": [], "provider": {"require_parameters": true}}),
            404,
            "constraint_filtered",
            "require_parameters",
        ),
        (
            "lab/clean:free",
            json!({}),
            404,
            "constraint_filtered",
            "max_price",
        ),
    ] {
        let response = server.chat(model, more.clone());
        let answer: Value = response.json().unwrap();
        let error = &answer["error"];
        assert_eq!(
            (error["http_status"].as_u64(), &error["code"]),
            (Some(status), &json!(code)),
            "{model} {more}: {error}"
        );
        assert_eq!(error["availability"]["code"], code);
        assert!(
            error["availability"]["excluded_by"]
                .as_array()
                .unwrap()
                .contains(&json!(excluded_by)),
            "{model} {more}: {error}"
        );
        assert!(
            !error["explanation"]["excluded"]
                .as_array()
                .unwrap()
                .is_empty()
        );
        assert!(
            !error["explanation"]["relax"].as_array().unwrap().is_empty(),
            "{error}"
        );
    }
    let pinned = server
        .request("POST", "/chat/completions")
        .bearer_auth(&server.key)
        .header("X-AnyRouter-Provider", "trains")
        .json(&body("lab/clean", json!({})))
        .send()
        .unwrap();
    assert_eq!(
        pinned.json::<Value>().unwrap()["error"]["code"],
        "constraint_filtered"
    );

    server.patch_privacy(&json!({"regions": ["us"]}));
    let answer: Value = server.chat("lab/clean", json!({})).json().unwrap();
    assert_eq!(
        (
            &answer["error"]["code"],
            &answer["error"]["http_status"],
            &answer["error"]["type"]
        ),
        (
            &json!("region_restricted"),
            &json!(403),
            &json!("permission_error")
        )
    );
    assert!(upstream.seen().is_empty(), "nothing was sent anywhere");
}

#[test]
fn upstream_failures_are_told_as_such_without_their_text() {
    let upstream = Upstream::start();
    let leak = |status: u16, kind: &str, code: Value| {
        Act::Json(
            status,
            json!({"error": {"message": "canary: you said hello", "type": kind, "code": code}}),
        )
    };
    let html = Act::With(
        200,
        vec![("content-type", "text/html")],
        "<html>canary</html>".to_owned(),
    );
    let cases: Vec<(&str, Act, u16, &str, &str)> = vec![
        (
            "bad-request",
            leak(
                400,
                "invalid_request_error",
                json!("context_length_exceeded"),
            ),
            400,
            "context_length_exceeded",
            "invalid_request_error",
        ),
        (
            "strange-code",
            leak(400, "invalid_request_error", json!("you said canary")),
            400,
            "upstream_rejected",
            "invalid_request_error",
        ),
        (
            "unprocessable",
            leak(422, "x", Value::Null),
            422,
            "upstream_rejected",
            "invalid_request_error",
        ),
        (
            "our-key",
            leak(401, "authentication_error", json!("invalid_api_key")),
            502,
            "upstream_error",
            "api_error",
        ),
        (
            "our-rights",
            leak(403, "permission_error", Value::Null),
            502,
            "upstream_error",
            "api_error",
        ),
        (
            "quota-402",
            leak(402, "billing", Value::Null),
            502,
            "upstream_error",
            "api_error",
        ),
        (
            "quota-400",
            leak(400, "insufficient_quota", json!("insufficient_quota")),
            502,
            "upstream_error",
            "api_error",
        ),
        (
            "quota-429",
            leak(429, "insufficient_quota", json!("insufficient_quota")),
            502,
            "upstream_error",
            "api_error",
        ),
        (
            "gone",
            leak(404, "not_found_error", json!("model_not_found")),
            404,
            "model_unavailable_upstream",
            "not_found_error",
        ),
        (
            "busy",
            leak(429, "rate_limit_error", Value::Null),
            429,
            "capacity_exhausted",
            "rate_limit_error",
        ),
        (
            "broken",
            leak(500, "server_error", Value::Null),
            502,
            "upstream_error",
            "api_error",
        ),
        (
            "overloaded",
            leak(529, "overloaded_error", Value::Null),
            503,
            "overloaded",
            "api_error",
        ),
        (
            "in-a-200",
            leak(200, "server_error", json!("boom")),
            502,
            "upstream_error",
            "api_error",
        ),
        ("html", html, 502, "upstream_error", "api_error"),
        (
            "garbage",
            Act::Raw(b"\x00\x01garbage canary\r\n\r\n".to_vec()),
            502,
            "upstream_error",
            "api_error",
        ),
        ("closed", Act::Close, 502, "upstream_error", "api_error"),
        (
            "short",
            Act::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"canary\":".to_vec()),
            502,
            "upstream_error",
            "api_error",
        ),
        ("hang", Act::Hang, 504, "upstream_timeout", "timeout_error"),
    ];
    let mut setup = Setup::new()
        .provider("p", "openai_chat", &upstream, "")
        .more("[deadlines]\nfirst_byte = 0.5");
    for (name, act, ..) in &cases {
        upstream.on(name, vec![act.clone()]);
        // An endpoint for each request: none has to wait for another's cooldown.
        setup = setup
            .model(&format!("lab/{name}"), &[("p", name, "")])
            .model(&format!("lab/{name}-stream"), &[("p", name, "")]);
    }
    let server = setup.start();
    for (name, _, status, code, kind) in &cases {
        for stream in [false, true] {
            if stream && (*name == "html" || *name == "in-a-200" || *name == "hang") {
                continue;
            }
            let model = format!("{name}{}", if stream { "-stream" } else { "" });
            let response = server.chat(&format!("lab/{model}"), json!({"stream": stream}));
            let record = server.record(&response);
            let answer: Value = response.json().unwrap();
            let error = &answer["error"];
            assert_eq!(
                (
                    error["http_status"].as_u64(),
                    &error["code"],
                    &error["type"]
                ),
                (Some(u64::from(*status)), &json!(code), &json!(kind)),
                "{name}, stream {stream}: {answer}"
            );
            assert!(!answer.to_string().contains("canary"), "{answer}");
            assert_eq!(answer["anyrouter_metadata"]["attempts"][0]["isFinal"], true);
            assert_eq!(
                answer["error"]["metadata"]["upstream_backend"],
                format!("p/lab-{model}")
            );
            assert_eq!(
                (&record["outcome"], &record["http_status"]),
                (&json!("upstream_error"), &json!(status)),
                "{name}"
            );
        }
    }
    assert!(
        server
            .chat("lab/busy", json!({}))
            .headers()
            .contains_key("retry-after"),
        "so does the endpoint that cools down"
    );
}

#[test]
fn keys_that_are_not_good_are_401_and_leave_no_record() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = every_protocol(&upstream).start();
    let make = |more: Value| -> (String, String) {
        let mut options = json!({"name": "t"});
        options
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let answer: Value = server
            .post("/keys", &server.management, &options)
            .json()
            .unwrap();
        (
            answer["key"].as_str().unwrap().to_owned(),
            answer["data"]["hash"].as_str().unwrap().to_owned(),
        )
    };
    let (revoked, hash) = make(json!({}));
    assert_eq!(
        server
            .post("/chat/completions", &revoked, &body("lab/open", json!({})))
            .status(),
        200
    );
    assert_eq!(
        server
            .request("DELETE", &format!("/keys/{hash}"))
            .bearer_auth(&server.management)
            .send()
            .unwrap()
            .status(),
        200
    );
    let (expired, hash) = make(json!({"expires_at": "2100-01-01T00:00:00Z"}));
    let past = json!({"expires_at": "2020-01-01T00:00:00Z"});
    assert_eq!(
        server
            .request("PATCH", &format!("/keys/{hash}"))
            .bearer_auth(&server.management)
            .json(&past)
            .send()
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        server
            .post(
                "/keys",
                &server.management,
                &json!({"name": "t", "expires_at": "2020-01-01T00:00:00Z"})
            )
            .status(),
        400
    );
    let (disabled, _) = make(json!({"disabled": true}));
    let (elsewhere, _) = make(json!({"allowed_ips": ["10.0.0.0/8"]}));
    let before = server.logs().len();
    for (key, status, code) in [
        ("sk-ar-v1-wrong", 401, "invalid_key"),
        ("not-a-key", 401, "invalid_key"),
        (revoked.as_str(), 401, "revoked_key"),
        (expired.as_str(), 401, "expired_key"),
        (disabled.as_str(), 401, "revoked_key"),
        (elsewhere.as_str(), 403, "ip_not_allowed"),
        (server.management.as_str(), 403, "insufficient_scope"),
    ] {
        let response = server.post("/chat/completions", key, &body("lab/open", json!({})));
        assert_eq!(response.status(), status, "{code}");
        let answer: Value = response.json().unwrap();
        assert_eq!(answer["error"]["code"], code);
        assert!(!answer.to_string().contains(key));
    }
    let none = server
        .http
        .post(format!("{}/chat/completions", server.base))
        .json(&body("lab/open", json!({})))
        .send()
        .unwrap();
    assert_eq!(none.status(), 401);
    assert_eq!(
        server.logs().len(),
        before,
        "what is refused before it is accepted has no record"
    );
    let metrics = server
        .http
        .get(server.base.replace("/api/v1", "/metrics"))
        .send()
        .unwrap()
        .text()
        .unwrap();
    assert!(
        metrics.contains("anyrouter_refused_total{status=\"401\"} 6"),
        "{metrics}"
    );
}

#[test]
fn a_refused_request_counts_once_wherever_it_was_refused() {
    use std::io::{Read as _, Write as _};
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = every_protocol(&upstream).start();
    let root = server.base.trim_end_matches("/api/v1").to_owned();
    let address = root.trim_start_matches("http://").to_owned();
    let metrics = || {
        let response = server.http.get(format!("{root}/metrics")).send().unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"));
        response.text().unwrap()
    };
    let counted = || -> std::collections::BTreeMap<String, u64> {
        let text = metrics();
        let of = text
            .lines()
            .filter_map(|l| l.strip_prefix("anyrouter_refused_total{status=\""));
        of.map(|l| {
            let (status, count) = l.split_once("\"} ").unwrap();
            (status.to_owned(), count.parse().unwrap())
        })
        .filter(|(_, count)| *count > 0)
        .collect()
    };
    let raw = |request: String| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer[9..12].to_owned()
    };
    let head = |rest: &str| {
        format!(
            "POST /api/v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {}\r\nconnection: close\r\n{rest}",
            server.key
        )
    };
    let mut expected = std::collections::BTreeMap::new();
    let chat = body("lab/open", json!({})).to_string();
    for (status, got) in [
        (
            "401",
            server
                .post(
                    "/chat/completions",
                    "sk-ar-v1-none",
                    &body("lab/open", json!({})),
                )
                .status()
                .as_u16()
                .to_string(),
        ),
        (
            "401",
            server
                .get("/keys", "sk-ar-v1-none")
                .status()
                .as_u16()
                .to_string(),
        ),
        (
            "403",
            server
                .get("/keys", &server.key)
                .status()
                .as_u16()
                .to_string(),
        ),
        ("400", raw(head("content-length: 2\r\n\r\n{}"))),
        (
            "400",
            raw(head("host: x\r\nhost: y\r\ncontent-length: 2\r\n\r\n{}")),
        ),
        ("400", raw(head("host: x\ncontent-length: 2\r\n\r\n{}"))),
        (
            "431",
            raw(head(&format!(
                "host: x\r\nx: {}\r\n\r\n",
                "y".repeat(1 << 20)
            ))),
        ),
    ] {
        assert_eq!(got, status);
        *expected.entry(status.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(counted(), expected);
    // What was accepted has a record, and is no refusal, whatever came of it.
    for (request, status) in [
        (
            head(&format!(
                "host: x\r\ncontent-length: {}\r\n\r\n{chat}",
                chat.len()
            )),
            "200",
        ),
        (head("host: x\r\ncontent-length: 2\r\n\r\n[]"), "400"),
        (
            head("host: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            "400",
        ),
    ] {
        assert_eq!(raw(request), status);
    }
    assert_eq!(server.get("/nothing", &server.key).status(), 404);
    assert_eq!(counted(), expected);
    assert_eq!(server.logs().len(), 3);
}

#[test]
fn limits_of_a_key_hold_and_say_so_in_headers() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = every_protocol(&upstream).start();
    let made: Value = server
        .post(
            "/keys",
            &server.management,
            &json!({"name": "slow", "requests_per_minute": 3}),
        )
        .json()
        .unwrap();
    let key = made["key"].as_str().unwrap();
    for left in [2, 1, 0] {
        let response = server.post("/chat/completions", key, &body("lab/open", json!({})));
        assert_eq!(response.status(), 200);
        assert_eq!(
            (
                &response.headers()["x-ratelimit-limit"],
                &response.headers()["ratelimit-remaining"]
            ),
            (&"3".parse().unwrap(), &left.to_string().parse().unwrap())
        );
    }
    let response = server.post("/chat/completions", key, &body("lab/open", json!({})));
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=61).contains(&wait));
    assert_eq!(
        response.json::<Value>().unwrap()["error"]["code"],
        "rate_limited"
    );
    let record = server.wait_for_record(|r| r["outcome"] == "rate_limited");
    assert_eq!(record["http_status"], 429);

    let made: Value = server
        .post(
            "/keys",
            &server.management,
            &json!({"name": "few", "tokens_per_minute": 100}),
        )
        .json()
        .unwrap();
    let key = made["key"].as_str().unwrap();
    let ask = |max: u64| {
        server
            .post(
                "/chat/completions",
                key,
                &body("lab/open", json!({"max_tokens": max})),
            )
            .status()
            .as_u16()
    };
    assert_eq!(
        ask(200),
        400,
        "a request that alone is above the limit is not a matter of waiting"
    );
    assert_eq!(ask(80), 200);
    assert_eq!(ask(75), 200, "18 were used, not what was reserved");
    assert_eq!(ask(75), 429);
    assert_eq!(server.get("/key", &server.key).status(), 200);
    let free = server.chat("lab/open", json!({}));
    assert!(
        !free.headers().contains_key("x-ratelimit-limit"),
        "a key without a limit has no headers of one"
    );
}
