//! Replacement of tool call ids and tool names that Anthropic does not accept. Ids are
//! `[a-zA-Z0-9_-]+` and unique in a conversation, names are `[a-zA-Z0-9_-]{1,64}`. An id or name is
//! always replaced by the same one, so that the prompt cache stays valid.

use std::{borrow::Cow, collections::HashMap};

use sha2::{Digest, Sha256};

use crate::{ids::push_hex, wire::adjust::Adjustments};

/// Maximum length of a tool name, in bytes.
const LONGEST: usize = 64;

fn is_legal(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Returns the first `digits` hexadecimal digits of the hash of `parts`.
fn hash(parts: &[&str], digits: usize) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut hex = String::new();
    push_hex(&hasher.finalize(), |digit| hex.push(char::from(digit)));
    hex.truncate(digits);
    hex
}

/// Returns an accepted name for a tool. If it differs from the client's, `adjusted` records both,
/// so that the answer gets the client's name.
pub(in crate::wire) fn tool_name(name: &str, adjusted: &mut Adjustments) -> String {
    if is_legal(name) && name.len() <= LONGEST {
        return name.to_owned();
    }
    let mut legal: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
                c
            } else {
                '_'
            }
        })
        .collect();
    legal.truncate(LONGEST - 9);
    legal.push('_');
    legal.push_str(&hash(&[name], 8));
    if !adjusted
        .tool_names
        .iter()
        .any(|(theirs, _)| *theirs == legal)
    {
        adjusted.tool_names.push((legal.clone(), name.to_owned()));
    }
    legal
}

/// Returns the id of a call in an answer, as JSON: one that Anthropic would refuse in the next turn is
/// replaced.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    let bare = id.trim_matches('"');
    if is_legal(bare) {
        return id.into();
    }
    let id: Cow<'_, str> = serde_json::from_str(id).unwrap_or_else(|_| bare.into());
    format!("\"toolu_{}\"", hash(&[&id, "0"], 24)).into()
}

/// The ids of a conversation's tool calls, in order.
#[derive(Default)]
pub(super) struct ToolIds {
    /// Number of uses of each client id.
    used: HashMap<String, usize>,
    /// Calls of the last turn: the client's id, Anthropic's id, and true if there is a result.
    open: Vec<(String, String, bool)>,
}

impl ToolIds {
    /// Begins an assistant turn: the results that follow belong to its calls.
    pub(super) fn turn(&mut self) {
        self.open.clear();
    }

    /// Returns the id to send for a call.
    pub(super) fn call(&mut self, id: &str) -> String {
        let nth = self.used.entry(id.to_owned()).or_default();
        let ours = if *nth == 0 && is_legal(id) {
            id.to_owned()
        } else {
            format!("toolu_{}", hash(&[id, &nth.to_string()], 24))
        };
        *nth += 1;
        self.open.push((id.to_owned(), ours.clone(), false));
        ours
    }

    /// Returns the id to send for a result: that of the first call of the last turn that has the
    /// client's `id` and no result yet.
    pub(super) fn result(&mut self, id: &str) -> String {
        let at = self
            .open
            .iter()
            .position(|(theirs, _, done)| theirs == id && !done);
        let at = at.or_else(|| self.open.iter().rposition(|(theirs, ..)| theirs == id));
        match at.and_then(|at| self.open.get_mut(at)) {
            Some((_, ours, done)) => {
                *done = true;
                ours.clone()
            }
            None if is_legal(id) => id.to_owned(),
            None => format!("toolu_{}", hash(&[id, "0"], 24)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_legal_and_unique_and_results_find_their_calls() {
        let mut ids = ToolIds::default();
        ids.turn();
        let (a, b, c) = (ids.call("call_1"), ids.call("functions.f:0"), ids.call(""));
        assert_eq!(a, "call_1");
        assert!(is_legal(&b) && is_legal(&c) && b != c);
        assert_eq!(
            [
                ids.result(""),
                ids.result("call_1"),
                ids.result("functions.f:0")
            ],
            [c, a, b]
        );
        ids.turn();
        let again = ids.call("call_1");
        assert_ne!(again, "call_1", "an id that two turns use is two ids");
        assert_eq!(ids.result("call_1"), again);
        ids.turn();
        let two = [ids.call("x"), ids.call("x")];
        assert_ne!(two[0], two[1]);
        assert_eq!([ids.result("x"), ids.result("x")], two);
    }

    #[test]
    fn names_become_legal_and_are_known_on_the_way_back() {
        let mut adjusted = Adjustments::default();
        let long = "x".repeat(65);
        for name in ["fs.read/file", "two words", long.as_str(), "", "größe"] {
            let sent = tool_name(name, &mut adjusted);
            assert!(is_legal(&sent) && sent.len() <= LONGEST, "{sent}");
            assert_eq!(tool_name(name, &mut adjusted), sent, "the same each time");
            assert_eq!(adjusted.tool_name(&sent), name);
        }
        assert_ne!(
            tool_name("a.b", &mut adjusted),
            tool_name("a/b", &mut adjusted)
        );
        assert_eq!(
            tool_name("get_weather-2", &mut Adjustments::default()),
            "get_weather-2"
        );
    }
}
