//! The API beside inference, under `/api/v1` and `/v1`, and what operators look at.

mod catalog;
mod docs;
mod keys;
mod models;
mod openapi;
mod privacy;
mod status;
mod usage;

use std::sync::Arc;

use anyrouter_core::{
    account::Caller,
    gateway::authenticate,
    key::Scope,
    policy::{Explanation, Settings, SettingsPatch},
    wire::error::ApiError,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;

use self::openapi::{Access, Data, Operation, Routes};
pub(crate) use self::privacy::{unknown_provider, unknown_providers, without_effect};
use crate::{
    config::without_values,
    http::{ClientIp, claim, preflight, read_body},
    server::Server,
};

pub(crate) type Shared = State<Arc<Server>>;

/// The routes that are described.
fn routes() -> Routes {
    use Access::{AnyKey, Anyone, Scopes};
    let (get, post, patch, delete) = (&Method::GET, &Method::POST, &Method::PATCH, &Method::DELETE);
    let of_models = |id, access, about| Operation::new(id, access, about).query::<models::Narrow>();
    let of_key =
        |id, access, about| Operation::new(id, access, about).answers::<Data<keys::Key>>(200);
    let of_record = |id, about| Operation::new(id, Scopes("inference or read:analytics"), about);
    let read_keys = Scopes("read:llm-keys or read:management-keys, after the key's type");
    let write_keys = Scopes("write:llm-keys or write:management-keys, after the key's type");
    Routes::new()
        .on(
            post,
            "/chat/completions",
            // It goes to the gateway before it comes here.
            wrong_method,
            Operation::new("createChatCompletion", Scopes("inference"), "A chat completion, whole or as a stream.")
                .body::<openapi::ChatBody>()
                .answers::<openapi::ChatAnswer>(200)
                .answers_as::<openapi::ChatStream>(200, "text/event-stream"),
        )
        .on(
            get,
            "/models",
            models::list,
            of_models("listModels", Anyone, "The models; with a key, those that its policy admits.").answers::<models::Listed>(200),
        )
        .on(
            get,
            "/models/count",
            models::count,
            of_models("countModels", Anyone, "How many models there are.").answers::<models::Counted>(200),
        )
        .on(
            get,
            "/models/user",
            models::user,
            of_models("listUserModels", AnyKey, "The models that the key's policy admits.").answers::<models::ModelList>(200),
        )
        .on(
            get,
            "/models/{id}",
            models::one,
            Operation::new("getModel", Anyone, "One model, by id (its / escaped), alias or bare name.").answers::<models::ModelRow>(200),
        )
        .on(
            get,
            "/models/{author}/{slug}",
            models::one_of,
            Operation::new("getModelBySlug", Anyone, "One model, by its id.").answers::<models::ModelRow>(200),
        )
        .on(
            get,
            "/models/{author}/{slug}/endpoints",
            models::endpoints,
            Operation::new("listModelEndpoints", Anyone, "A model's endpoints, with terms, prices and measurements.")
                .answers::<Data<models::ModelEndpoints>>(200),
        )
        .on(
            get,
            "/providers",
            catalog::providers,
            Operation::new("listProviders", Anyone, "The providers, with their terms.").answers::<Data<Vec<catalog::ProviderRow>>>(200),
        )
        .on(
            get,
            "/endpoints/zdr",
            catalog::zdr,
            Operation::new("listZdrEndpoints", Anyone, "The endpoints with zero data retention.")
                .answers::<Data<Vec<catalog::EndpointRow>>>(200),
        )
        .on(
            post,
            "/route/explain",
            privacy::explain,
            Operation::new("explainRoute", AnyKey, "How a chat completion would be routed, and why. Nothing is sent.")
                .body::<openapi::ChatBody>()
                .answers::<Explanation>(200),
        )
        .on(
            get,
            "/privacy",
            privacy::read,
            Operation::new("getPrivacy", Scopes("inference or read:privacy"), "The account's privacy settings.").answers::<Settings>(200),
        )
        .on(
            patch,
            "/privacy",
            privacy::change,
            Operation::new("changePrivacy", Scopes("write:privacy"), "Changes the settings that are named, from the next request on.")
                .body::<SettingsPatch>()
                .answers::<privacy::Changed>(200),
        )
        .on(
            post,
            "/privacy/preview",
            privacy::preview,
            Operation::new(
                "previewRedaction",
                Scopes("inference or read:privacy"),
                "What redaction makes of a text under the account's rules. Nothing is stored or sent.",
            )
            .body::<privacy::Preview>()
            .answers::<privacy::Previewed>(200),
        )
        .on(
            get,
            "/generation",
            usage::generation,
            of_record("getGeneration", "One usage record.").query::<usage::ById>().answers::<Data<usage::Generation>>(200),
        )
        .on(
            get,
            "/generation/{id}",
            usage::generation_by_id,
            of_record("getGenerationById", "One usage record.").answers::<Data<usage::Generation>>(200),
        )
        .on(
            get,
            "/logs",
            usage::logs,
            of_record("listLogs", "Usage records, the newest first.").query::<usage::Filter>().answers::<Data<Vec<usage::Generation>>>(200),
        )
        .on(get, "/logs/{id}", usage::generation_by_id, of_record("getLog", "One usage record.").answers::<Data<usage::Generation>>(200))
        .on(get, "/key", keys::own, Operation::new("getCurrentKey", AnyKey, "The calling key.").answers::<Data<keys::OwnKey>>(200))
        .on(get, "/auth/key", keys::own, Operation::new("getAuthKey", AnyKey, "The calling key.").answers::<Data<keys::OwnKey>>(200))
        .on(get, "/keys", keys::list, Operation::new("listKeys", read_keys, "The account's keys.").answers::<Data<Vec<keys::Key>>>(200))
        .on(
            post,
            "/keys",
            keys::create,
            Operation::new("createKey", write_keys, "Makes a key; it is shown this once.")
                .body::<keys::Options>()
                .answers::<keys::NewKey<'_>>(201),
        )
        .on(get, "/keys/{hash}", keys::read, of_key("getKey", read_keys, "One key."))
        .on(
            patch,
            "/keys/{hash}",
            keys::change,
            of_key("changeKey", write_keys, "Changes a key.").query::<keys::Force>().body::<keys::Options>(),
        )
        .on(
            delete,
            "/keys/{hash}",
            keys::revoke,
            Operation::new("revokeKey", write_keys, "Revokes a key for good.").query::<keys::Force>().answers::<keys::Revoked>(200),
        )
        .on(
            post,
            "/keys/{hash}/reveal",
            keys::reveal,
            Operation::new("revealKey", read_keys, "A 409: keys are stored as hashes, and cannot be shown."),
        )
        .on(post, "/images/generations", gone, Operation::new("createImage", Anyone, "A 410: images are not made here."))
        .on(
            get,
            "/health",
            status::health,
            Operation::new("getHealth", Anyone, "How the server fares, by component.")
                .answers::<status::HealthAnswer>(200)
                .answers::<status::HealthAnswer>(503),
        )
}

/// Every route.
pub(crate) fn router(server: Arc<Server>) -> Router {
    let (api, description) = routes().build();
    let api = api
        .route(
            "/openapi.json",
            get(move || std::future::ready(openapi::document(description.clone()))),
        )
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found);
    Router::new()
        .nest("/api/v1", api.clone())
        .nest("/v1", api)
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/", get(docs::home))
        .route("/api", get(docs::front))
        .route("/docs", get(docs::home))
        .route("/docs/index.json", get(docs::index))
        .route("/docs/{page}", get(docs::page))
        .route("/docs.md", get(docs::front))
        .route("/llms.txt", get(docs::front))
        .route("/llms-full.txt", get(docs::all))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(server.clone(), named))
        .with_state(server)
}

/// Metrics alone, for the listener that they have of their own.
pub(crate) fn metrics_router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/metrics", get(status::metrics_alone))
        .with_state(server)
}

/// Gives each answer its request id, and answers what browsers ask first.
async fn named(State(server): Shared, request: Request, next: Next) -> Response {
    let id = server.gateway.request_id();
    let mut response = if request.method() == Method::OPTIONS {
        preflight()
    } else {
        next.run(request).await
    };
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        if matches!(error.0.status, 401 | 403 | 503) {
            server.observer.refused(error.0.status);
        }
        response = render(&error.0, &id.to_string());
    }
    let is_text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"text/plain"));
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

pub(crate) fn render(error: &ApiError, id: &str) -> Response {
    let mut response = Response::new(Body::from(error.to_openai(id).to_string()));
    *response.status_mut() =
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert("x-request-id", value);
    }
    if let Some(seconds) = error.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

pub(crate) type Answer = Result<Response, Error>;

/// A JSON answer.
pub(crate) fn json(value: &impl serde::Serialize) -> Answer {
    json_with(StatusCode::OK, value)
}

pub(crate) fn json_with(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(value)
        .map_err(|_| ApiError::new(500, "internal_error", "the answer cannot be written"))?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

/// Who calls, if the key is good and has one of `scopes`; with none given, any good key will do.
pub(crate) async fn caller(
    server: &Server,
    headers: &HeaderMap,
    ip: ClientIp,
    scopes: &[Scope],
) -> Result<Arc<Caller>, Error> {
    let who = authenticate(
        server.gateway.ports(),
        &claim(headers, ip.0, ""),
        server.clock().now(),
    )
    .await?;
    Ok(if scopes.is_empty() {
        who.caller()
    } else {
        who.with_any(scopes)?
    })
}

/// Reads a JSON body as `T`; an error names the member.
pub(crate) async fn body<T: serde::de::DeserializeOwned>(
    server: &Server,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Error> {
    let bytes = read_body(server, headers, body).await?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| {
        ApiError::new(
            400,
            "invalid_json",
            format!(
                "the body is not JSON: line {}, column {}",
                e.line(),
                e.column()
            ),
        )
    })?;
    serde_path_to_error::deserialize(&value).map_err(|e| {
        let (path, text) = (e.path().to_string(), e.inner().to_string());
        // Of a member that is missing or not known, the path is the object that should have it or
        // has it.
        let named = text
            .split('`')
            .nth(1)
            .filter(|_| text.starts_with("missing field") || text.starts_with("unknown field"));
        let param = match (path.as_str(), named) {
            (".", Some(name)) => Some(name.to_owned()),
            (".", None) => None,
            (path, Some(name)) if !path.ends_with(name) => Some(format!("{path}.{name}")),
            (path, _) => Some(path.to_owned()),
        };
        let place = param
            .as_ref()
            .map(|p| format!("`{p}`: "))
            .unwrap_or_default();
        let mut error = ApiError::new(
            400,
            "invalid_parameter",
            format!(
                "the body has a member that is wrong: {place}{}",
                without_values(&text)
            ),
        );
        error.param = param;
        error.into()
    })
}

async fn not_found() -> Answer {
    Err(ApiError::new(
        404,
        "not_found",
        "there is nothing at this address; /api/v1/models is a place to begin",
    )
    .into())
}

async fn wrong_method() -> Answer {
    Err(ApiError::new(
        405,
        "method_not_allowed",
        "this address takes another method",
    )
    .into())
}

async fn gone() -> Answer {
    Err(ApiError::new(
        410,
        "endpoint_gone",
        "images are not made here; the operator has not turned it on",
    )
    .into())
}
