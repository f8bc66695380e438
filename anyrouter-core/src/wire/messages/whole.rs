//! Writing of a whole answer of another protocol as an Anthropic message.

use bytes::Bytes;

use super::{encode::stop_reason, names::call_id, write::push_usage};
use crate::wire::{
    json::{push_format, push_string},
    meta::ResponseMeta,
    meter::Meter,
    proof::for_client,
    whole::{Kind, Whole, quoted},
};

/// Writes a whole answer.
pub(in crate::wire) fn write_whole(names: &ResponseMeta, whole: &Whole, meter: &Meter) -> Bytes {
    let text: usize = whole.blocks.iter().map(|b| b.text.len()).sum();
    let mut out = Vec::with_capacity(text + 1024);
    out.extend_from_slice(b"{\"id\":");
    names.push_message_id(&mut out);
    out.extend_from_slice(b",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    push_string(&mut out, names.model.as_str());
    out.extend_from_slice(b",\"content\":[");
    push_content(names, whole, &mut out);
    push_format(
        &mut out,
        format_args!(
            "],\"stop_reason\":\"{}\",\"stop_sequence\":null,\"usage\":",
            whole.finish.as_deref().map_or("end_turn", stop_reason)
        ),
    );
    push_usage(&names.tokens(meter).0, &mut out);
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_metadata(&mut out, &[]);
    out.push(b'}');
    out.into()
}

fn push_content(names: &ResponseMeta, whole: &Whole, out: &mut Vec<u8>) {
    let start = out.len();
    for block in &whole.blocks {
        if block.kind == Kind::Text && block.text.is_empty() {
            // Anthropic's clients send content back, and its API refuses a text that is empty.
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        match &block.kind {
            Kind::Text => push_format(
                out,
                format_args!("{{\"type\":\"text\",\"text\":\"{}\"}}", block.text),
            ),
            Kind::Reasoning => {
                // Packages drop reasoning that has none: its maker's name stands in its place.
                let proof = quoted(&block.proof);
                let proof = for_client(names, &proof, false);
                push_format(
                    out,
                    format_args!(
                        "{{\"type\":\"thinking\",\"thinking\":\"{}\",\"signature\":{proof}}}",
                        block.text
                    ),
                );
            }
            Kind::Redacted => push_format(
                out,
                format_args!(
                    "{{\"type\":\"redacted_thinking\",\"data\":\"{}\"}}",
                    block.proof
                ),
            ),
            Kind::Call { id, name } => push_format(
                out,
                format_args!(
                    "{{\"type\":\"tool_use\",\"id\":{},\"name\":{},\"input\":{}}}",
                    call_id(id),
                    names.adjusted.client_name(name),
                    block.arguments().as_deref().unwrap_or("{}")
                ),
            ),
        }
    }
}
