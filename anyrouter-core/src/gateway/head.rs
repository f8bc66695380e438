//! What the HTTP head of a request says.

use std::{borrow::Cow, net::IpAddr};

use crate::{catalog::Protocol, secret::Secret};

/// What a request says of its sender.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// The key, as it was sent.
    pub key: Option<Secret<String>>,
    /// The address that it came from.
    pub ip: Option<IpAddr>,
    /// The route under the API's prefix, as `chat/completions`; empty for a management route.
    pub path: Cow<'static, str>,
}

/// What the HTTP head of a request says.
#[derive(Clone, Debug)]
pub struct Head {
    /// Who sends it.
    pub claim: Claim,
    /// The protocol of its body.
    pub protocol: Protocol,
    /// `X-AnyRouter-Provider`.
    pub pin: Option<String>,
    /// `x-session-id`.
    pub session_id: Option<String>,
    /// `X-AnyRouter-App`.
    pub app: Option<String>,
    /// `X-AnyRouter-Redact: upstream`.
    pub redact: bool,
    /// `X-AnyRouter-Trace-Id`.
    pub trace_id: Option<String>,
}

impl Head {
    /// A head that says nothing but this.
    pub const fn new(claim: Claim, protocol: Protocol) -> Self {
        Self {
            claim,
            protocol,
            pin: None,
            session_id: None,
            app: None,
            redact: false,
            trace_id: None,
        }
    }
}
