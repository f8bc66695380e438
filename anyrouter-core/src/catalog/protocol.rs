//! The wire protocols.

use serde::{Deserialize, Serialize};

/// A wire protocol that AnyRouter supports.
///
/// Every `match` over it is exhaustive, so that a new protocol does not compile until all code
/// handles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_enums)]
pub enum Protocol {
    /// OpenAI's chat completions.
    #[serde(rename = "openai_chat")]
    Chat,
    /// Anthropic's messages.
    #[serde(rename = "anthropic_messages")]
    Messages,
    /// OpenAI's responses.
    #[serde(rename = "openai_responses")]
    Responses,
    /// Google's `generateContent`.
    #[serde(rename = "gemini")]
    Gemini,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Messages, Self::Responses, Self::Gemini];

    /// Returns the name used in catalogs and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "openai_chat",
            Self::Messages => "anthropic_messages",
            Self::Responses => "openai_responses",
            Self::Gemini => "gemini",
        }
    }

    /// The protocol with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }
}
