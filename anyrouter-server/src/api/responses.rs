//! OpenAI's Responses in the API's description, and the routes of stored responses. The gateway itself
//! handles requests for a response.

use std::convert::Infallible;

use anyrouter_core::wire::error::ApiError;
use axum::{extract::Path, http::HeaderMap};
use schemars::JsonSchema;
use serde_json::Value;

use crate::{
    auth::{Auth, Inference, Public},
    body::RawBody,
    respond::{Error, wrong_method},
    routes::{Operation, Responds},
};

/// Describes the operation. The gateway handles inference requests before the router, with the same
/// check.
pub(super) async fn create(
    _: Auth<Inference>,
    _: RawBody<ResponsesBody>,
) -> Result<ResponseResponse, Error> {
    Err(wrong_method())
}

/// The gateway's response to a request for a response.
pub(super) struct ResponseResponse(Infallible);

impl axum::response::IntoResponse for ResponseResponse {
    fn into_response(self) -> axum::response::Response {
        match self.0 {}
    }
}

impl Responds for ResponseResponse {
    fn describe(operation: &mut Operation) {
        operation.responds::<ModelResponse>(200);
        operation.responds_as::<ResponseStream>(200, "text/event-stream");
    }
}

/// The body of a request for a response: OpenAI's, with additional members. Nothing is stored.
#[derive(JsonSchema)]
#[allow(dead_code)] // `wire::inbound` reads it, without building it
pub(super) struct ResponsesBody {
    /// A model's id, an alias, or a virtual name.
    #[schemars(extend("examples" = ["demo/echo"]))]
    model: String,
    /// Text of the user, or a list of items.
    input: String,
    instructions: Option<String>,
    max_output_tokens: Option<std::num::NonZeroU32>,
    stream: Option<bool>,
    temperature: Option<f64>,
}

/// A response, with its provider and its cost in `anyrouter_metadata`.
#[derive(JsonSchema)]
#[schemars(rename = "Response")]
#[allow(dead_code)]
pub(super) struct ModelResponse {
    id: String,
    object: String,
    created_at: u64,
    status: String,
    /// The model that answered.
    model: String,
    output: Vec<Value>,
    usage: Value,
    anyrouter_metadata: Value,
}

/// Server-sent events of the Responses protocol, from `response.created` to `response.completed`.
#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct ResponseStream(String);

/// Refuses a WebSocket, which is asked for in this way: 426 sends Codex on to HTTP at once (RFC 9110,
/// section 15.5.22).
pub(super) async fn no_socket(_: Public, headers: HeaderMap) -> Result<Infallible, Error> {
    if headers.contains_key("upgrade") {
        let message = "responses are not served over WebSocket; send a POST request";
        return Err(ApiError::new(426, "upgrade_required", message).into());
    }
    Err(wrong_method())
}

/// Returns 404, since no response is stored.
pub(super) async fn stored(_: Auth<Inference>, _: Path<String>) -> Result<Infallible, Error> {
    let message = "responses are not stored; send the whole conversation in `input`";
    Err(ApiError::new(404, "not_found", message).into())
}
