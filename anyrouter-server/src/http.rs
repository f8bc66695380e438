//! The listener: HTTP/1.1 and HTTP/2, TLS 1.2 or higher where there is a certificate (P30).
//! Inference goes straight to the gateway; everything else to the API's router.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use anyrouter_core::{
    catalog::Protocol,
    gateway::{Claim, Head, Held, NotAccepted, ResponseBody, ip_in, no_memory},
    key::{ApiKey, KeyHash},
    secret::Secret,
    wire::error::ApiError,
};
use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Either};
use hyper::{
    body::{Body as _, Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::{
    api,
    patient::Patient,
    quiet::Quietly,
    server::Server,
    strict::{Refusals, Strict},
};

type Answer = Response<Either<ResponseBody, Body>>;

/// The listener's TLS, as of the last configuration.
pub(crate) type SharedTls = Arc<RwLock<TlsAcceptor>>;

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(30);
/// The most that a request's head may have, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// How often is looked for the rest of HTTP/2's preface, and the time between.
const PREFACE_LOOKS: usize = 100;
const PREFACE_PAUSE: Duration = Duration::from_millis(5);
/// How much of a body that nobody reads is passed over, in bytes, and for how long.
const DISCARDED: u64 = 1 << 20;
const DISCARD: Duration = Duration::from_millis(100);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves until `stop` is done, then lets what is under way finish until the drain deadline.
pub(crate) async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    tls: Option<SharedTls>,
    stop: impl Future<Output = ()>,
) {
    let router = api::router(server.clone());
    let permits = Arc::new(Semaphore::new(server.config().connections));
    let graceful = GracefulShutdown::new();
    let (stopping, _) = watch::channel(());
    let mut builders = (
        http1::Builder::new(),
        http2::Builder::new(TokioExecutor::new()),
    );
    builders
        .0
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES);
    builders
        .1
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES as u32)
        .max_concurrent_streams(256);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let permit = permits.clone().acquire_owned().await;
                (listener.accept().await, permit)
            } => accepted,
            () = &mut stop => break,
        };
        let (Ok((stream, peer)), Ok(permit)) = accepted else {
            // Out of descriptors, most likely: the connections that end make room.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (server, router) = (server.clone(), router.clone());
        let refusals = Arc::new(Refusals::new(server.clone()));
        let patience = server.config().deadlines.idle;
        let service =
            service_fn(move |request| answer(server.clone(), router.clone(), peer, request));
        let tls = tls
            .as_ref()
            .map(|tls| tls.read().unwrap_or_else(PoisonError::into_inner).clone());
        let ((http1, http2), watcher, mut stopping) =
            (builders.clone(), graceful.watcher(), stopping.subscribe());
        tokio::spawn(Quietly::new(async move {
            let _permit = permit;
            // A connection that fails concerns its client alone. What few connections need is in
            // boxes, so that the others are small.
            if let Some(tls) = tls {
                let Ok(Ok(stream)) =
                    tokio::time::timeout(HANDSHAKE, Box::pin(tls.accept(stream))).await
                else {
                    return;
                };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let _ = if is_http2 {
                    Box::pin(watcher.watch(
                        http2.serve_connection(
                            TokioIo::new(Patient::new(stream, patience)),
                            service,
                        ),
                    ))
                    .await
                } else {
                    let io = TokioIo::new(Strict::new(Patient::new(stream, patience), refusals));
                    Box::pin(watcher.watch(http1.serve_connection(io, service))).await
                };
                return;
            }
            let is_http2 = Box::pin(async {
                tokio::select! {
                    begun = tokio::time::timeout(HEAD, begins_http2(&stream)) => begun.ok()?.ok(),
                    // Who has said nothing yet is not waited for.
                    _ = stopping.changed() => None,
                }
            });
            match is_http2.await {
                Some(true) => {
                    let _ =
                        Box::pin(watcher.watch(http2.serve_connection(
                            TokioIo::new(Patient::new(stream, patience)),
                            service,
                        )))
                        .await;
                }
                Some(false) => {
                    let _ = watcher
                        .watch(http1.serve_connection(
                            TokioIo::new(Strict::new(Patient::new(stream, patience), refusals)),
                            service,
                        ))
                        .await;
                }
                None => {}
            }
        }));
    }
    drop(listener);
    stopping.send_replace(());
    let _ = tokio::time::timeout(server.config().drain_deadline, graceful.shutdown()).await;
}

/// Whether a client begins with HTTP/2's preface (RFC 9113, 3.4). It is looked at, and stays to be
/// read.
async fn begins_http2(stream: &TcpStream) -> std::io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut first = [0; PREFACE.len()];
    for _ in 0..PREFACE_LOOKS {
        let seen = stream.peek(&mut first).await?;
        let begun = first.get(..seen).unwrap_or_default();
        if seen == 0 || begun == PREFACE || !PREFACE.starts_with(begun) {
            return Ok(begun == PREFACE);
        }
        // A part of it is here, and will be seen again at once until there is more; or for ever,
        // where no more comes.
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
    Ok(false)
}

async fn answer(
    server: Arc<Server>,
    router: axum::Router,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let ip = client_ip(peer.ip(), request.headers(), &server);
    one_slash(request.uri_mut());
    let inference = inference_route(request.uri().path());
    // Pages of any origin may use the API, and nothing else.
    let is_shared = is_api(request.uri().path());
    let rest = Rest::of(&request);
    let host_is_good = request.version() == Version::HTTP_2 || one_host(&request);
    let (parts, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(body)));
    let request = Request::from_parts(parts, lent.clone());
    let mut response = if !host_is_good {
        let message = "the request must have one `Host` header; send the name of this server";
        let error = ApiError::new(400, "invalid_host", message);
        server.observer.refused(400);
        api::render(&error, &server.gateway.request_id().to_string()).map(Either::Right)
    } else if let Some((protocol, route)) = inference
        && request.method() == Method::POST
    {
        let (parts, body) = request.into_parts();
        let head = head(&parts.headers, ip, protocol, route);
        // In a box, since the connection keeps room for what is awaited here as long as it is open.
        let response = Box::pin(server.gateway.serve(head, |key| {
            read_body_of(&server, Some(key), &parts.headers, body)
        }))
        .await;
        if response.extensions().get::<NotAccepted>().is_some() {
            server.observer.refused(response.status().as_u16());
        }
        response.map(Either::Left)
    } else {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ClientIp(ip));
        request.extensions_mut().insert(Peer(peer.ip()));
        let response = router.oneshot(request).await.unwrap_or_else(|e| match e {});
        response.map(Either::Right)
    };
    if !lent.spent(rest).await {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if is_shared {
        share(response.headers_mut());
    }
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}

/// The protocol of an inference route, and the route under the API's prefix.
fn inference_route(path: &str) -> Option<(Protocol, &'static str)> {
    let route = path
        .strip_prefix("/api")
        .unwrap_or(path)
        .strip_prefix("/v1/")?;
    match route {
        "chat/completions" => Some((Protocol::Chat, "chat/completions")),
        _ => None,
    }
}

/// Whether a path is the API's.
fn is_api(path: &str) -> bool {
    path == "/api"
        || ["/api/", "/v1/", "/docs", "/llms"]
            .iter()
            .any(|p| path.starts_with(p))
}

/// Takes several slashes in a row for one.
fn one_slash(uri: &mut Uri) {
    if memchr::memmem::find(uri.path().as_bytes(), b"//").is_none() {
        return;
    }
    let mut path = String::with_capacity(uri.path().len());
    for c in uri.path().chars() {
        if c != '/' || !path.ends_with('/') {
            path.push(c);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = std::mem::take(uri).into_parts();
    if let Ok(better) = PathAndQuery::try_from(path) {
        parts.path_and_query = Some(better);
    }
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// Whether a request of HTTP/1 names its host once (RFC 9112, 3.2). One of HTTP/1.0 need not.
fn one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let first = hosts.next();
    let is_name = |host: &HeaderValue| {
        host.to_str()
            .is_ok_and(|h| h.parse::<http::uri::Authority>().is_ok())
    };
    match first.map_or(0, |_| 1 + hosts.count()) {
        1 => first.is_some_and(is_name),
        0 => request.version() == Version::HTTP_10,
        _ => false,
    }
}

/// The address of the connection's other end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientIp(pub(crate) IpAddr);

/// What a request says of its sender; `route` is empty for a management route.
pub(crate) fn claim(headers: &HeaderMap, ip: IpAddr, route: &'static str) -> Claim {
    Claim {
        key: key(headers),
        ip: Some(ip.to_canonical()),
        path: route.into(),
    }
}

/// What the gateway reads of the head of an inference request.
fn head(headers: &HeaderMap, ip: IpAddr, protocol: Protocol, route: &'static str) -> Head {
    let mut head = Head::new(claim(headers, ip, route), protocol);
    head.pin = pin(headers);
    head.session_id = session_id(headers);
    // Any other word asks for it as well: what is asked for wrongly is not dropped.
    head.redact = headers.contains_key("x-anyrouter-redact");
    head.trace_id = text(headers, "x-anyrouter-trace-id");
    head
}

/// The client's own name of the session.
pub(crate) fn session_id(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-session-id")
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|v| v.to_str().ok())
        .map(ToOwned::to_owned)
}

/// The provider that is pinned. A name that cannot be read, or several, pin what no provider is
/// called: a restriction is not dropped.
pub(crate) fn pin(headers: &HeaderMap) -> Option<String> {
    let names: Vec<_> = headers
        .get_all("x-anyrouter-provider")
        .iter()
        .map(|v| String::from_utf8_lossy(v.as_bytes()))
        .collect();
    Some(names.join(",")).filter(|p| !p.is_empty())
}

fn key(headers: &HeaderMap) -> Option<Secret<String>> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::trim)
            .filter(|v| !v.is_empty())
    };
    let bearer = text("authorization").and_then(|v| match v.split_once(' ') {
        Some((scheme, rest)) => scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim()),
        // Some clients send the key alone.
        None => Some(v).filter(|v| !v.eq_ignore_ascii_case("bearer")),
    });
    let sent = bearer
        .or_else(|| text("x-api-key"))
        .or_else(|| text("api-key"))?;
    Some(Secret::new(sent.to_owned()))
}

/// The peer's address; behind a proxy that is trusted, the last one in `X-Forwarded-For` that is
/// not.
fn client_ip(peer: IpAddr, headers: &HeaderMap, server: &Server) -> IpAddr {
    let config = server.config();
    let trusted = |ip: IpAddr| config.trusted_proxies.iter().any(|range| ip_in(ip, range));
    if !trusted(peer) {
        return peer;
    }
    let forwarded = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|v| v.to_str().unwrap_or("unreadable").split(','));
    let hops: Vec<&str> = forwarded.map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        // What stands before an address that cannot be read was not written by a proxy that is
        // trusted.
        let Some(ip) = address_of(hop) else { break };
        if !trusted(ip) {
            return ip;
        }
    }
    peer
}

/// The address of a hop, which may bear a port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = || {
        hop.trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()
    };
    bare().or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()))
}

/// Memory that a body takes for each byte of it: as it came, as it is read and as it leaves.
const WEIGHT: usize = 3;
/// The first step of a body whose length is not known, in bytes.
const STEP: usize = 64 << 10;

/// Reads the body of a caller whose key is good, within its bounds, once there is memory for it.
pub(crate) async fn read_body<B>(
    server: &Server,
    headers: &HeaderMap,
    body: B,
) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let key = key(headers)
        .and_then(|k| ApiKey::parse(k.expose()))
        .map(|k| k.hash());
    read_body_of(server, key, headers, body).await
}

/// The same, for the key of this hash.
async fn read_body_of<B>(
    server: &Server,
    key: Option<KeyHash>,
    headers: &HeaderMap,
    body: B,
) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let config = server.config();
    let limit = config.body_limit;
    let too_large = || {
        ApiError::new(
            413,
            "body_too_large",
            format!(
                "the body has more than {limit} bytes; send less, or ask the operator to raise limits.body"
            ),
        )
    };
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(ApiError::new(
            415,
            "unsupported_encoding",
            "the body is compressed; send it as it is",
        ));
    }
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|l| l > limit) {
        return Err(too_large());
    }
    let take = async |bytes: usize, held: &Option<Held>| -> Result<Option<Held>, ApiError> {
        let Some(key) = key.filter(|_| bytes > 0) else {
            return Ok(None);
        };
        let already = held.as_ref().map_or(0, Held::bytes);
        let take = server
            .gateway
            .budget()
            .take_more(key, already, bytes.saturating_mul(WEIGHT));
        tokio::time::timeout(config.deadlines.memory, take)
            .await
            .map(Some)
            .map_err(|_| no_memory())
    };
    let room = length.unwrap_or(STEP).min(limit);
    // A promise of many bytes takes no room: that goes to who begins to send them.
    let mut held = if room <= STEP {
        take(room, &None).await?
    } else {
        None
    };
    let room = room.min(STEP);
    let mut read = Vec::with_capacity(room);
    let mut body = std::pin::pin!(body);
    let whole = async {
        while let Some(frame) = body.as_mut().frame().await {
            let frame = frame.map_err(|_| {
                ApiError::new(400, "invalid_json", "the body broke off; send it whole")
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if read.len() + data.len() > limit {
                return Err(too_large());
            }
            if read.len() + data.len() > read.capacity() {
                let needed = length
                    .unwrap_or(read.capacity() * 2)
                    .max(read.len() + data.len())
                    .min(limit);
                let more_held = take(
                    needed - held.as_ref().map_or(0, Held::bytes) / WEIGHT,
                    &held,
                )
                .await?;
                match (&mut held, more_held) {
                    (Some(held), Some(more)) => held.join(more),
                    (held, more) => *held = more,
                }
                read.reserve_exact(needed - read.len());
            }
            read.extend_from_slice(&data);
        }
        Ok(())
    };
    match tokio::time::timeout(config.body_deadline, whole).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return Err(e),
        Err(_) => {
            return Err(ApiError::new(
                408,
                "request_timeout",
                "the body did not come in time; send it without pauses",
            ));
        }
    }
    // The bytes count as long as anybody has a part of them.
    Ok(match held {
        Some(held) => held.keep(read),
        None => read.into(),
    })
}

/// A body that is lent to whoever answers: what they leave of it is seen to afterwards.
#[derive(Clone)]
struct Lent(Arc<Mutex<Incoming>>);

impl Lent {
    fn body(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was read to its end, or could be now: where little is left, and comes soon, it is
    /// passed over, so that the connection can be used again. Where not, the client must be told,
    /// or its next request goes into nothing.
    async fn spent(mut self, rest: Rest) -> bool {
        if rest == Rest::OfNoMatter || self.body().is_end_stream() {
            return true;
        }
        if rest == Rest::Withheld || self.body().size_hint().lower() > DISCARDED {
            return false;
        }
        let pass_over = async {
            let mut read = 0;
            while let Some(frame) = self.frame().await {
                read += frame.ok()?.data_ref().map_or(0, Bytes::len) as u64;
                if read > DISCARDED {
                    return None;
                }
            }
            Some(())
        };
        matches!(tokio::time::timeout(DISCARD, pass_over).await, Ok(Some(())))
    }
}

/// What becomes of a body's rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It may be passed over.
    PassedOver,
    /// The client waits to be asked for it (`Expect: 100-continue`), and is not asked for what
    /// nobody wants.
    Withheld,
    /// Each request is a stream of its own.
    OfNoMatter,
}

impl Rest {
    fn of(request: &Request<Incoming>) -> Self {
        match request.version() {
            Version::HTTP_2 => Self::OfNoMatter,
            _ if request.headers().contains_key(header::EXPECT) => Self::Withheld,
            _ => Self::PassedOver,
        }
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// Lets pages of any origin read the answer and our headers: there are no cookies here, only keys
/// that a page must hold itself.
fn share(headers: &mut HeaderMap) {
    const EXPOSED: &str = "X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-RateLimit-Tier, X-RateLimit-Window, \
        RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Upstream-RateLimit-Remaining, \
        X-AnyRouter-Trace-Id, X-AnyRouter-Overhead-Ms, X-AnyRouter-Redacted";
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED),
    );
}

/// Answers a browser's question whether it may ask.
pub(crate) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PATCH, DELETE"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("*, Authorization"),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    );
    response
}
