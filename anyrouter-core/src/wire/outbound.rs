//! Requests in a provider's protocol: path, headers and body.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use memchr::memmem;

use super::{
    adjust::Adjustments, chat, client_metadata::Person, count::as_count, fault::RequestFault,
    gemini, inbound::inbound, json::whole_characters, messages, proof::Reader, request::Request,
    responses,
};
use crate::{
    catalog::{Endpoint, Protocol},
    part::Part as _,
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
/// `person` is what the provider may know of the client.
pub fn outbound(
    protocol: Protocol,
    request: &Request,
    protocol_headers: &HeaderMap,
    endpoint: &Endpoint,
    base_url: &str,
    person: &Person<'_>,
    adjusted: &mut Adjustments,
) -> Result<Outbound, RequestFault> {
    let user = person.user;
    let reader = Reader { endpoint, protocol };
    let mut headers = HeaderMap::with_capacity(12);
    if request.protocol() == Protocol::Responses && request.raw("store") == Some(b"true") {
        adjusted.note("store was sent as false: responses are not stored");
    }
    // Between two protocols, the request is first one of chat.
    let translated = if request.protocol() == protocol {
        headers.extend(protocol_headers.clone());
        None
    } else {
        as_chat(protocol, request, endpoint, adjusted)?
    };
    let is_same = request.protocol() == protocol;
    if !is_same && protocol != Protocol::Messages && has_cache_marks(request.body()) {
        adjusted.omit("cache_control");
    }
    let request = translated.as_ref().unwrap_or(request);
    let (path, body) = match protocol {
        Protocol::Chat => (
            chat::PATH.into(),
            request.to_openai_chat(endpoint, person, adjusted),
        ),
        Protocol::Messages => {
            let body = if is_same {
                messages::forward(request, reader, person, adjusted)
            } else {
                vec![messages::to_anthropic_messages(
                    request, endpoint, user, adjusted,
                )?]
            };
            let betas = adjusted.betas.join(",");
            for (name, value) in [
                ("anthropic-version", messages::VERSION),
                ("anthropic-beta", &betas),
            ] {
                if let (false, Ok(value)) = (value.is_empty(), HeaderValue::try_from(value)) {
                    headers.entry(name).or_insert(value);
                }
            }
            (messages::path(base_url).into(), body)
        }
        Protocol::Responses => (
            responses::PATH.into(),
            if is_same {
                responses::forward(request, reader, person, adjusted)
            } else {
                vec![responses::from_chat(request, endpoint, person, adjusted)?]
            },
        ),
        Protocol::Gemini => (
            gemini::path(&endpoint.upstream_model, request.stream).into(),
            if is_same {
                gemini::forward(request, reader, adjusted)
            } else {
                vec![gemini::from_chat(request, endpoint, adjusted)?]
            },
        ),
    };
    let (path, body) = if request.counts {
        let (path, body) = as_count(protocol, endpoint, path, &body.concat());
        (path, vec![body])
    } else {
        (path, body)
    };
    Ok(Outbound {
        path,
        headers,
        body,
    })
}

/// Returns true if the request has a member `cache_control` anywhere. In a text, its quotes would be
/// escaped.
fn has_cache_marks(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"cache_control\"";
    memmem::find_iter(body, NAME).any(|at| {
        let rest = body.part(at + NAME.len()..body.len());
        rest.trim_ascii_start().starts_with(b":")
    })
}

/// Returns a request of another protocol as one of chat, for an endpoint that speaks `protocol`;
/// `None` if it is one.
fn as_chat(
    protocol: Protocol,
    request: &Request,
    endpoint: &Endpoint,
    adjusted: &mut Adjustments,
) -> Result<Option<Request>, RequestFault> {
    let client = request.protocol();
    let reader = Reader { endpoint, protocol };
    if client == Protocol::Chat {
        let body = std::str::from_utf8(request.body()).unwrap_or_default();
        let Some(body) = reader.opened_details(body) else {
            return Ok(None);
        };
        let mut chat = chat::read(body.into(), DEPTH)?;
        chat.user.clone_from(&request.user);
        chat.cache_key.clone_from(&request.cache_key);
        return Ok(Some(chat));
    }
    let whole = whole_characters(request.body())
        .map(|body| inbound(client, body.into(), DEPTH))
        .transpose()?;
    if whole.is_some() {
        adjusted.note("characters that were cut in half were sent as U+FFFD");
    }
    let request = whole.as_ref().unwrap_or(request);
    let with_reasoning =
        protocol == Protocol::Chat && endpoint.dialect(Protocol::Chat).reasoning_back.is_some();
    let body = match client {
        Protocol::Chat => return Ok(None),
        Protocol::Messages => messages::to_chat(request, reader, with_reasoning, adjusted)?,
        Protocol::Responses => responses::to_chat(request, reader, with_reasoning, adjusted)?,
        Protocol::Gemini => gemini::to_chat(request, reader, with_reasoning, adjusted)?,
    };
    let mut chat = chat::read(body.into(), DEPTH)?;
    chat.user.clone_from(&request.user);
    chat.cache_key.clone_from(&request.cache_key);
    // Models that do not reason refuse the wish.
    chat.reasoning.is_shown |= request.reasoning.is_shown
        && (chat.reasoning.effort.is_some() || responses::reasons(endpoint));
    Ok(Some(chat))
}

/// Returns the header for a credential, and its value.
pub fn credential_header(protocol: Protocol, credential: &str) -> (HeaderName, String) {
    match protocol {
        Protocol::Chat | Protocol::Responses => {
            (header::AUTHORIZATION, format!("Bearer {credential}"))
        }
        Protocol::Messages => (HeaderName::from_static("x-api-key"), credential.to_owned()),
        Protocol::Gemini => (
            HeaderName::from_static("x-goog-api-key"),
            credential.to_owned(),
        ),
    }
}

/// Returns true if `protocol` can express a member of the request.
pub fn carries(protocol: Protocol, request: &Request, member: &str) -> bool {
    if request.protocol() == protocol || GATEWAY_MEMBERS.contains(&member) {
        return true;
    }
    match request.protocol() {
        Protocol::Chat => match protocol {
            Protocol::Chat => true,
            Protocol::Messages => messages::carries(request, member),
            Protocol::Responses => responses::carries(request, member),
            Protocol::Gemini => gemini::carries(request, member),
        },
        Protocol::Messages => messages::chat_carries(member),
        Protocol::Responses => responses::chat_carries(member),
        Protocol::Gemini => gemini::chat_carries(member),
    }
}
