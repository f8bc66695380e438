//! The text that detectors examine, and the findings of a text.

use super::tables::Tables;
use crate::part::Part as _;
use crate::redact::{Kind, label::Finding, scan::Hit, vocabulary::Meaning};

/// A text with its hits, and the current one.
pub(crate) struct Context<'a> {
    pub(super) tables: &'a Tables,
    /// Finds the values in a text that is embedded in this one.
    pub(super) find: &'a dyn Fn(&str) -> Vec<Finding>,
    pub(super) text: &'a str,
    pub(super) hits: &'a [Hit],
    /// The union of the meanings of all words of the text.
    pub(super) meanings: Meaning,
    /// Index of the current hit; searches for nearby hits begin there.
    pub(super) current: usize,
    /// Spans of the text that have the form of placeholders; nothing is found in them.
    placeholders: &'a [(usize, usize)],
}

impl<'a> Context<'a> {
    /// Creates the context of `text` with its hits.
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

    /// Returns the end of the placeholder that contains `at`.
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

    /// Returns the bytes between two places, clamped to the text. A detector may step past the end,
    /// because [`Self::byte`] returns a space there.
    #[track_caller]
    pub(crate) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        let length = self.text.len();
        self.bytes().part(start.min(length)..end.min(length))
    }

    /// Returns the whole characters between two places, clamped to the text. A place may be within
    /// a character.
    #[track_caller]
    pub(crate) fn part(&self, start: usize, end: usize) -> &'a str {
        let length = self.text.len();
        let (start, end) = (start.min(length), end.min(length));
        debug_assert!(start <= end, "no part {start}..{end} of {length} bytes");
        let start = self.ceiling(start);
        self.text.part(start..self.floor(end).max(start))
    }

    /// Returns the first character boundary at or after `at`.
    pub(crate) fn ceiling(&self, at: usize) -> usize {
        (at..self.text.len())
            .find(|i| self.text.is_char_boundary(*i))
            .unwrap_or(self.text.len())
    }

    /// Returns the last character boundary at or before `at`.
    pub(crate) fn floor(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..4)
            .map(|i| at.saturating_sub(i))
            .find(|i| self.text.is_char_boundary(*i))
            .unwrap_or(0)
    }

    /// Returns the index of the first hit that begins at or after `at`.
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

    /// Returns the hits that begin in this range of the text.
    pub(crate) fn hits_in(&self, start: usize, end: usize) -> impl Iterator<Item = Hit> {
        self.hits
            .part(self.first_hit(start)..)
            .iter()
            .take_while(move |h| h.start < end)
            .copied()
    }

    /// Returns the nearest word with one of these meanings that ends at or before `at`, within
    /// `distance` bytes.
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

    /// Returns the nearest word with one of these meanings that begins at or after `at`, within
    /// `distance` bytes.
    pub(crate) fn after(&self, at: usize, any: Meaning, distance: usize) -> Option<Hit> {
        if !self.meanings.intersects(any) {
            return None;
        }
        self.hits_in(at, at + distance + 1)
            .find(|h| h.meaning().intersects(any))
    }

    /// Returns true if a context word of the same sentence stands shortly before or after.
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
            // A dot after a digit marks an ordinal: `3. Mai`.
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

    /// Returns true if a word or a sign before `at` marks the number as something else: an order,
    /// an invoice, a version.
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
    /// The position before which no number begins.
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

    /// Returns true if a finding from index `first` on overlaps `other`.
    pub(super) fn overlap(&self, first: usize, other: &Finding) -> bool {
        self.all.iter().skip(first).any(|f| f.overlaps(other))
    }
}
