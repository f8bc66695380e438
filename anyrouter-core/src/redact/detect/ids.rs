//! National and tax numbers: their shapes and check digits, and the words beside them.

use super::check_digits::{Check, Number, check};
use crate::redact::Kind;

/// A country's number.
#[derive(Debug)]
pub(crate) struct Id {
    pub(crate) country: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) kind: Kind,
    shapes: Vec<&'static [u8]>,
    check: Check,
    /// One in so many numbers of its shape passes by chance.
    pub(crate) strength: u32,
    words: Vec<&'static str>,
}

/// All of them, by length.
#[derive(Debug)]
pub(crate) struct Ids {
    by_length: Vec<Vec<Id>>,
}

/// The longest number.
pub(crate) const LONGEST: usize = 20;

impl Ids {
    pub(crate) fn builtin() -> Self {
        let mut by_length: Vec<Vec<Id>> = Vec::new();
        by_length.resize_with(LONGEST + 1, Vec::new);
        for line in include_str!("../../../redact/ids.tsv").lines().filter(|l| !l.starts_with('#')) {
            let columns: Vec<&'static str> = line.split('\t').collect();
            let [country, rule, label, shapes, strength, words, ..] = columns.as_slice() else { continue };
            let kind = if *label == "TAX_ID" { Kind::TaxId } else { Kind::NationalId };
            for length in 1..=LONGEST {
                let shapes: Vec<&[u8]> = shapes.split(' ').map(str::as_bytes).filter(|s| shape_length(s) == length).collect();
                if let (false, Some(list)) = (shapes.is_empty(), by_length.get_mut(length)) {
                    list.push(Id {
                        country,
                        rule,
                        kind,
                        shapes,
                        check: check(country, rule),
                        strength: strength.parse().unwrap_or(1),
                        words: words.split('|').filter(|w| w.len() > 1).collect(),
                    });
                }
            }
        }
        Self { by_length }
    }

    /// The numbers that `compact` may be: their shapes and check digits fit.
    pub(crate) fn fitting<'a>(&'a self, compact: &'a [u8]) -> impl Iterator<Item = &'a Id> {
        let list = self.by_length.get(compact.len()).into_iter().flatten();
        list.filter(move |id| id.shapes.iter().any(|s| has_shape(compact, s)) && (id.check)(&Number(compact)))
    }
}

impl Id {
    /// Whether one of its words stands in `context`, which is lower case.
    pub(crate) fn is_named(&self, context: &str) -> bool {
        self.words.iter().any(|word| {
            context.match_indices(word).any(|(at, _)| {
                let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && c.is_ascii());
                !is_letter(context.get(..at).and_then(|t| t.chars().next_back())) && !is_letter(context.get(at + word.len()..).and_then(|t| t.chars().next()))
            })
        })
    }
}

fn shape_length(shape: &[u8]) -> usize {
    shape.iter().filter(|b| **b != b'\\').count()
}

/// A shape: `d` is a digit, `A` a letter, `*` either; other characters are themselves, and `\A` is the letter A.
fn has_shape(compact: &[u8], shape: &[u8]) -> bool {
    let mut shape = shape.iter();
    compact.iter().all(|byte| match shape.next() {
        Some(b'd') => byte.is_ascii_digit(),
        Some(b'A') => byte.is_ascii_uppercase(),
        Some(b'*') => byte.is_ascii_alphanumeric(),
        Some(b'\\') => shape.next() == Some(byte),
        Some(other) => other == byte,
        None => false,
    }) && shape.next().is_none()
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
}
