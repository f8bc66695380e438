//! Secrets with a known format: keys and tokens that begin with, or contain, text that their issuer
//! puts there.
//!
//! The formats are data (`redact/secrets.tsv`, `redact/secrets-inside.tsv`), each with the page
//! that it is from and the party that confirms it. A format's literal prefix finds candidates; its
//! pattern, which runs in linear time and only there, decides.

use crate::part::Part as _;

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use base64::{Engine as _, engine::GeneralPurpose};
use regex::bytes::{Regex, RegexBuilder};

/// A format of secrets.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) rule: &'static str,
    pattern: &'static str,
    literal: Vec<u8>,
    regex: OnceLock<Option<Regex>>,
}

/// Maximum length of a secret that is examined, in bytes.
pub(crate) const LONGEST: usize = 8192;

impl Format {
    /// Returns the end of the match of this format at the beginning of `text`.
    fn matches(&self, text: &[u8]) -> Option<usize> {
        let regex = self.regex.get_or_init(|| {
            RegexBuilder::new(&format!("^(?:{})", self.pattern))
                .unicode(false)
                .size_limit(1 << 22)
                .build()
                .ok()
        });
        let end = regex
            .as_ref()?
            .find(text.get(..LONGEST.min(text.len()))?)?
            .end();
        let goes_on = |b: &u8| b.is_ascii_alphanumeric();
        let whole = text.get(end - 1).is_none_or(|b| !goes_on(b))
            || text.get(end).is_none_or(|b| !goes_on(b));
        whole.then_some(end)
    }
}

/// The formats of secrets, indexed by their prefixes.
#[derive(Debug)]
pub(crate) struct Prefixes {
    formats: Vec<Format>,
    /// The formats of each group, which share their first three bytes.
    groups: Vec<Vec<u16>>,
    by_bytes: std::collections::HashMap<[u8; 3], u16, foldhash::fast::FixedState>,
    /// A filter of the first four bytes of formats; a format of three bytes admits any fourth.
    filter: Box<[u64]>,
    inside: Vec<Format>,
    literals: Option<AhoCorasick>,
}

/// The group of `data:`, which is not a secret.
const DATA_URL: u16 = u16::MAX;
const FILTER: usize = 1 << 16;

impl Prefixes {
    /// Minimum length of a secret, in bytes. No secret contains a space or a line break.
    pub(crate) const SHORTEST: usize = 13;

    pub(crate) fn builtin() -> Self {
        let rows = |table: &'static str| {
            table
                .lines()
                .filter(|l| !l.starts_with('#'))
                .map(|l| l.split('\t'))
        };
        let mut it = Self {
            formats: Vec::new(),
            groups: Vec::new(),
            by_bytes: std::collections::HashMap::default(),
            filter: vec![0; FILTER / 64].into(),
            inside: Vec::new(),
            literals: None,
        };
        for mut row in rows(include_str!("../../redact/secrets.tsv")) {
            let (Some(rule), Some(pattern)) = (row.next(), row.next()) else {
                continue;
            };
            it.formats.push(Format {
                rule,
                pattern,
                literal: literal_start(pattern),
                regex: OnceLock::new(),
            });
        }
        let mut starts: Vec<([u8; 3], u16)> = Vec::new();
        let mut fours: Vec<[u8; 4]> = vec![*b"data"];
        for (i, format) in it.formats.iter().enumerate() {
            match *format.literal {
                [a, b, c, d, ..] => {
                    starts.push(([a, b, c], i as u16));
                    fours.push([a, b, c, d]);
                    continue;
                }
                [a, b, c] => starts.push(([a, b, c], i as u16)),
                // Two letters before hexadecimal digits.
                [a, b] => starts.extend(b"0123456789abcdef".iter().map(|c| ([a, b, *c], i as u16))),
                _ => {}
            }
            let threes = starts
                .iter()
                .rev()
                .take_while(|(_, f)| usize::from(*f) == i);
            fours.extend(threes.flat_map(|([a, b, c], _)| (0..=255).map(|d| [*a, *b, *c, d])));
        }
        for (three, format) in starts {
            it.group(three, |groups| groups.push(format));
        }
        it.by_bytes.insert(*b"dat", DATA_URL);
        for four in fours {
            it.admit(four);
        }
        for mut row in rows(include_str!("../../redact/secrets-inside.tsv")) {
            let (Some(rule), Some(pattern), Some(literal)) = (row.next(), row.next(), row.next())
            else {
                continue;
            };
            it.inside.push(Format {
                rule,
                pattern,
                literal: literal.as_bytes().to_vec(),
                regex: OnceLock::new(),
            });
        }
        it.literals = AhoCorasick::new(it.inside.iter().map(|f| &f.literal)).ok();
        it
    }

    fn group(&mut self, three: [u8; 3], add: impl FnOnce(&mut Vec<u16>)) {
        let next = self.groups.len() as u16;
        let number = *self.by_bytes.entry(three).or_insert(next);
        if number == next {
            self.groups.push(Vec::new());
        }
        if let Some(group) = self.groups.get_mut(usize::from(number)) {
            add(group);
        }
    }

    fn admit(&mut self, four: [u8; 4]) {
        let hash = hash(four);
        if let Some(bits) = self.filter.get_mut(hash / 64) {
            *bits |= 1 << (hash % 64);
        }
    }

    /// Returns the group of formats of which one may begin at `at`.
    pub(crate) fn at(&self, text: &[u8], at: usize) -> Option<u16> {
        let four = *text.get(at..)?.first_chunk::<4>()?;
        let hash = hash(four);
        if self.filter.get(hash / 64)? & (1 << (hash % 64)) == 0 {
            return None;
        }
        if at
            .checked_sub(1)
            .and_then(|i| text.get(i))
            .is_some_and(u8::is_ascii_alphanumeric)
        {
            return None;
        }
        let group = *self.by_bytes.get(four.first_chunk::<3>()?)?;
        let rest = text.get(at..)?;
        let may = if group == DATA_URL {
            rest.starts_with(b"data:")
        } else {
            self.group_formats(group)
                .any(|f| rest.starts_with(&f.literal))
        };
        may.then_some(group)
    }

    fn group_formats(&self, group: u16) -> impl Iterator<Item = &Format> {
        self.groups
            .get(usize::from(group))
            .into_iter()
            .flatten()
            .filter_map(|i| self.formats.get(usize::from(*i)))
    }

    /// Returns the end of a `data:` URL with a picture or a sound that begins at `at`.
    pub(crate) fn skips(text: &[u8], at: usize, group: u16) -> Option<usize> {
        if group != DATA_URL {
            return None;
        }
        let (start, is_text) = data_url(text.get(at..)?)?;
        (!is_text).then(|| at + start + base64_length(text.part(at + start..)))
    }

    /// Returns true if this is the group of `data:` URLs.
    pub(crate) fn is_data_url(group: u16) -> bool {
        group == DATA_URL
    }

    /// Returns the format of `group` that begins at `at`, and its end; the longest match wins.
    pub(crate) fn matches(&self, text: &[u8], at: usize, group: u16) -> Option<(usize, &Format)> {
        let rest = text.get(at..)?;
        self.group_formats(group)
            .filter(|f| rest.starts_with(&f.literal))
            .filter_map(|f| Some((at + f.matches(rest)?, f)))
            .max_by_key(|(end, f)| (*end, f.literal.len()))
    }

    /// Returns the format of a whole `token`, found by a literal inside it.
    pub(crate) fn holds(&self, token: &[u8]) -> Option<&Format> {
        self.literals
            .as_ref()?
            .find_overlapping_iter(token)
            .find_map(|found| {
                let format = self.inside.get(found.pattern().as_usize())?;
                (format.matches(token) == Some(token.len())).then_some(format)
            })
    }
}

fn hash(four: [u8; 4]) -> usize {
    (u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1) >> 16) as usize % FILTER
}

/// Returns the bytes with which every match of a pattern begins.
fn literal_start(pattern: &str) -> Vec<u8> {
    let mut literal = Vec::new();
    let mut bytes = pattern.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'(' | b'+' => break,
            b'{' | b'?' | b'*' => {
                literal.pop();
                break;
            }
            b'\\' => literal.extend(bytes.next()),
            _ => literal.push(byte),
        }
    }
    literal
}

/// Returns the start of the base64 of a `data:` URL (RFC 2397), and true if it is text.
pub(crate) fn data_url(text: &[u8]) -> Option<(usize, bool)> {
    let head = text.get(..text.len().min(128))?;
    let marker = memchr::memmem::find(head, b";base64,")?;
    let kind = head.get(5..marker)?.to_ascii_lowercase();
    if !kind
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || b"/+.-;=_".contains(b))
    {
        return None;
    }
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default();
    let names = [
        &b"json"[..],
        b"xml",
        b"yaml",
        b"x-yaml",
        b"csv",
        b"sql",
        b"toml",
        b"javascript",
        b"x-www-form-urlencoded",
    ];
    let subtype = kind.strip_prefix(b"application/").unwrap_or_default();
    let is_text = kind.is_empty()
        || kind.starts_with(b"text/")
        || kind.starts_with(b"message/")
        || kind.ends_with(b"+xml")
        || kind.ends_with(b"+json")
        || names.contains(&subtype);
    Some((marker + 8, is_text))
}

/// Decodes a `data:` URL of text in base64: returns the length of the part before the base64, and
/// the text.
pub(crate) fn encoded_text(content: &str) -> Option<(usize, String)> {
    let is_url = content
        .get(..5)
        .is_some_and(|c| c.eq_ignore_ascii_case("data:"));
    let (start, is_text) = is_url.then(|| data_url(content.as_bytes())).flatten()?;
    let encoded: String = content
        .get(start..)
        .filter(|_| is_text)?
        .split_ascii_whitespace()
        .collect();
    let bytes = BASE64.decode(encoded).ok()?;
    Some((start, String::from_utf8(bytes).ok()?))
}

/// Encodes text as base64.
pub(crate) fn encode(text: &str) -> String {
    BASE64.encode(text)
}

/// Base64 (RFC 4648, 4) that is decoded with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Returns the length of the base64 (RFC 4648, both alphabets) at the beginning of `text`.
pub(crate) fn base64_length(text: &[u8]) -> usize {
    use wide::u8x16;
    let mut at = 0;
    while let Some(chunk) = text
        .get(at..at + 64)
        .and_then(|c| <&[u8; 64]>::try_from(c).ok())
    {
        let (quarters, _) = chunk.as_chunks::<16>();
        let legal = quarters.iter().fold(u8x16::splat(0xff), |all, quarter| {
            let bytes = u8x16::new(*quarter);
            let within = |v: u8x16, low: u8, count: u8| {
                let moved = v - u8x16::splat(low);
                moved.min(u8x16::splat(count - 1)).simd_eq(moved)
            };
            let equal = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            // `/` directly precedes the digits in ASCII.
            all & (within(bytes | u8x16::splat(0x20), b'a', 26)
                | within(bytes, b'/', 11)
                | equal(b'+')
                | equal(b'-')
                | equal(b'_')
                | equal(b'='))
        });
        if legal.to_bitmask() != 0xffff {
            break;
        }
        at += 64;
    }
    let legal = |b: &u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(b);
    at + text.part(at..).iter().take_while(|b| legal(b)).count()
}

#[cfg(test)]
mod tests {
    use regex_syntax::hir::{Class, Hir, HirKind};

    use super::*;

    #[test]
    fn every_form_compiles_and_begins_with_a_literal() {
        let prefixes = Prefixes::builtin();
        assert!(prefixes.formats.len() > 400, "{}", prefixes.formats.len());
        for format in prefixes.formats.iter().chain(&prefixes.inside) {
            format.matches(b"x");
            assert!(
                format.regex.get().unwrap().is_some(),
                "{} does not compile",
                format.rule
            );
        }
        for format in &prefixes.formats {
            assert!(
                format.literal.len() >= 2,
                "{} begins with no literal",
                format.rule
            );
        }
    }

    #[test]
    fn no_form_is_shorter_than_the_shortest_or_holds_a_space() {
        fn holds_space(form: &Hir) -> bool {
            let is_space =
                |low: u32, high: u32| (low..=high).contains(&0x20) || (low..=high).contains(&0x0a);
            match form.kind() {
                HirKind::Literal(literal) => {
                    literal.0.iter().any(|b| is_space((*b).into(), (*b).into()))
                }
                HirKind::Class(Class::Bytes(class)) => class
                    .iter()
                    .any(|r| is_space(r.start().into(), r.end().into())),
                HirKind::Class(Class::Unicode(class)) => class
                    .iter()
                    .any(|r| is_space(r.start().into(), r.end().into())),
                HirKind::Repetition(repetition) => holds_space(&repetition.sub),
                HirKind::Capture(capture) => holds_space(&capture.sub),
                HirKind::Concat(forms) | HirKind::Alternation(forms) => {
                    forms.iter().any(holds_space)
                }
                HirKind::Empty | HirKind::Look(_) => false,
            }
        }
        let mut parser = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .build();
        for format in &Prefixes::builtin().formats {
            let form = parser.parse(format.pattern).unwrap();
            assert!(
                form.properties().minimum_len().unwrap() >= Prefixes::SHORTEST,
                "{}",
                format.rule
            );
            assert!(!holds_space(&form), "{}", format.rule);
        }
    }

    #[test]
    fn base64_ends_where_it_ends() {
        let text = [b"QUJD".repeat(40), b"\" more".to_vec()].concat();
        assert_eq!(base64_length(&text), 160);
        assert_eq!(base64_length(b"a@b"), 1);
    }
}
