//! A scanner that moves through JSON text, validates it and counts its contents.

use std::ops::Range;

use super::block::Block;
use crate::part::Part as _;

/// Fault of text that is not valid JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonFault {
    /// Description of the fault.
    pub what: &'static str,
    /// Position of the fault, in bytes.
    pub at: usize,
}

/// Amount of text that the scanner passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes of strings, with their escapes.
    pub text: u64,
    /// Number of images, files and audio items.
    pub files: u64,
}

impl Volume {
    /// Returns the estimated number of tokens: bytes / 4, plus 1,000 for each file.
    pub fn tokens(self) -> u64 {
        self.text.div_ceil(4) + self.files.saturating_mul(1000)
    }
}

/// Number of bytes after which a string is scanned in blocks.
const SHORT: usize = 32;

/// Members that contain an image, a file or audio, and no text.
const FILES: [&[u8]; 9] = [
    b"image_url",
    b"input_audio",
    b"file",
    b"file_data",
    b"video_url",
    b"input_image",
    b"inlineData",
    b"inline_data",
    b"fileData",
];

/// A position in JSON text.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Remaining levels of nesting.
    depth: usize,
    volume: Volume,
    counting: bool,
}

/// Finds the first quote, backslash or control character of eight bytes: the lowest set bit of the
/// result is the highest bit of that byte (Hacker's Delight, 6-1: a borrow reaches only the bytes
/// above a true match).
fn stops(eight: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let below = |bytes: u64, n: u64| bytes.wrapping_sub(ONES * n) & !bytes;
    let is = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    (below(eight, 0x20) | is(b'"') | is(b'\\')) & (ONES << 7)
}

impl<'a> Scanner<'a> {
    /// Creates a scanner at the beginning of `text`, which may nest `depth` levels deep.
    pub fn new(text: &'a [u8], depth: usize) -> Self {
        Self {
            text,
            at: 0,
            depth,
            volume: Volume::default(),
            counting: false,
        }
    }

    /// Turns counting of the values that follow on or off.
    pub fn count(&mut self, on: bool) {
        self.counting = on;
    }

    /// Returns the counted volume.
    pub fn volume(&self) -> Volume {
        self.volume
    }

    /// Returns the counted volume for changes.
    pub fn volume_mut(&mut self) -> &mut Volume {
        &mut self.volume
    }

    /// Returns the next byte without consuming it.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Returns the position in bytes.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Scans an object and calls `each` for each member. `each` may consume the value; otherwise
    /// the scanner skips it.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &Range<usize>) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
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

    /// Jumps to the value of an object's member at `at`, as if the scanner had entered the object,
    /// and calls `value`. The text before `at` must already have been validated, here or in another
    /// text with the same beginning.
    pub fn enter(
        &mut self,
        at: usize,
        value: impl FnOnce(&mut Self) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
        self.at = at;
        self.deeper()?;
        self.space();
        value(self)
    }

    /// Scans the remaining members of an object, directly after a member, and leaves the object.
    pub fn rest_of_object(
        &mut self,
        mut each: impl FnMut(&mut Self, &Range<usize>) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
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

    fn member(
        &mut self,
        each: &mut impl FnMut(&mut Self, &Range<usize>) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
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

    /// Scans an array and calls `each` for each item, like [`object`](Self::object).
    pub fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
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

    fn is_object(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.trim_ascii_start().first() == Some(&b'{')
    }

    /// Skips a value and returns its range.
    pub fn value(&mut self) -> Result<Range<usize>, JsonFault> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.object(|s, name| {
                let name = s.text.part(name.start + 1..name.end - 1);
                // Anthropic's files are objects; a text may have the same name.
                let is_file = || FILES.contains(&name) || name == b"source" && s.is_object();
                if s.counting && is_file() {
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

    /// Checks that only white space follows the last value.
    pub fn end(&mut self) -> Result<(), JsonFault> {
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.fault("something follows the end of the JSON"))
        }
    }

    fn fault(&self, what: &'static str) -> JsonFault {
        let what = if self.at >= self.text.len() {
            "the JSON is cut off"
        } else {
            what
        };
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
        if self.eat(byte) {
            Ok(())
        } else {
            Err(self.fault(otherwise))
        }
    }

    fn deeper(&mut self) -> Result<(), JsonFault> {
        self.depth = self.depth.checked_sub(1).ok_or(JsonFault {
            what: "the JSON is nested too deeply",
            at: self.at,
        })?;
        Ok(())
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), JsonFault> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            return Ok(());
        }
        Err(self.fault("a value must be true, false or null"))
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
        if self.at == start {
            Err(self.fault("a number lacks a digit"))
        } else {
            Ok(())
        }
    }

    /// Skips a string and returns its range with the quotes.
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
                Some(b) if b < 0x20 => {
                    return Err(self.fault("a control character in a string must be escaped"));
                }
                Some(_) => {}
                None => return Err(self.fault("the text ends within a string")),
            }
            if self.at - start >= SHORT && self.blocks()? {
                return Ok(start..self.at);
            }
        }
    }

    /// Skips plain bytes up to a quote, a backslash or a control character, within a limited range.
    fn plain(&mut self) {
        let near = self
            .text
            .get(self.at..)
            .map_or(&[][..], |rest| rest.get(..SHORT).unwrap_or(rest));
        let (eights, rest) = near.as_chunks::<8>();
        for eight in eights {
            let stops = stops(u64::from_le_bytes(*eight));
            if stops != 0 {
                self.at += stops.trailing_zeros() as usize / 8;
                return;
            }
            self.at += eight.len();
        }
        self.at += rest
            .iter()
            .position(|b| *b < 0x20 || *b == b'"' || *b == b'\\')
            .unwrap_or(rest.len());
    }

    /// Skips whole blocks within a string; returns true if the string ended.
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
        // The rest is scanned byte by byte, from the pending backslash on.
        self.at -= usize::from(is_escaped);
        Ok(false)
    }

    /// Checks that four hexadecimal digits follow the `u` at `at`.
    fn number_escape(&self, at: usize) -> Result<(), JsonFault> {
        let digits = self.text.get(at + 1..at + 5);
        if digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
            return Ok(());
        }
        Err(JsonFault {
            what: "\\u must be followed by four hexadecimal digits",
            at: at - 1,
        })
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                self.number_escape(self.at + 1)?;
                self.at += 6;
            }
            Some(_) => return Err(self.fault("unknown escape")),
            None => {
                self.at = self.text.len();
                return Err(self.fault("the text ends within a string"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_bytes_at_once_stop_where_one_by_one_would(bytes in prop::array::uniform8(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), 0x1fu8..0x23])) {
            let first = bytes.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\');
            let found = stops(u64::from_le_bytes(bytes));
            prop_assert_eq!((found != 0).then(|| found.trailing_zeros() as usize / 8), first);
        }
    }
}
