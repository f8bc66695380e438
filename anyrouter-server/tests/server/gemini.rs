//! Google's `generateContent` as a client's protocol: addresses, keys, streams in both forms, errors.

use serde_json::{Value, json};

use crate::{
    harness::{Server, every_protocol},
    upstream::{Act, Upstream, completion, generated, generated_chunks, message},
};

fn hi() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

/// The server's address without the API's prefix.
fn root(server: &Server) -> &str {
    server.base.trim_end_matches("/api/v1")
}

/// Sends a request to an address with nothing before it.
fn post(server: &Server, address: &str, body: &Value) -> reqwest::blocking::Response {
    reqwest::blocking::Client::new()
        .post(format!("{}{address}", root(server)))
        .header("x-goog-api-key", &server.key)
        .json(body)
        .send()
        .unwrap()
}

#[test]
fn a_model_is_found_under_every_address_that_googles_packages_form() {
    let upstream = Upstream::start();
    upstream.on(
        "g",
        vec![Act::Json(200, generated(json!([{"text": "Hello"}])))],
    );
    let server = every_protocol(&upstream).start();
    for address in [
        "/v1beta/models/lab/goog:generateContent",
        "/api/v1beta/models/lab/goog:generateContent",
        "/api/v1beta/models/lab%2Fgoog:generateContent",
        "/api/v1beta/models/lab%2Fgoog%3AgenerateContent",
        "/api//v1beta/models/goog:generateContent",
        "/v1/models/lab/goog:generateContent",
        "/api/v1/models/lab%2Fgoog:generateContent",
        // `@ai-sdk/google` takes the slash for that of `models/`.
        "/api/v1beta/lab/goog:generateContent",
    ] {
        let answer = post(&server, address, &hi());
        assert_eq!(answer.status(), 200, "{address}");
        let answer: Value = answer.json().unwrap();
        assert_eq!(
            answer["candidates"][0]["content"]["parts"][0]["text"],
            "Hello"
        );
        assert_eq!(answer["modelVersion"], "lab/goog");
        let record = server.record_of(answer["responseId"].as_str().unwrap());
        assert_eq!(
            (&record["inbound"], &record["outbound"]),
            (&json!("gemini"), &json!("gemini"))
        );
    }
    assert_eq!(upstream.seen()[0].path, "/v1/models/g:generateContent");
    assert_eq!(
        upstream.seen()[0].headers["x-goog-api-key"],
        "upstream-secret-key"
    );
    for address in ["/api/v1beta/models", "/api/v1/models"] {
        let list = reqwest::blocking::Client::new().get(format!("{}{address}", root(&server)));
        let list: Value = list
            .header("x-goog-api-key", &server.key)
            .send()
            .unwrap()
            .json()
            .unwrap();
        let names: Vec<&str> = list["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["name"].as_str().unwrap())
            .collect();
        assert!(names.contains(&"models/lab/goog"), "{names:?}");
        let one =
            reqwest::blocking::Client::new().get(format!("{}{address}/lab/goog", root(&server)));
        let one: Value = one
            .header("x-goog-api-key", &server.key)
            .send()
            .unwrap()
            .json()
            .unwrap();
        assert_eq!(
            (&one["name"], &one["outputTokenLimit"]),
            (&json!("models/lab/goog"), &json!(4096))
        );
    }
    let unknown = post(
        &server,
        "/api/v1beta/models/lab/nothing:generateContent",
        &hi(),
    );
    assert_eq!(unknown.status(), 404);
    assert_eq!(
        unknown.json::<Value>().unwrap()["error"]["status"],
        "NOT_FOUND"
    );
    assert_eq!(
        post(&server, "/api/v1beta/models/lab/goog:embedContent", &hi()).status(),
        404
    );
}

#[test]
fn a_key_in_the_query_is_taken_and_written_nowhere() {
    let upstream = Upstream::start();
    upstream.on(
        "g",
        vec![Act::Json(200, generated(json!([{"text": "Hello"}])))],
    );
    let server = every_protocol(&upstream)
        .more("[log]\nlevel = \"info\"")
        .start();
    let send = |key: &str| {
        let address = format!(
            "{}/api/v1beta/models/lab/goog:generateContent?key={key}&alt=json",
            root(&server)
        );
        reqwest::blocking::Client::new()
            .post(address)
            .json(&hi())
            .send()
            .unwrap()
    };
    assert_eq!(send(&server.key).status(), 200);
    let refused = send("sk-ar-v1-wrong");
    assert_eq!(refused.status(), 401);
    let refused: Value = refused.json().unwrap();
    assert_eq!(
        (
            &refused["error"]["status"],
            &refused["error"]["details"][0]["reason"]
        ),
        (&json!("UNAUTHENTICATED"), &json!("invalid_key"))
    );
    let seen = upstream.seen().pop().unwrap();
    assert!(!format!("{seen:?}").contains(&server.key));
    for file in server.output() {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            !text.contains(&server.key) && !text.contains("sk-ar-v1-wrong"),
            "{text}"
        );
    }
}

#[test]
fn a_request_passes_to_a_google_upstream_but_for_what_is_ours() {
    let upstream = Upstream::start();
    upstream.on(
        "g",
        vec![Act::Json(200, generated(json!([{"text": "ok"}])))],
    );
    let server = every_protocol(&upstream).start();
    let body = r#"{"unknown":{"b":1.50, "a":[ ]},"provider":{"zdr":true},"session_id":"s","contents":[{"role":"user","parts":[{"text":"h\u00e9"}]},
        {"role":"model","parts":[{"functionCall":{"name":"f","id":"x1"},"thoughtSignature":"AY89a1/+"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","id":"x1","response":{"n":1.0}}}]}],
        "labels":{"team":"x"},"generationConfig":{"maxOutputTokens":64000,"temperature":1.0e0}}"#;
    let answer = reqwest::blocking::Client::new()
        .post(format!(
            "{}/api/v1beta/models/lab/goog:generateContent",
            root(&server)
        ))
        .header("x-goog-api-key", &server.key)
        .header("x-goog-api-client", "google-genai-sdk/2.32.0 gl-node/24")
        .header("x-gemini-api-privileged-user-id", "installation")
        .body(body)
        .send()
        .unwrap();
    let answer: Value = answer.json().unwrap();
    assert_eq!(answer["anyrouter_metadata"]["omitted"], json!(["labels"]));
    assert_eq!(
        answer["anyrouter_metadata"]["notes"],
        json!(["maxOutputTokens was lowered from 64000 to 4096, the most that the endpoint gives"])
    );
    let seen = upstream.seen().pop().unwrap();
    assert!(
        !seen.headers.contains_key("x-goog-api-client")
            && !seen.headers.contains_key("x-gemini-api-privileged-user-id")
    );
    let order: Vec<&String> = seen.body.as_object().unwrap().keys().collect();
    assert_eq!(order, ["unknown", "contents", "generationConfig"]);
    assert_eq!(
        seen.body["contents"][1]["parts"][0]["thoughtSignature"],
        "AY89a1/+"
    );
    assert_eq!(
        seen.body["generationConfig"],
        json!({"maxOutputTokens": 4096, "temperature": 1.0})
    );
}

#[test]
fn a_stream_is_of_events_or_an_array_as_the_client_asks() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let chunks = generated_chunks(&[json!([{"text": "Hel"}]), json!([{"text": "lo"}])]);
    upstream.on("g", vec![Act::Events(chunks)]);
    upstream.on(
        "o",
        vec![Act::Events(crate::upstream::chunks(&["Hel", "lo"]))],
    );
    for model in ["lab/goog", "lab/open"] {
        let address = format!("/api/v1beta/models/{model}:streamGenerateContent");
        let events = post(&server, &format!("{address}?alt=sse"), &hi());
        assert!(
            events.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/event-stream")
        );
        let events = events.text().unwrap();
        assert!(
            events
                .split_terminator("\r\n\r\n")
                .all(|e| e.starts_with("data: {")),
            "{events}"
        );
        let array = post(&server, &address, &hi());
        assert_eq!(array.headers()["content-type"], "application/json");
        let array: Vec<Value> = array.json().unwrap();
        let of_events: Vec<Value> = events
            .split_terminator("\r\n\r\n")
            .map(|e| serde_json::from_str(&e[6..]).unwrap())
            .collect();
        let text = |chunks: &[Value]| -> String {
            chunks
                .iter()
                .filter_map(|c| c["candidates"][0]["content"]["parts"][0]["text"].as_str())
                .collect()
        };
        assert_eq!(
            (text(&array), text(&of_events)),
            ("Hello".to_owned(), "Hello".to_owned())
        );
        let last = array.last().unwrap();
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        assert!(
            last["anyrouter_metadata"]["requestId"].is_string()
                && last["usageMetadata"].is_object()
        );
    }
    // An error in mid-stream ends either form.
    let mut broken = generated_chunks(&[json!([{"text": "Hel"}]), json!([])]);
    broken[1] = format!(
        "data: {}\r\n\r\n",
        json!({"error": {"code": 503, "message": "secret", "status": "UNAVAILABLE"}})
    );
    upstream.on("g", vec![Act::Events(broken)]);
    let address = "/api/v1beta/models/lab/goog:streamGenerateContent";
    let events = post(&server, &format!("{address}?alt=sse"), &hi())
        .text()
        .unwrap();
    let array: Vec<Value> = post(&server, address, &hi()).json().unwrap();
    for text in [events, json!(array).to_string()] {
        assert!(
            text.contains("\"status\":\"UNAVAILABLE\"") && !text.contains("secret"),
            "{text}"
        );
    }
}

#[test]
fn tokens_are_estimated_and_nothing_is_sent() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let counted: Value = post(&server, "/api/v1beta/models/lab/goog:countTokens", &hi())
        .json()
        .unwrap();
    assert_eq!(counted["estimated"], true);
    let whole = json!({"generateContentRequest": {"model": "models/lab/goog", "contents": hi()["contents"]}});
    let again: Value = post(&server, "/v1/models/lab/goog:countTokens", &whole)
        .json()
        .unwrap();
    assert_eq!(again["totalTokens"], counted["totalTokens"]);
    assert!(upstream.seen().is_empty());
}

#[test]
fn calls_keep_their_names_order_and_ids_between_googles_protocol_and_others() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    // Two calls of one function without ids: their results find them in order.
    let body = json!({"contents": [
            {"role": "user", "parts": [{"text": "both"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "get", "args": {"n": 1}}}, {"functionCall": {"name": "get", "args": {"n": 2}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "get", "response": {"result": "one"}}}, {"functionResponse": {"name": "get", "response": {"a": 2}}}, {"text": "go on"}]}],
        "systemInstruction": {"role": "user", "parts": [{"text": "Be kind."}]},
        "tools": [{"functionDeclarations": [{"name": "get", "parameters": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": true}}}}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get"]}},
        "generationConfig": {"topK": 5.0, "stopSequences": ["x"], "responseMimeType": "application/json", "thinkingConfig": {"thinkingLevel": "LOW"}, "speechConfig": {}}});
    let mut chat = completion("");
    chat["choices"][0]["message"]["tool_calls"] = json!([{"id": "call_9", "type": "function", "function": {"name": "get", "arguments": "{\"n\":3}"}}]);
    upstream.on("o", vec![Act::Json(200, chat)]);
    let answer: Value = post(
        &server,
        "/api/v1beta/models/lab/open:generateContent",
        &body,
    )
    .json()
    .unwrap();
    assert_eq!(
        answer["candidates"][0]["content"]["parts"][0]["functionCall"],
        json!({"id": "call_9", "name": "get", "args": {"n": 3}}),
        "{answer}"
    );
    assert_eq!(answer["candidates"][0]["finishReason"], "STOP");
    assert_eq!(
        answer["anyrouter_metadata"]["omitted"],
        json!([
            "tools[1].googleSearch",
            "generationConfig.topK",
            "generationConfig.speechConfig"
        ])
    );
    let sent = upstream.seen().pop().unwrap().body;
    let messages = sent["messages"].as_array().unwrap();
    let roles: Vec<&Value> = messages.iter().map(|m| &m["role"]).collect();
    assert_eq!(
        roles,
        ["system", "user", "assistant", "tool", "tool", "user"]
    );
    let ids: Vec<&Value> = messages[2]["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["id"])
        .collect();
    assert_eq!(
        ids,
        [&messages[3]["tool_call_id"], &messages[4]["tool_call_id"]]
    );
    assert_ne!(ids[0], ids[1]);
    assert_eq!(
        (&messages[3]["content"], &messages[4]["content"]),
        (&json!("one"), &json!("{\"a\":2}"))
    );
    assert_eq!(
        sent["tools"][0]["function"]["parameters"],
        json!({"type": "object", "properties": {"n": {"type": ["integer", "null"]}}})
    );
    assert_eq!(
        sent["tool_choice"],
        json!({"type": "function", "function": {"name": "get"}})
    );
    assert_eq!(
        (&sent["top_k"], &sent["stop"], &sent["reasoning_effort"]),
        (&json!(null), &json!(["x"]), &json!("low"))
    );

    // From chat: results of parallel calls are one content with the functions' names, and only the
    // provider's own id goes back to it.
    upstream.on("g", vec![Act::Json(200, generated(json!([
        {"text": "Hm.", "thought": true},
        {"functionCall": {"name": "get", "args": {"n": 1}, "id": "own1"}, "thoughtSignature": "AY89a1/+"},
        {"functionCall": {"name": "get", "args": {"n": 2}}}])))]);
    let tools = json!([{"type": "function", "function": {"name": "get", "parameters": {"type": "object", "additionalProperties": false}}}]);
    let mut messages = vec![
        json!({"role": "system", "content": "Be kind."}),
        json!({"role": "user", "content": [{"type": "text", "text": "both"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}),
    ];
    let first: Value = server
        .chat("lab/goog", json!({"messages": messages, "tools": tools}))
        .json()
        .unwrap();
    let said = &first["choices"][0]["message"];
    assert_eq!(
        (&said["reasoning"], &first["choices"][0]["finish_reason"]),
        (&json!("Hm."), &json!("tool_calls"))
    );
    messages.push(said.clone());
    for call in said["tool_calls"].as_array().unwrap() {
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "done"}));
    }
    assert_eq!(
        server
            .chat("lab/goog", json!({"messages": messages, "tools": tools}))
            .status(),
        200
    );
    let sent = upstream.seen().pop().unwrap().body;
    assert_eq!(sent["systemInstruction"]["parts"][0]["text"], "Be kind.");
    assert_eq!(
        sent["contents"][0]["parts"][1],
        json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})
    );
    assert_eq!(
        sent["contents"][1]["parts"],
        json!([
        {"functionCall": {"name": "get", "args": {"n": 1}, "id": "own1"}, "thoughtSignature": "AY89a1/+"},
        {"functionCall": {"name": "get", "args": {"n": 2}}}]),
        "{sent}"
    );
    assert_eq!(
        sent["contents"][2],
        json!({"role": "user", "parts": [
        {"functionResponse": {"name": "get", "id": "own1", "response": {"output": "done"}}},
        {"functionResponse": {"name": "get", "response": {"output": "done"}}}]})
    );
    assert_eq!(
        sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]["additionalProperties"],
        false
    );
}

#[test]
fn a_proof_in_googles_protocol_goes_only_to_the_provider_that_made_it() {
    let upstream = Upstream::start();
    let thought = json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"});
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(
                json!([thought, {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]),
                "tool_use",
            ),
        )],
    );
    for name in ["g", "gemini-3-pro"] {
        upstream.on(
            name,
            vec![Act::Json(200, generated(json!([{"text": "ok"}])))],
        );
    }
    let server = every_protocol(&upstream)
        .model("lab/three", &[("goog", "gemini-3-pro", "")])
        .start();
    let request = |contents: Value| json!({"contents": contents, "tools": [{"functionDeclarations": [{"name": "f"}]}], "generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}});
    let user = json!({"role": "user", "parts": [{"text": "hi"}]});
    let first: Value = post(
        &server,
        "/v1beta/models/lab/anth:generateContent",
        &request(json!([user])),
    )
    .json()
    .unwrap();
    // Packages keep the proof of a call, and drop a part without text.
    let mut model = first["candidates"][0]["content"].clone();
    let parts = model["parts"].as_array_mut().unwrap();
    parts.retain(|part| part["text"] != "");
    let result = json!({"role": "user", "parts": [{"functionResponse": {"id": "call_1", "name": "f", "response": {"output": "x"}}}]});
    let second = request(json!([user, model, result]));
    for name in ["lab/anth", "lab/goog", "lab/three"] {
        let answer = post(
            &server,
            &format!("/v1beta/models/{name}:generateContent"),
            &second,
        );
        assert_eq!(answer.status(), 200, "{}", answer.text().unwrap());
    }
    let sent = upstream.seen_of("a").pop().unwrap().body;
    assert_eq!(sent["messages"][1]["content"][0], thought, "{sent}");
    let sent = upstream.seen_of("g").pop().unwrap().body.to_string();
    assert!(!sent.contains("c2ln"), "{sent}");
    assert!(!sent.contains("thoughtSignature"), "{sent}");
    // The model refuses a call without a signature.
    let sent = upstream.seen_of("gemini-3-pro").pop().unwrap().body;
    let parts = sent["contents"][1]["parts"].as_array().unwrap();
    let call = parts.iter().find(|part| !part["functionCall"].is_null());
    assert_eq!(
        call.unwrap()["thoughtSignature"],
        "skip_thought_signature_validator",
        "{sent}"
    );
}
