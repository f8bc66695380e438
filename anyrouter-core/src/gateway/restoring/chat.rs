//! Restoration of chat answers: the placeholders of choices become values again, in pieces of any
//! size.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::Restoration;
use crate::{
    gateway::signed::{self, Signed},
    redact::{Container, Restorer},
    wire::{
        json::whole_characters,
        sse::{Event, Splitter},
    },
};

/// Restores the values in a whole answer.
pub(super) fn restore_completion(way_back: &Restoration, body: &Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else {
        return body.clone();
    };
    let restored = way_back
        .placeholders
        .may_be_in(text)
        .then(|| way_back.placeholders.restore_answer(text));
    if memchr::memmem::find(body, b"\"signature\"").is_some()
        && let Ok(written) = serde_json::from_str::<Value>(text)
        && let Ok(mut value) = serde_json::from_str::<Value>(restored.as_deref().unwrap_or(text))
    {
        signed::keep_signed(&way_back.key, &written, &mut value);
        return value.to_string().into();
    }
    restored.map_or_else(|| body.clone(), Bytes::from)
}

/// Place of a streamed text within a choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    /// A member of the delta.
    Text(&'static str),
    /// The texts of a list of content parts.
    Part,
    /// The texts of a thinking part in such a list.
    Thinking,
    /// The transcript of audio.
    Transcript,
    /// The arguments of a `function_call`, the older form of a tool call.
    Call,
    /// The arguments of a tool call, by its index.
    Arguments(u64),
    /// The input of a custom tool's call, by its index.
    Input(u64),
    /// The member of an entry of `reasoning_details`, by its index.
    Detail(u64, &'static str),
}

/// Members of a delta that are text.
const TEXTS: [&str; 4] = ["content", "reasoning", "reasoning_content", "refusal"];

/// Restores a stream on its way to the client: it takes events in the client's protocol and returns
/// them with their values. For each text it holds back at most the length of a placeholder.
pub(in crate::gateway) struct RestoringChat {
    way_back: Box<Restoration>,
    flowing: BTreeMap<(u64, Field), Restorer>,
    /// Texts that the provider signs, by choice and index.
    signed: BTreeMap<(u64, u64), Signed>,
    /// The last chunk that had choices, used as a template for further chunks.
    like: Option<Map<String, Value>>,
    events: Splitter,
}

impl RestoringChat {
    pub(super) fn new(way_back: Box<Restoration>) -> Self {
        // The relay already limits the length of events.
        let events = Splitter::new(usize::MAX);
        Self {
            way_back,
            flowing: BTreeMap::new(),
            signed: BTreeMap::new(),
            like: None,
            events,
        }
    }

    /// Takes bytes of events and appends the complete events to `out`.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut events = std::mem::replace(&mut self.events, Splitter::new(usize::MAX));
        // This cannot fail: the limit is `usize::MAX`.
        let _ = events.feed(bytes, |event| {
            self.event(&event, out);
            true
        });
        self.events = events;
    }

    /// Appends the text that was held back, at the end of the answer.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        self.flush_all(out);
        out.append(&mut self.events.into_rest());
    }

    fn flush_all(&mut self, out: &mut Vec<u8>) {
        let choices: std::collections::BTreeSet<u64> =
            self.flowing.keys().map(|(choice, _)| *choice).collect();
        for choice in choices {
            let mut delta = Map::new();
            self.flush(choice, &mut delta);
            self.push_chunk(choice, delta, out);
        }
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let data = event.data.as_deref().unwrap_or_default();
        let may_change = !self.way_back.placeholders.is_empty()
            || memchr::memmem::find(data, b"\"reasoning_details\"").is_some();
        let chunk = Some(data).filter(|_| may_change).and_then(|data| {
            // A character that is cut in half must not leave the rest unrestored.
            let whole = whole_characters(data);
            let data = whole.as_deref().unwrap_or(data);
            serde_json::from_slice::<Map<String, Value>>(data).ok()
        });
        let Some(mut chunk) = chunk.filter(|c| c.get("choices").is_some_and(Value::is_array))
        else {
            out.extend_from_slice(event.raw);
            return;
        };
        let mut before = Vec::new();
        for choice in chunk
            .get_mut("choices")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            let finished = choice.get("finish_reason").is_some_and(|r| !r.is_null());
            let mut held = Map::new();
            if let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) {
                self.restore(index, delta);
                if finished {
                    self.flush(index, &mut held);
                    // Held text comes before the text of the same member in this chunk.
                    held.retain(|name, rest| match (delta.get_mut(name), rest) {
                        (Some(Value::String(begun)), Value::String(rest)) => {
                            begun.push_str(rest);
                            false
                        }
                        (Some(Value::Array(begun)), Value::Array(rest)) => {
                            begun.append(rest);
                            false
                        }
                        _ => true,
                    });
                }
            } else if finished {
                self.flush(index, &mut held);
            }
            before.push((index, held));
        }
        let mut like = chunk.clone();
        like.retain(|name, _| {
            matches!(
                name.as_str(),
                "id" | "object" | "created" | "model" | "provider" | "system_fingerprint"
            )
        });
        self.like = Some(like);
        for (index, held) in before {
            self.push_chunk(index, held, out);
        }
        // Other lines of the event, such as `event` and comments, are kept.
        for line in event.raw.split(|b| matches!(b, b'\n' | b'\r')) {
            if !line.is_empty() && line != b"data" && !line.starts_with(b"data:") {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
        push_event(&Value::Object(chunk), out);
    }

    /// Restores the texts of a delta.
    fn restore(&mut self, choice: u64, delta: &mut Map<String, Value>) {
        for name in TEXTS {
            if let Some(Value::String(text)) = delta.get_mut(name) {
                self.piece(choice, Field::Text(name), text, Container::Text);
            }
        }
        for part in delta
            .get_mut("content")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            for name in ["text", "refusal"] {
                if let Some(Value::String(text)) = part.get_mut(name) {
                    self.piece(choice, Field::Part, text, Container::Text);
                }
            }
            match part.get_mut("thinking") {
                Some(Value::String(text)) => {
                    self.piece(choice, Field::Thinking, text, Container::Text);
                }
                Some(Value::Array(thoughts)) => {
                    for thought in thoughts {
                        if let Some(Value::String(text)) = thought.get_mut("text") {
                            self.piece(choice, Field::Thinking, text, Container::Text);
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some(Value::String(text)) =
            delta.get_mut("audio").and_then(|a| a.get_mut("transcript"))
        {
            self.piece(choice, Field::Transcript, text, Container::Text);
        }
        if let Some(Value::String(text)) = delta
            .get_mut("function_call")
            .and_then(|c| c.get_mut("arguments"))
        {
            self.piece(choice, Field::Call, text, Container::Json);
        }
        let calls = delta
            .get_mut("tool_calls")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten();
        for (position, call) in (0..).zip(calls) {
            // Some providers omit the index; the position in the list replaces it.
            let index = call
                .get("index")
                .and_then(Value::as_u64)
                .unwrap_or(position);
            if let Some(Value::String(text)) = call.pointer_mut("/function/arguments") {
                self.piece(choice, Field::Arguments(index), text, Container::Json);
            }
            if let Some(Value::String(text)) = call.pointer_mut("/custom/input") {
                self.piece(choice, Field::Input(index), text, Container::Text);
            }
        }
        for detail in delta
            .get_mut("reasoning_details")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let index = detail.get("index").and_then(Value::as_u64).unwrap_or(0);
            let Some(detail) = detail.as_object_mut() else {
                continue;
            };
            let key = &self.way_back.key;
            self.signed
                .entry((choice, index))
                .or_insert_with(|| Signed::new(key))
                .push(detail);
            if !signed::is_signed(detail) {
                for name in ["text", "summary"] {
                    let Some(Value::String(text)) = detail.get_mut(name) else {
                        continue;
                    };
                    let written = text.clone();
                    self.piece(choice, Field::Detail(index, name), text, Container::Text);
                    if *text != written
                        && let Some(signed) = self.signed.get_mut(&(choice, index))
                    {
                        signed.alter();
                    }
                }
            }
            if let Some(signed) = self.signed.get(&(choice, index)) {
                signed.seal(detail);
            }
        }
    }

    fn piece(&mut self, choice: u64, field: Field, text: &mut String, within: Container) {
        let mut restored = String::with_capacity(text.len());
        // An answer that is a JSON document (`response_format`) must remain valid JSON.
        let is_document = field == Field::Text("content")
            && ["{\"", "{ ", "{\n", "[{", "[\""]
                .iter()
                .any(|s| text.trim_start().starts_with(s))
            || text.trim() == "{";
        let within = if is_document { Container::Json } else { within };
        let restorer = self
            .flowing
            .entry((choice, field))
            .or_insert_with(|| Restorer::new(within));
        restorer.push(&self.way_back.placeholders, text, &mut restored);
        *text = restored;
    }

    /// Moves the held-back text of a choice into a delta.
    fn flush(&mut self, choice: u64, delta: &mut Map<String, Value>) {
        for ((_, field), restorer) in self.flowing.iter_mut().filter(|((c, _), _)| *c == choice) {
            let mut text = String::new();
            restorer.finish(&self.way_back.placeholders, &mut text);
            if text.is_empty() {
                continue;
            }
            match field {
                Field::Text(name) => {
                    delta.insert((*name).to_owned(), text.into());
                }
                Field::Part => push_to(
                    delta,
                    "content",
                    serde_json::json!({"type": "text", "text": text}),
                ),
                Field::Thinking => {
                    push_to(
                        delta,
                        "content",
                        serde_json::json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]}),
                    );
                }
                Field::Transcript => {
                    delta.insert("audio".to_owned(), serde_json::json!({"transcript": text}));
                }
                Field::Call => {
                    delta.insert(
                        "function_call".to_owned(),
                        serde_json::json!({"arguments": text}),
                    );
                }
                Field::Arguments(index) => {
                    push_to(
                        delta,
                        "tool_calls",
                        serde_json::json!({"index": index, "function": {"arguments": text}}),
                    );
                }
                Field::Input(index) => {
                    push_to(
                        delta,
                        "tool_calls",
                        serde_json::json!({"index": index, "custom": {"input": text}}),
                    );
                }
                Field::Detail(index, name) => {
                    let kind = if *name == "text" {
                        "reasoning.text"
                    } else {
                        "reasoning.summary"
                    };
                    push_to(
                        delta,
                        "reasoning_details",
                        serde_json::json!({"type": kind, "index": index, *name: text}),
                    );
                }
            }
        }
        self.flowing.retain(|(c, _), _| *c != choice);
    }

    fn push_chunk(&self, choice: u64, delta: Map<String, Value>, out: &mut Vec<u8>) {
        if delta.is_empty() {
            return;
        }
        let mut chunk = self.like.clone().unwrap_or_default();
        chunk.insert(
            "choices".to_owned(),
            serde_json::json!([{"index": choice, "delta": delta, "finish_reason": null}]),
        );
        push_event(&Value::Object(chunk), out);
    }
}

fn push_to(delta: &mut Map<String, Value>, name: &str, entry: Value) {
    if let Some(list) = delta
        .entry(name)
        .or_insert_with(|| Value::Array(Vec::new()))
        .as_array_mut()
    {
        list.push(entry);
    }
}

fn push_event(chunk: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    // Writing to a `Vec` cannot fail.
    let _ = serde_json::to_writer(&mut *out, chunk);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::Protocol,
        redact::{PlaceholderKey, Placeholders, Redactor, Step},
    };

    fn way_back(placeholders: Placeholders) -> Box<Restoration> {
        Box::new(Restoration {
            placeholders,
            key: PlaceholderKey::from_bytes([4; 32]),
        })
    }

    #[test]
    fn every_split_of_a_stream_gives_the_same_text() {
        let text = "Write to jane@example.com, not to john@example.com.";
        let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
        let left = Redactor::default()
            .redact(text, &mut placeholders)
            .unwrap()
            .into_inner();
        for size in 1..left.len() {
            let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
            Redactor::default().redact(text, &mut placeholders).unwrap();
            let mut restoring = RestoringChat::new(way_back(placeholders));
            let mut out = Vec::new();
            let letters: Vec<char> = left.chars().collect();
            for piece in letters.chunks(size) {
                let chunk = serde_json::json!({"id": "gen-1", "choices": [{"index": 0, "delta": {"content": piece.iter().collect::<String>()}, "finish_reason": null}]});
                restoring.push(format!("data: {chunk}\n\n").as_bytes(), &mut out);
            }
            restoring.push(b"data: {\"id\":\"gen-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", &mut out);
            restoring.finish(&mut out);
            let events = String::from_utf8(out).unwrap();
            let content: String = events
                .split("\n\n")
                .filter_map(|e| serde_json::from_str::<Value>(e.strip_prefix("data: ")?).ok())
                .filter_map(|c| Some(c["choices"][0]["delta"]["content"].as_str()?.to_owned()))
                .collect();
            assert_eq!(content, text, "pieces of {size}");
            assert!(
                events.trim_end().ends_with("\"finish_reason\":\"stop\"}]}"),
                "the end is last"
            );
        }
    }

    #[test]
    fn texts_in_lists_of_parts_and_in_sounds_are_restored() {
        let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
        let left = Redactor::default()
            .redact("jane@example.com", &mut placeholders)
            .unwrap()
            .into_inner();
        let (first, second) = left.split_at(8);
        let shapes: [fn(&str) -> Value; 3] = [
            |text| serde_json::json!({"content": [{"type": "text", "text": text}]}),
            |text| serde_json::json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}),
            |text| serde_json::json!({"audio": {"transcript": text}}),
        ];
        let pointers = [
            "/content/0/text",
            "/content/0/thinking/0/text",
            "/audio/transcript",
        ];
        for (shape, pointer) in shapes.into_iter().zip(pointers) {
            let mut restoring = RestoringChat::new(way_back(Placeholders::new(
                PlaceholderKey::from_bytes([3; 32]),
            )));
            Redactor::default()
                .redact("jane@example.com", &mut restoring.way_back.placeholders)
                .unwrap();
            let mut out = Vec::new();
            for text in [first, second, " or E"] {
                let chunk = serde_json::json!({"choices": [{"index": 0, "delta": shape(text), "finish_reason": null}]});
                restoring.push(format!("data: {chunk}\n\n").as_bytes(), &mut out);
            }
            restoring.finish(&mut out);
            let events = String::from_utf8(out).unwrap();
            let chunks = events
                .split("\n\n")
                .filter_map(|e| serde_json::from_str::<Value>(e.strip_prefix("data: ")?).ok());
            let text: String = chunks
                .filter_map(|c| {
                    Some(
                        c["choices"][0]["delta"]
                            .pointer(pointer)?
                            .as_str()?
                            .to_owned(),
                    )
                })
                .collect();
            assert_eq!(text, "jane@example.com or E", "{pointer}");
        }
    }

    /// The chunks that a client gets for these deltas of a choice, the last of which ends it.
    fn restored(secret: &str, deltas: impl Fn(&str) -> Vec<Value>) -> Vec<Value> {
        let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
        let left = Redactor::default()
            .redact(secret, &mut placeholders)
            .unwrap()
            .into_inner();
        let mut restoring = RestoringChat::new(way_back(placeholders));
        let mut out = Vec::new();
        let deltas = deltas(&left);
        for (i, delta) in deltas.iter().enumerate() {
            let reason = if i + 1 == deltas.len() {
                Value::from("stop")
            } else {
                Value::Null
            };
            let chunk = serde_json::json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
            restoring.push(format!("data: {chunk}\n\n").as_bytes(), &mut out);
        }
        restoring.finish(&mut out);
        let events = String::from_utf8(out).unwrap();
        events
            .split("\n\n")
            .filter_map(|e| serde_json::from_str(e.strip_prefix("data: ")?).ok())
            .collect()
    }

    #[test]
    fn an_answer_that_is_a_document_stays_one() {
        let secret = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----";
        let chunks = restored(secret, |left| {
            let document = serde_json::json!({ "v": left }).to_string();
            let (head, tail) = document.split_at(9);
            vec![
                serde_json::json!({ "content": head }),
                serde_json::json!({ "content": tail }),
            ]
        });
        let text: String = chunks
            .iter()
            .filter_map(|c| c["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["v"], secret);
    }

    #[test]
    fn what_is_held_of_a_list_follows_what_the_last_chunk_brings() {
        let chunks = restored("jane@example.com", |left| {
            let (head, tail) = left.split_at(8);
            let part =
                |text: String| serde_json::json!({"content": [{"type": "text", "text": text}]});
            vec![part(format!("x {head}")), part(format!("{tail} E"))]
        });
        let parts = chunks
            .iter()
            .filter_map(|c| c["choices"][0]["delta"]["content"].as_array())
            .flatten();
        assert_eq!(
            parts.filter_map(|p| p["text"].as_str()).collect::<String>(),
            "x jane@example.com E"
        );
    }

    #[test]
    fn calls_without_an_index_and_custom_input_are_told_apart() {
        let chunks = restored("jane@example.com", |left| {
            let (head, tail) = left.split_at(8);
            let calls = |a: &str, b: &str| serde_json::json!({"tool_calls": [{"function": {"arguments": a}}, {"custom": {"input": b}}]});
            vec![
                calls(&format!("[\"{head}"), &format!("to {head}")),
                calls(&format!("{tail}\"]"), tail),
            ]
        });
        let said = |pointer: &str| {
            chunks
                .iter()
                .filter_map(|c| c["choices"][0]["delta"].pointer(pointer)?.as_str())
                .collect::<String>()
        };
        assert_eq!(
            said("/tool_calls/0/function/arguments"),
            "[\"jane@example.com\"]"
        );
        assert_eq!(said("/tool_calls/1/custom/input"), "to jane@example.com");
    }

    #[test]
    fn a_last_chunk_that_goes_on_keeps_the_order() {
        for last in [
            r#"{"index":0,"delta":{"content":"B EM"},"finish_reason":"stop"}"#,
            r#"{"index":0,"finish_reason":"stop"}"#,
        ] {
            let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
            Redactor::default()
                .redact("jane@example.com", &mut placeholders)
                .unwrap();
            let mut restoring = RestoringChat::new(way_back(placeholders));
            let mut out = Vec::new();
            restoring.push(br#"data: {"choices":[{"index":0,"delta":{"content":"A E"},"finish_reason":null}]}"#, &mut out);
            restoring.push(
                format!("\n\ndata: {{\"choices\":[{last}]}}\n\n").as_bytes(),
                &mut out,
            );
            let events: Vec<Value> = String::from_utf8(out)
                .unwrap()
                .split("\n\n")
                .filter_map(|e| serde_json::from_str(e.strip_prefix("data: ")?).ok())
                .collect();
            let text: String = events
                .iter()
                .filter_map(|e| e["choices"][0]["delta"]["content"].as_str())
                .collect();
            assert_eq!(
                text,
                if last.contains("delta") {
                    "A EB EM"
                } else {
                    "A E"
                }
            );
            assert_eq!(
                events.last().unwrap()["choices"][0]["finish_reason"],
                "stop"
            );
        }
    }

    #[test]
    fn every_legal_framing_is_restored() {
        let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
        let left = Redactor::default()
            .redact("jane@example.com", &mut placeholders)
            .unwrap()
            .into_inner();
        let chunk = serde_json::json!({"choices": [{"index": 0, "delta": {"content": format!("to {left}.")}}]});
        for event in [
            format!("data: {chunk}\r\n\r\n"),
            format!("data: {chunk}\r\r"),
            format!("data:{chunk}\n\n"),
            format!("event: message\nid: 7\nretry: 10\ndata: {chunk}\n\n"),
            format!(": keep-alive\ndata: {chunk}\n\n"),
            format!("data: {chunk}\nid: 7\n\n"),
            format!("\n\n\ndata: {chunk}\n\n"),
            format!("\u{feff}data: {chunk}\n\n"),
        ] {
            let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
            Redactor::default()
                .redact("jane@example.com", &mut placeholders)
                .unwrap();
            let mut restoring = RestoringChat::new(way_back(placeholders));
            let mut out = Vec::new();
            for byte in event.as_bytes() {
                restoring.push(&[*byte], &mut out);
            }
            let out = String::from_utf8(out).unwrap();
            assert!(
                out.contains("to jane@example.com."),
                "{event:?} at once gives {out:?}"
            );
            for line in ["event: message", "id: 7", "retry: 10", ": keep-alive"]
                .into_iter()
                .filter(|l| event.contains(l))
            {
                assert!(
                    out.contains(&format!("{line}\n")),
                    "{event:?} keeps its other lines: {out:?}"
                );
            }
        }
    }

    #[test]
    fn a_signed_thought_is_given_as_it_was_signed_and_sealed() {
        let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
        let left = Redactor::default()
            .redact("jane@example.com", &mut placeholders)
            .unwrap()
            .into_inner();
        let mut restoring = RestoringChat::new(way_back(placeholders));
        let mut out = Vec::new();
        let detail = |text: &str| serde_json::json!({"type": "reasoning.text", "text": text, "format": "anthropic-claude-v1", "index": 0});
        let proof = serde_json::json!({"type": "reasoning.text", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0});
        let (head, tail) = left.split_at(7);
        let mut given = Vec::new();
        for detail in [detail(head), detail(tail), proof] {
            let chunk = serde_json::json!({"choices": [{"index": 0, "delta": {"reasoning": detail["text"], "reasoning_details": [detail]}}]});
            restoring.push(format!("data: {chunk}\n\n").as_bytes(), &mut out);
        }
        restoring.finish(&mut out);
        let mut reasoning = String::new();
        for event in String::from_utf8(out)
            .unwrap()
            .split("\n\n")
            .filter_map(|e| serde_json::from_str::<Value>(e.strip_prefix("data: ")?).ok())
        {
            let delta = &event["choices"][0]["delta"];
            reasoning.push_str(delta["reasoning"].as_str().unwrap_or_default());
            given.extend(
                delta["reasoning_details"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default(),
            );
        }
        assert_eq!(
            reasoning, "jane@example.com",
            "what people read has its values"
        );
        let text: String = given.iter().filter_map(|d| d["text"].as_str()).collect();
        assert_eq!(text, left);
        let body =
            serde_json::json!({"messages": [{"role": "assistant", "reasoning_details": given}]})
                .to_string();
        let opened =
            signed::open(Protocol::Chat, &PlaceholderKey::from_bytes([4; 32]), &body).unwrap();
        let body = opened.body.unwrap();
        assert!(opened.relayed.has(&[
            Step::Member("messages"),
            Step::Item(0),
            Step::Member("reasoning_details"),
            Step::Item(0),
            Step::Member("text")
        ]));
        assert!(
            body.contains("c2ln") && !body.contains("relayed_"),
            "{body}"
        );
    }
}
