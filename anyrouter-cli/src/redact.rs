//! The `anyrouter redact` command, which redacts personal data and secrets in standard input
//! without a server.

use std::{
    collections::BTreeMap,
    io::{BufRead, IsTerminal, Read, Write},
};

use anyrouter_core::redact::{
    Action, Finding, PlaceholderKey, Placeholders, PlainValue, Redactor, Rules,
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    args::{Format, LineFormat, Redact},
    client::Failure,
    corpus::Row,
    follow::follow,
    large, score,
};

/// Redacts standard input.
pub(crate) fn redact(args: Redact, as_json: bool) -> Result<(), Failure> {
    if let Some(path) = &args.score {
        return score::score(&Redactor::new(rules(&args)?), path, args.read_as, as_json);
    }
    let redactor = Redactor::new(rules(&args)?);
    if args.spans {
        return spans(&redactor, args.read_as);
    }
    if args.map.is_some() && args.action.as_deref().is_some_and(|a| a != "placeholder") {
        return Err(Failure::Use(
            "--map saves the values of placeholders, and this --action creates none".to_owned(),
        ));
    }
    let key = PlaceholderKey::from_bytes(rand::random());
    if args.follow {
        return follow(&redactor, &key, std::io::stdin(), std::io::stdout());
    }
    let no_text = |e: &dyn std::fmt::Display| {
        Failure::Use(format!("standard input: {e}; it must be UTF-8 text"))
    };
    let mut bytes = Vec::new();
    let whole = args.explain || args.restore.is_some() || as_json;
    let limit = if whole { u64::MAX } else { WHOLE };
    std::io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| no_text(&e))?;
    if bytes.len() as u64 == limit {
        return redact_large(&args, &redactor, &key, bytes);
    }
    let text = String::from_utf8(bytes).map_err(|e| no_text(&e.utf8_error()))?;
    if let Some(path) = &args.restore {
        let map: BTreeMap<String, PlainValue> =
            serde_json::from_str(&read(path)?).map_err(|e| {
                wrong(
                    path,
                    &format!("line {}: it is not a map written by --map", e.line()),
                )
            })?;
        let placeholders = Placeholders::from_revealed(map);
        let restored = if is_json(&args, &text)? {
            placeholders.restore_json(&text)
        } else {
            placeholders.restore(&text)
        };
        return print(&if as_json {
            format!("{}\n", json!({ "restored": restored }))
        } else {
            restored
        });
    }
    let is_json = is_json(&args, &text)?;
    if args.explain {
        let found = if is_json {
            redactor.find_json(&text)
        } else {
            redactor.find(&text)
        };
        return explain(&redactor, &text, &found, as_json);
    }
    let mut placeholders = Placeholders::new(key);
    let redacted = if is_json {
        redactor.redact_json(&text, |_, _| false, &mut placeholders)
    } else {
        redactor.redact(&text, &mut placeholders)
    };
    let redacted = redacted
        .map_err(|e| {
            Failure::Blocked(format!(
                "nothing was written: {e}; --explain shows where it stands"
            ))
        })?
        .into_inner();
    if let Some(path) = &args.map {
        write_map(path, &json!(placeholders.reveal()).to_string())?;
    }
    if as_json {
        return print(&format!(
            "{}\n",
            json!({"redacted": redacted, "counts": placeholders.counts()})
        ));
    }
    print(&redacted)
}

/// Size from which input is redacted part by part, in bytes.
const WHOLE: u64 = 8 << 20;

/// Redacts `start` and the rest of standard input, part by part.
fn redact_large(
    args: &Redact,
    redactor: &Redactor,
    key: &PlaceholderKey,
    start: Vec<u8>,
) -> Result<(), Failure> {
    let is_json = match args.format {
        Some(format) => matches!(format, Format::Json),
        None => matches!(start.trim_ascii_start().first(), Some(b'{' | b'[')),
    };
    let mut map = BTreeMap::new();
    let taken = |values: &Placeholders| {
        if args.map.is_some() {
            map.extend(values.reveal());
        }
    };
    large::redact(
        redactor,
        key,
        start,
        std::io::stdin().lock(),
        is_json,
        std::io::BufWriter::new(std::io::stdout().lock()),
        taken,
    )?;
    args.map
        .as_ref()
        .map_or(Ok(()), |path| write_map(path, &json!(map).to_string()))
}

/// Returns true if the input is JSON, according to `--format` or, without it, to its content.
fn is_json(args: &Redact, text: &str) -> Result<bool, Failure> {
    let document = serde_json::from_str::<&RawValue>(text);
    match args.format {
        Some(Format::Text) => Ok(false),
        Some(Format::Json) => document
            .map(|_| true)
            .map_err(|e| Failure::Use(format!("standard input is not JSON: {e}"))),
        None => Ok(document.is_ok_and(|d| d.get().starts_with(['{', '[']))),
    }
}

pub(crate) fn rules(args: &Redact) -> Result<Rules, Failure> {
    let rules = match &args.rules {
        Some(path) => {
            let list: Vec<Value> = serde_json::from_str(&read(path)?).map_err(|e| {
                wrong(
                    path,
                    &format!(
                        "line {}, column {}: it must be a JSON list of rules",
                        e.line(),
                        e.column()
                    ),
                )
            })?;
            Rules::parse(&list).map_err(|e| wrong(path, &e))?
        }
        None => Rules::default(),
    };
    let action: Action = match &args.action {
        Some(name) => serde_json::from_value(Value::from(name.as_str())).map_err(|_| {
            Failure::Use(format!(
                "--action {name}: it must be placeholder, mask, hash, drop or block"
            ))
        })?,
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
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // The reader has closed the pipe, as `head` does.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|e| Failure::Use(format!("standard output: {e}"))),
    }
}

/// Writes the map of the redacted values, readable only by its owner.
fn write_map(path: &std::path::Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    // An existing file may be the map of another text, or readable by others.
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => wrong(
                path,
                &"it exists already, and a map is not replaced; name another file",
            ),
            _ => wrong(path, &e),
        });
    file?
        .write_all(text.as_bytes())
        .map_err(|e| wrong(path, &e))
}

/// Writes a JSON line of findings for each JSON line of standard input.
fn spans(redactor: &Redactor, read_as: LineFormat) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let bad = |e: &dyn std::fmt::Display| {
            Failure::Use(format!("standard input, line {}: {e}", number + 1))
        };
        let line = line.map_err(|e| bad(&e))?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Row<'_> = serde_json::from_str(&line)
            .map_err(|_| bad(&"it must be an object with `text`, a string, or `json`"))?;
        let found = row
            .found(redactor, read_as)
            .ok_or_else(|| bad(&"it has neither `text` nor `json`"))?;
        writeln!(out, "{}", json!({"id": row.id, "spans": found})).map_err(|e| bad(&e))?;
    }
    out.flush()
        .map_err(|e| Failure::Use(format!("standard output: {e}")))
}

/// Prints the text with its findings highlighted, followed by a table of the findings.
fn explain(
    redactor: &Redactor,
    text: &str,
    found: &[Finding],
    as_json: bool,
) -> Result<(), Failure> {
    if as_json {
        return print(&format!("{}\n", json!({"spans": found})));
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (on, off) = if colour {
        ("\x1b[1;33m", "\x1b[0m")
    } else {
        ("[", "]")
    };
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
        let mut value: String = text[f.start..f.end].chars().take(40).collect();
        if value.len() < f.end - f.start {
            value.push('…');
        }
        let country = f
            .country
            .as_ref()
            .map(|c| format!(" ({c})"))
            .unwrap_or_default();
        vec![
            f.label.name().to_owned(),
            value.replace('\n', "⏎"),
            format!("{}{country}", f.rule),
            format!("{} %", f.confidence),
            format!("{}–{}", f.start, f.end),
            json!(redactor.action(f))
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        ]
    };
    if found.is_empty() {
        return print("Nothing was found.\n");
    }
    print("\n")?;
    crate::table::print_table(
        &["label", "value", "found by", "sure", "bytes", "becomes"],
        found.iter().map(row).collect(),
    );
    Ok(())
}
