//! An event of a stream that passes, read without a tree.

use crate::wire::json::{Member, members};

/// Maximum nesting depth of an event.
const DEPTH: usize = 512;

/// The members of an event that passes.
pub(super) struct Passing<'a> {
    pub(super) members: Vec<Member>,
    pub(super) kind: &'a [u8],
    pub(super) index: Option<u64>,
    pub(super) part: u64,
    pub(super) item: Option<&'a [u8]>,
    pub(super) response: Option<&'a [u8]>,
}

impl<'a> Passing<'a> {
    pub(super) fn of(data: &'a [u8]) -> Self {
        let members = members(data, DEPTH).unwrap_or_default();
        let value = |name: &str| {
            let member = members.iter().find(|m| m.is(data, name));
            member.map(|m| m.value(data))
        };
        let number = |name: &str| value(name).and_then(|v| serde_json::from_slice(v).ok());
        Self {
            kind: value("type").unwrap_or_default(),
            index: number("output_index"),
            part: number("content_index").unwrap_or(0),
            item: value("item"),
            response: value("response"),
            members,
        }
    }

    /// Returns a member of the event.
    pub(super) fn value<'b>(&self, data: &'b [u8], name: &str) -> Option<&'b [u8]> {
        let member = self.members.iter().find(|m| m.is(data, name));
        member.map(|m| m.value(data))
    }

    /// Returns the members of an event that ends a whole item.
    pub(super) fn with(index: u64, item: &'a [u8]) -> Self {
        Self {
            members: Vec::new(),
            kind: b"\"response.output_item.done\"",
            index: Some(index),
            part: 0,
            item: Some(item),
            response: None,
        }
    }
}

/// Returns the value of an object's member.
pub(super) fn value_of<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let all = members(object, DEPTH).ok()?;
    let member = all.into_iter().find(|m| m.is(object, name))?;
    object.get(member.value)
}
