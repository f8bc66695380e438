//! Translation of a whole Anthropic message to an OpenAI chat completion.

use super::{
    blocks::{made_id, push_reasoning_text, whole_input},
    event::ContentBlock,
    message::read_message,
};
use crate::wire::{
    adjust::Adjustments,
    chat::push_usage_of,
    fault::AnswerFault,
    json::{RawJsonStr, push_format, push_string},
    meta::ResponseMeta,
    meter::PlainAnswer,
};

/// Translates a whole message to an OpenAI chat completion.
pub fn plain(names: &ResponseMeta, body: &[u8]) -> Result<PlainAnswer, AnswerFault> {
    let (blocks, meter) = read_message(names, body)?;
    let blocks = blocks.as_slice();
    let mut out = Vec::with_capacity(body.len() + 512);
    out.extend_from_slice(b"{\"id\":");
    names.push_id(&mut out);
    push_format(
        &mut out,
        format_args!(
            ",\"object\":\"chat.completion\",\"created\":{},\"model\":",
            names.created
        ),
    );
    push_string(&mut out, names.model.as_str());
    out.extend_from_slice(b",\"provider\":");
    push_string(&mut out, &names.provider);
    out.extend_from_slice(
        b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":",
    );
    push_joined(
        &mut out,
        blocks
            .iter()
            .filter(|b| b.kind == "text")
            .filter_map(|b| b.text),
    );
    out.extend_from_slice(b",\"refusal\":null");
    push_reasoning(&mut out, blocks, &names.adjusted);
    push_tool_calls(&mut out, blocks, names)?;
    out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
    match &meter.finish_reason {
        Some(reason) => push_string(&mut out, reason),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}],\"usage\":");
    push_usage_of(names, &mut out, &meter);
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_metadata(&mut out, &[]);
    out.push(b'}');
    Ok(PlainAnswer {
        body: out.into(),
        meter,
    })
}

/// Appends JSON strings as one joined string, or `null` if there are none.
fn push_joined<'a>(out: &mut Vec<u8>, strings: impl Iterator<Item = RawJsonStr<'a>>) {
    let start = out.len();
    for string in strings {
        let inner = string
            .get()
            .strip_prefix('"')
            .and_then(|s| s.strip_suffix('"'))
            .unwrap_or_default();
        if out.len() == start {
            out.push(b'"');
        }
        out.extend_from_slice(inner.as_bytes());
    }
    out.extend_from_slice(if out.len() == start { b"null" } else { b"\"" });
}

fn push_reasoning(out: &mut Vec<u8>, blocks: &[ContentBlock<'_>], adjusted: &Adjustments) {
    let mut thoughts = blocks
        .iter()
        .filter(|b| matches!(&*b.kind, "thinking" | "redacted_thinking"))
        .enumerate()
        .peekable();
    if thoughts.peek().is_none() {
        return;
    }
    if !adjusted.hides_reasoning {
        out.extend_from_slice(b",\"reasoning\":");
        push_joined(out, blocks.iter().filter_map(|b| b.thinking));
    }
    out.extend_from_slice(b",\"reasoning_details\":[");
    for (i, block) in thoughts {
        if i > 0 {
            out.push(b',');
        }
        match (block.thinking, block.data) {
            (Some(text), _) => push_reasoning_text(out, i, Some(text), block.signature),
            (None, data) => push_format(
                out,
                format_args!(
                    "{{\"type\":\"reasoning.encrypted\",\"data\":{},\"format\":\"anthropic-claude-v1\",\"index\":{i}}}",
                    raw(data)
                ),
            ),
        }
    }
    out.push(b']');
}

fn raw(value: Option<RawJsonStr<'_>>) -> &str {
    value.map_or("null", RawJsonStr::get)
}

fn push_tool_calls(
    out: &mut Vec<u8>,
    blocks: &[ContentBlock<'_>],
    names: &ResponseMeta,
) -> Result<(), AnswerFault> {
    let mut open = false;
    for (nth, block) in blocks.iter().filter(|b| b.kind == "tool_use").enumerate() {
        let Some(name) = block.name else {
            return Err(AnswerFault::NotTheProtocol("an Anthropic message"));
        };
        let id = block
            .id
            .map(RawJsonStr::get)
            .filter(|id| *id != "\"\"")
            .map_or_else(|| made_id(names, nth), ToOwned::to_owned);
        out.extend_from_slice(if open { b"," } else { b",\"tool_calls\":[" });
        open = true;
        push_format(
            out,
            format_args!(
                "{{\"id\":{id},\"type\":\"function\",\"function\":{{\"name\":{},\"arguments\":",
                names.adjusted.client_name(name.get())
            ),
        );
        push_string(out, &whole_input(block.input));
        out.extend_from_slice(b"}}");
    }
    if open {
        out.push(b']');
    }
    Ok(())
}
