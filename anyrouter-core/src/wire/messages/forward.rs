//! Forwarding of an Anthropic request to an upstream of the same protocol: only members that change
//! are rewritten, and every other byte passes unchanged.

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value, json};

use super::{
    billing::without_billing,
    thinking::{LEAST_BUDGET, MAX_TOKENS},
};
use crate::{
    catalog::{Protocol, Sampling},
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        client_metadata::{BILLING, Person},
        json::{
            Object, members, objects, push_comma, push_member, push_number, push_string, push_value,
        },
        proof::{Reader, Whose},
        request::Request,
    },
};

/// Length in bytes above which a value is passed on as a slice of the body, without a copy.
const LONG: usize = 4096;
/// Maximum nesting depth of messages, which were already scanned within a lower limit.
const DEPTH: usize = 1024;

/// The messages as an endpoint reads them.
struct Readable {
    messages: Vec<u8>,
    /// True if the turn that the model continues after a tool's result lost its thinking. Anthropic then
    /// refuses to think on.
    has_broken_turn: bool,
}

/// Returns the messages with the proofs that the endpoint made, and without thinking blocks that are
/// unsigned or that another provider signed; `None` if nothing changes. Anthropic refuses such blocks,
/// and this gateway creates them from the reasoning of other providers.
fn readable(messages: &[u8], reader: &Reader<'_>, adjusted: &mut Adjustments) -> Option<Readable> {
    memmem::find(messages, b"thinking\"")?;
    let whose = |block: &Object<'_>| {
        let proof = match block.get("type") {
            Some(b"\"thinking\"") => block.get("signature"),
            Some(b"\"redacted_thinking\"") => block.get("data"),
            _ => return Whose::Raw,
        };
        match proof.filter(|proof| *proof != b"\"\"") {
            Some(proof) => reader.whose(proof),
            None => Whose::Foreign,
        }
    };
    let (mut is_changed, mut has_broken_turn) = (false, false);
    let mut out = vec![b'['];
    for (m, message) in objects(messages, DEPTH).ok()?.iter().enumerate() {
        let content = message.get("content").filter(|c| c.starts_with(b"["));
        let blocks = content
            .and_then(|c| objects(c, DEPTH).ok())
            .unwrap_or_default();
        let is = |kind: &[u8]| blocks.iter().any(|block| block.get("type") == Some(kind));
        if message.get("role") != Some(b"\"assistant\"") && !is(b"\"tool_result\"") {
            // A new turn begins.
            has_broken_turn = false;
        }
        let whose: Vec<Whose> = blocks.iter().map(whose).collect();
        if whose.iter().all(|whose| *whose == Whose::Raw) {
            push_comma(&mut out);
            out.extend_from_slice(message.raw());
            continue;
        }
        is_changed = true;
        let mut kept = Vec::with_capacity(message.raw().len());
        kept.push(b'[');
        for (b, (block, whose)) in blocks.iter().zip(&whose).enumerate() {
            match whose {
                Whose::Raw => {
                    push_comma(&mut kept);
                    kept.extend_from_slice(block.raw());
                }
                Whose::Own(proof) => {
                    push_comma(&mut kept);
                    push_with_proof(block, proof, &mut kept);
                }
                Whose::Foreign => {
                    adjusted.omit(format!("messages[{m}].content[{b}]"));
                    has_broken_turn |= is(b"\"tool_use\"");
                }
            }
        }
        if kept == b"[" {
            continue;
        }
        kept.push(b']');
        push_comma(&mut out);
        out.push(b'{');
        for (name, (quoted, value)) in message.members() {
            push_member(&mut out, quoted);
            if name == "content" {
                out.extend_from_slice(&kept);
            } else {
                out.extend_from_slice(value);
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    is_changed.then_some(Readable {
        messages: out,
        has_broken_turn,
    })
}

fn push_with_proof(block: &Object<'_>, proof: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    for (name, (quoted, value)) in block.members() {
        push_member(out, quoted);
        if matches!(&*name, "signature" | "data") {
            push_string(out, proof);
        } else {
            out.extend_from_slice(value);
        }
    }
    out.push(b'}');
}

/// Returns `context_management` without the edits that need thinking.
fn edits_without_thinking(management: &[u8]) -> Option<Vec<u8>> {
    let mut management: Map<String, Value> = serde_json::from_slice(management).ok()?;
    let edits = management.get_mut("edits")?.as_array_mut()?;
    let is_of_thinking = |edit: &Value| {
        let kind = edit.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind.starts_with("clear_thinking"))
    };
    edits.retain(|edit| !is_of_thinking(edit));
    Some(Value::Object(management).to_string().into_bytes())
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
    reader: Reader<'_>,
    person: &Person<'_>,
    adjusted: &mut Adjustments,
) -> Vec<Bytes> {
    let endpoint = reader.endpoint;
    let readable = request
        .raw("messages")
        .and_then(|messages| readable(messages, &reader, adjusted));
    let has_broken_turn = readable.as_ref().is_some_and(|r| r.has_broken_turn);
    let mut messages = readable.map(|r| r.messages);
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
        } else if let Some(thinking) = (is_lowered && !has_broken_turn && is("thinking"))
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
        } else if has_broken_turn && is("thinking") {
            adjusted
                .note("thinking was disabled: the turn before the tool's result lost its thinking");
            out.extend_from_slice(b"{\"type\":\"disabled\"}");
        } else if let Some(management) = (has_broken_turn && is("context_management"))
            .then(|| edits_without_thinking(value))
            .flatten()
        {
            out.extend_from_slice(&management);
        } else if let Some(messages) = is("messages").then(|| messages.take()).flatten() {
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
    use crate::catalog::{Catalog, Document};

    #[test]
    fn thoughts_without_a_signature_stay_behind_and_nothing_else_changes() {
        let signed = r#"[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"c2ln"},{"type":"text","text":"\u00e9"}]}]"#;
        let catalog = catalog("claude-haiku-4-5");
        let reader = Reader {
            endpoint: &catalog.endpoints()[0],
            protocol: Protocol::Messages,
        };
        assert!(readable(signed.as_bytes(), &reader, &mut Adjustments::default()).is_none());
        let unsigned = r#"[ {"role":"user","content":"x"},{"role":"assistant", "content":[{"type":"thinking","thinking":"a","signature":""}, {"type":"text","text":"\u00e9" }],"y":1.0},{"role":"assistant","content":[{"type":"thinking","thinking":"b"}]}]"#;
        let mut adjusted = Adjustments::default();
        let kept = readable(unsigned.as_bytes(), &reader, &mut adjusted).unwrap();
        assert_eq!(
            adjusted.omitted,
            ["messages[1].content[0]", "messages[2].content[0]"]
        );
        assert_eq!(
            String::from_utf8(kept.messages).unwrap(),
            r#"[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"\u00e9" }],"y":1.0}]"#
        );
    }

    fn catalog(model: &str) -> Catalog {
        let toml = format!(
            "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"\nupstream_model=\"{model}\""
        );
        let document = Document::from_toml(&toml).unwrap();
        Catalog::from_documents(&[document]).unwrap()
    }

    /// Returns the body that an upstream gets for `members`, and the omitted ones.
    fn sent(model: &str, members: &str) -> (Value, Vec<String>) {
        let catalog = catalog(model);
        let body = format!(
            "{{\"model\":\"a/m\",\"max_tokens\":9,\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]{members}}}"
        );
        let request = super::super::read(body.into(), 64).unwrap();
        let mut adjusted = Adjustments::default();
        let reader = Reader {
            endpoint: &catalog.endpoints()[0],
            protocol: Protocol::Messages,
        };
        let pieces = forward(&request, reader, &Person::default(), &mut adjusted);
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
