//! Names of people, found by titles and by the words before them. (Listed names are in
//! `listed_names`, names in scripts without spaces in `unspaced`.)

use super::{
    context::{Context, Findings},
    listed_names,
    name_words::{
        Word, capitalised_words, end_of, is_assistant, is_capitalised, is_word, may_be_unlisted,
        meaning_of, past_particles,
    },
    one_of,
    unspaced::{self, is_unspaced_script},
};
use crate::part::Part as _;
use crate::redact::{
    Kind,
    scan::Hit,
    vocabulary::{Meaning, is_letter},
};

/// Phrases that a name follows, whether a list contains it or not.
#[rustfmt::skip]
const STRONG: [&str; 40] = [
    "my name is", "name is", "name s", "full name", "first name", "last name", "surname", "call me", "ich heiße", "mein name ist",
    "je m appelle", "mon nom est", "me llamo", "mi nombre es", "nombre completo", "mi chiamo", "il mio nome è", "me chamo", "meu nome é",
    "mijn naam is", "ik heet", "jag heter", "jeg heter", "jeg hedder", "nimeni on", "minu nimi on", "nazywam się", "jmenuji se", "volám sa",
    "mă numesc", "zovem se", "казвам се", "меня зовут", "мене звати", "με λένε", "benim adım", "nama saya", "tên tôi là", "tôi tên là",
    "mano vardas",
];

/// First words of the names of build steps, as in `- name: Install Rust`.
#[rustfmt::skip]
const STEPS: [&str; 40] = [
    "Add", "Archive", "Build", "Cache", "Check", "Checkout", "Clean", "Clone", "Compile", "Configure", "Copy", "Create", "Delete", "Deploy",
    "Download", "Enable", "Ensure", "Execute", "Extract", "Format", "Generate", "Get", "Init", "Install", "Lint", "Load", "Login", "Package",
    "Prepare", "Publish", "Push", "Release", "Restore", "Run", "Save", "Set", "Setup", "Test", "Update", "Upload",
];

/// Offices that may follow a title: `Herr Minister`, `Sayın Müşterimiz`, `Attn: Accounts Payable`.
#[rustfmt::skip]
const OFFICERS: [&str; 34] = [
    "Abteilung", "Accounts", "Admin", "Ambassador", "Bundeskanzler", "Bürgermeister", "Chairman", "Customer", "Direktor", "Director", "Doktor",
    "Editor", "Einkauf", "Finance", "Human", "Judge", "Kanzler", "Kollege", "Minister", "Müşterimiz", "Müdürüm", "Nachbar", "Oberbürgermeister", "President",
    "Professor", "Präsident", "Président", "Sales", "Secretary", "Senator", "Speaker", "Vorsitzende", "Vorsitzender", "Yetkili",
];

/// Words in the name of a mail sender that is not a person.
#[rustfmt::skip]
const OFFICES: [&str; 16] = [
    "Admin", "Alerts", "Billing", "Customer", "Desk", "Group", "Inc", "Marketing", "Newsletter", "Notifications", "Office", "Reply",
    "Sales", "Service", "Support", "Team",
];

/// Detects a name at a word that is one, or that stands before one.
pub(super) fn name(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    index: usize,
    hit: Hit,
    meaning: Meaning,
) {
    if meaning.intersects(Meaning::SURNAME_CHARACTER)
        || !context.byte(hit.start).is_ascii() && is_wide(context, hit.start)
    {
        unspaced::unspaced_name(context, findings, index, hit, meaning);
    }
    if meaning.intersects(Meaning::HONORIFIC) {
        titled(context, findings, hit);
    }
    if meaning.intersects(Meaning::NAME.union(Meaning::GREETING)) {
        introduced(context, findings, hit, meaning);
    }
    if meaning.intersects(Meaning::CLOSING) {
        closing(context, findings, hit);
    }
    if meaning.intersects(Meaning::ANY_NAME) && is_capitalised(context, hit.start) {
        listed_names::listed(context, findings, hit, meaning);
    }
}

fn is_wide(context: &Context<'_>, at: usize) -> bool {
    context
        .chars_from(at)
        .next()
        .is_some_and(is_unspaced_script)
}

/// Detects a name after a title.
fn titled(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let mut at = hit.end;
    if context.byte(at) == b'.' {
        at += 1;
    }
    if context.byte(at) == b' ' {
        at += 1;
    }
    if at == hit.end
        || !is_capitalised(context, hit.start)
            && !context
                .part(hit.start, hit.end)
                .chars()
                .next()
                .is_some_and(char::is_lowercase)
    {
        return;
    }
    // Another title may follow.
    if let Some(next) = context.after(at, Meaning::HONORIFIC, 0)
        && next.start == at
    {
        return;
    }
    let from = at;
    at = past_particles(context, at);
    let words = capitalised_words(context, at);
    let at = if words.is_empty() { at } else { from };
    if words
        .first()
        .is_some_and(|w| OFFICERS.contains(&context.part(w.start, w.end)))
    {
        return;
    }
    let short = matches!(
        context.part(hit.start, hit.end),
        "ms" | "lt" | "hon" | "don" | "bay" | "sr"
    );
    if !words.is_empty() && !short {
        let end = end_of(context, words.part(..words.len().min(4)));
        let text = context.part(at, end);
        if text.chars().any(char::is_lowercase) || !text.is_ascii() {
            findings.add(at, end, Kind::Person, "titled", 82);
        }
    }
}

/// Detects the name at the end of a letter: `Best regards,\nJane`, `LG Meik`.
fn closing(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let gap = context
        .slice(hit.end, hit.end + 4)
        .iter()
        .take_while(|b| one_of(**b, b" ,!\n"))
        .count();
    let at = hit.end + gap;
    let words = capitalised_words(context, at);
    let end = end_of(context, &words);
    let signed = context
        .slice(hit.end, at)
        .iter()
        .any(|b| one_of(*b, b",\n!"));
    let last = context.text.len() - end <= 1
        || matches!(context.byte(end), b'\n' | b'.')
            && !context.byte(end + 1).is_ascii_alphanumeric();
    if words.first().is_some_and(|w| is_assistant(context, *w)) {
        return;
    }
    if gap > 0
        && !words.is_empty()
        && words.len() <= 3
        && (last || signed && context.byte(end) != b' ')
        && (context.text.len() - end <= 80)
    {
        findings.add(
            at,
            end,
            Kind::Person,
            "signed",
            if signed { 72 } else { 62 },
        );
    }
}

/// Detects `Jane Smith <jane@…>`, `"Smith, Jane" <jane@…>`.
pub(super) fn name_before_address(context: &Context<'_>, findings: &mut Findings<'_>, at: usize) {
    let before = context.slice(at.saturating_sub(3), at);
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
        let length = context
            .slice(start.saturating_sub(24), start)
            .iter()
            .rev()
            .take_while(|b| is_letter(**b) || one_of(**b, b"-'"))
            .count();
        let from = start - length;
        if length == 0 || !context.text.is_char_boundary(from) || !is_capitalised(context, from) {
            break;
        }
        words += 1;
        start = from;
        if start == 0 || context.byte_before(start) != b' ' {
            break;
        }
        start -= 1;
        if before == b"\" <" && context.byte_before(start) == b',' {
            start -= 1;
        }
    }
    while one_of(context.byte(start), b" ,") {
        start += 1;
    }
    let is_office = context
        .part(start.min(end), end)
        .split([' ', ','])
        .any(|w| OFFICES.contains(&w));
    if words >= 2 && !is_office {
        findings.add(start, end, Kind::Person, "beside_address", 80);
    }
}

/// Detects a name after `my name is`, `Name:`, `Dear`.
fn introduced(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit, meaning: Meaning) {
    // Usually an ordinary word follows, not a name.
    let mut next = hit.end
        + context
            .slice(hit.end, hit.end + 12)
            .iter()
            .take_while(|b| one_of(**b, b" :=\"'*|>\t,\n_"))
            .count();
    if context.slice(next, next + 3) == b"is " {
        next += 3;
    }
    if context.byte(next).is_ascii_lowercase()
        && context.byte(hit.end) != b'_'
        && context.byte(next - 1) != b'.'
    {
        return;
    }
    let phrase = context.part(hit.start, hit.end).to_lowercase();
    if context
        .before(hit.end + 1, Meaning::PLACE, 2)
        .is_some_and(|h| h.start < hit.start)
    {
        return;
    }
    let mut at = hit.end;
    let mut marked = false;
    // Skips the dotted or ruled line of a form.
    let ruled = context
        .slice(at, at + 40)
        .iter()
        .take_while(|b| one_of(**b, b" .:_"))
        .count();
    if ruled >= 4
        && context
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
        at += context
            .slice(at, at + 12)
            .iter()
            .take_while(|b| {
                **b == b'_' || (b.is_ascii_alphanumeric() && context.byte(hit.end) == b'_')
            })
            .count();
    }
    let limit = at + 12;
    while at < limit {
        match context.slice(at, at + 3) {
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
                if phrase.ends_with("regards") || phrase == "sincerely" || phrase == "signed" =>
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
    let mut words = capitalised_words(context, at);
    // `- name: Show CPU info`, `{"name": "Data Export"}`: many things have names.
    let is_settings = context.part(hit.start, hit.end) == "name"
        && matches!(
            context.byte_before(hit.start),
            b' ' | b'"' | b'\'' | b'<' | b'_' | b'\n' | b'-'
        );
    let is_person = words.iter().any(|w| {
        meaning_of(context, *w).intersects(Meaning::ANY_NAME)
            && !is_word(context.part(w.start, w.end))
    });
    if is_settings
        && (!is_person
            || words
                .first()
                .is_some_and(|w| STEPS.contains(&context.part(w.start, w.end))))
    {
        return;
    }
    while words.first().is_some_and(|w| {
        context
            .before(w.end + 1, Meaning::HONORIFIC, 1)
            .is_some_and(|h| h.start == w.start)
    }) && words.len() > 1
    {
        words.remove(0);
    }
    let is_nobody =
        |w: &Word| is_assistant(context, *w) || OFFICERS.contains(&context.part(w.start, w.end));
    let Some(first) = words.first().copied().filter(|w| !is_nobody(w)) else {
        return;
    };
    let known = words
        .iter()
        .filter(|w| meaning_of(context, **w).intersects(Meaning::ANY_NAME))
        .count();
    let plain = words
        .iter()
        .filter(|w| {
            meaning_of(context, **w).intersects(Meaning::ANY_NAME)
                && !meaning_of(context, **w).intersects(Meaning::AMBIGUOUS)
        })
        .count();
    let spaced = phrase
        .replace(['\'', '_', '-'], " ")
        .replace("firstname", "first name")
        .replace("lastname", "last name");
    let strong =
        STRONG.iter().any(|p| spaced.contains(p)) || phrase.len() > 8 && phrase.contains("name");
    // Capitalized words after these phrases are a name although no list contains them.
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
    let end = end_of(context, &words);
    // `client = Client(…)`
    if context.byte(end) == b'(' && context.slice(hit.end, at).contains(&b'=') {
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
        // `Beste Fleur,`: the word after such a greeting is a name.
        (false, _, 0, 1)
            if meaning.intersects(Meaning::GREETING)
                && one_of(context.byte(end), b",!")
                && may_be_unlisted(context, first) =>
        {
            56
        }
        _ => return,
    };
    if context
        .part(first.start, end)
        .chars()
        .all(|c| c.is_uppercase() || !c.is_alphabetic())
        && !strong
        && known == 0
        && context.part(first.start, end).is_ascii()
    {
        return;
    }
    if meaning_of(context, first).intersects(Meaning::PLACE_NAME)
        && !meaning_of(context, first).intersects(Meaning::ANY_NAME)
    {
        return;
    }
    findings.add(first.start, end, Kind::Person, "introduced", confidence);
}
