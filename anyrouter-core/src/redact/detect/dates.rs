//! Dates of birth: dates in any usual form with a word for birth beside them.

use super::{
    context::{Context, Findings},
    one_of,
};
use crate::part::Part as _;
use crate::redact::{Kind, scan::Hit, vocabulary::Meaning};

/// Maximum distance between a date and the word before it, in bytes.
const DISTANCE: usize = 40;

/// `1985-03-12`, `12/03/1985`, `12.3.85`, `19850312`, `1985年3月12日`, and a day before a month's
/// name.
pub(super) fn date(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    if context.byte_before(at).is_ascii_alphanumeric()
        || !is_about_birth(context, at) && context.after(at, Meaning::DOB, 24).is_none()
    {
        return;
    }
    let mut end = at;
    let mut groups: Vec<usize> = Vec::new();
    loop {
        let digits = context
            .slice(end, end + 9)
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits == 0 {
            break;
        }
        groups.push(digits);
        end += digits;
        let rest = context.part(end, context.floor(end + 8));
        let gap = match rest.chars().next() {
            Some('年' | '月' | '년' | '월') => {
                let unit = rest.chars().next().map_or(0, char::len_utf8);
                unit + rest.part(unit..).bytes().take_while(|b| *b == b' ').count()
            }
            Some('日' | '일') => {
                end += rest.chars().next().map_or(0, char::len_utf8);
                break;
            }
            Some('/' | '-' | '.') => 1 + usize::from(rest.get(1..2) == Some(" ")),
            Some(' ') if rest.get(1..2).is_some_and(|c| c == "/" || c == "-") => 3,
            _ => break,
        };
        if groups.len() == 3 || !context.byte(end + gap).is_ascii_digit() {
            break;
        }
        end += gap;
    }
    let is_date = match groups.as_slice() {
        [8] => true,
        [a, b, c] => {
            [*a, *b, *c].iter().all(|n| *n <= 4) && (*a == 4 || *c == 4 || *c == 2) && *b <= 2
        }
        [4] => context.part(at, end).starts_with("19") || context.part(at, end).starts_with("20"),
        _ => false,
    };
    let is_about = is_about_birth(context, at)
        || context
            .after(end, Meaning::DOB, 8)
            .is_some_and(|h| !context.is_cut(end, h.start));
    if is_date && is_about && !context.byte(end).is_ascii_alphanumeric() {
        findings.add(
            at,
            end,
            Kind::DateOfBirth,
            "date_of_birth",
            if groups.len() == 3 || groups == [8] {
                88
            } else {
                60
            },
        );
    }
}

/// Returns true if a word for birth stands before `at`, with no other date between.
fn is_about_birth(context: &Context<'_>, at: usize) -> bool {
    context
        .before(at, Meaning::DOB, DISTANCE)
        .is_some_and(|word| {
            !context.is_cut(word.end, at)
                && context
                    .slice(word.end, at)
                    .iter()
                    .filter(|b| b.is_ascii_digit())
                    .count()
                    < 4
        })
}

/// `12 March 1985`, `March 12th, 1985`, `12 de marzo de 1985`, around a month's name.
pub(super) fn written_date(context: &Context<'_>, findings: &mut Findings<'_>, month: Hit) {
    if !is_about_birth(context, month.start)
        && context
            .after(month.end, Meaning::DOB, 16)
            .is_none_or(|h| context.is_cut(month.end, h.start))
    {
        return;
    }
    // The day before the month, with its separators.
    let before = context.slice(month.start.saturating_sub(10), month.start);
    let mut start = month.start;
    let joint = before
        .iter()
        .rev()
        .take_while(|b| one_of(**b, b" .,-/"))
        .count();
    let mut head = before.part(..before.len() - joint);
    let mut length = joint;
    for particle in [
        &b"of"[..],
        b"de",
        b"di",
        b"th",
        b"st",
        b"nd",
        b"rd",
        b"er",
        "º".as_bytes(),
    ] {
        if let Some(rest) = head.strip_suffix(particle) {
            let spaces = rest.iter().rev().take_while(|b| **b == b' ').count();
            length += particle.len() + spaces;
            head = rest.part(..rest.len() - spaces);
        }
    }
    let day = head.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    if (1..=2).contains(&day) {
        start = month.start - length - day;
    }
    // A day and a year after the month.
    let mut end = month.end;
    let mut year = false;
    for _ in 0..3 {
        let mut at = end;
        at += context
            .slice(at, at + 3)
            .iter()
            .take_while(|b| one_of(**b, b" ,.-/"))
            .count();
        for particle in ["de ", "del ", "of "] {
            if context.part(at, at + particle.len()) == particle {
                at += particle.len();
            }
        }
        let digits = context
            .slice(at, at + 5)
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        match digits {
            1 | 2 | 4 if !year => {
                end = at + digits;
                year = digits == 4;
                if digits < 4 && matches!(context.part(end, end + 2), "th" | "st" | "nd" | "rd") {
                    end += 2;
                }
            }
            _ => break,
        }
    }
    if start < month.start || end > month.end {
        findings.add(
            start,
            end,
            Kind::DateOfBirth,
            "date_of_birth",
            if year { 88 } else { 65 },
        );
    }
}

/// Returns true if three numbers, each with its digit count, are a date, year first or last.
pub(super) fn is_date(numbers: [(usize, u32); 3]) -> bool {
    let is_year = |(length, number): (usize, u32)| length == 4 && (1900..2100).contains(&number);
    let is_day = |(length, number): (usize, u32)| length <= 2 && (1..=31).contains(&number);
    let [first, second, third] = numbers;
    is_day(second) && (is_year(first) && is_day(third) || is_day(first) && is_year(third))
}

/// Returns true for `2024-05-06`, with `-` or `/` (ISO 8601).
pub(super) fn is_iso_date(text: &str) -> bool {
    let parts = |sign: u8| -> Option<[(usize, u32); 3]> {
        let number = |digits: &[u8]| {
            let is_number = digits.iter().all(u8::is_ascii_digit);
            if is_number {
                (
                    digits.len(),
                    digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')),
                )
            } else {
                (0, 0)
            }
        };
        let mut parts = text.as_bytes().split(|b| *b == sign).map(number);
        Some([parts.next()?, parts.next()?, parts.next()?])
    };
    // The first number has one, two or four digits.
    let is_sign = |at: usize| text.as_bytes().get(at).is_some_and(|b| one_of(*b, b"-/"));
    text.len() == 10
        && (is_sign(4) || is_sign(2) || is_sign(1))
        && [b'-', b'/'].into_iter().filter_map(parts).any(is_date)
}
