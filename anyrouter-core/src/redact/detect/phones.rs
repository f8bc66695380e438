//! Telephone numbers: international ones by their country's plan, national ones by their form,
//! their country or the words around them.

use super::{cluster::Part, context::Context, ids, one_of};
use crate::redact::{Kind, label::Finding, vocabulary::Meaning};

/// Detects a phone number: an international one by its country's plan, a national one by its form,
/// its country or the words around it.
pub(super) fn phone(context: &Context<'_>, part: &Part<'_>) -> Option<Finding> {
    let digits = part.compact;
    if part.has_letter
        || !(6..=if digits.starts_with(b"00") { 17 } else { 15 }).contains(&digits.len())
        || part.separators.contains(&b'\n')
    {
        return None;
    }
    let finding = |start, confidence| {
        Some(Finding::new(
            start,
            phone_end(context, part.end),
            Kind::Phone,
            "phone",
            confidence,
        ))
    };
    let opens = context.byte_before(part.start) == b'(';
    let mut start = part.start - usize::from(opens);
    if context.byte_before(start) == b'+' {
        start -= 1;
        if context.byte_before(start) == b'(' {
            start -= 1;
        }
        return if context.tables.phones.is_international(digits) {
            finding(start, 95)
        } else if digits.len() >= 9 && context.near(start, part.end, Meaning::PHONE) {
            finding(start, 75)
        } else {
            None
        };
    }
    let is_fraction = one_of(context.byte(part.end), b".%")
        || context.byte(part.end) == b',' && part.sizes.len() == 1;
    if context.byte_before(part.start) == b'.'
        || is_fraction && context.byte(part.end + 1).is_ascii_digit()
    {
        return None;
    }
    let named =
        context.near(part.start, part.end, Meaning::PHONE) && !is_called_otherwise(context, part);
    if let Some(dialled) = digits.strip_prefix(b"00")
        && context.tables.phones.is_international(dialled)
    {
        if named || part.sizes.len() > 1 {
            return finding(start, 85);
        }
        if dialled.len() >= 8 && !context.is_decoy(part.start) {
            return finding(start, 58);
        }
    }
    let sizes = part.sizes;
    if let Some(is_valid) = nanp(digits) {
        let formed = matches!(sizes, [3, 3, 4] | [1, 3, 3, 4] | [3, 7] | [1, 3, 7]);
        let dashed = opens || part.separators.iter().any(|s| one_of(*s, b"-.)"));
        return match (named, formed, is_valid) {
            (true, ..) => finding(start, 90),
            (false, true, true) if dashed && !context.is_decoy(part.start) => finding(start, 80),
            (false, true, true) if !context.is_decoy(part.start) => finding(start, 60),
            (false, true, false) if opens => finding(start, 65),
            _ => national(context, part, start),
        };
    }
    if named && digits.len() >= 6 && before_or_close(context, part, Meaning::PHONE) {
        let plausible = digits.len() >= 7 || part.sizes.len() > 1;
        return if plausible { finding(start, 82) } else { None };
    }
    national(context, part, start)
}

/// Returns true if the nearest name before is that of another number, as `personal number`.
fn is_called_otherwise(context: &Context<'_>, part: &Part<'_>) -> bool {
    let name = |any: Meaning| {
        context
            .before(part.start, any, 48)
            .map(|h| (h.end, h.end - h.start))
    };
    name(
        Meaning::NATIONAL_ID
            .union(Meaning::TAX_ID)
            .union(Meaning::ID_NAME)
            .union(Meaning::CARD),
    ) > name(Meaning::PHONE)
}

fn before_or_close(context: &Context<'_>, part: &Part<'_>, any: Meaning) -> bool {
    context.before(part.start, any, 48).is_some() || context.after(part.end, any, 10).is_some()
}

/// Detects a number of a country named nearby, or one written as only phone numbers are.
fn national(context: &Context<'_>, part: &Part<'_>, start: usize) -> Option<Finding> {
    let digits = part.compact;
    let finding = |confidence| {
        Some(Finding::new(
            start,
            part.end,
            Kind::Phone,
            "phone_national",
            confidence,
        ))
    };
    let sizes = part.sizes;
    let is_dated = matches!(
        sizes,
        [4, 2 | 1, 2] | [2 | 1, 2, 4] | [2, 1, 4] | [4, 2, 1] | [4, 4]
    ) && digits.len() <= 8;
    let is_decimal = part.separators == b"."
        || one_of(context.byte_before(part.start), b"./=&?-")
        || context.byte(part.end) == b'.' && context.byte(part.end + 1) == b'.';
    // `21-18 21-16`: the score of a match, set by set.
    let is_score = sizes.iter().all(|n| *n <= 2)
        && part.separators.contains(&b'-')
        && part.separators.contains(&b' ');
    let is_doi = context
        .part(context.ceiling(part.start.saturating_sub(4)), part.start)
        .to_ascii_lowercase()
        .ends_with("doi:")
        || digits.starts_with(b"10")
            && part.separators.contains(&b'/')
            && part.separators.contains(&b'.');
    if is_dated
        || is_decimal
        || is_score
        || is_doi
        || context.is_decoy(part.start)
        || context.byte(part.end) == b'-'
    {
        return None;
    }
    if ids::countries_near(context, part.start, part.end)
        .iter()
        .any(|c| context.tables.phones.is_national(c, digits))
    {
        return finding(78);
    }
    if is_decimal_list(part) || part.is_inner {
        return None;
    }
    let spaced = part.sizes.len() > 1 && part.separators.iter().all(|s| one_of(*s, b" -/.)("));
    if digits.first() == Some(&b'0')
        && spaced
        && (10..=12).contains(&digits.len())
        && digits.get(1) != Some(&b'0')
        && context.tables.phones.is_national_anywhere(digits)
    {
        return finding(70);
    }
    let pairs = part.sizes;
    let distinct = part.separators.contains(&b')')
        || part
            .separators
            .windows(2)
            .any(|w| matches!(w, [a, b] if a != b))
        || pairs.len() > 3;
    (spaced
        && distinct
        && (8..=11).contains(&digits.len())
        && part.sizes.len() >= 3
        && pairs.iter().all(|s| (2..=4).contains(s))
        && context.tables.phones.is_national_anywhere(digits))
    .then(|| finding(55))
    .flatten()
}

/// Returns the end of an extension, ` ext. 123`, after a number.
fn phone_end(context: &Context<'_>, end: usize) -> usize {
    let rest = context.part(end, context.floor(end + 16));
    for mark in [
        " ext. ",
        " ext.",
        " ext ",
        " x",
        "x",
        " extension ",
        ", ext. ",
        ", ext ",
    ] {
        if let Some(after) = rest.strip_prefix(mark) {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            if (1..=6).contains(&digits) {
                return end + mark.len() + digits;
            }
        }
    }
    end
}

/// Returns true for a list of decimal numbers: `1.5 - 2.5`.
fn is_decimal_list(part: &Part<'_>) -> bool {
    part.separators.iter().filter(|s| **s == b'.').count() > 0
        && part.separators.iter().any(|s| *s == b' ' || *s == b'-')
        && part.separators.first() == Some(&b'.')
}

/// Returns true if a North American number fits its plan, `None` if it has another length.
fn nanp(digits: &[u8]) -> Option<bool> {
    let national = match digits {
        [b'1', rest @ ..] if rest.len() == 10 => rest,
        rest if rest.len() == 10 => rest,
        _ => return None,
    };
    let starts = |i: usize| national.get(i).is_some_and(|d| *d >= b'2');
    Some(starts(0) && starts(3))
}
