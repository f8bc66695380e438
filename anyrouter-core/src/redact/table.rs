//! Tables in text, where a column's name is context for its cells, as a member's name is in JSON.
//!
//! A table is a sequence of lines that a sign splits into the same number of cells: comma,
//! semicolon, tab, or `|` as in Markdown. The rows of `INSERT INTO … (…) VALUES (…)` are one as
//! well. The first line must consist of short words.

use crate::part::Part as _;

use std::ops::Range;

/// Maximum length of a column's header, and of a cell, in bytes.
const LONGEST: (usize, usize) = (40, 200);
/// Maximum number of columns, and of inserted rows.
const COLUMNS: usize = 40;
const ROWS: usize = 1000;

/// The columns of a table.
struct Header {
    sign: u8,
    count: usize,
    /// The columns whose names have a meaning, by their index.
    named: Vec<(usize, Range<usize>)>,
}

/// Calls `each` for the cells of the tables in `text`, with their column's header, for the columns
/// whose names have a meaning.
pub(crate) fn cells(
    text: &str,
    mut means: impl FnMut(&str) -> bool,
    mut each: impl FnMut(&str, Range<usize>),
) {
    inserted(text, &mut means, &mut each);
    let mut header: Option<Header> = None;
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', text.as_bytes())
        .map(|i| i + 1)
        .chain([text.len()]);
    for end in ends {
        let line = text.as_bytes().part(start..end).trim_ascii_end();
        let range = start..start + line.len();
        start = end;
        // A rule, as `|---|---|` or `----+----`.
        if !line.is_empty()
            && line
                .trim_ascii_start()
                .iter()
                .all(|b| matches!(b, b'-' | b'|' | b'+' | b':' | b'=' | b' '))
        {
            continue;
        }
        if let Some(Header { sign, count, named }) = &header {
            if named.is_empty() && is_row(text, range.clone(), *sign, *count) {
                continue;
            }
            let row = split(text, range.clone(), *sign);
            if row.len() == *count {
                for (place, column) in named {
                    if let (Some(name), Some(cell)) = (text.get(column.clone()), row.get(*place)) {
                        each(name, cell.clone());
                    }
                }
                continue;
            }
        }
        header = header_of(text, range).map(|(sign, columns)| {
            let count = columns.len();
            let is_named = |(_, column): &(usize, Range<usize>)| {
                text.get(column.clone()).is_some_and(&mut means)
            };
            Header {
                sign,
                count,
                named: columns.into_iter().enumerate().filter(is_named).collect(),
            }
        });
    }
}

/// Returns true if a quick test shows that a line has this number of cells.
fn is_row(text: &str, line: Range<usize>, sign: u8, count: usize) -> bool {
    let bytes = text.as_bytes().get(line).unwrap_or_default();
    sign != b'|' && !bytes.contains(&b'"') && memchr::memchr_iter(sign, bytes).count() + 1 == count
}

/// Returns the columns of a line that may be the header of a table.
fn header_of(text: &str, line: Range<usize>) -> Option<(u8, Vec<Range<usize>>)> {
    // The first cell must be a short name, which rules out most lines early.
    let head = text
        .as_bytes()
        .get(line.start..line.end.min(line.start + LONGEST.0 + 2))?;
    let lead = head
        .iter()
        .take_while(|b| matches!(b, b'|' | b' ' | b'"'))
        .count();
    let rest = head.get(lead..)?;
    let is_plain = |b: &u8| {
        b.is_ascii_alphanumeric()
            || *b >= 0x80
            || matches!(b, b' ' | b'_' | b'-' | b'.' | b'/' | b'#')
    };
    let length = rest.iter().take_while(|b| is_plain(b)).count();
    let behind = rest.get(length + usize::from(rest.get(length) == Some(&b'"')));
    let sign = *behind.filter(|b| length > 1 && matches!(b, b'\t' | b'|' | b';' | b','))?;
    if sign != b'|' && head.get(..lead)?.contains(&b'|') {
        return None;
    }
    let columns = split(text, line, sign);
    let is_name = |r: &Range<usize>| {
        text.get(r.clone()).is_some_and(|t| {
            (2..=LONGEST.0).contains(&t.len())
                && !t.starts_with(|c: char| c.is_ascii_digit())
                && t.chars()
                    .all(|c| c.is_alphanumeric() || " _-./#".contains(c))
        })
    };
    (columns.len() > 1 && columns.len() <= COLUMNS && columns.iter().all(is_name))
        .then_some((sign, columns))
}

/// Returns the cells of a line without the spaces and quotes around them.
fn split(text: &str, line: Range<usize>, sign: u8) -> Vec<Range<usize>> {
    let whole = text.get(line.clone()).unwrap_or_default();
    let (lead, inner) = if sign == b'|' {
        let inner = whole.trim();
        let lead = whole.len() - whole.trim_start().len() + usize::from(inner.starts_with('|'));
        (
            lead,
            inner
                .strip_prefix('|')
                .unwrap_or(inner)
                .strip_suffix('|')
                .unwrap_or(inner.strip_prefix('|').unwrap_or(inner)),
        )
    } else {
        (0, whole)
    };
    let mut at = line.start + lead;
    let mut cells = Vec::new();
    let mut rest = inner;
    loop {
        let length = if sign == b'|' {
            None
        } else {
            quoted_length(rest, sign)
        };
        let length = length
            .or_else(|| rest.find(char::from(sign)))
            .unwrap_or(rest.len());
        let cell = rest.part(..length);
        let blank = [' ', '"', '\'', '\r'];
        let tail = cell.trim_start_matches(blank);
        let from = at + cell.len() - tail.len();
        cells.push(from..from + tail.trim_end_matches(blank).len());
        at += length + 1;
        match rest.get(length + 1..) {
            Some(next) => rest = next,
            None => return cells,
        }
    }
}

/// Returns the length of a quoted cell (RFC 4180, 2.5 to 2.7), which may contain the sign.
fn quoted_length(rest: &str, sign: u8) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = bytes
        .iter()
        .position(|b| *b != b' ')
        .filter(|i| bytes.get(*i) == Some(&b'"'))?
        + 1;
    loop {
        at += memchr::memchr(b'"', bytes.get(at..)?)? + 1;
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            continue;
        }
        let behind = bytes.get(at..)?;
        let blanks = behind
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\r'))
            .count();
        return behind
            .get(blanks)
            .is_none_or(|b| *b == sign)
            .then_some(at + blanks);
    }
}

/// Calls `each` for the values of `(a, b) VALUES ('x', 'y'), (…)`.
fn inserted(
    text: &str,
    means: &mut impl FnMut(&str) -> bool,
    each: &mut impl FnMut(&str, Range<usize>),
) {
    /// Maximum length of the list of names, and of a row, in bytes.
    const LIST: usize = 2048;
    let floor = |at: usize| {
        (at..text.len())
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(text.len())
    };
    for at in memchr::memmem::find_iter(text.as_bytes(), "VALUES") {
        let head = text
            .get(floor(at.saturating_sub(LIST))..at)
            .map(str::trim_end)
            .and_then(|t| t.strip_suffix(')'));
        let Some((_, names)) = head.and_then(|t| t.rsplit_once('(')) else {
            continue;
        };
        let names: Vec<&str> = names
            .split(',')
            .map(|n| n.trim_matches([' ', '"', '`', '\n']))
            .collect();
        let named: Vec<(usize, &str)> = names
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, name)| means(name))
            .collect();
        let mut from = at + 6;
        for _ in 0..ROWS {
            let rest = text.part(from..floor((from + LIST).min(text.len())));
            let open = rest.len() - rest.trim_start_matches([' ', '\n', '\t', '\r', ',']).len();
            let Some(row) = rest.get(open..).and_then(|t| t.strip_prefix('(')) else {
                break;
            };
            let Some(length) = row.find(')') else { break };
            let start = from + open + 1;
            let cells = split(text, start..start + length, b',');
            if cells.len() != names.len() {
                break;
            }
            for (place, name) in &named {
                if let Some(cell) = cells.get(*place) {
                    each(name, cell.clone());
                }
            }
            from = start + length + 1;
        }
    }
}

/// Returns true if a text may hold a table: it has several lines, or a `V` as in `VALUES`.
pub(crate) fn may_hold(text: &str) -> bool {
    memchr::memchr2(b'\n', b'V', text.as_bytes()).is_some()
}

/// Returns true if a cell is short enough to be searched by itself.
pub(crate) fn is_short(cell: &Range<usize>) -> bool {
    (1..=LONGEST.1).contains(&cell.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        cells(
            text,
            |_| true,
            |name, cell| seen.push((name.to_owned(), text[cell].to_owned())),
        );
        seen
    }

    #[test]
    fn cells_are_given_with_their_columns_names() {
        let expected = [
            ("name", "Jane"),
            ("card no", "4111"),
            ("name", "Max"),
            ("card no", "5500"),
        ]
        .map(|(a, b)| (a.to_owned(), b.to_owned()));
        for text in [
            "name,card no\nJane,4111\nMax,5500\n",
            "name\tcard no\nJane\t4111\nMax\t5500",
            "\"name\";\"card no\"\r\n\"Jane\";\"4111\"\r\n\"Max\";5500",
            "name,card no\n\"Jane\",\"4111\"\nMax,5500",
            "| name | card no |\n|---|---|\n| Jane | 4111 |\n| Max | 5500 |",
            "name | card no\n-----+-----\nJane | 4111\nMax | 5500",
        ] {
            assert_eq!(seen(text), expected, "{text}");
        }
        assert_eq!(
            seen("INSERT INTO t (name, card) VALUES ('Jane', '4111');"),
            [
                ("name".into(), "Jane".into()),
                ("card".into(), "4111".into())
            ]
        );
        assert_eq!(
            seen("name,card no\n\"Smith, \"\"Jane\"\"\" , 4111"),
            [
                ("name".into(), "Smith, \"\"Jane".into()),
                ("card no".into(), "4111".into())
            ],
            "a sign in quotes parts nothing"
        );
        let two = seen("INSERT INTO t (a, b) VALUES ('Jane', '4'), ('Max', '5');");
        assert_eq!(two.len(), 4, "each row: {two:?}");
        assert!(seen("I came, and I saw.\nYes, 5 of them, all day.").is_empty());
    }
}
