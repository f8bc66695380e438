//! Finds personal data and secrets in text and JSON, takes them out, and puts them back (P10, and the half of P01 that concerns providers).
//!
//! ```
//! use anyrouter_core::redact::{PlaceholderKey, Placeholders, Redactor, Restorer, Within};
//!
//! # fn main() -> Result<(), anyrouter_core::redact::Blocked> {
//! let redactor = Redactor::default();
//! let text = "Write to Jane Smith, jane@example.com.";
//! for finding in redactor.find(text) {
//!     println!("{} at {}: {}", finding.label.name(), finding.start, finding.rule);
//! }
//!
//! // The key is the instance's secret, 32 random bytes; accounts and sessions have keys below it.
//! let key = PlaceholderKey::from_bytes([7; 32]).derive("account", Some("session"));
//! let mut placeholders = Placeholders::new(key);
//! let redacted = redactor.redact(text, &mut placeholders)?.into_inner();
//! assert!(!redacted.contains("jane@example.com") && !redacted.contains("Smith"));
//! assert_eq!(placeholders.counts()["EMAIL"], 1);
//!
//! // What a model answers, in pieces that fall as they may.
//! let (mut restorer, mut answer) = (Restorer::new(Within::Text), String::new());
//! for piece in redacted.as_bytes().chunks(5) {
//!     restorer.push(&placeholders, std::str::from_utf8(piece).unwrap(), &mut answer);
//! }
//! restorer.finish(&placeholders, &mut answer);
//! assert_eq!(answer, text);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Engine`] finds: one pass over the text ([`scan`]) marks where any detector may have something to say; a detector looks only there.
//!   The text is read as a person would read it ([`view`]): escapes, entities, other scripts' digits, look-alikes.
//! - [`Rules`] are an account's own, and say what becomes of values ([`Action`]).
//! - [`Redactor`] takes out, [`Placeholders`] remember for as long as they live, [`Restorer`] puts back.
//!
//! Of two findings that overlap the surer stays; of equally sure ones the longer; then the one that begins first. `redact(redact(x))` is
//! `redact(x)`, and `restore(redact(x))` is `x`, byte for byte in text, value for value in JSON. The lists and tables that it goes by are
//! files in `redact/`, each with its sources.
#![allow(rustdoc::private_intra_doc_links)] // the rooms of this house

mod detect;
mod document;
mod engine;
mod json;
mod label;
mod placeholder;
mod redactor;
mod restore;
mod rules;
mod scan;
mod secrets;
mod stream;
mod table;
mod view;
mod vocabulary;

pub use self::{
    engine::{CONFIDENT, Engine},
    json::Step,
    label::{Finding, Kind, Label},
    placeholder::{PlaceholderKey, Placeholders, Revealed},
    redactor::{Blocked, Redacted, Redactor},
    restore::{Restorer, Within},
    rules::{Action, RuleFault, Rules},
    stream::{HOLD, StreamRedactor},
};
