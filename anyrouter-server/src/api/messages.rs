//! The OpenAPI description of Anthropic's messages, and the route that counts a request's tokens.
//! The gateway itself handles messages.

use anyrouter_core::{
    catalog::Protocol,
    wire::{error::ApiError, fault::RequestFault, inbound::inbound},
};
use axum::{Extension, extract::State};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::count;
use crate::{
    auth::{Auth, Inference},
    body::RawBody,
    intake::ClientIp,
    respond::{Error, Json, wrong_method},
    routes::{Operation, Responds, Shared},
};

/// Describes the operation. The gateway handles inference requests before the router, with the same
/// check.
pub(super) async fn create(
    _: Auth<Inference>,
    _: RawBody<MessagesBody>,
) -> Result<MessageResponse, Error> {
    Err(wrong_method())
}

/// The gateway's response to a request for a message.
pub(super) struct MessageResponse(std::convert::Infallible);

impl axum::response::IntoResponse for MessageResponse {
    fn into_response(self) -> axum::response::Response {
        match self.0 {}
    }
}

impl Responds for MessageResponse {
    fn describe(operation: &mut Operation) {
        operation.responds::<Message>(200);
        operation.responds_as::<MessageStream>(200, "text/event-stream");
    }
}

/// The body of a request for a message: Anthropic's, with additional members.
#[derive(JsonSchema)]
#[allow(dead_code)] // `wire::inbound` reads it, without building it
pub(super) struct MessagesBody {
    /// A model's id, an alias, or a virtual name.
    #[schemars(extend("examples" = ["demo/echo"]))]
    model: String,
    messages: Vec<Turn>,
    max_tokens: std::num::NonZeroU32,
    system: Option<String>,
    stream: Option<bool>,
    temperature: Option<f64>,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Turn {
    role: Role,
    content: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code)]
enum Role {
    User,
    Assistant,
}

/// A message, with its provider and its cost in `anyrouter_metadata`.
#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct Message {
    id: String,
    r#type: String,
    role: String,
    /// The model that answered.
    model: String,
    content: Vec<Value>,
    stop_reason: String,
    usage: Value,
    anyrouter_metadata: Value,
}

/// Server-sent events of Anthropic's protocol, from `message_start` to `message_stop`.
#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct MessageStream(String);

/// Counts the tokens of a request by a provider that does so, or else estimates them.
pub(super) async fn count_tokens(
    caller: Auth<Inference>,
    State(app): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    body: RawBody<MessagesBody>,
) -> Result<Json<TokenCount>, Error> {
    let depth = app.config().limits.depth;
    let request = inbound(Protocol::Messages, body.0.clone(), depth).map_err(invalid)?;
    let head = count::head_of(Protocol::Messages, None, &headers, ip);
    let counted = count::by_provider(&app, head, &caller, body.0).await;
    Ok(Json(TokenCount {
        input_tokens: counted.unwrap_or_else(|| request.volume.tokens()),
        estimated: counted.is_none(),
    }))
}

fn invalid(fault: RequestFault) -> Error {
    let mut error = ApiError::new(400, fault.code, fault.problem);
    error.param = fault.param;
    error.into()
}

/// The number of a request's input tokens.
#[derive(Serialize, JsonSchema)]
pub(super) struct TokenCount {
    input_tokens: u64,
    /// True if the number is an estimate: bytes of text divided by 4, and 1,000 for each file.
    estimated: bool,
}
