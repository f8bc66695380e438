//! Network addresses: IPv4, IPv6 and hardware addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::context::{Context, Findings};
use crate::redact::{Kind, vocabulary::Meaning};

/// Detects, at a colon among hexadecimal digits, an IPv6 address (RFC 4291, 2.2) or a hardware
/// address (IEEE 802, EUI-48).
pub(super) fn colon(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    let part = |b: &u8| b.is_ascii_hexdigit() || *b == b':' || *b == b'.';
    let start = at
        - context
            .slice(at.saturating_sub(48), at)
            .iter()
            .rev()
            .take_while(|b| part(b))
            .count();
    // Only the first colon of an address is examined.
    if context.slice(start, at).contains(&b':') && start != at {
        return;
    }
    let mut end = at
        + context
            .slice(at, at + 48)
            .iter()
            .take_while(|b| part(b))
            .count();
    while end > at && context.byte_before(end) == b'.' {
        end -= 1;
    }
    if context.byte_before(start).is_ascii_alphanumeric()
        || context.byte(end).is_ascii_alphanumeric()
        || matches!(context.byte_before(start), b'_')
    {
        return;
    }
    let text = context.part(start, end);
    let trimmed = text.trim_end_matches(':');
    let text = if trimmed.len() + 1 == text.len() {
        trimmed
    } else {
        text
    };
    let end = start + text.len();
    let groups = text.split(':').count();
    let is_no_device = text.bytes().all(|b| matches!(b, b':' | b'0'))
        || text.bytes().all(|b| matches!(b, b':' | b'F' | b'f'));
    if groups == 6 && text.len() == 17 && text.split(':').all(|g| g.len() == 2) {
        if is_no_device {
            return;
        }
        findings.add(start, end, Kind::MacAddress, "mac", 92);
    } else if (3..=8).contains(&groups.saturating_sub(usize::from(text.starts_with("::"))))
        || text.contains("::")
    {
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        if text.parse::<Ipv6Addr>().is_ok() && digits >= 1 && text.len() >= 3 {
            // `ff::ff` and `a::B` are names in programs.
            if !text.bytes().any(|b| b.is_ascii_digit()) && text.len() < 12 {
                return;
            }
            let is_plain = text.contains("::") && digits < 3;
            let prefix = prefix_length(context, end);
            if text
                .parse()
                .is_ok_and(|address| is_nobodys_v6(address, prefix > 0))
            {
                return;
            }
            let end = end + prefix;
            findings.add(
                start,
                end,
                Kind::IpAddress,
                "ipv6",
                if is_plain { 55 } else { 92 },
            );
        }
    }
}

/// Returns the length of a prefix such as `/64` after an address, or 0.
pub(super) fn prefix_length(context: &Context<'_>, at: usize) -> usize {
    let digits = context
        .slice(at + 1, at + 4)
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let bits = std::str::from_utf8(context.slice(at + 1, at + 1 + digits));
    let bits = bits.ok().and_then(|b| b.parse().ok()).unwrap_or(u32::MAX);
    let next = context.byte(at + 1 + digits);
    if context.byte(at) == b'/'
        && digits > 0
        && bits <= 128
        && !next.is_ascii_alphanumeric()
        && !matches!(next, b'-' | b'/')
    {
        1 + digits
    } else {
        0
    }
}

/// Detects an IPv4 address (RFC 791 in dotted form) with its prefix length.
pub(super) fn ipv4(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    start: usize,
    first_end: usize,
) -> Option<usize> {
    if context.byte(first_end) != b'.' || first_end - start > 3 {
        return None;
    }
    let end = start
        + context
            .slice(start, start + 16)
            .iter()
            .take_while(|b| b.is_ascii_digit() || **b == b'.')
            .count();
    let text = context.part(start, end).trim_end_matches('.');
    let end = start + text.len();
    let before = context.byte_before(start);
    if text.parse::<Ipv4Addr>().is_err()
        || before == b'.'
        || before == b'v'
        || context.byte(end).is_ascii_alphabetic()
    {
        return None;
    }
    let small = text.split('.').all(|o| o.len() == 1);
    let prefix = prefix_length(context, end);
    if text
        .parse()
        .is_ok_and(|address| is_nobodys_v4(address, prefix > 0))
        || small && context.is_decoy(start)
        || is_version(context, start, end)
        || context.before(start, Meaning::DECOY, 24).is_some_and(|h| {
            context
                .part(h.start, h.end)
                .to_ascii_lowercase()
                .starts_with("ver")
        })
    {
        return None;
    }
    let end = end + prefix;
    findings.add(
        start,
        end,
        Kind::IpAddress,
        "ipv4",
        if small { 60 } else { 92 },
    );
    Some(end)
}

/// Returns true if the four numbers are those of a version or a section: `==1.2.3.4`,
/// `section-4.7.1.1`, `Reader 11.0.23.22`.
fn is_version(context: &Context<'_>, start: usize, end: usize) -> bool {
    let before = context.part(context.ceiling(start.saturating_sub(32)), start);
    let behind = context.part(end, context.floor(end + 8));
    let word = before
        .trim_end_matches([' ', '-', '_', '"', '\'', ':', '=', '('])
        .rsplit(|c: char| !c.is_alphanumeric())
        .next();
    let word = word.unwrap_or_default();
    let is_called = [
        "section",
        "chapter",
        "clause",
        "release",
        "build",
        "upgrade",
        "kapitel",
        "abschnitt",
        "version",
        "rev",
        "rfc",
    ]
    .iter()
    .any(|w| word.to_lowercase().starts_with(w));
    let is_required = ["==", ">=", "<=", "~=", "~>", "^", "~", "@"]
        .iter()
        .any(|sign| before.ends_with(sign));
    let is_file = before.ends_with(['-', '_'])
        && before
            .trim_end_matches(['-', '_'])
            .ends_with(|c: char| c.is_alphanumeric());
    let goes_on = ["-", "+", ".tar", ".zip", ".jar", ".whl", ".dll"]
        .iter()
        .any(|sign| behind.starts_with(sign))
        && behind.chars().nth(1).is_some_and(char::is_alphabetic);
    // `Adobe Reader 11.0.23.22`: a product's name before numbers unusual for a network.
    let is_product = before.ends_with(' ')
        && word.len() > 3
        && word.starts_with(|c: char| c.is_uppercase())
        && word.bytes().skip(1).all(|b| b.is_ascii_lowercase())
        && ![
            "Host", "Server", "From", "Address", "Client", "Gateway", "Router", "Node", "Remote",
            "Source", "Target", "Peer", "Connect",
        ]
        .iter()
        .any(|w| word.starts_with(w))
        && !context.slice(start, start + 3).starts_with(b"10.")
        && context
            .part(start, end)
            .split('.')
            .all(|octet| octet.len() < 3)
        && context.byte(end) != b':';
    is_called
        || is_required
        || is_file
        || goes_on
        || is_product
        || before.ends_with('§')
        || before.ends_with("§ ")
}

/// Detects `14-7d-19-af-e0-e0`, from one of its digits.
pub(super) fn dashed_mac(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    at: usize,
) -> Option<usize> {
    let part = |b: &u8| b.is_ascii_hexdigit() || *b == b'-';
    let start = at
        - context
            .slice(at.saturating_sub(17), at)
            .iter()
            .rev()
            .take_while(|b| part(b))
            .count();
    let token = context.slice(start, start + 18);
    let is_mac = token.iter().take(17).enumerate().all(|(i, b)| {
        if i % 3 == 2 {
            *b == b'-'
        } else {
            b.is_ascii_hexdigit()
        }
    });
    if token.len() < 17
        || !is_mac
        || token
            .get(17)
            .is_some_and(|b| part(b) || b.is_ascii_alphanumeric())
        || context.byte_before(start).is_ascii_alphanumeric()
    {
        return None;
    }
    findings.add(start, start + 17, Kind::MacAddress, "mac", 92);
    Some(start + 17)
}

/// Detects `0012.3456.789a`, from the run of letters and digits at `start..end`.
pub(super) fn dotted_mac(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    start: usize,
    end: usize,
) -> Option<usize> {
    let token = context.slice(start, start + 15);
    let is_mac = end - start == 4
        && token.len() >= 14
        && token.iter().take(14).enumerate().all(|(i, b)| {
            if i % 5 == 4 {
                *b == b'.'
            } else {
                b.is_ascii_hexdigit()
            }
        })
        && token.iter().any(u8::is_ascii_alphabetic);
    let is_whole = !matches!(token.get(14), Some(b'.'))
        && !token.get(14).is_some_and(u8::is_ascii_alphanumeric);
    if !is_mac || !is_whole || matches!(context.byte_before(start), b'.' | b'_') {
        return None;
    }
    findings.add(start, start + 14, Kind::MacAddress, "mac", 88);
    Some(start + 14)
}

/// Returns true if an address identifies nobody's machine: loopback, unspecified and mask
/// addresses, and networks that are local (RFC 6890) or for documentation (RFC 5737).
fn is_nobodys_v4(address: Ipv4Addr, is_network: bool) -> bool {
    let [first, second, ..] = address.octets();
    let is_mask = first == 255;
    let is_local = address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || first == 100 && (64..128).contains(&second)
        || first == 198 && (18..20).contains(&second);
    address.is_loopback() || address.is_unspecified() || is_mask || is_network && is_local
}

/// Returns true for the same addresses of IPv6: loopback and unspecified ones, link-local and
/// unique local networks (RFC 4193), and those for documentation (RFC 3849).
fn is_nobodys_v6(address: Ipv6Addr, is_network: bool) -> bool {
    let [first, second, ..] = address.segments();
    let is_local = first & 0xffc0 == 0xfe80
        || first & 0xfe00 == 0xfc00
        || first >> 8 == 0xff
        || (first, second) == (0x2001, 0xdb8);
    address.is_loopback() || address.is_unspecified() || is_network && is_local
}
