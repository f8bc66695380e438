//! A single pass that finds the places where detectors begin: words of the vocabulary, runs of
//! digits, `@`, beginnings of secrets.
//!
//! It reads blocks of 64 bytes, from which a few comparisons derive sets of letters, capitals and
//! digits (the technique of Langdale and Lemire, *Parsing gigabytes of JSON per second*, VLDB
//! Journal 2019, for another grammar). Bytes in none of the sets cost nothing.

use wide::u8x16;

use super::{
    secrets::Prefixes,
    vocabulary::{Meaning, Vocabulary},
};
use crate::part::Part as _;

/// A place where a detector begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) what: TokenKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A word or phrase of the vocabulary.
    Word(Meaning),
    /// The first digit of a run.
    Digits,
    /// An `@`.
    At,
    /// A colon between what may be the groups of an address.
    Colon,
    /// A possible beginning of a secret, with the number of its formats' group.
    Prefix(u16),
}

impl Hit {
    /// Returns the meaning of the word, or an empty one if the hit is not a word.
    pub(crate) fn meaning(&self) -> Meaning {
        match self.what {
            TokenKind::Word(meaning) => meaning,
            _ => Meaning::default(),
        }
    }
}

/// Length of a block, in bytes.
const LEN: usize = 64;
/// Maximum length of a word, in bytes.
const LONGEST: usize = 48;

/// Collects the hits in `text`, ordered by their starts.
pub(crate) fn scan(text: &str, vocabulary: &Vocabulary, prefixes: &Prefixes, hits: &mut Vec<Hit>) {
    hits.clear();
    let bytes = text.as_bytes();
    let mut scan = Scan {
        bytes,
        vocabulary,
        prefixes,
        hits,
        word: None,
        skip: 0,
        is_unspaced: false,
    };
    let (mut before_letter, mut before_digit, mut before_small) = (0, 0, 0);
    let mut at = 0;
    while at < bytes.len() {
        if scan.skip >= at + LEN {
            // Within base64 that is not read.
            at += LEN;
            (before_letter, before_digit, before_small) = (0, 0, 0);
            continue;
        }
        let mut padded = [b' '; LEN];
        let block: &[u8; LEN] = match bytes.get(at..at + LEN).and_then(|b| b.try_into().ok()) {
            Some(block) => block,
            None => {
                let rest = bytes.part(at..);
                if let Some(room) = padded.get_mut(..rest.len()) {
                    room.copy_from_slice(rest);
                }
                &padded
            }
        };
        let sets = Sets::of(block);
        if sets.wide {
            scan.is_unspaced = true;
        }
        let small = sets.letters & !sets.capitals;
        let camel = sets.capitals & (small << 1 | before_small);
        let starts = sets.letters & !(sets.letters << 1 | before_letter) | camel;
        let ends = !sets.letters & (sets.letters << 1 | before_letter) | camel;
        let digits = sets.digits & !(sets.digits << 1 | before_digit);
        let mut rest = starts | ends | digits | sets.ats | sets.colons;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            let here = at + rest.trailing_zeros() as usize;
            rest ^= bit;
            if ends & bit != 0 {
                scan.leave_word(here);
            }
            if here < scan.skip {
                continue;
            }
            if starts & bit != 0 {
                scan.word = Some(here);
            } else if digits & bit != 0 {
                scan.hits.push(Hit {
                    start: here,
                    end: here + 1,
                    what: TokenKind::Digits,
                });
                scan.prefix(here);
            } else if sets.ats & bit != 0 {
                scan.hits.push(Hit {
                    start: here,
                    end: here + 1,
                    what: TokenKind::At,
                });
            } else if sets.colons & bit != 0 {
                scan.colon(here);
            }
        }
        before_letter = sets.letters >> (LEN - 1);
        before_digit = sets.digits >> (LEN - 1);
        before_small = small >> (LEN - 1);
        at += LEN;
    }
    scan.leave_word(bytes.len());
    let is_unspaced = scan.is_unspaced;
    if is_unspaced {
        vocabulary.unspaced(text, |start, end, meaning| {
            hits.push(Hit {
                start,
                end,
                what: TokenKind::Word(meaning),
            });
        });
    }
    put_in_order(hits, |h| h.start);
}

/// Sorts items that are nearly in order; the sort is stable.
pub(crate) fn put_in_order<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    /// Maximum distance that an item moves before an ordinary sort is faster.
    const NEAR: usize = 16;
    for i in 1..items.len() {
        let Some(mut at) = items.get(i).map(&key).and_then(|own| {
            let before = items.get(i.saturating_sub(NEAR)..i)?;
            let later = before
                .iter()
                .rev()
                .take_while(|item| key(item) > own)
                .count();
            (later < NEAR).then_some(i - later)
        }) else {
            items.sort_by_key(key);
            return;
        };
        while at < i {
            items.swap(at, i);
            at += 1;
        }
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    vocabulary: &'a Vocabulary,
    prefixes: &'a Prefixes,
    hits: &'a mut Vec<Hit>,
    /// Start of the word that has not ended.
    word: Option<usize>,
    /// Position before which nothing is read.
    skip: usize,
    is_unspaced: bool,
}

impl Scan<'_> {
    /// Ends a word before `end`: it may have a meaning, and a secret may begin with it.
    fn leave_word(&mut self, end: usize) {
        let Some(start) = self.word else { return };
        // A short word before a space is not a secret.
        if end - start >= Prefixes::SHORTEST || !matches!(self.bytes.get(end), Some(b' ' | b'\n')) {
            self.prefix(start);
        }
        self.end_word(end);
    }

    fn prefix(&mut self, at: usize) {
        if let Some(group) = self.prefixes.at(self.bytes, at) {
            if let Some(end) = Prefixes::skips(self.bytes, at, group) {
                self.skip = end;
                self.word = None;
                return;
            }
            self.hits.push(Hit {
                start: at,
                end: at + 1,
                what: TokenKind::Prefix(group),
            });
        }
    }

    fn end_word(&mut self, end: usize) {
        let Some(start) = self.word.take() else {
            return;
        };
        if end - start < 3
            && start
                .checked_sub(1)
                .and_then(|i| self.bytes.get(i))
                .is_some_and(|b| matches!(b, b'(' | b'['))
        {
            // `(at)`, `[a]`.
            if self
                .bytes
                .get(start..end)
                .is_some_and(|w| w.eq_ignore_ascii_case(b"at") || w == b"a")
            {
                self.hits.push(Hit {
                    start,
                    end,
                    what: TokenKind::Word(Meaning::SPELLED_AT),
                });
            }
        }
        if end - start > LONGEST || end - start < 2 {
            return;
        }
        if let Some((from, to, meaning)) = self.vocabulary.find(self.bytes, start, end) {
            self.hits.push(Hit {
                start: from,
                end: to,
                what: TokenKind::Word(meaning),
            });
        } else if self.is_unspaced {
            self.latin_words(start, end);
        } else if end - start > 7 {
            // `mypassword`, `theapikey`.
            let last = self.bytes.part(end - 6..end);
            let is = |word: &[u8; 6]| last.eq_ignore_ascii_case(word);
            if is(b"ssword") || is(b"passwd") {
                self.hits.push(Hit {
                    start,
                    end,
                    what: TokenKind::Word(Meaning::PASSWORD),
                });
            } else if is(b"secret")
                || is(b"apikey")
                || is(b"ttoken")
                || is(b"htoken")
                || is(b"itoken")
                || is(b"stoken")
            {
                self.hits.push(Hit {
                    start,
                    end,
                    what: TokenKind::Word(Meaning::SECRET),
                });
            }
        }
    }

    /// Finds words in Latin letters that adjoin other scripts, as in `HKID係`.
    #[cold]
    fn latin_words(&mut self, start: usize, end: usize) {
        let mut at = start;
        for run in self
            .bytes
            .part(start..end)
            .chunk_by(|a, b| a.is_ascii() == b.is_ascii())
        {
            let (from, to) = (at, at + run.len());
            at = to;
            if to - from < end - start && run.first().is_some_and(u8::is_ascii) {
                self.word = Some(from);
                self.end_word(to);
            }
        }
    }

    /// Adds a hit for a colon that may be in an IPv6 or a hardware address.
    fn colon(&mut self, at: usize) {
        let near = |i: Option<usize>| {
            i.and_then(|i| self.bytes.get(i))
                .is_some_and(|b| b.is_ascii_hexdigit() || *b == b':')
        };
        let is_first = self.bytes.get(at + 1) == Some(&b':');
        if (is_first || near(at.checked_sub(1))) && near(Some(at + 1)) {
            self.hits.push(Hit {
                start: at,
                end: at + 1,
                what: TokenKind::Colon,
            });
        }
    }
}

/// Sets of a block's bytes, with the first byte in the lowest bit.
struct Sets {
    /// Letters, and all bytes outside ASCII.
    letters: u64,
    capitals: u64,
    digits: u64,
    ats: u64,
    colons: u64,
    /// True if there are characters of three or more bytes.
    wide: bool,
}

impl Sets {
    fn of(block: &[u8; LEN]) -> Self {
        let mut sets = Self {
            letters: 0,
            capitals: 0,
            digits: 0,
            ats: 0,
            colons: 0,
            wide: false,
        };
        let (quarters, _) = block.as_chunks::<16>();
        for quarter in quarters.iter().rev() {
            let bytes = u8x16::new(*quarter);
            let within = |v: u8x16, low: u8, count: u8| {
                let moved = v - u8x16::splat(low);
                moved
                    .min(u8x16::splat(count - 1))
                    .simd_eq(moved)
                    .to_bitmask()
            };
            let equal = |byte: u8| bytes.simd_eq(u8x16::splat(byte)).to_bitmask();
            let high = bytes.to_bitmask();
            let put = |set: &mut u64, bits: u32| *set = *set << 16 | u64::from(bits);
            put(
                &mut sets.letters,
                within(bytes | u8x16::splat(0x20), b'a', 26) | high,
            );
            put(&mut sets.capitals, within(bytes, b'A', 26));
            put(&mut sets.digits, within(bytes, b'0', 10));
            put(&mut sets.ats, equal(b'@'));
            put(&mut sets.colons, equal(b':'));
            if high != 0 {
                sets.wide |= bytes
                    .max(u8x16::splat(0xdf))
                    .simd_eq(u8x16::splat(0xdf))
                    .to_bitmask()
                    != 0xffff;
            }
        }
        sets
    }
}
