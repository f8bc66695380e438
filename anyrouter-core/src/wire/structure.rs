//! Classification of the leaves of a request that belong to its protocol and are never redacted.

use super::{chat, gemini, messages, responses};
use crate::{catalog::Protocol, redact::Step};

/// Returns true if a leaf of a request in `protocol` belongs to the gateway or the protocol, such
/// as a model, a role, a type, a tool's name, the name of a member or a provider's signature, and
/// has the form of one.
pub fn is_structure(protocol: Protocol, path: &[Step<'_>], content: &str) -> bool {
    match protocol {
        Protocol::Chat => chat::is_structure(path, content),
        Protocol::Messages => messages::is_structure(path, content),
        Protocol::Responses => responses::is_structure(path, content),
        Protocol::Gemini => gemini::is_structure(path, content),
    }
}
