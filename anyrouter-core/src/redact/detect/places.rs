//! Places by name.

use super::{Scene, one_of};
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// What stands before a place's name in running text.
const PREPOSITIONS: [&[u8]; 17] = [
    b" in ", b" from ", b" near ", b" to ", b" at ", b" nach ", b" aus ", b" en ", b" de ", b" a ",
    b" di ", b" em ", b" w ", b" i ", b" till ", b" til ", b" uit ",
];
/// Ends of the phrases behind which a name that is on no list is a place's.
const LEADING: [&str; 9] = [
    " in", " from", " to", " aus", " à", " en", " de", " a", " em",
];

impl Scene<'_> {
    /// A place of the list.
    pub(super) fn place_name(&mut self, hit: Hit, meaning: Meaning) {
        let first = self.chars_from(hit.start).next();
        let wide = first.is_some_and(|c| u32::from(c) >= 0xe00);
        if !first.is_some_and(char::is_uppercase) && !wide {
            return;
        }
        if wide {
            self.east_asian_address(hit);
        }
        let before = self.byte_before(hit.start);
        if !wide
            && (matches!(
                before,
                b'_' | b'.' | b'/' | b'@' | b'-' | b'#' | b'$' | b'\\' | b'<'
            ) || matches!(self.byte(hit.end), b'_' | b'/' | b'@' | b'(' | b'=' | b'.')
                && is_letter(self.byte(hit.end + 1)))
        {
            return;
        }
        // `Usa …` begins a sentence in Spanish and Italian; the country is written in capitals.
        let word = self.slice(hit.start, hit.end);
        if word.len() <= 3 && word.iter().any(u8::is_ascii_lowercase) && word.is_ascii() {
            return;
        }
        let context = self
            .before(hit.start, Meaning::PLACE, 24)
            .is_some_and(|h| !self.is_cut(h.end, hit.start));
        let text = self.slice(hit.start.saturating_sub(10), hit.start);
        let ends_with = |word: &[u8]| {
            text.len() >= word.len()
                && text
                    .iter()
                    .rev()
                    .zip(word.iter().rev())
                    .all(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        let preposition = PREPOSITIONS.iter().any(|p| ends_with(p));
        let is_doubtful = meaning.intersects(Meaning::AMBIGUOUS)
            || meaning.intersects(Meaning::ANY_NAME) && !meaning.intersects(Meaning::COUNTRY);
        let confidence = match (is_doubtful, context, preposition) {
            (false, true, _) => 84,
            (false, false, true) => 74,
            (false, false, false) => 62,
            (true, true, _) => 74,
            (true, false, true) if ends_with(b" in ") || ends_with(b" from ") => 58,
            _ => return,
        };
        // `Paris, France` is one place.
        let mut end = hit.end;
        if self.part(end, self.floor(end + 2)) == ", " {
            if let Some(next) = self
                .after(end + 2, Meaning::PLACE_NAME, 0)
                .filter(|h| h.start == end + 2 && !h.meaning().intersects(Meaning::ANY_NAME))
            {
                end = next.end;
            } else if self
                .slice(end + 2, end + 4)
                .iter()
                .all(u8::is_ascii_uppercase)
                && !self.byte(end + 4).is_ascii_alphanumeric()
                && self.text.len() >= end + 4
            {
                end += 4;
            }
        }
        self.add(hit.start, end, Kind::Location, "place", confidence);
    }

    /// A place that only the words before it give away.
    pub(super) fn place_behind(&mut self, hit: Hit) {
        if self.byte(hit.end) == b' ' && self.byte(hit.end + 1).is_ascii_lowercase() {
            return;
        }
        let phrase = self.part(hit.start, hit.end).to_lowercase();
        let mut at = hit.end;
        let skipped = self
            .slice(at, at + 5)
            .iter()
            .take_while(|b| one_of(**b, b" :=\"'"))
            .count();
        let marked = self
            .slice(at, at + skipped)
            .iter()
            .any(|b| one_of(*b, b":="));
        at += skipped;
        if skipped == 0 || !marked && !LEADING.iter().any(|p| phrase.ends_with(p)) {
            return;
        }
        let mut end = at;
        let mut words = 0;
        while words < 3 {
            let length = self
                .slice(end, end + 32)
                .iter()
                .take_while(|b| is_letter(**b) || one_of(**b, b"'-"))
                .count();
            if length < 3 || !self.chars_from(end).next().is_some_and(char::is_uppercase) {
                break;
            }
            words += 1;
            let word_end = end + length;
            end = word_end;
            if self.byte(end) != b' '
                || !self
                    .chars_from(end + 1)
                    .next()
                    .is_some_and(char::is_uppercase)
            {
                break;
            }
            end += 1;
        }
        while self.byte_before(end) == b' ' {
            end -= 1;
        }
        if words > 0 && !self.is_type(hit, at, end) {
            self.add(at, end, Kind::Location, "place_in_context", 64);
        }
    }

    /// `let state: State`, `country: String`, `"state": "CLOSED"`: a type or a state of a program.
    fn is_type(&self, hit: Hit, start: usize, end: usize) -> bool {
        const TYPES: [&str; 12] = [
            "String", "Option", "Vec", "Box", "Arc", "Self", "Boolean", "Integer", "Number",
            "Object", "Any", "Country",
        ];
        let value = self.part(start, end);
        let name = self.part(hit.start, hit.end);
        // `City::Default`, `region = Some(…)`, `state: AtomicUsize`: what a program says.
        let is_camel = value
            .bytes()
            .zip(value.bytes().skip(1))
            .any(|(a, b)| a.is_ascii_lowercase() && b.is_ascii_uppercase());
        if self.slice(end, end + 2) == b"::"
            || self.slice(start.saturating_sub(2), start) == b"::"
            || matches!(self.byte(end), b'(' | b'!' | b'{')
            || is_camel
        {
            return true;
        }
        let is_declared = self.slice(hit.end, start).contains(&b':')
            && !matches!(self.byte_before(start), b'"' | b'\'');
        let is_state = name.eq_ignore_ascii_case("state")
            && value.len() > 3
            && value.bytes().all(|b| b.is_ascii_uppercase());
        is_state
            || is_declared
                && (TYPES.contains(&value)
                    || value
                        .to_ascii_lowercase()
                        .contains(&name.to_ascii_lowercase())
                    || self.byte_before(hit.start) == b'_'
                    || matches!(self.byte(end), b'<' | b'(' | b':')
                    || self
                        .slice(hit.start.saturating_sub(8), hit.start)
                        .ends_with(b"let ")
                    || self
                        .slice(hit.start.saturating_sub(8), hit.start)
                        .ends_with(b"mut "))
    }
}
