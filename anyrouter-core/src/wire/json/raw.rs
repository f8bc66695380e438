//! JSON strings that keep their escapes.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

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
