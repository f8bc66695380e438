//! Restoration: placeholders in answers become the values that they stand for, in whole text, in
//! JSON, and in streams that are split at any point.
//!
//! A placeholder is recognized in the spellings that models use (see `spelling`). A truncated one,
//! or one whose label a model translated, remains unchanged: a value that stays hidden does no
//! harm. A placeholder that the client typed is restored only if it belongs to this request. A
//! value gets the form that its place requires: escaped in a string of JSON, percent-encoded in a
//! URL's query.

use std::borrow::Cow;

use super::{
    json::{LeafKind, NESTED, escape, looks_like_json, unescape, walk},
    placeholder::{Placeholders, Value},
    spelling::LONGEST,
    strings::Strings,
    urls::Urls,
};
use crate::part::Part as _;

/// The format of the text to restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Plain text.
    Text,
    /// JSON text, as the arguments of a tool call: values are escaped, and numbers lose the quotes
    /// of their placeholders.
    Json,
}

/// Restores a stream of text piece by piece. It holds back a possible beginning of a placeholder
/// until a later piece decides: at most 176 bytes, the length of the longest spelling.
#[derive(Debug)]
pub struct Restorer {
    held: String,
    place: Place,
}

/// A place in a text to restore: its format, and the state from the text before it.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: PlaceKind,
    urls: Urls,
}

#[derive(Clone, Copy, Debug)]
enum PlaceKind {
    /// In text, which may contain JSON.
    Text(Strings),
    /// In a string of a nested document that consists of one placeholder.
    Member(Strings),
    /// In JSON text.
    Json(Quotes),
}

impl Place {
    fn new(kind: PlaceKind) -> Self {
        Self {
            kind,
            urls: Urls::default(),
        }
    }

    fn pass(&mut self, text: &str) {
        self.urls.pass(text);
        match &mut self.kind {
            PlaceKind::Text(strings) | PlaceKind::Member(strings) => strings.pass(text),
            PlaceKind::Json(quotes) => quotes.pass(text),
        }
    }

    fn pass_value(&mut self) {
        if let PlaceKind::Text(strings) | PlaceKind::Member(strings) = &mut self.kind {
            strings.pass_value();
        }
    }

    /// Returns a value in the form that this place requires.
    fn spell<'a>(&self, value: &'a Value) -> Cow<'a, str> {
        let is_in_query = self.urls.is_in_query();
        match self.kind {
            PlaceKind::Text(_) | PlaceKind::Member(_) if is_in_query => value.in_query(),
            PlaceKind::Text(strings) | PlaceKind::Member(strings) if strings.is_within() => {
                value.in_string()
            }
            PlaceKind::Text(_) => Cow::Borrowed(&value.text),
            PlaceKind::Member(_) => Cow::Borrowed(value.reading()),
            PlaceKind::Json(quotes) => {
                let plain = if is_in_query {
                    value.in_query()
                } else {
                    Cow::Borrowed(value.reading())
                };
                (0..=quotes.depth()).fold(plain, |text, _| Cow::Owned(escape(&text).into_owned()))
            }
        }
    }
}

/// The nesting depth of documents within strings, from the number of backslashes before the quote
/// that opened the string: none, one, three, seven.
#[derive(Clone, Copy, Debug, Default)]
struct Quotes {
    /// The number of backslashes directly before; `before` is the byte before them.
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
                    // A quote within a sentence does not open a string of a document.
                    if self.run == 0 || matches!(self.before, b':' | b'{' | b'[' | b',' | b' ') {
                        self.opened = self.run;
                    }
                    (self.run, self.before) = (0, byte);
                }
                _ => (self.run, self.before) = (0, byte),
            }
        }
    }

    /// Returns the number of documents around the one that contains the string.
    fn depth(self) -> u32 {
        (self.opened + 1).ilog2().min(NESTED as u32)
    }
}

impl Restorer {
    /// Creates a restorer at the beginning of a text.
    pub fn new(within: Container) -> Self {
        let place = match within {
            Container::Text => PlaceKind::Text(Strings::default()),
            Container::Json => PlaceKind::Json(Quotes::default()),
        };
        Self {
            held: String::new(),
            place: Place::new(place),
        }
    }

    /// Takes the next piece, and appends the restored text that is certain to `out`.
    pub fn push(&mut self, placeholders: &Placeholders, piece: &str, out: &mut String) {
        let joined;
        let text = if self.held.is_empty() {
            piece
        } else {
            joined = std::mem::take(&mut self.held) + piece;
            &joined
        };
        let done = restore_up_to(placeholders, text, &mut self.place, false, out);
        let held = text.part(done..).to_owned();
        self.held = held;
    }

    /// Ends the text, and appends the held text to `out`.
    pub fn finish(&mut self, placeholders: &Placeholders, out: &mut String) {
        let text = std::mem::take(&mut self.held);
        restore_up_to(placeholders, &text, &mut self.place, true, out);
    }

    /// Returns the held text.
    pub fn held(&self) -> &str {
        &self.held
    }
}

impl Placeholders {
    /// Restores whole text.
    pub fn restore(&self, text: &str) -> String {
        self.restore_at(Place::new(PlaceKind::Text(Strings::default())), text)
    }

    fn restore_at(&self, mut place: Place, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        restore_up_to(self, text, &mut place, true, &mut out);
        out
    }

    /// Restores a JSON document: its strings as text, JSON within strings as JSON. Input that is
    /// not JSON is restored as text.
    pub fn restore_json(&self, json: &str) -> String {
        self.restore_document(json, true, 0)
    }

    /// Like [`Self::restore_json`], for an answer in a provider's protocol: a number is restored as
    /// a number only in JSON within a string.
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
            let Some(content) = json
                .get(leaf.range.clone())
                .filter(|_| leaf.kind != LeafKind::Number)
            else {
                return;
            };
            let text = unescape(content);
            let (mut from, mut to) = (leaf.range.start, leaf.range.end);
            let restored = match self.at(&text) {
                Some((whole, value))
                    if numbers
                        && whole.length == text.len()
                        && value.is_number
                        && leaf.kind == LeafKind::String =>
                {
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
                    // A member that consists of one value has it unescaped.
                    let is_whole = self
                        .at(&text)
                        .is_some_and(|(whole, _)| whole.length == text.len());
                    let kind = if depth > 0 && is_whole {
                        PlaceKind::Member
                    } else {
                        PlaceKind::Text
                    };
                    let restored = self.restore_at(Place::new(kind(Strings::default())), &text);
                    if restored == text {
                        return;
                    }
                    escape(&restored).into_owned()
                }
            };
            out.push_str(json.part(done..from));
            out.push_str(&restored);
            done = to;
        });
        if walked.is_err() {
            return self.restore(json);
        }
        out.push_str(json.part(done..));
        out
    }
}

/// Restores `text` as far as it is certain, or all of it at the end. Returns the length restored.
fn restore_up_to(
    placeholders: &Placeholders,
    text: &str,
    place: &mut Place,
    ended: bool,
    out: &mut String,
) -> usize {
    if placeholders.is_empty() {
        out.push_str(text);
        return text.len();
    }
    let is_json = matches!(place.kind, PlaceKind::Json(_));
    let mut copied = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < text.len() {
        let Some(rest) = text.get(at..) else {
            at += 1;
            continue;
        };
        // In JSON, a quote before the placeholder of a number belongs to it.
        let quoted = is_json && rest.starts_with('"');
        let body = if quoted { rest.part(1..) } else { rest };
        if let Some((whole, value)) = placeholders.at(body) {
            let length = whole.length;
            let close = bytes.get(at + usize::from(quoted) + length);
            if quoted && value.is_number {
                if close.is_none() && !ended {
                    break;
                }
                if close == Some(&b'"') {
                    let passed = text.part(copied..at);
                    place.pass(passed);
                    out.push_str(passed);
                    out.push_str(&value.text);
                    at += length + 2;
                    copied = at;
                    continue;
                }
            }
            if !quoted {
                let passed = text.part(copied..at);
                place.pass(passed);
                out.push_str(passed);
                // Markdown marks go around the value.
                let marks = |(start, end)| body.part(start..end);
                out.push_str(marks(whole.opening));
                out.push_str(&place.spell(value));
                out.push_str(marks(whole.closing));
                place.pass_value();
                at += length;
                copied = at;
                continue;
            }
        } else if !ended
            && rest.len() <= LONGEST
            && (placeholders.may_begin(body) || quoted && body.is_empty())
        {
            break;
        }
        at += 1;
    }
    let at = at.min(text.len());
    let passed = text.part(copied..at);
    place.pass(passed);
    out.push_str(passed);
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{PlaceholderKey, Redactor};

    fn redacted(text: &str) -> (String, Placeholders) {
        let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([3; 32]));
        let left = Redactor::default()
            .redact(text, &mut placeholders)
            .unwrap()
            .into_inner();
        (left, placeholders)
    }

    #[test]
    fn what_models_rewrite_is_restored() {
        let (left, placeholders) = redacted("jane@example.com");
        let (label, id) = left.split_once('_').unwrap();
        for (rewritten, restored) in [
            (format!("{label}\u{2011}{id}"), "jane@example.com"),
            (format!("{label}{id}"), "jane@example.com"),
            (format!("**{label}**_{id}"), "**jane@example.com**"),
            (format!("{label}_**{id}**"), "**jane@example.com**"),
            (format!("{label}%5F{id}"), "jane@example.com"),
            (format!("{label}&#95;{id}!"), "jane@example.com!"),
            (format!("E\u{200b}MAIL_{id}"), "jane@example.com"),
            (format!("{label}_\n{id}"), "jane@example.com"),
            (
                format!("<https://x.example/?to={left}&b=1>"),
                "<https://x.example/?to=jane%40example.com&b=1>",
            ),
            (
                format!("https://x.example/{left}"),
                "https://x.example/jane@example.com",
            ),
        ] {
            assert_eq!(placeholders.restore(&rewritten), restored, "{rewritten:?}");
            for cut in (0..rewritten.len()).filter(|i| rewritten.is_char_boundary(*i)) {
                let mut restorer = Restorer::new(Container::Text);
                let mut out = String::new();
                restorer.push(&placeholders, &rewritten[..cut], &mut out);
                restorer.push(&placeholders, &rewritten[cut..], &mut out);
                restorer.finish(&placeholders, &mut out);
                assert_eq!(out, restored, "{rewritten:?} cut at {cut}");
            }
            let json = serde_json::json!({ "content": rewritten }).to_string();
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&placeholders.restore_answer(&json))
                    .unwrap()["content"],
                restored
            );
        }
    }

    #[test]
    fn a_value_that_stood_in_a_query_comes_back_as_it_stood() {
        for text in [
            "https://x.example/?to=jane@example.com",
            "https://x.example/?to=jane%40example.com&a=1",
        ] {
            let (left, placeholders) = redacted(text);
            assert_ne!(left, text);
            assert_eq!(placeholders.restore(&left), text);
        }
    }
}
