//! Tables on a terminal.

/// Prints rows under headings, in columns as wide as they need to be.
pub(crate) fn print_table(headings: &[&str], rows: Vec<Vec<String>>) {
    let mut all: Vec<Vec<String>> = vec![headings.iter().map(|h| (*h).to_owned()).collect()];
    all.extend(rows);
    let width = |column: usize| all.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    for (i, row) in all.iter().enumerate() {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", line.join("  ").trim_end());
        if i == 0 {
            println!("{}", widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join("  "));
        }
    }
}
