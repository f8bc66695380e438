//! Classification of the leaves of a Responses request that belong to the protocol and are never
//! redacted.

use crate::redact::Step;

/// Members of the gateway or the protocol that hold no personal data.
const STRUCTURE: [&str; 12] = [
    "include",
    "model",
    "models",
    "preset",
    "prompt_cache_retention",
    "provider",
    "service_tier",
    "session_id",
    "store",
    "stream",
    "trace",
    "truncation",
];

/// Sorted names of the protocol's members. They are never redacted, even if they match a word of a
/// custom rule.
#[rustfmt::skip]
const MEMBERS: [&str; 68] = [
    "action", "annotations", "arguments", "call_id", "content", "definition", "description", "detail", "effort", "encrypted_content",
    "file_data", "file_id", "file_url", "filename", "filters", "format", "id", "image_url", "include", "input", "input_audio",
    "instructions", "json_schema", "max_output_tokens", "max_tool_calls", "metadata", "min_context", "mode", "model", "models", "name",
    "namespace", "output", "parallel_tool_calls", "parameters", "phase", "preset", "prompt", "prompt_cache_key", "provider",
    "reasoning", "redact_upstream", "refusal", "require_params", "role", "safety_identifier", "schema", "service_tier", "session_id",
    "status", "store", "stream", "strict", "summary", "syntax", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p",
    "trace", "truncation", "type", "url", "usage", "user", "verbosity",
];

/// Returns true if a leaf of a Responses request belongs to the gateway or the protocol, such as a
/// model, a role, a type, a tool's name, a member's name or encrypted reasoning, and has such a
/// form.
pub(in crate::wire) fn is_structure(path: &[Step<'_>], content: &str) -> bool {
    // The path of a member's name ends with the name.
    let is_protocol = |step: &Step<'_>| match step {
        Step::Item(_) => true,
        Step::Member(name) => MEMBERS.binary_search(name).is_ok(),
    };
    if path.last() == Some(&Step::Member(content)) && path.iter().all(is_protocol) {
        return true;
    }
    if let [
        Step::Member("input"),
        Step::Item(_),
        Step::Member("encrypted_content"),
    ] = path
    {
        // Only the provider reads it, and no person wrote it.
        return content.bytes().any(|b| b.is_ascii_alphabetic())
            && content
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+/=_-.".contains(&b));
    }
    let is_word = content.len() <= 128
        && content
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.:/-*~".contains(&b));
    is_word
        && match path {
            [Step::Member(first), ..] if STRUCTURE.contains(first) => true,
            [
                Step::Member("reasoning"),
                Step::Member("effort" | "summary"),
            ]
            | [Step::Member("text"), Step::Member("verbosity")]
            | [
                Step::Member("text"),
                Step::Member("format"),
                Step::Member("type" | "name"),
            ]
            | [Step::Member("tool_choice")]
            | [
                Step::Member("tool_choice"),
                Step::Member("type" | "name" | "mode"),
            ] => true,
            [Step::Member("tools"), Step::Item(_), rest @ ..] => is_structure_of_tool(rest),
            [Step::Member("input"), Step::Item(_), rest @ ..] => matches!(
                rest,
                [Step::Member(
                    "type" | "role" | "id" | "call_id" | "name" | "namespace" | "status" | "phase"
                )] | [
                    Step::Member("content" | "summary" | "output"),
                    Step::Item(_),
                    Step::Member("type" | "detail")
                ]
            ),
            _ => false,
        }
}

/// Returns true for the type or name of a tool, or of one in a namespace.
fn is_structure_of_tool(path: &[Step<'_>]) -> bool {
    match path {
        [Step::Member("tools"), Step::Item(_), rest @ ..] => is_structure_of_tool(rest),
        [Step::Member("type" | "name")]
        | [Step::Member("format"), Step::Member("type" | "syntax")] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_members_are_sorted() {
        assert!(MEMBERS.is_sorted());
    }

    #[test]
    fn the_protocols_own_members_are_kept_and_all_others_are_not() {
        use Step::{Item, Member};
        let item = |rest: &[Step<'static>]| [&[Member("input"), Item(0)], rest].concat();
        for (path, content) in [
            (&[Member("model")][..], "openai/gpt-5"),
            (&item(&[Member("type")]), "function_call_output"),
            (&item(&[Member("call_id")]), "call_01A"),
            (
                &item(&[Member("content"), Item(0), Member("type")]),
                "input_text",
            ),
            (&item(&[Member("encrypted_content")]), "gAAAAABo-x_9="),
            (
                &[
                    Member("tools"),
                    Item(0),
                    Member("tools"),
                    Item(1),
                    Member("name"),
                ],
                "exec",
            ),
        ] {
            assert!(is_structure(path, content), "{path:?}");
        }
        for path in [
            &[Member("instructions")][..],
            &[Member("input")],
            &[Member("user")],
            &[Member("prompt_cache_key")],
            &[Member("metadata"), Member("x")],
            &item(&[Member("content")]),
            &item(&[Member("arguments")]),
            &item(&[Member("output")]),
            &item(&[Member("content"), Item(0), Member("text")]),
            &[Member("tools"), Item(0), Member("description")],
            &[Member("text"), Member("format"), Member("schema")],
        ] {
            assert!(!is_structure(path, "x"), "{path:?}");
        }
        assert!(!is_structure(
            &item(&[Member("encrypted_content")]),
            "jane@example.com"
        ));
    }
}
