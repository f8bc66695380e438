//! A scanner for JSON text (RFC 8259) that validates without copying. It finds the ranges of an
//! object's members and the amount of text in them. Depth is limited; the caller must check that
//! the text is UTF-8.

mod block;
mod member;
mod raw;
mod replace;
mod scanner;
mod text_or;
mod write;

pub use self::{
    member::{Member, Object, bare_name, members, objects, utf8},
    raw::{
        RawJsonStr, escape_strings, has_content, string_or_none, unescape_strings, whole_characters,
    },
    replace::{Replaced, replace_members},
    scanner::{JsonFault, Scanner, Volume},
    text_or::TextOr,
    write::{
        object_of, push_comma, push_format, push_line, push_member, push_number, push_numbers,
        push_raw, push_string, push_value,
    },
};

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

    #[test]
    fn a_file_of_any_protocol_is_counted_as_one() {
        for file in [
            r#"{"image_url":{"url":"data:xxxx"}}"#,
            r#"{"type":"input_file","file_data":"data:xxxx"}"#,
            r#"{"source":{"type":"base64","data":"xxxx"}}"#,
            r#"{"inlineData":{"mimeType":"image/png","data":"xxxx"}}"#,
            r#"{"fileData":{"fileUri":"https://x"}}"#,
        ] {
            let text = file.replace("xxxx", &"A".repeat(4000));
            let mut scanner = Scanner::new(text.as_bytes(), 16);
            scanner.count(true);
            scanner.value().unwrap();
            let Volume { text, files } = scanner.volume();
            assert_eq!(files, 1, "{file}");
            assert!(text < 50, "{file}: {text}");
        }
        let text = br#"{"source":"a text of this name"}"#;
        let mut scanner = Scanner::new(text, 16);
        scanner.count(true);
        scanner.value().unwrap();
        assert_eq!(scanner.volume(), Volume { text: 19, files: 0 });
    }

    #[test]
    fn half_a_character_is_replaced_and_a_whole_one_is_not() {
        let cut = br#"["\ud83d\ude00 \\ud83d \ud83d", "\ude00", "\uD83D\n", "\ud83d\ud83d\ude00"]"#;
        let whole = whole_characters(cut).unwrap();
        let expected =
            br#"["\ud83d\ude00 \\ud83d \ufffd", "\ufffd", "\ufffd\n", "\ufffd\ud83d\ude00"]"#;
        assert_eq!(whole, expected);
        assert_eq!(whole_characters(&whole), None);
        assert_eq!(whole_characters(br#""\u00e9 \u12""#), None);
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
        fn strings_are_escaped_and_back(strings in prop::collection::vec("(?s).{0,40}", 0..4)) {
            let text = serde_json::to_string(&strings).unwrap();
            let escaped = escape_strings(text.as_bytes());
            let raw: Vec<String> = serde_json::from_slice(&escaped).unwrap();
            let again = serde_json::to_string(&raw).unwrap();
            prop_assert_eq!(unescape_strings(again.as_bytes()), text.into_bytes());
        }

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
