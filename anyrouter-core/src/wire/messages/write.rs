//! Anthropic's events, as the gateway writes them.

use super::names::call_id;
use crate::{
    usage::Tokens,
    wire::{
        event::{Block, Delta},
        json::{push_format, push_number, push_numbers, push_string},
        meta::ResponseMeta,
        meter::Meter,
    },
};

/// Appends `message_start` with an estimate of the prompt's tokens; `message_delta` corrects it.
pub(super) fn push_start(names: &ResponseMeta, out: &mut Vec<u8>) {
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

/// Appends `message_delta` with a stop reason and the usage.
pub(super) fn push_finish(stop_reason: &str, tokens: &Tokens, out: &mut Vec<u8>) {
    push_name(out, "message_delta");
    push_format(
        out,
        format_args!(
            "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{stop_reason}\",\"stop_sequence\":null}},\"usage\":"
        ),
    );
    push_usage(tokens, out);
    out.extend_from_slice(b"}\n\n");
}

/// Appends a usage object.
pub(super) fn push_usage(tokens: &Tokens, out: &mut Vec<u8>) {
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
    out.push(b'}');
}

pub(super) fn push_open(names: &ResponseMeta, index: usize, block: Block<'_>, out: &mut Vec<u8>) {
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
                "{{\"type\":\"tool_use\",\"id\":{},\"name\":{},\"input\":{{}}}}",
                call_id(id),
                names.adjusted.client_name(name)
            ),
        ),
    }
    out.extend_from_slice(b"}\n\n");
}

pub(super) fn push_delta(index: usize, delta: Delta<'_>, out: &mut Vec<u8>) {
    let (kind, member, text) = match delta {
        Delta::Text(text) => ("text_delta", "text", text),
        Delta::Reasoning(text) => ("thinking_delta", "thinking", text),
        Delta::Signature(text) => ("signature_delta", "signature", text),
        Delta::Arguments(json) => ("input_json_delta", "partial_json", json),
    };
    // Most of an answer: written without formatting.
    out.extend_from_slice(
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
    );
    push_number(out, index as u64);
    for part in [
        ",\"delta\":{\"type\":\"",
        kind,
        "\",\"",
        member,
        "\":",
        text,
        "}}\n\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
}

pub(super) fn push_close(index: usize, out: &mut Vec<u8>) {
    push_name(out, "content_block_stop");
    push_format(
        out,
        format_args!("{{\"type\":\"content_block_stop\",\"index\":{index}}}\n\n"),
    );
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    push_format(out, format_args!("event: {name}\ndata: "));
}

/// Appends `message_stop` with the metadata.
pub(super) fn push_stop_event(names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"event: message_stop\ndata: {\"type\":\"message_stop\",\"anyrouter_metadata\":",
    );
    names.push_stream_metadata(out, meter, &[]);
    out.extend_from_slice(b"}\n\n");
}
