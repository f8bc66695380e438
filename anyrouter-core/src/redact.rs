//! Finds personal data and secrets in text (P10).

mod detect;
mod engine;
mod json;
mod label;
mod placeholder;
mod redactor;
mod restore;
mod rules;
mod scan;
mod secrets;
mod view;
mod vocabulary;

pub use self::{
    engine::{CONFIDENT, Engine},
    json::Step,
    label::{Finding, Kind, Label},
    placeholder::{PlaceholderKey, Placeholders},
    redactor::{Blocked, Redacted, Redactor},
    restore::{Restorer, Within},
    rules::{Action, RuleFault, Rules},
};
