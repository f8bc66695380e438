//! People's names by the lists of given and family names.

use super::{
    Scene,
    names::{Word, is_word},
    one_of,
    unspaced::is_unspaced_script,
};
use crate::part::Part as _;
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// Languages, programs, cars and algorithms that bear people's names.
const NAMESAKES: [&str; 22] = [
    "ada",
    "alfa",
    "cassandra",
    "claude",
    "dijkstra",
    "elixir",
    "erlang",
    "gauss",
    "giulia",
    "haskell",
    "jekyll",
    "jenkins",
    "julia",
    "kafka",
    "mercedes",
    "pascal",
    "riese",
    "ruby",
    "travis",
    "turing",
    "newton",
    "bernoulli",
];
/// What is said near them, and rarely near people.
#[rustfmt::skip]
const TECHNOLOGY: [&str; 34] = [
    "Rust", "Python", "Haskell", "Erlang", "Pascal", "Ruby", "Java", "Kotlin", "Fortran", "Apache", "Kafka", "Spark", "Drone", "Jenkins", "CI",
    "Travis", "BFS", "Alfa", "Fiat", "Dreisatz", "algorithm", "Algorithm", "algoritm", "Route", "route", "Pluto", "Jupyter", "Notebook",
    "compiler", "Postgres", "Redis", "MATLAB", "Scala", "CUDA",
];

/// What joins names.
const JOINTS: [&str; 18] = [
    ", ", " and ", " & ", " or ", " und ", " oder ", " et ", " ou ", " y ", " y a ", " e ", " o ",
    " en ", " of ", " ve ", " veya ", " aur ", " i ",
];

impl Scene<'_> {
    pub(super) fn meaning_of(&self, word: Word) -> Meaning {
        self.hits_in(word.start, word.end)
            .fold(Meaning::default(), |m, h| m.union(h.meaning()))
    }

    /// A name by the lists: a given name and what follows, or a family name behind an initial.
    pub(super) fn listed(&mut self, hit: Hit, meaning: Meaning) {
        let before = self.byte_before(hit.start);
        if before.is_ascii_alphanumeric()
            || matches!(
                before,
                b'_' | b'/' | b'\\' | b'@' | b'#' | b'$' | b'.' | b'<' | b'-' | b'&' | b'\''
            ) && !(before == b'.' && self.byte_before(hit.start - 1).is_ascii_uppercase())
        {
            return;
        }
        // `İŞLEVi` is one word, and so is `TamFich`.
        let letter_before = self
            .part(self.ceiling(hit.start.saturating_sub(4)), hit.start)
            .chars()
            .next_back();
        if letter_before
            .is_some_and(|c| !c.is_ascii() && c.is_alphabetic() && !is_unspaced_script(c))
        {
            return;
        }
        let words = self.capitalised_words(hit.start);
        let Some(first) = words.first().copied() else {
            return;
        };
        let is_camel = first.end > hit.end && self.byte(hit.end).is_ascii_uppercase();
        if is_camel
            && !matches!(
                self.slice(hit.start, hit.end),
                b"De" | b"Di" | b"La" | b"Le" | b"Mac" | b"Mc" | b"Van"
            )
        {
            return;
        }
        if self.is_namesake(hit) {
            return;
        }
        if first.end < hit.end
            || matches!(
                self.byte(first.end),
                b'_' | b'(' | b'/' | b'@' | b'\\' | b'='
            )
            || self.byte(first.end) == b'.' && is_letter(self.byte(first.end + 1))
            || self.byte(first.end) == b':' && self.byte(first.end + 1) == b':'
        {
            return;
        }
        // `Smith, Jane`.
        if meaning.intersects(Meaning::FAMILY)
            && !meaning.intersects(Meaning::AMBIGUOUS)
            && words.len() == 1
            && self.part(first.end, self.floor(first.end + 2)) == ", "
        {
            let given = self.capitalised_words(first.end + 2);
            let known = given
                .first()
                .is_some_and(|w| self.meaning_of(*w).intersects(Meaning::GIVEN));
            if known && given.len() <= 2 && !self.is_stop(first) {
                self.add(hit.start, self.end_of(&given), Kind::Person, "listed", 72);
                return;
            }
        }
        // The words before, as far as they are a name as well.
        let mut start = hit.start;
        for _ in 0..2 {
            let Some(previous) = self.word_before(start) else {
                break;
            };
            let text = self.part(previous.start, previous.end);
            let is_initial = text.len() == 1
                && self.byte(previous.end) == b'.'
                && text.chars().all(char::is_uppercase);
            let is_name = self.is_capitalised(previous.start)
                && self.meaning_of(previous).intersects(Meaning::ANY_NAME)
                && !self.is_stop(previous);
            if !is_initial && !is_name {
                break;
            }
            start = previous.start;
        }
        let words = if start < hit.start {
            self.capitalised_words(start)
        } else {
            words
        };
        let words = words.part(..words.len().min(4));
        let meanings: Vec<Meaning> = words.iter().map(|w| self.meaning_of(*w)).collect();
        let given = meanings
            .iter()
            .filter(|m| m.intersects(Meaning::GIVEN) && !m.intersects(Meaning::AMBIGUOUS))
            .count();
        let family = meanings
            .iter()
            .skip(1)
            .filter(|m| m.intersects(Meaning::FAMILY) && !m.intersects(Meaning::AMBIGUOUS))
            .count();
        let doubtful = meanings
            .iter()
            .filter(|m| m.intersects(Meaning::ANY_NAME) && m.intersects(Meaning::AMBIGUOUS))
            .count();
        if words.iter().any(|w| self.is(*w, Meaning::ORGANISATION)) {
            return;
        }
        if words.is_empty() {
            return;
        }
        let end = self.end_of(words);
        let has_small = self.part(start, end).chars().any(char::is_lowercase)
            || !self.part(start, end).is_ascii();
        let first_is_given = meanings
            .first()
            .is_some_and(|m| m.intersects(Meaning::GIVEN));
        let first_is_place = meanings
            .first()
            .is_some_and(|m| m.intersects(Meaning::PLACE_NAME));
        let opens = self.opens_sentence(start);
        let is_alone = words.len() == 1
            && (given > 0
                || meaning.intersects(Meaning::FAMILY) && !meaning.intersects(Meaning::AMBIGUOUS))
            && has_small;
        let may_be_joined =
            words.len() == 1 && first_is_given && has_small && !is_word(self.part(start, end));
        // `WELLINGTON ROCHA está …`: in capitals, where the text is not.
        let goes_on_small = self.byte(end) == b' ' && self.byte(end + 1).is_ascii_lowercase();
        let is_shouted = !has_small
            && (2..=4).contains(&words.len())
            && goes_on_small
            && first.end - first.start >= 4;
        let confidence = match (given, family, doubtful, words.len()) {
            (_, _, _, 0) => return,
            (1.., ..) if is_shouted && first_is_given && !first_is_place => 58,
            _ if is_alone && !first_is_place && self.is_in_list(start, end) => 60,
            (0, ..) if may_be_joined && !first_is_place && self.is_joined_to_name(start, end) => 58,
            (1.., 1.., _, 2..) => 86,
            (1.., _, 1.., 2..) if first_is_given => 78,
            (1.., 0, 0, 2..=3) if first_is_given && has_small && !first_is_place => 66,
            (0, 1.., 1.., 2..) if first_is_given => 70,
            (0, 0, 2.., 2..=3) if first_is_given && has_small => 56,
            (0, 1.., 0, 2..) if start < hit.start => 66,
            (1.., 0, 0, 1)
                if meaning.intersects(Meaning::GIVEN)
                    && has_small
                    && first.end - first.start >= 4
                    && !first_is_place
                    && !opens =>
            {
                56
            }
            (1.., 0, 0, 1)
                if meaning.intersects(Meaning::GIVEN)
                    && has_small
                    && first.end - first.start >= 4
                    && !first_is_place
                    && self.speaks_of_person(end) =>
            {
                58
            }
            _ => return,
        };
        if self.byte_before(start) == b'.'
            && start > 1
            && is_letter(self.byte_before(start - 1))
            && !self.byte_before(start - 1).is_ascii_uppercase()
        {
            return;
        }
        self.add(start, end, Kind::Person, "listed", confidence);
    }

    /// A thing that bears a person's name, and is spoken of among its like.
    fn is_namesake(&self, hit: Hit) -> bool {
        let name = self.part(hit.start, hit.end);
        let around = self.part(
            self.ceiling(hit.start.saturating_sub(80)),
            self.floor(hit.end + 80),
        );
        let is_near = |word: &&&str| {
            **word != name
                && around
                    .split(|c: char| !c.is_alphanumeric())
                    .any(|w| w == **word)
        };
        NAMESAKES.contains(&name.to_lowercase().as_str())
            && TECHNOLOGY.iter().find(is_near).is_some()
    }

    /// Another name is joined to the word at `start..end`, as in `Becker and Vasquez`, `Anna, Max`.
    fn is_in_list(&self, start: usize, end: usize) -> bool {
        let is_name = |word: Word| {
            let meaning = self.meaning_of(word);
            meaning.intersects(Meaning::ANY_NAME)
                && self.is_capitalised(word.start)
                && !meaning.intersects(Meaning::PLACE_NAME.union(Meaning::MONTH))
                && !self.is_stop(word)
        };
        let after = JOINTS
            .iter()
            .find(|j| self.part(end, self.floor(end + j.len())) == **j);
        let before = JOINTS
            .iter()
            .find(|j| self.part(self.ceiling(start.saturating_sub(j.len())), start) == **j);
        after
            .and_then(|j| self.name_word(end + j.len()))
            .is_some_and(is_name)
            || before
                .and_then(|j| self.word_ending(start - j.len()))
                .is_some_and(is_name)
    }

    /// A name that is no word stands on the other side of an `and`.
    fn is_joined_to_name(&self, start: usize, end: usize) -> bool {
        let joints = || JOINTS.iter().filter(|j| **j != ", ");
        let after = joints()
            .find(|j| self.part(end, self.floor(end + j.len())) == **j)
            .and_then(|j| self.name_word(end + j.len()));
        let before =
            joints().find(|j| self.part(self.ceiling(start.saturating_sub(j.len())), start) == **j);
        let before = before.and_then(|j| self.word_ending(start - j.len()));
        after.into_iter().chain(before).any(|word| {
            self.is_capitalised(word.start) && self.is_sure(word) && !self.is_stop(word)
        })
    }

    /// The word that ends at `end`.
    fn word_ending(&self, end: usize) -> Option<Word> {
        let length = self
            .slice(end.saturating_sub(40), end)
            .iter()
            .rev()
            .take_while(|b| is_letter(**b) || one_of(**b, b"-'"))
            .count();
        let start = end - length;
        (length > 0 && self.text.is_char_boundary(start)).then_some(Word { start, end })
    }

    /// A sentence or a line begins at `at`, where any word has a capital.
    fn opens_sentence(&self, at: usize) -> bool {
        let before = self.slice(at.saturating_sub(3), at);
        at == 0
            || before.ends_with(b"\n")
            || before.ends_with(b". ")
            || before.ends_with(b"! ")
            || before.ends_with(b"? ")
            || before.ends_with(b"- ")
            || before.ends_with(b"* ")
            || before.ends_with(b"# ")
    }

    /// What follows is what people do, or what they are told.
    fn speaks_of_person(&self, end: usize) -> bool {
        let rest = self.part(end, self.floor(end + 16));
        [
            "'s ",
            ", ",
            " is ",
            " was ",
            " has ",
            " said ",
            " told ",
            " asked ",
            " called ",
            " lives ",
            " wants ",
            " needs ",
            " works ",
            " will ",
            " can ",
            " and I",
            " hat ",
            " ist ",
            " a ",
            " est ",
            " ha ",
            " es ",
            " had ",
            " shouted ",
            " spent ",
            " gave ",
            " went ",
            " got ",
            " did ",
            " does ",
            " thinks ",
            " says ",
            " signed ",
            " paid ",
            " left ",
            " uploaded ",
            " sent ",
            " wrote ",
            " never ",
            " objected",
            " here.",
        ]
        .iter()
        .any(|w| rest.starts_with(w))
    }

    fn word_before(&self, at: usize) -> Option<Word> {
        let mut end = at.checked_sub(1)?;
        if self.byte(end) != b' ' {
            return None;
        }
        if self.byte_before(end) == b'.' {
            end -= 1;
        }
        let length = self
            .slice(end.saturating_sub(40), end)
            .iter()
            .rev()
            .take_while(|b| is_letter(**b) || **b == b'-' || **b == b'\'')
            .count();
        let start = end - length;
        (length > 0 && self.text.is_char_boundary(start)).then_some(Word { start, end })
    }
}
