//! National and tax numbers: by their check digits where those are strong, by the words around them
//! where they are not.
//!
//! The numbers of all countries are data (`redact/ids.tsv`): their written forms, the words beside
//! them, and the share of numbers of the same form that pass by chance. The cheap questions come
//! first: whether the digits stand where a form has them, whether the words around would do; check
//! digits are worked out only where that could make a finding.

use std::collections::HashMap;

use super::{
    Scene,
    check_digits::{Check, Number, check},
    cluster::Part,
    one_of,
};
use crate::redact::{
    Kind,
    label::Finding,
    scan::Hit,
    vocabulary::{Meaning, is_letter, plain_phrase},
};

/// How far before a number its name is looked for, in bytes.
const BEFORE: usize = 64;
/// How far behind it.
const BEHIND: usize = 32;
/// The longest number.
const LONGEST: usize = 24;

/// A country's number.
#[derive(Debug)]
struct Id {
    country: &'static str,
    rule: &'static str,
    kind: Kind,
    forms: Vec<Form>,
    check: Check,
    /// One in so many numbers of its forms passes by chance.
    strength: u32,
    /// Its row.
    row: u16,
}

/// A written form: what stands in each place, without separators, as sets of places.
#[derive(Clone, Debug, Default)]
struct Form {
    length: usize,
    digits: u32,
    letters: u32,
    fixed: Vec<(usize, u8)>,
    groups: Groups,
}

/// The lengths of the groups between separators, four bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Groups(u64);

/// All of them.
#[derive(Debug)]
pub(crate) struct Ids {
    /// By length: those of digits alone, and those with letters.
    by_length: Vec<[Vec<Id>; 2]>,
    /// The words beside them, and the rows that each belongs to.
    named: HashMap<String, Rows, foldhash::fast::FixedState>,
    /// The rows of each country.
    of_country: HashMap<&'static str, Rows, foldhash::fast::FixedState>,
    names: String,
}

/// A set of rows.
#[derive(Clone, Copy, Debug, Default)]
struct Rows([u64; 8]);

impl Rows {
    fn insert(&mut self, row: u16) {
        if let Some(bits) = self.0.get_mut(usize::from(row / 64)) {
            *bits |= 1 << (row % 64);
        }
    }

    fn has(&self, row: u16) -> bool {
        self.0
            .get(usize::from(row / 64))
            .is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }

    fn add(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(bits, more)| *bits |= more);
    }

    fn is_empty(&self) -> bool {
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

    /// The words that stand beside them, one in a line.
    pub(crate) fn names(&self) -> &str {
        &self.names
    }

    /// The numbers that `compact` may be by its length and its letters.
    fn like(&self, compact: &[u8], digits: u32) -> &[Id] {
        let has_letters = digits.count_ones() as usize != compact.len();
        self.by_length
            .get(compact.len())
            .and_then(|lists| lists.get(usize::from(has_letters)))
            .map_or(&[], Vec::as_slice)
    }
}

impl Form {
    /// The form that is written so, and the same without the country's letters before it, which
    /// people leave out at home.
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
    fn of(sizes: &[usize]) -> Self {
        Self(
            sizes
                .iter()
                .filter(|n| **n > 0)
                .take(16)
                .fold(0, |all, n| all << 4 | (*n as u64).min(15)),
        )
    }

    /// The same without so many letters at the beginning.
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
    fn fits(&self, compact: &[u8], digits: u32) -> bool {
        self.forms.iter().any(|f| f.fits(compact, digits))
    }

    fn checks(&self, compact: &[u8]) -> bool {
        (self.check)(&Number(compact))
    }
}

/// The places of digits.
fn digits_of(compact: &[u8]) -> u32 {
    compact
        .iter()
        .rev()
        .fold(0, |set, b| set << 1 | u32::from(b.is_ascii_digit()))
}

/// What is said of the numbers of a cluster.
#[derive(Debug, Default)]
pub(super) struct NamedRows {
    /// The rows that are named.
    rows: Rows,
    /// The rows of the countries that are named.
    here: Rows,
    is_country_named: bool,
    /// A word for any such number.
    generally: bool,
}

impl Scene<'_> {
    /// What the words around say that numbers between `start` and `end` are.
    pub(super) fn said_around(&self, start: usize, end: usize) -> NamedRows {
        let mut said = NamedRows::default();
        for country in self.countries_near(start, end) {
            said.is_country_named = true;
            self.tables
                .ids
                .of_country
                .get(country)
                .into_iter()
                .for_each(|rows| said.here.add(rows));
        }
        for hit in self.hits_in(start.saturating_sub(BEFORE + 48), end + BEHIND) {
            if hit.end + BEFORE < start {
                continue;
            }
            said.generally |= hit
                .meaning()
                .intersects(Meaning::NATIONAL_ID.union(Meaning::TAX_ID));
            // Letters within a longer token, as `cc` in a hash, are no name.
            let is_part = self.byte_before(hit.start).is_ascii_digit()
                || hit.end - hit.start < 4 && self.byte(hit.end).is_ascii_digit();
            if hit.meaning().intersects(Meaning::ID_NAME) && !is_part {
                // What names another country's number speaks of such numbers as well, where it is
                // no abbreviation.
                said.generally |= hit.end - hit.start > 8;
                self.tables
                    .ids
                    .named
                    .get(&plain_phrase(self.part(hit.start, hit.end)))
                    .into_iter()
                    .for_each(|rows| said.rows.add(rows));
            }
        }
        self.name_in_initials(start, &mut said.rows);
        said
    }

    /// `C.P.F.`, which is no word of the vocabulary, as its words have one letter.
    fn name_in_initials(&self, start: usize, rows: &mut Rows) {
        let text = self.part(self.ceiling(start.saturating_sub(BEFORE)), start);
        // Mostly there are none.
        let is_initials =
            |w: &[u8]| matches!(w, [a, b'.', b, b'.'] if is_letter(*a) && is_letter(*b));
        if text.is_ascii() && !text.as_bytes().windows(4).any(is_initials) {
            return;
        }
        let mut chars = text.chars().peekable();
        let mut initials = String::new();
        let mut is_inside = false;
        loop {
            let next = chars.next();
            if let Some(c) = next
                && c.is_alphabetic()
                && !is_inside
                && chars.next_if_eq(&'.').is_some()
            {
                initials.extend(c.to_lowercase());
                initials.push(' ');
                continue;
            }
            if initials.len() > 3 {
                let words = initials.replace(' ', "");
                let named = [initials.trim_end(), &words]
                    .into_iter()
                    .filter_map(|name| self.tables.ids.named.get(name));
                named.for_each(|named| rows.add(named));
            }
            initials.clear();
            let Some(c) = next else { break };
            is_inside = c.is_alphanumeric();
        }
    }

    /// A national or tax number: of those that it may be, the surest.
    pub(super) fn identity(&self, part: &Part<'_>, said: &NamedRows) -> Option<Finding> {
        let is_usual = |s: &u8| matches!(s, b' ' | b'-' | b'.' | b'/' | b'_' | b'(');
        let is_fraction = (part.sizes.len() == 1 || self.byte_before(part.start) == b'.')
            && one_of(self.byte_before(part.start), b".,")
            && self.byte_before(part.start - 1).is_ascii_digit();
        let is_filler = part.compact.iter().all(|b| Some(b) == part.compact.first());
        if part.compact.len() > LONGEST
            || is_filler
            || !part.separators.iter().all(is_usual)
            || is_fraction
            || self.byte(part.end) == b'.' && self.byte(part.end + 1).is_ascii_digit()
        {
            return None;
        }
        let writing = Writing::of(part);
        let mut best = None;
        if !said.rows.is_empty() {
            best = self.surest(
                part,
                |id| said.rows.has(id.row),
                |id| named(id, part, &writing),
            );
        }
        // None is as sure as one that is named.
        let is_decoy = || {
            self.is_decoy(part.start) || is_time(part) && !said.generally && !said.is_country_named
        };
        if best.is_none() && !is_decoy() {
            best = self.surest(
                part,
                |id| !said.rows.has(id.row),
                |id| unnamed(id, part, &writing, said),
            );
        }
        let Some((confidence, id)) = best else {
            return self.mistyped(part, is_filler);
        };
        let closes = part.separators.contains(&b'(') && self.byte(part.end) == b')';
        let mut finding = Finding::new(
            part.start,
            part.end + usize::from(closes),
            id.kind,
            id.rule,
            confidence,
        );
        finding.country = Some(id.country.into());
        Some(finding)
    }

    /// A number that its own label names right before it, whatever its check digits, its range and
    /// its length: mistyped, made up for a test, or of a form that has changed. And three, two and
    /// four digits joined by hyphens, which nothing else is written as.
    fn mistyped(&self, part: &Part<'_>, is_filler: bool) -> Option<Finding> {
        let digits = part.compact.iter().filter(|b| b.is_ascii_digit()).count();
        let finding = |kind, rule, confidence| {
            Some(Finding::new(part.start, part.end, kind, rule, confidence))
        };
        let label = self.label_before(part.start);
        // A standard of the internet, and no taxpayer of Mexico's.
        let is_standard = label
            .is_some_and(|l| self.part(l.start, l.end).eq_ignore_ascii_case("rfc"))
            && !part.has_letter;
        if let Some(label) = label.filter(|_| {
            !is_standard && !is_filler && digits >= 5 && digits * 2 > part.compact.len()
        }) {
            let name = plain_phrase(self.part(label.start, label.end));
            let rows = self.tables.ids.named.get(&name);
            let is_like = |id: &Id| rows.is_some_and(|rows| rows.has(id.row));
            let lengths = part.compact.len().saturating_sub(2)..=part.compact.len() + 2;
            let lists = lengths.filter_map(|length| self.tables.ids.by_length.get(length));
            if let Some(id) = lists.flatten().flatten().find(|id| is_like(id)) {
                let mut finding = Finding::new(part.start, part.end, id.kind, id.rule, 82);
                finding.country = Some(id.country.into());
                return Some(finding);
            }
            let is_long = (7..=16).contains(&part.compact.len());
            if label.meaning().intersects(Meaning::TAX_ID) && is_long {
                return finding(Kind::TaxId, "tax_id_labelled", 62);
            }
            if label.meaning().intersects(Meaning::NATIONAL_ID) && is_long {
                return finding(Kind::NationalId, "national_id_labelled", 62);
            }
        }
        let is_ssn =
            part.sizes == [3, 2, 4] && part.separators == b"--" && !part.has_letter && !is_filler;
        if is_ssn && !part.is_inner && !self.is_decoy(part.start) {
            finding(Kind::NationalId, "ssn", 58)
        } else {
            None
        }
    }

    /// The name of a number that stands right before one, with nothing between but signs and words
    /// such as `number`.
    fn label_before(&self, start: usize) -> Option<Hit> {
        let names = Meaning::ID_NAME
            .union(Meaning::NATIONAL_ID)
            .union(Meaning::TAX_ID);
        let hit = self.before(start, names, 24)?;
        let between = self.part(hit.end, start).to_lowercase();
        let mut words = between
            .split(|c: char| !c.is_alphabetic())
            .filter(|w| !w.is_empty());
        let joins = |w: &str| {
            matches!(
                w,
                "number"
                    | "no"
                    | "nr"
                    | "num"
                    | "is"
                    | "id"
                    | "ist"
                    | "est"
                    | "es"
                    | "nummer"
                    | "numéro"
                    | "número"
                    | "numero"
                    | "card"
            )
        };
        let is_near = words.all(joins)
            && !between.contains(['\n', ',', ';'])
            && !between.contains(|c: char| c.is_ascii_digit());
        // A short name is one in capitals: `NIP`, and not `nip`.
        let name = self.part(hit.start, hit.end);
        let is_name = name.len() > 4
            || name.chars().all(char::is_uppercase)
            || between.contains(':')
            || between.contains('"');
        (is_near && is_name && !super::is_word_byte(self.byte_before(hit.start))).then_some(hit)
    }

    /// Of the numbers that a part may be and that are asked for the surest, then the strongest, and
    /// how sure it is.
    fn surest(
        &self,
        part: &Part<'_>,
        is_asked: impl Fn(&Id) -> bool,
        confidence: impl Fn(&Id) -> Option<u8>,
    ) -> Option<(u8, &Id)> {
        let digits = digits_of(part.compact);
        let mut best: Option<(u8, u32, &Id)> = None;
        for id in self
            .tables
            .ids
            .like(part.compact, digits)
            .iter()
            .filter(|id| is_asked(id) && id.fits(part.compact, digits))
        {
            let Some(confidence) = confidence(id) else {
                continue;
            };
            if best.is_none_or(|(c, s, _)| (confidence, id.strength) >= (c, s))
                && id.checks(part.compact)
            {
                best = Some((confidence, id.strength, id));
            }
        }
        best.map(|(confidence, _, id)| (confidence, id))
    }

    /// The countries named near.
    pub(super) fn countries_near(&self, start: usize, end: usize) -> Vec<&'static str> {
        if !self.meanings.intersects(Meaning::COUNTRY) {
            return Vec::new();
        }
        let hits = self
            .hits_in(start.saturating_sub(96), end + 49)
            .filter(|h| h.meaning().intersects(Meaning::COUNTRY));
        hits.filter_map(|h| self.tables.country(self.part(h.start, h.end)))
            .collect()
    }
}

/// Seconds or milliseconds since 1970, of this century.
fn is_time(part: &Part<'_>) -> bool {
    matches!(part.compact, [b'1', b'0'..=b'9', ..])
        && part.sizes.len() == 1
        && matches!(part.compact.len(), 10 | 13)
        && part.compact >= b"14".as_slice()
}

/// How a number is written.
struct Writing {
    groups: Groups,
    /// In one group.
    is_plain: bool,
    /// As dates are.
    is_dated: bool,
    /// In four groups of several lengths, or more.
    is_uneven: bool,
    /// With two kinds of signs.
    is_mixed: bool,
}

impl Writing {
    fn of(part: &Part<'_>) -> Self {
        Self {
            groups: Groups::of(part.sizes),
            is_plain: part.sizes.len() == 1,
            is_dated: matches!(part.sizes, [2 | 1, 2, 4] | [4, 2, 2] | [2, 1, 4]),
            is_uneven: part.sizes.len() > 3
                && part.sizes.iter().any(|n| Some(n) != part.sizes.first()),
            is_mixed: part
                .separators
                .iter()
                .any(|b| Some(b) != part.separators.first()),
        }
    }

    /// Returns true if a form has these groups.
    fn fits(&self, id: &Id) -> bool {
        self.is_plain || id.forms.iter().any(|f| f.groups == self.groups)
    }
}

/// How sure it is that a part is the number that the words around name, if its check digits are
/// right.
fn named(id: &Id, part: &Part<'_>, writing: &Writing) -> Option<u8> {
    let may_be =
        id.strength >= 200 || part.sizes.len() <= 4 && !writing.is_dated || writing.fits(id);
    may_be.then_some(94)
}

/// How sure it is that a part is this number, which no word names, if its check digits are right.
fn unnamed(id: &Id, part: &Part<'_>, writing: &Writing, said: &NamedRows) -> Option<u8> {
    let groups_fit = writing.fits(id);
    if !groups_fit && id.strength < 200 {
        return None;
    }
    let here = said.here.has(id.row);
    let is_written = !writing.is_plain && groups_fit || part.has_letter;
    // Numbers are rarely written so.
    let is_formed = groups_fit
        && (writing.is_mixed || writing.is_uneven || part.has_letter && part.sizes.len() > 2);
    let rarity = id
        .strength
        .saturating_mul(if is_formed { 8 } else { 1 })
        .saturating_mul(if part.has_letter { 8 } else { 1 });
    let length = part.compact.len();
    Some(match id.strength {
        _ if here && said.generally => 88,
        200.. if is_written => 80,
        200.. => 70,
        40..200 if said.generally || here => 78,
        90..200 if length >= 9 => 58,
        40..200 if is_written => 60,
        _ if id.country == "US" && part.sizes == [3, 2, 4] => match part.separators {
            b"--" => 78,
            b".." => 62,
            b"  " => 56,
            _ => return None,
        },
        _ if part.is_inner => return None,
        50..200 if length >= 10 => 56,
        9..200 if rarity >= 70 && length >= 8 => 56,
        3..200 if rarity >= 150 && length >= 9 => 56,
        25..200 if is_written && length >= 10 => 54,
        _ if writing.is_uneven && part.has_letter && groups_fit => 54,
        5..40 if said.generally => 70,
        5..40 if here && is_written => 65,
        _ if said.generally && here => 72,
        _ => return None,
    })
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
