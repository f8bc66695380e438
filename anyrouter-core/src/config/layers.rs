//! The layers of the configuration: each is a TOML table, and the upper one's settings stand in
//! place of the lower one's, key by key.

use toml::Table;

use super::{ConfigError, FileText, locate};

/// The layers, to say where a setting comes from.
pub(super) struct Layers<'a> {
    pub(super) file: Option<&'a FileText>,
    pub(super) environment: &'a Table,
    pub(super) arguments: &'a Table,
}

impl Layers<'_> {
    /// A setting that is wrong: the place is that of the layer which has it.
    pub(super) fn invalid(&self, key: &str, problem: &str) -> ConfigError {
        let plain = key.split('[').next().unwrap_or(key);
        let place = if has(self.arguments, plain) {
            "the command line".to_owned()
        } else if has(self.environment, plain) {
            let variable = plain.replace('.', "_").to_ascii_uppercase();
            let value = self.environment.get(plain);
            // A section has no variable of its own.
            let rest = if value.is_some_and(toml::Value::is_table) {
                "_…"
            } else {
                ""
            };
            format!("ANYROUTER_{variable}{rest}")
        } else {
            match self.file {
                Some(FileText { path, text }) => locate::place(path, text, key),
                None => key.to_owned(),
            }
        };
        ConfigError::Invalid {
            place,
            problem: problem.to_owned(),
        }
    }
}

/// Returns true if a table has a key such as `limits.depth`.
pub(super) fn has(table: &Table, key: &str) -> bool {
    match key.split_once('.') {
        Some((first, rest)) => {
            let inner = table.get(first).and_then(toml::Value::as_table);
            inner.is_some_and(|inner| has(inner, rest))
        }
        None => table.contains_key(key),
    }
}

/// Puts the settings of `over` in place of those of `base`.
pub(super) fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            // What is no section where one belongs stays, to be refused.
            (Some(_), toml::Value::Table(_)) => {}
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
