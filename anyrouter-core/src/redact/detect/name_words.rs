//! Words that may be parts of a person's name.

use super::context::Context;
use crate::redact::vocabulary::{Meaning, is_letter};

/// Names that in lowercase are ordinary words.
#[rustfmt::skip]
pub(super) const WORDS: [&str; 40] = [
    "ama", "art", "asks", "asked", "best", "bill", "case", "claire", "dean", "drew", "faith", "frank", "good", "grace", "grant", "hope", "joy",
    "little", "long", "major", "mark", "max", "may", "page", "pat", "rich", "rose", "said", "short", "soon", "sue", "summer", "sunny", "today",
    "tomorrow", "will", "wont", "would", "yesterday", "young",
];

/// Particles within names.
const PARTICLES: [&str; 26] = [
    "van", "von", "de", "der", "den", "del", "della", "di", "da", "do", "dos", "das", "la", "le",
    "el", "al", "bin", "bint", "ibn", "ben", "ter", "ten", "zu", "y", "e", "st",
];

/// Capitalized words that follow a cue and are not names.
#[rustfmt::skip]
const NOBODY: [&str; 50] = ["Siri", "Alexa", "Gemini", "Copilot", "ChatGPT", "Kitty",
    "All", "Team", "Everyone", "Instance", "There", "Sir", "Madam", "Customer", "Support", "Service", "Zusammen", "Leute", "Kollegen", "Alle",
    "Tous", "Toutes", "Todos", "Todas", "Tutti", "Allemaal", "Friends", "Folks", "Guys", "Colleagues", "Hiring", "Manager", "Recruiter", "User",
    "Assistant", "System", "ID", "No", "Number", "Name", "Email", "Phone", "Address", "Date", "Status", "Type", "Note", "None", "Yes", "Claude",
];

/// A word of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Returns true if a name is primarily an ordinary word, as `mark` and `will`.
pub(crate) fn is_word(name: &str) -> bool {
    WORDS.contains(&name.to_lowercase().as_str())
}

/// Returns true if the word at `at` begins as names do: with a capital, or in a script without
/// capitals.
pub(super) fn is_capitalised(context: &Context<'_>, at: usize) -> bool {
    context.chars_from(at).next().is_some_and(|c| {
        c.is_uppercase() || (c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase())
    })
}

/// Returns the word that begins at `at`, with hyphens and apostrophes inside.
pub(super) fn name_word(context: &Context<'_>, at: usize) -> Option<Word> {
    /// Maximum length with a possessive ending; the text read may end within a character.
    const LONGEST: usize = 40 + "'s".len();
    if !context.text.is_char_boundary(at) {
        return None;
    }
    let mut end = at;
    loop {
        end += context
            .slice(end, end + LONGEST + 1)
            .iter()
            .take_while(|b| is_letter(**b))
            .count();
        match context.slice(end, end + 2) {
            [b'-' | b'\'', next] if is_letter(*next) && end > at => end += 1,
            _ => break,
        }
    }
    if end - at > LONGEST {
        return None;
    }
    // A possessive ending is not part of the name.
    let text = context.part(at, end);
    let end = if text.ends_with("'s") { end - 2 } else { end };
    // Signs outside ASCII are not letters: `محمد علي، …`.
    let is_sign = |c: char| "،؛؟。、「」『』·…•→–—»«”“".contains(c);
    let sign = Some(text)
        .filter(|t| !t.is_ascii())
        .and_then(|t| t.find(is_sign));
    let end = sign.map_or(end, |i| at + i);
    (end > at
        && end - at <= 40
        && !context.byte(end).is_ascii_digit()
        && (context.byte(end) != b'_' || context.byte(end + 1) == b'_'))
        .then_some(Word { start: at, end })
}

/// Returns true if exactly this word has one of these meanings.
pub(super) fn is(context: &Context<'_>, word: Word, any: Meaning) -> bool {
    context
        .hits_in(word.start, word.start + 1)
        .any(|h| h.end == word.end && h.meaning().intersects(any))
}

/// Returns true if a word is capitalized but is never part of a name.
pub(super) fn is_stop(context: &Context<'_>, word: Word) -> bool {
    is(context, word, Meaning::STOP) || matches!(context.slice(word.start, word.end), b"I" | b"A")
}

/// Returns up to five capitalized words from `at` on, with initials and particles.
pub(super) fn capitalised_words(context: &Context<'_>, at: usize) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut at = at;
    let mut particles = 0;
    while words.len() < 5 {
        // `Mees 't Hart`.
        if !words.is_empty()
            && context.slice(at, at + 3) == b"'t "
            && is_capitalised(context, at + 3)
        {
            at += 3;
        }
        let Some(word) = name_word(context, at) else {
            break;
        };
        let text = context.part(word.start, word.end);
        let is_single = text.chars().count() == 1;
        let is_middle = is_single
            && !words.is_empty()
            && context.byte(word.end) == b' '
            && is_capitalised(context, word.end + 1)
            && text != "I";
        let is_initial = is_single && context.byte(word.end) == b'.';
        if is_capitalised(context, word.start)
            && !is_stop(context, word)
            && (!is_single || is_initial || is_middle || !text.is_ascii())
        {
            particles = 0;
            words.push(word);
        } else if PARTICLES.contains(&text.to_lowercase().as_str())
            && !words.is_empty()
            && particles < 2
            && context.byte(word.end) == b' '
        {
            particles += 1;
            words.push(word);
        } else {
            break;
        }
        at = word.end;
        if is_initial {
            at += 1;
        }
        match context.byte(at) {
            b' ' => at += 1,
            b'.' if is_initial || matches!(text, "Jr" | "Sr" | "St") => at += 2,
            b'+' if is_capitalised(context, at + 1) => at += 1,
            _ => break,
        }
    }
    for _ in 0..particles {
        words.pop();
    }
    words
}

pub(super) fn end_of(context: &Context<'_>, words: &[Word]) -> usize {
    let Some(last) = words.last() else { return 0 };
    let is_initial =
        context.part(last.start, last.end).chars().count() == 1 && context.byte(last.end) == b'.';
    last.end + usize::from(is_initial && words.len() > 1)
}

pub(super) fn meaning_of(context: &Context<'_>, word: Word) -> Meaning {
    context
        .hits_in(word.start, word.end)
        .fold(Meaning::default(), |m, h| m.union(h.meaning()))
}

/// Returns the position after the particles that begin a name, as in `van Oudewater`.
pub(super) fn past_particles(context: &Context<'_>, at: usize) -> usize {
    const FIRST: [&str; 16] = [
        "van der ", "van den ", "van de ", "van ", "von der ", "von ", "de la ", "de ", "del ",
        "della ", "di ", "da ", "dos ", "ter ", "ten ", "'t ",
    ];
    let rest = context.part(at, context.floor(at + 10));
    let particle = FIRST
        .iter()
        .find(|p| rest.starts_with(**p))
        .map_or(0, |p| p.len());
    let elided = if particle == 0 && (rest.starts_with("d'") || rest.starts_with("D'")) {
        2
    } else {
        0
    };
    if is_capitalised(context, at + particle + elided) {
        at + particle + elided
    } else {
        at
    }
}

/// Returns true if a word may be a name although no list contains it.
pub(super) fn may_be_unlisted(context: &Context<'_>, word: Word) -> bool {
    let text = context.part(word.start, word.end);
    may_be_name(context, word)
        && !is_plain_word(context, word)
        && text
            .chars()
            .skip(1)
            .all(|c| !c.is_uppercase() || text.contains(['-', '\'']))
}

pub(super) fn may_be_name(context: &Context<'_>, word: Word) -> bool {
    let text = context.part(word.start, word.end);
    text.chars().count() > 1
        && !NOBODY.contains(&text)
        && !is_stop(context, word)
        && !text.contains(char::is_numeric)
}

/// Returns true if the lists contain a word, or each of its hyphenated parts.
pub(super) fn is_known(context: &Context<'_>, word: Word) -> bool {
    let text = context.part(word.start, word.end);
    let parts = || text.split('-').filter(|p| p.len() > 1);
    meaning_of(context, word).intersects(Meaning::ANY_NAME)
        || parts().next().is_some()
            && parts().all(|p| {
                context
                    .tables
                    .vocabulary
                    .meaning_of(p)
                    .intersects(Meaning::ANY_NAME)
            })
}

/// Returns true if the lists contain a word that is not an ordinary word as well.
pub(super) fn is_sure(context: &Context<'_>, word: Word) -> bool {
    let text = context.part(word.start, word.end);
    is_known(context, word)
        && !context
            .tables
            .vocabulary
            .meaning_of(text)
            .intersects(Meaning::AMBIGUOUS)
        && !WORDS.contains(&text.to_lowercase().as_str())
}

/// Returns true if a word is the name of an assistant program.
pub(super) fn is_assistant(context: &Context<'_>, word: Word) -> bool {
    matches!(
        context.part(word.start, word.end),
        "Claude" | "Siri" | "Alexa" | "Gemini" | "Copilot" | "Assistant" | "ChatGPT" | "Kitty"
    )
}

/// Returns true if a word has another meaning as well, as a cue, a place or a month.
pub(super) fn is_plain_word(context: &Context<'_>, word: Word) -> bool {
    let other = Meaning(!(Meaning::ANY_NAME.0 | Meaning::AMBIGUOUS.0));
    context
        .tables
        .vocabulary
        .meaning_of(context.part(word.start, word.end))
        .intersects(other)
}
