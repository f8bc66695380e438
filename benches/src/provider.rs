//! The simulated provider. The name of the model selects its behaviour: `quick` answers
//! immediately, as a stream with 50 chunks that are ready; `slow` streams 50 chunks 10 ms apart;
//! `idle` streams one chunk a second; `flaky` fails for seven of every twenty requests, each in its
//! own way.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{CONTENT_TYPE, RETRY_AFTER},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::said::{Protocol, stamped};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    listen: String,
}

/// Error that ends a body early.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

type Body = Either<
    Full<Bytes>,
    StreamBody<std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Broken>> + Send>>>,
>;

pub(crate) async fn run(options: Options) -> std::io::Result<()> {
    let listener = TcpListener::bind(&options.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let path = request.uri().path().to_owned();
    let protocol = Protocol::of_path(&path);
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|_| Broken)?
        .to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    // Gemini's requests have both in their path.
    let in_path = path
        .rsplit_once('/')
        .and_then(|(_, last)| last.split_once(':'));
    let (model, streams) = match in_path {
        Some((model, method)) => (model, method == "streamGenerateContent"),
        None => (
            asked["model"].as_str().unwrap_or_default(),
            asked["stream"] == true,
        ),
    };
    if model == "flaky" {
        static NTH: AtomicUsize = AtomicUsize::new(0);
        match NTH.fetch_add(1, Ordering::Relaxed) % 20 {
            0 => {
                return Ok(text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "application/json",
                    Bytes::from_static(br#"{"error":{"message":"no","type":"server_error"}}"#),
                ));
            }
            1 => {
                let mut response = text(
                    StatusCode::TOO_MANY_REQUESTS,
                    "application/json",
                    Bytes::from_static(br#"{"error":{"message":"later","code":"rate_limited"}}"#),
                );
                response.headers_mut().insert(RETRY_AFTER, 1.into());
                return Ok(response);
            }
            2 => return Err(Broken),
            3 if streams => {
                return Ok(events(stream::iter(
                    protocol
                        .events()
                        .iter()
                        .take(9)
                        .cloned()
                        .map(Ok)
                        .chain([Err(Broken)]),
                )));
            }
            4 => {
                return Ok(text(
                    StatusCode::OK,
                    "text/html",
                    Bytes::from_static(b"<html>Please log in.</html>"),
                ));
            }
            5 => tokio::time::sleep(Duration::from_millis(300)).await,
            6 => {
                return Ok(text(
                    StatusCode::OK,
                    "application/json",
                    Bytes::from_static(
                        br#"{"error":{"message":"quota","code":"insufficient_quota"}}"#,
                    ),
                ));
            }
            _ => {}
        }
    }
    if !streams {
        return Ok(text(StatusCode::OK, "application/json", protocol.whole()));
    }
    let gap = match model {
        "slow" => Duration::from_millis(10),
        "idle" => Duration::from_secs(1),
        _ => {
            return Ok(events(stream::iter(
                protocol.events().iter().cloned().map(Ok),
            )));
        }
    };
    let paced = stream::iter(protocol.events()).then(move |event| async move {
        tokio::time::sleep(gap).await;
        Ok(stamped(event))
    });
    Ok(events(paced))
}

fn text(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

fn events(all: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(Either::Right(StreamBody::new(Box::pin(
        all.map(|chunk| chunk.map(Frame::data)),
    ) as _)));
    response.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/event-stream"),
    );
    response
}
