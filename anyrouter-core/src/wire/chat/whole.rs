//! Writing of a whole answer of another protocol as an OpenAI chat completion.

use bytes::Bytes;

use super::write::push_usage_of;
use crate::wire::{
    json::{push_format, push_numbers, push_string},
    meta::ResponseMeta,
    meter::Meter,
    proof::{for_client, format_of},
    whole::{Kind, Whole, WholeBlock, quoted},
};

/// Writes a whole answer.
pub(in crate::wire) fn write_whole(names: &ResponseMeta, whole: &Whole, meter: &Meter) -> Bytes {
    let text: usize = whole.blocks.iter().map(|b| b.text.len()).sum();
    let mut out = Vec::with_capacity(text * 2 + 1024);
    out.extend_from_slice(b"{\"id\":");
    names.push_id(&mut out);
    push_numbers(
        &mut out,
        &[(
            ",\"object\":\"chat.completion\",\"created\":",
            names.created,
        )],
    );
    out.extend_from_slice(b",\"model\":");
    push_string(&mut out, names.model.as_str());
    out.extend_from_slice(b",\"provider\":");
    push_string(&mut out, &names.provider);
    out.extend_from_slice(
        b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":",
    );
    let has_text = push_joined(whole, &Kind::Text, &mut out);
    let is_call = |block: &WholeBlock| matches!(block.kind, Kind::Call { .. });
    match whole.blocks.iter().any(is_call) {
        _ if has_text => {}
        true => out.extend_from_slice(b"null"),
        false => out.extend_from_slice(b"\"\""),
    }
    out.extend_from_slice(b",\"refusal\":null");
    push_reasoning(names, whole, &mut out);
    push_calls(names, whole, &mut out);
    out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
    match &whole.finish {
        Some(reason) => push_string(&mut out, reason),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}],\"usage\":");
    push_usage_of(names, &mut out, meter);
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_metadata(&mut out, &[]);
    out.push(b'}');
    out.into()
}

/// Appends the texts of the blocks of a kind as one string. Returns false, and appends nothing, if
/// there is no such block.
fn push_joined(whole: &Whole, kind: &Kind, out: &mut Vec<u8>) -> bool {
    let mut texts = whole.blocks.iter().filter(|b| b.kind == *kind).peekable();
    if texts.peek().is_none() {
        return false;
    }
    out.push(b'"');
    for block in texts {
        out.extend_from_slice(block.text.as_bytes());
    }
    out.push(b'"');
    true
}

fn push_reasoning(names: &ResponseMeta, whole: &Whole, out: &mut Vec<u8>) {
    let is_thought = |block: &&WholeBlock| {
        matches!(block.kind, Kind::Reasoning | Kind::Redacted)
            && !(block.text.is_empty() && block.proof.is_empty())
    };
    let mut thoughts = whole
        .blocks
        .iter()
        .filter(is_thought)
        .enumerate()
        .peekable();
    if thoughts.peek().is_none() {
        return;
    }
    if !names.adjusted.hides_reasoning {
        let start = out.len();
        out.extend_from_slice(b",\"reasoning\":");
        if !push_joined(whole, &Kind::Reasoning, out) {
            out.truncate(start);
        }
    }
    let format = format_of(names.protocol);
    out.extend_from_slice(b",\"reasoning_details\":[");
    for (nth, block) in thoughts {
        if nth > 0 {
            out.push(b',');
        }
        let proof = quoted(&block.proof);
        if block.kind == Kind::Redacted {
            let proof = for_client(names, &proof, true);
            push_format(
                out,
                format_args!("{{\"type\":\"reasoning.encrypted\",\"data\":{proof}"),
            );
        } else {
            out.extend_from_slice(b"{\"type\":\"reasoning.text\"");
            if !block.text.is_empty() {
                push_format(out, format_args!(",\"text\":\"{}\"", block.text));
            }
            if !block.proof.is_empty() {
                let proof = for_client(names, &proof, false);
                push_format(out, format_args!(",\"signature\":{proof}"));
            }
        }
        push_format(
            out,
            format_args!(",\"format\":\"{format}\",\"index\":{nth}}}"),
        );
    }
    out.push(b']');
}

fn push_calls(names: &ResponseMeta, whole: &Whole, out: &mut Vec<u8>) {
    let mut start: &[u8] = b",\"tool_calls\":[";
    for block in &whole.blocks {
        let Kind::Call { id, name } = &block.kind else {
            continue;
        };
        out.extend_from_slice(start);
        start = b",";
        push_format(
            out,
            format_args!(
                "{{\"id\":{id},\"type\":\"function\",\"function\":{{\"name\":{},\"arguments\":\"{}\"}}}}",
                names.adjusted.client_name(name),
                block.text
            ),
        );
    }
    if start == b"," {
        out.push(b']');
    }
}
