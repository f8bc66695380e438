//! The wire protocols: those that AnyRouter supports, and those that a catalog may name.

use serde::{Deserialize, Serialize};

/// A wire protocol that AnyRouter supports.
///
/// Every `match` over it is exhaustive, so that a new protocol does not compile until all code
/// handles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Messages, Self::Responses];

    /// Returns the name used in catalogs and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "openai_chat",
            Self::Messages => "anthropic_messages",
            Self::Responses => "openai_responses",
        }
    }

    /// The protocol with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }
}

/// A wire protocol as a catalog names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProtocolName {
    /// OpenAI's chat completions.
    OpenaiChat,
    /// OpenAI's responses.
    OpenaiResponses,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Google's `generateContent`.
    Gemini,
}

impl ProtocolName {
    /// Returns the protocol if AnyRouter supports it.
    pub const fn spoken(self) -> Option<Protocol> {
        match self {
            Self::OpenaiChat => Some(Protocol::Chat),
            Self::AnthropicMessages => Some(Protocol::Messages),
            Self::OpenaiResponses => Some(Protocol::Responses),
            Self::Gemini => None,
        }
    }
}

impl<'de> Deserialize<'de> for ProtocolName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(match &*text {
            "openai_chat" => Self::OpenaiChat,
            "openai_responses" => Self::OpenaiResponses,
            "anthropic_messages" => Self::AnthropicMessages,
            "gemini" => Self::Gemini,
            // The error lists only the supported protocols.
            other => {
                return Err(serde::de::Error::unknown_variant(
                    other,
                    &["openai_chat", "openai_responses", "anthropic_messages"],
                ));
            }
        })
    }
}
