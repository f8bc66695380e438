//! Any bytes as text and as JSON: the engine, the walker, the redactor and the restorer; what was
//! taken out comes back, at a split that the first byte says.
#![no_main]

use anyrouter_core::redact::{Container, PlaceholderKey, Placeholders, Redactor, Restorer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((split, rest)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let redactor = Redactor::default();
    let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([1; 32]));
    let left = redactor
        .redact(&text, &mut placeholders)
        .unwrap()
        .into_inner();
    let mut cut = usize::from(*split).min(left.len());
    while !left.is_char_boundary(cut) {
        cut -= 1;
    }
    let (mut restorer, mut out) = (Restorer::new(Container::Text), String::new());
    restorer.push(&placeholders, &left[..cut], &mut out);
    restorer.push(&placeholders, &left[cut..], &mut out);
    restorer.finish(&placeholders, &mut out);
    assert_eq!(out, text);
    for finding in redactor.find_json(&text) {
        assert!(
            text.get(finding.start..finding.end)
                .is_some_and(|v| !v.is_empty())
        );
    }
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
        let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes([1; 32]));
        let document = value.to_string();
        let left = redactor
            .redact_json(&document, |_, _| false, &mut placeholders)
            .unwrap();
        assert!(
            serde_json::from_str::<serde_json::Value>(left.as_str()).is_ok(),
            "{} is no JSON",
            left.as_str()
        );
    }
});
