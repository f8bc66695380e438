//! Settings from environment variables: `ANYROUTER_`, the section and the key in capitals. For a
//! provider, the slug follows in capitals, with `_` for `-`: `ANYROUTER_PROVIDER_GOOGLE_TIER`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::{ConfigError, File, without_values};

const SECTIONS: [&str; 10] = [
    "usage",
    "catalog",
    "privacy",
    "account_defaults",
    "tls",
    "limits",
    "deadlines",
    "metrics",
    "log",
    "redact",
];
/// Variables that the command line or other programs read.
const OTHERS: [&str; 7] = [
    "ANYROUTER_CONFIG",
    "ANYROUTER_BOOTSTRAP_FILE",
    "ANYROUTER_API_KEY",
    "ANYROUTER_BASE_URL",
    "ANYROUTER_CA_FILE",
    "ANYROUTER_MANAGEMENT_KEY",
    "ANYROUTER_METRICS_TOKEN",
];
/// Settings that are always strings.
const TEXT: [&str; 13] = [
    "listen",
    "data_dir",
    "durability",
    "cert",
    "key",
    "format",
    "level",
    "name",
    "protocol",
    "base_url",
    "tier",
    "source",
    "checked",
];

/// Prefixes of variables that Kubernetes sets if a service is named `anyrouter`.
const KUBERNETES: [&str; 2] = ["ANYROUTER_PORT", "ANYROUTER_SERVICE_"];

/// Returns an error for the first variable that is invalid on its own, without its value.
pub(super) fn fault(
    environment: &BTreeMap<String, String>,
    slugs: &[String],
) -> Option<ConfigError> {
    environment.iter().find_map(|(variable, value)| {
        let one = table(&BTreeMap::from([(variable.clone(), value.clone())]), slugs).ok()?;
        let error = File::deserialize(one).err()?;
        Some(wrong(variable, &without_values(error.message())))
    })
}

/// Returns the value of a setting of a section, if its variable is set.
pub(super) fn setting(
    environment: &BTreeMap<String, String>,
    section: &str,
    key: &str,
) -> Option<Value> {
    let variable = format!("ANYROUTER_{section}_{key}").to_ascii_uppercase();
    environment.get(&variable).map(|value| parse(key, value))
}

/// Returns the settings of all variables, in the form of the file.
pub(super) fn table(
    environment: &BTreeMap<String, String>,
    slugs: &[String],
) -> Result<Table, ConfigError> {
    let mut root = Table::new();
    let mut providers: BTreeMap<String, Table> = BTreeMap::new();
    for (variable, value) in environment {
        let Some(name) = variable
            .strip_prefix("ANYROUTER_")
            .filter(|_| !is_others(variable))
        else {
            continue;
        };
        let lower = name.to_ascii_lowercase();
        if let Some(rest) = name.strip_prefix("PROVIDER_") {
            let (slug, member) = provider_member(rest, slugs)
                .ok_or_else(|| wrong(variable, "names an unknown provider"))?;
            let table = providers
                .entry(slug.clone())
                .or_insert_with(|| Table::from_iter([("slug".to_owned(), Value::String(slug))]));
            match member.strip_prefix("terms_") {
                _ if member == "api_key" => {
                    table.insert(
                        member,
                        Value::Table(Table::from_iter([(
                            "env".to_owned(),
                            Value::String(variable.clone()),
                        )])),
                    );
                }
                Some(fact) => {
                    let terms = table
                        .entry("terms")
                        .or_insert_with(|| Value::Table(Table::new()));
                    if let Value::Table(terms) = terms {
                        terms.insert(fact.to_owned(), parse(fact, value));
                    }
                }
                None => {
                    let value = parse(&member, value);
                    table.insert(member, value);
                }
            }
        } else if let Some((section, key)) = SECTIONS
            .iter()
            .find_map(|s| Some((*s, lower.strip_prefix(s)?.strip_prefix('_')?)))
        {
            if let Value::Table(table) = root
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()))
            {
                table.insert(key.to_owned(), parse(key, value));
            }
        } else {
            root.insert(lower.clone(), parse(&lower, value));
        }
    }
    if !providers.is_empty() {
        root.insert(
            "provider".to_owned(),
            Value::Array(providers.into_values().map(Value::Table).collect()),
        );
    }
    Ok(root)
}

fn is_others(variable: &str) -> bool {
    OTHERS.contains(&variable) || KUBERNETES.iter().any(|k| variable.starts_with(k))
}

fn wrong(variable: &str, problem: &str) -> ConfigError {
    ConfigError::Invalid {
        place: variable.to_owned(),
        problem: problem.to_owned(),
    }
}

/// Splits a name such as `GOOGLE_VERTEX_TIER` into slug and member; the longest slug wins.
fn provider_member(rest: &str, slugs: &[String]) -> Option<(String, String)> {
    let capitals = |slug: &str| {
        slug.to_ascii_uppercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    };
    let fits = slugs
        .iter()
        .filter_map(|slug| Some((slug, rest.strip_prefix(&capitals(slug))?.strip_prefix('_')?)));
    fits.max_by_key(|(slug, _)| slug.len())
        .map(|(slug, member)| (slug.clone(), member.to_ascii_lowercase()))
}

/// Settings that are lists of strings, which can be separated by commas.
const LISTS: [&str; 6] = [
    "block",
    "allow",
    "block_models",
    "allow_models",
    "regions",
    "trusted_proxies",
];

/// Parses a value as a number, a boolean, a list or a string.
fn parse(key: &str, value: &str) -> Value {
    let text = || Value::String(value.to_owned());
    if TEXT.contains(&key) {
        return text();
    }
    if LISTS.contains(&key) && !value.trim_start().starts_with('[') {
        let items = value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        return Value::Array(items.map(|item| Value::String(item.to_owned())).collect());
    }
    toml::from_str::<Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(text)
}
