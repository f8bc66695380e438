//! Keys, and what is sealed under them.

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{part::Part as _, secret::Secret};

const VERSION: u8 = 1;
const INFO: &[u8] = b"anyrouter vault v1";
/// Length of version and key id, which are authenticated.
const HEAD: usize = 5;
/// Length of all that stands before the ciphertext.
const START: usize = HEAD + SALT;
const SALT: usize = 24;
const TAG: usize = 16;

/// Why something sealed cannot be opened. No variant holds any of its bytes.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaultError {
    /// It is too short, or of another format.
    #[error("it is not sealed in a format that this version reads")]
    Malformed,
    /// The key that it is sealed under is not here.
    #[error(
        "it is sealed under key {0}, which is not in the key ring; restore the ring that has it"
    )]
    UnknownKey(KeyId),
    /// It was altered, or belongs to another row or key.
    #[error("it was altered, or belongs in another place")]
    Forged,
}

/// Id of a key, which is no secret: 8 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Returns its bytes.
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }

    /// Parses 8 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = is_hex.then(|| u32::from_str_radix(text, 16).ok())??;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The salt of one row.
#[derive(Clone, Copy, Debug)]
pub struct Salt([u8; SALT]);

impl Salt {
    /// Creates a salt from these bytes, which must be random and used once.
    pub const fn from_random(bytes: [u8; SALT]) -> Self {
        Self(bytes)
    }
}

/// The kind and the place of a row. A row does not open in another one's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Vec<u8>);

impl Identity {
    /// Creates an identity from a kind and the ids that tell the row from others of its kind.
    pub fn new(kind: &str, ids: &[&str]) -> Self {
        let mut bytes = Vec::with_capacity(64);
        for part in std::iter::once(&kind).chain(ids) {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(bytes)
    }
}

/// A row as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Reads a stored row. That it is genuine shows when it is opened.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, VaultError> {
        if bytes.first() == Some(&VERSION) && bytes.len() >= START + TAG {
            Ok(Self(bytes))
        } else {
            Err(VaultError::Malformed)
        }
    }

    /// Returns the bytes to store.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the id of the key that it is sealed under.
    pub fn key_id(&self) -> KeyId {
        KeyId(self.0.part(1..HEAD).try_into().unwrap_or_default())
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.key_id(), self.0.len())
    }
}

/// A key of 256 bits. It is wiped on drop, and shows only its id.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    secret: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl Key {
    /// Creates a key from these bytes, which must be random: 4 of its id, and 32.
    pub fn from_random(bytes: [u8; 36]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let mut secret = Zeroizing::new([0; 32]);
        let (id, rest) = bytes.split_at(4);
        secret.copy_from_slice(rest);
        Self {
            id: KeyId(id.try_into().unwrap_or_default()),
            secret,
        }
    }

    pub(super) fn new(id: KeyId, secret: Zeroizing<[u8; 32]>) -> Self {
        Self { id, secret }
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Returns its id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Seals a row.
    pub fn seal(&self, identity: &Identity, plain: &[u8], salt: Salt) -> Sealed {
        let mut out = Vec::with_capacity(START + plain.len() + TAG);
        out.push(VERSION);
        out.extend_from_slice(&self.id.0);
        let data = associated(&out, identity);
        out.extend_from_slice(&salt.0);
        let (cipher, nonce) = self.row(&salt.0);
        let payload = Payload {
            msg: plain,
            aad: &data,
        };
        // It fails only for texts of 256 GB.
        out.extend(cipher.encrypt(&nonce.into(), payload).unwrap_or_default());
        Sealed(out)
    }

    /// Opens a row.
    pub fn open(
        &self,
        identity: &Identity,
        sealed: &Sealed,
    ) -> Result<Secret<Vec<u8>>, VaultError> {
        if sealed.key_id() != self.id {
            return Err(VaultError::UnknownKey(sealed.key_id()));
        }
        let bytes = &sealed.0;
        let data = associated(bytes.part(0..HEAD), identity);
        let (cipher, nonce) = self.row(bytes.part(HEAD..START));
        let payload = Payload {
            msg: bytes.part(START..bytes.len()),
            aad: &data,
        };
        cipher
            .decrypt(&nonce.into(), payload)
            .map(Secret::new)
            .map_err(|_| VaultError::Forged)
    }

    /// Seals another key.
    pub fn wrap(&self, identity: &Identity, key: &Self, salt: Salt) -> Sealed {
        let mut plain = Zeroizing::new([0; 36]);
        let (id, secret) = plain.split_at_mut(4);
        id.copy_from_slice(&key.id.0);
        secret.copy_from_slice(&*key.secret);
        self.seal(identity, &*plain, salt)
    }

    /// Opens a key.
    pub fn unwrap(&self, identity: &Identity, sealed: &Sealed) -> Result<Self, VaultError> {
        let plain = self.open(identity, sealed)?;
        let bytes = plain.expose().as_slice().try_into();
        bytes
            .map(Self::from_random)
            .map_err(|_| VaultError::Malformed)
    }

    /// Returns the cipher of a row, and its nonce.
    fn row(&self, salt: &[u8]) -> (XChaCha20Poly1305, [u8; 24]) {
        let mut output = Zeroizing::new([0; 56]);
        // It fails only for outputs of more than 8,160 bytes.
        let _ = Hkdf::<Sha256>::new(Some(salt), &*self.secret).expand(INFO, &mut *output);
        let (key, nonce) = output.split_at(32);
        let cipher = XChaCha20Poly1305::new(key.into());
        (cipher, nonce.try_into().unwrap_or_default())
    }
}

fn associated(head: &[u8], identity: &Identity) -> Vec<u8> {
    [head, &identity.0].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row() -> Identity {
        Identity::new("credential", &["acc_1", "cred_1"])
    }

    #[test]
    fn neither_keys_nor_rows_print_what_they_hold() {
        let key = Key::from_random([0x41; 36]);
        let sealed = key.seal(&row(), b"AAAA", Salt::from_random([1; 24]));
        let shown = format!("{key:?} {sealed:?}");
        assert_eq!(shown, "Key(41414141) Sealed(41414141, 49 bytes)");
    }

    #[test]
    fn parts_of_an_identity_are_not_joined() {
        assert_ne!(
            Identity::new("a", &["bc", "d"]),
            Identity::new("a", &["b", "cd"])
        );
        assert_ne!(Identity::new("ab", &["c"]), Identity::new("a", &["bc"]));
    }

    #[test]
    fn what_is_too_short_or_of_another_version_is_malformed() {
        let sealed = Key::from_random([1; 36]).seal(&row(), b"", Salt::from_random([2; 24]));
        let mut bytes = sealed.bytes().to_vec();
        assert!(Sealed::from_bytes(bytes.clone()).is_ok());
        assert_eq!(
            Sealed::from_bytes(bytes[..44].to_vec()),
            Err(VaultError::Malformed)
        );
        bytes[0] = 2;
        assert_eq!(Sealed::from_bytes(bytes), Err(VaultError::Malformed));
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_in_its_place_and_under_its_key_alone(
            plain in prop::collection::vec(any::<u8>(), 0..300), secret in any::<[u8; 32]>(), salt in any::<[u8; 24]>(),
        ) {
            let key = Key::from_random([&[1; 4][..], &secret].concat().try_into().unwrap());
            let sealed = key.seal(&row(), &plain, Salt::from_random(salt));
            let opened = key.open(&row(), &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &plain);
            let elsewhere = Identity::new("credential", &["acc_1", "cred_2"]);
            prop_assert_eq!(key.open(&elsewhere, &sealed).unwrap_err(), VaultError::Forged);
            let another = Key::from_random([2; 36]);
            prop_assert_eq!(another.open(&row(), &sealed).unwrap_err(), VaultError::UnknownKey(key.id()));
            // A key of the same id is not the same key.
            let namesake = Key::from_random([1; 36]);
            prop_assume!(secret != [1; 32]);
            prop_assert_eq!(namesake.open(&row(), &sealed).unwrap_err(), VaultError::Forged);
        }

        #[test]
        fn no_bit_can_be_changed_and_no_byte_cut_off(
            plain in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), bit in 0..8u32,
        ) {
            let key = Key::from_random([3; 36]);
            let sealed = key.seal(&row(), &plain, Salt::from_random([4; 24]));
            let mut bytes = sealed.bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let opened = Sealed::from_bytes(bytes).and_then(|sealed| key.open(&row(), &sealed));
            prop_assert!(opened.is_err());
            let cut = sealed.bytes()[..at].to_vec();
            let opened = Sealed::from_bytes(cut).and_then(|sealed| key.open(&row(), &sealed));
            prop_assert!(opened.is_err());
        }
    }
}
