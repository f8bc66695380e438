//! Secrets: those with a form of their own, and those that only the words beside them give away, as `DB_PASSWORD=…`.

use super::{
    Scene,
    numbers::is_uuid,
    values::{Shape, is_filler, is_reference},
    wallets::is_bech32,
};
use crate::redact::{Kind, scan::Hit, secrets, vocabulary::Meaning};

/// How far behind its key a value may begin, in bytes.
const GAP: usize = 48;
/// The longest value.
const LONGEST: usize = 4096;
/// The longest value without quotes.
const UNQUOTED: usize = 512;

/// How a value follows its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    /// `=`, `:`, `=>`, or as the content of an element.
    Assigned,
    /// ` is `: people write it.
    Said,
    /// A space: an option's argument.
    Given,
}

/// A value behind its key.
#[derive(Clone, Copy, Debug)]
struct Value {
    start: usize,
    end: usize,
    is_quoted: bool,
    joint: Joint,
}

impl Scene<'_> {
    /// What a format's literal begins.
    pub(super) fn format(&mut self, at: usize, group: u16) {
        let Some((end, format)) = self.engine.prefixes.matches(self.bytes(), at, group) else { return };
        let rule = format.rule;
        if is_filler(self.slice(at, end)) {
            return;
        }
        let kind = match rule {
            "jwt" => Kind::Jwt,
            "age_secret_key" => Kind::PrivateKey,
            _ => Kind::Secret,
        };
        self.add(at, end, kind, rule, 96);
    }

    /// A long run of letters and digits: a format that shows inside, or a wallet's address.
    pub(super) fn opaque(&mut self, start: usize, end: usize) {
        let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"_-+/=.~:|".contains(b);
        let left = self.slice(start.saturating_sub(100), start).iter().rev().take_while(|b| is_token(b)).count();
        let right = self.slice(end, end + 300).iter().take_while(|b| is_token(b)).count();
        let mut first = start - left;
        let last = end + right;
        // A key before `=` or `:` is none of it.
        if let Some(i) = self.slice(first, start).iter().rposition(|b| b"=".contains(b)) {
            first += i + 1;
        }
        if let Some(format) = self.engine.prefixes.holds(self.slice(first, last)) {
            self.add(first, last, Kind::Secret, format.rule, 92);
        }
        let token = self.slice(start, end);
        if token.len() == 42 && token.starts_with(b"0x") && token.iter().skip(2).all(u8::is_ascii_hexdigit) {
            self.add(start, end, Kind::CryptoAddress, "ethereum", 88);
        } else if (14..=90).contains(&token.len()) && is_bech32(token) {
            self.add(start, end, Kind::CryptoAddress, "bech32", 95);
        }
    }

    /// `-----BEGIN … PRIVATE KEY-----` and all that belongs to it (RFC 7468).
    pub(super) fn key_block(&mut self, hit: Hit) {
        let from = hit.start.saturating_sub(48);
        let Some(begin) = memchr::memmem::rfind(self.slice(from, hit.start), b"-----BEGIN") else { return };
        let start = from + begin;
        let rest = self.slice(hit.end, hit.end + secrets::LONGEST);
        let body = |b: &u8| b.is_ascii_alphanumeric() || b"+/=\n\r \t-:,\\\"'>|".contains(b);
        let length = match memchr::memmem::find(rest, b"-----END") {
            Some(end) => {
                let after = rest.get(end + 8..).unwrap_or_default();
                end + 8 + memchr::memmem::find(after.get(..after.len().min(64)).unwrap_or_default(), b"-----").map_or(0, |e| e + 5)
            }
            None => rest.iter().take_while(|b| body(b)).count(),
        };
        self.add(start, hit.end + length, Kind::PrivateKey, "private_key", 99);
    }

    /// A word that stands beside secrets: what follows it may be one.
    pub(super) fn credential(&mut self, hit: Hit, meaning: Meaning) {
        if meaning.has(Meaning::AUTHORIZATION) {
            self.authorization(hit);
        }
        let is_key = self.slice(hit.start, hit.end).eq_ignore_ascii_case(b"key");
        let Some(value) = self.value_behind(hit.end, meaning) else { return };
        let bytes = self.slice(value.start, value.end);
        let name_start = hit.start
            - self
                .slice(hit.start.saturating_sub(40), hit.start)
                .iter()
                .rev()
                .take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b))
                .count();
        let name = self.slice(name_start, value.start).to_ascii_lowercase();
        let names = |words: &[&str]| words.iter().any(|w| memchr::memmem::find(&name, w.as_bytes()).is_some());
        if is_reference(bytes, value.is_quoted)
            || is_filler(bytes)
            || names(&[
                "public",
                "hash_algo",
                "_file",
                "_path",
                "keyid",
                "key_id",
                "field",
                "label",
                "title",
                "length",
                "_len",
                "regex",
                "policy",
                "placeholder",
                "_name",
                "_type",
                "_url",
                "endpoint",
                "expire",
                "ttl",
                "count",
                "max_tokens",
                "tokens_",
                "_tokens",
            ])
        {
            return;
        }
        if super::is_word_byte(self.byte(value.end)) && !value.is_quoted && self.byte(value.end) != b'_' {
            return;
        }
        let shape = Shape::of(bytes);
        if bytes.starts_with(b"0x") && bytes.len() <= 18 {
            return;
        }
        let word = self.slice(hit.start, hit.end).to_ascii_lowercase();
        if word == b"pin" && !((4..=8).contains(&shape.digits) && shape.digits == bytes.len())
            || word == b"pass" && value.joint == Joint::Given
        {
            return;
        }
        if meaning.has(Meaning::PASSWORD) {
            let plausible = match value.joint {
                _ if bytes.len() > 128 => false,
                Joint::Assigned if value.is_quoted => bytes.len() >= 4,
                Joint::Assigned => {
                    bytes.len() >= 4
                        && (shape.digits > 0
                            || shape.signs > 0
                            || shape.capitals > 0 && shape.small > 0 && !shape.is_capitalised
                            || self.is_env(name_start))
                }
                Joint::Said => bytes.len() >= 4 && (shape.digits > 0 || shape.signs > 0 || value.is_quoted),
                Joint::Given => bytes.len() >= 6 && (shape.digits > 0 && shape.small + shape.capitals > 0 || shape.signs > 0),
            };
            if plausible {
                self.add(value.start, value.end, Kind::Password, "password", if value.joint == Joint::Given { 62 } else { 84 });
            }
            return;
        }
        if names(&["sha", "md5", "checksum", "digest", "integrity", "commit", "etag"]) {
            return;
        }
        let strong = bytes.len() >= 16 && shape.entropy >= 2.8 && shape.digits > 0
            || bytes.len() >= 20 && shape.entropy >= 3.5 && shape.is_mixed()
            || bytes.len() >= 32 && shape.entropy >= 3.2 && shape.words == 0 && shape.spaces == 0 && (shape.digits > 0 || shape.is_mixed());
        let fair = bytes.len() >= 8
            && (shape.digits > 0 && shape.small + shape.capitals > 0 || shape.signs > 0 && value.is_quoted)
            && shape.spaces == 0;
        let confidence = match (meaning.has(Meaning::SECRET), value.joint) {
            (true, Joint::Assigned) if strong && shape.spaces == 0 => 86,
            (true, Joint::Assigned) if fair && !is_key && value.is_quoted => 75,
            (true, Joint::Assigned) if fair && !is_key && self.is_env(name_start) => 72,
            (true, Joint::Given) if is_uuid(bytes) && names(&["authtoken", "access_token"]) => 72,
            (true, Joint::Given)
                if value.is_quoted && bytes.len() >= 16 && shape.signs >= 4 && shape.spaces == 0 && shape.entropy >= 3.5 =>
            {
                66
            }
            (true, Joint::Said | Joint::Given) if strong && shape.spaces == 0 && !is_uuid(bytes) => 72,
            (false, Joint::Assigned) if strong && shape.spaces == 0 && !is_uuid(bytes) => 70,
            (false, Joint::Given)
                if strong && bytes.len() >= 20 && shape.spaces == 0 && !is_uuid(bytes) && (shape.is_hex || shape.is_mixed()) =>
            {
                58
            }
            _ => return,
        };
        if is_key && is_uuid(bytes) {
            return;
        }
        let rule = if meaning.has(Meaning::SECRET) { "secret_by_name" } else { "secret_by_service" };
        self.add(value.start, value.end, Kind::Secret, rule, confidence);
    }

    /// A line of settings: `NAME=`, nothing before but `export`.
    fn is_env(&self, name_start: usize) -> bool {
        self.byte(name_start).is_ascii_uppercase() || matches!(self.byte_before(name_start), b'\n' | b'"' | b'\'')
    }

    /// `Authorization: Basic …`, `Bearer …` (RFC 7617, RFC 6750).
    fn authorization(&mut self, hit: Hit) {
        let word = self.slice(hit.start, hit.end).to_ascii_lowercase();
        let rule = match word.as_slice() {
            b"basic" => "basic_auth",
            b"bearer" => "bearer_token",
            _ => return,
        };
        if self.byte(hit.end) != b' ' {
            return;
        }
        let start = hit.end + 1;
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
        let end = start + self.slice(start, start + LONGEST).iter().take_while(|b| token(b)).count();
        let shape = Shape::of(self.slice(start, end));
        if end - start >= 12
            && (shape.is_mixed() || shape.digits > 2)
            && !is_reference(self.slice(start, end), false)
            && !is_filler(self.slice(start, end))
        {
            self.add(start, end, Kind::Secret, rule, 88);
        }
    }

    /// The value that is given to the name which ends at `at`.
    fn value_behind(&self, at: usize, meaning: Meaning) -> Option<Value> {
        let bytes = self.bytes();
        let limit = at + GAP;
        let mut at = at;
        // The rest of the name.
        let is_wide = bytes.get(at.wrapping_sub(1)).is_some_and(|b| *b >= 0x80);
        let tail = if is_wide { 0 } else { 32 };
        let tail = self.slice(at, at + tail).iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b)).count();
        at += tail;
        let mut joint = None;
        // A closing quote or bracket, spaces, the sign, words that say nothing.
        while at < limit {
            let rest = self.slice(at, at + 16);
            match rest {
                [b'"' | b'\'' | b'`' | b']' | b')' | b'}' | b'*', ..] if joint.is_none() => at += 1,
                [b' ' | b'\t', ..] => {
                    at += 1;
                }
                [b'=' | b'-', b'>', ..] | [b':', b'=', ..] | [b'|', b'|', ..] | [b'?', b'?' | b':', ..] => {
                    joint = Some(Joint::Assigned);
                    at += 2;
                }
                [b'=' | b'!', b'=', ..] => {
                    joint = Some(Joint::Assigned);
                    at += 2 + usize::from(rest.get(2) == Some(&b'='));
                }
                [b'=' | b':' | b',' | b'|', ..] if joint.is_none() || rest.first() == Some(&b'=') => {
                    if rest.first() == Some(&b',') && !matches!(bytes.get(at.wrapping_sub(1)), Some(b'"' | b'\'')) {
                        break;
                    }
                    joint = Some(Joint::Assigned);
                    at += 1;
                }
                [b'(', ..] if joint.is_none() && tail == 0 => {
                    joint = Some(Joint::Assigned);
                    at += 1;
                }
                [b'>', ..] if joint.is_none() => {
                    joint = Some(Joint::Assigned);
                    at += 1;
                }
                [b'i', b's' | b't' | b'n', b' ', ..] if joint.is_none() && rest.starts_with(b"is ") => {
                    joint = Some(Joint::Said);
                    at += 3;
                    for filler in [&b"now "[..], b"set to ", b"currently ", b"still "] {
                        if self.slice(at, at + filler.len()) == filler {
                            at += filler.len();
                        }
                    }
                }
                _ if rest.starts_with("：".as_bytes()) => {
                    joint = Some(Joint::Assigned);
                    at += 3;
                }
                _ if rest.starts_with("是".as_bytes()) || rest.starts_with("は".as_bytes()) || rest.starts_with("คือ".as_bytes()) =>
                {
                    joint = Some(Joint::Assigned);
                    at += if rest.starts_with("คือ".as_bytes()) { 9 } else { 3 };
                }
                _ => {
                    let said = ["ist ", "est ", "es ", "è ", "é ", "jest ", "was ", "to ", "as ", "of ", "este ", "on "];
                    match said.iter().find(|w| joint.is_none() && rest.starts_with(w.as_bytes())) {
                        Some(word) => {
                            joint = Some(Joint::Said);
                            at += word.len();
                        }
                        None => break,
                    }
                }
            }
        }
        if at >= limit {
            return None;
        }
        let joint = match joint {
            Some(joint) => joint,
            None if bytes.get(at.wrapping_sub(1)).is_some_and(|b| *b >= 0x80) => Joint::Assigned,
            None if matches!(bytes.get(at.wrapping_sub(1)), Some(b' ' | b'"' | b'\''))
                && meaning.has(Meaning::PASSWORD.and(Meaning::SECRET).and(Meaning::SERVICE)) =>
            {
                Joint::Given
            }
            None => return None,
        };
        // A prefix of a string literal, and its quote.
        let mut start = at;
        if let [b'b' | b'r' | b'u' | b'f' | b'L' | b'@' | b'$', b'"' | b'\'', ..] = self.slice(start, start + 2) {
            start += 1;
        }
        let quote = self.byte(start);
        let is_quoted = matches!(quote, b'"' | b'\'' | b'`');
        if is_quoted {
            start += 1;
            if self.slice(start, start + 2) == [quote, quote] {
                start += 2;
            }
            let rest = self.slice(start, start + LONGEST);
            let mut length = 0;
            while let Some(byte) = rest.get(length) {
                if *byte == quote || *byte == b'\n' {
                    break;
                }
                length += if *byte == b'\\' { 2 } else { 1 };
            }
            let end = (start + length.min(rest.len())).min(self.text.len());
            return (end > start && self.text.is_char_boundary(end)).then_some(Value { start, end, is_quoted, joint });
        }
        // What begins as a template may be none.
        let stops: &[u8] = if self.slice(start, start + 2) == b"{{" {
            b"\"'`"
        } else if joint == Joint::Assigned {
            b"\"'`,;<>()[]{}|&"
        } else {
            b"\"'`,;<>()[]{}|"
        };
        let mut end = start
            + self
                .slice(start, start + UNQUOTED)
                .iter()
                .take_while(|b| !b.is_ascii_whitespace() && !stops.contains(b) && (**b != b'\\'))
                .count();
        while end > start && b".:!?".contains(&self.byte_before(end)) {
            end -= 1;
        }
        // Four groups of four letters, as mail providers hand out.
        let group = |at: usize| self.slice(at, at + 4).len() == 4 && self.slice(at, at + 4).iter().all(u8::is_ascii_lowercase);
        let is_grouped = (0..4).all(|i| group(start + 5 * i) && (i == 3 || self.byte(start + 5 * i + 4) == b' '))
            && !self.byte(start + 19).is_ascii_alphanumeric();
        if meaning.has(Meaning::PASSWORD) && is_grouped {
            end = start + 19;
        }
        (end > start && self.text.is_char_boundary(end)).then_some(Value { start, end, is_quoted, joint })
    }

    /// A password among a program's arguments: `curl -u user:…`, `mysql -p…`, `sshpass -p …`, `redis-cli -a …`, `net user name …`.
    fn argument(&self, at: usize) -> (usize, usize) {
        let quote = self.byte(at);
        if matches!(quote, b'"' | b'\'') {
            let length = self.slice(at + 1, at + 128).iter().position(|b| *b == quote || *b == b'\n').unwrap_or(0);
            return (at + 1, at + 1 + length);
        }
        (at, at + self.slice(at, at + 128).iter().take_while(|b| !b.is_ascii_whitespace() && !b"\"';|&<>".contains(b)).count())
    }

    /// A program's line.
    pub(super) fn command(&mut self, hit: Hit) {
        let name = self.slice(hit.start, hit.end).to_ascii_lowercase();
        let line = self.slice(hit.end, hit.end + 200);
        let line = line.get(..line.iter().position(|b| *b == b'\n').unwrap_or(line.len())).unwrap_or_default();
        let behind = |option: &[u8]| memchr::memmem::find(line, option).map(|at| hit.end + at + option.len());
        let value = match name.as_slice() {
            b"curl" | b"wget" => behind(b" -u ").or_else(|| behind(b" --user ")).map(|at| self.argument(at)).and_then(|(start, end)| {
                let colon = self.slice(start, end).iter().position(|b| *b == b':')?;
                Some((start + colon + 1, end))
            }),
            b"mysql" | b"mysqldump" => behind(b" -p").filter(|at| self.byte(*at) != b' ').map(|at| self.argument(at)),
            b"sshpass" | b"docker" | b"mongo" | b"mongosh" => behind(b" -p ").map(|at| self.argument(at)),
            b"redis" => behind(b" -a ").map(|at| self.argument(at)),
            b"net user" => {
                let (_, end) = self.argument(hit.end + 1);
                Some(self.argument(end + 1))
            }
            b"securestring" => {
                behind(b" ").map(|at| self.argument(at)).filter(|(start, _)| matches!(self.byte_before(*start), b'"' | b'\''))
            }
            _ => None,
        };
        let Some((start, end)) = value.filter(|(s, e)| e - s >= 5 && self.text.is_char_boundary(*s) && self.text.is_char_boundary(*e))
        else {
            return;
        };
        let bytes = self.slice(start, end);
        let shape = Shape::of(bytes);
        if (shape.digits > 0 || shape.signs > 0)
            && shape.small + shape.capitals > 0
            && !is_reference(bytes, false)
            && !is_filler(bytes)
            && !bytes.starts_with(b"/")
            && !bytes.contains(&b':')
        {
            self.add(start, end, Kind::Password, "password_argument", 80);
        }
    }

    /// What follows a word for a user's name.
    pub(super) fn username(&mut self, hit: Hit) {
        let Some(value) = self.value_behind(hit.end, Meaning::USERNAME) else { return };
        let bytes = self.slice(value.start, value.end);
        let text = self.part(value.start, value.end);
        let shape = Shape::of(bytes);
        let is_name = (3..=40).contains(&bytes.len())
            && shape.spaces == 0
            && text.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c))
            && shape.small > 0;
        let is_address = text.bytes().skip(1).any(|b| b == b'@');
        if !is_name || is_address || is_reference(bytes, value.is_quoted) {
            return;
        }
        let marked = shape.digits > 0 || text.contains(['_', '.', '-']) || text.starts_with('@');
        let confidence = match value.joint {
            Joint::Assigned if marked => 82,
            Joint::Assigned if value.is_quoted => 66,
            Joint::Assigned if !shape.is_capitalised => 60,
            Joint::Said if marked => 78,
            Joint::Said
                if shape.capitals == 0
                    && self.slice(hit.start, hit.end).len() >= 5
                    && bytes.len() >= 5
                    && self.part(value.start, value.end).is_ascii() =>
            {
                62
            }
            Joint::Given if shape.digits > 0 && shape.capitals == 0 => 62,
            _ => return,
        };
        self.add(value.start, value.end, Kind::Username, "username", confidence);
    }

    /// Numbers that only their names give away: passports, licences, plates, accounts.
    pub(super) fn numbered(&mut self, hit: Hit, meaning: Meaning) {
        let mut at = hit.end;
        let limit = hit.end + 32;
        // Words and signs that join the name and the number.
        loop {
            let rest = self.part(at, self.floor(at + 24));
            let trimmed = rest.trim_start_matches([' ', ':', '#', '=', '"', '\'', '.', '-', '*', '|', '：', '\t', '(']);
            let mut skipped = rest.len() - trimmed.len();
            let lower = trimmed.to_lowercase();
            for word in [
                "number",
                "numbers",
                "num",
                "no",
                "nr",
                "is",
                "id",
                "code",
                "nummer",
                "ist",
                "est",
                "es",
                "plate",
                "card",
                "numéro",
                "número",
                "numero",
                "n°",
                "nº",
                "№",
                "was",
                "of",
                "and",
                "the",
                "ending in",
                "für",
                "号码",
                "号",
                "是",
                "番号",
                "は",
                "번호",
                "คือ",
                "เลขที่",
                "é",
                "è",
                "jest",
            ] {
                if let Some(after) = lower.strip_prefix(word)
                    && !(word.is_ascii() && after.starts_with(|c: char| c.is_alphanumeric()))
                {
                    skipped += word.len();
                    break;
                }
            }
            if skipped == 0 || at + skipped > limit {
                break;
            }
            at += skipped;
        }
        if at >= limit {
            return;
        }
        let alphabet = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let mut end = at;
        let mut last = at;
        while end < at + 28 {
            let byte = self.byte(end);
            if alphabet(&byte) && end < self.text.len() {
                end += 1;
                if self.byte(end).is_ascii_lowercase() {
                    break;
                }
                if !alphabet(&self.byte(end)) {
                    last = end;
                }
            } else if end > at
                && matches!(byte, b' ' | b'-' | b'.' | b'/')
                && alphabet(&self.byte(end + 1))
                && (meaning.has(Meaning::VEHICLE.and(Meaning::DRIVER_LICENSE).and(Meaning::BANK_ACCOUNT)) || byte == b'-')
            {
                end += 1;
            } else {
                break;
            }
        }
        if last == at {
            return;
        }
        let digits = self.slice(at, last).iter().filter(|b| b.is_ascii_digit()).count();
        let letters = self.slice(at, last).iter().filter(|b| b.is_ascii_uppercase()).count();
        let size = digits + letters;
        let (kind, rule, fits) = if meaning.has(Meaning::PASSPORT) {
            (Kind::Passport, "passport", (6..=12).contains(&size) && digits >= 4)
        } else if meaning.has(Meaning::DRIVER_LICENSE) {
            (Kind::DriverLicense, "driver_license", (5..=20).contains(&size) && digits >= 3)
        } else if meaning.has(Meaning::VEHICLE) {
            (Kind::Vehicle, "plate", (4..=17).contains(&size) && digits >= 1 && (letters >= 1 || digits >= 5))
        } else if meaning.has(Meaning::BANK_ACCOUNT) {
            let bic = letters >= 6 && (size == 8 || size == 11) && self.slice(at, at + 6).iter().all(u8::is_ascii_uppercase);
            (Kind::BankAccount, "bank_account", bic || digits >= 5 && size <= 20 && letters <= 4)
        } else {
            return;
        };
        if fits {
            self.add(at, last, kind, rule, if at - hit.end <= 12 { 90 } else { 85 });
        }
    }

    pub(super) fn floor(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..4).map(|i| at.saturating_sub(i)).find(|i| self.text.is_char_boundary(*i)).unwrap_or(0)
    }
}
