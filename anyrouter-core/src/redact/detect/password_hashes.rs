//! Hashes of passwords, from which the password can be recovered by guessing: crypt(5), Argon2 (RFC
//! 9106), LDAP's salted SHA-1, Django's PBKDF2.

use std::sync::OnceLock;

use regex::Regex;

use super::context::{Context, Findings};
use crate::redact::Kind;

/// The forms of password hashes.
const FORMS: &str = concat!(
    r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}",
    r"|\$argon2(?:id|i|d)\$(?:v=[0-9]+\$)?m=[0-9]+,t=[0-9]+,p=[0-9]+\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{16,128}",
    r"|\$y\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}",
    r"|\$6\$(?:rounds=[0-9]{1,9}\$)?[^$:\s]{1,16}\$[./0-9A-Za-z]{86}",
    r"|\$5\$(?:rounds=[0-9]{1,9}\$)?[^$:\s]{1,16}\$[./0-9A-Za-z]{43}",
    r"|\$(?:1|apr1)\$[^$:\s]{1,8}\$[./0-9A-Za-z]{22}",
    r"|\{SSHA(?:256|512)?\}[A-Za-z0-9+/]{30,140}={0,2}",
    r"|pbkdf2_sha(?:1|256)\$[0-9]{1,9}\$[A-Za-z0-9]{8,64}\$[A-Za-z0-9+/]{27,43}=",
);

/// Detects all password hashes in a text.
pub(super) fn password_hashes(context: &Context<'_>, findings: &mut Findings<'_>) {
    static REGEX: OnceLock<Option<Regex>> = OnceLock::new();
    let bytes = context.bytes();
    let has_dollar = memchr::memchr_iter(b'$', bytes).any(|at| {
        matches!(
            context.byte(at + 1),
            b'1' | b'2' | b'5' | b'6' | b'a' | b'y' | b'0'..=b'9'
        )
    });
    if !has_dollar && memchr::memmem::find(bytes, b"{SSHA").is_none() {
        return;
    }
    let Some(regex) = REGEX.get_or_init(|| Regex::new(FORMS).ok()) else {
        return;
    };
    for found in regex.find_iter(context.text) {
        findings.add(
            found.start(),
            found.end(),
            Kind::Secret,
            "password_hash",
            96,
        );
    }
}
