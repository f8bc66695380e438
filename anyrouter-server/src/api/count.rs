//! Counting the tokens of a request by a provider that does so, if the policy admits it.

use anyrouter_core::{account::Caller, catalog::Protocol, gateway::Head};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::{
    app::App,
    intake::{ClientIp, InferenceRoute, head},
};

/// Returns the head of a request whose tokens are to be counted.
pub(super) fn head_of(
    protocol: Protocol,
    address: Option<String>,
    headers: &HeaderMap,
    ip: ClientIp,
) -> Head {
    let name = match protocol {
        Protocol::Gemini => "models/countTokens",
        Protocol::Chat | Protocol::Responses | Protocol::Messages => "messages/count_tokens",
    };
    let route = InferenceRoute {
        protocol,
        name,
        address: address.map(|model| (model, false)),
        is_array: false,
    };
    let mut head = head(headers, ip.0, route);
    head.counts = true;
    head
}

/// Returns the number of tokens that a provider counted. `None` if none that the policy admits does so,
/// and nothing was sent; or if it failed.
pub(super) async fn by_provider(
    app: &App,
    head: Head,
    caller: &Caller,
    body: Bytes,
) -> Option<u64> {
    if !app.gateway.has_counter(&head, caller, body.clone()) {
        return None;
    }
    let response = Box::pin(app.gateway.serve(head, async |_| Ok(body))).await;
    if response.status() != 200 {
        return None;
    }
    let body = response.into_body().collect().await.ok()?.to_bytes();
    let counted: Value = serde_json::from_slice(&body).ok()?;
    let number = counted.get("input_tokens").or(counted.get("totalTokens"));
    number?.as_u64()
}
