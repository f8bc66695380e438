//! Geographical coordinates.

use super::{
    context::{Context, Findings},
    one_of,
};
use crate::redact::{Kind, vocabulary::Meaning};

/// Detects latitude and longitude in degrees (ISO 6709 as people write it).
pub(super) fn coordinates(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    let signed = at - usize::from(one_of(context.byte_before(at), b"-+"));
    let number = |from: usize| -> Option<(usize, f64, usize)> {
        let sign = usize::from(one_of(context.byte(from), b"-+"));
        let whole = context
            .slice(from + sign, from + sign + 4)
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if !(1..=3).contains(&whole) || context.byte(from + sign + whole) != b'.' {
            return None;
        }
        let fraction = context
            .slice(from + sign + whole + 1, from + sign + whole + 18)
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let end = from + sign + whole + 1 + fraction;
        Some((end, context.part(from, end).parse().ok()?, fraction))
    };
    if context.byte_before(signed).is_ascii_alphanumeric() || context.byte_before(signed) == b'.' {
        return;
    }
    let Some((end, north, precision)) =
        number(signed).filter(|(_, v, p)| v.abs() <= 90.0 && *p >= 2)
    else {
        return;
    };
    let unit = |at: usize| {
        let rest = context.part(at, at + 6);
        let degree = rest
            .chars()
            .take_while(|c| *c == '°' || *c == ' ')
            .map(char::len_utf8)
            .sum::<usize>();
        let letter = usize::from(
            one_of(context.byte(at + degree), b"NSEW")
                && !context.byte(at + degree + 1).is_ascii_alphanumeric(),
        );
        if letter == 1 {
            degree + letter
        } else {
            rest.chars()
                .take_while(|c| *c == '°')
                .map(char::len_utf8)
                .sum()
        }
    };
    let marked = unit(end);
    let between = context.slice(end + marked, end + marked + 24);
    let gap = between.iter().take_while(|b| one_of(**b, b" ,;/")).count();
    let longitude = number(end + marked + gap).filter(|(_, v, p)| v.abs() <= 180.0 && *p >= 2);
    let named = context.before(at, Meaning::COORDINATES, 32).is_some();
    if let (Some((last, east, p2)), true) = (longitude, gap > 0) {
        let tail = unit(last);
        // Two numbers of a longer list, or numbers below 1, are not coordinates.
        let is_gap = |b: &&u8| one_of(**b, b" ,;\t\n");
        let next: Vec<u8> = context
            .slice(last, last + 12)
            .iter()
            .skip_while(is_gap)
            .copied()
            .collect();
        let digits = next
            .iter()
            .skip(usize::from(next.first() == Some(&b'-')))
            .take_while(|b| b.is_ascii_digit())
            .count();
        let goes_on = digits > 0
            && next
                .iter()
                .skip_while(|b| **b != b'.')
                .nth(1)
                .is_some_and(u8::is_ascii_digit)
            && next.first() != Some(&b'.');
        let behind: Vec<u8> = context
            .slice(signed.saturating_sub(24), signed)
            .iter()
            .rev()
            .skip_while(is_gap)
            .copied()
            .collect();
        let run = behind.iter().take_while(|b| b.is_ascii_digit()).count();
        let went_on = run > 0
            && behind.get(run) == Some(&b'.')
            && behind.get(run + 1).is_some_and(u8::is_ascii_digit);
        if !named && marked == 0 && (goes_on || went_on || north.abs() < 1.0 || east.abs() < 1.0) {
            return;
        }
        if precision.min(p2) >= 3 || named || (marked > 0 && tail > 0) {
            findings.add(
                signed,
                last + tail,
                Kind::Coordinates,
                "coordinates",
                if named || precision.min(p2) >= 4 {
                    88
                } else {
                    65
                },
            );
        }
    } else if named && precision >= 3 && context.before(at, Meaning::COORDINATES, 16).is_some() {
        findings.add(signed, end + marked, Kind::Coordinates, "coordinate", 75);
    }
}
