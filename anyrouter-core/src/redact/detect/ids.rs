//! National and tax numbers: by their check digits where those are strong, by the words around them
//! where they are not.
//!
//! The numbers of all countries are data (`id_table`). The cheap questions come first: whether the
//! digits stand where a form has them, whether the words around would do; check digits are worked
//! out only where that could make a finding.

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

/// How far before a number its name is looked for, in bytes.
const BEFORE: usize = 64;
/// How far behind it.
const BEHIND: usize = 32;
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

/// What the words around say that numbers between `start` and `end` are.
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
        // Letters within a longer token, as `cc` in a hash, are no name.
        let is_part = context.byte_before(hit.start).is_ascii_digit()
            || hit.end - hit.start < 4 && context.byte(hit.end).is_ascii_digit();
        if hit.meaning().intersects(Meaning::ID_NAME) && !is_part {
            // What names another country's number speaks of such numbers as well, where it is
            // no abbreviation.
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

/// `C.P.F.`, which is no word of the vocabulary, as its words have one letter.
fn name_in_initials(context: &Context<'_>, start: usize, rows: &mut Rows) {
    let text = context.part(context.ceiling(start.saturating_sub(BEFORE)), start);
    // Mostly there are none.
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

/// A national or tax number: of those that it may be, the surest.
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
    // None is as sure as one that is named.
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

/// A number that its own label names right before it, whatever its check digits, its range and
/// its length: mistyped, made up for a test, or of a form that has changed. And three, two and
/// four digits joined by hyphens, which nothing else is written as.
fn mistyped(context: &Context<'_>, part: &Part<'_>, is_filler: bool) -> Option<Finding> {
    let digits = part.compact.iter().filter(|b| b.is_ascii_digit()).count();
    let finding =
        |kind, rule, confidence| Some(Finding::new(part.start, part.end, kind, rule, confidence));
    let label = label_before(context, part.start);
    // A standard of the internet, and no taxpayer of Mexico's.
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

/// The name of a number that stands right before one, with nothing between but signs and words
/// such as `number`.
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
    // A short name is one in capitals: `NIP`, and not `nip`.
    let name = context.part(hit.start, hit.end);
    let is_name = name.len() > 4
        || name.chars().all(char::is_uppercase)
        || between.contains(':')
        || between.contains('"');
    (is_near && is_name && !super::is_word_byte(context.byte_before(hit.start))).then_some(hit)
}

/// Of the numbers that a part may be and that are asked for the surest, then the strongest, and
/// how sure it is.
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

/// The countries named near.
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
