//! Postcodes, found after their names and by their shapes within an address.

use super::{
    context::{Context, Findings},
    is_word_byte, one_of,
};
use crate::{
    part::Part as _,
    redact::{Kind, scan::Hit},
};

/// Detects `ZIP: 62701`, `my postcode is SW1A 1AA`.
pub(super) fn postcode(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let gap = context
        .slice(hit.end, hit.end + 8)
        .iter()
        .take_while(|b| one_of(**b, b" :#=\"'."))
        .count();
    let mut at = hit.end + gap;
    if context.slice(at, at + 3) == b"is " {
        at += 3;
    }
    let is_code = |b: &&u8| b.is_ascii_uppercase() || b.is_ascii_digit() || one_of(**b, b" -");
    let length = context
        .slice(at, at + 10)
        .iter()
        .take_while(is_code)
        .count();
    let mut code = context.part(at, at + length);
    // Drops the first letter of the next word.
    if is_word_byte(context.byte(at + length)) {
        code = code.rsplit_once(' ').map_or(code, |(code, _)| code);
    }
    let code = code.trim_end();
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    let end = at + code.len();
    if gap > 0 && (3..=9).contains(&digits) && code.len() <= 10 && !is_word_byte(context.byte(end))
    {
        findings.add(at, end, Kind::Address, "postcode", 80);
    }
}

/// Returns true for a postcode by itself: five digits with or without four more, and British,
/// Canadian, Dutch and other forms.
pub(super) fn is_postcode(piece: &str) -> bool {
    let bytes = piece.as_bytes();
    let shape: String = piece
        .chars()
        .map(|c| match c {
            '0'..='9' => 'd',
            'A'..='Z' => 'A',
            _ => c,
        })
        .collect();
    matches!(
        shape.as_str(),
        "ddddd"
            | "ddddd-dddd"
            | "dddd"
            | "dddddd"
            | "ddd dd"
            | "dd-ddd"
            | "dddd-ddd"
            | "ddddd-ddd"
            | "ddd-dddd"
            | "AdA dAd"
            | "dddd AA"
            | "Ad dAA"
            | "Add dAA"
            | "AAd dAA"
            | "AAdd dAA"
            | "AdA dAA"
            | "AAdA dAA"
            | "AdAdAd"
    ) || bytes.len() == 8 && matches!(shape.as_str(), "AA ddddd" | "AA dddd")
}

/// Returns true for a postcode with a town: `10115 Berlin`, `Springfield IL 62701`.
pub(super) fn has_code(piece: &str) -> bool {
    let words: Vec<&str> = piece.split(' ').collect();
    let capital = words
        .iter()
        .all(|w| w.starts_with(|c: char| c.is_uppercase() || c.is_numeric()) || w.len() < 4);
    let is_code = |w: &str| {
        capital
            && matches!(w.len(), 4..=10)
            && matches!(w.bytes().filter(u8::is_ascii_digit).count(), 3..=6 | 8 | 9)
            && w.split('-').all(|p| p.len() <= 6)
            && w.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    };
    words.len() > 1
        && (words.first().is_some_and(|w| is_code(w)) || words.last().is_some_and(|w| is_code(w)))
        || words.len() > 2
            && (is_postcode(&words.part(words.len() - 2..).join(" "))
                || is_postcode(&words.part(..2).join(" ")))
}
