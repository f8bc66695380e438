//! The `anyrouter redact --score` command: precision, recall and F1 on a labelled corpus.

use std::{collections::BTreeMap, path::Path};

use anyrouter_core::redact::{Finding, Redactor};
use serde_json::{Value, json};

use crate::{
    args::LineFormat,
    client::Failure,
    corpus::{Row, Span},
    table::print_table,
};

/// Hits, misses and false positives of a label.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    hit: usize,
    missed: usize,
    wrong: usize,
}

impl Count {
    fn precision(self) -> f64 {
        self.hit as f64 / (self.hit + self.wrong).max(1) as f64
    }

    fn recall(self) -> f64 {
        self.hit as f64 / (self.hit + self.missed).max(1) as f64
    }

    fn f1(self) -> f64 {
        2.0 * self.hit as f64 / (2 * self.hit + self.missed + self.wrong).max(1) as f64
    }
}

/// Returns the family of a label. Labels of one family are interchangeable.
fn family(label: &str) -> &str {
    match label {
        "ADDRESS" => "LOCATION",
        "TAX_ID" => "NATIONAL_ID",
        "PASSWORD" | "PRIVATE_KEY" | "JWT" => "SECRET",
        other => other,
    }
}

/// Scores the corpus in `path`: JSON lines as for `--spans`, with the expected `spans`.
pub(crate) fn score(
    redactor: &Redactor,
    path: &Path,
    read_as: LineFormat,
    as_json: bool,
) -> Result<(), Failure> {
    let wrong =
        |problem: &dyn std::fmt::Display| Failure::Use(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
    {
        let row: Row<'_> =
            serde_json::from_str(line).map_err(|e| wrong(&format!("line {}: {e}", number + 1)))?;
        let found = row.found(redactor, read_as).ok_or_else(|| {
            wrong(&format!(
                "line {} has neither `text` nor `json`",
                number + 1
            ))
        })?;
        let spans = row.spans.ok_or_else(|| {
            wrong(&format!(
                "line {} has no `spans` of {{start, end, label}}",
                number + 1
            ))
        })?;
        compare(&spans, &found, &mut counts);
    }
    let all = counts.values().fold(Count::default(), |a, c| Count {
        hit: a.hit + c.hit,
        missed: a.missed + c.missed,
        wrong: a.wrong + c.wrong,
    });
    let rows = counts
        .iter()
        .map(|(l, c)| (l.as_str(), *c))
        .chain([("all", all)]);
    if as_json {
        let rows: BTreeMap<&str, Value> = rows
            .map(|(l, c)| (l, json!({"hit": c.hit, "missed": c.missed, "wrong": c.wrong, "precision": c.precision(), "recall": c.recall(), "f1": c.f1()})))
            .collect();
        println!("{}", json!(rows));
        return Ok(());
    }
    let rows = rows.map(|(l, c)| {
        // The share is undefined if there are neither spans nor findings.
        let share = |n: f64| {
            if c.hit + c.missed + c.wrong == 0 {
                "-".to_owned()
            } else {
                format!("{n:.3}")
            }
        };
        vec![
            l.to_owned(),
            c.hit.to_string(),
            c.missed.to_string(),
            c.wrong.to_string(),
            share(c.precision()),
            share(c.recall()),
            share(c.f1()),
        ]
    });
    print_table(
        &[
            "label",
            "hit",
            "missed",
            "wrong",
            "precision",
            "recall",
            "F1",
        ],
        rows.collect(),
    );
    Ok(())
}

/// Counts hits and errors. A hit is a finding of the same label family that overlaps the span by at
/// least half of their union.
fn compare(spans: &[Span], found: &[Finding], counts: &mut BTreeMap<String, Count>) {
    let mut taken = vec![false; found.len()];
    for span in spans {
        let hit = found.iter().enumerate().position(|(i, f)| {
            let shared = f.end.min(span.end).saturating_sub(f.start.max(span.start));
            let covered = f.end.max(span.end) - f.start.min(span.start);
            !taken[i] && family(f.label.name()) == family(&span.label) && shared * 2 >= covered
        });
        let count = counts.entry(span.label.clone()).or_default();
        match hit {
            Some(i) => {
                taken[i] = true;
                count.hit += 1;
            }
            None => count.missed += 1,
        }
    }
    for (finding, _) in found.iter().zip(taken).filter(|(_, taken)| !taken) {
        counts
            .entry(finding.label.name().to_owned())
            .or_default()
            .wrong += 1;
    }
}
