//! The parts of a request's HTTP head that the gateway reads.

use std::{borrow::Cow, net::IpAddr};

use http::HeaderMap;

use crate::{catalog::Protocol, secret::Secret};

/// A request's unverified statements about its sender.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// The key as sent.
    pub key: Option<Secret<String>>,
    /// Address of the client.
    pub ip: Option<IpAddr>,
    /// The route below the API's prefix, such as `chat/completions`; empty for a management route.
    pub path: Cow<'static, str>,
}

/// The parts of a request's HTTP head that the gateway reads.
#[derive(Clone, Debug)]
pub struct Head {
    /// Statements about the sender.
    pub claim: Claim,
    /// Protocol of the body.
    pub protocol: Protocol,
    /// `X-AnyRouter-Provider`.
    pub pin: Option<String>,
    /// `x-session-id`.
    pub session_id: Option<String>,
    /// `X-AnyRouter-App`.
    pub app: Option<String>,
    /// `X-AnyRouter-Redact: upstream`.
    pub redact: bool,
    /// Headers of the client's protocol, which go to an upstream that speaks the same one.
    pub protocol_headers: HeaderMap,
    /// `X-AnyRouter-Trace-Id`.
    pub trace_id: Option<String>,
}

impl Head {
    /// Creates a head without any optional header.
    pub fn new(claim: Claim, protocol: Protocol) -> Self {
        Self {
            claim,
            protocol,
            pin: None,
            session_id: None,
            app: None,
            redact: false,
            trace_id: None,
            protocol_headers: HeaderMap::new(),
        }
    }
}
