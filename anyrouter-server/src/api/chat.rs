//! Chat completions in the API's description; the gateway reads and writes them itself.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde_json::Value;

use crate::{
    auth::{Auth, Inference},
    body::RawBody,
    respond::{Error, wrong_method},
    routes::{Operation, Responds},
};

/// Describes the operation. The gateway handles inference requests before the router, with the same
/// check.
pub(super) async fn complete(
    _: Auth<Inference>,
    _: RawBody<ChatBody>,
) -> Result<ChatResponse, Error> {
    Err(wrong_method())
}

/// The gateway's response to a chat completion.
pub(super) struct ChatResponse(Infallible);

impl axum::response::IntoResponse for ChatResponse {
    fn into_response(self) -> axum::response::Response {
        match self.0 {}
    }
}

impl Responds for ChatResponse {
    fn describe(operation: &mut Operation) {
        operation.responds::<ChatCompletion>(200);
        operation.responds_as::<ChatStream>(200, "text/event-stream");
    }
}

/// The body of a chat completion: OpenAI's request with additional members.
#[derive(JsonSchema)]
#[allow(dead_code)] // `wire::inbound` reads it, without building it
pub(super) struct ChatBody {
    /// A model's id, such as `anthropic/claude-sonnet-4.5`, an alias, or a virtual name, such as
    /// `anyrouter/auto`.
    #[schemars(extend("examples" = ["demo/echo"]))]
    model: String,
    messages: Vec<ChatMessage>,
    stream: Option<bool>,
    max_tokens: Option<std::num::NonZeroU32>,
    temperature: Option<f64>,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct ChatMessage {
    role: Role,
    content: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code)]
enum Role {
    System,
    User,
    Assistant,
}

/// A chat completion, with its provider and its cost.
#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct ChatCompletion {
    id: String,
    object: String,
    created: u64,
    /// The model that answered.
    model: String,
    /// The provider that answered.
    provider: String,
    choices: Vec<Value>,
    usage: Value,
    anyrouter_metadata: Value,
}

/// Server-sent events: `chat.completion.chunk`s, comments, and `[DONE]`.
#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct ChatStream(String);
