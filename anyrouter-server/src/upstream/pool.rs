//! The pool of idle HTTP/1.1 connections.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use anyrouter_core::{ports::UpstreamError, wire::connection::ConnectionFault};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio_rustls::TlsConnector;

use super::{
    Pieces,
    connect::{Io, Origin, Version, connect, of_hyper, tcp, tls},
};

/// Time after which an idle connection is closed.
const REST: Duration = Duration::from_secs(30);
/// Interval between checks for connections that have ended.
const LOOK: Duration = Duration::from_secs(5);
/// Maximum number of idle connections per origin.
const RESTING: usize = 256;

/// An HTTP/1.1 connection and the handle that sends over it.
pub(super) struct Connection {
    send: http1::SendRequest<Pieces>,
    connection: Pin<Box<http1::Connection<Pin<Box<dyn Io>>, Pieces>>>,
}

impl Connection {
    /// Drives the connection; ready when it has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.as_mut().poll(cx).map(|_| ())
    }

    /// Sends a request and waits for the head of the response. An error returns the request if none
    /// of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Pieces>,
    ) -> Result<Response<Incoming>, (hyper::Error, Option<Request<Pieces>>)> {
        let Self { send, connection } = self;
        let mut answer = pin!(send.try_send_request(request));
        let answered = poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            let _ = connection.as_mut().poll(cx);
            answer.as_mut().poll(cx)
        });
        answered.await.map_err(|mut e| {
            let unsent = e.take_message();
            (e.into_error(), unsent)
        })
    }
}

#[derive(Default)]
struct IdleConnections {
    /// Connections with the times at which they became idle, oldest first.
    connections: HashMap<Arc<Origin>, Vec<(Instant, Connection)>, foldhash::fast::FixedState>,
    /// True while a task closes the connections that end.
    are_looked_after: bool,
}

/// The pool of connections to all origins.
pub(super) struct Pool {
    resting: Mutex<IdleConnections>,
    tcp: HttpConnector,
    tls: TlsConnector,
    deadline: Duration,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(deadline: Duration) -> Result<Self, rustls::Error> {
        Ok(Self {
            resting: Mutex::default(),
            tcp: tcp(),
            tls: tls(Version::Http1)?,
            deadline,
        })
    }

    /// Returns an idle connection that is still open, the most recently used one.
    pub(super) fn take(&self, origin: &Arc<Origin>) -> Option<Connection> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let (since, mut connection) = self
                .resting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .connections
                .get_mut(origin)?
                .pop()?;
            // Polling detects a connection that the provider has closed.
            if since.elapsed() < REST
                && connection.poll(&mut cx).is_pending()
                && connection.send.poll_ready(&mut cx).is_ready()
            {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(self: &Arc<Self>, origin: &Arc<Origin>, connection: Connection) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut resting.are_looked_after, true) {
            tokio::spawn(Self::look_after(Arc::downgrade(self)));
        }
        let list = resting.connections.entry(origin.clone()).or_default();
        // The oldest connections are at the front.
        let stale = list
            .iter()
            .take_while(|(since, _)| since.elapsed() >= REST)
            .count();
        list.drain(..stale.max((list.len() + 1).saturating_sub(RESTING)));
        list.push((Instant::now(), connection));
    }

    /// Closes, every few seconds, the connections that the provider closed or that were idle for
    /// too long, until none is idle. Otherwise a provider that receives no more requests would keep
    /// half-closed connections.
    async fn look_after(pool: Weak<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(pool) = pool.upgrade() else { return };
            if !pool.close_ended() {
                return;
            }
        }
    }

    /// Drops the connections that have ended or were idle for too long. Returns false if none is
    /// left; the caller's task then ends.
    fn close_ended(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.connections.retain(|_, list| {
            list.retain_mut(|(since, connection)| {
                since.elapsed() < REST && connection.poll(&mut cx).is_pending()
            });
            !list.is_empty()
        });
        resting.are_looked_after = !resting.connections.is_empty();
        resting.are_looked_after
    }

    pub(super) async fn connect(&self, origin: &Origin) -> Result<Connection, UpstreamError> {
        let made = async {
            let io = connect(origin, &self.tcp, &self.tls).await?;
            let handshake = http1::handshake(io).await;
            let (send, connection) = handshake.map_err(|e| UpstreamError::Connect(of_hyper(&e)))?;
            Ok(Connection {
                send,
                connection: Box::pin(connection),
            })
        };
        tokio::time::timeout(self.deadline, made)
            .await
            .map_err(|_| UpstreamError::Connect(ConnectionFault::Timeout))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_provider_closes_while_it_rests_is_dropped_without_a_request() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let origin = Arc::new(Origin::of(&uri.parse().unwrap()).unwrap());
        let pool = Arc::new(Pool::new(Duration::from_secs(10)).unwrap());
        let resting = || pool.resting.lock().unwrap().connections.len();
        let (kept, peer) = tokio::join!(pool.connect(&origin), listener.accept());
        pool.put(&origin, kept.unwrap());
        tokio::time::pause();
        tokio::time::advance(LOOK * 2).await;
        tokio::task::yield_now().await;
        assert_eq!(resting(), 1, "the provider keeps it open");
        drop(peer);
        // The end of it reaches this side soon, in a time that is the system's.
        let began = Instant::now();
        while resting() > 0 && began.elapsed() < Duration::from_secs(10) {
            tokio::time::advance(LOOK).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(resting(), 0);
        assert!(!pool.resting.lock().unwrap().are_looked_after);
    }
}
