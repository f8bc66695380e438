//! Answers, plain and streamed, over both protocols: what goes out, what comes back, what is
//! recorded.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::{
    harness::{data, every_protocol, text_of},
    upstream::{Act, Upstream, anthropic, chunks, message},
};

#[test]
fn a_plain_answer_keeps_its_bytes_but_for_what_is_ours() {
    let upstream = Upstream::start();
    let theirs = r#"{ "id":"chatcmpl-1", "object":"chat.completion","created":17,"model":"o-2026", "x_unknown":{"n":1.50e2,"s":"\u00e9"},"choices":[{"index":0,"message":{"role":"assistant","content":"Hi \ud83d\ude00"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18} }"#;
    upstream.on(
        "o",
        vec![Act::With(
            200,
            vec![("content-type", "application/json")],
            theirs.to_owned(),
        )],
    );
    let server = every_protocol(&upstream).start();
    let response = server.chat("lab/open", json!({}));
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("x-anyrouter-overhead-ms"));
    let record = server.record(&response);
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let text = response.text().unwrap();
    let generation = id.replace("req_", "gen-");
    let expected = theirs
        .replace("\"chatcmpl-1\"", &format!("\"{generation}\""))
        .replace("\"o-2026\"", "\"lab/open\"")
        .replace(
            "\"total_tokens\":18}",
            "\"total_tokens\":18,\"cost\":0.000025}",
        );
    let latency = serde_json::from_str::<Value>(&text).unwrap()["anyrouter_metadata"]["upstream"]["latencyMs"].clone();
    let ours = format!(
        r#" ,"provider":"open Inc","anyrouter_metadata":{{"requestId":"{id}","model":"lab/open","upstream":{{"provider":"open","backend":"open/lab-open","latencyMs":{latency}}}}}}}"#
    );
    assert_eq!(
        text,
        expected.strip_suffix(" }").unwrap().to_owned() + &ours
    );

    assert_eq!(record["outcome"], "ok");
    assert_eq!(
        (
            &record["tokens_prompt"],
            &record["tokens_completion"],
            &record["cost"]
        ),
        (&json!(11), &json!(7), &json!("0.000025"))
    );
    assert_eq!(
        (
            &record["model_requested"],
            &record["endpoint"],
            &record["ip"]
        ),
        (
            &json!("lab/open"),
            &json!("open/lab-open"),
            &json!("127.0.0.1")
        )
    );
    assert_eq!(record["upstream_id"], "chatcmpl-1");
    let seen = &upstream.seen()[0];
    assert_eq!(
        (seen.path.as_str(), seen.headers["authorization"].as_str()),
        ("/v1/chat/completions", "Bearer upstream-secret-key")
    );
    assert_eq!(
        seen.body,
        json!({"model": "o", "messages": [{"role": "user", "content": "Hello"}]})
    );
}

#[test]
fn a_stream_ends_with_usage_and_metadata_and_the_usual_loop_can_read_all_of_it() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Events(chunks(&["Hel", "lo"]))]);
    let server = every_protocol(&upstream).start();
    let text = server
        .chat("lab/open", json!({"stream": true}))
        .text()
        .unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"));
    let events = data(&text);
    assert_eq!(text_of(&events), "Hello");
    assert!(events.iter().all(|e| e["choices"][0]["delta"].is_object()
        && e["model"] == "lab/open"
        && e["id"].as_str().unwrap().starts_with("gen-")));
    let last = events.last().unwrap();
    assert!(
        events
            .iter()
            .rev()
            .skip(1)
            .all(|e| e["usage"].is_null() && e["anyrouter_metadata"].is_null()),
        "no other chunk has them"
    );
    assert_eq!(
        last["usage"],
        json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "cost": 0.000_025})
    );
    assert_eq!(
        last["anyrouter_metadata"]["usage"],
        json!({"inputTokens": 11, "outputTokens": 7, "cachedTokens": 0, "totalTokens": 18})
    );
    assert_eq!(last["anyrouter_metadata"]["finishReason"], "stop");
    assert_eq!(
        upstream.seen()[0].body["stream_options"],
        json!({"include_usage": true})
    );

    let text = server
        .chat(
            "lab/open",
            json!({"stream": true, "stream_options": {"include_usage": true}}),
        )
        .text()
        .unwrap();
    let events = data(&text);
    assert_eq!(events[events.len() - 1]["choices"], json!([]));
    assert_eq!(
        events[events.len() - 2]["choices"][0]["finish_reason"],
        "stop"
    );
}

#[test]
fn what_an_upstream_does_not_report_is_estimated() {
    let upstream = Upstream::start();
    let silent: Vec<String> = chunks(&["12345678"])
        .into_iter()
        .filter(|c| !c.contains("\"usage\""))
        .collect();
    let without_done: Vec<String> = silent
        .iter()
        .filter(|c| !c.contains("[DONE]"))
        .cloned()
        .collect();
    upstream.on("o", vec![Act::Events(silent), Act::Events(without_done)]);
    let server = every_protocol(&upstream).start();
    for _ in 0..2 {
        let response = server.chat("lab/open", json!({"stream": true}));
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = response.text().unwrap();
        assert!(
            text.ends_with("data: [DONE]\n\n"),
            "an upstream that says why it ended, ended"
        );
        let events = data(&text);
        let usage = events.iter().find_map(|e| e.get("usage")).unwrap();
        assert_eq!(
            (&usage["completion_tokens"], &usage["estimated"]),
            (&json!(2), &json!(true))
        );
        assert_eq!(server.record_of(&id)["estimated"], true);
    }
}

#[test]
fn tools_go_both_ways_over_anthropic() {
    let upstream = Upstream::start();
    let content = json!([{"type": "text", "text": "Let me see."}, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris", "days": 3}}]);
    upstream.on("a", vec![Act::Json(200, message(content, "tool_use"))]);
    let server = every_protocol(&upstream).start();
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    let answer: Value = server
        .chat("lab/anth", json!({"tools": tools, "tool_choice": "auto"}))
        .json()
        .unwrap();
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &json!("Let me see."))
    );
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(
        (&call["id"], &call["type"], &call["function"]["name"]),
        (&json!("toolu_1"), &json!("function"), &json!("weather"))
    );
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "Paris", "days": 3}));
    assert_eq!(
        answer["usage"]["prompt_tokens"], 11,
        "input and both caches"
    );
    assert_eq!(
        answer["usage"]["prompt_tokens_details"],
        json!({"cached_tokens": 4, "cache_write_tokens": 2})
    );
    let seen = &upstream.seen()[0];
    assert_eq!(
        (
            seen.path.as_str(),
            seen.headers["x-api-key"].as_str(),
            seen.headers["anthropic-version"].as_str()
        ),
        ("/v1/messages", "upstream-secret-key", "2023-06-01")
    );
    assert_eq!(
        seen.body["tools"][0],
        json!({"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}})
    );
    assert!(!seen.headers.contains_key("authorization"));
}

#[test]
fn a_translated_stream_has_text_reasoning_and_parallel_tool_calls() {
    let upstream = Upstream::start();
    let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let events = anthropic(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "a", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        json!({"type": "ping"}),
        start(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(0, json!({"type": "thinking_delta", "thinking": "Hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Grüße \"x\""})),
        stop(1),
        start(
            2,
            json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}}),
        ),
        delta(
            2,
            json!({"type": "input_json_delta", "partial_json": "{\"a\": "}),
        ),
        delta(2, json!({"type": "input_json_delta", "partial_json": "1}"})),
        stop(2),
        start(
            3,
            json!({"type": "tool_use", "id": "t2", "name": "g", "input": {}}),
        ),
        stop(3),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 21}}),
        json!({"type": "message_stop"}),
    ]);
    upstream.on("a", vec![Act::Events(events)]);
    let server = every_protocol(&upstream).start();
    let response = server.chat(
        "lab/anth",
        json!({"stream": true, "reasoning": {"effort": "low"}}),
    );
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let text = response.text().unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"));
    let events = data(&text);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(text_of(&events), "Grüße \"x\"");
    let deltas: Vec<&Value> = events.iter().map(|e| &e["choices"][0]["delta"]).collect();
    assert!(deltas.iter().any(|d| d["reasoning"] == "Hm"));
    assert!(
        deltas
            .iter()
            .filter_map(|d| d["reasoning_details"][0]["signature"].as_str())
            .any(|signature| signature.rsplit('.').next() == Some("c2ln")),
        "signatures are kept, with the name of their maker"
    );
    let arguments = |index: u64| -> String {
        deltas
            .iter()
            .filter(|d| d["tool_calls"][0]["index"] == index)
            .filter_map(|d| d["tool_calls"][0]["function"]["arguments"].as_str())
            .collect()
    };
    assert_eq!(
        (arguments(0).as_str(), arguments(1).as_str()),
        ("{\"a\": 1}", "{}")
    );
    let finishes: Vec<&str> = events
        .iter()
        .filter_map(|e| e["choices"][0]["finish_reason"].as_str())
        .collect();
    assert_eq!(finishes, ["tool_calls"]);
    let record = server.record_of(&id);
    assert_eq!(
        (
            &record["tokens_prompt"],
            &record["tokens_completion"],
            &record["native_finish_reason"]
        ),
        (&json!(9), &json!(21), &json!("tool_use"))
    );
}

#[test]
fn what_cannot_be_translated_is_named_or_excludes_before_anything_is_sent() {
    let upstream = Upstream::start();
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(json!([{"type": "text", "text": "x"}]), "end_turn"),
        )],
    );
    let server = every_protocol(&upstream).start();
    let answer: Value = server
        .chat("lab/anth", json!({"seed": 1, "logit_bias": {"1": 2}}))
        .json()
        .unwrap();
    assert_eq!(
        answer["anyrouter_metadata"]["omitted"],
        json!(["seed", "logit_bias"])
    );
    let refused = server.chat(
        "lab/anth",
        json!({"seed": 1, "provider": {"require_parameters": true}}),
    );
    assert_eq!(refused.status(), 404);
    let error: Value = refused.json().unwrap();
    assert_eq!(error["error"]["code"], "constraint_filtered");
    assert_eq!(
        error["error"]["availability"]["constraint"]["field"],
        "seed"
    );
    assert_eq!(
        error["error"]["explanation"]["excluded"][0]["reasons"][0]["rule"],
        "parameters"
    );
    assert_eq!(upstream.seen().len(), 1, "nothing was sent for the second");
}

#[test]
fn a_client_that_goes_away_ends_the_upstream_and_leaves_a_record_of_what_passed() {
    let upstream = Upstream::start();
    let pieces = chunks(&["12345678", "12345678"]);
    upstream.on("o", vec![Act::Pause(pieces[..3].to_vec(), Vec::new())]);
    let server = every_protocol(&upstream).start();
    let mut response = server.chat("lab/open", json!({"stream": true}));
    // It leaves when it has seen all that passed.
    let mut read = String::new();
    while read.matches("12345678").count() < 2 {
        let mut some = [0; 64];
        let n = response.read(&mut some).unwrap();
        read.push_str(std::str::from_utf8(&some[..n]).unwrap());
    }
    drop(response);
    assert!(
        upstream.wait_closed(1),
        "the upstream connection is closed too"
    );
    let record = server.wait_for_record(|r| r["outcome"] == "cancelled");
    assert_eq!(
        (
            &record["tokens_completion"],
            &record["estimated"],
            &record["http_status"]
        ),
        (&json!(4), &json!(true), &json!(499))
    );
    let explained: Value = server
        .post(
            "/route/explain",
            &server.key,
            &crate::harness::body("lab/open", json!({})),
        )
        .json()
        .unwrap();
    assert_eq!(
        explained["eligible"][0]["endpoint"], "open/lab-open",
        "it does not cool the endpoint down"
    );
}

#[test]
fn an_upstream_that_breaks_off_ends_in_an_error_chunk_and_no_done() {
    let upstream = Upstream::start();
    let pieces = chunks(&["a", "b"]);
    let error = format!(
        "data: {}\n\n",
        json!({"error": {"message": "secret prompt words", "type": "server_error", "code": "oops"}})
    );
    let begin = pieces[..2].to_vec();
    upstream.on(
        "o",
        vec![
            Act::PauseBreak(begin.clone(), Vec::new()),
            Act::Pause(begin.clone(), Vec::new()),
            Act::Pause(begin.clone(), vec![error]),
            Act::Pause(begin, vec!["data: {not json\n\n".to_owned()]),
        ],
    );
    let server = every_protocol(&upstream).start();
    for round in 0..4 {
        upstream.hold();
        let response = server.wait_ready_chat("lab/open");
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        upstream.go_on();
        assert_eq!(response.status(), 200);
        let text = response.text().unwrap();
        assert!(
            !text.contains("[DONE]") && !text.contains("secret"),
            "{round}: {text}"
        );
        let last = data(&text).pop().unwrap();
        assert_eq!(
            (&last["choices"][0]["finish_reason"], &last["error"]["code"]),
            (&json!("error"), &json!("upstream_error")),
            "{round}: {text}"
        );
        let record = server.record_of(&id);
        assert_eq!(
            (&record["outcome"], &record["http_status"]),
            (&json!("upstream_error"), &json!(200)),
            "{round}"
        );
    }
}

#[test]
fn a_slow_upstream_is_kept_company_by_comments_and_can_still_fall_back() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Hang]);
    upstream.on(
        "a",
        vec![Act::Events(anthropic(&[
            json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "late"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ]))],
    );
    let server = every_protocol(&upstream)
        .more("[deadlines]\ncomment = 0.1\nfirst_byte = 0.5")
        .start();
    let response = server.chat("lab/open", json!({"stream": true, "models": ["lab/anth"]}));
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let text = response.text().unwrap();
    assert!(text.starts_with(": "), "a comment with the head: {text}");
    assert_eq!(text_of(&data(&text)), "late");
    assert!(text.ends_with("data: [DONE]\n\n"));
    let record = server.record_of(&id);
    let outcomes: Vec<&str> = record["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["timeout", "ok"]);

    upstream.on("a", vec![Act::Hang]);
    let text = server
        .chat("lab/anth", json!({"stream": true}))
        .text()
        .unwrap();
    assert!(
        data(&text).pop().unwrap()["error"]["code"] == "upstream_timeout"
            && !text.contains("[DONE]"),
        "{text}"
    );
}

#[test]
fn the_demo_models_need_nothing() {
    let server = crate::harness::Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let answer: Value = server.chat("demo/echo", json!({})).json().unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    let text = server
        .chat("demo/story", json!({"stream": true, "tools": tools}))
        .text()
        .unwrap();
    let events = data(&text);
    let arguments: String = events
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(
        serde_json::from_str::<Value>(&arguments).unwrap(),
        json!({"city": "Paris"})
    );
    let auto: Value = server.chat("anyrouter/auto", json!({})).json().unwrap();
    assert_eq!(
        auto["error"]["code"], "no_endpoints",
        "an echo does not pass for an answer: {auto}"
    );
    assert!(
        auto["error"]["message"]
            .as_str()
            .unwrap()
            .contains("_API_KEY"),
        "{auto}"
    );
}

#[test]
fn streams_that_are_a_little_wrong_are_read_all_the_same() {
    let upstream = Upstream::start();
    let whole = chunks(&["Hi"]);
    let unterminated = |last: &str| Act::Events([&whole[..4], &[last.to_owned()]].concat());
    let usage_alone = json!({"id": "x", "object": "chat.completion.chunk", "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    let odd = vec![
        "event: ping\ndata: {\"type\":\"ping\"}\n\n".to_owned(),
        whole[0].clone(),
        whole[1].replace("\"model\"", "\"mod\\u0065l\""),
        whole[2].clone(),
        format!(
            "data: {}\n\n",
            json!({"id": "x", "object": "chat.completion.chunk", "choices": null})
        ),
        format!("data: {usage_alone}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ];
    upstream.on(
        "o",
        vec![
            unterminated("data: [DONE]\n"),
            unterminated("data: [DONE]"),
            Act::Events(odd),
        ],
    );
    let server = every_protocol(&upstream).start();
    for round in 0..3 {
        let text = server
            .chat("lab/open", json!({"stream": true}))
            .text()
            .unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"), "{round}: {text}");
        let events = data(&text);
        assert_eq!(text_of(&events), "Hi", "{round}");
        assert!(
            events.iter().all(
                |e| e["model"] == "lab/open" && e["choices"][0]["delta"].is_object()
                    || e["choices"].is_array()
            ),
            "{round}: {text}"
        );
        assert!(
            !text.contains("\"up\"") && !text.contains("ping"),
            "{round}: {text}"
        );
    }
}

#[test]
fn absurd_numbers_stop_nothing() {
    let upstream = Upstream::start();
    let mut answer = crate::upstream::completion("x");
    answer["usage"]["completion_tokens"] = json!(4_000_000_000_u64);
    upstream.on("o", vec![Act::Json(200, answer)]);
    let setup = crate::harness::Setup::new()
        .provider("p", "openai_chat", &upstream, "")
        .provider("anth", "anthropic_messages", &upstream, "");
    let dear = "price = { prompt = \"1\", completion = \"9000000\" }";
    let mut server = setup
        .model("lab/dear", &[("p", "o", dear)])
        .model("lab/anth", &[("anth", "a", "max_output = 1000")])
        .start();
    for _ in 0..3 {
        assert_eq!(server.chat("lab/dear", json!({})).status(), 200);
    }
    server.wait_for_record(|r| r["tokens_completion"] == 4_000_000_000_u64);
    server.signal("TERM");
    assert!(server.wait().success());
    server.start_again();
    assert_eq!(server.logs().len(), 3);
    upstream.on("a", vec![Act::Json(200, message(json!([]), "end_turn"))]);
    assert_eq!(
        server
            .chat("lab/anth", json!({"reasoning": {"max_tokens": u64::MAX}}))
            .status(),
        200
    );
    assert_eq!(
        upstream.seen_of("a")[0].body["thinking"]["budget_tokens"],
        1024
    );
}
