//! Events as an Anthropic stream: `message_start`, blocks one after the other with rising indexes,
//! `message_delta`, `message_stop`.

use super::{
    sequence::Sequence,
    write::{push_close, push_delta, push_finish, push_open, push_start, push_stop_event},
};
use crate::{
    catalog::Protocol,
    wire::{
        event::{Block, Delta, Event},
        fault::AnswerFault,
        meta::ResponseMeta,
        meter::Meter,
        proof::for_client,
    },
};

/// An encoder of a stream.
#[derive(Debug, Default)]
pub(in crate::wire) struct Encoder {
    has_begun: bool,
    blocks: Sequence,
    /// The open blocks of reasoning without a signature.
    unsigned: Vec<usize>,
    /// The blocks whose signature has begun: its further pieces have no name of a maker.
    signed: Vec<usize>,
    finish: Option<&'static str>,
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
                if matches!(block, Block::Reasoning) && names.protocol != Protocol::Messages {
                    self.unsigned.push(number);
                }
                return self
                    .blocks
                    .write(number, out, |out| push_open(names, number, block, out));
            }
            Event::Delta(number, Delta::Signature(proof)) => {
                self.unsigned.retain(|unsigned| *unsigned != number);
                let proof = if self.signed.contains(&number) {
                    proof.into()
                } else {
                    self.signed.push(number);
                    for_client(names, proof, false)
                };
                return self.blocks.write(number, out, |out| {
                    push_delta(number, Delta::Signature(&proof), out);
                });
            }
            Event::Delta(number, delta) => {
                return self
                    .blocks
                    .write(number, out, |out| push_delta(number, delta, out));
            }
            Event::Close(number) => {
                if self.unsigned.contains(&number) {
                    // Packages drop reasoning that has none.
                    self.event(names, Event::Delta(number, Delta::Signature("\"\"")), out)?;
                }
                return self
                    .blocks
                    .close(number, out, |out| push_close(number, out));
            }
            Event::Finish(reason) => self.finish = Some(stop_reason(reason)),
        }
        Ok(())
    }

    /// Appends the end of the stream: the stop reason with usage, and the metadata.
    pub(in crate::wire) fn push_end(&self, names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
        if !self.has_begun {
            push_start(names, out);
        }
        push_finish(
            self.finish.unwrap_or("end_turn"),
            &names.tokens(meter).0,
            out,
        );
        push_stop_event(names, meter, out);
    }
}

/// Returns Anthropic's stop reason for OpenAI's finish reason.
pub(super) fn stop_reason(finish_reason: &str) -> &'static str {
    match finish_reason {
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}
