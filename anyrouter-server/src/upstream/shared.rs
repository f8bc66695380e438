//! HTTP/2 connections, which the requests to an origin share; each connection has its own task.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyrouter_core::{ports::UpstreamError, wire::connection::ConnectionFault};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::{
    client::legacy::connect::HttpConnector,
    rt::{TokioExecutor, TokioTimer},
};
use tokio_rustls::TlsConnector;

use super::{
    Pieces, broken,
    connect::{Origin, Version, connect, of_hyper, tcp, tls},
};

/// Interval between keep-alive pings, and maximum time to wait for the reply to one.
const PING: Duration = Duration::from_secs(10);
/// Wait for a response after which an unanswered request retires its connection.
const SUSPECT: Duration = Duration::from_secs(5);
/// Maximum number of requests on a connection: as many as servers usually accept (RFC 9113, 6.5.2:
/// not fewer than 100).
const STREAMS: usize = 100;
/// Maximum number of connections to an origin; further requests share the last one.
const CONNECTIONS: usize = 64;
/// Flow-control window of a response, in bytes.
const STREAM_WINDOW: u32 = 128 << 10;
/// Flow-control window of all responses of a connection, in bytes. It is large, so that a response
/// that is read slowly does not delay the others.
const CONNECTION_WINDOW: u32 = 32 << 20;

/// A connection, and a token of which each of its requests holds a clone.
#[derive(Clone)]
struct Shared {
    send: http2::SendRequest<Pieces>,
    token: Arc<()>,
}

/// A token that a request holds while it uses its connection.
pub(super) type Token = Arc<()>;

/// The HTTP/2 connections to all origins.
pub(super) struct SharedConnections {
    open: Mutex<HashMap<Arc<Origin>, Vec<Shared>, foldhash::fast::FixedState>>,
    tcp: HttpConnector,
    tls: TlsConnector,
    deadline: Duration,
}

impl std::fmt::Debug for SharedConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedConnections").finish_non_exhaustive()
    }
}

impl SharedConnections {
    pub(super) fn new(deadline: Duration) -> Result<Self, rustls::Error> {
        Ok(Self {
            open: Mutex::default(),
            tcp: tcp(),
            tls: tls(Version::Http2)?,
            deadline,
        })
    }

    fn open(
        &self,
    ) -> MutexGuard<'_, HashMap<Arc<Origin>, Vec<Shared>, foldhash::fast::FixedState>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(
        &self,
        origin: &Arc<Origin>,
        request: Request<Pieces>,
    ) -> Result<(Response<Incoming>, Token), UpstreamError> {
        let unsent = match self.take(origin) {
            Some(mut connection) => {
                let mut waiting = Waiting {
                    connections: self,
                    origin,
                    token: &connection.token,
                    since: Instant::now(),
                    answered: false,
                };
                let sent = connection.send.try_send_request(request).await;
                waiting.answered = sent.is_ok();
                drop(waiting);
                match sent {
                    Ok(response) => return Ok((response, connection.token)),
                    // The connection ended before it accepted the request, so it is sent once more,
                    // on a new connection.
                    Err(mut e) => e.take_message().ok_or_else(|| broken(e.error()))?,
                }
            }
            None => request,
        };
        let mut connection = self.connect(origin).await?;
        let mut waiting = Waiting {
            connections: self,
            origin,
            token: &connection.token,
            since: Instant::now(),
            answered: false,
        };
        let response = connection
            .send
            .send_request(unsent)
            .await
            .map_err(|e| broken(&e))?;
        waiting.answered = true;
        drop(waiting);
        Ok((response, connection.token.clone()))
    }

    /// Returns a connection with room or, at the maximum number of connections, the last one.
    fn take(&self, origin: &Arc<Origin>) -> Option<Shared> {
        let mut open = self.open();
        let list = open.get_mut(origin)?;
        list.retain(|c| !c.send.is_closed());
        let roomy = list.iter().find(|c| Arc::strong_count(&c.token) <= STREAMS);
        roomy
            .or(list.last().filter(|_| list.len() >= CONNECTIONS))
            .cloned()
    }

    async fn connect(&self, origin: &Arc<Origin>) -> Result<Shared, UpstreamError> {
        let made = async {
            let io = connect(origin, &self.tcp, &self.tls).await?;
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING);
            builder
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW);
            let (send, connection) = builder
                .handshake(io)
                .await
                .map_err(|e| UpstreamError::Connect(of_hyper(&e)))?;
            tokio::spawn(async move {
                // Its requests receive its errors.
                let _ = connection.await;
            });
            Ok(Shared {
                send,
                token: Arc::new(()),
            })
        };
        let made = tokio::time::timeout(self.deadline, made)
            .await
            .map_err(|_| UpstreamError::Connect(ConnectionFault::Timeout))??;
        let mut open = self.open();
        let list = open.entry(origin.clone()).or_default();
        // If many were opened concurrently, the surplus connections end with their requests.
        if list.len() < CONNECTIONS {
            list.push(made.clone());
        }
        Ok(made)
    }
}

/// A request whose response has not begun. If it is dropped after a long wait, its connection may
/// be dead, and is not used again.
struct Waiting<'a> {
    connections: &'a SharedConnections,
    origin: &'a Arc<Origin>,
    token: &'a Token,
    since: Instant,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered
            && self.since.elapsed() >= SUSPECT
            && let Some(list) = self.connections.open().get_mut(self.origin)
        {
            list.retain(|c| !Arc::ptr_eq(&c.token, self.token));
        }
    }
}
