//! Anthropic's events as OpenAI chunks: a state machine that cannot emit an illegal order. A chunk with the role comes first; deltas
//! follow; one finish reason closes the choice; the caller adds usage, metadata and `[DONE]`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Spelt, Usage,
    answer::{Error, push_reasoning_text},
    finish_reason,
};
use crate::wire::{
    answer::{AnswerFault, AnswerNames, Meter, Progress, push, token_of},
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
    names: Box<AnswerNames>,
    meter: Meter,
    usage: Usage,
    /// Everything of a chunk up to the value of `delta`.
    start: Vec<u8>,
    state: State,
    /// The blocks that are open.
    blocks: Vec<(u64, Block)>,
    tools: usize,
    thoughts: usize,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Text,
    /// The `nth` call; whether its arguments were begun.
    Tool(usize, bool),
    Thinking(usize),
    Other,
}

/// A message has at most so many blocks open at once.
const OPEN_BLOCKS: usize = 256;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    content_block: Option<ContentBlock<'a>>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(borrow, default)]
    error: Option<Error<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct ContentBlock<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    name: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    text: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<Spelt<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    partial_json: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    signature: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

impl StreamTranslator {
    /// A translator that writes these names. Events of more than `limit` bytes are faults.
    pub fn new(names: Box<AnswerNames>, limit: usize) -> Self {
        let mut start = Vec::with_capacity(256);
        names.push_chunk_start(&mut start);
        start.extend_from_slice(b"[{\"index\":0,\"delta\":");
        let (meter, usage) = (Meter::default(), Usage::default());
        let machine = Machine { names, meter, usage, start, state: State::Before, blocks: Vec::new(), tools: 0, thoughts: 0 };
        Self { splitter: Splitter::new(limit), machine }
    }

    /// Takes bytes from the upstream and appends to `out` what goes to the client.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let mut progress = Progress::default();
        let mut fault = None;
        let machine = &mut self.machine;
        let fed = self.splitter.feed(bytes, |event| {
            let before = out.len();
            match event.data.as_deref().map_or(Ok(false), |data| machine.event(data, out)) {
                Ok(done) => progress.done = done,
                Err(e) => fault = Some(e),
            }
            progress.answered |= out.len() > before;
            fault.is_none() && !progress.done
        });
        match (fault, fed) {
            (Some(fault), _) => Err(fault),
            (None, Err(e)) if !progress.done => Err(AnswerFault::TooLong { limit: e.limit }),
            (None, _) => Ok(progress),
        }
    }

    /// What passed so far.
    pub fn meter(&self) -> &Meter {
        &self.machine.meter
    }

    /// The names that it writes.
    pub fn names(&self) -> &AnswerNames {
        &self.machine.names
    }
}

impl Machine {
    /// Takes one event; true when the message is complete.
    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<bool, AnswerFault> {
        let event: Event<'_> = serde_json::from_slice(data).map_err(|_| wrong())?;
        if let Some(message) = &event.message {
            self.meter.upstream_id = message.id.as_deref().and_then(token_of);
            self.usage = self.usage.updated(message.usage.unwrap_or_default());
        }
        self.usage = self.usage.updated(event.usage.unwrap_or_default());
        match &*event.kind {
            "message_start" => self.open(out)?,
            "content_block_start" => self.block_start(&event, out)?,
            "content_block_delta" => self.block_delta(&event, out)?,
            "content_block_stop" => self.block_stop(event.index, out)?,
            "message_delta" => {
                if let Some(reason) = event.delta.as_ref().and_then(|d| d.stop_reason.as_deref()) {
                    self.finish(reason, out)?;
                }
            }
            "message_stop" => {
                if self.state != State::Finished {
                    self.finish("end_turn", out)?;
                }
                self.meter.tokens = self.usage.tokens();
                return Ok(true);
            }
            "error" => return Err(event.error.as_ref().map_or_else(wrong, Error::fault)),
            // `ping`, and events that are not known yet.
            _ => {}
        }
        Ok(false)
    }

    fn open(&mut self, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        match self.state {
            State::Before => {
                self.state = State::Open;
                self.chunk(out, format_args!("{{\"role\":\"assistant\",\"content\":\"\"}}"));
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
        self.state = State::Finished;
        let reason_word = finish_reason(reason);
        out.extend_from_slice(&self.start);
        push(out, format_args!("{{}},\"finish_reason\":\"{reason_word}\"}}]}}\n\n"));
        self.meter.finish_reason = Some(reason_word.to_owned());
        self.meter.native_finish_reason = token_of(reason);
        Ok(())
    }

    fn block_start(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        self.open(out)?;
        let block = event.content_block.as_ref().ok_or_else(wrong)?;
        if self.blocks.len() >= OPEN_BLOCKS || self.blocks.iter().any(|(i, _)| *i == event.index) {
            return Err(wrong());
        }
        let kind = match &*block.kind {
            "text" => {
                if let Some(text) = block.text.filter(|t| t.get() != "\"\"") {
                    self.text(text, out);
                }
                Block::Text
            }
            "tool_use" => {
                let (Some(id), Some(name)) = (block.id, block.name) else { return Err(wrong()) };
                let nth = self.tools;
                self.tools += 1;
                let whole = block.input.map(RawValue::get).filter(|i| i.starts_with('{') && *i != "{}");
                let mut arguments = Vec::new();
                crate::wire::json::push_string(&mut arguments, whole.unwrap_or_default());
                self.meter.text += arguments.len() as u64 - 2;
                self.chunk(
                    out,
                    format_args!(
                        "{{\"tool_calls\":[{{\"index\":{nth},\"id\":{},\"type\":\"function\",\"function\":{{\"name\":{},\"arguments\":{}}}}}]}}",
                        id.get(),
                        name.get(),
                        String::from_utf8_lossy(&arguments)
                    ),
                );
                Block::Tool(nth, whole.is_some())
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
                Block::Thinking(nth)
            }
            _ => Block::Other,
        };
        self.blocks.push((event.index, kind));
        Ok(())
    }

    fn block_delta(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        self.open(out)?;
        let delta = event.delta.as_ref().ok_or_else(wrong)?;
        let block = self.blocks.iter_mut().find(|(i, _)| *i == event.index).map(|(_, b)| b).ok_or_else(wrong)?;
        match (delta.kind.as_deref(), *block) {
            (Some("text_delta"), Block::Text) => self.text(delta.text.ok_or_else(wrong)?, out),
            (Some("input_json_delta"), Block::Tool(nth, _)) => {
                let json = delta.partial_json.ok_or_else(wrong)?.get();
                if json != "\"\"" {
                    *block = Block::Tool(nth, true);
                    self.meter.text += json.len() as u64;
                    self.chunk(out, format_args!("{{\"tool_calls\":[{{\"index\":{nth},\"function\":{{\"arguments\":{json}}}}}]}}"));
                }
            }
            (Some("thinking_delta"), Block::Thinking(nth)) => {
                let text = delta.thinking.ok_or_else(wrong)?;
                self.meter.text += text.get().len() as u64;
                let mut detail = Vec::new();
                push_reasoning_text(&mut detail, nth, Some(text), None);
                let (text, detail) = (text.get(), String::from_utf8_lossy(&detail));
                self.chunk(out, format_args!("{{\"reasoning\":{text},\"reasoning_details\":[{detail}]}}"));
            }
            (Some("signature_delta"), Block::Thinking(nth)) => {
                let mut detail = Vec::new();
                push_reasoning_text(&mut detail, nth, None, delta.signature);
                let detail = String::from_utf8_lossy(&detail);
                self.chunk(out, format_args!("{{\"reasoning_details\":[{detail}]}}"));
            }
            // Citations, and what server tools say.
            (_, Block::Text | Block::Other | Block::Thinking(_)) => {}
            (_, Block::Tool(..)) => return Err(wrong()),
        }
        Ok(())
    }

    /// A call without arguments is a call with an empty object.
    fn block_stop(&mut self, index: u64, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        let at = self.blocks.iter().position(|(i, _)| *i == index).ok_or_else(wrong)?;
        if let (_, Block::Tool(nth, false)) = self.blocks.swap_remove(at)
            && self.state != State::Finished
        {
            self.chunk(out, format_args!("{{\"tool_calls\":[{{\"index\":{nth},\"function\":{{\"arguments\":\"{{}}\"}}}}]}}"));
        }
        Ok(())
    }

    fn text(&mut self, text: Spelt<'_>, out: &mut Vec<u8>) {
        self.meter.text += text.get().len().saturating_sub(2) as u64;
        self.chunk(out, format_args!("{{\"content\":{}}}", text.get()));
    }

    fn chunk(&self, out: &mut Vec<u8>, delta: std::fmt::Arguments<'_>) {
        out.extend_from_slice(&self.start);
        push(out, delta);
        out.extend_from_slice(b",\"finish_reason\":null}]}\n\n");
    }
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an Anthropic stream")
}
