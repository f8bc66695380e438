//! The listener: HTTP/1.1 and HTTP/2, with TLS if there is a certificate.

mod patient;
mod quiet;
mod strict;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Version, header};
use http_body_util::BodyExt;
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

use self::{
    patient::PatientConnection,
    quiet::QuietTask,
    strict::{Refusals, StrictConnection},
};
use crate::{
    service::{Answer, Service},
    tls::Tls,
};

/// Maximum time to receive a request's head.
const HEAD: Duration = Duration::from_secs(30);
/// Maximum size of a request's head, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// Maximum number of reads while the HTTP/2 preface is incomplete.
const PREFACE_LOOKS: usize = 100;
/// Interval between reads while the HTTP/2 preface is incomplete.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);
/// Maximum size of an unread body that is discarded, in bytes.
const DISCARDED: u64 = 1 << 20;
/// Maximum time to discard an unread body.
const DISCARD: Duration = Duration::from_millis(100);
/// Maximum duration of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves until `stop` completes, then lets open requests finish until the drain deadline.
pub(crate) async fn serve(
    service: Service,
    listener: TcpListener,
    tls: Option<Tls>,
    stop: impl Future<Output = ()>,
) {
    let app = service.app.clone();
    let permits = Arc::new(Semaphore::new(app.config().connections));
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
            // Most likely, no file descriptors are left until other connections end.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let served = service.clone();
        let refusals = Arc::new(Refusals::new(app.clone()));
        let patience = app.config().deadlines.idle;
        let service = service_fn(move |request| {
            let served = served.clone();
            async move { answer(&served, peer, request).await }
        });
        let tls = tls.as_ref().map(Tls::acceptor);
        let ((http1, http2), watcher, mut stopping) =
            (builders.clone(), graceful.watcher(), stopping.subscribe());
        tokio::spawn(QuietTask::new(async move {
            let _permit = permit;
            // A failed connection concerns its client alone. Futures that few connections need are
            // boxed, so that the task of the others is small.
            if let Some(tls) = tls {
                let Ok(Ok(stream)) =
                    tokio::time::timeout(HANDSHAKE, Box::pin(tls.accept(stream))).await
                else {
                    return;
                };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let _ = if is_http2 {
                    Box::pin(watcher.watch(http2.serve_connection(
                        TokioIo::new(PatientConnection::new(stream, patience)),
                        service,
                    )))
                    .await
                } else {
                    let io = TokioIo::new(StrictConnection::new(
                        PatientConnection::new(stream, patience),
                        refusals,
                    ));
                    Box::pin(watcher.watch(http1.serve_connection(io, service))).await
                };
                return;
            }
            let is_http2 = Box::pin(async {
                tokio::select! {
                    begun = tokio::time::timeout(HEAD, begins_http2(&stream)) => begun.ok()?.ok(),
                    // A client that has sent nothing yet is not waited for.
                    _ = stopping.changed() => None,
                }
            });
            match is_http2.await {
                Some(true) => {
                    let _ = Box::pin(watcher.watch(http2.serve_connection(
                        TokioIo::new(PatientConnection::new(stream, patience)),
                        service,
                    )))
                    .await;
                }
                Some(false) => {
                    let _ = watcher
                        .watch(http1.serve_connection(
                            TokioIo::new(StrictConnection::new(
                                PatientConnection::new(stream, patience),
                                refusals,
                            )),
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
    let _ = tokio::time::timeout(app.config().drain_deadline, graceful.shutdown()).await;
}

/// Returns true if the client sends the HTTP/2 preface (RFC 9113, 3.4). Peeks at the bytes without
/// consuming them.
async fn begins_http2(stream: &TcpStream) -> std::io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut first = [0; PREFACE.len()];
    for _ in 0..PREFACE_LOOKS {
        let seen = stream.peek(&mut first).await?;
        let begun = first.get(..seen).unwrap_or_default();
        if seen == 0 || begun == PREFACE || !PREFACE.starts_with(begun) {
            return Ok(begun == PREFACE);
        }
        // `peek` returns an incomplete preface immediately and repeatedly, even if no more arrives.
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
    Ok(false)
}

async fn answer(
    service: &Service,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let rest = Rest::of(&request);
    let (parts, body) = request.into_parts();
    let lent = LentBody(Arc::new(Mutex::new(body)));
    let request = Request::from_parts(parts, lent.clone());
    let mut response = service.respond(peer.ip(), request).await;
    if !lent.spent(rest).await {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// A body that is lent to the service; the listener handles the part that stays unread.
#[derive(Clone)]
struct LentBody(Arc<Mutex<Incoming>>);

impl LentBody {
    fn body(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the connection can be used again: the body was read to its end, or little is
    /// left, arrives soon and is discarded. Otherwise the response must announce that the
    /// connection closes, or the client's next request is lost.
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

/// Handling of the unread part of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The unread part may be discarded.
    PassedOver,
    /// The client waits for `100 Continue` (`Expect: 100-continue`), which is not sent for a body
    /// that is not needed.
    Withheld,
    /// The unread part does not matter, because each request has its own stream.
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

impl http_body::Body for LentBody {
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
