//! Forwarding of a request to an upstream of the same protocol: only members that change are
//! rewritten, and every other byte passes unchanged.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::from_chat::{NO_SIGNATURE, wants_signatures};
use crate::{
    catalog::Endpoint,
    part::Part as _,
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        json::{Object, members, objects, push_comma, push_member, push_string},
        proof,
        request::Request,
    },
};

/// Length in bytes above which a value is passed on as a slice of the body, without a copy.
const LONG: usize = 4096;
/// Maximum nesting depth, which was already scanned within a lower limit.
const DEPTH: usize = 1024;

/// Writes the body for an upstream: the gateway's own members and the model are left out, since the
/// address has the model, the output limit is lowered to the endpoint's, and proofs of other
/// providers' reasoning are removed. The pieces of the result share long values with the body of the
/// request.
pub(in crate::wire) fn forward(
    request: &Request,
    endpoint: &Endpoint,
    adjusted: &mut Adjustments,
) -> Vec<Bytes> {
    let body = request.body();
    let mut pieces = Vec::with_capacity(3);
    let mut out = Vec::with_capacity(body.len().min(LONG) + 256);
    out.push(b'{');
    for member in request.members() {
        let is = |name: &str| member.is(body, name);
        let value = member.value(body);
        if GATEWAY_MEMBERS.iter().any(|name| is(name)) || is("model") || is("stream") {
            continue;
        }
        if is("labels") && value != b"null" {
            // Vertex keeps them with the bill; their values are the client's own words.
            adjusted.omit("labels");
            continue;
        }
        push_member(&mut out, body.part(member.name.clone()));
        if (is("generationConfig") || is("generation_config"))
            && let Some(limit) = request.output_limit(endpoint, adjusted)
            && request.max_tokens.is_some_and(|asked| limit < asked)
            && let Ok(mut config) = serde_json::from_slice::<Map<String, Value>>(value)
        {
            config.remove("max_output_tokens");
            config.insert("maxOutputTokens".to_owned(), json!(limit));
            out.extend_from_slice(Value::Object(config).to_string().as_bytes());
        } else if is("contents")
            && let Some(contents) = without_foreign(value, wants_signatures(endpoint), adjusted)
        {
            out.extend_from_slice(&contents);
        } else if value.len() > LONG {
            pieces.push(std::mem::take(&mut out).into());
            pieces.push(body.slice(member.value.clone()));
        } else {
            out.extend_from_slice(value);
        }
    }
    out.push(b'}');
    pieces.push(out.into());
    pieces
}

/// Returns the contents without thoughts that other providers' proofs belong to; `None` if there are
/// none. With `wants_signatures`, the first call after such a thought says that it has none.
fn without_foreign(
    contents: &[u8],
    wants_signatures: bool,
    adjusted: &mut Adjustments,
) -> Option<Vec<u8>> {
    memchr::memmem::find(contents, proof::ENCODED_PREFIX.as_bytes())?;
    let is_foreign = |part: &Object<'_>| {
        signature(part).is_some_and(|s| {
            s.get(1..)
                .is_some_and(|s| s.starts_with(proof::ENCODED_PREFIX.as_bytes()))
        })
    };
    let mut is_changed = false;
    let mut out = vec![b'['];
    for (i, content) in objects(contents, DEPTH).ok()?.iter().enumerate() {
        let parts = content.get("parts").filter(|p| p.starts_with(b"["));
        let parts = parts
            .and_then(|p| objects(p, DEPTH).ok())
            .unwrap_or_default();
        push_comma(&mut out);
        if !parts.iter().any(is_foreign) {
            out.extend_from_slice(content.raw());
            continue;
        }
        is_changed = true;
        let mut kept = vec![b'['];
        let mut has_call = false;
        for (j, part) in parts.iter().enumerate() {
            if is_foreign(part) {
                adjusted.omit(format!("contents[{i}].parts[{j}].thoughtSignature"));
                if part.get("thought") == Some(b"true") {
                    continue;
                }
            }
            let is_call = part.get("functionCall").or(part.get("function_call"));
            let is_first_call = is_call.is_some() && !std::mem::replace(&mut has_call, true);
            let is_unsigned = is_foreign(part) || signature(part).is_none();
            let placeholder = wants_signatures && is_first_call && is_unsigned;
            push_comma(&mut kept);
            if is_foreign(part) || placeholder {
                push_without_signature(part, placeholder, &mut kept);
            } else {
                kept.extend_from_slice(part.raw());
            }
        }
        kept.push(b']');
        out.push(b'{');
        for (name, (quoted, value)) in content.members() {
            push_member(&mut out, quoted);
            out.extend_from_slice(if name == "parts" { &kept } else { value });
        }
        out.push(b'}');
    }
    out.push(b']');
    is_changed.then_some(out)
}

fn signature<'a>(part: &'a Object<'_>) -> Option<&'a [u8]> {
    part.get("thoughtSignature")
        .or(part.get("thought_signature"))
}

/// Appends a part without its signature; with `placeholder`, it says that the model made none.
fn push_without_signature(part: &Object<'_>, placeholder: bool, out: &mut Vec<u8>) {
    out.push(b'{');
    let raw = part.raw();
    for member in members(raw, DEPTH).unwrap_or_default() {
        if !member.is(raw, "thoughtSignature") && !member.is(raw, "thought_signature") {
            push_member(out, raw.part(member.name.clone()));
            out.extend_from_slice(member.value(raw));
        }
    }
    if placeholder {
        push_member(out, b"\"thoughtSignature\"");
        push_string(out, NO_SIGNATURE);
    }
    out.push(b'}');
}
