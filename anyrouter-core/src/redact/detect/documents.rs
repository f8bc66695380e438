//! Passports, licences, plates and accounts: numbers that only their names identify.

use super::context::{Context, Findings};
use crate::redact::{Kind, scan::Hit, vocabulary::Meaning};

/// Words between the name of a number and the number.
#[rustfmt::skip]
const JOINING: [&str; 37] = [
    "number", "numbers", "num", "no", "nr", "is", "id", "code", "nummer", "ist", "est", "es", "plate", "card", "numéro", "número",
    "numero", "n°", "nº", "№", "was", "of", "and", "the", "ending in", "für", "号码", "号", "是", "番号", "は", "번호", "คือ", "เลขที่",
    "é", "è", "jest",
];

/// Detects numbers that only their names identify: passports, licences, plates, accounts.
pub(super) fn numbered(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    hit: Hit,
    meaning: Meaning,
) {
    let mut at = hit.end;
    let limit = hit.end + 32;
    // Words and signs that join the name and the number.
    loop {
        let rest = context.part(at, context.floor(at + 24));
        let trimmed = rest.trim_start_matches([
            ' ', ':', '#', '=', '"', '\'', '.', '-', '*', '|', '：', '\t', '(',
        ]);
        let mut skipped = rest.len() - trimmed.len();
        // Most often the number itself follows.
        let is_word = trimmed.bytes().take(2).any(|b| !b.is_ascii_digit());
        let lower = if is_word {
            trimmed.to_lowercase()
        } else {
            String::new()
        };
        let word = JOINING
            .iter()
            .filter(|word| word.bytes().next() == lower.bytes().next())
            .find(|word| {
                let after = lower.strip_prefix(**word);
                after.is_some_and(|a| !(word.is_ascii() && a.starts_with(char::is_alphanumeric)))
            });
        skipped += word.map_or(0, |w| w.len());
        if skipped == 0 || at + skipped > limit {
            break;
        }
        at += skipped;
    }
    if at >= limit {
        return;
    }
    // The letters of a passport's number may be lowercase.
    let small = meaning.intersects(Meaning::PASSPORT)
        && context
            .slice(at, at + 3)
            .iter()
            .all(u8::is_ascii_alphabetic);
    let alphabet =
        |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || small && b.is_ascii_lowercase();
    let mut end = at;
    let mut last = at;
    while end < at + 28 {
        let byte = context.byte(end);
        if alphabet(&byte) && end < context.text.len() {
            end += 1;
            if context.byte(end).is_ascii_lowercase() && !small {
                break;
            }
            if !alphabet(&context.byte(end)) {
                last = end;
            }
        } else if end > at
            && matches!(byte, b' ' | b'-' | b'.' | b'/')
            && alphabet(&context.byte(end + 1))
            && (meaning.intersects(
                Meaning::VEHICLE
                    .union(Meaning::DRIVER_LICENSE)
                    .union(Meaning::BANK_ACCOUNT),
            ) || byte == b'-'
                || meaning.intersects(Meaning::CUSTOMER_ID)
                    && context.slice(at, end).iter().all(|b| is_digit_or_gap(*b))
                    && [end + 1, end + 2]
                        .iter()
                        .all(|at| context.byte(*at).is_ascii_digit()))
        {
            end += 1;
        } else {
            break;
        }
    }
    if last == at {
        number_before(context, findings, hit, meaning);
        return;
    }
    let digits = context
        .slice(at, last)
        .iter()
        .filter(|b| b.is_ascii_digit())
        .count();
    let letters = context
        .slice(at, last)
        .iter()
        .filter(|b| b.is_ascii_alphabetic())
        .count();
    let size = digits + letters;
    let is_card = context
        .part(hit.start, hit.end)
        .to_lowercase()
        .contains("ausweis");
    let (kind, rule, fits) = if meaning.intersects(Meaning::PASSPORT) && is_card {
        (
            Kind::NationalId,
            "id_card",
            (9..=10).contains(&size) && digits >= 4,
        )
    } else if meaning.intersects(Meaning::PASSPORT) {
        (
            Kind::Passport,
            "passport",
            (6..=12).contains(&size) && digits >= 4,
        )
    } else if meaning.intersects(Meaning::DRIVER_LICENSE) {
        (
            Kind::DriverLicense,
            "driver_license",
            (5..=20).contains(&size) && digits >= 3,
        )
    } else if meaning.intersects(Meaning::VEHICLE) {
        (
            Kind::Vehicle,
            "plate",
            (4..=17).contains(&size) && digits >= 1 && (letters >= 1 || digits >= 5),
        )
    } else if meaning.intersects(Meaning::CARD_CODE) {
        let name = context.part(hit.start, hit.end).to_lowercase();
        let is_sent = [
            "your", "verif", "otp", "one", "confirm", "bestät", "doğru", "weryf", "fa code",
            "ihr ", "dein ", "votre", "ton ", "su ", "tu ", "seu ", "suo ", "tuo ", "jouw", "uw ",
            "twój", "kod", "login", "authent", "factor", "sign", "access", "acces", "acess", "sms",
            "einmal",
        ]
        .iter()
        .any(|word| name.contains(word));
        let lengths = if is_sent { 4..=8 } else { 3..=4 };
        // `your code is 1200 lines long`.
        let goes_on = context.byte(last) == b' '
            && context.byte(last + 1).is_ascii_lowercase()
            && is_sent
            && digits < 6;
        (
            Kind::Secret,
            "code",
            !goes_on && letters == 0 && last - at == digits && lengths.contains(&digits),
        )
    } else if meaning.intersects(Meaning::CUSTOMER_ID) {
        let is_filler = context
            .slice(at, last)
            .iter()
            .all(|b| Some(b) == context.slice(at, last).first());
        (
            Kind::CustomerId,
            "customer_id",
            (5..=20).contains(&size) && digits >= 3 && !is_filler,
        )
    } else if meaning.intersects(Meaning::BANK_ACCOUNT) && is_cloud_account(context, hit) {
        return;
    } else if meaning.intersects(Meaning::BANK_ACCOUNT) {
        let bic = letters >= 6
            && (size == 8 || size == 11)
            && context.slice(at, at + 6).iter().all(u8::is_ascii_uppercase);
        (
            Kind::BankAccount,
            "bank_account",
            bic || digits >= 5 && size <= 20 && letters <= 4,
        )
    } else {
        return;
    };
    if fits {
        findings.add(
            at,
            last,
            kind,
            rule,
            if at - hit.end <= 12 { 90 } else { 85 },
        );
    }
}

/// Returns true if the account belongs to a cloud service, not to a bank.
fn is_cloud_account(context: &Context<'_>, hit: Hit) -> bool {
    let before = context
        .part(context.ceiling(hit.start.saturating_sub(12)), hit.start)
        .to_lowercase();
    ["aws", "amazon", "azure", "gcp", "cloud", "github", "iam"]
        .iter()
        .any(|name| before.contains(name))
}

/// Detects a number before its name: `AAA123456 is my passport number`.
fn number_before(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit, meaning: Meaning) {
    let head = context.part(context.ceiling(hit.start.saturating_sub(48)), hit.start);
    let joints = [
        " is my ",
        " is the ",
        " is ",
        " es mi ",
        " es el ",
        " es ",
        " ist mein ",
        " ist meine ",
        " ist ",
        " est mon ",
        " est ",
        " è il mio ",
    ];
    let is_code = meaning.intersects(Meaning::CARD_CODE);
    let number = joints
        .iter()
        .filter(|j| head.ends_with(**j) || !is_code)
        .find_map(|j| head.get(..head.rfind(*j)?));
    let Some(number) = number.filter(|_| is_code || meaning.intersects(Meaning::PASSPORT)) else {
        return;
    };
    let length = number
        .bytes()
        .rev()
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    let end = hit.start - head.len() + number.len();
    let digits = context
        .slice(end - length, end)
        .iter()
        .filter(|b| b.is_ascii_digit())
        .count();
    if is_code && (4..=8).contains(&length) && digits == length {
        findings.add(end - length, end, Kind::Secret, "code", 85);
    } else if !is_code && (6..=12).contains(&length) && digits >= 4 {
        findings.add(end - length, end, Kind::Passport, "passport", 85);
    }
}

/// Returns true if a byte may be part of a grouped number: `88 213 44`.
fn is_digit_or_gap(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b' ' | b'.' | b'-' | b'/')
}
