//! HTTP client for providers: HTTP/1.1 over persistent connections, or HTTP/2 for providers that
//! are configured for it; TLS 1.2 or higher, and no redirects (P30).
//!
//! With HTTP/1.1, the task that serves the client polls the upstream connection itself: there is no
//! task per connection and no hand-over per chunk. An idle connection in the pool is not driven,
//! and is checked before it is used again.

mod connect;
mod pool;
mod shared;

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    convert::Infallible,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use anyrouter_core::{
    policy::Eligible,
    ports::{Upstream, UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse},
    wire::connection::ConnectionFault,
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Uri, Version, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use self::{
    connect::{Origin, of_hyper},
    pool::{Connection, Pool},
    shared::{SharedConnections, Token},
};
use crate::demo;

/// Size from which gathered data is passed on even if more is ready, in bytes.
const GATHER: usize = 32 << 10;
/// Maximum number of cached addresses; at the maximum, the cache is cleared.
const TARGETS: usize = 4096;
/// Maximum size of the rest of a response that is read to reuse its connection, in bytes.
const REST: usize = 64 << 10;
/// Maximum time to read the rest of a response.
const REST_TIME: Duration = Duration::from_secs(1);

/// The HTTP client for providers.
pub struct HttpUpstream {
    pool: Arc<Pool>,
    shared: SharedConnections,
    targets: RwLock<
        HashMap<(Arc<str>, Cow<'static, str>), (Arc<Origin>, Uri), foldhash::fast::FixedState>,
    >,
}

impl std::fmt::Debug for HttpUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpUpstream").finish_non_exhaustive()
    }
}

impl HttpUpstream {
    /// Creates a client with this maximum time to establish a connection.
    pub fn new(connect_deadline: Duration) -> Result<Self, rustls::Error> {
        let (pool, shared) = (
            Arc::new(Pool::new(connect_deadline)?),
            SharedConnections::new(connect_deadline)?,
        );
        Ok(Self {
            pool,
            shared,
            targets: RwLock::default(),
        })
    }
}

#[async_trait]
impl Upstream for HttpUpstream {
    async fn send(
        &self,
        _to: Eligible<'_>,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        if request.address.base_url.starts_with("demo:") {
            return Ok(demo::answer(&request.body.concat()));
        }
        let (origin, uri) = self.target(&request)?;
        let mut http = Request::new(Pieces(request.body.into()));
        *http.method_mut() = Method::POST;
        *http.headers_mut() = request.headers;
        if request.address.http2 {
            *http.version_mut() = Version::HTTP_2;
            *http.uri_mut() = origin.absolute(uri)?;
            let (response, token) = self.shared.send(&origin, http).await?;
            let (head, body) = response.into_parts();
            let body = PooledBody {
                connection: None,
                body,
                origin,
                pool: self.pool.clone(),
                ended: false,
                broken: None,
                _shared: Some(token),
            };
            return Ok(UpstreamResponse {
                status: head.status,
                headers: head.headers,
                body: Box::pin(body),
            });
        }
        *http.uri_mut() = uri;
        *http.version_mut() = Version::HTTP_11;
        http.headers_mut()
            .insert(header::HOST, origin.host_header.clone());
        let mut connection = match self.pool.take(&origin) {
            Some(connection) => connection,
            None => self.pool.connect(&origin).await?,
        };
        let response = match connection.send(http).await {
            Ok(response) => response,
            // The connection closed before any of the request was sent, so it is sent once more, on
            // a new connection.
            Err((_, Some(unsent))) => {
                connection = self.pool.connect(&origin).await?;
                connection.send(unsent).await.map_err(|(e, _)| broken(&e))?
            }
            Err((e, None)) => return Err(broken(&e)),
        };
        let (head, body) = response.into_parts();
        let body = PooledBody {
            connection: Some(connection),
            body,
            origin,
            pool: self.pool.clone(),
            ended: false,
            broken: None,
            _shared: None,
        };
        Ok(UpstreamResponse {
            status: head.status,
            headers: head.headers,
            body: Box::pin(body),
        })
    }
}

fn broken(error: &hyper::Error) -> UpstreamError {
    UpstreamError::Broken(of_hyper(error))
}

impl HttpUpstream {
    /// Returns the origin and the path of a request. Addresses are few, so they are parsed once.
    fn target(&self, request: &UpstreamRequest) -> Result<(Arc<Origin>, Uri), UpstreamError> {
        let address = (request.address.base_url.clone(), request.path.clone());
        if let Some(known) = self
            .targets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&address)
        {
            return Ok(known.clone());
        }
        let wrong = || UpstreamError::Connect(ConnectionFault::Address);
        let base: Uri = request.address.base_url.parse().map_err(|_| wrong())?;
        let origin = Origin::of(&base).ok_or_else(wrong)?;
        let path = format!("{}{}", base.path().trim_end_matches('/'), request.path);
        let target = (Arc::new(origin), path.parse().map_err(|_| wrong())?);
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        if targets.len() >= TARGETS {
            targets.clear();
        }
        targets.insert(address, target.clone());
        Ok(target)
    }
}

/// A request's body, in pieces.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// A response body with its connection.
struct PooledBody {
    connection: Option<Connection>,
    body: Incoming,
    origin: Arc<Origin>,
    pool: Arc<Pool>,
    ended: bool,
    /// The error that ended the body, to be returned after the data before it.
    broken: Option<UpstreamError>,
    /// Held while a shared connection is in use.
    _shared: Option<Token>,
}

impl PooledBody {
    /// Returns the data that the body has now, without driving the connection.
    fn frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    // Trailers are ignored.
                    Err(_) => {}
                },
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(broken(&e)))),
                Poll::Ready(None) => {
                    self.ended = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && connection.poll(cx).is_ready()
        {
            self.connection = None;
        }
    }

    /// Returns the connection to the pool once its response was read to the end.
    fn put_back(&mut self, cx: &mut Context<'_>) {
        if let Some(mut connection) = self.connection.take()
            && connection.poll(cx).is_pending()
        {
            self.pool.put(&self.origin, connection);
        }
    }

    /// Returns the data that has arrived, up to a limit.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        if let Some(e) = self.broken.take() {
            self.ended = true;
            return Poll::Ready(Some(Err(e)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let mut first: Option<Bytes> = None;
        let mut gathered: Option<BytesMut> = None;
        let mut driven = false;
        loop {
            match self.frame(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    match (&mut gathered, first.take()) {
                        (Some(all), _) => all.extend_from_slice(&data),
                        (None, None) => first = Some(data),
                        (None, Some(before)) => {
                            let mut all =
                                BytesMut::with_capacity((before.len() + data.len()).max(4096));
                            all.extend_from_slice(&before);
                            all.extend_from_slice(&data);
                            gathered = Some(all);
                        }
                    }
                    driven = false;
                    if gathered.as_ref().is_some_and(|g| g.len() >= GATHER) {
                        break;
                    }
                }
                Poll::Ready(Some(Err(e))) if first.is_none() && gathered.is_none() => {
                    return Poll::Ready(Some(Err(e)));
                }
                // Returned after the data before it.
                Poll::Ready(Some(Err(e))) => {
                    self.broken = Some(e);
                    break;
                }
                Poll::Ready(None) => {
                    self.put_back(cx);
                    break;
                }
                Poll::Pending if driven => break,
                Poll::Pending => {
                    self.drive(cx);
                    driven = true;
                }
            }
        }
        match gathered.map(BytesMut::freeze).or(first) {
            Some(bytes) => Poll::Ready(Some(Ok(bytes))),
            None if self.ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl UpstreamBody for PooledBody {
    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        self.gather(cx)
    }

    fn finish(mut self: Pin<Box<Self>>) {
        if self.ended || self.connection.is_none() {
            return;
        }
        tokio::spawn(async move {
            let rest = async {
                let mut read = 0;
                while let Some(Ok(bytes)) =
                    std::future::poll_fn(|cx| self.as_mut().poll_next(cx)).await
                {
                    read += bytes.len();
                    if read > REST {
                        return;
                    }
                }
            };
            let _ = tokio::time::timeout(REST_TIME, rest).await;
        });
    }
}
