//! The routes of Google's protocol besides those that generate content, which the gateway handles
//! itself: its models, and the count of a request's tokens.

use anyrouter_core::{
    catalog::Protocol,
    wire::{error::ApiError, inbound::inbound},
};
use axum::{
    Extension,
    extract::{Path, State},
};
use http::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    count,
    models::{GoogleList, GoogleModel, google_list, google_model},
};
use crate::{
    auth::{Auth, Inference, Public},
    body::RawBody,
    intake::{ClientIp, model_and_method},
    respond::{Error, Json, not_found, wrong_method},
    routes::{Routes, Shared},
};

/// Adds the routes, at the addresses that Google's packages form.
pub(crate) fn routes(routes: Routes) -> Routes {
    ["/api/v1beta", "/v1beta"]
        .into_iter()
        .fold(routes, |routes, prefix| {
            let list = format!("{prefix}/models");
            let one = format!("{prefix}/models/{{*call}}");
            routes
                .page(Method::GET, &list, models)
                .page(Method::GET, &one, model)
                .page(Method::POST, &one, call)
        })
}

async fn models(_: Public, State(app): Shared) -> Result<Json<GoogleList>, Error> {
    Ok(Json(google_list(&app)))
}

async fn model(
    _: Public,
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<Json<GoogleModel>, Error> {
    Ok(Json(google_model(&app, &id)?))
}

/// Counts the tokens of a request by a provider that does so, or else estimates them.
async fn call(
    caller: Auth<Inference>,
    State(app): Shared,
    Path(call): Path<String>,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    body: RawBody<Value>,
) -> Result<Json<TokenCount>, Error> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow, rename = "generateContentRequest")]
        request: &'a serde_json::value::RawValue,
    }
    let model = match model_and_method(&call) {
        Some((model, method)) if method == "countTokens" => model,
        Some(_) => return Err(not_found()),
        None => return Err(wrong_method()),
    };
    let depth = app.config().limits.depth;
    // The request itself, or one within a member of its own.
    let inner = serde_json::from_slice::<Whole<'_>>(&body.0)
        .map(|whole| bytes::Bytes::copy_from_slice(whole.request.get().as_bytes()));
    let body = inner.unwrap_or(body.0);
    let request = inbound(Protocol::Gemini, body.clone(), depth).map_err(|fault| {
        let mut error = ApiError::new(400, fault.code, fault.problem);
        error.param = fault.param;
        Error::from(error)
    })?;
    let head = count::head_of(Protocol::Gemini, Some(model), &headers, ip);
    let counted = count::by_provider(&app, head, &caller, body).await;
    Ok(Json(TokenCount {
        total_tokens: counted.unwrap_or_else(|| request.volume.tokens()),
        estimated: counted.is_none(),
    }))
}

/// The number of a request's tokens.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenCount {
    total_tokens: u64,
    /// True if the number is an estimate: bytes of text divided by 4, and 1,000 for each file.
    estimated: bool,
}
