//! `anyrouter redact`: personal data and secrets in standard input, without any server.

use std::{
    collections::BTreeMap,
    io::{BufRead, IsTerminal, Read, Write},
};

use anyrouter_core::{
    ports::Randomness as _,
    redact::{Action, Finding, PlaceholderKey, Placeholders, Redactor, Rules},
};
use anyrouter_server::clock::SystemRandomness;
use serde_json::{Value, json};

use crate::{
    args::{Format, Redact},
    client::Failure,
    score,
};

/// Redacts standard input.
pub(crate) fn redact(args: Redact, as_json: bool) -> Result<(), Failure> {
    if let Some(path) = &args.score {
        return score::score(path, as_json);
    }
    let redactor = Redactor::new(rules(&args)?);
    if args.spans {
        return spans(&redactor);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|e| Failure::Use(format!("standard input: {e}; it must be UTF-8 text")))?;
    if let Some(path) = &args.restore {
        let map: BTreeMap<String, String> = serde_json::from_str(&read(path)?).map_err(|e| wrong(path, &e))?;
        return print(&map.iter().fold(text, |text, (placeholder, value)| text.replace(placeholder, value)));
    }
    let is_json = match args.format {
        Some(format) => format == Format::Json,
        None => serde_json::from_str::<Value>(&text).is_ok_and(|v| v.is_object() || v.is_array()),
    };
    if args.explain {
        let found = if is_json { redactor.find_json(&text) } else { redactor.find(&text) };
        return explain(&text, &found, as_json);
    }
    let mut key = [0; 32];
    SystemRandomness.fill(&mut key);
    let mut placeholders = Placeholders::new(PlaceholderKey::from_bytes(key));
    let redacted =
        if is_json { redactor.redact_json(&text, |_| false, &mut placeholders) } else { redactor.redact(&text, &mut placeholders) };
    let redacted = redacted.map_err(|e| Failure::Use(e.to_string()))?.into_inner();
    if let Some(path) = &args.map {
        let map: BTreeMap<String, String> = placeholders.reveal();
        write_map(path, &json!(map).to_string())?;
    }
    if as_json {
        return print(&format!("{}\n", json!({"redacted": redacted, "counts": placeholders.counts()})));
    }
    print(&redacted)
}

fn rules(args: &Redact) -> Result<Rules, Failure> {
    let rules = match &args.rules {
        Some(path) => {
            let list: Vec<Value> = serde_json::from_str(&read(path)?).map_err(|e| wrong(path, &e))?;
            Rules::parse(&list).map_err(|e| wrong(path, &e))?
        }
        None => Rules::default(),
    };
    let action: Action = match &args.action {
        Some(name) => serde_json::from_value(Value::from(name.as_str()))
            .map_err(|_| Failure::Use(format!("--action {name}: it must be placeholder, mask, hash, drop or block")))?,
        None => Action::default(),
    };
    Ok(rules.with_default(action))
}

fn read(path: &std::path::Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| wrong(path, &e))
}

fn wrong(path: &std::path::Path, problem: &dyn std::fmt::Display) -> Failure {
    Failure::Use(format!("{}: {problem}", path.display()))
}

fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Failure::Use(format!("standard output: {e}")))
}

/// The map tells all that was taken out: it is its owner's alone.
fn write_map(path: &std::path::Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    // A file that is there already may be readable by others.
    let _ = std::fs::remove_file(path);
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut f| f.write_all(text.as_bytes())).map_err(|e| wrong(path, &e))
}

/// A line of JSON for each line of JSON.
fn spans(redactor: &Redactor) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let bad = |e: &dyn std::fmt::Display| Failure::Use(format!("standard input, line {}: {e}", number + 1));
        let line = line.map_err(|e| bad(&e))?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Value = serde_json::from_str(&line).map_err(|e| bad(&e))?;
        let found = found_in(redactor, &row).ok_or_else(|| bad(&"it has neither `text` nor `json`"))?;
        writeln!(out, "{}", json!({"id": row["id"], "spans": found})).map_err(|e| bad(&e))?;
    }
    out.flush().map_err(|e| Failure::Use(format!("standard output: {e}")))
}

/// What is in a row's `text`, or in its `json`: the document as it is written there, or written without spaces where it is no string.
pub(crate) fn found_in(redactor: &Redactor, row: &Value) -> Option<Vec<Finding>> {
    if let Some(text) = row["text"].as_str() {
        return Some(redactor.find(text));
    }
    match row.get("json")? {
        Value::String(document) => Some(redactor.find_json(document)),
        document => Some(redactor.find_json(&document.to_string())),
    }
}

/// The text with what was found in colour, and why below it.
fn explain(text: &str, found: &[Finding], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print(&format!("{}\n", json!({"spans": found})));
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (on, off) = if colour { ("\x1b[1;33m", "\x1b[0m") } else { ("[", "]") };
    let mut out = String::new();
    let mut done = 0;
    for finding in found {
        out.push_str(&text[done..finding.start]);
        out.push_str(&format!("{on}{}{off}", &text[finding.start..finding.end]));
        done = finding.end;
    }
    out.push_str(&text[done..]);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    print(&out)?;
    let row = |f: &Finding| {
        let value: String = text[f.start..f.end].chars().take(40).collect();
        let country = f.country.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
        vec![
            f.label.name().to_owned(),
            value.replace('\n', "⏎"),
            format!("{}{country}", f.rule),
            format!("{} %", f.confidence),
            format!("{}–{}", f.start, f.end),
        ]
    };
    if found.is_empty() {
        return print("Nothing was found.\n");
    }
    print("\n")?;
    crate::table::print_table(&["label", "value", "found by", "sure", "bytes"], found.iter().map(row).collect());
    Ok(())
}
