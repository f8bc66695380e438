//! The layers of the configuration. Each is a TOML table, and an upper layer overrides single keys
//! of a lower one.

use toml::Table;

use super::{ConfigError, FileText, locate};

/// The layers, used to find the source of a setting.
pub(super) struct Layers<'a> {
    pub(super) file: Option<&'a FileText>,
    pub(super) environment: &'a Table,
    pub(super) arguments: &'a Table,
}

impl Layers<'_> {
    /// Returns the error for an invalid setting, with its place in the uppermost layer.
    pub(super) fn invalid(&self, key: &str, problem: &str) -> ConfigError {
        let plain = key.split('[').next().unwrap_or(key);
        let place = if has(self.arguments, plain) {
            "the command line".to_owned()
        } else if has(self.environment, plain) {
            let variable = plain.replace('.', "_").to_ascii_uppercase();
            let value = self.environment.get(plain);
            // The variables of a section begin with its name.
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

/// Overrides the settings of `base` with those of `over`.
pub(super) fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            // A value that should be a section is kept, so that parsing rejects it.
            (Some(_), toml::Value::Table(_)) => {}
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
