//! The parts of a request's HTTP head that the gateway reads.

use std::{borrow::Cow, net::IpAddr};

use bytes::Bytes;
use http::HeaderMap;

use super::respond::invalid;
use crate::{
    catalog::Protocol,
    secret::Secret,
    wire::{error::ApiError, inbound::inbound, request::Request},
};

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
    /// True if only the tokens of the request are to be counted, by a provider that does so.
    pub counts: bool,
    /// `X-AnyRouter-Provider`.
    pub pin: Option<String>,
    /// `X-AnyRouter-Credential`: the one credential of the account's own that may be used.
    pub credential: Option<String>,
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
    /// The model, and true for a stream, if the address says them and not the body.
    pub address: Option<(String, bool)>,
}

impl Head {
    /// Creates a head without any optional header.
    pub fn new(claim: Claim, protocol: Protocol) -> Self {
        Self {
            claim,
            protocol,
            counts: false,
            pin: None,
            credential: None,
            session_id: None,
            app: None,
            redact: false,
            trace_id: None,
            address: None,
            protocol_headers: HeaderMap::new(),
        }
    }

    /// Reads the body, which may nest `depth` levels deep.
    pub(super) fn read(&self, body: Bytes, depth: usize) -> Result<Request, ApiError> {
        let mut request = inbound(self.protocol, body, depth).map_err(invalid)?;
        if let Some((model, stream)) = &self.address {
            request.model = Some(model.clone());
            request.stream = *stream;
        }
        request.counts = self.counts;
        Ok(request)
    }
}
