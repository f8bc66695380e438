//! JSON strings that keep their spelling.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON string as it is spelt, with its quotes: it can be passed on without being unescaped and
/// escaped again.
#[derive(Clone, Copy, Debug)]
pub struct RawJsonStr<'a>(&'a RawValue);

impl<'a> RawJsonStr<'a> {
    /// The string with its quotes.
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
