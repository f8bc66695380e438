//! Data that agents send about a person's machine and project, which no provider gets unless the
//! account allows it (P06). Only what this table names is removed or replaced: the text of a prompt is
//! not edited. The headers that agents add need no row, since no header reaches a provider but those
//! of its protocol.

use crate::catalog::Protocol;

/// Facts about the person who sends a request, as a provider may know them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Person<'a> {
    /// Pseudonym of the end user.
    pub user: Option<&'a str>,
    /// Pseudonym of the conversation, by which providers find their prompt caches.
    pub cache_key: Option<&'a str>,
    /// True if the account allows the data of its agents to pass.
    pub passes_metadata: bool,
}

/// Treatment of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is left out.
    Remove,
    /// It is replaced by a keyed hash, the same for the same value.
    Hash,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The agent that sends it.
    pub agent: &'static str,
    /// Protocol of the request.
    pub protocol: Protocol,
    /// The member, or the beginning of the first text of `system`.
    pub member: &'static str,
    /// Treatment of it.
    pub treatment: Treatment,
    /// Where it was seen.
    pub source: &'static str,
}

/// The beginning of Claude Code's billing line.
pub(super) const BILLING: &str = "x-anthropic-billing-header:";

/// Note about a conversation's name that was replaced.
pub(super) const CACHE_KEY_NOTE: &str = "prompt_cache_key was replaced by a keyed hash";

/// The table.
pub const CLIENT_METADATA: [Row; 4] = [
    Row {
        agent: "Codex",
        protocol: Protocol::Responses,
        member: "client_metadata",
        treatment: Treatment::Remove,
        source: "Codex 0.171.0, observed 2026-11-28: installation id, work folder, git remotes and commit",
    },
    Row {
        agent: "Codex",
        protocol: Protocol::Responses,
        member: "prompt_cache_key",
        treatment: Treatment::Hash,
        source: "Codex 0.171.0, observed 2026-11-28: the session's id",
    },
    Row {
        agent: "OpenAI's packages",
        protocol: Protocol::Chat,
        member: "prompt_cache_key",
        treatment: Treatment::Hash,
        source: "OpenAI's API reference, 2026-08: the client's own name for a conversation",
    },
    Row {
        agent: "Claude Code",
        protocol: Protocol::Messages,
        member: BILLING,
        treatment: Treatment::Remove,
        source: "Claude Code 2.1.197 and 2.1.332, observed 2026-11-28: version and build of the client",
    },
];

impl Person<'_> {
    /// Returns what becomes of a member of a request in `protocol`; `None` if it passes.
    pub(super) fn treatment(&self, protocol: Protocol, member: &str) -> Option<Treatment> {
        let row = CLIENT_METADATA
            .iter()
            .find(|row| row.protocol == protocol && row.member == member);
        row.filter(|_| !self.passes_metadata)
            .map(|row| row.treatment)
    }
}
