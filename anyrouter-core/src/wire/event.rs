//! The events of an answer, whatever protocol it came in: a decoder makes them from an upstream's
//! stream, an encoder writes them in the client's protocol.
//!
//! Grammar: blocks, each `Open`, `Delta*`, `Close`, one after the other; then `Finish`. Strings are
//! raw JSON with their quotes, so that text passes from protocol to protocol without unescaping.

/// An event of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A block begins.
    Open(Block<'a>),
    /// The open block continues.
    Delta(Delta<'a>),
    /// The open block ends.
    Close,
    /// The answer is complete, with its finish reason in OpenAI's words. Usage is in the meter.
    Finish(&'a str),
}

/// The kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// Text for the user.
    Text,
    /// The model's reasoning.
    Reasoning,
    /// The call of a tool.
    Call {
        /// Id of the call.
        id: &'a str,
        /// Name of the tool.
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
    /// Arguments of a call: a piece of a JSON object, as a string.
    Arguments(&'a str),
}
