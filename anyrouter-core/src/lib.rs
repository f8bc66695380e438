//! An LLM gateway as a library. Its types enforce the privacy policy.
//!
//! The crate has no I/O, clock, randomness or tasks of its own: the small traits in [`ports`]
//! supply them. The same code runs on tokio, on wasm32, in a simulator, and in another service.
//!
//! - [`catalog`]: providers with their data terms, models, endpoints;
//! - [`policy`]: which endpoints a request *may* see, and why not the others;
//! - [`route`]: which of them *should* serve it;
//! - [`wire`]: reading, writing and translation of the protocols;
//! - [`usage`]: the usage record of each request;
//! - [`redact`]: detection and redaction of personal data and secrets;
//! - [`vault`]: envelope encryption of what is stored;
//! - [`gateway`]: the path of a request over all of them.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::string_slice
    )
)]

pub mod account;
pub mod catalog;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "gateway")]
pub mod credential;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod ids;
pub mod key;
mod part;
pub mod policy;
#[cfg(feature = "gateway")]
pub mod ports;
#[cfg(feature = "redact")]
pub mod redact;
pub mod route;
pub mod secret;
pub mod time;
#[cfg(feature = "gateway")]
pub mod usage;
#[cfg(feature = "vault")]
pub mod vault;
#[cfg(feature = "gateway")]
pub mod wire;
