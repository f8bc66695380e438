//! The form of a placeholder: a label and twelve characters, as `EMAIL_7qk2m9x4hd3v`.

use super::Kind;

/// Characters of an identifier: digits and small letters without `i`, `l`, `o`, `u` (Crockford's
/// Base32).
pub(super) const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Returns true if a byte is in [`ALPHABET`], or is the capital of one that is.
pub(crate) fn is_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() && !matches!(byte | 0x20, b'i' | b'l' | b'o' | b'u')
}

/// Number of characters in an identifier, each of five bits.
pub(crate) const ID: usize = 12;
/// Label of text that a client typed and that has the form of one of the request's placeholders.
pub(crate) const TYPED: &str = "TYPED";
/// Maximum length of a label, in bytes.
pub(crate) const LONGEST_LABEL: usize = 32;

/// Returns the spans of text with the form of a placeholder with a known label. They are never
/// taken for a value.
pub(crate) fn placeholder_spans<'a>(
    text: &str,
    own: impl Iterator<Item = &'a str> + Clone,
) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'_', bytes)
        .filter_map(|joint| {
            let id = bytes.get(joint + 1..joint + 1 + ID)?;
            if !id.iter().all(|b| is_id(*b) && !b.is_ascii_uppercase()) {
                return None;
            }
            let is_capital = |b: &&u8| b.is_ascii_uppercase() || b.is_ascii_digit() || **b == b'_';
            let length = bytes
                .get(..joint)?
                .iter()
                .rev()
                .take(LONGEST_LABEL)
                .take_while(is_capital)
                .count();
            let label = text.get(joint - length..joint)?;
            let labels = || {
                Kind::ALL
                    .iter()
                    .map(|(kind, _)| kind.name())
                    .chain([TYPED])
                    .chain(own.clone())
            };
            let longest = if labels().any(|l| l == label) {
                length
            } else {
                labels()
                    .filter(|l| label.ends_with(l))
                    .map(str::len)
                    .max()?
            };
            Some((joint - longest, joint + 1 + ID))
        })
        .collect()
}
