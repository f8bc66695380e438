//! Detection of places within a string of JSON that is part of a text, as in a fenced block or
//! after `the answer is {`.

/// Reads text from its beginning, and tracks whether a string of JSON is open: one whose quote
/// stands after `":`, `",` or `[`, and has not been closed on its line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Strings {
    /// The last two bytes that are not white space.
    last: [u8; 2],
    /// The two bytes before the open quote.
    open: Option<[u8; 2]>,
    is_escaped: bool,
}

impl Strings {
    pub(super) fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'\n' => (self.open, self.is_escaped) = (None, false),
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => {
                    self.open = if self.open.is_some() {
                        None
                    } else {
                        Some(self.last)
                    }
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                self.last = [self.last[1], byte];
            }
        }
    }

    /// Passes a value, or its placeholder, regardless of its content.
    pub(super) fn pass_value(&mut self) {
        self.pass("__");
    }

    pub(super) fn is_within(self) -> bool {
        matches!(self.open, Some([b'"', b':' | b','] | [_, b'[']))
    }
}

/// The form of a value in a string of JSON that is part of a text.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) enum Escaping {
    /// In no such string.
    #[default]
    Elsewhere,
    /// With escapes; the field holds the unescaped value.
    Escaped(zeroize::Zeroizing<String>),
    /// With characters that JSON requires to be escaped.
    Bare,
}

impl Escaping {
    /// Returns the form of `value` at the place of `strings`.
    pub(super) fn of(value: &str, strings: Strings) -> Self {
        if !strings.is_within() {
            return Self::Elsewhere;
        }
        match serde_json::from_str::<String>(&format!("\"{value}\"")) {
            Ok(reading) if reading != value => Self::Escaped(reading.into()),
            Ok(_) => Self::Elsewhere,
            Err(_) => Self::Bare,
        }
    }
}

/// Returns true if JSON escapes characters of a value.
pub(super) fn needs_escapes(value: &str) -> bool {
    value.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_of_json_is_told_from_what_people_quote() {
        let is_within = |text: &str| {
            let mut strings = Strings::default();
            strings.pass(text);
            strings.is_within()
        };
        for text in [
            "{\"a\": \"",
            "x {\"a\":\"b \\\" c",
            "[\"",
            "[\n  \"a\",\n  \"",
            "{\"a\": \"b\", \"c\": \"",
        ] {
            assert!(is_within(text), "{text}");
        }
        for text in [
            "",
            "He said: \"",
            "{\"a\": \"b\"",
            "one, \"",
            "{\"a\": \"b\nc",
            "name = \"",
            "{\"",
        ] {
            assert!(!is_within(text), "{text}");
        }
    }
}
