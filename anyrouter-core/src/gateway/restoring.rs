//! Restoration on the way to the client: the placeholders of a response become values again.

mod chat;
mod gemini;
mod messages;
mod responses;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use self::{
    chat::{RestoringChat, restore_completion},
    gemini::{RestoringGemini, restore_answer},
    messages::{RestoringMessages, restore_message},
    responses::{RestoringResponses, restore_response},
};
use crate::{
    catalog::Protocol,
    redact::{PlaceholderKey, Placeholders},
    wire::{json::whole_characters, meta::ResponseMeta},
};

/// State for restoring the response to a redacted request.
pub(super) struct Restoration {
    /// Placeholders and the values that they replaced.
    placeholders: Placeholders,
    /// The account's key, which seals what a provider signed.
    key: PlaceholderKey,
}

impl Restoration {
    pub(super) const fn new(placeholders: Placeholders, key: PlaceholderKey) -> Self {
        Self { placeholders, key }
    }

    /// Returns the number of redacted values by label.
    pub(super) const fn counts(&self) -> &BTreeMap<String, u64> {
        self.placeholders.counts()
    }
}

/// Restores the values in a whole answer.
pub(super) fn restore_whole(way_back: &Restoration, names: &ResponseMeta, body: &Bytes) -> Bytes {
    if names.client == Protocol::Chat {
        return restore_completion(way_back, body);
    }
    // A character that is cut in half must not leave the rest unrestored.
    let whole = whole_characters(body);
    let Ok(mut answer) = serde_json::from_slice::<Value>(whole.as_deref().unwrap_or(body)) else {
        return body.clone();
    };
    match names.client {
        Protocol::Chat => return restore_completion(way_back, body),
        Protocol::Messages => restore_message(way_back, signs(names), &mut answer),
        Protocol::Responses => restore_response(way_back, &mut answer),
        Protocol::Gemini => restore_answer(way_back, &mut answer),
    }
    answer.to_string().into()
}

/// Restores every string of a value that comes whole.
fn restore_all(way_back: &Restoration, value: &mut Value) {
    let restored = way_back.placeholders.restore_answer(&value.to_string());
    if let Ok(restored) = serde_json::from_str(&restored) {
        *value = restored;
    }
}

/// Returns true if the provider signs the text of its reasoning.
fn signs(names: &ResponseMeta) -> bool {
    match names.protocol {
        Protocol::Messages => true,
        Protocol::Chat | Protocol::Responses | Protocol::Gemini => false,
    }
}

/// Restores a stream on its way to the client: it takes events in the client's protocol and returns
/// them with their values.
pub(super) enum Restoring {
    Chat(Box<RestoringChat>),
    Messages(Box<RestoringMessages>),
    Responses(Box<RestoringResponses>),
    Gemini(Box<RestoringGemini>),
}

impl Restoring {
    pub(super) fn new(way_back: Box<Restoration>, names: &ResponseMeta) -> Self {
        match names.client {
            Protocol::Chat => Self::Chat(Box::new(RestoringChat::new(way_back))),
            Protocol::Messages => {
                Self::Messages(Box::new(RestoringMessages::new(way_back, signs(names))))
            }
            Protocol::Responses => Self::Responses(Box::new(RestoringResponses::new(way_back))),
            Protocol::Gemini => Self::Gemini(Box::new(RestoringGemini::new(way_back))),
        }
    }

    /// Takes events, whole or in part, and appends to `out` those that are complete.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Chat(restoring) => restoring.push(bytes, out),
            Self::Messages(restoring) => restoring.push(bytes, out),
            Self::Responses(restoring) => restoring.push(bytes, out),
            Self::Gemini(restoring) => restoring.push(bytes, out),
        }
    }

    /// Appends the text that was held back, before the end of the answer.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        match self {
            Self::Chat(restoring) => restoring.finish(out),
            Self::Messages(restoring) => restoring.finish(out),
            Self::Responses(restoring) => restoring.finish(out),
            Self::Gemini(restoring) => restoring.finish(out),
        }
    }

    /// Appends the text that was held back, and returns the last event with its values.
    pub(super) fn finish_with(self, last: Bytes, out: &mut Vec<u8>) -> Bytes {
        match self {
            Self::Responses(restoring) => restoring.finish_with(&last, out),
            Self::Gemini(restoring) => restoring.finish_with(&last, out),
            // Their last event has usage and metadata.
            Self::Chat(_) | Self::Messages(_) => {
                self.finish(out);
                last
            }
        }
    }
}
