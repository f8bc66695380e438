//! A scanner over JSON text that checks all of it and copies none (RFC 8259): where the members of
//! an object begin and end, and how much text there is in them. Depth is bounded; the text must be
//! UTF-8 (checked by who calls).

mod block;
mod scanner;

use std::{borrow::Cow, ops::Range};

use serde::Deserialize;
use smallvec::SmallVec;

pub use self::scanner::{Scanner, Volume};

/// Where and why text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonFault {
    /// What is wrong.
    pub what: &'static str,
    /// The byte at which it was seen.
    pub at: usize,
}

/// A member of an object, as ranges of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name with its quotes.
    pub name: Range<usize>,
    /// The value.
    pub value: Range<usize>,
    /// The name is spelt with escapes.
    is_escaped: bool,
}

impl Member {
    /// A member of the object in `text`.
    pub fn new(text: &[u8], name: Range<usize>, value: Range<usize>) -> Self {
        let is_escaped = text
            .get(name.clone())
            .is_some_and(|name| name.contains(&b'\\'));
        Self {
            name,
            value,
            is_escaped,
        }
    }

    /// The name's text between its quotes, as it is spelt.
    pub fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.name.start + 1..self.name.end - 1)
            .unwrap_or_default()
    }

    /// The value's text.
    pub fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.value.clone()).unwrap_or_default()
    }

    /// Whether the name means `name`, escapes resolved.
    pub fn is(&self, text: &[u8], name: &str) -> bool {
        self.name(text) == name.as_bytes()
            || (self.is_escaped && self.decoded_name(text).as_deref() == Some(name))
    }

    /// The name, escapes resolved.
    pub fn decoded_name(&self, text: &[u8]) -> Option<String> {
        serde_json::from_slice(text.get(self.name.clone())?).ok()
    }
}

/// The members of the object that `text` is.
pub fn members(text: &[u8], depth: usize) -> Result<Vec<Member>, JsonFault> {
    let mut out = Vec::with_capacity(16);
    let mut scanner = Scanner::new(text, depth);
    scanner.object(|s, name| {
        let value = s.value()?;
        out.push(Member::new(text, name.clone(), value));
        Ok(())
    })?;
    scanner.end()?;
    Ok(out)
}

/// An object, as the ranges of its members.
#[derive(Debug)]
pub struct Object<'a> {
    text: &'a [u8],
    /// From its brace to its brace.
    place: Range<usize>,
    members: SmallVec<[Member; 4]>,
}

impl<'a> Object<'a> {
    /// The value of a member, as it is spelt; none where it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let member = self.members.iter().find(|m| m.is(self.text, name))?;
        Some(member.value(self.text)).filter(|v| *v != b"null")
    }

    /// The object as it is spelt.
    pub fn raw(&self) -> &'a [u8] {
        self.text.get(self.place.clone()).unwrap_or_default()
    }

    /// Its members in order: the name, and name with its quotes and value as they are spelt.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'a, str>, (&'a [u8], &'a [u8]))> {
        self.members.iter().map(|m| {
            let quoted = self.text.get(m.name.clone()).unwrap_or_default();
            let name = match bare_name(quoted) {
                Cow::Borrowed(name) => String::from_utf8_lossy(name),
                Cow::Owned(name) => String::from_utf8_lossy(&name).into_owned().into(),
            };
            (name, (quoted, m.value(self.text)))
        })
    }

    /// The first of `names` that stands more than once.
    pub fn twice<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| {
            self.members
                .iter()
                .filter(|m| m.is(self.text, name))
                .nth(1)
                .is_some()
        })
    }

    /// The value of a member as `T`. None where it is absent or null, an error where it is
    /// something else.
    pub fn read<T: Deserialize<'a>>(&self, name: &str) -> serde_json::Result<Option<T>> {
        self.get(name).map(serde_json::from_slice).transpose()
    }
}

/// The objects of the list that `text` is; an item that is no object is a fault.
pub fn objects(text: &[u8], depth: usize) -> Result<Vec<Object<'_>>, JsonFault> {
    let mut out = Vec::new();
    let mut scanner = Scanner::new(text, depth);
    scanner.array(|s| {
        let (mut members, start) = (SmallVec::new(), s.position());
        s.object(|s, name| {
            let value = s.value()?;
            members.push(Member::new(text, name.clone(), value));
            Ok(())
        })?;
        out.push(Object {
            text,
            place: start..s.position(),
            members,
        });
        Ok(())
    })?;
    scanner.end()?;
    Ok(out)
}

/// A member's name, given with its quotes: without them, escapes resolved.
pub fn bare_name(quoted: &[u8]) -> Cow<'_, [u8]> {
    let bare = quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default();
    if !bare.contains(&b'\\') {
        return bare.into();
    }
    serde_json::from_slice::<String>(quoted).map_or(bare.into(), |name| name.into_bytes().into())
}

/// `text`, if it is UTF-8.
pub fn utf8(text: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(text).ok()
}

/// Appends a number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `text` as a JSON string, with its quotes.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        // Writing to a `Vec` cannot fail.
        let _ = serde_json::to_writer(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &[u8]) -> Result<(), JsonFault> {
        let mut scanner = Scanner::new(text, 64);
        scanner.value()?;
        scanner.end()
    }

    #[test]
    fn members_are_found_whatever_stands_between_them() {
        let text = br#" { "a" : [1, {"b": "}"}] ,"m\u006fdel":"x", "c":-1.5e+3 } "#;
        let found = members(text, 8).unwrap();
        assert_eq!(found[0].value(text), br#"[1, {"b": "}"}]"#);
        assert!(
            found[1].is(text, "model"),
            "an escaped name is the same name"
        );
        assert_eq!(found[2].value(text), b"-1.5e+3");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = [vec![b'['; 65], vec![b']'; 65]].concat();
        assert_eq!(
            check(&deep).unwrap_err().what,
            "the JSON is nested too deeply"
        );
        assert!(check(&deep[1..129]).is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let long = |escape: &str| format!("\"{}{escape}{}\"", "x".repeat(90), "y".repeat(90));
        for escape in ["\\q", "\\u12x4", "\n", "\\\\\\", "\""] {
            let (short, long) = (format!("\"{escape}y\""), long(escape));
            assert_eq!(
                check(short.as_bytes()).is_ok(),
                check(long.as_bytes()).is_ok(),
                "{long}"
            );
        }
        for text in [
            "",
            "{",
            "{\"a\"}",
            "[1,]",
            "01",
            "1.",
            "\"\\x\"",
            "\"\\u12g4\"",
            "tru",
            "\"\n\"",
            "{} x",
            "[",
            "\"abc",
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(check(b"{\"a\":1,,}").unwrap_err().at, 7);
    }

    #[test]
    fn text_is_counted_and_pictures_are_not() {
        let text = br#"[{"role":"user","content":[{"type":"text","text":"12345678"},{"type":"image_url","image_url":{"url":"data:xxxxxxxxxxxx"}}]}]"#;
        let mut scanner = Scanner::new(text, 16);
        scanner.count(true);
        scanner.value().unwrap();
        assert_eq!(
            scanner.volume(),
            Volume {
                text: 4 + 4 + 8 + 9,
                files: 1
            }
        );
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e9..1e9f64).prop_map(Into::into),
            ".{0,40}".prop_map(Into::into),
            "[a\"\\\\\n\u{1}é]{60,200}".prop_map(Into::into)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map(".{0,6}", inner, 0..4)
                    .prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into())
            ]
        })
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_json_writes(value in json()) {
            prop_assert!(check(value.to_string().as_bytes()).is_ok());
            prop_assert!(check(serde_json::to_string_pretty(&value).unwrap().as_bytes()).is_ok());
        }

        #[test]
        fn it_takes_and_refuses_what_serde_json_does(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = value.to_string().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if std::str::from_utf8(&text).is_ok() {
                let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
                prop_assert_eq!(check(&text).is_ok(), theirs, "{}", String::from_utf8_lossy(&text));
            }
        }
    }
}
