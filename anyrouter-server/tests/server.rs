//! The server, as its clients and operators see it: the real binary, real storage, a scripted
//! upstream for each protocol.
#![allow(
    clippy::expect_used,
    clippy::nonminimal_bool,
    clippy::panic,
    clippy::unwrap_used,
    clippy::zombie_processes
)]

#[path = "server/harness.rs"]
mod harness;
#[path = "server/upstream.rs"]
mod upstream;

#[path = "server/api.rs"]
mod api;
#[path = "server/byok.rs"]
mod byok;
#[path = "server/canary.rs"]
mod canary;
#[path = "server/chat.rs"]
mod chat;
#[path = "server/client_metadata.rs"]
mod client_metadata;
#[path = "server/config.rs"]
mod config;
#[path = "server/conformance.rs"]
mod conformance;
#[path = "server/crash.rs"]
mod crash;
#[path = "server/errors.rs"]
mod errors;
#[path = "server/faults.rs"]
mod faults;
#[path = "server/gemini.rs"]
mod gemini;
#[path = "server/intake.rs"]
mod intake;
#[path = "server/machine.rs"]
mod machine;
#[path = "server/messages.rs"]
mod messages;
#[path = "server/network.rs"]
mod network;
#[path = "server/pairs.rs"]
mod pairs;
#[path = "server/providers.rs"]
mod providers;
#[path = "server/redaction.rs"]
mod redaction;
#[path = "server/responses.rs"]
mod responses;
#[path = "server/routing.rs"]
mod routing;
#[path = "server/storage.rs"]
mod storage;
