//! Forwarding of a Responses request to an upstream of the same protocol: only members that change
//! are rewritten, and every other byte passes unchanged.

use bytes::Bytes;
use serde_json::Value;

use super::{from_chat::reasons, read::items};
use crate::{
    catalog::{Endpoint, Protocol},
    part::Part as _,
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        client_metadata::{CACHE_KEY_NOTE, Person, Treatment},
        json::{Object, push_comma, push_member, push_number, push_string, push_value},
        proof::{Reader, Whose},
        request::Request,
    },
};

/// Length in bytes above which a value is passed on as a slice of the body, without a copy.
const LONG: usize = 4096;
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Writes the body for a Responses upstream: the model's name is replaced, the gateway's own members
/// are left out, nothing is stored, and the end user's id is replaced by a pseudonym. The pieces of the
/// result share long values with the body of the request.
pub(in crate::wire) fn forward(
    request: &Request,
    reader: Reader<'_>,
    person: &Person<'_>,
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
        let is_left_out = GATEWAY_MEMBERS.iter().any(|name| is(name))
            || is("store")
            || is("include")
            || is_refused(request, endpoint, &is, value, adjusted);
        if is_left_out {
            continue;
        }
        let treatment = member
            .decoded_name(body)
            .filter(|_| value != b"null")
            .and_then(|name| Some((person.treatment(Protocol::Responses, &name)?, name)));
        if let Some((Treatment::Remove, name)) = treatment {
            adjusted.omit(name);
            continue;
        }
        push_member(&mut out, body.part(member.name.clone()));
        if let Some((Treatment::Hash, _)) = treatment {
            adjusted.note(CACHE_KEY_NOTE);
            match person.cache_key {
                Some(key) => push_string(&mut out, key),
                None => out.extend_from_slice(b"null"),
            }
        } else if is("model") {
            push_string(&mut out, &endpoint.upstream_model);
        } else if is("max_output_tokens")
            && let Some(limit) = request.output_limit(endpoint, adjusted)
            && request.max_tokens.is_some_and(|asked| limit < asked)
        {
            push_number(&mut out, limit);
        } else if let Some(name) = ["user", "safety_identifier"].into_iter().find(|n| is(n))
            && value != b"null"
        {
            adjusted.omit(name);
            match person.user {
                Some(user) => push_string(&mut out, user),
                None => out.extend_from_slice(b"null"),
            }
        } else if is("input")
            && let Some(input) = items_for(value, &reader, adjusted)
        {
            out.extend_from_slice(&input);
        } else if value.len() > LONG {
            pieces.push(std::mem::take(&mut out).into());
            pieces.push(body.slice(member.value.clone()));
        } else {
            out.extend_from_slice(value);
        }
    }
    if !request.members().iter().any(|m| m.is(body, "model")) {
        push_member(&mut out, b"\"model\"");
        push_string(&mut out, &endpoint.upstream_model);
    }
    push_include(&mut out, request, endpoint);
    push_member(&mut out, b"\"store\"");
    out.extend_from_slice(b"false}");
    pieces.push(out.into());
    pieces
}

/// Returns true if the endpoint refuses a member. `adjusted` lists it unless its value is the
/// default.
fn is_refused(
    request: &Request,
    endpoint: &Endpoint,
    is: &dyn Fn(&str) -> bool,
    value: &[u8],
    adjusted: &mut Adjustments,
) -> bool {
    let dialect = endpoint.dialect(Protocol::Responses);
    let effort = request.reasoning.effort.as_deref();
    for name in ["temperature", "top_p"] {
        if is(name) && value != b"null" && dialect.refuses(name, effort) {
            if !matches!(value, b"1" | b"1.0") {
                adjusted.omit(name);
            }
            return true;
        }
    }
    false
}

/// Appends `include`, with encrypted reasoning if the model reasons: nothing is stored, so the client
/// has to send it again.
fn push_include(out: &mut Vec<u8>, request: &Request, endpoint: &Endpoint) {
    let mut include: Vec<Value> = request
        .get("include", "a list of strings")
        .ok()
        .flatten()
        .unwrap_or_default();
    let asks = request
        .reasoning
        .effort
        .as_deref()
        .is_some_and(|e| e != "none");
    if (asks || reasons(endpoint)) && !include.contains(&ENCRYPTED.into()) {
        include.push(ENCRYPTED.into());
    }
    if !include.is_empty() {
        push_member(out, b"\"include\"");
        push_value(out, &Value::Array(include));
    }
}

/// Returns the input as the endpoint reads it: without the ids of its items, since none are stored,
/// with the proofs of reasoning that its provider made, and without reasoning that it cannot read, which
/// is unencrypted or another provider's. `None` if nothing changes.
fn items_for(input: &[u8], reader: &Reader<'_>, adjusted: &mut Adjustments) -> Option<Vec<u8>> {
    if !input.starts_with(b"[") {
        return None;
    }
    let items = items(input).ok()?;
    let mut is_changed = false;
    let mut out = Vec::with_capacity(input.len());
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        let proof = item.get("encrypted_content").filter(|p| *p != b"null");
        let whose = proof
            .filter(|proof| *proof != b"\"\"")
            .map(|proof| reader.whose(proof));
        let is_reasoning = item.get("type") == Some(b"\"reasoning\"");
        if whose == Some(Whose::Foreign) || is_reasoning && whose.is_none() {
            is_changed = true;
            adjusted.omit(format!("input[{i}]"));
            continue;
        }
        let has_no_id = item.get("id").is_none() || !may_lack_id(item);
        push_comma(&mut out);
        if has_no_id && !matches!(whose, Some(Whose::Own(_))) {
            out.extend_from_slice(item.raw());
            continue;
        }
        is_changed = true;
        out.push(b'{');
        for (name, (quoted, value)) in item.members() {
            match (&*name, &whose) {
                ("id", _) if !has_no_id => {}
                ("encrypted_content", Some(Whose::Own(proof))) => {
                    push_member(&mut out, quoted);
                    push_string(&mut out, proof);
                }
                _ => {
                    push_member(&mut out, quoted);
                    out.extend_from_slice(value);
                }
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    is_changed.then_some(out)
}

/// Returns true for the items whose `id` the protocol does not require in a request, or that only
/// name a stored item.
fn may_lack_id(item: &Object<'_>) -> bool {
    match item.get("type") {
        None => true,
        Some(kind) => [
            &b"\"message\""[..],
            b"\"function_call\"",
            b"\"function_call_output\"",
            b"\"reasoning\"",
            b"\"custom_tool_call\"",
            b"\"custom_tool_call_output\"",
        ]
        .contains(&kind),
    }
}
