//! The protocols, in bytes: what a client sent is read once, borrowing; what the gateway need not
//! understand goes through as it came; translation is a state machine from events to events, with
//! no I/O in it.
//!
//! Same protocol on both sides: a scan for top-level members, no tree. Sources: OpenAI's API
//! reference (chat completions), Anthropic's API reference (messages), and the WHATWG HTML
//! standard, section 9.2 (server-sent events).

pub mod adjust;
pub mod answer;
pub mod chat;
pub mod connection;
pub mod error;
pub mod fault;
pub mod inbound;
pub mod json;
pub mod messages;
pub mod meta;
pub mod meter;
pub mod outbound;
pub mod provider_error;
pub mod request;
pub mod sse;
pub mod structure;
