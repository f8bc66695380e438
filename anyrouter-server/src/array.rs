//! A stream of events as an array of JSON, which Google's protocol has where a client does not ask
//! for events.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use anyrouter_core::{gateway::ResponseBody, wire::sse::Splitter};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::Either;

/// Returns the response with the data of its events as an array. A response that is no stream, such as
/// an error, stays as it is.
pub(crate) fn array_of_events(
    response: Response<ResponseBody>,
) -> Response<Either<ResponseBody, Body>> {
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if !is_stream {
        return response.map(Either::Left);
    }
    let mut response = response.map(|body| {
        Either::Right(Body::new(Array {
            body,
            events: Splitter::new(usize::MAX),
            has_begun: false,
            is_ended: false,
        }))
    });
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

struct Array {
    body: ResponseBody,
    events: Splitter,
    has_begun: bool,
    is_ended: bool,
}

impl HttpBody for Array {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let mut out = Vec::new();
        match frame.map(|frame| frame.unwrap_or_else(|e| match e {}).into_data()) {
            Some(data) => {
                let has_begun = &mut this.has_begun;
                // This cannot fail: the limit is `usize::MAX`.
                let _ = this.events.feed(&data.unwrap_or_default(), |event| {
                    if let Some(data) = event.data.as_deref() {
                        let is_first = !std::mem::replace(has_begun, true);
                        out.extend_from_slice(if is_first { b"[" } else { b",\r\n" });
                        out.extend_from_slice(data);
                    }
                    true
                });
                if out.is_empty() {
                    // A keep-alive: white space means nothing in JSON.
                    out.extend_from_slice(b"\r\n");
                }
            }
            None => {
                this.is_ended = true;
                out.extend_from_slice(if this.has_begun { b"]" } else { b"[]" });
            }
        }
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended
    }
}
