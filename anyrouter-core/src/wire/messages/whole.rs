//! Writing of a whole answer of another protocol as an Anthropic message.

use bytes::Bytes;

use super::{encode::stop_reason, names::call_id, write::push_usage};
use crate::wire::{
    json::{push_format, push_string},
    meta::ResponseMeta,
    meter::Meter,
    proof::for_client,
    whole::{Kind, Whole, WholeBlock, quoted},
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
    let is_broken = |block: &&WholeBlock| {
        matches!(block.kind, Kind::Call { .. }) && block.arguments().is_none()
    };
    let has_broken_call = whole.blocks.iter().any(|block| is_broken(&block));
    push_content(names, whole, &mut out);
    let reason = match whole.finish.as_deref() {
        // A call that broke off is left out: a client would make it.
        Some("tool_calls") if has_broken_call => "max_tokens",
        finish => finish.map_or("end_turn", stop_reason),
    };
    push_format(
        &mut out,
        format_args!("],\"stop_reason\":\"{reason}\",\"stop_sequence\":null,\"usage\":"),
    );
    push_usage(&names.tokens(meter).0, &mut out);
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    let left_out = has_broken_call.then(|| "response: a call that broke off".to_owned());
    names.push_metadata(&mut out, left_out.as_slice());
    out.push(b'}');
    out.into()
}

fn push_content(names: &ResponseMeta, whole: &Whole, out: &mut Vec<u8>) {
    let start = out.len();
    for block in &whole.blocks {
        let arguments = match &block.kind {
            // Anthropic's clients send content back, and its API refuses a text that is empty.
            Kind::Text if block.text.is_empty() => continue,
            Kind::Call { .. } => match block.arguments() {
                Some(arguments) => arguments,
                None => continue,
            },
            Kind::Text | Kind::Reasoning | Kind::Redacted => String::new(),
        };
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
                    "{{\"type\":\"tool_use\",\"id\":{},\"name\":{},\"input\":{arguments}}}",
                    call_id(id),
                    names.adjusted.client_name(name)
                ),
            ),
        }
    }
}
