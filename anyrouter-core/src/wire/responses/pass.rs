//! Relaying of an answer within the protocol: the gateway's id, model and metadata replace the
//! upstream's in place, and every other byte passes unchanged. Items that an upstream does not
//! announce, or that only its last event has, get the events that packages and agents wait for.

use super::{
    decode::Machine,
    encode::Encoder,
    passing::{Passing, value_of},
    told::{Told, announced},
    write::{push_event, push_event_end, push_start},
};
use crate::{
    part::Part as _,
    wire::{
        event::{self, Block, Delta},
        fault::AnswerFault,
        json::{
            Object, Replaced, objects, push_comma, push_line, push_number, push_numbers,
            push_string, replace_members, utf8,
        },
        meta::ResponseMeta,
        meter::{Meter, PlainAnswer, Progress},
        sse::{Event, Splitter},
    },
};

/// Maximum nesting depth of an answer.
const DEPTH: usize = 512;

/// A relay of a stream within the protocol. It reads the same events as the decoder, and so meters
/// alike.
#[derive(Debug)]
pub struct StreamPass {
    splitter: Splitter,
    machine: Machine,
    /// The number of events so far.
    sequence: u64,
    /// The last event, up to the metadata, and the rest.
    last: Option<(Vec<u8>, Vec<u8>)>,
    /// Writes the rest of a stream whose items are not announced.
    encoder: Option<Box<Encoder>>,
    /// The items that were announced.
    ids: Vec<Announced>,
    told: Told,
    /// The items that are complete.
    output: Vec<Vec<u8>>,
}

/// An item as it was announced: type and id as JSON.
#[derive(Debug)]
struct Announced {
    index: u64,
    kind: Vec<u8>,
    id: Vec<u8>,
}

impl StreamPass {
    /// Creates a relay. Events of more than `limit` bytes are faults.
    pub fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            splitter: Splitter::new(limit),
            machine: Machine::new(names),
            sequence: 0,
            last: None,
            encoder: None,
            ids: Vec::new(),
            told: Told::default(),
            output: Vec::new(),
        }
    }

    /// Creates a relay that has relayed a whole response as a stream: its only event is the last.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        // An error, or what is no response.
        Machine::new(names.clone()).whole(body, &mut |_, _| Ok(()))?;
        let kind = match value_of(body, "status") {
            Some(b"\"incomplete\"") => "response.incomplete",
            _ => "response.completed",
        };
        let mut event =
            format!("data: {{\"type\":\"{kind}\",\"sequence_number\":0,\"response\":").into_bytes();
        // A line of an event has no line break; in JSON, one stands only between values.
        event.extend(
            body.iter()
                .map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }),
        );
        event.extend_from_slice(b"}\n\n");
        let mut it = Self::new(names, event.len());
        it.feed(&event, out)?;
        Ok(it)
    }

    /// Takes bytes from the upstream and appends the client's bytes to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let mut progress = Progress::default();
        let mut fault = None;
        let mut splitter = std::mem::replace(&mut self.splitter, Splitter::new(0));
        let fed = splitter.feed(bytes, |event| {
            match self.event(&event, out) {
                Ok(made) => progress.add(made),
                Err(e) => fault = Some(e),
            }
            fault.is_none() && !progress.done
        });
        self.splitter = splitter;
        match (fault, fed) {
            (Some(fault), _) => Err(fault),
            (None, Err(e)) if !progress.done => Err(AnswerFault::TooLong { limit: e.limit }),
            (None, _) => Ok(progress),
        }
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let data = event.data.as_deref().unwrap_or_default();
        // Comments are dropped, since the gateway sends its own keep-alives, and so is the end marker
        // of chat.
        if data.trim_ascii().is_empty() || data.trim_ascii() == b"[DONE]" {
            return Ok(Progress::default());
        }
        if let Some(encoder) = &mut self.encoder {
            return self.machine.event(event.name, data, &mut |names, event| {
                encoder.event(names, event, out)
            });
        }
        let before = self.machine.items();
        let open = self.machine.open_items();
        let made = self.machine.event(event.name, data, &mut |_, _| Ok(()))?;
        if self.machine.is_unannounced() {
            // Text of a message that no event announced: the rest is written again.
            let mut encoder = Encoder::resuming(self.sequence, &self.output);
            let names = self.machine.names();
            let text = value_of(data, "delta").and_then(utf8).unwrap_or("\"\"");
            let number = self.machine.blocks().saturating_sub(1);
            for event in [
                event::Event::Start,
                event::Event::Open(number, Block::Text),
                event::Event::Delta(number, Delta::Text(text)),
            ] {
                encoder.event(names, event, out)?;
            }
            self.encoder = Some(Box::new(encoder));
            return Ok(made);
        }
        let read = Passing::of(data);
        if self.sequence == 0 && read.kind != b"\"response.created\"" {
            push_start(self.machine.names(), &mut self.sequence, out);
        }
        let is_whole_item = read.kind == b"\"response.output_item.done\"";
        if is_whole_item && self.machine.items() > before {
            push_item("added", &read, &mut self.sequence, out);
        }
        self.tell(&read, data, out);
        if is_whole_item && let Some(item) = read.item {
            self.output.push(item.to_vec());
        }
        if made.done {
            self.push_rest(&open, &read, out);
        }
        let written = self.written(event, data, &read, made.done);
        self.sequence += 1;
        if made.done {
            self.last = Some(split(written));
        } else {
            out.extend_from_slice(&written);
        }
        Ok(made)
    }

    /// Appends what the client should have been told before an event.
    fn tell(&mut self, read: &Passing<'_>, data: &[u8], out: &mut Vec<u8>) {
        let known = self
            .ids
            .iter()
            .find(|known| Some(known.index) == read.index);
        let id = match known {
            Some(known) => &known.id,
            None => read
                .item
                .and_then(|item| value_of(item, "id"))
                .or(read.value(data, "item_id"))
                .unwrap_or(b"\"\""),
        };
        self.told.tell(read, data, id, &mut self.sequence, out);
    }

    /// Appends the ends of the open items, and the items that only the whole response has.
    fn push_rest(&mut self, open: &[u64], read: &Passing<'_>, out: &mut Vec<u8>) {
        let output = read.response.and_then(|r| value_of(r, "output"));
        let output = output.and_then(|output| objects(output, DEPTH).ok());
        let output = output.unwrap_or_default();
        for index in open {
            let at = usize::try_from(*index).ok();
            if let Some(item) = at.and_then(|at| output.get(at)) {
                let read = Passing::with(*index, item.raw());
                self.tell(&read, b"", out);
                push_item("done", &read, &mut self.sequence, out);
                self.output.push(item.raw().to_vec());
            }
        }
        for at in self.machine.unannounced().to_vec() {
            if let Some(item) = output.get(at) {
                let read = Passing::with(self.output.len() as u64, item.raw());
                push_item("added", &read, &mut self.sequence, out);
                self.tell(&read, b"", out);
                push_item("done", &read, &mut self.sequence, out);
                self.output.push(item.raw().to_vec());
            }
        }
    }

    /// Appends the last event, with the metadata.
    pub(in crate::wire) fn push_end(&self, out: &mut Vec<u8>) {
        if let Some(encoder) = &self.encoder {
            encoder.push_end(self.names(), self.meter(), out);
        } else if let Some((start, rest)) = &self.last {
            out.extend_from_slice(start);
            self.names().push_stream_metadata(out, self.meter(), &[]);
            out.extend_from_slice(rest);
        }
    }

    /// Returns the number of the next event.
    pub(in crate::wire) fn sequence(&self) -> u64 {
        match &self.encoder {
            Some(encoder) => encoder.sequence(),
            None => self.sequence,
        }
    }

    /// Returns the meter.
    pub fn meter(&self) -> &Meter {
        self.machine.meter()
    }

    /// Returns the names that it writes.
    pub fn names(&self) -> &ResponseMeta {
        self.machine.names()
    }

    /// Returns true if the client has received something.
    pub fn has_given(&self) -> bool {
        self.machine.has_given()
    }

    /// Returns true if the last event was read.
    pub fn is_finished(&self) -> bool {
        self.machine.is_finished()
    }
}

/// The value of the metadata until the stream ends.
const METADATA: &[u8] = b"\"anyrouter_metadata\":null";

/// Appends an event about a whole item.
fn push_item(what: &str, read: &Passing<'_>, sequence: &mut u64, out: &mut Vec<u8>) {
    push_event(&format!("response.output_item.{what}"), sequence, out);
    push_numbers(out, &[(",\"output_index\":", read.index.unwrap_or(0))]);
    out.extend_from_slice(b",\"item\":");
    let item = read.item.unwrap_or(b"{}");
    if what == "added" {
        push_line(&announced(item), out);
    } else {
        push_line(item, out);
    }
    push_event_end(out);
}

impl StreamPass {
    /// Returns an event with the gateway's values. An event that needs none keeps its bytes.
    fn written(
        &mut self,
        event: &Event<'_>,
        data: &[u8],
        read: &Passing<'_>,
        is_last: bool,
    ) -> Vec<u8> {
        let mut ours = Replaced::new();
        if let Some(response) = read.response {
            let mut inner = identity(self.names());
            if is_last {
                inner.push(("anyrouter_metadata", b"null".into()));
                inner.extend(self.output_members(response));
            }
            let mut replaced = Vec::with_capacity(data.len() + 64);
            replace_members(response, &inner, &mut replaced);
            ours.push(("response", replaced));
        }
        self.keep_id(data, read, &mut ours);
        let mut number = Vec::new();
        push_number(&mut number, self.sequence);
        let theirs = read.members.iter().find(|m| m.is(data, "sequence_number"));
        if theirs.map(|m| m.value(data)) != Some(&number) {
            ours.push(("sequence_number", number));
        }
        let end = read.kind.len().saturating_sub(1);
        let name = read.kind.get(1..end).unwrap_or_default();
        if ours.is_empty() && event.name == Some(name) && event.is_bare() {
            return event.raw.to_vec();
        }
        let mut out = Vec::with_capacity(data.len() + 128);
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\ndata: ");
        let mut replaced = Vec::with_capacity(data.len() + 64);
        replace_members(data, &ours, &mut replaced);
        push_line(&replaced, &mut out);
        out.extend_from_slice(b"\n\n");
        out
    }

    /// Keeps the id with which an item was announced: some upstreams give it another in each event,
    /// which packages refuse.
    fn keep_id(&mut self, data: &[u8], read: &Passing<'_>, ours: &mut Replaced) {
        let Some(index) = read.index else {
            return;
        };
        let id = read.item.and_then(|item| value_of(item, "id"));
        let Some(known) = self.ids.iter().find(|known| known.index == index) else {
            let kind = read.item.and_then(|item| value_of(item, "type"));
            self.ids.extend(id.zip(kind).map(|(id, kind)| Announced {
                index,
                kind: kind.to_vec(),
                id: id.to_vec(),
            }));
            return;
        };
        if let (Some(item), Some(id)) = (read.item, id)
            && id != known.id
        {
            let mut replaced = Vec::with_capacity(item.len() + 64);
            replace_members(item, &[("id", known.id.clone())], &mut replaced);
            if read.kind == b"\"response.output_item.done\""
                && let Some(last) = self.output.last_mut()
            {
                last.clone_from(&replaced);
            }
            ours.push(("item", replaced));
        }
        let item_id = read.members.iter().find(|m| m.is(data, "item_id"));
        if item_id.is_some_and(|m| m.value(data) != known.id) {
            ours.push(("item_id", known.id.clone()));
        }
    }

    /// Returns the members of the whole response that differ from what its events said: items that it
    /// leaves out, items under other ids, and a usage without its sum.
    fn output_members(&self, response: &[u8]) -> Replaced {
        let mut ours = Replaced::new();
        let theirs = value_of(response, "output").and_then(|o| objects(o, DEPTH).ok());
        let theirs = theirs.unwrap_or_default();
        let is_announced = |item: &Object<'_>| {
            let id = item.get("id");
            self.ids.iter().any(|known| Some(&known.id[..]) == id)
        };
        // Under other ids in each event, items are known by their place.
        let is_other = |(at, item): (usize, &Object<'_>)| {
            let known = self.ids.iter().find(|known| known.index == at as u64)?;
            let same_kind = item.get("type") == Some(&known.kind[..]);
            (same_kind && item.get("id").is_some() && !is_announced(item)).then_some(known)
        };
        let has_others = theirs
            .iter()
            .enumerate()
            .any(|pair| is_other(pair).is_some());
        if theirs.len() < self.output.len() {
            ours.push(("output", list(self.output.iter().map(|item| &item[..]))));
        } else if has_others && theirs.len() == self.output.len() {
            let items: Vec<Vec<u8>> = theirs
                .iter()
                .enumerate()
                .map(|(at, item)| match is_other((at, item)) {
                    Some(known) => {
                        let mut replaced = Vec::with_capacity(item.raw().len() + 64);
                        replace_members(item.raw(), &[("id", known.id.clone())], &mut replaced);
                        replaced
                    }
                    None => item.raw().to_vec(),
                })
                .collect();
            ours.push(("output", list(items.iter().map(|item| &item[..]))));
        }
        if let (Some(usage), Some(tokens)) = (value_of(response, "usage"), self.meter().tokens)
            && usage.starts_with(b"{")
            && value_of(usage, "total_tokens").is_none()
        {
            let mut sum = Vec::new();
            push_number(&mut sum, tokens.total());
            let mut replaced = Vec::with_capacity(usage.len() + 32);
            replace_members(usage, &[("total_tokens", sum)], &mut replaced);
            ours.push(("usage", replaced));
        }
        ours
    }
}

/// Returns items as a list.
fn list<'a>(items: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = vec![b'['];
    for item in items {
        push_comma(&mut out);
        out.extend_from_slice(item);
    }
    out.push(b']');
    out
}

/// Splits the last event at the value of its metadata.
fn split(event: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    match memchr::memmem::rfind(&event, METADATA) {
        Some(at) => {
            let value = at + METADATA.len() - b"null".len();
            let rest = event.part(value + b"null".len()..event.len()).to_vec();
            (event.part(0..value).to_vec(), rest)
        }
        None => (event, Vec::new()),
    }
}

/// Returns the gateway's id and model for a response.
fn identity(names: &ResponseMeta) -> Replaced {
    let (mut id, mut model) = (Vec::with_capacity(32), Vec::with_capacity(48));
    names.push_response_id(&mut id);
    push_string(&mut model, names.model.as_str());
    vec![("id", id), ("model", model)]
}

/// Relays a whole response with the gateway's id, model and metadata.
pub(in crate::wire) fn pass_whole(
    names: &ResponseMeta,
    body: &[u8],
) -> Result<PlainAnswer, AnswerFault> {
    let mut machine = Machine::new(Box::new(names.clone()));
    machine.whole(body, &mut |_, _| Ok(()))?;
    let mut ours = identity(names);
    let mut metadata = Vec::with_capacity(256);
    names.push_metadata(&mut metadata, &[]);
    ours.push(("anyrouter_metadata", metadata));
    let mut out = Vec::with_capacity(body.len() + 512);
    replace_members(body, &ours, &mut out);
    Ok(PlainAnswer {
        body: out.into(),
        meter: machine.meter().clone(),
    })
}
