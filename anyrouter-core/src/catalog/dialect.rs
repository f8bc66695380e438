//! Dialects: facts about what an endpoint accepts and returns beyond its protocol. The data is in
//! `catalog/dialects.toml`, where each row has its source.
//!
//! A fact that is not stated is unknown and leaves the request unchanged.

use std::{collections::BTreeMap, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::Protocol;

/// The dialect of an endpoint. `None` means that a fact is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Dialect {
    /// True if it supports the role `developer`; otherwise such messages get the role `system`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer_role: Option<bool>,
    /// The name of the output limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<OutputLimit>,
    /// Member of an assistant message that returns reasoning to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_back: Option<ReasoningBack>,
    /// Accepted form of tool call ids; other ids are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_ids: Option<ToolIdForm>,
    /// Accepted efforts, of `none minimal low medium high xhigh max`; others are replaced by the
    /// nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efforts: Option<Vec<String>>,
    /// Accepted members of `temperature`, `top_p` and `top_k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Reasoning of the model if the request does not ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Reasons>,
    /// Members of the request that are rejected while reasoning is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuses_while_reasoning: Option<Vec<String>>,
    /// Members of the request that are rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuses: Option<Vec<String>>,
    /// Accepted members beyond the protocol: OpenRouter's own, which other providers reject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takes: Option<Vec<String>>,
    /// Other names of members of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renames: Option<BTreeMap<String, String>>,
    /// Support for forcing a tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_tool: Option<ForcedTool>,
    /// Provider's value for `tool_choice: "required"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_tool: Option<String>,
    /// True if it continues a final assistant message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<bool>,
    /// True if it counts the tokens of a request without answering it.
    pub counts_tokens: Option<bool>,
    /// True if system messages may stand between other messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_anywhere: Option<bool>,
    /// Form in which a request asks for thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingForm>,
    /// True if it returns its thinking by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_shown: Option<bool>,
    /// True if it accepts a JSON schema for its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<bool>,
}

/// The name of the output limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is the member's name
pub enum OutputLimit {
    MaxTokens,
    MaxCompletionTokens,
}

/// Member of an assistant message that returns reasoning to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningBack {
    /// No member: it accepts no reasoning.
    None,
    /// `reasoning`.
    Reasoning,
    /// `reasoning_content`.
    ReasoningContent,
    /// `reasoning` and `reasoning_details`, as in OpenRouter's API.
    ReasoningDetails,
    /// `<think>…</think>` before the content.
    ThinkTags,
}

/// The form of the ids of tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolIdForm {
    /// Nine letters and digits.
    NineAlphanumerics,
    /// At most 40 characters.
    #[serde(rename = "up_to_40")]
    UpTo40,
}

impl ToolIdForm {
    /// Returns the maximum length of an id, in bytes.
    pub fn longest(self) -> usize {
        match self {
            Self::NineAlphanumerics => 9,
            Self::UpTo40 => 40,
        }
    }

    /// Returns true if an id has this form.
    pub fn fits(self, id: &str) -> bool {
        match self {
            Self::NineAlphanumerics => {
                id.len() == self.longest() && id.bytes().all(|b| b.is_ascii_alphanumeric())
            }
            Self::UpTo40 => id.len() <= self.longest(),
        }
    }
}

/// Accepted sampling members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All of them.
    All,
    /// `temperature` or `top_p`.
    One,
    /// None that differs from the default.
    None,
}

/// Reasoning of a model if the request does not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is its own name
pub enum Reasons {
    Always,
    ByDefault,
    OnRequest,
    Never,
}

/// Support for forcing a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedTool {
    /// Always.
    Yes,
    /// Only while thinking is off.
    WithoutThinking,
    /// Never.
    No,
}

/// Form in which a request asks for thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingForm {
    /// A number of tokens.
    Budget,
    /// An effort.
    Adaptive,
}

macro_rules! overlaid {
    ($under:expr, $over:expr, $($fact:ident),+ $(,)?) => {
        Dialect { $($fact: $over.$fact.clone().or_else(|| $under.$fact.clone())),+ }
    };
}

impl Dialect {
    /// Returns this dialect with the facts of `over` in place of its own.
    pub fn overlaid(&self, over: &Self) -> Self {
        overlaid!(
            self,
            over,
            developer_role,
            max_tokens,
            reasoning_back,
            tool_ids,
            efforts,
            sampling,
            reasons,
            refuses_while_reasoning,
            refuses,
            takes,
            renames,
            forced_tool,
            required_tool,
            prefill,
            counts_tokens,
            system_anywhere,
            thinking,
            thinking_shown,
            json_schema
        )
    }

    /// Returns the built-in dialect of a provider's model in a protocol.
    pub fn builtin(provider: &str, protocol: Protocol, upstream_model: &str) -> Self {
        let model = upstream_model.to_ascii_lowercase().replace('.', "-");
        let mut it = Self::default();
        for row in rows()
            .iter()
            .filter(|r| r.matches(provider, protocol, &model))
        {
            it = it.overlaid(&row.facts);
        }
        it
    }

    /// Returns true if it accepts `member`, one of OpenRouter's own.
    pub fn takes(&self, member: &str) -> bool {
        self.takes
            .as_ref()
            .is_some_and(|t| t.iter().any(|m| m == member))
    }

    /// Returns true if it is known to reject `member` in a request with this effort.
    pub fn refuses(&self, member: &str, effort: Option<&str>) -> bool {
        let is_in = |list: &Option<Vec<String>>| {
            list.as_ref().is_some_and(|l| l.iter().any(|m| m == member))
        };
        let reasons = match self.reasons {
            Some(Reasons::Always) => true,
            Some(Reasons::ByDefault) => effort != Some("none"),
            Some(Reasons::OnRequest) => effort.is_some_and(|e| e != "none"),
            Some(Reasons::Never) | None => false,
        };
        is_in(&self.refuses) || (reasons && is_in(&self.refuses_while_reasoning))
    }

    /// Returns the effort to send for `asked`: the nearest accepted one, or the higher of two at
    /// the same distance; `None` if there is none.
    pub fn effort<'a>(&'a self, asked: &'a str) -> Option<&'a str> {
        const LEVELS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
        let Some(taken) = &self.efforts else {
            return Some(asked);
        };
        let rank = |level: &str| LEVELS.iter().position(|l| *l == level);
        let wanted = rank(asked)?;
        if asked == "none" && !taken.iter().any(|t| t == "none") {
            return None;
        }
        taken
            .iter()
            .filter_map(|t| Some((t.as_str(), rank(t)?)))
            .filter(|(t, _)| *t != "none" || asked == "none")
            .min_by_key(|(_, rank)| (rank.abs_diff(wanted), std::cmp::Reverse(*rank)))
            .map(|(t, _)| t)
    }
}

/// A row of the table.
#[derive(Debug)]
struct Row {
    place: Place,
    facts: Dialect,
}

/// The endpoints that a row applies to.
#[derive(Debug, Deserialize)]
struct Place {
    /// The endpoint's protocol; `None` if the facts are the model's, whatever the protocol.
    protocol: Option<Protocol>,
    #[serde(default)]
    providers: Vec<String>,
    #[serde(default)]
    models: Vec<String>,
    #[cfg_attr(not(test), allow(dead_code))] // for who reads the table
    source: String,
}

impl Row {
    fn matches(&self, provider: &str, protocol: Protocol, model: &str) -> bool {
        let Place {
            protocol: own,
            providers,
            models,
            ..
        } = &self.place;
        own.is_none_or(|own| own == protocol)
            && (providers.is_empty() || providers.iter().any(|p| p == provider))
            && (models.is_empty() || models.iter().any(|part| has_part(model, part)))
    }
}

/// Returns true if `name` has `part` at the beginning of a word, with no digit after it.
fn has_part(name: &str, part: &str) -> bool {
    name.match_indices(part).any(|(at, _)| {
        let before = name.get(..at).and_then(|b| b.bytes().next_back());
        let after = name.get(at + part.len()..).and_then(|a| a.bytes().next());
        before.is_none_or(|b| !b.is_ascii_alphanumeric())
            && (part.ends_with(|c: char| !c.is_ascii_digit())
                || after.is_none_or(|a| !a.is_ascii_digit()))
    })
}

fn rows() -> &'static [Row] {
    #[derive(Deserialize)]
    struct File {
        dialect: Vec<toml::Table>,
    }
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    // A test checks the file; the facts of an invalid row would be unknown.
    ROWS.get_or_init(|| {
        let file = toml::from_str::<File>(include_str!("../../catalog/dialects.toml"))
            .map(|f| f.dialect)
            .unwrap_or_default();
        file.into_iter().filter_map(row).collect()
    })
}

/// Parses a row: the members of its place, and all others as facts.
fn row(mut table: toml::Table) -> Option<Row> {
    let mut place = toml::Table::new();
    for name in ["protocol", "providers", "models", "source"] {
        if let Some(value) = table.remove(name) {
            place.insert(name.to_owned(), value);
        }
    }
    Some(Row {
        place: place.try_into().ok()?,
        facts: table.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_reads_and_states_a_fact_with_its_source() {
        let written = include_str!("../../catalog/dialects.toml")
            .matches("[[dialect]]")
            .count();
        assert_eq!(
            rows().len(),
            written,
            "a row that cannot be read is left out"
        );
        assert!(
            rows()
                .iter()
                .all(|r| !r.place.source.is_empty() && r.facts != Dialect::default())
        );
    }

    #[test]
    fn a_models_facts_are_found_under_every_spelling_of_its_name() {
        for name in [
            "claude-opus-4-8",
            "claude-opus-4.8",
            "anthropic.claude-opus-4-8-v1:0",
            "claude-opus-4-8-20260501",
        ] {
            let dialect = Dialect::builtin("p", Protocol::Messages, name);
            assert_eq!(
                (dialect.sampling, dialect.prefill, dialect.system_anywhere),
                (Some(Sampling::None), Some(false), Some(true)),
                "{name}"
            );
        }
        assert_eq!(
            Dialect::builtin("p", Protocol::Messages, "claude-haiku-4-5").sampling,
            Some(Sampling::One)
        );
        assert_eq!(
            Dialect::builtin("openai", Protocol::Chat, "gpt-5.4").reasons,
            Some(Reasons::OnRequest)
        );
        assert_eq!(
            Dialect::builtin("openai", Protocol::Chat, "gpt-51").reasons,
            None
        );
        assert_eq!(
            Dialect::builtin("somebody", Protocol::Chat, "gpt-5"),
            Dialect::default()
        );
    }

    #[test]
    fn an_effort_that_is_not_taken_is_sent_as_the_nearest() {
        let dialect = Dialect {
            efforts: Some(["low", "high", "max"].map(Into::into).to_vec()),
            ..Dialect::default()
        };
        let sent =
            ["none", "minimal", "low", "medium", "high", "xhigh", "max"].map(|e| dialect.effort(e));
        assert_eq!(
            sent,
            [
                None,
                Some("low"),
                Some("low"),
                Some("high"),
                Some("high"),
                Some("max"),
                Some("max")
            ]
        );
        assert_eq!(Dialect::default().effort("minimal"), Some("minimal"));
    }

    #[test]
    fn what_is_refused_can_depend_on_whether_the_model_reasons() {
        let of = |model| Dialect::builtin("openai", Protocol::Chat, model);
        assert!(of("gpt-5-mini").refuses("temperature", None));
        assert!(
            !of("gpt-5.2").refuses("temperature", None)
                && of("gpt-5.2").refuses("temperature", Some("low"))
        );
        assert!(
            of("gpt-5.6").refuses("top_p", None) && !of("gpt-5.6").refuses("top_p", Some("none"))
        );
        assert!(!of("gpt-5-chat-latest").refuses("temperature", None));
        for model in ["gpt-5.1-chat-latest", "gpt-5.1-codex", "gpt-5.2-pro"] {
            assert!(of(model).refuses("temperature", None), "{model}");
        }
    }
}
