//! Replacement of an object's members in place.

use super::{members, push_format};
use crate::part::Part as _;

/// Maximum nesting depth of an object.
const DEPTH: usize = 512;

/// Members of an object, with the values that replace its own.
pub type Replaced = Vec<(&'static str, Vec<u8>)>;

/// Appends an object with its values replaced by those of `ours`; missing members are added at the
/// end.
pub fn replace_members(object: &[u8], ours: &[(&str, Vec<u8>)], out: &mut Vec<u8>) {
    let theirs = members(object, DEPTH).unwrap_or_default();
    let mut written = 0;
    for member in &theirs {
        if let Some((_, value)) = ours.iter().find(|(name, _)| member.is(object, name)) {
            out.extend_from_slice(object.part(written..member.value.start));
            out.extend_from_slice(value);
            written = member.value.end;
        }
    }
    let end = object
        .iter()
        .rposition(|b| *b == b'}')
        .unwrap_or(object.len())
        .max(written);
    out.extend_from_slice(object.part(written..end));
    for (name, value) in ours {
        if !theirs.iter().any(|m| m.is(object, name)) {
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            push_format(out, format_args!("\"{name}\":"));
            out.extend_from_slice(value);
        }
    }
    out.extend_from_slice(object.part(end..));
}
