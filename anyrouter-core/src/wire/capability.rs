//! What a provider's refusal says that the model cannot do. Agents repeat a request without it if they
//! are told the class, since a provider's own words are not passed on.
//!
//! The classes are those of Claude Code's gateway protocol (`claude gateway`, `GET /protocol`,
//! Claude Code 2.1.332).

/// Class, and words of a message or a code in lower case. Sources: anthropics/claude-code issues 10627
/// and 30010, askalf/dario pull request 491, zhukunpenglinyutong/jetbrains-cc-gui issue 1003,
/// diegosouzapw/OmniRoute pull request 1563; recorded errors of Anthropic and OpenAI.
const CLASSES: [(&str, &str); 7] = [
    (
        "thinking_signature",
        "invalid `signature` in `thinking` block",
    ),
    (
        "thinking_type:enabled",
        "\"thinking.type.enabled\" is not supported",
    ),
    (
        "thinking_type:adaptive",
        "adaptive thinking is not supported",
    ),
    (
        "effort_unsupported",
        "does not support the effort parameter",
    ),
    ("effort_unsupported", "does not support effort level"),
    ("prompt_too_long", "prompt is too long"),
    ("prompt_too_long", "context_length_exceeded"),
];

/// Returns the class of a refusal with these messages and codes; `None` if no words of it are known.
pub(super) fn class_of<'a>(said: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let said: Vec<String> = said.map(str::to_ascii_lowercase).collect();
    let is_said = |words: &str| said.iter().any(|text| text.contains(words));
    CLASSES
        .iter()
        .find_map(|(class, words)| is_said(words).then_some(*class))
}
