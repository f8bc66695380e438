//! Forwarding of a request to an upstream of the same protocol: only members that change are
//! rewritten, and every other byte passes unchanged.

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value, json};

use super::from_chat::{NO_SIGNATURE, wants_signatures};
use crate::{
    part::Part as _,
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        json::{Object, members, objects, push_comma, push_member, push_string},
        proof::{Reader, Whose},
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
    reader: Reader<'_>,
    adjusted: &mut Adjustments,
) -> Vec<Bytes> {
    let endpoint = reader.endpoint;
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
            && let Some(contents) = readable(value, &reader, adjusted)
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

/// Returns the contents with the proofs that the endpoint made, and without thoughts that other
/// providers' proofs belong to; `None` if nothing changes. The first call after such a thought says that
/// it has none, if the model wants one.
fn readable(contents: &[u8], reader: &Reader<'_>, adjusted: &mut Adjustments) -> Option<Vec<u8>> {
    memmem::find(contents, b"ignature\"")?;
    let wants_signatures = wants_signatures(reader.endpoint);
    let whose = |part: &Object<'_>| match signature(part) {
        Some(placeholder) if placeholder == quoted_placeholder() => Whose::Raw,
        Some(proof) => reader.whose(proof),
        None => Whose::Raw,
    };
    let mut is_changed = false;
    let mut out = vec![b'['];
    for (i, content) in objects(contents, DEPTH).ok()?.iter().enumerate() {
        let parts = content.get("parts").filter(|p| p.starts_with(b"["));
        let parts = parts
            .and_then(|p| objects(p, DEPTH).ok())
            .unwrap_or_default();
        push_comma(&mut out);
        let whose: Vec<Whose> = parts.iter().map(whose).collect();
        if whose.iter().all(|whose| *whose == Whose::Raw) {
            out.extend_from_slice(content.raw());
            continue;
        }
        is_changed = true;
        let mut kept = vec![b'['];
        let mut has_call = false;
        for (j, (part, whose)) in parts.iter().zip(&whose).enumerate() {
            let is_foreign = *whose == Whose::Foreign;
            if is_foreign {
                adjusted.omit(format!("contents[{i}].parts[{j}].thoughtSignature"));
                if part.get("thought") == Some(b"true") {
                    continue;
                }
            }
            let is_call = part.get("functionCall").or(part.get("function_call"));
            let is_first_call = is_call.is_some() && !std::mem::replace(&mut has_call, true);
            let is_unsigned = is_foreign || signature(part).is_none();
            let placeholder = wants_signatures && is_first_call && is_unsigned;
            push_comma(&mut kept);
            let proof = match whose {
                Whose::Own(proof) => Some(proof.as_str()),
                Whose::Foreign | Whose::Raw => placeholder.then_some(NO_SIGNATURE),
            };
            if is_foreign || proof.is_some() {
                push_with_signature(part, proof, &mut kept);
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

fn quoted_placeholder() -> Vec<u8> {
    format!("\"{NO_SIGNATURE}\"").into_bytes()
}

/// Appends a part with this signature in place of its own.
fn push_with_signature(part: &Object<'_>, signature: Option<&str>, out: &mut Vec<u8>) {
    out.push(b'{');
    let raw = part.raw();
    for member in members(raw, DEPTH).unwrap_or_default() {
        if !member.is(raw, "thoughtSignature") && !member.is(raw, "thought_signature") {
            push_member(out, raw.part(member.name.clone()));
            out.extend_from_slice(member.value(raw));
        }
    }
    if let Some(signature) = signature {
        push_member(out, b"\"thoughtSignature\"");
        push_string(out, signature);
    }
    out.push(b'}');
}
