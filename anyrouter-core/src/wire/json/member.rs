//! The members of objects, as ranges of the text that they stand in.

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
    /// The name is spelt with escapes.
    is_escaped: bool,
}

impl Member {
    /// A member of the object in `text`.
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

    /// The name's text between its quotes, as it is spelt.
    pub fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.part(self.name.start + 1..self.name.end - 1)
    }

    /// The value's text.
    pub fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.value.clone()).unwrap_or_default()
    }

    /// Returns true if the name means `name`, escapes resolved.
    pub fn is(&self, text: &[u8], name: &str) -> bool {
        self.name(text) == name.as_bytes()
            || (self.is_escaped && self.decoded_name(text).as_deref() == Some(name))
    }

    /// The name, escapes resolved.
    pub fn decoded_name(&self, text: &[u8]) -> Option<String> {
        serde_json::from_slice(text.get(self.name.clone())?).ok()
    }
}

/// The members of the object that `text` is.
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
    /// From its brace to its brace.
    place: Range<usize>,
    members: SmallVec<[Member; 4]>,
}

impl<'a> Object<'a> {
    /// The value of a member, as it is spelt; none where it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let member = self.members.iter().find(|m| m.is(self.text, name))?;
        Some(member.value(self.text)).filter(|v| *v != b"null")
    }

    /// The object as it is spelt.
    pub fn raw(&self) -> &'a [u8] {
        self.text.get(self.place.clone()).unwrap_or_default()
    }

    /// Its members in order: the name, and name with its quotes and value as they are spelt.
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

    /// The first of `names` that stands more than once.
    pub fn twice<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| {
            self.members
                .iter()
                .filter(|m| m.is(self.text, name))
                .nth(1)
                .is_some()
        })
    }

    /// The value of a member as `T`. None where it is absent or null, an error where it is
    /// something else.
    pub fn read<T: Deserialize<'a>>(&self, name: &str) -> serde_json::Result<Option<T>> {
        self.get(name).map(serde_json::from_slice).transpose()
    }
}

/// The objects of the list that `text` is; an item that is no object is a fault.
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

/// A member's name, given with its quotes: without them, escapes resolved.
pub fn bare_name(quoted: &[u8]) -> Cow<'_, [u8]> {
    let bare = quoted.part(1..quoted.len().saturating_sub(1));
    if !bare.contains(&b'\\') {
        return bare.into();
    }
    serde_json::from_slice::<String>(quoted).map_or(bare.into(), |name| name.into_bytes().into())
}

/// `text`, if it is UTF-8.
pub fn utf8(text: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(text).ok()
}
