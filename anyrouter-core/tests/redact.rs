//! What redaction keeps: nothing detected is left, everything comes back, whatever the split.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "redact/everyday.rs"]
mod everyday;

use std::sync::LazyLock;

use anyrouter_core::redact::{
    Action, Container, HOLD, PlaceholderKey, Placeholders, Redacted, Redactor, Restorer, Rules,
    Step, StreamRedactor,
};
use proptest::prelude::*;
use serde_json::json;

static PLAIN: LazyLock<Redactor> = LazyLock::new(Redactor::default);

/// Texts of all kinds.
const TEXTS: [&str; 18] = [
    "My name is Jane Smith, write to jane.smith@example.com or call +1 415-555-2671.",
    "Card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, SSN 536-22-1234.",
    "PASSWORD=hunter2!x\nAWS_KEY=AKIAIOSFODNN7EXAMPLE\ntoken: ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "Ich heiße Jürgen Müller und wohne in der Hauptstraße 12, 10115 Berlin.",
    "我叫王小明，电话是13812345678，住址：北京市海淀区中关村大街1号。",
    "postgres://app:s3cr3tPw@db.internal:5432/main and 10.20.30.40, 00:1A:2B:3C:4D:5E",
    "john dot doe at example dot com, j\u{200b}ane&#64;example.com, jane%40example.com",
    "Nothing to see here: version 1.2.3, order #12345, 3.14 and 2024-01-15.",
    "PESEL 44051401359, BSN 111222333, CPF 529.982.247-25",
    "Date of birth: 12 March 1985; passport no. C01X00T47; plate B-AB 1234",
    "EMAIL_7qk2m9x4hd3v was typed by the client, and PHONE_0123456789ab too",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq0vJ\n-----END RSA PRIVATE KEY-----\nafter",
    "Dear Dr. Watson,\nplease ring 020 7946 0958.\nBest regards,\nSherlock Holmes",
    "{\"customer\": {\"name\": \"Jane Smith\", \"card\": 4111111111111111, \"note\": \"call +44 20 7946 0958\"}}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "so: {\"key\": \"-----BEGIN PRIVATE KEY-----\\nMIIEpAIBAAKCAQEA7bq0vJ\\n-----END PRIVATE KEY-----\", \"password\": \"a\\\"b\\\\1cD\"}",
    "[\"12 Main Street\nSpringfield, IL 62701\", {\"to\": \"12 Main Street\nSpringfield, IL 62701",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 and 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
];

fn placeholders() -> Placeholders {
    Placeholders::new(PlaceholderKey::from_bytes([7; 32]))
}

fn redacted(text: &str, placeholders: &mut Placeholders) -> String {
    PLAIN.redact(text, placeholders).unwrap().into_inner()
}

/// Pieces of the texts above, in any order and joined by anything.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(TEXTS.to_vec()).prop_map(ToOwned::to_owned),
        2 => "[a-zA-Z0-9 @._:=+-]{0,40}",
        1 => "\\PC{0,20}",
    ];
    let joint = prop::sample::select(vec![" ", "\n", ", ", "\"", "_", "\\", "{", ":", ""]);
    prop::collection::vec((piece, joint), 0..4)
        .prop_map(|v| v.into_iter().map(|(p, j)| p + j).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_taken_out_comes_back(text in text()) {
        let mut placeholders = placeholders();
        let left = redacted(&text, &mut placeholders);
        prop_assert_eq!(placeholders.restore(&left), text, "{}", left);
    }

    #[test]
    fn nothing_that_was_found_is_left(text in text()) {
        let mut placeholders = placeholders();
        let left = redacted(&text, &mut placeholders);
        for finding in PLAIN.find(&text) {
            let value = &text[finding.start..finding.end];
            let alone = |at: usize| {
                let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                !joins(left[..at].chars().next_back()) && !joins(left[at + value.len()..].chars().next())
            };
            prop_assert!(value.len() < 6 || !left.match_indices(value).any(|(at, _)| alone(at)), "{:?} is left in {:?}", value, left);
        }
    }

    #[test]
    fn what_is_redacted_once_is_redacted(text in text()) {
        let left = redacted(&text, &mut placeholders());
        let again = redacted(&left, &mut placeholders());
        prop_assert_eq!(again, left);
    }

    #[test]
    fn a_stream_is_restored_at_whatever_split(text in text(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut placeholders = placeholders();
        let left = redacted(&text, &mut placeholders);
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(left.len() + 1)).filter(|c| left.is_char_boundary(*c)).collect();
        at.sort_unstable();
        at.push(left.len());
        let (mut restorer, mut out, mut from) = (Restorer::new(Container::Text), String::new(), 0);
        for to in at {
            restorer.push(&placeholders, &left[from..to], &mut out);
            prop_assert!(restorer.held().len() <= 48);
            from = to;
        }
        restorer.finish(&placeholders, &mut out);
        prop_assert_eq!(out, text);
    }

    #[test]
    fn a_document_comes_back_with_the_same_values(parts in prop::collection::vec(text(), 1..4), number in any::<u64>()) {
        let arguments = json!({"to": parts[0], "n": number}).to_string();
        let document = json!({
            "messages": parts.iter().map(|p| json!({"role": "user", "content": p})).collect::<Vec<_>>(),
            "calls": [{"arguments": arguments}], "card": 4_111_111_111_111_111_u64, "n": number,
        });
        let mut placeholders = placeholders();
        let left = PLAIN.redact_json(&document.to_string(), |_, _| false, &mut placeholders).unwrap().into_inner();
        let parsed: serde_json::Value = serde_json::from_str(&left).expect("it is JSON still");
        prop_assert!(!left.contains("4111111111111111"));
        prop_assert!(parsed["calls"][0]["arguments"].as_str().is_some_and(|a| serde_json::from_str::<serde_json::Value>(a).is_ok()));
        let back: serde_json::Value = serde_json::from_str(&placeholders.restore_json(&left)).unwrap();
        prop_assert_eq!(back["messages"].clone(), document["messages"].clone());
        prop_assert_eq!(back["card"].clone(), document["card"].clone());
        let inner = |v: &serde_json::Value| serde_json::from_str::<serde_json::Value>(v["calls"][0]["arguments"].as_str().unwrap()).unwrap();
        prop_assert_eq!(inner(&back), inner(&document));
    }

    #[test]
    fn no_bytes_make_the_engine_fail(text in "\\PC{0,200}", more in prop::collection::vec(any::<char>(), 0..50)) {
        let text: String = text.chars().chain(more).collect();
        for finding in PLAIN.find(&text).into_iter().chain(PLAIN.find_json(&text)) {
            prop_assert!(text.get(finding.start..finding.end).is_some_and(|v| !v.is_empty()));
        }
    }
}

#[test]
fn a_text_in_pieces_of_any_size_is_redacted_as_the_whole() {
    let filler = "It was a quiet evening, and nobody said much while the rain went on outside. ";
    let text: String = (0..400)
        .map(|i| format!("{}\n{}", TEXTS[i % TEXTS.len()], filler.repeat(i % 5)))
        .collect();
    assert!(text.len() > 8 * HOLD);
    let mut whole = String::new();
    let mut done = 0;
    for finding in PLAIN.find(&text) {
        whole.push_str(&text[done..finding.start]);
        whole.push('\u{1}');
        done = finding.end;
    }
    whole.push_str(&text[done..]);
    for size in [1, 7, 100, 1000, 10_000, 50_000] {
        let (mut placeholders, mut out, mut stream) =
            (placeholders(), String::new(), StreamRedactor::new(&PLAIN));
        let letters: Vec<char> = text.chars().collect();
        for piece in letters.chunks(size) {
            stream
                .push(
                    &piece.iter().collect::<String>(),
                    &mut placeholders,
                    &mut out,
                )
                .unwrap();
        }
        stream.finish(&mut placeholders, &mut out).unwrap();
        assert_eq!(placeholders.restore(&out), text, "pieces of {size}");
        let mut shown = out.clone();
        for placeholder in placeholders.reveal().keys() {
            shown = shown.replace(placeholder, "\u{1}");
        }
        assert_eq!(shown, whole, "pieces of {size}");
    }
}

#[test]
fn every_text_is_restored_at_every_split() {
    for text in TEXTS {
        let mut placeholders = placeholders();
        let left = redacted(text, &mut placeholders);
        for cut in (0..=left.len()).filter(|c| left.is_char_boundary(*c)) {
            let (mut restorer, mut out) = (Restorer::new(Container::Text), String::new());
            restorer.push(&placeholders, &left[..cut], &mut out);
            restorer.push(&placeholders, &left[cut..], &mut out);
            restorer.finish(&placeholders, &mut out);
            assert_eq!(out, text, "split at {cut} of {left}");
        }
    }
}

#[test]
fn what_models_make_of_placeholders_is_restored_or_left() {
    let mut placeholders = placeholders();
    let left = redacted("jane@example.com", &mut placeholders);
    let id = left.strip_prefix("EMAIL_").unwrap();
    for (form, restored) in [
        (left.to_lowercase(), true),
        (left.to_uppercase(), true),
        (format!("EMAIL\\_{id}"), true),
        (format!("Email-{id}"), true),
        (format!("`{left}`"), true),
        (format!("f(\"{left}\")"), true),
        (format!("CORREO_{id}"), false),
        (left[..left.len() - 3].to_owned(), false),
        (format!("EMAIL_{}", "0".repeat(12)), false),
    ] {
        assert_eq!(
            placeholders.restore(&form).contains("jane@example.com"),
            restored,
            "{form}"
        );
    }
}

#[test]
fn each_underscore_of_a_placeholder_may_be_written_as_models_write_it() {
    let text = "card 4111 1111 1111 1111 from 192.168.1.10";
    let mut placeholders = placeholders();
    let left = redacted(text, &mut placeholders);
    for by in ["\\_", "-", " "] {
        let form = left.replace('_', by);
        assert_eq!(placeholders.restore(&form), text, "{form}");
        for size in 1..9 {
            let (mut restorer, mut out) = (Restorer::new(Container::Text), String::new());
            for piece in form.as_bytes().chunks(size) {
                restorer.push(&placeholders, std::str::from_utf8(piece).unwrap(), &mut out);
                assert!(restorer.held().len() <= 48);
            }
            restorer.finish(&placeholders, &mut out);
            assert_eq!(out, text, "{form} in pieces of {size}");
        }
        // What a client types like that is its own.
        let mut second = self::placeholders();
        let typed = format!("{text} {form}");
        let left = redacted(&typed, &mut second);
        assert_eq!(second.restore(&left), typed, "{left}");
    }
    // The text of arguments spells a backslash as two, and within a document of theirs as four.
    for by in ["\\\\_", "\\\\\\\\_"] {
        let (mut restorer, mut out) = (Restorer::new(Container::Json), String::new());
        for piece in format!("{{\"text\": \"{}\"}}", left.replace('_', by))
            .as_bytes()
            .chunks(3)
        {
            restorer.push(&placeholders, std::str::from_utf8(piece).unwrap(), &mut out);
        }
        restorer.finish(&placeholders, &mut out);
        assert_eq!(out, format!("{{\"text\": \"{text}\"}}"));
    }
}

#[test]
fn a_clients_own_placeholder_comes_back_as_it_was_typed() {
    let mut first = placeholders();
    let typed = redacted("jane@example.com", &mut first);
    let text = format!("jane@example.com and {typed} and {}", typed.to_lowercase());
    let mut second = placeholders();
    let left = redacted(&text, &mut second);
    assert_eq!(second.restore(&left), text, "{left}");
}

#[test]
fn arguments_are_restored_as_json_in_pieces() {
    let mut placeholders = placeholders();
    let value = "Jane \"JJ\" Smith";
    let text = format!(
        "{{\"name\": \"{}\", \"card\": 4111111111111111}}",
        value.replace('"', "\\\"")
    );
    let rules = Rules::parse(&[json!({"label": "PERSON", "path": "$.name"})]).unwrap();
    let left = Redactor::new(rules)
        .redact_json(&text, |_, _| false, &mut placeholders)
        .unwrap()
        .into_inner();
    assert!(!left.contains("Jane") && !left.contains("4111"), "{left}");
    for size in 1..20 {
        let (mut restorer, mut out) = (Restorer::new(Container::Json), String::new());
        let bytes: Vec<char> = left.chars().collect();
        for piece in bytes.chunks(size) {
            restorer.push(&placeholders, &piece.iter().collect::<String>(), &mut out);
        }
        restorer.finish(&placeholders, &mut out);
        assert_eq!(out, text, "in pieces of {size}");
    }
}

#[test]
fn each_action_does_what_it_says() {
    let act = |action: &str| {
        let rules = Rules::parse(&[json!({"label": "EMAIL", "action": action})]).unwrap();
        Redactor::new(rules)
            .redact_json(
                "{\"a\":1,\"mail\":\"jane@example.com\",\"b\":\"x\"}",
                |_, _| false,
                &mut placeholders(),
            )
            .map(Redacted::into_inner)
    };
    assert_eq!(
        act("mask").unwrap(),
        "{\"a\":1,\"mail\":\"************.com\",\"b\":\"x\"}"
    );
    assert_eq!(act("drop").unwrap(), "{\"a\":1,\"b\":\"x\"}");
    assert_eq!(act("hash").unwrap(), act("hash").unwrap());
    assert!(!act("hash").unwrap().contains("jane"));
    let blocked = act("block").unwrap_err();
    assert_eq!(
        (blocked.label.as_str(), blocked.to_string().contains("jane")),
        ("EMAIL", false)
    );
    let all = Rules::default().with_default(Action::Drop);
    let json = "{\"a\":\"a@b.com\",\"b\":\"c@d.com\",\"c\":[\"e@f.com\"]}";
    assert_eq!(
        Redactor::new(all)
            .redact_json(json, |_, _| false, &mut placeholders())
            .unwrap()
            .as_str(),
        "{\"c\":[\"\"]}"
    );
}

#[test]
fn custom_rules_find_what_they_name() {
    let rules = Rules::parse(&[
        json!({"label": "EMPLOYEE", "pattern": "EMP-\\d{6}"}),
        json!({"label": "PROJECT", "words": ["Blue Heron"]}),
        json!({"label": "NOTE", "path": "messages[*].note"}),
    ]);
    let redactor = Redactor::new(rules.unwrap());
    let json = json!({"messages": [{"note": "anything", "content": "EMP-123456 works on blue heron, not on blue herons"}]}).to_string();
    let found: Vec<(String, &str)> = redactor
        .find_json(&json)
        .iter()
        .map(|f| (f.label.name().to_owned(), &json[f.start..f.end]))
        .collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(l, v)| (l.as_str(), *v)).collect();
    assert_eq!(
        found,
        [
            ("NOTE", "anything"),
            ("EMPLOYEE", "EMP-123456"),
            ("PROJECT", "blue heron")
        ]
    );
}

#[test]
fn members_that_are_kept_are_not_touched() {
    let json = "{\"model\":\"jane@example.com\",\"text\":\"jane@example.com\"}";
    let keep = |path: &[Step<'_>], _: &str| matches!(path, [Step::Member("model")]);
    let left = PLAIN
        .redact_json(json, keep, &mut placeholders())
        .unwrap()
        .into_inner();
    assert!(
        left.starts_with("{\"model\":\"jane@example.com\",\"text\":\"EMAIL_"),
        "{left}"
    );
}

#[test]
fn a_value_split_over_message_parts_is_found() {
    let json =
        json!({"content": [{"type": "text", "text": "my card is 4111 1111"}, {"type": "text", "text": " 1111 1111, thanks"}]}).to_string();
    let mut placeholders = placeholders();
    let left = PLAIN
        .redact_json(&json, |_, _| false, &mut placeholders)
        .unwrap()
        .into_inner();
    assert!(!left.contains("1111"), "{left}");
    assert_eq!(placeholders.restore_json(&left), json);
    for (name, value) in [
        ("Hello. password: '", "Tr0ub4dor&3x' ok"),
        ("password:", " Tr0ub4dor&3x"),
        ("SSN: ", "536221234 ok"),
    ] {
        let parts =
            json!({"content": [{"type": "text", "text": name}, {"type": "text", "text": value}]})
                .to_string();
        let left = PLAIN
            .redact_json(&parts, |_, _| false, &mut self::placeholders())
            .unwrap()
            .into_inner();
        assert!(
            !left.contains("Tr0ub4dor") && !left.contains("536221234"),
            "a name in one part and its value in the next: {left}"
        );
    }
}

/// What redaction under these rules leaves of text.
fn left_by(rules: serde_json::Value, text: &str) -> String {
    let rules = Rules::parse(rules.as_array().unwrap()).unwrap();
    Redactor::new(rules)
        .redact(text, &mut placeholders())
        .unwrap()
        .into_inner()
}

/// The same of a document.
fn json_left_by(rules: serde_json::Value, json: &str) -> String {
    let rules = Rules::parse(rules.as_array().unwrap()).unwrap();
    Redactor::new(rules)
        .redact_json(json, |_, _| false, &mut placeholders())
        .unwrap()
        .into_inner()
}

#[test]
fn an_address_ends_before_signs_and_other_scripts() {
    for behind in ["😀 now", "™", "。", "、then", "です", "）"] {
        let left = redacted(
            &format!("write jane@example.com{behind}"),
            &mut placeholders(),
        );
        assert!(!left.contains("jane@") && left.ends_with(behind), "{left}");
    }
}

#[test]
fn every_action_holds_for_a_value_that_stands_again() {
    for action in ["placeholder", "mask", "hash", "drop"] {
        let left = left_by(
            json!([{"label": "PASSWORD", "action": action}]),
            "My password is hunter2xyzQ9. Is hunter2xyzQ9 good? hunter2xyzQ9",
        );
        assert!(!left.contains("hunter2"), "{action}: {left}");
    }
    let left = json_left_by(
        json!([]),
        "{\"a\":\"passport number: 987654321\",\"n\":987654321}",
    );
    assert!(!left.contains("987654321"), "{left}");
}

#[test]
fn dropping_leaves_a_document_and_takes_no_more_than_the_value() {
    let drop = json!([{"label": "EMAIL", "action": "drop"}]);
    for (json, expected) in [
        ("{\"jane@example.com\":\"bob@example.com\"}", "{}"),
        (
            "{\"k\":1,\"jane@example.com\":\"bob@example.com\",\"z\":2}",
            "{\"k\":1,\"z\":2}",
        ),
        (
            "{\"content\":\"ask x@example.com please\"}",
            "{\"content\":\"ask  please\"}",
        ),
        ("[\"x@example.com\",\"y\"]", "[\"\",\"y\"]"),
        ("\"x@example.com\"", "\"\""),
    ] {
        assert_eq!(json_left_by(drop.clone(), json), expected, "{json}");
    }
}

#[test]
fn a_rule_that_would_match_placeholders_does_not() {
    for pattern in ["[a-z]{2}", "a", "."] {
        let rules = Rules::parse(&[json!({"label": "XX", "pattern": pattern})]).unwrap();
        let redactor = Redactor::new(rules);
        let mut placeholders = placeholders();
        let left = redactor
            .redact("aab aab", &mut placeholders)
            .unwrap()
            .into_inner();
        assert_eq!(placeholders.restore(&left), "aab aab", "{pattern}: {left}");
        let again = redactor
            .redact(
                &left,
                &mut Placeholders::new(PlaceholderKey::from_bytes([7; 32])),
            )
            .unwrap()
            .into_inner();
        assert_eq!(again, left, "{pattern}");
    }
}

#[test]
fn a_placeholder_is_known_behind_what_reads_like_an_escape() {
    let text = "ca s %Da%D\u{fffd} Call Gvej 261/ me";
    let mut placeholders = placeholders();
    let left = redacted(text, &mut placeholders);
    assert_eq!(placeholders.restore(&left), text, "{left}");
}

#[test]
fn what_reads_like_a_placeholder_hides_nothing_beside_it() {
    for text in [
        "EMAIL_7qk2m9x4hd3v-jane@example.com",
        "CLOJARS_34bf0e88955ff5a1c328d6a7491acc4f48e865a7b8dd4d70a70749037443",
    ] {
        let left = redacted(text, &mut placeholders());
        assert_ne!(left, text);
    }
}

#[test]
fn a_number_comes_back_as_text_where_a_protocol_has_text() {
    let mut placeholders = placeholders();
    let left = PLAIN
        .redact_json(
            "{\"card\":4111111111111111}",
            |_, _| false,
            &mut placeholders,
        )
        .unwrap()
        .into_inner();
    let placeholder = serde_json::from_str::<serde_json::Value>(&left).unwrap()["card"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer =
        json!({"content": placeholder, "arguments": json!({"card": placeholder}).to_string()})
            .to_string();
    let restored: serde_json::Value =
        serde_json::from_str(&placeholders.restore_answer(&answer)).unwrap();
    assert_eq!(
        restored,
        json!({"content": "4111111111111111", "arguments": "{\"card\":4111111111111111}"})
    );
}

#[test]
fn lists_within_strings_stay_lists() {
    let left = json_left_by(json!([]), "{\"arguments\":\"[4111111111111111]\"}");
    let inner: serde_json::Value = serde_json::from_str(&left).unwrap();
    assert!(
        serde_json::from_str::<Vec<String>>(inner["arguments"].as_str().unwrap()).is_ok(),
        "{left}"
    );
}

#[test]
fn parts_with_line_ends_are_looked_at_together_as_well() {
    let json =
        json!({"content": [{"type": "text", "text": "Hello\nmail jane.doe@exa"}, {"type": "text", "text": "mple.com now\n"}]}).to_string();
    let mut placeholders = placeholders();
    let left = PLAIN
        .redact_json(&json, |_, _| false, &mut placeholders)
        .unwrap()
        .into_inner();
    assert!(!left.contains("jane.doe"), "{left}");
    assert_eq!(placeholders.restore_json(&left), json);
}

#[test]
fn text_in_base64_is_read_and_pictures_are_not() {
    // `Mail jane@example.com, please.`, as a file that goes with a message.
    let body = r#"{"file_data":"data:text/plain;base64,TWFpbCBqYW5lQGV4YW1wbGUuY29tLCBwbGVhc2Uu","image":"data:image/png;base64,TWFpbCBqYW5lQGV4YW1wbGUuY29tLCBwbGVhc2Uu"}"#;
    let mut placeholders = placeholders();
    let left = Redactor::default()
        .redact_json(body, |_, _| false, &mut placeholders)
        .unwrap()
        .into_inner();
    let left: serde_json::Value = serde_json::from_str(&left).unwrap();
    let file = left["file_data"]
        .as_str()
        .unwrap()
        .strip_prefix("data:text/plain;base64,")
        .unwrap();
    let text = String::from_utf8(
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, file).unwrap(),
    )
    .unwrap();
    assert!(
        text.starts_with("Mail EMAIL_") && text.ends_with(", please."),
        "{text}"
    );
    assert_eq!(
        placeholders.restore(&text),
        "Mail jane@example.com, please."
    );
    assert_eq!(
        left["image"],
        "data:image/png;base64,TWFpbCBqYW5lQGV4YW1wbGUuY29tLCBwbGVhc2Uu"
    );
    let found = Redactor::default()
        .find("see data:text/plain;base64,TWFpbCBqYW5lQGV4YW1wbGUuY29tLCBwbGVhc2Uu now");
    assert_eq!(
        (
            found.len(),
            found[0].label.name(),
            found[0].start,
            found[0].end
        ),
        (1, "EMAIL", 27, 67)
    );
}

#[test]
fn a_placeholder_that_was_typed_comes_back_though_its_value_is_found_late() {
    // The first number is found once the second one is gone.
    let text = "44051401359 4111 1111 1111 1111";
    let mut seen = placeholders();
    redacted(text, &mut seen);
    let late = seen
        .reveal()
        .into_iter()
        .find(|(_, v)| v.value == "44051401359")
        .map(|(placeholder, _)| placeholder)
        .unwrap();
    let typed = format!("{text} and {late}");
    let mut placeholders = placeholders();
    let left = redacted(&typed, &mut placeholders);
    assert_eq!(placeholders.restore(&left), typed);
    let document = serde_json::json!({ "text": typed }).to_string();
    let left = Redactor::default()
        .redact_json(&document, |_, _| false, &mut placeholders)
        .unwrap()
        .into_inner();
    assert_eq!(placeholders.restore_json(&left), document);
}

#[test]
fn a_rule_of_ones_own_takes_nothing_out_of_cover() {
    let left = |rules: serde_json::Value, text: &str| left_by(rules, text);
    let mail = left(
        json!([{"label": "COMPANY", "words": ["acme"]}]),
        "Write to john.smith@acme.com.",
    );
    assert!(
        mail.starts_with("Write to EMAIL_")
            && mail.ends_with('.')
            && !mail.contains("acme")
            && !mail.contains("com"),
        "{mail}"
    );
    let card = left(
        json!([{"label": "COMPANY", "words": ["4111"]}]),
        "Card 4111 1111 1111 1111",
    );
    assert!(
        card.starts_with("Card CREDIT_CARD_") && !card.contains("1111"),
        "{card}"
    );
    let beyond = left(
        json!([{"label": "LINE", "pattern": "Write .*"}]),
        "Write to john.smith@acme.com now",
    );
    assert!(
        beyond.starts_with("LINE_") && !beyond.contains(' '),
        "{beyond}"
    );
}

#[test]
fn the_strictest_of_what_overlaps_holds_and_each_rule_has_its_own_action() {
    let refused = |rules: serde_json::Value, text: &str| {
        let rules = Rules::parse(rules.as_array().unwrap()).unwrap();
        Redactor::new(rules)
            .redact(text, &mut placeholders())
            .is_err()
    };
    assert!(refused(
        json!([{"label": "CODE", "words": ["Heron"], "action": "block"}, {"label": "NOTE", "pattern": "Blue Heron"}]),
        "a Blue Heron"
    ));
    let two = json!([{"label": "PROJ", "words": ["alpha"], "action": "block"}, {"label": "PROJ", "words": ["beta12345"], "action": "mask"}]);
    assert!(refused(two.clone(), "alpha"));
    assert_eq!(left_by(two, "beta12345"), "*****2345");
}

#[test]
fn a_secret_member_is_taken_out_as_a_whole() {
    for document in [
        r#"{"password":"hun\"ter2!x"}"#,
        r#"{"password":"hunter\\2!x"}"#,
        r#"{"password":"p w d"}"#,
        r#"{"user":{"password":"a b c d!"}}"#,
        r#"{"log":"{\"password\":\"hun\\\"ter2!x\"}"}"#,
    ] {
        let mut placeholders = placeholders();
        let left = Redactor::default()
            .redact_json(document, |_, _| false, &mut placeholders)
            .unwrap()
            .into_inner();
        assert!(
            left.contains("PASSWORD_")
                && !left.contains("ter")
                && !left.contains("p w d")
                && !left.contains("d!"),
            "{left}"
        );
        assert_eq!(placeholders.restore_json(&left), document);
    }
    let left = left_by(
        json!([]),
        r#"password="abc\"def!1" and DB_PASSWORD=hunter2"x"#,
    );
    assert!(!left.contains("def") && !left.contains("\"x"), "{left}");
}

#[test]
fn places_in_a_string_hold_behind_what_is_no_escape() {
    for broken in [r"\-", r"\ud800", r"\uzzzz", "\u{4}"] {
        let document = format!(r#"{{"a":"{{\"to\":\"{broken} mail jane@example.com ü\"}}"}}"#);
        let found = Redactor::default().find_json(&document);
        assert_eq!(
            found
                .iter()
                .map(|f| &document[f.start..f.end])
                .collect::<Vec<_>>(),
            ["jane@example.com"],
            "{document}"
        );
    }
}

#[test]
fn documents_within_documents_are_read_ten_deep() {
    let mut text = r#"{"name":"DB_PASSWORD","value":"xK9-mustang"}"#.to_owned();
    for _ in 0..10 {
        text = serde_json::json!({ "log": text }).to_string();
    }
    let mut placeholders = placeholders();
    let left = Redactor::default()
        .redact_json(&text, |_, _| false, &mut placeholders)
        .unwrap()
        .into_inner();
    assert!(!left.contains("mustang") && left.contains("PASSWORD_") && left.len() < 2 * text.len());
    assert_eq!(placeholders.restore_json(&left), text);
}

#[test]
fn documents_within_documents_grow_no_more() {
    // Each level is spelt so that it takes a few bytes more; escaped again it would double.
    let mut text = r#"["jane@example.com"]"#.to_owned();
    for _ in 0..40 {
        text = format!(
            "[\"{}\"]",
            text.replace('\\', r"\u005c").replace('"', r"\u0022")
        );
    }
    let left = Redactor::default()
        .redact_json(&text, |_, _| false, &mut placeholders())
        .unwrap()
        .into_inner();
    assert!(
        left.len() < 64 * text.len(),
        "{} of {} bytes",
        left.len(),
        text.len()
    );
    assert!(!left.contains("jane@"));
    let untouched = r#"{"a":"{\"b\":\"\u738b\"}"}"#;
    assert_eq!(
        Redactor::default()
            .redact_json(untouched, |_, _| false, &mut placeholders())
            .unwrap()
            .as_str(),
        untouched
    );
}

#[test]
fn neighbours_are_told_apart() {
    let texts = [
        ("2024-05-06 192.168.1.77 GET", &["192.168.1.77"][..]),
        (
            "tcp 0 0 192.168.1.5:22 10.0.0.9:51234",
            &["192.168.1.5", "10.0.0.9"],
        ),
        ("64 0.0.0.0 81.2.69.142", &["81.2.69.142"]),
        ("123-45-6789 202-555-0143", &["123-45-6789", "202-555-0143"]),
        (
            "+49 30 1234567 202-555-0143",
            &["+49 30 1234567", "202-555-0143"],
        ),
        (
            "+49 30 1234567 - 192.168.1.254",
            &["+49 30 1234567", "192.168.1.254"],
        ),
        ("2024-05-06 123-45-6789", &["123-45-6789"]),
        ("42|4111 1111 1111 1111", &["4111 1111 1111 1111"]),
        (
            "jane@example.com-4111 1111 1111 1111",
            &["jane@example.com", "4111 1111 1111 1111"],
        ),
        ("5,123-45-6789", &["123-45-6789"]),
        ("tel: 4111111111111111", &["4111111111111111"]),
        ("password: Tr0ub4dor&3", &["Tr0ub4dor&3"]),
    ];
    for (text, values) in texts {
        let found = PLAIN.find(text);
        assert_eq!(
            found
                .iter()
                .map(|f| &text[f.start..f.end])
                .collect::<Vec<_>>(),
            values,
            "{text}: {found:?}"
        );
    }
    let nothing = [
        "2024-05-06 07:08:09 INFO started",
        "2024/05/06 07:08:09 [notice] 1#1: start",
        "Meeting on 2024-05-06 14:00",
        "2011-12-12_22-53-47.log",
        "[0.4789, 0.7541]",
        "loss: 0.1234 0.5678",
        "17 17 50 39 31 30",
        "4 8 15 16 23 42",
        "case a::B",
    ];
    for text in nothing {
        assert_eq!(PLAIN.find(text), [], "{text}");
    }
}

#[test]
fn a_value_split_over_many_parts_is_found() {
    let parts = json!([{"text": "Mail jane@"}, {"text": "exa"}, {"text": "mple.com"}, {"text": "card 4111 1111"}, {"text": " 1111 "}, {"text": "1111"}]);
    let left = json_left_by(json!([]), &parts.to_string());
    for piece in ["jane@", "mple", "4111", "1111"] {
        assert!(!left.contains(piece), "{piece}: {left}");
    }
}

#[test]
fn a_value_is_found_once_its_neighbour_is_gone() {
    let text = "44051401359 4111 1111 1111 1111";
    assert_eq!(
        PLAIN.find(text).len(),
        1,
        "beside the card it is a part of something"
    );
    for left in [
        redacted(text, &mut placeholders()),
        json_left_by(json!([]), &json!({ "text": text }).to_string()),
    ] {
        assert!(
            !left.contains("44051401359") && !left.contains("1111"),
            "{left}"
        );
    }
}

#[test]
fn arguments_within_arguments_are_spelt_as_deep_as_they_are() {
    let secret = "-----BEGIN PRIVATE KEY-----\nMII\"E\n-----END PRIVATE KEY-----";
    let mut placeholders = placeholders();
    let placeholder = redacted(secret, &mut placeholders);
    let inner = json!({"w": [placeholder, {"x": placeholder}]}).to_string();
    let arguments =
        json!({"n": inner, "deep": json!({"again": inner}).to_string(), "m": placeholder})
            .to_string();
    for cut in 0..arguments.len() {
        let (mut restorer, mut out) = (Restorer::new(Container::Json), String::new());
        restorer.push(&placeholders, &arguments[..cut], &mut out);
        restorer.push(&placeholders, &arguments[cut..], &mut out);
        restorer.finish(&placeholders, &mut out);
        let read = |text: &str| {
            serde_json::from_str::<serde_json::Value>(text)
                .unwrap_or_else(|e| panic!("{e}, cut at {cut}: {text}"))
        };
        let inside = |value: &serde_json::Value| read(value.as_str().unwrap());
        let restored = read(&out);
        assert_eq!(restored["m"], secret);
        assert_eq!(
            inside(&restored["n"])["w"],
            json!([secret, {"x": secret}]),
            "cut at {cut}"
        );
        assert_eq!(
            inside(&inside(&restored["deep"])["again"])["w"][1]["x"],
            secret,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_value_with_escapes_in_json_within_text_is_spelt_as_where_it_comes_back() {
    let key = "-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----";
    let reading = key.replace("\\n", "\n");
    let text = format!("Here it is:\n```json\n{{\n  \"private_key\": \"{key}\"\n}}\n```");
    let body = json!({"messages": [{"role": "user", "content": text}]}).to_string();
    let mut placeholders = placeholders();
    let left = PLAIN
        .redact_json(&body, |_, _| false, &mut placeholders)
        .unwrap()
        .into_inner();
    assert!(!left.contains("MIIE"), "{left}");
    let left: serde_json::Value = serde_json::from_str(&left).unwrap();
    let left = left["messages"][0]["content"].as_str().unwrap();
    assert_eq!(placeholders.restore(left), text, "as it stood, in text");
    let name = left
        .split('"')
        .find(|t| t.starts_with("PRIVATE_KEY_"))
        .unwrap();
    // An argument has the key; one that is a text with the document in it has the document.
    for (arguments, expected) in [
        (json!({"key": name}), json!({"key": reading})),
        (json!({"file": left}), json!({"file": text})),
    ] {
        let arguments = arguments.to_string();
        let whole = placeholders.restore_json(&json!({"arguments": arguments}).to_string());
        let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
        let mut restorer = Restorer::new(Container::Json);
        let mut streamed = String::new();
        for piece in arguments.as_bytes().chunks(7) {
            restorer.push(
                &placeholders,
                std::str::from_utf8(piece).unwrap(),
                &mut streamed,
            );
        }
        restorer.finish(&placeholders, &mut streamed);
        for restored in [whole["arguments"].as_str().unwrap(), &streamed] {
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(restored).unwrap(),
                expected,
                "{restored}"
            );
        }
    }
    // What stood elsewhere is escaped in a document that a model writes, and nowhere else.
    let mut placeholders = self::placeholders();
    let address = "12 Main Street\nSpringfield, IL 62701";
    let left = PLAIN
        .redact(&format!("Ship it to {address} please"), &mut placeholders)
        .unwrap()
        .into_inner();
    let name = left.split(' ').find(|w| w.starts_with("ADDRESS_")).unwrap();
    let answer =
        format!("Here you are:\n```json\n{{\"to\": \"{name}\"}}\n```\nShip to: \"{name}\"");
    let expected = answer
        .replacen(name, &address.replace('\n', "\\n"), 1)
        .replace(name, address);
    assert_eq!(placeholders.restore(&answer), expected);
    for size in 1..40 {
        let mut restorer = Restorer::new(Container::Text);
        let mut streamed = String::new();
        for piece in answer.as_bytes().chunks(size) {
            restorer.push(
                &placeholders,
                std::str::from_utf8(piece).unwrap(),
                &mut streamed,
            );
        }
        restorer.finish(&placeholders, &mut streamed);
        assert_eq!(streamed, expected, "pieces of {size}");
    }
    // What a document spelt without escapes comes back as it was.
    let mut placeholders = self::placeholders();
    let text = format!("{{\"to\": \"{address}\", and \"{address}\"");
    let left = PLAIN.redact(&text, &mut placeholders).unwrap().into_inner();
    assert!(!left.contains("Main"), "{left}");
    assert_eq!(placeholders.restore(&left), text);
    // A placeholder counts as what it stands for, though some are found only once others are there.
    let mut placeholders = self::placeholders();
    let text = "{\n\"messaes Db_pass0xb_\":Z\u{fffd}word \u{fffd}:\0\0ss0xb_\":\0\u{fffd}Z\u{fffd}wocontent\"h{";
    let left = PLAIN.redact(text, &mut placeholders).unwrap().into_inner();
    assert_eq!(placeholders.restore(&left), text);
    // So does a quote that is part of a value which is found late.
    let mut placeholders = self::placeholders();
    let part =
        |last: &str| format!("{{\"mussagesr\",\"cey\0\0\0 db_'password x\0\0\0\0\0\0\0{last}");
    let text = format!(
        "{}p\0\0\u{13}.\0r#s {}",
        part("L1>EyQAx800A77\""),
        &part("L0>EyQAx8=?'p")[2..]
    );
    let left = PLAIN.redact(&text, &mut placeholders).unwrap().into_inner();
    assert_eq!(placeholders.restore(&left), text);
    // What only looks like an escape is none.
    let mut placeholders = self::placeholders();
    let left = PLAIN
        .redact(
            r"login CORP\nick77, password: Tr0ub\nador",
            &mut placeholders,
        )
        .unwrap()
        .into_inner();
    let name = left.rsplit(' ').next().unwrap();
    let restored = placeholders
        .restore_json(&json!({"arguments": json!({"p": name}).to_string()}).to_string());
    assert!(restored.contains(r"Tr0ub\\\\nador"), "{left} {restored}");
}
