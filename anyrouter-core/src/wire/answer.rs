//! What every answer carries, whatever protocol it came in: its names, its meter, and the members
//! that AnyRouter adds.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    adjust::Adjustments,
    json::{push_number, push_string},
    provider_error::{Origin, ProviderError},
};
use crate::{
    catalog::{FaultTable, Prices, Protocol, Usd},
    ids::{EndpointId, ModelId, ProviderSlug, RequestId},
    usage::{Tokens, cost},
};

/// The names that an answer bears, and what its tokens cost.
#[derive(Clone, Debug)]
pub struct AnswerNames {
    /// The request's id, which is also the generation's: the `id` of the answer and of every chunk.
    pub id: RequestId,
    /// The id of the model that answers.
    pub model: ModelId,
    /// The provider's display name.
    pub provider: Arc<str>,
    /// The provider's slug.
    pub provider_slug: ProviderSlug,
    /// The endpoint's id.
    pub endpoint: EndpointId,
    /// Seconds since 1970, where the upstream does not say.
    pub created: u64,
    /// Milliseconds from the beginning of the attempt to the upstream's head.
    pub latency_ms: u64,
    /// What the endpoint costs.
    pub prices: Prices,
    /// The client asked for the usage chunk, and takes empty `choices`.
    pub include_usage: bool,
    /// What the prompt counts as where the upstream does not say, in tokens.
    pub prompt_estimate: u64,
    /// What was changed on the request's way to the provider.
    pub adjusted: Adjustments,
    /// The protocol that the provider speaks.
    pub protocol: Protocol,
    /// The table that its errors are classified by.
    pub faults: Arc<FaultTable>,
}

impl AnswerNames {
    /// Who answers, for reading its errors.
    pub fn origin(&self) -> Origin<'_> {
        Origin {
            table: &self.faults,
            provider: self.provider_slug.as_str(),
            protocol: self.protocol,
        }
    }

    /// What `meter` saw, or an estimate; and whether it is one.
    pub fn tokens(&self, meter: &Meter) -> (Tokens, bool) {
        match meter.tokens {
            Some(tokens) => (tokens, false),
            None => (
                Tokens {
                    prompt: self.prompt_estimate,
                    completion: meter.text.div_ceil(4),
                    ..Tokens::default()
                },
                true,
            ),
        }
    }

    /// What `tokens` cost; none where a price is not known.
    pub fn cost(&self, tokens: &Tokens) -> Option<Usd> {
        cost(&self.prices, tokens)
    }

    /// Appends a usage object.
    pub(super) fn push_usage(&self, out: &mut Vec<u8>, meter: &Meter) {
        let (t, estimated) = self.tokens(meter);
        push_numbers(
            out,
            &[
                ("{\"prompt_tokens\":", t.prompt),
                (",\"completion_tokens\":", t.completion),
                (",\"total_tokens\":", t.total()),
            ],
        );
        out.extend_from_slice(b",\"cost\":");
        self.push_cost(out, &t);
        push_numbers(
            out,
            &[
                (",\"prompt_tokens_details\":{\"cached_tokens\":", t.cached),
                (",\"cache_write_tokens\":", t.cache_write),
            ],
        );
        push_numbers(
            out,
            &[(
                "},\"completion_tokens_details\":{\"reasoning_tokens\":",
                t.reasoning,
            )],
        );
        out.extend_from_slice(if estimated {
            b"},\"estimated\":true}"
        } else {
            b"}}"
        });
    }

    pub(super) fn push_cost(&self, out: &mut Vec<u8>, tokens: &Tokens) {
        match self.cost(tokens) {
            Some(cost) => push(out, format_args!("{cost}")),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// Appends the `anyrouter_metadata` of a plain answer; `omitted` is what its translation left
    /// out.
    pub(super) fn push_metadata(&self, out: &mut Vec<u8>, omitted: &[String]) {
        self.push_metadata_start(out);
        self.push_metadata_tail(out, omitted);
    }

    /// Appends the `anyrouter_metadata` of a stream.
    pub(super) fn push_stream_metadata(
        &self,
        out: &mut Vec<u8>,
        meter: &Meter,
        omitted: &[String],
    ) {
        let (t, _) = self.tokens(meter);
        self.push_metadata_start(out);
        push_numbers(
            out,
            &[
                (",\"usage\":{\"inputTokens\":", t.prompt),
                (",\"outputTokens\":", t.completion),
            ],
        );
        push_numbers(
            out,
            &[
                (",\"cachedTokens\":", t.cached),
                (",\"totalTokens\":", t.total()),
            ],
        );
        out.extend_from_slice(b"},\"finishReason\":");
        match &meter.finish_reason {
            Some(reason) => push_string(out, reason),
            None => out.extend_from_slice(b"null"),
        }
        self.push_metadata_tail(out, omitted);
    }

    fn push_metadata_start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"requestId\":\"");
        self.id.push_request(out);
        out.push(b'"');
    }

    fn push_metadata_tail(&self, out: &mut Vec<u8>, omitted: &[String]) {
        out.extend_from_slice(b",\"model\":");
        push_string(out, self.model.as_str());
        out.extend_from_slice(b",\"upstream\":{\"provider\":");
        push_string(out, self.provider_slug.as_str());
        out.extend_from_slice(b",\"backend\":");
        push_string(out, self.endpoint.as_str());
        push_numbers(out, &[(",\"latencyMs\":", self.latency_ms)]);
        out.push(b'}');
        let all: Vec<&String> = self.adjusted.omitted.iter().chain(omitted).collect();
        for (name, list) in [
            (&b",\"omitted\":"[..], all),
            (b",\"notes\":", self.adjusted.notes.iter().collect()),
        ] {
            if !list.is_empty() {
                out.extend_from_slice(name);
                // Writing to a `Vec` cannot fail.
                let _ = serde_json::to_writer(&mut *out, &list);
            }
        }
        out.push(b'}');
    }

    /// Appends the generation id, as JSON.
    pub(super) fn push_id(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.id.push_generation(out);
        out.push(b'"');
    }

    /// Appends the beginning of a chunk, up to the value of `choices`.
    pub(super) fn push_chunk_start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: {\"id\":");
        self.push_id(out);
        push_numbers(
            out,
            &[(
                ",\"object\":\"chat.completion.chunk\",\"created\":",
                self.created,
            )],
        );
        out.extend_from_slice(b",\"model\":");
        push_string(out, self.model.as_str());
        out.extend_from_slice(b",\"provider\":");
        push_string(out, &self.provider);
        out.extend_from_slice(b",\"choices\":");
    }

    /// The choices of a chunk that has none: empty only where the client asked for the usage chunk,
    /// so that the usual loop over `chunk.choices[0]` works.
    pub(super) fn no_choices(&self) -> &'static [u8] {
        if self.include_usage {
            b"[]"
        } else {
            b"[{\"index\":0,\"delta\":{},\"finish_reason\":null}]"
        }
    }

    /// Appends what ends a stream: one chunk with usage and metadata, and `[DONE]`. Common clients
    /// take the usage from the last chunk.
    pub(super) fn push_stream_end(&self, out: &mut Vec<u8>, meter: &Meter, omitted: &[String]) {
        self.push_chunk_start(out);
        out.extend_from_slice(self.no_choices());
        out.extend_from_slice(b",\"usage\":");
        self.push_usage(out, meter);
        out.extend_from_slice(b",\"anyrouter_metadata\":");
        self.push_stream_metadata(out, meter, omitted);
        out.extend_from_slice(b"}\n\ndata: [DONE]\n\n");
    }
}

/// Appends numbers, each behind its text.
fn push_numbers(out: &mut Vec<u8>, parts: &[(&str, u64)]) {
    for (text, number) in parts {
        out.extend_from_slice(text.as_bytes());
        push_number(out, *number);
    }
}

/// Appends formatted text.
pub(super) fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a `Vec` cannot fail.
    let _ = std::io::Write::write_fmt(out, text);
}

/// What passed: counted, not kept.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// What the upstream reported, if it did and the numbers can be true.
    pub tokens: Option<Tokens>,
    /// Bytes of text that were answered.
    pub text: u64,
    /// Why it ended, in OpenAI's words.
    pub finish_reason: Option<String>,
    /// Why it ended, in the provider's words.
    pub native_finish_reason: Option<String>,
    /// The provider's id of the answer.
    pub upstream_id: Option<String>,
}

/// What an upstream sent that is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerFault {
    /// It is not the protocol.
    #[error("the answer is not {0}")]
    NotTheProtocol(&'static str),
    /// It is an error, in a 200 or in the middle of a stream.
    #[error("the provider answered with an error")]
    Error(ProviderError),
    /// It ended before it was complete.
    #[error("the answer broke off")]
    Truncated,
    /// It is larger than what is held.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
}

/// A stream on its way through: bytes in, bytes out.
#[derive(Debug)]
pub enum Relay {
    /// OpenAI chat on both sides.
    OpenaiChat(super::chat::StreamRelay),
    /// Anthropic messages in, OpenAI chat out.
    AnthropicMessages(super::messages::StreamTranslator),
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The client was given something: content, a call, reasoning, or the end. From here on the
    /// endpoint is committed to.
    pub answered: bool,
    /// The answer is complete.
    pub done: bool,
}

impl Relay {
    /// A relay for an answer in `protocol`. Events of more than `limit` bytes are faults.
    pub fn new(protocol: Protocol, names: Box<AnswerNames>, limit: usize) -> Self {
        match protocol {
            Protocol::AnthropicMessages => {
                Self::AnthropicMessages(super::messages::StreamTranslator::new(names, limit))
            }
            _ => Self::OpenaiChat(super::chat::StreamRelay::new(names, limit)),
        }
    }

    /// A relay that has relayed a whole answer in `protocol`: some providers answer so where a
    /// stream was asked for.
    pub fn of_whole(
        protocol: Protocol,
        names: Box<AnswerNames>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let answer = plain(protocol, &names, body)?;
        super::chat::StreamRelay::of_whole(names, &answer, out).map(Self::OpenaiChat)
    }

    /// Takes bytes from the upstream and appends to `out` what goes to the client. What was
    /// appended before a fault is good.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        match self {
            Self::OpenaiChat(relay) => relay.feed(bytes, out),
            Self::AnthropicMessages(relay) => relay.feed(bytes, out),
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

    /// Whether the answer gave its finish or stop reason: it is complete, though its last event may
    /// be missing or broken.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::OpenaiChat(relay) => relay.is_finished(),
            Self::AnthropicMessages(relay) => relay.is_finished(),
        }
    }

    /// Whether the client was given something: from then on the endpoint is committed to, however
    /// the bytes came.
    pub fn has_given(&self) -> bool {
        match self {
            Self::OpenaiChat(relay) => relay.has_given(),
            Self::AnthropicMessages(relay) => relay.has_given(),
        }
    }

    /// What passed so far.
    pub fn meter(&self) -> &Meter {
        match self {
            Self::OpenaiChat(relay) => relay.meter(),
            Self::AnthropicMessages(relay) => relay.meter(),
        }
    }

    /// The names that it writes.
    pub fn names(&self) -> &AnswerNames {
        match self {
            Self::OpenaiChat(relay) => relay.names(),
            Self::AnthropicMessages(relay) => relay.names(),
        }
    }

    /// The end of the stream: usage, metadata, `[DONE]`. It is given to the client only against
    /// [`Committed`].
    ///
    /// [`Committed`]: crate::usage::Committed
    pub fn last(&self) -> Bytes {
        let mut out = Vec::with_capacity(768);
        match self {
            Self::OpenaiChat(relay) => relay.push_end(&mut out),
            Self::AnthropicMessages(relay) => {
                relay.names().push_stream_end(&mut out, relay.meter(), &[]);
            }
        }
        out.into()
    }
}

/// A plain answer, ready for the client.
#[derive(Debug)]
pub struct PlainAnswer {
    /// The body.
    pub body: Bytes,
    /// What it says of itself.
    pub meter: Meter,
}

/// Turns a whole answer in `protocol` into the client's. Some providers stream though no stream was
/// asked for: the events are put together.
pub fn plain(
    protocol: Protocol,
    names: &AnswerNames,
    body: &[u8],
) -> Result<PlainAnswer, AnswerFault> {
    if reads_as_events(body) == Some(true) {
        return of_events(protocol, names, body);
    }
    match protocol {
        Protocol::AnthropicMessages => super::messages::plain(names, body),
        _ => super::chat::plain(names, body),
    }
}

fn of_events(
    protocol: Protocol,
    names: &AnswerNames,
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
    let mut answer = super::chat::of_chunks(names, &events, relay.meter().tokens.is_some())?;
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

/// A provider's code, type or reason, if it looks like one: it is passed on, and must not carry a
/// prompt.
pub(super) fn token_of(text: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/');
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(legal)).then(|| text.to_owned())
}
