//! The listener: HTTP/1.1 and HTTP/2, with TLS where there is a certificate.

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
            // Out of descriptors, most likely: the connections that end make room.
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
                    // Who has said nothing yet is not waited for.
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

/// A body that is lent to whoever answers: what they leave of it is seen to afterwards.
#[derive(Clone)]
struct LentBody(Arc<Mutex<Incoming>>);

impl LentBody {
    fn body(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if it was read to its end, or could be now: where little is left, and comes
    /// soon, it is passed over, so that the connection can be used again. Where not, the client
    /// must be told, or its next request goes into nothing.
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
