//! Types for names and ids, so that a provider's slug cannot be used as a model's id.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transparent))]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text as given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// Id of an account: `acc_` and 16 hexadecimal digits if AnyRouter created it.
    AccountId
);
name!(
    /// Slug of a provider, such as `anthropic` or `google-vertex/us-east5`.
    ProviderSlug
);
name!(
    /// Id of a model, as `author/slug`.
    ModelId
);
name!(
    /// Id of an endpoint, a model at a provider, such as `good/lab-mixed`.
    EndpointId
);

/// The id of a request, of its usage record and of its generation: 48 bits of milliseconds since
/// 1970, then 48 random bits. Ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 12]);

impl RequestId {
    /// Creates an id from the time and six random bytes.
    pub fn new(now: Timestamp, random: [u8; 6]) -> Self {
        let mut id = [0; 12];
        let millis = now.millis().to_be_bytes();
        for (to, from) in id.iter_mut().zip(millis.iter().skip(2).chain(&random)) {
            *to = *from;
        }
        Self(id)
    }

    /// Returns the lowest id of a request made at `at`, as the bound of a range.
    pub fn first_at(at: Timestamp) -> Self {
        Self::new(at, [0; 6])
    }

    /// Returns the bytes, which sort by time.
    pub fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    /// Creates an id from the bytes of [`as_bytes`](Self::as_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// Returns the 24 hexadecimal digits without a prefix.
    pub fn hex(&self) -> String {
        self.with_prefix("")
    }

    /// Returns the generation id with the same digits: `gen-` and 24 hexadecimal digits.
    pub fn generation(&self) -> String {
        self.with_prefix("gen-")
    }

    /// Appends the generation id to bytes.
    #[cfg(feature = "gateway")]
    pub(crate) fn push_generation(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"gen-");
        push_hex(&self.0, |digit| to.push(digit));
    }

    /// Appends the request id to bytes.
    #[cfg(feature = "gateway")]
    pub(crate) fn push_request(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"req_");
        push_hex(&self.0, |digit| to.push(digit));
    }

    /// Appends the generation id as Anthropic's protocol spells it, `msg_` and 24 hexadecimal
    /// digits, to bytes.
    #[cfg(feature = "gateway")]
    pub(crate) fn push_message(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"msg_");
        push_hex(&self.0, |digit| to.push(digit));
    }

    /// Appends the generation id as the Responses protocol spells it, `resp_` and 24 hexadecimal
    /// digits, to bytes.
    #[cfg(feature = "gateway")]
    pub(crate) fn push_response(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"resp_");
        push_hex(&self.0, |digit| to.push(digit));
    }

    /// Parses a request id (`req_…`), a generation id (`gen-…`, `msg_…` or `resp_…`), or the bare
    /// 24 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text
            .strip_prefix("req_")
            .or_else(|| text.strip_prefix("gen-"))
            .or_else(|| text.strip_prefix("msg_"))
            .or_else(|| text.strip_prefix("resp_"))
            .unwrap_or(text);
        let mut id = [0; 12];
        decode_hex(hex, &mut id)?;
        Some(Self(id))
    }

    fn with_prefix(self, prefix: &str) -> String {
        let mut text = String::with_capacity(28);
        text.push_str(prefix);
        push_hex(&self.0, |digit| text.push(char::from(digit)));
        text
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_prefix("req_"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a request id"))
    }
}

/// Passes bytes to `to` as lower-case hexadecimal digits, one by one.
pub(crate) fn push_hex(bytes: &[u8], mut to: impl FnMut(u8)) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            to(nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
        }
    }
}

/// Fills `into` from exactly twice as many hexadecimal digits.
pub(crate) fn decode_hex(hex: &str, into: &mut [u8]) -> Option<()> {
    if hex.len() != into.len() * 2 {
        return None;
    }
    for (byte, pair) in into.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let digit = |d: u8| char::from(d).to_digit(16);
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_orders_by_time_and_reads_back_in_every_spelling() {
        let early = RequestId::new(Timestamp::from_millis(1_700_000_000_000), [255; 6]);
        let late = RequestId::new(Timestamp::from_millis(1_700_000_000_001), [0; 6]);
        assert!(early < late);
        for text in [early.to_string(), early.generation()] {
            assert_eq!(RequestId::parse(&text), Some(early), "{text}");
        }
        assert_eq!(early.to_string().len(), "req_".len() + 24);
        assert_eq!(RequestId::parse("req_xyz"), None);
    }
}
