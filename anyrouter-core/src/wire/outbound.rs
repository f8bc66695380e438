//! Requests in a provider's protocol: path, headers and body.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    adjust::Adjustments, chat, fault::RequestFault, json::whole_characters, messages,
    request::Request,
};
use crate::{
    catalog::{Endpoint, Protocol},
    route::GATEWAY_MEMBERS,
};

/// Maximum nesting depth of a translated request; the client's request was already checked.
const DEPTH: usize = 1024;

/// A request to a provider, without its address and credential.
#[derive(Debug)]
pub struct Outbound {
    /// Path to append to the provider's base URL, such as `/chat/completions`.
    pub path: Cow<'static, str>,
    /// Headers that the protocol requires, such as `anthropic-version`.
    pub headers: HeaderMap,
    /// The body, in pieces.
    pub body: Vec<Bytes>,
}

/// Writes a request for `endpoint` in `protocol`. Changes and omissions are noted in `adjusted`.
/// `user` is the pseudonym of the end user for the provider.
pub fn outbound(
    protocol: Protocol,
    request: &Request,
    protocol_headers: &HeaderMap,
    endpoint: &Endpoint,
    base_url: &str,
    user: Option<&str>,
    adjusted: &mut Adjustments,
) -> Result<Outbound, RequestFault> {
    let mut headers = HeaderMap::with_capacity(12);
    Ok(match (request.protocol(), protocol) {
        (Protocol::Messages, Protocol::Messages) => Outbound {
            path: messages::path(base_url).into(),
            headers: {
                let version = HeaderValue::from_static(messages::VERSION);
                headers.insert("anthropic-version", version);
                headers.extend(protocol_headers.clone());
                headers
            },
            body: messages::forward(request, endpoint, user, adjusted),
        },
        (Protocol::Messages, Protocol::Chat) => Outbound {
            path: chat::PATH.into(),
            headers,
            body: {
                let dialect = endpoint.dialect(Protocol::Chat);
                let with_reasoning = dialect.reasoning_back.is_some();
                let whole = whole_characters(request.body())
                    .map(|body| messages::read(body.into(), DEPTH))
                    .transpose()?;
                if whole.is_some() {
                    adjusted.note("characters that were cut in half were sent as U+FFFD");
                }
                let request = whole.as_ref().unwrap_or(request);
                let chat = messages::to_chat(request, with_reasoning, adjusted)?;
                chat::read(chat.into(), DEPTH)?.to_openai_chat(endpoint, adjusted)
            },
        },
        (Protocol::Chat, Protocol::Chat) => Outbound {
            path: chat::PATH.into(),
            headers,
            body: request.to_openai_chat(endpoint, adjusted),
        },
        (Protocol::Chat, Protocol::Messages) => {
            let body = messages::to_anthropic_messages(request, endpoint, user, adjusted)?;
            let version = HeaderValue::from_static(messages::VERSION);
            headers.insert("anthropic-version", version);
            if let Ok(betas) = HeaderValue::try_from(adjusted.betas.join(","))
                && !betas.is_empty()
            {
                headers.insert("anthropic-beta", betas);
            }
            Outbound {
                path: messages::path(base_url).into(),
                headers,
                body: vec![body],
            }
        }
    })
}

/// Returns the header for a credential, and its value.
pub fn credential_header(protocol: Protocol, credential: &str) -> (HeaderName, String) {
    match protocol {
        Protocol::Chat => (header::AUTHORIZATION, format!("Bearer {credential}")),
        Protocol::Messages => (HeaderName::from_static("x-api-key"), credential.to_owned()),
    }
}

/// Returns true if `protocol` can express a member of the request.
pub fn carries(protocol: Protocol, request: &Request, member: &str) -> bool {
    match (request.protocol(), protocol) {
        (Protocol::Chat, Protocol::Chat) | (Protocol::Messages, Protocol::Messages) => true,
        (Protocol::Chat, Protocol::Messages) => messages::carries(request, member),
        (Protocol::Messages, Protocol::Chat) => {
            messages::chat_carries(member) || GATEWAY_MEMBERS.contains(&member)
        }
    }
}
