//! Redaction of text. (For JSON, see `document`.)

use super::{
    Action, Engine, Finding, Label, Placeholders, Rules,
    cut::{Cut, overlaps_any, splice},
    placeholder::KnownValues,
    placeholder_form::TYPED,
};
use crate::part::Part as _;

/// Content from which personal data and secrets were removed. Only a [`Redactor`] creates it (P10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<T>(pub(super) T);

impl<T> Redacted<T> {
    /// Returns the redacted content.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsRef<str>> Redacted<T> {
    /// Returns the redacted content.
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }
}

/// The error for a value that a rule blocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value of kind {label} is refused (rule {rule}); remove it")]
pub struct Blocked {
    /// The value's label.
    pub label: String,
    /// The rule that found it.
    pub rule: String,
}

/// Finds values with the built-in detectors and an account's rules, and applies the actions of the
/// rules.
#[derive(Clone, Debug)]
pub struct Redactor {
    pub(super) engine: &'static Engine,
    pub(super) rules: Rules,
}

/// Maximum number of searches of the redacted text.
pub(super) const ROUNDS: usize = 4;

impl Redactor {
    /// Creates a redactor with rules in addition to the built-in detectors.
    pub fn new(rules: Rules) -> Self {
        Self {
            engine: Engine::builtin(),
            rules,
        }
    }

    /// Returns the findings in a text; see [`Engine::find`].
    pub fn find(&self, text: &str) -> Vec<Finding> {
        self.engine.find_by(text, &self.rules)
    }

    /// Returns the findings in a JSON document; see [`Engine::find_json`].
    pub fn find_json(&self, json: &str) -> Vec<Finding> {
        self.engine.find_json_by(json, &self.rules)
    }

    /// Returns the action for a finding.
    pub fn action(&self, finding: &Finding) -> Action {
        self.rules.action(finding)
    }

    /// Redacts a text. `placeholders` holds the removed values.
    pub fn redact(
        &self,
        text: &str,
        placeholders: &mut Placeholders,
    ) -> Result<Redacted<String>, Blocked> {
        let mut cuts = self.cut_all(text, &self.find(text), placeholders)?;
        if cuts.is_empty() && placeholders.is_idle() {
            return Ok(Redacted(text.to_owned()));
        }
        loop {
            let known = placeholders.known();
            let more = repeats(text, &cuts, placeholders, known.as_ref());
            let is_typed = more.iter().any(|f| f.label.name() == TYPED);
            for finding in more {
                let value = text.part(finding.start..finding.end);
                cuts.push(self.cut(&finding, value, false, placeholders)?);
            }
            cuts.sort_by_key(|c| c.start);
            // Typed text now has placeholders, which may have been typed as well.
            if is_typed {
                continue;
            }
            let count = placeholders.len();
            let left = self.take_out(text, &cuts, placeholders)?;
            // So may the placeholders of values found only in the redacted text.
            if placeholders.len() == count || repeats(text, &cuts, placeholders, None).is_empty() {
                return Ok(Redacted(left));
            }
        }
    }

    /// Applies the cuts, and searches the result until nothing is found, since text beside a
    /// removed value may have another meaning.
    pub(super) fn take_out(
        &self,
        text: &str,
        cuts: &[Cut],
        placeholders: &mut Placeholders,
    ) -> Result<String, Blocked> {
        let mut left = splice(text, 0..text.len(), cuts);
        for _ in 0..ROUNDS {
            let more = self.cut_all(&left, &self.find(&left), placeholders)?;
            if more.is_empty() {
                break;
            }
            left = splice(&left, 0..left.len(), &more);
        }
        placeholders.note_places_in(&left);
        Ok(left)
    }

    /// Returns the cuts for these findings, and counts and records them.
    pub(super) fn cut_all(
        &self,
        text: &str,
        found: &[Finding],
        placeholders: &mut Placeholders,
    ) -> Result<Vec<Cut>, Blocked> {
        let cut = |finding: &Finding| {
            let value = text.part(finding.start..finding.end);
            placeholders.note(finding, value);
            self.cut(finding, value, false, placeholders)
        };
        found.iter().map(cut).collect()
    }

    /// Returns the cut for a finding.
    pub(super) fn cut(
        &self,
        finding: &Finding,
        value: &str,
        is_number: bool,
        placeholders: &mut Placeholders,
    ) -> Result<Cut, Blocked> {
        let label = finding.label.name();
        let action = self.rules.action(finding);
        let by = match action {
            Action::Block => {
                return Err(Blocked {
                    label: label.to_owned(),
                    rule: finding.rule.to_string(),
                });
            }
            Action::Placeholder => placeholders.of(label, value, is_number),
            Action::Mask => mask(value),
            Action::Hash => placeholders.key().hash(label, value),
            Action::Drop => String::new(),
        };
        Ok(Cut {
            start: finding.start,
            end: finding.end,
            by,
            drops: action == Action::Drop,
        })
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(Rules::default())
    }
}

/// Returns further findings outside `cuts`: repeated values, and text that would be restored
/// although no redactor wrote it.
pub(super) fn repeats(
    text: &str,
    cuts: &[Cut],
    placeholders: &Placeholders,
    known: Option<&KnownValues>,
) -> Vec<Finding> {
    let typed = placeholders
        .spans(text)
        .into_iter()
        .map(|(start, end)| Finding {
            start,
            end,
            label: Label::Custom(TYPED.into()),
            rule: "typed_placeholder".into(),
            confidence: 100,
            country: None,
        });
    let mut more: Vec<Finding> = known.map(|k| k.find(text)).unwrap_or_default();
    more.extend(typed);
    more.sort_by_key(|f| (f.start, usize::MAX - f.end));
    let mut end = 0;
    more.retain(|f| {
        let free = f.start >= end && !overlaps_any(cuts, f);
        end = if free { f.end } else { end };
        free
    });
    more
}

/// Keeps the last four of at least eight characters; asterisks replace the others.
fn mask(value: &str) -> String {
    let count = value.chars().count();
    let shown = if count >= 8 { 4 } else { 0 };
    value
        .chars()
        .enumerate()
        .map(|(i, c)| if i + shown >= count { c } else { '*' })
        .collect()
}
