//! Anthropic messages, as an upstream's protocol: OpenAI chat requests are translated into it,
//! answers out of it. Source: Anthropic API reference, *Messages*, *Streaming messages*, *Extended
//! thinking*, *Adaptive thinking*, *Structured outputs*.

mod answer;
mod blocks;
mod cache_control;
mod conversation;
mod names;
mod read;
mod request;
mod schema;
mod source;
mod stream;
mod thinking;
mod tools;
mod usage;

pub use self::{answer::plain, request::to_anthropic_messages, stream::StreamTranslator};
pub(super) use self::{read::read, request::carries};

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
