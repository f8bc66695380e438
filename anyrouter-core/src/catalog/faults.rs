//! Classification of providers' errors by a table. The data is in `catalog/faults.toml`, where each
//! row has its source.
//!
//! An error is classified by its code, its type and its wording, and by its status only if none of
//! these matches: providers report a bad key as 400, a rate limit as 413 and a moderation refusal
//! as 403. A document's own rows come before the built-in ones.
//!
//! ```
//! use anyrouter_core::catalog::{FailureClass, FaultFacts, FaultTable, Protocol};
//!
//! let table = FaultTable::builtin();
//! let facts = FaultFacts { words: &["invalid-argument"], messages: &["Incorrect API key provided."], ..FaultFacts::of(400) };
//! assert_eq!(table.classify("x-ai", Protocol::Chat, &facts), FailureClass::Credential);
//! ```

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::Protocol;
use crate::part::Part as _;

/// Class of an attempt's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureClass {
    /// The connection failed or broke.
    #[serde(rename = "connection_failed")]
    Connection,
    /// The provider did not answer in time.
    Timeout,
    /// The request exceeded its overall deadline.
    Deadline,
    /// The provider limits the rate of requests or tokens, or has no capacity left.
    RateLimited,
    /// The operator's quota or credit is used up.
    Quota,
    /// The provider failed.
    #[serde(rename = "server_error")]
    Server,
    /// The provider is overloaded.
    Overloaded,
    /// The provider rejects the credential, or there is none.
    Credential,
    /// The provider does not serve the gateway's location.
    Location,
    /// The provider does not have the model.
    ModelMissing,
    /// The answer is not a response of the protocol.
    BadAnswer,
    /// The provider's moderation refused the request.
    Moderated,
    /// The provider refused the request itself.
    Rejected,
}

impl FailureClass {
    /// Returns true if another credential may succeed.
    pub fn is_the_credentials(self) -> bool {
        matches!(self, Self::Credential | Self::RateLimited | Self::Quota)
    }

    /// Returns true if the failure may concern what the credential has access to, and not the endpoint.
    pub fn may_be_the_credentials(self) -> bool {
        self.is_the_credentials() || matches!(self, Self::ModelMissing | Self::Location)
    }

    /// Returns the name used in records, metrics and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection_failed",
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Server => "server_error",
            Self::Overloaded => "overloaded",
            Self::Credential => "credential",
            Self::Location => "location",
            Self::ModelMissing => "model_missing",
            Self::BadAnswer => "bad_answer",
            Self::Moderated => "moderated",
            Self::Rejected => "rejected",
        }
    }

    /// Returns true if the endpoint caused the failure: another endpoint of the model is tried, and
    /// this one can cool down. A request that was rejected or moderated would fail elsewhere too.
    pub fn is_the_endpoints(self) -> bool {
        !matches!(self, Self::Rejected | Self::Moderated | Self::Deadline)
    }
}

/// A row of the table, as in a document.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultRow {
    /// The class of an error that matches.
    pub class: FailureClass,
    /// Provider whose errors match; default: every provider.
    pub provider: Option<String>,
    /// Protocol whose errors match; default: every protocol.
    pub protocol: Option<Protocol>,
    /// Statuses that match; default: every status. 200 stands for an error without a status of its
    /// own inside a 200 response.
    pub status: Option<Vec<u16>>,
    /// Codes, types, statuses and reasons, in lower case.
    #[serde(default)]
    pub words: Vec<String>,
    /// Beginnings of messages, in lower case; a leading `*` stands for one word, such as a model's
    /// name.
    #[serde(default)]
    pub begins: Vec<String>,
    /// Parts of messages, in lower case.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Page or recording that shows the error.
    pub source: Option<String>,
}

/// The parts of an error that the table reads.
#[derive(Clone, Copy)]
pub struct FaultFacts<'a> {
    /// The HTTP status, or the one that the error names.
    pub status: u16,
    /// Code, type, status and reasons, in the provider's spelling.
    pub words: &'a [&'a str],
    /// Messages. They can repeat the prompt and are only compared with the table.
    pub messages: &'a [&'a str],
}

impl FaultFacts<'_> {
    /// Creates the facts of an error of which only the status is known.
    pub fn of(status: u16) -> Self {
        Self {
            status,
            words: &[],
            messages: &[],
        }
    }
}

impl std::fmt::Debug for FaultFacts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultFacts")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The table of errors; the first matching row decides.
#[derive(Clone, Debug, Default)]
pub struct FaultTable {
    own: Vec<FaultRow>,
}

/// Maximum length of the part of a message that is compared, in bytes.
const COMPARED: usize = 4096;

impl FaultTable {
    /// The built-in rows alone.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// These rows, before the built-in ones.
    pub(super) fn with(own: Vec<FaultRow>) -> Self {
        Self { own }
    }

    /// The class of an error.
    pub fn classify(
        &self,
        provider: &str,
        protocol: Protocol,
        facts: &FaultFacts<'_>,
    ) -> FailureClass {
        let messages: Vec<String> = facts.messages.iter().map(|m| lower(m)).collect();
        let matches = |row: &&FaultRow| row.matches(provider, protocol, facts, &messages);
        match self.own.iter().chain(builtin_rows()).find(matches) {
            Some(row) => row.class,
            None if (400..500).contains(&facts.status) => FailureClass::Rejected,
            None if facts.status >= 500 => FailureClass::Server,
            None => FailureClass::BadAnswer,
        }
    }
}

fn lower(message: &str) -> String {
    let mut end = message.len().min(COMPARED);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.part(..end).trim_start().to_ascii_lowercase()
}

impl FaultRow {
    fn matches(
        &self,
        provider: &str,
        protocol: Protocol,
        facts: &FaultFacts<'_>,
        messages: &[String],
    ) -> bool {
        let is_here = self.provider.as_deref().is_none_or(|p| p == provider)
            && self.protocol.is_none_or(|p| p == protocol)
            && self
                .status
                .as_ref()
                .is_none_or(|s| s.contains(&facts.status));
        if !is_here {
            return false;
        }
        if self.words.is_empty() && self.begins.is_empty() && self.contains.is_empty() {
            return true;
        }
        self.words
            .iter()
            .any(|w| facts.words.iter().any(|said| said.eq_ignore_ascii_case(w)))
            || messages.iter().any(|m| {
                self.begins.iter().any(|b| begins(m, b))
                    || self.contains.iter().any(|c| m.contains(c.as_str()))
            })
    }
}

/// Returns true if a message begins with `pattern`; a leading `*` stands for one word.
fn begins(message: &str, pattern: &str) -> bool {
    match pattern.strip_prefix("* ") {
        Some(rest) => message
            .split_once(' ')
            .is_some_and(|(_, m)| m.starts_with(rest)),
        None => message.starts_with(pattern),
    }
}

fn builtin_rows() -> &'static [FaultRow] {
    #[derive(Deserialize)]
    struct File {
        fault: Vec<FaultRow>,
    }
    static ROWS: OnceLock<Vec<FaultRow>> = OnceLock::new();
    // A test checks the file; with an invalid file, only the status would decide.
    ROWS.get_or_init(|| {
        toml::from_str::<File>(include_str!("../../catalog/faults.toml"))
            .map(|f| f.fault)
            .unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, words: &[&str], message: &str) -> FailureClass {
        let facts = FaultFacts {
            status,
            words,
            messages: &[message],
        };
        FaultTable::builtin().classify("p", Protocol::Chat, &facts)
    }

    #[test]
    fn the_table_reads_and_is_in_lower_case_with_a_source_for_each_word() {
        assert!(builtin_rows().len() > 20);
        for row in builtin_rows() {
            let all = || row.words.iter().chain(&row.begins).chain(&row.contains);
            assert!(all().all(|w| *w == w.to_lowercase()), "{row:?}");
            assert!(all().next().is_none() || row.source.is_some(), "{row:?}");
            assert!(
                row.contains.is_empty() || !row.class.is_the_endpoints(),
                "a prompt could close an endpoint: {row:?}"
            );
        }
    }

    #[test]
    fn errors_about_the_operators_key_quota_place_or_rate_are_the_providers_in_whatever_status_they_come()
     {
        for (status, words, message, expected) in [
            (
                400,
                &["INVALID_ARGUMENT", "API_KEY_INVALID"][..],
                "API key not valid. Please pass a valid API key.",
                FailureClass::Credential,
            ),
            (
                400,
                &["invalid-argument"],
                "Incorrect API key provided. You can obtain",
                FailureClass::Credential,
            ),
            (
                400,
                &["FAILED_PRECONDITION"],
                "User location is not supported for the API use.",
                FailureClass::Location,
            ),
            (
                403,
                &["unsupported_country_region_territory", "request_forbidden"],
                "",
                FailureClass::Location,
            ),
            (498, &["capacity_exceeded"], "", FailureClass::RateLimited),
            (
                413,
                &["tokens", "rate_limit_exceeded"],
                "Request too large for model `x`",
                FailureClass::RateLimited,
            ),
            (
                400,
                &["invalid_request_error"],
                "You have reached your specified API usage limits. You will regain access",
                FailureClass::Quota,
            ),
            (
                400,
                &["invalid_request_error"],
                "Your credit balance is too low to access the Anthropic API.",
                FailureClass::Quota,
            ),
            (429, &["insufficient_quota"], "", FailureClass::Quota),
            (402, &[], "", FailureClass::Quota),
            (403, &[], "error code: 1020", FailureClass::Server),
            (429, &[], "error code: 1015", FailureClass::RateLimited),
            (520, &[], "", FailureClass::Server),
            (424, &[], "", FailureClass::Server),
            (529, &[], "", FailureClass::Overloaded),
            (408, &[], "", FailureClass::Timeout),
            (
                404,
                &["invalid_request_error"],
                "",
                FailureClass::ModelMissing,
            ),
            (400, &["model_not_found"], "", FailureClass::ModelMissing),
        ] {
            assert_eq!(
                class(status, words, message),
                expected,
                "{status} {words:?} {message}"
            );
            assert!(expected.is_the_endpoints());
        }
    }

    #[test]
    fn errors_about_the_request_stay_the_requests() {
        for (status, words, message, expected) in [
            (
                403,
                &["reasons"][..],
                "Input flagged",
                FailureClass::Moderated,
            ),
            (
                403,
                &[],
                "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
                FailureClass::Moderated,
            ),
            (400, &["content_filter"], "", FailureClass::Moderated),
            (
                400,
                &["invalid_prompt"],
                "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
                FailureClass::Moderated,
            ),
            (
                400,
                &["invalid_request_error"],
                "Output blocked by content filtering policy",
                FailureClass::Moderated,
            ),
            (413, &["request_too_large"], "", FailureClass::Rejected),
            (
                400,
                &["context_length_exceeded"],
                "",
                FailureClass::Rejected,
            ),
            (422, &["value_error"], "", FailureClass::Rejected),
            (
                400,
                &["invalid_request_error"],
                "unknown: the prompt said `incorrect api key provided`",
                FailureClass::Rejected,
            ),
        ] {
            assert_eq!(
                class(status, words, message),
                expected,
                "{status} {words:?} {message}"
            );
            assert!(!expected.is_the_endpoints());
        }
    }

    #[test]
    fn a_documents_own_row_comes_before_the_built_in_ones() {
        let row: FaultRow =
            toml::from_str("class = \"rejected\"\nprovider = \"p\"\nstatus = [403]").unwrap();
        let table = FaultTable::with(vec![row]);
        assert_eq!(
            table.classify("p", Protocol::Chat, &FaultFacts::of(403)),
            FailureClass::Rejected
        );
        assert_eq!(
            table.classify("q", Protocol::Chat, &FaultFacts::of(403)),
            FailureClass::Credential
        );
    }

    #[test]
    fn a_word_that_differs_from_message_to_message_is_left_open() {
        let table = FaultTable::builtin();
        let class = |provider: &str, status: u16, message: &str| {
            table.classify(
                provider,
                Protocol::Chat,
                &FaultFacts {
                    status,
                    words: &[],
                    messages: &[message],
                },
            )
        };
        assert_eq!(
            class("openrouter", 400, "lab/x-1:free is not a valid model ID"),
            FailureClass::ModelMissing
        );
        assert_eq!(
            class(
                "openrouter",
                400,
                "Tell me why lab/x is not a valid model ID"
            ),
            FailureClass::Rejected
        );
        assert_eq!(
            class(
                "somebody",
                403,
                "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>"
            ),
            FailureClass::Server
        );
        assert_eq!(
            class("somebody", 403, "forbidden"),
            FailureClass::Credential
        );
    }
}
