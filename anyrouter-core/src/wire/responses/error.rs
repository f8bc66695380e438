//! The event that ends a stream with an error.

use serde_json::{Value, json};

use crate::{
    ids::RequestId,
    wire::error::{ApiError, hide_keys},
};

/// Returns the event that ends a stream with `error`; nothing follows it. `sequence` is its number.
///
/// The error is in the response, where Codex reads from the code whether to try again, and beside it,
/// where OpenAI's packages look for one.
pub(in crate::wire) fn failed_event(
    error: &ApiError,
    id: RequestId,
    model: &str,
    created: u64,
    sequence: u64,
) -> Vec<u8> {
    let code = match error.status {
        429 => "rate_limit_exceeded",
        503 => "server_is_overloaded",
        _ => &error.code,
    };
    let mut object = error.error_object();
    object.insert("code".to_owned(), json!(code));
    let mut object = Value::Object(object);
    hide_keys(&mut object);
    let mut response_id = Vec::with_capacity(32);
    id.push_response(&mut response_id);
    let event = json!({
        "type": "response.failed", "sequence_number": sequence,
        "response": {
            "id": String::from_utf8_lossy(&response_id), "object": "response", "created_at": created, "status": "failed",
            "error": object, "incomplete_details": null, "instructions": null, "model": model, "output": [],
            "parallel_tool_calls": true, "temperature": null, "tool_choice": "auto", "tools": [], "top_p": null,
            "metadata": {}, "usage": null,
            "anyrouter_metadata": {"requestId": id, "attempts": error.attempts},
        },
        "error": object,
    });
    format!("event: response.failed\ndata: {event}\n\n").into_bytes()
}
