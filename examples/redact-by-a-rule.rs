//! Custom rules in addition to the built-in detectors, each with its own action.
//!
//! `cargo run --example redact-by-a-rule`

use anyrouter_core::redact::{PlaceholderKey, Placeholders, Redactor, Rules};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules = Rules::parse(&[
        json!({"label": "EMPLOYEE", "pattern": "EMP-[0-9]{6}"}),
        json!({"label": "PROJECT", "words": ["Blue Heron", "Red Kite"], "action": "hash"}),
        json!({"label": "NOTE", "path": "$.messages[*].note", "action": "drop"}),
        json!({"label": "PHONE", "action": "mask"}),
        json!({"label": "PRIVATE_KEY", "action": "block"}),
    ])?;
    let redactor = Redactor::new(rules);
    let mut secret = [0; 32];
    rand::fill(&mut secret[..]);
    let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes(secret));

    let body = json!({"messages": [{"role": "user", "content": "EMP-123456 of Blue Heron: +1 415 555 2671", "note": "for us alone"}]});
    println!(
        "{}",
        redactor
            .redact_json(&body.to_string(), |_, _| false, &mut placeholders)?
            .as_str()
    );

    // A `block` rule refuses the text, and the error does not repeat it.
    let refused = redactor.redact(
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
        &mut placeholders,
    );
    println!(
        "{}",
        refused.map_or_else(
            |e| e.to_string(),
            anyrouter_core::redact::Redacted::into_inner
        )
    );

    // The error of an invalid rule names the place and the remedy.
    println!(
        "{}",
        Rules::parse(&[json!({"label": "ID", "pattern": "(["})])
            .map_or_else(|e| e.to_string(), |_| String::new())
    );
    Ok(())
}
