//! The values of cookies (RFC 6265): `Cookie: a=…; b=…`, `Set-Cookie: a=…; Path=/`.

use super::{
    context::{Context, Findings},
    one_of,
    values::{Shape, entropy, is_filler, is_reference},
};
use crate::part::Part as _;
use crate::redact::{Kind, scan::Hit};

/// Maximum number of pairs, and of bytes, that are read from a header.
const PAIRS: usize = 50;
const LONGEST: usize = 8 << 10;
/// Parts of the names of session cookies.
const SESSIONS: [&[u8]; 8] = [
    b"sess",
    b"sid",
    b"token",
    b"auth",
    b"csrf",
    b"xsrf",
    b"jwt",
    b"remember",
];

/// Detects secrets in a cookie header.
pub(super) fn cookies(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let signs = context
        .slice(hit.end, hit.end + 6)
        .iter()
        .take_while(|b| one_of(**b, b"\"': "))
        .count();
    if !context.slice(hit.end, hit.end + signs).contains(&b':') {
        return;
    }
    let mut at = hit.end + signs;
    let last = context.text.len().min(at + LONGEST);
    for _ in 0..PAIRS {
        let rest = context.slice(at, last);
        let length = rest
            .iter()
            .position(|b| one_of(*b, b";\n\"' ,"))
            .unwrap_or(rest.len());
        let pair = rest.part(..length);
        let Some(sign) = pair.iter().position(|b| *b == b'=') else {
            return;
        };
        let (name, value) = (
            pair.part(..sign).to_ascii_lowercase(),
            pair.part(sign + 1..),
        );
        if is_secret(&name, value) {
            findings.add(at + sign + 1, at + length, Kind::Secret, "cookie", 87);
        }
        at += length;
        if context.byte(at) != b';' {
            return;
        }
        at += 1 + context
            .slice(at + 1, at + 4)
            .iter()
            .take_while(|b| **b == b' ')
            .count();
    }
}

/// Returns true if a cookie's value identifies a session or a user.
fn is_secret(name: &[u8], value: &[u8]) -> bool {
    let shape = Shape::of(value);
    let is_session = SESSIONS
        .iter()
        .any(|s| memchr::memmem::find(name, s).is_some());
    let is_long = if is_session {
        value.len() >= 8
    } else {
        value.len() >= 20 && entropy(value) >= 3.0 && shape.words < 2
    };
    is_long
        && shape.digits > 0
        && shape.small + shape.capitals > 0
        && !is_reference(value, true)
        && !is_filler(value)
}
