//! Takes values out of text and JSON.

use super::{
    Action, Engine, Finding, Label, Placeholders, Rules,
    json::{Leaf, LeafKind, Step, escape, nested, unescape, walk},
    placeholder::{Known, TYPED},
};

/// Something out of which personal data and secrets were taken. Only a [`Redactor`] makes one (P10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// What is left.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsRef<str>> Redacted<T> {
    /// What is left.
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }
}

/// A rule says that what holds such a value is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds a value of kind {label}, which the redaction rules refuse (rule {rule}); take it out")]
pub struct Blocked {
    /// The value's label.
    pub label: String,
    /// The rule that found it.
    pub rule: String,
}

/// Finds values with the built-in detectors and an account's rules, and does with them what the rules say.
#[derive(Clone, Debug)]
pub struct Redactor {
    engine: &'static Engine,
    rules: Rules,
}

/// Members whose values are words of a protocol or a schema.
const WORDS: [&str; 8] = ["type", "role", "format", "object", "detail", "name", "required", "enum"];

/// How often what is left is looked through again, at most.
const ROUNDS: usize = 4;

/// A leaf of a document with what was found in it.
struct Planned {
    range: std::ops::Range<usize>,
    kind: LeafKind,
    /// Where its member begins; `None` in a list.
    member: Option<usize>,
    found: Vec<Finding>,
    /// It is a name, or a word of a protocol or a schema: only what the detectors find in it counts.
    is_word: bool,
    /// The document that is in the string.
    nested: Option<(String, Vec<Planned>)>,
}

impl Redactor {
    /// A redactor with these rules beside the built-in detectors.
    pub fn new(rules: Rules) -> Self {
        Self { engine: Engine::builtin(), rules }
    }

    /// What is in text: see [`Engine::find`].
    pub fn find(&self, text: &str) -> Vec<Finding> {
        self.engine.find_by(text, &self.rules)
    }

    /// What is in a JSON document: see [`Engine::find_json`].
    pub fn find_json(&self, json: &str) -> Vec<Finding> {
        self.engine.find_json_by(json, &self.rules)
    }

    /// Takes values out of text. What they were is in `placeholders` as long as those live.
    pub fn redact(&self, text: &str, placeholders: &mut Placeholders) -> Result<Redacted<String>, Blocked> {
        let mut found = self.find(text);
        self.register(text, &found, placeholders)?;
        loop {
            let more = more(text, &found, placeholders, placeholders.known().as_ref());
            let is_last = more.iter().all(|f| f.label.name() != TYPED);
            for finding in more.iter().filter(|f| f.label.name() == TYPED) {
                placeholders.of(finding.label.name(), text.get(finding.start..finding.end).unwrap_or_default(), false);
            }
            found.extend(more);
            found.sort_by_key(|f| f.start);
            // What was typed has placeholders now, which may have been typed as well.
            if is_last {
                break;
            }
        }
        let mut left = self.replace(text, &found, placeholders, ToOwned::to_owned, ToOwned::to_owned);
        for _ in 0..ROUNDS {
            if found.is_empty() {
                break;
            }
            // What stood beside a value may read otherwise without it.
            found = self.find(&left);
            self.register(&left, &found, placeholders)?;
            left = self.replace(&left, &found, placeholders, ToOwned::to_owned, ToOwned::to_owned);
        }
        Ok(Redacted(left))
    }

    /// Takes values out of a JSON document: out of its strings, numbers and names, and out of JSON within strings. Leaves for which `keep`
    /// says so stay as they are. What is no JSON is text.
    pub fn redact_json(
        &self,
        json: &str,
        keep: impl Fn(&[Step<'_>]) -> bool,
        placeholders: &mut Placeholders,
    ) -> Result<Redacted<String>, Blocked> {
        let Some(mut planned) = self.plan(json, &keep, placeholders)? else { return self.redact(json, placeholders) };
        loop {
            let known = placeholders.known();
            if !add_more(json, &mut planned, placeholders, known.as_ref()) {
                break;
            }
        }
        let mut left = self.write(json, &planned, placeholders);
        for _ in 0..ROUNDS {
            if !has_findings(&planned) {
                break;
            }
            let Some(again) = self.plan(&left, &keep, placeholders)? else { break };
            planned = again;
            left = self.write(&left, &planned, placeholders);
        }
        Ok(Redacted(left))
    }

    /// The leaves in which something is found; their values are registered. Nothing, where it is no JSON.
    fn plan(
        &self,
        json: &str,
        keep: &dyn Fn(&[Step<'_>]) -> bool,
        placeholders: &mut Placeholders,
    ) -> Result<Option<Vec<Planned>>, Blocked> {
        let mut planned: Vec<Planned> = Vec::new();
        let mut hits = Vec::new();
        let mut blocked = None;
        // Text that goes on in the next part of a message is looked at together with it.
        let mut parts: Vec<(usize, String)> = Vec::new();
        let walked = walk(json, |leaf: Leaf<'_>| {
            let Some(content) = json.get(leaf.range.clone()).filter(|_| blocked.is_none() && !keep(leaf.path)) else { return };
            let is_name = leaf.kind == LeafKind::Name;
            let member = (is_name || matches!(leaf.path.last(), Some(Step::Member(_)))).then_some(leaf.member);
            let is_word = is_name || WORDS.contains(&leaf.name);
            let mut plan = Planned { range: leaf.range.clone(), kind: leaf.kind, member, found: Vec::new(), is_word, nested: None };
            if leaf.kind == LeafKind::String
                && let Some(inner) = nested(content)
            {
                match self.plan(&inner, &|_| false, placeholders) {
                    Ok(Some(leaves)) => {
                        plan.nested = Some((inner, leaves));
                        planned.push(plan);
                        return;
                    }
                    Ok(None) => {}
                    Err(e) => blocked = Some(e),
                }
            }
            plan.found = self.engine.find_leaf(&leaf, content, &self.rules, &mut hits);
            if leaf.kind == LeafKind::String && leaf.name == "text" {
                parts.push((planned.len(), content.to_owned()));
            }
            let decoded = |f: &Finding| unescape(content.get(f.start..f.end).unwrap_or_default()).unwrap_or_default();
            for finding in &plan.found {
                if let Err(e) = self.register_one(finding, &decoded(finding), leaf.kind == LeafKind::Number, placeholders) {
                    blocked = Some(e);
                }
            }
            planned.push(plan);
        });
        if let Some(blocked) = blocked {
            return Err(blocked);
        }
        if walked.is_err() {
            return Ok(None);
        }
        self.join_parts(&parts, &mut planned, placeholders)?;
        Ok(Some(planned))
    }

    /// A value that is split over the texts of message parts is found where they meet, and each part of it is taken out.
    fn join_parts(&self, parts: &[(usize, String)], planned: &mut [Planned], placeholders: &mut Placeholders) -> Result<(), Blocked> {
        const REACH: usize = 96;
        for pair in parts.windows(2) {
            let [(first, before), (second, after)] = pair else { continue };
            let contents = [before.as_str(), after.as_str()];
            let (Some(before), Some(after)) = (&unescape(before), &unescape(after)) else { continue };
            let floor = |text: &str, at: usize| (at.saturating_sub(3)..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            let from = floor(before, before.len().saturating_sub(REACH));
            let to = floor(after, REACH.min(after.len()));
            let (head, tail) = (before.get(from..).unwrap_or_default(), after.get(..to).unwrap_or_default());
            let seam = head.len();
            for finding in self.find(&format!("{head}{tail}")).into_iter().filter(|f| f.start < seam && f.end > seam) {
                let halves = [(*first, from + finding.start, before.len()), (*second, 0, finding.end - seam)];
                for (index, start, end) in halves {
                    let Some(plan) = planned.get_mut(index) else { continue };
                    let mut half = [Finding { start, end, ..finding.clone() }];
                    super::engine::place_in_escaped(&mut half, contents.get(usize::from(index != *first)).copied().unwrap_or_default());
                    let [half] = half;
                    if plan.found.iter().any(|f| f.overlaps(&half)) {
                        continue;
                    }
                    let text = if index == *first { before } else { after };
                    self.register_one(&half, text.get(start..end).unwrap_or_default(), false, placeholders)?;
                    plan.found.push(half);
                    plan.found.sort_by_key(|f| f.start);
                }
            }
        }
        Ok(())
    }

    fn register(&self, text: &str, found: &[Finding], placeholders: &mut Placeholders) -> Result<(), Blocked> {
        found.iter().try_for_each(|f| self.register_one(f, text.get(f.start..f.end).unwrap_or_default(), false, placeholders))
    }

    fn register_one(&self, finding: &Finding, value: &str, is_number: bool, placeholders: &mut Placeholders) -> Result<(), Blocked> {
        match self.rules.action(finding) {
            Action::Block => return Err(Blocked { label: finding.label.name().to_owned(), rule: finding.rule.to_string() }),
            Action::Placeholder => {
                placeholders.of(finding.label.name(), value, is_number);
            }
            Action::Mask | Action::Hash | Action::Drop => {}
        }
        placeholders.note(finding, value);
        Ok(())
    }

    /// Appends a part of text with these findings replaced.
    pub(crate) fn write_findings(
        &self,
        text: &str,
        part: std::ops::Range<usize>,
        found: &[Finding],
        placeholders: &mut Placeholders,
        out: &mut String,
    ) -> Result<(), Blocked> {
        self.register(text, found, placeholders)?;
        let mut done = part.start;
        for finding in found {
            let value = text.get(finding.start..finding.end).unwrap_or_default();
            out.push_str(text.get(done..finding.start).unwrap_or_default());
            out.push_str(&self.replacement(finding, value, false, placeholders));
            done = finding.end;
        }
        out.push_str(text.get(done..part.end).unwrap_or_default());
        Ok(())
    }

    /// What stands in a value's place.
    fn replacement(&self, finding: &Finding, value: &str, is_number: bool, placeholders: &mut Placeholders) -> String {
        let label = finding.label.name();
        match self.rules.action(finding) {
            Action::Mask => mask(value),
            Action::Hash => placeholders.key().hash(label, value),
            Action::Drop => String::new(),
            Action::Placeholder | Action::Block => placeholders.of(label, value, is_number),
        }
    }

    fn replace(
        &self,
        text: &str,
        found: &[Finding],
        placeholders: &mut Placeholders,
        read: impl Fn(&str) -> String,
        spell: impl Fn(&str) -> String,
    ) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for finding in found {
            let value = read(text.get(finding.start..finding.end).unwrap_or_default());
            out.push_str(text.get(done..finding.start).unwrap_or_default());
            out.push_str(&spell(&self.replacement(finding, &value, false, placeholders)));
            done = finding.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }

    fn write(&self, json: &str, planned: &[Planned], placeholders: &mut Placeholders) -> String {
        let mut out = String::with_capacity(json.len());
        let mut done = 0;
        // A name that was rewritten, and how far it was then: its member may be dropped.
        let mut name: Option<(usize, usize, usize)> = None;
        for plan in planned {
            if plan.range.start < done || (plan.found.is_empty() && plan.nested.is_none()) {
                continue;
            }
            let content = json.get(plan.range.clone()).unwrap_or_default();
            let is_whole = |f: &Finding| f.start == 0 && f.end == content.len() && self.rules.action(f) == Action::Drop;
            if plan.kind != LeafKind::Name && plan.found.iter().any(is_whole) {
                let quote = usize::from(plan.kind == LeafKind::String);
                if let Some((_, length, before)) = name.filter(|(member, ..)| plan.member == Some(*member)) {
                    out.truncate(length);
                    done = before;
                }
                if let Some((from, to)) = plan.member.map(|m| member_range(json, m, plan.range.end + quote, done)) {
                    out.push_str(json.get(done..from).unwrap_or_default());
                    done = to;
                    continue;
                }
            }
            let text = match (&plan.nested, plan.kind) {
                (Some((inner, leaves)), _) => {
                    let written = self.write(inner, leaves, placeholders);
                    if written == *inner {
                        continue;
                    }
                    escape(&written)
                }
                (None, LeafKind::Number) => {
                    let Some(finding) = plan.found.first() else { continue };
                    format!("\"{}\"", escape(&self.replacement(finding, content, true, placeholders)))
                }
                (None, _) => self.replace(content, &plan.found, placeholders, |v| unescape(v).unwrap_or_default(), escape),
            };
            if let (LeafKind::Name, Some(member)) = (plan.kind, plan.member) {
                name = Some((member, out.len(), done));
            }
            out.push_str(json.get(done..plan.range.start).unwrap_or_default());
            out.push_str(&text);
            done = plan.range.end;
        }
        out.push_str(json.get(done..).unwrap_or_default());
        out
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(Rules::default())
    }
}

/// Whether a finding overlaps one of these, which are in order and do not overlap each other.
fn overlaps_any(found: &[Finding], finding: &Finding) -> bool {
    found.get(found.partition_point(|f| f.end <= finding.start)).is_some_and(|f| f.overlaps(finding))
}

fn has_findings(planned: &[Planned]) -> bool {
    planned.iter().any(|p| !p.found.is_empty() || p.nested.as_ref().is_some_and(|(_, leaves)| has_findings(leaves)))
}

/// What else must be taken out of text, beside `found`: values that stand there again, and text that would be restored though no redactor
/// wrote it.
fn more(text: &str, found: &[Finding], placeholders: &Placeholders, known: Option<&Known>) -> Vec<Finding> {
    let typed = placeholders.spans(text).into_iter().map(|(start, end)| Finding {
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
        let free = f.start >= end && !overlaps_any(found, f);
        end = if free { f.end } else { end };
        free
    });
    more
}

/// Adds that to the plan; whether any of it was typed, and may bring more.
fn add_more(json: &str, planned: &mut [Planned], placeholders: &mut Placeholders, known: Option<&Known>) -> bool {
    let mut is_new = false;
    for plan in planned {
        if let Some((inner, leaves)) = &mut plan.nested {
            let inner = inner.clone();
            is_new |= add_more(&inner, leaves, placeholders, known);
            continue;
        }
        let Some(content) = json.get(plan.range.clone()) else { continue };
        if plan.kind == LeafKind::Number {
            if let Some(finding) = placeholders.found(content).filter(|_| plan.found.is_empty()) {
                placeholders.of(finding.label.name(), content, true);
                plan.found.push(finding);
            }
            continue;
        }
        let Some(text) = unescape(content) else { continue };
        let mut spans = more(&text, &[], placeholders, known.filter(|_| !plan.is_word));
        super::engine::place_in_escaped(&mut spans, content);
        let mut added = Vec::new();
        for finding in spans {
            if overlaps_any(&plan.found, &finding) {
                continue;
            }
            if finding.label.name() == TYPED {
                let value = unescape(content.get(finding.start..finding.end).unwrap_or_default()).unwrap_or_default();
                placeholders.of(TYPED, &value, false);
                is_new = true;
            }
            added.push(finding);
        }
        plan.found.append(&mut added);
        plan.found.sort_by_key(|f| f.start);
    }
    is_new
}

/// The last four characters, where there are at least eight; asterisks for the others.
fn mask(value: &str) -> String {
    let count = value.chars().count();
    let shown = if count >= 8 { 4 } else { 0 };
    value.chars().enumerate().map(|(i, c)| if i + shown >= count { c } else { '*' }).collect()
}

/// A member with one of the commas beside it.
fn member_range(json: &str, start: usize, end: usize, done: usize) -> (usize, usize) {
    let bytes = json.as_bytes();
    let before = json.get(..start).unwrap_or_default().trim_end().len();
    if before > done && bytes.get(before.wrapping_sub(1)) == Some(&b',') {
        return (before - 1, end);
    }
    let rest = json.get(end..).unwrap_or_default();
    let spaces = rest.len() - rest.trim_start().len();
    if rest.trim_start().starts_with(',') { (start, end + spaces + 1) } else { (start, end) }
}
