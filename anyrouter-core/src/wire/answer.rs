//! What every answer carries, whatever protocol it came in: its names, its meter, and the members
//! that AnyRouter adds.

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

/// A stream on its way through: bytes in, bytes out.
#[derive(Debug)]
pub enum Relay {
    /// OpenAI chat on both sides.
    Chat(chat::StreamRelay),
    /// Anthropic messages in, OpenAI chat out.
    Messages(messages::StreamTranslator),
}

impl Relay {
    /// A relay for an answer in `protocol`. Events of more than `limit` bytes are faults.
    pub fn new(protocol: Protocol, names: Box<ResponseMeta>, limit: usize) -> Self {
        match protocol {
            Protocol::Messages => Self::Messages(messages::StreamTranslator::new(names, limit)),
            Protocol::Chat => Self::Chat(chat::StreamRelay::new(names, limit)),
        }
    }

    /// A relay that has relayed a whole answer in `protocol`: some providers answer so where a
    /// stream was asked for.
    pub fn of_whole(
        protocol: Protocol,
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let answer = plain(protocol, &names, body)?;
        chat::StreamRelay::of_whole(names, &answer, out).map(Self::Chat)
    }

    /// Takes bytes from the upstream and appends to `out` what goes to the client. What was
    /// appended before a fault is good.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        match self {
            Self::Chat(relay) => relay.feed(bytes, out),
            Self::Messages(relay) => relay.feed(bytes, out),
        }
    }

    /// The upstream's body ended before the answer said that it was complete: a fault, unless it
    /// was complete all the same. An event that lacks only its blank line counts.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        let before = out.len();
        match self.feed(b"\n\n", out) {
            Ok(progress) if progress.done => return Ok(()),
            // Half an event is no event.
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

    /// Returns true if the answer gave its finish or stop reason: it is complete, though its last
    /// event may be missing or broken.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::Chat(relay) => relay.is_finished(),
            Self::Messages(relay) => relay.is_finished(),
        }
    }

    /// Returns true if the client was given something: from then on the endpoint is committed to,
    /// however the bytes came.
    pub fn has_given(&self) -> bool {
        match self {
            Self::Chat(relay) => relay.has_given(),
            Self::Messages(relay) => relay.has_given(),
        }
    }

    /// What passed so far.
    pub fn meter(&self) -> &Meter {
        match self {
            Self::Chat(relay) => relay.meter(),
            Self::Messages(relay) => relay.meter(),
        }
    }

    /// The names that it writes.
    pub fn names(&self) -> &ResponseMeta {
        match self {
            Self::Chat(relay) => relay.names(),
            Self::Messages(relay) => relay.names(),
        }
    }

    /// The end of the stream: usage, metadata, `[DONE]`. It is given to the client only against
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

/// The event that ends a client's stream with `error`.
pub fn error_event(error: &ApiError, id: RequestId, model: &str, created: u64) -> Vec<u8> {
    chat::error_chunk(error, id, model, created)
}

/// Turns a whole answer in `protocol` into the client's. Some providers stream though no stream was
/// asked for: the events are put together.
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

/// Whether a body reads as server-sent events; none where there is too little of it to tell.
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

/// The most white space before a body that is read to tell events from JSON, in bytes.
const UNDECIDED: usize = 64 << 10;
