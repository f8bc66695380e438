//! JSON strings that keep their escapes.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

/// The text of a JSON string with its quotes and escapes, which can be forwarded without unescaping
/// it.
#[derive(Clone, Copy, Debug)]
pub struct RawJsonStr<'a>(&'a RawValue);

impl<'a> RawJsonStr<'a> {
    /// Returns the string with its quotes.
    pub fn get(self) -> &'a str {
        self.0.get()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawJsonStr<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('"') {
            Ok(Self(raw))
        } else {
            Err(serde::de::Error::custom("not a string"))
        }
    }
}

/// Reads a string, and `None` for any other value: a member that is known as a string may have
/// another type in an object of an unknown kind.
pub fn string_or_none<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RawJsonStr<'a>>, D::Error> {
    let raw = <&'a RawValue>::deserialize(deserializer)?;
    Ok(raw.get().starts_with('"').then_some(RawJsonStr(raw)))
}

/// Returns JSON whose strings, once read, are the raw text of the original's. Strings of a stream are
/// then joined without reading them: an escaped character may be cut in two between its halves.
pub fn escape_strings(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 16);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        out.push(*byte);
        if *byte == b'\\' {
            out.push(b'\\');
            match bytes.next() {
                Some(b @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', *b]),
                Some(b) => out.push(*b),
                None => {}
            }
        }
    }
    out
}

/// Undoes [`escape_strings`].
pub fn unescape_strings(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            byte => out.push(*byte),
        }
    }
    out
}

/// Returns JSON in which each escaped half of a character without its other half is replaced by
/// U+FFFD, as in text that a client cut; `None` if there is none. Such a string is valid JSON
/// (RFC 8259, 8.2) that not every parser reads.
pub fn whole_characters(json: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(json, b"\\u")?;
    let unit = |at: usize| {
        let escape = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
    };
    let (mut out, mut at, mut is_changed) = (Vec::with_capacity(json.len()), 0, false);
    while let Some(byte) = json.get(at) {
        let length = match (byte, unit(at)) {
            (b'\\', Some(0xd800..=0xdbff)) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => 12,
            (b'\\', Some(0xd800..=0xdfff)) => {
                out.extend_from_slice(b"\\ufffd");
                is_changed = true;
                at += 6;
                continue;
            }
            (b'\\', _) => 2,
            _ => 1,
        };
        out.extend_from_slice(json.get(at..at + length).unwrap_or_default());
        at += length;
    }
    is_changed.then_some(out)
}

/// Returns true unless a value is null or empty, or has only values that are.
pub fn has_content(value: &RawValue) -> bool {
    fn is_empty(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(all) => all.iter().all(is_empty),
            Value::Object(all) => all.values().all(is_empty),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }
    !matches!(value.get(), "null" | "[]" | "{}" | "\"\"")
        && serde_json::from_str(value.get()).map_or(true, |value| !is_empty(&value))
}
