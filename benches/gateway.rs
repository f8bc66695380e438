//! Benchmark of the whole path of a request in memory, without sockets and disk. Responses are
//! ready immediately.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use anyrouter_core::{
    account::{Instance, KeyRecord},
    catalog::{Catalog, Document, Protocol},
    gateway::{Claim, Deadlines, Gateway, Head, Limits, Ports},
    ids::{AccountId, RequestId},
    key::{ApiKey, KeyKind, Scope},
    policy::{CompiledCatalog, Eligible, Restriction},
    ports::{
        LogQuery, OpenRequest, Randomness, StoreError, Upstream, UpstreamBody, UpstreamError,
        UpstreamRequest, UpstreamResponse, UsageLog, WriteState,
        memory::{
            Inline, ManualClock, MemoryCredentials, MemoryDirectory, MemoryLimiter, NoEvents,
        },
    },
    secret::Secret,
    time::Timestamp,
    usage::Record,
};
use async_trait::async_trait;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body as _;
use serde_json::json;

/// A usage log that keeps nothing, so that its cost is not measured.
struct Forgetful;

#[async_trait]
impl UsageLog for Forgetful {
    async fn take(&self, _: &Arc<OpenRequest>) -> Result<(), StoreError> {
        Ok(())
    }
    fn fill(&self, _: &Record) -> WriteState {
        WriteState::Durable
    }
    fn poll_durable(
        &self,
        _: &mut WriteState,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), StoreError>> {
        Poll::Ready(Ok(()))
    }
    async fn find(&self, _: &AccountId, _: RequestId) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }
    async fn list(&self, _: &AccountId, _: &LogQuery) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }
}

struct Ready(Option<Bytes>);

impl UpstreamBody for Ready {
    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

struct Provider {
    kind: &'static str,
    answer: Bytes,
}

#[async_trait]
impl Upstream for Provider {
    async fn send(
        &self,
        _: Eligible<'_>,
        _: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(self.kind))]);
        Ok(UpstreamResponse {
            status: StatusCode::OK,
            headers,
            body: Box::pin(Ready(Some(self.answer.clone()))),
        })
    }
}

struct Same;

impl Randomness for Same {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn gateway(protocol: &str, kind: &'static str, answer: String) -> (Arc<Gateway>, String) {
    let terms = json!({"trains_on_paid": false, "retention_days": 0, "zdr": true});
    let document = json!({
        "provider": [{"slug": "a", "protocol": protocol, "base_url": "http://x", "tier": "paid", "terms": terms}],
        "model": [{"id": "lab/x", "endpoint": [{"provider": "a", "price": {"prompt": "1", "completion": "1"}}]}],
    });
    let catalog =
        Catalog::from_documents(&[Document::from_json(&document.to_string()).unwrap()]).unwrap();
    let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000));
    let key = ApiKey::from_random(KeyKind::Inference, [1; 32]);
    let directory = MemoryDirectory::default();
    let mut record = KeyRecord::default();
    (record.hash, record.account, record.scopes) = (
        key.hash(),
        "acc".into(),
        Scope::defaults(KeyKind::Inference),
    );
    directory.put_key(record);
    let ports = Ports {
        clock: Arc::new(clock.clone()),
        randomness: Arc::new(Same),
        directory: Arc::new(directory),
        usage: Arc::new(Forgetful),
        blocking: Arc::new(Inline),
        events: Arc::new(NoEvents),
        limiter: Arc::new(MemoryLimiter::new(Arc::new(clock))),
        credentials: Arc::new(MemoryCredentials::default().with("a", Secret::new("k".to_owned()))),
        upstream: Arc::new(Provider {
            kind,
            answer: answer.into(),
        }),
    };
    let instance = Instance::new(
        Arc::new(CompiledCatalog::new(Arc::new(catalog))),
        Restriction::default(),
        0,
    );
    (
        Arc::new(Gateway::new(
            ports,
            instance,
            Limits::default(),
            Deadlines::default(),
        )),
        key.reveal().to_owned(),
    )
}

/// Sends a request and reads the response to its end.
fn ask(gateway: &Arc<Gateway>, key: &str, client: Protocol, body: &Bytes) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let path = match client {
        Protocol::Chat => "chat/completions",
        Protocol::Responses => "responses",
        Protocol::Messages => "messages",
        Protocol::Gemini => "models/lab/x:generateContent",
    };
    let claim = Claim {
        key: Some(Secret::new(key.to_owned())),
        path: path.into(),
        ..Claim::default()
    };
    let mut head = Head::new(claim, client);
    if client == Protocol::Gemini {
        head.address = Some(("lab/x".into(), false));
    }
    let body = body.clone();
    let Poll::Ready(mut response) = pin!(gateway.serve(head, async |_| Ok(body))).poll(&mut cx)
    else {
        panic!("nothing waits")
    };
    assert_eq!(response.status(), 200);
    let mut read = 0;
    while let Poll::Ready(Some(frame)) = Pin::new(response.body_mut()).poll_frame(&mut cx) {
        read += frame.unwrap().into_data().map_or(0, |data| data.len());
    }
    read
}

const PROTOCOLS: [(Protocol, &str); 4] = [
    (Protocol::Chat, "openai_chat"),
    (Protocol::Responses, "openai_responses"),
    (Protocol::Messages, "anthropic_messages"),
    (Protocol::Gemini, "gemini"),
];

/// Creates a plain request of about this size.
fn request(client: Protocol, prompt: usize) -> Bytes {
    let text = "line\n ".repeat(prompt / 6);
    let body = match client {
        Protocol::Chat => {
            json!({"model": "lab/x", "messages": [{"role": "user", "content": text}]})
        }
        Protocol::Responses => {
            json!({"model": "lab/x", "store": false, "input": [{"role": "user", "content": text}]})
        }
        Protocol::Messages => {
            json!({"model": "lab/x", "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
        }
        // The model stands in the address.
        Protocol::Gemini => {
            json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
        }
    };
    body.to_string().into()
}

/// Creates a plain answer.
fn answer(provider: Protocol) -> String {
    let text = "word ".repeat(40);
    let body = match provider {
        Protocol::Chat => {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 9}})
        }
        Protocol::Responses => {
            json!({"id": "r", "object": "response", "created_at": 1, "status": "completed", "error": null, "model": "m", "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}], "usage": {"input_tokens": 9, "output_tokens": 9, "total_tokens": 18}})
        }
        Protocol::Messages => {
            json!({"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 9}})
        }
        Protocol::Gemini => {
            json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9}, "modelVersion": "m", "responseId": "r"})
        }
    };
    body.to_string()
}

fn requests(c: &mut Criterion) {
    let chunk = |delta: serde_json::Value, finish: Option<&str>| {
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        )
    };
    let mut stream: String = (0..50)
        .map(|n| chunk(json!({"content": format!("word {n} ")}), None))
        .collect();
    stream.push_str(&chunk(json!({}), Some("stop")));
    stream.push_str("data: [DONE]\n\n");
    let mut group = c.benchmark_group("gateway");
    group.throughput(Throughput::Elements(1));
    for (client, _) in PROTOCOLS {
        for (provider, name) in PROTOCOLS {
            let (gateway, key) = gateway(name, "application/json", answer(provider));
            let body = request(client, 1_000);
            let name = format!("{} to {}, 1 KB", client.name(), provider.name());
            group.bench_function(name, |b| {
                b.iter(|| assert!(ask(&gateway, &key, client, &body) > 0));
            });
        }
    }
    let (plain, key) = gateway("openai_chat", "application/json", answer(Protocol::Chat));
    let body = request(Protocol::Chat, 100_000);
    group.bench_function("chat to chat, 100 KB", |b| {
        b.iter(|| assert!(ask(&plain, &key, Protocol::Chat, &body) > 0));
    });
    let (streaming, key) = gateway("openai_chat", "text/event-stream", stream);
    let body: Bytes = json!({"model": "lab/x", "stream": true, "messages": [{"role": "user", "content": "line"}]})
        .to_string()
        .into();
    group.bench_function("chat to chat, stream of 50 chunks", |b| {
        b.iter(|| assert!(ask(&streaming, &key, Protocol::Chat, &body) > 0));
    });
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
