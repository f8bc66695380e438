//! Errors and keep-alives in Anthropic's shape.

use serde_json::{Value, json};

use crate::wire::error::{ApiError, hide_keys};

/// The keep-alive of a stream.
pub(in crate::wire) const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// Returns the body of an error response: Anthropic's members, and the gateway's additional ones.
pub(in crate::wire) fn error_body(error: &ApiError, request_id: &str) -> Value {
    let mut object = error.error_object();
    object.insert("type".to_owned(), json!(kind(error)));
    if error.code == "thread_unsupported_request" {
        let details = json!({"error_code": error.code, "unsupported": ["thread"]});
        object.insert("details".to_owned(), details);
    }
    if let Some(class) = error.metadata.get("capability").and_then(Value::as_str) {
        // Claude Code repeats the request without it, if nothing else is said.
        let message = format!("capability_rejected: {class}");
        object.insert("message".to_owned(), message.into());
    }
    error.add_reasons(&mut object);
    let mut object = Value::Object(object);
    hide_keys(&mut object);
    json!({
        "type": "error",
        "error": object,
        "request_id": request_id,
        "anyrouter_metadata": {"requestId": request_id, "attempts": error.attempts},
    })
}

/// Returns the event that ends a stream with an error.
pub(in crate::wire) fn error_event(error: &ApiError, request_id: &str) -> Vec<u8> {
    format!("event: error\ndata: {}\n\n", error_body(error, request_id)).into_bytes()
}

/// Returns Anthropic's type of an error. Agents do not retry `policy_blocked`.
fn kind(error: &ApiError) -> &'static str {
    if error.is_by_policy() {
        return "policy_blocked";
    }
    match error.status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 | 405 => "not_found_error",
        408 | 504 => "timeout_error",
        413 | 414 | 431 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 => "overloaded_error",
        _ => "api_error",
    }
}
