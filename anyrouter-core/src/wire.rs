//! The wire protocols. A request is parsed once, with borrowed data; parts that the gateway does
//! not need are forwarded unchanged; translation is a state machine from events to events, without
//! I/O.
//!
//! If both sides use the same protocol, a scan for top-level members suffices, without a tree.
//! Otherwise, a request is written as one of chat and then in the provider's protocol, and an answer
//! goes from one protocol's decoder to another one's encoder.
//! Sources: the API references of OpenAI (chat completions, responses), Anthropic (messages) and
//! Google (generateContent), and the WHATWG HTML standard, section 9.2 (server-sent events).

pub mod adjust;
pub mod answer;
pub mod capability;
pub mod chat;
pub mod client_metadata;
pub mod connection;
pub mod count;
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
mod whole;
