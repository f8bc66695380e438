//! OpenAI chat completions, in and out. Source: OpenAI API reference, *Chat*; the members beyond it
//! are OpenRouter's.

mod answer;
mod assemble;
mod error;
mod forward;
mod history;
mod request;
mod shape;
mod stream;
mod structure;
mod usage;
mod write;

pub use self::{answer::plain, error::error_chunk, stream::StreamRelay};

pub(super) use self::{
    assemble::of_chunks,
    request::read,
    structure::is_structure,
    write::{push_chunk_start, push_stream_end, push_usage_of},
};

/// What is appended to a provider's base address.
pub(super) const PATH: &str = "/chat/completions";
