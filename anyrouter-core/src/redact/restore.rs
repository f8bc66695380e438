//! The way back: placeholders in answers become the values that they stand for, in whole text, in JSON, and in streams at whatever split.
//!
//! A placeholder is known again in capitals or small letters, with `\_`, `-` or a space for each `_`. One that is cut, or whose
//! label a model translated, is left as it is: what stays hidden by mistake does no harm. One that the client typed itself is restored only
//! where it is one of this request's.

use std::borrow::Cow;

use super::{
    json::{LeafKind, NESTED, escape, looks_like_json, unescape, walk},
    placeholder::{LONGEST, Placeholders, Value},
    strings::Strings,
};

/// What the text that is restored is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Plain text.
    Text,
    /// JSON's own text, as a tool call's arguments: values are escaped, and numbers lose the quotes that their placeholders had.
    Json,
}

/// Restores a stream of text, piece by piece. It holds back what may be the beginning of a placeholder, until a piece decides: at most the
/// length of the longest one, which is 46 bytes for a label of 32, and two more in JSON, where a number's placeholder stands in quotes.
#[derive(Debug)]
pub struct Restorer {
    held: String,
    place: Place,
}

/// Where in a text that is restored.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In text, which may have JSON in it.
    Text(Strings),
    /// The same, where the text is a string of a document and spells nothing of its own.
    Member(Strings),
    /// In a document's own text.
    Json(Quotes),
}

impl Place {
    fn pass(&mut self, text: &str) {
        match self {
            Self::Text(strings) | Self::Member(strings) => strings.pass(text),
            Self::Json(quotes) => quotes.pass(text),
        }
    }

    fn pass_value(&mut self) {
        if let Self::Text(strings) | Self::Member(strings) = self {
            strings.pass_value();
        }
    }

    /// A value as it is spelt here.
    fn spell<'a>(&self, value: &'a Value) -> Cow<'a, str> {
        match self {
            Self::Text(strings) | Self::Member(strings) if strings.is_within() => value.in_string(),
            Self::Text(_) => Cow::Borrowed(&value.text),
            Self::Member(_) => Cow::Borrowed(value.reading()),
            Self::Json(quotes) => {
                (0..=quotes.depth()).fold(Cow::Borrowed(value.reading()), |text, _| Cow::Owned(escape(&text).into_owned()))
            }
        }
    }
}

/// How deep in documents within strings a place is, by the backslashes before the quote that opened its string: none, one, three, seven.
#[derive(Clone, Copy, Debug, Default)]
struct Quotes {
    /// Backslashes right before, and what stands before them.
    run: usize,
    before: u8,
    opened: usize,
}

impl Quotes {
    fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'\\' => self.run += 1,
                b'"' => {
                    // A quote within a sentence opens no string of a document.
                    if self.run == 0 || matches!(self.before, b':' | b'{' | b'[' | b',' | b' ') {
                        self.opened = self.run;
                    }
                    (self.run, self.before) = (0, byte);
                }
                _ => (self.run, self.before) = (0, byte),
            }
        }
    }

    /// How many documents there are around the one whose string this is.
    fn depth(self) -> u32 {
        (self.opened + 1).ilog2().min(NESTED as u32)
    }
}

impl Restorer {
    /// A restorer at the beginning of a text.
    pub fn new(within: Within) -> Self {
        let place = match within {
            Within::Text => Place::Text(Strings::default()),
            Within::Json => Place::Json(Quotes::default()),
        };
        Self { held: String::new(), place }
    }

    /// Takes the next piece, and appends to `out` what is sure.
    pub fn push(&mut self, placeholders: &Placeholders, piece: &str, out: &mut String) {
        let joined;
        let text = if self.held.is_empty() {
            piece
        } else {
            joined = std::mem::take(&mut self.held) + piece;
            &joined
        };
        let done = restore_up_to(placeholders, text, &mut self.place, false, out);
        let held = text.get(done..).unwrap_or_default().to_owned();
        self.held = held;
    }

    /// The text has ended: appends what was held back.
    pub fn finish(&mut self, placeholders: &Placeholders, out: &mut String) {
        let text = std::mem::take(&mut self.held);
        restore_up_to(placeholders, &text, &mut self.place, true, out);
    }

    /// What is held back.
    pub fn held(&self) -> &str {
        &self.held
    }
}

impl Placeholders {
    /// Restores whole text.
    pub fn restore(&self, text: &str) -> String {
        self.restore_at(Place::Text(Strings::default()), text)
    }

    fn restore_at(&self, mut place: Place, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        restore_up_to(self, text, &mut place, true, &mut out);
        out
    }

    /// Restores a JSON document: its strings as text, JSON within strings as JSON. What is no JSON is restored as text.
    pub fn restore_json(&self, json: &str) -> String {
        self.restore_document(json, true, 0)
    }

    /// The same for an answer in a provider's protocol, whose texts are texts: a number comes back as one only in JSON within a string.
    pub fn restore_answer(&self, json: &str) -> String {
        self.restore_document(json, false, 0)
    }

    fn restore_document(&self, json: &str, numbers: bool, depth: usize) -> String {
        if self.is_empty() || !self.may_be_in(json) {
            return json.to_owned();
        }
        let mut out = String::with_capacity(json.len());
        let mut done = 0;
        let walked = walk(json, |leaf| {
            let Some(content) = json.get(leaf.range.clone()).filter(|_| leaf.kind != LeafKind::Number) else { return };
            let text = unescape(content);
            let (mut from, mut to) = (leaf.range.start, leaf.range.end);
            let restored = match self.at(&text) {
                Some((length, value)) if numbers && length == text.len() && value.is_number && leaf.kind == LeafKind::String => {
                    (from, to) = (from - 1, to + 1);
                    value.text.to_string()
                }
                _ if depth < NESTED && looks_like_json(&text) => {
                    let restored = self.restore_document(&text, true, depth + 1);
                    if restored == text {
                        return;
                    }
                    escape(&restored).into_owned()
                }
                _ => {
                    // A member that is a value as a whole has it as it reads.
                    let is_whole = self.at(&text).is_some_and(|(length, _)| length == text.len());
                    let place = if depth > 0 && is_whole { Place::Member } else { Place::Text };
                    let restored = self.restore_at(place(Strings::default()), &text);
                    if restored == text {
                        return;
                    }
                    escape(&restored).into_owned()
                }
            };
            out.push_str(json.get(done..from).unwrap_or_default());
            out.push_str(&restored);
            done = to;
        });
        if walked.is_err() {
            return self.restore(json);
        }
        out.push_str(json.get(done..).unwrap_or_default());
        out
    }
}

/// Restores `text` as far as it is sure: all of it, where it has ended. Returns how far that is.
fn restore_up_to(placeholders: &Placeholders, text: &str, place: &mut Place, ended: bool, out: &mut String) -> usize {
    if placeholders.is_empty() {
        out.push_str(text);
        return text.len();
    }
    let is_json = matches!(place, Place::Json(_));
    let mut copied = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < text.len() {
        let Some(rest) = text.get(at..) else {
            at += 1;
            continue;
        };
        // Before a number's placeholder in JSON stands a quote that goes with it.
        let quoted = is_json && rest.starts_with('"');
        let body = if quoted { rest.get(1..).unwrap_or_default() } else { rest };
        if let Some((length, value)) = placeholders.at(body) {
            let close = bytes.get(at + usize::from(quoted) + length);
            if quoted && value.is_number {
                if close.is_none() && !ended {
                    break;
                }
                if close == Some(&b'"') {
                    let passed = text.get(copied..at).unwrap_or_default();
                    place.pass(passed);
                    out.push_str(passed);
                    out.push_str(&value.text);
                    at += length + 2;
                    copied = at;
                    continue;
                }
            }
            if !quoted {
                let passed = text.get(copied..at).unwrap_or_default();
                place.pass(passed);
                out.push_str(passed);
                out.push_str(&place.spell(value));
                place.pass_value();
                at += length;
                copied = at;
                continue;
            }
        } else if !ended && rest.len() <= LONGEST && (placeholders.may_begin(body) || quoted && body.is_empty()) {
            break;
        }
        at += 1;
    }
    let at = at.min(text.len());
    let passed = text.get(copied..at).unwrap_or_default();
    place.pass(passed);
    out.push_str(passed);
    at
}
