//! Classification of the leaves of a chat request that belong to the protocol and are never
//! redacted.

use crate::redact::Step;

/// Members of the gateway or the protocol that hold no personal data.
const STRUCTURE: [&str; 9] = [
    "model",
    "models",
    "provider",
    "preset",
    "stream",
    "session_id",
    "trace",
    "reasoning_effort",
    "tool_choice",
];

/// Sorted names of the protocol's members. They are never redacted, even if they match a word of a
/// custom rule.
#[rustfmt::skip]
const MEMBERS: [&str; 70] = [
    "annotations", "arguments", "audio", "cache_control", "content", "data", "description", "detail", "effort", "file", "file_data",
    "filename", "format", "frequency_penalty", "function", "id", "image_url", "include_usage", "input_audio", "json_schema",
    "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages", "metadata", "min_p", "modalities", "model", "models",
    "n", "name", "parallel_tool_calls", "parameters", "plugins", "prediction", "presence_penalty", "preset", "provider", "reasoning",
    "reasoning_content", "reasoning_effort", "refusal", "repetition_penalty", "response_format", "role", "schema", "seed",
    "service_tier", "session_id", "stop", "stream", "stream_options", "strict", "temperature", "text", "thinking", "tool_call_id",
    "tool_calls", "tool_choice", "tools", "top_a", "top_k", "top_logprobs", "top_p", "transforms", "type", "url", "usage", "user",
];

/// Returns true if a leaf of a chat request belongs to the gateway or the protocol, such as a
/// model, a role, a type, a tool's name, a member's name or a provider's signature, and has such a
/// form.
pub(in crate::wire) fn is_structure(path: &[Step<'_>], content: &str) -> bool {
    // The path of a member's name ends with the name.
    let is_protocol = |step: &Step<'_>| {
        matches!(step, Step::Item(_))
            || matches!(step, Step::Member(name) if MEMBERS.binary_search(name).is_ok())
    };
    if path.last() == Some(&Step::Member(content)) && path.iter().all(is_protocol) {
        return true;
    }
    if is_proof(path, content) {
        return true;
    }
    let is_word = content.len() <= 128
        && content
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.:/-*~".contains(&b));
    is_word
        && match path {
            [Step::Member(first), ..] if STRUCTURE.contains(first) => true,
            [Step::Member("messages" | "tools"), Step::Item(_), rest @ ..] => matches!(
                rest,
                [Step::Member("role" | "type" | "tool_call_id")]
                    | [Step::Member("content"), Step::Item(_), Step::Member("type")]
                    | [
                        Step::Member("tool_calls"),
                        Step::Item(_),
                        Step::Member("id" | "type")
                    ]
                    | [
                        Step::Member("tool_calls"),
                        Step::Item(_),
                        Step::Member("function"),
                        Step::Member("name")
                    ]
                    | [Step::Member("function"), Step::Member("name")]
            ),
            _ => false,
        }
}

/// Members that only the provider can read, at any depth of a message.
const PROOFS: [&str; 7] = [
    "data",
    "encrypted_content",
    "reasoning_opaque",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "thought_signatures",
];
/// Members that may contain them.
const AROUND: [&str; 9] = [
    "content",
    "extra_content",
    "function",
    "google",
    "provider_specific_fields",
    "reasoning",
    "reasoning_details",
    "thinking_blocks",
    "tool_calls",
];

/// Returns true for a signature or encrypted data, which only the provider can read and no person
/// wrote.
fn is_proof(path: &[Step<'_>], content: &str) -> bool {
    let [
        Step::Member("messages"),
        Step::Item(_),
        around @ ..,
        Step::Member(last),
    ] = path
    else {
        return false;
    };
    // The data of audio and files is inside members that `AROUND` does not list.
    PROOFS.contains(last)
        && around.iter().all(|step| match step {
            Step::Item(_) => true,
            Step::Member(name) => AROUND.contains(name),
        })
        && content.bytes().any(|b| b.is_ascii_alphabetic())
        && content
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=_-.:~\\".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_members_are_in_order() {
        assert!(MEMBERS.is_sorted());
    }

    #[test]
    fn the_protocols_own_members_are_kept_and_all_others_are_not() {
        use Step::{Item, Member};
        assert!(is_structure(&[Member("model")], "openai/gpt-5:nitro"));
        assert!(is_structure(
            &[Member("messages"), Item(0), Member("role")],
            "user"
        ));
        assert!(is_structure(
            &[Member("tools"), Item(0), Member("function"), Member("name")],
            "get_weather"
        ));
        assert!(
            !is_structure(
                &[Member("messages"), Item(0), Member("role")],
                "jane@example.com"
            ),
            "what reads like no role is looked through"
        );
        for path in [
            &[Member("user")][..],
            &[Member("messages"), Item(0), Member("content")],
            &[
                Member("tools"),
                Item(0),
                Member("function"),
                Member("description"),
            ],
            &[Member("metadata"), Member("x")],
        ] {
            assert!(!is_structure(path, "x"), "{path:?}");
        }
    }

    #[test]
    fn what_only_the_provider_reads_is_told_from_what_a_person_wrote() {
        use Step::{Item, Member};
        let of = |rest: &[Step<'static>], content: &str| {
            is_proof(&[&[Member("messages"), Item(1)], rest].concat(), content)
        };
        let google = [
            Member("tool_calls"),
            Item(0),
            Member("extra_content"),
            Member("google"),
            Member("thought_signature"),
        ];
        assert!(of(&google, "CpcBAb4+9vv="));
        assert!(of(
            &[Member("content"), Item(0), Member("data")],
            "EmwKAhgB"
        ));
        assert!(of(
            &[Member("reasoning_details"), Item(0), Member("signature")],
            "sk-ErUB"
        ));
        assert!(!of(
            &[Member("reasoning_details"), Item(0), Member("signature")],
            "jane@example.com"
        ));
        assert!(!of(
            &[Member("reasoning_details"), Item(0), Member("signature")],
            "4111111111111111"
        ));
        assert!(!of(
            &[
                Member("content"),
                Item(0),
                Member("input_audio"),
                Member("data")
            ],
            "EmwKAhgB"
        ));
        assert!(!is_proof(
            &[Member("metadata"), Member("signature")],
            "EmwKAhgB"
        ));
    }
}
