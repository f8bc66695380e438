//! A proof of reasoning goes back to the provider and model that made it, as it was made, through a
//! client of any protocol; no other endpoint ever gets it.

use anyrouter_core::{
    catalog::{Catalog, Document, Protocol},
    wire::{
        adjust::Adjustments,
        answer::{Relay, plain},
        client_metadata::Person,
        inbound::inbound,
        outbound::outbound,
    },
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{names, stream};

/// The proof that a provider makes. Google's packages read theirs as base64.
const PROOF: &str = "c2lnbmVk+/==";
/// The protocols whose providers make proofs.
const MAKERS: [Protocol; 3] = [Protocol::Responses, Protocol::Messages, Protocol::Gemini];

/// A whole answer with a signed thought and a call.
fn answer(maker: Protocol) -> Value {
    match maker {
        Protocol::Chat => json!(null),
        Protocol::Responses => {
            json!({"id": "r", "object": "response", "status": "completed", "output": [
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": PROOF},
                {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{}"}]})
        }
        Protocol::Messages => {
            json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "stop_sequence": null, "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": PROOF},
                {"type": "redacted_thinking", "data": PROOF},
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}], "usage": {"input_tokens": 1, "output_tokens": 1}})
        }
        Protocol::Gemini => {
            json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
                {"text": "Hm.", "thought": true}, {"functionCall": {"id": "call_1", "name": "f", "args": {}}, "thoughtSignature": PROOF}]}}]})
        }
    }
}

/// The next turn's request: the answer as the client got it, and the result of its call.
fn next_turn(client: Protocol, answer: &Value) -> Value {
    match client {
        Protocol::Chat => {
            let message = &answer["choices"][0]["message"];
            let id = &message["tool_calls"][0]["id"];
            json!({"model": "lab/x", "messages": [{"role": "user", "content": "Go."}, message, {"role": "tool", "tool_call_id": id, "content": "42"}]})
        }
        Protocol::Responses => {
            let items = answer["output"].as_array().unwrap();
            let call = items
                .iter()
                .find(|item| item["type"] == "function_call")
                .unwrap();
            let mut input = vec![json!({"role": "user", "content": "Go."})];
            input.extend(items.iter().cloned());
            input.push(
                json!({"type": "function_call_output", "call_id": call["call_id"], "output": "42"}),
            );
            json!({"model": "lab/x", "input": input})
        }
        Protocol::Messages => {
            let content = &answer["content"];
            let blocks = content.as_array().unwrap();
            let call = blocks.iter().find(|b| b["type"] == "tool_use").unwrap();
            json!({"model": "lab/x", "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [
                {"role": "user", "content": "Go."}, {"role": "assistant", "content": content},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "42"}]}]})
        }
        Protocol::Gemini => {
            let content = &answer["candidates"][0]["content"];
            json!({"contents": [{"role": "user", "parts": [{"text": "Go."}]}, content,
                {"role": "user", "parts": [{"functionResponse": {"id": "call_1", "name": "f", "response": {"output": "42"}}}]}]})
        }
    }
}

fn catalog(protocol: Protocol, author: &str) -> Catalog {
    let toml = format!(
        r#"
        [[provider]]
        slug = "prov"
        protocol = "{protocol}"
        base_url = "http://x"
        [[provider]]
        slug = "other"
        protocol = "{protocol}"
        base_url = "http://y"
        [[model]]
        id = "{author}/x"
        [[model.endpoint]]
        provider = "prov"
        [[model.endpoint]]
        provider = "other"
        "#,
        protocol = protocol.name()
    );
    Catalog::from_documents(&[Document::from_toml(&toml).unwrap()]).unwrap()
}

/// What the provider of this name gets for a request.
fn sent(client: Protocol, body: &Value, catalog: &Catalog, provider: &str) -> Value {
    let endpoint = catalog
        .endpoints()
        .iter()
        .find(|e| e.provider.as_str() == provider)
        .unwrap();
    let request = inbound(client, Bytes::from(body.to_string()), 64).unwrap();
    let sent = outbound(
        endpoint.addresses[0].protocol,
        &request,
        &HeaderMap::new(),
        endpoint,
        "http://x",
        &Person::default(),
        &mut Adjustments::default(),
    );
    serde_json::from_slice(&sent.unwrap().body.concat()).unwrap()
}

/// The proofs in a provider's request.
fn proofs(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("signature" | "data" | "encrypted_content" | "thoughtSignature", Some(proof)) => {
                    vec![proof]
                }
                _ => proofs(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(proofs).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_proof_comes_back_to_its_maker_and_to_nobody_else_in_every_pair() {
    for maker in MAKERS {
        for client in Protocol::ALL {
            let theirs = answer(maker).to_string();
            let ours = plain(&names(maker, client), theirs.as_bytes())
                .unwrap()
                .body;
            let ours: Value = serde_json::from_slice(&ours).unwrap();
            assert!(
                !ours.to_string().contains(&format!("\"{PROOF}\"")),
                "{maker:?} for {client:?}: it is wrapped"
            );
            let request = next_turn(client, &ours);
            let makers = catalog(maker, "lab");
            let back = sent(client, &request, &makers, "prov");
            let found = proofs(&back);
            assert!(
                !found.is_empty() && found.iter().all(|proof| *proof == PROOF),
                "{maker:?} for {client:?}: {back}"
            );
            for provider in Protocol::ALL {
                let other = catalog(provider, "lab");
                let elsewhere = sent(client, &request, &other, "other").to_string();
                assert!(
                    !elsewhere.contains("c2lnbmVk")
                        && !elsewhere.contains("anyrouter.")
                        && !elsewhere.contains("YW55cm91dGVyL"),
                    "{maker:?} for {client:?}, then {provider:?}: {elsewhere}"
                );
            }
        }
    }
}

#[test]
fn a_streamed_proof_is_wrapped_once_however_many_pieces_it_has() {
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "bmVk"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ];
    let theirs: String = events.iter().map(|e| format!("data: {e}\n\n")).collect();
    for client in [Protocol::Chat, Protocol::Messages, Protocol::Responses] {
        let (ours, fault) = stream(Protocol::Messages, client, &[theirs.as_bytes()]);
        assert_eq!(fault, None);
        // Responses says the whole proof again in its last event.
        let times = if client == Protocol::Responses { 2 } else { 1 };
        assert_eq!(
            ours.matches("anyrouter.").count(),
            times,
            "{client:?}: {ours}"
        );
    }
    let (ours, _) = stream(Protocol::Messages, Protocol::Gemini, &[theirs.as_bytes()]);
    let encoded = |text: &str| {
        base64_of(&format!(
            "anyrouter.anthropic_messages.proof.{MAKER}.{text}"
        ))
    };
    assert!(ours.contains(&encoded("c2lnbmVk")), "{ours}");
    let (ours, _) = stream(Protocol::Messages, Protocol::Messages, &[theirs.as_bytes()]);
    assert!(
        ours.contains(".c2ln\"") && ours.contains("\"bmVk\""),
        "{ours}"
    );
}

/// The hash of the provider and the model of `names`.
const MAKER: &str = "2990267db99b";

#[test]
fn what_else_comes_in_the_same_piece_does_not_decide_what_is_wrapped() {
    let event = |data: &Value| format!("data: {data}\n\n");
    let block = |index: u8, block: Value| {
        event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
    };
    let message = json!({"id": "m", "type": "message", "role": "assistant", "content": [], "model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let events = [
        event(&json!({"type": "message_start", "message": message})),
        block(0, json!({"type": "redacted_thinking", "data": PROOF})),
        event(&json!({"type": "content_block_stop", "index": 0})),
        // A block of a kind that nobody knows, with data that is no proof.
        block(1, json!({"type": "picture", "data": PROOF})),
    ];
    let relayed = |pieces: &[String]| {
        let names = names(Protocol::Messages, Protocol::Messages);
        let (mut relay, mut out) = (Relay::new(names, 1 << 16), Vec::new());
        for piece in pieces {
            relay.feed(piece.as_bytes(), &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    };
    let apart = relayed(&events);
    assert_eq!(apart.matches("anyrouter.").count(), 1, "{apart}");
    assert_eq!(relayed(&[events.concat()]), apart);
}

fn base64_of(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { digit.into() } else { '=' });
        }
    }
    out
}

#[test]
fn a_wrapped_proof_that_was_altered_goes_to_nobody() {
    for altered in [
        format!(" anyrouter.openai_responses.proof.{MAKER}.x"),
        format!("Anyrouter.openai_responses.proof.{MAKER}.x"),
        "YW55cm91dGVyLmdlbWluaS5wcm9vZi4=x".to_owned(),
        "YW55cm91dGVyL!".to_owned(),
    ] {
        for maker in MAKERS {
            let text = answer(maker).to_string().replace(PROOF, &altered);
            let request = next_turn(maker, &serde_json::from_str(&text).unwrap());
            let sent = sent(maker, &request, &catalog(maker, "lab"), "prov");
            assert_eq!(proofs(&sent), [""; 0], "{maker:?}, {altered}: {sent}");
        }
    }
}

#[test]
fn a_whole_response_to_a_client_that_asked_for_a_stream_passes_as_it_is() {
    let mut theirs = answer(Protocol::Responses);
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    theirs["output"].as_array_mut().unwrap().insert(1, search);
    let mut out = Vec::new();
    let names = names(Protocol::Responses, Protocol::Responses);
    let mut relay = Relay::of_whole(names, theirs.to_string().as_bytes(), &mut out).unwrap();
    out.extend_from_slice(&relay.last());
    let ours = String::from_utf8(out).unwrap();
    assert!(
        !ours.contains(&format!("\"{PROOF}\"")),
        "it is wrapped: {ours}"
    );
    let last = ours
        .lines()
        .rev()
        .find_map(|l| l.strip_prefix("data: "))
        .unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["type"], "response.completed");
    let kinds: Vec<&Value> = last["response"]["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["type"])
        .collect();
    assert_eq!(kinds, ["reasoning", "web_search_call", "function_call"]);
    assert!(
        ours.contains("response.function_call_arguments.delta"),
        "{ours}"
    );
}

#[test]
fn googles_calls_get_their_own_proofs_back() {
    let call = |n: u8, proof: &str| json!({"functionCall": {"id": format!("c{n}"), "name": "f", "args": {"n": n}}, "thoughtSignature": proof});
    let theirs = json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [call(1, "QQ=="), call(2, "Qg==")]}}]});
    for client in [Protocol::Chat, Protocol::Messages, Protocol::Responses] {
        let ours = plain(
            &names(Protocol::Gemini, client),
            theirs.to_string().as_bytes(),
        );
        let ours: Value = serde_json::from_slice(&ours.unwrap().body).unwrap();
        let request = next_turn(client, &ours);
        let back = sent(client, &request, &catalog(Protocol::Gemini, "lab"), "prov");
        assert_eq!(proofs(&back), ["QQ==", "Qg=="], "{client:?}: {back}");
    }
}

#[test]
fn a_proof_of_a_session_that_began_elsewhere_goes_to_the_models_author() {
    for maker in MAKERS {
        let request = next_turn(maker, &answer(maker));
        // `prov` is the author of the first; nobody here of the second.
        for (author, provider, is_sent) in [
            ("prov", "prov", true),
            ("prov", "other", false),
            ("lab", "other", true),
        ] {
            let sent = sent(maker, &request, &catalog(maker, author), provider);
            assert_eq!(
                proofs(&sent).contains(&PROOF),
                is_sent,
                "{maker:?}, {author}/x at {provider}: {sent}"
            );
        }
        // Another protocol has no use for it.
        for protocol in Protocol::ALL.into_iter().filter(|p| *p != maker) {
            let sent = sent(maker, &request, &catalog(protocol, "prov"), "prov");
            assert_eq!(proofs(&sent), [""; 0], "{maker:?} to {protocol:?}: {sent}");
        }
    }
}

#[test]
fn a_tool_loop_that_lost_its_thinking_goes_on_without() {
    let mut request = next_turn(Protocol::Messages, &answer(Protocol::Messages));
    request["context_management"] = json!({"edits": [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]});
    let messages = catalog(Protocol::Messages, "prov");
    let kept = sent(Protocol::Messages, &request, &messages, "prov");
    assert_eq!(kept["thinking"], request["thinking"]);
    assert_eq!(kept["context_management"], request["context_management"]);
    let lost = sent(Protocol::Messages, &request, &messages, "other");
    assert_eq!(lost["thinking"], json!({"type": "disabled"}));
    assert_eq!(
        lost["context_management"],
        json!({"edits": [{"type": "clear_tool_uses_20250919"}]})
    );
    // The next question begins a new turn.
    let more = json!({"role": "user", "content": "And now?"});
    request["messages"].as_array_mut().unwrap().push(more);
    let new = sent(Protocol::Messages, &request, &messages, "other");
    assert_eq!(new["thinking"], request["thinking"]);
}
