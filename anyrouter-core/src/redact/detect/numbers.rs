//! Numbers: clusters of digits and their separators, in which cards, accounts, phone and identity
//! numbers are found.
//!
//! A cluster is judged as a whole first, then by its parts, the longest first:
//! `4111 1111 1111 1111` is a card, not four numbers, and in `room 12 4111…` the card is still
//! found.

use super::{
    accounts::{self, iban, iban_length},
    cluster::{Cluster, LONG, PIECES, Part, Piece},
    context::{Context, Findings},
    coordinates, credentials,
    dates::{self, is_iso_date},
    ids::{self, NamedRows},
    network, one_of, phones, postal,
    values::is_uuid,
    wallets::base58check,
};
use crate::part::Part as _;
use crate::redact::{Kind, label::Finding, vocabulary::Meaning};

/// Confidence at which no further detector runs.
const SURE: u8 = 95;

/// Detects numbers in the cluster around the digit at `at`, and returns the next start.
pub(super) fn number(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    cluster: &mut Cluster,
    at: usize,
) -> usize {
    let start = at
        - context
            .slice(at.saturating_sub(LONG), at)
            .iter()
            .rev()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
    let length = context
        .slice(start, start + 600)
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    if let Some(end) = context.placeholder_at(at) {
        return end;
    }
    if is_declared(context, start) {
        return start + length.max(1);
    }
    if length > LONG {
        credentials::opaque(context, findings, start, start + length);
        return start + length;
    }
    if let Some(end) = network::ipv4(context, findings, start, start + length) {
        return end;
    }
    if let Some(end) = network::dashed_mac(context, findings, at)
        .or_else(|| network::dotted_mac(context, findings, start, start + length))
    {
        return end;
    }
    coordinates::coordinates(context, findings, at);
    dates::date(context, findings, at);
    postal::street_number(context, findings, at);
    postal::street_in_context(context, findings, at);
    postal::number_first(context, findings, at);
    if length >= 20 {
        credentials::opaque(context, findings, start, start + length);
    }
    gather(context, start, start + length, cluster);
    for piece in cluster
        .pieces
        .iter()
        .filter(|p| p.start > at && p.end - p.start >= 20)
    {
        credentials::opaque(context, findings, piece.start, piece.end);
    }
    let next = if may_be_number(context, cluster) {
        match judge_parts(context, findings, cluster) {
            // Text after the last finding may belong to the next cluster.
            Some(taken) => taken,
            None if cluster.pieces.len() == PIECES => cluster
                .pieces
                .get(PIECES / 2)
                .map_or(cluster.end(), |p| p.start),
            None => cluster.end(),
        }
    } else {
        start + length
    };
    next.max(at + 1)
}

/// Returns true for a number with a declared type: `const X: u32 = 2150913586`.
fn is_declared(context: &Context<'_>, start: usize) -> bool {
    let Some(head) = context
        .part(context.ceiling(start.saturating_sub(24)), start)
        .trim_end()
        .strip_suffix('=')
    else {
        return false;
    };
    let kind = head
        .trim_end()
        .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default();
    matches!(
        kind,
        "u8" | "u16"
            | "u32"
            | "u64"
            | "u128"
            | "usize"
            | "i8"
            | "i16"
            | "i32"
            | "i64"
            | "i128"
            | "isize"
            | "uint32_t"
            | "uint64_t"
    )
}

/// Returns true if a cluster has enough digits for a number and is not part of a longer token.
fn may_be_number(context: &Context<'_>, cluster: &Cluster) -> bool {
    let digits = cluster.digits;
    let capitals = || {
        context
            .slice(cluster.start(), cluster.end())
            .iter()
            .filter(|b| b.is_ascii_uppercase())
            .count()
    };
    (digits >= 5 || digits == 4 && capitals() >= 3)
        && !is_in_opaque(context, cluster.start(), cluster.end())
}

/// Detects numbers in the cluster's parts, and returns the end of the last finding.
fn judge_parts(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    cluster: &Cluster,
) -> Option<usize> {
    let first_found = findings.len();
    let mut last: Option<usize> = None;
    let mut said = None;
    // Within a possible IBAN, only findings of high confidence count.
    let iban = if cluster.digits >= 11 {
        iban_length(context.slice(cluster.start(), cluster.start() + 4))
    } else {
        0
    };
    let count = cluster.pieces.len();
    // The pieces that no finding covers.
    let mut free = (1_u32 << count) - 1;
    for size in (1..=count).rev() {
        let whole = (1_u32 << size) - 1;
        // Among parts of one size, the finding with the highest confidence comes first.
        let mut candidates: Vec<Finding> = Vec::new();
        for first in (0..=count - size).filter(|first| free >> first & whole == whole) {
            let Some(part) = cluster.part(first, first + size - 1) else {
                continue;
            };
            let is_phone = |f: &Finding| f.label == Kind::Phone.into();
            let is_in_iban = cluster.pieces.get(first).is_some_and(|p| p.at < iban);
            let finding = judge(context, &part, &mut said, cluster).filter(|f| {
                (!is_in_iban || f.confidence > 90 && !is_phone(f))
                    && (!part.is_cut || f.confidence >= 84 && !is_phone(f))
            });
            candidates.extend(finding);
        }
        candidates.sort_by_key(|f| (std::cmp::Reverse(f.confidence), f.start));
        for finding in candidates {
            if findings.overlap(first_found, &finding) {
                continue;
            }
            last = last.max(Some(finding.end));
            let is_taken = |p: &Piece| p.start < finding.end && finding.start < p.end;
            let taken = (0..)
                .zip(&cluster.pieces)
                .filter(|(_, p)| is_taken(p))
                .fold(0, |set, (i, _)| set | 1_u32 << i);
            free &= !taken;
            findings.push(finding);
        }
        if free == 0 {
            break;
        }
    }
    last
}

/// Gathers the cluster of the run at `start..end` and the runs that are joined to it.
fn gather(context: &Context<'_>, start: usize, end: usize, cluster: &mut Cluster) {
    cluster.clear();
    let mut start = start;
    // A country's letters may stand before, as a separate word.
    let before = context.slice(start.saturating_sub(6), start);
    if let [.., b' ' | b'-'] = before {
        let word = before
            .iter()
            .rev()
            .skip(1)
            .take_while(|b| b.is_ascii_uppercase())
            .count();
        let at = start - 1 - word;
        if (1..=4).contains(&word)
            && !context.byte_before(at).is_ascii_alphanumeric()
            && !is_name_of_number(context, at, start - 1)
        {
            cluster.push(context.bytes(), at, start - 1, b' ');
        }
    }
    let (mut last_digit, mut was_list) = (0, false);
    let mut end = end;
    if let Some(whole) = in_boxes(context, start) {
        (start, end) = whole;
        cluster.clear();
    }
    loop {
        cluster.push(context.bytes(), start, end, context.byte_before(start));
        last_digit = if cluster
            .pieces
            .last()
            .is_some_and(|p| p.digits > 0 || p.length <= 4)
        {
            cluster.pieces.len()
        } else {
            last_digit
        };
        if cluster.pieces.len() >= PIECES {
            break;
        }
        let gap = joint(context, start, end);
        // `4111, 1111, …` is a list of groups throughout, or not at all.
        let is_list = context
            .slice(end, end + gap)
            .iter()
            .any(|b| matches!(b, b',' | b'|'));
        if gap > 0 && cluster.pieces.len() > 1 && is_list != was_list {
            // The presumed beginning of a list may begin another number.
            last_digit -= usize::from(was_list && last_digit == cluster.pieces.len());
            break;
        }
        was_list = is_list;
        let is_dotted = gap == 1 && context.byte(end) == b'.';
        if gap > 0
            && (cluster.ends_with_date() || !is_dotted && begins_otherwise(context, end + gap))
        {
            break;
        }
        start = end + gap;
        let word = context.slice(start, start + 32);
        let length = word
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
        let word = word.part(..length);
        // `3560x4587` ends a telephone number with its extension.
        let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
        let is_extended = digits > 2
            && word.get(digits) == Some(&b'x')
            && word.iter().skip(digits + 1).all(u8::is_ascii_digit);
        let length = if is_extended { digits } else { length };
        let is_short_capitals = length <= 6 && word.iter().all(u8::is_ascii_uppercase);
        if gap == 0
            || length == 0
            || length > 24
            || !is_short_capitals && !word.iter().any(u8::is_ascii_digit)
        {
            break;
        }
        end = start + length;
    }
    cluster.truncate(last_digit);
}

/// Returns true for a word that names a number and is not part of it, as `SSN` or `IBAN`. (Two
/// letters may be its country as well.)
fn is_name_of_number(context: &Context<'_>, start: usize, end: usize) -> bool {
    let names = Meaning::ID_NAME
        .union(Meaning::NATIONAL_ID)
        .union(Meaning::TAX_ID)
        .union(Meaning::BANK_ACCOUNT);
    end - start > 2
        && context
            .hits_in(start, start + 1)
            .any(|h| h.end == end && h.meaning().intersects(names))
}

/// Returns true if a date, an IP address or a hardware address begins at `at`, which is never part
/// of another number.
fn begins_otherwise(context: &Context<'_>, at: usize) -> bool {
    let run = context
        .slice(at, at + 16)
        .iter()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let is_dotted = context
        .slice(at, at + run)
        .iter()
        .filter(|b| **b == b'.')
        .count()
        > 2;
    let is_address = is_dotted
        && context
            .part(at, at + run)
            .trim_end_matches('.')
            .parse::<std::net::Ipv4Addr>()
            .is_ok();
    // `00:1b:…`, `2001:db8:…`.
    let hex = |from: usize| {
        context
            .slice(from, from + 5)
            .iter()
            .take_while(|b| b.is_ascii_hexdigit())
            .count()
    };
    let first = hex(at);
    let colon = at + first;
    let has_colons = (1..=4).contains(&first)
        && context.byte(colon) == b':'
        && (context.byte(colon + 1) == b':'
            || matches!(first, 2 | 4)
                && hex(colon + 1) > 0
                && context.byte(colon + 1 + hex(colon + 1)) == b':');
    is_address
        || has_colons
            && !context
                .slice(at, at + 8)
                .iter()
                .all(|b| b.is_ascii_digit() || *b == b':')
        || is_iso_date(context.part(at, context.floor(at + 10)))
}

/// Returns the range of the letters and digits around `at` that stand apart, as in the boxes of a
/// form: `4 1 1 1 …`, `4|1|1|1…`.
fn in_boxes(context: &Context<'_>, at: usize) -> Option<(usize, usize)> {
    let sign = context.byte(at + 1);
    let is_box = |at: usize| {
        let byte = context.byte(at);
        (byte.is_ascii_digit() || byte.is_ascii_uppercase())
            && !context.byte_before(at).is_ascii_alphanumeric()
            && !context.byte(at + 1).is_ascii_alphanumeric()
    };
    if !matches!(sign, b' ' | b'|' | b'-' | b'.') || !is_box(at) {
        return None;
    }
    let (mut start, mut end) = (at, at);
    while context.byte_before(start) == sign && start >= 2 && is_box(start - 2) && at - start < 80 {
        start -= 2;
    }
    while context.byte(end + 1) == sign && is_box(end + 2) && end - at < 80 {
        end += 2;
    }
    (end - start >= 16).then_some((start, end + 1))
}

/// Returns the number of bytes that join `start..end` to the next run, or 0.
fn joint(context: &Context<'_>, start: usize, end: usize) -> usize {
    let between = context.slice(end, end + 6);
    let is_sign = |b: &&u8| matches!(b, b' ' | b'-'..=b'/' | b'_' | b'('..=b',' | b':' | b'\t' | b'\n' | b'~' | b'|' | b'[' | b']');
    let gap = between.iter().take_while(is_sign).count();
    let between = between.part(..gap);
    // Lists and tables have such signs as well, so they join only short groups of digits.
    let is_group = |from: usize| {
        let length = context
            .slice(from, from + 8)
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let next = context.byte(from + length);
        (2..=6).contains(&length)
            && !next.is_ascii_alphanumeric()
            && !(next == b'.' && context.byte(from + length + 1).is_ascii_digit())
    };
    let joins = match between {
        [b'\t'] => {
            end - start <= 4
                && is_group(end + 1)
                && context.slice(start, end).iter().all(u8::is_ascii_digit)
        }
        [b',', b' '] | [b'|'] => {
            end - start <= 6 && (3..=6).contains(&(end - start)) && is_group(end + gap)
                || end - start <= 2 && between == b"|"
        }
        [b')'] => context.byte_before(start) == b'(',
        [one] => !matches!(one, b',' | b'[' | b']'),
        [b'.' | b')' | b'/' | b'-' | b' ', b' ']
        | [b' ', b'(']
        | [b')' | b'-', b'-']
        | [b')', b'/'] => true,
        [b' ', b'-' | b'/' | b'.' | b' ', b' '] | [b')', b' ', b'-'] | [b']', b'-', b'['] => true,
        [b' ', b' ', b'-', b' ', b' ']
        | [b')', b' ', b' ', b'-', ..]
        | [b']', b' ', b'-', b' ', b'['] => true,
        _ => {
            between.iter().all(|b| one_of(*b, b" \n"))
                && between.iter().filter(|b| **b == b'\n').count() == 1
        }
    };
    if joins { gap } else { 0 }
}

/// Returns the finding with the highest confidence for a part, if any.
fn judge(
    context: &Context<'_>,
    part: &Part<'_>,
    said: &mut Option<NamedRows>,
    cluster: &Cluster,
) -> Option<Finding> {
    let mut best: Option<Finding> = None;
    let detectors: [&mut dyn FnMut() -> Option<Finding>; 8] = [
        &mut || accounts::card(context, part),
        &mut || iban(part).or_else(|| accounts::iban_mistyped(context, part)),
        &mut || phones::phone(context, part),
        &mut || {
            ids::identity(
                context,
                part,
                said.get_or_insert_with(|| {
                    ids::said_around(context, cluster.start(), cluster.end())
                }),
            )
        },
        &mut || base58(context, part),
        &mut || vin(context, part),
        &mut || british_licence(part),
        &mut || british_plate_or_postcode(context, part),
    ];
    for detector in detectors {
        if let Some(finding) = detector()
            && best
                .as_ref()
                .is_none_or(|b| b.confidence < finding.confidence)
        {
            best = Some(finding);
        }
        if best.as_ref().is_some_and(|b| b.confidence >= SURE) {
            break;
        }
    }
    best
}

/// Detects a vehicle identification number (ISO 3779), by the check digit of 49 CFR 565.15 or by
/// its name beside it.
fn vin(context: &Context<'_>, part: &Part<'_>) -> Option<Finding> {
    let vin = part.compact;
    if vin.len() != 17
        || part.sizes.len() != 1
        || !part.has_letter
        || vin.iter().any(|b| one_of(*b, b"IOQ"))
        || context
            .slice(part.start, part.end)
            .iter()
            .any(u8::is_ascii_lowercase)
    {
        return None;
    }
    let value = |b: &u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        b'A'..=b'H' => u32::from(b - b'A') + 1,
        b'J'..=b'R' => u32::from(b - b'J') + 1,
        _ => u32::from(*b - b'S') + 2,
    };
    let weights = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let sum: u32 = vin.iter().zip(weights).map(|(b, w)| value(b) * w).sum();
    let checks = b"0123456789X".get((sum % 11) as usize) == vin.get(8);
    let confidence = if context.near(part.start, part.end, Meaning::VEHICLE) {
        92
    } else if checks {
        72
    } else {
        return None;
    };
    Some(Finding::new(
        part.start,
        part.end,
        Kind::Vehicle,
        "vin",
        confidence,
    ))
}

/// Detects `AB51 ABC` near a word for vehicles (DVLA, INF104), and `SW1A 1AA` (Royal Mail).
fn british_plate_or_postcode(context: &Context<'_>, part: &Part<'_>) -> Option<Finding> {
    if !(5..=7).contains(&part.compact.len()) || !part.has_letter {
        return None;
    }
    let shape: String = part
        .compact
        .iter()
        .map(|b| if b.is_ascii_digit() { 'd' } else { 'A' })
        .collect();
    let is_upper = !context
        .slice(part.start, part.end)
        .iter()
        .any(u8::is_ascii_lowercase);
    let parted = matches!(part.separators, [b' ' | b'-']);
    if shape == "AAddAAA"
        && (part.sizes == [7] || parted && part.sizes == [4, 3])
        && context.near(part.start, part.end, Meaning::VEHICLE)
    {
        return Some(Finding::new(
            part.start,
            part.end,
            Kind::Vehicle,
            "plate",
            82,
        ));
    }
    let is_postcode = matches!(
        shape.as_str(),
        "AddAA" | "AdddAA" | "AAddAA" | "AAdddAA" | "AdAdAA" | "AAdAdAA"
    );
    (is_postcode && is_upper && part.separators == b" " && part.sizes.get(1) == Some(&3))
        .then(|| Finding::new(part.start, part.end, Kind::Address, "postcode", 60))
}

/// Returns true if the letters and digits around belong to a longer opaque token, as a UUID or a
/// hash.
fn is_in_opaque(context: &Context<'_>, start: usize, end: usize) -> bool {
    let left = context
        .slice(start.saturating_sub(40), start)
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'-')
        .count();
    let right = context
        .slice(end, end + 40)
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'-')
        .count();
    let token = context.slice(start - left, end + right);
    token.len() >= 36 && is_uuid(token)
        || (token.len() > 24
            && context
                .slice(start - left, start)
                .iter()
                .any(u8::is_ascii_alphabetic)
            && token
                .iter()
                .filter(|b| b.is_ascii_hexdigit() || **b == b'-')
                .count()
                == token.len())
}

/// Detects a British driving licence (DVLA): five letters of the surname, padded with nines, a
/// coded date of birth, initials, and three more characters.
fn british_licence(part: &Part<'_>) -> Option<Finding> {
    let (surname, rest) = part.compact.split_first_chunk::<5>()?;
    let (date, rest) = rest.split_first_chunk::<6>()?;
    let (initials, rest) = rest.split_first_chunk::<2>()?;
    let letters = surname
        .iter()
        .take_while(|b| b.is_ascii_uppercase())
        .count();
    let digits = date.iter().all(u8::is_ascii_digit);
    let number = |places: &[usize]| {
        places
            .iter()
            .filter_map(|i| date.get(*i))
            .fold(0, |n, d| n * 10 + u32::from(d.wrapping_sub(b'0')))
    };
    let (month, day) = (number(&[1, 2]), number(&[3, 4]));
    let fits = part.sizes.len() == 1
        && rest.len() == 3
        && letters >= 2
        && surname.iter().skip(letters).all(|b| *b == b'9')
        && digits
        && matches!(month, 1..=12 | 51..=62)
        && (1..=31).contains(&day)
        && initials.first().is_some_and(u8::is_ascii_uppercase)
        && initials
            .get(1)
            .is_some_and(|b| b.is_ascii_uppercase() || *b == b'9')
        && rest
            .get(1..)
            .is_some_and(|r| r.iter().all(u8::is_ascii_uppercase));
    fits.then(|| {
        Finding::new(
            part.start,
            part.end,
            Kind::DriverLicense,
            "gb_driver_license",
            82,
        )
    })
}

/// Detects a wallet's address by its checksum (Base58Check).
fn base58(context: &Context<'_>, part: &Part<'_>) -> Option<Finding> {
    if part.sizes.len() != 1 || !(26..=36).contains(&part.compact.len()) {
        return None;
    }
    let text = context.slice(part.start, part.end);
    base58check(text)
        .then(|| Finding::new(part.start, part.end, Kind::CryptoAddress, "base58check", 95))
}
