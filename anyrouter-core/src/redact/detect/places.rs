//! Place names, found by lists or by the words before them.

use super::{
    context::{Context, Findings},
    east_asian_addresses, one_of,
};
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// Words before a place name in running text.
const PREPOSITIONS: [&[u8]; 17] = [
    b" in ", b" from ", b" near ", b" to ", b" at ", b" nach ", b" aus ", b" en ", b" de ", b" a ",
    b" di ", b" em ", b" w ", b" i ", b" till ", b" til ", b" uit ",
];
/// Ends of the phrases after which an unlisted name is a place.
const LEADING: [&str; 9] = [
    " in", " from", " to", " aus", " à", " en", " de", " a", " em",
];

/// Detects a listed place.
pub(super) fn place_name(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    hit: Hit,
    meaning: Meaning,
) {
    let first = context.chars_from(hit.start).next();
    let wide = first.is_some_and(|c| u32::from(c) >= 0xe00);
    if !first.is_some_and(char::is_uppercase) && !wide {
        return;
    }
    if wide {
        east_asian_addresses::east_asian_address(context, findings, hit);
    }
    let before = context.byte_before(hit.start);
    if !wide
        && (matches!(
            before,
            b'_' | b'.' | b'/' | b'@' | b'-' | b'#' | b'$' | b'\\' | b'<'
        ) || matches!(
            context.byte(hit.end),
            b'_' | b'/' | b'@' | b'(' | b'=' | b'.'
        ) && is_letter(context.byte(hit.end + 1)))
    {
        return;
    }
    // `Usa …` begins a sentence in Spanish and Italian; the country is written in capitals.
    let word = context.slice(hit.start, hit.end);
    if word.len() <= 3 && word.iter().any(u8::is_ascii_lowercase) && word.is_ascii() {
        return;
    }
    let is_told = context
        .before(hit.start, Meaning::PLACE, 24)
        .is_some_and(|h| !context.is_cut(h.end, hit.start));
    let text = context.slice(hit.start.saturating_sub(10), hit.start);
    let ends_with = |word: &[u8]| {
        text.len() >= word.len()
            && text
                .iter()
                .rev()
                .zip(word.iter().rev())
                .all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    let preposition = PREPOSITIONS.iter().any(|p| ends_with(p));
    let is_doubtful = meaning.intersects(Meaning::AMBIGUOUS)
        || meaning.intersects(Meaning::ANY_NAME) && !meaning.intersects(Meaning::COUNTRY);
    let confidence = match (is_doubtful, is_told, preposition) {
        (false, true, _) => 84,
        (false, false, true) => 74,
        (false, false, false) => 62,
        (true, true, _) => 74,
        (true, false, true) if ends_with(b" in ") || ends_with(b" from ") => 58,
        _ => return,
    };
    // `Paris, France` is one place.
    let mut end = hit.end;
    if context.part(end, context.floor(end + 2)) == ", " {
        if let Some(next) = context
            .after(end + 2, Meaning::PLACE_NAME, 0)
            .filter(|h| h.start == end + 2 && !h.meaning().intersects(Meaning::ANY_NAME))
        {
            end = next.end;
        } else if context
            .slice(end + 2, end + 4)
            .iter()
            .all(u8::is_ascii_uppercase)
            && !context.byte(end + 4).is_ascii_alphanumeric()
            && context.text.len() >= end + 4
        {
            end += 4;
        }
    }
    findings.add(hit.start, end, Kind::Location, "place", confidence);
}

/// Detects a place that only the words before it identify.
pub(super) fn place_behind(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    if context.byte(hit.end) == b' ' && context.byte(hit.end + 1).is_ascii_lowercase() {
        return;
    }
    let phrase = context.part(hit.start, hit.end).to_lowercase();
    let mut at = hit.end;
    let skipped = context
        .slice(at, at + 5)
        .iter()
        .take_while(|b| one_of(**b, b" :=\"'"))
        .count();
    let marked = context
        .slice(at, at + skipped)
        .iter()
        .any(|b| one_of(*b, b":="));
    at += skipped;
    if skipped == 0 || !marked && !LEADING.iter().any(|p| phrase.ends_with(p)) {
        return;
    }
    let mut end = at;
    let mut words = 0;
    while words < 3 {
        let length = context
            .slice(end, end + 32)
            .iter()
            .take_while(|b| is_letter(**b) || one_of(**b, b"'-"))
            .count();
        if length < 3
            || !context
                .chars_from(end)
                .next()
                .is_some_and(char::is_uppercase)
        {
            break;
        }
        words += 1;
        let word_end = end + length;
        end = word_end;
        if context.byte(end) != b' '
            || !context
                .chars_from(end + 1)
                .next()
                .is_some_and(char::is_uppercase)
        {
            break;
        }
        end += 1;
    }
    while context.byte_before(end) == b' ' {
        end -= 1;
    }
    if words > 0 && !is_type(context, hit, at, end) {
        findings.add(at, end, Kind::Location, "place_in_context", 64);
    }
}

/// Returns true for a type or a state: `let state: State`, `country: String`, `"state": "CLOSED"`.
fn is_type(context: &Context<'_>, hit: Hit, start: usize, end: usize) -> bool {
    const TYPES: [&str; 12] = [
        "String", "Option", "Vec", "Box", "Arc", "Self", "Boolean", "Integer", "Number", "Object",
        "Any", "Country",
    ];
    let value = context.part(start, end);
    let name = context.part(hit.start, hit.end);
    // `City::Default`, `region = Some(…)`, `state: AtomicUsize`: source code.
    let is_camel = value
        .bytes()
        .zip(value.bytes().skip(1))
        .any(|(a, b)| a.is_ascii_lowercase() && b.is_ascii_uppercase());
    if context.slice(end, end + 2) == b"::"
        || context.slice(start.saturating_sub(2), start) == b"::"
        || matches!(context.byte(end), b'(' | b'!' | b'{')
        || is_camel
    {
        return true;
    }
    let is_declared = context.slice(hit.end, start).contains(&b':')
        && !matches!(context.byte_before(start), b'"' | b'\'');
    let is_state = name.eq_ignore_ascii_case("state")
        && value.len() > 3
        && value.bytes().all(|b| b.is_ascii_uppercase());
    is_state
        || is_declared
            && (TYPES.contains(&value)
                || value
                    .to_ascii_lowercase()
                    .contains(&name.to_ascii_lowercase())
                || context.byte_before(hit.start) == b'_'
                || matches!(context.byte(end), b'<' | b'(' | b':')
                || context
                    .slice(hit.start.saturating_sub(8), hit.start)
                    .ends_with(b"let ")
                || context
                    .slice(hit.start.saturating_sub(8), hit.start)
                    .ends_with(b"mut "))
}
