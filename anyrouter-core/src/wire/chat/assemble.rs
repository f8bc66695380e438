//! Assembly of a whole answer from the chunks of a stream, for a client that did not request a
//! stream.

use serde_json::{Map, Value, json};

use super::plain;
use crate::wire::{
    fault::AnswerFault,
    json::{escape_strings, unescape_strings},
    meta::ResponseMeta,
    meter::PlainAnswer,
    sse::Splitter,
};

/// Assembles an answer from the conforming chunks in `events`, which a relay wrote. Their usage is
/// the provider's own if `is_reported` is true, and an estimate otherwise.
pub(in crate::wire) fn of_chunks(
    names: &ResponseMeta,
    events: &[u8],
    is_reported: bool,
) -> Result<PlainAnswer, AnswerFault> {
    let mut whole = Map::new();
    let mut choices: Vec<(Value, Map<String, Value>)> = Vec::new();
    let mut splitter = Splitter::new(events.len());
    let fed = splitter.feed(events, |event| {
        let chunk = event.data.as_deref().and_then(|data| {
            serde_json::from_slice::<Map<String, Value>>(&escape_strings(data)).ok()
        });
        for (name, value) in chunk.into_iter().flatten() {
            match value {
                Value::Array(deltas) if name == "choices" => deltas
                    .into_iter()
                    .for_each(|delta| add_choice(&mut choices, delta)),
                Value::Null => {}
                value => {
                    whole.insert(name, value);
                }
            }
        }
        true
    });
    fed.map_err(|e| AnswerFault::TooLong { limit: e.limit })?;
    if !is_reported {
        whole.remove("usage");
    }
    let choices: Vec<Value> = choices
        .into_iter()
        .map(|(_, choice)| Value::Object(choice))
        .collect();
    whole.insert("choices".to_owned(), choices.into());
    let whole = Value::Object(whole).to_string();
    plain(names, &unescape_strings(whole.as_bytes()))
}

/// Adds a chunk's part of a choice to that choice.
fn add_choice(choices: &mut Vec<(Value, Map<String, Value>)>, mut said: Value) {
    let mut take = |member: &str| said.get_mut(member).map_or(Value::Null, Value::take);
    let index = take("index");
    let at = choices
        .iter()
        .position(|(known, _)| *known == index)
        .unwrap_or_else(|| {
            choices.push((index, Map::new()));
            choices.len() - 1
        });
    let Some((_, choice)) = choices.get_mut(at) else {
        return;
    };
    let delta = take("delta");
    let message = choice
        .entry("message")
        .or_insert_with(|| json!({"role": "assistant", "content": null}));
    add(message, delta);
    for (name, value) in said
        .as_object_mut()
        .map(std::mem::take)
        .into_iter()
        .flatten()
    {
        if name != "delta" && !value.is_null() {
            choice.insert(name, value);
        }
    }
}

/// Merges a piece into a value: strings are joined, lists are merged by the `index` of their items,
/// and any other value is replaced.
fn add(to: &mut Value, piece: Value) {
    const NAMES: [&str; 5] = ["role", "id", "type", "name", "format"];
    match (to, piece) {
        (Value::Object(to), Value::Object(piece)) => {
            for (name, value) in piece {
                match to.get_mut(&name) {
                    _ if value.is_null() => {
                        to.entry(name).or_insert(Value::Null);
                    }
                    Some(known) if !known.is_null() && !NAMES.contains(&name.as_str()) => {
                        add(known, value);
                    }
                    _ => {
                        to.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(to), Value::Array(pieces)) => {
            for piece in pieces {
                let index = piece.get("index").filter(|i| i.is_u64());
                match to
                    .iter_mut()
                    .find(|known| index.is_some() && known.get("index") == index)
                {
                    Some(known) => add(known, piece),
                    None => to.push(piece),
                }
            }
        }
        (Value::String(to), Value::String(piece)) => to.push_str(&piece),
        (to, piece) => *to = piece,
    }
}
