//! Events as an Anthropic stream: `message_start`, blocks with rising indexes, `message_delta`,
//! `message_stop`.

use std::borrow::Cow;

use serde_json::json;

use crate::wire::{
    event::{Block, Delta, Event},
    json::{push_format, push_numbers, push_string},
    meta::ResponseMeta,
    meter::Meter,
};

/// Encodes a stream.
#[derive(Debug, Default)]
pub(in crate::wire) struct Encoder {
    has_begun: bool,
    /// The index of the block that is open, or of the next one.
    index: usize,
    finish: Option<&'static str>,
}

impl Encoder {
    /// Appends an event.
    pub(in crate::wire) fn event(
        &mut self,
        names: &ResponseMeta,
        event: Event<'_>,
        out: &mut Vec<u8>,
    ) {
        if !std::mem::replace(&mut self.has_begun, true) {
            push_start(names, out);
        }
        let index = self.index;
        match event {
            Event::Open(block) => {
                push_name(out, "content_block_start");
                push_format(
                    out,
                    format_args!(
                        "{{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":"
                    ),
                );
                match block {
                    Block::Text => out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\"}"),
                    Block::Reasoning => out.extend_from_slice(
                        b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}",
                    ),
                    Block::Call { id, name } => push_format(
                        out,
                        format_args!(
                            "{{\"type\":\"tool_use\",\"id\":{},\"name\":{},\"input\":{{}}}}",
                            id,
                            client_name(names, name)
                        ),
                    ),
                }
            }
            Event::Delta(delta) => {
                push_name(out, "content_block_delta");
                let (kind, member, text) = match delta {
                    Delta::Text(text) => ("text_delta", "text", text),
                    Delta::Reasoning(text) => ("thinking_delta", "thinking", text),
                    Delta::Arguments(json) => ("input_json_delta", "partial_json", json),
                };
                push_format(
                    out,
                    format_args!(
                        "{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"{kind}\",\"{member}\":{text}}}"
                    ),
                );
            }
            Event::Close => {
                push_name(out, "content_block_stop");
                push_format(
                    out,
                    format_args!("{{\"type\":\"content_block_stop\",\"index\":{index}"),
                );
                self.index += 1;
            }
            Event::Finish(reason) => {
                self.finish = Some(stop_reason(reason));
                return;
            }
        }
        out.extend_from_slice(b"}\n\n");
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

/// Appends `message_start`. The prompt's tokens are an estimate until the last event.
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

/// Returns the client's name of a tool as JSON.
fn client_name<'a>(names: &ResponseMeta, name: &'a str) -> Cow<'a, str> {
    if names.adjusted.tool_names.is_empty() {
        return name.into();
    }
    match serde_json::from_str::<Cow<'_, str>>(name) {
        Ok(theirs) => json!(names.adjusted.tool_name(&theirs)).to_string().into(),
        Err(_) => name.into(),
    }
}
