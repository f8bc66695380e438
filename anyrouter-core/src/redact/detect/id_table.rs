//! The national and tax numbers of all countries, as data (`redact/ids.tsv`): their written forms,
//! the words beside them, and the share of numbers of the same form that pass by chance.

use std::collections::HashMap;

use super::check_digits::{Check, Number, check};
use crate::redact::{Kind, vocabulary::plain_phrase};

/// Maximum length of a number.
pub(super) const LONGEST: usize = 24;

/// A country's number.
#[derive(Debug)]
pub(super) struct Id {
    pub(super) country: &'static str,
    pub(super) rule: &'static str,
    pub(super) kind: Kind,
    pub(super) forms: Vec<Form>,
    check: Check,
    /// One in this many numbers of its forms passes by chance.
    pub(super) strength: u32,
    /// Its row in the table.
    pub(super) row: u16,
}

/// A written form without separators: the characters permitted in each place, as sets of places.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    length: usize,
    digits: u32,
    letters: u32,
    fixed: Vec<(usize, u8)>,
    pub(super) groups: Groups,
}

/// The lengths of the groups between separators, four bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups(u64);

/// The numbers of all countries.
#[derive(Debug)]
pub(crate) struct Ids {
    /// The numbers by length: those of digits alone, then those with letters.
    pub(super) by_length: Vec<[Vec<Id>; 2]>,
    /// The rows of the numbers that each word names.
    pub(super) named: HashMap<String, Rows, foldhash::fast::FixedState>,
    /// The rows of each country.
    pub(super) of_country: HashMap<&'static str, Rows, foldhash::fast::FixedState>,
    names: String,
}

/// A set of rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rows([u64; 8]);

impl Rows {
    fn insert(&mut self, row: u16) {
        if let Some(bits) = self.0.get_mut(usize::from(row / 64)) {
            *bits |= 1 << (row % 64);
        }
    }

    pub(super) fn has(&self, row: u16) -> bool {
        self.0
            .get(usize::from(row / 64))
            .is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(bits, more)| *bits |= more);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }
}

impl Ids {
    pub(crate) fn builtin() -> Self {
        let mut it = Self {
            by_length: Vec::new(),
            named: HashMap::default(),
            of_country: HashMap::default(),
            names: String::new(),
        };
        it.by_length.resize_with(LONGEST + 1, Default::default);
        for (row, line) in (0_u16..).zip(
            include_str!("../../../redact/ids.tsv")
                .lines()
                .filter(|l| !l.starts_with('#')),
        ) {
            let columns: Vec<&'static str> = line.split('\t').collect();
            let [country, rule, label, forms, strength, words, ..] = columns.as_slice() else {
                continue;
            };
            let kind = if *label == "TAX_ID" {
                Kind::TaxId
            } else {
                Kind::NationalId
            };
            it.of_country.entry(country).or_default().insert(row);
            for word in words.split('|').filter(|w| w.len() > 1) {
                it.named.entry(plain_phrase(word)).or_default().insert(row);
                it.names.push_str(word);
                it.names.push('\n');
            }
            let written: Vec<Form> = forms
                .split(' ')
                .flat_map(|f| Form::all(f, country))
                .collect();
            for (length, lists) in it.by_length.iter_mut().enumerate() {
                for (list, may_be) in lists
                    .iter_mut()
                    .zip([Form::may_be_digits, Form::may_have_letters])
                {
                    let forms: Vec<Form> = written
                        .iter()
                        .filter(|f| f.length == length && may_be(f))
                        .cloned()
                        .collect();
                    if !forms.is_empty() {
                        let strength = strength.parse().unwrap_or(1);
                        list.push(Id {
                            country,
                            rule,
                            kind,
                            forms,
                            check: check(country, rule),
                            strength,
                            row,
                        });
                    }
                }
            }
        }
        it
    }

    /// Returns the words that name the numbers, one per line.
    pub(crate) fn names(&self) -> &str {
        &self.names
    }

    /// Returns the numbers that `compact` may be by its length and its letters.
    pub(super) fn like(&self, compact: &[u8], digits: u32) -> &[Id] {
        let has_letters = digits.count_ones() as usize != compact.len();
        self.by_length
            .get(compact.len())
            .and_then(|lists| lists.get(usize::from(has_letters)))
            .map_or(&[], Vec::as_slice)
    }
}

impl Form {
    /// Returns the form of a text, and the form without the country's letters before it, which
    /// people omit in their own country.
    fn all(text: &str, country: &str) -> Vec<Self> {
        let form = Self::read(text);
        form.at_home(country).into_iter().chain([form]).collect()
    }

    fn at_home(&self, country: &str) -> Option<Self> {
        let letters: Vec<(usize, u8)> = country.bytes().enumerate().collect();
        let fixed = self.fixed.strip_prefix(letters.as_slice())?;
        let count = letters.len();
        Some(Self {
            length: self.length - count,
            digits: self.digits >> count,
            letters: self.letters >> count,
            fixed: fixed
                .iter()
                .map(|(place, byte)| (place - count, *byte))
                .collect(),
            groups: self.groups.without(count),
        })
    }

    fn read(text: &str) -> Self {
        let mut it = Self::default();
        let mut bytes = text.bytes();
        let mut groups = Vec::new();
        let mut group = 0;
        while let Some(byte) = bytes.next() {
            let place = 1_u32.checked_shl(it.length as u32).unwrap_or(0);
            match byte {
                b'd' => it.digits |= place,
                b'A' => it.letters |= place,
                b'*' => {}
                b'\\' => it.fixed.push((it.length, bytes.next().unwrap_or_default())),
                b'_' | b'-' | b'.' | b'/' | b'(' | b')' | b'+' => {
                    groups.push(std::mem::take(&mut group));
                    continue;
                }
                other => it.fixed.push((it.length, other)),
            }
            it.length += 1;
            group += 1;
        }
        groups.push(group);
        it.groups = Groups::of(&groups);
        it
    }

    fn may_be_digits(&self) -> bool {
        self.letters == 0 && self.fixed.iter().all(|(_, byte)| byte.is_ascii_digit())
    }

    fn may_have_letters(&self) -> bool {
        (self.digits.count_ones() as usize) < self.length
    }

    fn fits(&self, compact: &[u8], digits: u32) -> bool {
        digits & self.digits == self.digits
            && digits & self.letters == 0
            && self
                .fixed
                .iter()
                .all(|(place, byte)| compact.get(*place) == Some(byte))
    }
}

impl Groups {
    pub(super) fn of(sizes: &[usize]) -> Self {
        Self(
            sizes
                .iter()
                .filter(|n| **n > 0)
                .take(16)
                .fold(0, |all, n| all << 4 | (*n as u64).min(15)),
        )
    }

    /// Returns the groups without the first `count` characters.
    fn without(self, count: usize) -> Self {
        let sizes: Vec<usize> = (0..16)
            .rev()
            .map(|i| (self.0 >> (4 * i)) as usize & 15)
            .skip_while(|n| *n == 0)
            .collect();
        match sizes.split_first() {
            Some((first, rest)) if *first > count => Self::of(&[&[first - count], rest].concat()),
            Some((_, rest)) => Self::of(rest),
            None => self,
        }
    }
}

impl Id {
    pub(super) fn fits(&self, compact: &[u8], digits: u32) -> bool {
        self.forms.iter().any(|f| f.fits(compact, digits))
    }

    pub(super) fn checks(&self, compact: &[u8]) -> bool {
        (self.check)(&Number(compact))
    }
}

/// Returns the set of places that hold digits.
pub(super) fn digits_of(compact: &[u8]) -> u32 {
    compact
        .iter()
        .rev()
        .fold(0, |set, b| set << 1 | u32::from(b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_number_of_the_vectors_is_judged_as_its_register_would() {
        let ids = Ids::builtin();
        let mut wrong = Vec::new();
        for line in include_str!("../../../redact/ids-vectors.tsv")
            .lines()
            .filter(|l| !l.starts_with('#'))
        {
            let columns: Vec<&str> = line.split('\t').collect();
            let [country, rule, verdict, number] = columns.as_slice() else {
                panic!("{line}")
            };
            let compact: Vec<u8> = number
                .bytes()
                .filter(u8::is_ascii_alphanumeric)
                .map(|b| b.to_ascii_uppercase())
                .collect();
            let digits = digits_of(&compact);
            let mut list = ids
                .like(&compact, digits)
                .iter()
                .filter(|id| id.country == *country && id.rule == *rule);
            let fits = list.any(|id| id.fits(&compact, digits) && id.checks(&compact));
            if fits != (*verdict == "valid") {
                wrong.push(line);
            }
        }
        assert!(
            wrong.is_empty(),
            "{} judged wrongly:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    /// The share of numbers of an id's forms that pass by chance is what its row says, within a
    /// factor of three.
    #[test]
    fn the_strength_of_each_number_is_as_stated() {
        let ids = Ids::builtin();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |n: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % n
        };
        let update = std::env::var_os("UPDATE_STRENGTHS").is_some();
        // A number may have forms of several lengths: the weakest counts.
        let mut measured: BTreeMap<(&str, &str), (u32, u32)> = BTreeMap::new();
        for id in ids.by_length.iter().flatten().flatten() {
            let form = id
                .forms
                .iter()
                .max_by_key(|f| f.digits.count_ones())
                .unwrap();
            let tries = 20_000;
            let passed = (0..tries)
                .filter(|_| {
                    let number: Vec<u8> = (0..form.length)
                        .map(|place| match form.fixed.iter().find(|(p, _)| *p == place) {
                            Some((_, byte)) => *byte,
                            None if form.digits >> place & 1 == 1 => b'0' + random(10) as u8,
                            None if form.letters >> place & 1 == 1 => b'A' + random(26) as u8,
                            None => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[random(36) as usize],
                        })
                        .collect();
                    id.checks(&number)
                })
                .count();
            let strength = (tries / passed.max(1)) as u32;
            let entry = measured
                .entry((id.country, id.rule))
                .or_insert((id.strength, strength));
            entry.1 = entry.1.min(strength);
        }
        let mut wrong = Vec::new();
        for ((country, rule), (stated, strength)) in measured {
            if update {
                println!("STRENGTH\t{country}\t{rule}\t{strength}");
            } else if strength.min(1000) > stated.max(1) * 3
                || stated.min(1000) > strength.max(1) * 3
            {
                wrong.push(format!("{country} {rule}: stated {stated}, is {strength}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
