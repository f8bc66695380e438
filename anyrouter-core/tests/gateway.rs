//! The path of a request over the ports, in memory, by a clock that stands still until it is moved.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use anyrouter_core::{
    account::{Caller, Instance, KeyRecord},
    catalog::{Catalog, Document, Protocol},
    gateway::{Claim, Deadlines, Gateway, Head, Limits, Ports, ResponseBody, WithoutLimiter},
    key::{ApiKey, KeyHash, KeyKind, Scope},
    policy::{CompiledCatalog, Eligible, Restriction, Settings},
    ports::{
        Backend, Blocking, Event, Limiter, Randomness, Reservation, Room, StoreError, Tokens,
        Upstream, UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse,
        memory::{
            Inline, ManualClock, MemoryCredentials, MemoryDirectory, MemoryEvents, MemoryLimiter,
            MemoryLog,
        },
    },
    secret::Secret,
    time::Timestamp,
    usage::{Outcome, Record},
    wire::connection::ConnectionFault,
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use serde_json::{Value, json};

/// What an upstream does, piece by piece.
#[derive(Clone)]
enum Piece {
    Bytes(String),
    Wait(Duration),
    Break,
    Hang,
}

#[derive(Default)]
struct Script {
    acts: Mutex<HashMap<String, Vec<(u16, Vec<Piece>)>>>,
    asked: Mutex<Vec<String>>,
}

struct Puppet {
    script: Arc<Script>,
    clock: ManualClock,
}

struct Playing {
    pieces: std::vec::IntoIter<Piece>,
    wait: Option<Pin<Box<dyn anyrouter_core::ports::Timer>>>,
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
                Some(Piece::Wait(after)) => {
                    self.wait = Some(anyrouter_core::ports::Clock::timer(&self.clock, after));
                }
                Some(Piece::Break) => {
                    return Poll::Ready(Some(Err(UpstreamError::Broken(ConnectionFault::Closed))));
                }
                Some(Piece::Hang) => {
                    self.wait = Some(anyrouter_core::ports::Clock::timer(
                        &self.clock,
                        Duration::from_secs(1 << 30),
                    ));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

#[async_trait]
impl Upstream for Puppet {
    async fn send(
        &self,
        to: Eligible<'_>,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let endpoint = to.endpoint().id.to_string();
        self.script.asked.lock().unwrap().push(endpoint.clone());
        let (status, pieces) = {
            let mut acts = self.script.acts.lock().unwrap();
            let list = acts
                .get_mut(&endpoint)
                .unwrap_or_else(|| panic!("no script for {endpoint}"));
            if list.len() > 1 {
                list.remove(0)
            } else {
                list[0].clone()
            }
        };
        let mut headers = HeaderMap::new();
        let stream = serde_json::from_slice::<Value>(&request.body.concat()).unwrap()["stream"]
            == true
            && status == 200;
        headers.insert(
            "content-type",
            if stream {
                "text/event-stream"
            } else {
                "application/json"
            }
            .parse()
            .unwrap(),
        );
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

struct Counter(Mutex<u8>);

impl Randomness for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let mut n = self.0.lock().unwrap();
        *n = n.wrapping_add(1);
        bytes.fill(*n);
    }
}

struct Rig {
    gateway: Arc<Gateway>,
    clock: ManualClock,
    log: Arc<MemoryLog>,
    events: Arc<MemoryEvents>,
    script: Arc<Script>,
    key: String,
}

impl Rig {
    /// Two endpoints of `lab/x`, `a` before `b`, and whatever they do.
    fn new(a: Vec<(u16, Vec<Piece>)>, b: Vec<(u16, Vec<Piece>)>) -> Self {
        Self::speaking("openai_chat", a, b)
    }

    /// The same, with `a` speaking this protocol.
    fn speaking(protocol: &str, a: Vec<(u16, Vec<Piece>)>, b: Vec<(u16, Vec<Piece>)>) -> Self {
        Self::made(protocol, a, b, |_, _, _| {})
    }

    /// The same, with `make` having its way with the key and the gateway's parts.
    fn made(
        protocol: &str,
        a: Vec<(u16, Vec<Piece>)>,
        b: Vec<(u16, Vec<Piece>)>,
        make: impl FnOnce(&mut KeyRecord, &mut Ports, &mut Limits),
    ) -> Self {
        let terms = json!({"trains_on_paid": false, "retention_days": 0, "zdr": true});
        let provider = |slug: &str, protocol: &str| json!({"slug": slug, "protocol": protocol, "base_url": "http://x", "tier": "paid", "terms": terms});
        let endpoint = |slug: &str, priority: u32| json!({"provider": slug, "priority": priority, "price": {"prompt": "1", "completion": "1"}});
        let document = json!({"provider": [provider("a", protocol), provider("b", "openai_chat")], "model": [{"id": "lab/x", "endpoint": [endpoint("a", 1), endpoint("b", 2)]}]});
        let catalog =
            Catalog::from_documents(&[Document::from_json(&document.to_string()).unwrap()])
                .unwrap();
        let instance = Instance::new(
            Arc::new(CompiledCatalog::new(Arc::new(catalog))),
            Restriction::default(),
            0,
        );
        let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000));
        let key = ApiKey::from_random(KeyKind::Inference, [1; 32]);
        let directory = MemoryDirectory::default();
        let mut record = KeyRecord::default();
        (record.hash, record.account, record.scopes) = (
            key.hash(),
            "acc".into(),
            Scope::defaults(KeyKind::Inference),
        );
        let directory = Arc::new(directory);
        let script = Arc::new(Script {
            acts: Mutex::new(HashMap::from([
                ("a/lab-x".to_owned(), a),
                ("b/lab-x".to_owned(), b),
            ])),
            ..Script::default()
        });
        let log = Arc::new(MemoryLog::default());
        let credential = || Secret::new("k".to_owned());
        let events = Arc::new(MemoryEvents::default());
        let mut ports = Ports {
            clock: Arc::new(clock.clone()),
            randomness: Arc::new(Counter(Mutex::new(0))),
            directory: directory.clone(),
            usage: log.clone(),
            blocking: Arc::new(Inline),
            events: events.clone(),
            limiter: Arc::new(MemoryLimiter::new(Arc::new(clock.clone()))),
            credentials: Arc::new(
                MemoryCredentials::default()
                    .with("a", credential())
                    .with("b", credential()),
            ),
            upstream: Arc::new(Puppet {
                script: script.clone(),
                clock: clock.clone(),
            }),
        };
        let mut limits = Limits::default();
        make(&mut record, &mut ports, &mut limits);
        directory.put_key(record);
        let gateway = Arc::new(Gateway::new(ports, instance, limits, Deadlines::default()));
        Self {
            gateway,
            clock,
            log,
            events,
            script,
            key: key.reveal().to_owned(),
        }
    }

    /// Sends a request and moves time on in steps until it is answered.
    fn ask(&self, stream: bool) -> Response<ResponseBody> {
        let claim = Claim {
            key: Some(Secret::new(self.key.clone())),
            path: "chat/completions".into(),
            ..Claim::default()
        };
        let head = Head::new(claim, Protocol::Chat);
        let body = json!({"model": "lab/x", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
        let mut answer = std::pin::pin!(self.gateway.serve(head, async |_| Ok(body.into())));
        self.run(|cx| answer.as_mut().poll(cx))
    }

    fn run<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            if let Poll::Ready(done) = poll(&mut cx) {
                return done;
            }
            self.clock.advance(Duration::from_millis(500));
        }
        panic!("it never ends");
    }

    fn read(&self, mut response: Response<ResponseBody>) -> String {
        let mut text = Vec::new();
        while let Some(frame) = self.run(|cx| Pin::new(response.body_mut()).poll_frame(cx)) {
            text.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    fn only_record(&self) -> Record {
        let all = self.log.all();
        assert_eq!(all.len(), 1, "one request, one record");
        assert!(self.log.open().is_empty(), "no slot stays taken");
        all[0].clone()
    }
}

fn chunk(text: &str, finish: Option<&str>) -> Piece {
    Piece::Bytes(format!(
        "data: {}\n\n",
        json!({"id": "u", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})
    ))
}

fn done() -> Piece {
    Piece::Bytes("data: [DONE]\n\n".to_owned())
}

fn ok_stream() -> Vec<(u16, Vec<Piece>)> {
    vec![(200, vec![chunk("fine", Some("stop")), done()])]
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_hanging_endpoint_is_given_up_after_the_first_byte_deadline_and_another_answers() {
    let rig = Rig::new(vec![(200, vec![Piece::Hang])], ok_stream());
    let response = rig.ask(true);
    let text = rig.read(response);
    assert_eq!(
        text.matches(": waiting").count(),
        29,
        "a comment every 10 s; the thirtieth falls with the deadline"
    );
    assert!(text.contains("fine") && text.ends_with("[DONE]\n\n"));
    let record = rig.only_record();
    let attempts: Vec<(&str, &str)> = record
        .attempts
        .iter()
        .map(|a| (a.endpoint.as_str(), &*a.outcome))
        .collect();
    assert_eq!(attempts, [("a/lab-x", "timeout"), ("b/lab-x", "ok")]);
    assert_eq!(record.outcome, Outcome::Ok);
}

#[test]
fn a_record_names_the_protocol_that_came_in_and_the_one_that_went_out() {
    let message = json!({"type": "message", "id": "m", "content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let good = vec![(200, vec![Piece::Bytes(message.to_string())])];
    for (a, expected) in [
        (good, Protocol::Messages),
        (vec![(500, vec![])], Protocol::Chat),
    ] {
        let rig = Rig::speaking("anthropic_messages", a, ok_stream());
        let response = rig.ask(false);
        assert!(rig.read(response).contains("fine"));
        let record = rig.only_record();
        assert_eq!(
            (record.inbound, record.outbound),
            (Protocol::Chat, Some(expected))
        );
    }
}

#[test]
fn a_stream_that_trickles_lives_and_one_that_stops_does_not() {
    let mut trickle: Vec<Piece> = (0..50)
        .flat_map(|_| [chunk("x", None), Piece::Wait(SECOND * 20)])
        .collect();
    trickle.extend([chunk("", Some("stop")), done()]);
    let rig = Rig::new(vec![(200, trickle)], ok_stream());
    assert!(
        rig.read(rig.ask(true)).ends_with("[DONE]\n\n"),
        "1,000 s in all, but never 120 s without a byte"
    );

    let rig = Rig::new(
        vec![(200, vec![chunk("x", None), Piece::Hang])],
        ok_stream(),
    );
    let text = rig.read(rig.ask(true));
    assert!(
        text.contains("upstream_timeout") && !text.contains("[DONE]"),
        "{text}"
    );
    let record = rig.only_record();
    assert_eq!(
        (record.outcome, record.error_code.as_deref()),
        (Outcome::UpstreamError, Some("upstream_timeout"))
    );
    assert_eq!(
        rig.script.asked.lock().unwrap().len(),
        1,
        "no attempt follows what the client has seen"
    );
}

#[test]
fn the_whole_deadline_ends_even_a_stream_that_never_stops() {
    let endless: Vec<Piece> = (0..1000)
        .flat_map(|_| [chunk("x", None), Piece::Wait(SECOND * 5)])
        .collect();
    let rig = Rig::new(vec![(200, endless)], ok_stream());
    let text = rig.read(rig.ask(true));
    assert!(!text.contains("[DONE]"), "1,800 s are the most");
    assert_eq!(rig.only_record().outcome, Outcome::UpstreamError);
}

#[test]
fn a_request_that_is_dropped_anywhere_leaves_one_record() {
    // Dropped after each number of polls, from before the first to after the last.
    for polls in 0..40 {
        let rig = Rig::new(
            vec![(
                200,
                vec![
                    Piece::Wait(SECOND),
                    chunk("12345678", None),
                    Piece::Wait(SECOND),
                    chunk("x", Some("stop")),
                    done(),
                ],
            )],
            ok_stream(),
        );
        let mut cx = Context::from_waker(Waker::noop());
        let mut left = polls;
        {
            let claim = Claim {
                key: Some(Secret::new(rig.key.clone())),
                path: "chat/completions".into(),
                ..Claim::default()
            };
            let head = Head::new(claim, Protocol::Chat);
            let body = json!({"model": "lab/x", "stream": true, "messages": []}).to_string();
            let mut answer = std::pin::pin!(rig.gateway.serve(head, async |_| Ok(body.into())));
            let mut response = None;
            while left > 0 && response.is_none() {
                left -= 1;
                match answer.as_mut().poll(&mut cx) {
                    Poll::Ready(r) => response = Some(r),
                    Poll::Pending => rig.clock.advance(Duration::from_millis(200)),
                }
            }
            while let Some(response) = response.as_mut().filter(|_| left > 0) {
                left -= 1;
                match Pin::new(response.body_mut()).poll_frame(&mut cx) {
                    Poll::Ready(None) => break,
                    Poll::Ready(Some(_)) => {}
                    Poll::Pending => rig.clock.advance(Duration::from_millis(200)),
                }
            }
        }
        if polls == 0 {
            assert!(
                rig.log.all().is_empty(),
                "a request that was never polled was never accepted"
            );
            continue;
        }
        let record = rig.only_record();
        assert!(
            matches!(record.outcome, Outcome::Cancelled | Outcome::Ok),
            "after {polls} polls: {:?}",
            record.outcome
        );
        if record.outcome == Outcome::Cancelled {
            assert_eq!(record.http_status, 499);
            assert!(
                rig.gateway.health().begin(
                    rig.gateway
                        .instance()
                        .catalog
                        .catalog()
                        .endpoint("a/lab-x")
                        .map(|e| &e.id)
                        .unwrap(),
                    rig_now(&rig)
                ),
                "it cools nothing down"
            );
        }
    }
}

fn rig_now(rig: &Rig) -> Timestamp {
    anyrouter_core::ports::Clock::now(&rig.clock)
}

#[test]
fn what_an_endpoint_does_decides_who_is_asked_next() {
    let failing = |status: u16| vec![(status, vec![Piece::Bytes("{}".to_owned())])];
    for status in [408, 429, 500, 502, 503, 529, 401, 403, 402, 404] {
        let rig = Rig::new(failing(status), ok_stream());
        assert!(
            rig.read(rig.ask(true)).contains("fine"),
            "{status} is the endpoint's: another is tried"
        );
        assert_eq!(*rig.script.asked.lock().unwrap(), ["a/lab-x", "b/lab-x"]);
    }
    for status in [400, 413, 415, 422] {
        let rig = Rig::new(failing(status), ok_stream());
        assert_eq!(rig.ask(true).status().as_u16(), status);
        assert_eq!(
            *rig.script.asked.lock().unwrap(),
            ["a/lab-x"],
            "{status} is the request's: no other is tried"
        );
    }
    let rig = Rig::new(vec![(200, vec![Piece::Break])], ok_stream());
    assert!(
        rig.read(rig.ask(true)).contains("fine"),
        "a connection that breaks before the first event"
    );
}

#[test]
fn an_endpoint_that_lies_hangs_or_fails_loses_traffic_and_gets_it_back() {
    let bad = [
        vec![(
            200,
            vec![
                Piece::Bytes("data: {\"choices\": 7}\n\n".to_owned()),
                Piece::Break,
            ],
        )],
        vec![(200, vec![Piece::Hang])],
        vec![(500, vec![])],
    ];
    for acts in bad {
        let recovered = [acts, ok_stream()].concat();
        let rig = Rig::new(recovered, ok_stream());
        for _ in 0..4 {
            rig.read(rig.ask(true));
        }
        let asked = rig.script.asked.lock().unwrap().clone();
        assert_eq!(
            asked.iter().filter(|e| *e == "a/lab-x").count(),
            1,
            "{asked:?}: left alone while it cools down"
        );
        rig.clock.advance(SECOND * 2);
        rig.read(rig.ask(true));
        assert_eq!(
            rig.script.asked.lock().unwrap().last().unwrap(),
            "a/lab-x",
            "and asked again after"
        );
    }
}

#[test]
fn a_slow_endpoint_loses_traffic_while_it_is_slow_and_is_tried_again_after_a_minute() {
    let slow = vec![(
        200,
        vec![
            Piece::Wait(SECOND * 20),
            chunk("slow", Some("stop")),
            done(),
        ],
    )];
    let recovered = [slow, ok_stream()].concat();
    let rig = Rig::new(recovered, ok_stream());
    rig.read(rig.ask(true));
    for _ in 0..5 {
        rig.read(rig.ask(true));
    }
    let asked = rig.script.asked.lock().unwrap().clone();
    assert_eq!(
        asked.iter().filter(|e| *e == "a/lab-x").count(),
        1,
        "{asked:?}: the other is asked while this one is slow"
    );
    rig.clock.advance(SECOND * 61);
    rig.read(rig.ask(true));
    assert_eq!(
        rig.script.asked.lock().unwrap().last().unwrap(),
        "a/lab-x",
        "what was slow a minute ago is tried again"
    );
}

#[test]
fn operators_are_told_of_failures_and_of_cooldowns_that_open_and_close() {
    let acts = vec![
        (500, vec![]),
        (200, vec![Piece::Break]),
        (200, vec![chunk("fine", Some("stop")), done()]),
        (400, vec![]),
        (200, vec![chunk("half", None), Piece::Break]),
    ];
    let rig = Rig::new(acts, ok_stream());
    let told = |rig: &Rig| {
        let name = |e: Event| match e {
            Event::UpstreamFailed {
                provider,
                endpoint,
                class,
                status,
                connection,
                ..
            } => {
                assert_eq!((provider.as_str(), endpoint.as_str()), ("a", "a/lab-x"));
                format!("{} {status:?} {connection:?}", class.as_str())
            }
            Event::CooldownOpened { endpoint, lasts } => format!("{endpoint} opens for {lasts:?}"),
            Event::CooldownClosed { endpoint } => format!("{endpoint} closes"),
            Event::BackendFailed { backend, error } => format!("{} {error}", backend.as_str()),
        };
        rig.events.take().into_iter().map(name).collect::<Vec<_>>()
    };
    rig.read(rig.ask(true));
    assert_eq!(
        told(&rig),
        ["server_error Some(500) None", "a/lab-x opens for 1s"]
    );
    rig.clock.advance(SECOND * 2);
    rig.read(rig.ask(true));
    assert_eq!(
        told(&rig),
        ["connection_failed None Some(Closed)"],
        "a failed probe keeps it open"
    );
    rig.clock.advance(SECOND * 5);
    rig.read(rig.ask(true));
    assert_eq!(told(&rig), ["a/lab-x closes"]);
    rig.read(rig.ask(true));
    assert_eq!(
        told(&rig),
        Vec::<String>::new(),
        "a request that is rejected is its client's concern"
    );
    rig.read(rig.ask(true));
    assert_eq!(
        told(&rig),
        [
            "connection_failed None Some(Closed)",
            "a/lab-x opens for 1s"
        ],
        "a stream that breaks off"
    );
}

/// Work during which another request of the same caller comes.
#[derive(Default)]
struct Meanwhile {
    gateway: OnceLock<Weak<Gateway>>,
    caller: OnceLock<Arc<Caller>>,
    runs: AtomicUsize,
}

impl Blocking for Meanwhile {
    fn run(&self, work: &mut dyn FnMut()) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let gateway = self.gateway.get().and_then(Weak::upgrade).unwrap();
        let instance = gateway.instance();
        let mut another = std::pin::pin!(gateway.redactor(self.caller.get().unwrap(), &instance));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(another.as_mut().poll(&mut cx).is_pending(), "it waits");
        work();
    }
}

#[test]
fn rules_are_compiled_once_for_all_requests_that_wait_for_them() {
    let meanwhile = Arc::new(Meanwhile::default());
    let blocking = meanwhile.clone();
    let rig = Rig::made("openai_chat", ok_stream(), vec![], move |_, ports, _| {
        ports.blocking = blocking;
    });
    let caller = Arc::new(Caller::new(KeyRecord::default(), Settings::default()));
    meanwhile.gateway.set(Arc::downgrade(&rig.gateway)).unwrap();
    meanwhile.caller.set(caller.clone()).unwrap();
    let instance = rig.gateway.instance();
    for _ in 0..2 {
        let mut compiled = std::pin::pin!(rig.gateway.redactor(&caller, &instance));
        assert!(rig.run(|cx| compiled.as_mut().poll(cx)).is_ok());
    }
    assert_eq!(meanwhile.runs.load(Ordering::Relaxed), 1);
}

/// A limiter that cannot be reached.
struct Unreachable;

#[async_trait]
impl Limiter for Unreachable {
    async fn request(&self, _: &KeyHash, _: u32) -> Result<Room, StoreError> {
        Err(StoreError::Unavailable("no connection".to_owned()))
    }

    async fn tokens(&self, _: &KeyHash, _: u64, _: u64) -> Result<Tokens, StoreError> {
        Err(StoreError::Busy("no answer in time".to_owned()))
    }

    fn settle(&self, _: &KeyHash, _: Reservation, _: u64) {}
}

#[test]
fn a_limiter_that_fails_refuses_a_request_or_admits_it_as_the_setting_says() {
    let limited = |requests, tokens, without_limiter| {
        Rig::made(
            "openai_chat",
            ok_stream(),
            vec![],
            move |key, ports, limits| {
                key.requests_per_minute = requests;
                key.tokens_per_minute = tokens;
                ports.limiter = Arc::new(Unreachable);
                limits.without_limiter = without_limiter;
            },
        )
    };
    for (requests, tokens) in [(Some(5), None), (None, Some(100_000))] {
        let rig = limited(requests, tokens, WithoutLimiter::default());
        let response = rig.ask(true);
        assert_eq!(response.status(), 503);
        assert!(rig.read(response).contains("limiter_unavailable"));
        assert!(
            rig.script.asked.lock().unwrap().is_empty(),
            "nothing was sent"
        );
        let told = rig.events.take();
        assert!(
            matches!(
                told[..],
                [Event::BackendFailed {
                    backend: Backend::Limiter,
                    ..
                }]
            ),
            "{told:?}"
        );
        let record = rig.only_record();
        assert_eq!(record.outcome, Outcome::Refused);
        assert_eq!(record.error_code.as_deref(), Some("limiter_unavailable"));

        let rig = limited(requests, tokens, WithoutLimiter::Admit);
        assert!(rig.read(rig.ask(true)).contains("fine"));
        let record = rig.only_record();
        assert_eq!((record.outcome, record.unlimited), (Outcome::Ok, true));
    }
    let rig = limited(None, None, WithoutLimiter::Refuse);
    let text = rig.read(rig.ask(true));
    assert!(text.contains("fine"), "a key without limits: {text}");
    assert!(!rig.only_record().unlimited);
}
