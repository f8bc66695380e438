//! Tokens and the finish reason of a response, and how far it has come.

use bytes::Bytes;

use crate::usage::Tokens;

/// What passed: counted, not kept.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// What the upstream reported, if it did and the numbers can be true.
    pub tokens: Option<Tokens>,
    /// Bytes of text that were answered.
    pub text: u64,
    /// Why it ended, in OpenAI's words.
    pub finish_reason: Option<String>,
    /// Why it ended, in the provider's words.
    pub native_finish_reason: Option<String>,
    /// The provider's id of the answer.
    pub upstream_id: Option<String>,
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The client was given something: content, a call, reasoning, or the end. From here on the
    /// endpoint is committed to.
    pub answered: bool,
    /// The answer is complete.
    pub done: bool,
}

/// A plain answer, ready for the client.
#[derive(Debug)]
pub struct PlainAnswer {
    /// The body.
    pub body: Bytes,
    /// What it says of itself.
    pub meter: Meter,
}
