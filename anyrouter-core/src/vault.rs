//! Envelope encryption of what is stored: credentials, and the keys of accounts.
//!
//! ```
//! use anyrouter_core::vault::{Identity, Key, KeyRing, Salt};
//!
//! # fn main() -> Result<(), anyrouter_core::vault::VaultError> {
//! // All bytes given here must be random. A ring has the master keys; the newest one is used.
//! let ring = KeyRing::new(Key::from_random([7; 36]), [8; 32]);
//!
//! // Each account has a key of its own, which is stored sealed under the master key.
//! let key = Key::from_random([9; 36]);
//! let account = Identity::new("account-key", &["acc_1"]);
//! let stored = ring.current().wrap(&account, &key, Salt::from_random([1; 24]));
//!
//! // A row is sealed under the account's key. Its identity is not stored with it.
//! let row = Identity::new("credential", &["acc_1", "cred_1"]);
//! let sealed = key.seal(&row, b"sk-secret", Salt::from_random([2; 24]));
//!
//! let key = ring.key(stored.key_id())?.unwrap(&account, &stored)?;
//! assert_eq!(key.open(&row, &sealed)?.expose(), b"sk-secret");
//!
//! // In another row's place, it does not open.
//! let other = Identity::new("credential", &["acc_1", "cred_2"]);
//! assert!(key.open(&other, &sealed).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! | to | call |
//! |---|---|
//! | seal a row, and open it | [`Key::seal`], [`Key::open`] |
//! | seal a key under another | [`Key::wrap`], [`Key::unwrap`] |
//! | destroy all rows of an account | delete its sealed key, of which there is no copy |
//! | replace the master key | [`KeyRing::add`], wrap the accounts' keys again, [`KeyRing::retain`] |
//! | read and write the ring | [`KeyRing::parse`], [`KeyRing::to_text`] |
//!
//! # The format
//!
//! | bytes | |
//! |---|---|
//! | 0 | version: 1 |
//! | 1 to 4 | id of the key that it is sealed under |
//! | 5 to 28 | salt: random, of this row alone |
//! | 29 to the end | XChaCha20-Poly1305 ciphertext, with its tag of 16 bytes at the end |
//!
//! The row's key is the first 32 bytes, and the nonce the last 24, of HKDF-SHA-256 (RFC 5869) with
//! the key's 32 bytes as input, the salt, `anyrouter vault v1` as info and 56 bytes of output. The
//! associated data are bytes 0 to 4 and the row's identity: each part as UTF-8 after its length in
//! four bytes, lowest first. Without its salt, a row cannot be opened by anyone.
//! `tests/vault/vectors.json` has examples, and `scripts/test-vault` opens them with Python.
//!
//! Sources: RFC 5869 (HKDF), RFC 8439 and draft-irtf-cfrg-xchacha-03 (XChaCha20-Poly1305); promise P08.

mod key;
mod ring;

pub use self::{
    key::{Identity, Key, KeyId, Salt, Sealed, VaultError},
    ring::{KeyRing, RingError},
};
