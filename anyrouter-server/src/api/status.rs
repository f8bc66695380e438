//! Liveness, readiness, health and metrics of the server.

use std::{collections::BTreeMap, net::IpAddr};

use anyrouter_core::secret::Secret;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use schemars::JsonSchema;
use serde::Serialize;
use subtle::ConstantTimeEq as _;

use crate::{
    app::App,
    auth::Public,
    intake::Peer,
    respond::{self, Error, not_found},
    routes::Shared,
};

/// Reports that the process is alive.
pub(super) async fn healthz(_: Public) -> Result<Response, Error> {
    Ok("ok\n".into_response())
}

/// Reports whether storage can be read and written, and a provider can be used.
pub(super) async fn readyz(_: Public, app: Shared) -> Result<respond::State<Readiness>, Error> {
    let trouble = trouble(&app).await;
    let ready = trouble.is_empty();
    Ok(respond::State {
        is_good: ready,
        report: Readiness { ready, trouble },
    })
}

/// Readiness of the server, and the reasons if it is not ready.
#[derive(Serialize, JsonSchema)]
pub(super) struct Readiness {
    ready: bool,
    trouble: Vec<String>,
}

async fn trouble(app: &App) -> Vec<String> {
    let mut out = Vec::new();
    if let Err(e) = app.health.database().await {
        out.push(e.to_string());
    }
    out.extend(
        app.health
            .journal()
            .map(|t| format!("the usage journal cannot be written: {t}")),
    );
    out.extend(app.health.import().map(|t| {
        format!("the database does not accept usage records; the journal keeps them: {t}")
    }));
    let config = app.config();
    let keys = app.gateway.ports().credentials.clone();
    if !config.catalog.endpoints().iter().any(|e| {
        config
            .catalog
            .providers()
            .get(e.provider_index)
            .and_then(|p| keys.holder(None, p))
            .is_some()
    }) {
        out.push(
            "no provider can be used: give one a key, or leave the built-in catalog on".to_owned(),
        );
    }
    out
}

/// Health of the server, by component.
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
        Self {
            status: if trouble.is_none() { "ok" } else { "down" },
            trouble,
            version: None,
        }
    }
}

/// Reports the health of each component.
pub(super) async fn health(
    _: Public,
    State(app): Shared,
) -> Result<respond::State<HealthAnswer>, Error> {
    let database = app
        .health
        .database()
        .await
        .err()
        .or_else(|| app.health.import())
        .map(|e| e.to_string());
    let journal = app.health.journal();
    let good = database.is_none() && journal.is_none();
    let version = Some(app.config().catalog.version().to_string());
    let components = BTreeMap::from([
        ("database", Component::of(database)),
        (
            "usage_journal",
            Component::of(journal.map(|e| e.to_string())),
        ),
        (
            "catalog",
            Component {
                version,
                ..Component::of(None)
            },
        ),
    ]);
    Ok(respond::State {
        is_good: good,
        report: HealthAnswer {
            status: if good { "ok" } else { "degraded" },
            components,
        },
    })
}

/// The media type of the text format of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics for Prometheus. The main listener serves them to clients with the operator's token.
/// Without a token, it serves them only to programs on this machine, and not at all if metrics have
/// their own listener.
pub(super) async fn metrics(
    _: Public,
    State(app): Shared,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let config = app.config();
    let may_see = match &config.metrics_token {
        Some(token) => bears(&headers, token),
        None => config.metrics_listen.is_none() && is_local(peer.0, &headers),
    };
    if may_see {
        Ok(exposition(&app))
    } else {
        Err(not_found())
    }
}

/// Metrics for Prometheus, on their own listener.
pub(super) async fn metrics_alone(
    _: Public,
    State(app): Shared,
    headers: HeaderMap,
) -> Result<Response, Error> {
    Ok(match &app.config().metrics_token {
        Some(token) if !bears(&headers, token) => StatusCode::NOT_FOUND.into_response(),
        _ => exposition(&app),
    })
}

fn exposition(app: &App) -> Response {
    let mut response = app.health.metrics(app.gateway.budget()).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    response
}

fn bears(headers: &HeaderMap, token: &Secret<String>) -> bool {
    let sent = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
    sent.is_some_and(|sent| sent.ct_eq(token.expose().as_bytes()).into())
}

/// Returns true if a request comes directly from a program on this machine: not through a proxy,
/// and not from a web page whose host name resolves to this machine.
fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    // Any proxy header, regardless of its value.
    let is_of_proxy = |name: &str| {
        const FORWARDED: [&str; 7] = [
            "forwarded",
            "via",
            "x-real-ip",
            "x-client-ip",
            "x-original-forwarded-for",
            "true-client-ip",
            "fastly-client-ip",
        ];
        const BEGINNINGS: [&str; 5] = ["x-forwarded-", "x-envoy-", "cf-", "x-amzn-", "x-azure-"];
        FORWARDED.contains(&name) || BEGINNINGS.iter().any(|begin| name.starts_with(begin))
    };
    let host = headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .and_then(|h| h.parse::<http::uri::Authority>().ok());
    let is_this_machine = host.is_some_and(|h| {
        let name = h.host().trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    peer.to_canonical().is_loopback()
        && is_this_machine
        && !headers.keys().any(|name| is_of_proxy(name.as_str()))
}
