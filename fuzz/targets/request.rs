//! A chat request: it is read as serde_json reads it, or refused; and what goes upstream is the
//! client's but for what is ours.
#![no_main]

use std::sync::LazyLock;

use anyrouter_core::{
    catalog::Catalog,
    catalog::Protocol,
    wire::{adjust::Adjustments, client_metadata::Person, inbound::inbound},
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

static CATALOG: LazyLock<Catalog> = LazyLock::new(fuzz::openai_catalog);

/// Members that the gateway writes, or keeps to itself.
const OURS: [&str; 17] = [
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "provider",
    "models",
    "preset",
    "trace",
    "session_id",
    "min_context",
    "require_params",
    "usage",
    "reasoning",
    "reasoning_effort",
    "prompt_cache_key",
];

fuzz_target!(|data: &[u8]| {
    let theirs: Option<Map<String, Value>> = serde_json::from_slice(data).ok();
    let request = match inbound(Protocol::Chat, Bytes::copy_from_slice(data), 100) {
        Ok(request) => request,
        Err(fault) if fault.code == "invalid_json" => {
            // Ours refuses more: what is deeper than it may be, and numbers of any size are
            // serde_json's own affair.
            let deep = fault.problem.contains("deeply");
            assert!(theirs.is_none() || deep, "refused: {fault}");
            return;
        }
        Err(_) => return,
    };
    let mut adjusted = Adjustments::default();
    let sent = request
        .to_openai_chat(&CATALOG.endpoints()[0], &Person::default(), &mut adjusted)
        .concat();
    let Some(theirs) = theirs else {
        // serde_json refuses what JSON does not: numbers beyond a double, and halves of surrogates.
        return;
    };
    let sent: Map<String, Value> = serde_json::from_slice(&sent).expect("what is sent is JSON");
    assert_eq!(sent.get("model"), Some(&Value::from("up")));
    let messages =
        |of: &Map<String, Value>| of.get("messages").and_then(Value::as_array).map(Vec::len);
    assert_eq!(messages(&sent), messages(&theirs), "no message is lost");
    for (name, value) in sent
        .iter()
        .filter(|(name, _)| !OURS.contains(&name.as_str()))
    {
        assert_eq!(Some(value), theirs.get(name), "{name} is the client's");
    }
});
