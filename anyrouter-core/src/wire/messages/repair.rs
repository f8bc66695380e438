//! Repair of Anthropic messages in which compatible providers deviate from the protocol so that
//! Anthropic's packages fail or lose content. A conforming message passes byte for byte, except for
//! the gateway's own members.

use super::{
    blocks::{made_id, whole_input},
    event::ContentBlock,
    message::read_message,
    write::push_usage,
};
use crate::wire::{
    fault::AnswerFault,
    json::{RawJsonStr, Replaced, members, objects, push_comma, push_string, replace_members},
    meta::ResponseMeta,
    meter::{Meter, PlainAnswer},
};

/// Maximum nesting depth of an answer.
const DEPTH: usize = 512;

/// Returns the members of `message_start`'s message that are replaced or added: the gateway's, and
/// those that packages read without asking.
pub(super) fn start_members(names: &ResponseMeta, meter: &Meter, message: &[u8]) -> Replaced {
    let mut ours = identity(names);
    let theirs = members(message, DEPTH).unwrap_or_default();
    let value = |name: &str| {
        let member = theirs.iter().find(|m| m.is(message, name));
        member.map_or(&b"null"[..], |m| m.value(message))
    };
    let defaults = [
        ("type", "\"message\""),
        ("role", "\"assistant\""),
        ("content", "[]"),
    ];
    for (name, default) in defaults {
        if value(name).first() != default.as_bytes().first() {
            ours.push((name, default.into()));
        }
    }
    let theirs = value("usage");
    let usage = members(theirs, DEPTH).unwrap_or_default();
    let has = |name: &str| usage.iter().any(|m| m.is(theirs, name));
    if !has("input_tokens") || !has("output_tokens") {
        let mut usage = Vec::with_capacity(96);
        push_usage(&names.tokens(meter).0, &mut usage);
        ours.push(("usage", usage));
    }
    ours
}

/// Returns the members of a block that are replaced or added; `nth` is the number of calls before
/// it.
pub(super) fn block_members(
    names: &ResponseMeta,
    block: &ContentBlock<'_>,
    nth: usize,
) -> Replaced {
    let mut ours = Replaced::new();
    let is_empty = |id: RawJsonStr<'_>| id.get() == "\"\"";
    match &*block.kind {
        "text" if block.text.is_none() => ours.push(("text", b"\"\"".into())),
        "thinking" => {
            for (name, value) in [("thinking", block.thinking), ("signature", block.signature)] {
                if value.is_none() {
                    ours.push((name, b"\"\"".into()));
                }
            }
        }
        "tool_use" => {
            if block.id.is_none_or(is_empty) {
                ours.push(("id", made_id(names, nth).into()));
            }
            if block
                .input
                .is_none_or(|input| !input.get().starts_with('{'))
            {
                ours.push(("input", whole_input(block.input).into()));
            }
        }
        _ => {}
    }
    ours
}

/// Returns Anthropic's stop reason in place of an upstream's that contradicts the content.
pub(super) fn stop_reason(native: &str, has_calls: bool) -> Option<&'static str> {
    (has_calls && native == "end_turn").then_some("tool_use")
}

/// Returns the members of a whole message that are replaced or added.
fn whole_members(
    names: &ResponseMeta,
    body: &[u8],
    blocks: &[ContentBlock<'_>],
    meter: &Meter,
) -> Replaced {
    let mut ours = start_members(names, meter, body);
    let is_call = |b: &ContentBlock<'_>| b.kind == "tool_use";
    let native = meter.native_finish_reason.as_deref().unwrap_or_default();
    if let Some(reason) = stop_reason(native, blocks.iter().any(is_call)) {
        ours.push(("stop_reason", format!("\"{reason}\"").into()));
    }
    let repairs: Vec<Replaced> = blocks
        .iter()
        .enumerate()
        .map(|(i, block)| {
            let nth = blocks.iter().take(i).filter(|b| is_call(b)).count();
            block_members(names, block, nth)
        })
        .collect();
    if repairs.iter().all(Vec::is_empty) {
        return ours;
    }
    let content = members(body, DEPTH)
        .unwrap_or_default()
        .into_iter()
        .find(|m| m.is(body, "content"));
    if let Some(content) = content
        && let Ok(objects) = objects(content.value(body), DEPTH)
    {
        let mut list = vec![b'['];
        for (block, repair) in objects.iter().zip(&repairs) {
            push_comma(&mut list);
            replace_members(block.raw(), repair, &mut list);
        }
        list.push(b']');
        ours.push(("content", list));
    }
    ours
}

/// Returns the gateway's id and model for a message.
fn identity(names: &ResponseMeta) -> Replaced {
    let (mut id, mut model) = (Vec::with_capacity(32), Vec::with_capacity(48));
    names.push_message_id(&mut id);
    push_string(&mut model, names.model.as_str());
    vec![("id", id), ("model", model)]
}

/// Relays a whole message with the gateway's id, model and metadata.
pub(in crate::wire) fn pass_whole(
    names: &ResponseMeta,
    body: &[u8],
) -> Result<PlainAnswer, AnswerFault> {
    let (blocks, meter) = read_message(names, body)?;
    let mut ours = whole_members(names, body, &blocks, &meter);
    let mut metadata = Vec::with_capacity(256);
    names.push_metadata(&mut metadata, &[]);
    ours.push(("anyrouter_metadata", metadata));
    let mut out = Vec::with_capacity(body.len() + 512);
    replace_members(body, &ours, &mut out);
    Ok(PlainAnswer {
        body: out.into(),
        meter,
    })
}
