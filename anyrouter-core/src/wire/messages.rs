//! The Anthropic messages protocol. Between a client and an upstream that both speak it, bytes pass
//! unchanged except for a few members. For clients of OpenAI's chat, requests are translated to
//! messages, and answers from them; for upstreams of chat, the reverse. Source: Anthropic API
//! reference, *Messages*, *Streaming messages*, *Extended thinking*, *Adaptive thinking*,
//! *Structured outputs*.

mod assemble;
mod billing;
mod blocks;
mod cache_control;
mod conversation;
mod decode;
mod encode;
mod error;
mod event;
mod forward;
mod message;
mod names;
mod pass;
mod read;
mod repair;
mod request;
mod schema;
mod sequence;
mod source;
mod structure;
mod thinking;
mod to_chat;
mod tools;
mod usage;
mod whole;
mod write;

pub(super) use self::{
    assemble::of_events,
    decode::Decoder,
    encode::Encoder,
    error::{PING, error_body, error_event},
    forward::forward,
    names::tool_name,
    read::read,
    repair::pass_whole,
    request::carries,
    structure::is_structure,
    to_chat::{chat_carries, to_chat},
    whole::write_whole,
};
pub use self::{pass::StreamPass, request::to_anthropic_messages};

/// Version of the API: the value of `anthropic-version`.
pub(super) const VERSION: &str = "2023-06-01";

/// Returns the path to append to a provider's base URL.
pub(super) fn path(base_url: &str) -> &'static str {
    if base_url.ends_with("/v1") {
        "/messages"
    } else {
        "/v1/messages"
    }
}
