//! The vocabulary: words that identify values near them, as names, places, and phrases such as
//! `date of birth`, each with its meaning.
//!
//! Most words of a text have no meaning here. Each word is therefore looked up in a bit set first,
//! by a hash of it, and only possible matches are compared.

use crate::part::Part as _;

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use aho_corasick::{AhoCorasick, MatchKind};

/// The meanings of a word or phrase, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meaning(pub(crate) u64);

macro_rules! meanings {
    ($($name:ident $text:literal $bit:literal),+ $(,)?) => {
        impl Meaning {
            $(pub(crate) const $name: Self = Self(1 << $bit);)+

            /// Returns the meaning with this name in the data files.
            fn named(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

meanings! {
    GIVEN "given" 0,
    FAMILY "family" 1,
    // An ordinary word as well.
    AMBIGUOUS "ambiguous" 2,
    PLACE_NAME "place_name" 3,
    HONORIFIC "honorific" 4,
    NAME "name" 5,
    PLACE "place" 6,
    ADDRESS "address" 7,
    DOB "dob" 8,
    PHONE "phone" 9,
    EMAIL "email" 10,
    PASSPORT "passport" 11,
    DRIVER_LICENSE "driver_license" 12,
    VEHICLE "vehicle" 13,
    BANK_ACCOUNT "bank_account" 14,
    USERNAME "username" 15,
    PASSWORD "password" 16,
    NATIONAL_ID "national_id" 17,
    TAX_ID "tax_id" 18,
    STREET_AFTER "street_after" 19,
    STREET_BEFORE "street_before" 20,
    UNIT "unit" 21,
    SERVICE "service" 22,
    SECRET "secret" 23,
    MONTH "month" 24,
    SPELLED_DOT "spelled_dot" 25,
    COORDINATES "coordinates" 26,
    CRYPTO "crypto" 27,
    COUNTRY "country" 28,
    CARD "card" 29,
    GREETING "greeting" 30,
    KEY_BLOCK "key_block" 31,
    // Evidence against a value: order, invoice, version, tracking.
    DECOY "decoy" 32,
    SURNAME_CHARACTER "surname_character" 33,
    REGION_END "region_end" 34,
    AUTHORIZATION "authorization" 35,
    // The closing of a letter, which a name follows.
    CLOSING "closing" 36,
    // A program that takes a password as an argument.
    COMMAND "command" 37,
    // The name of one country's number: see `Ids::named`.
    ID_NAME "id_name" 38,
    // Capitalized in titles and at the beginning of sentences, but not a name.
    STOP "stop" 39,
    // A name beside it is not that of a person.
    ORGANISATION "organisation" 40,
    // An at sign in brackets.
    SPELLED_AT "spelled_at" 41,
    POSTCODE "postcode" 42,
    CUSTOMER_ID "customer_id" 43,
    CARD_CODE "card_code" 44,
    // Cues before a name: introductions of oneself, alone or after a greeting; kin; roles; fields;
    // people that somebody asks.
    SELF "self" 45,
    GREETED "greeted" 46,
    KIN "kin" 47,
    ROLE "role" 48,
    FIELD "field" 49,
    BY "by" 50,
    // Cues after a name.
    BEHIND "behind" 51,
}

impl Meaning {
    pub(crate) const ANY_NAME: Self = Self(Self::GIVEN.0 | Self::FAMILY.0);
    /// Any cue of a person's name.
    pub(crate) const CUE: Self = Self(
        Self::SELF.0
            | Self::GREETED.0
            | Self::KIN.0
            | Self::ROLE.0
            | Self::FIELD.0
            | Self::BY.0
            | Self::BEHIND.0,
    );

    /// Returns true if the two have a meaning in common.
    pub(crate) fn intersects(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// Returns the union of both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A word with a meaning, or the longest word of phrases with one. It is small, since there are
/// tens of thousands.
#[derive(Debug, Default)]
struct Entry {
    /// Its offset in [`Vocabulary::words`].
    start: u32,
    length: u16,
    /// The index of its phrases in [`Vocabulary::phrases`]; 0 if it has none.
    phrases: u16,
    meaning: Meaning,
}

/// Words in a row, of which the entry's word is one.
#[derive(Debug)]
struct Phrase {
    before: Vec<Box<str>>,
    after: Vec<Box<str>>,
    meaning: Meaning,
}

/// Number of bits in a filter.
const FILTER: usize = 1 << 18;

/// Words and phrases with their meanings.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// A filter of the words that may be known.
    filter: Box<[u64]>,
    /// A filter of those that are more than names and places, which begin with a capital.
    small: Box<[u64]>,
    /// The entries by the hash of their word, which is unique among them.
    entries: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// All words in a row, with the lowercase bit set in each byte.
    words: Vec<u8>,
    /// The phrases of each word that has any; the first list is empty.
    phrases: Vec<Vec<Phrase>>,
    /// Phrases of scripts without spaces between words.
    unspaced: Option<AhoCorasick>,
    unspaced_meanings: Vec<Meaning>,
}

impl Vocabulary {
    /// Reads the data files, with `meaning <tab> phrase` in each line.
    pub(crate) fn new(tables: &[&str], lists: &[(&str, Meaning)]) -> Self {
        let mut it = Self {
            filter: vec![0; FILTER / 64].into(),
            small: vec![0; FILTER / 64].into(),
            // About as many as there are lines, so that the table does not grow by copying itself.
            entries: HashMap::with_capacity_and_hasher(
                tables
                    .iter()
                    .chain(lists.iter().map(|(l, _)| l))
                    .map(|t| t.lines().count())
                    .sum(),
                BuildHasherDefault::default(),
            ),
            words: Vec::new(),
            phrases: vec![Vec::new()],
            unspaced: None,
            unspaced_meanings: Vec::new(),
        };
        let mut unspaced: Vec<&str> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let rows = tables.iter().flat_map(|t| t.lines()).filter_map(|l| {
            let (meanings, phrase) = l.split_once('\t')?;
            let meaning = meanings
                .split(' ')
                .filter_map(Meaning::named)
                .fold(Meaning::default(), Meaning::union);
            Some((meaning, phrase))
        });
        let listed = lists
            .iter()
            .flat_map(|(list, meaning)| list.lines().map(|l| (*meaning, l)));
        for (meaning, phrase) in rows.chain(listed) {
            if is_unspaced(phrase) {
                let i = *known.entry(phrase).or_insert_with(|| {
                    unspaced.push(phrase);
                    it.unspaced_meanings.push(Meaning::default());
                    unspaced.len() - 1
                });
                if let Some(known) = it.unspaced_meanings.get_mut(i) {
                    *known = known.union(meaning);
                }
            } else {
                it.insert(phrase, meaning);
                if !phrase.is_ascii() {
                    // The lookup ignores case only for ASCII letters.
                    it.insert(&phrase.to_uppercase(), meaning);
                    let mut chars = phrase.chars();
                    let first = chars.next().into_iter().flat_map(char::to_uppercase);
                    it.insert(&first.chain(chars).collect::<String>(), meaning);
                }
            }
        }
        it.unspaced = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&unspaced)
            .ok();
        it
    }

    fn insert(&mut self, phrase: &str, meaning: Meaning) {
        let words: Vec<&str> = words(phrase).collect();
        let Some(head) =
            (0..words.len()).max_by_key(|i| (words.get(*i).map_or(0, |w| w.len()), usize::MAX - i))
        else {
            return;
        };
        let Some(word) = words.get(head) else { return };
        let key = fold(word.as_bytes());
        let hash = hash_at(&key, 0, key.len());
        admit(&mut self.filter, hash);
        let only_capitals = Meaning::ANY_NAME
            .union(Meaning::AMBIGUOUS)
            .union(Meaning::PLACE_NAME)
            .union(Meaning::COUNTRY)
            .union(Meaning::STOP)
            .union(Meaning::ORGANISATION);
        if meaning.0 & !only_capitals.0 != 0 {
            admit(&mut self.small, hash);
        }
        let entry = self.entries.entry(hash).or_default();
        if entry.length == 0 {
            // A word whose offset or length does not fit is omitted.
            let (Ok(start), Ok(length)) = (self.words.len().try_into(), key.len().try_into())
            else {
                return;
            };
            (entry.start, entry.length) = (start, length);
            self.words.extend_from_slice(&key);
        }
        if words.len() == 1 {
            entry.meaning = entry.meaning.union(meaning);
        } else {
            let owned = |w: &[&str]| w.iter().map(|w| (*w).into()).collect();
            let (before, after) = (owned(words.part(..head)), owned(words.part(head + 1..)));
            if entry.phrases == 0 {
                let Ok(at) = self.phrases.len().try_into() else {
                    return;
                };
                entry.phrases = at;
                self.phrases.push(Vec::new());
            }
            if let Some(phrases) = self.phrases.get_mut(usize::from(entry.phrases)) {
                phrases.push(Phrase {
                    before,
                    after,
                    meaning,
                });
            }
        }
    }

    /// Returns the meaning of the word at `start..end` of `text`, and the range of its phrase.
    #[allow(clippy::inline_always)] // one call for each word of a text: a fifth of a scan
    #[inline(always)]
    pub(crate) fn find(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
    ) -> Option<(usize, usize, Meaning)> {
        let word = text.get(start..end)?;
        let hash = hash_at(text, start, end);
        let filter = if word.first().is_some_and(u8::is_ascii_lowercase) {
            &self.small
        } else {
            &self.filter
        };
        // Most words have no meaning, and stop here.
        if admits(filter, hash) {
            self.look_up(text, start, end, hash)
        } else {
            None
        }
    }

    fn look_up(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        hash: u64,
    ) -> Option<(usize, usize, Meaning)> {
        let word = text.get(start..end)?;
        let entry = self.entries.get(&hash)?;
        let known = self
            .words
            .get(entry.start as usize..)?
            .get(..usize::from(entry.length))?;
        if known.len() != word.len() || !known.iter().zip(word).all(|(a, b)| *a == b | 0x20) {
            return None;
        }
        let mut best = (start, end, entry.meaning);
        for phrase in self
            .phrases
            .get(usize::from(entry.phrases))
            .into_iter()
            .flatten()
        {
            if let Some((from, to)) = phrase.spans(text, start, end) {
                let longer = to - from > best.1 - best.0;
                let meaning = if longer {
                    phrase.meaning
                } else {
                    best.2.union(phrase.meaning)
                };
                best = if longer {
                    (from, to, meaning)
                } else {
                    (best.0, best.1, meaning)
                };
            }
        }
        (best.2 != Meaning::default()).then_some(best)
    }

    /// Returns the meaning of a word in any case, as that of a name in lowercase.
    pub(crate) fn meaning_of(&self, word: &str) -> Meaning {
        let bytes = word.as_bytes();
        self.look_up(bytes, 0, bytes.len(), hash_at(bytes, 0, bytes.len()))
            .map_or(Meaning::default(), |(_, _, meaning)| meaning)
    }

    /// Calls `each` for the phrases in text without spaces between words.
    pub(crate) fn unspaced(&self, text: &str, mut each: impl FnMut(usize, usize, Meaning)) {
        for found in self.unspaced.iter().flat_map(|a| a.find_iter(text)) {
            each(
                found.start(),
                found.end(),
                self.unspaced_meanings
                    .get(found.pattern().as_usize())
                    .copied()
                    .unwrap_or_default(),
            );
        }
    }
}

impl Phrase {
    /// Returns the range of the phrase whose longest word is at `start..end`.
    fn spans(&self, text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
        let (mut from, mut to) = (start, end);
        for word in self.before.iter().rev() {
            let gap = text
                .get(..from)?
                .iter()
                .rev()
                .take(3)
                .take_while(|b| is_gap(**b))
                .count();
            let begin = from.checked_sub(gap + word.len())?;
            let is_word =
                eq(text.get(begin..from - gap)?, word) && (gap > 0 || is_camel(text, from));
            if !is_word
                || begin
                    .checked_sub(1)
                    .and_then(|b| text.get(b))
                    .is_some_and(|b| is_letter(*b) && !is_camel(text, begin))
            {
                return None;
            }
            from = begin;
        }
        for word in &self.after {
            let gap = text
                .get(to..)?
                .iter()
                .take(3)
                .take_while(|b| is_gap(**b))
                .count();
            let finish = to + gap + word.len();
            let is_word = eq(text.get(to + gap..finish)?, word) && (gap > 0 || is_camel(text, to));
            if !is_word
                || text
                    .get(finish)
                    .is_some_and(|b| is_letter(*b) && !is_camel(text, finish))
            {
                return None;
            }
            to = finish;
        }
        Some((from, to))
    }
}

fn eq(text: &[u8], word: &str) -> bool {
    text.len() == word.len()
        && text
            .iter()
            .zip(word.as_bytes())
            .all(|(a, b)| a | 0x20 == b | 0x20)
}

fn is_gap(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'_' | b'-' | b'.' | b'\'' | b'\n' | b'\t' | b'/'
    )
}

/// Returns true if a capital letter begins a word after a lowercase letter.
pub(crate) fn is_camel(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(u8::is_ascii_uppercase)
        && at
            .checked_sub(1)
            .and_then(|i| text.get(i))
            .is_some_and(u8::is_ascii_lowercase)
}

pub(crate) fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0x80
}

fn words(phrase: &str) -> impl Iterator<Item = &str> {
    phrase
        .split(|c: char| c.is_ascii() && !c.is_ascii_alphabetic())
        .filter(|w| !w.is_empty())
}

/// Returns the lookup form of a word or phrase: in lowercase, with one space where signs or a
/// capital separate its words.
pub(crate) fn plain_phrase(phrase: &str) -> String {
    let mut plain = String::with_capacity(phrase.len());
    let mut last = ' ';
    for c in phrase.chars() {
        let parts = c.is_ascii() && !c.is_ascii_alphabetic();
        if (parts || last.is_ascii_lowercase() && c.is_ascii_uppercase())
            && !plain.ends_with(' ')
            && !plain.is_empty()
        {
            plain.push(' ');
        }
        if c.is_ascii_alphabetic() {
            plain.push(c.to_ascii_lowercase());
        } else if !parts {
            plain.extend(c.to_lowercase());
        }
        last = c;
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// Returns true for Han, kana, Hangul, Thai, Lao, Khmer and Burmese, which use no spaces.
fn is_unspaced(phrase: &str) -> bool {
    phrase.chars().any(
        |c| matches!(u32::from(c), 0xe00..=0xeff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7af),
    )
}

fn fold(word: &[u8]) -> Vec<u8> {
    word.iter().map(|b| b | 0x20).collect()
}

fn admit(filter: &mut [u64], hash: u64) {
    let bit = (hash >> 46) as usize % FILTER;
    if let Some(bits) = filter.get_mut(bit / 64) {
        *bits |= 1 << (bit % 64);
    }
}

fn admits(filter: &[u64], hash: u64) -> bool {
    let bit = (hash >> 46) as usize % FILTER;
    filter
        .get(bit / 64)
        .is_some_and(|bits| bits >> (bit % 64) & 1 == 1)
}

/// A hasher for hashes, which also mixes the upper half into the lower.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |n, b| n << 8 | u64::from(*b));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash ^ hash >> 32;
    }
}

/// Returns a hash of the word's first eight bytes, the next and the last eight, and its length,
/// regardless of the case of ASCII letters.
#[allow(clippy::inline_always)] // as above
#[inline(always)]
fn hash_at(text: &[u8], start: usize, end: usize) -> u64 {
    const FOLD: u64 = 0x2020_2020_2020_2020;
    let length = end - start;
    let eight = |at: usize| match text.get(at..at + 8) {
        Some(bytes) => u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
        None => text
            .part(at..)
            .iter()
            .rev()
            .fold(0, |n, b| n << 8 | u64::from(*b)),
    };
    let first = if length >= 8 {
        eight(start) | FOLD
    } else {
        (eight(start) | FOLD) & ((1 << (length * 8)) - 1)
    };
    let last = if length > 8 { eight(end - 8) | FOLD } else { 0 };
    let middle = if length > 16 {
        eight(start + 8) | FOLD
    } else {
        0
    };
    // The two overlap, so one of them is mixed first: bytes in both must not cancel out.
    let rest = (last ^ middle.wrapping_mul(0x2545_f491_4f6c_dd1d))
        .wrapping_mul(0xff51_afd7_ed55_8ccd)
        .rotate_left(31);
    (first ^ rest ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, word: &str) -> Option<(String, Meaning)> {
        let table = "dob\tdate of birth\nname\tmy name is\npassword\tpassword\ndob\tborn\ngiven\tJoão\nname\t我叫";
        let vocabulary = Vocabulary::new(&[table], &[]);
        let start = text.find(word).unwrap();
        let (from, to, meaning) = vocabulary.find(text.as_bytes(), start, start + word.len())?;
        Some((text[from..to].to_owned(), meaning))
    }

    #[test]
    fn no_two_words_have_the_same_hash() {
        let tables = [
            include_str!("../../redact/context.tsv"),
            include_str!("../../redact/names.tsv"),
            include_str!("../../redact/places.tsv"),
        ];
        let mut known: HashMap<u64, Vec<u8>> = HashMap::new();
        for word in tables
            .iter()
            .flat_map(|t| t.lines())
            .filter_map(|l| l.split_once('\t'))
            .flat_map(|(_, p)| words(p))
        {
            let word = fold(word.as_bytes());
            let other = known
                .entry(hash_at(&word, 0, word.len()))
                .or_insert_with(|| word.clone());
            assert_eq!(*other, word);
        }
    }

    #[test]
    fn words_and_phrases_are_found_in_any_writing() {
        assert_eq!(
            find("PASSWORD=x", "PASSWORD"),
            Some(("PASSWORD".into(), Meaning::PASSWORD))
        );
        assert_eq!(
            find("his Date of Birth:", "Birth"),
            Some(("Date of Birth".into(), Meaning::DOB))
        );
        assert_eq!(
            find("date_of_birth:", "birth"),
            Some(("date_of_birth".into(), Meaning::DOB))
        );
        assert_eq!(
            find("dateOfBirth:", "Birth"),
            Some(("dateOfBirth".into(), Meaning::DOB))
        );
        assert_eq!(find("update of birth", "birth"), None);
        assert_eq!(find("João", "João"), Some(("João".into(), Meaning::GIVEN)));
        assert_eq!(find("ordinary", "ordinary"), None);
    }
}
