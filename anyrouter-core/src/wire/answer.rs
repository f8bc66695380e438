//! Answers in any protocol: relaying streams, converting plain answers, and metering both.

use bytes::Bytes;

use super::{
    chat,
    error::ApiError,
    fault::AnswerFault,
    messages,
    meta::ResponseMeta,
    meter::{Meter, PlainAnswer, Progress},
};
use crate::{catalog::Protocol, ids::RequestId};

/// A relay that converts the bytes of a provider's stream into bytes for the client.
#[derive(Debug)]
pub enum Relay {
    /// OpenAI chat on both sides.
    Chat(chat::StreamRelay),
    /// Anthropic messages in, OpenAI chat out.
    Messages(messages::StreamTranslator),
}

impl Relay {
    /// Creates a relay for an answer in `protocol`. Events of more than `limit` bytes are faults.
    pub fn new(protocol: Protocol, names: Box<ResponseMeta>, limit: usize) -> Self {
        match protocol {
            Protocol::Messages => Self::Messages(messages::StreamTranslator::new(names, limit)),
            Protocol::Chat => Self::Chat(chat::StreamRelay::new(names, limit)),
        }
    }

    /// Creates a relay that has relayed a whole answer in `protocol`. Some providers send one
    /// although the request asked for a stream.
    pub fn of_whole(
        protocol: Protocol,
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let answer = plain(protocol, &names, body)?;
        chat::StreamRelay::of_whole(names, &answer, out).map(Self::Chat)
    }

    /// Takes bytes from the upstream and appends the client's bytes to `out`. Bytes that were
    /// appended before a fault are valid.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        match self {
            Self::Chat(relay) => relay.feed(bytes, out),
            Self::Messages(relay) => relay.feed(bytes, out),
        }
    }

    /// Handles the end of the upstream's body without an end event. This is a fault unless the
    /// answer is complete. A last event that lacks only its blank line counts.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        let before = out.len();
        match self.feed(b"\n\n", out) {
            Ok(progress) if progress.done => return Ok(()),
            // An incomplete event is ignored.
            Err(AnswerFault::NotTheProtocol(_)) => out.truncate(before),
            Err(fault) => return Err(fault),
            Ok(_) => {}
        }
        if self.is_finished() {
            Ok(())
        } else {
            Err(AnswerFault::Truncated)
        }
    }

    /// Returns true if the answer has its finish or stop reason. Its content is then complete,
    /// though the last event may be missing or broken.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::Chat(relay) => relay.is_finished(),
            Self::Messages(relay) => relay.is_finished(),
        }
    }

    /// Returns true if there is content for the client: from then on, the request is committed to
    /// the endpoint.
    pub fn has_given(&self) -> bool {
        match self {
            Self::Chat(relay) => relay.has_given(),
            Self::Messages(relay) => relay.has_given(),
        }
    }

    /// Returns the meter of the answer so far.
    pub fn meter(&self) -> &Meter {
        match self {
            Self::Chat(relay) => relay.meter(),
            Self::Messages(relay) => relay.meter(),
        }
    }

    /// Returns the names that it writes.
    pub fn names(&self) -> &ResponseMeta {
        match self {
            Self::Chat(relay) => relay.names(),
            Self::Messages(relay) => relay.names(),
        }
    }

    /// Returns the end of the stream: usage, metadata, `[DONE]`. The client gets it only against
    /// [`Committed`].
    ///
    /// [`Committed`]: crate::gateway::Committed
    pub fn last(&self) -> Bytes {
        let mut out = Vec::with_capacity(768);
        match self {
            Self::Chat(relay) => relay.push_end(&mut out),
            Self::Messages(relay) => {
                relay.push_end(&mut out);
            }
        }
        out.into()
    }
}

/// Returns the event that ends a client's stream with `error`.
pub fn error_event(error: &ApiError, id: RequestId, model: &str, created: u64) -> Vec<u8> {
    chat::error_chunk(error, id, model, created)
}

/// Converts a whole answer in `protocol` into the client's protocol. Some providers stream although
/// no stream was requested: the events are then assembled.
pub fn plain(
    protocol: Protocol,
    names: &ResponseMeta,
    body: &[u8],
) -> Result<PlainAnswer, AnswerFault> {
    if reads_as_events(body) == Some(true) {
        return of_events(protocol, names, body);
    }
    match protocol {
        Protocol::Messages => messages::plain(names, body),
        Protocol::Chat => chat::plain(names, body),
    }
}

fn of_events(
    protocol: Protocol,
    names: &ResponseMeta,
    body: &[u8],
) -> Result<PlainAnswer, AnswerFault> {
    let (mut relay, mut events) = (
        Relay::new(protocol, Box::new(names.clone()), body.len()),
        Vec::with_capacity(body.len()),
    );
    if !relay.feed(body, &mut events)?.done {
        relay.end(&mut events)?;
    }
    events.extend_from_slice(&relay.last());
    let mut answer = chat::of_chunks(names, &events, relay.meter().tokens.is_some())?;
    let seen = relay.meter();
    answer
        .meter
        .native_finish_reason
        .clone_from(&seen.native_finish_reason);
    answer.meter.upstream_id.clone_from(&seen.upstream_id);
    Ok(answer)
}

/// Returns true if a body consists of server-sent events; `None` if it is too short to decide.
pub fn reads_as_events(body: &[u8]) -> Option<bool> {
    const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
    let text = body
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(body)
        .trim_ascii_start();
    if FIELDS.iter().any(|f| text.starts_with(f)) {
        return Some(true);
    }
    let may_become =
        FIELDS.iter().any(|f| f.starts_with(text)) || b"\xef\xbb\xbf".starts_with(text);
    if may_become && body.len() < UNDECIDED {
        None
    } else {
        Some(false)
    }
}

/// Maximum white space before a body that is read to distinguish events from JSON, in bytes.
const UNDECIDED: usize = 64 << 10;
