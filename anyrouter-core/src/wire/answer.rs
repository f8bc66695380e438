//! Answers in any protocol: relaying streams, converting plain answers, and metering both.

use bytes::Bytes;
use serde_json::Value;

use super::{
    chat,
    error::ApiError,
    event::Event,
    fault::AnswerFault,
    gemini, messages,
    meta::ResponseMeta,
    meter::{Meter, PlainAnswer, Progress},
    responses,
};
use crate::{catalog::Protocol, ids::RequestId};

/// A relay that converts the bytes of a provider's stream into bytes for the client.
#[derive(Debug)]
pub enum Relay {
    /// OpenAI chat on both sides.
    Chat(chat::StreamRelay),
    /// Anthropic messages on both sides.
    Messages(messages::StreamPass),
    /// OpenAI's Responses on both sides.
    Responses(responses::StreamPass),
    /// Google's protocol on both sides.
    Gemini(gemini::StreamPass),
    /// One protocol in, another out.
    Translate(Box<Translator>),
}

/// A decoder with an encoder of another protocol.
#[derive(Debug)]
pub struct Translator {
    decoder: Decoder,
    encoder: Encoder,
}

#[derive(Debug)]
enum Decoder {
    Chat(chat::Decoder),
    Messages(messages::Decoder),
    Responses(responses::Decoder),
    Gemini(gemini::Decoder),
}

#[derive(Debug)]
enum Encoder {
    Chat(chat::Encoder),
    Messages(messages::Encoder),
    Responses(responses::Encoder),
    Gemini(gemini::Encoder),
}

impl Relay {
    /// Creates a relay between the protocols of `names`. Events of more than `limit` bytes are
    /// faults.
    pub fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        match (names.protocol, names.client) {
            (Protocol::Chat, Protocol::Chat) => Self::Chat(chat::StreamRelay::new(names, limit)),
            (Protocol::Messages, Protocol::Messages) => {
                Self::Messages(messages::StreamPass::new(names, limit))
            }
            (Protocol::Responses, Protocol::Responses) => {
                Self::Responses(responses::StreamPass::new(names, limit))
            }
            (Protocol::Gemini, Protocol::Gemini) => {
                Self::Gemini(gemini::StreamPass::new(names, limit))
            }
            (Protocol::Chat | Protocol::Messages | Protocol::Responses | Protocol::Gemini, _) => {
                Self::Translate(Box::new(Translator::new(names, limit)))
            }
        }
    }

    /// Creates a relay that has relayed a whole answer. Some providers send one although the
    /// request asked for a stream.
    pub fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        match (names.protocol, names.client) {
            (Protocol::Chat | Protocol::Messages, Protocol::Chat) => {
                let answer = plain(&names, body)?;
                chat::StreamRelay::of_whole(names, &answer, out).map(Self::Chat)
            }
            (Protocol::Messages, Protocol::Messages) => {
                messages::StreamPass::of_whole(names, body, out).map(Self::Messages)
            }
            (Protocol::Gemini, Protocol::Gemini) => {
                gemini::StreamPass::of_whole(names, body, out).map(Self::Gemini)
            }
            (Protocol::Chat | Protocol::Messages | Protocol::Responses | Protocol::Gemini, _) => {
                Translator::of_whole(names, body, out)
                    .map(Box::new)
                    .map(Self::Translate)
            }
        }
    }

    /// Takes bytes from the upstream and appends the client's bytes to `out`. Bytes that were
    /// appended before a fault are valid.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        match self {
            Self::Chat(relay) => relay.feed(bytes, out),
            Self::Messages(relay) => relay.feed(bytes, out),
            Self::Responses(relay) => relay.feed(bytes, out),
            Self::Gemini(relay) => relay.feed(bytes, out),
            Self::Translate(relay) => relay.feed(bytes, out),
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
            Self::Responses(relay) => relay.is_finished(),
            Self::Gemini(relay) => relay.is_finished(),
            Self::Translate(relay) => relay.is_finished(),
        }
    }

    /// Returns true if there is content for the client: from then on, the request is committed to
    /// the endpoint.
    pub fn has_given(&self) -> bool {
        match self {
            Self::Chat(relay) => relay.has_given(),
            Self::Messages(relay) => relay.has_given(),
            Self::Responses(relay) => relay.has_given(),
            Self::Gemini(relay) => relay.has_given(),
            Self::Translate(relay) => relay.has_given(),
        }
    }

    /// Returns the meter of the answer so far.
    pub fn meter(&self) -> &Meter {
        match self {
            Self::Chat(relay) => relay.meter(),
            Self::Messages(relay) => relay.meter(),
            Self::Responses(relay) => relay.meter(),
            Self::Gemini(relay) => relay.meter(),
            Self::Translate(relay) => relay.meter(),
        }
    }

    /// Returns the number of the events so far, for the protocol that counts them.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Responses(relay) => relay.sequence(),
            Self::Translate(relay) => match &relay.encoder {
                Encoder::Responses(encoder) => encoder.sequence(),
                Encoder::Chat(_) | Encoder::Messages(_) | Encoder::Gemini(_) => 0,
            },
            Self::Chat(_) | Self::Messages(_) | Self::Gemini(_) => 0,
        }
    }

    /// Returns the names that it writes.
    pub fn names(&self) -> &ResponseMeta {
        match self {
            Self::Chat(relay) => relay.names(),
            Self::Messages(relay) => relay.names(),
            Self::Responses(relay) => relay.names(),
            Self::Gemini(relay) => relay.names(),
            Self::Translate(relay) => relay.names(),
        }
    }

    /// Returns the end of the stream: usage, metadata, and `[DONE]` or `message_stop`. The client
    /// gets it only in exchange for a [`Committed`].
    ///
    /// [`Committed`]: crate::gateway::Committed
    pub fn last(&mut self) -> Bytes {
        let mut out = Vec::with_capacity(768);
        match self {
            Self::Chat(relay) => relay.push_end(&mut out),
            Self::Messages(relay) => relay.push_end(&mut out),
            Self::Responses(relay) => relay.push_end(&mut out),
            Self::Gemini(relay) => relay.push_end(&mut out),
            Self::Translate(relay) => relay.push_end(&mut out),
        }
        out.into()
    }
}

impl Translator {
    fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            encoder: Encoder::new(names.client),
            decoder: match names.protocol {
                Protocol::Chat => Decoder::Chat(chat::Decoder::new(names, limit)),
                Protocol::Messages => Decoder::Messages(messages::Decoder::new(names, limit)),
                Protocol::Responses => Decoder::Responses(responses::Decoder::new(names, limit)),
                Protocol::Gemini => Decoder::Gemini(gemini::Decoder::new(names, limit)),
            },
        }
    }

    /// Translates a whole answer to events.
    fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let mut encoder = Encoder::new(names.client);
        let mut each = |names: &ResponseMeta, event: Event<'_>| encoder.event(names, event, out);
        let decoder = match names.protocol {
            Protocol::Chat => {
                let answer = chat::plain(&names, body)?;
                Decoder::Chat(chat::Decoder::of_whole(names, &answer, &mut each)?)
            }
            Protocol::Messages => {
                Decoder::Messages(messages::Decoder::of_whole(names, body, &mut each)?)
            }
            Protocol::Responses => {
                Decoder::Responses(responses::Decoder::of_whole(names, body, &mut each)?)
            }
            Protocol::Gemini => Decoder::Gemini(gemini::Decoder::of_whole(names, body, &mut each)?),
        };
        Ok(Self { decoder, encoder })
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let Self { decoder, encoder } = self;
        let mut each = |names: &ResponseMeta, event: Event<'_>| encoder.event(names, event, out);
        match decoder {
            Decoder::Chat(decoder) => decoder.feed(bytes, &mut each),
            Decoder::Messages(decoder) => decoder.feed(bytes, &mut each),
            Decoder::Responses(decoder) => decoder.feed(bytes, &mut each),
            Decoder::Gemini(decoder) => decoder.feed(bytes, &mut each),
        }
    }

    fn is_finished(&self) -> bool {
        match &self.decoder {
            Decoder::Chat(decoder) => decoder.is_finished(),
            Decoder::Messages(decoder) => decoder.is_finished(),
            Decoder::Responses(decoder) => decoder.is_finished(),
            Decoder::Gemini(decoder) => decoder.is_finished(),
        }
    }

    fn has_given(&self) -> bool {
        match &self.decoder {
            Decoder::Chat(decoder) => decoder.has_given(),
            Decoder::Messages(decoder) => decoder.has_given(),
            Decoder::Responses(decoder) => decoder.has_given(),
            Decoder::Gemini(decoder) => decoder.has_given(),
        }
    }

    fn meter(&self) -> &Meter {
        match &self.decoder {
            Decoder::Chat(decoder) => decoder.meter(),
            Decoder::Messages(decoder) => decoder.meter(),
            Decoder::Responses(decoder) => decoder.meter(),
            Decoder::Gemini(decoder) => decoder.meter(),
        }
    }

    fn names(&self) -> &ResponseMeta {
        match &self.decoder {
            Decoder::Chat(decoder) => decoder.names(),
            Decoder::Messages(decoder) => decoder.names(),
            Decoder::Responses(decoder) => decoder.names(),
            Decoder::Gemini(decoder) => decoder.names(),
        }
    }

    fn push_end(&mut self, out: &mut Vec<u8>) {
        if let Self {
            decoder: Decoder::Gemini(decoder),
            encoder,
        } = self
        {
            // What does not fit any more is missing in an answer that is complete.
            let _ = decoder.end(&mut |names, event| encoder.event(names, event, out));
        }
        match &self.encoder {
            Encoder::Chat(_) => chat::Encoder::push_end(self.names(), self.meter(), out),
            Encoder::Messages(encoder) => encoder.push_end(self.names(), self.meter(), out),
            Encoder::Responses(encoder) => encoder.push_end(self.names(), self.meter(), out),
            Encoder::Gemini(encoder) => encoder.push_end(self.names(), self.meter(), out),
        }
    }
}

impl Encoder {
    fn new(client: Protocol) -> Self {
        match client {
            Protocol::Chat => Self::Chat(chat::Encoder::default()),
            Protocol::Messages => Self::Messages(messages::Encoder::default()),
            Protocol::Responses => Self::Responses(responses::Encoder::default()),
            Protocol::Gemini => Self::Gemini(gemini::Encoder::default()),
        }
    }

    fn event(
        &mut self,
        names: &ResponseMeta,
        event: Event<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), AnswerFault> {
        match self {
            Self::Chat(encoder) => {
                encoder.event(names, event, out);
                Ok(())
            }
            Self::Messages(encoder) => encoder.event(names, event, out),
            Self::Responses(encoder) => encoder.event(names, event, out),
            Self::Gemini(encoder) => encoder.event(names, event, out),
        }
    }
}

/// Returns the event that ends a client's stream with `error`. `sequence` is the number of the events
/// before it, as [`Relay::sequence`] returns it.
pub fn error_event(
    client: Protocol,
    error: &ApiError,
    id: RequestId,
    model: &str,
    created: u64,
    sequence: u64,
) -> Vec<u8> {
    match client {
        Protocol::Chat => chat::error_chunk(error, id, model, created),
        Protocol::Messages => messages::error_event(error, &id.to_string()),
        Protocol::Responses => responses::failed_event(error, id, model, created, sequence),
        Protocol::Gemini => gemini::error_event(error, &id.to_string()),
    }
}

/// Returns the body of an error response in the client's protocol.
pub fn error_body(client: Protocol, error: &ApiError, id: RequestId) -> Value {
    match client {
        Protocol::Chat | Protocol::Responses => error.to_openai(&id.to_string()),
        Protocol::Messages => messages::error_body(error, &id.to_string()),
        Protocol::Gemini => gemini::error_body(error, &id.to_string()),
    }
}

/// Returns the keep-alive that a client of this protocol ignores.
pub const fn keep_alive(client: Protocol) -> &'static [u8] {
    match client {
        Protocol::Chat | Protocol::Responses => b": waiting for the provider\n\n",
        Protocol::Messages => messages::PING,
        Protocol::Gemini => gemini::KEEP_ALIVE,
    }
}

/// Converts a whole answer into the client's protocol. Some providers stream although no stream was
/// requested: the events are then assembled.
pub fn plain(names: &ResponseMeta, body: &[u8]) -> Result<PlainAnswer, AnswerFault> {
    if reads_as_events(body) == Some(true) {
        return of_events(names, body);
    }
    match (names.protocol, names.client) {
        (Protocol::Chat, Protocol::Chat) => chat::plain(names, body),
        (Protocol::Messages, Protocol::Chat) => messages::plain(names, body),
        (Protocol::Messages, Protocol::Messages) => messages::pass_whole(names, body),
        (Protocol::Responses, Protocol::Responses) => responses::pass_whole(names, body),
        (Protocol::Gemini, Protocol::Gemini) => gemini::pass_whole(names, body),
        (Protocol::Chat | Protocol::Messages | Protocol::Responses | Protocol::Gemini, _) => {
            let mut events = Vec::with_capacity(body.len() * 2);
            let mut translator = Translator::of_whole(Box::new(names.clone()), body, &mut events)?;
            translator.push_end(&mut events);
            assembled(names, &events, translator.meter())
        }
    }
}

fn of_events(names: &ResponseMeta, body: &[u8]) -> Result<PlainAnswer, AnswerFault> {
    let (mut relay, mut events) = (
        Relay::new(Box::new(names.clone()), body.len()),
        Vec::with_capacity(body.len()),
    );
    match relay.feed(body, &mut events) {
        Ok(progress) if progress.done => {}
        Ok(_) => relay.end(&mut events)?,
        // Broken events after the finish reason take nothing away.
        Err(_) if relay.is_finished() => {}
        Err(fault) => return Err(fault),
    }
    events.extend_from_slice(&relay.last());
    assembled(names, &events, relay.meter())
}

/// Assembles a whole answer from the client's events.
fn assembled(
    names: &ResponseMeta,
    events: &[u8],
    meter: &Meter,
) -> Result<PlainAnswer, AnswerFault> {
    let body = match names.client {
        Protocol::Chat => {
            let mut answer = chat::of_chunks(names, events, meter.tokens.is_some())?;
            answer
                .meter
                .native_finish_reason
                .clone_from(&meter.native_finish_reason);
            answer.meter.upstream_id.clone_from(&meter.upstream_id);
            return Ok(answer);
        }
        Protocol::Messages => messages::of_events(names, events)?,
        Protocol::Responses => responses::of_events(events)?,
        Protocol::Gemini => gemini::of_events(names, events)?,
    };
    Ok(PlainAnswer {
        body,
        meter: meter.clone(),
    })
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
