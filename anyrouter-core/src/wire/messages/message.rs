//! Parsing of a whole Anthropic message from an upstream.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;

use super::{blocks::finish_reason, event::ContentBlock, usage::Usage};
use crate::wire::{
    fault::AnswerFault,
    json::utf8,
    meta::ResponseMeta,
    meter::Meter,
    provider_error::{is_error, token_of},
};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Vec<ContentBlock<'a>>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Usage>,
}

/// Reads the blocks of a message and meters it. An error, or a message without a stop reason, is a
/// fault.
pub(super) fn read_message<'a>(
    names: &ResponseMeta,
    body: &'a [u8],
) -> Result<(Vec<ContentBlock<'a>>, Meter), AnswerFault> {
    let wrong = || AnswerFault::NotTheProtocol("an Anthropic message");
    let text = utf8(body).ok_or_else(wrong)?;
    // Only a body with one of these words can be an error; others skip the second parse.
    let may_be_error = ["error", "detail"]
        .iter()
        .any(|word| memmem::find(body, word.as_bytes()).is_some());
    if may_be_error && serde_json::from_str(text).is_ok_and(|v| is_error(&v)) {
        return Err(AnswerFault::Error(names.origin().read_data(body)));
    }
    let answer: Answer<'a> = serde_json::from_str(text).map_err(|_| wrong())?;
    let blocks = answer
        .content
        .filter(|_| answer.kind.as_deref().is_none_or(|k| k == "message"))
        .ok_or_else(wrong)?;
    let native = answer
        .stop_reason
        .as_deref()
        .filter(|r| !r.is_empty())
        .and_then(token_of);
    match native.as_deref() {
        None => return Err(AnswerFault::Truncated),
        Some("error") => return Err(AnswerFault::Error(names.origin().read_data(body))),
        Some(_) => {}
    }
    let has_calls = blocks.iter().any(|b| b.kind == "tool_use");
    let meter = Meter {
        tokens: answer.usage.and_then(Usage::tokens),
        text: blocks
            .iter()
            .flat_map(|b| {
                // Without the quotes of a string.
                [b.text, b.thinking]
                    .map(|text| text.map(|t| t.get().len().saturating_sub(2)))
                    .into_iter()
                    .chain([b.input.map(|input| input.get().len())])
            })
            .flatten()
            .sum::<usize>() as u64,
        finish_reason: native
            .as_deref()
            .map(|reason| finish_reason(reason, has_calls).to_owned()),
        native_finish_reason: native,
        upstream_id: answer.id.as_deref().and_then(token_of),
    };
    Ok((blocks, meter))
}
