//! Answers in any protocol: relaying streams, converting plain answers, and metering both.

use bytes::Bytes;
use serde_json::Value;

use super::{
    chat,
    error::ApiError,
    event::{Event, Sink},
    fault::AnswerFault,
    gemini, messages,
    meta::ResponseMeta,
    meter::{Meter, PlainAnswer, Progress},
    proof::Wrapping,
    responses,
    whole::Whole,
};
use crate::{catalog::Protocol, ids::RequestId};

/// A relay that converts the bytes of a provider's stream into bytes for the client.
#[derive(Debug)]
pub struct Relay {
    path: Path,
    wrapping: Wrapping,
}

#[derive(Debug)]
enum Path {
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
        Self::over(match (names.protocol, names.client) {
            (Protocol::Chat, Protocol::Chat) => Path::Chat(chat::StreamRelay::new(names, limit)),
            (Protocol::Messages, Protocol::Messages) => {
                Path::Messages(messages::StreamPass::new(names, limit))
            }
            (Protocol::Responses, Protocol::Responses) => {
                Path::Responses(responses::StreamPass::new(names, limit))
            }
            (Protocol::Gemini, Protocol::Gemini) => {
                Path::Gemini(gemini::StreamPass::new(names, limit))
            }
            (Protocol::Chat | Protocol::Messages | Protocol::Responses | Protocol::Gemini, _) => {
                Path::Translate(Box::new(Translator::new(names, limit)))
            }
        })
    }

    fn over(path: Path) -> Self {
        Self {
            path,
            wrapping: Wrapping::default(),
        }
    }

    /// Creates a relay that has relayed a whole answer. Some providers send one although the
    /// request asked for a stream.
    pub fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let start = out.len();
        let mut it = Self::over(match (names.protocol, names.client) {
            (Protocol::Chat, Protocol::Chat) => {
                let answer = chat::plain(&names, body)?;
                Path::Chat(chat::StreamRelay::of_whole(names, &answer, out)?)
            }
            (Protocol::Messages, Protocol::Messages) => {
                Path::Messages(messages::StreamPass::of_whole(names, body, out)?)
            }
            (Protocol::Responses, Protocol::Responses) => {
                Path::Responses(responses::StreamPass::of_whole(names, body, out)?)
            }
            (Protocol::Gemini, Protocol::Gemini) => {
                Path::Gemini(gemini::StreamPass::of_whole(names, body, out)?)
            }
            (Protocol::Chat | Protocol::Messages | Protocol::Responses | Protocol::Gemini, _) => {
                Path::Translate(Box::new(Translator::of_whole(names, body, out)?))
            }
        });
        it.wrap(out, start);
        Ok(it)
    }

    /// Takes bytes from the upstream and appends the client's bytes to `out`. Bytes that were
    /// appended before a fault are valid.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let start = out.len();
        let fed = match &mut self.path {
            Path::Chat(relay) => relay.feed(bytes, out),
            Path::Messages(relay) => relay.feed(bytes, out),
            Path::Responses(relay) => relay.feed(bytes, out),
            Path::Gemini(relay) => relay.feed(bytes, out),
            Path::Translate(relay) => relay.feed(bytes, out),
        };
        self.wrap(out, start);
        fed
    }

    /// Wraps the proofs of reasoning in what was appended from `start` on. Those of another protocol
    /// were wrapped by the encoder.
    fn wrap(&mut self, out: &mut Vec<u8>, start: usize) {
        let Self { path, wrapping } = self;
        let names = match path {
            Path::Messages(relay) => relay.names(),
            Path::Responses(relay) => relay.names(),
            Path::Gemini(relay) => relay.names(),
            Path::Chat(_) | Path::Translate(_) => return,
        };
        wrapping.events(names, out, start);
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
        match &self.path {
            Path::Chat(relay) => relay.is_finished(),
            Path::Messages(relay) => relay.is_finished(),
            Path::Responses(relay) => relay.is_finished(),
            Path::Gemini(relay) => relay.is_finished(),
            Path::Translate(relay) => relay.decoder.is_finished(),
        }
    }

    /// Returns true if there is content for the client: from then on, the request is committed to
    /// the endpoint.
    pub fn has_given(&self) -> bool {
        match &self.path {
            Path::Chat(relay) => relay.has_given(),
            Path::Messages(relay) => relay.has_given(),
            Path::Responses(relay) => relay.has_given(),
            Path::Gemini(relay) => relay.has_given(),
            Path::Translate(relay) => relay.decoder.has_given(),
        }
    }

    /// Returns the meter of the answer so far.
    pub fn meter(&self) -> &Meter {
        match &self.path {
            Path::Chat(relay) => relay.meter(),
            Path::Messages(relay) => relay.meter(),
            Path::Responses(relay) => relay.meter(),
            Path::Gemini(relay) => relay.meter(),
            Path::Translate(relay) => relay.decoder.meter(),
        }
    }

    /// Returns the number of the events so far, for the protocol that counts them.
    pub fn sequence(&self) -> u64 {
        match &self.path {
            Path::Responses(relay) => relay.sequence(),
            Path::Translate(relay) => match &relay.encoder {
                Encoder::Responses(encoder) => encoder.sequence(),
                Encoder::Chat(_) | Encoder::Messages(_) | Encoder::Gemini(_) => 0,
            },
            Path::Chat(_) | Path::Messages(_) | Path::Gemini(_) => 0,
        }
    }

    /// Returns the names that it writes.
    pub fn names(&self) -> &ResponseMeta {
        match &self.path {
            Path::Chat(relay) => relay.names(),
            Path::Messages(relay) => relay.names(),
            Path::Responses(relay) => relay.names(),
            Path::Gemini(relay) => relay.names(),
            Path::Translate(relay) => relay.decoder.names(),
        }
    }

    /// Returns the end of the stream: usage, metadata, and `[DONE]` or `message_stop`. The client
    /// gets it only in exchange for a [`Committed`].
    ///
    /// [`Committed`]: crate::gateway::Committed
    pub fn last(&mut self) -> Bytes {
        let mut out = Vec::with_capacity(768);
        match &mut self.path {
            Path::Chat(relay) => relay.push_end(&mut out),
            Path::Messages(relay) => relay.push_end(&mut out),
            Path::Responses(relay) => relay.push_end(&mut out),
            Path::Gemini(relay) => relay.push_end(&mut out),
            Path::Translate(relay) => relay.push_end(&mut out),
        }
        self.wrap(&mut out, 0);
        out.into()
    }
}

impl Translator {
    fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            encoder: Encoder::new(names.client),
            decoder: Decoder::new(names, limit),
        }
    }

    /// Translates a whole answer to the events of a stream.
    fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let mut encoder = Encoder::new(names.client);
        let decoder = Decoder::of_whole(names, body, &mut |names, event| {
            encoder.event(names, event, out)
        })?;
        Ok(Self { decoder, encoder })
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let Self { decoder, encoder } = self;
        decoder.feed(bytes, &mut |names, event| encoder.event(names, event, out))
    }

    fn push_end(&mut self, out: &mut Vec<u8>) {
        let Self { decoder, encoder } = self;
        decoder.end(&mut |names, event| encoder.event(names, event, out));
        let (names, meter) = (decoder.names(), decoder.meter());
        match encoder {
            Encoder::Chat(_) => chat::Encoder::push_end(names, meter, out),
            Encoder::Messages(encoder) => encoder.push_end(names, meter, out),
            Encoder::Responses(encoder) => encoder.push_end(names, meter, out),
            Encoder::Gemini(encoder) => encoder.push_end(names, meter, out),
        }
    }
}

impl Decoder {
    fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        match names.protocol {
            Protocol::Chat => Self::Chat(chat::Decoder::new(names, limit)),
            Protocol::Messages => Self::Messages(messages::Decoder::new(names, limit)),
            Protocol::Responses => Self::Responses(responses::Decoder::new(names, limit)),
            Protocol::Gemini => Self::Gemini(gemini::Decoder::new(names, limit)),
        }
    }

    /// Decodes a whole answer.
    fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Self, AnswerFault> {
        Ok(match names.protocol {
            Protocol::Chat => Self::Chat(chat::Decoder::of_whole(names, body, each)?),
            Protocol::Messages => Self::Messages(messages::Decoder::of_whole(names, body, each)?),
            Protocol::Responses => {
                Self::Responses(responses::Decoder::of_whole(names, body, each)?)
            }
            Protocol::Gemini => Self::Gemini(gemini::Decoder::of_whole(names, body, each)?),
        })
    }

    /// Decodes a whole answer that came as a stream.
    fn of_stream(
        names: Box<ResponseMeta>,
        body: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Self, AnswerFault> {
        let mut it = Self::new(names, body.len());
        // A last event that lacks only its blank line counts.
        let fed = it.feed(body, each).and_then(|progress| {
            if progress.done {
                Ok(progress)
            } else {
                it.feed(b"\n\n", each)
            }
        });
        match fed {
            Ok(progress) if progress.done => Ok(it),
            // Broken events after the finish reason take nothing away.
            _ if it.is_finished() => Ok(it),
            Ok(_) => Err(AnswerFault::Truncated),
            Err(fault) => Err(fault),
        }
    }

    fn feed(&mut self, bytes: &[u8], each: &mut Sink<'_>) -> Result<Progress, AnswerFault> {
        match self {
            Self::Chat(decoder) => decoder.feed(bytes, each),
            Self::Messages(decoder) => decoder.feed(bytes, each),
            Self::Responses(decoder) => decoder.feed(bytes, each),
            Self::Gemini(decoder) => decoder.feed(bytes, each),
        }
    }

    /// Ends the answer. Google's finish reason may not be its last word.
    fn end(&mut self, each: &mut Sink<'_>) {
        match self {
            // What does not fit any more is missing in an answer that is complete.
            Self::Gemini(decoder) => drop(decoder.end(each)),
            Self::Chat(_) | Self::Messages(_) | Self::Responses(_) => {}
        }
    }

    fn is_finished(&self) -> bool {
        match self {
            Self::Chat(decoder) => decoder.is_finished(),
            Self::Messages(decoder) => decoder.is_finished(),
            Self::Responses(decoder) => decoder.is_finished(),
            Self::Gemini(decoder) => decoder.is_finished(),
        }
    }

    fn has_given(&self) -> bool {
        match self {
            Self::Chat(decoder) => decoder.has_given(),
            Self::Messages(decoder) => decoder.has_given(),
            Self::Responses(decoder) => decoder.has_given(),
            Self::Gemini(decoder) => decoder.has_given(),
        }
    }

    fn meter(&self) -> &Meter {
        match self {
            Self::Chat(decoder) => decoder.meter(),
            Self::Messages(decoder) => decoder.meter(),
            Self::Responses(decoder) => decoder.meter(),
            Self::Gemini(decoder) => decoder.meter(),
        }
    }

    fn names(&self) -> &ResponseMeta {
        match self {
            Self::Chat(decoder) => decoder.names(),
            Self::Messages(decoder) => decoder.names(),
            Self::Responses(decoder) => decoder.names(),
            Self::Gemini(decoder) => decoder.names(),
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
    let is_stream = reads_as_events(body) == Some(true);
    if names.protocol != names.client {
        return translated(names, body, is_stream);
    }
    if is_stream {
        return of_events(names, body);
    }
    let mut answer = match names.protocol {
        Protocol::Chat => chat::plain(names, body)?,
        Protocol::Messages => messages::pass_whole(names, body)?,
        Protocol::Responses => responses::pass_whole(names, body)?,
        Protocol::Gemini => gemini::pass_whole(names, body)?,
    };
    answer.body = Wrapping::whole(names, answer.body);
    Ok(answer)
}

fn translated(
    names: &ResponseMeta,
    body: &[u8],
    is_stream: bool,
) -> Result<PlainAnswer, AnswerFault> {
    let mut whole = Whole::default();
    let mut each = |_: &ResponseMeta, event: Event<'_>| {
        whole.event(event);
        Ok(())
    };
    let names = Box::new(names.clone());
    let mut decoder = if is_stream {
        Decoder::of_stream(names, body, &mut each)?
    } else {
        Decoder::of_whole(names, body, &mut each)?
    };
    decoder.end(&mut each);
    let (names, meter) = (decoder.names(), decoder.meter());
    let body = match names.client {
        Protocol::Chat => chat::write_whole(names, &whole, meter),
        Protocol::Messages => messages::write_whole(names, &whole, meter),
        Protocol::Responses => responses::write_whole(names, &whole, meter)?,
        Protocol::Gemini => gemini::write_whole(names, whole, meter)?,
    };
    let meter = meter.clone();
    Ok(PlainAnswer { body, meter })
}

/// Assembles an answer that came as a stream of the client's own protocol.
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
    let meter = relay.meter();
    let body = match names.client {
        Protocol::Chat => {
            let mut answer = chat::of_chunks(names, &events, meter.tokens.is_some())?;
            answer
                .meter
                .native_finish_reason
                .clone_from(&meter.native_finish_reason);
            answer.meter.upstream_id.clone_from(&meter.upstream_id);
            return Ok(answer);
        }
        Protocol::Messages => messages::of_events(names, &events)?,
        Protocol::Responses => responses::of_events(&events)?,
        Protocol::Gemini => gemini::of_events(names, &events)?,
    };
    let meter = meter.clone();
    Ok(PlainAnswer { body, meter })
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
