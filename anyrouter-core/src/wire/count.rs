//! Counting the tokens of a request without answering it, by providers that do so. Sources: the API
//! references of Anthropic (*Count tokens*) and Google (*models.countTokens*).

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    fault::AnswerFault,
    json::object_of,
    meter::{Meter, PlainAnswer, count},
};
use crate::{
    catalog::{Endpoint, Protocol},
    usage::Tokens,
};

/// Members of a message that a count takes.
const COUNTED: [&str; 8] = [
    "cache_control",
    "messages",
    "model",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// Returns true if the endpoint counts the tokens of requests in this protocol.
pub fn counts(endpoint: &Endpoint, protocol: Protocol) -> bool {
    let address = endpoint.address(protocol);
    address.is_some_and(|a| a.protocol == protocol)
        && endpoint.dialect(protocol).counts_tokens == Some(true)
}

/// Turns a request to a provider into one that counts its tokens: path and body.
pub(super) fn as_count(
    protocol: Protocol,
    endpoint: &Endpoint,
    path: Cow<'static, str>,
    body: &[u8],
) -> (Cow<'static, str>, Bytes) {
    let mut members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    match protocol {
        Protocol::Messages => {
            members.retain(|name, _| COUNTED.contains(&name.as_str()));
            let body = Value::Object(members).to_string();
            (format!("{path}/count_tokens").into(), body.into())
        }
        Protocol::Gemini => {
            let model = format!("models/{}", endpoint.upstream_model);
            members.insert("model".to_owned(), json!(model));
            let body = object_of([("generateContentRequest", members.into())]);
            let model = path.rsplit_once(':').map_or(&*path, |(model, _)| model);
            (
                format!("{model}:countTokens").into(),
                body.to_string().into(),
            )
        }
        // No provider of these counts.
        Protocol::Chat | Protocol::Responses => (path, Value::Object(members).to_string().into()),
    }
}

/// Reads a provider's count, and writes it as the client gets it.
pub(crate) fn counted(protocol: Protocol, body: &[u8]) -> Result<PlainAnswer, AnswerFault> {
    let name = match protocol {
        Protocol::Gemini => "totalTokens",
        Protocol::Chat | Protocol::Responses | Protocol::Messages => "input_tokens",
    };
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    let number = read.get(name).and_then(count);
    let number = number.ok_or(AnswerFault::NotTheProtocol("a count of tokens"))?;
    // Nothing was answered, so nothing is paid for.
    let meter = Meter {
        tokens: Some(Tokens::default()),
        ..Meter::default()
    };
    let body = object_of([(name, number.into()), ("estimated", false.into())]);
    Ok(PlainAnswer {
        body: body.to_string().into(),
        meter,
    })
}
