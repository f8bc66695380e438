//! API keys of callers, and their hashes, the only form in which they are stored (P07).
//!
//! An inference key is `sk-ar-v1-` and a management key `ak_`, each followed by 64 hexadecimal
//! digits (256 bits). The hash is SHA-256 of the whole text: since keys are random, a slow hash
//! would add no security, and verification stays far below a microsecond.
//!
//! ```
//! use anyrouter_core::key::{ApiKey, KeyKind};
//!
//! let key = ApiKey::from_random(KeyKind::Inference, [7; 32]);
//! let shown_once = key.reveal().to_owned();
//! assert!(shown_once.starts_with("sk-ar-v1-0707"));
//! assert_eq!(ApiKey::parse(&shown_once).map(|k| k.hash()), Some(key.hash()));
//! assert_eq!(format!("{key:?}"), "ApiKey(…0707)");
//! ```

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    ids::{decode_hex, push_hex},
    part::Part as _,
    secret::Secret,
};

/// Purpose of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Sends requests: `sk-ar-…`.
    Inference,
    /// Manages the account: `ak_…`.
    Management,
}

/// A key in the clear. It cannot be printed or serialized; [`reveal`](Self::reveal) is only for
/// showing it once.
#[derive(Clone)]
pub struct ApiKey {
    text: Secret<String>,
    kind: KeyKind,
}

/// Maximum length of a key, in bytes.
const LONGEST: usize = 256;

impl ApiKey {
    /// Creates a key from 256 random bits.
    pub fn from_random(kind: KeyKind, random: [u8; 32]) -> Self {
        let mut text = String::with_capacity(80);
        text.push_str(match kind {
            KeyKind::Inference => "sk-ar-v1-",
            KeyKind::Management => "ak_",
        });
        push_hex(&random, |digit| text.push(char::from(digit)));
        Self {
            text: Secret::new(text),
            kind,
        }
    }

    /// Parses a key that a caller sent; `None` if it does not have the form of a key.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = match text {
            t if t.starts_with("sk-ar-") => KeyKind::Inference,
            t if t.starts_with("ak_") => KeyKind::Management,
            _ => return None,
        };
        let legal = text.len() <= LONGEST
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        legal.then(|| Self {
            text: Secret::new(text.to_owned()),
            kind,
        })
    }

    /// Returns the purpose of the key.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Returns the hash, the only form that may be stored.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.text.expose().as_bytes()).into())
    }

    /// Returns the whole key, only for showing it once.
    pub fn reveal(&self) -> &str {
        self.text.expose()
    }

    /// Returns the form shown in lists: the first 12 characters, `…`, the last four.
    pub fn label(&self) -> String {
        let text = self.text.expose();
        let head: String = text.chars().take(12).collect();
        format!("{head}…{}", tail(text))
    }
}

fn tail(text: &str) -> &str {
    text.part(text.len().saturating_sub(4)..)
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey(…{})", tail(self.text.expose()))
    }
}

/// SHA-256 of a key. Compared in constant time.
#[derive(Clone, Copy, Eq, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Creates a hash from the bytes of [`as_bytes`](Self::as_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut hash = [0; 32];
        decode_hex(hex, &mut hash)?;
        Some(Self(hash))
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for KeyHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // SHA-256 is uniform, so its first eight bytes suffice as the table's hash.
        state.write(self.0.part(..8));
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        push_hex(&self.0, |digit| text.push(char::from(digit)));
        f.write_str(&text)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("not a key's hash; expected 64 hex digits"))
    }
}

/// Permission of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Scope {
    /// Send requests.
    #[serde(rename = "inference")]
    Inference,
    /// Read the account's profile.
    #[serde(rename = "read:profile")]
    ReadProfile,
    /// List inference keys.
    #[serde(rename = "read:llm-keys")]
    ReadLlmKeys,
    /// Make, change and revoke inference keys.
    #[serde(rename = "write:llm-keys")]
    WriteLlmKeys,
    /// Read presets.
    #[serde(rename = "read:presets")]
    ReadPresets,
    /// Write presets.
    #[serde(rename = "write:presets")]
    WritePresets,
    /// List the customer's own provider credentials.
    #[serde(rename = "read:byok")]
    ReadByok,
    /// Write the customer's own provider credentials.
    #[serde(rename = "write:byok")]
    WriteByok,
    /// List management keys.
    #[serde(rename = "read:management-keys")]
    ReadManagementKeys,
    /// Make and revoke management keys.
    #[serde(rename = "write:management-keys")]
    WriteManagementKeys,
    /// Read the balance.
    #[serde(rename = "read:credits")]
    ReadCredits,
    /// Read usage and logs of the whole account.
    #[serde(rename = "read:analytics")]
    ReadAnalytics,
    /// Read privacy settings.
    #[serde(rename = "read:privacy")]
    ReadPrivacy,
    /// Change privacy settings.
    #[serde(rename = "write:privacy")]
    WritePrivacy,
    /// Export, correct and delete the account.
    #[serde(rename = "write:account")]
    WriteAccount,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 15] = [
        Self::Inference,
        Self::ReadProfile,
        Self::ReadLlmKeys,
        Self::WriteLlmKeys,
        Self::ReadPresets,
        Self::WritePresets,
        Self::ReadByok,
        Self::WriteByok,
        Self::ReadManagementKeys,
        Self::WriteManagementKeys,
        Self::ReadCredits,
        Self::ReadAnalytics,
        Self::ReadPrivacy,
        Self::WritePrivacy,
        Self::WriteAccount,
    ];

    /// Returns the name used in requests and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::ReadProfile => "read:profile",
            Self::ReadLlmKeys => "read:llm-keys",
            Self::WriteLlmKeys => "write:llm-keys",
            Self::ReadPresets => "read:presets",
            Self::WritePresets => "write:presets",
            Self::ReadByok => "read:byok",
            Self::WriteByok => "write:byok",
            Self::ReadManagementKeys => "read:management-keys",
            Self::WriteManagementKeys => "write:management-keys",
            Self::ReadCredits => "read:credits",
            Self::ReadAnalytics => "read:analytics",
            Self::ReadPrivacy => "read:privacy",
            Self::WritePrivacy => "write:privacy",
            Self::WriteAccount => "write:account",
        }
    }

    /// Returns the default scopes of a new key: only `inference`, or all other scopes.
    pub fn defaults(kind: KeyKind) -> BTreeSet<Self> {
        Self::ALL
            .into_iter()
            .filter(|s| (*s == Self::Inference) == (kind == KeyKind::Inference))
            .collect()
    }
}

/// Returns true if a text contains something in the form of a key: a prefix such as `sk-` or `ak_`,
/// also within a word, followed by 16 characters or more.
pub fn looks_like_a_key(text: &str) -> bool {
    const BEGINNINGS: [&str; 6] = ["sk-", "sk_", "ak_", "ak-", "pk_", "rk_"];
    let lower = text.to_ascii_lowercase();
    let is_key = |at: usize| {
        let rest = lower.part(at..);
        let length = rest
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            .count();
        // Words joined by hyphens, such as `desk-lamp-with-usb-c`, have shorter runs than a secret.
        let runs = rest.part(..length).split(['-', '_']);
        length >= 16
            && runs
                .into_iter()
                .any(|run| run.len() >= 12 && run.bytes().any(|b| b.is_ascii_digit()))
    };
    BEGINNINGS.iter().any(|begin| {
        lower
            .match_indices(begin)
            .any(|(at, _)| is_key(at + begin.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_its_ends_only() {
        let key = ApiKey::from_random(KeyKind::Management, [0xab; 32]);
        assert_eq!(key.label(), "ak_ababababa…abab");
        assert_eq!(format!("{key:?}"), "ApiKey(…abab)");
    }

    #[test]
    fn what_has_not_the_form_of_a_key_is_none() {
        for text in [
            "",
            "sk-proj-x",
            "Bearer sk-ar-v1-x",
            "ak",
            "sk-ar-v1-\n",
            "sk-ar-ü",
        ] {
            assert!(ApiKey::parse(text).is_none(), "{text}");
        }
        assert!(ApiKey::parse(&format!("ak_{}", "a".repeat(300))).is_none());
        assert!(
            ApiKey::parse("sk-ar-anything").is_some(),
            "any sk-ar- prefix parses"
        );
    }

    #[test]
    fn a_hash_reads_back() {
        let hash = ApiKey::from_random(KeyKind::Inference, [1; 32]).hash();
        assert_eq!(KeyHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(KeyHash::from_bytes(hash.as_bytes()), Some(hash));
    }

    #[test]
    fn a_management_key_cannot_send_requests_and_an_inference_key_can_do_nothing_else() {
        assert_eq!(
            Scope::defaults(KeyKind::Inference)
                .into_iter()
                .collect::<Vec<_>>(),
            [Scope::Inference]
        );
        assert!(!Scope::defaults(KeyKind::Management).contains(&Scope::Inference));
        assert_eq!(
            Scope::defaults(KeyKind::Management).len(),
            Scope::ALL.len() - 1
        );
    }
}
