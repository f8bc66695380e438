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
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    listen: String,
}

const CHUNKS: usize = 50;

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
    let is_anthropic = request.uri().path().ends_with("/messages");
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|_| Broken)?
        .to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (model, streams) = (
        asked["model"].as_str().unwrap_or_default(),
        asked["stream"] == true,
    );
    if model == "flaky" {
        static NTH: AtomicUsize = AtomicUsize::new(0);
        match NTH.fetch_add(1, Ordering::Relaxed) % 20 {
            0 => {
                return Ok(text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "application/json",
                    r#"{"error":{"message":"no","type":"server_error"}}"#,
                ));
            }
            1 => {
                let mut response = text(
                    StatusCode::TOO_MANY_REQUESTS,
                    "application/json",
                    r#"{"error":{"message":"later","code":"rate_limited"}}"#,
                );
                response.headers_mut().insert(RETRY_AFTER, 1.into());
                return Ok(response);
            }
            2 => return Err(Broken),
            3 if streams => {
                return Ok(events(stream::iter(
                    chunks(is_anthropic)
                        .into_iter()
                        .take(9)
                        .map(Ok)
                        .chain([Err(Broken)]),
                )));
            }
            4 => {
                return Ok(text(
                    StatusCode::OK,
                    "text/html",
                    "<html>Please log in.</html>",
                ));
            }
            5 => tokio::time::sleep(Duration::from_millis(300)).await,
            6 => {
                return Ok(text(
                    StatusCode::OK,
                    "application/json",
                    r#"{"error":{"message":"quota","code":"insufficient_quota"}}"#,
                ));
            }
            _ => {}
        }
    }
    if !streams {
        return Ok(text(
            StatusCode::OK,
            "application/json",
            &whole(is_anthropic).to_string(),
        ));
    }
    let gap = match model {
        "slow" => Duration::from_millis(10),
        "idle" => Duration::from_secs(1),
        _ => {
            return Ok(events(stream::iter(
                chunks(is_anthropic).into_iter().map(Ok),
            )));
        }
    };
    let paced = stream::iter(chunks(is_anthropic)).then(move |chunk| async move {
        tokio::time::sleep(gap).await;
        Ok(chunk)
    });
    Ok(events(paced))
}

fn text(status: StatusCode, kind: &'static str, body: &str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(body.to_owned())));
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

fn whole(is_anthropic: bool) -> Value {
    let said = "word ".repeat(40);
    if is_anthropic {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": said}], "stop_reason": "end_turn",
               "usage": {"input_tokens": 20, "output_tokens": 40}})
    } else {
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
               "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
               "usage": {"prompt_tokens": 20, "completion_tokens": 40, "total_tokens": 60}})
    }
}

fn chunks(is_anthropic: bool) -> Vec<Bytes> {
    let event = |value: Value| Bytes::from(format!("data: {value}\n\n"));
    let mut out = Vec::with_capacity(CHUNKS + 6);
    if is_anthropic {
        out.push(event(json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 20, "output_tokens": 1}}})));
        out.push(event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})));
        out.extend((0..CHUNKS).map(|n| {
            event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": format!("word {n} ")}}))
        }));
        out.push(event(json!({"type": "content_block_stop", "index": 0})));
        out.push(event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}})));
        out.push(event(json!({"type": "message_stop"})));
        return out;
    }
    let chunk = |delta: Value, finish: Value| {
        event(
            json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}),
        )
    };
    out.extend((0..CHUNKS).map(|n| chunk(json!({"content": format!("word {n} ")}), Value::Null)));
    out.push(chunk(json!({}), json!("stop")));
    out.push(event(json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                          "usage": {"prompt_tokens": 20, "completion_tokens": 100, "total_tokens": 120}})));
    out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    out
}
