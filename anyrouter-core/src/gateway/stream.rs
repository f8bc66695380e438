//! The body of a streamed response. It polls the upstream, gathers the bytes that are ready into
//! frames, and withholds its end until the record is durable.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::{
    body::{ResponseBody, Source},
    load::HeldMemory,
    recorder::Recorder,
    respond::{insert_event_stream, response, storage_unavailable},
    restoring::{Restoration, Restoring},
    slot::Committed,
    state::Gateway,
};
use crate::{
    ids::EndpointId,
    ports::{Timer, UpstreamBody, UpstreamError},
    time::Timestamp,
    usage::Outcome,
    wire::{
        answer::{Relay, error_event},
        connection::ConnectionFault,
        error::{ApiError, Failure, FailureClass},
        fault::AnswerFault,
        meter::Progress,
    },
};

/// Length after which a frame is sent, in bytes; the last event may exceed it.
const GATHER: usize = 32 << 10;

/// A stream whose first event has arrived.
pub(super) struct StreamStart {
    pub(super) recorder: Box<Recorder>,
    pub(super) endpoint: EndpointId,
    pub(super) relay: Relay,
    /// Source of the rest; `None` if the answer arrived whole.
    pub(super) upstream: Option<Pin<Box<dyn UpstreamBody>>>,
    /// Bytes for the client from what was read so far.
    pub(super) out: Vec<u8>,
    /// Memory of the answer, if it arrived whole.
    pub(super) held: Option<HeldMemory>,
    pub(super) done: bool,
    /// Fault directly after these bytes.
    pub(super) fault: Option<AnswerFault>,
    pub(super) headers: HeaderMap,
    pub(super) deadline: Timestamp,
    pub(super) way_back: Option<Box<Restoration>>,
}

impl StreamStart {
    pub(super) fn into_response(self) -> Response<ResponseBody> {
        let mut headers = self.recorder.headers();
        insert_event_stream(&mut headers);
        if let Some(left) = self.headers.get("x-ratelimit-remaining-requests") {
            headers.insert("x-upstream-ratelimit-remaining", left.clone());
        }
        let gateway = self.recorder.gateway();
        let stream = ResponseStream::new(gateway, self);
        response(200, headers, ResponseBody::polled(stream))
    }
}

/// A stream under way.
pub(super) struct ResponseStream {
    gateway: Arc<Gateway>,
    recorder: Box<Recorder>,
    endpoint: EndpointId,
    relay: Relay,
    upstream: Option<Pin<Box<dyn UpstreamBody>>>,
    out: Vec<u8>,
    /// Memory of `out`, if the answer arrived whole.
    held: Option<HeldMemory>,
    /// Restoration of the values in the answer to a redacted request.
    restoring: Option<Restoring>,
    phase: Phase,
    /// Arrival of the last byte. The timer is reset only when it fires.
    last_byte: Timestamp,
    idle: Option<Pin<Box<dyn Timer>>>,
    deadline: Timestamp,
}

enum Phase {
    Flowing,
    /// The record is filled in; these bytes wait until it is durable.
    Committing(Bytes),
    Ended,
}

impl ResponseStream {
    pub(super) fn new(gateway: Arc<Gateway>, start: StreamStart) -> Self {
        let StreamStart {
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
        } = start;
        let mut restoring = way_back.map(|way_back| Restoring::new(way_back, relay.names()));
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

    fn flush(&mut self) -> Bytes {
        let out = std::mem::take(&mut self.out);
        match self.held.take() {
            Some(held) => held.keep(out),
            None => out.into(),
        }
    }

    /// Sends the last bytes; requires the proof that the record is durable.
    fn release(&mut self, _proof: Committed) {
        if let Phase::Committing(last) = std::mem::replace(&mut self.phase, Phase::Ended) {
            self.out.extend_from_slice(&last);
        }
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(upstream) = &mut self.upstream else {
            return {
                self.fail(Failure::of_connection(ConnectionFault::Closed));
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
            Some(Err(UpstreamError::Connect(fault) | UpstreamError::Broken(fault))) => {
                self.fail(Failure::of_connection(fault));
            }
            None => match self.end() {
                Ok(()) => self.complete(),
                Err(fault) => self.fail(Failure::of_answer(fault, 200)),
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

    /// Appends the text that restoration held back.
    fn release_held(&mut self) {
        if let Some(restoring) = self.restoring.take() {
            restoring.finish(&mut self.out);
        }
    }

    /// Polls for the end of the idle deadline or of the overall deadline.
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

    /// Completes the answer: fills in the record, on which the end of the stream waits.
    fn complete(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            upstream.finish();
        }
        let last = self.relay.last();
        let last = match self.restoring.take() {
            Some(restoring) => restoring.finish_with(last, &mut self.out),
            None => last,
        };
        self.recorder
            .metered(self.relay.names(), self.relay.meter());
        self.recorder.finish(Outcome::Ok, 200, None);
        self.phase = Phase::Committing(last);
    }

    /// Handles a fault in the answer. After the finish reason nothing is missing, so only an error
    /// fails the request.
    fn fault(&mut self, fault: AnswerFault) {
        let is_missed = !self.relay.is_finished() || matches!(fault, AnswerFault::Error(_));
        if is_missed {
            self.fail(Failure::of_answer(fault, 200));
        } else {
            self.complete();
        }
    }

    /// Fails the answer: fills in the record, and then ends the stream with an error event.
    fn fail(&mut self, mut failure: Failure) {
        self.upstream = None;
        self.release_held();
        self.recorder.broke_off(&self.endpoint, &mut failure);
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
        error_event(
            names.client,
            error,
            names.id,
            names.model.as_str(),
            names.created,
            self.relay.sequence(),
        )
    }
}

impl Source for ResponseStream {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.out.len() >= GATHER {
                return Poll::Ready(Some(self.flush()));
            }
            match &self.phase {
                Phase::Flowing if self.last_byte >= self.deadline => {
                    self.fail(Failure::new(FailureClass::Deadline));
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
                            // Silence counts against the endpoint; the overall deadline does not.
                            let is_over = self.recorder.now() >= self.deadline;
                            self.fail(Failure::new(if is_over {
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
                        // The record stays in its slot; the client gets an error, and no end.
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

    fn is_end(&self) -> bool {
        matches!(self.phase, Phase::Ended) && self.out.is_empty()
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        // The client disconnected: note the usage so far; the recorder writes the record on drop.
        if matches!(self.phase, Phase::Flowing) {
            self.recorder
                .metered(self.relay.names(), self.relay.meter());
        }
    }
}
