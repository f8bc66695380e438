//! Classification of the leaves of an Anthropic request that belong to the protocol and are never
//! redacted.

use crate::{redact::Step, wire::proof::is_without_text};

/// Members of the gateway or the protocol that hold no personal data.
const STRUCTURE: [&str; 7] = [
    "model",
    "models",
    "provider",
    "preset",
    "stream",
    "session_id",
    "trace",
];

/// Sorted names of the protocol's members. They are never redacted, even if they match a word of a
/// custom rule.
#[rustfmt::skip]
const MEMBERS: [&str; 60] = [
    "allowed_domains", "blocked_domains", "budget_tokens", "cache_control", "citations", "content", "context", "context_management",
    "data", "description", "disable_parallel_tool_use", "display", "edits", "effort", "enabled", "format", "id", "input",
    "input_schema", "is_error", "keep", "max_tokens", "max_uses", "media_type", "messages", "metadata", "min_context", "model",
    "models", "name", "output_config", "preset", "provider", "redact_upstream", "require_params", "role", "schema", "service_tier",
    "session_id", "signature", "source", "stop_sequences", "stream", "strict", "system", "temperature", "text", "thinking", "title",
    "tool_choice", "tool_use_id", "tools", "top_k", "top_p", "trace", "ttl", "type", "url", "usage", "user_id",
];

/// Returns true if a leaf of an Anthropic request belongs to the gateway or the protocol, such as a
/// model, a role, a type, a tool's name or a member's name, and has such a form.
pub(in crate::wire) fn is_structure(path: &[Step<'_>], content: &str) -> bool {
    // The path of a member's name ends with the name.
    let is_protocol = |step: &Step<'_>| match step {
        Step::Item(_) => true,
        Step::Member(name) => MEMBERS.binary_search(name).is_ok(),
    };
    if path.last() == Some(&Step::Member(content)) && path.iter().all(is_protocol) {
        return true;
    }
    if path.last() == Some(&Step::Member("signature")) && is_without_text(content) {
        // Only the provider reads it, and no person wrote it.
        return content
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
            [Step::Member("output_config"), Step::Member("effort")]
            | [Step::Member("thinking"), Step::Member("type" | "display")]
            | [Step::Member("tool_choice"), Step::Member("type" | "name")]
            | [Step::Member("context_management"), .., Step::Member("type")] => true,
            [
                Step::Member("messages" | "tools" | "system"),
                Step::Item(_),
                rest @ ..,
            ] => is_structure_of_block(rest),
            _ => false,
        }
}

/// Returns true for the type, id or name of a block at any depth of `content`.
fn is_structure_of_block(path: &[Step<'_>]) -> bool {
    match path {
        [Step::Member("content"), Step::Item(_), rest @ ..] => is_structure_of_block(rest),
        [Step::Member("role" | "type" | "id" | "name" | "tool_use_id")]
        | [Step::Member("source"), Step::Member("type" | "media_type")]
        | [Step::Member("cache_control"), Step::Member("type" | "ttl")] => true,
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
        let block = |rest: &[Step<'static>]| {
            [
                &[Member("messages"), Item(0), Member("content"), Item(1)],
                rest,
            ]
            .concat()
        };
        assert!(is_structure(
            &[Member("model")],
            "anthropic/claude-sonnet-5"
        ));
        assert!(is_structure(&block(&[Member("type")]), "tool_result"));
        assert!(is_structure(&block(&[Member("tool_use_id")]), "toolu_01A"));
        assert!(is_structure(
            &block(&[Member("content"), Item(0), Member("type")]),
            "text"
        ));
        assert!(is_structure(
            &[Member("tools"), Item(0), Member("name")],
            "Bash"
        ));
        for path in [
            &block(&[Member("text")])[..],
            &block(&[Member("input"), Member("type")]),
            &[Member("system")],
            &[Member("tools"), Item(0), Member("description")],
            &[Member("metadata"), Member("user_id")],
            &[Member("output_config"), Member("format"), Member("schema")],
            &[Member("thinking"), Member("note")],
            &[
                Member("context_management"),
                Member("edits"),
                Item(0),
                Member("note"),
            ],
            &block(&[Member("signature")]),
            &block(&[Member("data")]),
        ] {
            assert!(!is_structure(path, "x"), "{path:?}");
        }
    }
}
