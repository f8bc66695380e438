//! Adaptation of a request's messages to an endpoint's dialect: the role `developer`, the reasoning
//! of earlier turns, and the ids of tool calls.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::shape::DEPTH;
use crate::{
    catalog::{Dialect, ReasoningBack, ToolIdForm},
    ids::push_hex,
    wire::{
        adjust::Adjustments,
        json::{Object, objects, push_member, push_string},
        proof::PREFIX,
    },
};

/// Members of an assistant message that hold reasoning.
const REASONING: [&str; 3] = ["reasoning", "reasoning_content", "reasoning_details"];

/// Returns the list of messages in the endpoint's dialect; `None` if it needs no change.
pub(super) fn rewritten(
    messages: &[u8],
    dialect: &Dialect,
    adjusted: &mut Adjustments,
) -> Option<Vec<u8>> {
    let has_proofs = memchr::memmem::find(messages, PREFIX.as_bytes()).is_some();
    if dialect.developer_role != Some(false)
        && dialect.reasoning_back.is_none()
        && dialect.tool_ids.is_none()
        && !has_proofs
    {
        return None;
    }
    // The provider reports a value that is not a list of objects.
    let objects = objects(messages, DEPTH).ok()?;
    if !objects.iter().any(|m| needs_change(m, dialect)) {
        return None;
    }
    let mut out = Vec::with_capacity(messages.len());
    out.push(b'[');
    for (i, message) in objects.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if needs_change(message, dialect) {
            push_message(&mut out, message, i, dialect, adjusted);
        } else {
            out.extend_from_slice(message.raw());
        }
    }
    out.push(b']');
    Some(out)
}

fn role<'a>(message: &Object<'a>) -> Option<Cow<'a, str>> {
    message.read("role").ok().flatten()
}

fn needs_change(message: &Object<'_>, dialect: &Dialect) -> bool {
    match role(message).as_deref() {
        Some("developer") => dialect.developer_role == Some(false),
        Some("tool") => dialect
            .tool_ids
            .is_some_and(|form| id_that_does_not_fit(message, "tool_call_id", form).is_some()),
        Some("assistant")
            if dialect
                .tool_ids
                .is_some_and(|form| has_ids_that_do_not_fit(message, form)) =>
        {
            true
        }
        Some("assistant") if has_foreign_proof(message) => true,
        Some("assistant") => match dialect.reasoning_back {
            None => false,
            Some(ReasoningBack::ReasoningContent) if message.get("tool_calls").is_some() => {
                message.get("reasoning_content").is_none() || has_reasoning(message)
            }
            Some(ReasoningBack::ReasoningDetails) => message.get("reasoning_content").is_some(),
            Some(_) => has_reasoning(message),
        },
        _ => false,
    }
}

/// Returns an id that the endpoint would refuse.
fn id_that_does_not_fit<'a>(
    object: &Object<'a>,
    name: &str,
    form: ToolIdForm,
) -> Option<Cow<'a, str>> {
    object
        .read::<Cow<'_, str>>(name)
        .ok()
        .flatten()
        .filter(|id| !form.fits(id))
}

fn has_ids_that_do_not_fit(message: &Object<'_>, form: ToolIdForm) -> bool {
    let calls = message
        .get("tool_calls")
        .and_then(|calls| objects(calls, DEPTH).ok())
        .unwrap_or_default();
    calls
        .iter()
        .any(|call| id_that_does_not_fit(call, "id", form).is_some())
}

/// Returns an accepted id in place of `id`. It is always the same one, so that results match their
/// calls and the prompt cache stays valid.
fn id_in_form(id: &str, form: ToolIdForm) -> String {
    let mut hex = String::new();
    push_hex(&Sha256::digest(id.as_bytes()), |digit| {
        hex.push(char::from(digit));
    });
    hex.truncate(form.longest());
    hex
}

/// Appends the calls of a message, with ids that the endpoint accepts.
fn push_calls(out: &mut Vec<u8>, calls: &[u8], form: ToolIdForm) {
    let Ok(all) = objects(calls, DEPTH) else {
        return out.extend_from_slice(calls);
    };
    out.push(b'[');
    for (i, call) in all.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.push(b'{');
        for (name, member) in call.members() {
            push_member(out, member.0);
            match id_that_does_not_fit(call, "id", form).filter(|_| name == "id") {
                Some(id) => push_string(out, &id_in_form(&id, form)),
                None => out.extend_from_slice(member.1),
            }
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// Returns true if a provider of another protocol made the proof of the message's reasoning.
fn has_foreign_proof(message: &Object<'_>) -> bool {
    message
        .get("reasoning_details")
        .is_some_and(|details| memchr::memmem::find(details, PREFIX.as_bytes()).is_some())
}

fn has_reasoning(message: &Object<'_>) -> bool {
    REASONING.iter().any(|name| message.get(name).is_some())
}

fn push_message(
    out: &mut Vec<u8>,
    message: &Object<'_>,
    i: usize,
    dialect: &Dialect,
    adjusted: &mut Adjustments,
) {
    let is_assistant = role(message).as_deref() == Some("assistant");
    let thoughts = if is_assistant {
        thoughts(message)
    } else {
        None
    };
    let back = dialect.reasoning_back.filter(|_| is_assistant);
    out.push(b'{');
    for (name, member) in message.members() {
        if name == "reasoning_details" && has_foreign_proof(message) {
            adjusted.omit(format!("messages[{i}].{name}"));
            continue;
        }
        if back.is_some() && REASONING.contains(&&*name) {
            // Only OpenRouter has `reasoning_details`.
            let is_kept =
                back == Some(ReasoningBack::ReasoningDetails) && name != "reasoning_content";
            if is_kept {
                push_member(out, member.0);
                out.extend_from_slice(member.1);
            } else if back == Some(ReasoningBack::None) && member.1 != b"null" {
                adjusted.omit(format!("messages[{i}].{name}"));
            }
            continue;
        }
        push_member(out, member.0);
        match (&*name, back) {
            ("role", _) if role(message).as_deref() == Some("developer") => {
                out.extend_from_slice(b"\"system\"");
            }
            ("tool_call_id", _) => match dialect
                .tool_ids
                .and_then(|f| Some((f, id_that_does_not_fit(message, "tool_call_id", f)?)))
            {
                Some((form, id)) => push_string(out, &id_in_form(&id, form)),
                None => out.extend_from_slice(member.1),
            },
            ("tool_calls", _) => match dialect.tool_ids {
                Some(form) => push_calls(out, member.1, form),
                None => out.extend_from_slice(member.1),
            },
            ("content", Some(ReasoningBack::ThinkTags)) => {
                push_behind_thoughts(out, member.1, thoughts.as_deref());
            }
            _ => out.extend_from_slice(member.1),
        }
    }
    let member: Option<&[u8]> = match back {
        Some(ReasoningBack::Reasoning) => Some(b"\"reasoning\""),
        Some(ReasoningBack::ReasoningContent) => Some(b"\"reasoning_content\""),
        Some(ReasoningBack::ReasoningDetails) if message.get("reasoning").is_none() => {
            Some(b"\"reasoning\"")
        }
        _ => None,
    };
    // DeepSeek requires the member in a turn with calls, even if it is empty.
    let wants_empty =
        back == Some(ReasoningBack::ReasoningContent) && message.get("tool_calls").is_some();
    if let (Some(member), Some(text)) = (member, thoughts.or_else(|| wants_empty.then(String::new)))
    {
        push_member(out, member);
        push_string(out, &text);
    }
    out.push(b'}');
}

/// Returns the text of a message's reasoning, from whichever member has it.
fn thoughts(message: &Object<'_>) -> Option<String> {
    let text = |name: &str| {
        message
            .read::<Cow<'_, str>>(name)
            .ok()
            .flatten()
            .map(Cow::into_owned)
    };
    text("reasoning_content")
        .or_else(|| text("reasoning"))
        .or_else(|| {
            let details: Vec<serde_json::Value> =
                message.read("reasoning_details").ok().flatten()?;
            let text: String = details
                .iter()
                .filter_map(|d| d.get("text").and_then(|t| t.as_str()))
                .collect();
            (!text.is_empty()).then_some(text)
        })
}

/// Appends a content after the reasoning, which becomes `<think>…</think>`.
fn push_behind_thoughts(out: &mut Vec<u8>, content: &[u8], thoughts: Option<&str>) {
    let text = serde_json::from_slice::<Option<Cow<'_, str>>>(content);
    match (thoughts, text) {
        (Some(thoughts), Ok(text)) => push_string(
            out,
            &format!("<think>{thoughts}</think>{}", text.unwrap_or_default()),
        ),
        _ => out.extend_from_slice(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(messages: &str, dialect: &str) -> (Option<String>, Vec<String>) {
        let mut adjusted = Adjustments::default();
        let sent = rewritten(
            messages.as_bytes(),
            &toml::from_str(dialect).unwrap(),
            &mut adjusted,
        );
        (
            sent.map(|s| String::from_utf8(s).unwrap()),
            adjusted.omitted,
        )
    }

    #[test]
    fn the_developer_role_becomes_system_where_it_is_not_known() {
        let messages =
            r#"[{"role":"dev\u0065loper", "content":"x"},{"role":"user","content":"h\u00e9 "}]"#;
        assert_eq!(
            sent(messages, "developer_role = false").0.unwrap(),
            r#"[{"role":"system","content":"x"},{"role":"user","content":"h\u00e9 "}]"#
        );
        assert_eq!(sent(messages, "developer_role = true").0, None);
        assert_eq!(
            sent(
                r#"[{"role":"user","content":"developer"}]"#,
                "developer_role = false"
            )
            .0,
            None
        );
    }

    #[test]
    fn reasoning_goes_back_in_the_member_that_the_provider_wants() {
        let ours = r#"[{"role":"assistant","content":"a","reasoning":"r","reasoning_details":[{"text":"r"}]}]"#;
        for (back, expected) in [
            (
                "reasoning_content",
                r#"[{"role":"assistant","content":"a","reasoning_content":"r"}]"#,
            ),
            (
                "reasoning",
                r#"[{"role":"assistant","content":"a","reasoning":"r"}]"#,
            ),
            (
                "think_tags",
                r#"[{"role":"assistant","content":"<think>r</think>a"}]"#,
            ),
            ("none", r#"[{"role":"assistant","content":"a"}]"#),
        ] {
            let (sent, omitted) = sent(ours, &format!("reasoning_back = \"{back}\""));
            assert_eq!(sent.as_deref(), Some(expected), "{back}");
            assert_eq!(
                omitted.len(),
                if back == "none" { 2 } else { 0 },
                "{back}: {omitted:?}"
            );
        }
        assert_eq!(sent(ours, "reasoning_back = \"reasoning_details\"").0, None);
        let theirs = r#"[{"role":"assistant","content":"a","reasoning_content":"r"}]"#;
        assert_eq!(
            sent(theirs, "reasoning_back = \"reasoning_details\"")
                .0
                .unwrap(),
            r#"[{"role":"assistant","content":"a","reasoning":"r"}]"#
        );
    }

    #[test]
    fn ids_of_calls_have_the_form_that_the_endpoint_takes_and_results_find_them() {
        let long = "call_0123456789abcdef0123456789abcdef012345678";
        let messages = format!(
            r#"[{{"role":"assistant","content":null,"tool_calls":[{{"id":"{long}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}},{{"id":"abcdefghi"}}]}},
            {{"role":"tool","tool_call_id":"{long}","content":"x"}},{{"role":"tool","tool_call_id":"abcdefghi","content":"y"}},{{"role":"user","content":"z"}}]"#
        );
        for (form, longest) in [("nine_alphanumerics", 9), ("up_to_40", 40)] {
            let sent: serde_json::Value = serde_json::from_str(
                &sent(&messages, &format!("tool_ids = \"{form}\""))
                    .0
                    .unwrap(),
            )
            .unwrap();
            let id = sent[0]["tool_calls"][0]["id"].as_str().unwrap();
            assert!(
                id.len() == longest && id.bytes().all(|b| b.is_ascii_alphanumeric()),
                "{id}"
            );
            assert_eq!(sent[1]["tool_call_id"], id);
            assert_eq!(
                (&sent[0]["tool_calls"][1]["id"], &sent[2]["tool_call_id"]),
                (&"abcdefghi".into(), &"abcdefghi".into())
            );
            assert_eq!(sent[0]["tool_calls"][0]["function"]["name"], "f");
        }
        assert_eq!(
            sent(
                r#"[{"role":"tool","tool_call_id":"c","content":"x"}]"#,
                "tool_ids = \"up_to_40\""
            )
            .0,
            None
        );
    }

    #[test]
    fn a_turn_with_calls_has_reasoning_content_though_it_be_empty() {
        let messages = r#"[{"role":"assistant","content":null,"tool_calls":[]}]"#;
        let (sent, _) = sent(messages, "reasoning_back = \"reasoning_content\"");
        assert_eq!(
            sent.unwrap(),
            r#"[{"role":"assistant","content":null,"tool_calls":[],"reasoning_content":""}]"#
        );
    }
}
