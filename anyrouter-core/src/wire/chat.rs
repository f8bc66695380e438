//! The OpenAI chat completions protocol, for requests and answers. Source: OpenAI API reference,
//! *Chat*; additional members are those of OpenRouter.

mod answer;
mod assemble;
mod calls;
mod decode;
mod encode;
mod error;
mod forward;
mod history;
mod request;
mod shape;
mod stream;
mod structure;
mod usage;
mod whole;
mod write;

pub use self::{answer::plain, error::error_chunk, stream::StreamRelay};

pub(super) use self::{
    assemble::of_chunks, decode::Decoder, encode::Encoder, request::read, structure::is_structure,
    whole::write_whole,
};

/// Path to append to a provider's base URL.
pub(super) const PATH: &str = "/chat/completions";
