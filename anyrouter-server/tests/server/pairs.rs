//! Every pair of protocols, over a server: values that are redacted reach no upstream and come back at
//! every split, and a conversation with tools arrives whole.

use reqwest::blocking;
use serde_json::{Value, json};

use crate::{
    harness::{PLANTED, Server, every_protocol},
    upstream::{
        Act, Upstream, anthropic, chunks, completion, generated, generated_chunks, message,
        output_text, response, response_events,
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Chat,
    Messages,
    Responses,
    Google,
}

const CLIENTS: [Client; 4] = [
    Client::Chat,
    Client::Messages,
    Client::Responses,
    Client::Google,
];
/// Each upstream's model, and its name there.
const UPSTREAMS: [(&str, &str); 4] = [
    ("lab/open", "o"),
    ("lab/anth", "a"),
    ("lab/resp", "r"),
    ("lab/goog", "g"),
];

/// A conversation with a call and its result: what the user says, the call's argument, the result, and
/// the tool's description.
fn conversation(client: Client, [user, argument, result, tool]: [&str; 4]) -> Value {
    let arguments = json!({"iban": argument});
    let schema = json!({"type": "object", "properties": {"iban": {"type": "string"}}});
    match client {
        Client::Chat => json!({"redact_upstream": true, "messages": [
                {"role": "user", "content": user},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "pay", "arguments": arguments.to_string()}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": result}],
            "tools": [{"type": "function", "function": {"name": "pay", "description": tool, "parameters": schema}}]}),
        Client::Messages => json!({"redact_upstream": true, "max_tokens": 100, "messages": [
                {"role": "user", "content": user},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "pay", "input": arguments}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": result}]}],
            "tools": [{"name": "pay", "description": tool, "input_schema": schema}]}),
        Client::Responses => json!({"redact_upstream": true, "input": [
                {"role": "user", "content": user},
                {"type": "function_call", "call_id": "call_1", "name": "pay", "arguments": arguments.to_string()},
                {"type": "function_call_output", "call_id": "call_1", "output": result}],
            "tools": [{"type": "function", "name": "pay", "description": tool, "parameters": schema, "strict": false}]}),
        Client::Google => json!({"redact_upstream": true, "contents": [
                {"role": "user", "parts": [{"text": user}]},
                {"role": "model", "parts": [{"functionCall": {"name": "pay", "args": arguments}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "pay", "response": {"output": result}}}]}],
            "tools": [{"functionDeclarations": [{"name": "pay", "description": tool, "parametersJsonSchema": schema}]}]}),
    }
}

fn send(
    server: &Server,
    client: Client,
    model: &str,
    mut body: Value,
    stream: bool,
) -> blocking::Response {
    let path = match client {
        Client::Chat => "/chat/completions",
        Client::Messages => "/messages",
        Client::Responses => "/responses",
        Client::Google => {
            let method = if stream {
                "streamGenerateContent?alt=sse"
            } else {
                "generateContent"
            };
            let path = format!("/models/{model}:{method}");
            return server.post(&path, &server.key, &body);
        }
    };
    body["model"] = json!(model);
    body["stream"] = json!(stream);
    server.post(path, &server.key, &body)
}

/// What an upstream sees of a conversation: the user's text, the call's arguments, the result, the
/// tool's name and description.
fn seen(model: &str, body: &Value) -> [Value; 5] {
    let at = |pointer: &str| body.pointer(pointer).cloned().unwrap_or_default();
    let parsed = |pointer: &str| {
        serde_json::from_str(at(pointer).as_str().unwrap_or_default()).unwrap_or_default()
    };
    match model {
        "o" => [
            at("/messages/0/content"),
            parsed("/messages/1/tool_calls/0/function/arguments"),
            at("/messages/2/content"),
            at("/tools/0/function/name"),
            at("/tools/0/function/description"),
        ],
        "a" => {
            let text = at("/messages/0/content/0/text");
            let result = at("/messages/2/content/0/content");
            [
                if text.is_null() {
                    at("/messages/0/content")
                } else {
                    text
                },
                at("/messages/1/content/0/input"),
                result,
                at("/tools/0/name"),
                at("/tools/0/description"),
            ]
        }
        "r" => [
            at("/input/0/content"),
            parsed("/input/1/arguments"),
            at("/input/2/output"),
            at("/tools/0/name"),
            at("/tools/0/description"),
        ],
        _ => [
            at("/contents/0/parts/0/text"),
            at("/contents/1/parts/0/functionCall/args"),
            at("/contents/2/parts/0/functionResponse/response/output"),
            at("/tools/0/functionDeclarations/0/name"),
            at("/tools/0/functionDeclarations/0/description"),
        ],
    }
}

/// An upstream's whole answer.
fn whole(model: &str, text: &str) -> Act {
    let parts = json!([{"type": "text", "text": text}]);
    Act::Json(
        200,
        match model {
            "o" => completion(text),
            "a" => message(parts, "end_turn"),
            "r" => response(json!([output_text(text)])),
            _ => generated(json!([{"text": text}])),
        },
    )
}

/// An upstream's answer in two pieces.
fn streamed(model: &str, before: &str, after: &str) -> Act {
    let text = format!("{before}{after}");
    Act::Events(match model {
        "o" => chunks(&[before, after]),
        "a" => anthropic(&[
            json!({"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": before}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": after}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ]),
        "r" => {
            let delta = |piece: &str| json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "msg_up", "content_index": 0, "delta": piece});
            response_events(&[
                json!({"type": "response.created", "response": {"id": "resp_up", "status": "in_progress", "output": []}}),
                json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_up", "role": "assistant", "content": []}}),
                delta(before),
                delta(after),
                json!({"type": "response.output_item.done", "output_index": 0, "item": output_text(&text)}),
                json!({"type": "response.completed", "response": response(json!([output_text(&text)]))}),
            ])
        }
        _ => generated_chunks(&[json!([{"text": before}]), json!([{"text": after}])]),
    })
}

/// The text that a client reads.
fn text_of(client: Client, answer: &Value) -> Value {
    let pointer = match client {
        Client::Chat => "/choices/0/message/content",
        Client::Messages => "/content/0/text",
        Client::Responses => "/output/0/content/0/text",
        Client::Google => "/candidates/0/content/parts/0/text",
    };
    answer.pointer(pointer).cloned().unwrap_or_default()
}

/// The text that a client joins from a stream.
fn joined(client: Client, stream: &str) -> String {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .flat_map(|event| match client {
            Client::Chat => vec![event["choices"][0]["delta"]["content"].clone()],
            Client::Messages => vec![event["delta"]["text"].clone()],
            Client::Responses if event["type"] == "response.output_text.delta" => {
                vec![event["delta"].clone()]
            }
            Client::Responses => Vec::new(),
            Client::Google => {
                let parts = event["candidates"][0]["content"]["parts"]
                    .as_array()
                    .cloned();
                parts
                    .into_iter()
                    .flatten()
                    .map(|p| p["text"].clone())
                    .collect()
            }
        })
        .filter_map(|text| text.as_str().map(ToOwned::to_owned))
        .collect()
}

#[test]
fn a_conversation_with_tools_arrives_whole_and_without_its_values_in_every_pair() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let plain = ["Pay the rent.", "none", "paid", "Pays."];
    let user = format!("My card is {}, my mail {}", PLANTED[1], PLANTED[0]);
    let result = format!("paid by {}", PLANTED[0]);
    let tool = format!("Ask {}", PLANTED[0]);
    let private = [user.as_str(), PLANTED[3], &result, &tool];
    for (model, up) in UPSTREAMS {
        upstream.on(up, vec![whole(up, "ok")]);
        for client in CLIENTS {
            let answer = send(&server, client, model, conversation(client, plain), false);
            let answer: Value = answer.json().unwrap();
            assert_eq!(
                text_of(client, &answer),
                "ok",
                "{client:?} to {model}: {answer}"
            );
            let body = upstream.seen().pop().unwrap().body;
            let [user, arguments, result, name, description] = seen(up, &body);
            assert_eq!(
                [user, result, name, description],
                [plain[0], plain[2], "pay", plain[3]].map(Value::from),
                "{client:?} to {model}: {body}"
            );
            assert_eq!(
                arguments,
                json!({"iban": plain[1]}),
                "{client:?} to {model}: {body}"
            );

            send(&server, client, model, conversation(client, private), false);
            let body = upstream.seen().pop().unwrap().body;
            let text = body.to_string();
            for value in PLANTED {
                assert!(
                    !text.contains(value),
                    "{client:?} to {model}: {value} left in {text}"
                );
            }
            let [.., name, description] = seen(up, &body);
            assert_eq!(
                name, "pay",
                "{client:?} to {model}: the protocol's own words stay"
            );
            let mail = description
                .as_str()
                .unwrap()
                .trim_start_matches("Ask ")
                .to_owned();
            let said = format!("Write to {mail}, please.");
            let expected = format!("Write to {}, please.", PLANTED[0]);
            upstream.on(up, vec![whole(up, &said)]);
            let answer = send(&server, client, model, conversation(client, private), false);
            let answer: Value = answer.json().unwrap();
            assert_eq!(
                text_of(client, &answer),
                expected,
                "{client:?} to {model}: {answer}"
            );
            for cut in 1..said.len() {
                let (before, after) = said.split_at(cut);
                upstream.on(up, vec![streamed(up, before, after)]);
                let answer = send(&server, client, model, conversation(client, private), true);
                let stream = answer.text().unwrap();
                assert!(!stream.contains(&mail), "{client:?} to {model}: {stream}");
                assert_eq!(
                    joined(client, &stream),
                    expected,
                    "{client:?} to {model} cut at {cut}: {stream}"
                );
            }
            upstream.on(up, vec![whole(up, "ok")]);
        }
    }
}

#[test]
fn an_upstreams_error_has_the_clients_shape_in_every_pair() {
    let upstream = Upstream::start();
    let error = json!({"error": {"message": "the prompt said: secret", "type": "invalid_request_error", "code": "context_length_exceeded", "status": "INVALID_ARGUMENT"}});
    let server = every_protocol(&upstream).start();
    for (model, up) in UPSTREAMS {
        upstream.on(up, vec![Act::Json(400, error.clone())]);
        for client in CLIENTS {
            let plain = ["x", "y", "z", "w"];
            let answer = send(&server, client, model, conversation(client, plain), true);
            assert_eq!(answer.status(), 400, "{client:?} to {model}");
            let text = answer.text().unwrap();
            assert!(!text.contains("secret"), "{text}");
            let body: Value = serde_json::from_str(&text).unwrap();
            let kind = match client {
                Client::Google => &body["error"]["status"],
                _ => &body["error"]["type"],
            };
            let expected = if client == Client::Google {
                "INVALID_ARGUMENT"
            } else {
                "invalid_request_error"
            };
            assert_eq!(kind, expected, "{client:?} to {model}: {text}");
        }
    }
}
