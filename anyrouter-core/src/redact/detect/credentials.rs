//! Secrets: values with a format of their own, and values that only the words beside them identify,
//! as `DB_PASSWORD=…`.

use super::{
    assignments::{self, Joint, Value},
    context::{Context, Findings},
    cookies, one_of,
    values::{Shape, entropy, is_filler, is_reference, is_uuid},
    wallets::is_bech32,
};
use crate::part::Part as _;
use crate::redact::{Kind, label::Finding, scan::Hit, secrets, vocabulary::Meaning};

/// Words before a plain `key` that make it harmless.
const HARMLESS_KEYS: [&[u8]; 7] = [
    b"public ",
    b"cache ",
    b"primary ",
    b"foreign ",
    b"sort ",
    b"partition ",
    b"object ",
];

/// Returns true if letters and digits alternate, as in `93kd02ksl20d`; in words and versions they
/// do not.
fn is_interleaved(bytes: &[u8]) -> bool {
    let turns = bytes
        .windows(2)
        .filter(|w| matches!(w, [a, b] if a.is_ascii_digit() != b.is_ascii_digit()))
        .count();
    (10..=128).contains(&bytes.len())
        && turns >= 4
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && !is_uuid(bytes)
}

/// Detects a secret by its format, from the literal prefix at `at`.
pub(super) fn format(context: &Context<'_>, findings: &mut Findings<'_>, at: usize, group: u16) {
    if secrets::Prefixes::is_data_url(group) {
        encoded(context, findings, at);
        return;
    }
    let Some((end, format)) = context.tables.prefixes.matches(context.bytes(), at, group) else {
        return;
    };
    let rule = format.rule;
    if is_filler(context.slice(at, end)) {
        return;
    }
    let kind = match rule {
        "jwt" => Kind::Jwt,
        "age_secret_key" => Kind::PrivateKey,
        _ => Kind::Secret,
    };
    findings.add(at, end, kind, rule, 96);
    findings.numbers_from = end;
}

/// Detects values in the base64 text of a `data:` URL at `at`. The whole text becomes one finding,
/// of the kind with the highest confidence.
fn encoded(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    let Some((head, _)) = secrets::data_url(context.slice(at, context.text.len())) else {
        return;
    };
    let start = at + head;
    let end = start + secrets::base64_length(context.slice(start, context.text.len()));
    let Some((_, text)) = secrets::encoded_text(context.part(at, end)) else {
        return;
    };
    findings.numbers_from = end;
    let inside = (context.find)(&text);
    if let Some(inside) = inside.into_iter().max_by_key(|f| f.confidence) {
        findings.push(Finding {
            start,
            end,
            confidence: 97,
            ..inside
        });
    }
}

/// Detects a known format, or a wallet's address, in a long run of letters and digits.
pub(super) fn opaque(context: &Context<'_>, findings: &mut Findings<'_>, start: usize, end: usize) {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b"_-+/=.~:|@");
    let left = context
        .slice(start.saturating_sub(200), start)
        .iter()
        .rev()
        .take_while(|b| is_token(b))
        .count();
    let right = context
        .slice(end, end + 300)
        .iter()
        .take_while(|b| is_token(b))
        .count();
    let mut first = start - left;
    let last = end + right;
    // A key before `=` is not part of the value.
    if let Some(i) = context
        .slice(first, start)
        .iter()
        .rposition(|b| one_of(*b, b"="))
    {
        first += i + 1;
    }
    // The value may be in a path or among a URL's credentials, or have a format that contains their
    // separators.
    let parts = |sign: &[u8]| {
        let from = context
            .slice(first, start)
            .iter()
            .rposition(|b| sign.contains(b))
            .map_or(first, |i| first + i + 1);
        let to = context
            .slice(end, last)
            .iter()
            .position(|b| sign.contains(b))
            .map_or(last, |i| end + i);
        (from, to)
    };
    for (from, to) in [(first, last), parts(b"/@"), parts(b"/@:|")] {
        if let Some(format) = context.tables.prefixes.holds(context.slice(from, to)) {
            findings.add(from, to, Kind::Secret, format.rule, 92);
            break;
        }
    }
    let token = context.slice(start, end);
    if token.len() == 42
        && token.starts_with(b"0x")
        && token.iter().skip(2).all(u8::is_ascii_hexdigit)
    {
        findings.add(start, end, Kind::CryptoAddress, "ethereum", 88);
    } else if (14..=90).contains(&token.len()) && is_bech32(token) {
        findings.add(start, end, Kind::CryptoAddress, "bech32", 95);
    }
}

/// Detects `-----BEGIN … PRIVATE KEY-----` with its body and its end (RFC 7468).
pub(super) fn key_block(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let from = hit.start.saturating_sub(48);
    let Some(begin) = memchr::memmem::rfind(context.slice(from, hit.start), b"-----BEGIN") else {
        return;
    };
    let start = from + begin;
    // The END line of a short key contains the same words.
    if memchr::memmem::find(context.slice(start, hit.start), b"-----END").is_some() {
        return;
    }
    let rest = context.slice(hit.end, hit.end + secrets::LONGEST);
    let body = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b"+/=\n\r \t-:,\\\"'>|");
    let length = match memchr::memmem::find(rest, b"-----END") {
        Some(end) => {
            let after = rest.part(end + 8..);
            end + 8
                + memchr::memmem::find(after.part(..after.len().min(64)), b"-----")
                    .map_or(0, |e| e + 5)
        }
        None => rest.iter().take_while(|b| body(b)).count(),
    };
    findings.add(start, hit.end + length, Kind::PrivateKey, "private_key", 99);
}

/// Detects a secret after a word that names secrets.
pub(super) fn credential(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    hit: Hit,
    meaning: Meaning,
) {
    if meaning.intersects(Meaning::AUTHORIZATION) {
        authorization(context, findings, hit);
    }
    let word = context.slice(hit.start, hit.end);
    // A signature in a URL grants access; elsewhere it only proves authenticity.
    if word == b"sig" && !one_of(context.byte_before(hit.start), b"?&;") {
        return;
    }
    if word.eq_ignore_ascii_case(b"cookie") {
        cookies::cookies(context, findings, hit);
    }
    if word.eq_ignore_ascii_case(b"mnemonic") || word.to_ascii_lowercase().ends_with(b" phrase") {
        recovery_words(context, findings, hit);
    }
    if meaning.intersects(Meaning::PASSWORD) {
        login(context, findings, hit.end);
    }
    let name_start = hit.start
        - context
            .slice(hit.start.saturating_sub(40), hit.start)
            .iter()
            .rev()
            .take_while(|b| b.is_ascii_alphanumeric() || one_of(**b, b"_-."))
            .count();
    // A user and a password follow these words.
    let phrase = context.part(hit.start, hit.end).to_lowercase();
    let is_pair = ["login", "account", "in with", "login with", "data"]
        .iter()
        .any(|end| phrase.ends_with(end));
    for attempt in if is_pair { 1..2 } else { 0..4 } {
        let value = match attempt {
            0 => assignments::value_behind(context, hit.end, meaning),
            1 => assignments::second_of_pair(context, hit.end),
            2 => assignments::value_in_sentence(context, hit.end),
            _ => meaning
                .intersects(Meaning::PASSWORD)
                .then(|| assignments::value_before(context, hit.start))
                .flatten(),
        };
        if let Some(value) = value
            && let Some((kind, rule, confidence)) =
                judge_credential(context, hit, meaning, name_start, value)
        {
            findings.add(value.start, value.end, kind, rule, confidence);
            return;
        }
    }
}

/// Returns the kind, rule and confidence of a value after its name, if it is a secret.
fn judge_credential(
    context: &Context<'_>,
    hit: Hit,
    meaning: Meaning,
    name_start: usize,
    value: Value,
) -> Option<(Kind, &'static str, u8)> {
    let bytes = context.slice(value.start, value.end);
    // The value may stand before its name.
    let name_end = value.start.max(hit.end);
    let name = context.slice(name_start, name_end).to_ascii_lowercase();
    let names = |words: &[&str]| {
        words
            .iter()
            .any(|w| memchr::memmem::find(&name, w.as_bytes()).is_some())
    };
    let word = context.slice(hit.start, hit.end).to_ascii_lowercase();
    let is_key = word == b"key";
    let is_called = !value.is_quoted && matches!(context.byte(value.end), b'(' | b'[' | b'<');
    if is_reference(bytes, value.is_quoted)
        || is_filler(bytes)
        || is_called
        || context
            .tables
            .harmless
            .as_ref()
            .is_some_and(|h| h.is_match(&name))
        || is_key
            && HARMLESS_KEYS.iter().any(|w| {
                context
                    .slice(name_start.saturating_sub(12), name_start)
                    .to_ascii_lowercase()
                    .ends_with(w)
            })
        || bytes.starts_with(b"0x") && bytes.len() <= 18
        || !value.is_quoted
            && context.byte(value.end) != b'_'
            && super::is_word_byte(context.byte(value.end))
    {
        return None;
    }
    let shape = Shape::of(bytes);
    let is_mixed = shape.is_mixed() && shape.digits > 0;
    // `"password": "Passwort"`, `"Password is required"`: a form's text about a password.
    let is_text = shape.digits == 0
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphabetic() || *b >= 0x80 || one_of(*b, b" ?!.,':"));
    let speaks = || {
        context
            .hits_in(value.start, value.end)
            .any(|h| h.end <= value.end && h.meaning().intersects(Meaning::PASSWORD))
    };
    // `name: 'password', label: 'Password'`: the next member.
    let is_member = !value.is_quoted && context.byte(value.end) == b':' && is_text;
    // `["username", "password", "email2"]` is a list of names; `IS_PASSWORD: Scope = 31` is a
    // constant in code.
    let between = context.part(hit.end, value.start.max(hit.end));
    let before = context
        .part(context.ceiling(name_start.saturating_sub(8)), name_start)
        .trim_end_matches(['"', '\'', ' ', '\n']);
    let is_list = between.contains(',') && !between.contains([':', '=']) && before.ends_with(',');
    let is_constant = between.contains(':')
        && between.contains('=')
        && bytes.first().is_some_and(u8::is_ascii_digit)
        && !value.is_quoted;
    let is_said = word == b"identified by" && !value.is_quoted;
    if is_list
        || is_constant
        || is_said
        || is_member
        || is_text && meaning.intersects(Meaning::PASSWORD) && speaks()
        || !value.is_quoted
            && memchr::memchr(b'=', bytes)
                .is_some_and(|at| matches!(bytes.get(at + 1), Some(b'"' | b'\'' | b'\\')))
    {
        return None;
    }
    if word == b"pin"
        && !((4..=8).contains(&bytes.len()) && shape.digits == bytes.len()
            || is_mixed && shape.signs > 0)
        || word == b"pass" && value.joint == Joint::Given && !shape.is_password(bytes)
    {
        return None;
    }
    if meaning.intersects(Meaning::PASSWORD) {
        let plausible = match value.joint {
            _ if bytes.len() > 128 => false,
            Joint::Assigned if value.is_quoted => bytes.len() >= 4,
            Joint::Assigned => {
                bytes.len() >= 4
                    && (shape.digits > 0
                        || shape.signs > 0
                        || shape.capitals > 0 && shape.small > 0 && !shape.is_capitalised
                        || is_env(context, name_start))
            }
            Joint::Said => {
                bytes.len() >= 4 && (shape.digits > 0 || value.is_quoted)
                    || shape.is_password(bytes)
            }
            // `passcode 482934`, `PIN 4821`.
            Joint::Given
                if word == b"passcode" || context.slice(hit.start, hit.end).starts_with(b"PIN") =>
            {
                (4..=8).contains(&bytes.len()) && shape.digits == bytes.len()
            }
            Joint::Given => {
                bytes.len() >= 6 && (shape.digits > 0 && shape.small + shape.capitals > 0)
                    || shape.is_password(bytes)
            }
            Joint::Told if word == b"pin" => true,
            Joint::Told => shape.is_password(bytes),
        };
        let confidence = if matches!(value.joint, Joint::Given | Joint::Told) {
            62
        } else {
            84
        };
        return plausible.then_some((Kind::Password, "password", confidence));
    }
    if names(&[
        "sha1",
        "sha2",
        "sha3",
        "sha5",
        "sha_",
        "sha-",
        "_sha",
        "-sha",
        "md5",
        "checksum",
        "digest",
        "integrity",
        "commit",
        "etag",
    ]) || shape.spaces > 0
    {
        return None;
    }
    let is_uuid = is_uuid(bytes);
    let entropy = entropy(bytes);
    let strong = bytes.len() >= 16 && entropy >= 2.8 && shape.digits > 0
        || bytes.len() >= 20 && entropy >= 3.5 && shape.is_mixed()
        || bytes.len() >= 32
            && entropy >= 3.2
            && shape.words == 0
            && (shape.digits > 0 || shape.is_mixed());
    let middling = bytes.len() >= 12 && is_mixed && shape.words == 0 && shape.signs == 0;
    let fair = bytes.len() >= 8
        && (shape.digits > 0 && shape.small + shape.capitals > 0
            || shape.signs > 0 && value.is_quoted);
    let is_opaque = bytes.len() >= 16 && shape.signs >= 4 && entropy >= 3.5;
    if !meaning.intersects(Meaning::SECRET) {
        let confidence = match value.joint {
            Joint::Assigned if strong && !is_uuid && shape.words < 2 => 70,
            Joint::Given
                if strong
                    && bytes.len() >= 20
                    && !is_uuid
                    && (shape.is_hex || shape.is_mixed()) =>
            {
                58
            }
            _ => return None,
        };
        return Some((Kind::Secret, "secret_by_service", confidence));
    }
    if is_uuid && is_key {
        return None;
    }
    // `joe:hunter2` after `credentials`, and a secret setting whose value consists only of letters.
    let is_pair = names(&["cred"])
        && bytes.iter().position(|b| *b == b':').is_some_and(|at| {
            at > 1 && Shape::of(bytes.part(at + 1..)).is_password(bytes.part(at + 1..))
        });
    let is_wordy = is_secret_setting(context.slice(name_start, name_end))
        && bytes.len() >= 12
        && shape.small + shape.capitals == bytes.len();
    let confidence = match value.joint {
        Joint::Assigned if is_pair => 78,
        Joint::Assigned if is_wordy => 66,
        Joint::Assigned if strong => 86,
        Joint::Assigned if fair && !is_key && value.is_quoted => 75,
        Joint::Assigned
            if fair && !is_key && (is_env(context, name_start) || names(&["_auth"])) =>
        {
            72
        }
        Joint::Assigned if middling || !is_key && is_interleaved(bytes) => 66,
        Joint::Given if value.is_quoted && is_opaque => 66,
        Joint::Said | Joint::Given if strong => 72,
        Joint::Told if strong && shape.words < 2 => 60,
        Joint::Said | Joint::Given if middling => 58,
        _ => return None,
    };
    Some((Kind::Secret, "secret_by_name", confidence))
}

/// Returns true if a name may be that of a setting: `NAME=`, `export NAME=`.
fn is_env(context: &Context<'_>, name_start: usize) -> bool {
    name_start == 0
        || context.byte(name_start).is_ascii_uppercase()
        || matches!(context.byte_before(name_start), b'\n' | b'"' | b'\'')
}

/// `Authorization: Basic …`, `Bearer …` (RFC 7617, RFC 6750).
fn authorization(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let word = context.slice(hit.start, hit.end).to_ascii_lowercase();
    let rule = match word.as_slice() {
        b"basic" => "basic_auth",
        b"bearer" => "bearer_token",
        _ => return,
    };
    if context.byte(hit.end) != b' ' {
        return;
    }
    let start = hit.end + 1;
    let token = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b"-._~+/=");
    let end = start
        + context
            .slice(start, start + secrets::LONGEST)
            .iter()
            .take_while(|b| token(b))
            .count();
    let shape = Shape::of(context.slice(start, end));
    if end - start >= 12
        && (shape.is_mixed() || shape.digits > 2)
        && !is_reference(context.slice(start, end), false)
        && !is_filler(context.slice(start, end))
    {
        findings.add(start, end, Kind::Secret, rule, 88);
    }
}

/// Detects the recovery words of a wallet (BIP 39) after their name: twelve to twenty-four words of
/// three to eight lowercase letters.
fn recovery_words(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let signs = context
        .slice(hit.end, hit.end + 8)
        .iter()
        .take_while(|b| one_of(**b, b" :=\"'`is\n"))
        .count();
    let start = hit.end + signs;
    let (mut at, mut words) = (start, 0);
    loop {
        let length = context
            .slice(at, at + 9)
            .iter()
            .take_while(|b| b.is_ascii_lowercase())
            .count();
        if !(3..=8).contains(&length) || words == 24 {
            break;
        }
        words += 1;
        at += length;
        if context.byte(at) != b' ' {
            break;
        }
        at += 1;
    }
    let end = at - usize::from(context.byte_before(at) == b' ');
    if words >= 12 && words % 3 == 0 {
        findings.add(start, end, Kind::Secret, "recovery_words", 90);
    }
}

/// Detects the user in a log line about a login: `user jane.doe logged in`,
/// `Failed password for root from 10.0.0.1`.
fn login(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    const VERBS: [&str; 7] = [
        "logged ",
        "signed ",
        "authenticated",
        "connected ",
        "disconnected",
        "failed to ",
        "from ",
    ];
    let rest = context.part(at, context.floor(at + 96));
    let behind = rest
        .strip_prefix(" for invalid user")
        .or(rest.strip_prefix(" for"))
        .unwrap_or(rest);
    let Some(text) = behind.strip_prefix(' ') else {
        return;
    };
    let quote = text.starts_with(['\'', '"', '`']);
    let name = text.part(usize::from(quote)..);
    let length = name
        .find(|c: char| !(c.is_alphanumeric() || "._-@\\".contains(c)))
        .unwrap_or(name.len());
    let (name, next) = name.split_at_checked(length).unwrap_or_default();
    let next = next.trim_start_matches(['\'', '"', '`', ' ']);
    let next = next.strip_prefix("successfully ").unwrap_or(next);
    let Some(verb) = VERBS.iter().find(|v| next.starts_with(**v)) else {
        return;
    };
    let is_host = *verb == "from "
        && next
            .get(5..)
            .is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
    let is_marked = quote
        || rest.len() != behind.len() && is_host
        || name.contains(['.', '_', '-', '\\'])
        || name.contains(|c: char| c.is_ascii_digit());
    if (3..=40).contains(&name.len())
        && is_marked
        && (is_host || *verb != "from ")
        && !name.ends_with('.')
    {
        let start = at + rest.len() - text.len() + usize::from(quote);
        findings.add(start, start + name.len(), Kind::Username, "login", 66);
    }
}

/// Returns true if the value is a chat message or a form's label: `User: how do I …`,
/// `Login: please sign in`, `"username": "Benutzername"`.
fn is_said_by_user(context: &Context<'_>, hit: Hit, value: Value) -> bool {
    const LABELS: [&str; 22] = [
        "anmelden",
        "sign",
        "login",
        "connexion",
        "entrar",
        "acceder",
        "accedi",
        "inloggen",
        "zaloguj",
        "hi",
        "hey",
        "hello",
        "hallo",
        "hola",
        "bonjour",
        "ciao",
        "thanks",
        "thank",
        "please",
        "yes",
        "okay",
        "no",
    ];
    let text = context.part(value.start, value.end).to_lowercase();
    let is_label = context
        .hits_in(value.start, value.start + 1)
        .any(|h| h.end == value.end && h.meaning().intersects(Meaning::USERNAME));
    let behind = context.part(value.end, context.floor(value.end + 24));
    let rest = behind.trim_start_matches(['.', '!', '?', ',']);
    // Another word follows: it is a sentence, unless that is the name of another field.
    let goes_on = rest.starts_with(' ')
        && rest.trim_start().starts_with(char::is_alphabetic)
        && !rest
            .trim_start()
            .split([' ', '\n'])
            .next()
            .is_some_and(|w| w.ends_with([':', '=']));
    let is_colon = context.slice(hit.end, value.start).contains(&b':');
    is_label || LABELS.contains(&text.as_str()) || !value.is_quoted && is_colon && goes_on
}

/// Detects the value after a word for a user name.
pub(super) fn username(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let Some(value) = assignments::value_behind(context, hit.end, Meaning::USERNAME) else {
        login(context, findings, hit.end);
        return;
    };
    let bytes = context.slice(value.start, value.end);
    let text = context.part(value.start, value.end);
    let shape = Shape::of(bytes);
    let is_name = (3..=40).contains(&bytes.len())
        && shape.spaces == 0
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "._-@+".contains(c))
        && shape.small > 0;
    let is_address = text.bytes().skip(1).any(|b| b == b'@');
    // `UserDict`, `isPseudo`, `user_agent()` are names of something else.
    let rest = context
        .slice(hit.end, hit.end + 12)
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    let rest = context.slice(hit.end, hit.end + rest).to_ascii_lowercase();
    let is_whole = rest.len() < 2 || rest.ends_with(b"name") || rest.ends_with(b"id");
    let is_called = matches!(context.byte(value.end), b'(')
        || context.byte_before(value.start) == b'(' && !value.is_quoted;
    let is_asked = context
        .slice(hit.start.saturating_sub(2), hit.start)
        .eq_ignore_ascii_case(b"is");
    // `handle: RawHandle`, `#[doc(alias = "fseek")]`, `js_class = "X", js_name = …`.
    let is_type = shape.is_capitalised
        && text.bytes().skip(1).any(|b| b.is_ascii_uppercase())
        && shape.digits == 0
        && !value.is_quoted;
    let is_attribute = context
        .slice(hit.start.saturating_sub(5), hit.start)
        .ends_with(b"doc(")
        || context.part(value.end, context.floor(value.end + 3)) == " = ";
    if !is_name
        || is_address
        || !is_whole
        || is_called
        || is_asked
        || is_type
        || is_attribute
        || is_reference(bytes, value.is_quoted)
    {
        return;
    }
    let marked = shape.digits > 0 || text.contains(['_', '.', '-']) || text.starts_with('@');
    if !marked && is_said_by_user(context, hit, value)
        || text.chars().count() < 2
        || context.byte_before(value.start) == b'<'
    {
        return;
    }
    let confidence = match value.joint {
        Joint::Assigned if marked => 82,
        Joint::Assigned if value.is_quoted => 66,
        Joint::Assigned
            if !shape.is_capitalised
                && !context
                    .slice(hit.start, hit.end)
                    .eq_ignore_ascii_case(b"alias") =>
        {
            60
        }
        Joint::Said if marked => 78,
        Joint::Said
            if shape.capitals == 0
                && context.slice(hit.start, hit.end).len() >= 5
                && bytes.len() >= 5
                && context.part(value.start, value.end).is_ascii() =>
        {
            62
        }
        Joint::Given if shape.digits > 0 && shape.capitals == 0 => 62,
        _ => return,
    };
    findings.add(
        value.start,
        value.end,
        Kind::Username,
        "username",
        confidence,
    );
}

/// Returns true for `JWT_SECRET=…` without spaces around the sign, as in a shell or a `.env` file.
fn is_secret_setting(name: &[u8]) -> bool {
    let Some(name) = name.strip_suffix(b"=") else {
        return false;
    };
    let is_upper = name
        .iter()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
    is_upper
        && [
            &b"_SECRET"[..],
            b"SECRET_KEY",
            b"_TOKEN",
            b"API_KEY",
            b"ACCESS_KEY",
        ]
        .iter()
        .any(|end| name.ends_with(end))
}
