//! The AnyRouter gateway as a server: listener, storage, API. `anyrouter-core` decides; this crate
//! connects it to the world.
#![recursion_limit = "256"] // the usage record is one `json!` of sixty members

pub mod clock;
pub mod config;
pub mod journal;
pub mod server;
pub mod storage;

mod api;
mod demo;
mod http;
mod observe;
mod patient;
mod quiet;
mod startup;
mod strict;
mod upstream;

pub use self::{startup::Bootstrap, upstream::HttpUpstream};
