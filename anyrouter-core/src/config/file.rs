//! The members of the configuration file, all of which are optional.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::Deserialize;
use toml::Table;

use super::{ConfigError, Durability, FileText, LogFormat, LogLevel, locate, without_values};
use crate::{
    catalog::{
        Document, FaultRow, KeySource, ModelEntry, ProviderEntry, SourceEntry, VirtualEntry,
    },
    gateway::WithoutLimiter,
    policy::SettingsPatch,
};

/// Members of the file that are lists of catalog entries, or belong to them.
pub(super) const LISTS: [&str; 5] = ["provider", "model", "virtual", "fault", "sources"];

/// The members of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<SocketAddr>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) usage: Usage,
    pub(super) catalog: BuiltIn,
    pub(super) provider: Vec<ProviderEntry>,
    pub(super) model: Vec<ModelEntry>,
    #[serde(rename = "virtual")]
    pub(super) virtuals: Vec<VirtualEntry>,
    pub(super) fault: Vec<FaultRow>,
    pub(super) sources: BTreeMap<String, SourceEntry>,
    pub(super) privacy: SettingsPatch,
    pub(super) account_defaults: SettingsPatch,
    pub(super) redact: Redact,
    pub(super) tls: Tls,
    pub(super) limits: Limits,
    pub(super) deadlines: Deadlines,
    pub(super) metrics: Metrics,
    pub(super) log: Log,
    pub(super) vault: Vault,
    pub(super) byok: Byok,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Vault {
    #[serde(rename = "key_file")]
    pub(super) file: Option<PathBuf>,
    #[serde(rename = "key_env")]
    pub(super) variable: Option<String>,
    #[serde(rename = "key_command")]
    pub(super) command: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Byok {
    pub(super) accept_terms: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metrics {
    pub(super) listen: Option<SocketAddr>,
    pub(super) token: Option<KeySource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Usage {
    pub(super) durability: Option<Durability>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BuiltIn {
    pub(super) builtin: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Redact {
    pub(super) rules: Option<Vec<serde_json::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) body: Option<usize>,
    pub(super) depth: Option<usize>,
    pub(super) connections: Option<usize>,
    pub(super) requests: Option<usize>,
    pub(super) answer: Option<usize>,
    pub(super) event: Option<usize>,
    pub(super) attempts: Option<usize>,
    pub(super) memory: Option<usize>,
    pub(super) requests_per_key: Option<usize>,
    pub(super) requests_per_account: Option<usize>,
    pub(super) without_limiter: Option<WithoutLimiter>,
    pub(super) trusted_proxies: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Deadlines {
    pub(super) connect: Option<f64>,
    pub(super) first_byte: Option<f64>,
    pub(super) idle: Option<f64>,
    pub(super) whole: Option<f64>,
    pub(super) comment: Option<f64>,
    pub(super) body: Option<f64>,
    pub(super) memory: Option<f64>,
    pub(super) drain: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) format: Option<LogFormat>,
    pub(super) level: Option<LogLevel>,
}

impl File {
    /// Returns the file's part of the catalog.
    pub(super) fn document(&self) -> Document {
        let mut document = Document::default();
        (document.provider, document.model) = (self.provider.clone(), self.model.clone());
        (document.virtuals, document.sources) = (self.virtuals.clone(), self.sources.clone());
        document.fault.clone_from(&self.fault);
        document
    }
}

/// Parses the file as a table.
pub(super) fn table(file: &FileText) -> Result<Table, ConfigError> {
    toml::from_str(&file.text).map_err(|e| in_file(file, &e))
}

/// Parses the file without the other layers, so that an error has its place in the file.
pub(super) fn parse(file: &FileText) -> Result<File, ConfigError> {
    toml::from_str(&file.text).map_err(|e| in_file(file, &e))
}

pub(super) fn in_file(FileText { path, text }: &FileText, e: &toml::de::Error) -> ConfigError {
    let at = e.span().map(|s| s.start);
    let line = at.map_or(1, |at| locate::line(text, at));
    let key = at.map(|at| locate::key_at(text, at));
    let message = without_values(e.message());
    let problem = match key.filter(|k| !k.is_empty()) {
        Some(key) => format!("{key}: {message}"),
        None => message,
    };
    ConfigError::Invalid {
        place: format!("{}, line {line}", path.display()),
        problem,
    }
}
