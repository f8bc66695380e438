//! E-mail addresses, plain and spelled out, and URLs that carry credentials.

use super::{Scene, one_of};
use crate::part::Part as _;
use crate::redact::{Kind, scan::Hit, vocabulary::is_letter};

/// Domains' ends that a spelled-out address may have.
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

impl Scene<'_> {
    /// An `@`: an address (RFC 5322, 3.4.1, as people write it), or the end of a URL's credentials
    /// (RFC 3986, 3.2.1).
    pub(super) fn at_sign(&mut self, at: usize) {
        let bytes = self.bytes();
        if self.url_credentials(at) || self.spaced_email(at, at + 1, false) {
            return;
        }
        let is_email_local = |b: u8| b.is_ascii_alphanumeric() || one_of(b, b"._%+-'") || b >= 0x80;
        let before = bytes.part(at.saturating_sub(64)..at).iter().rev();
        let mut start = at - before.take_while(|b| is_email_local(**b)).count();
        if start > 0
            && at - start < 64
            && is_local(self.byte_before(start))
            && !one_of(self.byte_before(start), b"=/{|?&#$`*!")
        {
            return;
        }
        while start < at
            && (one_of(self.byte(start), b".-'+%_") && (self.byte(start) != b'_')
                || !self.text.is_char_boundary(start))
        {
            start += 1;
        }
        // Where letters of another script or a sign follow an address in ASCII, it ends before
        // them.
        let ascii = self
            .slice(at + 1, at + 254)
            .iter()
            .take_while(|b| b.is_ascii() && is_domain(**b))
            .count();
        let is_whole = self
            .part(at + 1, at + 1 + ascii)
            .trim_end_matches('.')
            .rsplit_once('.')
            .is_some_and(|(_, l)| l.len() >= 2 && l.bytes().all(|b| b.is_ascii_alphabetic()));
        let mut end = at + 1 + ascii;
        if !is_whole {
            let letters = self
                .chars_from(end)
                .take(128)
                .take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-'));
            end += letters.map(char::len_utf8).sum::<usize>();
        }
        while end > at && (one_of(self.byte_before(end), b".-") || !self.text.is_char_boundary(end))
        {
            end -= 1;
        }
        let domain = self.part(at + 1, end);
        let domain = domain.split("..").next().unwrap_or_default();
        // A sentence may go on behind a full stop without a space.
        let labels: Vec<&str> = domain.split('.').collect();
        let is_end = |l: &str| {
            (2..=24).contains(&l.len()) && l.chars().all(char::is_alphabetic)
                || l.starts_with("xn--")
        };
        // `jane@example.com-4111…`: what a hyphen joins to the last label is another word.
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
        // Thai, Chinese and Japanese text touches an address: it begins with the last run of Latin.
        let local = self.part(start, at);
        if !local.is_ascii() {
            let from = local
                .char_indices()
                .rev()
                .find(|(_, c)| u32::from(*c) >= 0xe00)
                .map_or(0, |(i, c)| i + c.len_utf8());
            start += from;
        }
        if start < at && !self.is_machines(start, at, domain_end) {
            self.add(start, domain_end, Kind::Email, "email", 95);
            self.name_before_address(start);
        }
    }

    /// The user of a git host, or the id of a message (RFC 5322, 3.6.4): nobody's address.
    fn is_machines(&self, start: usize, at: usize, end: usize) -> bool {
        let host = self.part(at + 1, end);
        let is_host = [
            "github.com",
            "gitlab.com",
            "bitbucket.org",
            "codeberg.org",
            "ssh.dev.azure.com",
        ]
        .contains(&host);
        let is_git = self.slice(start, at) == b"git"
            && (is_host || self.byte(end) == b':' || self.byte_before(start) == b'/');
        let line = self
            .part(self.ceiling(start.saturating_sub(400)), start)
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

    /// `jane (at) example.com`, around what stands in the brackets.
    pub(super) fn bracketed_email(&mut self, hit: Hit) {
        if matches!(self.byte(hit.end), b')' | b']') {
            self.spaced_email(hit.start - 1, hit.end + 1, true);
        }
    }

    /// `jane @ example . com`, `jane@example[.]com`, and an address whose domain is on the next
    /// line. The at sign is `at..end`.
    fn spaced_email(&mut self, at: usize, end: usize, is_spelled: bool) -> bool {
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b"-_");
        let gap = usize::from(at > 0 && self.byte_before(at) == b' ');
        let local = self
            .slice(at.saturating_sub(64), at - gap)
            .iter()
            .rev()
            .take_while(|b| is_word(b) || one_of(**b, b"._+"))
            .count();
        let after = self
            .slice(end, end + 3)
            .iter()
            .take_while(|b| one_of(**b, b" \n"))
            .count();
        let is_broken = after > 0;
        let mut end = end + after;
        let mut labels = 0;
        let mut last;
        loop {
            let label = self
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
                .find(|j| self.slice(end, end + j.len()) == j.as_bytes());
            let Some(joint) = joint.filter(|j| self.byte(end + j.len()).is_ascii_alphanumeric())
            else {
                break;
            };
            end += joint.len();
        }
        let text = self.part(at, end);
        let is_odd = is_spelled
            || gap == 1 && is_broken
            || self.slice(at, at + 3).contains(&b'\n')
            || text.contains(['[', '(']);
        let is_end = text.rsplit(['.', ')', ']', ' ']).next().is_some_and(|l| {
            (2..=24).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_lowercase())
        });
        if !is_odd || local == 0 || labels < 2 || last < 2 || !is_end {
            return false;
        }
        self.add(at - gap - local, end, Kind::Email, "email_spelled", 85);
        true
    }

    /// `scheme://user:password@host…`, from its scheme to its end.
    fn url_credentials(&mut self, at: usize) -> bool {
        let from = at.saturating_sub(200);
        let window = self.slice(from, at);
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
        while end < self.text.len()
            && end < at + 512
            && !self.byte(end).is_ascii_whitespace()
            && !one_of(self.byte(end), b"\"'<>`,;)]}|\\")
        {
            end += 1;
        }
        while end > at && one_of(self.byte_before(end), b".:!?") {
            end -= 1;
        }
        // A database's is its connection string.
        let is_web = matches!(
            window.get(start..scheme),
            Some(b"http" | b"https" | b"ftp" | b"ftps" | b"ws" | b"wss")
        );
        let (kind, rule) = if is_web {
            (Kind::Url, "url_credentials")
        } else {
            (Kind::Secret, "connection_string")
        };
        // A token of a known form among the credentials is surer, and leaves the address.
        // Surer than the address of the host, which it holds.
        self.add(from + start, end, kind, rule, 94);
        true
    }

    /// `john dot doe at example dot com`, also in brackets, around its first `dot`.
    pub(super) fn spelled_email(&mut self, dot: Hit) {
        if self.hyphened_email(dot) {
            return;
        }
        let Some((_, end)) = self.spelled_domain_end(dot) else {
            return;
        };
        let bytes = self.bytes();
        let mut start = dot.start;
        let mut has_at = false;
        // Back over words that `dot`, `at` and signs join.
        for _ in 0..10 {
            let word_end = self.skip_back(start);
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
            let joint_end = self.skip_back(word);
            let joint = joint_end
                - bytes
                    .part(joint_end.saturating_sub(12)..joint_end)
                    .iter()
                    .rev()
                    .take_while(|b| is_letter(**b))
                    .count();
            let joint = self.ceiling(joint);
            let text = self.part(joint, joint_end).to_lowercase();
            match text.as_str() {
                "at" | "arroba" | "chiocciola" | "arobase" | "ät" | "klammeraffe" if !has_at => {
                    has_at = true;
                    start = joint;
                }
                "dot" | "punkt" | "punto" | "ponto" | "underscore" | "dash" | "minus" | "plus"
                | "hyphen" => start = joint,
                "" if self.byte_before(joint_end) == b'@' && !has_at => {
                    has_at = true;
                    start = joint_end - 1;
                }
                _ => break,
            }
        }
        if has_at {
            while start < end && one_of(self.byte(start), b"([{< ") {
                start += 1;
            }
            self.add(start, end, Kind::Email, "email_spelled", 85);
        }
    }

    /// `jane-at-example-dot-com`.
    fn hyphened_email(&mut self, dot: Hit) -> bool {
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b"-_.");
        let start = dot.start
            - self
                .slice(dot.start.saturating_sub(64), dot.start)
                .iter()
                .rev()
                .take_while(|b| is_part(b))
                .count();
        let end = dot.end
            + self
                .slice(dot.end, dot.end + 64)
                .iter()
                .take_while(|b| is_part(b))
                .count();
        let end = end - usize::from(self.byte_before(end) == b'.');
        let text = self.part(start, end);
        let Some((local, domain)) = text.split_once("-at-") else {
            return false;
        };
        let labels: Vec<&str> = domain.split("-dot-").collect();
        if local.is_empty() || labels.len() < 2 || !labels.last().is_some_and(|l| ENDS.contains(l))
        {
            return false;
        }
        self.add(start, end, Kind::Email, "email_spelled", 85);
        true
    }

    /// Where the domain ends whose first dot is spelled here.
    fn spelled_domain_end(&self, dot: Hit) -> Option<(usize, usize)> {
        let mut at = dot.end;
        let mut end = None;
        for _ in 0..4 {
            let word = self.skip(at);
            let length = self
                .slice(word, word + 24)
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric() || **b == b'-')
                .count();
            if length == 0 {
                break;
            }
            let text = self.part(word, word + length).to_ascii_lowercase();
            let bracketed = one_of(self.byte_before(dot.start), b"([{<");
            let is_word = matches!(
                text.as_str(),
                "in" | "me"
                    | "it"
                    | "at"
                    | "be"
                    | "us"
                    | "no"
                    | "es"
                    | "app"
                    | "test"
                    | "co"
                    | "io"
            ) && word - at > 1
                && !bracketed
                && self.byte(dot.start).is_ascii_uppercase();
            if ENDS.contains(&text.as_str()) && !is_word {
                end = Some((word, word + length));
            }
            let next = self.skip(word + length);
            let joint = self
                .slice(next, next + 8)
                .iter()
                .take_while(|b| b.is_ascii_alphabetic())
                .count();
            let is_dot = matches!(
                self.part(next, next + joint).to_ascii_lowercase().as_str(),
                "dot" | "punkt" | "punto" | "ponto"
            );
            let is_at = matches!(
                self.part(next, next + joint).to_ascii_lowercase().as_str(),
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

    fn skip(&self, at: usize) -> usize {
        at + self
            .slice(at, at + 4)
            .iter()
            .take_while(|b| one_of(**b, b" )]}>([{<."))
            .count()
    }

    fn skip_back(&self, at: usize) -> usize {
        at - self
            .slice(at.saturating_sub(4), at)
            .iter()
            .rev()
            .take_while(|b| one_of(**b, b" )]}>([{<."))
            .count()
    }
}

fn is_spelled(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+')
}
