//! Placeholders, which replace values in text, and the values that they stand for.
//!
//! A placeholder is a label and twelve characters, as `EMAIL_7qk2m9x4hd3v`: a word that models copy
//! unchanged through text, code and JSON. The characters are an HMAC (RFC 2104, SHA-256) of label
//! and value, under a key that only the instance can derive for this account and session. The same
//! value therefore has the same placeholder in every request of a conversation, which keeps a
//! provider's prompt cache effective, and nobody else can read or create one. The values live as
//! long as their request, and are then wiped.

use std::{
    borrow::{Borrow, Cow},
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use aho_corasick::{AhoCorasick, MatchKind};
use hmac::Hmac;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::{
    Finding, Kind, Label,
    cut::Cut,
    engine::name_parts,
    json::escape,
    placeholder_form::{ID, is_id},
    placeholder_key::{PlaceholderKey, placeholder},
    spelling::{Match, Whole, spelt},
    strings::{Escaping, Strings, needs_escapes},
    urls::{self, Urls},
};
use crate::part::Part as _;

/// A value that a placeholder stands for.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) text: Zeroizing<String>,
    /// Its form in JSON that is part of a text.
    stood: Escaping,
    /// True if it had this form in a URL's query.
    is_in_query: bool,
    /// True if it was a number in JSON.
    pub(crate) is_number: bool,
}

impl Value {
    /// Returns the unescaped value.
    pub(crate) fn reading(&self) -> &str {
        if let Escaping::Escaped(reading) = &self.stood {
            reading
        } else {
            &self.text
        }
    }

    /// Returns its form in a URL's query.
    pub(crate) fn in_query(&self) -> Cow<'_, str> {
        if self.is_in_query {
            Cow::Borrowed(&self.text)
        } else {
            urls::encode(self.reading())
        }
    }

    /// Returns its form in a string of JSON within a text: the original one, if it stood there.
    pub(crate) fn in_string(&self) -> Cow<'_, str> {
        if self.stood == Escaping::Elsewhere {
            escape(&self.text)
        } else {
            Cow::Borrowed(&self.text)
        }
    }
}

/// Returns true if the form of a value depends on its place.
fn is_spelt_by_place(value: &str) -> bool {
    needs_escapes(value) || urls::needs_encoding(value)
}

/// The state at a place, derived from the text before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    strings: Strings,
    urls: Urls,
}

impl Passed {
    fn pass(&mut self, text: &str) {
        self.strings.pass(text);
        self.urls.pass(text);
    }

    fn pass_value(&mut self) {
        self.strings.pass_value();
    }

    /// Records the form of a value at this place.
    fn note(&self, known: &mut Value) {
        known.is_in_query |= self.urls.is_in_query();
        if needs_escapes(&known.text)
            && let stood @ (Escaping::Escaped(_) | Escaping::Bare) =
                Escaping::of(&known.text, self.strings)
        {
            known.stood = stood;
        }
    }
}

/// A value as a map key, wiped on drop.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct WipedString(String);

impl Borrow<str> for WipedString {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Drop for WipedString {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A value that is stored on purpose, as in a file for restoring a text later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainValue {
    /// The value.
    pub value: String,
    /// The unescaped value, if it stood with escapes in JSON within a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<String>,
    /// True if it stood in such JSON without the escapes that JSON requires.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_bare: bool,
    /// True if it had this form in a URL's query, where it is not encoded again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_in_query: bool,
    /// True if it was a number in JSON, and becomes one again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_number: bool,
}

/// The placeholders of one request, and the values that they stand for, which are wiped on drop.
pub struct Placeholders {
    key: PlaceholderKey,
    /// The HMAC with the key and no input yet.
    keyed: Option<Hmac<Sha256>>,
    /// The values by placeholder, as `EMAIL_7qk2m9x4hd3v`.
    values: HashMap<String, Value>,
    /// The labels in use, longest first.
    labels: Vec<String>,
    counts: BTreeMap<String, u64>,
    /// The found values, which are also searched for elsewhere.
    found: BTreeMap<WipedString, Found>,
}

/// The label and the rule of a found value.
#[derive(Clone)]
struct Found {
    label: Label,
    rule: Cow<'static, str>,
    /// Its placeholder as text, once it has one.
    placeholder: Option<String>,
}

impl std::fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placeholders")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Placeholders {
    /// Creates an empty set of placeholders under this key.
    pub fn new(key: PlaceholderKey) -> Self {
        Self {
            keyed: key.keyed(),
            key,
            values: HashMap::new(),
            labels: Vec::new(),
            counts: BTreeMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// Returns true if there is nothing to restore.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the number of values to restore.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns true if there are neither values to restore nor found values to search for.
    pub(crate) fn is_idle(&self) -> bool {
        self.values.is_empty() && self.found.is_empty()
    }

    /// Returns the number of values removed, by label. It does not reveal the values.
    pub const fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// Returns the values of the placeholders for storage. These copies are not wiped.
    pub fn reveal(&self) -> BTreeMap<String, PlainValue> {
        let revealed = |value: &Value| PlainValue {
            value: value.text.to_string(),
            reading: if let Escaping::Escaped(reading) = &value.stood {
                Some(reading.to_string())
            } else {
                None
            },
            is_bare: value.stood == Escaping::Bare,
            is_in_query: value.is_in_query,
            is_number: value.is_number,
        };
        self.values
            .iter()
            .map(|(placeholder, value)| (placeholder.clone(), revealed(value)))
            .collect()
    }

    /// Creates placeholders from revealed values. Names that are not placeholders are skipped.
    pub fn from_revealed(revealed: BTreeMap<String, PlainValue>) -> Self {
        let mut it = Self::new(PlaceholderKey::from_bytes([0; 32]));
        for (
            placeholder,
            PlainValue {
                value,
                reading,
                is_bare,
                is_in_query,
                is_number,
            },
        ) in revealed
        {
            let Some((label, _)) = placeholder
                .rsplit_once('_')
                .filter(|(_, id)| id.len() == ID && id.bytes().all(is_id))
            else {
                continue;
            };
            it.add_label(label);
            let stood = match reading {
                Some(reading) => Escaping::Escaped(reading.into()),
                None if is_bare => Escaping::Bare,
                None => Escaping::Elsewhere,
            };
            it.values.insert(
                placeholder,
                Value {
                    text: Zeroizing::new(value),
                    stood,
                    is_in_query,
                    is_number,
                },
            );
        }
        it
    }

    fn add_label(&mut self, label: &str) {
        if !self.labels.iter().any(|l| l == label) {
            self.labels.push(label.to_owned());
            self.labels.sort_by_key(|l| usize::MAX - l.len());
        }
    }

    pub(crate) fn key(&self) -> &PlaceholderKey {
        &self.key
    }

    /// Records a found value.
    pub(crate) fn note(&mut self, finding: &Finding, value: &str) {
        match self.counts.get_mut(finding.label.name()) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(finding.label.name().to_owned(), 1)),
        }
        if (SHORTEST..=LONGEST_KNOWN).contains(&value.len()) && !self.found.contains_key(value) {
            let found = Found {
                label: finding.label.clone(),
                rule: finding.rule.clone(),
                placeholder: None,
            };
            self.found.insert(WipedString(value.to_owned()), found);
        }
        // The parts of a full name may stand alone elsewhere.
        let parts = (finding.label == Kind::Person.into()).then(|| name_parts(value));
        for part in parts.into_iter().flatten() {
            let found = || Found {
                label: finding.label.clone(),
                rule: "name_alone".into(),
                placeholder: None,
            };
            self.found
                .entry(WipedString(part.to_owned()))
                .or_insert_with(found);
        }
    }

    /// Returns the placeholder of a value.
    pub(crate) fn of(&mut self, label: &str, value: &str, is_number: bool) -> String {
        let known = self
            .found
            .get_mut(value)
            .filter(|f| !is_number && f.label.name() == label);
        if let Some(placeholder) = known.as_ref().and_then(|f| f.placeholder.as_ref()) {
            return placeholder.clone();
        }
        let Some(keyed) = self.keyed.clone() else {
            return String::new();
        };
        let placeholder = placeholder(
            keyed,
            if is_number { "number" } else { "text" },
            label,
            value,
        );
        if let Some(known) = known {
            known.placeholder = Some(placeholder.clone());
        }
        if !self.values.contains_key(&placeholder) {
            let value = Value {
                text: Zeroizing::new(value.to_owned()),
                stood: Escaping::Elsewhere,
                is_in_query: false,
                is_number,
            };
            self.values.insert(placeholder.clone(), value);
            self.add_label(label);
        }
        placeholder
    }

    /// Records the forms that the values of `cuts`, which are in order, have in JSON within a text.
    /// `spelt` is the text with its escapes; `reading` unescapes a part of it.
    pub(super) fn note_places<'t>(
        &mut self,
        cuts: &[Cut],
        spelt: &'t str,
        reading: impl Fn(&'t str) -> Cow<'t, str>,
    ) {
        let part = |start: usize, end: usize| spelt.part(start..end);
        if !cuts.iter().any(|c| is_spelt_by_place(part(c.start, c.end))) {
            return;
        }
        self.note_places_from(&mut Passed::default(), cuts, spelt, 0..spelt.len(), reading);
    }

    /// Like [`Self::note_places`], for the placeholders in a text without further cuts.
    pub(super) fn note_places_in(&mut self, left: &str) {
        if !self.values.values().any(|v| is_spelt_by_place(&v.text)) {
            return;
        }
        let mut place = Passed::default();
        let mut done = 0;
        for (start, end) in self.spans(left) {
            place.pass(left.part(done..start));
            if let Some(known) = self.values.get_mut(left.part(start..end)) {
                place.note(known);
            }
            place.pass_value();
            done = end;
        }
    }

    /// Like [`Self::note_places`], for a part of a text, with `place` as the state before it.
    pub(super) fn note_places_from<'t>(
        &mut self,
        place: &mut Passed,
        cuts: &[Cut],
        spelt: &'t str,
        range: Range<usize>,
        reading: impl Fn(&'t str) -> Cow<'t, str>,
    ) {
        let part = |start: usize, end: usize| spelt.part(start..end);
        let mut done = range.start;
        for cut in cuts {
            place.pass(&reading(part(done, cut.start)));
            if let Some(known) = self.values.get_mut(&cut.by) {
                place.note(known);
            }
            place.pass_value();
            done = cut.end;
        }
        place.pass(&reading(part(done, range.end)));
    }

    /// Returns the placeholder at the beginning of `text`, in a model's spelling, and its value.
    pub(crate) fn at(&self, text: &str) -> Option<(Whole, &Value)> {
        self.labels.iter().find_map(|label| {
            let Match::Whole(whole) = spelt(text, label) else {
                return None;
            };
            Some((
                whole,
                self.values
                    .get(&format!("{label}_{}", std::str::from_utf8(&whole.id).ok()?))?,
            ))
        })
    }

    /// Returns the found values, for a search for repetitions.
    pub(crate) fn known(&self) -> Option<KnownValues> {
        if self.found.is_empty() || self.found.len() > MOST_KNOWN {
            return None;
        }
        let values = || self.found.keys().map(|v| v.0.as_bytes());
        let search = if self.found.len() <= FEW {
            Search::Few(values().map(|v| Finder::new(v).into_owned()).collect())
        } else {
            Search::Many(
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(values())
                    .ok()?,
            )
        };
        Some(KnownValues {
            search,
            found: self
                .found
                .values()
                .map(|f| (f.label.clone(), f.rule.clone()))
                .collect(),
        })
    }

    /// Returns a finding for a value that was found before.
    pub(crate) fn found(&self, value: &str) -> Option<Finding> {
        let Found { label, rule, .. } = self.found.get(value)?.clone();
        Some(Finding {
            start: 0,
            end: value.len(),
            label,
            rule,
            confidence: 100,
            country: None,
        })
    }

    /// Returns the spans of the placeholders in `text` that would be restored.
    pub(crate) fn spans(&self, text: &str) -> Vec<(usize, usize)> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        if !self.may_be_in(text) {
            return spans;
        }
        let mut at = 0;
        while let Some(byte) = text.as_bytes().get(at) {
            let begins = self.labels.iter().any(|l| {
                l.as_bytes()
                    .first()
                    .is_some_and(|f| f.eq_ignore_ascii_case(byte))
            });
            match text
                .get(at..)
                .filter(|_| begins)
                .and_then(|rest| self.at(rest))
            {
                Some((whole, _)) => {
                    spans.push((at, at + whole.length));
                    at += whole.length;
                }
                None => at += 1,
            }
        }
        spans
    }

    /// Returns true if `text` may contain a placeholder: it has the first word of a label, in any
    /// case, a `\u` escape, or a byte of an invisible character.
    pub(crate) fn may_be_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let stands = |label: &String| {
            let label = label.split('_').next().unwrap_or_default();
            let Some(first) = label.bytes().next() else {
                return false;
            };
            let begins = memchr::memchr2_iter(first, first.to_ascii_lowercase(), bytes);
            begins.into_iter().any(|at| {
                bytes
                    .get(at..at + label.len())
                    .is_some_and(|t| t.eq_ignore_ascii_case(label.as_bytes()))
            })
        };
        self.labels.iter().any(stands)
            || !self.labels.is_empty()
                && (memchr::memchr3(0xc2, 0xe2, 0xef, bytes).is_some()
                    || memchr::memmem::find(bytes, b"\\u").is_some())
    }

    /// Returns true if `text` may be the beginning of a placeholder that continues after it.
    pub(crate) fn may_begin(&self, text: &str) -> bool {
        self.labels
            .iter()
            .any(|label| spelt(text, label) == Match::Beginning)
    }
}

/// The values of a request, and their labels.
pub(crate) struct KnownValues {
    search: Search,
    found: Vec<(Label, Cow<'static, str>)>,
}

/// The search method: one value after the other, or all at once, which takes longer to prepare.
enum Search {
    Few(Vec<Finder<'static>>),
    Many(AhoCorasick),
}

/// Maximum number of values that are searched for one after the other.
const FEW: usize = 12;
/// Maximum number of values that are searched for elsewhere. Beyond it, only the detectors find
/// each value.
const MOST_KNOWN: usize = 10_000;
/// Maximum length of a value that is searched for elsewhere, in bytes.
const LONGEST_KNOWN: usize = 256;
/// Minimum length of such a value; a shorter one may be an ordinary word elsewhere.
const SHORTEST: usize = 5;

impl KnownValues {
    /// Returns the places in `text` where a value stands by itself.
    pub(crate) fn find(&self, text: &str) -> Vec<Finding> {
        let alone = |start: usize, end: usize| {
            let joins = |a: Option<char>, b: Option<char>| {
                a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric)
            };
            let before = joins(
                text.get(..start).and_then(|t| t.chars().next_back()),
                text.get(start..).and_then(|t| t.chars().next()),
            );
            let after = joins(
                text.get(..end).and_then(|t| t.chars().next_back()),
                text.get(end..).and_then(|t| t.chars().next()),
            );
            !before && !after
        };
        let finding = |value: usize, start: usize, end: usize| {
            let (label, rule) = self.found.get(value)?.clone();
            alone(start, end).then_some(Finding {
                start,
                end,
                label,
                rule,
                confidence: 100,
                country: None,
            })
        };
        match &self.search {
            Search::Few(values) => {
                let places = values.iter().enumerate().flat_map(|(i, v)| {
                    v.find_iter(text.as_bytes())
                        .map(move |at| (i, at, at + v.needle().len()))
                });
                places
                    .filter_map(|(i, start, end)| finding(i, start, end))
                    .collect()
            }
            Search::Many(values) => values
                .find_iter(text)
                .filter_map(|m| finding(m.pattern().as_usize(), m.start(), m.end()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::placeholder_form::placeholder_spans;

    fn key(n: u8) -> PlaceholderKey {
        PlaceholderKey::from_bytes([n; 32])
    }

    #[test]
    fn a_placeholder_is_stable_and_depends_on_key_label_and_value() {
        let of = |k: &PlaceholderKey, label: &str, value: &str| {
            Placeholders::new(k.clone()).of(label, value, false)
        };
        let base = of(&key(1), "EMAIL", "a@example.com");
        assert_eq!(base, of(&key(1), "EMAIL", "a@example.com"));
        assert_eq!(
            placeholder_spans(&base, std::iter::empty()),
            [(0, base.len())],
            "{base}"
        );
        for other in [
            of(&key(2), "EMAIL", "a@example.com"),
            of(&key(1), "EMAIL", "b@example.com"),
            of(&key(1), "PHONE", "a@example.com"),
        ] {
            assert_ne!(
                base.rsplit_once('_').unwrap().1,
                other.rsplit_once('_').unwrap().1
            );
        }
        let (account, session) = (
            key(1).derive("acct", None),
            key(1).derive("acct", Some("s")),
        );
        assert_ne!(of(&account, "EMAIL", "x"), of(&session, "EMAIL", "x"));
        assert_ne!(
            of(&key(1).derive("a", Some("bc")), "EMAIL", "x"),
            of(&key(1).derive("ab", Some("c")), "EMAIL", "x")
        );
    }

    #[test]
    fn nothing_that_is_printed_tells_a_value_or_a_key() {
        let mut placeholders = Placeholders::new(key(7));
        placeholders.of("EMAIL", "secret@example.com", false);
        let shown = format!("{placeholders:?} {:?}", key(7));
        assert!(
            !shown.contains("secret@") && !shown.contains('7'),
            "{shown}"
        );
    }
}
