//! A chat request: it is read as serde_json reads it, or refused; and what goes upstream is the same request but for what is ours.
#![no_main]

use anyrouter_core::wire::openai_chat::ChatRequest;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// Members that the gateway writes, or keeps to itself.
const OURS: [&str; 12] = [
    "model",
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
];

fuzz_target!(|data: &[u8]| {
    let theirs: Option<Map<String, Value>> = serde_json::from_slice(data).ok();
    let request = match ChatRequest::parse(Bytes::copy_from_slice(data), 100) {
        Ok(request) => request,
        Err(fault) if fault.code == "invalid_json" => {
            // Ours refuses more: what is deeper than it may be, and numbers of any size are serde_json's own affair.
            let deep = fault.problem.contains("deeply");
            assert!(theirs.is_none() || deep, "refused: {fault}");
            return;
        }
        Err(_) => return,
    };
    let sent = request.to_openai_chat("upstream-model", true, &mut Vec::new()).concat();
    let Some(mut theirs) = theirs else {
        // serde_json refuses what JSON does not: numbers beyond a double, and halves of surrogates.
        return;
    };
    let mut sent: Map<String, Value> = serde_json::from_slice(&sent).expect("what is sent is JSON");
    assert_eq!(sent.get("model"), Some(&Value::from("upstream-model")));
    for name in OURS {
        theirs.remove(name);
        sent.remove(name);
    }
    assert_eq!(sent, theirs);
});
