//! The wire protocols. A request is parsed once, with borrowed data; parts that the gateway does
//! not need are forwarded unchanged; translation is a state machine from events to events, without
//! I/O.
//!
//! If both sides use the same protocol, a scan for top-level members suffices, without a tree.
//! Sources: OpenAI's API reference (chat completions), Anthropic's API reference (messages), and
//! the WHATWG HTML standard, section 9.2 (server-sent events).

pub mod adjust;
pub mod answer;
pub mod chat;
pub mod client_metadata;
pub mod connection;
pub mod error;
pub mod event;
pub mod fault;
pub mod gemini;
pub mod inbound;
pub mod json;
pub mod messages;
pub mod meta;
pub mod meter;
mod order;
pub mod outbound;
pub(crate) mod proof;
pub mod provider_error;
pub mod request;
pub mod responses;
pub mod sse;
pub mod structure;
