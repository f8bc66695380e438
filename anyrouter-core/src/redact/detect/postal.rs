//! Postal addresses: streets with their numbers in the forms of several languages, and the parts of
//! an address after them.

use super::{
    context::{Context, Findings},
    one_of, places,
    postcodes::{self, has_code, is_postcode},
};
use crate::part::Part as _;
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// Endings of German, Dutch and Scandinavian street names.
const SUFFIXES: [&str; 34] = [
    "straße", "strasse", "str", "weg", "platz", "allee", "gasse", "ring", "damm", "ufer",
    "chaussee", "steig", "graben", "pfad", "stieg", "straat", "laan", "plein", "gracht", "kade",
    "dijk", "singel", "steeg", "hof", "gatan", "vägen", "gata", "veien", "vej", "gade", "katu",
    "tie", "gränd", "allé",
];

/// Detects an address or a place at a word for a place, a street or an address.
pub(super) fn place(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    hit: Hit,
    meaning: Meaning,
) {
    if meaning.intersects(Meaning::STREET_AFTER) {
        street_before(context, findings, hit);
    }
    if meaning.intersects(Meaning::STREET_BEFORE) {
        street_behind(context, findings, hit);
    }
    if meaning.intersects(Meaning::PLACE_NAME) {
        places::place_name(context, findings, hit, meaning);
    }
    if meaning.intersects(Meaning::PLACE) {
        places::place_behind(context, findings, hit);
    }
    if meaning.intersects(Meaning::ADDRESS) {
        address_field(context, findings, hit);
    }
    if meaning.intersects(Meaning::POSTCODE) {
        postcodes::postcode(context, findings, hit);
    }
}

/// Detects `123 North Main Street`.
fn street_before(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let is_capital = |at: usize| {
        context
            .chars_from(at)
            .next()
            .is_some_and(char::is_uppercase)
    };
    let long = hit.end - hit.start > 3;
    if !is_capital(hit.start) && !long {
        return;
    }
    let mut start = hit.start;
    let mut words = 0;
    let mut number = None;
    while words < 5 && start > 0 && context.byte_before(start) == b' ' {
        let end = start - 1;
        let mut end_of_word = end;
        if context.byte_before(end_of_word) == b'.' {
            end_of_word -= 1;
        }
        let length = context
            .slice(end_of_word.saturating_sub(24), end_of_word)
            .iter()
            .rev()
            .take_while(|b| is_letter(**b) || b.is_ascii_digit() || one_of(**b, b"'-/"))
            .count();
        if length == 0 {
            break;
        }
        let word = end_of_word - length;
        if !context.text.is_char_boundary(word) {
            break;
        }
        let text = context.part(word, end_of_word);
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let is_ordinal =
            digits > 0 && matches!(text.get(digits..), Some("st" | "nd" | "rd" | "th"));
        if digits > 0 && !is_ordinal && text.len() - digits <= 2 && digits <= 6
            || digits > 0 && text.contains(['-', '/']) && text.len() <= 9
        {
            number = Some(word);
            break;
        }
        if !is_capital(word) && !is_ordinal && !matches!(text, "of" | "the" | "de" | "la") {
            break;
        }
        start = word;
        words += 1;
    }
    if words == 0 {
        return;
    }
    let mut end = hit.end;
    if context.byte(end) == b'.' && hit.end - hit.start <= 4 {
        end += 1;
    }
    match number {
        Some(number) => {
            let end = address_end(context, end);
            findings.add(number, end, Kind::Address, "street_address", 90);
        }
        None => {
            // The number may follow, as in `Stationsplein 5` written in two words.
            let behind = house_number(context, end);
            if behind > end && long {
                let end = address_end(context, behind);
                findings.add(start, end, Kind::Address, "street_address", 70);
            } else if long
                && is_capital(hit.start)
                && context.slice(hit.start, hit.end).len() > 4
                && words <= 3
                && matches!(
                    context.part(hit.start, hit.end),
                    "Street" | "Avenue" | "Road" | "Boulevard" | "Lane"
                )
            {
                findings.add(start, end, Kind::Address, "street", 60);
            }
        }
    }
}

/// Returns the end of a house number after `at`, or `at`.
fn house_number(context: &Context<'_>, at: usize) -> usize {
    let mut from = at;
    for joint in [
        ", д. ",
        ", дом ",
        ", nº ",
        ", n° ",
        " nº ",
        " n. ",
        ", n. ",
        " no. ",
        " No: ",
        " No:",
        " no:",
        " nr ",
        " Nr. ",
        ", ",
        " ",
    ] {
        if context.part(at, at + joint.len()) == joint {
            from = at + joint.len();
            break;
        }
    }
    let digits = context
        .slice(from, from + 6)
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    if from == at || digits == 0 || digits > 5 {
        return at;
    }
    let mut end = from + digits;
    if context.byte(end).is_ascii_alphabetic() && !context.byte(end + 1).is_ascii_alphanumeric() {
        end += 1;
    } else if matches!(context.byte(end), b'-' | b'/') {
        let more = context
            .slice(end + 1, end + 5)
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
        if more > 0 && more < 4 {
            end += 1 + more;
        }
    }
    if context.byte(end).is_ascii_alphanumeric() {
        at
    } else {
        end
    }
}

/// Detects `12 rue de la Paix`, `Calle Mayor 12`, `via Roma, 10`.
fn street_behind(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let mut at = hit.end;
    if context.byte(at) == b'.' {
        at += 1;
    }
    if context.byte(at) != b' ' {
        return;
    }
    at += 1;
    let mut words = 0;
    let mut end = at;
    while words < 6 {
        let length = context
            .slice(at, at + 32)
            .iter()
            .take_while(|b| is_letter(**b) || one_of(**b, b"'-."))
            .count();
        let word = context.part(at, at + length);
        let is_particle = matches!(
            word,
            "de" | "la"
                | "le"
                | "les"
                | "des"
                | "du"
                | "del"
                | "della"
                | "dei"
                | "delle"
                | "da"
                | "do"
                | "dos"
                | "das"
                | "di"
                | "y"
                | "et"
                | "los"
                | "las"
                | "el"
                | "d"
        );
        if length == 0
            || (!word.chars().next().is_some_and(char::is_uppercase)
                && !is_particle
                && !word.starts_with("d'")
                && !word.starts_with("l'"))
        {
            break;
        }
        end = at + length;
        words += 1;
        if context.byte(end) != b' ' {
            break;
        }
        at = end + 1;
    }
    let is_box = context
        .part(hit.start, hit.end)
        .to_lowercase()
        .contains("box")
        || context
            .part(hit.start, hit.end)
            .to_lowercase()
            .starts_with("postfach");
    let is_thing = is_box
        && context.byte(hit.start).is_ascii_lowercase()
        && context.byte_before(hit.start) == b' '
        && hit.end - hit.start < 4;
    if words == 0 && !is_box || is_thing {
        return;
    }
    while context.byte_before(end) == b'.' || context.byte_before(end) == b' ' {
        end -= 1;
    }
    // The number before.
    let mut start = hit.start;
    let before = context.slice(start.saturating_sub(16), start);
    let joint = before
        .iter()
        .rev()
        .take_while(|b| one_of(**b, b" ,"))
        .count();
    let mut head = before.part(..before.len() - joint);
    for word in [&b" bis"[..], b" ter"] {
        head = head.strip_suffix(word).unwrap_or(head);
    }
    let digits = head.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let is_number = joint > 0
        && (1..=5).contains(&digits)
        && !head.get(..head.len() - digits).is_some_and(|h| {
            h.ends_with(b".")
                || h.ends_with(b",")
                || h.last().is_some_and(u8::is_ascii_alphanumeric)
        });
    if is_number {
        start -= before.len() - (head.len() - digits);
    }
    // With a number before, what follows is a postcode.
    let behind = if is_number {
        end
    } else {
        house_number(context, if is_box && words == 0 { hit.end } else { end })
    };
    if is_number || behind > end || is_box && behind > hit.end {
        let end = address_end(context, behind.max(end));
        findings.add(start, end, Kind::Address, "street_address", 88);
    }
}

/// Detects `Hauptstraße 12`, from its number.
pub(super) fn street_number(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    if at == 0 || context.byte_before(at) != b' ' {
        return;
    }
    let mut word_end = at - 1;
    let dotted = context.byte_before(word_end) == b'.';
    if dotted {
        word_end -= 1;
    }
    let length = context
        .slice(word_end.saturating_sub(40), word_end)
        .iter()
        .rev()
        .take_while(|b| is_letter(**b) || **b == b'-')
        .count();
    let start = word_end - length;
    if length < 4 || !context.text.is_char_boundary(start) {
        return;
    }
    let word = context.part(start, word_end);
    if !word.chars().next().is_some_and(char::is_uppercase) {
        return;
    }
    let lower = word.to_lowercase();
    let Some(suffix) = SUFFIXES.iter().find(|s| lower.ends_with(*s)) else {
        return;
    };
    if lower.len() <= suffix.len() + 1
        && !(start > 1
            && context.byte_before(start) == b' '
            && *suffix != "tie"
            && *suffix != "hof")
    {
        return;
    }
    if suffix.len() <= 3
        && !dotted
        && *suffix != "weg"
        && *suffix != "vej"
        && lower.len() < suffix.len() + 4
    {
        return;
    }
    let number = house_number(context, if dotted { word_end + 1 } else { word_end });
    if number <= word_end + 1 {
        return;
    }
    // Capitalized words before belong to the street, as in `Alte Neue Straße 3`.
    let mut first = start;
    for _ in 0..2 {
        if first == 0 || context.byte_before(first) != b' ' {
            break;
        }
        let length = context
            .slice(first.saturating_sub(24), first - 1)
            .iter()
            .rev()
            .take_while(|b| is_letter(**b) || **b == b'-')
            .count();
        let word = first - 1 - length;
        let text = context.part(word, first - 1);
        let joins =
            lower.len() <= suffix.len() + 1 || text.ends_with("er") || text.ends_with("sche");
        if length < 3 || !text.chars().next().is_some_and(char::is_uppercase) || !joins {
            break;
        }
        first = word;
    }
    let end = address_end(context, number);
    findings.add(first, end, Kind::Address, "street_address", 90);
}

/// Detects a street by the text around it, from its number: `Am Stadtpark 5, 22303 Hamburg`,
/// `C/ Gran Vía 28`.
pub(super) fn street_in_context(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    const PARTICLES: [&str; 10] = [
        "den", "der", "dem", "des", "die", "de", "del", "la", "las", "los",
    ];
    const LEADING: [&str; 8] = ["Am", "An", "Auf", "Im", "Unter", "Zum", "Zur", "Hinter"];
    let is_calle = |start: usize| {
        context
            .slice(start.saturating_sub(3), start)
            .eq_ignore_ascii_case(b"c/ ")
    };
    // Few numbers have a word before them and the end of a field after them.
    if at < 2 || context.byte_before(at) != b' ' || !is_letter(context.byte_before(at - 1)) {
        return;
    }
    let digits = context
        .slice(at, at + 8)
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || one_of(**b, b"-/"))
        .count();
    let ends = matches!(
        context.slice(at + digits, at + digits + 2),
        [b',', b' ' | b'\n'] | [b'\n', ..]
    );
    if !ends && memchr::memrchr(b'/', context.slice(at.saturating_sub(48), at)).is_none() {
        return;
    }
    let number = house_number(context, at - 1);
    if number < at {
        return;
    }
    let (mut start, mut word_start) = (at, at);
    for _ in 0..5 {
        if word_start == 0 || context.byte_before(word_start) != b' ' || is_calle(word_start) {
            break;
        }
        let end = word_start - 1;
        let length = context
            .slice(end.saturating_sub(32), end)
            .iter()
            .rev()
            .take_while(|b| is_letter(**b) || **b == b'-')
            .count();
        word_start = end - length;
        let word = if context.text.is_char_boundary(word_start) {
            context.part(word_start, end)
        } else {
            ""
        };
        if word.starts_with(char::is_uppercase) {
            start = word_start;
        } else if !PARTICLES.contains(&word) {
            break;
        }
    }
    if start == at {
        return;
    }
    let last = address_end(context, number);
    let rest = context
        .part(number, last)
        .trim_start_matches([',', ' ', '\n']);
    let is_leading = LEADING.contains(
        &context
            .part(start, at)
            .split(' ')
            .next()
            .unwrap_or_default(),
    );
    let is_town = context
        .hits_in(number, last)
        .any(|h| h.meaning().intersects(Meaning::PLACE_NAME));
    if is_calle(start) {
        findings.add(start - 3, last, Kind::Address, "street_address", 86);
    } else if has_code(rest) && (is_leading || is_town) {
        findings.add(start, last, Kind::Address, "street_address", 84);
    }
}

/// Detects `466 Rodney Lodge Suite 073, West Laurastad, VT 47636`: a number, a name, and the parts
/// that follow only in an address.
pub(super) fn number_first(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    let digits = context
        .slice(at, at + 7)
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let letter = usize::from(context.byte(at + digits).is_ascii_alphabetic());
    let mut end = at + digits + letter;
    if !(1..=6).contains(&digits)
        || context.byte(end) != b' '
        || context.byte_before(at).is_ascii_alphanumeric()
        || one_of(context.byte_before(at), b"#-./:$")
    {
        return;
    }
    let mut words = 0;
    while words < 4
        && context.byte(end) == b' '
        && context
            .chars_from(end + 1)
            .next()
            .is_some_and(char::is_uppercase)
    {
        let length = context
            .slice(end + 1, end + 32)
            .iter()
            .take_while(|b| is_letter(**b) || one_of(**b, b"'-"))
            .count();
        if length < 2
            || context
                .after(end + 1, Meaning::UNIT, 0)
                .is_some_and(|h| h.start == end + 1)
                && words > 0
        {
            break;
        }
        end += 1 + length;
        words += 1;
    }
    if words == 0
        || context.text.len() == end
        || context.after(at + digits, Meaning::MONTH, 2).is_some()
    {
        return;
    }
    let last = address_end(context, end);
    let rest = context.part(end, last);
    if last > end && rest.bytes().filter(u8::is_ascii_digit).count() >= 3 {
        findings.add(at, last, Kind::Address, "street_address", 90);
    }
}

/// Detects `Flat 54q, Smith Junctions, Derby, N08 5JE`.
pub(super) fn unit(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    if !context
        .chars_from(hit.start)
        .next()
        .is_some_and(char::is_uppercase)
        || context.byte(hit.end) != b' '
    {
        return;
    }
    let digits = context
        .slice(hit.end + 1, hit.end + 7)
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    let end = hit.end + 1 + digits;
    if digits == 0
        || !context.byte(hit.end + 1).is_ascii_digit()
        || !matches!(context.byte(end), b',' | b'\n' | b' ')
    {
        return;
    }
    let last = address_end(context, end);
    if last > end
        && context
            .part(end, last)
            .bytes()
            .filter(u8::is_ascii_digit)
            .count()
            >= 2
    {
        findings.add(hit.start, last, Kind::Address, "street_address", 88);
    }
}

/// Returns the end of an address whose street ends at `at`: flat, town, region, postcode and
/// country, joined by commas, lines or codes.
fn address_end(context: &Context<'_>, at: usize) -> usize {
    let mut end = at;
    let mut sure = at;
    for _ in 0..7 {
        let mut end_now = end;
        if context.byte(end_now) == b'.' && one_of(context.byte(end_now + 1), b" ,") {
            end_now += 1;
        }
        let gap = context
            .slice(end_now, end_now + 4)
            .iter()
            .take_while(|b| one_of(**b, b" ,\n-/"))
            .count();
        let joint = context.slice(end_now, end_now + gap);
        if gap == 0
            || joint.iter().filter(|b| **b == b'\n').count() > 1
            || matches!(joint, b"-" | b"/")
        {
            break;
        }
        let has_sign = joint.iter().any(|b| one_of(*b, b",\n-/"));
        let from = end_now + gap;
        let piece_end = piece_end(context, from);
        let piece = context.part(from, piece_end);
        if piece.is_empty() {
            break;
        }
        let first = context
            .after(from, Meaning::PLACE_NAME.union(Meaning::UNIT), 0)
            .filter(|h| h.start == from);
        let digits = piece.bytes().filter(u8::is_ascii_digit).count();
        let is_unit = (first.is_some_and(|h| h.meaning().intersects(Meaning::UNIT))
            || piece.starts_with('#'))
            && digits > 0;
        let is_place = first.is_some_and(|h| h.meaning().intersects(Meaning::PLACE_NAME))
            && (has_sign || digits > 0);
        let is_region =
            piece.len() == 2 && piece.bytes().all(|b| b.is_ascii_uppercase()) && has_sign;
        let is_sure = is_unit
            || is_place
            || is_postcode(piece)
            || is_region && sure > at
            || has_sign && has_code(piece);
        let may_go_on = has_sign
            && digits == 0
            && piece.chars().next().is_some_and(char::is_uppercase)
            && piece.split(' ').count() <= 4;
        if !is_sure && !may_go_on {
            break;
        }
        end = piece_end;
        if is_sure {
            sure = piece_end;
        }
    }
    sure
}

/// Returns the end of the piece of an address between commas or lines, of at most five words. A
/// region code ends a piece.
fn piece_end(context: &Context<'_>, from: usize) -> usize {
    let mut end = from;
    let mut words = 0;
    while words < 5 {
        let length = context
            .slice(end, end + 24)
            .iter()
            .take_while(|b| is_letter(**b) || b.is_ascii_digit() || one_of(**b, b"'-#."))
            .count();
        let word = context.slice(end, end + length);
        let starts = context
            .chars_from(end)
            .next()
            .is_some_and(|c| c.is_uppercase() || c.is_numeric() || c == '#')
            || matches!(
                context.part(end, end + length),
                "de" | "la" | "of" | "am" | "an" | "der" | "del" | "do" | "upon" | "sur" | "no"
            );
        if length == 0 || !starts && words > 0 {
            break;
        }
        let dotted = word.last() == Some(&b'.');
        end += length - usize::from(dotted);
        words += 1;
        if dotted && length > 4 {
            break;
        }
        if dotted {
            end += 1;
        }
        if context.byte(end) != b' ' {
            break;
        }
        let next = context.slice(end + 1, end + 2);
        if next.first().is_none_or(|b| {
            !(b.is_ascii_uppercase()
                || b.is_ascii_digit()
                || *b >= 0x80
                || b.is_ascii_lowercase()
                || *b == b'#')
        }) {
            break;
        }
        // `Springfield IL 62701` is three pieces.
        let word_is_region = word.len() == 2 && word.iter().all(u8::is_ascii_uppercase);
        if word_is_region && words > 1 && !context.byte(end + 1).is_ascii_digit() {
            break;
        }
        let following = context
            .chars_from(end + 1)
            .next()
            .is_some_and(|c| c.is_uppercase() || c.is_numeric() || c == '#');
        let particle = [
            "de ", "la ", "of ", "am ", "an ", "der ", "del ", "do ", "upon ", "sur ", "no ",
        ]
        .iter()
        .any(|p| context.part(end + 1, context.floor(end + 1 + p.len())) == *p);
        if !following && !particle {
            break;
        }
        end += 1;
    }
    while end > from && matches!(context.byte_before(end), b' ' | b'.') {
        end -= 1;
    }
    end
}

/// Detects `Address: …`, to the end of its line or field.
fn address_field(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let mut at = hit.end;
    at += context
        .slice(at, at + 8)
        .iter()
        .take_while(|b| one_of(**b, b"_123"))
        .count();
    let rest = context.part(at, context.floor(at + 8));
    let skipped = rest.len()
        - rest
            .trim_start_matches([
                ' ', ':', '=', '"', '\'', '*', '|', '：', '\t', '>', '是', 'は',
            ])
            .len();
    let sign = rest.part(..skipped);
    let wide = context
        .chars_from(hit.start)
        .next()
        .is_some_and(|c| u32::from(c) >= 0xe00);
    if !sign.contains([':', '=', '：', '|', '>']) && !wide {
        return;
    }
    at += skipped;
    let line = context.part(at, context.floor(at + 160));
    let stop = line
        .find([
            '\n', '"', ';', '）', '|', '<', '\t', '{', '[', '。', '，', ')',
        ])
        .unwrap_or(line.len());
    let mut value = line.part(..stop);
    if wide && let Some(comma) = value.find(',') {
        value = value.get(..comma).unwrap_or(value);
    }
    if let Some(sentence) = value.find(". ").filter(|i| *i > 12) {
        value = value.get(..sentence).unwrap_or(value);
    }
    let value = value.trim_end_matches([' ', '.', ',', '\'', '*']);
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.chars().filter(|c| c.is_alphabetic()).count();
    let spaces = value.matches(' ').count();
    if digits > 0
        && letters >= 4
        && (spaces > 0 || wide)
        && spaces <= 16
        && !value.contains('@')
        && !value.contains("://")
    {
        findings.add(
            at,
            at + value.len(),
            Kind::Address,
            "address_field",
            if wide { 74 } else { 72 },
        );
    }
}
