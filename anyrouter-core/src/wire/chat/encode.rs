//! Events as an OpenAI-chat stream: a chunk with the role, deltas, and one finish reason; the last
//! chunk has usage and metadata.

use super::write::{push_chunk_start, push_stream_end};
use crate::wire::{
    event::{Block, Delta, Event},
    json::push_format,
    meta::ResponseMeta,
    meter::Meter,
    proof::{for_client, format_of},
};

/// The rest of a chunk after its delta.
const REST: &[u8] = b",\"finish_reason\":null}]}\n\n";

/// Encodes a stream.
#[derive(Debug, Default)]
pub(in crate::wire) struct Encoder {
    /// Everything of a chunk up to the value of `delta`.
    start: Vec<u8>,
    /// The open blocks: each number with its index among the calls or thoughts.
    open: Vec<(usize, usize)>,
    calls: usize,
    thoughts: usize,
    /// The blocks whose signature has begun: its further pieces have no name of a maker.
    signed: Vec<usize>,
}

impl Encoder {
    /// Appends an event.
    pub(in crate::wire) fn event(
        &mut self,
        names: &ResponseMeta,
        event: Event<'_>,
        out: &mut Vec<u8>,
    ) {
        if self.start.is_empty() {
            push_chunk_start(names, &mut self.start);
            self.start.extend_from_slice(b"[{\"index\":0,\"delta\":");
        }
        match event {
            Event::Start => self.chunk(
                out,
                format_args!("{{\"role\":\"assistant\",\"content\":\"\"}}"),
            ),
            Event::Open(number, block) => self.block(names, number, block, out),
            Event::Delta(number, delta) => self.delta(names, number, delta, out),
            Event::Close(number) => self.open.retain(|(open, _)| *open != number),
            Event::Finish(reason) => {
                out.extend_from_slice(&self.start);
                push_format(
                    out,
                    format_args!("{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"),
                );
            }
        }
    }

    fn block(&mut self, names: &ResponseMeta, number: usize, block: Block<'_>, out: &mut Vec<u8>) {
        let nth = match block {
            Block::Text => 0,
            Block::Reasoning | Block::Redacted(_) => {
                self.thoughts += 1;
                self.thoughts - 1
            }
            Block::Call { .. } => {
                self.calls += 1;
                self.calls - 1
            }
        };
        self.open.push((number, nth));
        let format = format_of(names.protocol);
        match block {
            Block::Text | Block::Reasoning => {}
            Block::Redacted(data) => {
                let data = for_client(names, data, true);
                self.chunk(
                    out,
                    format_args!(
                        "{{\"reasoning_details\":[{{\"type\":\"reasoning.encrypted\",\"data\":{data},\"format\":\"{format}\",\"index\":{nth}}}]}}"
                    ),
                );
            }
            Block::Call { id, name } => {
                let name = names.adjusted.client_name(name);
                self.chunk(
                    out,
                    format_args!(
                        "{{\"tool_calls\":[{{\"index\":{nth},\"id\":{id},\"type\":\"function\",\"function\":{{\"name\":{name},\"arguments\":\"\"}}}}]}}"
                    ),
                );
            }
        }
    }

    fn delta(&mut self, names: &ResponseMeta, number: usize, delta: Delta<'_>, out: &mut Vec<u8>) {
        let nth = self
            .open
            .iter()
            .find(|(open, _)| *open == number)
            .map_or(0, |(_, nth)| *nth);
        let format = format_of(names.protocol);
        match delta {
            // Most of an answer: written without formatting.
            Delta::Text(text) => {
                for part in [
                    self.start.as_slice(),
                    b"{\"content\":",
                    text.as_bytes(),
                    b"}",
                    REST,
                ] {
                    out.extend_from_slice(part);
                }
            }
            Delta::Reasoning(text) => {
                let detail = format_args!(
                    "{{\"type\":\"reasoning.text\",\"text\":{text},\"format\":\"{format}\",\"index\":{nth}}}"
                );
                if names.adjusted.hides_reasoning {
                    self.chunk(out, format_args!("{{\"reasoning_details\":[{detail}]}}"));
                } else {
                    self.chunk(
                        out,
                        format_args!("{{\"reasoning\":{text},\"reasoning_details\":[{detail}]}}"),
                    );
                }
            }
            Delta::Signature(signature) => {
                let signature = if self.signed.contains(&number) {
                    signature.into()
                } else {
                    self.signed.push(number);
                    for_client(names, signature, false)
                };
                self.chunk(
                    out,
                    format_args!(
                        "{{\"reasoning_details\":[{{\"type\":\"reasoning.text\",\"signature\":{signature},\"format\":\"{format}\",\"index\":{nth}}}]}}"
                    ),
                );
            }
            Delta::Arguments(json) => self.chunk(
                out,
                format_args!(
                    "{{\"tool_calls\":[{{\"index\":{nth},\"function\":{{\"arguments\":{json}}}}}]}}"
                ),
            ),
        }
    }

    fn chunk(&self, out: &mut Vec<u8>, delta: std::fmt::Arguments<'_>) {
        out.extend_from_slice(&self.start);
        push_format(out, delta);
        out.extend_from_slice(REST);
    }

    /// Appends the last chunk, with usage and metadata, and `[DONE]`.
    pub(in crate::wire) fn push_end(names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
        push_stream_end(names, out, meter, &[]);
    }
}
