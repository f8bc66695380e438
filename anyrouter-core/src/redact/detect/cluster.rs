//! Clusters: runs of letters and digits, with their separators, that may form one number.

use super::dates::is_date;
use crate::part::Part as _;

/// Maximum number of pieces in a cluster.
pub(super) const PIECES: usize = 12;
/// Maximum length of a run of letters and digits that may be a number.
pub(super) const LONG: usize = 36;
/// Permitted number of letters and digits in a number.
const LENGTH: std::ops::RangeInclusive<usize> = 5..=40;

/// A run of letters and digits within a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Offset in the cluster's letters and digits; `length` is their number in the piece.
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) digits: usize,
}

/// Runs of letters and digits that may be one number.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) pieces: Vec<Piece>,
    pub(super) sizes: Vec<usize>,
    /// The last byte before each piece but the first.
    pub(super) separators: Vec<u8>,
    /// Letters as capitals, no separators.
    pub(super) compact: Vec<u8>,
    pub(super) digits: usize,
}

/// Consecutive pieces of a cluster that the detectors judge as one number.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Letters as capitals, no separators.
    pub(super) compact: &'a [u8],
    /// The lengths of the pieces.
    pub(super) sizes: &'a [usize],
    /// The separators between the pieces, each by its last byte.
    pub(super) separators: &'a [u8],
    pub(super) has_letter: bool,
    /// True if a piece with digits stands directly before or after the part.
    pub(super) is_inner: bool,
    /// True if a sign alone joins such a piece, as `-0143` in `202-555-0143`.
    pub(super) is_cut: bool,
}

impl Cluster {
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.sizes.clear();
        self.separators.clear();
        self.compact.clear();
        self.digits = 0;
    }

    pub(super) fn push(&mut self, text: &[u8], start: usize, end: usize, before: u8) {
        if !self.pieces.is_empty() {
            self.separators.push(before);
        }
        let at = self.compact.len();
        let mut digits = 0;
        for byte in text.part(start..end) {
            digits += usize::from(byte.is_ascii_digit());
            if byte.is_ascii_alphanumeric() {
                self.compact.push(byte.to_ascii_uppercase());
            }
        }
        let length = self.compact.len() - at;
        self.pieces.push(Piece {
            start,
            end,
            at,
            length,
            digits,
        });
        self.sizes.push(length);
        self.digits += digits;
    }

    pub(super) fn truncate(&mut self, pieces: usize) {
        if let Some(piece) = self.pieces.get(pieces) {
            self.compact.truncate(piece.at);
        }
        self.digits -= self
            .pieces
            .iter()
            .skip(pieces)
            .map(|p| p.digits)
            .sum::<usize>();
        self.pieces.truncate(pieces);
        self.sizes.truncate(pieces);
        self.separators.truncate(pieces.saturating_sub(1));
    }

    /// Returns true if the last three pieces are a date: `2024-05-06`, `06/05/2024`, `6.5.2024`.
    pub(super) fn ends_with_date(&self) -> bool {
        let Some(from) = self.pieces.len().checked_sub(3) else {
            return false;
        };
        if !matches!(self.separators.get(from..), Some([one, two]) if one == two && matches!(one, b'-' | b'/' | b'.'))
        {
            return false;
        }
        let number = |piece: &Piece| {
            let text = self
                .compact
                .get(piece.at..piece.at + piece.length)
                .and_then(|c| std::str::from_utf8(c).ok());
            (piece.length, text.and_then(|t| t.parse().ok()).unwrap_or(0))
        };
        let Some([first, second, third]) = self.pieces.get(from..) else {
            return false;
        };
        is_date([number(first), number(second), number(third)])
    }

    pub(super) fn start(&self) -> usize {
        self.pieces.first().map_or(0, |p| p.start)
    }

    pub(super) fn end(&self) -> usize {
        self.pieces.last().map_or(0, |p| p.end)
    }

    /// Returns the pieces from `first` to `last`, if they may form a number.
    pub(super) fn part(&self, first: usize, last: usize) -> Option<Part<'_>> {
        let (a, b) = (self.pieces.get(first)?, self.pieces.get(last)?);
        // If neither end has digits, both must be single letters, as in `X-1234567-L`.
        if !(a.digits > 0 || b.digits > 0 || a.length == 1 && b.length == 1) {
            return None;
        }
        // Returns true if a sign joins the piece at `i` to the one before.
        let is_tight = |i: usize| {
            let (Some(left), Some(right)) = (
                i.checked_sub(1).and_then(|i| self.pieces.get(i)),
                self.pieces.get(i),
            ) else {
                return false;
            };
            let is_joined = left.digits > 0 && right.digits > 0 && right.start == left.end + 1;
            is_joined && matches!(self.separators.get(i - 1), Some(b'-' | b'.' | b'/'))
        };
        let before = first.checked_sub(1).and_then(|i| self.pieces.get(i));
        let after = self.pieces.get(last + 1);
        let compact = self
            .compact
            .get(a.at..b.at + b.length)
            .filter(|c| LENGTH.contains(&c.len()))?;
        Some(Part {
            start: a.start,
            end: b.end,
            compact,
            sizes: self.sizes.get(first..=last)?,
            separators: self.separators.get(first..last)?,
            has_letter: compact.iter().any(u8::is_ascii_alphabetic),
            is_cut: is_tight(first) || is_tight(last + 1),
            is_inner: before.is_some_and(|p| p.digits > 0) || after.is_some_and(|p| p.digits > 0),
        })
    }
}
