//! Events as a response stream: `response.created`, items one after the other, each with its parts
//! and then as a whole, and the whole response.

use bytes::Bytes;

use super::{
    tools::custom_input,
    write::{push_event, push_event_end, push_response, push_start},
};
use crate::catalog::Protocol;
use crate::wire::{
    adjust::ClientTool,
    event::{Block, Delta, Event},
    fault::AnswerFault,
    json::{push_format, push_number, push_string},
    meta::ResponseMeta,
    meter::Meter,
    order::Order,
    proof::prefix_of,
    sse::Splitter,
    whole::Whole,
};

/// An encoder of a stream.
#[derive(Debug, Default)]
pub(in crate::wire) struct Encoder {
    order: Order,
    writer: Writer,
}

#[derive(Debug, Default)]
struct Writer {
    has_begun: bool,
    /// The next event's number.
    sequence: u64,
    /// The items that are complete, with commas between them.
    output: Vec<u8>,
    /// The finish reason, in OpenAI's terms.
    finish: Option<String>,
    items: usize,
    item: Option<Item>,
}

/// The open item.
#[derive(Debug)]
struct Item {
    id: String,
    kind: Kind,
    /// The content so far, as in a JSON string.
    text: Vec<u8>,
    /// The proof of reasoning, as in a JSON string.
    proof: Vec<u8>,
}

#[derive(Debug)]
enum Kind {
    Text,
    Reasoning,
    /// A call, with its id as JSON and the tool as the client knows it.
    Call(String, ClientTool),
}

/// Returns what is between the quotes of a JSON string.
fn inner(text: &str) -> &[u8] {
    let text = text.as_bytes();
    text.get(1..text.len().saturating_sub(1))
        .unwrap_or_default()
}

impl Encoder {
    /// Creates an encoder for the rest of a stream that has so many events, and these items.
    pub(super) fn resuming(sequence: u64, output: &[Vec<u8>]) -> Self {
        let writer = Writer {
            has_begun: sequence > 0,
            sequence,
            items: output.len(),
            output: output.join(&b','),
            ..Writer::default()
        };
        Self {
            order: Order::default(),
            writer,
        }
    }

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

    /// Returns the number of the next event.
    pub(in crate::wire) fn sequence(&self) -> u64 {
        self.writer.sequence
    }

    /// Appends the end of the stream: the whole response, with usage and metadata.
    pub(in crate::wire) fn push_end(&self, names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
        self.writer.end(names, meter, out);
    }
}

impl Writer {
    fn event(&mut self, names: &ResponseMeta, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start if self.has_begun => {}
            Event::Start => {
                self.has_begun = true;
                push_start(names, &mut self.sequence, out);
            }
            Event::Open(_, block) => self.open(names, block, out),
            Event::Delta(_, delta) => self.delta(names, delta, out),
            Event::Close(_) => self.close(out),
            Event::Finish(reason) => self.finish = Some(reason.to_owned()),
        }
    }

    fn open(&mut self, names: &ResponseMeta, block: Block<'_>, out: &mut Vec<u8>) {
        let (prefix, kind) = match block {
            Block::Text => ("msg", Kind::Text),
            Block::Reasoning | Block::Redacted(_) => ("rs", Kind::Reasoning),
            Block::Call { id, name } => {
                let name = names.adjusted.client_name(name);
                let tool = names.adjusted.client_tool(&name);
                let prefix = if tool.is_custom { "ctc" } else { "fc" };
                (prefix, Kind::Call(id.to_owned(), tool))
            }
        };
        let mut item = Item {
            id: format!("{prefix}_{}_{}", names.id.hex(), self.items),
            kind,
            text: Vec::new(),
            proof: Vec::new(),
        };
        push_event("response.output_item.added", &mut self.sequence, out);
        push_format(
            out,
            format_args!(",\"output_index\":{},\"item\":", self.items),
        );
        item.push(false, out);
        push_event_end(out);
        if matches!(item.kind, Kind::Text) {
            self.item_event(&item, "response.content_part.added", out, |out| {
                out.extend_from_slice(b",\"content_index\":0,\"part\":");
                push_part(b"", out);
            });
        }
        match block {
            Block::Redacted(data) => item.push_proof(names, data, true),
            // Its maker's name goes before any proof: packages drop reasoning that has none.
            Block::Reasoning => item.push_proof(names, "\"\"", false),
            Block::Text | Block::Call { .. } => {}
        }
        self.item = Some(item);
    }

    /// Appends an event of an item: its index and id, and what `rest` appends.
    fn item_event(
        &mut self,
        item: &Item,
        kind: &str,
        out: &mut Vec<u8>,
        rest: impl FnOnce(&mut Vec<u8>),
    ) {
        push_event(kind, &mut self.sequence, out);
        out.extend_from_slice(b",\"output_index\":");
        push_number(out, self.items as u64);
        out.extend_from_slice(b",\"item_id\":\"");
        out.extend_from_slice(item.id.as_bytes());
        out.push(b'"');
        rest(out);
        push_event_end(out);
    }

    fn delta(&mut self, names: &ResponseMeta, delta: Delta<'_>, out: &mut Vec<u8>) {
        let Some(mut item) = self.item.take() else {
            return;
        };
        let (kind, text) = match (&item.kind, delta) {
            (_, Delta::Signature(proof)) => {
                item.push_proof(names, proof, false);
                self.item = Some(item);
                return;
            }
            (Kind::Text, Delta::Text(text)) => (Some("response.output_text.delta"), text),
            (Kind::Reasoning, Delta::Reasoning(text)) => {
                (Some("response.reasoning_summary_text.delta"), text)
            }
            // The input of a custom tool is within the arguments: it is sent when it is whole.
            (Kind::Call(_, tool), Delta::Arguments(text)) if tool.is_custom => (None, text),
            (Kind::Call(..), Delta::Arguments(text)) => {
                (Some("response.function_call_arguments.delta"), text)
            }
            (_, Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text)) => {
                (None, text)
            }
        };
        if matches!(item.kind, Kind::Reasoning) && item.text.is_empty() && text != "\"\"" {
            self.item_event(&item, "response.reasoning_summary_part.added", out, |out| {
                out.extend_from_slice(
                    b",\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\"\"}",
                );
            });
        }
        item.text.extend_from_slice(inner(text));
        if let Some(kind) = kind.filter(|_| text != "\"\"") {
            let rest: [&[u8]; 2] = match item.kind {
                Kind::Text => [b",\"content_index\":0,\"delta\":", b",\"logprobs\":[]"],
                Kind::Reasoning => [b",\"summary_index\":0,\"delta\":", b""],
                Kind::Call(..) => [b",\"delta\":", b""],
            };
            self.item_event(&item, kind, out, |out| {
                out.extend_from_slice(rest[0]);
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(rest[1]);
            });
        }
        self.item = Some(item);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(mut item) = self.item.take() else {
            return;
        };
        match &item.kind {
            Kind::Text => {
                self.item_event(&item, "response.output_text.done", out, |out| {
                    out.extend_from_slice(b",\"content_index\":0,\"text\":");
                    push_quoted(&item.text, out);
                    out.extend_from_slice(b",\"logprobs\":[]");
                });
                self.item_event(&item, "response.content_part.done", out, |out| {
                    out.extend_from_slice(b",\"content_index\":0,\"part\":");
                    push_part(&item.text, out);
                });
            }
            Kind::Reasoning if item.text.is_empty() => {}
            Kind::Reasoning => {
                self.item_event(&item, "response.reasoning_summary_text.done", out, |out| {
                    out.extend_from_slice(b",\"summary_index\":0,\"text\":");
                    push_quoted(&item.text, out);
                });
                self.item_event(&item, "response.reasoning_summary_part.done", out, |out| {
                    out.extend_from_slice(
                        b",\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":",
                    );
                    push_quoted(&item.text, out);
                    out.push(b'}');
                });
            }
            Kind::Call(_, tool) if tool.is_custom => {
                item.text = custom_input(&item.text);
                for (kind, member) in [
                    ("response.custom_tool_call_input.delta", "delta"),
                    ("response.custom_tool_call_input.done", "input"),
                ] {
                    self.item_event(&item, kind, out, |out| {
                        push_format(out, format_args!(",\"{member}\":"));
                        push_quoted(&item.text, out);
                    });
                }
            }
            Kind::Call(_, tool) => {
                self.item_event(&item, "response.function_call_arguments.done", out, |out| {
                    out.extend_from_slice(b",\"name\":");
                    push_string(out, &tool.name);
                    out.extend_from_slice(b",\"arguments\":");
                    push_quoted(&item.text, out);
                });
            }
        }
        push_event("response.output_item.done", &mut self.sequence, out);
        push_format(
            out,
            format_args!(",\"output_index\":{},\"item\":", self.items),
        );
        let start = out.len();
        item.push(true, out);
        if !self.output.is_empty() {
            self.output.push(b',');
        }
        let written = out.get(start..).unwrap_or_default();
        self.output.extend_from_slice(written);
        push_event_end(out);
        self.items += 1;
    }

    /// Returns the status of the whole response, and why it is incomplete.
    fn status(&self) -> (&'static str, Option<&'static str>) {
        match self.finish.as_deref() {
            Some("length") => ("incomplete", Some("max_output_tokens")),
            Some("content_filter") => ("incomplete", Some("content_filter")),
            _ => ("completed", None),
        }
    }

    fn end(&self, names: &ResponseMeta, meter: &Meter, out: &mut Vec<u8>) {
        let mut sequence = self.sequence;
        if !self.has_begun {
            push_start(names, &mut sequence, out);
        }
        let status = self.status();
        push_event(&format!("response.{}", status.0), &mut sequence, out);
        out.extend_from_slice(b",\"response\":");
        push_response(names, status, &self.output, Some(meter), out);
        out.extend_from_slice(b",\"anyrouter_metadata\":");
        names.push_stream_metadata(out, meter, &[]);
        out.push(b'}');
        push_event_end(out);
    }
}

impl Item {
    /// Returns true if the arguments of a call are a whole object. The input of a custom tool is text.
    fn is_object(&self) -> bool {
        let quoted = [b"\"", &self.text[..], b"\""].concat();
        let is_custom = matches!(&self.kind, Kind::Call(_, tool) if tool.is_custom);
        is_custom
            || serde_json::from_slice::<String>(&quoted).is_ok_and(|object| {
                serde_json::from_str::<&serde_json::value::RawValue>(&object).is_ok()
            })
    }

    /// Adds a piece of the proof, after its maker's name if the maker speaks another protocol.
    fn push_proof(&mut self, names: &ResponseMeta, proof: &str, is_whole: bool) {
        if self.proof.is_empty() && names.protocol != Protocol::Responses {
            self.proof.extend(prefix_of(names, is_whole).bytes());
        }
        self.proof.extend_from_slice(inner(proof));
    }

    /// Appends the item, whole or as it begins.
    fn push(&self, is_whole: bool, out: &mut Vec<u8>) {
        let status = match is_whole {
            false => "in_progress",
            // The answer broke off within the call.
            true if matches!(self.kind, Kind::Call(..)) && !self.is_object() => "incomplete",
            true => "completed",
        };
        let text: &[u8] = if is_whole { &self.text } else { b"" };
        match &self.kind {
            Kind::Text => {
                push_format(
                    out,
                    format_args!(
                        "{{\"type\":\"message\",\"id\":\"{}\",\"status\":\"{status}\",\"role\":\"assistant\",\"content\":[",
                        self.id
                    ),
                );
                if is_whole {
                    push_part(text, out);
                }
                out.extend_from_slice(b"]}");
            }
            Kind::Reasoning => {
                push_format(
                    out,
                    format_args!(
                        "{{\"type\":\"reasoning\",\"id\":\"{}\",\"summary\":[",
                        self.id
                    ),
                );
                if !text.is_empty() {
                    out.extend_from_slice(b"{\"type\":\"summary_text\",\"text\":");
                    push_quoted(text, out);
                    out.push(b'}');
                }
                out.extend_from_slice(b"],\"encrypted_content\":");
                if is_whole && !self.proof.is_empty() {
                    push_quoted(&self.proof, out);
                } else {
                    out.extend_from_slice(b"null");
                }
                out.push(b'}');
            }
            Kind::Call(call_id, tool) => {
                let (kind, member) = if tool.is_custom {
                    ("custom_tool_call", "input")
                } else {
                    ("function_call", "arguments")
                };
                push_format(
                    out,
                    format_args!(
                        "{{\"type\":\"{kind}\",\"id\":\"{}\",\"status\":\"{status}\",\"call_id\":{call_id},\"name\":",
                        self.id
                    ),
                );
                push_string(out, &tool.name);
                if let Some(namespace) = &tool.namespace {
                    out.extend_from_slice(b",\"namespace\":");
                    push_string(out, namespace);
                }
                push_format(out, format_args!(",\"{member}\":"));
                push_quoted(text, out);
                out.push(b'}');
            }
        }
    }
}

fn push_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

fn push_part(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"output_text\",\"text\":");
    push_quoted(text, out);
    out.extend_from_slice(b",\"annotations\":[],\"logprobs\":[]}");
}

/// Writes a whole answer of another protocol.
pub(in crate::wire) fn write_whole(
    names: &ResponseMeta,
    whole: &Whole,
    meter: &Meter,
) -> Result<Bytes, AnswerFault> {
    // The writer's items are those of the whole response; its events are not.
    let (mut writer, mut events) = (Writer::default(), Vec::new());
    whole.replay(&mut |event| {
        events.clear();
        writer.event(names, event, &mut events);
        Ok(())
    })?;
    let mut out = Vec::with_capacity(writer.output.len() + 1024);
    push_response(
        names,
        writer.status(),
        &writer.output,
        Some(meter),
        &mut out,
    );
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_stream_metadata(&mut out, meter, &[]);
    out.push(b'}');
    Ok(out.into())
}

/// Returns the whole response at the end of the stream in `events`, which a relay wrote.
pub(in crate::wire) fn of_events(events: &[u8]) -> Result<Bytes, AnswerFault> {
    let mut response = None;
    let mut splitter = Splitter::new(events.len());
    let fed = splitter.feed(events, |event| {
        let data = event.data.as_deref().unwrap_or_default();
        let is_end = [&b"response.completed"[..], b"response.incomplete"]
            .iter()
            .any(|name| event.name == Some(name));
        if is_end
            && let Ok(members) = crate::wire::json::members(data, 512)
            && let Some(member) = members.iter().find(|m| m.is(data, "response"))
        {
            response = Some(Bytes::copy_from_slice(member.value(data)));
        }
        true
    });
    fed.map_err(|e| AnswerFault::TooLong { limit: e.limit })?;
    response.ok_or(AnswerFault::Truncated)
}
