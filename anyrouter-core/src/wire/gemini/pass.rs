//! Relaying of an answer within the protocol: the gateway's id, model and metadata replace the
//! upstream's in place, and every other byte passes unchanged.

use super::decode::{Machine, chunks_of};
use crate::wire::{
    fault::AnswerFault,
    json::{Replaced, members, push_line, push_string, replace_members},
    meta::ResponseMeta,
    meter::{Meter, PlainAnswer, Progress},
    sse::Splitter,
};

/// Maximum nesting depth of an answer.
const DEPTH: usize = 512;

/// A relay of a stream within the protocol. It reads the same chunks as the decoder, and so meters
/// alike.
#[derive(Debug)]
pub struct StreamPass {
    splitter: Splitter,
    machine: Machine,
    /// The chunk with the finish reason: it waits, since the last chunk has the metadata.
    last: Option<Vec<u8>>,
}

impl StreamPass {
    /// Creates a relay. Events of more than `limit` bytes are faults.
    pub fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            splitter: Splitter::new(limit),
            machine: Machine::new(names),
            last: None,
        }
    }

    /// Creates a relay that has relayed a whole answer, or an array of chunks.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let mut it = Self::new(names, 0);
        for chunk in chunks_of(body)? {
            it.chunk(chunk, out)?;
        }
        if it.is_finished() {
            Ok(it)
        } else {
            Err(AnswerFault::Truncated)
        }
    }

    /// Takes bytes from the upstream and appends the client's bytes to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let mut progress = Progress::default();
        let mut fault = None;
        let mut splitter = std::mem::replace(&mut self.splitter, Splitter::new(0));
        let fed = splitter.feed(bytes, |event| {
            match self.chunk(event.data.as_deref().unwrap_or_default(), out) {
                Ok(made) => progress.add(made),
                Err(e) => fault = Some(e),
            }
            fault.is_none()
        });
        self.splitter = splitter;
        match (fault, fed) {
            (Some(fault), _) => Err(fault),
            (None, Err(e)) => Err(AnswerFault::TooLong { limit: e.limit }),
            (None, Ok(())) => Ok(progress),
        }
    }

    fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        if data.trim_ascii().is_empty() || data.trim_ascii() == b"[DONE]" {
            return Ok(Progress::default());
        }
        let made = self.machine.chunk(data, &mut |_, _| Ok(()))?;
        let mut written = Vec::with_capacity(data.len() + 64);
        replace_members(data, &identity(self.names()), &mut written);
        match self.last.take() {
            // What follows the finish reason without candidates, such as usage, is added to it.
            Some(last) if !has_candidates(data) => self.last = Some(with_usage_of(&last, data)),
            Some(last) => {
                push_chunk(&last, out);
                self.last = Some(written);
            }
            None if self.machine.is_finished() => self.last = Some(written),
            None => push_chunk(&written, out),
        }
        Ok(made)
    }

    /// Appends the last chunk, with the metadata.
    pub(in crate::wire) fn push_end(&self, out: &mut Vec<u8>) {
        let Some(last) = &self.last else {
            return;
        };
        let mut metadata = Vec::with_capacity(256);
        self.names()
            .push_stream_metadata(&mut metadata, self.meter(), &[]);
        let mut whole = Vec::with_capacity(last.len() + 256);
        replace_members(last, &[("anyrouter_metadata", metadata)], &mut whole);
        push_chunk(&whole, out);
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

    /// Returns true if the finish reason was read.
    pub fn is_finished(&self) -> bool {
        self.machine.is_finished()
    }
}

/// Appends a chunk as an event. Google's packages want the blank after the colon, and the empty line.
fn push_chunk(chunk: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    push_line(chunk, out);
    out.extend_from_slice(b"\r\n\r\n");
}

fn has_candidates(chunk: &[u8]) -> bool {
    members(chunk, DEPTH)
        .unwrap_or_default()
        .iter()
        .any(|m| m.is(chunk, "candidates") && m.value(chunk).contains(&b'{'))
}

/// Returns a chunk with the usage of a later one.
fn with_usage_of(chunk: &[u8], later: &[u8]) -> Vec<u8> {
    let members = members(later, DEPTH).unwrap_or_default();
    let usage = members.iter().find(|m| m.is(later, "usageMetadata"));
    let ours: Replaced = usage
        .map(|usage| ("usageMetadata", usage.value(later).to_vec()))
        .into_iter()
        .collect();
    let mut out = Vec::with_capacity(chunk.len() + 128);
    replace_members(chunk, &ours, &mut out);
    out
}

/// Returns the gateway's id and model for an answer.
fn identity(names: &ResponseMeta) -> Replaced {
    let (mut id, mut model) = (Vec::with_capacity(32), Vec::with_capacity(48));
    names.push_id(&mut id);
    push_string(&mut model, names.model.as_str());
    vec![("modelVersion", model), ("responseId", id)]
}

/// Relays a whole answer with the gateway's id, model and metadata. An array of chunks becomes one.
pub(in crate::wire) fn pass_whole(
    names: &ResponseMeta,
    body: &[u8],
) -> Result<PlainAnswer, AnswerFault> {
    if body.trim_ascii_start().starts_with(b"[") {
        let mut events = Vec::with_capacity(body.len());
        let relay = StreamPass::of_whole(Box::new(names.clone()), body, &mut events)?;
        relay.push_end(&mut events);
        return Ok(PlainAnswer {
            body: super::of_events(names, &events)?,
            meter: relay.meter().clone(),
        });
    }
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
