//! The events of a response stream, as read from an upstream.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::wire::json::{RawJsonStr, string_or_none};

/// An event with the members that some event of the protocol has.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    pub(super) output_index: Option<u64>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) item_id: Option<RawJsonStr<'a>>,
    #[serde(default)]
    content_index: Option<u64>,
    #[serde(default)]
    summary_index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) item: Option<Item<'a>>,
    #[serde(borrow, default)]
    pub(super) response: Option<&'a RawValue>,
    /// A piece of text. Events of the provider's own tools have other values.
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) delta: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) text: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) refusal: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) arguments: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) input: Option<RawJsonStr<'a>>,
}

impl Event<'_> {
    /// Returns the index of the part that the event belongs to.
    pub(super) fn part(&self) -> u64 {
        self.content_index.or(self.summary_index).unwrap_or(0)
    }
}

/// An item of the output.
#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) id: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) call_id: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) name: Option<RawJsonStr<'a>>,
    /// A string; an object in answers of some servers.
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) input: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "parts_or_none")]
    pub(super) content: Option<Vec<Part<'a>>>,
    #[serde(borrow, default, deserialize_with = "parts_or_none")]
    pub(super) summary: Option<Vec<Part<'a>>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) encrypted_content: Option<RawJsonStr<'a>>,
}

/// Reads a list of parts, or a text, and `None` for any other value: items of other kinds have others.
fn parts_or_none<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Part<'a>>>, D::Error> {
    let text = <&'a RawValue>::deserialize(deserializer)?.get();
    if text.starts_with('"') {
        let text = serde_json::from_str(text).ok();
        return Ok(Some(vec![Part {
            text,
            ..Part::default()
        }]));
    }
    // One part that cannot be read does not take the others away.
    let parts: Option<Vec<&'a RawValue>> = serde_json::from_str(text).ok();
    let read = |part: &'a RawValue| serde_json::from_str(part.get()).ok();
    Ok(parts.map(|parts| parts.into_iter().filter_map(read).collect()))
}

/// A part of an item's content.
#[derive(Default, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) text: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) refusal: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) logprobs: Option<&'a RawValue>,
}

/// A response object, with the members that the gateway reads.
#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow, default)]
    pub(super) output: Option<Vec<Item<'a>>>,
    #[serde(default)]
    pub(super) usage: Option<super::usage::Usage>,
}

#[derive(Deserialize)]
pub(super) struct Incomplete<'a> {
    #[serde(borrow, default)]
    pub(super) reason: Option<Cow<'a, str>>,
}
