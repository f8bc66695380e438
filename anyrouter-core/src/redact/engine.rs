//! The engine, which finds values in text and is built once.

use std::{borrow::Cow, sync::OnceLock};

use aho_corasick::AhoCorasick;

use super::{
    Action, Finding, Kind, Label, Rules,
    captions::captions,
    detect::{Context, Findings, Tables, detect, is_word},
    json::{Leaf, LeafKind, Step, escape_at, first_document, nested, unescape, walk},
    placeholder_form::placeholder_spans,
    scan::{self, Hit},
    secrets::{base64_length, data_url},
    table,
    view::View,
    vocabulary::Meaning,
};
use crate::part::Part as _;

/// Finds personal data and secrets with the built-in detectors. All callers share one engine.
pub struct Engine {
    tables: Tables,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Minimum confidence of a reported finding, in percent.
pub const CONFIDENT: u8 = 50;

impl Engine {
    /// Returns the engine with the built-in detectors. The first call builds it, once per process.
    pub fn builtin() -> &'static Self {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        ENGINE.get_or_init(Self::new)
    }

    /// Builds an engine.
    pub fn new() -> Self {
        Self {
            tables: Tables::builtin(),
        }
    }

    /// Returns the findings in `text`, in order and without overlaps, with offsets in bytes.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        self.find_by(text, &Rules::default())
    }

    /// Like [`Self::find`], with rules in addition to the built-in detectors.
    pub(crate) fn find_by(&self, text: &str, rules: &Rules) -> Vec<Finding> {
        let mut hits: Vec<Hit> = Vec::new();
        self.find_with(text, rules, &mut hits)
    }

    /// Returns the findings in a JSON document: in its unescaped strings, its numbers and names,
    /// and JSON within strings. Offsets are bytes of `json` with its escapes. Input that is not
    /// JSON is searched as text.
    pub fn find_json(&self, json: &str) -> Vec<Finding> {
        self.find_json_by(json, &Rules::default())
    }

    /// Like [`Self::find_json`], with rules in addition to the built-in detectors.
    pub(crate) fn find_json_by(&self, json: &str, rules: &Rules) -> Vec<Finding> {
        self.find_nested(json, rules, 0)
    }

    fn find_nested(&self, json: &str, rules: &Rules, depth: usize) -> Vec<Finding> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut found = Vec::new();
        let captions = captions(json);
        let walked = walk(json, |leaf| {
            let leaf = Leaf {
                name: captions
                    .get(&leaf.range.start)
                    .map_or(leaf.name, String::as_str),
                ..leaf
            };
            let Some(content) = json.get(leaf.range.clone()) else {
                return;
            };
            let inner = if leaf.kind == LeafKind::String
                && rules.find_path(leaf.path, content.len()).is_none()
            {
                nested(content, depth)
            } else {
                None
            };
            let inside = match inner {
                Some(inner) => {
                    let mut inside = self.find_nested(&inner, rules, depth + 1);
                    place_in_escaped(&mut inside, content);
                    inside
                }
                None => self.find_leaf(&leaf, content, rules, &mut hits),
            };
            for mut finding in inside {
                finding.start += leaf.range.start;
                finding.end += leaf.range.start;
                found.push(finding);
            }
        });
        if walked.is_err() {
            return self.find_with(json, rules, &mut hits);
        }
        found
    }

    /// Returns the findings in a leaf; offsets are bytes of its content with escapes.
    pub(crate) fn find_leaf(
        &self,
        leaf: &Leaf<'_>,
        content: &str,
        rules: &Rules,
        hits: &mut Vec<Hit>,
    ) -> Vec<Finding> {
        let text = if leaf.kind == LeafKind::Number {
            Cow::Borrowed(content)
        } else {
            unescape(content)
        };
        let mut found = self.find_reading(leaf, &text, rules, hits);
        if matches!(text, Cow::Owned(_)) {
            place_in_escaped(&mut found, content);
        }
        found
    }

    /// Like [`Self::find_leaf`], for the unescaped content.
    fn find_reading(
        &self,
        leaf: &Leaf<'_>,
        content: &str,
        rules: &Rules,
        hits: &mut Vec<Hit>,
    ) -> Vec<Finding> {
        if leaf.kind != LeafKind::Name
            && let Some(finding) = rules.find_path(leaf.path, content.len())
            && placeholder_spans(content, rules.labels()) != [(0, content.len())]
        {
            return vec![finding];
        }
        if leaf.kind == LeafKind::String && is_opaque(content) {
            return Vec::new();
        }
        // A short number has a meaning only by its name.
        let is_card_code = || {
            self.tables
                .vocabulary
                .meaning_of(leaf.name)
                .intersects(Meaning::CARD_CODE.union(Meaning::PASSWORD))
        };
        if leaf.kind == LeafKind::Number && content.len() < 5 && !is_card_code() {
            return Vec::new();
        }
        let is_text = TEXTS.contains(&leaf.name);
        if leaf.kind == LeafKind::Name
            || leaf.name.is_empty()
            || leaf.name.len() > 64
            || content.len() > 512
            || is_text
        {
            return self.find_with(content, rules, hits);
        }
        // The name becomes the context before the value.
        let name = called(leaf.name);
        let prefix = name.len() + 2;
        let text = format!("{name}: {content}");
        let mut found = self.find_with(&text, rules, hits);
        let digits = content.trim_start_matches('-').len();
        let whole = content
            .trim_end_matches('0')
            .trim_end_matches('.')
            .len()
            .max(1);
        let is_number =
            |f: &Finding| f.start <= prefix + content.len() - digits && f.end >= prefix + whole;
        found.retain(|f| f.start >= prefix && (leaf.kind == LeafKind::String || is_number(f)));
        for finding in &mut found {
            finding.start -= prefix;
            finding.end -= prefix;
            if leaf.kind == LeafKind::Number {
                (finding.start, finding.end) = (0, content.len());
            }
        }
        let name = leaf.name;
        let is_whole = |f: &Finding| f.start == 0 && f.end == content.len();
        let is_in_address = || {
            leaf.path
                .iter()
                .any(|s| matches!(s, Step::Member(m) if m.to_ascii_lowercase().contains("address")))
        };
        let is_street = leaf.kind == LeafKind::String
            && STREETS.iter().any(|s| name.eq_ignore_ascii_case(s))
            && (!name.starts_with("line") || is_in_address())
            && placeholder_spans(content, rules.labels()).is_empty();
        if is_street
            && !found.iter().any(is_whole)
            && (5..=120).contains(&content.len())
            && has_number_and_word(content)
        {
            return vec![Finding::new(
                0,
                content.len(),
                Kind::Address,
                "street_member",
                80,
            )];
        }
        if leaf.kind == LeafKind::String
            && !found.iter().any(is_whole)
            && let Some(secret) = self.find_secret_member(name, content, rules, hits)
        {
            return vec![secret];
        }
        found
    }

    /// Returns the whole content of a member named for a password or a secret. In a text, some of
    /// its characters would end the value.
    fn find_secret_member(
        &self,
        name: &str,
        content: &str,
        rules: &Rules,
        hits: &mut Vec<Hit>,
    ) -> Option<Finding> {
        scan::scan(name, &self.tables.vocabulary, &self.tables.prefixes, hits);
        if !hits.iter().any(|h| {
            h.meaning()
                .intersects(Meaning::PASSWORD.union(Meaning::SECRET))
        }) {
            return None;
        }
        // Replaces escapes and quotes with signs that do not end a value.
        let mut plain = String::with_capacity(content.len());
        let mut chars = content.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => plain.push_str(if chars.next().is_some_and(|c| c.len_utf8() == 1) {
                    "~~"
                } else {
                    return None;
                }),
                '"' | '%' | '&' | '=' => plain.push('~'),
                c => plain.push(c),
            }
        }
        let text = format!("{name}: \"{plain}\"");
        let start = name.len() + 3;
        let whole = |f: &Finding| {
            f.start == start
                && f.end == start + content.len()
                && matches!(f.label, Label::Known(Kind::Password | Kind::Secret))
        };
        let found = self.find_with(&text, rules, hits).into_iter().find(whole)?;
        Some(Finding {
            start: 0,
            end: content.len(),
            ..found
        })
    }

    /// Returns the findings in a text and in the JSON documents within it.
    fn find_with(&self, text: &str, rules: &Rules, hits: &mut Vec<Hit>) -> Vec<Finding> {
        let mut found = self.find_in_text(text, rules, hits);
        let before = found.len();
        self.find_in_documents(text, rules, &mut found);
        if found.len() == before {
            found
        } else {
            resolve(found, rules)
        }
    }

    /// Adds the findings in JSON documents within a text, leaf by leaf.
    fn find_in_documents(&self, text: &str, rules: &Rules, found: &mut Vec<Finding>) {
        let bytes = text.as_bytes();
        let mut at = 0;
        // Limits the bytes read in vain, as after brackets that are never closed.
        let mut left = 2 * text.len();
        while let Some(next) = memchr::memchr2(b'{', b'[', bytes.part(at..)) {
            at += next;
            // The beginning of a document, not of a block of code.
            let begins = bytes
                .part(at + 1..)
                .iter()
                .find(|b| !b.is_ascii_whitespace());
            let rest = text
                .get(at..)
                .filter(|_| matches!(begins, Some(b'"' | b'{' | b'[')));
            match rest.map_or(Err(0), first_document) {
                Ok(length) => {
                    let inside = self.find_nested(text.part(at..at + length), rules, 0);
                    found.extend(inside.into_iter().map(|f| Finding {
                        start: f.start + at,
                        end: f.end + at,
                        ..f
                    }));
                    at += length;
                }
                Err(read) if read < left => {
                    left -= read;
                    at += 1;
                }
                Err(_) => return,
            }
        }
    }

    fn find_in_text(&self, text: &str, rules: &Rules, hits: &mut Vec<Hit>) -> Vec<Finding> {
        let view = View::of(text);
        scan::scan(
            view.text(),
            &self.tables.vocabulary,
            &self.tables.prefixes,
            hits,
        );
        let spans = placeholder_spans(view.text(), rules.labels());
        let mut found = Vec::new();
        let nested = |text: &str| self.find(text);
        let context = Context::new(&self.tables, &nested, view.text(), hits, &spans);
        detect(context, &mut Findings::new(view.text(), &mut found));
        self.find_in_tables(view.text(), &mut found);
        if rules.has_own() {
            rules.find(view.text(), &mut found);
        }
        let mut found = resolve(found, rules);
        if found.iter().any(|f| f.label == Kind::Person.into()) {
            Self::find_names_alone(view.text(), &mut found);
        }
        found.retain_mut(|f| is_beside_placeholders(view.text(), f, &spans));
        if !view.is_plain() {
            for finding in &mut found {
                (finding.start, finding.end) = view.source(finding.start, finding.end);
            }
            // Text that differs in the view may be a placeholder in the source: `%ADDRESS_…`.
            let spans = placeholder_spans(text, rules.labels());
            found.retain(|f| {
                !spans
                    .iter()
                    .any(|(start, end)| f.start < *end && *start < f.end)
            });
        }
        found
    }
}

impl Engine {
    /// Finds parts of full names that stand alone, as `Underhill` after `Grace Underhill`.
    fn find_names_alone(text: &str, found: &mut Vec<Finding>) {
        let is_sure = |f: &Finding| f.confidence >= if f.rule == "introduced" { 78 } else { 60 };
        let is_person = |f: &&Finding| f.label == Kind::Person.into() && is_sure(f);
        let mut parts: Vec<&str> = found
            .iter()
            .filter(is_person)
            .filter_map(|f| text.get(f.start..f.end))
            .flat_map(name_parts)
            .collect();
        parts.sort_unstable();
        parts.dedup();
        parts.truncate(NAMES);
        let Ok(search) = AhoCorasick::new(&parts) else {
            return;
        };
        let mut alone = Vec::new();
        for hit in search.find_iter(text) {
            let joins = |c: Option<char>| {
                c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '/' | '.' | '-'))
            };
            let before = text.get(..hit.start()).and_then(|t| t.chars().next_back());
            let after = text.get(hit.end()..).and_then(|t| t.chars().next());
            let ends = after != Some('.')
                || text
                    .get(hit.end() + 1..)
                    .is_none_or(|t| !t.starts_with(char::is_alphanumeric));
            // The findings are in order and do not overlap.
            let next = found.get(found.partition_point(|f| f.end <= hit.start()));
            let is_free = next.is_none_or(|f| f.start >= hit.end());
            if is_free && !joins(before) && !joins(after.filter(|c| *c != '.')) && ends {
                alone.push(Finding::new(
                    hit.start(),
                    hit.end(),
                    Kind::Person,
                    "name_alone",
                    60,
                ));
            }
        }
        found.append(&mut alone);
        scan::put_in_order(found, |f| (f.start, f.end));
    }

    /// Finds values in the cells of tables, by the names of their columns.
    fn find_in_tables(&self, text: &str, found: &mut Vec<Finding>) {
        if !table::may_hold(text) {
            return;
        }
        let mut hits = Vec::new();
        let mut named = String::new();
        let means = |name: &str| {
            let mut hits = Vec::new();
            scan::scan(
                name,
                &self.tables.vocabulary,
                &self.tables.prefixes,
                &mut hits,
            );
            hits.iter().any(|h| h.meaning() != Meaning::default())
        };
        table::cells(text, means, |name, cell| {
            let Some(content) = text.get(cell.clone()).filter(|_| table::is_short(&cell)) else {
                return;
            };
            named.clear();
            named.extend([name, ": ", content]);
            scan::scan(
                &named,
                &self.tables.vocabulary,
                &self.tables.prefixes,
                &mut hits,
            );
            let mut inside = Vec::new();
            let nested = |text: &str| self.find(text);
            let context = Context::new(&self.tables, &nested, &named, &hits, &[]);
            detect(context, &mut Findings::new(&named, &mut inside));
            let before = name.len() + 2;
            found.extend(
                inside
                    .into_iter()
                    .filter(|f| f.start >= before)
                    .map(|f| Finding {
                        start: cell.start + f.start - before,
                        end: cell.start + f.end - before,
                        ..f
                    }),
            );
        });
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

/// Maximum number of parts of names that are searched for in a text.
const NAMES: usize = 1000;

/// Returns the parts of a full name that identify a person when they stand alone: capitalized words
/// of four or more letters.
pub(crate) fn name_parts(name: &str) -> impl Iterator<Item = &str> {
    let is_full = name.trim().contains([' ', ',']);
    let words = name
        .split([' ', ',', '\n'])
        .filter(|w| w.chars().count() >= 4 && w.starts_with(char::is_uppercase));
    let is_name = |w: &&str| {
        w.chars()
            .all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’'))
            && w.chars().skip(1).any(char::is_lowercase)
    };
    let is_a_word = |w: &&str| {
        is_word(w)
            || Engine::builtin()
                .tables
                .vocabulary
                .meaning_of(w)
                .intersects(Meaning::MONTH.union(Meaning::STOP))
    };
    words
        .filter(move |_| is_full)
        .filter(is_name)
        .filter(move |w| !is_a_word(w))
}

/// Descriptive names for members of well-known documents: vCard (RFC 6350) and jCard, FHIR, SCIM
/// (RFC 7643).
const CALLED: [(&str, &str); 12] = [
    ("beneficiary", "beneficiary name"),
    ("cardholder", "cardholder name"),
    ("family", "last name"),
    ("fn", "full name"),
    ("given", "first name"),
    ("gn", "first name"),
    ("insured", "insured name"),
    ("lastname", "last name"),
    ("firstname", "first name"),
    ("names", "full name"),
    ("policyholder", "insured name"),
    ("sn", "last name"),
];

/// Members that hold text of any kind, which their names do not describe.
const TEXTS: [&str; 9] = [
    "content",
    "text",
    "input",
    "output",
    "prompt",
    "instructions",
    "arguments",
    "message",
    "body",
];

/// Members that hold a street and its number.
#[rustfmt::skip]
const STREETS: [&str; 21] = [
    "street", "street1", "street_1", "streetaddress", "street_address", "address1", "address_1", "addressline1", "address_line1",
    "address_line_1", "line", "line1", "line_1", "billingaddress", "shippingaddress", "strasse", "straße", "calle", "indirizzo", "endereco", "adres",
];

fn has_number_and_word(text: &str) -> bool {
    let mut words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty());
    text.bytes().any(|b| b.is_ascii_digit())
        && words.any(|w| w.chars().count() > 2 && w.chars().all(char::is_alphabetic))
}

fn called(name: &str) -> &str {
    CALLED
        .iter()
        .find(|(member, _)| name.eq_ignore_ascii_case(member))
        .map_or(name, |(_, called)| called)
}

/// Returns true if a string is a picture, a sound or other base64 that is not searched.
fn is_opaque(content: &str) -> bool {
    let bytes = content.as_bytes();
    if bytes.starts_with(b"data:") {
        return data_url(bytes).is_some_and(|(start, is_text)| {
            !is_text && start + base64_length(bytes.part(start..)) == bytes.len()
        });
    }
    bytes.len() > 16 * 1024 && is_base64(bytes)
}

/// Returns true for plain base64 (RFC 4648, 4): the standard alphabet, whole groups of four, and no
/// run of digits that could be a number.
fn is_base64(bytes: &[u8]) -> bool {
    let body = bytes
        .strip_suffix(b"==")
        .or(bytes.strip_suffix(b"="))
        .unwrap_or(bytes);
    let mut digits = 0;
    bytes.len().is_multiple_of(4)
        && body.iter().all(|b| {
            digits = if b.is_ascii_digit() { digits + 1 } else { 0 };
            digits < 12 && (b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        })
}

/// Returns true unless a finding overlaps a placeholder, as a redactor's output is never found
/// again. An e-mail address loses a placeholder before it. `spans` are in order.
fn is_beside_placeholders(text: &str, finding: &mut Finding, spans: &[(usize, usize)]) -> bool {
    let first = spans.partition_point(|(_, end)| *end <= finding.start);
    for (from, to) in spans
        .part(first..)
        .iter()
        .take_while(|(start, _)| *start < finding.end)
    {
        // Text directly before an address may have the form of a placeholder.
        if finding.label == Kind::Email.into() && *from <= finding.start && *to < finding.end {
            let rest = text.part(*to..finding.end);
            finding.start = to + rest.len() - rest.trim_start_matches(['-', '_', '.', '+']).len();
            if text
                .get(finding.start..finding.end)
                .is_some_and(|t| t.starts_with('@'))
            {
                return false;
            }
        } else {
            return false;
        }
    }
    true
}

/// Moves findings in an unescaped string to their places in its content with escapes.
pub(crate) fn place_in_escaped(found: &mut [Finding], content: &str) {
    let bytes = content.as_bytes();
    let mut ends = found
        .iter_mut()
        .flat_map(|f| [&mut f.start, &mut f.end])
        .peekable();
    let (mut at, mut reads) = (0, 0);
    loop {
        // Up to the next escape, both texts are equal.
        let plain = memchr::memchr(b'\\', bytes.part(at..)).unwrap_or(bytes.len() - at);
        while let Some(end) = ends.next_if(|e| **e <= reads + plain) {
            *end = at + end.saturating_sub(reads);
        }
        (at, reads) = (at + plain, reads + plain);
        if at >= bytes.len() {
            break;
        }
        let (length, character) = escape_at(bytes, at);
        (at, reads) = (at + length, reads + character.len_utf8());
    }
    for end in ends {
        *end = content.len();
    }
}

/// Resolves overlaps, so that one finding of several remains. A finding that blocks remains, since
/// the strictest action decides on the request. Between built-in findings, [`Finding::beats`]
/// decides. If a custom rule is involved, the longer finding remains, and covers both.
pub(crate) fn resolve(mut found: Vec<Finding>, rules: &Rules) -> Vec<Finding> {
    found.retain(|f| f.confidence >= CONFIDENT);
    scan::put_in_order(&mut found, |f| (f.start, f.end));
    let blocks = |f: &Finding| rules.may_block() && rules.action(f) == Action::Block;
    let mut kept: Vec<Finding> = Vec::with_capacity(found.len());
    for finding in found {
        let Some(last) = kept.last_mut().filter(|last| last.overlaps(&finding)) else {
            kept.push(finding);
            continue;
        };
        if blocks(last) {
            continue;
        }
        if rules.has_own() && (finding.is_custom() || last.is_custom()) && !blocks(&finding) {
            let (start, end) = (last.start.min(finding.start), last.end.max(finding.end));
            if finding.end - finding.start > last.end - last.start {
                *last = finding;
            }
            (last.start, last.end) = (start, end);
        } else if blocks(&finding) || finding.beats(last) {
            *last = finding;
        }
    }
    kept
}
