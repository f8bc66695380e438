//! Custom rules of an account: regular expressions, word lists and JSON paths, each with a label,
//! an action and a confidence.
//!
//! Patterns run in linear time (the `regex` crate) and have a maximum size, so that no rule can
//! stall the engine. An invalid rule is rejected with its position in the list and the reason; no
//! part of it is guessed.

use std::{borrow::Cow, sync::Arc};

use aho_corasick::{AhoCorasick, MatchKind};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::{
    Finding, Label,
    detect::is_unspaced_script,
    json::Step,
    placeholder_form::{LONGEST_LABEL, TYPED},
};
use crate::part::Part as _;

/// The action for a found value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Replaces it with a placeholder, which can be restored.
    #[default]
    Placeholder,
    /// Keeps its last four characters; asterisks replace the others.
    Mask,
    /// Replaces it with a keyed hash: stable within an account, useless outside.
    Hash,
    /// Removes it: in JSON, with the member whose value it is.
    Drop,
    /// Refuses the request.
    Block,
}

/// An invalid rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {position} {problem}")]
pub struct RuleFault {
    /// Its index in the list.
    pub position: usize,
    /// Description of the problem and of a correction.
    pub problem: String,
}

/// Compiled rules.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
    default: Action,
}

#[derive(Clone, Debug)]
struct Rule {
    label: Label,
    action: Action,
    confidence: u8,
    name: Arc<str>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Pattern(Regex),
    Words(AhoCorasick),
    Path(Vec<Segment>),
    /// All findings of the built-in detectors with the label.
    Builtin,
}

/// A step of a JSON path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Member(String),
    Item(usize),
    Any,
}

/// A rule as it is deserialized.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `label` and `pattern`, `words` or `path`"
)]
struct RuleEntry {
    label: String,
    pattern: Option<String>,
    words: Option<Vec<String>>,
    path: Option<String>,
    #[serde(default)]
    action: Action,
    confidence: Option<f64>,
}

/// Maximum number of rules.
const RULES: usize = 100;
/// Maximum length of a pattern, in bytes.
const PATTERN: usize = 1000;
/// Maximum size of a compiled pattern, in bytes.
const COMPILED: usize = 1 << 20;
/// Maximum number of words, and of their bytes.
const WORDS: (usize, usize) = (10_000, 1 << 18);

impl Rules {
    /// Reads rules, each as `{"label", "pattern" | "words" | "path", "action", "confidence"}`. A
    /// rule with a built-in label and no matcher sets the action for that label's values.
    pub fn parse(list: &[serde_json::Value]) -> Result<Self, RuleFault> {
        if list.len() > RULES {
            return Err(RuleFault {
                position: RULES,
                problem: format!("is one too many; at most {RULES} are allowed"),
            });
        }
        let rules = list.iter().enumerate().map(|(position, value)| {
            Rule::read(value)
                .map(Arc::new)
                .map_err(|problem| RuleFault { position, problem })
        });
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            default: Action::default(),
        }
        .told_apart())
    }

    /// Gives rules with the same label distinct names, since each has its own action.
    fn told_apart(mut self) -> Self {
        let names: Vec<Arc<str>> = self.rules.iter().map(|r| Arc::clone(&r.name)).collect();
        for (position, rule) in self.rules.iter_mut().enumerate() {
            if names.iter().filter(|n| **n == rule.name).count() > 1
                && let Some(rule) = Arc::get_mut(rule)
            {
                rule.name = format!("custom:{}:{position}", rule.label.name()).into();
            }
        }
        self
    }

    /// Sets the action for values that no rule covers.
    pub fn with_default(mut self, action: Action) -> Self {
        self.default = action;
        self
    }

    /// Combines these rules with others; all of them apply.
    pub fn and(mut self, others: &Self) -> Self {
        for other in &others.rules {
            let is_taken = !matches!(other.matcher, Matcher::Builtin)
                && self.rules.iter().any(|r| r.name == other.name);
            let name = if is_taken {
                format!("{}:{}", other.name, self.rules.len()).into()
            } else {
                Arc::clone(&other.name)
            };
            self.rules.push(Arc::new(Rule {
                name,
                ..(**other).clone()
            }));
        }
        self
    }

    /// Returns true if any rule refuses requests.
    pub(crate) fn may_block(&self) -> bool {
        self.default == Action::Block || self.rules.iter().any(|r| r.action == Action::Block)
    }

    /// Adds the findings of the custom rules in a text.
    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        let mut flat = None;
        for rule in &self.rules {
            match &rule.matcher {
                Matcher::Pattern(regex) => {
                    found.extend(
                        regex
                            .find_iter(text)
                            .filter(|m| !m.is_empty())
                            .map(|m| rule.finding(m.start(), m.end())),
                    );
                }
                Matcher::Words(words) => {
                    let flat = flat.get_or_insert_with(|| FlatText::of(text));
                    let places = words
                        .find_iter(&*flat.text)
                        .map(|m| (flat.place(m.start()), flat.place(m.end())));
                    found.extend(
                        places
                            .filter(|(start, end)| is_whole(text, *start, *end))
                            .map(|(start, end)| rule.finding(start, end)),
                    );
                }
                Matcher::Path(_) | Matcher::Builtin => {}
            }
        }
    }

    /// Returns the finding of a JSON path for a leaf of this length.
    pub(crate) fn find_path(&self, path: &[Step<'_>], length: usize) -> Option<Finding> {
        self.rules.iter().find_map(|rule| match &rule.matcher {
            Matcher::Path(segments) if length > 0 && leads(segments, path) => {
                Some(rule.finding(0, length))
            }
            _ => None,
        })
    }

    /// Returns the custom labels.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> + Clone {
        self.rules
            .iter()
            .filter(|r| matches!(r.label, Label::Custom(_)))
            .map(|r| r.label.name())
    }

    /// Returns true if there are rules that find values themselves.
    pub(crate) fn has_own(&self) -> bool {
        self.rules
            .iter()
            .any(|r| !matches!(r.matcher, Matcher::Builtin))
    }

    /// Returns the action for a finding: the strictest one of the rules for its label.
    pub(crate) fn action(&self, finding: &Finding) -> Action {
        let said = self
            .rules
            .iter()
            .filter(|r| {
                r.label == finding.label
                    && (matches!(r.matcher, Matcher::Builtin) || *r.name == *finding.rule)
            })
            .map(|r| r.action);
        said.max_by_key(|a| *a as u8).unwrap_or(self.default)
    }
}

impl Rule {
    fn read(value: &serde_json::Value) -> Result<Self, String> {
        let written = RuleEntry::deserialize(value)
            .map_err(|e| format!("cannot be read: {}", without_value(&e.to_string())))?;
        let label = written.label.as_str();
        let legal = (2..=LONGEST_LABEL).contains(&label.len())
            && label.starts_with(|c: char| c.is_ascii_uppercase())
            && label
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !legal {
            return Err(format!(
                "has a label that cannot be one; write a capital and then 1 to {} capitals, digits and _, as EMPLOYEE_ID",
                LONGEST_LABEL - 1
            ));
        }
        if label == TYPED {
            return Err(format!(
                "has the label {TYPED}, which is reserved; use another"
            ));
        }
        let confidence = written.confidence.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&confidence) {
            return Err("has a confidence outside 0 to 1".to_owned());
        }
        let label = Label::from_name(label);
        let matcher = match (written.pattern, written.words, written.path) {
            (Some(pattern), None, None) => Matcher::Pattern(compile(&pattern)?),
            (None, Some(words), None) => Matcher::Words(word_list(&words)?),
            (None, None, Some(path)) => Matcher::Path(path_of(&path)?),
            (None, None, None) if matches!(label, Label::Known(_)) => Matcher::Builtin,
            (None, None, None) => {
                return Err(
                    "has no `pattern`, `words` or `path`, and its label is not a built-in one"
                        .to_owned(),
                );
            }
            _ => {
                return Err(
                    "has more than one of `pattern`, `words` and `path`; use one rule for each"
                        .to_owned(),
                );
            }
        };
        let name = format!("custom:{}", label.name());
        Ok(Self {
            label,
            action: written.action,
            confidence: (confidence * 100.0).round() as u8,
            name: name.into(),
            matcher,
        })
    }

    fn finding(&self, start: usize, end: usize) -> Finding {
        Finding {
            start,
            end,
            label: self.label.clone(),
            rule: self.name.to_string().into(),
            confidence: self.confidence,
            country: None,
        }
    }
}

/// Returns serde's message without the value that it repeats.
fn without_value(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((_, expected)) if !message.starts_with("unknown field") => format!(
            "expected {expected}; `label`, `pattern`, `path` and `action` are strings, `words` is a list of strings, `confidence` a number"
        ),
        _ => message.to_owned(),
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() || pattern.len() > PATTERN {
        return Err(format!(
            "has a pattern of {} bytes; 1 to {PATTERN} are allowed",
            pattern.len()
        ));
    }
    let regex = RegexBuilder::new(pattern)
        .size_limit(COMPILED)
        .dfa_size_limit(COMPILED)
        .build();
    let regex = regex.map_err(|e| match e {
        regex::Error::CompiledTooBig(limit) => {
            format!(
                "has a pattern that is too large when compiled (over {limit} bytes); \
                 use smaller repetitions"
            )
        }
        e => {
            let text = e.to_string();
            let reason = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            let column = text
                .lines()
                .find_map(|l| l.find('^'))
                .map_or_else(String::new, |c| {
                    format!(" at character {}", c.saturating_sub(4) + 1)
                });
            format!("has a pattern that is none{column}: {reason}")
        }
    })?;
    if regex.is_match("") {
        return Err("has a pattern that matches nothing at all, and so everywhere; write one that needs a character".to_owned());
    }
    Ok(regex)
}

fn word_list(words: &[String]) -> Result<AhoCorasick, String> {
    let words: Vec<String> = words
        .iter()
        .map(|w| FlatText::of(w.trim()).text.into_owned())
        .collect();
    if words.is_empty() || words.iter().any(String::is_empty) {
        return Err("has an empty word or list of words".to_owned());
    }
    if words.len() > WORDS.0 || words.iter().map(String::len).sum::<usize>() > WORDS.1 {
        return Err(format!(
            "has more than {} words or {} bytes of them",
            WORDS.0, WORDS.1
        ));
    }
    let list = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .ascii_case_insensitive(true)
        .build(words);
    list.map_err(|e| format!("has words that cannot be searched for: {e}"))
}

/// Text in which one space replaces each run of white space, since words of a list may be split
/// over two lines.
struct FlatText<'a> {
    text: Cow<'a, str>,
    /// The ends of the changed runs, each in this text and in the original.
    moved: Vec<(usize, usize)>,
}

impl<'a> FlatText<'a> {
    fn of(text: &'a str) -> Self {
        let mut flat = String::new();
        let mut moved = Vec::new();
        let mut done = 0;
        let mut rest = text.char_indices().peekable();
        while let Some((start, first)) = rest.next() {
            if !first.is_whitespace() {
                continue;
            }
            let mut end = start + first.len_utf8();
            while let Some((at, c)) = rest.next_if(|(_, c)| c.is_whitespace()) {
                end = at + c.len_utf8();
            }
            if text.get(start..end) != Some(" ") {
                flat.push_str(text.part(done..start));
                flat.push(' ');
                moved.push((flat.len(), end));
                done = end;
            }
        }
        if moved.is_empty() {
            return Self {
                text: Cow::Borrowed(text),
                moved,
            };
        }
        flat.push_str(text.part(done..));
        Self {
            text: Cow::Owned(flat),
            moved,
        }
    }

    /// Returns the place in the original text.
    fn place(&self, at: usize) -> usize {
        let behind = self.moved.partition_point(|(here, _)| *here <= at);
        let (here, there) = behind
            .checked_sub(1)
            .and_then(|i| self.moved.get(i))
            .copied()
            .unwrap_or_default();
        there + (at - here)
    }
}

/// Returns true if no letters or digits adjoin a word; in scripts without spaces, always.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !is_unspaced_script(c));
    let goes_on = |at: usize| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        joins(before) && joins(text.get(at..).and_then(|t| t.chars().next()))
    };
    !goes_on(start) && !goes_on(end)
}

/// Parses a path: `$.customer.emails[*]`, `messages[0].content`.
fn path_of(path: &str) -> Result<Vec<Segment>, String> {
    let wrong = |what: &str, at: usize| {
        format!(
            "has a path with {what} at character {}; write it as $.customer.emails[*]",
            at + 1
        )
    };
    let mut segments = Vec::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    if rest.is_empty() || path.len() > PATTERN {
        return Err(wrong("nothing", 0));
    }
    while !rest.is_empty() {
        let at = path.len() - rest.len();
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner
                .find(']')
                .ok_or_else(|| wrong("no closing bracket", at))?;
            let index = inner.part(..end);
            segments.push(match index {
                "*" => Segment::Any,
                quoted
                    if quoted.len() > 2 && quoted.starts_with('\'') && quoted.ends_with('\'') =>
                {
                    Segment::Member(quoted.trim_matches('\'').to_owned())
                }
                number => Segment::Item(number.parse().map_err(|_| wrong("no number", at + 1))?),
            });
            rest = inner.part(end + 1..);
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = rest.part(..end);
        if name.is_empty() {
            return Err(wrong("an empty name", at));
        }
        segments.push(if name == "*" {
            Segment::Any
        } else {
            Segment::Member(name.to_owned())
        });
        rest = rest.part(end..);
    }
    Ok(segments)
}

fn leads(segments: &[Segment], path: &[Step<'_>]) -> bool {
    segments.len() == path.len()
        && segments
            .iter()
            .zip(path)
            .all(|(segment, step)| match (segment, step) {
                (Segment::Any, _) => true,
                (Segment::Member(name), Step::Member(other)) => {
                    *name == super::json::unescape(other)
                }
                (Segment::Item(n), Step::Item(other)) => n == other,
                _ => false,
            })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(rule: serde_json::Value) -> String {
        Rules::parse(&[json!({"label": "OK_ONE", "words": ["x"]}), rule])
            .map(|_| ())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_wrong_rule_is_refused_with_its_place_and_the_reason() {
        for (rule, reason) in [
            (
                json!({"label": "lower", "pattern": "x"}),
                "has a label that cannot be one",
            ),
            (
                json!({"label": "A_B", "pattern": "(x"}),
                "has a pattern that is none at character 1",
            ),
            (
                json!({"label": "A_B", "pattern": "x*"}),
                "matches nothing at all",
            ),
            (
                json!({"label": "A_B", "pattern": "(?:(?:(?:x{100}){100}){100})"}),
                "too large",
            ),
            (
                json!({"label": "A_B", "pattern": "(?=x)"}),
                "has a pattern that is none",
            ),
            (json!({"label": "A_B"}), "has no `pattern`"),
            (
                json!({"label": "A_B", "pattern": "x", "words": ["y"]}),
                "more than one",
            ),
            (
                json!({"label": "A_B", "path": "$.a["}),
                "no closing bracket at character 4",
            ),
            (
                json!({"label": "A_B", "pattern": "x", "confidence": 2}),
                "outside 0 to 1",
            ),
            (
                json!({"label": "A_B", "pattern": "x", "colour": "red"}),
                "unknown field `colour`",
            ),
            (json!({"label": "A_B", "words": []}), "empty"),
            (
                json!({"label": "A_B", "words": "x"}),
                "`words` is a list of strings",
            ),
            (
                json!({"label": "A_B", "words": ["x"], "action": "burn"}),
                "cannot be read: expected one of `placeholder`, `mask`",
            ),
            (json!("x"), "expected an object with `label`"),
        ] {
            let said = fault(rule.clone());
            assert!(
                said.starts_with("rule 1 ") && said.contains(reason),
                "{rule}: {said}"
            );
        }
    }

    #[test]
    fn words_stand_over_line_ends_and_in_scripts_without_spaces() {
        let rules = Rules::parse(&[
            json!({"label": "NAME_OF", "words": ["Blue Heron ", "田中工業", "ada"]}),
        ])
        .unwrap();
        for (text, value) in [
            ("of Blue\r\n  Heron.", "Blue\r\n  Heron"),
            ("a\n\nb  blue\u{a0}heron", "blue\u{a0}heron"),
            ("私は田中工業の社員です", "田中工業"),
            ("I am Ada", "Ada"),
        ] {
            let mut found = Vec::new();
            rules.find(text, &mut found);
            assert_eq!(
                found
                    .iter()
                    .map(|f| &text[f.start..f.end])
                    .collect::<Vec<_>>(),
                [value],
                "{text}"
            );
        }
        let mut found = Vec::new();
        rules.find("Canada, BlueHeron, Blue Herons", &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
}
