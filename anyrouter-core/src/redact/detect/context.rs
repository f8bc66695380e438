//! The text that detectors look at, and what they find in it.

use super::tables::Tables;
use crate::part::Part as _;
use crate::redact::{Kind, label::Finding, scan::Hit, vocabulary::Meaning};

/// A text with its hits, at one of them.
pub(crate) struct Context<'a> {
    pub(super) tables: &'a Tables,
    /// Finds what is in a text within this one.
    pub(super) find: &'a dyn Fn(&str) -> Vec<Finding>,
    pub(super) text: &'a str,
    pub(super) hits: &'a [Hit],
    /// The union of the meanings of all words of the text.
    pub(super) meanings: Meaning,
    /// The hit that is being looked at: what a detector asks for is near.
    pub(super) current: usize,
    /// Spans of the text that have the form of placeholders, in which nothing is found.
    placeholders: &'a [(usize, usize)],
}

impl<'a> Context<'a> {
    /// The context of `text`, in which these hits are.
    pub(crate) fn new(
        tables: &'a Tables,
        find: &'a dyn Fn(&str) -> Vec<Finding>,
        text: &'a str,
        hits: &'a [Hit],
        placeholders: &'a [(usize, usize)],
    ) -> Self {
        let meanings = hits
            .iter()
            .fold(Meaning::default(), |all, hit| all.union(hit.meaning()));
        Self {
            tables,
            find,
            text,
            hits,
            meanings,
            placeholders,
            current: 0,
        }
    }

    /// The end of the placeholder that `at` is in.
    pub(super) fn placeholder_at(&self, at: usize) -> Option<usize> {
        let i = self.placeholders.partition_point(|(_, end)| *end <= at);
        self.placeholders
            .get(i)
            .filter(|(start, _)| *start <= at)
            .map(|(_, end)| *end)
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The byte at `at`; a space outside the text.
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.bytes().get(at).copied().unwrap_or(b' ')
    }

    /// The byte before `at`; a space at the beginning.
    pub(crate) fn byte_before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(b' ', |i| self.byte(i))
    }

    /// The bytes between two places, as far as the text goes: behind its end stands a space that
    /// is stepped over as any other.
    #[track_caller]
    pub(crate) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        let length = self.text.len();
        self.bytes().part(start.min(length)..end.min(length))
    }

    /// The whole characters between two places, as far as the text goes: a window in bytes may begin
    /// or end within a character.
    #[track_caller]
    pub(crate) fn part(&self, start: usize, end: usize) -> &'a str {
        let length = self.text.len();
        let (start, end) = (start.min(length), end.min(length));
        debug_assert!(start <= end, "no part {start}..{end} of {length} bytes");
        let start = self.ceiling(start);
        self.text.part(start..self.floor(end).max(start))
    }

    /// The next boundary between characters at or after `at`.
    pub(crate) fn ceiling(&self, at: usize) -> usize {
        (at..self.text.len())
            .find(|i| self.text.is_char_boundary(*i))
            .unwrap_or(self.text.len())
    }

    /// The last boundary between characters at or before `at`.
    pub(crate) fn floor(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..4)
            .map(|i| at.saturating_sub(i))
            .find(|i| self.text.is_char_boundary(*i))
            .unwrap_or(0)
    }

    /// The first hit that begins at or after `at`.
    fn first_hit(&self, at: usize) -> usize {
        let starts_before = |i: usize| self.hits.get(i).is_some_and(|h| h.start < at);
        let mut first = self.current;
        while first > 0 && !starts_before(first - 1) {
            first -= 1;
        }
        while starts_before(first) {
            first += 1;
        }
        first
    }

    /// The hits that begin in this range of the text.
    pub(crate) fn hits_in(&self, start: usize, end: usize) -> impl Iterator<Item = Hit> {
        self.hits
            .part(self.first_hit(start)..)
            .iter()
            .take_while(move |h| h.start < end)
            .copied()
    }

    /// The nearest word with one of these meanings that ends at or before `at`, within `distance`
    /// bytes.
    pub(crate) fn before(&self, at: usize, any: Meaning, distance: usize) -> Option<Hit> {
        let from = at.saturating_sub(distance);
        if !self.meanings.intersects(any) {
            return None;
        }
        self.hits
            .get(..self.first_hit(at))?
            .iter()
            .rev()
            .take_while(|h| h.start + 48 >= from)
            .find(|h| h.end <= at && h.end >= from && h.meaning().intersects(any))
            .copied()
    }

    /// The nearest word with one of these meanings that begins at or after `at`, within `distance`
    /// bytes.
    pub(crate) fn after(&self, at: usize, any: Meaning, distance: usize) -> Option<Hit> {
        if !self.meanings.intersects(any) {
            return None;
        }
        self.hits_in(at, at + distance + 1)
            .find(|h| h.meaning().intersects(any))
    }

    /// Returns true if a context word stands shortly before, or else closely behind.
    pub(crate) fn near(&self, start: usize, end: usize, any: Meaning) -> bool {
        self.before(start, any, 48)
            .is_some_and(|h| !self.is_cut(h.end, start))
            || self
                .after(end, any, 24)
                .is_some_and(|h| !self.is_cut(end, h.start))
    }

    /// Returns true if a sentence or a line ends between two places.
    pub(crate) fn is_cut(&self, start: usize, end: usize) -> bool {
        let between = self.slice(start, end);
        between.iter().filter(|b| **b == b'\n').count() > 1
            // A dot behind a digit is an ordinal's: `3. Mai`.
            || between.len() > 4
                && between.windows(3).any(|w| {
                    matches!(w, [_, b'!' | b'?' | b';', b' ' | b'\n']) || matches!(w, [before, b'.', b' ' | b'\n'] if !before.is_ascii_digit())
                })
    }

    /// The characters from `at` on, as far as the text goes.
    #[track_caller]
    pub(crate) fn chars_from(&self, at: usize) -> std::str::Chars<'a> {
        self.text.part(at.min(self.text.len())..).chars()
    }

    /// Returns true if a word before says that the number is something else: an order, an invoice,
    /// a version.
    pub(crate) fn is_decoy(&self, at: usize) -> bool {
        self.before(at, Meaning::DECOY, 24).is_some()
            || matches!(self.byte_before(at), b'#' | b'$')
            || self
                .slice(at.saturating_sub(3), at)
                .ends_with("€".as_bytes())
    }
}

/// The findings of a text.
pub(crate) struct Findings<'a> {
    text: &'a str,
    all: &'a mut Vec<Finding>,
    /// No number begins before this.
    pub(super) numbers_from: usize,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(text: &'a str, all: &'a mut Vec<Finding>) -> Self {
        Self {
            text,
            all,
            numbers_from: 0,
        }
    }

    /// Adds a finding, unless its span is empty or cuts a character.
    pub(super) fn add(
        &mut self,
        start: usize,
        end: usize,
        kind: Kind,
        rule: &'static str,
        confidence: u8,
    ) {
        if start < end && self.text.is_char_boundary(start) && self.text.is_char_boundary(end) {
            self.push(Finding::new(start, end, kind, rule, confidence));
        }
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.all.push(finding);
    }

    /// The number of findings so far.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns true if one of the findings from the `first`th on overlaps with another.
    pub(super) fn overlap(&self, first: usize, other: &Finding) -> bool {
        self.all.iter().skip(first).any(|f| f.overlaps(other))
    }
}
