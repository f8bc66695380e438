//! Keyed hashes (RFC 2104, SHA-256) for the characters of placeholders and for seals.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::placeholder_form::{ALPHABET, ID};

/// The key for the placeholders of an account or a session.
#[derive(Clone)]
pub struct PlaceholderKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for PlaceholderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlaceholderKey(…)")
    }
}

impl PlaceholderKey {
    /// Creates a key from these bytes, which must be random.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Derives the key of an account, or of a session of the account.
    pub fn derive(&self, account: &str, session: Option<&str>) -> Self {
        let below = |key: &Self, kind: &str, name: &str| {
            Self(Zeroizing::new(key.mac(&[kind.as_bytes(), name.as_bytes()])))
        };
        let account = below(self, "account", account);
        match session {
            Some(session) => below(&account, "session", session),
            None => account,
        }
    }

    /// Begins a seal: a keyed hash of a text, which may come in pieces, and of the proof that
    /// belongs to it.
    pub(crate) fn seal(&self) -> SealedText {
        SealedText(self.keyed().map(|mut keyed| {
            keyed.update(b"seal");
            keyed
        }))
    }

    /// Returns a MAC over parts, each after its length, which makes lists of parts unambiguous.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.keyed().map_or([0; 32], |keyed| mac(keyed, parts))
    }

    /// Returns the HMAC under this key; a key may have any length.
    pub(super) fn keyed(&self) -> Option<Hmac<Sha256>> {
        Mac::new_from_slice(&*self.0).ok()
    }

    /// Returns a keyed hash that replaces a value permanently: it is stable under this key, and
    /// cannot be restored.
    pub(crate) fn hash(&self, label: &str, value: &str) -> String {
        self.keyed()
            .map(|keyed| placeholder(keyed, "hash", label, value))
            .unwrap_or_default()
    }
}

/// A text being sealed.
#[derive(Clone)]
pub(crate) struct SealedText(Option<Hmac<Sha256>>);

impl SealedText {
    /// Appends the next piece of the text.
    pub(crate) fn push(&mut self, text: &str) {
        if let Some(keyed) = &mut self.0 {
            keyed.update(text.as_bytes());
        }
    }

    /// Returns the seal of the text and its proof: 128 bits in hexadecimal, or empty without a key.
    pub(crate) fn finish(self, proof: &str) -> String {
        let Some(mut keyed) = self.0 else {
            return String::new();
        };
        // No text contains this byte.
        keyed.update(&[0xff]);
        keyed.update(proof.as_bytes());
        keyed
            .finalize()
            .into_bytes()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Returns true if this is the seal; compared in constant time.
    pub(crate) fn is(self, proof: &str, seal: &str) -> bool {
        let expected = self.finish(proof);
        !expected.is_empty()
            && bool::from(subtle::ConstantTimeEq::ct_eq(
                expected.as_bytes(),
                seal.as_bytes(),
            ))
    }
}

fn mac(mut keyed: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        keyed.update(&(part.len() as u64).to_le_bytes());
        keyed.update(part);
    }
    keyed.finalize().into_bytes().into()
}

/// Returns a label with an identifier.
pub(super) fn placeholder(keyed: Hmac<Sha256>, kind: &str, label: &str, value: &str) -> String {
    let mac = mac(
        keyed,
        &[kind.as_bytes(), label.as_bytes(), value.as_bytes()],
    );
    let bits = mac
        .iter()
        .take(8)
        .fold(0_u64, |n, b| n << 8 | u64::from(*b));
    let mut text = String::with_capacity(label.len() + 1 + ID);
    text.push_str(label);
    text.push('_');
    text.extend(
        (0..ID)
            .filter_map(|i| ALPHABET.get((bits >> (5 * i)) as usize & 31))
            .map(|b| char::from(*b)),
    );
    text
}
