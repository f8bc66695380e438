//! Text as a reader sees it, with a mapping to the bytes that it came from.
//!
//! Patterns miss a value with an unusual spelling: `john&#64;example.com`, `\u0034111…`, full-width
//! or Arabic-Indic digits, Cyrillic look-alikes, zero-width characters between digits. A view
//! replaces all of these with plain characters. Text that has none of them is its own view, and is
//! not copied.

use std::borrow::Cow;

use super::detect::one_of;
use crate::part::Part as _;

/// Text in which each character stands for itself.
#[derive(Debug)]
pub(crate) struct View<'a> {
    text: Cow<'a, str>,
    /// In order of both texts; empty if the text is its own view.
    respelt: Vec<Respelling>,
}

/// A character of the view with another spelling in the source, or one of the source that the view
/// omits. Between two of them, both texts are equal byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Respelling {
    /// Its end in the view; `source` is its end in the source.
    view: usize,
    source: usize,
    /// Its length in the view; `source_length` is its length in the source.
    view_length: usize,
    source_length: usize,
}

impl<'a> View<'a> {
    /// Creates the view of `source`.
    pub(crate) fn of(source: &'a str) -> Self {
        let mut writer = Writer {
            source,
            out: String::new(),
            respelt: Vec::new(),
            copied: 0,
        };
        let bytes = source.as_bytes();
        let mut at = 0;
        if source.is_ascii() {
            for found in memchr::memchr3_iter(b'\\', b'&', b'%', bytes) {
                at = writer.ascii(found, at);
            }
            if memchr::memchr_iter(b'=', bytes)
                .any(|at| is_soft_break(bytes, at) || is_quoted_at(bytes, at))
            {
                // Rare: reads it again, byte by byte.
                return Self::slowly(source);
            }
        } else {
            return Self::slowly(source);
        }
        writer.into_view()
    }

    fn slowly(source: &'a str) -> Self {
        let mut writer = Writer {
            source,
            out: String::new(),
            respelt: Vec::new(),
            copied: 0,
        };
        let bytes = source.as_bytes();
        let mut at = 0;
        loop {
            at += plain_length(bytes.part(at..));
            let Some(byte) = bytes.get(at) else { break };
            at = match byte {
                b'\\' | b'&' | b'%' => writer.ascii(at, at).max(at + 1),
                b'=' if is_soft_break(bytes, at) => {
                    let length = if bytes.get(at + 1) == Some(&b'\n') {
                        2
                    } else {
                        3
                    };
                    writer.replace(at, length, None);
                    at + length
                }
                b'=' if is_quoted_at(bytes, at) => writer.ascii(at, at),
                0..=0x7f => at + 1,
                // `À` to `ÿ` are themselves.
                0xc3 => at + 2,
                _ => writer.other(at),
            };
        }
        writer.into_view()
    }

    /// Returns the text of the view.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if the view equals the source.
    pub(crate) fn is_plain(&self) -> bool {
        self.respelt.is_empty()
    }

    /// Returns the range of the source for a range of the view.
    pub(crate) fn source(&self, start: usize, end: usize) -> (usize, usize) {
        if self.respelt.is_empty() || start >= end {
            return (start, end);
        }
        let last_before = |at: usize| {
            self.respelt.get(
                self.respelt
                    .partition_point(|r| r.view - r.view_length <= at)
                    .wrapping_sub(1),
            )
        };
        let from = match last_before(start) {
            Some(r) if start < r.view => r.source - r.source_length,
            Some(r) => r.source + start - r.view,
            None => start,
        };
        let to = match last_before(end - 1) {
            Some(r) => r.source + end.saturating_sub(r.view),
            None => end,
        };
        (from, to)
    }
}

struct Writer<'a> {
    source: &'a str,
    out: String,
    respelt: Vec<Respelling>,
    /// Length of the source that `out` covers.
    copied: usize,
}

impl<'a> Writer<'a> {
    /// Replaces an escape at `at`, unless that is before `from`, and returns the next place.
    fn ascii(&mut self, at: usize, from: usize) -> usize {
        if at < from {
            return from;
        }
        let rest = self.source.as_bytes().part(at..);
        match escape(rest) {
            // An escaped quote within a string does not end a value, unless it belongs to a nested
            // document.
            Some((length, '"')) if !self.is_structural(at, length) => {
                self.replace(at, length, Some('~'));
                at + length
            }
            Some((length, character)) => {
                self.replace(at, length, Some(character));
                at + length
            }
            None => from.max(at),
        }
    }

    /// Returns true if an escaped quote at `at` begins or ends a string of a document.
    fn is_structural(&self, at: usize, length: usize) -> bool {
        let bytes = self.source.as_bytes();
        let before = bytes.part(..at).trim_ascii_end().last();
        let after = bytes.part(at + length..).trim_ascii_start().first();
        before.is_none_or(|b| matches!(b, b'{' | b'[' | b',' | b':' | b'(' | b'=' | b'"'))
            || after.is_none_or(|b| matches!(b, b':' | b',' | b'}' | b']' | b')' | b'\\' | b'"'))
    }

    /// Replaces a character outside ASCII at `at`, if necessary, and returns the next place.
    fn other(&mut self, at: usize) -> usize {
        let Some(character) = self.source.get(at..).and_then(|t| t.chars().next()) else {
            return at + 1;
        };
        let length = character.len_utf8();
        if is_invisible(character) {
            self.replace(at, length, None);
        } else if let Some(plain) = plain(character) {
            self.replace(at, length, Some(plain));
        } else if let Some(latin) = look_alike(character)
            && self.is_among_latin(at, length)
        {
            self.replace(at, length, Some(latin));
        }
        at + length
    }

    /// Returns true if the letters around a look-alike are Latin.
    fn is_among_latin(&self, at: usize, length: usize) -> bool {
        let before = if self.copied == at {
            self.out.as_bytes().last()
        } else {
            self.source.as_bytes().get(at.wrapping_sub(1))
        };
        if before.is_some_and(u8::is_ascii_alphabetic) {
            return true;
        }
        let rest = self.source.part(at + length..);
        let next = rest
            .chars()
            .take(16)
            .enumerate()
            .find(|(_, c)| look_alike(*c).is_none());
        next.is_some_and(|(i, c)| c.is_ascii_alphabetic() || c.is_ascii_digit() && i < 3)
    }

    fn replace(&mut self, at: usize, length: usize, by: Option<char>) {
        if self.copied == 0 {
            self.out.reserve(self.source.len());
            self.respelt.reserve(32);
        }
        self.copy(at);
        let view_length = by.map_or(0, char::len_utf8);
        if let Some(character) = by {
            self.out.push(character);
        }
        self.copied = at + length;
        self.respelt.push(Respelling {
            view: self.out.len(),
            source: self.copied,
            view_length,
            source_length: length,
        });
    }

    /// Copies the source up to `end`.
    fn copy(&mut self, end: usize) {
        self.out.push_str(self.source.part(self.copied..end));
    }

    fn into_view(mut self) -> View<'a> {
        if self.copied == 0 {
            return View {
                text: Cow::Borrowed(self.source),
                respelt: Vec::new(),
            };
        }
        self.copy(self.source.len());
        View {
            text: Cow::Owned(self.out),
            respelt: self.respelt,
        }
    }
}

/// Returns the number of bytes at the beginning of `text` that stand for themselves.
fn plain_length(text: &[u8]) -> usize {
    use wide::u8x16;
    let is_plain = |b: &u8| b.is_ascii() && !matches!(b, b'\\' | b'&' | b'%' | b'=');
    let mut at = 0;
    while let Some(chunk) = text
        .get(at..at + 16)
        .and_then(|c| <[u8; 16]>::try_from(c).ok())
    {
        let bytes = u8x16::new(chunk);
        let equal = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
        let odd = (equal(b'\\') | equal(b'&') | equal(b'%') | equal(b'=') | bytes).to_bitmask();
        if odd != 0 {
            return at + odd.trailing_zeros() as usize;
        }
        at += 16;
    }
    at + text.part(at..).iter().take_while(|b| is_plain(b)).count()
}

/// Returns true for a soft line break of quoted-printable text (RFC 2045, 6.7).
fn is_soft_break(bytes: &[u8], at: usize) -> bool {
    let Some([b'\n', after @ ..] | [b'\r', b'\n', after @ ..]) = bytes.get(at + 1..) else {
        return false;
    };
    let joins = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b"@._-");
    at.checked_sub(1)
        .and_then(|i| bytes.get(i))
        .is_some_and(joins)
        && after.first().is_some_and(joins)
        && !is_padding(bytes, at)
}

/// Returns true if the sign at `at` ends base64 (RFC 4648, 4), which has groups of four.
fn is_padding(bytes: &[u8], at: usize) -> bool {
    let head = bytes.part(at.saturating_sub(256)..at);
    let run = head
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        .count();
    let encoded = head.part(head.len() - run..);
    run >= 7
        && (run + 1).is_multiple_of(4)
        && encoded.iter().any(u8::is_ascii_lowercase)
        && encoded.iter().any(u8::is_ascii_uppercase)
}

/// Returns true for an encoded `@` in quoted-printable text.
fn is_quoted_at(bytes: &[u8], at: usize) -> bool {
    let joins = |i: Option<usize>| {
        i.and_then(|i| bytes.get(i))
            .is_some_and(u8::is_ascii_alphanumeric)
    };
    bytes.get(at..at + 3) == Some(b"=40")
        && joins(at.checked_sub(1))
        && bytes.get(at + 3).is_some_and(u8::is_ascii_lowercase)
}

/// Returns the length of the escape at the beginning of `rest`, and its character.
fn escape(rest: &[u8]) -> Option<(usize, char)> {
    match rest {
        [b'\\', b'u', digits @ ..] => {
            let unit = hexadecimal(digits.get(..4)?)?;
            if (0xd800..0xdc00).contains(&unit) {
                let [b'\\', b'u', low @ ..] = digits.get(4..)? else {
                    return None;
                };
                let low = hexadecimal(low.get(..4)?)?
                    .checked_sub(0xdc00)
                    .filter(|l| *l < 0x400)?;
                return Some((12, char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low)?));
            }
            let character = char::from_u32(unit)?;
            Some((6, plain(character).unwrap_or(character)))
        }
        [b'\\', b'x', digits @ ..] => {
            let character = char::from_u32(hexadecimal(digits.get(..2)?)?)?;
            (' '..='~').contains(&character).then_some((4, character))
        }
        // Characters that were escaped more than once.
        [b'\\', b'\\', ..] => {
            let run = rest.iter().take(16).take_while(|b| **b == b'\\').count();
            match rest.get(run)? {
                b'"' => Some((run + 1, '"')),
                b'n' => Some((run + 1, '\n')),
                b'u' => match escape(rest.get(run - 1..)?) {
                    Some((6, character)) => Some((run + 5, character)),
                    _ => Some((2, '\\')),
                },
                _ => Some((2, '\\')),
            }
        }
        [b'\\', b'n' | b'r', ..] => Some((2, '\n')),
        [b'\\', b't', ..] => Some((2, '\t')),
        [b'\\', b'"', ..] => Some((2, '"')),
        [b'\\', c @ b'/', ..] => Some((2, char::from(*c))),
        [b'%', ..] => percent(rest),
        [b'=', b'4', b'0', ..] => Some((3, '@')),
        [b'&', b'#', b'x' | b'X', rest @ ..] => numeric(rest, 16).map(|(n, c)| (n + 3, c)),
        [b'&', b'#', rest @ ..] => numeric(rest, 10).map(|(n, c)| (n + 2, c)),
        [b'&', rest @ ..] => {
            let (name, character) = ENTITIES
                .iter()
                .find(|(name, _)| rest.starts_with(name.as_bytes()))?;
            Some((1 + name.len(), *character))
        }
        _ => None,
    }
}

/// Named character references (HTML, 13.5) that occur in values.
const ENTITIES: [(&str, char); 73] = [
    ("amp;", '&'),
    ("commat;", '@'),
    ("period;", '.'),
    ("lt;", '<'),
    ("gt;", '>'),
    ("quot;", '"'),
    ("apos;", '\''),
    ("nbsp;", ' '),
    ("lowbar;", '_'),
    ("hyphen;", '-'),
    ("dash;", '-'),
    ("plus;", '+'),
    ("colon;", ':'),
    ("sol;", '/'),
    ("equals;", '='),
    ("aacute;", 'á'),
    ("Aacute;", 'Á'),
    ("agrave;", 'à'),
    ("Agrave;", 'À'),
    ("acirc;", 'â'),
    ("Acirc;", 'Â'),
    ("atilde;", 'ã'),
    ("Atilde;", 'Ã'),
    ("auml;", 'ä'),
    ("Auml;", 'Ä'),
    ("aring;", 'å'),
    ("Aring;", 'Å'),
    ("eacute;", 'é'),
    ("Eacute;", 'É'),
    ("egrave;", 'è'),
    ("Egrave;", 'È'),
    ("ecirc;", 'ê'),
    ("Ecirc;", 'Ê'),
    ("euml;", 'ë'),
    ("Euml;", 'Ë'),
    ("iacute;", 'í'),
    ("Iacute;", 'Í'),
    ("igrave;", 'ì'),
    ("Igrave;", 'Ì'),
    ("icirc;", 'î'),
    ("Icirc;", 'Î'),
    ("iuml;", 'ï'),
    ("Iuml;", 'Ï'),
    ("oacute;", 'ó'),
    ("Oacute;", 'Ó'),
    ("ograve;", 'ò'),
    ("Ograve;", 'Ò'),
    ("ocirc;", 'ô'),
    ("Ocirc;", 'Ô'),
    ("otilde;", 'õ'),
    ("Otilde;", 'Õ'),
    ("ouml;", 'ö'),
    ("Ouml;", 'Ö'),
    ("oslash;", 'ø'),
    ("Oslash;", 'Ø'),
    ("uacute;", 'ú'),
    ("Uacute;", 'Ú'),
    ("ugrave;", 'ù'),
    ("Ugrave;", 'Ù'),
    ("ucirc;", 'û'),
    ("Ucirc;", 'Û'),
    ("uuml;", 'ü'),
    ("Uuml;", 'Ü'),
    ("ntilde;", 'ñ'),
    ("Ntilde;", 'Ñ'),
    ("ccedil;", 'ç'),
    ("Ccedil;", 'Ç'),
    ("yacute;", 'ý'),
    ("Yacute;", 'Ý'),
    ("szlig;", 'ß'),
    ("aelig;", 'æ'),
    ("AElig;", 'Æ'),
    ("oelig;", 'œ'),
];

/// Decodes a percent-encoded character (RFC 3986, 2.1) in UTF-8. A `~` replaces a character that
/// would end a value.
fn percent(rest: &[u8]) -> Option<(usize, char)> {
    let mut bytes = [0; 4];
    let mut length = 0;
    for escape in rest.chunks(3).take(4) {
        let [b'%', digits @ ..] = escape else { break };
        let Some(value) = (digits.len() == 2).then(|| hexadecimal(digits)).flatten() else {
            break;
        };
        *bytes.get_mut(length)? = value as u8;
        length += 1;
        if value < 0x80 {
            break;
        }
        if let Some(character) = std::str::from_utf8(bytes.get(..length)?)
            .ok()
            .and_then(|t| t.chars().next())
        {
            return Some((3 * length, plain(character).unwrap_or(character)));
        }
    }
    let character = char::from(
        *bytes
            .first()
            .filter(|b| length == 1 && (b' '..=b'~').contains(b))?,
    );
    Some((
        3,
        if "&;\"'<>{}()|\\`".contains(character) {
            '~'
        } else {
            character
        },
    ))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |n, d| Some(n << 4 | char::from(*d).to_digit(16)?))
}

/// Decodes a number before a semicolon: returns the length of both, and the character.
fn numeric(rest: &[u8], base: u32) -> Option<(usize, char)> {
    let length = rest
        .iter()
        .take(7)
        .position(|b| *b == b';')
        .filter(|n| *n > 0)?;
    let code = rest
        .get(..length)?
        .iter()
        .try_fold(0u32, |n, d| Some(n * base + char::from(*d).to_digit(base)?))?;
    let character = char::from_u32(code).filter(|c| !c.is_control())?;
    Some((length + 1, plain(character).unwrap_or(character)))
}

/// Returns true for invisible characters (Unicode, 23.2; Default_Ignorable_Code_Point).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{180e}' | '\u{34f}' | '\u{1160}')
}

/// Returns the ASCII character of which `c` is another form.
fn plain(c: char) -> Option<char> {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        // Signs that adjoin a word without a space, as inverted question marks and long dashes, are
        // not part of it.
        '\u{a0}'
        | '\u{2000}'..='\u{200a}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{3000}'
        | '¿'
        | '¡'
        | '\u{2014}'
        | '\u{2015}'
        | '\u{2022}' => Some(' '),
        '\u{2010}'..='\u{2013}' | '\u{2212}' | '\u{fe63}' => Some('-'),
        '\u{fe6b}' => Some('@'),
        '\u{2024}' | '\u{fe52}' => Some('.'),
        '\u{2018}' | '\u{2019}' => Some('\''),
        '\u{201c}'..='\u{201f}' | '«' | '»' | '‹' | '›' => Some('"'),
        _ => digit(c),
    }
}

/// Returns the ASCII form of another script's decimal digit (Unicode, General_Category Nd).
fn digit(c: char) -> Option<char> {
    /// The zeros of the scripts.
    const ZEROS: [u32; 38] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
        0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
        0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
        0x104a0, 0x11066, 0x1d7ce,
    ];
    let code = u32::from(c);
    if code < 0x660 {
        return None;
    }
    if (0x1d7ce..0x1d800).contains(&code) {
        return char::from_digit((code - 0x1d7ce) % 10, 10);
    }
    let zero = ZEROS.get(ZEROS.partition_point(|z| *z <= code).checked_sub(1)?)?;
    char::from_digit(code - zero, 10)
}

/// Returns the Latin letter that a Cyrillic or Greek one resembles (Unicode Technical Standard 39,
/// confusables).
fn look_alike(c: char) -> Option<char> {
    Some(match c {
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' => 'C',
        'Е' | 'Ε' => 'E',
        'Н' | 'Η' => 'H',
        'І' | 'Ι' => 'I',
        'Ј' => 'J',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'О' | 'Ο' => 'O',
        'Р' | 'Ρ' => 'P',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'Х' | 'Χ' => 'X',
        'У' | 'Υ' => 'Y',
        'Ζ' => 'Z',
        'а' | 'α' => 'a',
        'с' => 'c',
        'ԁ' => 'd',
        'е' => 'e',
        'ɡ' => 'g',
        'һ' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'κ' => 'k',
        'ӏ' => 'l',
        'о' | 'ο' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'ѕ' => 's',
        'τ' => 't',
        'ν' => 'v',
        'ԝ' => 'w',
        'х' => 'x',
        'у' => 'y',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(source: &str, expected: &str) {
        let view = View::of(source);
        assert_eq!(view.text(), expected, "{source:?}");
    }

    #[test]
    fn each_spelling_reads_as_what_it_means() {
        reads("john&#64;example.com", "john@example.com");
        reads("john&commat;example&#x2e;com", "john@example.com");
        reads("j\u{200b}ohn@ex\u{ad}ample.com", "john@example.com");
        reads(r"\u006aohn\u0040example.com", "john@example.com");
        reads(r"\\u006aohn\\\\u0040example.com", "john@example.com");
        reads("john%40example.com", "john@example.com");
        reads("４１１１ ١٢٣ १२३ ๑๒", "4111 123 123 12");
        reads("jоhn@exаmple.com", "john@example.com");
        reads("john@exam=\nple.com", "john@example.com");
        reads(
            "key: c3VwZXJzZWNyZXQxMjM=\nnext: 1",
            "key: c3VwZXJzZWNyZXQxMjM=\nnext: 1",
        );
        reads("привет, Ольга", "привет, Ольга");
        reads("50% of a & b \\ c", "50% of a & b \\ c");
    }

    #[test]
    fn a_range_of_the_view_leads_back_to_its_source() {
        let source = "mail: j\u{200b}ohn&#64;example.com!";
        let view = View::of(source);
        let start = view.text().find("john").unwrap();
        let (from, to) = view.source(start, start + "john@example.com".len());
        assert_eq!(&source[from..to], "j\u{200b}ohn&#64;example.com");
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(View::of("nothing to see").text, Cow::Borrowed(_)));
        assert!(matches!(View::of("größer").text, Cow::Borrowed(_)));
    }
}
