//! A scanner over JSON text that checks all of it and copies none (RFC 8259): where the members of an object begin and end, and how
//! much text there is in them. Depth is bounded; the text must be UTF-8 (checked by who calls).

mod block;

use std::{borrow::Cow, ops::Range};

use serde::Deserialize;
use smallvec::SmallVec;

use self::block::Block;

/// Where and why text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonFault {
    /// What is wrong.
    pub what: &'static str,
    /// The byte at which it was seen.
    pub at: usize,
}

/// A member of an object, as ranges of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name with its quotes.
    pub name: Range<usize>,
    /// The value.
    pub value: Range<usize>,
    /// The name is spelt with escapes.
    is_escaped: bool,
}

impl Member {
    /// A member of the object in `text`.
    pub fn new(text: &[u8], name: Range<usize>, value: Range<usize>) -> Self {
        let is_escaped = text.get(name.clone()).is_some_and(|name| name.contains(&b'\\'));
        Self { name, value, is_escaped }
    }

    /// The name's text between its quotes, as it is spelt.
    pub fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.name.start + 1..self.name.end - 1).unwrap_or_default()
    }

    /// The value's text.
    pub fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.value.clone()).unwrap_or_default()
    }

    /// Whether the name means `name`, escapes resolved.
    pub fn is(&self, text: &[u8], name: &str) -> bool {
        self.name(text) == name.as_bytes() || (self.is_escaped && self.decoded_name(text).as_deref() == Some(name))
    }

    /// The name, escapes resolved.
    pub fn decoded_name(&self, text: &[u8]) -> Option<String> {
        serde_json::from_slice(text.get(self.name.clone())?).ok()
    }
}

/// How much text was passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes of strings, as they are spelt.
    pub text: u64,
    /// Images, files and audio, whatever their size.
    pub files: u64,
}

impl Volume {
    /// What this counts as, in tokens: bytes / 4, and 1,000 for each file.
    pub fn tokens(self) -> u64 {
        self.text.div_ceil(4) + self.files.saturating_mul(1000)
    }
}

/// A string that is longer is scanned in blocks.
const SHORT: usize = 32;

/// Members below which there is a picture, a file or a sound, and no text.
const FILES: [&[u8]; 5] = [b"image_url", b"input_audio", b"file", b"video_url", b"input_image"];

/// A position in JSON text.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// How much deeper it may go.
    depth: usize,
    volume: Volume,
    counting: bool,
}

/// Of eight bytes at once: the lowest bit that is set in the answer is the highest bit of the first byte that is a quote, a backslash
/// or a control character (Hacker's Delight, 6-1: a borrow reaches only the bytes above a true one).
fn stops(eight: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let below = |bytes: u64, n: u64| bytes.wrapping_sub(ONES * n) & !bytes;
    let is = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    (below(eight, 0x20) | is(b'"') | is(b'\\')) & (ONES << 7)
}

impl<'a> Scanner<'a> {
    /// At the beginning of `text`, which may nest `depth` deep.
    pub fn new(text: &'a [u8], depth: usize) -> Self {
        Self { text, at: 0, depth, volume: Volume::default(), counting: false }
    }

    /// Counts the text of the values that are passed over from here on, or no longer.
    pub fn count(&mut self, on: bool) {
        self.counting = on;
    }

    /// What was counted.
    pub fn volume(&self) -> Volume {
        self.volume
    }

    /// What was counted, to be taken.
    pub fn volume_mut(&mut self) -> &mut Volume {
        &mut self.volume
    }

    /// The byte at which it stands.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Where it stands.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Goes into an object and gives each member to `each`, which must pass over the value, or let this do it.
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, &Range<usize>) -> Result<(), JsonFault>) -> Result<(), JsonFault> {
        self.space();
        self.expect(b'{', "an object must begin with {")?;
        self.deeper()?;
        self.space();
        if self.eat(b'}') {
            self.depth += 1;
            return Ok(());
        }
        self.member(&mut each)?;
        self.rest_of_object(each)
    }

    /// Goes to a place before the value of an object's member, as if the object had been gone into, and gives it to `value`.
    /// What stands before the place must have been scanned already, in text that begins alike.
    pub fn enter(&mut self, at: usize, value: impl FnOnce(&mut Self) -> Result<(), JsonFault>) -> Result<(), JsonFault> {
        self.at = at;
        self.deeper()?;
        self.space();
        value(self)
    }

    /// Right behind a member of an object: goes through the others, and leaves the object.
    pub fn rest_of_object(&mut self, mut each: impl FnMut(&mut Self, &Range<usize>) -> Result<(), JsonFault>) -> Result<(), JsonFault> {
        loop {
            self.space();
            if self.eat(b',') {
                self.member(&mut each)?;
                continue;
            }
            self.expect(b'}', "a comma or } must follow a member")?;
            self.depth += 1;
            return Ok(());
        }
    }

    fn member(&mut self, each: &mut impl FnMut(&mut Self, &Range<usize>) -> Result<(), JsonFault>) -> Result<(), JsonFault> {
        self.space();
        let name = self.string()?;
        self.space();
        self.expect(b':', "a colon must follow a member's name")?;
        self.space();
        let before = self.at;
        each(self, &name)?;
        if self.at == before {
            self.value()?;
        }
        Ok(())
    }

    /// Goes into an array and gives each item to `each`, as [`object`](Self::object) does.
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), JsonFault>) -> Result<(), JsonFault> {
        self.space();
        self.expect(b'[', "an array must begin with [")?;
        self.deeper()?;
        self.space();
        if self.eat(b']') {
            self.depth += 1;
            return Ok(());
        }
        loop {
            self.space();
            let before = self.at;
            each(self)?;
            if self.at == before {
                self.value()?;
            }
            self.space();
            if self.eat(b',') {
                continue;
            }
            self.expect(b']', "a comma or ] must follow an item")?;
            self.depth += 1;
            return Ok(());
        }
    }

    /// Passes over a value and says where it was.
    pub fn value(&mut self) -> Result<Range<usize>, JsonFault> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.object(|s, name| {
                if s.counting && FILES.contains(&s.text.get(name.start + 1..name.end - 1).unwrap_or_default()) {
                    s.volume.files += 1;
                    s.counting = false;
                    let passed = s.value();
                    s.counting = true;
                    passed?;
                }
                Ok(())
            })?,
            Some(b'[') => self.array(|_| Ok(()))?,
            Some(b'"') => {
                let string = self.string()?;
                if self.counting {
                    self.volume.text += (string.len() - 2) as u64;
                }
            }
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => return Err(self.fault("a value cannot begin like this")),
            None => return Err(self.fault("the text ends where a value should be")),
        }
        Ok(start..self.at)
    }

    /// After the last value nothing may stand but white space.
    pub fn end(&mut self) -> Result<(), JsonFault> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault("something follows the end of the JSON")) }
    }

    fn fault(&self, what: &'static str) -> JsonFault {
        let what = if self.at >= self.text.len() { "the JSON is cut off" } else { what };
        JsonFault { what, at: self.at }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), JsonFault> {
        if self.eat(byte) { Ok(()) } else { Err(self.fault(otherwise)) }
    }

    fn deeper(&mut self) -> Result<(), JsonFault> {
        self.depth = self.depth.checked_sub(1).ok_or(JsonFault { what: "the JSON is nested too deeply", at: self.at })?;
        Ok(())
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), JsonFault> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.fault("true, false or null is misspelt"))
    }

    fn number(&mut self) -> Result<(), JsonFault> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("a number lacks a digit")) } else { Ok(()) }
    }

    /// Passes over a string and says where it was, with its quotes.
    pub fn string(&mut self) -> Result<Range<usize>, JsonFault> {
        let start = self.at;
        self.expect(b'"', "a string must begin with a quote")?;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at);
                }
                Some(b'\\') => self.escape()?,
                Some(b) if b < 0x20 => return Err(self.fault("a control character in a string must be escaped")),
                Some(_) => {}
                None => return Err(self.fault("the text ends within a string")),
            }
            if self.at - start >= SHORT && self.blocks()? {
                return Ok(start..self.at);
            }
        }
    }

    /// Passes over what needs no look: everything but quotes, backslashes and control characters, for some bytes.
    fn plain(&mut self) {
        let near = self.text.get(self.at..).map_or(&[][..], |rest| rest.get(..SHORT).unwrap_or(rest));
        let (eights, rest) = near.as_chunks::<8>();
        for eight in eights {
            let stops = stops(u64::from_le_bytes(*eight));
            if stops != 0 {
                self.at += stops.trailing_zeros() as usize / 8;
                return;
            }
            self.at += eight.len();
        }
        self.at += rest.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\').unwrap_or(rest.len());
    }

    /// Within a string: passes over whole blocks; true where the string ended.
    fn blocks(&mut self) -> Result<bool, JsonFault> {
        let mut is_escaped = false;
        while let Some(bytes) = self.text.get(self.at..).and_then(<[u8]>::first_chunk) {
            let block = Block::new(bytes, is_escaped);
            let within = block.ends.wrapping_sub(1) & !block.ends;
            let mut numbers = block.numbers & within;
            while numbers != 0 {
                self.number_escape(self.at + numbers.trailing_zeros() as usize)?;
                numbers &= numbers - 1;
            }
            let faults = block.faults & within;
            if faults != 0 {
                self.at += faults.trailing_zeros() as usize;
                return Err(self.fault("a control character in a string must be escaped, and a backslash begin an escape"));
            }
            if block.ends != 0 {
                self.at += block.ends.trailing_zeros() as usize + 1;
                return Ok(true);
            }
            self.at += bytes.len();
            is_escaped = block.escapes_next;
        }
        // What is left is looked at byte by byte, from its backslash on.
        self.at -= usize::from(is_escaped);
        Ok(false)
    }

    /// That four hexadecimal digits follow the `u` at a place.
    fn number_escape(&self, at: usize) -> Result<(), JsonFault> {
        let digits = self.text.get(at + 1..at + 5);
        if digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
            return Ok(());
        }
        Err(JsonFault { what: "\\u must be followed by four hexadecimal digits", at: at - 1 })
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                self.number_escape(self.at + 1)?;
                self.at += 6;
            }
            Some(_) => return Err(self.fault("no such escape")),
            None => {
                self.at = self.text.len();
                return Err(self.fault("the text ends within a string"));
            }
        }
        Ok(())
    }
}

/// The members of the object that `text` is.
pub fn members(text: &[u8], depth: usize) -> Result<Vec<Member>, JsonFault> {
    let mut out = Vec::with_capacity(16);
    let mut scanner = Scanner::new(text, depth);
    scanner.object(|s, name| {
        let value = s.value()?;
        out.push(Member::new(text, name.clone(), value));
        Ok(())
    })?;
    scanner.end()?;
    Ok(out)
}

/// An object, as the ranges of its members.
#[derive(Debug)]
pub struct Object<'a> {
    text: &'a [u8],
    members: SmallVec<[Member; 4]>,
}

impl<'a> Object<'a> {
    /// The value of a member, as it is spelt; none where it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let member = self.members.iter().find(|m| m.is(self.text, name))?;
        Some(member.value(self.text)).filter(|v| *v != b"null")
    }

    /// The first of `names` that stands more than once.
    pub fn twice<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.members.iter().filter(|m| m.is(self.text, name)).nth(1).is_some())
    }

    /// The value of a member as `T`. None where it is absent or null, an error where it is something else.
    pub fn read<T: Deserialize<'a>>(&self, name: &str) -> serde_json::Result<Option<T>> {
        self.get(name).map(serde_json::from_slice).transpose()
    }
}

/// The objects of the list that `text` is; an item that is no object is a fault.
pub fn objects(text: &[u8], depth: usize) -> Result<Vec<Object<'_>>, JsonFault> {
    let mut out = Vec::new();
    let mut scanner = Scanner::new(text, depth);
    scanner.array(|s| {
        let mut members = SmallVec::new();
        s.object(|s, name| {
            let value = s.value()?;
            members.push(Member::new(text, name.clone(), value));
            Ok(())
        })?;
        out.push(Object { text, members });
        Ok(())
    })?;
    scanner.end()?;
    Ok(out)
}

/// A member's name, given with its quotes: without them, escapes resolved.
pub fn bare_name(quoted: &[u8]) -> Cow<'_, [u8]> {
    let bare = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !bare.contains(&b'\\') {
        return bare.into();
    }
    serde_json::from_slice::<String>(quoted).map_or(bare.into(), |name| name.into_bytes().into())
}

/// `text`, if it is UTF-8.
pub fn utf8(text: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(text).ok()
}

/// Appends a number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `text` as a JSON string, with its quotes.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        // Writing to a `Vec` cannot fail.
        let _ = serde_json::to_writer(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &[u8]) -> Result<(), JsonFault> {
        let mut scanner = Scanner::new(text, 64);
        scanner.value()?;
        scanner.end()
    }

    #[test]
    fn members_are_found_whatever_stands_between_them() {
        let text = br#" { "a" : [1, {"b": "}"}] ,"m\u006fdel":"x", "c":-1.5e+3 } "#;
        let found = members(text, 8).unwrap();
        assert_eq!(found[0].value(text), br#"[1, {"b": "}"}]"#);
        assert!(found[1].is(text, "model"), "an escaped name is the same name");
        assert_eq!(found[2].value(text), b"-1.5e+3");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = [vec![b'['; 65], vec![b']'; 65]].concat();
        assert_eq!(check(&deep).unwrap_err().what, "the JSON is nested too deeply");
        assert!(check(&deep[1..129]).is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let long = |escape: &str| format!("\"{}{escape}{}\"", "x".repeat(90), "y".repeat(90));
        for escape in ["\\q", "\\u12x4", "\n", "\\\\\\", "\""] {
            let (short, long) = (format!("\"{escape}y\""), long(escape));
            assert_eq!(check(short.as_bytes()).is_ok(), check(long.as_bytes()).is_ok(), "{long}");
        }
        for text in ["", "{", "{\"a\"}", "[1,]", "01", "1.", "\"\\x\"", "\"\\u12g4\"", "tru", "\"\n\"", "{} x", "[", "\"abc"] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(check(b"{\"a\":1,,}").unwrap_err().at, 7);
    }

    #[test]
    fn text_is_counted_and_pictures_are_not() {
        let text = br#"[{"role":"user","content":[{"type":"text","text":"12345678"},{"type":"image_url","image_url":{"url":"data:xxxxxxxxxxxx"}}]}]"#;
        let mut scanner = Scanner::new(text, 16);
        scanner.count(true);
        scanner.value().unwrap();
        assert_eq!(scanner.volume(), Volume { text: 4 + 4 + 8 + 9, files: 1 });
    }

    proptest! {
        #[test]
        fn eight_bytes_at_once_stop_where_one_by_one_would(bytes in prop::array::uniform8(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), 0x1fu8..0x23])) {
            let first = bytes.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\');
            let found = stops(u64::from_le_bytes(bytes));
            prop_assert_eq!((found != 0).then(|| found.trailing_zeros() as usize / 8), first);
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e9..1e9f64).prop_map(Into::into),
            ".{0,40}".prop_map(Into::into),
            "[a\"\\\\\n\u{1}é]{60,200}".prop_map(Into::into)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map(".{0,6}", inner, 0..4).prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into())
            ]
        })
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_json_writes(value in json()) {
            prop_assert!(check(value.to_string().as_bytes()).is_ok());
            prop_assert!(check(serde_json::to_string_pretty(&value).unwrap().as_bytes()).is_ok());
        }

        #[test]
        fn it_takes_and_refuses_what_serde_json_does(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = value.to_string().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if std::str::from_utf8(&text).is_ok() {
                let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
                prop_assert_eq!(check(&text).is_ok(), theirs, "{}", String::from_utf8_lossy(&text));
            }
        }
    }
}
