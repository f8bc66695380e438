//! Payment cards and bank accounts, by their issuers' ranges and check digits.

use super::{check_digits::luhn, cluster::Part, context::Context, one_of};
use crate::redact::{Kind, label::Finding, vocabulary::Meaning};

/// Detects a payment card by its issuer's range and length (ISO/IEC 7812) and by Luhn.
pub(super) fn card(context: &Context<'_>, part: &Part<'_>) -> Option<Finding> {
    if !(12..=19).contains(&part.compact.len()) {
        return None;
    }
    let read = part.has_letter.then(|| read_as_digits(part.compact));
    let digits = read.as_deref().unwrap_or(part.compact);
    let named = context.near(part.start, part.end, Meaning::CARD);
    if !digits.iter().all(u8::is_ascii_digit)
        || is_repeated(digits)
        || !(named || is_issued(digits))
    {
        return None;
    }
    if !luhn(digits) {
        // A card number with a typing error is still private.
        let is_meant =
            named && digits.len() >= 15 && is_issued(digits) && part.sizes.iter().all(|n| *n >= 4);
        return is_meant
            .then(|| Finding::new(part.start, part.end, Kind::CreditCard, "card_mistyped", 58));
    }
    let sizes = part.sizes;
    let uniform = part
        .separators
        .windows(2)
        .all(|w| matches!(w, [a, b] if a == b))
        || part.separators.contains(&b'\n');
    let usual = matches!(
        sizes,
        [4, 4, 4, 4 | 1] | [4, 6, 5 | 4] | [4, 4, 4, 4, 3] | [6, 13]
    ) || sizes.len() == digits.len();
    let confidence = match (named, part.sizes.len()) {
        (true, _) if usual => 98,
        (true, _) => 75,
        (false, 1) if context.is_decoy(part.start) => return None,
        (false, 1) => 84,
        (false, _) if part.is_inner && !usual => return None,
        (false, _) if usual && uniform => 96,
        (false, _) if usual => 80,
        _ => 60,
    };
    Some(Finding::new(
        part.start,
        part.end,
        Kind::CreditCard,
        "card",
        confidence,
    ))
}

/// Detects a number labelled as an IBAN whose check digits or length are wrong.
pub(super) fn iban_mistyped(context: &Context<'_>, part: &Part<'_>) -> Option<Finding> {
    let [a, b, one, two, rest @ ..] = part.compact else {
        return None;
    };
    let has_form = a.is_ascii_alphabetic()
        && b.is_ascii_alphabetic()
        && one.is_ascii_digit()
        && two.is_ascii_digit();
    let digits = rest.iter().filter(|b| b.is_ascii_digit()).count();
    if !has_form
        || !(13..=34).contains(&part.compact.len())
        || digits < 6
        || rest.iter().all(|b| Some(b) == rest.first())
    {
        return None;
    }
    let before = context
        .part(context.ceiling(part.start.saturating_sub(24)), part.start)
        .to_ascii_lowercase();
    let (_, between) = before.rsplit_once("iban")?;
    let joins = |w: &str| {
        matches!(
            w,
            "" | "number" | "no" | "nr" | "is" | "code" | "ist" | "est" | "es"
        )
    };
    between
        .split(|c: char| !c.is_alphabetic())
        .all(joins)
        .then(|| Finding::new(part.start, part.end, Kind::Iban, "iban_mistyped", 92))
}

/// Returns the length of an IBAN that begins with `head`: 0 if none can begin so, and `usize::MAX`
/// if no country has this code.
pub(super) fn iban_length(head: &[u8]) -> usize {
    let [a, b, one, two] = head else { return 0 };
    if !a.is_ascii_uppercase()
        || !b.is_ascii_uppercase()
        || !one.is_ascii_digit()
        || !two.is_ascii_digit()
    {
        return 0;
    }
    let row = IBAN_LENGTHS
        .binary_search_by(|(c, _)| c.as_bytes().cmp(&[*a, *b]))
        .ok();
    row.and_then(|row| IBAN_LENGTHS.get(row))
        .map_or(usize::MAX, |(_, length)| *length)
}

/// Detects an IBAN (ISO 13616) by its country's length and by mod 97.
pub(super) fn iban(part: &Part<'_>) -> Option<Finding> {
    if part.compact.len() < 15 {
        return None;
    }
    mod_97(part, part.compact).or_else(|| {
        let (country, rest) = part
            .compact
            .split_at_checked(2)
            .filter(|(_, r)| r.iter().any(|b| one_of(*b, b"OIL")))?;
        mod_97(part, &[country, &read_as_digits(rest)].concat())
    })
}

/// Reads letters that are mistaken for digits, `O`, `I` and `l`, as those digits.
fn read_as_digits(compact: &[u8]) -> Vec<u8> {
    compact
        .iter()
        .map(|b| match b {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => *other,
        })
        .collect()
}

fn mod_97(part: &Part<'_>, compact: &[u8]) -> Option<Finding> {
    let head = compact.first_chunk::<2>()?;
    let row = IBAN_LENGTHS
        .binary_search_by(|(c, _)| c.as_bytes().cmp(head))
        .ok()?;
    let (country, length) = IBAN_LENGTHS.get(row)?;
    if compact.len() != *length || !compact.get(2..4)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |n: u64, b: &u8| {
        let n = if n < u64::MAX / 1000 { n } else { n % 97 };
        match b {
            b'A'..=b'Z' => n * 100 + u64::from(b - b'A') + 10,
            digit => n * 10 + u64::from(digit.wrapping_sub(b'0')),
        }
    };
    let (first, rest) = compact.split_at_checked(4)?;
    let sum = first.iter().fold(rest.iter().fold(0, add), add);
    let mut finding = Finding::new(part.start, part.end, Kind::Iban, "iban", 98);
    finding.country = Some((*country).into());
    (sum % 97 == 1).then_some(finding)
}

fn is_repeated(digits: &[u8]) -> bool {
    digits.iter().all(|d| Some(d) == digits.first())
}

/// Returns true if a card number has the range and length of a known issuer.
fn is_issued(digits: &[u8]) -> bool {
    let first = |n: usize| {
        digits
            .get(..n)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| d.parse::<u32>().ok())
            .unwrap_or(0)
    };
    let (two, three, four, six) = (first(2), first(3), first(4), first(6));
    match digits.len() {
        13 => digits.first() == Some(&b'4') || matches!(two, 50 | 56..=69),
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37) || matches!(four, 1800 | 2131) || matches!(two, 50 | 56..=69),
        16 => {
            digits.first() == Some(&b'4')
                || matches!(two, 51..=55 | 65 | 62 | 81)
                || matches!(four, 2221..=2720 | 6011 | 3528..=3589 | 2200..=2204 | 9792 | 5018..=5020 | 5038 | 5893 | 6304 | 6759..=6763 | 6521 | 6522 | 6370)
                || matches!(three, 300..=305 | 644..=649 | 506 | 507 | 650 | 353..=358 | 636 | 637 | 638 | 639)
                || matches!(two, 60 | 36 | 38 | 39)
                || matches!(six, 622_126..=622_925 | 508_500..=508_999 | 606_985..=607_984)
        }
        17..=19 => {
            digits.first() == Some(&b'4') && digits.len() == 19
                || matches!(two, 62 | 50 | 56..=61 | 63..=69)
                || matches!(four, 6011 | 3528..=3589 | 2200..=2204)
        }
        _ => false,
    }
}

/// The registry of ISO 13616: the lengths of IBANs by country.
const IBAN_LENGTHS: [(&str, usize); 89] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];
