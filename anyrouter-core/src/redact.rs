//! Finds personal data and secrets in text and JSON, takes them out, and puts them back.
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
//! | to | call |
//! |---|---|
//! | see what is in a text or a document | [`Redactor::find`], [`Redactor::find_json`] |
//! | take it out | [`Redactor::redact`], [`Redactor::redact_json`] (its `keep` names the leaves that stay, by their path) |
//! | take it out of text that comes in pieces, as logs do | [`StreamRedactor`], which holds back up to 18 KiB |
//! | put it back | [`Placeholders::restore`]; [`Placeholders::restore_json`], where numbers become numbers again; [`Placeholders::restore_answer`], for a chat protocol's answers, where only the arguments of calls have numbers |
//! | put it back in a stream | [`Restorer`], which holds back less than 50 bytes |
//! | add what only you know | [`Rules`], each with what becomes of its values ([`Action`]) |
//!
//! The one error of redacting is [`Blocked`], and only a rule with [`Action::Block`] makes it.
//! [`Rules::parse`] says which rule is wrong, and why. A [`Redactor`] is cheap to clone and can be
//! shared between threads; the built-in [`Engine`] is built at its first use (some 20 ms) and there
//! is one in a process. [`Placeholders`] are a request's or a text's own: they hold its values, and
//! wipe them when they are dropped.
//!
//! How it works: one pass over the text ([`scan`]) marks where any detector may have something to
//! say, and a detector looks only there. The text is read as a person would read it ([`view`]):
//! escapes, entities, other scripts' digits, look-alikes. Of two findings that overlap the surer
//! stays; of equally sure ones the longer; then the one that begins first. `redact(redact(x))` is
//! `redact(x)`, and where all that is found becomes placeholders, `restore(redact(x))` is `x`, byte
//! for byte in text, value for value in JSON. The lists and tables that it goes by are files in
//! `redact/`, each with its sources. (In this project's terms it keeps P10, and the half of P01
//! that concerns providers.)
#![allow(rustdoc::private_intra_doc_links)] // the rooms of this house

mod captions;
mod cut;
mod detect;
mod document;
mod engine;
mod json;
mod label;
mod placeholder;
mod placeholder_form;
mod placeholder_key;
mod redactor;
mod restore;
mod rules;
mod scan;
mod secrets;
mod spelling;
mod stream;
mod strings;
mod table;
mod urls;
mod view;
mod vocabulary;

pub(crate) use self::placeholder_key::SealedText;
pub use self::{
    engine::{CONFIDENT, Engine},
    json::Step,
    label::{Finding, Kind, Label},
    placeholder::{Placeholders, PlainValue},
    placeholder_key::PlaceholderKey,
    redactor::{Blocked, Redacted, Redactor},
    restore::{Container, Restorer},
    rules::{Action, RuleFault, Rules},
    stream::{HOLD, StreamRedactor},
};
