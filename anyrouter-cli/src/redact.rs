//! `anyrouter redact`: personal data and secrets in standard input, without any server.

use std::io::{BufRead, Write};

use anyrouter_core::redact::Engine;
use serde_json::{Value, json};

use crate::{args::Redact, client::Failure};

/// Redacts standard input.
pub(crate) fn redact(args: Redact, _as_json: bool) -> Result<(), Failure> {
    let _ = args.spans;
    let engine = Engine::builtin();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Failure::Use(e.to_string()))?;
        let row: Value = serde_json::from_str(&line).map_err(|e| Failure::Use(e.to_string()))?;
        let found = match row["json"].as_str() {
            Some(text) => engine.find_json(text),
            None => engine.find(row["text"].as_str().unwrap_or_default()),
        };
        let _ = writeln!(out, "{}", json!({"id": row["id"], "spans": found}));
    }
    Ok(())
}
