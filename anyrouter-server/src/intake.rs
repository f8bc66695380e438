//! Parsing of a request before its handler: the client's address, the key, the body within its
//! limits, and CORS.

use std::{
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::pin,
    task::Poll,
    time::Duration,
};

use anyrouter_core::{
    catalog::Protocol,
    gateway::{Claim, Head, HeldMemory, ip_in, no_memory},
    key::{ApiKey, KeyHash},
    ports::Clock,
    secret::Secret,
    wire::error::ApiError,
};
use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    uri::PathAndQuery,
};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;

use crate::app::App;

/// The route of an inference request.
pub(crate) struct InferenceRoute {
    pub(crate) protocol: Protocol,
    /// Its name, as that of the route under the API's prefix.
    pub(crate) name: &'static str,
    /// The model, and true for a stream, if the address says them.
    pub(crate) address: Option<(String, bool)>,
    /// True if a stream is an array of JSON.
    pub(crate) is_array: bool,
}

/// Returns the route of an inference request.
pub(crate) fn inference_route(uri: &Uri) -> Option<InferenceRoute> {
    let path = uri.path();
    let path = path.strip_prefix("/api").unwrap_or(path);
    if let Some(call) = path.strip_prefix("/v1beta/models/") {
        let (model, method) = model_and_method(call)?;
        let stream = match method.as_str() {
            "generateContent" => false,
            "streamGenerateContent" => true,
            _ => return None,
        };
        return Some(InferenceRoute {
            protocol: Protocol::Gemini,
            name: "models/generateContent",
            address: Some((model, stream)),
            is_array: stream && parameter(uri.query().unwrap_or_default(), "alt") != Some("sse"),
        });
    }
    let (protocol, name) = match path.strip_prefix("/v1/")? {
        "chat/completions" => (Protocol::Chat, "chat/completions"),
        "messages" => (Protocol::Messages, "messages"),
        "responses" => (Protocol::Responses, "responses"),
        _ => return None,
    };
    Some(InferenceRoute {
        protocol,
        name,
        address: None,
        is_array: false,
    })
}

/// Splits the end of an address of Google's protocol at its last colon. The model may contain
/// slashes; both may be escaped.
pub(crate) fn model_and_method(call: &str) -> Option<(String, String)> {
    let call = percent_decode_str(call).decode_utf8().ok()?;
    let (model, method) = call.rsplit_once(':')?;
    (!model.is_empty() && !method.contains('/')).then(|| (model.to_owned(), method.to_owned()))
}

/// Returns the value of a parameter in a query.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

/// Moves Google's addresses under `/v1` to `/v1beta`, where its older packages expect them, and the
/// key in the query to a header, before anything can log it.
pub(crate) fn google_address<B>(request: &mut Request<B>) {
    let path = request.uri().path();
    let (api, rest) = match path.strip_prefix("/api") {
        Some(rest) => ("/api", rest),
        None => ("", path),
    };
    let under_v1 = rest.strip_prefix("/v1/models");
    let query = request.uri().query().unwrap_or_default();
    let key = parameter(query, "key").map(|key| percent_decode_str(key).decode_utf8_lossy());
    let is_googles = rest.starts_with("/v1beta/")
        || under_v1.is_some_and(|rest| {
            let has_key = key.is_some() || request.headers().contains_key(GOOGLE_KEY);
            let has_method = model_and_method(rest).is_some();
            (request.method() == Method::GET && has_key)
                || (request.method() == Method::POST && has_method)
        });
    if !is_googles {
        return;
    }
    let rest = under_v1.map_or_else(|| rest.to_owned(), |rest| format!("/v1beta/models{rest}"));
    // Some packages take a name with a slash for one that begins with `models/`.
    let rest = match rest.strip_prefix("/v1beta/") {
        Some(call) if !call.starts_with("models") && call.contains(':') => {
            format!("/v1beta/models/{call}")
        }
        _ => rest,
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("key="))
        .collect();
    let mut address = format!("{api}{rest}");
    if !kept.is_empty() {
        address.push('?');
        address.push_str(&kept.join("&"));
    }
    let key = key.and_then(|key| HeaderValue::try_from(&*key).ok());
    if let Ok(better) = PathAndQuery::try_from(address) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(better);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    if let Some(mut key) = key {
        key.set_sensitive(true);
        request.headers_mut().entry(GOOGLE_KEY).or_insert(key);
    }
}

/// The header of a key in Google's protocol.
const GOOGLE_KEY: &str = "x-goog-api-key";

/// Returns the protocol in whose shape a path's errors are, with the API's prefix or without.
pub(crate) fn protocol_of(path: &str) -> Protocol {
    let route = path.strip_prefix("/api").unwrap_or(path);
    if route.starts_with("/v1beta") {
        return Protocol::Gemini;
    }
    match route.strip_prefix("/v1").unwrap_or(route) {
        "/messages" | "/messages/count_tokens" => Protocol::Messages,
        "/responses" => Protocol::Responses,
        _ => Protocol::Chat,
    }
}

/// Replaces consecutive slashes in the path by one.
pub(crate) fn one_slash(uri: &mut Uri) {
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

/// Returns true if an HTTP/1 request names its host exactly once (RFC 9112, 3.2). HTTP/1.0 may omit
/// it.
pub(crate) fn one_host<B>(request: &Request<B>) -> bool {
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

/// Address of the connection's peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Address of the client, which differs from the peer's behind a trusted proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientIp(pub(crate) IpAddr);

/// Returns the claim of a request; `route` is empty for a management route.
pub(crate) fn claim(headers: &HeaderMap, ip: IpAddr, route: &'static str) -> Claim {
    Claim {
        key: key(headers),
        ip: Some(ip.to_canonical()),
        path: route.into(),
    }
}

/// Reads the head of an inference request.
pub(crate) fn head(headers: &HeaderMap, ip: IpAddr, route: InferenceRoute) -> Head {
    let protocol = route.protocol;
    let mut head = Head::new(claim(headers, ip, route.name), protocol);
    head.address = route.address;
    head.pin = pin(headers);
    head.credential = only(headers, "x-anyrouter-credential");
    head.session_id = session_id(headers);
    head.app = text(headers, "x-anyrouter-app");
    // Any value enables redaction, so that a malformed value does not disable it.
    head.redact = headers.contains_key("x-anyrouter-redact");
    head.trace_id = text(headers, "x-anyrouter-trace-id");
    head.protocol_headers = protocol_headers(headers, protocol);
    head
}

/// Returns the headers of the client's protocol that an upstream of the same protocol gets.
fn protocol_headers(headers: &HeaderMap, protocol: Protocol) -> HeaderMap {
    let names: &[&'static str] = match protocol {
        Protocol::Chat | Protocol::Responses => &["openai-beta"],
        Protocol::Messages => &["anthropic-version", "anthropic-beta"],
        Protocol::Gemini => &[],
    };
    let mut forwarded = HeaderMap::new();
    for name in names {
        // Versions and names of features, but nothing that a person could be known by.
        let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"-_.,= ".contains(b);
        for value in headers.get_all(*name) {
            if value.as_bytes().iter().all(is_token) {
                forwarded.append(*name, value.clone());
            }
        }
    }
    forwarded
}

/// Returns the client's name for the session.
pub(crate) fn session_id(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-session-id")
}

pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|v| v.to_str().ok())
        .map(ToOwned::to_owned)
}

/// Returns what a restricting header names. An unreadable name, or several, become a name that nothing
/// has, so that the restriction is not dropped.
pub(crate) fn only(headers: &HeaderMap, name: &str) -> Option<String> {
    let names: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|v| String::from_utf8_lossy(v.as_bytes()))
        .collect();
    Some(names.join(",")).filter(|n| !n.is_empty())
}

/// Returns the pinned provider.
pub(crate) fn pin(headers: &HeaderMap) -> Option<String> {
    only(headers, "x-anyrouter-provider")
}

pub(crate) fn key(headers: &HeaderMap) -> Option<Secret<String>> {
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
        .or_else(|| text(GOOGLE_KEY))
        .or_else(|| text("api-key"))?;
    Some(Secret::new(sent.to_owned()))
}

/// Returns the peer's address or, behind a trusted proxy, the last untrusted address in
/// `X-Forwarded-For`.
pub(crate) fn client_ip(peer: IpAddr, headers: &HeaderMap, app: &App) -> IpAddr {
    let config = app.config();
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
        // Entries before an unreadable address were not written by a trusted proxy.
        let Some(ip) = address_of(hop) else { break };
        if !trusted(ip) {
            return ip;
        }
    }
    peer
}

/// Parses the address of a hop, with or without a port.
pub(crate) fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = || {
        hop.trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()
    };
    bare().or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()))
}

/// Memory per byte of a body, which is held as received, as parsed and as sent.
const WEIGHT: usize = 3;
/// Initial reservation for a body of unknown length, in bytes.
const STEP: usize = 64 << 10;

/// Reads the body of an authenticated caller within its limits, once memory is available.
pub(crate) async fn read_body<B>(app: &App, headers: &HeaderMap, body: B) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let key = key(headers)
        .and_then(|k| ApiKey::parse(k.expose()))
        .map(|k| k.hash());
    read_body_of(app, key, headers, body).await
}

/// Reads a body like `read_body`, for the key with this hash.
pub(crate) async fn read_body_of<B>(
    app: &App,
    key: Option<KeyHash>,
    headers: &HeaderMap,
    body: B,
) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let config = app.config();
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
            "the body is compressed; send it uncompressed",
        ));
    }
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|l| l > limit) {
        return Err(too_large());
    }
    let take =
        async |bytes: usize, held: &Option<HeldMemory>| -> Result<Option<HeldMemory>, ApiError> {
            let Some(key) = key.filter(|_| bytes > 0) else {
                return Ok(None);
            };
            let already = held.as_ref().map_or(0, HeldMemory::bytes);
            let take = app
                .gateway
                .budget()
                .take_more(key, already, bytes.saturating_mul(WEIGHT));
            within(app.clock(), config.deadlines.memory, take)
                .await
                .map(Some)
                .ok_or_else(no_memory)
        };
    let room = length.unwrap_or(STEP).min(limit);
    // A large declared length reserves no memory before the client begins to send.
    let mut held = if room <= STEP {
        take(room, &None).await?
    } else {
        None
    };
    let room = room.min(STEP);
    let mut read = Vec::with_capacity(room);
    let mut body = pin!(body);
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
                    needed - held.as_ref().map_or(0, HeldMemory::bytes) / WEIGHT,
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
    match within(app.clock(), config.body_deadline, whole).await {
        Some(Ok(())) => {}
        Some(Err(e)) => return Err(e),
        None => {
            return Err(ApiError::new(
                408,
                "request_timeout",
                "the body did not arrive in time; send it without pauses",
            ));
        }
    }
    // The bytes count against the budget while any part of them is in use.
    Ok(match held {
        Some(held) => held.keep(read),
        None => read.into(),
    })
}

/// Returns the output of `work`, or `None` if it takes longer than `limit`. Work that is ready
/// immediately sets no timer.
async fn within<T>(clock: &dyn Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut timer) = (pin!(work), None);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        let timer = timer.get_or_insert_with(|| clock.timer(limit));
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Lets pages of any origin read the response and the exposed headers. The API uses no cookies,
/// only keys, which a page must hold itself.
pub(crate) fn share(headers: &mut HeaderMap) {
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

/// Responds to a CORS preflight request.
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
