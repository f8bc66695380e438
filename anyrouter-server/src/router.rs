//! The router of all routes except inference, which bypasses it.

use std::sync::Arc;

use anyrouter_core::{catalog::Protocol, gateway::NotAccepted, wire::error::ApiError};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    middleware::{self, Next},
    response::Response,
};
use bytes::Bytes;

use crate::{
    api,
    app::App,
    auth::Public,
    docs,
    intake::{preflight, protocol_of, share},
    respond::{Error, not_found, render, wrong_method},
    routes::{Routes, Shared},
};

/// Creates the router of every route.
pub(crate) fn router(app: Arc<App>) -> Router {
    let api = finished(under_prefix(), &app).layer(middleware::map_response(shared));
    Router::new()
        .nest("/api/v1", api.clone())
        .nest("/v1", api)
        .merge(finished(at_root(), &app))
        .with_state(app)
}

/// Returns the API's routes and the route of its description.
fn under_prefix() -> Routes {
    let mut routes = api::routes(Routes::new());
    let description = routes.description();
    routes.page(Method::GET, "/openapi.json", move |_: Public| {
        let description = description.clone();
        async move { Ok(openapi(description)) }
    })
}

fn at_root() -> Routes {
    api::gemini::routes(docs::routes(api::status_routes(Routes::new())))
}

/// Creates a router of the metrics alone, for their own listener.
pub(crate) fn metrics_router(app: Arc<App>) -> Router {
    api::metrics_routes(Routes::new()).router().with_state(app)
}

/// Converts routes to a router with the common fallbacks and middleware.
fn finished(routes: Routes, app: &Arc<App>) -> Router<Arc<App>> {
    routes
        .router()
        .fallback(async || not_found())
        .method_not_allowed_fallback(async || wrong_method())
        .layer(middleware::from_fn_with_state(app.clone(), named))
}

/// Lets pages of any origin use the API, and no other route.
async fn shared(mut response: Response) -> Response {
    share(response.headers_mut());
    response
}

fn openapi(description: Bytes) -> Response {
    let mut response = Response::new(description.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// Adds the request id to each response, renders errors, and answers CORS preflight requests.
async fn named(State(app): Shared, request: Request, next: Next) -> Response {
    let id = app.gateway.request_id();
    let client = protocol_of(request.uri().path());
    let mut response = if request.method() == Method::OPTIONS {
        preflight()
    } else {
        next.run(request).await
    };
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        response = render(client, &error.0, id);
        if matches!(error.0.status, 401 | 403 | 503) {
            response.extensions_mut().insert(NotAccepted);
        }
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
            "the address has a parameter of the wrong type or a duplicate one; see the documentation",
        );
        response = render(client, &error, id);
    }
    if client == Protocol::Gemini {
        // Its addresses are not under the API's prefix.
        share(response.headers_mut());
    }
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of the golden file, or of the table: method, path, and what it requires.
    fn line(text: &str) -> [String; 3] {
        let (method, rest) = text.split_once(char::is_whitespace).unwrap();
        let (path, words) = rest.trim_start().split_once(char::is_whitespace).unwrap();
        [method, path, words].map(|part| part.trim().to_owned())
    }

    #[test]
    fn every_route_requires_what_the_contract_says() {
        let golden = include_str!("../tests/routes.txt");
        let mut expected: Vec<[String; 3]> = golden
            .lines()
            .filter(|l| !l.starts_with('#'))
            .map(line)
            .collect();
        let mut actual: Vec<[String; 3]> = [under_prefix(), at_root()]
            .iter()
            .flat_map(Routes::table)
            .map(|(method, path, words)| [method.to_string(), path.clone(), words.clone()])
            .collect();
        expected.sort();
        actual.sort();
        let surplus: Vec<_> = actual.iter().filter(|r| !expected.contains(r)).collect();
        let missing: Vec<_> = expected.iter().filter(|r| !actual.contains(r)).collect();
        assert_eq!(surplus, missing, "routes that differ from tests/routes.txt");
        assert_eq!(actual.len(), expected.len());
    }
}
