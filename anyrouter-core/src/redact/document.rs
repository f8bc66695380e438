//! Redaction of JSON: of its strings, numbers and names, and of JSON within strings.

use std::{borrow::Cow, ops::Range};

use super::{
    Blocked, Finding, Placeholders, Redacted, Redactor,
    captions::captions,
    cut::{Cut, overlaps_any, splice},
    engine::place_in_escaped,
    json::{Leaf, LeafKind, Step, escape, nested, unescape, walk},
    placeholder::KnownValues,
    placeholder_form::TYPED,
    redactor::{ROUNDS, repeats},
    scan::Hit,
    secrets::{encode, encoded_text},
};
use crate::part::Part as _;

/// Members whose values are keywords of a protocol or a schema.
const WORDS: [&str; 5] = ["type", "role", "format", "required", "enum"];
/// Maximum distance between a part that introduces a value, as `password: '`, and the value.
const GAP: usize = 4;
/// Maximum length of text searched on each side of a seam between message parts, in bytes.
const REACH: usize = 1024;

/// A leaf of a document with its cuts.
struct LeafPlan {
    range: Range<usize>,
    kind: LeafKind,
    /// Its name, if it has cuts.
    name: String,
    /// The start of its member; `None` in a list.
    member: Option<usize>,
    cuts: Vec<Cut>,
    /// True for a name, and for a keyword of a protocol or a schema: only values that the detectors
    /// find in it count.
    is_word: bool,
    /// The nested text that the string contains.
    nested: Option<NestedText>,
}

impl LeafPlan {
    /// Returns true if nothing is removed from it or from its nested text.
    fn is_whole(&self) -> bool {
        self.cuts.is_empty()
            && match &self.nested {
                None => true,
                Some(NestedText::Json { leaves, .. }) => leaves.iter().all(Self::is_whole),
                Some(NestedText::Encoded { cuts, .. }) => cuts.is_empty(),
            }
    }
}

/// Text in a string with a format of its own.
enum NestedText {
    /// A document with its leaves.
    Json { json: String, leaves: Vec<LeafPlan> },
    /// Base64 text after the head of a `data:` URL.
    Encoded {
        head: String,
        text: String,
        cuts: Vec<Cut>,
    },
}

/// The text of a message part, with its escapes, and the index of its leaf.
struct Part<'a> {
    leaf: usize,
    content: &'a str,
}

impl Redactor {
    /// Redacts a JSON document: its strings, numbers and names, and JSON within strings. Leaves
    /// that `keep` accepts, by path and content, remain unchanged; the path of a member's name ends
    /// with the name. Input that is not JSON is redacted as text.
    pub fn redact_json(
        &self,
        json: &str,
        keep: impl Fn(&[Step<'_>], &str) -> bool,
        placeholders: &mut Placeholders,
    ) -> Result<Redacted<String>, Blocked> {
        let Some((mut leaves, mut again)) = self.plan(json, &keep, 0, placeholders)? else {
            return self.redact(json, placeholders);
        };
        let mut left = loop {
            let known = placeholders.known();
            if !placeholders.is_idle()
                && self.add_repeats(json, &mut leaves, placeholders, known.as_ref())?
            {
                continue;
            }
            let count = placeholders.len();
            let left = self.write(json, &leaves, placeholders)?;
            // Values found only in the result now have placeholders, which a client may have typed.
            if placeholders.len() == count
                || !self.add_repeats(json, &mut leaves, placeholders, None)?
            {
                break left;
            }
        };
        for _ in 1..ROUNDS {
            if !again {
                break;
            }
            let Some((leaves, more)) = self.plan(&left, &keep, 0, placeholders)? else {
                break;
            };
            again = more;
            left = self.write(&left, &leaves, placeholders)?;
        }
        Ok(Redacted(left))
    }

    /// Returns the leaves with their cuts, and true if the result must be searched as a whole:
    /// because a name changed, which is context for its value, or because a value was split.
    /// Returns `None` if the text is not JSON.
    fn plan(
        &self,
        json: &str,
        keep: &dyn Fn(&[Step<'_>], &str) -> bool,
        depth: usize,
        placeholders: &mut Placeholders,
    ) -> Result<Option<(Vec<LeafPlan>, bool)>, Blocked> {
        let mut leaves: Vec<LeafPlan> = Vec::new();
        let mut hits = Vec::with_capacity(64);
        let mut blocked = None;
        let mut again = false;
        // Text that continues in the next part of a message is searched together with it.
        let mut parts: Vec<Part<'_>> = Vec::new();
        let captions = captions(json);
        let walked = walk(json, |leaf: Leaf<'_>| {
            let leaf = Leaf {
                name: captions
                    .get(&leaf.range.start)
                    .map_or(leaf.name, String::as_str),
                ..leaf
            };
            let Some(content) = json.get(leaf.range.clone()).filter(|_| blocked.is_none()) else {
                return;
            };
            let is_name = leaf.kind == LeafKind::Name;
            let is_kept = if is_name {
                keep(&[leaf.path, &[Step::Member(content)]].concat(), content)
            } else {
                keep(leaf.path, content)
            };
            if is_kept {
                return;
            }
            let mut planned = LeafPlan {
                range: leaf.range.clone(),
                kind: leaf.kind,
                name: String::new(),
                member: (is_name || matches!(leaf.path.last(), Some(Step::Member(_))))
                    .then_some(leaf.member),
                cuts: Vec::new(),
                is_word: is_name || WORDS.contains(&leaf.name),
                nested: None,
            };
            // A rule's path to this leaf applies to all of its content.
            let may_nest = leaf.kind == LeafKind::String
                && self.rules.find_path(leaf.path, content.len()).is_none();
            let inner = if may_nest {
                self.plan_nested(content, depth, &mut again, placeholders)
            } else {
                Ok(None)
            };
            match inner {
                Ok(Some(nested)) => planned.nested = Some(nested),
                Ok(None) => match self.cut_leaf(&leaf, content, placeholders, &mut hits) {
                    Ok(cuts) => planned.cuts = cuts,
                    Err(e) => blocked = Some(e),
                },
                Err(e) => blocked = Some(e),
            }
            if leaf.kind == LeafKind::String && leaf.name == "text" && planned.nested.is_none() {
                parts.push(Part {
                    leaf: leaves.len(),
                    content,
                });
            }
            if !planned.cuts.is_empty() {
                leaf.name.clone_into(&mut planned.name);
                again |= is_name;
            }
            leaves.push(planned);
        });
        match (blocked, walked) {
            (Some(blocked), _) => Err(blocked),
            (None, Err(_)) => Ok(None),
            (None, Ok(())) => {
                again |= self.join_parts(&parts, &mut leaves, placeholders)?;
                Ok(Some((leaves, again)))
            }
        }
    }

    /// Returns the nested text of a string with its cuts, if there is any.
    fn plan_nested(
        &self,
        content: &str,
        depth: usize,
        again: &mut bool,
        placeholders: &mut Placeholders,
    ) -> Result<Option<NestedText>, Blocked> {
        let is_url = content
            .get(..5)
            .is_some_and(|c| c.eq_ignore_ascii_case("data:"));
        let spelt = if is_url {
            unescape(content)
        } else {
            Cow::Borrowed("")
        };
        if let Some((head, text)) = encoded_text(&spelt) {
            let cuts = self.cut_all(&text, &self.find(&text), placeholders)?;
            let head = spelt.part(..head).to_owned();
            return Ok(Some(NestedText::Encoded { head, text, cuts }));
        }
        let Some(json) = nested(content, depth) else {
            return Ok(None);
        };
        let Some((leaves, more)) = self.plan(&json, &|_, _| false, depth + 1, placeholders)? else {
            return Ok(None);
        };
        *again |= more;
        Ok(Some(NestedText::Json { json, leaves }))
    }

    /// Returns the cuts of a leaf, by their places in its content with escapes.
    fn cut_leaf(
        &self,
        leaf: &Leaf<'_>,
        content: &str,
        placeholders: &mut Placeholders,
        hits: &mut Vec<Hit>,
    ) -> Result<Vec<Cut>, Blocked> {
        let found = self.engine.find_leaf(leaf, content, &self.rules, hits);
        found
            .iter()
            .map(|f| {
                self.cut_spelt(
                    f,
                    content,
                    leaf.kind == LeafKind::Number,
                    true,
                    placeholders,
                )
            })
            .collect()
    }

    fn cut_spelt(
        &self,
        finding: &Finding,
        content: &str,
        is_number: bool,
        counts: bool,
        placeholders: &mut Placeholders,
    ) -> Result<Cut, Blocked> {
        let value = unescape(content.part(finding.start..finding.end));
        if counts {
            placeholders.note(finding, &value);
        }
        let mut cut = self.cut(finding, &value, is_number, placeholders)?;
        if let Cow::Owned(spelt) = escape(&cut.by) {
            cut.by = spelt;
        }
        Ok(cut)
    }

    /// Finds values that are split over the texts of message parts, and cuts each piece. Returns
    /// true if there was one.
    fn join_parts(
        &self,
        parts: &[Part<'_>],
        leaves: &mut [LeafPlan],
        placeholders: &mut Placeholders,
    ) -> Result<bool, Blocked> {
        let texts: Vec<Cow<'_, str>> = parts.iter().map(|p| unescape(p.content)).collect();
        let mut is_any = false;
        for seam in 1..texts.len() {
            // The end of one part and as much of the following parts, each with its offset in the
            // joined text.
            let Some(before) = texts.get(seam - 1) else {
                continue;
            };
            let from = (before.len().saturating_sub(REACH)..=before.len())
                .find(|i| before.is_char_boundary(*i))
                .unwrap_or(0);
            let mut joined = before.part(from..).to_owned();
            let middle = joined.len();
            let mut pieces = vec![(seam - 1, from, 0)];
            for (number, text) in texts.iter().enumerate().skip(seam) {
                if joined.len() > middle + REACH {
                    break;
                }
                pieces.push((number, 0, joined.len()));
                let to = (0..=REACH.min(text.len()))
                    .rev()
                    .find(|i| text.is_char_boundary(*i))
                    .unwrap_or(0);
                joined.push_str(text.part(..to));
                if to < text.len() {
                    break;
                }
            }
            for finding in self
                .find(&joined)
                .into_iter()
                .filter(|f| f.start <= middle + GAP && f.end > middle)
            {
                for (i, (number, offset, begins)) in pieces.iter().enumerate() {
                    let ends = pieces.get(i + 1).map_or(joined.len(), |next| next.2);
                    let (start, end) = (finding.start.max(*begins), finding.end.min(ends));
                    let (Some(part), true) = (parts.get(*number), start < end) else {
                        continue;
                    };
                    let mut piece = [Finding {
                        start: start - begins + offset,
                        end: end - begins + offset,
                        ..finding.clone()
                    }];
                    place_in_escaped(&mut piece, part.content);
                    let [piece] = piece;
                    let Some(leaf) = leaves
                        .get_mut(part.leaf)
                        .filter(|l| !overlaps_any(&l.cuts, &piece))
                    else {
                        continue;
                    };
                    leaf.cuts.push(self.cut_spelt(
                        &piece,
                        part.content,
                        false,
                        true,
                        placeholders,
                    )?);
                    leaf.cuts.sort_by_key(|c| c.start);
                    is_any = true;
                }
            }
        }
        Ok(is_any)
    }

    /// Adds cuts for repeated values and for typed placeholders. Returns true if a placeholder was
    /// typed, since it may lead to more.
    fn add_repeats(
        &self,
        json: &str,
        leaves: &mut [LeafPlan],
        placeholders: &mut Placeholders,
        known: Option<&KnownValues>,
    ) -> Result<bool, Blocked> {
        let mut is_new = false;
        for leaf in leaves {
            match &mut leaf.nested {
                Some(NestedText::Json { json, leaves }) => {
                    is_new |= self.add_repeats(json, leaves, placeholders, known)?;
                    continue;
                }
                Some(NestedText::Encoded { text, cuts, .. }) => {
                    for finding in repeats(text, cuts, placeholders, known) {
                        is_new |= finding.label.name() == TYPED;
                        let value = text.part(finding.start..finding.end);
                        cuts.push(self.cut(&finding, value, false, placeholders)?);
                    }
                    cuts.sort_by_key(|c| c.start);
                    continue;
                }
                None => {}
            }
            let Some(content) = json.get(leaf.range.clone()) else {
                continue;
            };
            if leaf.kind == LeafKind::Number {
                if let Some(finding) = placeholders.found(content).filter(|_| leaf.cuts.is_empty())
                {
                    leaf.cuts
                        .push(self.cut(&finding, content, true, placeholders)?);
                }
                continue;
            }
            let text = unescape(content);
            let mut found = repeats(&text, &[], placeholders, known.filter(|_| !leaf.is_word));
            place_in_escaped(&mut found, content);
            found.retain(|f| !overlaps_any(&leaf.cuts, f));
            is_new |= found.iter().any(|f| f.label.name() == TYPED);
            for finding in &found {
                leaf.cuts
                    .push(self.cut_spelt(finding, content, false, false, placeholders)?);
            }
            leaf.cuts.sort_by_key(|c| c.start);
        }
        Ok(is_new)
    }

    /// Writes the document with its leaves redacted.
    fn write(
        &self,
        json: &str,
        leaves: &[LeafPlan],
        placeholders: &mut Placeholders,
    ) -> Result<String, Blocked> {
        let mut out = String::with_capacity(json.len());
        let mut hits = Vec::with_capacity(64);
        let mut done = 0;
        // The last rewritten name and the positions before it, as its member may be dropped.
        let mut name: Option<(usize, usize, usize)> = None;
        for leaf in leaves {
            let range = leaf.range.clone();
            if range.start < done || leaf.is_whole() {
                continue;
            }
            let content = json.get(range.clone()).unwrap_or_default();
            let is_dropped = leaf
                .cuts
                .iter()
                .any(|c| c.drops && c.start == 0 && c.end == content.len());
            if leaf.kind != LeafKind::Name && is_dropped {
                let quote = usize::from(leaf.kind == LeafKind::String);
                if let Some((_, length, before)) =
                    name.filter(|(member, ..)| leaf.member == Some(*member))
                {
                    out.truncate(length);
                    done = before;
                }
                if let Some((from, to)) = leaf
                    .member
                    .map(|m| member_range(json, m, range.end + quote, done))
                {
                    out.push_str(json.part(done..from));
                    done = to;
                    continue;
                }
            }
            if let (LeafKind::Name, Some(member)) = (leaf.kind, leaf.member) {
                name = Some((member, out.len(), done));
            }
            let text = match (&leaf.nested, leaf.kind) {
                (Some(NestedText::Json { json, leaves }), _) => {
                    escape(&self.write(json, leaves, placeholders)?).into_owned()
                }
                (Some(NestedText::Encoded { head, text, cuts }), _) => format!(
                    "{head}{}",
                    encode(&self.take_out(text, cuts, placeholders)?)
                ),
                (None, LeafKind::Number) => leaf
                    .cuts
                    .first()
                    .map(|c| format!("\"{}\"", c.by))
                    .unwrap_or_default(),
                (None, _) => {
                    placeholders.note_places(&leaf.cuts, content, unescape);
                    self.settle(
                        leaf.kind,
                        &leaf.name,
                        splice(content, 0..content.len(), &leaf.cuts),
                        placeholders,
                        &mut hits,
                    )?
                }
            };
            out.push_str(json.part(done..range.start));
            out.push_str(&text);
            done = range.end;
        }
        out.push_str(json.part(done..));
        Ok(out)
    }

    /// Searches the rest of a leaf until nothing is found, since text beside a removed value may
    /// have another meaning.
    fn settle(
        &self,
        kind: LeafKind,
        name: &str,
        content: String,
        placeholders: &mut Placeholders,
        hits: &mut Vec<Hit>,
    ) -> Result<String, Blocked> {
        let mut left = content;
        for _ in 0..ROUNDS {
            let leaf = Leaf {
                kind,
                range: 0..left.len(),
                name,
                path: &[],
                member: 0,
            };
            let cuts = self.cut_leaf(&leaf, &left, placeholders, hits)?;
            if cuts.is_empty() {
                break;
            }
            placeholders.note_places(&cuts, &left, unescape);
            left = splice(&left, 0..left.len(), &cuts);
        }
        Ok(left)
    }
}

/// Returns the range of a member with one of the commas beside it.
fn member_range(json: &str, start: usize, end: usize, done: usize) -> (usize, usize) {
    let bytes = json.as_bytes();
    let before = json.part(..start).trim_end().len();
    if before > done && bytes.get(before.wrapping_sub(1)) == Some(&b',') {
        return (before - 1, end);
    }
    let rest = json.part(end..);
    let spaces = rest.len() - rest.trim_start().len();
    if rest.trim_start().starts_with(',') {
        (start, end + spaces + 1)
    } else {
        (start, end)
    }
}
