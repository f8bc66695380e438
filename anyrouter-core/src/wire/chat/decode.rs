//! A stream from an OpenAI-chat upstream as events. The relay repairs what deviates from OpenAI's
//! shape first, so that only conforming chunks are read here.

use serde::Deserialize;

use super::{
    StreamRelay,
    calls::{Calls, Piece},
};
use crate::wire::{
    event::{Block, Delta, Event},
    fault::AnswerFault,
    json::RawJsonStr,
    meta::ResponseMeta,
    meter::{Meter, PlainAnswer, Progress},
    sse::Splitter,
};

/// Decodes a stream.
#[derive(Debug)]
pub struct Decoder {
    relay: StreamRelay,
    chunks: Splitter,
    blocks: Blocks,
}

/// The block that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
    /// The calls that `Blocks` has.
    Calls,
}

/// The blocks of the answer so far.
#[derive(Debug, Default)]
struct Blocks {
    open: Open,
    calls: Calls,
    /// True if the model has refused: OpenAI's finish reason does not say so.
    has_refused: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    delta: Option<Said<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a str>,
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
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    index: u64,
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
    pub fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self::over(StreamRelay::new(names, limit))
    }

    fn over(relay: StreamRelay) -> Self {
        Self {
            relay,
            // The relay bounds its events.
            chunks: Splitter::new(usize::MAX),
            blocks: Blocks::default(),
        }
    }

    /// Decodes a whole answer.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        answer: &PlainAnswer,
        each: impl FnMut(Event<'_>),
    ) -> Result<Self, AnswerFault> {
        let mut chunks = Vec::with_capacity(answer.body.len() + 256);
        let mut it = Self::over(StreamRelay::of_whole(names, answer, &mut chunks)?);
        read(&mut it.chunks, &mut it.blocks, &chunks, each)?;
        Ok(it)
    }

    /// Takes bytes from the upstream, and gives the events to `each`.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&ResponseMeta, Event<'_>),
    ) -> Result<Progress, AnswerFault> {
        let mut chunks = Vec::with_capacity(bytes.len() + 256);
        let Self {
            relay,
            chunks: splitter,
            blocks,
        } = self;
        let fed = relay.feed(bytes, &mut chunks);
        let names = relay.names();
        read(splitter, blocks, &chunks, |event| each(names, event))?;
        fed
    }

    /// Returns the meter.
    pub fn meter(&self) -> &Meter {
        self.relay.meter()
    }

    /// Returns the names of the answer.
    pub fn names(&self) -> &ResponseMeta {
        self.relay.names()
    }

    /// Returns true if the answer has begun to say something.
    pub fn has_given(&self) -> bool {
        self.relay.has_given()
    }

    /// Returns true if the finish reason was read.
    pub fn is_finished(&self) -> bool {
        self.relay.is_finished()
    }
}

/// Reads chunks that conform.
fn read(
    chunks: &mut Splitter,
    blocks: &mut Blocks,
    bytes: &[u8],
    mut each: impl FnMut(Event<'_>),
) -> Result<(), AnswerFault> {
    let mut fault = None;
    let fed = chunks.feed(bytes, |event| {
        if let Some(data) = event.data.as_deref().filter(|d| !d.is_empty())
            && let Err(e) = blocks.chunk(data, &mut each)
        {
            fault = Some(e);
        }
        fault.is_none()
    });
    match (fault, fed) {
        (Some(fault), _) => Err(fault),
        (None, Err(e)) => Err(AnswerFault::TooLong { limit: e.limit }),
        (None, Ok(())) => Ok(()),
    }
}

impl Blocks {
    fn chunk(&mut self, data: &[u8], each: &mut impl FnMut(Event<'_>)) -> Result<(), AnswerFault> {
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|_| wrong())?;
        for choice in chunk.choices.iter().filter(|c| c.index == 0) {
            if let Some(content) = &choice.delta {
                self.content(content, each)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.turn_to(Open::Nothing, None, each);
                let has_refused = self.has_refused && reason == "stop";
                each(Event::Finish(if has_refused {
                    "content_filter"
                } else {
                    reason
                }));
            }
        }
        Ok(())
    }

    fn content(
        &mut self,
        content: &Said<'_>,
        each: &mut impl FnMut(Event<'_>),
    ) -> Result<(), AnswerFault> {
        if let Some(text) = said(content.reasoning) {
            self.turn_to(Open::Reasoning, Some(Block::Reasoning), each);
            each(Event::Delta(Delta::Reasoning(text)));
        }
        self.has_refused |= said(content.refusal).is_some();
        for text in [content.content, content.refusal]
            .into_iter()
            .filter_map(said)
        {
            self.turn_to(Open::Text, Some(Block::Text), each);
            each(Event::Delta(Delta::Text(text)));
        }
        for call in content.tool_calls.iter().flatten() {
            let function = call.function.as_ref();
            self.turn_to(Open::Calls, None, each);
            self.calls.piece(
                &Piece {
                    index: call.index,
                    id: call.id.map(RawJsonStr::get),
                    name: function.and_then(|f| f.name).map(RawJsonStr::get),
                    arguments: said(function.and_then(|f| f.arguments)),
                },
                each,
            )?;
        }
        Ok(())
    }

    /// Closes what is open, unless it is the wanted kind, and opens `block`.
    fn turn_to(
        &mut self,
        wanted: Open,
        block: Option<Block<'_>>,
        each: &mut impl FnMut(Event<'_>),
    ) {
        if self.open == wanted {
            return;
        }
        match self.open {
            Open::Nothing => {}
            Open::Calls => self.calls.close(each),
            Open::Text | Open::Reasoning => each(Event::Close),
        }
        self.open = wanted;
        if let Some(block) = block {
            each(Event::Open(block));
        }
    }
}

/// Returns a string that is not empty.
fn said(text: Option<RawJsonStr<'_>>) -> Option<&str> {
    text.map(RawJsonStr::get).filter(|t| *t != "\"\"")
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an OpenAI chat completion chunk")
}
