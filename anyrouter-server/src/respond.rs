//! Responses: JSON of a type, and errors with their request id.

use anyrouter_core::{
    catalog::Protocol,
    ids::RequestId,
    wire::{answer::error_body, error::ApiError},
};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

/// A JSON response with status 200.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

/// A response whose content is under `data`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Data<T> {
    pub(crate) data: T,
}

impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self)
    }
}

/// A JSON response with status 201.
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        json(StatusCode::CREATED, &self.0)
    }
}

/// A JSON response about the server's state: status 200 if it is good, else 503.
pub(crate) struct State<T> {
    pub(crate) is_good: bool,
    pub(crate) report: T,
}

impl<T: Serialize> IntoResponse for State<T> {
    fn into_response(self) -> Response {
        let status = if self.is_good {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        json(status, &self.report)
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(value) else {
        let error = ApiError::new(500, "internal_error", "the response cannot be written");
        return Error(error).into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// An error for the router's middleware, which adds the request id.
#[derive(Clone)]
pub(crate) struct Error(pub(crate) ApiError);

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<anyrouter_core::ports::StoreError> for Error {
    fn from(_: anyrouter_core::ports::StoreError) -> Self {
        ApiError::new(
            503,
            "storage_unavailable",
            "storage cannot be used now; /readyz says why; try again later",
        )
        .into()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Returns the response for an error, in the shape of the client's protocol.
pub(crate) fn render(client: Protocol, error: &ApiError, id: RequestId) -> Response {
    let mut response = Response::new(Body::from(error_body(client, error, id).to_string()));
    *response.status_mut() =
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    if let Some(seconds) = error.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Returns the error for an unknown address.
pub(crate) fn not_found() -> Error {
    let message = "there is nothing at this address; the base URL ends in /api/v1 for OpenAI's clients and in /api for Anthropic's and Google's; /docs/clients.md has more";
    ApiError::new(404, "not_found", message).into()
}

/// Returns the error for a method that the address does not support.
pub(crate) fn wrong_method() -> Error {
    let message = "this address does not support this method";
    ApiError::new(405, "method_not_allowed", message).into()
}
