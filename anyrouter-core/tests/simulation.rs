//! The gateway over a clock that is moved by hand and providers that fail by chance, many requests
//! at once; its laws checked after each.
//!
//! A seed decides everything. The gate runs a few short ones; `SIMULATION_SEEDS=1,2,3
//! SIMULATION_REQUESTS=100000 cargo test --release -p anyrouter-core --test simulation` runs long
//! ones, and a failure prints the seed to run again.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)] // a test may read its environment

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use anyrouter_core::{
    account::{Instance, KeyRecord},
    catalog::{Catalog, Document, Protocol},
    gateway::{Claim, Deadlines, Gateway, Head, Limits, Ports, ResponseBody},
    key::{ApiKey, KeyKind, Scope},
    policy::{CompiledCatalog, Eligible, Restriction},
    ports::{
        Clock, Randomness, Timer, Upstream, UpstreamBody, UpstreamError, UpstreamRequest,
        UpstreamResponse,
        memory::{
            Inline, ManualClock, MemoryCredentials, MemoryDirectory, MemoryLimiter, MemoryLog,
            NoEvents,
        },
    },
    secret::Secret,
    time::Timestamp,
    usage::Outcome,
    wire::connection::ConnectionFault,
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use serde_json::{Value, json};

/// Chance from a seed (SplitMix64).
#[derive(Clone)]
struct Chance(Arc<Mutex<u64>>);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    fn below(&self, n: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl Randomness for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.below(256) as u8;
        }
    }
}

const PROVIDERS: [&str; 6] = ["a", "b", "c", "d", "trains", "keeps"];
const MODELS: [&str; 3] = ["lab/one", "lab/two", "lab/three"];

fn instance() -> Instance {
    let provider: Vec<Value> = PROVIDERS
        .iter()
        .map(|slug| {
            let terms = json!({"trains_on_paid": *slug == "trains", "retention_days": if *slug == "keeps" { 30 } else { 0 }, "zdr": *slug != "keeps"});
            let protocol = if matches!(*slug, "b" | "d") { "anthropic_messages" } else { "openai_chat" };
            json!({"slug": slug, "protocol": protocol, "base_url": "http://x", "tier": "paid", "terms": terms})
        })
        .collect();
    let model: Vec<Value> = MODELS
        .iter()
        .enumerate()
        .map(|(m, id)| {
            let endpoint: Vec<Value> = PROVIDERS
                .iter()
                .enumerate()
                .map(|(i, slug)| json!({"provider": slug, "priority": (i + m) % 4 + 1, "price": {"prompt": "1", "completion": "1"}, "max_output": 1000}))
                .collect();
            json!({"id": id, "endpoint": endpoint})
        })
        .collect();
    let document =
        Document::from_json(&json!({"provider": provider, "model": model}).to_string()).unwrap();
    let catalog = Catalog::from_documents(&[document]).unwrap();
    Instance::new(
        Arc::new(CompiledCatalog::new(Arc::new(catalog))),
        Restriction::default(),
        0,
    )
}

/// What a request must not be sent to, by its name.
type Forbidden = Arc<Mutex<HashMap<String, BTreeSet<&'static str>>>>;

/// Providers that fail by chance.
#[derive(Clone)]
struct Providers {
    chance: Chance,
    clock: ManualClock,
    forbidden: Forbidden,
    /// Until when an endpoint that failed at once must be left alone.
    cooling: Arc<Mutex<HashMap<String, Timestamp>>>,
    /// How many of a hundred requests go wrong.
    faults: Arc<Mutex<u64>>,
    asked: Arc<Mutex<Vec<String>>>,
}

enum Piece {
    Bytes(String),
    Wait(Duration),
    Break,
}

struct Playing {
    pieces: std::vec::IntoIter<Piece>,
    wait: Option<Pin<Box<dyn Timer>>>,
    clock: ManualClock,
}

impl UpstreamBody for Playing {
    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                std::task::ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            match self.pieces.next() {
                Some(Piece::Bytes(text)) => return Poll::Ready(Some(Ok(text.into()))),
                Some(Piece::Wait(after)) => self.wait = Some(self.clock.timer(after)),
                Some(Piece::Break) => {
                    return Poll::Ready(Some(Err(UpstreamError::Broken(ConnectionFault::Closed))));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

fn openai_answer(stream: bool) -> Vec<String> {
    if !stream {
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
        return vec![json!({"id": "u", "choices": [{"index": 0, "message": {"role": "assistant", "content": "good"}, "finish_reason": "stop"}], "usage": usage}).to_string()];
    }
    let chunk = |delta: Value, finish: Value| {
        format!(
            "data: {}\n\n",
            json!({"id": "u", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        )
    };
    vec![
        chunk(json!({"content": "go"}), Value::Null),
        chunk(json!({"content": "od"}), Value::Null),
        chunk(json!({}), json!("stop")),
        "data: [DONE]\n\n".to_owned(),
    ]
}

fn anthropic_answer(stream: bool) -> Vec<String> {
    let message = json!({"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "good"}], "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 2}});
    if !stream {
        return vec![message.to_string()];
    }
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "go"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "od"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    events
        .iter()
        .map(|e| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap()))
        .collect()
}

#[async_trait]
impl Upstream for Providers {
    async fn send(
        &self,
        to: Eligible<'_>,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let endpoint = to.endpoint();
        let (id, now) = (endpoint.id.to_string(), self.clock.now());
        let body: Value =
            serde_json::from_slice(&request.body.concat()).expect("what is sent is JSON");
        let name = body["messages"][0]["content"]
            .as_str()
            .or_else(|| body["messages"][0]["content"][0]["text"].as_str())
            .expect("the request's name");
        let forbidden = self.forbidden.lock().unwrap()[name].clone();
        assert!(
            !forbidden.contains(endpoint.provider.as_str()),
            "{name} was sent to {id}, which it must not be"
        );
        if let Some(until) = self.cooling.lock().unwrap().get(&id) {
            assert!(
                now >= *until,
                "{id} was asked {:?} before its cooldown ends",
                until.since(now)
            );
        }
        self.asked.lock().unwrap().push(id.clone());
        let stream = body["stream"] == true;
        let good = || {
            if request.path.ends_with("messages") {
                anthropic_answer(stream)
            } else {
                openai_answer(stream)
            }
        };
        let pieces = |all: Vec<String>| all.into_iter().map(Piece::Bytes).collect::<Vec<_>>();
        let failed_at_once = |retry_after: u64| {
            self.cooling.lock().unwrap().insert(
                id.clone(),
                now.after(Duration::from_secs(retry_after.max(1))),
            );
        };
        let mut headers = HeaderMap::new();
        let kind = if stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert("content-type", kind.parse().unwrap());
        let is_faulty = self.chance.below(100) < *self.faults.lock().unwrap();
        let (status, pieces) = match if is_faulty { self.chance.below(10) } else { 99 } {
            0 => {
                failed_at_once(1);
                return Err(UpstreamError::Connect(ConnectionFault::Timeout));
            }
            1 => {
                failed_at_once(1);
                (500, pieces(vec!["{}".to_owned()]))
            }
            2 => {
                let seconds = self.chance.below(20);
                failed_at_once(seconds);
                headers.insert("retry-after", seconds.to_string().parse().unwrap());
                headers.insert("content-type", "application/json".parse().unwrap());
                (
                    429,
                    pieces(vec![
                        json!({"error": {"type": "rate_limit_error"}}).to_string(),
                    ]),
                )
            }
            3 => (
                400,
                pieces(vec![
                    json!({"error": {"code": "context_length_exceeded"}}).to_string(),
                ]),
            ),
            4 => (200, vec![Piece::Wait(Duration::from_secs(1 << 20))]),
            5 => {
                let mut all = pieces(good());
                all.truncate(1 + self.chance.below(all.len() as u64) as usize);
                all.push(Piece::Break);
                (200, all)
            }
            6 => {
                let mut all = pieces(good());
                all.insert(
                    self.chance.below(all.len() as u64) as usize,
                    Piece::Bytes("data: {\"error\":{\"code\":\"boom\"}}\n\n".to_owned()),
                );
                (200, all)
            }
            7 => (200, vec![Piece::Bytes("<html>sorry</html>".to_owned())]),
            8 => (
                200,
                good()
                    .into_iter()
                    .flat_map(|p| {
                        [
                            Piece::Wait(Duration::from_secs(self.chance.below(40))),
                            Piece::Bytes(p),
                        ]
                    })
                    .collect(),
            ),
            9 => {
                failed_at_once(1);
                (401, pieces(vec!["{}".to_owned()]))
            }
            _ => (
                200,
                good()
                    .into_iter()
                    .flat_map(|p| {
                        p.bytes()
                            .map(|b| b as char)
                            .collect::<String>()
                            .split_inclusive('d')
                            .map(ToOwned::to_owned)
                            .collect::<Vec<_>>()
                    })
                    .map(Piece::Bytes)
                    .collect(),
            ),
        };
        let body = Playing {
            pieces: pieces.into_iter(),
            wait: None,
            clock: self.clock.clone(),
        };
        Ok(UpstreamResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Box::pin(body),
        })
    }
}

/// A client with its request under way.
struct Client {
    stream: bool,
    answer: Pin<Box<dyn Future<Output = Response<ResponseBody>>>>,
    response: Option<Response<ResponseBody>>,
    read: Vec<u8>,
    /// It goes away after so many polls.
    patience: u64,
}

/// What a client saw in the end.
struct Seen {
    id: String,
    status: u16,
    text: String,
    stream: bool,
}

impl Client {
    /// True when it has everything; the answer is none where it went away before there was a head.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.response.is_none() {
            match self.answer.as_mut().poll(cx) {
                Poll::Ready(response) => self.response = Some(response),
                Poll::Pending => return false,
            }
        }
        let response = self.response.as_mut().unwrap();
        while let Poll::Ready(frame) = Pin::new(response.body_mut()).poll_frame(cx) {
            match frame {
                Some(frame) => self
                    .read
                    .extend_from_slice(&frame.unwrap().into_data().unwrap()),
                None => return true,
            }
        }
        false
    }

    fn seen(&self) -> Option<Seen> {
        let response = self.response.as_ref()?;
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        Some(Seen {
            id,
            status: response.status().as_u16(),
            text: String::from_utf8(self.read.clone()).unwrap(),
            stream: self.stream,
        })
    }
}

struct Simulation {
    gateway: Arc<Gateway>,
    clock: ManualClock,
    log: Arc<MemoryLog>,
    chance: Chance,
    providers: Providers,
    key: String,
    begun: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let (chance, clock) = (
            Chance::new(seed),
            ManualClock::new(Timestamp::from_millis(1_800_000_000_000)),
        );
        let providers = Providers {
            chance: chance.clone(),
            clock: clock.clone(),
            forbidden: Forbidden::default(),
            cooling: Arc::default(),
            faults: Arc::new(Mutex::new(30)),
            asked: Arc::default(),
        };
        let key = ApiKey::from_random(KeyKind::Inference, [1; 32]);
        let directory = MemoryDirectory::default();
        let mut record = KeyRecord::default();
        (record.hash, record.account, record.scopes) = (
            key.hash(),
            "acc".into(),
            Scope::defaults(KeyKind::Inference),
        );
        directory.put_key(record);
        let log = Arc::new(MemoryLog::default());
        let credentials = PROVIDERS
            .iter()
            .fold(MemoryCredentials::default(), |all, p| {
                all.with(p, Secret::new("k".to_owned()))
            });
        let ports = Ports {
            clock: Arc::new(clock.clone()),
            randomness: Arc::new(chance.clone()),
            directory: Arc::new(directory),
            usage: log.clone(),
            blocking: Arc::new(Inline),
            events: Arc::new(NoEvents),
            limiter: Arc::new(MemoryLimiter::new(Arc::new(clock.clone()))),
            credentials: Arc::new(credentials),
            upstream: Arc::new(providers.clone()),
        };
        let gateway = Arc::new(Gateway::new(
            ports,
            instance(),
            Limits::default(),
            Deadlines::default(),
        ));
        Self {
            gateway,
            clock,
            log,
            chance,
            providers,
            key: key.reveal().to_owned(),
            begun: 0,
        }
    }

    /// A request of a kind that chance decides.
    fn begin(&mut self) -> Client {
        let name = format!("request-{}", self.begun);
        self.begun += 1;
        let mut forbidden = BTreeSet::from(["trains"]);
        let mut provider = json!({});
        if self.chance.one_in(3) {
            let ignored = PROVIDERS[self.chance.below(4) as usize];
            provider["ignore"] = json!([ignored]);
            forbidden.insert(ignored);
        }
        if self.chance.one_in(4) {
            provider["zdr"] = json!(true);
            forbidden.insert("keeps");
        }
        if self.chance.one_in(6) {
            let only = PROVIDERS[self.chance.below(6) as usize];
            provider["only"] = json!([only]);
            forbidden.extend(PROVIDERS.iter().filter(|p| **p != only));
        }
        if self.chance.one_in(8) {
            provider["allow_fallbacks"] = json!(false);
        }
        let stream = self.chance.one_in(2);
        let mut body = json!({"model": MODELS[self.chance.below(3) as usize], "stream": stream, "provider": provider, "messages": [{"role": "user", "content": name}]});
        if self.chance.one_in(3) {
            body["models"] = json!([MODELS[self.chance.below(3) as usize]]);
        }
        if self.chance.one_in(20) {
            body["max_tokens"] = json!("many");
        }
        let claim = Claim {
            key: Some(Secret::new(self.key.clone())),
            path: "chat/completions".into(),
            ..Claim::default()
        };
        let mut head = Head::new(claim, Protocol::Chat);
        if self.chance.one_in(10) {
            let pin = PROVIDERS[self.chance.below(6) as usize];
            head.pin = Some(pin.to_owned());
            forbidden.extend(PROVIDERS.iter().filter(|p| **p != pin));
        }
        self.providers
            .forbidden
            .lock()
            .unwrap()
            .insert(name, forbidden);
        let gateway = self.gateway.clone();
        let answer = Box::pin(async move {
            gateway
                .serve(head, async move |_| Ok(body.to_string().into()))
                .await
        });
        let patience = if self.chance.one_in(10) {
            1 + self.chance.below(6)
        } else {
            u64::MAX
        };
        Client {
            stream,
            answer,
            response: None,
            read: Vec::new(),
            patience,
        }
    }

    /// Runs `count` requests, a few at a time, and gives what the clients saw.
    fn run(&mut self, count: u64, at_once: usize) -> (Vec<Seen>, u64) {
        let (mut clients, mut seen, mut gone): (Vec<Client>, _, _) = (Vec::new(), Vec::new(), 0);
        let mut cx = Context::from_waker(Waker::noop());
        let goal = self.begun + count;
        while self.begun < goal || !clients.is_empty() {
            while clients.len() < at_once && self.begun < goal {
                let client = self.begin();
                clients.push(client);
            }
            let mut n = 0;
            while n < clients.len() {
                clients[n].patience -= 1;
                if clients[n].poll(&mut cx) {
                    seen.extend(clients.swap_remove(n).seen());
                } else if clients[n].patience == 0 {
                    clients.swap_remove(n);
                    gone += 1;
                } else {
                    n += 1;
                }
            }
            self.clock
                .advance(Duration::from_millis(self.chance.below(3000)));
        }
        (seen, gone)
    }
}

fn laws(seed: u64, requests: u64) {
    let mut simulation = Simulation::new(seed);
    let (seen, gone) = simulation.run(requests, 16);
    let all = simulation.log.all();
    assert!(simulation.log.open().is_empty(), "no slot stays taken");
    let records: BTreeMap<String, _> = all.iter().map(|r| (r.id.to_string(), r)).collect();
    assert_eq!(
        records.len() as u64,
        requests,
        "one record for each request"
    );
    assert_eq!(seen.len() as u64 + gone, requests);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for s in &seen {
        let record = records
            .get(&s.id)
            .unwrap_or_else(|| panic!("{} has no record", s.id));
        *outcomes.entry(format!("{:?}", record.outcome)).or_default() += 1;
        let (has_error, is_done) = (
            s.text.contains("\"error\":{"),
            s.text.ends_with("data: [DONE]\n\n"),
        );
        match (s.stream, s.status) {
            (true, 200) => {
                assert!(
                    has_error != is_done,
                    "a stream ends with an error or is done: {}",
                    s.text
                );
                assert_eq!(record.outcome == Outcome::Ok, is_done, "{}", s.text);
                if has_error {
                    let after = s.text.split("\"error\":{").nth(1).unwrap_or_default();
                    assert!(
                        !after.contains("data: "),
                        "nothing follows an error: {}",
                        s.text
                    );
                } else {
                    let events = s.text.split("\n\n").filter_map(|e| {
                        serde_json::from_str::<Value>(e.strip_prefix("data: ")?).ok()
                    });
                    let said: String = events
                        .filter_map(|e| {
                            Some(e["choices"][0]["delta"]["content"].as_str()?.to_owned())
                        })
                        .collect();
                    assert_eq!(
                        said, "good",
                        "an answer is one provider's, and whole: {}",
                        s.text
                    );
                }
            }
            (_, 200) => {
                let answer: Value = serde_json::from_str(&s.text).unwrap();
                assert_eq!(
                    (
                        answer["choices"][0]["message"]["content"].as_str(),
                        record.outcome
                    ),
                    (Some("good"), Outcome::Ok)
                );
            }
            (_, status) => {
                let answer: Value = serde_json::from_str(&s.text).unwrap();
                assert_eq!(answer["error"]["http_status"], status);
                assert_ne!(record.outcome, Outcome::Ok);
                assert_eq!(record.http_status, status);
            }
        }
        assert!(record.attempts.len() <= Limits::default().attempts);
        let good = record.attempts.iter().filter(|a| a.outcome == "ok").count();
        assert_eq!(
            good,
            usize::from(record.outcome == Outcome::Ok),
            "{:?}",
            record.attempts
        );
    }
    let ok = outcomes.get("Ok").copied().unwrap_or(0);
    assert!(
        ok * 10 > seen.len() * 4 && ok < seen.len(),
        "some succeed and some do not: {outcomes:?}"
    );

    // The faults end; after the longest cooldown everything is as on the first day.
    *simulation.providers.faults.lock().unwrap() = 0;
    simulation.clock.advance(Duration::from_secs(400));
    for _ in 0..PROVIDERS.len() * MODELS.len() {
        simulation.run(4, 1);
    }
    let instance = simulation.gateway.instance();
    for endpoint in instance.catalog.catalog().endpoints() {
        assert_eq!(
            simulation
                .gateway
                .health()
                .cooldown(&endpoint.id, simulation.clock.now()),
            None,
            "{} came back",
            endpoint.id
        );
    }
    assert!(!simulation.providers.asked.lock().unwrap().is_empty());
}

#[test]
fn the_laws_hold_whatever_providers_and_clients_do() {
    let number =
        |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let requests: u64 = number("SIMULATION_REQUESTS", "1500")
        .parse()
        .expect("SIMULATION_REQUESTS is a number");
    for seed in number("SIMULATION_SEEDS", "1,2,3,4").split(',') {
        let seed: u64 = seed.trim().parse().expect("SIMULATION_SEEDS are numbers");
        let run = std::panic::catch_unwind(|| laws(seed, requests));
        assert!(
            run.is_ok(),
            "to see it again: SIMULATION_SEEDS={seed} SIMULATION_REQUESTS={requests} cargo test -p anyrouter-core --test simulation"
        );
    }
}
