//! The members of objects, as ranges of the text that contains them.

use std::{borrow::Cow, ops::Range};

use serde::Deserialize;
use smallvec::SmallVec;

use super::scanner::{JsonFault, Scanner};
use crate::part::Part as _;

/// A member of an object, as ranges of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name with its quotes.
    pub name: Range<usize>,
    /// The value.
    pub value: Range<usize>,
    /// True if the name contains escapes.
    is_escaped: bool,
}

impl Member {
    /// Creates a member of the object in `text`.
    pub fn new(text: &[u8], name: Range<usize>, value: Range<usize>) -> Self {
        let is_escaped = text
            .get(name.clone())
            .is_some_and(|name| name.contains(&b'\\'));
        Self {
            name,
            value,
            is_escaped,
        }
    }

    /// Returns the text of the name between its quotes, without resolving escapes.
    pub fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.part(self.name.start + 1..self.name.end - 1)
    }

    /// Returns the text of the value.
    pub fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.value.clone()).unwrap_or_default()
    }

    /// Returns true if the name is `name` after resolving escapes.
    pub fn is(&self, text: &[u8], name: &str) -> bool {
        self.name(text) == name.as_bytes()
            || (self.is_escaped && self.decoded_name(text).as_deref() == Some(name))
    }

    /// Returns the name with escapes resolved.
    pub fn decoded_name(&self, text: &[u8]) -> Option<String> {
        serde_json::from_slice(text.get(self.name.clone())?).ok()
    }
}

/// Returns the members of the object in `text`.
pub fn members(text: &[u8], depth: usize) -> Result<Vec<Member>, JsonFault> {
    let mut out = Vec::with_capacity(16);
    let mut scanner = Scanner::new(text, depth);
    scanner.object(|s, name| {
        let value = s.value()?;
        out.push(Member::new(text, name.clone(), value));
        Ok(())
    })?;
    scanner.end()?;
    Ok(out)
}

/// An object, as the ranges of its members.
#[derive(Debug)]
pub struct Object<'a> {
    text: &'a [u8],
    /// Range from the opening to the closing brace.
    place: Range<usize>,
    members: SmallVec<[Member; 4]>,
}

impl<'a> Object<'a> {
    /// Returns the text of a member's value; `None` if it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let member = self.members.iter().find(|m| m.is(self.text, name))?;
        Some(member.value(self.text)).filter(|v| *v != b"null")
    }

    /// Returns the text of the object.
    pub fn raw(&self) -> &'a [u8] {
        self.text.get(self.place.clone()).unwrap_or_default()
    }

    /// Returns the members in order: the name, and the texts of the quoted name and of the value.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'a, str>, (&'a [u8], &'a [u8]))> {
        self.members.iter().map(|m| {
            let quoted = self.text.get(m.name.clone()).unwrap_or_default();
            let name = match bare_name(quoted) {
                Cow::Borrowed(name) => String::from_utf8_lossy(name),
                Cow::Owned(name) => String::from_utf8_lossy(&name).into_owned().into(),
            };
            (name, (quoted, m.value(self.text)))
        })
    }

    /// Returns the first of `names` that occurs more than once.
    pub fn twice<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| {
            self.members
                .iter()
                .filter(|m| m.is(self.text, name))
                .nth(1)
                .is_some()
        })
    }

    /// Reads the value of a member as `T`. Returns `None` if it is absent or null, and an error if
    /// it has another type.
    pub fn read<T: Deserialize<'a>>(&self, name: &str) -> serde_json::Result<Option<T>> {
        self.get(name).map(serde_json::from_slice).transpose()
    }
}

/// Returns the objects of the array in `text`; an item that is not an object is a fault.
pub fn objects(text: &[u8], depth: usize) -> Result<Vec<Object<'_>>, JsonFault> {
    let mut out = Vec::new();
    let mut scanner = Scanner::new(text, depth);
    scanner.array(|s| {
        let (mut members, start) = (SmallVec::new(), s.position());
        s.object(|s, name| {
            let value = s.value()?;
            members.push(Member::new(text, name.clone(), value));
            Ok(())
        })?;
        out.push(Object {
            text,
            place: start..s.position(),
            members,
        });
        Ok(())
    })?;
    scanner.end()?;
    Ok(out)
}

/// Returns the name in `quoted` without its quotes and with escapes resolved.
pub fn bare_name(quoted: &[u8]) -> Cow<'_, [u8]> {
    let bare = quoted.part(1..quoted.len().saturating_sub(1));
    if !bare.contains(&b'\\') {
        return bare.into();
    }
    serde_json::from_slice::<String>(quoted).map_or(bare.into(), |name| name.into_bytes().into())
}

/// Returns `text` if it is valid UTF-8.
pub fn utf8(text: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(text).ok()
}
