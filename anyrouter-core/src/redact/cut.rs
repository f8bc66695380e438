//! Cuts: ranges of a text and their replacements.

use super::Finding;
use crate::part::Part as _;

/// A range of a text and its replacement.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) by: String,
    /// True if nothing replaces the range: in JSON, the member is removed with its value.
    pub(super) drops: bool,
}

/// Returns a part of a text with its cuts applied, which are in order.
pub(super) fn splice(text: &str, part: std::ops::Range<usize>, cuts: &[Cut]) -> String {
    let mut out = String::with_capacity(part.len());
    let mut done = part.start;
    for cut in cuts {
        out.push_str(text.part(done..cut.start));
        out.push_str(&cut.by);
        done = cut.end;
    }
    out.push_str(text.part(done..part.end));
    out
}

/// Returns true if a finding overlaps one of `cuts`, which are in order and disjoint.
pub(super) fn overlaps_any(cuts: &[Cut], finding: &Finding) -> bool {
    cuts.get(cuts.partition_point(|c| c.end <= finding.start))
        .is_some_and(|c| c.start < finding.end)
}
