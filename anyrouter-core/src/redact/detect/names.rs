//! People's names by titles and by the words before them. (By lists, see `listed_names`; in scripts
//! without spaces, `unspaced`.)

use super::{Scene, one_of, unspaced::is_unspaced_script};
use crate::part::Part as _;
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// Returns true if a name is first of all a word, as `mark` and `will`.
pub(crate) fn is_word(name: &str) -> bool {
    WORDS.contains(&name.to_lowercase().as_str())
}

/// Names that are words as well: in small letters they are those.
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

/// Phrases behind which a name stands, whether a list has it or not.
#[rustfmt::skip]
const STRONG: [&str; 40] = [
    "my name is", "name is", "name s", "full name", "first name", "last name", "surname", "call me", "ich heiße", "mein name ist",
    "je m appelle", "mon nom est", "me llamo", "mi nombre es", "nombre completo", "mi chiamo", "il mio nome è", "me chamo", "meu nome é",
    "mijn naam is", "ik heet", "jag heter", "jeg heter", "jeg hedder", "nimeni on", "minu nimi on", "nazywam się", "jmenuji se", "volám sa",
    "mă numesc", "zovem se", "казвам се", "меня зовут", "мене звати", "με λένε", "benim adım", "nama saya", "tên tôi là", "tôi tên là",
    "mano vardas",
];

/// What the name of a step in a build begins with, as in `- name: Install Rust`.
#[rustfmt::skip]
const STEPS: [&str; 40] = [
    "Add", "Archive", "Build", "Cache", "Check", "Checkout", "Clean", "Clone", "Compile", "Configure", "Copy", "Create", "Delete", "Deploy",
    "Download", "Enable", "Ensure", "Execute", "Extract", "Format", "Generate", "Get", "Init", "Install", "Lint", "Load", "Login", "Package",
    "Prepare", "Publish", "Push", "Release", "Restore", "Run", "Save", "Set", "Setup", "Test", "Update", "Upload",
];

/// What follows a title and is an office: `Herr Minister`, `Sayın Müşterimiz`, `Attn: Accounts
/// Payable`.
#[rustfmt::skip]
const OFFICERS: [&str; 34] = [
    "Abteilung", "Accounts", "Admin", "Ambassador", "Bundeskanzler", "Bürgermeister", "Chairman", "Customer", "Direktor", "Director", "Doktor",
    "Editor", "Einkauf", "Finance", "Human", "Judge", "Kanzler", "Kollege", "Minister", "Müşterimiz", "Müdürüm", "Nachbar", "Oberbürgermeister", "President",
    "Professor", "Präsident", "Président", "Sales", "Secretary", "Senator", "Speaker", "Vorsitzende", "Vorsitzender", "Yetkili",
];

/// Words of a mail's sender that is nobody.
#[rustfmt::skip]
const OFFICES: [&str; 16] = [
    "Admin", "Alerts", "Billing", "Customer", "Desk", "Group", "Inc", "Marketing", "Newsletter", "Notifications", "Office", "Reply",
    "Sales", "Service", "Support", "Team",
];

/// A word of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Scene<'_> {
    /// A word that is a name, or that stands before one.
    pub(super) fn name(&mut self, index: usize, hit: Hit, meaning: Meaning) {
        if meaning.intersects(Meaning::SURNAME_CHARACTER)
            || !self.byte(hit.start).is_ascii() && self.is_wide(hit.start)
        {
            self.unspaced_name(index, hit, meaning);
        }
        if meaning.intersects(Meaning::HONORIFIC) {
            self.titled(hit);
        }
        if meaning.intersects(Meaning::NAME.union(Meaning::GREETING)) {
            self.introduced(hit, meaning);
        }
        if meaning.intersects(Meaning::CLOSING) {
            self.closing(hit);
        }
        if meaning.intersects(Meaning::ANY_NAME) && self.is_capitalised(hit.start) {
            self.listed(hit, meaning);
        }
    }

    fn is_wide(&self, at: usize) -> bool {
        self.chars_from(at).next().is_some_and(is_unspaced_script)
    }

    /// Returns true if the word at `at` begins as names do: with a capital, or in a script that has
    /// none.
    pub(super) fn is_capitalised(&self, at: usize) -> bool {
        self.chars_from(at).next().is_some_and(|c| {
            c.is_uppercase() || (c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase())
        })
    }

    /// The word that begins at `at`, with hyphens and apostrophes inside.
    pub(super) fn name_word(&self, at: usize) -> Option<Word> {
        /// A longer word is no name; it is cut off here, maybe within a character.
        const LONGEST: usize = 40 + "'s".len();
        if !self.text.is_char_boundary(at) {
            return None;
        }
        let mut end = at;
        loop {
            end += self
                .slice(end, end + LONGEST + 1)
                .iter()
                .take_while(|b| is_letter(**b))
                .count();
            match self.slice(end, end + 2) {
                [b'-' | b'\'', next] if is_letter(*next) && end > at => end += 1,
                _ => break,
            }
        }
        if end - at > LONGEST {
            return None;
        }
        // A possessive is no part of the name.
        let text = self.part(at, end);
        let end = if text.ends_with("'s") { end - 2 } else { end };
        // Signs outside ASCII are no letters: `محمد علي، …`.
        let is_sign = |c: char| "،؛؟。、「」『』·…•→–—»«”“".contains(c);
        let sign = Some(text)
            .filter(|t| !t.is_ascii())
            .and_then(|t| t.find(is_sign));
        let end = sign.map_or(end, |i| at + i);
        (end > at
            && end - at <= 40
            && !self.byte(end).is_ascii_digit()
            && (self.byte(end) != b'_' || self.byte(end + 1) == b'_'))
            .then_some(Word { start: at, end })
    }

    /// Returns true if this very word has a meaning.
    pub(super) fn is(&self, word: Word, any: Meaning) -> bool {
        self.hits_in(word.start, word.start + 1)
            .any(|h| h.end == word.end && h.meaning().intersects(any))
    }

    /// A word that is written with a capital and is no part of a name.
    pub(super) fn is_stop(&self, word: Word) -> bool {
        self.is(word, Meaning::STOP) || matches!(self.slice(word.start, word.end), b"I" | b"A")
    }

    /// Up to four capitalised words from `at` on, with initials and particles.
    pub(super) fn capitalised_words(&self, at: usize) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        let mut at = at;
        let mut particles = 0;
        while words.len() < 5 {
            // `Mees 't Hart`.
            if !words.is_empty() && self.slice(at, at + 3) == b"'t " && self.is_capitalised(at + 3)
            {
                at += 3;
            }
            let Some(word) = self.name_word(at) else {
                break;
            };
            let text = self.part(word.start, word.end);
            let is_single = text.chars().count() == 1;
            let is_middle = is_single
                && !words.is_empty()
                && self.byte(word.end) == b' '
                && self.is_capitalised(word.end + 1)
                && text != "I";
            let is_initial = is_single && self.byte(word.end) == b'.';
            if self.is_capitalised(word.start)
                && !self.is_stop(word)
                && (!is_single || is_initial || is_middle || !text.is_ascii())
            {
                particles = 0;
                words.push(word);
            } else if PARTICLES.contains(&text.to_lowercase().as_str())
                && !words.is_empty()
                && particles < 2
                && self.byte(word.end) == b' '
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
            match self.byte(at) {
                b' ' => at += 1,
                b'.' if is_initial || matches!(text, "Jr" | "Sr" | "St") => at += 2,
                b'+' if self.is_capitalised(at + 1) => at += 1,
                _ => break,
            }
        }
        for _ in 0..particles {
            words.pop();
        }
        words
    }

    pub(super) fn end_of(&self, words: &[Word]) -> usize {
        let Some(last) = words.last() else { return 0 };
        let is_initial =
            self.part(last.start, last.end).chars().count() == 1 && self.byte(last.end) == b'.';
        last.end + usize::from(is_initial && words.len() > 1)
    }

    /// A name behind a title.
    fn titled(&mut self, hit: Hit) {
        let mut at = hit.end;
        if self.byte(at) == b'.' {
            at += 1;
        }
        if self.byte(at) == b' ' {
            at += 1;
        }
        if at == hit.end
            || !self.is_capitalised(hit.start)
                && !self
                    .part(hit.start, hit.end)
                    .chars()
                    .next()
                    .is_some_and(char::is_lowercase)
        {
            return;
        }
        // Another title may follow.
        if let Some(next) = self.after(at, Meaning::HONORIFIC, 0)
            && next.start == at
        {
            return;
        }
        let from = at;
        at = self.past_particles(at);
        let words = self.capitalised_words(at);
        let at = if words.is_empty() { at } else { from };
        if words
            .first()
            .is_some_and(|w| OFFICERS.contains(&self.part(w.start, w.end)))
        {
            return;
        }
        let short = matches!(
            self.part(hit.start, hit.end),
            "ms" | "lt" | "hon" | "don" | "bay" | "sr"
        );
        if !words.is_empty() && !short {
            let end = self.end_of(words.part(..words.len().min(4)));
            let text = self.part(at, end);
            if text.chars().any(char::is_lowercase) || !text.is_ascii() {
                self.add(at, end, Kind::Person, "titled", 82);
            }
        }
    }

    /// The name that a letter ends with: `Best regards,\nJane`, `LG Meik`.
    fn closing(&mut self, hit: Hit) {
        let gap = self
            .slice(hit.end, hit.end + 4)
            .iter()
            .take_while(|b| one_of(**b, b" ,!\n"))
            .count();
        let at = hit.end + gap;
        let words = self.capitalised_words(at);
        let end = self.end_of(&words);
        let signed = self.slice(hit.end, at).iter().any(|b| one_of(*b, b",\n!"));
        let last = self.text.len() - end <= 1
            || matches!(self.byte(end), b'\n' | b'.')
                && !self.byte(end + 1).is_ascii_alphanumeric();
        if words.first().is_some_and(|w| self.is_assistant(*w)) {
            return;
        }
        if gap > 0
            && !words.is_empty()
            && words.len() <= 3
            && (last || signed && self.byte(end) != b' ')
            && (self.text.len() - end <= 80)
        {
            self.add(
                at,
                end,
                Kind::Person,
                "signed",
                if signed { 72 } else { 62 },
            );
        }
    }

    /// `Jane Smith <jane@…>`, `"Smith, Jane" <jane@…>`.
    pub(super) fn name_before_address(&mut self, at: usize) {
        let before = self.slice(at.saturating_sub(3), at);
        let Some(end) = [&b"\" <"[..], b" <", b" ("]
            .iter()
            .find(|s| before.ends_with(s))
            .map(|s| at - s.len())
        else {
            return;
        };
        let mut start = end;
        let mut words = 0;
        while words < 4 {
            let length = self
                .slice(start.saturating_sub(24), start)
                .iter()
                .rev()
                .take_while(|b| is_letter(**b) || one_of(**b, b"-'"))
                .count();
            let from = start - length;
            if length == 0 || !self.text.is_char_boundary(from) || !self.is_capitalised(from) {
                break;
            }
            words += 1;
            start = from;
            if start == 0 || self.byte_before(start) != b' ' {
                break;
            }
            start -= 1;
            if before == b"\" <" && self.byte_before(start) == b',' {
                start -= 1;
            }
        }
        while one_of(self.byte(start), b" ,") {
            start += 1;
        }
        let is_office = self
            .part(start.min(end), end)
            .split([' ', ','])
            .any(|w| OFFICES.contains(&w));
        if words >= 2 && !is_office {
            self.add(start, end, Kind::Person, "beside_address", 80);
        }
    }

    /// A name behind `my name is`, `Name:`, `Dear`.
    fn introduced(&mut self, hit: Hit, meaning: Meaning) {
        // Mostly an ordinary word follows, and no name.
        let mut next = hit.end
            + self
                .slice(hit.end, hit.end + 12)
                .iter()
                .take_while(|b| one_of(**b, b" :=\"'*|>\t,\n_"))
                .count();
        if self.slice(next, next + 3) == b"is " {
            next += 3;
        }
        if self.byte(next).is_ascii_lowercase()
            && self.byte(hit.end) != b'_'
            && self.byte(next - 1) != b'.'
        {
            return;
        }
        let phrase = self.part(hit.start, hit.end).to_lowercase();
        if self
            .before(hit.end + 1, Meaning::PLACE, 2)
            .is_some_and(|h| h.start < hit.start)
        {
            return;
        }
        let mut at = hit.end;
        let mut marked = false;
        // A form's dotted or ruled line.
        let ruled = self
            .slice(at, at + 40)
            .iter()
            .take_while(|b| one_of(**b, b" .:_"))
            .count();
        if ruled >= 4
            && self
                .slice(at, at + ruled)
                .windows(2)
                .any(|w| w == b".." || w == b"__")
        {
            at += ruled;
            marked = true;
        }
        let next_at = at;
        // The rest of a field's name, as in `customer_name_1`.
        if next_at == hit.end {
            at += self
                .slice(at, at + 12)
                .iter()
                .take_while(|b| {
                    **b == b'_' || (b.is_ascii_alphanumeric() && self.byte(hit.end) == b'_')
                })
                .count();
        }
        let limit = at + 12;
        while at < limit {
            match self.slice(at, at + 3) {
                [b'>', ..] => {
                    marked = true;
                    at += 1;
                }
                [b'"' | b'\'' | b'*' | b'|' | b'\t', ..] => {
                    at += 1;
                }
                [b':' | b'=', ..] => {
                    marked = true;
                    at += 1;
                }
                [b',', b'\n', ..] | [b'\n', ..]
                    if matches!(
                        phrase.as_str(),
                        "regards"
                            | "sincerely"
                            | "best"
                            | "cheers"
                            | "thanks"
                            | "best regards"
                            | "kind regards"
                            | "yours"
                            | "mit freundlichen grüßen"
                            | "viele grüße"
                            | "signed"
                    ) || phrase.ends_with("regards")
                        || phrase.ends_with("grüßen")
                        || phrase.ends_with("grüße") =>
                {
                    at += 1;
                    marked = true;
                }
                [b',', b' ', ..]
                    if phrase.ends_with("regards")
                        || phrase == "sincerely"
                        || phrase == "signed" =>
                {
                    at += 1;
                }
                [b' ', b'i', b's'] => at += 3,
                [b' ', ..] => at += 1,
                [0xef, 0xbc, 0x9a] => {
                    marked = true;
                    at += 3;
                }
                _ => break,
            }
        }
        if at == hit.end {
            return;
        }
        let mut words = self.capitalised_words(at);
        // `- name: Show CPU info`, `{"name": "Data Export"}`: many things have names.
        let is_settings = self.part(hit.start, hit.end) == "name"
            && matches!(
                self.byte_before(hit.start),
                b' ' | b'"' | b'\'' | b'<' | b'_' | b'\n' | b'-'
            );
        let is_person = words.iter().any(|w| {
            self.meaning_of(*w).intersects(Meaning::ANY_NAME) && !is_word(self.part(w.start, w.end))
        });
        if is_settings
            && (!is_person
                || words
                    .first()
                    .is_some_and(|w| STEPS.contains(&self.part(w.start, w.end))))
        {
            return;
        }
        while words.first().is_some_and(|w| {
            self.before(w.end + 1, Meaning::HONORIFIC, 1)
                .is_some_and(|h| h.start == w.start)
        }) && words.len() > 1
        {
            words.remove(0);
        }
        let is_nobody =
            |w: &Word| self.is_assistant(*w) || OFFICERS.contains(&self.part(w.start, w.end));
        let Some(first) = words.first().copied().filter(|w| !is_nobody(w)) else {
            return;
        };
        let known = words
            .iter()
            .filter(|w| self.meaning_of(**w).intersects(Meaning::ANY_NAME))
            .count();
        let plain = words
            .iter()
            .filter(|w| {
                self.meaning_of(**w).intersects(Meaning::ANY_NAME)
                    && !self.meaning_of(**w).intersects(Meaning::AMBIGUOUS)
            })
            .count();
        let spaced = phrase
            .replace(['\'', '_', '-'], " ")
            .replace("firstname", "first name")
            .replace("lastname", "last name");
        let strong = STRONG.iter().any(|p| spaced.contains(p))
            || phrase.len() > 8 && phrase.contains("name");
        // After these two capitalised words are a name, though no list has them.
        let is_telling = [
            "called",
            "named",
            "assistant to",
            "directed by",
            "written by",
            "sung by",
            "produced by",
            "opened by",
            "says he is",
            "says she is",
            "estate of",
            "reservation for",
            "booking for",
            "change it to",
            "it's under",
        ]
        .iter()
        .any(|p| phrase.ends_with(p));
        let is_field = marked || strong;
        let end = self.end_of(&words);
        // `client = Client(…)`
        if self.byte(end) == b'(' && self.slice(hit.end, at).contains(&b'=') {
            return;
        }
        let confidence = match (strong, marked, known, words.len()) {
            (true, ..) if meaning.intersects(Meaning::NAME) => 86,
            (_, true, n, _) if n > 0 => 84,
            (false, false, 0, 2..=3) if is_telling && !meaning.intersects(Meaning::PLACE) => 56,
            (_, true, 0, 2..=3)
                if is_field && !phrase.starts_with("to") && !phrase.starts_with("from") =>
            {
                66
            }
            (false, false, _, 1) if plain == 1 => 72,
            (false, false, n, 2..) if n > 0 && (plain > 0 || n > 1) => 80,
            (false, false, _, 1) if known == 1 && meaning.intersects(Meaning::GREETING) => 62,
            // `Beste Fleur,`: whoever is greeted so has a name.
            (false, _, 0, 1)
                if meaning.intersects(Meaning::GREETING)
                    && one_of(self.byte(end), b",!")
                    && self.may_be_unlisted(first) =>
            {
                56
            }
            _ => return,
        };
        if self
            .part(first.start, end)
            .chars()
            .all(|c| c.is_uppercase() || !c.is_alphabetic())
            && !strong
            && known == 0
            && self.part(first.start, end).is_ascii()
        {
            return;
        }
        if self.meaning_of(first).intersects(Meaning::PLACE_NAME)
            && !self.meaning_of(first).intersects(Meaning::ANY_NAME)
        {
            return;
        }
        self.add(first.start, end, Kind::Person, "introduced", confidence);
    }
}
