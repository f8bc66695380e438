//! Output to the terminal.

use std::{borrow::Cow, io::Write as _};

use anyrouter_core::gateway::is_control;

/// Replaces control characters with escapes, so that a name or an answer cannot control the
/// terminal.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let is_kept = |c: char| matches!(c, '\n' | '\t') || !is_control(c);
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .fold(String::with_capacity(text.len() + 16), |mut out, c| {
                if is_kept(c) {
                    out.push(c);
                } else {
                    out.extend(c.escape_unicode());
                }
                out
            }),
    )
}

/// Prints text. Exits the process if the output is closed, as by `head`.
pub(crate) fn say(text: &str) {
    if std::io::stdout().write_all(shown(text).as_bytes()).is_err() {
        std::process::exit(0);
    }
}

/// Prints rows under headings, in columns as wide as they need to be.
pub(crate) fn print_table(headings: &[&str], rows: Vec<Vec<String>>) {
    let mut all: Vec<Vec<String>> = vec![headings.iter().map(|h| (*h).to_owned()).collect()];
    // A cell occupies one line.
    let cell = |cell: String| shown(&cell).replace('\n', "⏎").replace('\t', " ");
    all.extend(
        rows.into_iter()
            .map(|row| row.into_iter().map(cell).collect::<Vec<_>>()),
    );
    let width = |column: usize| {
        all.iter()
            .filter_map(|r| r.get(column))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    for (i, row) in all.iter().enumerate() {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        say(&format!("{}\n", line.join("  ").trim_end()));
        if i == 0 {
            say(&format!(
                "{}\n",
                widths
                    .iter()
                    .map(|w| "─".repeat(*w))
                    .collect::<Vec<_>>()
                    .join("  ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_as_an_escape() {
        assert_eq!(
            shown("a\u{1b}[2Jb\nc\td\u{202e}"),
            "a\\u{1b}[2Jb\nc\td\\u{202e}"
        );
        assert!(matches!(shown("größe 日本"), Cow::Borrowed(_)));
    }
}
