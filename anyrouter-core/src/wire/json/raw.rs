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
