//! People's names behind the words that people say before them: of themselves, of their kin, of a
//! customer or a witness, in a form's field. (The cues are `redact/cues.tsv`.) Behind a sure cue a
//! name is taken in small letters as well, as people type on their telephones.

use super::{
    Scene,
    names::{WORDS, Word, is_word},
};
use crate::part::Part as _;
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// Words that end a name in small letters.
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
/// Words with a capital that follow a cue and are no names.
#[rustfmt::skip]
const NOBODY: [&str; 50] = ["Siri", "Alexa", "Gemini", "Copilot", "ChatGPT", "Kitty",
    "All", "Team", "Everyone", "Instance", "There", "Sir", "Madam", "Customer", "Support", "Service", "Zusammen", "Leute", "Kollegen", "Alle",
    "Tous", "Toutes", "Todos", "Todas", "Tutti", "Allemaal", "Friends", "Folks", "Guys", "Colleagues", "Hiring", "Manager", "Recruiter", "User",
    "Assistant", "System", "ID", "No", "Number", "Name", "Email", "Phone", "Address", "Date", "Status", "Type", "Note", "None", "Yes", "Claude",
];

/// Fields that hold one part of a name: one word behind them is enough.
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

impl Scene<'_> {
    /// A name behind a cue, or before one.
    pub(super) fn cued_name(&mut self, hit: Hit, meaning: Meaning) {
        // Of `¿conoces`, the first sign is no letter.
        let before = self
            .part(self.ceiling(hit.start.saturating_sub(4)), hit.start)
            .chars()
            .next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            return;
        }
        if meaning.intersects(Meaning::BEHIND) {
            self.name_before_cue(hit);
        }
        if meaning.intersects(Meaning::SELF) {
            self.name_behind(hit, true, 66);
        } else if meaning.intersects(Meaning::GREETED.union(Meaning::KIN)) {
            self.name_behind(hit, false, 60);
        }
        if meaning.intersects(Meaning::FIELD.union(Meaning::ROLE)) {
            self.name_in_field(hit, meaning.intersects(Meaning::FIELD));
        }
        if meaning.intersects(Meaning::ROLE.union(Meaning::BY)) {
            self.name_of(hit, meaning.intersects(Meaning::BY));
        }
    }

    /// `ich heiße irmi höfig und …`, `my boss jack`: in small letters behind what is `sure`, or
    /// where the lists have the first word.
    fn name_behind(&mut self, hit: Hit, sure: bool, confidence: u8) {
        let gap = self
            .slice(hit.end, hit.end + 3)
            .iter()
            .take_while(|b| matches!(b, b' ' | b',' | b':' | b'\n'))
            .count();
        let mut start = hit.end + gap;
        if self.part(start, self.floor(start + 3)) == "is " {
            start += 3;
        }
        if gap == 0 {
            return;
        }
        let words = self.capitalised_words(start);
        if let Some(first) = words.first().copied() {
            let count = words.len().min(3);
            let words = words.part(..count);
            if self.may_be_name(first)
                && (sure || self.is_known(first) || count > 1 || !self.is_plain_word(first))
            {
                self.add(
                    first.start,
                    self.end_of(words),
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
            && let Some(word) = self.name_word(at).filter(|w| !self.is_end(*w))
        {
            words.push(word);
            at = word.end + 1;
            if self.byte(word.end) != b' ' {
                break;
            }
        }
        if words.len() >= 4 {
            // What goes on for longer is a sentence, which can begin with a name.
            let known = words.iter().take_while(|w| self.is_sure(**w)).count();
            words.truncate(known.min(2));
        }
        let Some((first, last)) = words.first().copied().zip(words.last().copied()) else {
            return;
        };
        let is_word = |word: Word| {
            WORDS.contains(&self.part(word.start, word.end))
                || self.part(word.start, word.end).contains('\'')
        };
        if is_word(first) {
            return;
        }
        let is_listed = self.is_known(first) || words.len() > 1 && self.is_known(last);
        let is_long = self.part(first.start, first.end).chars().count() > 2;
        // `my name's siobhan, i'm 34`, `mera naam pushti hai`.
        let goes_on = self.byte(last.end) == b','
            || self.name_word(last.end + 1).is_some_and(|w| self.is_end(w));
        let count = if sure || words.len() == 1 {
            words.len()
        } else {
            words
                .iter()
                .take_while(|w| self.is_known(**w))
                .count()
                .max(1)
        };
        let end = words.get(count - 1).map_or(last.end, |w| w.end);
        if is_long
            && (is_listed || sure && (words.len() == 2 || goes_on) && !self.is_plain_word(first))
        {
            self.add(first.start, end, Kind::Person, "cued", confidence - 4);
        }
    }

    /// `Passenger: ROBERTS Jonathan`, `Présents : Auguste Fischer, Gérard Vidal`, `Patient:
    /// Füreder, Maida`.
    fn name_in_field(&mut self, hit: Hit, is_field: bool) {
        let gap = self
            .slice(hit.end, hit.end + 4)
            .iter()
            .take_while(|b| matches!(b, b' ' | b':' | b'-' | b'*' | b'\t' | b'\"'))
            .count();
        if !self
            .slice(hit.end, hit.end + gap)
            .iter()
            .any(|b| matches!(b, b':' | b'-'))
        {
            return;
        }
        let mut at = hit.end + gap;
        for _ in 0..8 {
            let mut words = self.capitalised_words(self.past_particles(at));
            let Some(first) = words.first().copied().filter(|w| self.may_be_name(*w)) else {
                return;
            };
            let start = at.min(first.start);
            // `Füreder, Maida`: one word, and one more.
            let mut end = self.end_of(&words);
            let is_turned = words.len() == 1 && self.part(end, self.floor(end + 2)) == ", ";
            if is_turned {
                let given = self.capitalised_words(end + 2);
                if given.len() == 1 && given.first().is_some_and(|w| self.may_be_name(*w)) {
                    end = self.end_of(&given);
                    words.extend(given);
                }
            }
            let known = words.iter().any(|w| self.is_known(*w));
            let is_part = PARTS.contains(&self.part(hit.start, hit.end).to_lowercase().as_str())
                && self.may_be_unlisted(first);
            let is_told = known || is_field && words.len() > 1 || is_part;
            if words.iter().any(|w| self.is(*w, Meaning::ORGANISATION))
                || words.len() > 4
                || !is_told
            {
                return;
            }
            self.add(
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
            .find(|j| self.part(end, self.floor(end + j.len())) == **j) else {
                return;
            };
            at = end + joint.len();
        }
    }

    /// `Customer Idika Gola`, `reported by …`, `Laut Reinhild Bohlander`: two words and more, or
    /// one that the lists have.
    fn name_of(&mut self, hit: Hit, takes_unlisted: bool) {
        let gap = self
            .slice(hit.end, hit.end + 2)
            .iter()
            .take_while(|b| matches!(b, b' ' | b','))
            .count();
        if gap == 0 || self.byte(hit.end + gap - 1) != b' ' {
            return;
        }
        let at = hit.end + gap;
        let words = self.capitalised_words(self.past_particles(at));
        let Some(first) = words.first().copied().filter(|w| self.may_be_name(*w)) else {
            return self.small_name_of(at);
        };
        let words = words.part(..words.len().min(4));
        let known = words.iter().any(|w| self.is_known(*w));
        let has_small = words.iter().all(|w| {
            self.part(w.start, w.end)
                .chars()
                .skip(1)
                .any(char::is_lowercase)
        });
        if words.iter().any(|w| {
            self.is(*w, Meaning::ORGANISATION.union(Meaning::PLACE_NAME)) || self.is_plain_word(*w)
        }) || !has_small
        {
            return;
        }
        if known || takes_unlisted && words.len() > 1 {
            self.add(
                at.min(first.start),
                self.end_of(words),
                Kind::Person,
                "cued",
                if known { 64 } else { 54 },
            );
        }
    }

    /// `conosci bianca torlonia?`: in small letters, a given name that is no word, and the name
    /// behind it.
    fn small_name_of(&mut self, at: usize) {
        let text = |w: Word| self.part(w.start, w.end);
        let is_given = |w: &Word| {
            self.byte(w.end) == b' ' && self.is_known(*w) && !is_word(text(*w)) && !self.is_end(*w)
        };
        let Some(given) = self.name_word(at).filter(is_given) else {
            return;
        };
        let Some(family) = self
            .name_word(self.past_particles_in_small(given.end + 1))
            .filter(|w| !self.is_end(*w))
        else {
            return;
        };
        let is_listed = self.is_known(family) && !self.is_capitalised(family.start);
        if is_listed || self.is_sure(given) && matches!(self.byte(family.end), b'?' | b',') {
            self.add(given.start, family.end, Kind::Person, "cued", 60);
        }
    }

    /// `Gülşah Hanım`, `Imran bhaiya`, `Idika ji`.
    fn name_before_cue(&mut self, hit: Hit) {
        let Some(mut start) = hit.start.checked_sub(1).filter(|at| self.byte(*at) == b' ') else {
            return;
        };
        let mut words = Vec::new();
        while words.len() < 3 {
            let length = self
                .slice(start.saturating_sub(40), start)
                .iter()
                .rev()
                .take_while(|b| is_letter(**b) || **b == b'-')
                .count();
            let from = start - length;
            if length == 0 || !self.text.is_char_boundary(from) || !self.is_capitalised(from) {
                break;
            }
            words.push(Word {
                start: from,
                end: start,
            });
            start = from;
            let Some(blank) = start.checked_sub(1).filter(|at| self.byte(*at) == b' ') else {
                break;
            };
            start = blank;
        }
        let Some((first, last)) = words.last().copied().zip(words.first().copied()) else {
            return self.small_name_before(hit.start);
        };
        // Whoever is spoken of so has a name, whether the lists have it or not.
        let is_named = self.is_known(first)
            || words.len() < 3 && words.iter().all(|w| self.may_be_unlisted(*w));
        if words.iter().all(|w| self.may_be_name(*w)) && is_named {
            self.add(first.start, last.end, Kind::Person, "cued", 64);
        }
    }

    /// `ipek hanım`: a name of the lists in small letters.
    fn small_name_before(&mut self, cue: usize) {
        let end = cue - 1;
        let length = self
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
            && self.text.is_char_boundary(word.start)
            && self.is_sure(word)
            && !self.is_end(word)
        {
            self.add(word.start, word.end, Kind::Person, "cued", 60);
        }
    }

    /// Past `van der ` and its like before a name in small letters.
    fn past_particles_in_small(&self, at: usize) -> usize {
        const PARTICLES: [&str; 9] = [
            "van der ", "van den ", "van de ", "van ", "von ", "de la ", "de ", "da ", "ter ",
        ];
        let rest = self.part(at, self.floor(at + 10));
        at + PARTICLES
            .iter()
            .find(|p| rest.starts_with(**p))
            .map_or(0, |p| p.len())
    }

    /// The particles of a name that begins with them, as `van Oudewater`.
    pub(super) fn past_particles(&self, at: usize) -> usize {
        const FIRST: [&str; 16] = [
            "van der ", "van den ", "van de ", "van ", "von der ", "von ", "de la ", "de ", "del ",
            "della ", "di ", "da ", "dos ", "ter ", "ten ", "'t ",
        ];
        let rest = self.part(at, self.floor(at + 10));
        let particle = FIRST
            .iter()
            .find(|p| rest.starts_with(**p))
            .map_or(0, |p| p.len());
        let elided = if particle == 0 && (rest.starts_with("d'") || rest.starts_with("D'")) {
            2
        } else {
            0
        };
        if self.is_capitalised(at + particle + elided) {
            at + particle + elided
        } else {
            at
        }
    }

    /// `@Gabriel can you review this?`
    pub(super) fn mentioned(&mut self, at: usize) {
        let is_apart = !super::is_word_byte(self.byte_before(at)) && self.byte_before(at) != b'.';
        let Some(word) = self
            .name_word(at + 1)
            .filter(|w| is_apart && self.is_capitalised(w.start) && self.is_sure(*w))
        else {
            return;
        };
        let behind = self
            .chars_from(word.end)
            .nth(1)
            .is_some_and(|c| c.is_lowercase() || c == '¿');
        if self.byte(word.end) == b' ' && behind && !self.is_stop(word) {
            self.add(word.start, word.end, Kind::Person, "mentioned", 60);
        }
    }

    /// The last line of a letter: one to three words with a capital and nothing else, behind an
    /// empty line.
    pub(super) fn signature(&mut self) {
        const LETTER: std::ops::Range<usize> = 40..8192;
        let text = self.text.trim_end();
        let Some(start) = text
            .rfind("\n\n")
            .map(|at| at + 2)
            .filter(|_| LETTER.contains(&text.len()))
        else {
            return;
        };
        let is_letter =
            !text.contains(['{', '}', '=', '#', '|', '`', '/']) && text.contains(['.', '?', '!']);
        let words = self.capitalised_words(start);
        let is_all = words.last().is_some_and(|w| w.end == text.len()) && words.len() <= 3;
        let is_listed = words.first().is_some_and(|w| self.is_sure(*w));
        if is_letter && is_all && is_listed && words.iter().all(|w| self.may_be_unlisted(*w)) {
            self.add(start, text.len(), Kind::Person, "signed", 58);
        }
    }

    /// Returns true if a word may be a name though no list has it.
    pub(super) fn may_be_unlisted(&self, word: Word) -> bool {
        let text = self.part(word.start, word.end);
        self.may_be_name(word)
            && !self.is_plain_word(word)
            && text
                .chars()
                .skip(1)
                .all(|c| !c.is_uppercase() || text.contains(['-', '\'']))
    }

    fn may_be_name(&self, word: Word) -> bool {
        let text = self.part(word.start, word.end);
        text.chars().count() > 1
            && !NOBODY.contains(&text)
            && !self.is_stop(word)
            && !text.contains(char::is_numeric)
    }

    /// Returns true if the lists have a word, in any writing.
    fn is_known(&self, word: Word) -> bool {
        let text = self.part(word.start, word.end);
        let parts = || text.split('-').filter(|p| p.len() > 1);
        self.meaning_of(word).intersects(Meaning::ANY_NAME)
            || parts().next().is_some()
                && parts().all(|p| {
                    self.tables
                        .vocabulary
                        .meaning_of(p)
                        .intersects(Meaning::ANY_NAME)
                })
    }

    /// Returns true if the lists have a word, and it is no ordinary one as well.
    pub(super) fn is_sure(&self, word: Word) -> bool {
        let text = self.part(word.start, word.end);
        self.is_known(word)
            && !self
                .tables
                .vocabulary
                .meaning_of(text)
                .intersects(Meaning::AMBIGUOUS)
            && !WORDS.contains(&text.to_lowercase().as_str())
    }

    /// Returns true if somebody with this name is a program that people talk to.
    pub(super) fn is_assistant(&self, word: Word) -> bool {
        matches!(
            self.part(word.start, word.end),
            "Claude" | "Siri" | "Alexa" | "Gemini" | "Copilot" | "Assistant" | "ChatGPT" | "Kitty"
        )
    }

    /// Returns true if a word means something else here, as a cue, a place or a month.
    fn is_plain_word(&self, word: Word) -> bool {
        let other = Meaning(!(Meaning::ANY_NAME.0 | Meaning::AMBIGUOUS.0));
        self.tables
            .vocabulary
            .meaning_of(self.part(word.start, word.end))
            .intersects(other)
    }

    fn is_end(&self, word: Word) -> bool {
        ENDS.binary_search(&self.part(word.start, word.end).to_lowercase().as_str())
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_words_that_end_a_name_are_in_order() {
        assert!(super::ENDS.is_sorted());
    }
}
