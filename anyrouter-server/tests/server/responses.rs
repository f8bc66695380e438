//! OpenAI's Responses as a client's protocol, over an upstream of each protocol.

use reqwest::blocking;
use serde_json::{Map, Value, json};

use crate::{
    harness::{PLANTED, Server, every_protocol},
    upstream::{
        Act, Upstream, anthropic, chunks, completion, message, output_text, response,
        response_events,
    },
};

/// Sends a request for a response; `more` replaces or adds members.
fn ask(server: &Server, model: &str, more: Value) -> blocking::Response {
    let mut body = json!({"model": model, "input": "hi"});
    let members: Map<String, Value> = serde_json::from_value(more).unwrap();
    body.as_object_mut().unwrap().extend(members);
    server.post("/responses", &server.key, &body)
}

/// The events of a stream, whose names and numbers are right.
fn events(text: &str) -> Vec<Value> {
    let event = |(number, event): (usize, &str)| {
        let (name, data) = event
            .strip_prefix("event: ")
            .unwrap()
            .split_once("\ndata: ")
            .unwrap();
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["type"], name);
        assert_eq!(event["sequence_number"], number, "{text}");
        event
    };
    text.split_terminator("\n\n")
        .enumerate()
        .map(event)
        .collect()
}

fn last_request(upstream: &Upstream) -> Value {
    upstream.seen().pop().unwrap().body
}

#[test]
fn a_request_passes_to_a_responses_upstream_but_for_what_is_ours() {
    let upstream = Upstream::start();
    upstream.on(
        "r",
        vec![Act::Json(200, response(json!([output_text("ok")])))],
    );
    let server = every_protocol(&upstream).start();
    let body = r#"{"unknown": {"b":1.50, "a":[ ]},"model":"lab/resp","provider":{"zdr":true},"instructions":"h\u00e9",
        "input":[{"type":"message","id":"msg_1","role":"user","content":[{"type":"input_text","text":"hi\u00e9"}]},
            {"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAAAB"},
            {"type":"reasoning","id":"rs_2","summary":[]},
            {"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"a\": 1.0}"},
            {"type":"function_call_output","call_id":"call_1","output":"x"}],
        "tools":[{"type":"web_search"},{"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"start: X"}}],
        "store":true,"max_output_tokens":64000,"safety_identifier":"person-1","temperature":1.0e0,"reasoning":{"effort":"low"}}"#;
    let answer = server
        .request("POST", "/responses")
        .bearer_auth(&server.key)
        .header("openai-beta", "responses=v1")
        .header("originator", "codex_cli_rs")
        .body(body)
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.path, "/v1/responses");
    assert_eq!(seen.headers["authorization"], "Bearer upstream-secret-key");
    assert_eq!(seen.headers["openai-beta"], "responses=v1");
    assert!(!seen.headers.contains_key("originator"));
    let sent = &seen.body;
    assert_eq!(
        (&sent["model"], &sent["store"]),
        (&json!("r"), &json!(false))
    );
    assert_eq!(sent["max_output_tokens"], 4096, "lowered to the endpoint's");
    assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(
        sent["input"],
        json!([
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hié"}]},
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAAB"},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\": 1.0}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "x"}]),
        "nobody stored the items' ids, or reasoning that is not encrypted"
    );
    let user = sent["safety_identifier"].as_str().unwrap();
    assert!(user.len() <= 64 && !user.contains("person"), "{user}");
    let order: Vec<&String> = sent.as_object().unwrap().keys().collect();
    let expected = "unknown model instructions input tools max_output_tokens safety_identifier temperature reasoning include store";
    assert_eq!(order, expected.split(' ').collect::<Vec<_>>());
    let answer: Value = answer.json().unwrap();
    assert_eq!(answer["model"], "lab/resp");
    assert!(answer["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!(
        answer["anyrouter_metadata"]["omitted"],
        json!(["input[2]", "safety_identifier"])
    );
    assert_eq!(
        answer["anyrouter_metadata"]["notes"],
        json!([
            "store was sent as false: responses are not stored",
            "max_output_tokens was lowered from 64000 to 4096, the most that the endpoint gives"
        ])
    );
}

#[test]
fn a_response_is_the_same_from_every_upstream_and_has_its_record() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("Hello"))]);
    let text = json!([{"type": "text", "text": "Hello"}]);
    upstream.on("a", vec![Act::Json(200, message(text, "end_turn"))]);
    upstream.on(
        "r",
        vec![Act::Json(200, response(json!([output_text("Hello")])))],
    );
    let server = every_protocol(&upstream).start();
    for (model, protocol) in [
        ("lab/open", "openai_chat"),
        ("lab/anth", "anthropic_messages"),
        ("lab/resp", "openai_responses"),
    ] {
        let answer = ask(&server, model, json!({"max_output_tokens": 50}));
        let answer: Value = answer.json().unwrap();
        assert_eq!(
            answer["output"][0]["content"][0]["text"], "Hello",
            "{answer}"
        );
        assert_eq!(
            (&answer["object"], &answer["status"], &answer["model"]),
            (&json!("response"), &json!("completed"), &json!(model))
        );
        assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
        let record = server.record_of(answer["anyrouter_metadata"]["requestId"].as_str().unwrap());
        assert_eq!(
            (&record["inbound"], &record["outbound"]),
            (&json!("openai_responses"), &json!(protocol)),
            "{record}"
        );
        let by_id = server.record_of(answer["id"].as_str().unwrap());
        assert_eq!(by_id["id"], record["id"], "the response's id finds it too");
    }
}

#[test]
fn what_needs_a_stored_response_is_refused_and_says_so() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    for (more, param, word) in [
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id",
            "not stored",
        ),
        (
            json!({"conversation": "conv_1"}),
            "conversation",
            "not stored",
        ),
        (json!({"background": true}), "background", "stored"),
        (
            json!({"input": [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "rs_1"}]}),
            "input[1]",
            "`store`",
        ),
        (json!({"input": null}), "input", "missing"),
        (json!({"input": 5}), "input", "a string or a list"),
    ] {
        let answer = ask(&server, "lab/resp", more);
        assert_eq!(answer.status(), 400);
        let answer: Value = answer.json().unwrap();
        assert_eq!(answer["error"]["param"], param, "{answer}");
        assert_eq!(answer["error"]["type"], "invalid_request_error");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(word), "{message}");
    }
    for (method, path) in [
        ("GET", "/responses/resp_1"),
        ("DELETE", "/responses/resp_1"),
        ("POST", "/responses/resp_1/cancel"),
        ("GET", "/responses/resp_1/input_items"),
    ] {
        let answer = server.request(method, path).bearer_auth(&server.key).send();
        assert_eq!(answer.unwrap().status(), 404, "{method} {path}");
        assert_eq!(server.request(method, path).send().unwrap().status(), 401);
    }
    let socket = server
        .request("GET", "/responses")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket");
    assert_eq!(socket.send().unwrap().status(), 426);
    assert!(upstream.seen().is_empty());
}

/// A request as Codex sends it: tools of several kinds, and a turn in which they were called.
fn of_an_agent() -> Value {
    json!({"instructions": "Be brief.", "store": false, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "session", "text": {"verbosity": "low"},
        "tools": [
            {"type": "function", "name": "shell", "description": "Run", "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}}, "strict": false},
            {"type": "custom", "name": "apply_patch", "description": "Patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: LINE"}},
            {"type": "namespace", "name": "files", "description": "Files", "tools": [{"type": "function", "name": "read", "parameters": {"type": "object"}, "strict": false}]},
            {"type": "web_search"}],
        "tool_choice": "auto", "parallel_tool_calls": true,
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Use tools."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I patch."}]},
            {"type": "custom_tool_call", "call_id": "call_1", "name": "apply_patch", "input": "*** Begin\n\"x\""},
            {"type": "function_call", "call_id": "call_2", "namespace": "files", "name": "read", "arguments": ""},
            {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
            {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "a picture"}, {"type": "input_image", "image_url": "data:image/png;base64,BBBB"}]}]})
}

#[test]
fn an_agents_tools_reach_every_upstream_and_their_calls_come_back_in_its_own_form() {
    let upstream = Upstream::start();
    let patch = json!({"input": "*** End\n\"y\""}).to_string();
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let mut chat = completion("");
    chat["choices"][0]["message"]["tool_calls"] = json!([
        call("call_3", "apply_patch", &patch),
        call("call_4", "files__read", "{\"a\":1}")
    ]);
    upstream.on("o", vec![Act::Json(200, chat)]);
    let blocks = json!([
        {"type": "tool_use", "id": "call_3", "name": "apply_patch", "input": {"input": "*** End\n\"y\""}},
        {"type": "tool_use", "id": "call_4", "name": "files__read", "input": {"a": 1}}]);
    upstream.on("a", vec![Act::Json(200, message(blocks, "tool_use"))]);
    let server = every_protocol(&upstream).start();
    for model in ["lab/open", "lab/anth"] {
        let answer: Value = ask(&server, model, of_an_agent()).json().unwrap();
        let output = answer["output"].as_array().unwrap();
        let kinds: Vec<&str> = output.iter().map(|o| o["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["custom_tool_call", "function_call"], "{answer}");
        assert_eq!(output[0]["input"], "*** End\n\"y\"");
        assert_eq!(
            (&output[0]["name"], &output[0]["call_id"]),
            (&json!("apply_patch"), &json!("call_3"))
        );
        assert_eq!(
            (&output[1]["namespace"], &output[1]["name"]),
            (&json!("files"), &json!("read"))
        );
        assert_eq!(output[1]["arguments"], "{\"a\":1}");
        assert_eq!(
            answer["anyrouter_metadata"]["omitted"],
            json!(["prompt_cache_key", "tools[3]", "text.verbosity"])
        );
        // The same, streamed, with the events that Codex reads.
        let mut streamed = of_an_agent();
        streamed["stream"] = json!(true);
        let events = events(&ask(&server, model, streamed).text().unwrap());
        let done: Vec<&Value> = events
            .iter()
            .filter(|e| e["type"] == "response.output_item.done")
            .map(|e| &e["item"])
            .collect();
        assert_eq!(done.len(), 2);
        assert_eq!(done[0]["input"], "*** End\n\"y\"");
        assert_eq!(events.last().unwrap()["response"]["output"], json!(done));
    }
    let chat = upstream.seen_of("o").pop().unwrap().body;
    let names: Vec<&Value> = chat["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["function"]["name"])
        .collect();
    assert_eq!(names, ["shell", "apply_patch", "files__read"]);
    assert!(
        chat["tools"][1]["function"]["description"]
            .as_str()
            .unwrap()
            .contains("start: LINE"),
        "the grammar is said"
    );
    let roles: Vec<&Value> = chat["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["role"])
        .collect();
    assert_eq!(
        roles,
        [
            "system",
            "system",
            "user",
            "assistant",
            "tool",
            "tool",
            "user"
        ]
    );
    let assistant = &chat["messages"][3];
    assert_eq!(assistant["content"], "I patch.");
    assert_eq!(
        assistant["tool_calls"][0]["function"]["arguments"],
        json!({"input": "*** Begin\n\"x\""}).to_string()
    );
    assert_eq!(
        assistant["tool_calls"][1]["function"],
        json!({"name": "files__read", "arguments": "{}"})
    );
    assert_eq!(
        chat["messages"][6]["content"][0]["type"], "image_url",
        "an image of a result"
    );
    let anthropic = upstream.seen_of("a").pop().unwrap().body;
    assert_eq!(anthropic["system"][0]["text"], "Be brief.");
    let results = &anthropic["messages"][2]["content"];
    assert_eq!(
        (&results[0]["tool_use_id"], &results[1]["tool_use_id"]),
        (&json!("call_1"), &json!("call_2"))
    );
    assert_eq!(results[2]["type"], "image");
}

#[test]
fn chat_and_messages_reach_a_responses_upstream() {
    let upstream = Upstream::start();
    let items = json!([
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAAAABx"},
        output_text("Hello"),
        {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"}]);
    upstream.on("r", vec![Act::Json(200, response(items))]);
    let server = every_protocol(&upstream).start();
    let tool =
        json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let first = json!({"tools": [tool], "reasoning": {"effort": "low"}, "max_tokens": 5, "stop": "x", "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]});
    let answer: Value = server.chat("lab/resp", first.clone()).json().unwrap();
    let said = &answer["choices"][0];
    assert_eq!(said["finish_reason"], "tool_calls");
    assert_eq!(
        (&said["message"]["content"], &said["message"]["reasoning"]),
        (&json!("Hello"), &json!("Hm."))
    );
    assert_eq!(answer["anyrouter_metadata"]["omitted"], json!(["stop"]));
    let sent = last_request(&upstream);
    assert_eq!(
        sent["input"][0],
        json!({"role": "system", "content": "Be kind."})
    );
    assert_eq!(
        sent["input"][1]["content"],
        json!([{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"}])
    );
    assert_eq!(
        sent["tools"],
        json!([{"name": "f", "parameters": {"type": "object"}, "type": "function", "strict": false}]),
        "what is not strict in chat stays so"
    );
    assert_eq!(
        (&sent["max_output_tokens"], &sent["store"]),
        (&json!(16), &json!(false))
    );
    assert_eq!(
        sent["reasoning"],
        json!({"effort": "low", "summary": "auto"})
    );
    assert_eq!(
        sent["text"]["format"],
        json!({"name": "s", "schema": {"type": "object"}, "type": "json_schema"})
    );
    assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));

    // The next turn has the reasoning as the provider encrypted it.
    let mut second = first;
    let messages = second["messages"].as_array_mut().unwrap();
    messages.push(said["message"].clone());
    messages.push(json!({"role": "tool", "tool_call_id": "call_1", "content": "done"}));
    assert_eq!(server.chat("lab/resp", second).status(), 200);
    let sent = last_request(&upstream);
    assert_eq!(
        sent["input"].as_array().unwrap()[2..],
        [
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAAAABx"}),
            json!({"role": "assistant", "content": "Hello"}),
            json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"}),
            json!({"type": "function_call_output", "call_id": "call_1", "output": "done"})
        ]
    );

    let body = json!({"model": "lab/resp", "max_tokens": 100, "thinking": {"type": "enabled", "budget_tokens": 2000}, "messages": [{"role": "user", "content": "hi"}]});
    let answer: Value = server.post("/messages", &server.key, &body).json().unwrap();
    let content = answer["content"].as_array().unwrap();
    let kinds: Vec<&str> = content
        .iter()
        .map(|b| b["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use"], "{answer}");
    let mut second = body;
    second["messages"] = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "done"}]}]);
    assert_eq!(server.post("/messages", &server.key, &second).status(), 200);
    let sent = last_request(&upstream);
    assert_eq!(sent["input"][1]["encrypted_content"], "gAAAAABx", "{sent}");
}

#[test]
fn a_proof_of_reasoning_goes_only_to_the_provider_that_made_it() {
    let upstream = Upstream::start();
    let thought = json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"});
    let blocks = json!([thought, {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]);
    upstream.on("a", vec![Act::Json(200, message(blocks, "tool_use"))]);
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    upstream.on(
        "r",
        vec![Act::Json(200, response(json!([output_text("ok")])))],
    );
    let server = every_protocol(&upstream).start();
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    let first: Value = ask(
        &server,
        "lab/anth",
        json!({"tools": tools, "reasoning": {"effort": "low"}}),
    )
    .json()
    .unwrap();
    let mut input = vec![json!({"role": "user", "content": "hi"})];
    input.extend(first["output"].as_array().unwrap().iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": "call_1", "output": "done"}));
    let second = json!({"tools": tools, "reasoning": {"effort": "low"}, "input": input});
    for model in ["lab/anth", "lab/open", "lab/resp"] {
        let answer: Value = ask(&server, model, second.clone()).json().unwrap();
        assert_eq!(answer["status"], "completed", "{answer}");
        let omitted = &answer["anyrouter_metadata"]["omitted"];
        assert_eq!(
            omitted
                .as_array()
                .is_some_and(|o| o.contains(&json!("input[1]"))),
            model != "lab/anth",
            "{model}: {omitted}"
        );
    }
    let sent = upstream.seen_of("a").pop().unwrap().body;
    assert_eq!(sent["messages"][1]["content"][0], thought, "{sent}");
    assert_eq!(sent["thinking"]["type"], "enabled");
    for model in ["o", "r"] {
        let sent = upstream.seen_of(model).pop().unwrap().body.to_string();
        assert!(!sent.contains("c2ln"), "{sent}");
    }
}

#[test]
fn errors_have_openais_shape_from_the_key_to_the_middle_of_a_stream() {
    let upstream = Upstream::start();
    let overloaded = json!({"error": {"message": "secret", "type": "server_error", "code": "server_is_overloaded"}});
    upstream.on("r", vec![Act::Json(503, overloaded.clone())]);
    upstream.on("o", vec![Act::Json(503, overloaded)]);
    let server = every_protocol(&upstream).start();
    let answer = server.post(
        "/responses",
        "sk-ar-v1-nothing",
        &json!({"model": "lab/resp", "input": "x"}),
    );
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.json::<Value>().unwrap()["error"]["code"],
        "invalid_key"
    );
    for model in ["lab/resp", "lab/open"] {
        let answer = ask(&server, model, json!({"stream": true}));
        assert_eq!(answer.status(), 503);
        assert!(!answer.text().unwrap().contains("secret"));
    }
    let server = every_protocol(&upstream).start();
    let begun = |kind: &str| json!({"type": kind, "response": {"id": "resp_up", "object": "response", "status": "in_progress", "model": "up", "output": []}});
    let delta = json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "msg_1", "content_index": 0, "delta": "Hel"});
    let added = json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []}});
    upstream.on("r", vec![Act::Events(response_events(&[
        begun("response.created"), added, delta,
        json!({"type": "response.failed", "response": {"id": "resp_up", "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "secret"}}}),
    ]))]);
    let mut cut = chunks(&["Hel"]);
    cut.truncate(2);
    upstream.on("o", vec![Act::Events(cut)]);
    for model in ["lab/resp", "lab/open"] {
        let text = ask(&server, model, json!({"stream": true})).text().unwrap();
        let events = events(&text);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.failed", "{text}");
        assert_eq!(last["response"]["status"], "failed");
        assert!(
            last["response"]["error"]["code"].is_string(),
            "Codex reads whether to try again"
        );
        assert!(!text.contains("secret"));
    }
}

#[test]
fn values_reach_no_upstream_and_come_back_at_every_split() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    upstream.on(
        "a",
        vec![Act::Json(
            200,
            message(json!([{"type": "text", "text": "ok"}]), "end_turn"),
        )],
    );
    upstream.on(
        "r",
        vec![Act::Json(200, response(json!([output_text("ok")])))],
    );
    let server = every_protocol(&upstream).start();
    let request = |stream: bool| {
        json!({"redact_upstream": true, "stream": stream, "user": PLANTED[0], "instructions": format!("The SSN is {}.", PLANTED[2]),
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": format!("My card is {}, my mail {}", PLANTED[1], PLANTED[0])}]},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": format!("IBAN {}", PLANTED[3])}], "encrypted_content": "gAAAAAB"},
                {"type": "function_call", "call_id": "call_1", "name": "pay", "arguments": json!({"iban": PLANTED[3]}).to_string()},
                {"type": "function_call_output", "call_id": "call_1", "output": format!("paid by {}", PLANTED[0])}],
            "tools": [{"type": "function", "name": "pay", "description": format!("Ask {}", PLANTED[0]), "parameters": {"type": "object"}, "strict": false}]})
    };
    for model in ["lab/open", "lab/anth", "lab/resp"] {
        let answer = ask(&server, model, request(false));
        assert_eq!(answer.status(), 200, "{}", answer.text().unwrap());
    }
    for seen in upstream.seen() {
        let text = format!("{:?} {}", seen.headers, seen.body);
        for value in PLANTED {
            assert!(!text.contains(value), "{value} left in {text}");
        }
        assert!(
            text.contains("\"pay\"") && text.contains("call_1"),
            "the protocol's own words stay: {text}"
        );
    }
    let seen = upstream.seen_of("r").pop().unwrap().body;
    assert_eq!(seen["input"][1]["encrypted_content"], "gAAAAAB");
    // The mail's placeholder, as the provider saw it.
    let mail = seen["tools"][0]["description"]
        .as_str()
        .unwrap()
        .trim_start_matches("Ask ")
        .to_owned();
    let answer = format!("Write to {mail}, please.");
    let input = json!({"to": mail}).to_string();
    let (text, call) = (
        output_text(&answer),
        json!({"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_2", "name": "pay", "arguments": input}),
    );
    let whole = response(json!([text, call]));
    upstream.on("r", vec![Act::Json(200, whole.clone())]);
    let restored: Value = ask(&server, "lab/resp", request(false)).json().unwrap();
    let expected = format!("Write to {}, please.", PLANTED[0]);
    assert_eq!(restored["output"][0]["content"][0]["text"], expected);
    assert_eq!(
        restored["output"][1]["arguments"],
        json!({"to": PLANTED[0]}).to_string()
    );
    for cut in 1..answer.len() {
        let (before, after) = answer.split_at(cut);
        let (input_before, input_after) = input.split_at(cut.min(input.len()));
        let delta = |piece: &str| json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "msg_up", "content_index": 0, "delta": piece});
        let arguments = |piece: &str| json!({"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc_1", "delta": piece});
        let mut begun = call.clone();
        begun["arguments"] = json!("");
        upstream.on("r", vec![Act::Events(response_events(&[
            json!({"type": "response.created", "response": {"id": "resp_up", "status": "in_progress", "output": []}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_up", "role": "assistant", "content": []}}),
            delta(before), delta(after),
            json!({"type": "response.output_text.done", "output_index": 0, "item_id": "msg_up", "content_index": 0, "text": answer}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": text}),
            json!({"type": "response.output_item.added", "output_index": 1, "item": begun}),
            arguments(input_before), arguments(input_after),
            json!({"type": "response.function_call_arguments.done", "output_index": 1, "item_id": "fc_1", "arguments": input}),
            json!({"type": "response.output_item.done", "output_index": 1, "item": call}),
            json!({"type": "response.completed", "response": whole}),
        ]))]);
        upstream.on("o", vec![Act::Events(chunks(&[before, after]))]);
        upstream.on("a", vec![Act::Events(anthropic(&[
            json!({"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": before}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": after}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ]))]);
        for model in ["lab/open", "lab/anth", "lab/resp"] {
            let streamed = ask(&server, model, request(true)).text().unwrap();
            assert!(!streamed.contains(&mail), "{model}: {streamed}");
            let events = events(&streamed);
            let of = |kind: &str| -> String {
                events
                    .iter()
                    .filter(|e| e["type"] == kind)
                    .filter_map(|e| e["delta"].as_str())
                    .collect()
            };
            assert_eq!(
                of("response.output_text.delta"),
                expected,
                "{model} cut at {cut}"
            );
            let last = &events.last().unwrap()["response"];
            assert_eq!(
                last["output"][0]["content"][0]["text"], expected,
                "{model}: {last}"
            );
            if model == "lab/resp" {
                assert_eq!(
                    of("response.function_call_arguments.delta"),
                    json!({"to": PLANTED[0]}).to_string()
                );
            }
        }
    }
}

#[test]
fn who_asks_to_see_reasoning_in_another_protocol_gets_a_summary_and_its_proof() {
    let upstream = Upstream::start();
    upstream.on(
        "r",
        vec![Act::Json(200, response(json!([output_text("ok")])))],
    );
    let server = every_protocol(&upstream).start();
    let messages = json!({"model": "lab/resp", "max_tokens": 4000, "messages": [{"role": "user", "content": "hi"}],
        "thinking": {"type": "enabled", "budget_tokens": 1024}});
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"}}});
    for (path, body) in [
        ("/messages", &messages),
        ("/../v1beta/models/lab/resp:generateContent", &google),
    ] {
        assert_eq!(server.post(path, &server.key, body).status(), 200, "{path}");
        let sent = upstream.seen().pop().unwrap().body;
        assert_eq!(
            sent["reasoning"],
            json!({"effort": "low", "summary": "auto"})
        );
        assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));
    }
    // A model that is not known to reason might refuse the wish.
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let path = "/../v1beta/models/lab/resp:generateContent";
    server.post(path, &server.key, &google);
    let sent = upstream.seen().pop().unwrap().body;
    assert_eq!((sent.get("reasoning"), sent.get("include")), (None, None));
}
