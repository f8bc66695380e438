//! The ring of master keys, and its text.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use super::key::{Key, KeyId, VaultError};

/// Why a text is no ring. It says where, and never what stands there.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the key ring cannot be read: {problem}")]
pub struct RingError {
    problem: String,
}

/// Master keys, of which the newest is used, and the key of redaction's placeholders.
#[derive(Clone, Debug)]
pub struct KeyRing {
    current: Key,
    /// In the order in which they were added.
    older: Vec<Key>,
    placeholder: Key,
}

const VERSION: u32 = 1;
const HEAD: &str = "\
# The keys of an AnyRouter instance. Whoever has this file and the data folder can read what is
# sealed there. Keep a copy in another place: without it, nothing that is sealed can be read again.
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    master: Vec<Entry>,
    placeholder: Option<Placeholder>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placeholder {
    key: String,
}

impl KeyRing {
    /// Creates a ring with one master key, and the key of the placeholders, which must be random.
    pub fn new(master: Key, placeholder: [u8; 32]) -> Self {
        Self {
            current: master,
            older: Vec::new(),
            placeholder: Key::new(KeyId::default(), Zeroizing::new(placeholder)),
        }
    }

    /// Returns the key under which new rows are sealed.
    pub const fn current(&self) -> &Key {
        &self.current
    }

    /// Returns a master key.
    pub fn key(&self, id: KeyId) -> Result<&Key, VaultError> {
        let found = self.masters().find(|key| key.id() == id);
        found.ok_or(VaultError::UnknownKey(id))
    }

    fn masters(&self) -> impl Iterator<Item = &Key> {
        self.older.iter().chain([&self.current])
    }

    /// Returns the ids of the master keys; the last is the current one.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.masters().map(Key::id)
    }

    /// Returns the bytes of the key for redaction's placeholders.
    pub fn placeholder(&self) -> [u8; 32] {
        *self.placeholder.secret()
    }

    /// Adds a master key, which is then the current one. Returns false if the ring has one of its id.
    pub fn add(&mut self, key: Key) -> bool {
        let is_new = self.key(key.id()).is_err();
        if is_new {
            self.older.push(std::mem::replace(&mut self.current, key));
        }
        is_new
    }

    /// Drops the master keys that nothing is sealed under any more. The current one stays.
    pub fn retain(&mut self, is_used: impl Fn(KeyId) -> bool) {
        self.older.retain(|key| is_used(key.id()));
    }

    /// Reads a ring.
    pub fn parse(text: &str) -> Result<Self, RingError> {
        let wrong = |problem: &str| RingError {
            problem: problem.to_owned(),
        };
        if text.trim().is_empty() {
            return Err(wrong("it is empty"));
        }
        // The parser's own message would show the line.
        let document: Document = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(0, |span| {
                text.bytes()
                    .take(span.start)
                    .filter(|b| *b == b'\n')
                    .count()
            });
            wrong(&format!("line {} is not as it was written", line + 1))
        })?;
        if document.version != VERSION {
            return Err(wrong(&format!(
                "it is of version {}, and this program reads version {VERSION}",
                document.version
            )));
        }
        let mut ring = None::<Self>;
        let placeholder = document
            .placeholder
            .ok_or_else(|| wrong("`[placeholder]` is missing"))?;
        let placeholder = secret(placeholder.key)
            .ok_or_else(|| wrong("`key` of `[placeholder]` must be 32 bytes in base64"))?;
        for (i, entry) in document.master.into_iter().enumerate() {
            let id = KeyId::parse(&entry.id).ok_or_else(|| {
                wrong(&format!(
                    "`id` of `[[master]]` {} must be 8 hexadecimal digits",
                    i + 1
                ))
            })?;
            let key = secret(entry.key).ok_or_else(|| {
                wrong(&format!(
                    "`key` of `[[master]]` {} must be 32 bytes in base64",
                    i + 1
                ))
            })?;
            let key = Key::new(id, key);
            let is_added = match &mut ring {
                None => {
                    ring = Some(Self::new(key, *placeholder));
                    true
                }
                Some(ring) => ring.add(key),
            };
            if !is_added {
                return Err(wrong(&format!("it has two master keys of the id {id}")));
            }
        }
        ring.ok_or_else(|| wrong("it has no `[[master]]`"))
    }

    /// Writes the ring.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Enough room, so that no copy is left behind by a growing text.
        let mut out = Zeroizing::new(String::with_capacity(1024 + self.older.len() * 256));
        out.push_str(HEAD);
        let _ = writeln!(out, "version = {VERSION}");
        for key in self.masters() {
            let text = Zeroizing::new(STANDARD.encode(key.secret()));
            let _ = writeln!(
                out,
                "\n[[master]]\nid = \"{}\"\nkey = \"{}\"",
                key.id(),
                *text
            );
        }
        let text = Zeroizing::new(STANDARD.encode(self.placeholder.secret()));
        let _ = writeln!(out, "\n[placeholder]\nkey = \"{}\"", *text);
        out
    }
}

/// Reads 32 bytes in base64.
fn secret(mut text: String) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = STANDARD.decode(&text).map(Zeroizing::new).ok();
    text.zeroize();
    bytes?.as_slice().try_into().ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring() -> KeyRing {
        let mut ring = KeyRing::new(Key::from_random([1; 36]), [2; 32]);
        assert!(ring.add(Key::from_random([3; 36])));
        ring
    }

    #[test]
    fn a_ring_is_read_as_it_was_written() {
        let ring = ring();
        let read = KeyRing::parse(&ring.to_text()).unwrap();
        assert_eq!(read.to_text(), ring.to_text());
        assert_eq!(read.current().id(), KeyId::parse("03030303").unwrap());
        assert_eq!(read.placeholder(), [2; 32]);
    }

    #[test]
    fn a_key_is_added_once_and_the_current_one_is_never_dropped() {
        let mut ring = ring();
        assert!(!ring.add(Key::from_random([1; 36])));
        ring.retain(|_| false);
        let left: Vec<String> = ring.ids().map(|id| id.to_string()).collect();
        assert_eq!(left, ["03030303"]);
        let gone = KeyId::parse("01010101").unwrap();
        assert_eq!(ring.key(gone).unwrap_err(), VaultError::UnknownKey(gone));
    }

    #[test]
    fn an_error_says_where_and_never_what() {
        let text = ring().to_text();
        let key = text.lines().find(|l| l.starts_with("key")).unwrap();
        for (from, to, expected) in [
            ("version = 1", "version = 9", "version 9"),
            (key, "key = \"c2VjcmV0\"", "`key` of `[[master]]` 1"),
            (key, "key = c2VjcmV0", "line 7"),
            ("03030303", "01010101", "two master keys"),
            ("[placeholder]", "[other]", "line"),
        ] {
            let error = KeyRing::parse(&text.replacen(from, to, 1))
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(!error.contains("c2VjcmV0"), "{error}");
        }
        assert!(KeyRing::parse("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = KeyRing::parse(&text);
            let mut ring = ring().to_text().as_bytes().to_vec();
            let at = at.index(ring.len());
            ring[at] = byte;
            if let Ok(text) = String::from_utf8(ring) {
                let _ = KeyRing::parse(&text);
            }
        }
    }
}
