//! Response headers, and the gateway's own errors.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::body::ResponseBody;
use crate::{
    catalog::Protocol,
    ids::RequestId,
    ports::Room,
    wire::{answer::error_body, error::ApiError, fault::RequestFault},
};

/// Creates a response with this head and body.
pub(super) fn response(
    status: u16,
    headers: HeaderMap,
    body: ResponseBody,
) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Inserts the request's id.
pub(super) fn insert_request_id(client: Protocol, headers: &mut HeaderMap, id: RequestId) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        if client == Protocol::Messages {
            // Anthropic's SDKs read this one.
            headers.insert("request-id", value.clone());
        }
        headers.insert(REQUEST_ID, value);
    }
}

/// Inserts the headers of a stream of events.
pub(super) fn insert_event_stream(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Makes a proxy such as nginx forward each event at once.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
}

pub(super) fn insert_number(headers: &mut HeaderMap, name: &'static str, value: u64) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
}

/// Returns the response for an error, in the client's shape.
pub(super) fn error_response(
    client: Protocol,
    id: RequestId,
    error: &ApiError,
) -> Response<ResponseBody> {
    let mut headers = HeaderMap::with_capacity(8);
    insert_request_id(client, &mut headers, id);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(seconds) = error.retry_after {
        insert_number(&mut headers, "retry-after", seconds);
    }
    if client == Protocol::Messages && is_final(error.status) {
        // Claude Code retries a refused key for minutes without it.
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    let body = error_body(client, error, id).to_string();
    response(error.status, headers, ResponseBody::whole(body))
}

/// Returns true if the same request would fail again.
fn is_final(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 409 | 429)
}

/// Extension of responses to requests that were refused before acceptance and so have no usage
/// record.
#[derive(Clone, Copy, Debug)]
pub struct NotAccepted;

pub(super) fn not_accepted(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.extensions_mut().insert(NotAccepted);
    response
}

pub(super) fn invalid(fault: RequestFault) -> ApiError {
    let mut error = ApiError::new(400, fault.code, fault.problem);
    error.param = fault.param;
    error
}

pub(super) fn storage_unavailable() -> ApiError {
    let mut error = ApiError::new(
        503,
        "storage_unavailable",
        "usage records cannot be written now, so nothing was sent; see /readyz; try again later",
    );
    error.retry_after = Some(1);
    error
}

/// Returns the error for a request whose key has limits while the limiter fails.
pub(super) fn limiter_unavailable() -> ApiError {
    let mut error = ApiError::new(
        503,
        "limiter_unavailable",
        "the key has limits, and they cannot be counted now, so nothing was sent; try again later",
    );
    error.retry_after = Some(1);
    error
}

/// Returns the error for a request whose body gets no memory in time.
pub fn no_memory() -> ApiError {
    let message =
        "the server has no memory for this body now; send it again after Retry-After, or send less";
    let mut error = ApiError::new(503, "overloaded", message);
    error.retry_after = Some(2);
    error
}

/// Returns the error for a header `X-AnyRouter-Credential` that names none of the account's.
pub(super) fn unknown_credential() -> ApiError {
    let message = "`X-AnyRouter-Credential` names no credential of this account; GET /api/v1/auth/byok lists them";
    let mut error = ApiError::new(400, "invalid_parameter", message);
    error.param = Some("X-AnyRouter-Credential".to_owned());
    error
}

pub(super) fn too_many_at_once() -> ApiError {
    let message =
        "the key or its account has too many requests under way; wait for some of them to end";
    let mut error = ApiError::new(429, "rate_limited", message);
    error.retry_after = Some(1);
    error
}

pub(super) fn rate_limited(what: &str, room: &Room) -> ApiError {
    let seconds = room.reset.as_secs() + u64::from(room.reset.subsec_nanos() > 0);
    let message = format!(
        "the key's limit of {} {what} a minute is reached; try again in {seconds} s",
        room.limit
    );
    let mut error = ApiError::new(429, "rate_limited", message);
    error.retry_after = Some(seconds.max(1));
    error
}
