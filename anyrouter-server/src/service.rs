//! Handling of a request, independent of the listener: inference goes directly to the gateway, and
//! everything else to the router.

use std::{net::IpAddr, sync::Arc};

use anyrouter_core::{
    gateway::{NotAccepted, ResponseBody},
    wire::error::ApiError,
};
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body_util::Either;
use tower::ServiceExt as _;

use crate::{
    app::App,
    array::array_of_events,
    intake::{
        ClientIp, Peer, client_ip, google_address, head, inference_route, one_host, one_slash,
        protocol_of, read_body_of, share,
    },
    respond::render,
    router::{metrics_router, router},
};

/// A response of the gateway, or of the router.
pub type Answer = Response<Either<ResponseBody, Body>>;

/// All routes of a server, including inference.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) app: Arc<App>,
    router: Router,
}

impl Service {
    /// Creates the routes over this state.
    pub fn new(app: Arc<App>) -> Self {
        Self {
            router: router(app.clone()),
            app,
        }
    }

    /// Returns a router of `/metrics` alone, for its own listener.
    pub fn metrics(&self) -> Router {
        metrics_router(self.app.clone())
    }

    /// Responds to a request that came from `peer`: the client, or a proxy.
    pub async fn respond<B>(&self, peer: IpAddr, mut request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let app = &self.app;
        let ip = client_ip(peer, request.headers(), app);
        one_slash(request.uri_mut());
        google_address(&mut request);
        let mut response = if request.version() < Version::HTTP_2 && !one_host(&request) {
            let message = "the request must have one `Host` header; send the name of this server";
            let error = ApiError::new(400, "invalid_host", message);
            let mut response = render(
                protocol_of(request.uri().path()),
                &error,
                app.gateway.request_id(),
            );
            response.extensions_mut().insert(NotAccepted);
            response.map(Either::Right)
        } else if let Some(route) = inference_route(request.uri())
            && request.method() == Method::POST
        {
            let (parts, body) = request.into_parts();
            let is_array = route.is_array;
            let head = head(&parts.headers, ip, route);
            // Boxed, because a connection reserves memory for this future as long as it is open.
            let response = Box::pin(app.gateway.serve(head, |key| {
                read_body_of(app, Some(key), &parts.headers, body)
            }))
            .await;
            let mut response = if is_array {
                array_of_events(response)
            } else {
                response.map(Either::Left)
            };
            share(response.headers_mut());
            response
        } else {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ClientIp(ip));
            request.extensions_mut().insert(Peer(peer));
            let router = self.router.clone();
            let response = router.oneshot(request).await.unwrap_or_else(|e| match e {});
            response.map(Either::Right)
        };
        if response.extensions().get::<NotAccepted>().is_some() {
            app.health.refused(response.status().as_u16());
        }
        response.headers_mut().insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        response
    }
}
