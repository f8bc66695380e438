//! Relaying of an answer from an Anthropic upstream to an Anthropic client: the gateway's values
//! replace the upstream's in place, its other members are added, and every other byte passes
//! unchanged. Events keep the order of the protocol: one `message_start`, blocks that are closed,
//! one `message_delta`, one `message_stop`.

use super::{
    assemble::to_events,
    blocks::finish_reason,
    event::{ContentBlock, Delta, Event},
    message::read_message,
    repair::{block_members, start_members, stop_reason},
    sequence::Sequence,
    usage::Usage,
    write::{push_close, push_open, push_stop_event, push_usage},
};
use crate::wire::{
    event::Block,
    fault::AnswerFault,
    json::{RawJsonStr, Replaced, members, push_line, push_number, replace_members, utf8},
    meta::ResponseMeta,
    meter::{Meter, Progress},
    provider_error::{is_error, token_of},
    sse::{self, Splitter},
};

/// Maximum nesting depth of an answer.
const DEPTH: usize = 512;
/// Maximum number of blocks that are open at once.
const OPEN_BLOCKS: usize = 256;

/// A relay of a stream within the protocol.
#[derive(Debug)]
pub struct StreamPass {
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
    /// The number of blocks so far, which is the index of the next one.
    count: usize,
    sequence: Sequence,
    calls: usize,
    has_given: bool,
    /// The members of the delta that had the stop reason.
    finish: Replaced,
}

#[derive(Clone, Copy, Debug)]
struct OpenBlock {
    number: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
    /// A block of a tool that the provider runs, or of a kind that is not known yet.
    Other,
}

impl Kind {
    fn of(block: &str) -> Self {
        match block {
            "text" => Self::Text,
            "thinking" => Self::Thinking,
            "tool_use" => Self::Call,
            _ => Self::Other,
        }
    }

    /// Returns the kind of block that a delta belongs to; `None` if it may belong to any.
    fn of_delta(delta: &str) -> Option<Self> {
        match delta {
            "text_delta" => Some(Self::Text),
            "thinking_delta" | "signature_delta" => Some(Self::Thinking),
            "input_json_delta" => Some(Self::Call),
            _ => None,
        }
    }
}

/// An event that passes to the client.
struct Passing<'a> {
    event: &'a sse::Event<'a>,
    kind: &'a str,
    data: &'a [u8],
}

impl Passing<'_> {
    /// Appends the event with the values of `ours`; without any, its bytes are unchanged.
    fn write(&self, ours: &Replaced, out: &mut Vec<u8>) {
        // Packages dispatch on the name of the event, which some relays leave out.
        let is_named = self.event.name == Some(self.kind.as_bytes());
        if ours.is_empty() && is_named && self.event.is_bare() {
            out.extend_from_slice(self.event.raw);
            return;
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        if ours.is_empty() {
            push_line(self.data, out);
        } else {
            let mut data = Vec::with_capacity(self.data.len() + 64);
            replace_members(self.data, ours, &mut data);
            push_line(&data, out);
        }
        out.extend_from_slice(b"\n\n");
    }

    /// Returns a member that is an object.
    fn object(&self, name: &str) -> Option<&[u8]> {
        let members = members(self.data, DEPTH).ok()?;
        let member = members.iter().find(|m| m.is(self.data, name))?;
        self.data.get(member.value.clone())
    }

    /// Adds a member that is an object, with the values of `inner`.
    fn edit(&self, name: &'static str, inner: &Replaced, ours: &mut Replaced) {
        if let (false, Some(object)) = (inner.is_empty(), self.object(name)) {
            let mut edited = Vec::with_capacity(object.len() + 64);
            replace_members(object, inner, &mut edited);
            ours.push((name, edited));
        }
    }
}

/// Returns the members of a `message_delta`'s delta that are not null.
fn values(delta: &[u8]) -> Replaced {
    const NAMES: [&str; 4] = ["stop_reason", "stop_sequence", "stop_details", "container"];
    let members = members(delta, DEPTH).unwrap_or_default();
    NAMES
        .into_iter()
        .filter_map(|name| {
            let value = members.iter().find(|m| m.is(delta, name))?.value(delta);
            (value != b"null").then(|| (name, value.to_vec()))
        })
        .collect()
}

/// Returns the member `index` if the upstream's is another.
fn index_members(event: &Event<'_>, number: usize) -> Replaced {
    if event.index == Some(number as u64) {
        return Replaced::new();
    }
    let mut index = Vec::new();
    push_number(&mut index, number as u64);
    vec![("index", index)]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before `message_start`.
    Before,
    Open,
    /// The stop reason was sent.
    Finished,
}

/// The effect of an event.
enum Step {
    /// The client receives content, a call, reasoning, or the stop reason.
    Answered,
    /// The client receives nothing, or an event without content.
    Nothing,
    /// The message is complete.
    Done,
}

impl StreamPass {
    /// Creates a relay that writes these names. Events of more than `limit` bytes are faults.
    pub fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            splitter: Splitter::new(limit),
            machine: Machine {
                names,
                meter: Meter::default(),
                usage: Usage::default(),
                state: State::Before,
                blocks: Vec::new(),
                count: 0,
                sequence: Sequence::default(),
                calls: 0,
                has_given: false,
                finish: Replaced::new(),
            },
        }
    }

    /// Creates a relay that has relayed a whole message as events, which it appends to `out`.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let (_, meter) = read_message(&names, body)?;
        let events = to_events(body)?;
        let mut it = Self::new(names, events.len());
        it.feed(&events, out)?;
        it.machine.meter.upstream_id = meter.upstream_id;
        Ok(it)
    }

    /// Takes bytes from the upstream and appends the client's bytes to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let mut progress = Progress::default();
        let mut fault = None;
        let machine = &mut self.machine;
        let fed = self.splitter.feed(bytes, |event| {
            match machine.event(&event, out) {
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

    /// Appends `message_stop`, with the metadata.
    pub(in crate::wire) fn push_end(&self, out: &mut Vec<u8>) {
        push_stop_event(self.names(), self.meter(), out);
    }

    /// Returns the meter.
    pub fn meter(&self) -> &Meter {
        &self.machine.meter
    }

    /// Returns the names that it writes.
    pub fn names(&self) -> &ResponseMeta {
        &self.machine.names
    }

    /// Returns true if the client has received something.
    pub fn has_given(&self) -> bool {
        self.machine.has_given
    }

    /// Returns true if the stop reason was sent.
    pub fn is_finished(&self) -> bool {
        self.machine.state == State::Finished
    }
}

impl Machine {
    fn error(&self, data: &[u8]) -> AnswerFault {
        AnswerFault::Error(self.names.origin().read_data(data))
    }

    fn event(&mut self, event: &sse::Event<'_>, out: &mut Vec<u8>) -> Result<Step, AnswerFault> {
        let data = event.data.as_deref().unwrap_or_default();
        if data.trim_ascii().is_empty() {
            // Comments and empty events are dropped; the gateway sends its own keep-alives.
            return Ok(Step::Nothing);
        }
        if event.name == Some(b"error") {
            return Err(self.error(data));
        }
        if utf8(data).is_none() {
            return Err(wrong());
        }
        let Some(read) = Event::read(data) else {
            let is_error = serde_json::from_slice(data).is_ok_and(|v| is_error(&v));
            return Err(if is_error { self.error(data) } else { wrong() });
        };
        if read
            .error
            .is_some_and(|e| !matches!(e.get(), "null" | "false" | "{}" | "\"\""))
        {
            return Err(self.error(data));
        }
        if let Some(message) = &read.message {
            self.meter.upstream_id = message.id.as_deref().and_then(token_of);
            self.usage = self.usage.updated(message.usage.unwrap_or_default());
        }
        self.usage = self.usage.updated(read.usage.unwrap_or_default());
        // Kept up to date, since the last event may be missing.
        self.meter.tokens = self.usage.tokens();
        let passing = Passing {
            event,
            kind: &read.kind,
            data,
        };
        self.step(&read, &passing, out)
    }

    /// Passes an event in the protocol's order, with the events that the upstream left out.
    fn step(
        &mut self,
        event: &Event<'_>,
        passing: &Passing<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, AnswerFault> {
        match (&*event.kind, self.state) {
            ("message_start", State::Before) => {
                let message = passing.object("message").ok_or_else(wrong)?;
                let inner = start_members(&self.names, &self.meter, message);
                let mut ours = Replaced::new();
                passing.edit("message", &inner, &mut ours);
                passing.write(&ours, out);
                self.state = State::Open;
                Ok(Step::Nothing)
            }
            ("message_stop", State::Finished) => Ok(Step::Done),
            ("message_stop", _) => Err(AnswerFault::Truncated),
            ("error", _) => Err(self.error(passing.data)),
            ("ping", _) => {
                passing.write(&Replaced::new(), out);
                Ok(Step::Nothing)
            }
            ("message_delta", State::Finished) => {
                self.after_finish(event, passing, out);
                Ok(Step::Nothing)
            }
            (
                "content_block_start"
                | "content_block_delta"
                | "content_block_stop"
                | "message_delta",
                State::Before,
            ) => Err(wrong()),
            ("content_block_start", State::Open) => self.block_start(event, passing, out),
            ("content_block_delta", State::Open) => self.block_delta(event, passing, out),
            ("content_block_stop", State::Open) => {
                let Some(block) = self.take(event.index()) else {
                    return Ok(Step::Nothing);
                };
                let ours = index_members(event, block.number);
                self.sequence
                    .close(block.number, out, |out| passing.write(&ours, out))?;
                Ok(Step::Nothing)
            }
            ("message_delta", State::Open) => self.finish(event, passing, out),
            // Events that are not known yet. Their name is a line of the stream.
            (kind, State::Open) if kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                passing.write(&Replaced::new(), out);
                Ok(Step::Nothing)
            }
            // Nothing else can follow the stop reason but the end.
            (_, State::Before | State::Open | State::Finished) => Ok(Step::Nothing),
        }
    }

    fn block_start(
        &mut self,
        event: &Event<'_>,
        passing: &Passing<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, AnswerFault> {
        let block = event.content_block.as_ref().ok_or_else(wrong)?;
        self.close(event.index(), out)?;
        let number = self.open(event.index(), Kind::of(&block.kind))?;
        let mut ours = index_members(event, number);
        let inner = block_members(&self.names, block, self.calls);
        passing.edit("content_block", &inner, &mut ours);
        self.sequence
            .write(number, out, |out| passing.write(&ours, out))?;
        self.calls += usize::from(block.kind == "tool_use");
        Ok(self.block(block))
    }

    fn block_delta(
        &mut self,
        event: &Event<'_>,
        passing: &Passing<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, AnswerFault> {
        let delta = event.delta.as_ref().ok_or_else(wrong)?;
        let kind = delta.kind.as_deref().or_else(|| delta.kind_by_member());
        let text = match kind {
            Some("text_delta") => delta.text,
            Some("thinking_delta") => delta.thinking,
            Some("input_json_delta") => delta.partial_json,
            Some("signature_delta") => delta.signature,
            _ => None,
        };
        if text.is_none() && kind.and_then(Kind::of_delta).is_some() {
            // Packages join the text without asking whether there is any.
            return Ok(Step::Nothing);
        }
        let index = event.index();
        let open = self.blocks.iter().find(|(i, _)| *i == index);
        let mut block = open.map(|(_, block)| *block).ok_or_else(wrong)?;
        let wanted = kind.and_then(Kind::of_delta);
        if wanted.is_some_and(|wanted| wanted != block.kind) && block.kind != Kind::Other {
            // Some upstreams write reasoning into the block of the text.
            let (wanted, new) = match kind {
                Some("text_delta") => (Kind::Text, Block::Text),
                Some("thinking_delta") => (Kind::Thinking, Block::Reasoning),
                Some("signature_delta") => return Ok(Step::Nothing),
                _ => return Err(wrong()),
            };
            self.close(index, out)?;
            let number = self.open(index, wanted)?;
            let names = &self.names;
            self.sequence
                .write(number, out, |out| push_open(names, number, new, out))?;
            block = OpenBlock {
                number,
                kind: wanted,
            };
        }
        let mut ours = index_members(event, block.number);
        if let (None, Some(kind)) = (&delta.kind, kind) {
            let inner = vec![("type", format!("\"{kind}\"").into())];
            passing.edit("delta", &inner, &mut ours);
        }
        self.sequence
            .write(block.number, out, |out| passing.write(&ours, out))?;
        Ok(self.delta(delta))
    }

    /// Passes the stop reason, unless there is none.
    fn finish(
        &mut self,
        event: &Event<'_>,
        passing: &Passing<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, AnswerFault> {
        let delta = event.delta.as_ref();
        let reason = delta.and_then(|d| d.stop_reason.as_deref());
        let Some(reason) = reason.filter(|r| !r.is_empty()) else {
            if !self.blocks.is_empty() {
                return Ok(Step::Nothing);
            }
            let mut ours = Replaced::new();
            self.add_usage(event, &mut ours);
            passing.write(&ours, out);
            return Ok(Step::Nothing);
        };
        if reason == "error" {
            return Err(self.error(passing.data));
        }
        for (_, block) in std::mem::take(&mut self.blocks) {
            self.sequence
                .close(block.number, out, |out| push_close(block.number, out))?;
        }
        self.state = State::Finished;
        self.meter.finish_reason = Some(finish_reason(reason, self.calls > 0).to_owned());
        self.meter.native_finish_reason = token_of(reason);
        let mut ours = Replaced::new();
        if let Some(reason) = stop_reason(reason, self.calls > 0) {
            let inner = vec![("stop_reason", format!("\"{reason}\"").into())];
            passing.edit("delta", &inner, &mut ours);
        }
        self.add_usage(event, &mut ours);
        let finish = ours.iter().find(|(name, _)| *name == "delta");
        let finish = finish.map(|(_, delta)| &delta[..]);
        self.finish = values(finish.or(passing.object("delta")).unwrap_or_default());
        passing.write(&ours, out);
        Ok(Step::Answered)
    }

    /// Passes what follows the stop reason, such as later usage, with what the stop reason's event
    /// said: packages take each member from the last event.
    fn after_finish(&self, event: &Event<'_>, passing: &Passing<'_>, out: &mut Vec<u8>) {
        let later = values(passing.object("delta").unwrap_or_default());
        let mut inner = self.finish.clone();
        inner.retain(|(name, _)| later.iter().all(|(other, _)| other != name));
        let mut ours = Replaced::new();
        passing.edit("delta", &inner, &mut ours);
        self.add_usage(event, &mut ours);
        passing.write(&ours, out);
    }

    /// Adds the usage so far if the event lacks it.
    fn add_usage(&self, event: &Event<'_>, ours: &mut Replaced) {
        if !event.usage.is_some_and(Usage::has_output) {
            let mut usage = Vec::with_capacity(96);
            push_usage(&self.names.tokens(&self.meter).0, &mut usage);
            ours.push(("usage", usage));
        }
    }

    /// Opens a block, and returns its number.
    fn open(&mut self, index: u64, kind: Kind) -> Result<usize, AnswerFault> {
        if self.blocks.len() >= OPEN_BLOCKS {
            return Err(wrong());
        }
        let number = self.count;
        self.count += 1;
        self.blocks.push((index, OpenBlock { number, kind }));
        Ok(number)
    }

    fn take(&mut self, index: u64) -> Option<OpenBlock> {
        let at = self.blocks.iter().position(|(i, _)| *i == index)?;
        Some(self.blocks.remove(at).1)
    }

    /// Closes the block with this index, if it is open.
    fn close(&mut self, index: u64, out: &mut Vec<u8>) -> Result<(), AnswerFault> {
        match self.take(index) {
            Some(block) => self
                .sequence
                .close(block.number, out, |out| push_close(block.number, out)),
            None => Ok(()),
        }
    }

    fn block(&mut self, block: &ContentBlock<'_>) -> Step {
        let texts = [block.text, block.thinking];
        self.meter.text += texts.into_iter().map(length).sum::<u64>();
        let is_empty = matches!(&*block.kind, "text" | "thinking")
            && texts.into_iter().all(|text| length(text) == 0)
            && length(block.signature) == 0;
        if is_empty {
            Step::Nothing
        } else {
            Step::Answered
        }
    }

    fn delta(&mut self, delta: &Delta<'_>) -> Step {
        let texts = [delta.text, delta.partial_json, delta.thinking];
        let count: u64 = texts.into_iter().map(length).sum();
        self.meter.text += count;
        // Citations and other deltas have members that are not read.
        let is_known = texts.iter().any(Option::is_some);
        if is_known && count == 0 {
            Step::Nothing
        } else {
            Step::Answered
        }
    }
}

/// Returns the length of a JSON string without its quotes.
fn length(text: Option<RawJsonStr<'_>>) -> u64 {
    text.map_or(0, |text| text.get().len().saturating_sub(2) as u64)
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an Anthropic stream")
}
