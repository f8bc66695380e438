//! A whole Anthropic message as an OpenAI chat completion.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Spelt, Usage, finish_reason};
use crate::wire::{
    answer::{AnswerFault, AnswerNames, Meter, PlainAnswer, push, token_of},
    json::{push_string, utf8},
};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Usage,
    #[serde(borrow, default)]
    error: Option<Error<'a>>,
}

/// An error as Anthropic writes it; its message stays where it is.
#[derive(Deserialize)]
pub(super) struct Error<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Option<Cow<'a, str>>,
}

impl Error<'_> {
    pub(super) fn fault(&self) -> AnswerFault {
        let kind = self.kind.as_deref().and_then(token_of);
        AnswerFault::Error { code: kind.clone(), kind }
    }
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    signature: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    data: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    id: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    name: Option<Spelt<'a>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

/// Turns a whole message into an OpenAI chat completion.
pub fn plain(names: &AnswerNames, body: &[u8]) -> Result<PlainAnswer, AnswerFault> {
    let wrong = || AnswerFault::NotTheProtocol("an Anthropic message");
    let answer: Answer<'_> = utf8(body).and_then(|text| serde_json::from_str(text).ok()).ok_or_else(wrong)?;
    if let Some(error) = &answer.error {
        return Err(error.fault());
    }
    let blocks = answer.content.as_ref().filter(|_| answer.kind.as_deref().is_none_or(|k| k == "message")).ok_or_else(wrong)?;
    let native = answer.stop_reason.as_deref().and_then(token_of);
    let meter = Meter {
        tokens: answer.usage.tokens(),
        text: blocks
            .iter()
            .flat_map(|b| [b.text.map(Spelt::get), b.thinking.map(Spelt::get), b.input.map(RawValue::get)])
            .flatten()
            .map(|t| t.len() as u64)
            .sum(),
        finish_reason: Some(native.as_deref().map_or("stop", finish_reason).to_owned()),
        native_finish_reason: native,
        upstream_id: answer.id.as_deref().and_then(token_of),
        ..Meter::default()
    };
    let mut out = Vec::with_capacity(body.len() + 512);
    out.extend_from_slice(b"{\"id\":");
    names.push_id(&mut out);
    push(&mut out, format_args!(",\"object\":\"chat.completion\",\"created\":{},\"model\":", names.created));
    push_string(&mut out, names.model.as_str());
    out.extend_from_slice(b",\"provider\":");
    push_string(&mut out, &names.provider);
    out.extend_from_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    push_joined(&mut out, blocks.iter().filter(|b| b.kind == "text").filter_map(|b| b.text));
    out.extend_from_slice(b",\"refusal\":null");
    push_reasoning(&mut out, blocks);
    push_tool_calls(&mut out, blocks)?;
    out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
    push_string(&mut out, meter.finish_reason.as_deref().unwrap_or("stop"));
    out.extend_from_slice(b"}],\"usage\":");
    names.push_usage(&mut out, &meter);
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_metadata(&mut out);
    out.push(b'}');
    Ok(PlainAnswer { body: out.into(), meter })
}

/// Appends JSON strings as one, or `null` where there is none.
fn push_joined<'a>(out: &mut Vec<u8>, strings: impl Iterator<Item = Spelt<'a>>) {
    let start = out.len();
    for string in strings {
        let inner = string.get().strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap_or_default();
        if out.len() == start {
            out.push(b'"');
        }
        out.extend_from_slice(inner.as_bytes());
    }
    out.extend_from_slice(if out.len() == start { b"null" } else { b"\"" });
}

fn push_reasoning(out: &mut Vec<u8>, blocks: &[Block<'_>]) {
    let mut thoughts = blocks.iter().filter(|b| matches!(&*b.kind, "thinking" | "redacted_thinking")).enumerate().peekable();
    if thoughts.peek().is_none() {
        return;
    }
    out.extend_from_slice(b",\"reasoning\":");
    push_joined(out, blocks.iter().filter_map(|b| b.thinking));
    out.extend_from_slice(b",\"reasoning_details\":[");
    for (i, block) in thoughts {
        if i > 0 {
            out.push(b',');
        }
        match (block.thinking, block.data) {
            (Some(text), _) => push_reasoning_text(out, i, Some(text), block.signature),
            (None, data) => push(
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

pub(super) fn push_reasoning_text(out: &mut Vec<u8>, index: usize, text: Option<Spelt<'_>>, signature: Option<Spelt<'_>>) {
    out.extend_from_slice(b"{\"type\":\"reasoning.text\"");
    if let Some(text) = text {
        push(out, format_args!(",\"text\":{}", text.get()));
    }
    if let Some(signature) = signature {
        push(out, format_args!(",\"signature\":{}", signature.get()));
    }
    push(out, format_args!(",\"format\":\"anthropic-claude-v1\",\"index\":{index}}}"));
}

fn raw(value: Option<Spelt<'_>>) -> &str {
    value.map_or("null", Spelt::get)
}

fn push_tool_calls(out: &mut Vec<u8>, blocks: &[Block<'_>]) -> Result<(), AnswerFault> {
    let mut open = false;
    for block in blocks.iter().filter(|b| b.kind == "tool_use") {
        let (Some(id), Some(name)) = (block.id, block.name) else { return Err(AnswerFault::NotTheProtocol("an Anthropic message")) };
        out.extend_from_slice(if open { b"," } else { b",\"tool_calls\":[" });
        open = true;
        push(out, format_args!("{{\"id\":{},\"type\":\"function\",\"function\":{{\"name\":{},\"arguments\":", id.get(), name.get()));
        push_string(out, block.input.map_or("{}", RawValue::get));
        out.extend_from_slice(b"}}");
    }
    if open {
        out.push(b']');
    }
    Ok(())
}
