//! Passwords in command lines.

use super::{
    context::{Context, Findings},
    one_of,
    values::{Shape, is_filler, is_reference},
};
use crate::part::Part as _;
use crate::redact::{Kind, scan::Hit};

/// Returns the range of the argument at `at`, without its quotes.
fn argument(context: &Context<'_>, at: usize) -> (usize, usize) {
    let quote = context.byte(at);
    if matches!(quote, b'"' | b'\'') {
        let length = context
            .slice(at + 1, at + 128)
            .iter()
            .position(|b| *b == quote || *b == b'\n')
            .unwrap_or(0);
        return (at + 1, at + 1 + length);
    }
    (
        at,
        at + context
            .slice(at, at + 128)
            .iter()
            .take_while(|b| !b.is_ascii_whitespace() && !one_of(**b, b"\"';|&<>"))
            .count(),
    )
}

/// Returns the password of `echo "user:password" |` before a program at `at`.
fn piped_pair(context: &Context<'_>, at: usize) -> Option<(usize, usize)> {
    let line = context.part(context.ceiling(at.saturating_sub(160)), at);
    let pair = line
        .trim_end_matches("sudo ")
        .trim_end()
        .strip_suffix('|')?
        .trim_end()
        .trim_end_matches(['"', '\'']);
    let start = pair.rfind([' ', '"', '\'', '\n']).map_or(0, |i| i + 1);
    let colon = pair.get(start..)?.find(':')?;
    let end = at - line.len() + pair.len();
    Some((end - pair.len() + start + colon + 1, end))
}

/// Detects a password in the arguments of a program: `curl -u user:…`, `mysql -p…`, `sshpass -p …`,
/// `redis-cli -a …`, `net user name …`.
pub(super) fn command(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let name = context.slice(hit.start, hit.end).to_ascii_lowercase();
    let line = context.slice(hit.end, hit.end + 200);
    let line = line.part(..line.iter().position(|b| *b == b'\n').unwrap_or(line.len()));
    let behind =
        |option: &[u8]| memchr::memmem::find(line, option).map(|at| hit.end + at + option.len());
    let value = match name.as_slice() {
        b"curl" | b"wget" => behind(b" -u ")
            .or_else(|| behind(b" --user "))
            .map(|at| argument(context, at))
            .and_then(|(start, end)| {
                let colon = context.slice(start, end).iter().position(|b| *b == b':')?;
                Some((start + colon + 1, end))
            }),
        // `-U user%password`.
        b"smbclient" => behind(b" -U ")
            .map(|at| argument(context, at))
            .and_then(|(start, end)| {
                let sign = context.slice(start, end).iter().position(|b| *b == b'%')?;
                Some((start + sign + 1, end))
            }),
        b"sqlcmd" | b"mosquitto_pub" | b"mosquitto_sub" => {
            behind(b" -P ").map(|at| argument(context, at))
        }
        b"ldapsearch" | b"ldapmodify" | b"ldapadd" => {
            behind(b" -w ").map(|at| argument(context, at))
        }
        b"az login" | b"useradd" | b"usermod" => behind(b" -p ").map(|at| argument(context, at)),
        b"openssl" => behind(b" -k ")
            .or_else(|| behind(b" pass:"))
            .map(|at| argument(context, at)),
        // `echo "user:password" | chpasswd`.
        b"chpasswd" => piped_pair(context, hit.start),
        b"requirepass" | b"masterauth" => Some(argument(context, hit.end + 1)),
        // `htpasswd -b file user password`.
        b"htpasswd" => behind(b" -b").map(|at| {
            let (_, file) = argument(context, at + 1);
            let (_, user) = argument(context, file + 1);
            argument(context, user + 1)
        }),
        b"mysql" | b"mysqldump" => behind(b" -p")
            .filter(|at| context.byte(*at) != b' ')
            .map(|at| argument(context, at)),
        b"sshpass" | b"docker" | b"mongo" | b"mongosh" => {
            behind(b" -p ").map(|at| argument(context, at))
        }
        b"redis" => behind(b" -a ").map(|at| argument(context, at)),
        b"net user" => {
            let (_, end) = argument(context, hit.end + 1);
            Some(argument(context, end + 1))
        }
        b"securestring" => behind(b" ")
            .map(|at| argument(context, at))
            .filter(|(start, _)| matches!(context.byte_before(*start), b'"' | b'\'')),
        _ => None,
    };
    let Some((start, end)) = value.filter(|(s, e)| {
        e - s >= 5 && context.text.is_char_boundary(*s) && context.text.is_char_boundary(*e)
    }) else {
        return;
    };
    let bytes = context.slice(start, end);
    let shape = Shape::of(bytes);
    // Only a password follows this option without a space.
    let is_attached = name.starts_with(b"mysql");
    if (shape.digits > 0 || shape.signs > 0 || is_attached && shape.small + shape.capitals >= 6)
        && shape.small + shape.capitals > 0
        && !is_reference(bytes, false)
        && !is_filler(bytes)
        && !bytes.starts_with(b"/")
        && !bytes.contains(&b':')
    {
        findings.add(start, end, Kind::Password, "password_argument", 80);
    }
}
