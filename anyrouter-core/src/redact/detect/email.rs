//! E-mail addresses, plain and spelled out, and URLs that contain credentials.

use super::{
    context::{Context, Findings},
    names, one_of,
};
use crate::part::Part as _;
use crate::redact::{Kind, scan::Hit, vocabulary::is_letter};

/// Top-level domains that a spelled-out address may have.
const ENDS: [&str; 40] = [
    "com", "org", "net", "edu", "gov", "io", "co", "dev", "app", "info", "biz", "me", "ai", "de",
    "uk", "fr", "es", "it", "nl", "pl", "pt", "se", "no", "dk", "fi", "ch", "at", "be", "eu", "us",
    "ca", "au", "in", "jp", "cn", "br", "ru", "cz", "example", "test",
];

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || one_of(byte, b"._%+-'&*/=?^`{|}~!#$") || byte >= 0x80
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || byte >= 0x80
}

/// Detects, at an `@`, an address (RFC 5322, 3.4.1, as people write it) or a URL whose credentials
/// end there (RFC 3986, 3.2.1).
pub(super) fn at_sign(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    let bytes = context.bytes();
    if url_credentials(context, findings, at) || spaced_email(context, findings, at, at + 1, false)
    {
        return;
    }
    let is_email_local = |b: u8| b.is_ascii_alphanumeric() || one_of(b, b"._%+-'") || b >= 0x80;
    let before = bytes.part(at.saturating_sub(64)..at).iter().rev();
    let mut start = at - before.take_while(|b| is_email_local(**b)).count();
    if start > 0
        && at - start < 64
        && is_local(context.byte_before(start))
        && !one_of(context.byte_before(start), b"=/{|?&#$`*!")
    {
        return;
    }
    while start < at
        && (one_of(context.byte(start), b".-'+%_") && (context.byte(start) != b'_')
            || !context.text.is_char_boundary(start))
    {
        start += 1;
    }
    // An ASCII address ends before letters of another script or a sign.
    let ascii = context
        .slice(at + 1, at + 254)
        .iter()
        .take_while(|b| b.is_ascii() && is_domain(**b))
        .count();
    let is_whole = context
        .part(at + 1, at + 1 + ascii)
        .trim_end_matches('.')
        .rsplit_once('.')
        .is_some_and(|(_, l)| l.len() >= 2 && l.bytes().all(|b| b.is_ascii_alphabetic()));
    let mut end = at + 1 + ascii;
    if !is_whole {
        let letters = context
            .chars_from(end)
            .take(128)
            .take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-'));
        end += letters.map(char::len_utf8).sum::<usize>();
    }
    while end > at
        && (one_of(context.byte_before(end), b".-") || !context.text.is_char_boundary(end))
    {
        end -= 1;
    }
    let domain = context.part(at + 1, end);
    let domain = domain.split("..").next().unwrap_or_default();
    // A sentence may continue after a full stop without a space.
    let labels: Vec<&str> = domain.split('.').collect();
    let is_end = |l: &str| {
        (2..=24).contains(&l.len()) && l.chars().all(char::is_alphabetic) || l.starts_with("xn--")
    };
    // `jane@example.com-4111…`: a hyphen joins another word to the last label.
    let cut = labels
        .last()
        .and_then(|l| l.split_once('-'))
        .filter(|(end, rest)| is_end(end) && !rest.is_empty() && labels.len() > 1);
    let labels: Vec<&str> = match cut {
        Some((end, _)) if !labels.last().is_some_and(|l| is_end(l)) => labels
            .iter()
            .take(labels.len() - 1)
            .copied()
            .chain([end])
            .collect(),
        _ => labels,
    };
    let Some(last) = labels.iter().rposition(|l| is_end(l)).filter(|l| *l > 0) else {
        return;
    };
    let domain_end = at
        + 1
        + labels
            .iter()
            .take(last + 1)
            .map(|l| l.len() + 1)
            .sum::<usize>()
        - 1;
    if start == at
        || labels
            .iter()
            .take(last)
            .any(|l| l.is_empty() || l.starts_with('-'))
    {
        return;
    }
    // Thai, Chinese or Japanese text may touch an address, which begins with the last Latin run.
    let local = context.part(start, at);
    if !local.is_ascii() {
        let from = local
            .char_indices()
            .rev()
            .find(|(_, c)| u32::from(*c) >= 0xe00)
            .map_or(0, |(i, c)| i + c.len_utf8());
        start += from;
    }
    if start < at && !is_machines(context, start, at, domain_end) {
        findings.add(start, domain_end, Kind::Email, "email", 95);
        names::name_before_address(context, findings, start);
    }
}

/// Returns true for the user of a git host and for a message id (RFC 5322, 3.6.4).
fn is_machines(context: &Context<'_>, start: usize, at: usize, end: usize) -> bool {
    let host = context.part(at + 1, end);
    let is_host = [
        "github.com",
        "gitlab.com",
        "bitbucket.org",
        "codeberg.org",
        "ssh.dev.azure.com",
    ]
    .contains(&host);
    let is_git = context.slice(start, at) == b"git"
        && (is_host || context.byte(end) == b':' || context.byte_before(start) == b'/');
    let line = context
        .part(context.ceiling(start.saturating_sub(400)), start)
        .rsplit('\n')
        .next()
        .unwrap_or_default();
    let head = line
        .split(':')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    is_git
        || matches!(
            head.as_str(),
            "message-id" | "in-reply-to" | "references" | "content-id"
        ) && line.contains('<')
}

/// Detects `jane (at) example.com`, from the word in the brackets.
pub(super) fn bracketed_email(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    if matches!(context.byte(hit.end), b')' | b']') {
        spaced_email(context, findings, hit.start - 1, hit.end + 1, true);
    }
}

/// Detects `jane @ example . com`, `jane@example[.]com`, and an address whose domain is on the next
/// line. The at sign is `at..end`.
fn spaced_email(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    at: usize,
    end: usize,
    is_spelled: bool,
) -> bool {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b"-_");
    let gap = usize::from(at > 0 && context.byte_before(at) == b' ');
    let local = context
        .slice(at.saturating_sub(64), at - gap)
        .iter()
        .rev()
        .take_while(|b| is_word(b) || one_of(**b, b"._+"))
        .count();
    let after = context
        .slice(end, end + 3)
        .iter()
        .take_while(|b| one_of(**b, b" \n"))
        .count();
    let is_broken = after > 0;
    let mut end = end + after;
    let mut labels = 0;
    let mut last;
    loop {
        let label = context
            .slice(end, end + 64)
            .iter()
            .take_while(|b| is_word(b))
            .count();
        if label == 0 {
            return false;
        }
        end += label;
        labels += 1;
        last = label;
        let joint = ["[.]", "(.)", "[dot]", "(dot)", " . ", "."]
            .iter()
            .find(|j| context.slice(end, end + j.len()) == j.as_bytes());
        let Some(joint) = joint.filter(|j| context.byte(end + j.len()).is_ascii_alphanumeric())
        else {
            break;
        };
        end += joint.len();
    }
    let text = context.part(at, end);
    let is_odd = is_spelled
        || gap == 1 && is_broken
        || context.slice(at, at + 3).contains(&b'\n')
        || text.contains(['[', '(']);
    let is_end = text
        .rsplit(['.', ')', ']', ' '])
        .next()
        .is_some_and(|l| (2..=24).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_lowercase()));
    if !is_odd || local == 0 || labels < 2 || last < 2 || !is_end {
        return false;
    }
    findings.add(at - gap - local, end, Kind::Email, "email_spelled", 85);
    true
}

/// Detects `scheme://user:password@host…`, from its scheme to its end.
fn url_credentials(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) -> bool {
    let from = at.saturating_sub(200);
    let window = context.slice(from, at);
    let Some(scheme) = memchr::memmem::rfind(window, b"://") else {
        return false;
    };
    let inside = window.part(scheme + 3..);
    if inside.is_empty()
        || inside
            .iter()
            .any(|b| b.is_ascii_whitespace() || one_of(*b, b"\"'<>/`"))
        || !inside.contains(&b':')
    {
        return false;
    }
    let password = inside
        .iter()
        .position(|b| *b == b':')
        .map_or(0, |p| inside.len() - p - 1);
    let is_variable = inside.windows(2).any(|w| w == b"${" || w == b"{{") || password == 0;
    let start = window
        .part(..scheme)
        .iter()
        .rposition(|b| !(b.is_ascii_alphanumeric() || one_of(*b, b"+.-")))
        .map_or(0, |p| p + 1);
    if is_variable || start == scheme {
        return false;
    }
    let mut end = at + 1;
    while end < context.text.len()
        && end < at + 512
        && !context.byte(end).is_ascii_whitespace()
        && !one_of(context.byte(end), b"\"'<>`,;)]}|\\")
    {
        end += 1;
    }
    while end > at && one_of(context.byte_before(end), b".:!?") {
        end -= 1;
    }
    // The URL of a database is a connection string.
    let is_web = matches!(
        window.get(start..scheme),
        Some(b"http" | b"https" | b"ftp" | b"ftps" | b"ws" | b"wss")
    );
    let (kind, rule) = if is_web {
        (Kind::Url, "url_credentials")
    } else {
        (Kind::Secret, "connection_string")
    };
    // The confidence is below that of a token of a known format among the credentials, and above
    // that of the host's IP address, which the finding includes.
    findings.add(from + start, end, kind, rule, 94);
    true
}

/// Detects `john dot doe at example dot com`, also in brackets, from its first `dot`.
pub(super) fn spelled_email(context: &Context<'_>, findings: &mut Findings<'_>, dot: Hit) {
    if hyphened_email(context, findings, dot) {
        return;
    }
    let Some((_, end)) = spelled_domain_end(context, dot) else {
        return;
    };
    let bytes = context.bytes();
    let mut start = dot.start;
    let mut has_at = false;
    // Moves back over words that `dot`, `at` and signs join.
    for _ in 0..10 {
        let word_end = skip_back(context, start);
        let word = word_end
            - bytes
                .part(word_end.saturating_sub(48)..word_end)
                .iter()
                .rev()
                .take_while(|b| is_spelled(**b))
                .count();
        if word == word_end {
            break;
        }
        start = word;
        let joint_end = skip_back(context, word);
        let joint = joint_end
            - bytes
                .part(joint_end.saturating_sub(12)..joint_end)
                .iter()
                .rev()
                .take_while(|b| is_letter(**b))
                .count();
        let joint = context.ceiling(joint);
        let text = context.part(joint, joint_end).to_lowercase();
        match text.as_str() {
            "at" | "arroba" | "chiocciola" | "arobase" | "ät" | "klammeraffe" if !has_at => {
                has_at = true;
                start = joint;
            }
            "dot" | "punkt" | "punto" | "ponto" | "underscore" | "dash" | "minus" | "plus"
            | "hyphen" => start = joint,
            "" if context.byte_before(joint_end) == b'@' && !has_at => {
                has_at = true;
                start = joint_end - 1;
            }
            _ => break,
        }
    }
    if has_at {
        while start < end && one_of(context.byte(start), b"([{< ") {
            start += 1;
        }
        findings.add(start, end, Kind::Email, "email_spelled", 85);
    }
}

/// Detects `jane-at-example-dot-com`.
fn hyphened_email(context: &Context<'_>, findings: &mut Findings<'_>, dot: Hit) -> bool {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b"-_.");
    let start = dot.start
        - context
            .slice(dot.start.saturating_sub(64), dot.start)
            .iter()
            .rev()
            .take_while(|b| is_part(b))
            .count();
    let end = dot.end
        + context
            .slice(dot.end, dot.end + 64)
            .iter()
            .take_while(|b| is_part(b))
            .count();
    let end = end - usize::from(context.byte_before(end) == b'.');
    let text = context.part(start, end);
    let Some((local, domain)) = text.split_once("-at-") else {
        return false;
    };
    let labels: Vec<&str> = domain.split("-dot-").collect();
    if local.is_empty() || labels.len() < 2 || !labels.last().is_some_and(|l| ENDS.contains(l)) {
        return false;
    }
    findings.add(start, end, Kind::Email, "email_spelled", 85);
    true
}

/// Returns the range of the top-level domain of the domain whose first dot is `dot`.
fn spelled_domain_end(context: &Context<'_>, dot: Hit) -> Option<(usize, usize)> {
    let mut at = dot.end;
    let mut end = None;
    for _ in 0..4 {
        let word = skip(context, at);
        let length = context
            .slice(word, word + 24)
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'-')
            .count();
        if length == 0 {
            break;
        }
        let text = context.part(word, word + length).to_ascii_lowercase();
        let bracketed = one_of(context.byte_before(dot.start), b"([{<");
        let is_word = matches!(
            text.as_str(),
            "in" | "me" | "it" | "at" | "be" | "us" | "no" | "es" | "app" | "test" | "co" | "io"
        ) && word - at > 1
            && !bracketed
            && context.byte(dot.start).is_ascii_uppercase();
        if ENDS.contains(&text.as_str()) && !is_word {
            end = Some((word, word + length));
        }
        let next = skip(context, word + length);
        let joint = context
            .slice(next, next + 8)
            .iter()
            .take_while(|b| b.is_ascii_alphabetic())
            .count();
        let is_dot = matches!(
            context
                .part(next, next + joint)
                .to_ascii_lowercase()
                .as_str(),
            "dot" | "punkt" | "punto" | "ponto"
        );
        let is_at = matches!(
            context
                .part(next, next + joint)
                .to_ascii_lowercase()
                .as_str(),
            "at"
        );
        if !is_dot && !is_at && end.is_some() {
            break;
        }
        if !is_dot && !is_at {
            return None;
        }
        if is_at {
            end = None;
        }
        at = next + joint;
    }
    end
}

fn skip(context: &Context<'_>, at: usize) -> usize {
    at + context
        .slice(at, at + 4)
        .iter()
        .take_while(|b| one_of(**b, b" )]}>([{<."))
        .count()
}

fn skip_back(context: &Context<'_>, at: usize) -> usize {
    at - context
        .slice(at.saturating_sub(4), at)
        .iter()
        .rev()
        .take_while(|b| one_of(**b, b" )]}>([{<."))
        .count()
}

fn is_spelled(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+')
}
