//! Decoding of a stream from an OpenAI-chat upstream to events. A relay first repairs deviations
//! from OpenAI's shape, so that only conforming chunks are read here.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    StreamRelay,
    answer::plain,
    calls::{Calls, Events, Piece},
};
use crate::wire::{
    event::{Block, Delta, Event, Sink},
    fault::AnswerFault,
    json::{RawJsonStr, has_content},
    meta::ResponseMeta,
    meter::{Meter, Progress},
    sse::Splitter,
};

/// A decoder of a stream.
#[derive(Debug)]
pub(in crate::wire) struct Decoder {
    relay: StreamRelay,
    chunks: Splitter,
    blocks: Blocks,
}

/// The blocks of the answer so far.
#[derive(Debug, Default)]
struct Blocks {
    has_begun: bool,
    is_finished: bool,
    /// The block of text or reasoning that is open.
    open: Option<(Kind, usize)>,
    calls: Calls,
    /// The number of blocks so far.
    count: usize,
    /// True if the model has refused, which OpenAI's finish reason does not show.
    has_refused: bool,
    /// Members that no event stands for.
    left_out: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    search_results: Option<&'a RawValue>,
}

/// A choice of a chunk, or of a whole answer.
#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow, default, alias = "message")]
    delta: Option<Said<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a str>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    content: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    refusal: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    images: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
    /// The form of calls before `tool_calls`.
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow, default)]
    executed_tools: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    /// Only in chunks.
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    arguments: Option<RawJsonStr<'a>>,
}

impl Decoder {
    /// Creates a decoder. Events of more than `limit` bytes are faults.
    pub(in crate::wire) fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self::over(StreamRelay::new(names, limit))
    }

    fn over(relay: StreamRelay) -> Self {
        Self {
            relay,
            // The relay already limits the length of events.
            chunks: Splitter::new(usize::MAX),
            blocks: Blocks::default(),
        }
    }

    /// Decodes a whole answer.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Self, AnswerFault> {
        let answer = plain(&names, body)?;
        let mut it = Self::new(names, 0);
        let names = it.relay.names();
        it.blocks
            .chunk(&answer.body, &mut |event| each(names, event))?;
        it.relay.set_meter(answer.meter);
        it.name_left_out();
        Ok(it)
    }

    /// Takes bytes from the upstream and passes their events to `each`.
    pub(in crate::wire) fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Progress, AnswerFault> {
        let mut chunks = Vec::with_capacity(bytes.len() + 256);
        let fed = self.relay.feed(bytes, &mut chunks);
        self.read(&chunks, each)?;
        fed
    }

    /// Reads conforming chunks.
    fn read(&mut self, bytes: &[u8], each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        let Self {
            relay,
            chunks,
            blocks,
        } = self;
        let names = relay.names();
        let mut fault = None;
        let fed = chunks.feed(bytes, |event| {
            if let Some(data) = event.data.as_deref().filter(|d| !d.is_empty())
                && let Err(e) = blocks.chunk(data, &mut |event| each(names, event))
            {
                fault = Some(e);
            }
            fault.is_none()
        });
        self.name_left_out();
        match (fault, fed) {
            (Some(fault), _) => Err(fault),
            (None, Err(e)) => Err(AnswerFault::TooLong { limit: e.limit }),
            (None, Ok(())) => Ok(()),
        }
    }

    fn name_left_out(&mut self) {
        for name in self.blocks.left_out.drain(..) {
            self.relay.names_mut().omit_of_answer(name);
        }
    }

    /// Returns the meter of the answer so far.
    pub(in crate::wire) fn meter(&self) -> &Meter {
        self.relay.meter()
    }

    /// Returns the names of the answer.
    pub(in crate::wire) fn names(&self) -> &ResponseMeta {
        self.relay.names()
    }

    /// Returns true if the answer has content.
    pub(in crate::wire) fn has_given(&self) -> bool {
        self.relay.has_given() || self.blocks.count > 0
    }

    /// Returns true if the finish reason was read.
    pub(in crate::wire) fn is_finished(&self) -> bool {
        // The relay may have read chunks of which a block is then a fault.
        self.blocks.is_finished
    }
}

impl Blocks {
    /// Reads a chunk, or a whole answer.
    fn chunk(&mut self, data: &[u8], each: &mut Events<'_>) -> Result<(), AnswerFault> {
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|_| wrong())?;
        if !std::mem::replace(&mut self.has_begun, true) {
            each(Event::Start)?;
        }
        for choice in chunk.choices.iter().filter(|c| c.index == 0) {
            if self.is_finished {
                // The first reason stands, and nothing follows it.
                break;
            }
            if let Some(content) = &choice.delta {
                self.content(content, each)?;
            }
            let said = choice.delta.as_ref();
            for (name, value) in [
                ("logprobs", choice.logprobs),
                ("annotations", said.and_then(|s| s.annotations)),
                ("audio", said.and_then(|s| s.audio)),
                ("images", said.and_then(|s| s.images)),
                ("citations", said.and_then(|s| s.citations)),
                ("function_call", said.and_then(|s| s.function_call)),
                ("executed_tools", said.and_then(|s| s.executed_tools)),
                ("citations", chunk.citations),
                ("search_results", chunk.search_results),
            ] {
                if value.is_some_and(has_content) && !self.left_out.contains(&name) {
                    self.left_out.push(name);
                }
            }
            if let Some(reason) = choice.finish_reason {
                self.close(each)?;
                self.calls.close(each)?;
                self.is_finished = true;
                let has_refused = self.has_refused && reason == "stop";
                each(Event::Finish(if has_refused {
                    "content_filter"
                } else {
                    reason
                }))?;
            }
        }
        Ok(())
    }

    fn content(&mut self, content: &Said<'_>, each: &mut Events<'_>) -> Result<(), AnswerFault> {
        if let Some(text) = said(content.reasoning) {
            let number = self.turn_to(Kind::Reasoning, each)?;
            each(Event::Delta(number, Delta::Reasoning(text)))?;
        }
        self.has_refused |= said(content.refusal).is_some();
        for text in [content.content, content.refusal]
            .into_iter()
            .filter_map(said)
        {
            let number = self.turn_to(Kind::Text, each)?;
            each(Event::Delta(number, Delta::Text(text)))?;
        }
        for (nth, call) in (0..).zip(content.tool_calls.iter().flatten()) {
            self.close(each)?;
            let function = call.function.as_ref();
            self.calls.piece(
                &Piece {
                    index: call.index.unwrap_or(nth),
                    id: call.id.map(RawJsonStr::get),
                    name: function.and_then(|f| f.name).map(RawJsonStr::get),
                    arguments: said(function.and_then(|f| f.arguments)),
                },
                &mut self.count,
                each,
            )?;
        }
        Ok(())
    }

    /// Returns the number of the open block of this kind, and opens one if there is none.
    fn turn_to(&mut self, kind: Kind, each: &mut Events<'_>) -> Result<usize, AnswerFault> {
        match self.open {
            Some((open, number)) if open == kind => return Ok(number),
            _ => self.close(each)?,
        }
        self.calls.close_complete(each)?;
        let number = self.count;
        self.count += 1;
        self.open = Some((kind, number));
        let block = match kind {
            Kind::Text => Block::Text,
            Kind::Reasoning => Block::Reasoning,
        };
        each(Event::Open(number, block))?;
        Ok(number)
    }

    /// Closes the open block of text or reasoning.
    fn close(&mut self, each: &mut Events<'_>) -> Result<(), AnswerFault> {
        match self.open.take() {
            Some((_, number)) => each(Event::Close(number)),
            None => Ok(()),
        }
    }
}

/// Returns a string with its quotes, unless it is empty.
fn said(text: Option<RawJsonStr<'_>>) -> Option<&str> {
    text.map(RawJsonStr::get).filter(|t| *t != "\"\"")
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an OpenAI chat completion chunk")
}
