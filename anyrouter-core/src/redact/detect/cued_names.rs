//! Names of people beside cue words: introductions, words for kin, roles such as customer or
//! witness, and form fields. (The cues are in `redact/cues.tsv`.) After a reliable cue a lowercase
//! name counts as well, as people type on phones.

use super::{
    context::{Context, Findings},
    name_words::{
        WORDS, Word, capitalised_words, end_of, is, is_capitalised, is_known, is_plain_word,
        is_stop, is_sure, is_word, may_be_name, may_be_unlisted, name_word, past_particles,
    },
};
use crate::part::Part as _;
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// Words that end a lowercase name.
#[rustfmt::skip]
const ENDS: [&str; 118] = [
    "a", "adım", "alors", "and", "aur", "aus", "aí", "bahut", "ben", "bey", "bin", "but", "can", "che", "da", "das", "de", "der", "dich",
    "die", "dir", "do", "du", "e", "en", "er", "est", "está", "et", "euch", "for", "from", "gibt", "h", "ha", "hai", "hanım", "has",
    "hat", "have", "he", "her", "here", "hoon", "how", "hun", "i", "i'm", "ich", "ihn", "ik", "im", "in", "is", "ist", "it", "j'ai", "je",
    "jo", "já", "ka", "ke", "keeps", "ki", "ko", "kya", "la", "le", "lo", "m", "me", "mera", "mi", "mich", "mir", "mucho", "mujhe", "my",
    "na", "ne", "new", "nicht", "nie", "no", "non", "nos", "not", "não", "of", "or", "pas", "please", "plz", "que", "refuse", "refuses",
    "s", "says", "she", "sie", "so", "that", "the", "to", "und", "uns", "van", "ve", "w", "wants", "was", "wil", "with", "y", "ya",
    "yardım", "yeni", "z",
];

/// Fields that hold one part of a name; a single word after them is enough.
const PARTS: [&str; 12] = [
    "achternaam",
    "apellido",
    "apellidos",
    "cognome",
    "nachname",
    "nazwisko",
    "prénom",
    "sobrenome",
    "soyadı",
    "surname",
    "voornaam",
    "vorname",
];

/// Detects a name after or before a cue.
pub(super) fn cued_name(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    hit: Hit,
    meaning: Meaning,
) {
    // The first character of `¿conoces` is not a letter.
    let before = context
        .part(context.ceiling(hit.start.saturating_sub(4)), hit.start)
        .chars()
        .next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return;
    }
    if meaning.intersects(Meaning::BEHIND) {
        name_before_cue(context, findings, hit);
    }
    if meaning.intersects(Meaning::SELF) {
        name_behind(context, findings, hit, true, 66);
    } else if meaning.intersects(Meaning::GREETED.union(Meaning::KIN)) {
        name_behind(context, findings, hit, false, 60);
    }
    if meaning.intersects(Meaning::FIELD.union(Meaning::ROLE)) {
        name_in_field(context, findings, hit, meaning.intersects(Meaning::FIELD));
    }
    if meaning.intersects(Meaning::ROLE.union(Meaning::BY)) {
        name_of(context, findings, hit, meaning.intersects(Meaning::BY));
    }
}

/// Detects a name after a cue: `ich heiße irmi höfig und …`, `my boss jack`. A lowercase name
/// counts if the cue is `sure` or a list contains the name.
fn name_behind(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    hit: Hit,
    sure: bool,
    confidence: u8,
) {
    let gap = context
        .slice(hit.end, hit.end + 3)
        .iter()
        .take_while(|b| matches!(b, b' ' | b',' | b':' | b'\n'))
        .count();
    let mut start = hit.end + gap;
    if context.part(start, context.floor(start + 3)) == "is " {
        start += 3;
    }
    if gap == 0 {
        return;
    }
    let words = capitalised_words(context, start);
    if let Some(first) = words.first().copied() {
        let count = words.len().min(3);
        let words = words.part(..count);
        if may_be_name(context, first)
            && (sure || is_known(context, first) || count > 1 || !is_plain_word(context, first))
        {
            findings.add(
                first.start,
                end_of(context, words),
                Kind::Person,
                "cued",
                confidence,
            );
        }
        return;
    }
    let mut words: Vec<Word> = Vec::new();
    let mut at = start;
    while words.len() < 4
        && let Some(word) = name_word(context, at).filter(|w| !is_end(context, *w))
    {
        words.push(word);
        at = word.end + 1;
        if context.byte(word.end) != b' ' {
            break;
        }
    }
    if words.len() >= 4 {
        // A longer run is a sentence, which may begin with a name.
        let known = words.iter().take_while(|w| is_sure(context, **w)).count();
        words.truncate(known.min(2));
    }
    let Some((first, last)) = words.first().copied().zip(words.last().copied()) else {
        return;
    };
    let is_word = |word: Word| {
        WORDS.contains(&context.part(word.start, word.end))
            || context.part(word.start, word.end).contains('\'')
    };
    if is_word(first) {
        return;
    }
    let is_listed = is_known(context, first) || words.len() > 1 && is_known(context, last);
    let is_long = context.part(first.start, first.end).chars().count() > 2;
    // `my name's siobhan, i'm 34`, `mera naam pushti hai`.
    let goes_on = context.byte(last.end) == b','
        || name_word(context, last.end + 1).is_some_and(|w| is_end(context, w));
    let count = if sure || words.len() == 1 {
        words.len()
    } else {
        words
            .iter()
            .take_while(|w| is_known(context, **w))
            .count()
            .max(1)
    };
    let end = words.get(count - 1).map_or(last.end, |w| w.end);
    if is_long
        && (is_listed || sure && (words.len() == 2 || goes_on) && !is_plain_word(context, first))
    {
        findings.add(first.start, end, Kind::Person, "cued", confidence - 4);
    }
}

/// Detects names in a field: `Passenger: ROBERTS Jonathan`,
/// `Présents : Auguste Fischer, Gérard Vidal`, `Patient: Füreder, Maida`.
fn name_in_field(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit, is_field: bool) {
    let gap = context
        .slice(hit.end, hit.end + 4)
        .iter()
        .take_while(|b| matches!(b, b' ' | b':' | b'-' | b'*' | b'\t' | b'\"'))
        .count();
    if !context
        .slice(hit.end, hit.end + gap)
        .iter()
        .any(|b| matches!(b, b':' | b'-'))
    {
        return;
    }
    let mut at = hit.end + gap;
    for _ in 0..8 {
        let mut words = capitalised_words(context, past_particles(context, at));
        let Some(first) = words.first().copied().filter(|w| may_be_name(context, *w)) else {
            return;
        };
        let start = at.min(first.start);
        // `Füreder, Maida`: one word, a comma and another word.
        let mut end = end_of(context, &words);
        let is_turned = words.len() == 1 && context.part(end, context.floor(end + 2)) == ", ";
        if is_turned {
            let given = capitalised_words(context, end + 2);
            if given.len() == 1 && given.first().is_some_and(|w| may_be_name(context, *w)) {
                end = end_of(context, &given);
                words.extend(given);
            }
        }
        let known = words.iter().any(|w| is_known(context, *w));
        let is_part = PARTS.contains(&context.part(hit.start, hit.end).to_lowercase().as_str())
            && may_be_unlisted(context, first);
        let is_told = known || is_field && words.len() > 1 || is_part;
        if words.iter().any(|w| is(context, *w, Meaning::ORGANISATION))
            || words.len() > 4
            || !is_told
        {
            return;
        }
        findings.add(
            start,
            end,
            Kind::Person,
            "cued",
            if known { 70 } else { 58 },
        );
        let Some(joint) = [
            ", ", " & ", " and ", " und ", " et ", " y ", " e ", " i ", " ve ", " en ", " aur ",
        ]
        .iter()
        .find(|j| context.part(end, context.floor(end + j.len())) == **j) else {
            return;
        };
        at = end + joint.len();
    }
}

/// Detects a name of several words, or of one listed word, after a role: `Customer Idika Gola`,
/// `reported by …`, `Laut Reinhild Bohlander`.
fn name_of(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit, takes_unlisted: bool) {
    let gap = context
        .slice(hit.end, hit.end + 2)
        .iter()
        .take_while(|b| matches!(b, b' ' | b','))
        .count();
    if gap == 0 || context.byte(hit.end + gap - 1) != b' ' {
        return;
    }
    let at = hit.end + gap;
    let words = capitalised_words(context, past_particles(context, at));
    let Some(first) = words.first().copied().filter(|w| may_be_name(context, *w)) else {
        return small_name_of(context, findings, at);
    };
    let words = words.part(..words.len().min(4));
    let known = words.iter().any(|w| is_known(context, *w));
    let has_small = words.iter().all(|w| {
        context
            .part(w.start, w.end)
            .chars()
            .skip(1)
            .any(char::is_lowercase)
    });
    if words.iter().any(|w| {
        is(
            context,
            *w,
            Meaning::ORGANISATION.union(Meaning::PLACE_NAME),
        ) || is_plain_word(context, *w)
    }) || !has_small
    {
        return;
    }
    if known || takes_unlisted && words.len() > 1 {
        findings.add(
            at.min(first.start),
            end_of(context, words),
            Kind::Person,
            "cued",
            if known { 64 } else { 54 },
        );
    }
}

/// Detects a lowercase name, as in `conosci bianca torlonia?`: a given name that is not an ordinary
/// word, and the name after it.
fn small_name_of(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    let text = |w: Word| context.part(w.start, w.end);
    let is_given = |w: &Word| {
        context.byte(w.end) == b' '
            && is_known(context, *w)
            && !is_word(text(*w))
            && !is_end(context, *w)
    };
    let Some(given) = name_word(context, at).filter(is_given) else {
        return;
    };
    let Some(family) = name_word(context, past_particles_in_small(context, given.end + 1))
        .filter(|w| !is_end(context, *w))
    else {
        return;
    };
    let is_listed = is_known(context, family) && !is_capitalised(context, family.start);
    if is_listed || is_sure(context, given) && matches!(context.byte(family.end), b'?' | b',') {
        findings.add(given.start, family.end, Kind::Person, "cued", 60);
    }
}

/// Detects a name before a cue: `Gülşah Hanım`, `Imran bhaiya`, `Idika ji`.
fn name_before_cue(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let Some(mut start) = hit
        .start
        .checked_sub(1)
        .filter(|at| context.byte(*at) == b' ')
    else {
        return;
    };
    let mut words = Vec::new();
    while words.len() < 3 {
        let length = context
            .slice(start.saturating_sub(40), start)
            .iter()
            .rev()
            .take_while(|b| is_letter(**b) || **b == b'-')
            .count();
        let from = start - length;
        if length == 0 || !context.text.is_char_boundary(from) || !is_capitalised(context, from) {
            break;
        }
        words.push(Word {
            start: from,
            end: start,
        });
        start = from;
        let Some(blank) = start.checked_sub(1).filter(|at| context.byte(*at) == b' ') else {
            break;
        };
        start = blank;
    }
    let Some((first, last)) = words.last().copied().zip(words.first().copied()) else {
        return small_name_before(context, findings, hit.start);
    };
    // These cues follow only names, so unlisted names count as well.
    let is_named = is_known(context, first)
        || words.len() < 3 && words.iter().all(|w| may_be_unlisted(context, *w));
    if words.iter().all(|w| may_be_name(context, *w)) && is_named {
        findings.add(first.start, last.end, Kind::Person, "cued", 64);
    }
}

/// Detects a listed lowercase name before a cue: `ipek hanım`.
fn small_name_before(context: &Context<'_>, findings: &mut Findings<'_>, cue: usize) {
    let end = cue - 1;
    let length = context
        .slice(end.saturating_sub(40), end)
        .iter()
        .rev()
        .take_while(|b| is_letter(**b))
        .count();
    let word = Word {
        start: end - length,
        end,
    };
    if length > 2
        && context.text.is_char_boundary(word.start)
        && is_sure(context, word)
        && !is_end(context, word)
    {
        findings.add(word.start, word.end, Kind::Person, "cued", 60);
    }
}

/// Skips `van der ` and similar particles before a lowercase name.
fn past_particles_in_small(context: &Context<'_>, at: usize) -> usize {
    const PARTICLES: [&str; 9] = [
        "van der ", "van den ", "van de ", "van ", "von ", "de la ", "de ", "da ", "ter ",
    ];
    let rest = context.part(at, context.floor(at + 10));
    at + PARTICLES
        .iter()
        .find(|p| rest.starts_with(**p))
        .map_or(0, |p| p.len())
}

/// Detects a mentioned name: `@Gabriel can you review this?`
pub(super) fn mentioned(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    let is_apart = !super::is_word_byte(context.byte_before(at)) && context.byte_before(at) != b'.';
    let Some(word) = name_word(context, at + 1)
        .filter(|w| is_apart && is_capitalised(context, w.start) && is_sure(context, *w))
    else {
        return;
    };
    let behind = context
        .chars_from(word.end)
        .nth(1)
        .is_some_and(|c| c.is_lowercase() || c == '¿');
    if context.byte(word.end) == b' ' && behind && !is_stop(context, word) {
        findings.add(word.start, word.end, Kind::Person, "mentioned", 60);
    }
}

/// Detects the signature of a letter: one to three capitalized words alone on the last line, after
/// an empty line.
pub(super) fn signature(context: &Context<'_>, findings: &mut Findings<'_>) {
    const LETTER: std::ops::Range<usize> = 40..8192;
    let text = context.text.trim_end();
    let Some(start) = text
        .rfind("\n\n")
        .map(|at| at + 2)
        .filter(|_| LETTER.contains(&text.len()))
    else {
        return;
    };
    let is_letter =
        !text.contains(['{', '}', '=', '#', '|', '`', '/']) && text.contains(['.', '?', '!']);
    let words = capitalised_words(context, start);
    let is_all = words.last().is_some_and(|w| w.end == text.len()) && words.len() <= 3;
    let is_listed = words.first().is_some_and(|w| is_sure(context, *w));
    if is_letter && is_all && is_listed && words.iter().all(|w| may_be_unlisted(context, *w)) {
        findings.add(start, text.len(), Kind::Person, "signed", 58);
    }
}

fn is_end(context: &Context<'_>, word: Word) -> bool {
    ENDS.binary_search(&context.part(word.start, word.end).to_lowercase().as_str())
        .is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_words_that_end_a_name_are_in_order() {
        assert!(super::ENDS.is_sorted());
    }
}
