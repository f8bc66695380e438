//! Events as chunks of Google's protocol: each with a part, calls whole, and the finish reason with
//! the usage in the last one.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::usage::push_usage;
use crate::wire::{
    event::{Block, Delta, Event},
    fault::AnswerFault,
    json::{escape_strings, push_string, unescape_strings},
    meta::ResponseMeta,
    meter::Meter,
    order::Order,
    proof::for_client,
    sse::Splitter,
    whole::{self, Whole},
};

/// An encoder of a stream.
#[derive(Debug, Default)]
pub(in crate::wire) struct Encoder {
    order: Order,
    writer: Writer,
}

#[derive(Debug, Default)]
struct Writer {
    /// Everything of a chunk up to its first part.
    start: Vec<u8>,
    /// The rest of a chunk after its parts.
    end: Vec<u8>,
    open: Option<Open>,
    /// The proof of the last thought, as a JSON string. It goes with the next call, as Google's own
    /// do: packages drop a part without text.
    proof: Option<String>,
    /// The finish reason, in OpenAI's terms.
    finish: Option<String>,
    /// True if the arguments of a call are no object. The call is left out: packages would make it.
    has_broken_call: bool,
}

#[derive(Debug)]
enum Open {
    Text,
    /// Reasoning, with the proof so far as between the quotes of a JSON string, and true if it is all of
    /// the reasoning.
    Reasoning(String, bool),
    /// A call: id and name as JSON, and the arguments so far, without the quotes of their JSON string.
    Call {
        id: String,
        name: String,
        arguments: Vec<u8>,
    },
}

/// Returns what is between the quotes of a JSON string.
fn inner(text: &str) -> &[u8] {
    let text = text.as_bytes();
    text.get(1..text.len().saturating_sub(1))
        .unwrap_or_default()
}

impl Encoder {
    /// Appends an event.
    pub(in crate::wire) fn event(
        &mut self,
        names: &ResponseMeta,
        event: Event<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), AnswerFault> {
        let Self { order, writer } = self;
        order.event(event, &mut |event| writer.event(names, event, out))
    }

    /// Appends the last chunk, with the finish reason, usage and metadata.
    pub(in crate::wire) fn push_end(&self, names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
        out.extend_from_slice(
            // Google's packages drop a turn with a content that has no part.
            b"data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"\"}",
        );
        self.writer.push_end(names, meter, out);
        names.push_stream_metadata(out, meter, &[]);
        out.extend_from_slice(b"}\r\n\r\n");
    }
}

/// Writes a whole answer of another protocol.
pub(in crate::wire) fn write_whole(
    names: &ResponseMeta,
    mut whole: Whole,
    meter: &Meter,
) -> Result<Bytes, AnswerFault> {
    whole.join();
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[");
    let start = out.len();
    // Parts without chunks around them.
    let mut writer = Writer {
        start: Vec::new(),
        end: b",".to_vec(),
        ..Writer::default()
    };
    whole.replay(&mut |event| {
        writer.event(names, event, &mut out);
        Ok(())
    })?;
    if out.len() > start {
        out.pop();
    } else {
        // Google's packages drop a turn with a content that has no part.
        out.extend_from_slice(b"{\"text\":\"\"}");
    }
    writer.push_end(names, meter, &mut out);
    names.push_metadata(&mut out, &[]);
    out.push(b'}');
    Ok(out.into())
}

/// Returns Google's finish reason. There is none for calls.
fn finish_reason(reason: Option<&str>) -> &'static str {
    match reason {
        Some("length") => "MAX_TOKENS",
        Some("content_filter") => "SAFETY",
        _ => "STOP",
    }
}

fn push_names(names: &ResponseMeta, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"modelVersion\":");
    push_string(out, names.model.as_str());
    out.extend_from_slice(b",\"responseId\":");
    names.push_id(out);
}

impl Writer {
    fn event(&mut self, names: &ResponseMeta, event: Event<'_>, out: &mut Vec<u8>) {
        if self.end.is_empty() {
            self.start =
                b"data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[".to_vec();
            self.end = b"]},\"index\":0}]".to_vec();
            push_names(names, &mut self.end);
            self.end.extend_from_slice(b"}\r\n\r\n");
        }
        match event {
            Event::Start => {}
            Event::Finish(reason) => {
                self.push_proof(out);
                self.finish = Some(reason.to_owned());
            }
            Event::Open(_, block) => {
                if matches!(block, Block::Reasoning | Block::Redacted(_)) {
                    self.push_proof(out);
                }
                self.open = Some(match block {
                    Block::Text => Open::Text,
                    Block::Reasoning => Open::Reasoning(String::new(), false),
                    Block::Redacted(data) => Open::Reasoning(whole::inner(data).to_owned(), true),
                    Block::Call { id, name } => Open::Call {
                        id: id.to_owned(),
                        name: names.adjusted.client_name(name).into_owned(),
                        arguments: Vec::new(),
                    },
                });
            }
            Event::Delta(_, delta) => self.delta(delta, out),
            Event::Close(_) => self.close(names, out),
        }
    }

    fn delta(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) {
        match (&mut self.open, delta) {
            (Some(Open::Text), Delta::Text(text)) => {
                self.part(out, &[b"{\"text\":", text.as_bytes(), b"}"]);
            }
            (Some(Open::Reasoning(..)), Delta::Reasoning(text)) => {
                self.part(
                    out,
                    &[b"{\"text\":", text.as_bytes(), b",\"thought\":true}"],
                );
            }
            (Some(Open::Reasoning(proof, _)), Delta::Signature(signature)) => {
                proof.push_str(whole::inner(signature));
            }
            (Some(Open::Call { arguments, .. }), Delta::Arguments(json)) => {
                arguments.extend_from_slice(inner(json));
            }
            _ => {}
        }
    }

    fn close(&mut self, names: &ResponseMeta, out: &mut Vec<u8>) {
        match self.open.take() {
            Some(Open::Reasoning(proof, is_whole)) if !proof.is_empty() => {
                let proof = whole::quoted(&proof);
                self.proof = Some(for_client(names, &proof, is_whole).into_owned());
            }
            Some(Open::Call {
                id,
                name,
                arguments,
            }) => {
                let quoted = whole::quoted(&String::from_utf8_lossy(&arguments));
                let object = whole::arguments(&quoted).filter(|o| o.starts_with('{'));
                let Some(object) = object else {
                    self.has_broken_call = true;
                    return;
                };
                let arguments = object.trim().replace('\n', " ");
                let proof = self.proof.take();
                let signature = proof.map(|proof| format!(",\"thoughtSignature\":{proof}"));
                self.part(
                    out,
                    &[
                        b"{\"functionCall\":{\"id\":",
                        id.as_bytes(),
                        b",\"name\":",
                        name.as_bytes(),
                        b",\"args\":",
                        arguments.as_bytes(),
                        b"}",
                        signature.unwrap_or_default().as_bytes(),
                        b"}",
                    ],
                );
            }
            Some(Open::Text | Open::Reasoning(..)) | None => {}
        }
    }

    /// Appends what follows the parts: the finish reason, usage and names, up to the metadata.
    fn push_end(&self, names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
        out.extend_from_slice(b"]},\"finishReason\":\"");
        let reason = finish_reason(self.finish.as_deref());
        let is_broken = self.has_broken_call && reason == "STOP";
        out.extend_from_slice(if is_broken {
            b"MALFORMED_FUNCTION_CALL"
        } else {
            reason.as_bytes()
        });
        out.extend_from_slice(b"\",\"index\":0}],\"usageMetadata\":");
        push_usage(&names.tokens(meter).0, out);
        push_names(names, out);
        out.extend_from_slice(b",\"anyrouter_metadata\":");
    }

    /// Appends a proof that no call took.
    fn push_proof(&mut self, out: &mut Vec<u8>) {
        if let Some(proof) = self.proof.take() {
            let thought = b"{\"text\":\"\",\"thought\":true,\"thoughtSignature\":";
            self.part(out, &[thought, proof.as_bytes(), b"}"]);
        }
    }

    /// Appends a chunk with a part.
    fn part(&self, out: &mut Vec<u8>, part: &[&[u8]]) {
        out.extend_from_slice(&self.start);
        for bytes in part {
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(&self.end);
    }
}

/// Assembles a whole answer from the chunks in `events`, which a relay wrote.
pub(in crate::wire) fn of_events(
    names: &ResponseMeta,
    events: &[u8],
) -> Result<Bytes, AnswerFault> {
    let mut whole = Map::new();
    let mut candidates: Vec<Map<String, Value>> = Vec::new();
    let mut splitter = Splitter::new(events.len());
    let fed = splitter.feed(events, |event| {
        let data = event.data.as_deref().unwrap_or_default();
        let chunk = serde_json::from_slice::<Map<String, Value>>(&escape_strings(data));
        for (name, value) in chunk.into_iter().flatten() {
            match value {
                Value::Array(pieces) if name == "candidates" => {
                    for piece in pieces {
                        add_candidate(&mut candidates, piece);
                    }
                }
                value => {
                    whole.insert(name, value);
                }
            }
        }
        true
    });
    fed.map_err(|e| AnswerFault::TooLong { limit: e.limit })?;
    whole.remove("anyrouter_metadata");
    let mut answer = Map::new();
    if !candidates.is_empty() {
        let candidates = candidates.into_iter().map(Value::Object).collect();
        answer.insert("candidates".to_owned(), candidates);
    }
    answer.append(&mut whole);
    let mut out = unescape_strings(Value::Object(answer).to_string().as_bytes());
    out.pop();
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_metadata(&mut out, &[]);
    out.push(b'}');
    Ok(out.into())
}

/// Adds a chunk's candidate: its parts follow those before, and adjacent texts are joined.
fn add_candidate(candidates: &mut Vec<Map<String, Value>>, piece: Value) {
    let Value::Object(mut piece) = piece else {
        return;
    };
    let index = piece.get("index").cloned().unwrap_or_else(|| 0.into());
    let known = candidates
        .iter()
        .position(|c| c.get("index").unwrap_or(&Value::from(0)) == &index);
    let Some(at) = known else {
        candidates.push(piece);
        return;
    };
    let Some(candidate) = candidates.get_mut(at) else {
        return;
    };
    let parts = piece
        .get_mut("content")
        .and_then(|c| c.get_mut("parts"))
        .map(Value::take);
    if let Some(Value::Array(parts)) = parts {
        match candidate
            .get_mut("content")
            .and_then(|c| c.get_mut("parts"))
            .and_then(Value::as_array_mut)
        {
            Some(known) => parts.into_iter().for_each(|part| add_part(known, part)),
            None => {
                if let Some(Value::Object(content)) = candidate.get_mut("content") {
                    content.insert("parts".to_owned(), parts.into());
                }
            }
        }
    }
    for (name, value) in piece {
        if name != "content" {
            candidate.insert(name, value);
        }
    }
}

/// Adds a part. Texts of the same kind are one text, unless one is signed.
fn add_part(parts: &mut Vec<Value>, part: Value) {
    let is_bare = |part: &Value| {
        part.get("text").is_some_and(Value::is_string) && part.get("thoughtSignature").is_none()
    };
    if is_bare(&part) && part.get("text") == Some(&Value::from("")) && !parts.is_empty() {
        return;
    }
    if let Some(last) = parts.last_mut()
        && is_bare(last)
        && is_bare(&part)
        && last.get("thought") == part.get("thought")
        && let (Some(Value::String(text)), Some(more)) = (
            last.get_mut("text"),
            part.get("text").and_then(Value::as_str),
        )
    {
        text.push_str(more);
    } else {
        parts.push(part);
    }
}
