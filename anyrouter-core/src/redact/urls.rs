//! Detection of places within a URL's query (RFC 3986, 3.4), where values are percent-encoded.

use std::borrow::Cow;

/// Reads text from its beginning, and tracks whether a query is open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Urls {
    /// The last three bytes.
    last: [u8; 3],
    has_scheme: bool,
    is_query: bool,
    has_name: bool,
}

impl Urls {
    pub(super) fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'/' if self.last.ends_with(b":/") => self.has_scheme = true,
                b':' if self.last.eq_ignore_ascii_case(b"lto") => self.has_scheme = true,
                b'?' => self.is_query = true,
                b'=' if self.is_query => self.has_name = true,
                0..=b' '
                | b'"'
                | b'\''
                | b'<'
                | b'>'
                | b'`'
                | b'('
                | b')'
                | b'['
                | b']'
                | b'{'
                | b'}'
                | b'|'
                | 0x7f => {
                    *self = Self::default();
                }
                _ => {}
            }
            self.last = [self.last[1], self.last[2], byte];
        }
    }

    /// Returns true after a `?`, if there is a scheme before it or a name for the value.
    pub(super) const fn is_in_query(self) -> bool {
        self.is_query && (self.has_scheme || self.has_name)
    }
}

/// Returns true if a query requires encoding for a value that is not yet encoded.
pub(super) fn needs_encoding(value: &str) -> bool {
    let mut rest = value.as_bytes();
    let mut is_plain = true;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => after,
            _ => {
                is_plain &= is_unreserved(*first) || *first == b'+';
                tail
            }
        };
    }
    !is_plain
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Returns a value in the form that a query requires.
pub(super) fn encode(value: &str) -> Cow<'_, str> {
    if !needs_encoding(value) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15]
                    .iter()
                    .filter_map(|n| char::from_digit(u32::from(*n), 16))
                    .map(|c| c.to_ascii_uppercase()),
            );
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_told_from_other_text() {
        let is_in = |text: &str| {
            let mut urls = Urls::default();
            urls.pass(text);
            urls.is_in_query()
        };
        for text in [
            "https://x.example/?",
            "see <https://x.example/a?q=",
            "[map](/search?q=",
            "mailto:a?subject=",
            "https://x.example?a=b&c=",
        ] {
            assert!(is_in(text), "{text}");
        }
        for text in [
            "",
            "Why? ",
            "https://x.example/a/",
            "https://x.example/?q=1 and ",
            "really?",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }

    #[test]
    fn a_value_is_encoded_once() {
        assert_eq!(encode("12 Main St, Köln"), "12%20Main%20St%2C%20K%C3%B6ln");
        assert_eq!(encode("jane%40example.com"), "jane%40example.com");
        assert_eq!(encode("jane@example.com"), "jane%40example.com");
    }
}
