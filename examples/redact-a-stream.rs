//! Redacts a prompt with a custom rule, and restores a response that arrives in pieces.
//!
//! `cargo run --example redact-a-stream`

use anyrouter_core::redact::{Container, PlaceholderKey, Placeholders, Redactor, Restorer, Rules};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // An account's own rules complement the built-in detectors.
    let rules = Rules::parse(&[json!({"label": "EMPLOYEE", "pattern": "EMP-[0-9]{6}"})])?;
    let redactor = Redactor::new(rules);

    let mut secret = [0; 32];
    rand::fill(&mut secret[..]);
    let key = PlaceholderKey::from_bytes(secret).derive("my-account", Some("this-conversation"));
    let mut placeholders = Placeholders::new(key);
    let prompt = "Write to Jane Smith <jane@example.com> that EMP-123456 is on leave.";
    let sent = redactor.redact(prompt, &mut placeholders)?.into_inner();
    println!("sent:     {sent}");

    // The model repeats what it saw, in pieces with arbitrary boundaries.
    let (mut restorer, mut shown) = (Restorer::new(Container::Text), String::new());
    for piece in sent.as_bytes().chunks(7) {
        restorer.push(&placeholders, std::str::from_utf8(piece)?, &mut shown);
    }
    restorer.finish(&placeholders, &mut shown);
    println!("restored: {shown}");
    println!("counted:  {:?}", placeholders.counts());
    Ok(())
}
