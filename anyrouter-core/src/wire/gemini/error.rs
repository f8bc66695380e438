//! Errors in Google's shape.

use serde_json::{Value, json};

use crate::wire::error::{ApiError, hide_keys};

/// Returns the body of an error response: Google's members, with the gateway's code as the reason and
/// the gateway's own members as metadata.
pub(in crate::wire) fn error_body(error: &ApiError, request_id: &str) -> Value {
    let mut more = error.error_object();
    error.add_reasons(&mut more);
    let mut reason = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.code, "domain": "anyrouter", "metadata": more,
    });
    hide_keys(&mut reason);
    let mut details = vec![reason];
    if let Some(seconds) = error.retry_after {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{seconds}s"),
        }));
    }
    let mut message = json!(error.message);
    hide_keys(&mut message);
    json!({
        "error": {
            "code": error.status,
            "message": message,
            "status": status(error),
            "details": details,
        },
        "anyrouter_metadata": {"requestId": request_id, "attempts": error.attempts},
    })
}

/// Returns the chunk that ends a stream with an error.
pub(in crate::wire) fn error_event(error: &ApiError, request_id: &str) -> Vec<u8> {
    format!("data: {}\r\n\r\n", error_body(error, request_id)).into_bytes()
}

/// Returns Google's name for a status (google.rpc.Code).
fn status(error: &ApiError) -> &'static str {
    match error.status {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 | 405 | 410 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}
