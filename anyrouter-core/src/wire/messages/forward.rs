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
        json::{Object, objects, push_comma, push_member, push_number, push_string, push_value},
        request::Request,
    },
};

/// Values of more bytes are not copied.
const LONG: usize = 4096;
/// Nesting depth of messages, which were scanned within a lower limit before.
const DEPTH: usize = 1024;

/// Returns the messages without thinking blocks that have no signature, which Anthropic refuses:
/// this gateway makes them of the reasoning of other providers. `None` if there are none.
fn signed_only(messages: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(messages, b"\"thinking\"")?;
    let is_unsigned = |block: &Object<'_>| {
        block.get("type") == Some(b"\"thinking\"")
            && matches!(block.get("signature"), None | Some(b"\"\""))
    };
    let mut is_changed = false;
    let mut out = vec![b'['];
    for message in objects(messages, DEPTH).ok()? {
        let content = message.get("content").filter(|c| c.starts_with(b"["));
        let blocks = content
            .and_then(|c| objects(c, DEPTH).ok())
            .unwrap_or_default();
        if !blocks.iter().any(is_unsigned) {
            push_comma(&mut out);
            out.extend_from_slice(message.raw());
            continue;
        }
        is_changed = true;
        let kept: Vec<&Object<'_>> = blocks.iter().filter(|b| !is_unsigned(b)).collect();
        if kept.is_empty() {
            continue;
        }
        push_comma(&mut out);
        out.push(b'{');
        for (name, (quoted, value)) in message.members() {
            push_member(&mut out, quoted);
            if name == "content" {
                out.push(b'[');
                for block in &kept {
                    push_comma(&mut out);
                    out.extend_from_slice(block.raw());
                }
                out.push(b']');
            } else {
                out.extend_from_slice(value);
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    is_changed.then_some(out)
}

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
        } else if let Some(messages) = is("messages").then(|| signed_only(value)).flatten() {
            pieces.push(std::mem::take(&mut out).into());
            pieces.push(messages.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_without_a_signature_stay_behind_and_nothing_else_changes() {
        let signed = r#"[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"c2ln"},{"type":"text","text":"\u00e9"}]}]"#;
        assert_eq!(signed_only(signed.as_bytes()), None);
        let unsigned = r#"[ {"role":"user","content":"x"},{"role":"assistant", "content":[{"type":"thinking","thinking":"a","signature":""}, {"type":"text","text":"\u00e9" }],"y":1.0},{"role":"assistant","content":[{"type":"thinking","thinking":"b"}]}]"#;
        assert_eq!(
            String::from_utf8(signed_only(unsigned.as_bytes()).unwrap()).unwrap(),
            r#"[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"\u00e9" }],"y":1.0}]"#
        );
    }
}
