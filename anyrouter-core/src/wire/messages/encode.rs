//! Events as an Anthropic stream: `message_start`, blocks one after the other with rising indexes,
//! `message_delta`, `message_stop`.

use std::collections::VecDeque;

use crate::wire::{
    event::{Block, Delta, Event},
    fault::AnswerFault,
    json::{push_format, push_numbers, push_string},
    meta::ResponseMeta,
    meter::Meter,
};

/// Maximum length of the events of blocks that wait, in bytes.
const WAITING: usize = 4 << 20;

/// An encoder of a stream.
#[derive(Debug, Default)]
pub(in crate::wire) struct Encoder {
    has_begun: bool,
    /// The block whose events are written.
    open: Option<usize>,
    /// Blocks that opened while another was open, in order.
    waiting: VecDeque<Waiting>,
    /// The length of the events that wait.
    held: usize,
    finish: Option<&'static str>,
}

/// A block that waits, since Anthropic's blocks do not overlap.
#[derive(Debug)]
struct Waiting {
    number: usize,
    events: Vec<u8>,
    is_closed: bool,
}

impl Encoder {
    /// Appends an event.
    pub(in crate::wire) fn event(
        &mut self,
        names: &ResponseMeta,
        event: Event<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), AnswerFault> {
        match event {
            Event::Start => {
                self.has_begun = true;
                push_start(names, out);
            }
            Event::Open(number, block) => {
                if self.open.is_none() {
                    self.open = Some(number);
                    push_open(names, number, block, out);
                } else {
                    let mut events = Vec::new();
                    push_open(names, number, block, &mut events);
                    self.hold(events.len())?;
                    self.waiting.push_back(Waiting {
                        number,
                        events,
                        is_closed: false,
                    });
                }
            }
            Event::Delta(number, delta) if self.open == Some(number) => {
                push_delta(number, delta, out);
            }
            Event::Delta(number, delta) => {
                if let Some(block) = self.waiting_block(number) {
                    let before = block.events.len();
                    push_delta(number, delta, &mut block.events);
                    let added = block.events.len() - before;
                    self.hold(added)?;
                }
            }
            Event::Close(number) if self.open == Some(number) => self.next(number, out),
            Event::Close(number) => {
                if let Some(block) = self.waiting_block(number) {
                    block.is_closed = true;
                }
            }
            Event::Finish(reason) => self.finish = Some(stop_reason(reason)),
        }
        Ok(())
    }

    /// Returns the waiting block with this number. They are consecutive.
    fn waiting_block(&mut self, number: usize) -> Option<&mut Waiting> {
        let first = self.waiting.front()?.number;
        self.waiting.get_mut(number.checked_sub(first)?)
    }

    fn hold(&mut self, length: usize) -> Result<(), AnswerFault> {
        self.held += length;
        if self.held > WAITING {
            return Err(AnswerFault::TooLong { limit: WAITING });
        }
        Ok(())
    }

    /// Closes the open block, and writes those that wait up to one that is still open.
    fn next(&mut self, mut number: usize, out: &mut Vec<u8>) {
        self.open = None;
        loop {
            push_close(number, out);
            let Some(block) = self.waiting.pop_front() else {
                return;
            };
            self.held = self.held.saturating_sub(block.events.len());
            out.extend_from_slice(&block.events);
            if !block.is_closed {
                self.open = Some(block.number);
                return;
            }
            number = block.number;
        }
    }

    /// Appends the end of the stream: the stop reason with usage, and the metadata.
    pub(in crate::wire) fn push_end(&self, names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
        if !self.has_begun {
            push_start(names, out);
        }
        let (tokens, _) = names.tokens(meter);
        push_name(out, "message_delta");
        push_format(
            out,
            format_args!(
                "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{}\",\"stop_sequence\":null}},\"usage\":",
                self.finish.unwrap_or("end_turn")
            ),
        );
        let fresh = tokens
            .prompt
            .saturating_sub(tokens.cached)
            .saturating_sub(tokens.cache_write);
        push_numbers(
            out,
            &[
                ("{\"input_tokens\":", fresh),
                (",\"cache_creation_input_tokens\":", tokens.cache_write),
                (",\"cache_read_input_tokens\":", tokens.cached),
                (",\"output_tokens\":", tokens.completion),
            ],
        );
        out.extend_from_slice(b"}}\n\n");
        super::pass::push_stop_event(names, meter, out);
    }
}

/// Appends `message_start` with an estimate of the prompt's tokens; `message_delta` corrects it.
fn push_start(names: &ResponseMeta, out: &mut Vec<u8>) {
    push_name(out, "message_start");
    out.extend_from_slice(b"{\"type\":\"message_start\",\"message\":{\"id\":");
    names.push_message_id(out);
    out.extend_from_slice(b",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    push_string(out, names.model.as_str());
    push_numbers(
        out,
        &[(
            ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":",
            names.prompt_estimate,
        )],
    );
    out.extend_from_slice(b",\"output_tokens\":0}}}\n\n");
}

fn push_open(names: &ResponseMeta, index: usize, block: Block<'_>, out: &mut Vec<u8>) {
    push_name(out, "content_block_start");
    push_format(
        out,
        format_args!("{{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":"),
    );
    match block {
        Block::Text => out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\"}"),
        Block::Reasoning => {
            out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
        }
        Block::Redacted(data) => push_format(
            out,
            format_args!("{{\"type\":\"redacted_thinking\",\"data\":{data}}}"),
        ),
        Block::Call { id, name } => push_format(
            out,
            format_args!(
                "{{\"type\":\"tool_use\",\"id\":{id},\"name\":{},\"input\":{{}}}}",
                names.adjusted.client_name(name)
            ),
        ),
    }
    out.extend_from_slice(b"}\n\n");
}

fn push_delta(index: usize, delta: Delta<'_>, out: &mut Vec<u8>) {
    let (kind, member, text) = match delta {
        Delta::Text(text) => ("text_delta", "text", text),
        Delta::Reasoning(text) => ("thinking_delta", "thinking", text),
        Delta::Signature(text) => ("signature_delta", "signature", text),
        Delta::Arguments(json) => ("input_json_delta", "partial_json", json),
    };
    push_name(out, "content_block_delta");
    push_format(
        out,
        format_args!(
            "{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"{kind}\",\"{member}\":{text}}}}}\n\n"
        ),
    );
}

fn push_close(index: usize, out: &mut Vec<u8>) {
    push_name(out, "content_block_stop");
    push_format(
        out,
        format_args!("{{\"type\":\"content_block_stop\",\"index\":{index}}}\n\n"),
    );
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    push_format(out, format_args!("event: {name}\ndata: "));
}

/// Returns Anthropic's stop reason for OpenAI's finish reason.
fn stop_reason(finish_reason: &str) -> &'static str {
    match finish_reason {
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}
