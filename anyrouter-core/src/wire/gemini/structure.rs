//! Classification of the leaves of a request in Google's protocol that belong to the protocol and are
//! never redacted.

use crate::redact::Step;

/// Members of the gateway or the protocol that hold no personal data.
const STRUCTURE: [&str; 9] = [
    "cachedContent",
    "model",
    "models",
    "preset",
    "provider",
    "safetySettings",
    "serviceTier",
    "session_id",
    "trace",
];

/// Sorted names of the protocol's members. They are never redacted, even if they match a word of a
/// custom rule.
#[rustfmt::skip]
const MEMBERS: [&str; 71] = [
    "allowedFunctionNames", "args", "cachedContent", "candidateCount", "category", "code", "codeExecution", "codeExecutionResult",
    "contents", "data", "description", "executableCode", "fileData", "fileUri", "format", "frequencyPenalty", "functionCall",
    "functionCallingConfig", "functionDeclarations", "functionResponse", "function_call", "function_declarations", "function_response",
    "generationConfig", "generation_config", "googleSearch", "id", "includeThoughts", "inlineData", "inline_data", "language",
    "logprobs", "maxOutputTokens", "mediaResolution", "mimeType", "mime_type", "mode", "model", "models", "name", "outcome", "output",
    "parameters", "parametersJsonSchema", "parts", "presencePenalty", "provider", "response", "responseJsonSchema", "responseLogprobs",
    "responseMimeType", "responseModalities", "responseSchema", "role", "safetySettings", "seed", "serviceTier", "stopSequences",
    "systemInstruction", "temperature", "text", "thinkingBudget", "thinkingConfig", "thinkingLevel", "thought", "thoughtSignature",
    "threshold", "toolConfig", "tools", "topK", "topP",
];

/// Returns true if a leaf of a request belongs to the gateway or the protocol, such as a role, a
/// media type, a function's name, a member's name or a signature, and has such a form.
pub(in crate::wire) fn is_structure(path: &[Step<'_>], content: &str) -> bool {
    // The path of a member's name ends with the name.
    let is_protocol = |step: &Step<'_>| match step {
        Step::Item(_) => true,
        Step::Member(name) => MEMBERS.binary_search(name).is_ok(),
    };
    if path.last() == Some(&Step::Member(content)) && path.iter().all(is_protocol) {
        return true;
    }
    let part = match path {
        [
            Step::Member("contents"),
            Step::Item(_),
            Step::Member("parts"),
            Step::Item(_),
            rest @ ..,
        ] => rest,
        _ => &[],
    };
    if let [Step::Member("thoughtSignature" | "thought_signature")] = part {
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
                Step::Member("generationConfig" | "generation_config"),
                Step::Member("responseMimeType" | "responseModalities" | "mediaResolution"),
                ..,
            ]
            | [
                Step::Member("generationConfig" | "generation_config"),
                Step::Member("thinkingConfig"),
                _,
            ]
            | [
                Step::Member("toolConfig" | "tool_config"),
                Step::Member("functionCallingConfig"),
                ..,
            ]
            | [
                Step::Member("tools"),
                Step::Item(_),
                Step::Member("functionDeclarations" | "function_declarations"),
                Step::Item(_),
                Step::Member("name"),
            ]
            | [
                Step::Member("contents"),
                Step::Item(_),
                Step::Member("role"),
            ]
            | [
                Step::Member("systemInstruction" | "system_instruction"),
                Step::Member("role"),
            ] => true,
            _ => matches!(
                part,
                [
                    Step::Member(
                        "functionCall" | "functionResponse" | "function_call" | "function_response"
                    ),
                    Step::Member("id" | "name")
                ] | [
                    Step::Member("inlineData" | "fileData" | "inline_data" | "file_data"),
                    Step::Member("mimeType" | "mime_type")
                ] | [
                    Step::Member("executableCode"),
                    Step::Member("language" | "id")
                ] | [
                    Step::Member("codeExecutionResult"),
                    Step::Member("outcome" | "id")
                ]
            ),
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
        let part = |rest: &[Step<'static>]| {
            [
                &[Member("contents"), Item(0), Member("parts"), Item(1)],
                rest,
            ]
            .concat()
        };
        for (path, content) in [
            (&[Member("contents"), Item(0), Member("role")][..], "model"),
            (
                &part(&[Member("functionCall"), Member("name")]),
                "read_file",
            ),
            (
                &part(&[Member("inlineData"), Member("mimeType")]),
                "image/png",
            ),
            (&part(&[Member("thoughtSignature")]), "AY89a1/+x=="),
        ] {
            assert!(is_structure(path, content), "{path:?}");
        }
        for path in [
            &part(&[Member("text")])[..],
            &part(&[Member("functionCall"), Member("args"), Member("name")]),
            &part(&[Member("functionResponse"), Member("response"), Member("id")]),
            &part(&[Member("inlineData"), Member("data")]),
            &part(&[Member("fileData"), Member("fileUri")]),
            &[
                Member("systemInstruction"),
                Member("parts"),
                Item(0),
                Member("text"),
            ],
            &[Member("labels"), Member("x")],
            &[Member("generationConfig"), Member("stopSequences"), Item(0)],
        ] {
            assert!(!is_structure(path, "x"), "{path:?}");
        }
        assert!(!is_structure(
            &part(&[Member("thoughtSignature")]),
            "jane@example.com"
        ));
    }
}
