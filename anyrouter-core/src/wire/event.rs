//! Events of an answer, independent of its protocol: a decoder creates them from an upstream's
//! stream, and an encoder writes them in the client's protocol.
//!
//! Grammar: `Start`; blocks, each `Open`, `Delta*`, `Close`, numbered from 0 in the order in which
//! they open, of which several may be open at once; then `Finish`. Strings are raw JSON with their
//! quotes, so that text passes from protocol to protocol without unescaping.

use super::{fault::AnswerFault, meta::ResponseMeta};

/// An event of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The answer begins.
    Start,
    /// A block begins.
    Open(usize, Block<'a>),
    /// The block with this number continues.
    Delta(usize, Delta<'a>),
    /// The block with this number ends.
    Close(usize),
    /// The answer is complete, with OpenAI's finish reason. The meter has the usage.
    Finish(&'a str),
}

/// The kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// Text for the user.
    Text,
    /// The model's reasoning.
    Reasoning,
    /// Reasoning that only the provider can read.
    Redacted(&'a str),
    /// The call of a tool.
    Call {
        /// Id of the call.
        id: &'a str,
        /// Name of the tool, as the provider knows it.
        name: &'a str,
    },
}

/// A piece of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    /// Text.
    Text(&'a str),
    /// Reasoning.
    Reasoning(&'a str),
    /// The provider's signature of the reasoning.
    Signature(&'a str),
    /// A piece of the JSON object of a call's arguments, as a string.
    Arguments(&'a str),
}

/// Receives the events of an answer with its names. An error ends the answer.
pub type Sink<'a> = dyn FnMut(&ResponseMeta, Event<'_>) -> Result<(), AnswerFault> + 'a;
