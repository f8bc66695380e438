//! Forwarding of an Anthropic request to an upstream of the same protocol: only members that change
//! are rewritten, and every other byte passes unchanged.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    billing::without_billing,
    thinking::{LEAST_BUDGET, MAX_TOKENS},
};
use crate::{
    catalog::{Endpoint, Protocol, Sampling},
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        client_metadata::{BILLING, Person},
        json::{
            Object, members, objects, push_comma, push_member, push_number, push_string, push_value,
        },
        proof::PREFIX,
        request::Request,
    },
};

/// Length in bytes above which a value is passed on as a slice of the body, without a copy.
const LONG: usize = 4096;
/// Maximum nesting depth of messages, which were already scanned within a lower limit.
const DEPTH: usize = 1024;

/// Returns the messages without their thinking blocks that are unsigned or that another provider
/// signed; `None` if there are none. Anthropic refuses such blocks, and this gateway creates them from
/// the reasoning of other providers.
fn signed_only(messages: &[u8], adjusted: &mut Adjustments) -> Option<Vec<u8>> {
    memchr::memmem::find(messages, b"thinking\"")?;
    let is_foreign = |proof: &[u8]| {
        proof
            .get(1..)
            .is_some_and(|proof| proof.starts_with(PREFIX.as_bytes()))
    };
    let is_unsigned = |block: &Object<'_>| match block.get("type") {
        Some(b"\"thinking\"") => block
            .get("signature")
            .is_none_or(|proof| proof == b"\"\"" || is_foreign(proof)),
        Some(b"\"redacted_thinking\"") => block.get("data").is_some_and(is_foreign),
        _ => false,
    };
    let mut is_changed = false;
    let mut out = vec![b'['];
    for (m, message) in objects(messages, DEPTH).ok()?.iter().enumerate() {
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
        let mut kept = Vec::with_capacity(blocks.len());
        for (b, block) in blocks.iter().enumerate() {
            if is_unsigned(block) {
                adjusted.omit(format!("messages[{m}].content[{b}]"));
            } else {
                kept.push(block);
            }
        }
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

/// Returns `thinking` with a budget that is less than `limit`, if it is not: Anthropic refuses it.
/// Without room for the least budget, thinking is turned off.
fn thinking_within(thinking: &[u8], limit: u64) -> Option<Vec<u8>> {
    let mut thinking: Map<String, Value> = serde_json::from_slice(thinking).ok()?;
    let budget = thinking.get_mut("budget_tokens")?;
    if budget.as_f64()? < limit as f64 {
        return None;
    }
    *budget = (limit - 1).into();
    let thinking = if limit > LEAST_BUDGET {
        Value::Object(thinking)
    } else {
        json!({"type": "disabled"})
    };
    Some(thinking.to_string().into_bytes())
}

/// Returns true if the model refuses a sampling member with this value: newer models accept only the
/// defaults.
fn refuses_sampling(sampling: Option<Sampling>, name: &str, value: &[u8]) -> bool {
    let number = serde_json::from_slice::<f64>(value).ok();
    sampling == Some(Sampling::None)
        && match name {
            "temperature" => number != Some(1.0),
            "top_p" => number.is_none_or(|top_p| top_p < 0.99),
            "top_k" => true,
            _ => false,
        }
}

/// Writes the body for an Anthropic upstream: the model's name is replaced, the gateway's own
/// members are left out, the output limit is lowered to the endpoint's, and the end user's id is
/// replaced by the person's pseudonym. The pieces of the result share long values with the body of the request.
pub(in crate::wire) fn forward(
    request: &Request,
    endpoint: &Endpoint,
    person: &Person<'_>,
    adjusted: &mut Adjustments,
) -> Vec<Bytes> {
    let dialect = endpoint.dialect(Protocol::Messages);
    let limit = request
        .output_limit(endpoint, adjusted)
        .unwrap_or_else(|| endpoint.max_output.unwrap_or(MAX_TOKENS));
    let is_lowered = request.max_tokens.is_none_or(|asked| limit < asked);
    let body = request.body();
    let mut pieces = Vec::with_capacity(3);
    let mut out = Vec::with_capacity(body.len().min(LONG) + 256);
    out.push(b'{');
    for member in request.members() {
        let is = |name: &str| member.is(body, name);
        let value = member.value(body);
        if GATEWAY_MEMBERS.iter().any(|name| is(name)) || is("max_tokens") && value == b"null" {
            continue;
        }
        // Names of a person, of which the provider gets a pseudonym.
        if let Some(name) = ["user", "user_profile_id"].iter().find(|name| is(name)) {
            adjusted.omit(*name);
            continue;
        }
        if let Some(name) = member.decoded_name(body)
            && value != b"null"
            && (dialect.refuses(&name, request.reasoning.effort.as_deref())
                || refuses_sampling(dialect.sampling, &name, value))
        {
            adjusted.omit(name);
            continue;
        }
        push_member(&mut out, body.get(member.name.clone()).unwrap_or_default());
        if is("model") {
            push_string(&mut out, &endpoint.upstream_model);
        } else if is("max_tokens") {
            push_number(&mut out, limit);
        } else if is("metadata") && value != b"null" {
            // Agents put the id of the user's device into it.
            for member in members(value, DEPTH).unwrap_or_default() {
                let name = member.decoded_name(value).unwrap_or_default();
                adjusted.omit(format!("metadata.{name}"));
            }
            match person.user {
                Some(user) => push_value(&mut out, &json!({"user_id": user})),
                None => out.extend_from_slice(b"{}"),
            }
        } else if let Some(thinking) = (is_lowered && is("thinking"))
            .then(|| thinking_within(value, limit))
            .flatten()
        {
            adjusted.note(format!(
                "thinking.budget_tokens was lowered below max_tokens, which is {limit} here"
            ));
            out.extend_from_slice(&thinking);
        } else if let Some(system) = (is("system")
            && person.treatment(Protocol::Messages, BILLING).is_some())
        .then(|| without_billing(value))
        .flatten()
        {
            adjusted.omit(if value.starts_with(b"[") {
                "system[0]"
            } else {
                "system, its first line"
            });
            pieces.push(std::mem::take(&mut out).into());
            pieces.push(system.into());
        } else if let Some(messages) = is("messages")
            .then(|| signed_only(value, adjusted))
            .flatten()
        {
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
        push_number(&mut out, limit);
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
        assert_eq!(
            signed_only(signed.as_bytes(), &mut Adjustments::default()),
            None
        );
        let unsigned = r#"[ {"role":"user","content":"x"},{"role":"assistant", "content":[{"type":"thinking","thinking":"a","signature":""}, {"type":"text","text":"\u00e9" }],"y":1.0},{"role":"assistant","content":[{"type":"thinking","thinking":"b"}]}]"#;
        let mut adjusted = Adjustments::default();
        let kept = signed_only(unsigned.as_bytes(), &mut adjusted).unwrap();
        assert_eq!(
            adjusted.omitted,
            ["messages[1].content[0]", "messages[2].content[0]"]
        );
        assert_eq!(
            String::from_utf8(kept).unwrap(),
            r#"[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"\u00e9" }],"y":1.0}]"#
        );
    }

    /// Returns the body that an upstream gets for `members`, and the omitted ones.
    fn sent(model: &str, members: &str) -> (Value, Vec<String>) {
        let toml = format!(
            "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"\nupstream_model=\"{model}\""
        );
        let document = crate::catalog::Document::from_toml(&toml).unwrap();
        let catalog = crate::catalog::Catalog::from_documents(&[document]).unwrap();
        let body = format!(
            "{{\"model\":\"a/m\",\"max_tokens\":9,\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]{members}}}"
        );
        let request = super::super::read(body.into(), 64).unwrap();
        let mut adjusted = Adjustments::default();
        let pieces = forward(
            &request,
            &catalog.endpoints()[0],
            &Person::default(),
            &mut adjusted,
        );
        (
            serde_json::from_slice(&pieces.concat()).unwrap(),
            adjusted.omitted,
        )
    }

    #[test]
    fn sampling_that_a_model_refuses_is_left_out_and_named() {
        let all = r#","temperature":0.5,"top_p":0.9,"top_k":5"#;
        let (body, omitted) = sent("claude-opus-4-7", all);
        assert_eq!(omitted, ["temperature", "top_p", "top_k"]);
        assert!(body.get("temperature").is_none() && body.get("top_k").is_none());
        let (body, omitted) = sent("claude-opus-4-7", r#","temperature":1"#);
        assert!(omitted.is_empty() && body["temperature"] == 1);
        let (_, omitted) = sent("claude-haiku-4-5", all);
        assert!(omitted.is_empty());
    }
}
