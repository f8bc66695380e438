//! Shapes of values that may be secrets, and tests for values that only refer to or replace a
//! secret.

use super::{ByteSet, one_of};
use crate::part::Part as _;

/// The characters of a value, counted by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub(super) digits: usize,
    pub(super) small: usize,
    pub(super) capitals: usize,
    pub(super) signs: usize,
    pub(super) spaces: usize,
    /// Runs of seven or more lowercase letters.
    pub(super) words: usize,
    pub(super) is_hex: bool,
    /// True for one capital, at the beginning, and no digits.
    pub(super) is_capitalised: bool,
}

impl Shape {
    pub(super) fn of(value: &[u8]) -> Self {
        let mut it = Self {
            is_hex: true,
            ..Self::default()
        };
        let mut run = 0;
        for byte in value {
            match byte {
                b'0'..=b'9' => it.digits += 1,
                b'a'..=b'z' | 0x80.. => it.small += 1,
                b'A'..=b'Z' => it.capitals += 1,
                b' ' | b'\t' => it.spaces += 1,
                _ => it.signs += 1,
            }
            run = if byte.is_ascii_lowercase() {
                run + 1
            } else {
                0
            };
            it.words += usize::from(run == 7);
            it.is_hex &= byte.is_ascii_hexdigit();
        }
        it.is_capitalised =
            it.capitals == 1 && value.first().is_some_and(u8::is_ascii_uppercase) && it.digits == 0;
        it
    }

    /// Returns true for capitals and lowercase letters, with digits or without long words.
    pub(super) fn is_mixed(&self) -> bool {
        self.capitals > 0 && self.small > 0 && (self.digits > 0 || self.words == 0)
    }
}

/// Returns the entropy of a value's characters, in bits per character (Shannon).
pub(super) fn entropy(value: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let total = value.len() as f32;
    counts
        .iter()
        .filter(|c| **c > 0)
        .map(|c| f32::from(*c) / total)
        .map(|p| -p * p.log2())
        .sum()
}

impl Shape {
    /// Returns true if a value looks like a password: three kinds of characters, letters and digits
    /// in a longer one, or several words in a row.
    pub(super) fn is_password(&self, value: &[u8]) -> bool {
        let rare = value
            .iter()
            .filter(|b| !b.is_ascii_alphanumeric() && b.is_ascii() && !one_of(**b, b"-._/:', "))
            .count();
        let kinds = [self.small, self.capitals, self.digits, rare]
            .iter()
            .filter(|n| **n > 0)
            .count();
        let words = value
            .split(|b| one_of(*b, b"-._"))
            .filter(|w| w.len() >= 3 && w.iter().all(u8::is_ascii_lowercase))
            .count();
        let is_safe = (6..=64).contains(&value.len()) && self.spaces == 0 && !value.contains(&b'/');
        is_safe
            && (kinds >= 3 && (self.digits > 0 || rare > 0)
                || kinds == 2 && self.digits > 0 && value.len() >= 10
                || words >= 3 && value.len() >= 16)
    }
}

/// Returns true for a reference instead of a value: a variable, a call, a template's placeholder.
pub(super) fn is_reference(value: &[u8], is_quoted: bool) -> bool {
    let text = String::from_utf8_lossy(value);
    let lower = text.to_ascii_lowercase();
    let lower = lower.trim_matches(['"', '\'', '`']);
    let is_plain = |inner: &str| {
        inner
            .chars()
            .all(|c| c.is_alphanumeric() || " _.|'\"-()".contains(c))
    };
    let braces = text
        .strip_prefix("{{")
        .and_then(|t| t.strip_suffix("}}"))
        .is_some_and(is_plain)
        || text
            .strip_prefix('{')
            .and_then(|t| t.strip_suffix('}'))
            .is_some_and(is_plain)
        || text.starts_with("{{") && !text.ends_with("}}") && !text.contains(['$', '(']);
    let template = braces
        || ["${", "<%", "#{", "%(", "$(", "ENC[", "vault:", "${{"].iter().any(|t| text.starts_with(t))
        || text.starts_with('<') && text.ends_with('>')
        // A pointer's or a reference's type.
        || ["*mut", "*const", "&mut", "&str", "&[", "&'"].iter().any(|t| text.starts_with(t))
        || text.starts_with('$') && !is_quoted
        || text.starts_with('%') && text.ends_with('%');
    let word = [
        "null",
        "none",
        "nil",
        "undefined",
        "true",
        "false",
        "changeme",
        "change_me",
        "change-me",
        "todo",
        "tbd",
        "secret",
        "password",
        "string",
        "str",
        "required",
        "optional",
        "example",
        "placeholder",
        "redacted",
        "hidden",
        "masked",
        "empty",
        "default",
        "unknown",
        "n/a",
        "xxx",
        "test",
        "key",
        "token",
        "incorrect",
        "wrong",
        "invalid",
        "expired",
        "correct",
        "missing",
        "reset",
        "here",
        "forgotten",
        "self",
        "input",
        "value",
        "not",
        "await",
        "deny",
        "warn",
        "allow",
    ];
    let call = [
        "env",
        "getenv",
        "process.env",
        "os.environ",
        "config.",
        "config[",
        "settings.",
        "self.",
        "this.",
        "secrets.",
        "var.",
        "vars.",
        "params.",
        "request.",
        "req.",
        "args.",
        "options.",
        "opts.",
        "system.getenv",
        "std::env",
        "func",
        "lambda",
        "new ",
        "await ",
        "credentials.",
    ];
    let hint = [
        "your",
        "my_",
        "insert",
        "replace",
        "enter_",
        "<your",
        "example",
        "dummy",
        "placeholder",
        "changeme",
        "fake",
    ];
    let is_example_key = lower.starts_with("akia");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // `credentials?.password`, `user!.name`.
    let chained = lower.replace("?.", ".").replace("!.", ".");
    let segments = || chained.split('.');
    // `config.default.createKey`, `http.cookies`, `db.example.com:5432`, `key_1.pem`.
    let is_path = chained.contains('.')
        && segments().all(|s| {
            s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && s.chars().all(is_name)
        })
        && segments()
            .filter(|s| s.chars().filter(char::is_ascii_digit).count() < 4 && has_word(s))
            .count()
            * 2
            > segments().count()
        && lower.chars().filter(char::is_ascii_digit).count() < 5;
    let is_file = [
        ".pem", ".cer", ".crt", ".key", ".json", ".yaml", ".yml", ".txt", ".p12", ".jks", ".html",
    ]
    .iter()
    .any(|e| lower.ends_with(e));
    let is_constant = text.len() < 24
        && text.contains('_')
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
        && has_word(lower);
    let names_one = !is_quoted
        && ["password", "passwd", "secret"]
            .iter()
            .any(|w| lower.contains(w))
        && lower.chars().all(|c| is_name(c) || ".@$".contains(c));
    template
        || is_path
        || is_file
        || is_constant
        || names_one
        || ["file:", "!vault", "op://", "ref:", "ssm:"]
            .iter()
            .any(|p| lower.starts_with(p))
        || word.contains(&lower)
        || (!is_quoted && call.iter().any(|c| lower.starts_with(c)))
        || (is_quoted && (lower.starts_with("process.env") || lower.starts_with("os.environ")))
        || (!is_example_key && hint.iter().any(|h| lower.starts_with(h)))
        || (!is_quoted && text.contains("::"))
        || text.starts_with("arn:")
        || text.starts_with("http://")
        || text.starts_with("https://")
        || text.starts_with('/') && text.matches('/').count() > 1
        || text.starts_with("./")
        || text.starts_with("~/")
}

/// Returns true for three or more letters in a row.
fn has_word(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .any(|w| w.len() >= 3)
}

/// Characters that replace removed ones.
const FILL: ByteSet = ByteSet::of(b"*.xX-_#");

/// Returns true for a value that replaces a removed secret: one character, dots or asterisks.
pub(super) fn is_filler(value: &[u8]) -> bool {
    let tail = value.part(value.len().saturating_sub(12)..);
    let first = tail.first().copied().unwrap_or_default();
    let same = tail.len() >= 4 && tail.iter().all(|b| b.eq_ignore_ascii_case(&first));
    let (mut signs, mut dots, mut row, mut last) = (0, 0, 0, 0);
    for byte in value {
        signs += usize::from(FILL.has(*byte));
        dots = if *byte == b'.' { dots + 1 } else { 0 };
        // The alphabet or the digits, in order.
        row = if byte.is_ascii_alphanumeric() && byte.wrapping_sub(last) == 1 {
            row + 1
        } else {
            0
        };
        last = *byte;
        if dots == 3 || row == 9 {
            return true;
        }
    }
    same || signs * 4 > value.len() * 3
}

/// Returns true if a token contains a UUID (RFC 9562) in its text form.
pub(super) fn is_uuid(token: &[u8]) -> bool {
    token.windows(36).any(|w| {
        w.iter().enumerate().all(|(i, b)| {
            if matches!(i, 8 | 13 | 18 | 23) {
                *b == b'-'
            } else {
                b.is_ascii_hexdigit()
            }
        })
    })
}
