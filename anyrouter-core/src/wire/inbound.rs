//! Parsing of a client's body as a request, in any protocol.

use bytes::Bytes;

use super::{chat, fault::RequestFault, gemini, messages, request::Request, responses};
use crate::catalog::Protocol;

/// Reads a body in `protocol` that may nest `depth` deep.
pub fn inbound(protocol: Protocol, body: Bytes, depth: usize) -> Result<Request, RequestFault> {
    match protocol {
        Protocol::Chat => chat::read(body, depth),
        Protocol::Messages => messages::read(body, depth),
        Protocol::Responses => responses::read(body, depth),
        Protocol::Gemini => gemini::read(body, depth),
    }
}

/// Returns the member of a request that has the conversation.
pub const fn prompt(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat | Protocol::Messages => "messages",
        Protocol::Responses => "input",
        Protocol::Gemini => "contents",
    }
}
