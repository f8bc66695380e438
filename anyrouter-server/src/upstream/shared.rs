//! HTTP/2 connections: one for each origin, which all requests to it share, and which has a task of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyrouter_core::ports::UpstreamError;
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::TlsConnector;

use super::{
    Pieces, broken,
    connect::{Origin, Version, connect, tls},
};

/// How often a connection that is in use is asked whether it still lives, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);

/// The connections.
pub(super) struct SharedConnections {
    open: Mutex<HashMap<Arc<Origin>, http2::SendRequest<Pieces>, foldhash::fast::FixedState>>,
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
        Ok(Self { open: Mutex::default(), tls: tls(Version::Http2)?, deadline })
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&self, origin: &Arc<Origin>, request: Request<Pieces>) -> Result<Response<Incoming>, UpstreamError> {
        let known = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(origin).filter(|c| !c.is_closed()).cloned();
        let unsent = match known {
            Some(mut connection) => match connection.try_send_request(request).await {
                Ok(response) => return Ok(response),
                // The connection ended before it took the request: it is sent once more, on a new one.
                Err(mut e) => e.take_message().ok_or_else(|| broken(e.error()))?,
            },
            None => request,
        };
        let mut connection = self.connect(origin).await?;
        connection.send_request(unsent).await.map_err(|e| broken(&e))
    }

    /// A new connection, which later requests share. Where several are made at once, the last one stays, and the others end with their
    /// requests.
    async fn connect(&self, origin: &Arc<Origin>) -> Result<http2::SendRequest<Pieces>, UpstreamError> {
        let made = async {
            let io = connect(origin, &self.tls).await?;
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING).adaptive_window(true);
            let (send, connection) = builder.handshake(io).await.map_err(|e| UpstreamError::Connect(e.to_string()))?;
            tokio::spawn(async move {
                // Its requests see how it ends.
                let _ = connection.await;
            });
            Ok(send)
        };
        let send = tokio::time::timeout(self.deadline, made).await.map_err(|_| UpstreamError::ConnectTimeout)??;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(origin.clone(), send.clone());
        Ok(send)
    }
}
