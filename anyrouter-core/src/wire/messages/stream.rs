//! Anthropic's events as OpenAI chunks: a state machine that cannot emit an illegal order. A chunk
//! with the role comes first; deltas follow; one finish reason closes the choice; the caller adds
//! usage, metadata and `[DONE]`.

use super::{
    blocks::{finish_reason, made_id, push_reasoning_text, whole_input},
    event::Event,
    names::client_name,
    usage::Usage,
};
use crate::wire::{
    chat::{push_chunk_start, push_stream_end},
    fault::AnswerFault,
    json::{RawJsonStr, push_format, push_string},
    meta::ResponseMeta,
    meter::{Meter, Progress},
    provider_error::{is_error, token_of},
    sse::Splitter,
};

/// Translates a stream.
#[derive(Debug)]
pub struct StreamTranslator {
    splitter: Splitter,
    machine: Machine,
}

#[derive(Debug)]
struct Machine {
    names: Box<ResponseMeta>,
    meter: Meter,
    usage: Usage,
    /// Everything of a chunk up to the value of `delta`.
    start: Vec<u8>,
    state: State,
    /// The blocks that are open.
    blocks: Vec<(u64, Block)>,
    tools: usize,
    thoughts: usize,
    has_given: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was emitted.
    Before,
    /// The role was.
    Open,
    /// The finish reason was.
    Finished,
}

#[derive(Debug)]
enum Block {
    Text,
    /// The `nth` call.
    Tool(usize, Arguments),
    Thinking(usize),
    Other,
}

/// The arguments of a call.
#[derive(Debug)]
enum Arguments {
    /// None came in pieces: what the block began with, as JSON, is all of them.
    Whole(String),
    /// They come in pieces.
    InPieces,
}

/// A message has at most so many blocks open at once.
const OPEN_BLOCKS: usize = 256;

impl StreamTranslator {
    /// A translator that writes these names. Events of more than `limit` bytes are faults.
    pub fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        let mut start = Vec::with_capacity(256);
        push_chunk_start(&names, &mut start);
        start.extend_from_slice(b"[{\"index\":0,\"delta\":");
        let (meter, usage) = (Meter::default(), Usage::default());
        let machine = Machine {
            names,
            meter,
            usage,
            start,
            state: State::Before,
            blocks: Vec::new(),
            tools: 0,
            thoughts: 0,
            has_given: false,
        };
        Self {
            splitter: Splitter::new(limit),
            machine,
        }
    }

    /// Takes bytes from the upstream and appends to `out` what goes to the client.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
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
                        machine.event(data, out)
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

    /// Appends what ends the stream.
    pub(in crate::wire) fn push_end(&self, out: &mut Vec<u8>) {
        push_stream_end(self.names(), out, self.meter(), &[]);
    }

    /// What passed so far.
    pub fn meter(&self) -> &Meter {
        &self.machine.meter
    }

    /// The names that it writes.
    pub fn names(&self) -> &ResponseMeta {
        &self.machine.names
    }

    /// Returns true if the client was given something.
    pub fn has_given(&self) -> bool {
        self.machine.has_given
    }

    /// Returns true if the stop reason was given.
    pub fn is_finished(&self) -> bool {
        self.machine.state == State::Finished
    }
}

/// What an event brought.
enum Step {
    /// The client was given something: content, a call, a thought, or the end.
    Answered,
    Nothing,
    /// The message is complete.
    Done,
}

impl Machine {
    /// The fault that an error is.
    fn error(&self, data: &[u8]) -> AnswerFault {
        AnswerFault::Error(self.names.origin().read_data(data))
    }

    /// Takes one event.
    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<Step, AnswerFault> {
        let event: Event<'_> = match serde_json::from_slice(data) {
            Ok(event) => event,
            Err(_) if serde_json::from_slice(data).is_ok_and(|v| is_error(&v)) => {
                return Err(self.error(data));
            }
            Err(_) => return Err(wrong()),
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
            "message_start" => self.open(out)?,
            "content_block_start" => return self.block_start(&event, out),
            "content_block_delta" => return self.block_delta(&event, out),
            "content_block_stop" => self.block_stop(event.index, out),
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
                    self.finish(reason, out)?;
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
            // `ping`, and events that are not known yet.
            _ => {}
        }
        Ok(Step::Nothing)
    }

    fn open(&mut self, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        match self.state {
            State::Before => {
                self.state = State::Open;
                self.chunk(
                    out,
                    format_args!("{{\"role\":\"assistant\",\"content\":\"\"}}"),
                );
                Ok(())
            }
            State::Open => Ok(()),
            State::Finished => Err(wrong()),
        }
    }

    fn finish(&mut self, reason: &str, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        if self.state == State::Finished {
            // The first reason stands.
            return Ok(());
        }
        self.open(out)?;
        // Some end without ending their blocks.
        for (_, block) in std::mem::take(&mut self.blocks) {
            self.close(block, out);
        }
        self.state = State::Finished;
        let reason_word = finish_reason(reason, self.tools > 0);
        out.extend_from_slice(&self.start);
        push_format(
            out,
            format_args!("{{}},\"finish_reason\":\"{reason_word}\"}}]}}\n\n"),
        );
        self.meter.finish_reason = Some(reason_word.to_owned());
        self.meter.native_finish_reason = token_of(reason);
        Ok(())
    }

    fn block_start(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Step, AnswerFault> {
        self.open(out)?;
        let block = event.content_block.as_ref().ok_or_else(wrong)?;
        if self.blocks.len() >= OPEN_BLOCKS {
            return Err(wrong());
        }
        self.block_stop(event.index, out);
        let mut gives = true;
        let kind = match &*block.kind {
            "text" => {
                let text = block.text.filter(|t| t.get() != "\"\"");
                gives = text.is_some();
                if let Some(text) = text {
                    self.text(text, out);
                }
                Block::Text
            }
            "tool_use" => {
                let name = block.name.ok_or_else(wrong)?;
                let id = block
                    .id
                    .map(RawJsonStr::get)
                    .filter(|id| *id != "\"\"")
                    .map_or_else(|| made_id(&self.names, self.tools), ToOwned::to_owned);
                let name = client_name(name, &self.names.adjusted);
                let nth = self.tools;
                self.tools += 1;
                self.chunk(
                    out,
                    format_args!(
                        "{{\"tool_calls\":[{{\"index\":{nth},\"id\":{id},\"type\":\"function\",\"function\":{{\"name\":{name},\"arguments\":\"\"}}}}]}}"
                    ),
                );
                Block::Tool(nth, Arguments::Whole(whole_input(block.input)))
            }
            "thinking" | "redacted_thinking" => {
                let nth = self.thoughts;
                self.thoughts += 1;
                if let Some(data) = block.data {
                    let data = data.get();
                    self.chunk(
                        out,
                        format_args!(
                            "{{\"reasoning_details\":[{{\"type\":\"reasoning.encrypted\",\"data\":{data},\"format\":\"anthropic-claude-v1\",\"index\":{nth}}}]}}"
                        ),
                    );
                }
                if let Some(text) = block.thinking.filter(|t| t.get() != "\"\"") {
                    self.thought(nth, text, out);
                }
                if let Some(signature) = block.signature.filter(|s| s.get() != "\"\"") {
                    self.signature(nth, signature, out);
                }
                Block::Thinking(nth)
            }
            _ => {
                gives = false;
                Block::Other
            }
        };
        self.blocks.push((event.index, kind));
        Ok(if gives { Step::Answered } else { Step::Nothing })
    }

    fn block_delta(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Step, AnswerFault> {
        self.open(out)?;
        let before = out.len();
        let delta = event.delta.as_ref().ok_or_else(wrong)?;
        let kind = delta.kind.as_deref().or_else(|| delta.kind_by_member());
        let block = self
            .blocks
            .iter_mut()
            .find(|(i, _)| *i == event.index)
            .map(|(_, b)| b)
            .ok_or_else(wrong)?;
        match (kind, block) {
            (Some("text_delta"), Block::Text) => self.text(delta.text.ok_or_else(wrong)?, out),
            (Some("input_json_delta"), Block::Tool(nth, arguments)) => {
                let nth = *nth;
                let json = delta.partial_json.ok_or_else(wrong)?.get();
                if json != "\"\"" {
                    *arguments = Arguments::InPieces;
                    self.meter.text += json.len() as u64;
                    self.chunk(out, format_args!("{{\"tool_calls\":[{{\"index\":{nth},\"function\":{{\"arguments\":{json}}}}}]}}"));
                }
            }
            (Some("thinking_delta"), Block::Thinking(nth)) => {
                let nth = *nth;
                self.thought(nth, delta.thinking.ok_or_else(wrong)?, out);
            }
            (Some("signature_delta"), Block::Thinking(nth)) => {
                let nth = *nth;
                self.signature(nth, delta.signature.ok_or_else(wrong)?, out);
            }
            // Citations, and what server tools say.
            (_, Block::Text | Block::Other | Block::Thinking(_)) => {}
            (_, Block::Tool(..)) => return Err(wrong()),
        }
        Ok(if out.len() > before {
            Step::Answered
        } else {
            Step::Nothing
        })
    }

    /// Ends the block with this index, if it is open.
    fn block_stop(&mut self, index: u64, out: &mut Vec<u8>) {
        if let Some(at) = self.blocks.iter().position(|(i, _)| *i == index) {
            let (_, block) = self.blocks.swap_remove(at);
            self.close(block, out);
        }
    }

    /// Gives the arguments that came with the beginning of a block, where none came in pieces.
    fn close(&mut self, block: Block, out: &mut Vec<u8>) {
        if let Block::Tool(nth, Arguments::Whole(arguments)) = block
            && self.state != State::Finished
        {
            self.meter.text += arguments.len() as u64;
            let mut quoted = Vec::new();
            push_string(&mut quoted, &arguments);
            let quoted = String::from_utf8_lossy(&quoted);
            self.chunk(out, format_args!("{{\"tool_calls\":[{{\"index\":{nth},\"function\":{{\"arguments\":{quoted}}}}}]}}"));
        }
    }

    fn thought(&mut self, nth: usize, text: RawJsonStr<'_>, out: &mut Vec<u8>) {
        self.meter.text += text.get().len() as u64;
        let mut detail = Vec::new();
        push_reasoning_text(&mut detail, nth, Some(text), None);
        let (text, detail) = (text.get(), String::from_utf8_lossy(&detail));
        if self.names.adjusted.hides_reasoning {
            self.chunk(out, format_args!("{{\"reasoning_details\":[{detail}]}}"));
        } else {
            self.chunk(
                out,
                format_args!("{{\"reasoning\":{text},\"reasoning_details\":[{detail}]}}"),
            );
        }
    }

    fn signature(&self, nth: usize, signature: RawJsonStr<'_>, out: &mut Vec<u8>) {
        let mut detail = Vec::new();
        push_reasoning_text(&mut detail, nth, None, Some(signature));
        let detail = String::from_utf8_lossy(&detail);
        self.chunk(out, format_args!("{{\"reasoning_details\":[{detail}]}}"));
    }

    fn text(&mut self, text: RawJsonStr<'_>, out: &mut Vec<u8>) {
        self.meter.text += text.get().len().saturating_sub(2) as u64;
        if text.get() != "\"\"" {
            self.chunk(out, format_args!("{{\"content\":{}}}", text.get()));
        }
    }

    fn chunk(&self, out: &mut Vec<u8>, delta: std::fmt::Arguments<'_>) {
        out.extend_from_slice(&self.start);
        push_format(out, delta);
        out.extend_from_slice(b",\"finish_reason\":null}]}\n\n");
    }
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an Anthropic stream")
}
