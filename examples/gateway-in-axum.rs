//! The whole gateway inside your own service: an axum route, in-memory backends, and an upstream
//! that answers by itself.
//!
//! Run `cargo run --example gateway-in-axum`, then the `curl` command that it prints. `--once`
//! sends that request itself and exits.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyrouter_core::{
    account::{Instance, KeyRecord},
    catalog::{Catalog, Document, Protocol},
    gateway::{Claim, Deadlines, Gateway, Head, Limits, Ports},
    key::{ApiKey, KeyKind, Scope},
    policy::{CompiledCatalog, Eligible, Restriction},
    ports::{
        Clock, Randomness, Timer, Upstream, UpstreamBody, UpstreamError, UpstreamRequest,
        UpstreamResponse,
        memory::{Inline, MemoryCredentials, MemoryDirectory, MemoryLimiter, MemoryLog, NoEvents},
    },
    secret::Secret,
    time::Timestamp,
};
use async_trait::async_trait;
use axum::{
    Router, body::Body, extract::State, http::HeaderMap, response::Response, routing::post,
};
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

struct Time;

struct Sleep(Pin<Box<tokio::time::Sleep>>);

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Timer for Sleep {
    fn reset(mut self: Pin<&mut Self>, after: Duration) {
        self.0.as_mut().reset(tokio::time::Instant::now() + after);
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
    fn timer(&self, after: Duration) -> Pin<Box<dyn Timer>> {
        Box::pin(Sleep(Box::pin(tokio::time::sleep(after))))
    }
}

struct Chance;

impl Randomness for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        rand::RngCore::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// A custom upstream. Only the policy can create the `Eligible` that it receives.
struct Hello;

struct Once(Option<Bytes>);

impl UpstreamBody for Once {
    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

#[async_trait]
impl Upstream for Hello {
    async fn send(
        &self,
        to: Eligible<'_>,
        _: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let text = format!("Hello from {}.", to.endpoint().id);
        let choices = json!([{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]);
        let answer = json!({"id": "1", "object": "chat.completion", "created": 0, "model": "hello", "choices": choices,
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}});
        Ok(UpstreamResponse {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Box::pin(Once(Some(answer.to_string().into()))),
        })
    }
}

async fn chat(State(gateway): State<Arc<Gateway>>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers
        .get("authorization")
        .and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
    let claim = Claim {
        key: key.map(|k| Secret::new(k.to_owned())),
        path: "chat/completions".into(),
        ..Claim::default()
    };
    let head = Head::new(claim, Protocol::Chat);
    gateway.serve(head, async |_| Ok(body)).await.map(Body::new)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let document = Document::from_toml(
        r#"
        [[provider]]
        slug = "hello"
        protocol = "openai_chat"
        base_url = "http://upstream.invalid/v1"
        terms = { self_hosted = true }
        [[model]]
        id = "hello/world"
        [[model.endpoint]]
        provider = "hello"
        price = { prompt = "1", completion = "2" }
        "#,
    )?;
    let catalog = CompiledCatalog::new(Arc::new(Catalog::from_documents(&[document])?));
    let instance = Instance::new(Arc::new(catalog), Restriction::default(), 0);

    let mut random = [0; 32];
    Chance.fill(&mut random);
    let key = ApiKey::from_random(KeyKind::Inference, random);
    let mut record = KeyRecord::default();
    record.hash = key.hash();
    record.account = "acc_example".into();
    record.scopes = Scope::defaults(KeyKind::Inference);
    let directory = MemoryDirectory::default();
    directory.put_key(record);

    let log = Arc::new(MemoryLog::default());
    let clock = Arc::new(Time);
    let ports = Ports {
        clock: clock.clone(),
        randomness: Arc::new(Chance),
        directory: Arc::new(directory),
        usage: log.clone(),
        blocking: Arc::new(Inline),
        events: Arc::new(NoEvents),
        limiter: Arc::new(MemoryLimiter::new(clock)),
        credentials: Arc::new(
            MemoryCredentials::default().with("hello", Secret::new("none".to_owned())),
        ),
        upstream: Arc::new(Hello),
    };
    let gateway = Arc::new(Gateway::new(
        ports,
        instance,
        Limits::default(),
        Deadlines::default(),
    ));
    let app = Router::new()
        .route("/v1/chat/completions", post(chat))
        .with_state(gateway);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let body = json!({"model": "hello/world", "messages": [{"role": "user", "content": "Hi"}]})
        .to_string();
    println!(
        "curl http://{address}/v1/chat/completions -H 'Authorization: Bearer {}' -d '{body}'",
        key.reveal()
    );
    if !std::env::args().any(|a| a == "--once") {
        axum::serve(listener, app).await?;
        return Ok(());
    }
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        key.reveal(),
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    println!(
        "\n{answer}\n\n{} usage record: {:?}",
        log.all().len(),
        log.all().first().map(|r| (r.outcome, r.tokens, r.cost))
    );
    Ok(())
}
