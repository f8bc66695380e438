//! Request bodies, read within their limits.

use std::{marker::PhantomData, sync::Arc};

use anyrouter_core::{config::without_values, wire::error::ApiError};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{app::App, intake::read_body, respond::Error};

/// A JSON body, deserialized as `T`. An error names the member.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        parse(&read_body(app, &parts.headers, body).await?).map(Self)
    }
}

/// An unparsed body, which the gateway reads itself. `T` describes it in the API's description.
pub(crate) struct RawBody<T>(pub(crate) Bytes, pub(crate) PhantomData<fn() -> T>);

impl<T> FromRequest<Arc<App>> for RawBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        Ok(Self(
            read_body(app, &parts.headers, body).await?,
            PhantomData,
        ))
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| {
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
        // For a missing or unknown member, the path is that of the enclosing object.
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
                "the body has an invalid member: {place}{}",
                without_values(&text)
            ),
        );
        error.param = param;
        error.into()
    })
}
