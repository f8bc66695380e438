//! Cuts: places in text, and what stands there instead.

use super::Finding;
use crate::part::Part as _;

/// A place in text, and what stands there instead.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) by: String,
    /// Nothing stands there: in JSON the member goes with its value.
    pub(super) drops: bool,
}

/// A part of text with its cuts, which are in order.
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

/// Returns true if a finding overlaps one of these, which are in order and do not overlap each
/// other.
pub(super) fn overlaps_any(cuts: &[Cut], finding: &Finding) -> bool {
    cuts.get(cuts.partition_point(|c| c.end <= finding.start))
        .is_some_and(|c| c.start < finding.end)
}
