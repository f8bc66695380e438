//! OpenAI chat completions, in and out. Source: OpenAI API reference, *Chat*; the members beyond it
//! are OpenRouter's.

mod answer;
mod assemble;
mod history;
mod request;
mod shape;
mod stream;
mod usage;

pub use self::{
    answer::plain,
    request::{ChatRequest, Reasoning, RequestFault},
    stream::StreamRelay,
};

pub(super) use self::assemble::of_chunks;

pub(crate) use self::request::member_problem;

/// What is appended to a provider's base address.
pub const PATH: &str = "/chat/completions";
