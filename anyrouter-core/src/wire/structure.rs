//! Which leaves of a request belong to its protocol, and are never redacted.

use super::chat;
use crate::{catalog::Protocol, redact::Step};

/// Returns true if a leaf of a request in `protocol` is the gateway's or the protocol's own, as a
/// model, a role, a type, a tool's name, the name of a member or a provider's proof, and reads like
/// one.
pub fn is_structure(protocol: Protocol, path: &[Step<'_>], content: &str) -> bool {
    match protocol {
        // Messages are translated from chat, and come in no other way.
        Protocol::Chat | Protocol::Messages => chat::is_structure(path, content),
    }
}
