//! Spellings of placeholders in the output of models: in capitals or lowercase, with other signs or
//! none for a `_`, with Markdown marks around a part, with invisible characters, or broken over two
//! lines.

use super::placeholder_form::{ID, LONGEST_LABEL, is_id};
use crate::part::Part as _;

/// Maximum length of a spelling in bytes, which is also the most that a stream holds back.
pub(crate) const LONGEST: usize = 4 * (LONGEST_LABEL + ID);

/// Replacements for a `_`, besides `_` itself after any backslashes: spaces, hyphens and dashes
/// (U+00A0, U+2010 to U+2014, U+202F, U+2212), and the escapes of URLs, HTML and JSON.
const JOINTS: [&str; 16] = [
    "_",
    "-",
    " ",
    "\u{a0}",
    "\u{2010}",
    "\u{2011}",
    "\u{2012}",
    "\u{2013}",
    "\u{2014}",
    "\u{202f}",
    "\u{2212}",
    "%5f",
    "&#95;",
    "&#x5f;",
    "&lowbar;",
    "&UnderBar;",
];
/// Forms of a `_` after backslashes.
const ESCAPED: [&str; 2] = ["_", "u005f"];
/// Invisible characters: soft hyphen, U+200B to U+200D, word joiner, byte order mark.
const UNSEEN: [&str; 6] = [
    "\u{ad}", "\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}",
];
/// Maximum number of backslashes before a `_`: one in Markdown, doubled with each document in a
/// string.
const ESCAPES: usize = 8;
/// Maximum number of Markdown marks around a part.
const MARKS: usize = 3;

/// The result of matching a text against a placeholder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Match {
    /// A placeholder.
    Whole(Whole),
    /// The whole text may be the beginning of a placeholder.
    Beginning,
    /// Something else.
    Other,
}

/// A placeholder in its spelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Whole {
    /// Its length in bytes.
    pub(crate) length: usize,
    /// Its identifier in lowercase.
    pub(crate) id: [u8; ID],
    /// The range of the marks that close after its label; `opening` is the range of those that open
    /// before its identifier.
    pub(crate) closing: (usize, usize),
    pub(crate) opening: (usize, usize),
}

/// Matches the beginning of `text` against a placeholder with this label.
pub(crate) fn spelt(text: &str, label: &str) -> Match {
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
    };
    reader.read(label).unwrap_or_else(|is_over| {
        if is_over {
            Match::Beginning
        } else {
            Match::Other
        }
    })
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// The reason for a mismatch: true if the text ends, false if it differs.
type IsOver = bool;

impl Reader<'_> {
    fn read(&mut self, label: &str) -> Result<Match, IsOver> {
        let mut is_first = true;
        for expected in label.bytes() {
            if !is_first {
                self.unseen()?;
            }
            if expected == b'_' {
                self.joint()?;
            } else if self.peek()?.eq_ignore_ascii_case(&expected) {
                self.at += 1;
            } else {
                return Err(false);
            }
            is_first = false;
        }
        let closing = self.marks()?;
        self.joint()?;
        let opening = self.marks()?;
        let mut id = [0; ID];
        for (i, place) in id.iter_mut().enumerate() {
            self.unseen()?;
            if i > 0 {
                self.line_break()?;
            }
            *place = self.peek()?.to_ascii_lowercase();
            if !is_id(*place) {
                return Err(false);
            }
            self.at += 1;
        }
        Ok(Match::Whole(Whole {
            length: self.at,
            id,
            closing,
            opening,
        }))
    }

    fn rest(&self) -> &[u8] {
        self.text.part(self.at..)
    }

    fn peek(&self) -> Result<u8, IsOver> {
        self.text.get(self.at).copied().ok_or(true)
    }

    /// Consumes one of these signs in any case, if one stands here. Fails if the text ends within
    /// one.
    fn one_of(&mut self, signs: &[&str]) -> Result<bool, IsOver> {
        let rest = self.rest();
        let same = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b));
        let found = signs.iter().find(|sign| same(rest, sign.as_bytes()));
        match found {
            Some(sign) if rest.len() < sign.len() => Err(true),
            Some(sign) => {
                self.at += sign.len();
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn unseen(&mut self) -> Result<(), IsOver> {
        while self.one_of(&UNSEEN)? {}
        Ok(())
    }

    /// Consumes a line break, if there is one, and the indentation of the next line.
    fn line_break(&mut self) -> Result<(), IsOver> {
        let rest = self.rest();
        let end = match rest {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [b'\r'] => return Err(true),
            _ => return Ok(()),
        };
        self.at += end
            + rest
                .iter()
                .skip(end)
                .take(LONGEST_LABEL)
                .take_while(|b| matches!(b, b' ' | b'\t'))
                .count();
        self.unseen()
    }

    fn marks(&mut self) -> Result<(usize, usize), IsOver> {
        self.unseen()?;
        let start = self.at;
        self.at += self
            .rest()
            .iter()
            .take(MARKS)
            .take_while(|b| matches!(b, b'*' | b'`'))
            .count();
        let marks = (start, self.at);
        self.unseen()?;
        Ok(marks)
    }

    /// Consumes the replacement of a `_`, which may be empty.
    fn joint(&mut self) -> Result<(), IsOver> {
        self.unseen()?;
        self.line_break()?;
        let escapes = self
            .rest()
            .iter()
            .take(ESCAPES)
            .take_while(|b| **b == b'\\')
            .count();
        self.at += escapes;
        let is_there = self.one_of(if escapes > 0 { &ESCAPED } else { &JOINTS })?;
        if escapes > 0 && !is_there {
            return Err(self.rest().is_empty());
        }
        self.unseen()?;
        self.line_break()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_models_are_read() {
        for text in [
            "CREDIT_CARD_7qk2m9x4hd3v",
            "credit_card_7QK2M9X4HD3V",
            "Credit card 7qk2m9x4hd3v",
            "CREDIT\\_CARD\\_7qk2m9x4hd3v",
            "CREDIT-CARD-7qk2m9x4hd3v",
            "CREDIT\u{2011}CARD\u{2011}7qk2m9x4hd3v",
            "CREDIT\u{2013}CARD\u{2013}7qk2m9x4hd3v",
            "CREDITCARD7qk2m9x4hd3v",
            "CREDIT_CARD**_7qk2m9x4hd3v",
            "CREDIT_CARD_**7qk2m9x4hd3v",
            "CREDIT_CARD`_7qk2m9x4hd3v",
            "CREDIT%5FCARD%5f7qk2m9x4hd3v",
            "CREDIT&#95;CARD&#x5F;7qk2m9x4hd3v",
            "CREDIT\\u005fCARD\\u005F7qk2m9x4hd3v",
            "CREDIT\\\\u005fCARD_7qk2m9x4hd3v",
            "CRE\u{200b}DIT_CARD_7qk2\u{feff}m9x4hd3v",
            "CREDIT_\nCARD_7qk2m9x4hd3v",
            "CREDIT_CARD\n_7qk2m9x4hd3v",
            "CREDIT_CARD_7qk2m9\r\n  x4hd3v",
        ] {
            let Match::Whole(whole) = spelt(text, "CREDIT_CARD") else {
                panic!("{text:?}")
            };
            assert_eq!(
                (whole.length, &whole.id),
                (text.len(), b"7qk2m9x4hd3v"),
                "{text:?}"
            );
            for cut in (1..text.len()).filter(|i| text.is_char_boundary(*i)) {
                assert_eq!(
                    spelt(&text[..cut], "CREDIT_CARD"),
                    Match::Beginning,
                    "{:?}",
                    &text[..cut]
                );
            }
        }
        for text in [
            "CREDIT CARDS.",
            "CREDIT__CARD_7qk2m9x4hd3v",
            "CREDIT_CARD_7qk2m9x4 hd3v",
            "CREDIT\\CARD_7qk2m9x4hd3v",
            "CREDIT_CARD_7qk2m9x4hdi",
        ] {
            assert_eq!(spelt(text, "CREDIT_CARD"), Match::Other, "{text:?}");
        }
    }
}
