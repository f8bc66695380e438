//! Names of people, found by the lists of given and family names.

use super::{
    context::{Context, Findings},
    name_words::{
        Word, capitalised_words, end_of, is, is_capitalised, is_stop, is_sure, is_word, meaning_of,
        name_word,
    },
    one_of,
    unspaced::is_unspaced_script,
};
use crate::part::Part as _;
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// Languages, programs, cars and algorithms that have names of people.
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
/// Words that are common near these namesakes and rare near people.
#[rustfmt::skip]
const TECHNOLOGY: [&str; 34] = [
    "Rust", "Python", "Haskell", "Erlang", "Pascal", "Ruby", "Java", "Kotlin", "Fortran", "Apache", "Kafka", "Spark", "Drone", "Jenkins", "CI",
    "Travis", "BFS", "Alfa", "Fiat", "Dreisatz", "algorithm", "Algorithm", "algoritm", "Route", "route", "Pluto", "Jupyter", "Notebook",
    "compiler", "Postgres", "Redis", "MATLAB", "Scala", "CUDA",
];

/// Words and signs that join names.
const JOINTS: [&str; 18] = [
    ", ", " and ", " & ", " or ", " und ", " oder ", " et ", " ou ", " y ", " y a ", " e ", " o ",
    " en ", " of ", " ve ", " veya ", " aur ", " i ",
];

/// Detects a listed name: a given name with the words after it, or a family name.
pub(super) fn listed(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    hit: Hit,
    meaning: Meaning,
) {
    let before = context.byte_before(hit.start);
    if before.is_ascii_alphanumeric()
        || matches!(
            before,
            b'_' | b'/' | b'\\' | b'@' | b'#' | b'$' | b'.' | b'<' | b'-' | b'&' | b'\''
        ) && !(before == b'.' && context.byte_before(hit.start - 1).is_ascii_uppercase())
    {
        return;
    }
    // `İŞLEVi` is one word, and so is `TamFich`.
    let letter_before = context
        .part(context.ceiling(hit.start.saturating_sub(4)), hit.start)
        .chars()
        .next_back();
    if letter_before.is_some_and(|c| !c.is_ascii() && c.is_alphabetic() && !is_unspaced_script(c)) {
        return;
    }
    let words = capitalised_words(context, hit.start);
    let Some(first) = words.first().copied() else {
        return;
    };
    let is_camel = first.end > hit.end && context.byte(hit.end).is_ascii_uppercase();
    if is_camel
        && !matches!(
            context.slice(hit.start, hit.end),
            b"De" | b"Di" | b"La" | b"Le" | b"Mac" | b"Mc" | b"Van"
        )
    {
        return;
    }
    if is_namesake(context, hit) {
        return;
    }
    if first.end < hit.end
        || matches!(
            context.byte(first.end),
            b'_' | b'(' | b'/' | b'@' | b'\\' | b'='
        )
        || context.byte(first.end) == b'.' && is_letter(context.byte(first.end + 1))
        || context.byte(first.end) == b':' && context.byte(first.end + 1) == b':'
    {
        return;
    }
    // `Smith, Jane`.
    if meaning.intersects(Meaning::FAMILY)
        && !meaning.intersects(Meaning::AMBIGUOUS)
        && words.len() == 1
        && context.part(first.end, context.floor(first.end + 2)) == ", "
    {
        let given = capitalised_words(context, first.end + 2);
        let known = given
            .first()
            .is_some_and(|w| meaning_of(context, *w).intersects(Meaning::GIVEN));
        if known && given.len() <= 2 && !is_stop(context, first) {
            findings.add(
                hit.start,
                end_of(context, &given),
                Kind::Person,
                "listed",
                72,
            );
            return;
        }
    }
    // The words before, if they are parts of the name as well.
    let mut start = hit.start;
    for _ in 0..2 {
        let Some(previous) = word_before(context, start) else {
            break;
        };
        let text = context.part(previous.start, previous.end);
        let is_initial = text.len() == 1
            && context.byte(previous.end) == b'.'
            && text.chars().all(char::is_uppercase);
        let is_name = is_capitalised(context, previous.start)
            && meaning_of(context, previous).intersects(Meaning::ANY_NAME)
            && !is_stop(context, previous);
        if !is_initial && !is_name {
            break;
        }
        start = previous.start;
    }
    let words = if start < hit.start {
        capitalised_words(context, start)
    } else {
        words
    };
    let words = words.part(..words.len().min(4));
    let meanings: Vec<Meaning> = words.iter().map(|w| meaning_of(context, *w)).collect();
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
    if words.iter().any(|w| is(context, *w, Meaning::ORGANISATION)) {
        return;
    }
    if words.is_empty() {
        return;
    }
    let end = end_of(context, words);
    let has_small = context.part(start, end).chars().any(char::is_lowercase)
        || !context.part(start, end).is_ascii();
    let first_is_given = meanings
        .first()
        .is_some_and(|m| m.intersects(Meaning::GIVEN));
    let first_is_place = meanings
        .first()
        .is_some_and(|m| m.intersects(Meaning::PLACE_NAME));
    let opens = opens_sentence(context, start);
    let is_alone = words.len() == 1
        && (given > 0
            || meaning.intersects(Meaning::FAMILY) && !meaning.intersects(Meaning::AMBIGUOUS))
        && has_small;
    let may_be_joined =
        words.len() == 1 && first_is_given && has_small && !is_word(context.part(start, end));
    // `WELLINGTON ROCHA está …`: in capitals, where the text is not.
    let goes_on_small = context.byte(end) == b' ' && context.byte(end + 1).is_ascii_lowercase();
    let is_shouted = !has_small
        && (2..=4).contains(&words.len())
        && goes_on_small
        && first.end - first.start >= 4;
    let confidence = match (given, family, doubtful, words.len()) {
        (_, _, _, 0) => return,
        (1.., ..) if is_shouted && first_is_given && !first_is_place => 58,
        _ if is_alone && !first_is_place && is_in_list(context, start, end) => 60,
        (0, ..) if may_be_joined && !first_is_place && is_joined_to_name(context, start, end) => 58,
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
                && speaks_of_person(context, end) =>
        {
            58
        }
        _ => return,
    };
    if context.byte_before(start) == b'.'
        && start > 1
        && is_letter(context.byte_before(start - 1))
        && !context.byte_before(start - 1).is_ascii_uppercase()
    {
        return;
    }
    findings.add(start, end, Kind::Person, "listed", confidence);
}

/// Returns true for a thing with a person's name that stands near related terms.
fn is_namesake(context: &Context<'_>, hit: Hit) -> bool {
    let name = context.part(hit.start, hit.end);
    let around = context.part(
        context.ceiling(hit.start.saturating_sub(80)),
        context.floor(hit.end + 80),
    );
    let is_near = |word: &&&str| {
        **word != name
            && around
                .split(|c: char| !c.is_alphanumeric())
                .any(|w| w == **word)
    };
    NAMESAKES.contains(&name.to_lowercase().as_str()) && TECHNOLOGY.iter().find(is_near).is_some()
}

/// Returns true if a name is joined to `start..end`, as in `Becker and Vasquez`, `Anna, Max`.
fn is_in_list(context: &Context<'_>, start: usize, end: usize) -> bool {
    let is_name = |word: Word| {
        let meaning = meaning_of(context, word);
        meaning.intersects(Meaning::ANY_NAME)
            && is_capitalised(context, word.start)
            && !meaning.intersects(Meaning::PLACE_NAME.union(Meaning::MONTH))
            && !is_stop(context, word)
    };
    let after = JOINTS
        .iter()
        .find(|j| context.part(end, context.floor(end + j.len())) == **j);
    let before = JOINTS
        .iter()
        .find(|j| context.part(context.ceiling(start.saturating_sub(j.len())), start) == **j);
    after
        .and_then(|j| name_word(context, end + j.len()))
        .is_some_and(is_name)
        || before
            .and_then(|j| word_ending(context, start - j.len()))
            .is_some_and(is_name)
}

/// Returns true if an `and` joins the word to a name that is not an ordinary word.
fn is_joined_to_name(context: &Context<'_>, start: usize, end: usize) -> bool {
    let joints = || JOINTS.iter().filter(|j| **j != ", ");
    let after = joints()
        .find(|j| context.part(end, context.floor(end + j.len())) == **j)
        .and_then(|j| name_word(context, end + j.len()));
    let before = joints()
        .find(|j| context.part(context.ceiling(start.saturating_sub(j.len())), start) == **j);
    let before = before.and_then(|j| word_ending(context, start - j.len()));
    after.into_iter().chain(before).any(|word| {
        is_capitalised(context, word.start) && is_sure(context, word) && !is_stop(context, word)
    })
}

/// Returns the word that ends at `end`.
fn word_ending(context: &Context<'_>, end: usize) -> Option<Word> {
    let length = context
        .slice(end.saturating_sub(40), end)
        .iter()
        .rev()
        .take_while(|b| is_letter(**b) || one_of(**b, b"-'"))
        .count();
    let start = end - length;
    (length > 0 && context.text.is_char_boundary(start)).then_some(Word { start, end })
}

/// Returns true if a sentence or a line begins at `at`, where any word is capitalized.
fn opens_sentence(context: &Context<'_>, at: usize) -> bool {
    let before = context.slice(at.saturating_sub(3), at);
    at == 0
        || before.ends_with(b"\n")
        || before.ends_with(b". ")
        || before.ends_with(b"! ")
        || before.ends_with(b"? ")
        || before.ends_with(b"- ")
        || before.ends_with(b"* ")
        || before.ends_with(b"# ")
}

/// Returns true if the text after a name is typical of a person, as ` said ` or ` was `.
fn speaks_of_person(context: &Context<'_>, end: usize) -> bool {
    let rest = context.part(end, context.floor(end + 16));
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

fn word_before(context: &Context<'_>, at: usize) -> Option<Word> {
    let mut end = at.checked_sub(1)?;
    if context.byte(end) != b' ' {
        return None;
    }
    if context.byte_before(end) == b'.' {
        end -= 1;
    }
    let length = context
        .slice(end.saturating_sub(40), end)
        .iter()
        .rev()
        .take_while(|b| is_letter(**b) || **b == b'-' || **b == b'\'')
        .count();
    let start = end - length;
    (length > 0 && context.text.is_char_boundary(start)).then_some(Word { start, end })
}
