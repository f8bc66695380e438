//! Relaying of an answer within the protocol: the gateway's id, model and metadata replace the
//! upstream's in place, and every other byte passes unchanged. Items that an upstream does not
//! announce, or that only its last event has, get the events that packages and agents wait for.

use super::{
    decode::Machine,
    encode::Encoder,
    write::{push_event, push_event_end},
};
use crate::{
    part::Part as _,
    wire::{
        fault::AnswerFault,
        json::{
            Member, Object, Replaced, members, objects, push_comma, push_line, push_number,
            push_numbers, push_string, replace_members,
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
    form: Form,
    /// The id with which each item was announced, as JSON, by its index.
    ids: Vec<(u64, Vec<u8>)>,
}

/// The form of an upstream's stream.
#[derive(Debug)]
enum Form {
    /// There was no item yet.
    Unknown,
    /// Items are announced: they pass.
    Conforming,
    /// Items are not announced: they are written again.
    Deviating(Box<Encoder>),
}

impl StreamPass {
    /// Creates a relay. Events of more than `limit` bytes are faults.
    pub fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            splitter: Splitter::new(limit),
            machine: Machine::new(names),
            sequence: 0,
            last: None,
            form: Form::Unknown,
            ids: Vec::new(),
        }
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
        if let Form::Deviating(encoder) = &mut self.form {
            return self
                .machine
                .event(data, &mut |names, event| encoder.event(names, event, out));
        }
        let (mut missing, items) = (Vec::new(), self.machine.items());
        let open = self.machine.open_items();
        let mut encoder = Encoder::resuming(self.sequence, items);
        let made = self.machine.event(data, &mut |names, event| {
            encoder.event(names, event, &mut missing)
        })?;
        if matches!(self.form, Form::Unknown) {
            if self.machine.is_unannounced() || made.done {
                out.append(&mut missing);
                self.form = Form::Deviating(Box::new(encoder));
                return Ok(made);
            }
            if self.machine.items() > 0 {
                self.form = Form::Conforming;
            }
        }
        if made.done {
            // Items that no event announced, and those that none ended.
            out.append(&mut missing);
            self.sequence = encoder.sequence();
            push_ends(&open, data, &mut self.sequence, out);
        }
        let names = self.machine.names();
        let written = write(names, event, data, self.sequence, made.done, &mut self.ids);
        self.sequence += 1;
        if made.done {
            self.last = Some(split(written));
        } else {
            out.extend_from_slice(&written);
        }
        Ok(made)
    }

    /// Appends the last event, with the metadata.
    pub(in crate::wire) fn push_end(&self, out: &mut Vec<u8>) {
        if let Form::Deviating(encoder) = &self.form {
            encoder.push_end(self.names(), self.meter(), out);
        } else if let Some((start, rest)) = &self.last {
            out.extend_from_slice(start);
            self.names().push_stream_metadata(out, self.meter(), &[]);
            out.extend_from_slice(rest);
        }
    }

    /// Returns the number of the next event.
    pub(in crate::wire) fn sequence(&self) -> u64 {
        match &self.form {
            Form::Deviating(encoder) => encoder.sequence(),
            Form::Unknown | Form::Conforming => self.sequence,
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

/// Returns an event with the gateway's values. An event that needs none keeps its bytes.
fn write(
    names: &ResponseMeta,
    event: &Event<'_>,
    data: &[u8],
    sequence: u64,
    is_last: bool,
    ids: &mut Vec<(u64, Vec<u8>)>,
) -> Vec<u8> {
    let theirs = members(data, DEPTH).unwrap_or_default();
    let member = |name: &str| theirs.iter().find(|m| m.is(data, name));
    let mut ours = Replaced::new();
    if let Some(response) = member("response") {
        let mut inner = identity(names);
        if is_last {
            inner.push(("anyrouter_metadata", b"null".into()));
        }
        if is_last && let Some(output) = with_ids(response.value(data), ids) {
            inner.push(("output", output));
        }
        let mut replaced = Vec::with_capacity(data.len() + 64);
        replace_members(response.value(data), &inner, &mut replaced);
        ours.push(("response", replaced));
    }
    if let Some(index) =
        member("output_index").and_then(|m| serde_json::from_slice(m.value(data)).ok())
    {
        keep_id(index, data, &theirs, ids, &mut ours);
    }
    let mut number = Vec::new();
    push_number(&mut number, sequence);
    if member("sequence_number").map(|m| m.value(data)) != Some(&number) {
        ours.push(("sequence_number", number));
    }
    let kind = member("type").map_or(&b""[..], |m| m.value(data));
    let name = kind
        .get(1..kind.len().saturating_sub(1))
        .unwrap_or_default();
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

/// Keeps the id with which an item was announced: some upstreams give it another in each event, which
/// packages refuse.
fn keep_id(
    index: u64,
    data: &[u8],
    theirs: &[Member],
    ids: &mut Vec<(u64, Vec<u8>)>,
    ours: &mut Replaced,
) {
    let member = |name: &str| theirs.iter().find(|m| m.is(data, name));
    let item = member("item").map(|m| m.value(data));
    let of_item = item.and_then(|item| value_of(item, "id"));
    let Some((_, known)) = ids.iter().find(|(i, _)| *i == index) else {
        ids.extend(of_item.map(|id| (index, id.to_vec())));
        return;
    };
    match (item, of_item) {
        (Some(item), Some(id)) if known != id => {
            let mut replaced = Vec::with_capacity(item.len() + 64);
            replace_members(item, &[("id", known.clone())], &mut replaced);
            ours.push(("item", replaced));
        }
        _ => {}
    }
    if let Some(id) = member("item_id")
        && id.value(data) != known
    {
        ours.push(("item_id", known.clone()));
    }
}

/// Returns the output of the whole response with the ids with which its items were announced; `None`
/// if it has them.
fn with_ids(response: &[u8], ids: &[(u64, Vec<u8>)]) -> Option<Vec<u8>> {
    let items = objects(value_of(response, "output")?, DEPTH).ok()?;
    let known = |index: usize| ids.iter().find(|(i, _)| *i == index as u64);
    let differs = |(index, item): (usize, &Object<'_>)| {
        known(index).is_some_and(|(_, id)| item.get("id").is_some_and(|theirs| theirs != id))
    };
    if !items.iter().enumerate().any(differs) {
        return None;
    }
    let mut out = vec![b'['];
    for (index, item) in items.iter().enumerate() {
        push_comma(&mut out);
        match known(index).filter(|_| differs((index, item))) {
            Some((_, id)) => replace_members(item.raw(), &[("id", id.clone())], &mut out),
            None => out.extend_from_slice(item.raw()),
        }
    }
    out.push(b']');
    Some(out)
}

/// Returns the value of an object's member.
fn value_of<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let all = members(object, DEPTH).ok()?;
    let member = all.into_iter().find(|m| m.is(object, name))?;
    object.get(member.value)
}

/// Appends the events that end the items with these indexes, from the whole response in the last event.
fn push_ends(open: &[u64], data: &[u8], sequence: &mut u64, out: &mut Vec<u8>) {
    let output = value_of(data, "response").and_then(|response| value_of(response, "output"));
    let output = output.and_then(|output| objects(output, DEPTH).ok());
    let output = output.unwrap_or_default();
    for index in open {
        let at = usize::try_from(*index).ok();
        if let Some(item) = at.and_then(|at| output.get(at)) {
            push_event("response.output_item.done", sequence, out);
            push_numbers(out, &[(",\"output_index\":", *index)]);
            out.extend_from_slice(b",\"item\":");
            push_line(item.raw(), out);
            push_event_end(out);
        }
    }
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
