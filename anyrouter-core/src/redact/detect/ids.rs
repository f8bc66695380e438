//! National and tax numbers: their shapes and check digits, and the words beside them.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;

use super::check_digits::{Check, Number, check};
use crate::redact::Kind;

/// A country's number.
#[derive(Debug)]
pub(crate) struct Id {
    pub(crate) country: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) kind: Kind,
    forms: Vec<Form>,
    check: Check,
    /// One in so many numbers of its forms passes by chance.
    pub(crate) strength: u32,
    /// Its row.
    number: u16,
}

/// A written form.
#[derive(Debug)]
struct Form {
    /// What stands in each place, without separators.
    places: Vec<Place>,
    /// The lengths of the groups between separators.
    groups: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Digit,
    Letter,
    Either,
    Is(u8),
}

/// All of them, by length.
#[derive(Debug)]
pub(crate) struct Ids {
    by_length: Vec<Vec<Id>>,
    /// The words beside them, and whose each is.
    names: Option<AhoCorasick>,
    owners: Vec<Vec<u16>>,
}

/// The longest number.
pub(crate) const LONGEST: usize = 24;

impl Ids {
    pub(crate) fn builtin() -> Self {
        let mut by_length: Vec<Vec<Id>> = Vec::new();
        by_length.resize_with(LONGEST + 1, Vec::new);
        let mut words_of: BTreeMap<&'static str, Vec<u16>> = BTreeMap::new();
        for (number, line) in (0_u16..).zip(include_str!("../../../redact/ids.tsv").lines().filter(|l| !l.starts_with('#'))) {
            let columns: Vec<&'static str> = line.split('\t').collect();
            let [country, rule, label, forms, strength, words, ..] = columns.as_slice() else { continue };
            let kind = if *label == "TAX_ID" { Kind::TaxId } else { Kind::NationalId };
            for word in words.split('|').filter(|w| w.len() > 1) {
                words_of.entry(word).or_default().push(number);
            }
            for (length, list) in by_length.iter_mut().enumerate() {
                let written = forms.split(' ').map(Form::new);
                let forms: Vec<Form> =
                    written.flat_map(|f| [f.without_country(country), Some(f)]).flatten().filter(|f| f.places.len() == length).collect();
                if !forms.is_empty() {
                    list.push(Id {
                        country,
                        rule,
                        kind,
                        forms,
                        check: check(country, rule),
                        strength: strength.parse().unwrap_or(1),
                        number,
                    });
                }
            }
        }
        let names = AhoCorasick::new(words_of.keys()).ok();
        Self { by_length, names, owners: words_of.into_values().collect() }
    }

    /// The rows whose words stand in `context`, which is lower case.
    pub(crate) fn named(&self, context: &str) -> Vec<u16> {
        let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && c.is_ascii());
        let mut named = Vec::new();
        for found in self.names.iter().flat_map(|n| n.find_overlapping_iter(context)) {
            let before = is_letter(context.get(..found.start()).and_then(|t| t.chars().next_back()));
            if !before && !is_letter(context.get(found.end()..).and_then(|t| t.chars().next())) {
                named.extend(self.owners.get(found.pattern().as_usize()).into_iter().flatten());
            }
        }
        named
    }

    /// The numbers that `compact` may be: their forms and check digits fit.
    pub(crate) fn fitting<'a>(&'a self, compact: &'a [u8]) -> impl Iterator<Item = &'a Id> {
        let list = self.by_length.get(compact.len()).into_iter().flatten();
        list.filter(move |id| id.forms.iter().any(|f| f.fits(compact)) && (id.check)(&Number(compact)))
    }
}

impl Form {
    fn new(text: &str) -> Self {
        let mut it = Self { places: Vec::new(), groups: Vec::new() };
        let mut bytes = text.bytes();
        let mut group = 0;
        while let Some(byte) = bytes.next() {
            let place = match byte {
                b'd' => Place::Digit,
                b'A' => Place::Letter,
                b'*' => Place::Either,
                b'\\' => Place::Is(bytes.next().unwrap_or_default()),
                b'_' | b'-' | b'.' | b'/' | b'(' | b')' | b'+' => {
                    if group > 0 {
                        it.groups.push(group);
                    }
                    group = 0;
                    continue;
                }
                other => Place::Is(other),
            };
            it.places.push(place);
            group += 1;
        }
        if group > 0 {
            it.groups.push(group);
        }
        it
    }

    /// The same without the country's letters before it, which people leave out at home.
    fn without_country(&self, country: &str) -> Option<Self> {
        let letters: Vec<Place> = country.bytes().map(Place::Is).collect();
        let places = self.places.strip_prefix(letters.as_slice())?.to_vec();
        let mut groups = self.groups.clone();
        match groups.first_mut() {
            Some(first) if *first > 2 => *first -= 2,
            _ => drop(groups.remove(0)),
        }
        Some(Self { places, groups })
    }

    fn fits(&self, compact: &[u8]) -> bool {
        compact.len() == self.places.len()
            && compact.iter().zip(&self.places).all(|(byte, place)| match place {
                Place::Digit => byte.is_ascii_digit(),
                Place::Letter => byte.is_ascii_uppercase(),
                Place::Either => byte.is_ascii_alphanumeric(),
                Place::Is(other) => byte == other,
            })
    }
}

impl Id {
    /// Whether groups of these lengths are one of its written forms.
    pub(crate) fn is_written_so(&self, groups: &[usize]) -> bool {
        self.forms.iter().any(|f| f.groups == groups)
    }

    /// Whether its row is among those that are named.
    pub(crate) fn is_named(&self, named: &[u16]) -> bool {
        named.contains(&self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_vectors_is_judged_as_its_register_would() {
        let ids = Ids::builtin();
        let mut wrong = Vec::new();
        for line in include_str!("../../../redact/ids-vectors.tsv").lines().filter(|l| !l.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [country, rule, verdict, number] = columns.as_slice() else { panic!("{line}") };
            let compact: Vec<u8> = number.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_uppercase()).collect();
            let fits = ids.fitting(&compact).any(|id| id.country == *country && id.rule == *rule);
            if fits != (*verdict == "valid") {
                wrong.push(line);
            }
        }
        assert!(wrong.is_empty(), "{} judged wrongly:\n{}", wrong.len(), wrong.join("\n"));
    }

    /// The share of numbers of an id's forms that pass by chance is what its row says, within a factor of three.
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
        for id in ids.by_length.iter().flatten() {
            let form = id.forms.iter().max_by_key(|f| f.places.iter().filter(|p| **p == Place::Digit).count()).unwrap();
            let tries = 20_000;
            let passed = (0..tries)
                .filter(|_| {
                    let number: Vec<u8> = form
                        .places
                        .iter()
                        .map(|p| match p {
                            Place::Digit => b'0' + random(10) as u8,
                            Place::Letter => b'A' + random(26) as u8,
                            Place::Either => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[random(36) as usize],
                            Place::Is(byte) => *byte,
                        })
                        .collect();
                    (id.check)(&Number(&number))
                })
                .count();
            let strength = (tries / passed.max(1)) as u32;
            let entry = measured.entry((id.country, id.rule)).or_insert((id.strength, strength));
            entry.1 = entry.1.min(strength);
        }
        let mut wrong = Vec::new();
        for ((country, rule), (stated, strength)) in measured {
            if update {
                println!("STRENGTH\t{country}\t{rule}\t{strength}");
            } else if strength.min(1000) > stated.max(1) * 3 || stated.min(1000) > strength.max(1) * 3 {
                wrong.push(format!("{country} {rule}: stated {stated}, is {strength}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
