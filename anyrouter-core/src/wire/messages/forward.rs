//! An Anthropic request for an upstream that speaks messages: the members that change are rewritten,
//! every other byte passes unchanged.

use bytes::Bytes;
use serde_json::json;

use super::thinking::MAX_TOKENS;
use crate::{
    catalog::{Endpoint, Protocol},
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        json::{push_member, push_number, push_string, push_value},
        request::Request,
    },
};

/// Values of more bytes are not copied.
const LONG: usize = 4096;

/// Writes the body for an Anthropic upstream: the model's name is replaced, the gateway's own
/// members are left out, the output limit is lowered to the endpoint's, and the end user's id is
/// replaced by `user`. It comes in pieces: a long value is a part of the body that came in.
pub(in crate::wire) fn forward(
    request: &Request,
    endpoint: &Endpoint,
    user: Option<&str>,
    adjusted: &mut Adjustments,
) -> Vec<Bytes> {
    let dialect = endpoint.dialect(Protocol::Messages);
    let body = request.body();
    let mut pieces = Vec::with_capacity(3);
    let mut out = Vec::with_capacity(body.len().min(LONG) + 256);
    out.push(b'{');
    for member in request.members() {
        let is = |name: &str| member.is(body, name);
        let value = member.value(body);
        if GATEWAY_MEMBERS.iter().any(|name| is(name)) {
            continue;
        }
        if let Some(name) = member.decoded_name(body)
            && value != b"null"
            && dialect.refuses(&name, request.reasoning.effort.as_deref())
        {
            adjusted.omit(name);
            continue;
        }
        push_member(&mut out, body.get(member.name.clone()).unwrap_or_default());
        if is("model") {
            push_string(&mut out, &endpoint.upstream_model);
        } else if let (true, Some(limit)) =
            (is("max_tokens"), request.output_limit(endpoint, adjusted))
        {
            push_number(&mut out, limit);
        } else if is("metadata") && request.user.is_some() {
            // Agents put ids of the person's device into it.
            adjusted.omit("metadata.user_id");
            match user {
                Some(user) => push_value(&mut out, &json!({"user_id": user})),
                None => out.extend_from_slice(b"{}"),
            }
        } else if value.len() > LONG {
            pieces.push(std::mem::take(&mut out).into());
            pieces.push(body.slice(member.value.clone()));
        } else {
            out.extend_from_slice(value);
        }
    }
    if request.max_tokens.is_none() {
        push_member(&mut out, b"\"max_tokens\"");
        push_number(&mut out, endpoint.max_output.unwrap_or(MAX_TOKENS));
    }
    if request.raw("model").is_none() {
        push_member(&mut out, b"\"model\"");
        push_string(&mut out, &endpoint.upstream_model);
    }
    out.push(b'}');
    pieces.push(out.into());
    pieces
}
