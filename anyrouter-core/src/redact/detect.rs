//! Detectors: each looks at the hits that concern it, and at the text close around them.
#![allow(clippy::naive_bytecount)] // runs of a few bytes
#![allow(clippy::match_same_arms)] // an arm for each form, as its source has it

mod accounts;
mod assignments;
mod check_digits;
mod cluster;
mod commands;
mod cookies;
mod coordinates;
mod credentials;
mod cued_names;
mod dates;
mod documents;
mod east_asian_addresses;
mod email;
mod ids;
mod listed_names;
mod names;
mod network;
mod numbers;
mod password_hashes;
mod phone_plans;
mod phones;
mod places;
mod postal;
mod postcodes;
mod tables;
mod unspaced;
mod values;
mod wallets;

use self::cluster::Cluster;
pub(crate) use self::{names::is_word, tables::Tables, unspaced::is_unspaced_script};
use super::{
    Kind,
    label::Finding,
    scan::{Hit, TokenKind},
    vocabulary::Meaning,
};
use crate::part::Part as _;

/// What a detector sees.
pub(crate) struct Scene<'a> {
    tables: &'a Tables,
    /// Finds what is in a text within this one.
    find: &'a dyn Fn(&str) -> Vec<Finding>,
    text: &'a str,
    hits: &'a [Hit],
    /// What any word of the text means.
    meanings: Meaning,
    found: &'a mut Vec<Finding>,
    /// The hit that is being looked at: what a detector asks for is near.
    current: usize,
    /// The numbers that are being looked at; kept for its room.
    cluster: Cluster,
    /// No number begins before this.
    numbers_done: usize,
    /// Where what has the form of placeholders stands, in which nothing is found.
    placeholders: &'a [(usize, usize)],
}

impl<'a> Scene<'a> {
    /// The scene of `text`, in which these hits are.
    pub(crate) fn new(
        tables: &'a Tables,
        find: &'a dyn Fn(&str) -> Vec<Finding>,
        text: &'a str,
        hits: &'a [Hit],
        placeholders: &'a [(usize, usize)],
        found: &'a mut Vec<Finding>,
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
            found,
            current: 0,
            cluster: Cluster::default(),
            numbers_done: 0,
        }
    }

    /// Runs all detectors.
    pub(crate) fn detect(&mut self) {
        self.password_hashes();
        self.signature();
        for (i, hit) in self.hits.iter().copied().enumerate() {
            self.current = i;
            match hit.what {
                TokenKind::Digits if hit.start >= self.numbers_done => {
                    self.numbers_done = self.number(hit.start);
                }
                TokenKind::Digits => {}
                TokenKind::At => {
                    self.at_sign(hit.start);
                    self.mentioned(hit.start);
                }
                TokenKind::Colon => self.colon(hit.start),
                TokenKind::Prefix(group) => self.format(hit.start, group),
                TokenKind::Word(meaning) => self.word(i, hit, meaning),
            }
        }
    }

    /// The end of the placeholder that `at` is in.
    fn placeholder_at(&self, at: usize) -> Option<usize> {
        let i = self.placeholders.partition_point(|(_, end)| *end <= at);
        self.placeholders
            .get(i)
            .filter(|(start, _)| *start <= at)
            .map(|(_, end)| *end)
    }

    fn word(&mut self, index: usize, hit: Hit, meaning: Meaning) {
        if meaning.intersects(
            Meaning::PASSWORD
                .union(Meaning::SECRET)
                .union(Meaning::SERVICE)
                .union(Meaning::AUTHORIZATION),
        ) {
            self.credential(hit, meaning);
        }
        if meaning.intersects(Meaning::COMMAND) {
            self.command(hit);
        }
        if meaning.intersects(Meaning::KEY_BLOCK) {
            self.key_block(hit);
        }
        if meaning.intersects(Meaning::SPELLED_DOT) {
            self.spelled_email(hit);
        }
        if meaning.intersects(Meaning::SPELLED_AT) {
            self.bracketed_email(hit);
        }
        if meaning.intersects(Meaning::UNIT) {
            self.unit(hit);
        }
        if meaning.intersects(Meaning::MONTH) {
            self.written_date(hit);
        }
        if meaning.intersects(Meaning::USERNAME) {
            self.username(hit);
        }
        let numbered = Meaning::PASSPORT
            .union(Meaning::DRIVER_LICENSE)
            .union(Meaning::VEHICLE)
            .union(Meaning::BANK_ACCOUNT)
            .union(Meaning::CRYPTO)
            .union(Meaning::CUSTOMER_ID)
            .union(Meaning::CARD_CODE);
        if meaning.intersects(numbered) {
            self.numbered(hit, meaning);
        }
        if meaning.intersects(Meaning::CUE) {
            self.cued_name(hit, meaning);
        }
        self.name(index, hit, meaning);
        self.place(hit, meaning);
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

    pub(crate) fn add(
        &mut self,
        start: usize,
        end: usize,
        kind: Kind,
        rule: &'static str,
        confidence: u8,
    ) {
        if start < end && self.text.is_char_boundary(start) && self.text.is_char_boundary(end) {
            self.found
                .push(Finding::new(start, end, kind, rule, confidence));
        }
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
}

/// Whether a byte is among a few; for sets so small a search is slower than a look at each.
#[inline]
#[allow(clippy::needless_bitwise_bool)] // a loop without branches is unrolled
pub(crate) fn one_of<const N: usize>(byte: u8, set: &[u8; N]) -> bool {
    set.iter().fold(false, |is, other| is | (*other == byte))
}

/// A set of bytes that is asked often.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    #[allow(clippy::indexing_slicing)] // at compile time
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut i = 0;
        while i < bytes.len() {
            set[bytes[i] as usize] = true;
            i += 1;
        }
        Self(set)
    }

    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }
}

pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
