//! Restoration on the way to the client: the placeholders of a response become values again.

mod chat;
mod messages;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use self::{
    chat::{RestoringChat, restore_completion},
    messages::{RestoringMessages, restore_message},
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
    match names.client {
        Protocol::Chat => restore_completion(way_back, body),
        // A character that is cut in half must not leave the rest unrestored.
        Protocol::Messages => {
            match serde_json::from_slice::<Value>(whole_characters(body).as_deref().unwrap_or(body))
            {
                Ok(mut message) => {
                    restore_message(way_back, signs(names), &mut message);
                    message.to_string().into()
                }
                Err(_) => body.clone(),
            }
        }
    }
}

/// Returns true if the provider signs its reasoning.
fn signs(names: &ResponseMeta) -> bool {
    match names.protocol {
        Protocol::Messages => true,
        Protocol::Chat => false,
    }
}

/// Restores a stream on its way to the client: it takes events in the client's protocol and returns
/// them with their values.
pub(super) enum Restoring {
    Chat(Box<RestoringChat>),
    Messages(Box<RestoringMessages>),
}

impl Restoring {
    pub(super) fn new(way_back: Box<Restoration>, names: &ResponseMeta) -> Self {
        match names.client {
            Protocol::Chat => Self::Chat(Box::new(RestoringChat::new(way_back))),
            Protocol::Messages => {
                Self::Messages(Box::new(RestoringMessages::new(way_back, signs(names))))
            }
        }
    }

    /// Takes events, whole or in part, and appends to `out` those that are complete.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Chat(restoring) => restoring.push(bytes, out),
            Self::Messages(restoring) => restoring.push(bytes, out),
        }
    }

    /// Appends the text that was held back, before the end of the answer.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        match self {
            Self::Chat(restoring) => restoring.finish(out),
            Self::Messages(restoring) => restoring.finish(out),
        }
    }
}
