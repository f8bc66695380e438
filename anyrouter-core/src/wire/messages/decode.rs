//! Anthropic's stream as events. Blocks may overlap, come whole or in pieces, and stay open at the end
//! of the message; events conform.

use super::{
    blocks::{finish_reason, made_id, whole_input},
    event,
    message::read_message,
    usage::Usage,
};
use crate::wire::{
    event::{Block, Delta, Event, Sink},
    fault::AnswerFault,
    json::{RawJsonStr, has_content, push_string},
    meta::ResponseMeta,
    meter::{Meter, Progress},
    provider_error::{is_error, token_of},
    sse::Splitter,
};

/// Decodes a stream.
#[derive(Debug)]
pub(in crate::wire) struct Decoder {
    splitter: Splitter,
    machine: Machine,
}

#[derive(Debug)]
struct Machine {
    names: Box<ResponseMeta>,
    meter: Meter,
    usage: Usage,
    state: State,
    /// The open blocks, by the upstream's index.
    blocks: Vec<(u64, OpenBlock)>,
    /// The number of blocks so far.
    count: usize,
    calls: usize,
    has_given: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was read.
    Before,
    Open,
    /// The stop reason was read.
    Finished,
}

/// A block, with its number among the events.
#[derive(Debug)]
enum OpenBlock {
    Text(usize),
    Call(usize, Arguments),
    Reasoning(usize),
    /// A block without a counterpart, as of a tool that the provider runs.
    Other,
}

/// State of the arguments of a call.
#[derive(Debug)]
enum Arguments {
    /// No piece was read: the JSON that the block began with is all of them.
    Whole(String),
    InPieces,
}

/// Maximum number of blocks that are open at once.
const OPEN_BLOCKS: usize = 256;

/// The effect of an event.
enum Step {
    /// The client receives content, a call, a thought, or the finish reason.
    Answered,
    Nothing,
    /// The message is complete.
    Done,
}

impl Decoder {
    /// Creates a decoder. Events of more than `limit` bytes are faults.
    pub(in crate::wire) fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            splitter: Splitter::new(limit),
            machine: Machine {
                names,
                meter: Meter::default(),
                usage: Usage::default(),
                state: State::Before,
                blocks: Vec::new(),
                count: 0,
                calls: 0,
                has_given: false,
            },
        }
    }

    /// Decodes a whole message.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Self, AnswerFault> {
        let (blocks, meter) = read_message(&names, body)?;
        let mut it = Self::new(names, 0);
        let machine = &mut it.machine;
        machine.open(each)?;
        for (index, block) in (0..).zip(&blocks) {
            if let Step::Answered = machine.block_start(index, block, each)? {
                machine.has_given = true;
            }
            machine.block_stop(index, each)?;
        }
        machine.finish(
            meter.native_finish_reason.as_deref().unwrap_or_default(),
            each,
        )?;
        machine.meter = meter;
        Ok(it)
    }

    /// Takes bytes from the upstream, and gives the events to `each`.
    pub(in crate::wire) fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Progress, AnswerFault> {
        let mut progress = Progress::default();
        let mut fault = None;
        let machine = &mut self.machine;
        let fed = self.splitter.feed(bytes, |event| {
            let is_error = event.name == Some(b"error");
            match event
                .data
                .as_deref()
                .filter(|d| !d.trim_ascii().is_empty())
                .map_or(Ok(Step::Nothing), |data| {
                    if is_error {
                        Err(machine.error(data))
                    } else {
                        machine.event(data, each)
                    }
                }) {
                Ok(Step::Done) => progress.done = true,
                Ok(Step::Answered) => {
                    machine.has_given = true;
                    progress.answered = true;
                }
                Ok(Step::Nothing) => {}
                Err(e) => fault = Some(e),
            }
            fault.is_none() && !progress.done
        });
        match (fault, fed) {
            (Some(fault), _) => Err(fault),
            (None, Err(e)) if !progress.done => Err(AnswerFault::TooLong { limit: e.limit }),
            (None, _) => Ok(progress),
        }
    }

    /// Returns the meter.
    pub(in crate::wire) fn meter(&self) -> &Meter {
        &self.machine.meter
    }

    /// Returns the names of the answer.
    pub(in crate::wire) fn names(&self) -> &ResponseMeta {
        &self.machine.names
    }

    /// Returns true if the answer has begun to say something.
    pub(in crate::wire) fn has_given(&self) -> bool {
        self.machine.has_given
    }

    /// Returns true if the stop reason was read.
    pub(in crate::wire) fn is_finished(&self) -> bool {
        self.machine.state == State::Finished
    }
}

impl Machine {
    /// Returns the fault for an error event.
    fn error(&self, data: &[u8]) -> AnswerFault {
        AnswerFault::Error(self.names.origin().read_data(data))
    }

    /// Translates one event.
    fn event(&mut self, data: &[u8], each: &mut Sink<'_>) -> Result<Step, AnswerFault> {
        let Some(event) = event::Event::read(data) else {
            let is_error = serde_json::from_slice(data).is_ok_and(|v| is_error(&v));
            return Err(if is_error { self.error(data) } else { wrong() });
        };
        if event
            .error
            .is_some_and(|e| !matches!(e.get(), "null" | "false" | "{}" | "\"\""))
        {
            return Err(self.error(data));
        }
        if let Some(message) = &event.message {
            self.meter.upstream_id = message.id.as_deref().and_then(token_of);
            self.usage = self.usage.updated(message.usage.unwrap_or_default());
        }
        self.usage = self.usage.updated(event.usage.unwrap_or_default());
        // Kept up to date, since the last event may be missing.
        self.meter.tokens = self.usage.tokens();
        match &*event.kind {
            "message_start" => self.open(each)?,
            "content_block_start" => {
                let block = event.content_block.as_ref().ok_or_else(wrong)?;
                return self.block_start(event.index(), block, each);
            }
            "content_block_delta" => return self.block_delta(&event, each),
            "content_block_stop" => self.block_stop(event.index(), each)?,
            "message_delta" => {
                if let Some(reason) = event
                    .delta
                    .as_ref()
                    .and_then(|d| d.stop_reason.as_deref())
                    .filter(|r| !r.is_empty())
                {
                    if reason == "error" {
                        return Err(self.error(data));
                    }
                    self.finish(reason, each)?;
                    return Ok(Step::Answered);
                }
            }
            "message_stop" => {
                return if self.state == State::Finished {
                    Ok(Step::Done)
                } else {
                    Err(AnswerFault::Truncated)
                };
            }
            "error" => return Err(self.error(data)),
            // `ping` and unknown events are ignored.
            _ => {}
        }
        Ok(Step::Nothing)
    }

    fn open(&mut self, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        match self.state {
            State::Before => {
                self.state = State::Open;
                each(&self.names, Event::Start)
            }
            State::Open => Ok(()),
            State::Finished => Err(wrong()),
        }
    }

    fn finish(&mut self, reason: &str, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        if self.state == State::Finished {
            // Only the first finish reason counts.
            return Ok(());
        }
        self.open(each)?;
        // Some upstreams do not end their blocks.
        for (_, block) in std::mem::take(&mut self.blocks) {
            self.close(block, each)?;
        }
        self.state = State::Finished;
        let word = finish_reason(reason, self.calls > 0);
        self.meter.finish_reason = Some(word.to_owned());
        self.meter.native_finish_reason = token_of(reason);
        each(&self.names, Event::Finish(word))
    }

    fn block_start(
        &mut self,
        index: u64,
        block: &event::ContentBlock<'_>,
        each: &mut Sink<'_>,
    ) -> Result<Step, AnswerFault> {
        self.open(each)?;
        if self.blocks.len() >= OPEN_BLOCKS {
            return Err(wrong());
        }
        self.block_stop(index, each)?;
        let number = self.count;
        let mut gives = true;
        let open = match &*block.kind {
            "text" => {
                each(&self.names, Event::Open(number, Block::Text))?;
                let text = block.text.filter(|t| t.get() != "\"\"");
                gives = text.is_some();
                if let Some(text) = text {
                    self.text(number, text, each)?;
                }
                OpenBlock::Text(number)
            }
            "tool_use" => {
                let name = block.name.ok_or_else(wrong)?.get();
                let id = block
                    .id
                    .map(RawJsonStr::get)
                    .filter(|id| *id != "\"\"")
                    .map_or_else(|| made_id(&self.names, self.calls), ToOwned::to_owned);
                self.calls += 1;
                each(
                    &self.names,
                    Event::Open(number, Block::Call { id: &id, name }),
                )?;
                OpenBlock::Call(number, Arguments::Whole(whole_input(block.input)))
            }
            "thinking" | "redacted_thinking" => {
                let kind = match block.data {
                    Some(data) => Block::Redacted(data.get()),
                    None => Block::Reasoning,
                };
                each(&self.names, Event::Open(number, kind))?;
                if let Some(text) = block.thinking.filter(|t| t.get() != "\"\"") {
                    self.thought(number, text, each)?;
                }
                if let Some(signature) = block.signature.filter(|s| s.get() != "\"\"") {
                    let delta = Delta::Signature(signature.get());
                    each(&self.names, Event::Delta(number, delta))?;
                }
                OpenBlock::Reasoning(number)
            }
            other => {
                gives = false;
                let kind = token_of(other);
                self.names
                    .omit_of_answer(kind.as_deref().unwrap_or("a block"));
                OpenBlock::Other
            }
        };
        if block.citations.is_some_and(has_content) {
            self.names.omit_of_answer("citations");
        }
        if !matches!(open, OpenBlock::Other) {
            self.count += 1;
        }
        self.blocks.push((index, open));
        Ok(if gives { Step::Answered } else { Step::Nothing })
    }

    fn block_delta(
        &mut self,
        event: &event::Event<'_>,
        each: &mut Sink<'_>,
    ) -> Result<Step, AnswerFault> {
        self.open(each)?;
        let delta = event.delta.as_ref().ok_or_else(wrong)?;
        let kind = delta.kind.as_deref().or_else(|| delta.kind_by_member());
        if kind == Some("citations_delta") {
            self.names.omit_of_answer("citations");
        }
        match kind {
            Some("text_delta") => {
                let text = delta.text.ok_or_else(wrong)?;
                let Some(number) = self.block_of(event.index(), Block::Text, each)? else {
                    return Ok(Step::Nothing);
                };
                self.text(number, text, each)?;
                return Ok(if text.get() == "\"\"" {
                    Step::Nothing
                } else {
                    Step::Answered
                });
            }
            Some("thinking_delta") => {
                let text = delta.thinking.ok_or_else(wrong)?;
                let Some(number) = self.block_of(event.index(), Block::Reasoning, each)? else {
                    return Ok(Step::Nothing);
                };
                self.thought(number, text, each)?;
                return Ok(Step::Answered);
            }
            _ => {}
        }
        let block = self
            .blocks
            .iter_mut()
            .find(|(i, _)| *i == event.index())
            .map(|(_, b)| b)
            .ok_or_else(wrong)?;
        match (kind, block) {
            (Some("input_json_delta"), OpenBlock::Call(number, arguments)) => {
                let json = delta.partial_json.ok_or_else(wrong)?.get();
                if json == "\"\"" {
                    return Ok(Step::Nothing);
                }
                *arguments = Arguments::InPieces;
                self.meter.text += json.len().saturating_sub(2) as u64;
                each(&self.names, Event::Delta(*number, Delta::Arguments(json)))?;
            }
            (Some("signature_delta"), OpenBlock::Reasoning(number)) => {
                let signature = delta.signature.ok_or_else(wrong)?.get();
                each(
                    &self.names,
                    Event::Delta(*number, Delta::Signature(signature)),
                )?;
            }
            // Citations, and deltas of server tools.
            (_, OpenBlock::Text(_) | OpenBlock::Other | OpenBlock::Reasoning(_)) => {
                return Ok(Step::Nothing);
            }
            (_, OpenBlock::Call(..)) => return Err(wrong()),
        }
        Ok(Step::Answered)
    }

    /// Returns the number of the block with this index, which another block replaces if it is of
    /// another kind; `None` if it has no counterpart. Some upstreams write reasoning into the block
    /// of the text.
    fn block_of(
        &mut self,
        index: u64,
        kind: Block<'_>,
        each: &mut Sink<'_>,
    ) -> Result<Option<usize>, AnswerFault> {
        let open = self.blocks.iter().find(|(i, _)| *i == index);
        match (open.map(|(_, b)| b).ok_or_else(wrong)?, kind) {
            (OpenBlock::Text(number), Block::Text)
            | (OpenBlock::Reasoning(number), Block::Reasoning) => return Ok(Some(*number)),
            (OpenBlock::Other, _) => return Ok(None),
            _ => {}
        }
        self.block_stop(index, each)?;
        let number = self.count;
        self.count += 1;
        each(&self.names, Event::Open(number, kind))?;
        let open = match kind {
            Block::Text => OpenBlock::Text(number),
            _ => OpenBlock::Reasoning(number),
        };
        self.blocks.push((index, open));
        Ok(Some(number))
    }

    /// Closes the block with this index, if it is open.
    fn block_stop(&mut self, index: u64, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        match self.blocks.iter().position(|(i, _)| *i == index) {
            Some(at) => {
                let (_, block) = self.blocks.swap_remove(at);
                self.close(block, each)
            }
            None => Ok(()),
        }
    }

    /// Closes a block, after the arguments that came with its beginning if none came in pieces.
    fn close(&mut self, block: OpenBlock, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        if self.state == State::Finished {
            return Ok(());
        }
        let number = match block {
            OpenBlock::Other => return Ok(()),
            OpenBlock::Text(number)
            | OpenBlock::Reasoning(number)
            | OpenBlock::Call(number, Arguments::InPieces) => number,
            OpenBlock::Call(number, Arguments::Whole(arguments)) => {
                self.meter.text += arguments.len() as u64;
                let mut quoted = Vec::new();
                push_string(&mut quoted, &arguments);
                let quoted = String::from_utf8_lossy(&quoted);
                each(&self.names, Event::Delta(number, Delta::Arguments(&quoted)))?;
                number
            }
        };
        each(&self.names, Event::Close(number))
    }

    fn thought(
        &mut self,
        number: usize,
        text: RawJsonStr<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        self.meter.text += text.get().len().saturating_sub(2) as u64;
        each(
            &self.names,
            Event::Delta(number, Delta::Reasoning(text.get())),
        )
    }

    fn text(
        &mut self,
        number: usize,
        text: RawJsonStr<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        self.meter.text += text.get().len().saturating_sub(2) as u64;
        if text.get() == "\"\"" {
            return Ok(());
        }
        each(&self.names, Event::Delta(number, Delta::Text(text.get())))
    }
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an Anthropic stream")
}
