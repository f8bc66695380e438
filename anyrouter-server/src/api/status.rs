//! Is it alive, is it ready, how does it fare.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Shared, json_with};
use crate::server::Server;

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Storage can be read and written, and there is a provider.
pub(super) async fn readyz(State(server): Shared) -> Answer {
    let trouble = trouble(&server).await;
    let status = if trouble.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_with(status, &serde_json::json!({"ready": trouble.is_empty(), "trouble": trouble}))
}

async fn trouble(server: &Server) -> Vec<String> {
    let mut out = Vec::new();
    if let Err(e) = server.database.check().await {
        out.push(e.to_string());
    }
    out.extend(server.log.trouble().map(|t| format!("the usage journal cannot be written: {t}")));
    out.extend(server.log.import_trouble().map(|t| format!("the database does not take usage records, and the journal keeps them: {t}")));
    let config = server.config();
    let keys = server.gateway.ports().credentials.clone();
    if !config.catalog.endpoints().iter().any(|e| config.catalog.providers().get(e.provider_index).is_some_and(|p| keys.has(p))) {
        out.push("no provider can be used: give one a key, or leave the built-in catalog on".to_owned());
    }
    out
}

/// How the server fares, by component.
#[derive(Serialize, JsonSchema)]
pub(super) struct HealthAnswer {
    /// `ok` or `degraded`.
    status: &'static str,
    components: BTreeMap<&'static str, Component>,
}

#[derive(Serialize, JsonSchema)]
struct Component {
    /// `ok` or `down`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

impl Component {
    fn of(trouble: Option<String>) -> Self {
        Self { status: if trouble.is_none() { "ok" } else { "down" }, trouble, version: None }
    }
}

/// The same by component.
pub(super) async fn health(State(server): Shared) -> Answer {
    let database = server.database.check().await.err().map(|e| e.to_string()).or_else(|| server.log.import_trouble());
    let journal = server.log.trouble();
    let good = database.is_none() && journal.is_none();
    let version = Some(server.config().catalog.version().to_string());
    let components = BTreeMap::from([
        ("database", Component::of(database)),
        ("usage_journal", Component::of(journal)),
        ("catalog", Component { version, ..Component::of(None) }),
    ]);
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_with(status, &HealthAnswer { status: if good { "ok" } else { "degraded" }, components })
}

pub(super) async fn metrics(State(server): Shared) -> Response {
    let text = server.observer.metrics(server.log.open_slots());
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}
