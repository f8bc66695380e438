//! Finds personal data and secrets in text (P10).

mod detect;
mod engine;
mod json;
mod label;
mod scan;
mod secrets;
mod view;
mod vocabulary;

pub use self::{
    engine::{CONFIDENT, Engine},
    label::{Finding, Kind, Label},
};
