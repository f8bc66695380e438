//! Restoration of Anthropic answers: the placeholders of content blocks become values again, in
//! pieces of any size. Signed reasoning stays as the provider wrote it, and its signature is
//! extended by a seal.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Restoration, restore_all};
use crate::{
    gateway::signed::{Signed, seal_signature},
    redact::{Container, Restorer},
    wire::{
        json::whole_characters,
        sse::{Event, Splitter},
    },
};

/// Restores the content blocks of a whole message.
pub(super) fn restore_message(way_back: &Restoration, is_signed: bool, message: &mut Value) {
    let blocks = message
        .get_mut("content")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    for block in blocks {
        restore_block(way_back, is_signed, block);
    }
    for member in ["stop_sequence", "stop_details"] {
        if let Some(value) = message.get_mut(member) {
            restore_all(way_back, value);
        }
    }
}

fn restore_block(way_back: &Restoration, is_signed: bool, block: &mut Value) {
    if kind_of(block) == "thinking" && is_signed {
        if let Some(entry) = block.as_object_mut() {
            let mut signed = Signed::new(&way_back.key);
            signed.push(entry);
            seal(entry, &signed);
        }
        return;
    }
    let input = block.get_mut("input").map(Value::take);
    restore_all(way_back, block);
    if let (Some(input), Some(block)) = (input, block.as_object_mut()) {
        // A placeholder for a number becomes a number again.
        let restored = way_back.placeholders.restore_json(&input.to_string());
        let restored = serde_json::from_str(&restored).unwrap_or(input);
        block.insert("input".to_owned(), restored);
    }
}

/// Adds the seal of a signed text to its signature. Returns false without a signature.
fn seal(entry: &mut Map<String, Value>, signed: &Signed) -> bool {
    match entry.get_mut("signature") {
        Some(Value::String(signature)) if !signature.is_empty() => {
            *signature = seal_signature(signature, signed);
            true
        }
        _ => false,
    }
}

fn kind_of(value: &Value) -> &str {
    value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// An open block.
struct Open {
    kind: &'static str,
    member: &'static str,
    restorer: Restorer,
    /// The seal of reasoning that the provider signs.
    signed: Option<Signed>,
}

impl Open {
    /// Restores a piece of the block's text.
    fn restore(&mut self, way_back: &Restoration, text: &mut String) {
        let mut restored = String::with_capacity(text.len());
        self.restorer
            .push(&way_back.placeholders, text, &mut restored);
        *text = restored;
    }
}

/// Restores a stream on its way to the client. It holds back at most the length of a placeholder
/// for each open block.
pub(in crate::gateway) struct RestoringMessages {
    way_back: Box<Restoration>,
    /// True if the provider signs its reasoning.
    is_signed: bool,
    open: BTreeMap<u64, Open>,
    events: Splitter,
}

impl RestoringMessages {
    pub(super) fn new(way_back: Box<Restoration>, is_signed: bool) -> Self {
        Self {
            way_back,
            is_signed,
            open: BTreeMap::new(),
            // The relay already limits the length of events.
            events: Splitter::new(usize::MAX),
        }
    }

    /// Takes events, whole or in part, and appends to `out` those that are complete.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut events = std::mem::replace(&mut self.events, Splitter::new(usize::MAX));
        // This cannot fail: the limit is `usize::MAX`.
        let _ = events.feed(bytes, |event| {
            self.event(&event, out);
            true
        });
        self.events = events;
    }

    /// Appends the text that was held back, before the end of the answer.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        for index in self.open.keys().copied().collect::<Vec<_>>() {
            self.flush(index, out);
        }
        out.append(&mut self.events.into_rest());
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let data = event.data.as_deref().unwrap_or_default();
        // A character that is cut in half must not leave the text behind it unrestored.
        let parsed = serde_json::from_slice::<Value>(data)
            .ok()
            .or_else(|| serde_json::from_slice(&whole_characters(data)?).ok());
        let Some(mut value) = parsed else {
            out.extend_from_slice(event.raw);
            return;
        };
        let index = value.get("index").and_then(Value::as_u64).unwrap_or(0);
        let kind = kind_of(&value).to_owned();
        match (kind.as_str(), &mut value) {
            ("content_block_start", value) => {
                let Some(block) = value.get_mut("content_block") else {
                    out.extend_from_slice(event.raw);
                    return;
                };
                let (kind, member, within) = match kind_of(block) {
                    "text" => ("text_delta", "text", Container::Text),
                    "thinking" => ("thinking_delta", "thinking", Container::Text),
                    _ => ("input_json_delta", "partial_json", Container::Json),
                };
                let mut open = Open {
                    kind,
                    member,
                    restorer: Restorer::new(within),
                    signed: (kind == "thinking_delta" && self.is_signed)
                        .then(|| Signed::new(&self.way_back.key)),
                };
                if let Some(signed) = &mut open.signed {
                    if let Some(block) = block.as_object_mut() {
                        signed.push(block);
                        seal(block, signed);
                    }
                } else if let Some(Value::String(text)) = block.get_mut(member) {
                    // A placeholder may begin here and end in a delta.
                    open.restore(&self.way_back, text);
                } else {
                    restore_block(&self.way_back, false, block);
                }
                self.open.insert(index, open);
            }
            ("message_delta", value) => {
                if let Some(delta) = value.get_mut("delta") {
                    restore_all(&self.way_back, delta);
                }
            }
            ("content_block_delta", value) => {
                let delta = value.get_mut("delta").and_then(Value::as_object_mut);
                if !delta.is_some_and(|delta| self.delta(index, delta)) {
                    out.extend_from_slice(event.raw);
                    return;
                }
            }
            ("content_block_stop", _) => {
                self.flush(index, out);
                out.extend_from_slice(event.raw);
                return;
            }
            _ => {
                out.extend_from_slice(event.raw);
                return;
            }
        }
        push_event(&value, out);
    }

    /// Restores a delta. Returns false if it stays unchanged.
    fn delta(&mut self, index: u64, delta: &mut Map<String, Value>) -> bool {
        let Some(open) = self.open.get_mut(&index) else {
            return false;
        };
        if let Some(signed) = &mut open.signed {
            signed.push(delta);
            return seal(delta, signed);
        }
        if let Some(Value::String(text)) = delta.get_mut(open.member) {
            open.restore(&self.way_back, text);
            return true;
        }
        // Citations, and deltas that are not known yet.
        for value in delta.values_mut() {
            restore_all(&self.way_back, value);
        }
        true
    }

    /// Appends the held-back text of a block, and removes the block.
    fn flush(&mut self, index: u64, out: &mut Vec<u8>) {
        let Some(mut open) = self.open.remove(&index) else {
            return;
        };
        let mut text = String::new();
        open.restorer.finish(&self.way_back.placeholders, &mut text);
        if text.is_empty() {
            return;
        }
        let delta = json!({"type": open.kind, open.member: text});
        push_event(
            &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            out,
        );
    }
}

fn push_event(event: &Value, out: &mut Vec<u8>) {
    let name = kind_of(event);
    out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
}
