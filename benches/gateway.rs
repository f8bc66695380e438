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
fn ask(gateway: &Arc<Gateway>, key: &str, body: &Bytes) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let claim = Claim {
        key: Some(Secret::new(key.to_owned())),
        path: "chat/completions".into(),
        ..Claim::default()
    };
    let head = Head::new(claim, Protocol::Chat);
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

fn requests(c: &mut Criterion) {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 9});
    let text = "word ".repeat(40);
    let openai = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": usage}).to_string();
    let anthropic = json!({"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 9}}).to_string();
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
    let body = |prompt: usize, stream: bool| -> Bytes {
        json!({"model": "lab/x", "stream": stream, "messages": [{"role": "user", "content": "line\\n ".repeat(prompt / 7)}]})
            .to_string()
            .into()
    };
    let mut group = c.benchmark_group("gateway");
    group.throughput(Throughput::Elements(1));
    for (name, protocol, kind, answer, body) in [
        (
            "plain, 1 KB",
            "openai_chat",
            "application/json",
            &openai,
            body(1_000, false),
        ),
        (
            "plain, 100 KB",
            "openai_chat",
            "application/json",
            &openai,
            body(100_000, false),
        ),
        (
            "translated, 1 KB",
            "anthropic_messages",
            "application/json",
            &anthropic,
            body(1_000, false),
        ),
        (
            "stream of 50 chunks",
            "openai_chat",
            "text/event-stream",
            &stream,
            body(1_000, true),
        ),
    ] {
        let (gateway, key) = gateway(protocol, kind, answer.clone());
        group.bench_function(name, |b| b.iter(|| assert!(ask(&gateway, &key, &body) > 0)));
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
