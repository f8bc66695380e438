//! Google's `generateContent` protocol. Between a client and an upstream that both speak it, bytes
//! pass unchanged except for a few members. Source: Gemini API reference, *Generating content*, and
//! the types of Google's JavaScript SDK. The model and the switch for streams are in the address.

mod decode;
mod encode;
mod error;
mod event;
mod forward;
mod from_chat;
mod partial;
mod pass;
mod read;
mod schema;
mod structure;
mod to_chat;
mod usage;

use std::fmt::Write as _;

pub use self::pass::StreamPass;
pub(super) use self::{
    decode::Decoder,
    encode::{Encoder, of_events, write_whole},
    error::{error_body, error_event},
    forward::forward,
    from_chat::{carries, from_chat},
    pass::pass_whole,
    read::read,
    structure::is_structure,
    to_chat::{chat_carries, to_chat},
};

/// The keep-alive of a stream: any comment breaks Google's packages.
pub(super) const KEEP_ALIVE: &[u8] = b"\r\n";

/// Returns the path to append to a provider's base URL.
pub(super) fn path(model: &str, is_stream: bool) -> String {
    let mut path = String::with_capacity(model.len() + 40);
    path.push_str("/models/");
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path.push_str(if is_stream {
        ":streamGenerateContent?alt=sse"
    } else {
        ":generateContent"
    });
    path
}
