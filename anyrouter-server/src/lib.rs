//! The AnyRouter gateway as a server: listener, storage, API. `anyrouter-core` decides; this crate
//! connects it to the outside.
#![recursion_limit = "256"] // the usage record is one `json!` of sixty members

pub mod clock;
pub mod config;
pub mod journal;
pub mod run;
pub mod storage;

mod api;
mod app;
mod auth;
mod body;
mod demo;
mod docs;
mod intake;
mod listen;
mod observe;
mod progress;
mod respond;
mod router;
mod routes;
mod startup;
mod tls;
mod upstream;

pub use self::{app::StartError, startup::Bootstrap, tls::check_tls, upstream::HttpUpstream};
