//! Relaying of an answer from an Anthropic upstream to an Anthropic client: the gateway's values
//! replace the upstream's in place, its other members are added, and every other byte passes
//! unchanged. Events keep the order of the protocol: one `message_start`, blocks that are closed,
//! one `message_delta`, one `message_stop`.

use super::{
    assemble::to_events,
    blocks::finish_reason,
    event::{ContentBlock, Delta, Event},
    message::read_message,
    usage::Usage,
};
use crate::{
    part::Part as _,
    wire::{
        fault::AnswerFault,
        json::{RawJsonStr, members, push_format, push_string, utf8},
        meta::ResponseMeta,
        meter::{Meter, PlainAnswer, Progress},
        provider_error::{is_error, token_of},
        sse::{self, Splitter},
    },
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
    /// Indexes of the blocks that are open.
    open: Vec<u64>,
    has_calls: bool,
    has_given: bool,
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
    /// The client receives an event without content.
    Nothing,
    /// The client does not receive the event.
    Dropped,
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
                open: Vec::new(),
                has_calls: false,
                has_given: false,
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
                Ok(Step::Nothing | Step::Dropped) => {}
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
            return Ok(Step::Dropped);
        }
        if event.name == Some(b"error") {
            return Err(self.error(data));
        }
        if utf8(data).is_none() {
            return Err(wrong());
        }
        let read: Event<'_> = match serde_json::from_slice(data) {
            Ok(read) => read,
            Err(_) if serde_json::from_slice(data).is_ok_and(|v| is_error(&v)) => {
                return Err(self.error(data));
            }
            Err(_) => return Err(wrong()),
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
        let step = self.step(&read, data, out)?;
        match step {
            Step::Dropped | Step::Done => return Ok(step),
            Step::Answered | Step::Nothing => {}
        }
        if &*read.kind == "message_start" {
            out.extend_from_slice(b"event: message_start\ndata: ");
            push_start(&self.names, data, out);
            out.extend_from_slice(b"\n\n");
        } else if event.name == Some(read.kind.as_bytes()) && is_bare(event.raw) {
            out.extend_from_slice(event.raw);
        } else {
            // SDKs dispatch on the name of the event, which some relays leave out.
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(read.kind.as_bytes());
            out.extend_from_slice(b"\ndata: ");
            push_line(data, out);
            out.extend_from_slice(b"\n\n");
        }
        Ok(step)
    }

    /// Checks the order of the protocol, and appends the events that the upstream left out.
    fn step(
        &mut self,
        event: &Event<'_>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, AnswerFault> {
        match &*event.kind {
            "message_start" => {
                if self.state != State::Before || event.message.is_none() {
                    return Ok(Step::Dropped);
                }
                self.state = State::Open;
                Ok(Step::Nothing)
            }
            "message_stop" => {
                if self.state == State::Finished {
                    Ok(Step::Done)
                } else {
                    Err(AnswerFault::Truncated)
                }
            }
            "error" => Err(self.error(data)),
            "ping" => Ok(Step::Nothing),
            // Only `message_stop` may follow the stop reason.
            _ if self.state == State::Finished => Ok(Step::Dropped),
            _ if self.state == State::Before => Err(wrong()),
            "content_block_start" => {
                let block = event.content_block.as_ref().ok_or_else(wrong)?;
                if self.open.len() >= OPEN_BLOCKS {
                    return Err(wrong());
                }
                if self.open.contains(&event.index) {
                    self.close(event.index, out);
                }
                self.open.push(event.index);
                self.has_calls |= block.kind == "tool_use";
                Ok(self.block(block))
            }
            "content_block_delta" => {
                let delta = event.delta.as_ref().ok_or_else(wrong)?;
                if !self.open.contains(&event.index) {
                    return Err(wrong());
                }
                Ok(self.delta(delta))
            }
            "content_block_stop" => {
                if !self.open.contains(&event.index) {
                    return Ok(Step::Dropped);
                }
                self.open.retain(|open| *open != event.index);
                Ok(Step::Nothing)
            }
            "message_delta" => {
                let reason = event
                    .delta
                    .as_ref()
                    .and_then(|d| d.stop_reason.as_deref())
                    .filter(|r| !r.is_empty());
                let Some(reason) = reason else {
                    return Ok(Step::Dropped);
                };
                if reason == "error" {
                    return Err(self.error(data));
                }
                for index in std::mem::take(&mut self.open) {
                    push_stop(index, out);
                }
                self.state = State::Finished;
                self.meter.finish_reason = Some(finish_reason(reason, self.has_calls).to_owned());
                self.meter.native_finish_reason = token_of(reason);
                Ok(Step::Answered)
            }
            // Unknown events are relayed.
            _ => Ok(Step::Nothing),
        }
    }

    fn close(&mut self, index: u64, out: &mut Vec<u8>) {
        self.open.retain(|open| *open != index);
        push_stop(index, out);
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

/// Appends `message_stop` with the metadata.
pub(super) fn push_stop_event(names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"event: message_stop\ndata: {\"type\":\"message_stop\",\"anyrouter_metadata\":",
    );
    names.push_stream_metadata(out, meter, &[]);
    out.extend_from_slice(b"}\n\n");
}

fn push_stop(index: u64, out: &mut Vec<u8>) {
    push_format(
        out,
        format_args!(
            "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{index}}}\n\n"
        ),
    );
}

/// Returns true if an event has only `event` and `data` lines: some clients fail on an `id` line.
fn is_bare(raw: &[u8]) -> bool {
    raw.split(|b| matches!(b, b'\n' | b'\r'))
        .all(|line| line.is_empty() || line.starts_with(b"event:") || line.starts_with(b"data:"))
}

/// Appends the data of `message_start` with our id and model, on one line.
fn push_start(names: &ResponseMeta, data: &[u8], out: &mut Vec<u8>) {
    let mut ours = Vec::with_capacity(data.len() + 64);
    let top = members(data, DEPTH).unwrap_or_default();
    match top.iter().find(|m| m.is(data, "message")) {
        Some(message) => {
            ours.extend_from_slice(data.part(..message.value.start));
            replace_members(message.value(data), &identity(names), &mut ours);
            ours.extend_from_slice(data.part(message.value.end..));
        }
        None => ours.extend_from_slice(data),
    }
    push_line(&ours, out);
}

/// Appends JSON on one line: a line end in valid JSON is white space.
fn push_line(json: &[u8], out: &mut Vec<u8>) {
    out.extend(json.iter().map(|b| match b {
        b'\n' | b'\r' => b' ',
        other => *other,
    }));
}

/// Returns the gateway's id and model for a message.
fn identity(names: &ResponseMeta) -> Vec<(&'static str, Vec<u8>)> {
    let (mut id, mut model) = (Vec::with_capacity(32), Vec::with_capacity(48));
    names.push_message_id(&mut id);
    push_string(&mut model, names.model.as_str());
    vec![("id", id), ("model", model)]
}

/// Appends an object with its values replaced by those of `ours`; missing members are added at the
/// end.
fn replace_members(object: &[u8], ours: &[(&'static str, Vec<u8>)], out: &mut Vec<u8>) {
    let theirs = members(object, DEPTH).unwrap_or_default();
    let mut written = 0;
    for member in &theirs {
        if let Some((_, value)) = ours.iter().find(|(name, _)| member.is(object, name)) {
            out.extend_from_slice(object.part(written..member.value.start));
            out.extend_from_slice(value);
            written = member.value.end;
        }
    }
    let end = object
        .iter()
        .rposition(|b| *b == b'}')
        .unwrap_or(object.len())
        .max(written);
    out.extend_from_slice(object.part(written..end));
    for (name, value) in ours {
        if !theirs.iter().any(|m| m.is(object, name)) {
            push_format(out, format_args!(",\"{name}\":"));
            out.extend_from_slice(value);
        }
    }
    out.extend_from_slice(object.part(end..));
}

/// Relays a whole message with the gateway's id, model and metadata.
pub(in crate::wire) fn pass_whole(
    names: &ResponseMeta,
    body: &[u8],
) -> Result<PlainAnswer, AnswerFault> {
    let (_, meter) = read_message(names, body)?;
    let mut ours = identity(names);
    let mut metadata = Vec::with_capacity(256);
    names.push_metadata(&mut metadata, &[]);
    ours.push(("anyrouter_metadata", metadata));
    let mut out = Vec::with_capacity(body.len() + 512);
    replace_members(body, &ours, &mut out);
    Ok(PlainAnswer {
        body: out.into(),
        meter,
    })
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an Anthropic stream")
}
