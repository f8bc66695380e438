//! The AnyRouter gateway as a server: listener, storage and API. `anyrouter-core` makes the
//! decisions; this crate connects it to the network and the disk.
//!
//! Without the default feature `native`, the crate has only [`Service`]: every route over the
//! core's ports, for an embedder that provides a listener and backends. It builds for wasm32.
#![recursion_limit = "256"] // the usage record is one `json!` of sixty members

mod api;
mod app;
mod array;
mod auth;
mod body;
mod docs;
mod intake;
mod respond;
mod router;
mod routes;
mod service;

#[cfg(feature = "native")]
pub mod clock;
#[cfg(feature = "native")]
pub mod config;
#[cfg(feature = "native")]
pub mod journal;
#[cfg(feature = "native")]
pub mod run;
#[cfg(feature = "native")]
pub mod storage;

#[cfg(feature = "native")]
mod demo;
#[cfg(feature = "native")]
mod listen;
#[cfg(feature = "native")]
mod observe;
#[cfg(feature = "native")]
mod progress;
#[cfg(feature = "native")]
mod ring;
#[cfg(feature = "native")]
mod server;
#[cfg(feature = "native")]
mod startup;
#[cfg(feature = "native")]
mod tls;
#[cfg(feature = "native")]
mod upstream;
#[cfg(feature = "native")]
mod vault;

pub use self::{
    app::{App, Custody, Health, RingStatus},
    service::{Answer, Service},
};
#[cfg(feature = "native")]
pub use self::{server::StartError, startup::Bootstrap, tls::check_tls, upstream::HttpUpstream};
