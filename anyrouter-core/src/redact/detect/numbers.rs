//! Numbers: cards, accounts, addresses of machines, phone and identity numbers, coordinates, as clusters of digits and what joins them.
//!
//! A cluster is judged as a whole first, then its parts, the longest first: `4111 1111 1111 1111` is a card, and not four numbers; in
//! `room 12 4111…` the card is found all the same.

use super::{Scene, ids, luhn, wallets::base58check};
use crate::redact::{Kind, label::Finding, vocabulary::Meaning};

/// A run of letters and digits within a cluster.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: usize,
    end: usize,
    has_digit: bool,
}

/// A cluster is at most so many pieces.
const PIECES: usize = 12;
/// A longer run of letters and digits is no number.
const LONG: usize = 36;
/// How far before a number its name is looked for, in bytes.
const CONTEXT: usize = 64;

/// What is judged: pieces in a row.
struct Part {
    start: usize,
    end: usize,
    /// Letters as capitals, no separators.
    compact: Vec<u8>,
    pieces: usize,
    /// What stands between the pieces.
    separators: Vec<u8>,
    has_letter: bool,
}

impl Scene<'_> {
    /// The cluster around the digit at `at`: findings, and where the next one may begin.
    pub(super) fn number(&mut self, at: usize) -> usize {
        let start = at - self.slice(at.saturating_sub(LONG), at).iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
        let length = self.slice(start, start + 600).iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        if length > LONG {
            self.opaque(start, start + length);
            return start + length;
        }
        if let Some(end) = self.ipv4(start, start + length) {
            return end;
        }
        if let Some(end) = self.dashed_mac(at) {
            return end;
        }
        self.coordinates(at);
        self.date(at);
        self.street_number(at);
        self.number_first(at);
        if length >= 20 {
            self.opaque(start, start + length);
        }
        let pieces = self.pieces(start, start + length);
        let digits: usize = pieces.iter().map(|p| self.slice(p.start, p.end).iter().filter(|b| b.is_ascii_digit()).count()).sum();
        let end = pieces.last().map_or(start + length, |p| p.end);
        let letters: usize = pieces.iter().map(|p| self.slice(p.start, p.end).iter().filter(|b| b.is_ascii_uppercase()).count()).sum();
        if digits < 5 && (digits < 4 || letters < 3) {
            return (start + length).max(at + 1);
        }
        if self.is_in_opaque(start, end) {
            return (start + length).max(at + 1);
        }
        let mut taken: Vec<(usize, usize)> = Vec::new();
        let iban_like =
            self.slice(start, start + 4).iter().enumerate().all(|(i, b)| if i < 2 { b.is_ascii_uppercase() } else { b.is_ascii_digit() })
                && digits >= 11;
        for size in (1..=pieces.len()).rev() {
            for first in 0..=pieces.len() - size {
                let Some(window) = pieces.get(first..first + size) else { continue };
                let (Some(a), Some(b)) = (window.first(), window.last()) else { continue };
                if taken.iter().any(|(s, e)| a.start < *e && *s < b.end) || !(a.has_digit || b.has_digit) {
                    continue;
                }
                if let Some(finding) =
                    self.part_of(window).and_then(|p| self.judge(&p)).filter(|f| !iban_like || f.label != Kind::Phone.into())
                {
                    taken.push((finding.start, finding.end));
                    self.found.push(finding);
                }
            }
        }
        // A part that was not taken may go on into what follows the cluster.
        let last_taken = taken.iter().map(|(_, e)| *e).max();
        match last_taken {
            Some(taken) => taken.max(at + 1),
            None if pieces.len() == PIECES => pieces.get(PIECES / 2).map_or(end, |p| p.start).max(at + 1),
            None => end.max(at + 1),
        }
    }

    /// The pieces from `start..end` on.
    fn pieces(&self, start: usize, end: usize) -> Vec<Piece> {
        let has_digit = |s: usize, e: usize| self.slice(s, e).iter().any(u8::is_ascii_digit);
        let mut start = start;
        // A country's letters may stand before, as a word of their own.
        let before = self.slice(start.saturating_sub(6), start);
        if let [.., b' ' | b'-'] = before {
            let word = before.iter().rev().skip(1).take_while(|b| b.is_ascii_uppercase()).count();
            if (1..=4).contains(&word) && !self.byte_before(start - 1 - word).is_ascii_alphanumeric() {
                start -= 1 + word;
            }
        }
        let first = start + self.slice(start, end).iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        let mut pieces = vec![Piece { start, end: first, has_digit: has_digit(start, first) }];
        let mut at = first;
        while pieces.len() < PIECES {
            let gap = self.slice(at, at + 6).iter().take_while(|b| b" -./_()+:\t\n~*".contains(b)).count();
            let between = self.slice(at, at + gap);
            let joins = gap == 1 && b" -./_(:+\t*~".contains(&between[0])
                || gap == 2
                    && (between[1] == b' ' && b".)/-".contains(&between[0])
                        || between == b" ("
                        || between == b") "
                        || between == b")-"
                        || between == b"  "
                        || between == b"--")
                || gap == 3 && (matches!(between, b" - " | b" / " | b" . " | b"   " | b") -"))
                || gap > 0
                    && between.contains(&b'\n')
                    && between.iter().all(|b| b" \n".contains(b))
                    && between.iter().filter(|b| **b == b'\n').count() == 1;
            if !joins {
                break;
            }
            let from = at + gap;
            let to = from + self.slice(from, from + 32).iter().take_while(|b| b.is_ascii_alphanumeric()).count();
            let word = self.slice(from, to);
            let digit = has_digit(from, to);
            let is_short_capitals = !word.is_empty() && word.len() <= 6 && word.iter().all(u8::is_ascii_uppercase);
            if to == from || (!digit && !is_short_capitals) || to - from > 24 {
                break;
            }
            pieces.push(Piece { start: from, end: to, has_digit: digit });
            at = to;
        }
        while pieces.len() > 1 && pieces.last().is_some_and(|p| !p.has_digit && p.end - p.start > 4) {
            pieces.pop();
        }
        pieces
    }

    fn part_of(&self, window: &[Piece]) -> Option<Part> {
        let (first, last) = (window.first()?, window.last()?);
        let mut part = Part {
            start: first.start,
            end: last.end,
            compact: Vec::new(),
            pieces: window.len(),
            separators: Vec::new(),
            has_letter: false,
        };
        for piece in window {
            if let Some(before) = part.separators.last_mut() {
                // The last separator of several counts.
                *before = self.byte_before(piece.start);
            }
            part.compact.extend(self.slice(piece.start, piece.end).iter().map(u8::to_ascii_uppercase));
            part.separators.push(b' ');
            if part.compact.len() > 40 {
                return None;
            }
        }
        part.separators.pop();
        part.has_letter = part.compact.iter().any(u8::is_ascii_alphabetic);
        (part.compact.len() >= 5).then_some(part)
    }

    /// What a part is, if it is anything: the surest.
    fn judge(&self, part: &Part) -> Option<Finding> {
        let candidates = [self.card(part), iban(part), self.identity(part), self.phone(part), base58(self, part), self.vin(part)];
        candidates.into_iter().flatten().max_by_key(|f| f.confidence)
    }

    /// A payment card: issuer's range and length (ISO/IEC 7812), and Luhn.
    fn card(&self, part: &Part) -> Option<Finding> {
        let digits = &part.compact;
        if part.has_letter || !(13..=19).contains(&digits.len()) || !is_issued(digits) || !luhn(digits) || is_repeated(digits) {
            return None;
        }
        let sizes = self.sizes(part);
        let uniform = part.separators.windows(2).all(|w| w[0] == w[1]) || part.separators.contains(&b'\n');
        let usual = matches!(sizes.as_slice(), [4, 4, 4, 4 | 1] | [4, 6, 5 | 4] | [4, 4, 4, 4, 3] | [6, 13]) || sizes.len() == digits.len();
        let named = self.near(part.start, part.end, Meaning::CARD);
        let confidence = match (named, part.pieces) {
            (true, _) => 98,
            (false, 1) if self.is_decoy(part.start) => return None,
            (false, 1) => 80,
            (false, _) if usual && uniform => 92,
            (false, _) if usual => 80,
            _ => 60,
        };
        Some(Finding::new(part.start, part.end, Kind::CreditCard, "card", confidence))
    }

    fn sizes(&self, part: &Part) -> Vec<usize> {
        self.slice(part.start, part.end).split(|b| !b.is_ascii_alphanumeric()).map(<[u8]>::len).filter(|n| *n > 0).collect()
    }

    /// A national or tax number: by its check digits where they are strong, by the words around it where they are not.
    fn identity(&self, part: &Part) -> Option<Finding> {
        let odd = |s: &u8| !b" -./_(".contains(s);
        if part.compact.len() > ids::LONGEST
            || part.separators.iter().any(odd)
            || b".,".contains(&self.byte_before(part.start))
            || self.byte(part.end) == b'.' && self.byte(part.end + 1).is_ascii_digit()
        {
            return None;
        }
        let mut fitting = self.engine.ids.fitting(&part.compact).peekable();
        fitting.peek()?;
        let mut context = String::new();
        let mut begin = part.start.saturating_sub(CONTEXT);
        while !self.text.is_char_boundary(begin) {
            begin += 1;
        }
        let mut end = (part.end + 32).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        for text in [self.part(begin, part.start), " \u{1} ", self.part(part.end, end)] {
            context.extend(text.chars().flat_map(char::to_lowercase));
        }
        let named = self.engine.ids.named(&context);
        let named_generally = self.before(part.start, Meaning::NATIONAL_ID.and(Meaning::TAX_ID), CONTEXT).is_some()
            || self.after(part.end, Meaning::NATIONAL_ID.and(Meaning::TAX_ID), 32).is_some();
        let country = self.countries_near(part.start, part.end);
        let is_decoy = self.is_decoy(part.start);
        let prefixed = part.has_letter;
        let groups = self.sizes(part);
        let best = fitting
            .filter_map(|id| {
                let named = id.is_named(&named);
                let here = country.contains(&id.country);
                let groups_fit = part.pieces == 1 || id.is_written_so(&groups);
                let is_dated = matches!(groups.as_slice(), [2 | 1, 2, 4] | [4, 2, 2] | [2, 1, 4]);
                if !groups_fit && (!(named && part.pieces <= 4) || is_dated) && id.strength < 200 {
                    return None;
                }
                let is_written = part.pieces > 1 && groups_fit || prefixed;
                let confidence = match id.strength {
                    _ if named => 94,
                    _ if is_decoy => return None,
                    _ if here && named_generally => 88,
                    200.. if is_written => 80,
                    200.. => 70,
                    40..200 if named_generally || here => 78,
                    90..200 if part.compact.len() >= 9 => 58,
                    40..200 if is_written => 60,
                    5..40 if named_generally => 70,
                    5..40 if here && is_written => 65,
                    _ if id.rule == "ssn" && part.separators == b"--" && self.sizes(part) == [3, 2, 4] => 78,
                    _ if named_generally && here => 72,
                    _ => return None,
                };
                Some((confidence, id.strength, id))
            })
            .max_by_key(|(confidence, strength, _)| (*confidence, *strength))?;
        let (confidence, _, id) = best;
        let mut finding = Finding::new(part.start, part.end, id.kind, id.rule, confidence);
        finding.country = Some(id.country.into());
        Some(finding)
    }

    /// The countries named near.
    pub(super) fn countries_near(&self, start: usize, end: usize) -> Vec<&'static str> {
        let first = self.hits.partition_point(|h| h.start + 96 < start);
        let hits = self.hits.get(first..).unwrap_or_default().iter().take_while(|h| h.start <= end + 48);
        hits.filter(|h| h.meaning().has(Meaning::COUNTRY)).filter_map(|h| self.engine.country(self.part(h.start, h.end))).collect()
    }

    /// A phone number: international by its country's plan, national by its form, its country or the words around it.
    fn phone(&self, part: &Part) -> Option<Finding> {
        let digits = &part.compact;
        if part.has_letter || !(6..=17).contains(&digits.len()) || part.separators.contains(&b'\n') {
            return None;
        }
        let finding = |start, confidence| Some(Finding::new(start, self.phone_end(part.end), Kind::Phone, "phone", confidence));
        let opens = self.byte_before(part.start) == b'(';
        let mut start = part.start - usize::from(opens);
        if self.byte_before(start) == b'+' {
            start -= 1;
            if self.byte_before(start) == b'(' {
                start -= 1;
            }
            return if self.engine.phones.is_international(digits) {
                finding(start, 95)
            } else if digits.len() >= 9 && self.near(start, part.end, Meaning::PHONE) {
                finding(start, 75)
            } else {
                None
            };
        }
        if self.byte_before(part.start) == b'.' || b".,%".contains(&self.byte(part.end)) && self.byte(part.end + 1).is_ascii_digit() {
            return None;
        }
        let named = self.near(part.start, part.end, Meaning::PHONE);
        if digits.starts_with(b"00") && self.engine.phones.is_international(&digits[2..]) && (named || part.pieces > 1) {
            return finding(start, 85);
        }
        let sizes = self.sizes(part);
        if let Some(national) = nanp(digits) {
            let formed = matches!(sizes.as_slice(), [3, 3, 4] | [1, 3, 3, 4] | [3, 7] | [1, 3, 7]);
            let dashed = opens || part.separators.iter().any(|s| b"-.)".contains(s));
            return match (named, formed, national) {
                (true, ..) => finding(start, 90),
                (false, true, true) if dashed && !self.is_decoy(part.start) => finding(start, 80),
                (false, true, true) if !self.is_decoy(part.start) => finding(start, 60),
                (false, true, false) if opens => finding(start, 65),
                _ => self.national(part, start),
            };
        }
        if named && digits.len() >= 6 && self.before_or_close(part, Meaning::PHONE) {
            let plausible = digits.len() >= 7 || part.pieces > 1;
            return if plausible { finding(start, 82) } else { None };
        }
        self.national(part, start)
    }

    fn before_or_close(&self, part: &Part, any: Meaning) -> bool {
        self.before(part.start, any, 48).is_some() || self.after(part.end, any, 10).is_some()
    }

    /// A number of the country that is named near; or one written as only phone numbers are.
    fn national(&self, part: &Part, start: usize) -> Option<Finding> {
        let digits = &part.compact;
        let finding = |confidence| Some(Finding::new(start, part.end, Kind::Phone, "phone_national", confidence));
        let sizes = self.sizes(part);
        let is_dated = matches!(sizes.as_slice(), [4, 2 | 1, 2] | [2 | 1, 2, 4] | [2, 1, 4] | [4, 2, 1] | [4, 4]) && digits.len() <= 8;
        let is_decimal = part.separators == b"."
            || b"./=&?-".contains(&self.byte_before(part.start))
            || self.byte(part.end) == b'.' && self.byte(part.end + 1) == b'.';
        if is_dated || is_decimal || self.is_decoy(part.start) || self.byte(part.end) == b'-' {
            return None;
        }
        if self.countries_near(part.start, part.end).iter().any(|c| self.engine.phones.is_national(c, digits)) {
            return finding(78);
        }
        if is_decimal_list(part) {
            return None;
        }
        let spaced = part.pieces > 1 && part.separators.iter().all(|s| b" -/.)(".contains(s));
        if digits.first() == Some(&b'0')
            && spaced
            && (10..=12).contains(&digits.len())
            && digits.get(1) != Some(&b'0')
            && self.engine.phones.is_national_anywhere(digits)
        {
            return finding(70);
        }
        let pairs = self.sizes(part);
        let distinct = part.separators.contains(&b')') || part.separators.windows(2).any(|w| w[0] != w[1]) || pairs.len() > 3;
        (spaced
            && distinct
            && (8..=11).contains(&digits.len())
            && part.pieces >= 3
            && pairs.iter().all(|s| (2..=4).contains(s))
            && self.engine.phones.is_national_anywhere(digits))
        .then(|| finding(55))
        .flatten()
    }

    /// `14-7d-19-af-e0-e0`, around one of its digits.
    fn dashed_mac(&mut self, at: usize) -> Option<usize> {
        let part = |b: &u8| b.is_ascii_hexdigit() || *b == b'-';
        let start = at - self.slice(at.saturating_sub(17), at).iter().rev().take_while(|b| part(b)).count();
        let token = self.slice(start, start + 18);
        let is_mac = token.iter().take(17).enumerate().all(|(i, b)| if i % 3 == 2 { *b == b'-' } else { b.is_ascii_hexdigit() });
        if token.len() < 17
            || !is_mac
            || token.get(17).is_some_and(|b| part(b) || b.is_ascii_alphanumeric())
            || self.byte_before(start).is_ascii_alphanumeric()
        {
            return None;
        }
        self.add(start, start + 17, Kind::MacAddress, "mac", 92);
        Some(start + 17)
    }

    /// The end of an extension, ` ext. 123`, behind a number.
    fn phone_end(&self, end: usize) -> usize {
        let rest = self.part(end, (end + 16).min(self.text.len()));
        for mark in [" ext. ", " ext.", " ext ", " x", "x", " extension ", ", ext. ", ", ext "] {
            if let Some(after) = rest.strip_prefix(mark) {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count();
                if (1..=6).contains(&digits) {
                    return end + mark.len() + digits;
                }
            }
        }
        end
    }

    /// A vehicle's identification number (ISO 3779), with the check digit of 49 CFR 565.15, or with its name beside it.
    fn vin(&self, part: &Part) -> Option<Finding> {
        let vin = &part.compact;
        if vin.len() != 17
            || part.pieces != 1
            || !part.has_letter
            || vin.iter().any(|b| b"IOQ".contains(b))
            || self.slice(part.start, part.end).iter().any(u8::is_ascii_lowercase)
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
        let confidence = if self.near(part.start, part.end, Meaning::VEHICLE) {
            92
        } else if checks {
            72
        } else {
            return None;
        };
        Some(Finding::new(part.start, part.end, Kind::Vehicle, "vin", confidence))
    }

    /// An IPv4 address (RFC 791 in dotted form), with its prefix's length.
    fn ipv4(&mut self, start: usize, first_end: usize) -> Option<usize> {
        if self.byte(first_end) != b'.' || first_end - start > 3 {
            return None;
        }
        let end = start + self.slice(start, start + 16).iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let text = self.part(start, end).trim_end_matches('.');
        let end = start + text.len();
        let before = self.byte_before(start);
        if text.parse::<std::net::Ipv4Addr>().is_err() || before == b'.' || before == b'v' || self.byte(end).is_ascii_alphabetic() {
            return None;
        }
        let small = text.split('.').all(|o| o.len() == 1);
        if small && (self.is_decoy(start) || text == "0.0.0.0")
            || self.before(start, Meaning::DECOY, 24).is_some_and(|h| self.part(h.start, h.end).to_ascii_lowercase().starts_with("ver"))
        {
            return None;
        }
        let end = end + self.prefix_length(end);
        self.add(start, end, Kind::IpAddress, "ipv4", if small { 60 } else { 92 });
        Some(end)
    }

    /// Latitude and longitude in degrees (ISO 6709 as people write it).
    fn coordinates(&mut self, at: usize) {
        let signed = at - usize::from(b"-+".contains(&self.byte_before(at)));
        let number = |from: usize| -> Option<(usize, f64, usize)> {
            let sign = usize::from(b"-+".contains(&self.byte(from)));
            let whole = self.slice(from + sign, from + sign + 4).iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=3).contains(&whole) || self.byte(from + sign + whole) != b'.' {
                return None;
            }
            let fraction = self.slice(from + sign + whole + 1, from + sign + whole + 18).iter().take_while(|b| b.is_ascii_digit()).count();
            let end = from + sign + whole + 1 + fraction;
            Some((end, self.part(from, end).parse().ok()?, fraction))
        };
        if self.byte_before(signed).is_ascii_alphanumeric() || self.byte_before(signed) == b'.' {
            return;
        }
        let Some((end, _, precision)) = number(signed).filter(|(_, v, p)| v.abs() <= 90.0 && *p >= 2) else { return };
        let unit = |at: usize| {
            let rest = self.part(at, (at + 6).min(self.text.len()).max(at));
            let degree = rest.chars().take_while(|c| *c == '°' || *c == ' ').map(char::len_utf8).sum::<usize>();
            let letter = usize::from(b"NSEW".contains(&self.byte(at + degree)) && !self.byte(at + degree + 1).is_ascii_alphanumeric());
            if letter == 1 { degree + letter } else { rest.chars().take_while(|c| *c == '°').map(char::len_utf8).sum() }
        };
        let marked = unit(end);
        let between = self.slice(end + marked, end + marked + 24);
        let gap = between.iter().take_while(|b| b" ,;/".contains(b)).count();
        let longitude = number(end + marked + gap).filter(|(_, v, p)| v.abs() <= 180.0 && *p >= 2);
        let named = self.before(at, Meaning::COORDINATES, 32).is_some();
        if let (Some((last, _, p2)), true) = (longitude, gap > 0) {
            let tail = unit(last);
            if precision.min(p2) >= 3 || named || (marked > 0 && tail > 0) {
                self.add(signed, last + tail, Kind::Coordinates, "coordinates", if named || precision.min(p2) >= 4 { 88 } else { 65 });
            }
        } else if named && precision >= 3 && self.before(at, Meaning::COORDINATES, 16).is_some() {
            self.add(signed, end + marked, Kind::Coordinates, "coordinate", 75);
        }
    }

    /// Whether a word before says that the number is something else: an order, an invoice, a version.
    pub(super) fn is_decoy(&self, at: usize) -> bool {
        self.before(at, Meaning::DECOY, 24).is_some()
            || matches!(self.byte_before(at), b'#' | b'$')
            || self.slice(at.saturating_sub(3), at).ends_with("€".as_bytes())
    }

    /// Whether letters and digits stand around that belong to a longer opaque token, as a UUID or a hash.
    fn is_in_opaque(&self, start: usize, end: usize) -> bool {
        let left =
            self.slice(start.saturating_sub(40), start).iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        let right = self.slice(end, end + 40).iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        let token = self.slice(start - left, end + right);
        is_uuid(token)
            || (token.len() > 24
                && self.slice(start - left, start).iter().any(u8::is_ascii_alphabetic)
                && token.iter().filter(|b| b.is_ascii_hexdigit() || **b == b'-').count() == token.len())
    }
}

/// An address of a wallet, by its checksum (Base58Check).
fn base58(scene: &Scene<'_>, part: &Part) -> Option<Finding> {
    if part.pieces != 1 || !(26..=36).contains(&part.compact.len()) {
        return None;
    }
    let text = scene.slice(part.start, part.end);
    base58check(text).then(|| Finding::new(part.start, part.end, Kind::CryptoAddress, "base58check", 95))
}

/// `1.5 - 2.5`: numbers, and none of a phone.
fn is_decimal_list(part: &Part) -> bool {
    part.separators.iter().filter(|s| **s == b'.').count() > 0
        && part.separators.iter().any(|s| *s == b' ' || *s == b'-')
        && part.separators.first() == Some(&b'.')
}

/// An IBAN (ISO 13616): the country's length, and mod 97.
fn iban(part: &Part) -> Option<Finding> {
    let compact = &part.compact;
    let country = compact.first_chunk::<2>().filter(|c| c.iter().all(u8::is_ascii_uppercase))?;
    let length = IBAN_LENGTHS.iter().find(|(c, _)| c.as_bytes() == country)?.1;
    if compact.len() != length || !compact.get(2..4)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let turned = compact.iter().skip(4).chain(compact.iter().take(4));
    let rest = turned.fold(0_u64, |n, b| {
        let v = char::from(*b).to_digit(36).map_or(0, u64::from);
        (if v > 9 { n * 100 } else { n * 10 } + v) % 97
    });
    let mut finding = Finding::new(part.start, part.end, Kind::Iban, "iban", 98);
    finding.country = Some(String::from_utf8_lossy(country).into_owned().into());
    (rest == 1).then_some(finding)
}

/// A UUID (RFC 9562) in its text form, or with text around it.
pub(super) fn is_uuid(token: &[u8]) -> bool {
    token
        .windows(36)
        .any(|w| w.iter().enumerate().all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() }))
}

fn is_repeated(digits: &[u8]) -> bool {
    digits.iter().all(|d| Some(d) == digits.first())
}

/// Whether a North American number is valid in its plan; `None` where it has another length.
fn nanp(digits: &[u8]) -> Option<bool> {
    let national = match digits {
        [b'1', rest @ ..] if rest.len() == 10 => rest,
        rest if rest.len() == 10 => rest,
        _ => return None,
    };
    let starts = |i: usize| national.get(i).is_some_and(|d| *d >= b'2');
    Some(starts(0) && starts(3))
}

/// Issuers' ranges and lengths.
fn is_issued(digits: &[u8]) -> bool {
    let first = |n: usize| digits.get(..n).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse::<u32>().ok()).unwrap_or(0);
    let (two, three, four, six) = (first(2), first(3), first(4), first(6));
    match digits.len() {
        13 => digits.first() == Some(&b'4') || matches!(two, 50 | 56..=69),
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37) || matches!(four, 1800 | 2131) || matches!(two, 50 | 56..=69),
        16 => {
            digits.first() == Some(&b'4')
                || matches!(two, 51..=55 | 65 | 62 | 81)
                || matches!(four, 2221..=2720 | 6011 | 3528..=3589 | 2200..=2204 | 9792 | 5018 | 5020 | 5038 | 5893 | 6304 | 6759..=6763 | 6521 | 6522 | 6370)
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
