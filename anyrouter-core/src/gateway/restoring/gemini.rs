//! Restoration of answers in Google's protocol: the placeholders of parts become values again, in
//! pieces of any size.

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

/// Restores a whole answer.
pub(super) fn restore_answer(way_back: &Restoration, answer: &mut Value) {
    for candidate in candidates_of(answer) {
        restore_rest(way_back, candidate);
        let parts = candidate.pointer_mut("/content/parts");
        for part in parts.and_then(Value::as_array_mut).into_iter().flatten() {
            restore_part(way_back, part);
        }
    }
}

fn candidates_of(answer: &mut Value) -> impl Iterator<Item = &mut Value> {
    answer
        .get_mut("candidates")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// Restores what a candidate has beside its content, such as citations.
fn restore_rest(way_back: &Restoration, candidate: &mut Value) {
    let content = candidate.get_mut("content").map(Value::take);
    restore_all(way_back, candidate);
    if let (Some(content), Some(candidate)) = (content, candidate.as_object_mut()) {
        candidate.insert("content".to_owned(), content);
    }
}

/// Restores a part that comes whole. A placeholder for a number in a call's arguments becomes a
/// number again.
fn restore_part(way_back: &Restoration, part: &mut Value) {
    without_bound_proof(part);
    let arguments = part.pointer_mut("/functionCall/args").map(|arguments| {
        (
            way_back.placeholders.restore_json(&arguments.to_string()),
            arguments.take(),
        )
    });
    restore_all(way_back, part);
    if let Some((restored, arguments)) = arguments
        && let Some(place) = part.pointer_mut("/functionCall/args")
    {
        *place = serde_json::from_str(&restored).unwrap_or(arguments);
    }
}

/// Removes the proof of reasoning whose provider signs the text, which is no longer what it signed.
fn without_bound_proof(part: &mut Value) {
    if let Some(part) = part.as_object_mut()
        && part
            .get("thoughtSignature")
            .and_then(Value::as_str)
            .is_some_and(is_bound_to_text)
    {
        part.remove("thoughtSignature");
    }
}

/// A text that arrives in pieces, of the answer or of its thoughts.
struct Text {
    is_thought: bool,
    restorer: Restorer,
}

/// Restores a stream on its way to the client. It holds back at most the length of a placeholder for
/// each candidate.
pub(in crate::gateway) struct RestoringGemini {
    way_back: Box<Restoration>,
    /// The text that each candidate is at.
    texts: BTreeMap<u64, Text>,
    /// The string of a call's arguments that each candidate is at.
    arguments: BTreeMap<u64, Restorer>,
    events: Splitter,
}

impl RestoringGemini {
    pub(super) fn new(way_back: Box<Restoration>) -> Self {
        Self {
            way_back,
            texts: BTreeMap::new(),
            arguments: BTreeMap::new(),
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
        for index in self.texts.keys().copied().collect::<Vec<_>>() {
            if let Some(part) = self.flush(index) {
                let content = json!({"role": "model", "parts": [part]});
                push_chunk(
                    &json!({"candidates": [{"content": content, "index": index}]}),
                    out,
                );
            }
        }
        out.append(&mut self.events.into_rest());
    }

    /// Returns the last chunk with its values, and with the text that was held back.
    pub(super) fn finish_with(mut self, last: &[u8], out: &mut Vec<u8>) -> Bytes {
        let mut restored = Vec::with_capacity(last.len());
        self.push(last, &mut restored);
        self.finish(out);
        restored.into()
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let data = event.data.as_deref().unwrap_or_default();
        // A character that is cut in half must not leave the text behind it unrestored.
        let parsed = serde_json::from_slice::<Value>(data)
            .ok()
            .or_else(|| serde_json::from_slice(&whole_characters(data)?).ok());
        let Some(mut chunk) = parsed else {
            out.extend_from_slice(event.raw);
            return;
        };
        for candidate in candidates_of(&mut chunk) {
            self.candidate(candidate);
        }
        push_chunk(&chunk, out);
    }

    fn candidate(&mut self, candidate: &mut Value) {
        let index = candidate.get("index").and_then(Value::as_u64).unwrap_or(0);
        let is_last = candidate.get("finishReason").is_some_and(|r| !r.is_null());
        restore_rest(&self.way_back, candidate);
        let parts = candidate.pointer_mut("/content/parts").map(Value::take);
        let mut restored = Vec::new();
        if let Some(Value::Array(parts)) = parts {
            for part in parts {
                self.part(index, part, &mut restored);
            }
        }
        if is_last {
            restored.extend(self.flush(index));
        }
        if restored.is_empty() {
            if let Some(content) = candidate.get_mut("content").and_then(Value::as_object_mut) {
                content.remove("parts");
            }
            return;
        }
        match candidate.get_mut("content").and_then(Value::as_object_mut) {
            Some(content) => {
                content.insert("parts".to_owned(), restored.into());
            }
            None => {
                if let Some(candidate) = candidate.as_object_mut() {
                    let content = json!({"role": "model", "parts": restored});
                    candidate.insert("content".to_owned(), content);
                }
            }
        }
    }

    /// Restores a part, after the text that was held back if the part is of another kind.
    fn part(&mut self, index: u64, mut part: Value, out: &mut Vec<Value>) {
        let is_thought = part.get("thought") == Some(&json!(true));
        let Some(Value::String(text)) = part.get("text") else {
            out.extend(self.flush(index));
            self.pieces(index, &mut part);
            restore_part(&self.way_back, &mut part);
            out.push(part);
            return;
        };
        if self
            .texts
            .get(&index)
            .is_some_and(|text| text.is_thought != is_thought)
        {
            out.extend(self.flush(index));
        }
        let place = self.texts.entry(index).or_insert_with(|| Text {
            is_thought,
            restorer: Restorer::new(Container::Text),
        });
        let mut restored = String::with_capacity(text.len());
        place
            .restorer
            .push(&self.way_back.placeholders, text, &mut restored);
        without_bound_proof(&mut part);
        if let Some(part) = part.as_object_mut() {
            part.insert("text".to_owned(), restored.into());
        }
        out.push(part);
    }

    /// Restores the strings of a call's arguments that come in pieces.
    fn pieces(&mut self, index: u64, part: &mut Value) {
        let pieces = part.pointer_mut("/functionCall/partialArgs");
        for piece in pieces.and_then(Value::as_array_mut).into_iter().flatten() {
            let goes_on = piece.get("willContinue") == Some(&json!(true));
            let Some(Value::String(text)) = piece.get_mut("stringValue") else {
                continue;
            };
            let restorer = self
                .arguments
                .entry(index)
                .or_insert_with(|| Restorer::new(Container::Text));
            let mut restored = String::with_capacity(text.len());
            let placeholders = &self.way_back.placeholders;
            restorer.push(placeholders, text, &mut restored);
            if !goes_on && let Some(mut restorer) = self.arguments.remove(&index) {
                restorer.finish(placeholders, &mut restored);
            }
            *text = restored;
        }
    }

    /// Ends a candidate's text, and returns what was held back as a part.
    fn flush(&mut self, index: u64) -> Option<Value> {
        let mut text = self.texts.remove(&index)?;
        let mut rest = String::new();
        text.restorer.finish(&self.way_back.placeholders, &mut rest);
        if rest.is_empty() {
            return None;
        }
        let mut part = Map::new();
        part.insert("text".to_owned(), rest.into());
        if text.is_thought {
            part.insert("thought".to_owned(), true.into());
        }
        Some(part.into())
    }
}

fn push_chunk(chunk: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("data: {chunk}\r\n\r\n").as_bytes());
}
