//! Where both sides speak the same protocol, nothing is rewritten but what the table in
//! docs/protocols.md lists.

use std::collections::BTreeSet;

use anyrouter_core::{
    catalog::{Catalog, Document, Protocol},
    wire::{
        adjust::Adjustments, answer::plain, client_metadata::Person, inbound::inbound,
        outbound::outbound,
    },
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{
    names,
    pairs::{Answer, Finish, Said},
    stream,
};

/// The members in the table for a protocol, with those for all: of requests and of responses.
fn listed(protocol: Protocol) -> [String; 2] {
    let docs = include_str!("../../../docs/protocols.md");
    let name = match protocol {
        Protocol::Chat => "chat",
        Protocol::Messages => "messages",
        Protocol::Responses => "Responses",
        Protocol::Gemini => "gemini",
    };
    ["request", "response"].map(|side| {
        let starts = ["all", name].map(|name| format!("| {name} | {side} | "));
        let rows = docs
            .lines()
            .filter_map(|row| starts.iter().find_map(|start| row.strip_prefix(start)));
        rows.map(|row| row.split(" | ").next().unwrap()).collect()
    })
}

/// Collects the names of the members that differ.
fn differences(theirs: &Value, ours: &Value, name: &str, found: &mut BTreeSet<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => differences(a, b, name, found),
                    _ => {
                        found.insert(name.clone());
                    }
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                differences(a, b, name, found);
            }
        }
        (a, b) if a == b => {}
        _ => {
            found.insert(name.to_owned());
        }
    }
}

/// A request with everything that is rewritten, and much that is not.
fn request(protocol: Protocol) -> Value {
    let mut request = match protocol {
        Protocol::Chat => {
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho", "reasoning": "hm"}, {"role": "user", "content": "on"}],
            "max_tokens": 9000, "stream": true, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "prompt_cache_key": "c", "user": "jane",
            "reasoning": {"effort": "low"}, "temperature": 1.0e0, "logit_bias": {"1": 2}, "stop": ["x"]})
        }
        Protocol::Messages => {
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "ho"}]}, {"role": "user", "content": "on"}],
            "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 8500}, "metadata": {"user_id": "jane", "team": "x"}, "user": "jane", "user_profile_id": "jane",
            "system": [{"type": "text", "text": "x-anthropic-billing-header: a;"}, {"type": "text", "text": "Be kind."}], "top_k": 3, "context_management": {"edits": []}})
        }
        Protocol::Responses => {
            json!({"input": [{"type": "message", "id": "msg_1", "role": "user", "content": "hi"}, {"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "user", "content": "on"}],
            "max_output_tokens": 9000, "store": true, "include": ["file_search_call.results"], "client_metadata": {"a": "b"}, "prompt_cache_key": "c", "user": "jane",
            "safety_identifier": "jane", "temperature": 0.5, "truncation": "auto", "reasoning": {"effort": "low"}})
        }
        Protocol::Gemini => {
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "ho", "thoughtSignature": "YW55cm91dGVyLm9wZW5h"}]}, {"role": "user", "parts": [{"text": "on"}]}],
            "generationConfig": {"maxOutputTokens": 9000, "temperature": 0.5, "topK": 3}, "labels": {"team": "x"}, "safetySettings": []})
        }
    };
    let more = json!({"model": "lab/x", "provider": {"zdr": false}, "models": ["lab/x"], "preset": null, "session_id": "s", "unknown_member": {"b": 1, "a": 2}});
    let members = more.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(members);
    request
}

fn is_listed(table: &str, name: &str) -> bool {
    // A member of a member is named with it, as `thinking.budget_tokens`.
    table
        .split('`')
        .skip(1)
        .step_by(2)
        .any(|listed| listed == name || listed.ends_with(&format!(".{name}")))
}

#[test]
fn the_documentation_lists_every_member_that_is_rewritten() {
    for protocol in Protocol::ALL {
        let [in_requests, in_responses] = listed(protocol);
        let toml = r#"
            [[provider]]
            slug = "a"
            protocol = "PROTOCOL"
            base_url = "http://x"
            [[model]]
            id = "lab/x"
            [[model.endpoint]]
            provider = "a"
            upstream_model = "up"
            max_output = 8192
        "#
        .replace("PROTOCOL", protocol.name());
        let catalog = Catalog::from_documents(&[Document::from_toml(&toml).unwrap()]).unwrap();
        let theirs = request(protocol);
        let read = inbound(protocol, Bytes::from(theirs.to_string()), 64).unwrap();
        let person = Person {
            user: Some("pseudonym"),
            cache_key: Some("hash"),
            passes_metadata: false,
        };
        let sent = outbound(
            protocol,
            &read,
            &HeaderMap::new(),
            &catalog.endpoints()[0],
            "http://x",
            &person,
            &mut Adjustments::default(),
        )
        .unwrap();
        let sent: Value = serde_json::from_slice(&sent.body.concat()).unwrap();
        let mut found = BTreeSet::new();
        differences(&theirs, &sent, "", &mut found);
        assert!(found.len() > 5, "{protocol:?}: {found:?}");
        for name in &found {
            let place = match protocol {
                // Named as a part of what has it.
                Protocol::Gemini if name == "thoughtSignature" => "contents",
                Protocol::Chat if name == "reasoning_effort" => "reasoning",
                Protocol::Messages if name == "content" => "messages",
                Protocol::Messages if name == "team" => "metadata",
                _ => name,
            };
            assert!(is_listed(&in_requests, place), "{protocol:?}: `{name}`");
        }

        let answer = Answer {
            said: vec![
                Said::Thought("Hm".to_owned()),
                Said::Text("Look".to_owned()),
                Said::Call {
                    id: "call_1".to_owned(),
                    name: "weather".to_owned(),
                    arguments: json!({"city": "Bern"}),
                },
            ],
            finish: Finish::Calls,
        };
        let mut found = BTreeSet::new();
        let theirs = answer.written(protocol, false);
        let ours = plain(&names(protocol, protocol), &theirs).unwrap().body;
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        differences(&read(&theirs), &read(&ours), "", &mut found);
        let theirs = answer.written(protocol, true);
        let (ours, fault) = stream(protocol, protocol, &[&theirs]);
        assert_eq!(fault, None);
        let (theirs, ours) = (data(std::str::from_utf8(&theirs).unwrap()), data(&ours));
        assert_eq!(theirs.len(), ours.len(), "{protocol:?}: no event is added");
        for (theirs, ours) in theirs.iter().zip(&ours) {
            differences(theirs, ours, "", &mut found);
        }
        assert!(found.contains("anyrouter_metadata"), "{protocol:?}");
        for name in &found {
            assert!(is_listed(&in_responses, name), "{protocol:?}: `{name}`");
        }
    }
}

/// The data of the events of a stream, but for chat's end marker.
fn data(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|l| l.strip_prefix("data: "));
    lines
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}
