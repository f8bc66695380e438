//! National and tax numbers, found by strong check digits or by the words around them.
//!
//! The numbers of all countries are data (`id_table`). Cheap tests run first: the places of the
//! digits in each form, then the words around. Check digits are computed only if they could lead to
//! a finding.

use super::{
    cluster::Part,
    context::Context,
    id_table::{Groups, Id, LONGEST, Rows, digits_of},
    one_of,
};
use crate::redact::{
    Kind,
    label::Finding,
    scan::Hit,
    vocabulary::{Meaning, is_letter, plain_phrase},
};

/// Maximum distance between a name and the number after it, in bytes.
const BEFORE: usize = 64;
/// Maximum distance between a number and the name after it, in bytes.
const BEHIND: usize = 32;
/// National numbers that the words around a cluster name.
#[derive(Debug, Default)]
pub(super) struct NamedRows {
    /// The rows that the words name.
    rows: Rows,
    /// The rows of the countries that the words name.
    here: Rows,
    is_country_named: bool,
    /// True if a word for national or tax numbers in general stands near.
    generally: bool,
}

/// Returns the national numbers that the words around `start..end` name.
pub(super) fn said_around(context: &Context<'_>, start: usize, end: usize) -> NamedRows {
    let mut said = NamedRows::default();
    for country in countries_near(context, start, end) {
        said.is_country_named = true;
        context
            .tables
            .ids
            .of_country
            .get(country)
            .into_iter()
            .for_each(|rows| said.here.add(rows));
    }
    for hit in context.hits_in(start.saturating_sub(BEFORE + 48), end + BEHIND) {
        if hit.end + BEFORE < start {
            continue;
        }
        said.generally |= hit
            .meaning()
            .intersects(Meaning::NATIONAL_ID.union(Meaning::TAX_ID));
        // Letters within a longer token, as `cc` in a hash, are not a name.
        let is_part = context.byte_before(hit.start).is_ascii_digit()
            || hit.end - hit.start < 4 && context.byte(hit.end).is_ascii_digit();
        if hit.meaning().intersects(Meaning::ID_NAME) && !is_part {
            // A long name is not an abbreviation, and counts as a word for such numbers in general.
            said.generally |= hit.end - hit.start > 8;
            context
                .tables
                .ids
                .named
                .get(&plain_phrase(context.part(hit.start, hit.end)))
                .into_iter()
                .for_each(|rows| said.rows.add(rows));
        }
    }
    name_in_initials(context, start, &mut said.rows);
    said
}

/// Finds names in initials, as `C.P.F.`; the vocabulary has no words of one letter.
fn name_in_initials(context: &Context<'_>, start: usize, rows: &mut Rows) {
    let text = context.part(context.ceiling(start.saturating_sub(BEFORE)), start);
    // Most texts contain no initials.
    let is_initials = |w: &[u8]| matches!(w, [a, b'.', b, b'.'] if is_letter(*a) && is_letter(*b));
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
                .filter_map(|name| context.tables.ids.named.get(name));
            named.for_each(|named| rows.add(named));
        }
        initials.clear();
        let Some(c) = next else { break };
        is_inside = c.is_alphanumeric();
    }
}

/// Detects a national or tax number: of the possible ones, that of the highest confidence.
pub(super) fn identity(
    context: &Context<'_>,
    part: &Part<'_>,
    said: &NamedRows,
) -> Option<Finding> {
    let is_usual = |s: &u8| matches!(s, b' ' | b'-' | b'.' | b'/' | b'_' | b'(');
    let is_fraction = (part.sizes.len() == 1 || context.byte_before(part.start) == b'.')
        && one_of(context.byte_before(part.start), b".,")
        && context.byte_before(part.start - 1).is_ascii_digit();
    let is_filler = part.compact.iter().all(|b| Some(b) == part.compact.first());
    if part.compact.len() > LONGEST
        || is_filler
        || !part.separators.iter().all(is_usual)
        || is_fraction
        || context.byte(part.end) == b'.' && context.byte(part.end + 1).is_ascii_digit()
    {
        return None;
    }
    let writing = Writing::of(part);
    let mut best = None;
    if !said.rows.is_empty() {
        best = surest(
            context,
            part,
            |id| said.rows.has(id.row),
            |id| named(id, part, &writing),
        );
    }
    // An unnamed number never has a higher confidence than a named one.
    let is_decoy = || {
        context.is_decoy(part.start) || is_time(part) && !said.generally && !said.is_country_named
    };
    if best.is_none() && !is_decoy() {
        best = surest(
            context,
            part,
            |id| !said.rows.has(id.row),
            |id| unnamed(id, part, &writing, said),
        );
    }
    let Some((confidence, id)) = best else {
        return mistyped(context, part, is_filler);
    };
    let closes = part.separators.contains(&b'(') && context.byte(part.end) == b')';
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

/// Detects a number right after its label even if its check digits, range or length are wrong: it
/// may be mistyped, invented for a test, or of a changed form. It also detects three, two and four
/// digits joined by hyphens, as only US Social Security numbers are written.
fn mistyped(context: &Context<'_>, part: &Part<'_>, is_filler: bool) -> Option<Finding> {
    let digits = part.compact.iter().filter(|b| b.is_ascii_digit()).count();
    let finding =
        |kind, rule, confidence| Some(Finding::new(part.start, part.end, kind, rule, confidence));
    let label = label_before(context, part.start);
    // `RFC` before digits is an internet standard, not a Mexican taxpayer number.
    let is_standard = label
        .is_some_and(|l| context.part(l.start, l.end).eq_ignore_ascii_case("rfc"))
        && !part.has_letter;
    if let Some(label) = label
        .filter(|_| !is_standard && !is_filler && digits >= 5 && digits * 2 > part.compact.len())
    {
        let name = plain_phrase(context.part(label.start, label.end));
        let rows = context.tables.ids.named.get(&name);
        let is_like = |id: &Id| rows.is_some_and(|rows| rows.has(id.row));
        let lengths = part.compact.len().saturating_sub(2)..=part.compact.len() + 2;
        let lists = lengths.filter_map(|length| context.tables.ids.by_length.get(length));
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
    if is_ssn && !part.is_inner && !context.is_decoy(part.start) {
        finding(Kind::NationalId, "ssn", 58)
    } else {
        None
    }
}

/// Returns the name right before a number, with only signs and words such as `number` between.
fn label_before(context: &Context<'_>, start: usize) -> Option<Hit> {
    let names = Meaning::ID_NAME
        .union(Meaning::NATIONAL_ID)
        .union(Meaning::TAX_ID);
    let hit = context.before(start, names, 24)?;
    let between = context.part(hit.end, start).to_lowercase();
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
    // A short name needs capitals or a sign after it: `NIP` or `nip:`, but not `nip`.
    let name = context.part(hit.start, hit.end);
    let is_name = name.len() > 4
        || name.chars().all(char::is_uppercase)
        || between.contains(':')
        || between.contains('"');
    (is_near && is_name && !super::is_word_byte(context.byte_before(hit.start))).then_some(hit)
}

/// Returns the number with the highest confidence, then the highest strength, among those that a
/// part may be and that `is_asked` accepts.
fn surest<'a>(
    context: &Context<'a>,
    part: &Part<'_>,
    is_asked: impl Fn(&Id) -> bool,
    confidence: impl Fn(&Id) -> Option<u8>,
) -> Option<(u8, &'a Id)> {
    let digits = digits_of(part.compact);
    let mut best: Option<(u8, u32, &Id)> = None;
    for id in context
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

/// Returns the countries named nearby.
pub(super) fn countries_near(context: &Context<'_>, start: usize, end: usize) -> Vec<&'static str> {
    if !context.meanings.intersects(Meaning::COUNTRY) {
        return Vec::new();
    }
    let hits = context
        .hits_in(start.saturating_sub(96), end + 49)
        .filter(|h| h.meaning().intersects(Meaning::COUNTRY));
    hits.filter_map(|h| context.tables.country(context.part(h.start, h.end)))
        .collect()
}

/// Returns true for a Unix time since May 2014, in seconds or milliseconds.
fn is_time(part: &Part<'_>) -> bool {
    matches!(part.compact, [b'1', b'0'..=b'9', ..])
        && part.sizes.len() == 1
        && matches!(part.compact.len(), 10 | 13)
        && part.compact >= b"14".as_slice()
}

/// The form in which a number is written.
struct Writing {
    groups: Groups,
    /// True if it has a single group.
    is_plain: bool,
    /// True if its groups have the lengths of a date's.
    is_dated: bool,
    /// True if it has four or more groups, of different lengths.
    is_uneven: bool,
    /// True if it has several kinds of separators.
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

/// Returns the confidence that a part is the number that the words around name, provided that its
/// check digits are right.
fn named(id: &Id, part: &Part<'_>, writing: &Writing) -> Option<u8> {
    let may_be =
        id.strength >= 200 || part.sizes.len() <= 4 && !writing.is_dated || writing.fits(id);
    may_be.then_some(94)
}

/// Returns the confidence in a number that no word names, if its check digits are right.
fn unnamed(id: &Id, part: &Part<'_>, writing: &Writing, said: &NamedRows) -> Option<u8> {
    let groups_fit = writing.fits(id);
    if !groups_fit && id.strength < 200 {
        return None;
    }
    let here = said.here.has(id.row);
    let is_written = !writing.is_plain && groups_fit || part.has_letter;
    // Other numbers are rarely written like this.
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
