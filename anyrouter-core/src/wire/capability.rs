//! Capabilities that a model lacks, as a provider's refusal names them. Agents repeat a request without
//! one if they are told its class, since a provider's own words are not passed on.

/// A capability that a model lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// It cannot read the signature of reasoning in the request.
    ThinkingSignature,
    /// It cannot think within a budget.
    BudgetThinking,
    /// It cannot choose by itself how much to think.
    AdaptiveThinking,
    /// It takes no effort, or not this one.
    Effort,
    /// It cannot take so long a prompt.
    PromptLength,
}

impl Capability {
    /// Returns the class in Claude Code's gateway protocol (`claude gateway`, `GET /protocol`, Claude
    /// Code 2.1.332).
    pub const fn class(self) -> &'static str {
        match self {
            Self::ThinkingSignature => "thinking_signature",
            Self::BudgetThinking => "thinking_type:enabled",
            Self::AdaptiveThinking => "thinking_type:adaptive",
            Self::Effort => "effort_unsupported",
            Self::PromptLength => "prompt_too_long",
        }
    }

    /// Returns what a refusal with these messages and codes is about; `None` if no words of it are
    /// known.
    pub(super) fn of<'a>(said: impl Iterator<Item = &'a str>) -> Option<Self> {
        let said: Vec<String> = said.map(str::to_ascii_lowercase).collect();
        let is_said = |words: &str| said.iter().any(|text| text.contains(words));
        WORDS
            .iter()
            .find_map(|(capability, words)| is_said(words).then_some(*capability))
    }
}

/// Words of a message or a code in lower case. Sources: anthropics/claude-code issues 10627 and 30010,
/// askalf/dario pull request 491, zhukunpenglinyutong/jetbrains-cc-gui issue 1003,
/// diegosouzapw/OmniRoute pull request 1563; recorded errors of Anthropic and OpenAI.
const WORDS: [(Capability, &str); 7] = [
    (
        Capability::ThinkingSignature,
        "invalid `signature` in `thinking` block",
    ),
    (
        Capability::BudgetThinking,
        "\"thinking.type.enabled\" is not supported",
    ),
    (
        Capability::AdaptiveThinking,
        "adaptive thinking is not supported",
    ),
    (Capability::Effort, "does not support the effort parameter"),
    (Capability::Effort, "does not support effort level"),
    (Capability::PromptLength, "prompt is too long"),
    (Capability::PromptLength, "context_length_exceeded"),
];
