//! The chunks of an answer, as read from an upstream. A whole answer is one chunk.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Number, value::RawValue};

use super::usage::Usage;
use crate::wire::json::{RawJsonStr, has_content, string_or_none};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow, default)]
    pub(super) prompt_feedback: Option<Feedback<'a>>,
    #[serde(default)]
    pub(super) usage_metadata: Option<Usage>,
    #[serde(borrow, default)]
    pub(super) response_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) content: Option<Content<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    citation_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    url_context_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs_result: Option<&'a RawValue>,
}

impl Candidate<'_> {
    /// Returns the members that other protocols have no counterpart for.
    pub(super) fn untranslated(&self) -> impl Iterator<Item = &'static str> {
        present([
            ("citationMetadata", self.citation_metadata),
            ("groundingMetadata", self.grounding_metadata),
            ("urlContextMetadata", self.url_context_metadata),
            ("logprobsResult", self.logprobs_result),
        ])
    }
}

fn present<const N: usize>(
    members: [(&'static str, Option<&RawValue>); N],
) -> impl Iterator<Item = &'static str> {
    let present = members.map(|(name, value)| value.is_some_and(has_content).then_some(name));
    present.into_iter().flatten()
}

#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    pub(super) parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) text: Option<RawJsonStr<'a>>,
    #[serde(default)]
    pub(super) thought: Option<bool>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) thought_signature: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    pub(super) function_call: Option<FunctionCall<'a>>,
    #[serde(borrow, default)]
    inline_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    executable_code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code_execution_result: Option<&'a RawValue>,
}

impl Part<'_> {
    /// Returns the members that other protocols have no counterpart for.
    pub(super) fn untranslated(&self) -> impl Iterator<Item = &'static str> {
        present([
            ("inlineData", self.inline_data),
            ("fileData", self.file_data),
            ("executableCode", self.executable_code),
            ("codeExecutionResult", self.code_execution_result),
        ])
    }
}

/// A call; on Vertex, a piece of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) id: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) name: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    pub(super) args: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) partial_args: Option<Vec<PartialArg<'a>>>,
    #[serde(default)]
    pub(super) will_continue: Option<bool>,
}

/// A value at a place in a call's arguments. The pieces of a string follow each other.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartialArg<'a> {
    #[serde(borrow)]
    pub(super) json_path: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) string_value: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) number_value: Option<Number>,
    #[serde(default)]
    pub(super) bool_value: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback<'a> {
    #[serde(borrow, default)]
    pub(super) block_reason: Option<Cow<'a, str>>,
}
