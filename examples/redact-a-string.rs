//! Finds values in a text, and redacts and restores it.
//!
//! `cargo run --example redact-a-string`

use anyrouter_core::redact::{PlaceholderKey, Placeholders, Redactor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = "Hi, I am Jane Smith (jane@example.com). My card is 4111 1111 1111 1111, and DB_PASSWORD=hunter2!x is in the log.";
    let redactor = Redactor::default();
    for finding in redactor.find(text) {
        let value = text.get(finding.start..finding.end).unwrap_or_default();
        println!(
            "{:<12} {value:<20} {} {} %",
            finding.label.name(),
            finding.rule,
            finding.confidence
        );
    }

    // The same key gives the same value the same placeholder; keep it with your secrets.
    let mut secret = [0; 32];
    rand::fill(&mut secret[..]);
    let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes(secret));
    let left = redactor.redact(text, &mut placeholders)?.into_inner();
    println!("\n{left}\n\n{}", placeholders.restore(&left));
    Ok(())
}
