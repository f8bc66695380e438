//! Changes to a request on its way to a provider: notes for the client, and data to undo the
//! changes in the answer.

use std::borrow::Cow;

use crate::key::looks_like_a_key;

/// The adjustments of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adjustments {
    /// Omitted members, such as `messages[2].content[0]`.
    pub omitted: Vec<String>,
    /// Further notes for the caller.
    pub notes: Vec<String>,
    /// Replaced names of tools that the provider does not accept: the provider's, and the client's.
    pub tool_names: Vec<(String, String)>,
    /// Tools whose calls the client knows in another form, by the name in the translated request.
    pub client_tools: Vec<(String, ClientTool)>,
    /// Features of the protocol that the request uses and a header must enable.
    pub betas: Vec<&'static str>,
    /// True if reasoning is hidden from the client.
    pub hides_reasoning: bool,
    /// Number of prompt cache marks that are still to be omitted, since there are too many.
    pub cache_marks_over: usize,
}

/// A tool as a client of the Responses protocol knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTool {
    /// The tool's name.
    pub name: String,
    /// Name of the namespace that the tool is in.
    pub namespace: Option<String>,
    /// True if the tool takes text in place of a JSON object.
    pub is_custom: bool,
}

/// Maximum number of listed names; one more entry stands for the others.
const LISTED: usize = 64;

impl Adjustments {
    /// Lists an omitted member, without duplicates.
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

    /// Adds a note, without duplicates.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) && self.notes.len() < LISTED {
            self.notes.push(note);
        }
    }

    /// Returns the client's name for the provider's tool `name`.
    pub fn tool_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.tool_names
            .iter()
            .find(|(theirs, _)| theirs == name)
            .map_or(name, |(_, ours)| ours)
    }

    /// Returns the client's form of the tool with this name, as JSON.
    pub(super) fn client_tool(&self, name: &str) -> ClientTool {
        let name: Cow<'_, str> = serde_json::from_str(name).unwrap_or_default();
        let known = self.client_tools.iter().find(|(sent, _)| *sent == name);
        known.map_or_else(
            || ClientTool {
                name: name.clone().into_owned(),
                ..ClientTool::default()
            },
            |(_, tool)| tool.clone(),
        )
    }

    /// Returns the client's name of a tool as JSON, for the provider's as JSON.
    pub(super) fn client_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.tool_names.is_empty() {
            return name.into();
        }
        let Ok(theirs) = serde_json::from_str::<Cow<'_, str>>(name) else {
            return name.into();
        };
        serde_json::to_string(self.tool_name(&theirs)).map_or_else(|_| name.into(), Into::into)
    }
}
