//! Changes made to a request on its way to a provider: what the client is told of them, and what
//! undoes them in the answer.

use crate::key::looks_like_a_key;

/// The adjustments of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adjustments {
    /// Members that were left out, as `messages[2].content[0]`.
    pub omitted: Vec<String>,
    /// What else the caller should know.
    pub notes: Vec<String>,
    /// Names of tools that the provider does not take: as it sees them, and as the client does.
    pub tool_names: Vec<(String, String)>,
    /// Features of the protocol that the request uses, and that a header must switch on.
    pub betas: Vec<&'static str>,
    /// The client does not want to see reasoning.
    pub hides_reasoning: bool,
    /// Marks for the prompt cache that are still to be left out, since there are too many.
    pub cache_marks_over: usize,
}

/// The most names that are listed; one more says that there are others.
const LISTED: usize = 64;

impl Adjustments {
    /// Names a member that is left out; once, however often.
    pub fn omit(&mut self, member: impl Into<String>) {
        let member = member.into();
        if self.omitted.contains(&member) || self.omitted.len() > LISTED {
            return;
        }
        self.omitted.push(
            if self.omitted.len() == LISTED || looks_like_a_key(&member) {
                "…".to_owned()
            } else {
                member
            },
        );
    }

    /// Adds a note; once, however often.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) && self.notes.len() < LISTED {
            self.notes.push(note);
        }
    }

    /// The client's name of a tool that the provider calls `name`.
    pub fn tool_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.tool_names
            .iter()
            .find(|(theirs, _)| theirs == name)
            .map_or(name, |(_, ours)| ours)
    }
}
