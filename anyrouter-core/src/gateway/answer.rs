//! Responses, and the body that a client reads: it is polled by the task that serves the client,
//! polls the upstream itself, and gathers what is ready before it hands it on.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};

use super::{
    Gateway, Held,
    attempt::{Attempted, Begun},
    recorder::Recorder,
    redaction::Restoring,
    storage_unavailable,
};
use crate::{
    ids::{EndpointId, RequestId},
    ports::{Timer, UpstreamBody},
    time::Timestamp,
    usage::{Committed, Outcome},
    wire::{
        answer::{Relay, error_event},
        error::{ApiError, Failure, FailureClass},
        fault::AnswerFault,
        meter::{PlainAnswer, Progress},
    },
};

/// What one frame holds at most, in bytes, but for the last event that went into it.
const GATHER: usize = 32 << 10;

/// The body of a response.
pub struct AnswerBody(State);

enum State {
    Whole(Bytes),
    Waiting(Box<Waiting>),
    Stream(Box<Streaming>),
}

impl AnswerBody {
    fn whole(bytes: Bytes) -> Self {
        Self(State::Whole(bytes))
    }
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnswerBody(…)")
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            match &mut self.0 {
                State::Whole(bytes) if bytes.is_empty() => return Poll::Ready(None),
                State::Whole(bytes) => {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))));
                }
                State::Stream(stream) => {
                    return stream.poll_bytes(cx).map(|b| b.map(|b| Ok(Frame::data(b))));
                }
                State::Waiting(waiting) => match waiting.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Waited::Comment(bytes)) => {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Poll::Ready(Waited::Stream(stream)) => self.0 = State::Stream(stream),
                    Poll::Ready(Waited::Last(bytes)) => self.0 = State::Whole(bytes),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Whole(bytes) => bytes.is_empty(),
            State::Stream(stream) => matches!(stream.phase, Phase::Ended) && stream.out.is_empty(),
            State::Waiting(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

/// A stream that flows.
struct Streaming {
    gateway: Arc<Gateway>,
    recorder: Box<Recorder>,
    endpoint: EndpointId,
    relay: Relay,
    upstream: Option<Pin<Box<dyn UpstreamBody>>>,
    out: Vec<u8>,
    /// The memory that `out` takes, where the answer came whole.
    held: Option<Held>,
    /// What the answer of a redacted request gets back.
    restoring: Option<Restoring>,
    phase: Phase,
    /// When the last byte came. The timer is moved only when it is done.
    last_byte: Timestamp,
    idle: Option<Pin<Box<dyn Timer>>>,
    deadline: Timestamp,
}

enum Phase {
    Flowing,
    /// The record is written; these bytes wait until it is durable.
    Committing(Bytes),
    Ended,
}

impl Streaming {
    fn new(gateway: Arc<Gateway>, begun: Begun) -> Self {
        let Begun {
            recorder,
            endpoint,
            relay,
            upstream,
            out: first,
            held,
            done,
            fault,
            deadline,
            way_back,
            ..
        } = begun;
        let mut restoring = way_back.map(Restoring::new);
        let mut out = Vec::new();
        match &mut restoring {
            Some(restoring) => restoring.push(&first, &mut out),
            None => out = first,
        }
        let last_byte = recorder.now();
        let mut it = Self {
            gateway,
            recorder,
            endpoint,
            relay,
            upstream,
            out,
            held,
            restoring,
            phase: Phase::Flowing,
            last_byte,
            idle: None,
            deadline,
        };
        match fault {
            Some(fault) => it.fault(fault),
            None if done => it.complete(),
            None => {}
        }
        it
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.out.len() >= GATHER {
                return Poll::Ready(Some(self.flush()));
            }
            match &self.phase {
                Phase::Flowing if self.last_byte >= self.deadline => {
                    self.fail(&Failure::new(FailureClass::Deadline));
                }
                Phase::Flowing => match self.poll_upstream(cx) {
                    Poll::Ready(()) => {}
                    Poll::Pending if !self.out.is_empty() => {
                        return Poll::Ready(Some(self.flush()));
                    }
                    Poll::Pending => {
                        if self.poll_idle(cx).is_ready() {
                            if self.relay.is_finished() {
                                self.complete();
                                continue;
                            }
                            // Silence is the endpoint's; that the whole took too long may be
                            // anybody's.
                            let is_over = self.recorder.now() >= self.deadline;
                            self.fail(&Failure::new(if is_over {
                                FailureClass::Deadline
                            } else {
                                FailureClass::Timeout
                            }));
                            continue;
                        }
                        return Poll::Pending;
                    }
                },
                Phase::Committing(_) => match self.recorder.poll_committed(cx) {
                    Poll::Ready(Ok(committed)) => self.release(committed),
                    Poll::Ready(Err(_)) => {
                        // The record stays in its slot; the client is told, and sees no end.
                        self.out
                            .extend_from_slice(&self.error_chunk(&storage_unavailable()));
                        self.phase = Phase::Ended;
                    }
                    Poll::Pending if !self.out.is_empty() => {
                        return Poll::Ready(Some(self.flush()));
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Phase::Ended if self.out.is_empty() => return Poll::Ready(None),
                Phase::Ended => return Poll::Ready(Some(self.flush())),
            }
        }
    }

    fn flush(&mut self) -> Bytes {
        let out = std::mem::take(&mut self.out);
        match self.held.take() {
            Some(held) => held.keep(out),
            None => out.into(),
        }
    }

    /// The last bytes go out against the proof that the record is durable.
    fn release(&mut self, _proof: Committed) {
        if let Phase::Committing(last) = std::mem::replace(&mut self.phase, Phase::Ended) {
            self.out.extend_from_slice(&last);
        }
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(upstream) = &mut self.upstream else {
            return {
                self.fail(&Failure::new(FailureClass::Connection));
                Poll::Ready(())
            };
        };
        let Poll::Ready(next) = upstream.as_mut().poll_next(cx) else {
            return Poll::Pending;
        };
        self.last_byte = self.recorder.now();
        match next {
            Some(Ok(bytes)) => match self.feed(&bytes) {
                Ok(progress) if progress.done => self.complete(),
                Ok(_) => {}
                Err(fault) => self.fault(fault),
            },
            Some(Err(_)) if self.relay.is_finished() => self.complete(),
            Some(Err(_)) => self.fail(&Failure::new(FailureClass::Connection)),
            None => match self.end() {
                Ok(()) => self.complete(),
                Err(fault) => self.fail(&Failure::of_answer(fault, 200)),
            },
        }
        Poll::Ready(())
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<Progress, AnswerFault> {
        let Some(restoring) = &mut self.restoring else {
            return self.relay.feed(bytes, &mut self.out);
        };
        let mut events = Vec::new();
        let progress = self.relay.feed(bytes, &mut events);
        restoring.push(&events, &mut self.out);
        progress
    }

    fn end(&mut self) -> Result<(), AnswerFault> {
        let Some(restoring) = &mut self.restoring else {
            return self.relay.end(&mut self.out);
        };
        let mut events = Vec::new();
        let ended = self.relay.end(&mut events);
        restoring.push(&events, &mut self.out);
        ended
    }

    /// What was held back to be restored goes out.
    fn release_held(&mut self) {
        if let Some(restoring) = self.restoring.take() {
            restoring.finish(&mut self.out);
        }
    }

    /// Ready when the upstream was silent for too long, or the whole took too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.recorder.now();
            let until = self
                .last_byte
                .after(self.gateway.deadlines.idle)
                .min(self.deadline);
            let left = until.since(now);
            if left.is_zero() {
                return Poll::Ready(());
            }
            let timer = self
                .idle
                .get_or_insert_with(|| self.gateway.ports.clock.timer(left));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            timer.as_mut().reset(left);
        }
    }

    /// The answer is whole: its record is written, and its end waits for it.
    fn complete(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            upstream.finish();
        }
        self.release_held();
        self.recorder
            .metered(self.relay.names(), self.relay.meter());
        self.recorder.finish(Outcome::Ok, 200, None);
        self.phase = Phase::Committing(self.relay.last());
    }

    /// The answer is not what it should be. Behind the finish reason nothing is missed, unless an
    /// error says otherwise.
    fn fault(&mut self, fault: AnswerFault) {
        let is_missed = !self.relay.is_finished() || matches!(fault, AnswerFault::Error(_));
        if is_missed {
            self.fail(&Failure::of_answer(fault, 200));
        } else {
            self.complete();
        }
    }

    /// The answer broke off: the client is told so in the stream, after the record is written.
    fn fail(&mut self, failure: &Failure) {
        self.upstream = None;
        self.release_held();
        self.recorder.broke_off(&self.endpoint, failure);
        self.recorder
            .metered(self.relay.names(), self.relay.meter());
        let mut error = failure.to_api_error(self.endpoint.as_str());
        error.attempts = self.recorder.attempts();
        self.recorder
            .finish(Outcome::UpstreamError, 200, Some(&error.code));
        self.phase = Phase::Committing(self.error_chunk(&error).into());
    }

    fn error_chunk(&self, error: &ApiError) -> Vec<u8> {
        let names = self.relay.names();
        error_event(error, names.id, names.model.as_str(), names.created)
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        // The client went away: what passed is metered; the recorder writes the record as it is
        // dropped.
        if matches!(self.phase, Phase::Flowing) {
            self.recorder
                .metered(self.relay.names(), self.relay.meter());
        }
    }
}

/// A stream whose upstream is slow: the head was sent, comments keep the connection alive, and
/// attempts go on.
pub(super) struct Waiting {
    gateway: Arc<Gateway>,
    attempts: Pin<Box<dyn Future<Output = Attempted> + Send>>,
    timer: Pin<Box<dyn Timer>>,
    /// A comment is due at once: the timer has run out once already.
    due: bool,
    ending: Option<(Box<Recorder>, Bytes)>,
    id: RequestId,
    model: String,
    created: Timestamp,
    headers: HeaderMap,
}

enum Waited {
    Comment(Bytes),
    Stream(Box<Streaming>),
    Last(Bytes),
}

const COMMENT: &[u8] = b": waiting for the provider\n\n";

impl Waiting {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        attempts: Pin<Box<dyn Future<Output = Attempted> + Send>>,
        timer: Pin<Box<dyn Timer>>,
        id: RequestId,
        model: String,
        created: Timestamp,
        headers: HeaderMap,
    ) -> Self {
        Self {
            gateway,
            attempts,
            timer,
            due: true,
            ending: None,
            id,
            model,
            created,
            headers,
        }
    }

    pub(super) fn into_response(mut self) -> Response<AnswerBody> {
        let mut headers = std::mem::take(&mut self.headers);
        event_stream(&mut headers);
        build(200, headers, AnswerBody(State::Waiting(Box::new(self))))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Waited> {
        if let Some((recorder, last)) = &mut self.ending {
            return match recorder.poll_committed(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(_committed)) => Poll::Ready(Waited::Last(std::mem::take(last))),
                Poll::Ready(Err(_)) => {
                    Poll::Ready(Waited::Last(self.error_chunk(&storage_unavailable())))
                }
            };
        }
        if let Poll::Ready(attempted) = self.attempts.as_mut().poll(cx) {
            match attempted {
                Attempted::Stream(begun) => {
                    return Poll::Ready(Waited::Stream(Box::new(Streaming::new(
                        self.gateway.clone(),
                        *begun,
                    ))));
                }
                // A stream was asked for, and a stream is what succeeds.
                Attempted::Plain(recorder, ..) => {
                    self.end(
                        recorder,
                        Outcome::UpstreamError,
                        &Failure::new(FailureClass::BadAnswer).to_api_error(""),
                    );
                }
                Attempted::Failed(recorder, outcome, error) => self.end(recorder, outcome, &error),
            }
            return self.poll(cx);
        }
        if !self.due {
            std::task::ready!(self.timer.as_mut().poll(cx));
        }
        self.due = false;
        self.timer.as_mut().reset(self.gateway.deadlines.comment);
        // The timer must know this task.
        let _ = self.timer.as_mut().poll(cx);
        Poll::Ready(Waited::Comment(Bytes::from_static(COMMENT)))
    }

    fn end(&mut self, mut recorder: Box<Recorder>, outcome: Outcome, error: &ApiError) {
        let last = self.error_chunk(error);
        recorder.finish(outcome, 200, Some(&error.code));
        self.ending = Some((recorder, last));
    }

    fn error_chunk(&self, error: &ApiError) -> Bytes {
        error_event(error, self.id, &self.model, self.created.seconds()).into()
    }
}

fn build(status: u16, headers: HeaderMap, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OVERHEAD: HeaderName = HeaderName::from_static("x-anyrouter-overhead-ms");

fn name(headers: &mut HeaderMap, id: RequestId) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
}

fn event_stream(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // A proxy such as nginx hands each event on at once.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
}

fn number(headers: &mut HeaderMap, name: &'static str, value: u64) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
}

/// The headers that every answer of an accepted request has.
pub(super) fn common(recorder: &Recorder) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    name(&mut headers, recorder.id());
    let spent = u64::try_from(recorder.now().since(recorder.record.created_at).as_micros())
        .unwrap_or(u64::MAX);
    let overhead = spent.saturating_sub(recorder.waited);
    if let Ok(value) = HeaderValue::try_from(format!("{}.{:03}", overhead / 1000, overhead % 1000))
    {
        headers.insert(OVERHEAD, value);
    }
    if let Some(room) = recorder.room {
        let reset = room.reset.as_secs() + u64::from(room.reset.subsec_nanos() > 0);
        for (ours, standard, value) in [
            ("x-ratelimit-limit", "ratelimit-limit", room.limit),
            (
                "x-ratelimit-remaining",
                "ratelimit-remaining",
                room.remaining,
            ),
            ("x-ratelimit-reset", "ratelimit-reset", reset),
        ] {
            number(&mut headers, ours, value);
            number(&mut headers, standard, value);
        }
        headers.insert("x-ratelimit-tier", HeaderValue::from_static("key"));
        headers.insert("x-ratelimit-window", HeaderValue::from_static("60"));
        if let Ok(policy) = HeaderValue::try_from(format!("{};w=60", room.limit)) {
            headers.insert("ratelimit-policy", policy);
        }
    }
    if recorder.is_redacted {
        let counts: Vec<String> = recorder
            .record
            .redacted
            .iter()
            .map(|(label, count)| format!("{label}={count}"))
            .collect();
        let said = if counts.is_empty() {
            "0".to_owned()
        } else {
            counts.join(", ")
        };
        if let Ok(value) = HeaderValue::try_from(said) {
            headers.insert("x-anyrouter-redacted", value);
        }
    }
    if let Some(trace) = recorder.trace_id.as_deref().filter(|t| t.len() <= 128)
        && let Ok(value) = HeaderValue::from_str(trace)
    {
        headers.insert("x-anyrouter-trace-id", value);
    }
    headers
}

/// A whole answer, against the proof that its record is durable.
pub(super) fn plain_response(
    recorder: &Recorder,
    answer: PlainAnswer,
    _proof: Committed,
) -> Response<AnswerBody> {
    let mut headers = common(recorder);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    build(200, headers, AnswerBody::whole(answer.body))
}

/// A stream whose first event is here.
pub(super) fn stream_response(begun: Begun) -> Response<AnswerBody> {
    let mut headers = common(&begun.recorder);
    event_stream(&mut headers);
    if let Some(left) = begun.headers.get("x-ratelimit-remaining-requests") {
        headers.insert("x-upstream-ratelimit-remaining", left.clone());
    }
    let gateway = begun.recorder.gateway();
    build(
        200,
        headers,
        AnswerBody(State::Stream(Box::new(Streaming::new(gateway, begun)))),
    )
}

/// An error to a request that was accepted.
pub(super) fn error_response(recorder: &Recorder, error: &ApiError) -> Response<AnswerBody> {
    let mut response = respond_error(recorder.id(), error);
    for (name, value) in &common(recorder) {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// An error in OpenAI's shape.
pub(super) fn respond_error(id: RequestId, error: &ApiError) -> Response<AnswerBody> {
    let mut headers = HeaderMap::with_capacity(8);
    name(&mut headers, id);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(seconds) = error.retry_after {
        number(&mut headers, "retry-after", seconds);
    }
    let body = error.to_openai(&id.to_string()).to_string();
    build(error.status, headers, AnswerBody::whole(body.into()))
}
