//! The response body of a stream whose upstream is slow. The head is already sent, comments keep
//! the connection alive, and the attempts continue within the body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::{
    body::{ResponseBody, Source},
    dispatch::DispatchOutcome,
    recorder::Recorder,
    respond::{insert_event_stream, response, storage_unavailable},
    state::Gateway,
    stream::ResponseStream,
};
use crate::{
    catalog::Protocol,
    ids::RequestId,
    ports::Timer,
    time::Timestamp,
    usage::Outcome,
    wire::{
        answer::{error_event, keep_alive},
        error::{ApiError, Failure, FailureClass},
    },
};

/// The attempts of a request.
pub(super) type Attempts = Pin<Box<dyn Future<Output = DispatchOutcome> + Send>>;

/// The body of a stream whose upstream is slow.
pub(super) struct Waiting {
    gateway: Arc<Gateway>,
    phase: Phase,
    timer: Pin<Box<dyn Timer>>,
    /// True if a comment is due at once, since the timer has already fired.
    due: bool,
    client: ClientStream,
}

/// Data of the stream that the client already has.
pub(super) struct ClientStream {
    pub(super) protocol: Protocol,
    pub(super) id: RequestId,
    pub(super) model: String,
    pub(super) created: Timestamp,
}

impl ClientStream {
    fn error_event(&self, error: &ApiError) -> Bytes {
        error_event(
            self.protocol,
            error,
            self.id,
            &self.model,
            self.created.seconds(),
            0,
        )
        .into()
    }
}

enum Phase {
    Attempting(Attempts),
    Streaming(Box<ResponseStream>),
    /// The record is filled in; these bytes wait until it is durable.
    Committing(Box<Recorder>, Bytes),
    Ended,
}

impl Waiting {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        attempts: Attempts,
        timer: Pin<Box<dyn Timer>>,
        client: ClientStream,
    ) -> Self {
        Self {
            gateway,
            phase: Phase::Attempting(attempts),
            timer,
            due: true,
            client,
        }
    }

    pub(super) fn into_response(self, mut headers: HeaderMap) -> Response<ResponseBody> {
        insert_event_stream(&mut headers);
        response(200, headers, ResponseBody::polled(self))
    }

    fn attempted(&self, attempted: DispatchOutcome) -> Phase {
        let (recorder, outcome, error) = match attempted {
            DispatchOutcome::Stream(start) => {
                let stream = ResponseStream::new(self.gateway.clone(), *start);
                return Phase::Streaming(Box::new(stream));
            }
            // The client asked for a stream, so an attempt cannot succeed with a plain answer.
            DispatchOutcome::Plain(recorder, ..) => {
                let error = Failure::new(FailureClass::BadAnswer).to_api_error("");
                (recorder, Outcome::UpstreamError, error)
            }
            DispatchOutcome::Failed(recorder, outcome, error) => (recorder, outcome, error),
        };
        let mut recorder = recorder;
        recorder.finish(outcome, 200, Some(&error.code));
        Phase::Committing(recorder, self.client.error_event(&error))
    }

    fn poll_comment(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.due {
            std::task::ready!(self.timer.as_mut().poll(cx));
        }
        self.due = false;
        self.timer.as_mut().reset(self.gateway.deadlines.comment);
        // Registers this task with the timer.
        let _ = self.timer.as_mut().poll(cx);
        Poll::Ready(Some(Bytes::from_static(keep_alive(self.client.protocol))))
    }
}

impl Source for Waiting {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.phase {
                Phase::Attempting(attempts) => match attempts.as_mut().poll(cx) {
                    Poll::Ready(attempted) => self.phase = self.attempted(attempted),
                    Poll::Pending => return self.poll_comment(cx),
                },
                Phase::Streaming(stream) => return stream.poll_bytes(cx),
                Phase::Committing(recorder, last) => {
                    let last = match std::task::ready!(recorder.poll_committed(cx)) {
                        Ok(_committed) => std::mem::take(last),
                        Err(_) => self.client.error_event(&storage_unavailable()),
                    };
                    self.phase = Phase::Ended;
                    return Poll::Ready(Some(last));
                }
                Phase::Ended => return Poll::Ready(None),
            }
        }
    }

    fn is_end(&self) -> bool {
        match &self.phase {
            Phase::Attempting(_) | Phase::Committing(..) => false,
            Phase::Streaming(stream) => stream.is_end(),
            Phase::Ended => true,
        }
    }
}
