//! Detection, redaction and restoration of personal data and secrets in text and JSON.
//!
//! ```
//! use anyrouter_core::redact::{Container, PlaceholderKey, Placeholders, Redactor, Restorer};
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
//! // The answer of a model, in chunks of any size.
//! let (mut restorer, mut answer) = (Restorer::new(Container::Text), String::new());
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
//! | take it out of text that comes in pieces, as logs do | [`StreamRedactor`], which holds back up to 18 KiB, or 64 KiB of text without white space |
//! | put it back | [`Placeholders::restore`]; [`Placeholders::restore_json`], where numbers become numbers again; [`Placeholders::restore_answer`], for a chat protocol's answers, where only the arguments of calls have numbers |
//! | put it back in a stream | [`Restorer`], which holds back at most 176 bytes |
//! | add your own rules | [`Rules`], each with an [`Action`] for its values |
//!
//! Redacting has a single error, [`Blocked`], which only a rule with [`Action::Block`] causes.
//! [`Rules::parse`] reports the invalid rule and the reason. A [`Redactor`] is cheap to clone and
//! can be shared between threads. The built-in [`Engine`] is built on first use (about 20 ms), once
//! per process. [`Placeholders`] belong to one request or text: they hold its values and wipe them
//! on drop.
//!
//! One pass over the text ([`scan`]) marks the places that may concern a detector, and a detector
//! examines only those. Detectors read a normalized text ([`view`]), without escapes, entities,
//! other scripts' digits and look-alikes. Of two overlapping findings, the one with the higher
//! confidence wins, then the longer one, then the one that begins first. `redact(redact(x))` equals
//! `redact(x)`. If every finding becomes a placeholder, `restore(redact(x))` equals `x`, byte for
//! byte in text and value for value in JSON. The lists and tables are files in `redact/`, each with
//! its sources. (In this project's terms the module keeps P10, and the half of P01 that concerns
//! providers.)
#![allow(rustdoc::private_intra_doc_links)] // the modules are private

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
pub(crate) use self::{
    json::{LeafKind, walk},
    placeholder_key::SealedText,
};
