//! What agents send about a person's machine and project: no provider gets it unless the account
//! allows it (P06).

use std::fs;

use serde_json::{Value, json};

use crate::{
    canary::search,
    harness::{Server, every_protocol},
    upstream::{Act, Upstream, completion, generated, message, output_text, response},
};

/// A turn as Codex sends it.
fn codex(more: &Value) -> Value {
    let mut input = vec![
        json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look"}]}),
    ];
    input.extend(more.as_array().unwrap().iter().cloned());
    json!({"model": "lab/resp", "store": false, "prompt_cache_key": "planted-session", "input": input,
           "client_metadata": {"x-codex-installation-id": "planted-machine", "x-codex-turn-metadata": "{\"git\":\"planted-remote\"}"}})
}

/// A turn as Claude Code sends it.
fn claude_code() -> Value {
    json!({"model": "lab/anth", "max_tokens": 100, "messages": [{"role": "user", "content": "Look"}],
           "metadata": {"user_id": "{\"device_id\":\"planted-machine\"}"},
           "system": [{"type": "text", "text": "x-anthropic-billing-header: planted-build;"}, {"type": "text", "text": "Be kind."}]})
}

fn upstream() -> Upstream {
    let upstream = Upstream::start();
    let ok = response(json!([output_text("ok")]));
    upstream.on("r", vec![Act::Json(200, ok)]);
    let ok = generated(json!([{"text": "ok"}]));
    upstream.on("g", vec![Act::Json(200, ok)]);
    let ok = json!([{"type": "text", "text": "ok"}]);
    upstream.on("a", vec![Act::Json(200, message(ok, "end_turn"))]);
    upstream.on("o", vec![Act::Json(200, completion("ok"))]);
    upstream
}

/// Sends a request; returns what the provider got and what the answer says was left out.
fn sent(server: &Server, upstream: &Upstream, path: &str, body: &Value) -> (Value, Value) {
    let request = server.request("POST", path).bearer_auth(&server.key);
    let answer: Value = request
        .header("x-codex-turn-metadata", "planted-remote")
        .header("x-claude-code-session-id", "planted-session")
        .header("x-session-affinity", "planted-session")
        .json(body)
        .send()
        .unwrap()
        .json()
        .unwrap();
    let seen = upstream.seen().pop().unwrap();
    let headers = format!("{:?}", seen.headers);
    assert!(!headers.contains("planted-"), "{headers}");
    (seen.body, answer["anyrouter_metadata"].clone())
}

#[test]
fn no_provider_gets_what_an_agent_says_about_a_machine_and_the_answer_names_it() {
    let upstream = upstream();
    let server = every_protocol(&upstream).start();
    let (body, said) = sent(&server, &upstream, "/responses", &codex(&json!([])));
    assert!(!body.to_string().contains("planted-"), "{body}");
    assert_eq!(body.get("client_metadata"), None);
    assert_eq!(said["omitted"], json!(["client_metadata"]));
    let note = "prompt_cache_key was replaced by a keyed hash";
    assert_eq!(said["notes"], json!([note]));
    // Over every other protocol as well, and from a client of each.
    for model in ["lab/open", "lab/anth", "lab/goog"] {
        let mut body = codex(&json!([]));
        body["model"] = json!(model);
        let (got, said) = sent(&server, &upstream, "/responses", &body);
        assert!(!got.to_string().contains("planted-"), "{got}");
        let omitted = said["omitted"].as_array().unwrap();
        assert!(omitted.contains(&json!("client_metadata")), "{said}");
    }
    let (body, said) = sent(&server, &upstream, "/messages", &claude_code());
    assert!(!body.to_string().contains("planted-"), "{body}");
    assert_eq!(said["omitted"], json!(["metadata.user_id", "system[0]"]));
    let chat = json!({"model": "lab/open", "prompt_cache_key": "planted-session", "messages": [{"role": "user", "content": "Look"}]});
    let (body, said) = sent(&server, &upstream, "/chat/completions", &chat);
    assert!(!body.to_string().contains("planted-"), "{body}");
    assert!(body["prompt_cache_key"].is_string());
    assert_eq!(said["notes"], json!([note]));
    search(&server, &["planted-".to_owned()]);
}

#[test]
fn a_conversation_keeps_one_name_and_its_turns_begin_with_the_same_bytes() {
    let upstream = upstream();
    let server = every_protocol(&upstream).start();
    let mut turns = Vec::new();
    for more in [
        json!([]),
        json!([
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "More"}]}
        ]),
    ] {
        server.post("/responses", &server.key, &codex(&more));
        turns.push(upstream.seen().pop().unwrap());
    }
    let key = &turns[0].body["prompt_cache_key"];
    assert!(key.as_str().unwrap().len() >= 16, "{key}");
    assert_eq!(key, &turns[1].body["prompt_cache_key"]);
    let first = turns[0].text.split_once("}]}]").unwrap().0;
    assert!(turns[1].text.starts_with(first), "{}", turns[1].text);
    // Another conversation has another name.
    let mut other = codex(&json!([]));
    other["prompt_cache_key"] = json!("planted-other");
    server.post("/responses", &server.key, &other);
    assert_ne!(
        key,
        &upstream.seen().pop().unwrap().body["prompt_cache_key"]
    );
}

#[test]
fn only_the_accounts_own_setting_lets_it_pass() {
    let upstream = upstream();
    let mut server = every_protocol(&upstream).start();
    server.patch_privacy(&json!({"client_metadata": "pass"}));
    let (body, said) = sent(&server, &upstream, "/responses", &codex(&json!([])));
    let asked = codex(&json!([]));
    assert_eq!(body["client_metadata"], asked["client_metadata"]);
    assert_eq!(body["prompt_cache_key"], "planted-session");
    assert_eq!(said["omitted"], Value::Null);
    // The id of the device is a person's, not the agent's: it never passes.
    let (body, said) = sent(&server, &upstream, "/messages", &claude_code());
    assert_eq!(body["system"], claude_code()["system"]);
    assert_eq!(said["omitted"], json!(["metadata.user_id"]));

    // A key cannot allow it, and can forbid it.
    let new_key = |setting: &str| {
        let body = json!({"name": "k", "privacy": {"client_metadata": setting}});
        server.post("/keys", &server.management, &body)
    };
    let refused = new_key("pass");
    assert_eq!(refused.status(), 400);
    let problem: Value = refused.json().unwrap();
    assert_eq!(problem["error"]["param"], "privacy.client_metadata");
    let key: Value = new_key("strip").json().unwrap();
    let key = key["key"].as_str().unwrap();
    server.post("/responses", key, &codex(&json!([])));
    let body = upstream.seen().pop().unwrap().body;
    assert!(!body.to_string().contains("planted-"), "{body}");

    // So can the operator.
    server.kill();
    let path = server.dir.path().join("anyrouter.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(
        path,
        format!("[privacy]\nclient_metadata = \"strip\"\n{config}"),
    )
    .unwrap();
    server.start_again();
    let (body, _) = sent(&server, &upstream, "/responses", &codex(&json!([])));
    assert!(!body.to_string().contains("planted-"), "{body}");
}
