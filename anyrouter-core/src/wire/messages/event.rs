//! Anthropic's stream events, with only the members that the gateway reads.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::Usage;
use crate::wire::json::{RawJsonStr, string_or_none};

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) content_block: Option<ContentBlock<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
}

#[derive(Deserialize)]
pub(super) struct ContentBlock<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) id: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) name: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) text: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) data: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) thinking: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) signature: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    pub(super) citations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) text: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) partial_json: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) thinking: Option<RawJsonStr<'a>>,
    #[serde(borrow, default, deserialize_with = "string_or_none")]
    pub(super) signature: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Option<Cow<'a, str>>,
}

impl<'a> Event<'a> {
    /// Reads an event; `None` if it does not conform. Of events that are not known yet, only the kind
    /// is read: their members may have any type.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Unknown<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
        }
        const KNOWN: [&str; 7] = [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
            "error",
        ];
        serde_json::from_slice(data).ok().or_else(|| {
            let unknown: Unknown<'_> = serde_json::from_slice(data).ok()?;
            (!KNOWN.contains(&&*unknown.kind)).then_some(Self {
                kind: unknown.kind,
                index: None,
                message: None,
                content_block: None,
                delta: None,
                usage: None,
                error: None,
            })
        })
    }

    /// Returns the index of the block; it is 0 if the event has none.
    pub(super) fn index(&self) -> u64 {
        self.index.unwrap_or(0)
    }
}

impl Delta<'_> {
    /// Infers the type of a delta without `type` from its members.
    pub(super) fn kind_by_member(&self) -> Option<&'static str> {
        let kinds = [
            (self.text, "text_delta"),
            (self.partial_json, "input_json_delta"),
            (self.thinking, "thinking_delta"),
            (self.signature, "signature_delta"),
        ];
        kinds
            .into_iter()
            .find_map(|(member, kind)| member.map(|_| kind))
    }
}
