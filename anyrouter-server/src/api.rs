//! The API beside inference, under `/api/v1` and `/v1`, and what operators look at.

mod catalog;
mod docs;
mod keys;
mod models;
mod privacy;
mod status;
mod usage;

use std::sync::Arc;

use anyrouter_core::{account::Caller, gateway::authenticate, key::Scope, wire::error::ApiError};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::Value;

use crate::{
    config::without_values,
    http::{ClientIp, head, preflight, read_body},
    server::Server,
};

pub(crate) type Shared = State<Arc<Server>>;

/// Every route.
pub(crate) fn router(server: Arc<Server>) -> Router {
    let api = Router::new()
        .route("/models", get(models::list))
        .route("/models/count", get(models::count))
        .route("/models/user", get(models::user))
        .route("/models/{id}", get(models::one))
        .route("/models/{author}/{slug}", get(models::one_of))
        .route("/models/{author}/{slug}/endpoints", get(models::endpoints))
        .route("/providers", get(catalog::providers))
        .route("/endpoints/zdr", get(catalog::zdr))
        .route("/route/explain", post(privacy::explain))
        .route("/privacy", get(privacy::read).patch(privacy::change))
        .route("/generation", get(usage::generation))
        .route("/generation/{id}", get(usage::generation_by_id))
        .route("/logs", get(usage::logs))
        .route("/logs/{id}", get(usage::generation_by_id))
        .route("/key", get(keys::own))
        .route("/auth/key", get(keys::own))
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{hash}", get(keys::read).patch(keys::change).delete(keys::revoke))
        .route("/keys/{hash}/reveal", post(keys::reveal))
        // A POST goes to the gateway before it comes here.
        .route("/chat/completions", any(wrong_method))
        .route("/images/generations", any(gone))
        .route("/health", get(status::health))
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found);
    Router::new()
        .nest("/api/v1", api.clone())
        .nest("/v1", api)
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/docs", get(docs::index))
        .route("/docs/index.json", get(docs::index))
        .route("/docs/{page}", get(docs::page))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(server.clone(), named))
        .with_state(server)
}

/// Gives each answer its request id, and answers what browsers ask first.
async fn named(State(server): Shared, request: Request, next: Next) -> Response {
    let id = server.gateway.request_id();
    let mut response = if request.method() == http::Method::OPTIONS { preflight() } else { next.run(request).await };
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        if matches!(error.0.status, 401 | 403) {
            server.observer.refused(error.0.status);
        }
        response = render(&error.0, &id.to_string());
    }
    let is_text = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/plain"));
    if is_text && matches!(response.status().as_u16(), 400 | 422) {
        // A path or a query that the router could not read.
        let error = ApiError::new(
            400,
            "invalid_parameter",
            "the address has a parameter of the wrong type, or one twice; the documentation names them",
        );
        response = render(&error, &id.to_string());
    }
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// An error on its way to [`named`], which knows the request's id.
#[derive(Clone)]
pub(crate) struct Error(ApiError);

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<crate::storage::StorageError> for Error {
    fn from(_: crate::storage::StorageError) -> Self {
        ApiError::new(503, "storage_unavailable", "storage cannot be used now; /readyz says why; try again later").into()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn render(error: &ApiError, id: &str) -> Response {
    let mut response = Response::new(Body::from(error.to_openai(id).to_string()));
    *response.status_mut() = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

pub(crate) type Answer = Result<Response, Error>;

/// A JSON answer.
pub(crate) fn json(value: &impl serde::Serialize) -> Answer {
    json_with(StatusCode::OK, value)
}

pub(crate) fn json_with(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(value).map_err(|_| ApiError::new(500, "internal_error", "the answer cannot be written"))?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Who calls, if the key is good and has one of `scopes`; with none given, any good key will do.
pub(crate) async fn caller(server: &Server, headers: &HeaderMap, ip: ClientIp, scopes: &[Scope]) -> Result<Arc<Caller>, Error> {
    let who = authenticate(server.gateway.ports(), &head(headers, ip.0, ""), server.clock().now()).await?;
    Ok(if scopes.is_empty() { who.caller() } else { who.with_any(scopes)? })
}

/// Reads a JSON body as `T`; an error names the member.
pub(crate) async fn body<T: serde::de::DeserializeOwned>(server: &Server, headers: &HeaderMap, body: Body) -> Result<T, Error> {
    let bytes = read_body(server, headers, body).await?;
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|e| ApiError::new(400, "invalid_json", format!("the body is not JSON: line {}, column {}", e.line(), e.column())))?;
    serde_path_to_error::deserialize(&value).map_err(|e| {
        let (path, text) = (e.path().to_string(), e.inner().to_string());
        // Of a member that is missing or not known, the path is the object that should have it or has it.
        let named = text.split('`').nth(1).filter(|_| text.starts_with("missing field") || text.starts_with("unknown field"));
        let param = match (path.as_str(), named) {
            (".", Some(name)) => Some(name.to_owned()),
            (".", None) => None,
            (path, Some(name)) if !path.ends_with(name) => Some(format!("{path}.{name}")),
            (path, _) => Some(path.to_owned()),
        };
        let place = param.as_ref().map(|p| format!("`{p}`: ")).unwrap_or_default();
        let mut error =
            ApiError::new(400, "invalid_parameter", format!("the body has a member that is wrong: {place}{}", without_values(&text)));
        error.param = param;
        error.into()
    })
}

async fn not_found() -> Answer {
    Err(ApiError::new(404, "not_found", "there is nothing at this address; /api/v1/models is a place to begin").into())
}

async fn wrong_method() -> Answer {
    Err(ApiError::new(405, "method_not_allowed", "this address takes another method").into())
}

async fn gone() -> Answer {
    Err(ApiError::new(410, "endpoint_gone", "images are not made here; the operator has not turned it on").into())
}
