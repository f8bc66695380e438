//! The event that ends a stream with an error.

use serde_json::{Value, json};

use crate::{
    ids::RequestId,
    wire::error::{ApiError, hide_keys},
};

/// Returns the chunk that ends a stream with `error`; nothing follows it.
pub fn error_chunk(error: &ApiError, id: RequestId, model: &str, created: u64) -> Vec<u8> {
    let mut object = Value::Object(error.error_object());
    hide_keys(&mut object);
    let chunk = json!({
        "id": id.generation(), "object": "chat.completion.chunk", "created": created, "model": model, "error": object,
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        "anyrouter_metadata": {"requestId": id, "attempts": error.attempts},
    });
    format!("data: {chunk}\n\n").into_bytes()
}
