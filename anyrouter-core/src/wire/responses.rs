//! The OpenAI Responses protocol. Between a client and an upstream that both speak it, bytes pass
//! unchanged except for a few members. Source: OpenAI API reference, *Responses* and *Streaming*.
//! No response is stored: `store` is always false, and reasoning goes back encrypted.

mod decode;
mod encode;
mod error;
mod event;
mod forward;
mod from_chat;
mod pass;
mod passing;
mod read;
mod structure;
mod to_chat;
mod told;
mod tools;
mod usage;
mod write;

pub use self::pass::StreamPass;
pub(super) use self::{
    decode::Decoder,
    encode::{Encoder, of_events, write_whole},
    error::failed_event,
    forward::forward,
    from_chat::{carries, from_chat, reasons},
    pass::pass_whole,
    read::read,
    structure::is_structure,
    to_chat::{chat_carries, to_chat},
};

/// Path to append to a provider's base URL.
pub(super) const PATH: &str = "/responses";
