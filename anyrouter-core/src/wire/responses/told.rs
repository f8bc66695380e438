//! The items of a passing stream that a client was told of. Packages and agents put a text
//! together from its pieces, within a part that was announced; some upstreams give only the whole.

use super::{
    passing::{Passing, value_of},
    write::{push_event, push_event_end},
};
use crate::wire::json::{objects, push_numbers, replace_members};

/// Maximum nesting depth of an item.
const DEPTH: usize = 512;

/// The items that a client was told of.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The parts that were announced: item and part.
    parts: Vec<(u64, u64)>,
    /// The items of which it got pieces.
    items: Vec<u64>,
}

impl Told {
    /// Appends what the client should have been told before an event: the part of a piece, or the
    /// only piece of a text that comes whole. `id` is the item's, as JSON.
    pub(super) fn tell(
        &mut self,
        read: &Passing<'_>,
        data: &[u8],
        id: &[u8],
        sequence: &mut u64,
        out: &mut Vec<u8>,
    ) {
        let Some(index) = read.index else {
            return;
        };
        let mut to = Stream { sequence, out, id };
        let text = |name| read.value(data, name);
        match read.kind {
            b"\"response.content_part.added\"" => {
                self.is_new(index, read.part);
            }
            b"\"response.output_text.delta\"" => {
                self.announce(index, read.part, &mut to);
                self.got(index);
            }
            b"\"response.output_text.done\"" => self.text(index, read.part, text("text"), &mut to),
            b"\"response.function_call_arguments.done\"" => {
                self.input("function_call_arguments", index, text("arguments"), &mut to);
            }
            b"\"response.custom_tool_call_input.done\"" => {
                self.input("custom_tool_call_input", index, text("input"), &mut to);
            }
            b"\"response.output_item.done\"" => self.item(index, read.item, &mut to),
            kind if kind.ends_with(b".delta\"") => self.got(index),
            _ => {}
        }
    }

    /// Appends the pieces of an item that comes whole.
    fn item(&mut self, index: u64, item: Option<&[u8]>, to: &mut Stream<'_>) {
        let Some(item) = item.filter(|_| !self.items.contains(&index)) else {
            return;
        };
        let value = |name| value_of(item, name);
        match value("type") {
            Some(b"\"message\"") => {
                let content = value("content").and_then(|c| objects(c, DEPTH).ok());
                for (part, content) in content.unwrap_or_default().iter().enumerate() {
                    if content.get("type") == Some(b"\"output_text\"") {
                        self.items.retain(|told| *told != index);
                        self.text(index, part as u64, content.get("text"), to);
                    }
                }
            }
            Some(b"\"function_call\"") => {
                self.input("function_call_arguments", index, value("arguments"), to);
            }
            Some(b"\"custom_tool_call\"") => {
                self.input("custom_tool_call_input", index, value("input"), to);
            }
            _ => {}
        }
    }

    fn text(&mut self, index: u64, part: u64, text: Option<&[u8]>, to: &mut Stream<'_>) {
        if let Some(text) = self.untold(index, text) {
            self.announce(index, part, to);
            let places = [(",\"output_index\":", index), (",\"content_index\":", part)];
            let end = [&b",\"logprobs\":[],\"delta\":"[..], text];
            to.push("response.output_text.delta", &places, &end);
        }
    }

    fn input(&mut self, what: &str, index: u64, text: Option<&[u8]>, to: &mut Stream<'_>) {
        if let Some(text) = self.untold(index, text) {
            let name = format!("response.{what}.delta");
            let end = [&b",\"delta\":"[..], text];
            to.push(&name, &[(",\"output_index\":", index)], &end);
        }
    }

    /// Returns a text of an item of which the client got no piece; it has got one then.
    fn untold<'a>(&mut self, index: u64, text: Option<&'a [u8]>) -> Option<&'a [u8]> {
        let is_text = |text: &&[u8]| text.starts_with(b"\"") && *text != b"\"\"";
        let text = text.filter(is_text)?;
        if self.items.contains(&index) {
            return None;
        }
        self.got(index);
        Some(text)
    }

    /// Notes that the client got a piece of an item. Most pieces are of the last one.
    fn got(&mut self, index: u64) {
        if self.items.last() != Some(&index) && !self.items.contains(&index) {
            self.items.push(index);
        }
    }

    /// Returns true for a part that was not announced; it is then.
    fn is_new(&mut self, index: u64, part: u64) -> bool {
        let is_new = !self.parts.contains(&(index, part));
        if is_new {
            self.parts.push((index, part));
        }
        is_new
    }

    /// Announces a part, if the upstream did not.
    fn announce(&mut self, index: u64, part: u64, to: &mut Stream<'_>) {
        if !self.is_new(index, part) {
            return;
        }
        let places = [(",\"output_index\":", index), (",\"content_index\":", part)];
        let empty = b",\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}";
        to.push("response.content_part.added", &places, &[empty]);
    }
}

/// The place of events, and the id of their item.
struct Stream<'a> {
    sequence: &'a mut u64,
    out: &'a mut Vec<u8>,
    id: &'a [u8],
}

impl Stream<'_> {
    fn push(&mut self, name: &str, places: &[(&str, u64)], end: &[&[u8]]) {
        push_event(name, self.sequence, self.out);
        push_numbers(self.out, places);
        self.out.extend_from_slice(b",\"item_id\":");
        self.out.extend_from_slice(self.id);
        for bytes in end {
            self.out.extend_from_slice(bytes);
        }
        push_event_end(self.out);
    }
}

/// Returns an item as it is announced: without its content.
pub(super) fn announced(item: &[u8]) -> Vec<u8> {
    let empty: (&str, &[u8]) = match value_of(item, "type") {
        Some(b"\"message\"") => ("content", b"[]"),
        Some(b"\"function_call\"") => ("arguments", b"\"\""),
        Some(b"\"custom_tool_call\"") => ("input", b"\"\""),
        _ => return item.to_vec(),
    };
    let mut out = Vec::with_capacity(item.len());
    let in_progress = b"\"in_progress\"".to_vec();
    let ours = [(empty.0, empty.1.to_vec()), ("status", in_progress)];
    replace_members(item, &ours, &mut out);
    out
}
