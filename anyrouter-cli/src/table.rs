//! What is printed.

use std::io::Write as _;

/// Prints text. Where nobody reads any more, as behind `head`, that is the end.
pub(crate) fn say(text: &str) {
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}

/// Prints rows under headings, in columns as wide as they need to be.
pub(crate) fn print_table(headings: &[&str], rows: Vec<Vec<String>>) {
    let mut all: Vec<Vec<String>> = vec![headings.iter().map(|h| (*h).to_owned()).collect()];
    all.extend(rows);
    let width = |column: usize| all.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    for (i, row) in all.iter().enumerate() {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say(&format!("{}\n", line.join("  ").trim_end()));
        if i == 0 {
            say(&format!("{}\n", widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join("  ")));
        }
    }
}
