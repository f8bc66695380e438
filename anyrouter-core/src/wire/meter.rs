//! Metering of a response: tokens, finish reason and progress.

use bytes::Bytes;

use crate::usage::Tokens;

/// The meter of a response: counts of its contents, which are not kept.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Usage that the upstream reported, if it is plausible.
    pub tokens: Option<Tokens>,
    /// Bytes of text in the answer.
    pub text: u64,
    /// Finish reason, in OpenAI's terms.
    pub finish_reason: Option<String>,
    /// Finish reason, in the provider's terms.
    pub native_finish_reason: Option<String>,
    /// The provider's id of the answer.
    pub upstream_id: Option<String>,
}

/// Progress of an answer after some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// True if there is something for the client: content, a call, reasoning, or the end. From here
    /// on, the request is committed to the endpoint.
    pub answered: bool,
    /// True if the answer is complete.
    pub done: bool,
}

impl Progress {
    /// Adds the progress of further bytes.
    pub(super) fn add(&mut self, more: Self) {
        self.answered |= more.answered;
        self.done |= more.done;
    }
}

/// Reads a count of tokens; some relays write floats or strings. An unreadable count is treated as
/// absent, so that it does not invalidate a good answer.
pub(super) fn count(value: &serde_json::Value) -> Option<u64> {
    let float = || {
        value
            .as_f64()
            .filter(|n| *n >= 0.0 && *n < 9e15)
            .map(|n| n as u64)
    };
    value
        .as_u64()
        .or_else(float)
        .or_else(|| value.as_str()?.parse().ok())
}

/// A plain answer, ready for the client.
#[derive(Debug)]
pub struct PlainAnswer {
    /// The body.
    pub body: Bytes,
    /// Meter of the answer.
    pub meter: Meter,
}
