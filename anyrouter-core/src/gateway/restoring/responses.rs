//! Restoration of answers in the Responses protocol: the placeholders of items become values again,
//! in pieces of any size, and again where an item is repeated whole.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Restoration, restore_all};
use crate::{
    redact::{Container, Restorer},
    wire::{
        json::whole_characters,
        proof::is_bound_to_text,
        sse::{Event, Splitter},
    },
};

/// Restores a whole response.
pub(super) fn restore_response(way_back: &Restoration, response: &mut Value) {
    restore_all(way_back, response);
    for item in response
        .get_mut("output")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        without_bound_proof(item);
    }
}

/// Removes the proof of reasoning whose provider signs the text, which is no longer what it signed.
fn without_bound_proof(item: &mut Value) {
    if let Some(proof) = item.get_mut("encrypted_content")
        && proof.as_str().is_some_and(is_bound_to_text)
    {
        *proof = Value::Null;
    }
}

/// Place of a text in the output: the item, its part, and the kind of its events without `.delta`.
type Place = (u64, u64, String);

/// A text that arrives in pieces.
struct Text {
    restorer: Restorer,
    /// The last event of its pieces, used as a template for a further one.
    like: Map<String, Value>,
}

/// Restores a stream on its way to the client. For each text it holds back at most the length of a
/// placeholder.
pub(in crate::gateway) struct RestoringResponses {
    way_back: Box<Restoration>,
    texts: BTreeMap<Place, Text>,
    /// The number of events so far: a text that was held back is an event more.
    sequence: u64,
    events: Splitter,
}

impl RestoringResponses {
    pub(super) fn new(way_back: Box<Restoration>) -> Self {
        Self {
            way_back,
            texts: BTreeMap::new(),
            sequence: 0,
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
        self.flush(|_| true, out);
        out.append(&mut self.events.into_rest());
    }

    /// Appends the text that was held back, and returns the last event with its values: it repeats
    /// the whole answer.
    pub(super) fn finish_with(mut self, last: &[u8], out: &mut Vec<u8>) -> Bytes {
        self.flush(|_| true, out);
        let mut restored = Vec::with_capacity(last.len());
        self.push(last, &mut restored);
        restored.into()
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let data = event.data.as_deref().unwrap_or_default();
        // A character that is cut in half must not leave the text behind it unrestored.
        let parsed = serde_json::from_slice::<Map<String, Value>>(data)
            .ok()
            .or_else(|| serde_json::from_slice(&whole_characters(data)?).ok());
        let Some(mut value) = parsed else {
            out.extend_from_slice(event.raw);
            return;
        };
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        let index = number("output_index").unwrap_or(0);
        let part = number("content_index").or_else(|| number("summary_index"));
        let kind = value.get("type").and_then(Value::as_str);
        let kind = kind.unwrap_or_default().to_owned();
        let text = kind.strip_suffix(".delta");
        if let (Some(of_text), Some(Value::String(piece))) = (text, value.get("delta")) {
            let place = (index, part.unwrap_or(0), of_text.to_owned());
            let piece = self.restored(place, piece, &value);
            value.insert("delta".to_owned(), piece.into());
        } else {
            let of_text = kind.strip_suffix(".done");
            match of_text {
                Some("response.output_item") => self.flush(|(i, ..)| *i == index, out),
                Some("response.content_part" | "response.reasoning_summary_part") => {
                    self.flush(|(i, p, _)| *i == index && Some(*p) == part, out);
                }
                Some(of_text) => {
                    let place = (index, part.unwrap_or(0), of_text.to_owned());
                    self.flush(|other| *other == place, out);
                }
                None => {}
            }
            let mut whole = Value::Object(value);
            restore_all(&self.way_back, &mut whole);
            if let Some(item) = whole.get_mut("item") {
                without_bound_proof(item);
            }
            if let Some(response) = whole.get_mut("response") {
                restore_response(&self.way_back, response);
            }
            match whole {
                Value::Object(whole) => value = whole,
                _ => return,
            }
        }
        self.push_event(value, out);
    }

    /// Returns the part of a piece that is certain, with its values.
    fn restored(&mut self, place: Place, piece: &str, event: &Map<String, Value>) -> String {
        let within = if place.2.ends_with("_arguments") {
            Container::Json
        } else {
            Container::Text
        };
        let text = self.texts.entry(place).or_insert_with(|| Text {
            restorer: Restorer::new(within),
            like: event.clone(),
        });
        let mut restored = String::with_capacity(piece.len());
        text.restorer
            .push(&self.way_back.placeholders, piece, &mut restored);
        restored
    }

    /// Appends the held-back text of some places, and ends these texts.
    fn flush(&mut self, is_meant: impl Fn(&Place) -> bool, out: &mut Vec<u8>) {
        let places: Vec<Place> = self.texts.keys().filter(|p| is_meant(p)).cloned().collect();
        for place in places {
            let Some(mut text) = self.texts.remove(&place) else {
                continue;
            };
            let mut rest = String::new();
            text.restorer.finish(&self.way_back.placeholders, &mut rest);
            if rest.is_empty() {
                continue;
            }
            text.like.insert("delta".to_owned(), rest.into());
            text.like.shift_remove("obfuscation");
            if text.like.contains_key("logprobs") {
                text.like.insert("logprobs".to_owned(), json!([]));
            }
            self.push_event(text.like, out);
        }
    }

    fn push_event(&mut self, mut event: Map<String, Value>, out: &mut Vec<u8>) {
        event.insert("sequence_number".to_owned(), self.sequence.into());
        self.sequence += 1;
        let name = event.get("type").and_then(Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        let event = Value::Object(event);
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }
}
