//! A walk over JSON text that visits every string, number and member name with its place and its
//! name. It copies nothing, and rejects text that is not JSON (RFC 8259).

use crate::part::Part as _;

use std::{borrow::Cow, ops::Range};

/// Text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

/// The kind of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafKind {
    /// A string's content with its escapes, without its quotes.
    String,
    /// A number.
    Number,
    /// A member's name, without its quotes.
    Name,
}

/// A leaf of the tree.
#[derive(Debug)]
pub(crate) struct Leaf<'a> {
    pub(crate) kind: LeafKind,
    /// Its bytes in the text.
    pub(crate) range: Range<usize>,
    /// The member whose value it is, or whose list contains it.
    pub(crate) name: &'a str,
    /// The names and list positions above it and its own.
    pub(crate) path: &'a [Step<'a>],
    /// The start of its member's name, for dropping the member with its value. Not meaningful in a
    /// list.
    pub(crate) member: usize,
}

/// A step on the way to a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step<'a> {
    /// Into an object's member.
    Member(&'a str),
    /// Into a list's item.
    Item(usize),
}

/// Maximum nesting depth of JSON.
const DEPTH: usize = 128;

/// Calls `each` for every leaf of `text`.
pub(crate) fn walk(text: &str, mut each: impl FnMut(Leaf<'_>)) -> Result<(), NotJson> {
    let mut walker = Walker {
        text,
        bytes: text.as_bytes(),
        at: 0,
        path: Vec::new(),
    };
    walker.space();
    walker.value(&mut each, 0)?;
    walker.space();
    if walker.at == text.len() {
        Ok(())
    } else {
        Err(NotJson)
    }
}

/// Returns the length of the document that begins `text`, or the length read if it is none.
pub(crate) fn first_document(text: &str) -> Result<usize, usize> {
    let mut walker = Walker {
        text,
        bytes: text.as_bytes(),
        at: 0,
        path: Vec::new(),
    };
    let walked = walker.value(&mut |_| {}, 0);
    walked.map(|()| walker.at).map_err(|NotJson| walker.at)
}

/// Returns true if a text begins and ends like a JSON object or list.
pub(crate) fn looks_like_json(text: &str) -> bool {
    let text = text.trim_ascii();
    matches!(
        (text.as_bytes().first(), text.as_bytes().last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    )
}

/// Maximum number of documents nested in one another as strings. Deeper ones are read as text.
pub(crate) const NESTED: usize = 16;
/// Maximum number of these with escapes of any form. Deeper ones must escape quotes and backslashes
/// with backslashes, which doubles them with each document, so that the output is no longer than
/// the input.
const SPELT_ANYHOW: usize = 4;

/// Returns the document in a JSON string, if there is one. `depth` others enclose it.
pub(crate) fn nested(content: &str, depth: usize) -> Option<String> {
    let may = content.starts_with(['{', '[', ' ', '\\'])
        && content.ends_with(['}', ']', ' ', 'n', 'd', 'D']);
    let is_short = || {
        ["\\u005c", "\\u005C", "\\u0022"]
            .iter()
            .any(|spelt| memchr::memmem::find(content.as_bytes(), spelt.as_bytes()).is_some())
    };
    if !may || depth >= NESTED || depth >= SPELT_ANYHOW && is_short() {
        return None;
    }
    let inner = unescape(content);
    (looks_like_json(&inner) && walk(&inner, |_| {}).is_ok()).then(|| inner.into_owned())
}

/// Returns the unescaped content of a JSON string.
pub(crate) fn unescape(content: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', content.as_bytes()) else {
        return Cow::Borrowed(content);
    };
    let mut out = String::with_capacity(content.len());
    let (mut done, mut next) = (0, Some(first));
    while let Some(at) = next {
        out.push_str(content.part(done..at));
        let (length, character) = escape_at(content.as_bytes(), at);
        out.push(character);
        done = at + length;
        next = content
            .as_bytes()
            .get(done..)
            .and_then(|rest| memchr::memchr(b'\\', rest))
            .map(|gap| done + gap);
    }
    out.push_str(content.part(done..));
    Cow::Owned(out)
}

/// Returns the length and the character of the escape whose backslash stands at `at`. Half of a
/// surrogate pair becomes U+FFFD, and so does a backslash that begins no escape.
pub(crate) fn escape_at(content: &[u8], at: usize) -> (usize, char) {
    let unit = |at: usize| {
        let digits = content.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits
            .iter()
            .try_fold(0, |n, d| Some(n << 4 | char::from(*d).to_digit(16)?))
    };
    match content.get(at + 1) {
        Some(c @ (b'"' | b'\\' | b'/')) => (2, char::from(*c)),
        Some(b'b') => (2, '\u{8}'),
        Some(b'f') => (2, '\u{c}'),
        Some(b'n') => (2, '\n'),
        Some(b'r') => (2, '\r'),
        Some(b't') => (2, '\t'),
        _ => match (unit(at), unit(at + 6)) {
            (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => (
                12,
                char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    .unwrap_or('\u{fffd}'),
            ),
            (Some(code), _) => (6, char::from_u32(code).unwrap_or('\u{fffd}')),
            (None, _) => (1, '\u{fffd}'),
        },
    }
}

/// Returns the content of a JSON string for a text, without the quotes.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        return Cow::Borrowed(text);
    }
    let quoted = serde_json::Value::from(text).to_string();
    Cow::Owned(quoted.part(1..quoted.len().saturating_sub(1)).to_owned())
}

struct Walker<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    path: Vec<Step<'a>>,
}

impl<'a> Walker<'a> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.peek() == byte {
            self.at += 1;
            return Ok(());
        }
        Err(NotJson)
    }

    fn name(&self) -> &'a str {
        self.path
            .iter()
            .rev()
            .find_map(|s| {
                if let Step::Member(name) = s {
                    Some(*name)
                } else {
                    None
                }
            })
            .unwrap_or("")
    }

    fn leaf(
        &self,
        kind: LeafKind,
        range: Range<usize>,
        member: usize,
        each: &mut impl FnMut(Leaf<'_>),
    ) {
        each(Leaf {
            kind,
            range,
            name: self.name(),
            path: &self.path,
            member,
        });
    }

    fn value(&mut self, each: &mut impl FnMut(Leaf<'_>), member: usize) -> Result<(), NotJson> {
        match self.peek() {
            b'{' => self.object(each),
            b'[' => self.array(each),
            b'"' => {
                let range = self.string()?;
                self.leaf(LeafKind::String, range, member, each);
                Ok(())
            }
            b'-' | b'0'..=b'9' => {
                let start = self.at;
                while matches!(self.peek(), b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    self.at += 1;
                }
                self.leaf(LeafKind::Number, start..self.at, member, each);
                Ok(())
            }
            _ => {
                let word = ["true", "false", "null"].into_iter().find(|w| {
                    self.bytes
                        .get(self.at..)
                        .is_some_and(|b| b.starts_with(w.as_bytes()))
                });
                self.at += word.ok_or(NotJson)?.len();
                Ok(())
            }
        }
    }

    fn object(&mut self, each: &mut impl FnMut(Leaf<'_>)) -> Result<(), NotJson> {
        self.eat(b'{')?;
        self.space();
        if self.eat(b'}').is_ok() {
            return Ok(());
        }
        if self.path.len() >= DEPTH {
            return Err(NotJson);
        }
        loop {
            self.space();
            let start = self.at;
            let name = self.string()?;
            let text = self.text.get(name.clone()).ok_or(NotJson)?;
            self.leaf(LeafKind::Name, name, start, each);
            self.space();
            self.eat(b':')?;
            self.space();
            self.path.push(Step::Member(text));
            self.value(each, start)?;
            self.path.pop();
            self.space();
            if self.eat(b',').is_err() {
                return self.eat(b'}');
            }
        }
    }

    fn array(&mut self, each: &mut impl FnMut(Leaf<'_>)) -> Result<(), NotJson> {
        self.eat(b'[')?;
        self.space();
        if self.eat(b']').is_ok() {
            return Ok(());
        }
        if self.path.len() >= DEPTH {
            return Err(NotJson);
        }
        for item in 0.. {
            self.space();
            let start = self.at;
            self.path.push(Step::Item(item));
            self.value(each, start)?;
            self.path.pop();
            self.space();
            if self.eat(b',').is_err() {
                break;
            }
        }
        self.eat(b']')
    }

    /// Reads a string, and returns the range of its content.
    fn string(&mut self) -> Result<Range<usize>, NotJson> {
        self.eat(b'"')?;
        let start = self.at;
        loop {
            let rest = self.bytes.get(self.at..).ok_or(NotJson)?;
            let found = memchr::memchr2(b'"', b'\\', rest).ok_or(NotJson)?;
            self.at += found;
            if self.peek() == b'"' {
                self.at += 1;
                return Ok(start..self.at - 1);
            }
            self.at += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_is_given_with_its_name_and_its_way() {
        let text = r#"{"a":"x","b":[1,{"c\n":"y \" z"}],"d":null}"#;
        let mut seen = Vec::new();
        walk(text, |l| {
            seen.push((
                text[l.range.clone()].to_owned(),
                l.name.to_owned(),
                l.path.len(),
            ));
        })
        .unwrap();
        let expected = [
            ("a", "", 0),
            ("x", "a", 1),
            ("b", "", 0),
            ("1", "b", 2),
            (r"c\n", "b", 2),
            (r#"y \" z"#, r"c\n", 3),
            ("d", "", 0),
        ];
        assert_eq!(
            seen,
            expected.map(|(t, n, p)| (t.to_owned(), n.to_owned(), p))
        );
    }

    #[test]
    fn what_spells_no_character_reads_as_one_that_is_unknown() {
        assert_eq!(
            unescape(r"a\ud800b \ud83d\ude00 \n\u00e9"),
            "a\u{fffd}b 😀 \né"
        );
        assert_eq!(unescape("plain"), "plain");
        assert_eq!(
            unescape(r"\é \u00g \uD83D\u00"),
            "\u{fffd}é \u{fffd}u00g \u{fffd}\u{fffd}u00"
        );
    }

    #[test]
    fn what_is_not_json_is_said_to_be_none() {
        for text in [
            "",
            "{",
            "{\"a\":}",
            "[1,]",
            "\"open",
            "{} x",
            "nul",
            &"[".repeat(200),
        ] {
            assert_eq!(walk(text, |_| {}), Err(NotJson), "{text}");
        }
    }
}
