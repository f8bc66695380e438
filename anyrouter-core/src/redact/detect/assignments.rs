//! Values assigned to names: `name = value`, `name: value`, `the name is value`, in code, settings,
//! documents and sentences.

use super::{ByteSet, context::Context, one_of};
use crate::redact::vocabulary::Meaning;

/// Maximum distance between a key and its value, in bytes.
const GAP: usize = 48;
/// Maximum length of a value, in bytes.
const LONGEST: usize = 4096;
/// Maximum length of an unquoted value, in bytes.
const UNQUOTED: usize = 512;

/// Bytes that end an unquoted value.
const STOPS: ByteSet = ByteSet::of(b" \t\n\r\x0c\\\"'`,;<>()[]{}|");
const ASSIGNED_STOPS: ByteSet = ByteSet::of(b" \t\n\r\x0c\\\"'`,;<>()[]{}|&");
const TEMPLATE_STOPS: ByteSet = ByteSet::of(b" \t\n\r\x0c\\\"'`");

/// The connection between a key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    /// `=`, `:`, `=>`, or as the content of an element.
    Assigned,
    /// ` is `, as in prose.
    Said,
    /// A space, as before an option's argument.
    Given,
    /// Later in the sentence, or before the name.
    Told,
}

/// A value behind its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_quoted: bool,
    pub(super) joint: Joint,
}

/// Returns the value assigned to the name that ends at `at`.
pub(super) fn value_behind(context: &Context<'_>, at: usize, meaning: Meaning) -> Option<Value> {
    let bytes = context.bytes();
    let limit = at + GAP;
    let mut at = at;
    // The rest of the name.
    let is_wide = bytes.get(at.wrapping_sub(1)).is_some_and(|b| *b >= 0x80);
    let tail = if is_wide { 0 } else { 32 };
    let tail = context
        .slice(at, at + tail)
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || one_of(**b, b"_-."))
        .count();
    at += tail;
    let mut joint = None;
    // Skips a closing quote or bracket, spaces, the sign and filler words.
    while at < limit {
        let rest = context.slice(at, at + 16);
        if joint.is_none()
            && let Some(length) = value_member(context.slice(at, at + 40))
        {
            joint = Some(Joint::Assigned);
            at += length;
            continue;
        }
        match rest {
            [b'[', b']', ..] if joint.is_none() => at += 2,
            [b'o', b'r', b' ', ..] if joint.is_none() && context.byte_before(at - 1) == b')' => {
                joint = Some(Joint::Assigned);
                at += 3;
            }
            [b'"' | b'\'' | b'`' | b']' | b')' | b'}' | b'*', ..] if joint.is_none() => at += 1,
            [b' ' | b'\t', ..] => {
                at += 1;
            }
            [b'=' | b'-', b'>', ..]
            | [b':', b'=', ..]
            | [b'|', b'|', ..]
            | [b'?', b'?' | b':', ..] => {
                joint = Some(Joint::Assigned);
                at += 2;
            }
            [b'=' | b'!', b'=', ..] => {
                joint = Some(Joint::Assigned);
                at += 2 + usize::from(rest.get(2) == Some(&b'='));
            }
            [b'=' | b':' | b',' | b'|', ..] if joint.is_none() || rest.first() == Some(&b'=') => {
                if rest.first() == Some(&b',')
                    && !matches!(bytes.get(at.wrapping_sub(1)), Some(b'"' | b'\''))
                {
                    break;
                }
                joint = Some(Joint::Assigned);
                at += 1;
                if rest.first() == Some(&b':') {
                    at += declared_type(context.slice(at, at + 40));
                }
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
                    if context.slice(at, at + filler.len()) == filler {
                        at += filler.len();
                    }
                }
            }
            _ if ["：", "는", "은"]
                .iter()
                .any(|s| rest.starts_with(s.as_bytes())) =>
            {
                joint = Some(Joint::Assigned);
                at += 3;
            }
            _ if rest.starts_with("是".as_bytes())
                || rest.starts_with("は".as_bytes())
                || rest.starts_with("คือ".as_bytes()) =>
            {
                joint = Some(Joint::Assigned);
                at += if rest.starts_with("คือ".as_bytes()) {
                    9
                } else {
                    3
                };
            }
            _ => {
                let said = [
                    "ist ", "est ", "es ", "è ", "é ", "jest ", "was ", "to ", "as ", "of ",
                    "este ", "on ",
                ];
                match said
                    .iter()
                    .find(|w| joint.is_none() && rest.starts_with(w.as_bytes()))
                {
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
    if joint == Some(Joint::Assigned)
        && let Some(indent) = block_scalar(context.slice(at, at + 40))
    {
        let start = at + indent;
        let length = context
            .slice(start, start + UNQUOTED)
            .iter()
            .take_while(|b| !matches!(b, b'\r' | b'\n'))
            .count();
        let end = start + length;
        return (length > 0 && context.text.is_char_boundary(end)).then_some(Value {
            start,
            end,
            is_quoted: true,
            joint: Joint::Assigned,
        });
    }
    let joint = match joint {
        Some(joint) => joint,
        None if bytes.get(at.wrapping_sub(1)).is_some_and(|b| *b >= 0x80) => Joint::Assigned,
        None if matches!(bytes.get(at.wrapping_sub(1)), Some(b' ' | b'"' | b'\''))
            && meaning.intersects(
                Meaning::PASSWORD
                    .union(Meaning::SECRET)
                    .union(Meaning::SERVICE),
            ) =>
        {
            Joint::Given
        }
        None => return None,
    };
    // A prefix of a string literal, and its quote.
    let mut start = at;
    if let [
        b'b' | b'r' | b'u' | b'f' | b'L' | b'@' | b'$',
        b'"' | b'\'',
        ..,
    ] = context.slice(start, start + 2)
    {
        start += 1;
    }
    let quote = context.byte(start);
    let is_quoted = matches!(quote, b'"' | b'\'' | b'`');
    if is_quoted {
        start += 1;
        if context.slice(start, start + 2) == [quote, quote] {
            start += 2;
        }
        let rest = context.slice(start, start + LONGEST);
        let mut length = 0;
        while let Some(byte) = rest.get(length) {
            if *byte == quote || *byte == b'\n' {
                break;
            }
            length += if *byte == b'\\' { 2 } else { 1 };
        }
        let end = (start + length.min(rest.len())).min(context.text.len());
        // A quoted string before a colon is the name of another member.
        if context.byte(end) == quote && context.byte(end + 1) == b':' {
            return None;
        }
        return (end > start && context.text.is_char_boundary(end)).then_some(Value {
            start,
            end,
            is_quoted,
            joint,
        });
    }
    // A value that begins with `{{` is not always a template.
    let stops = if context.slice(start, start + 2) == b"{{" {
        &TEMPLATE_STOPS
    } else if joint == Joint::Assigned {
        &ASSIGNED_STOPS
    } else {
        &STOPS
    };
    // A quote between letters does not end a value: `hunter2"x`.
    let goes_on = |(i, byte): (usize, &u8)| match byte {
        _ if !stops.has(*byte) => true,
        b'"' | b'\'' | b'`' => i > 0 && context.byte(start + i + 1).is_ascii_alphanumeric(),
        b'&' => i > 0 && !is_parameter(context, start + i + 1),
        _ => false,
    };
    let mut end = start
        + context
            .slice(start, start + UNQUOTED)
            .iter()
            .enumerate()
            .take_while(|step| goes_on(*step))
            .count();
    while end > start && one_of(context.byte_before(end), b".:?") {
        end -= 1;
    }
    // Mail providers issue passwords of four groups of four letters.
    let group = |at: usize| {
        context.slice(at, at + 4).len() == 4
            && context.slice(at, at + 4).iter().all(u8::is_ascii_lowercase)
    };
    let is_grouped = (0..4)
        .all(|i| group(start + 5 * i) && (i == 3 || context.byte(start + 5 * i + 4) == b' '))
        && !context.byte(start + 19).is_ascii_alphanumeric();
    if meaning.intersects(Meaning::PASSWORD) && is_grouped {
        end = start + 19;
    }
    (end > start && context.text.is_char_boundary(end)).then_some(Value {
        start,
        end,
        is_quoted,
        joint,
    })
}

/// Returns true if a separator or a parameter, `name=`, stands at `at`.
fn is_parameter(context: &Context<'_>, at: usize) -> bool {
    let length = context
        .slice(at, at + 32)
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || one_of(**b, b"_-.[]"))
        .count();
    length > 0 && context.byte(at + length) == b'=' || matches!(context.byte(at), b' ' | b'&')
}

/// Returns the value in a sentence about a name that ends at `at`:
/// `the password for the new box is …`, `das Passwort lautet …`.
pub(super) fn value_in_sentence(context: &Context<'_>, at: usize) -> Option<Value> {
    let line = context.part(at, context.floor(at + 80));
    let line = line
        .lines()
        .next()
        .filter(|l| l.starts_with(' ') || l.starts_with(", "))?;
    let joints = [
        " is now ", " is ", " was ", " war ", " era ", " était ", ": ", " = ", " lautet ", " ist ",
        " est ", " es ", " è ", " é ", " to ",
    ];
    let (found, joint) = joints
        .iter()
        .filter_map(|j| Some((line.find(j)?, *j)))
        .min_by_key(|(i, j)| (*i, usize::MAX - j.len()))?;
    let words = line.get(..found)?;
    if words.split(' ').count() > 9
        || !words
            .chars()
            .all(|c| c.is_alphabetic() || " ,'-".contains(c))
    {
        return None;
    }
    told(context, at + found + joint.len())
}

/// Returns the password in `admin / …` after a name that ends at `at`: `credentials:`, `ID/PW:`.
pub(super) fn second_of_pair(context: &Context<'_>, at: usize) -> Option<Value> {
    let line = context.part(at, context.floor(at + 64)).lines().next()?;
    let rest = line.trim_start_matches([' ', ':', '=', '-', '(']);
    let rest = rest
        .strip_prefix("are ")
        .or(rest.strip_prefix("is "))
        .unwrap_or(rest);
    let user = rest
        .find(|c: char| !(c.is_alphanumeric() || "._-@".contains(c)))
        .filter(|n| *n > 1)?;
    let gap = rest.get(user..)?;
    let signs = gap.len() - gap.trim_start_matches([' ', '/', ',', '(', ':']).len();
    let and = [" and ", " und ", " et ", " y ", " e ", " en "]
        .iter()
        .find(|and| gap.starts_with(**and));
    let signs = and.map_or(signs, |and| and.len());
    if and.is_none() && !gap.get(..signs)?.contains(['/', '(', ',', ':'])
        || line.len() == rest.len()
    {
        return None;
    }
    told(context, at + line.len() - rest.len() + user + signs)
}

/// Returns the value before a name that begins at `at`: `… as the password`.
pub(super) fn value_before(context: &Context<'_>, at: usize) -> Option<Value> {
    let head = context.part(context.ceiling(at.saturating_sub(100)), at);
    let before = [
        " as the ",
        " as my ",
        " as your ",
        " as ",
        " is the ",
        " is my ",
    ]
    .iter()
    .find_map(|j| head.strip_suffix(j))?;
    let start = before
        .rfind([' ', '\n', '"', '`', '\''])
        .map_or(0, |i| i + 1);
    let end = at - head.len() + before.len();
    Some(Value {
        start: at - head.len() + start,
        end,
        is_quoted: false,
        joint: Joint::Told,
    })
}

fn told(context: &Context<'_>, at: usize) -> Option<Value> {
    let is_quoted = matches!(context.byte(at), b'"' | b'\'' | b'`');
    let start = at + usize::from(is_quoted);
    let token = context
        .slice(start, start + 128)
        .iter()
        .take_while(|b| !b.is_ascii_whitespace() && !one_of(**b, b"\"'`<>()"))
        .count();
    let mut end = start + token;
    while end > start && one_of(context.byte_before(end), b".,;:?") {
        end -= 1;
    }
    (end > start).then_some(Value {
        start,
        end,
        is_quoted,
        joint: Joint::Told,
    })
}

/// Returns the length of the text that introduces a value in a separate member: `", "value": `,
/// `\n  value: `, ` value=`.
fn value_member(rest: &[u8]) -> Option<usize> {
    let gap = rest
        .iter()
        .take_while(|b| b.is_ascii_whitespace() || one_of(**b, b"\"',"))
        .count();
    let name = rest.get(gap..)?;
    if gap == 0 || !name.get(..5)?.eq_ignore_ascii_case(b"value") {
        return None;
    }
    let behind = name.get(5..)?;
    let signs = behind.iter().take_while(|b| one_of(**b, b"\"' :=")).count();
    let sign = behind
        .get(..signs)?
        .iter()
        .position(|b| one_of(*b, b":="))?;
    Some(gap + 5 + sign + 1)
}

/// Returns the offset of the text in the next line, after `|` or `>` at the end of a line of YAML
/// (YAML 1.2.2, 8.1).
fn block_scalar(rest: &[u8]) -> Option<usize> {
    let head = 1 + rest
        .iter()
        .skip(1)
        .take_while(|b| b.is_ascii_digit() || one_of(**b, b"+- "))
        .count();
    let line = head + usize::from(rest.get(head) == Some(&b'\r'));
    if !matches!(rest.first(), Some(b'|' | b'>')) || rest.get(line) != Some(&b'\n') {
        return None;
    }
    let blanks = rest
        .get(line + 1..)?
        .iter()
        .take_while(|b| **b == b' ')
        .count();
    (blanks > 0).then_some(line + 1 + blanks)
}

/// Returns the length of a type and a sign, as ` &str =`, after a name and a colon.
fn declared_type(rest: &[u8]) -> usize {
    let is_type = |b: &u8| b.is_ascii_alphanumeric() || one_of(*b, b" _<>&'[]|?.");
    let length = rest.iter().take_while(|b| is_type(b)).count();
    if length > 2
        && rest.get(length - 1) == Some(&b' ')
        && rest.get(length) == Some(&b'=')
        && rest.get(length + 1) != Some(&b'=')
    {
        length + 1
    } else {
        0
    }
}
