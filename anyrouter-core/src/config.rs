//! The operator's configuration. Arguments override the environment, which overrides the file. The
//! layers are merged as TOML tables and then parsed. An error names the key, and the file with the
//! line or the environment variable.
//!
//! This module does no I/O: the caller passes in the sources, and a function that reads secrets
//! from files of their own.

mod environment;
mod error;
mod file;
mod keys;
mod layers;
mod locate;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    account::{Instance, Redaction},
    catalog::{self, Catalog, CatalogError, Document, ProviderEntry},
    gateway::{self},
    policy::{ClientMetadata, CompiledCatalog, Settings, SettingsPatch},
    redact::{PlaceholderKey, Rules},
    secret::Secret,
};
use serde::Deserialize;
use toml::Table;

use self::{
    error::invalid,
    file::{File, LISTS, parse, table},
    layers::{Layers, merge},
};
pub use self::{
    error::{ConfigError, without_values},
    keys::ProviderKeys,
    settings::{passes_client_metadata, unknown_provider, unknown_providers, without_effect},
};

/// Durability that a usage record must reach before its response may end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Handed to the kernel.
    #[default]
    ProcessCrash,
    /// Written to disk.
    PowerLoss,
    /// None: the response does not wait.
    Async,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Amount of logging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Every event, and requests whose outcome is not `ok`.
    Warn,
    /// Every event, and every accepted request.
    #[default]
    Info,
}

/// The configuration file.
#[derive(Clone, Debug)]
pub struct FileText {
    /// Path of the file.
    pub path: PathBuf,
    /// Contents of the file.
    pub text: String,
}

/// Sources of settings.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if there is one.
    pub file: Option<FileText>,
    /// Settings of the command line, in the form of the file.
    pub arguments: Table,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Default for the number of bytes that all bodies may hold together.
    pub memory: Option<usize>,
}

/// A function that reads a file named in the configuration.
pub type ReadFile<'a> = dyn Fn(&Path) -> std::io::Result<String> + 'a;

/// The place of the key ring.
#[derive(Clone, Debug)]
pub enum RingSource {
    /// A file in the data directory, which is created at the first start.
    DataDir,
    /// Another file, which is created at the first start.
    File(PathBuf),
    /// The text of a ring, from the environment variable of this name.
    Text(String, Arc<Secret<String>>),
    /// A program that prints the ring, with its arguments.
    Command(Vec<String>),
}

/// The effective settings.
#[derive(Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Data directory.
    pub data_dir: PathBuf,
    /// Durability that a usage record must reach before its response may end.
    pub durability: Durability,
    /// Providers, models, endpoints.
    pub catalog: Arc<Catalog>,
    /// The providers' keys.
    pub keys: ProviderKeys,
    /// The instance layer.
    pub privacy: SettingsPatch,
    /// Initial settings of a new account.
    pub account_defaults: Settings,
    /// Redaction rules that apply to every account.
    pub redaction_rules: Rules,
    /// Paths of the TLS certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Limits of requests.
    pub limits: gateway::Limits,
    /// Maximum length of a request's body, in bytes.
    pub body_limit: usize,
    /// Maximum number of connections at once.
    pub connections: usize,
    /// Maximum number of requests at once.
    pub requests: usize,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<String>,
    /// Deadlines of requests.
    pub deadlines: gateway::Deadlines,
    /// Deadline of a connection to a provider.
    pub connect_deadline: Duration,
    /// Deadline of a request's body.
    pub body_deadline: Duration,
    /// Time that streams may take to finish after SIGTERM.
    pub drain_deadline: Duration,
    /// Address of the metrics' own listener.
    pub metrics_listen: Option<SocketAddr>,
    /// Bearer token that requests for metrics must carry.
    pub metrics_token: Option<Arc<Secret<String>>>,
    /// Place of the key ring.
    pub ring: RingSource,
    /// True if the terms that accounts state for their own credentials count for the instance too.
    pub accepts_own_terms: bool,
    /// Format of log lines.
    pub log_format: LogFormat,
    /// Amount of logging.
    pub log_level: LogLevel,
    /// True if there is a configuration file.
    pub has_file: bool,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Builds the configuration from all sources. `read` reads secrets from files of their own.
    pub fn load(sources: &Sources, read: &ReadFile<'_>) -> Result<Self, ConfigError> {
        let of_file = sources.file.as_ref().map_or(Ok(Table::new()), table)?;
        let variables = &sources.environment;
        let is_on = environment::setting(variables, "catalog", "builtin")
            .or_else(|| of_file.get("catalog")?.get("builtin").cloned())
            .and_then(|value| value.as_bool());
        let known = match is_on {
            Some(false) => Document::default(),
            _ => catalog::builtin().map_err(|e| invalid("the built-in catalog", &e))?,
        };
        let slugs = slugs(&known, &of_file);
        let mut of_environment = environment::table(variables, &slugs)?;
        // Lists of entries are not overridden: the environment's are added to the file's.
        let added = LISTS
            .iter()
            .filter_map(|list| Some(((*list).to_owned(), of_environment.remove(*list)?)));
        let added: Table = added.collect();
        let mut merged = of_file;
        merge(&mut merged, of_environment.clone());
        merge(&mut merged, sources.arguments.clone());
        let layers = Layers {
            file: sources.file.as_ref(),
            environment: &of_environment,
            arguments: &sources.arguments,
        };
        let file = File::deserialize(merged).map_err(|e| {
            let of_file = || layers.file.and_then(|f| parse(f).err());
            let of_variable = environment::fault(variables, &slugs);
            of_variable
                .or_else(of_file)
                .unwrap_or_else(|| invalid("the configuration", &without_values(e.message())))
        })?;
        let added = File::deserialize(added).map_err(|e| {
            environment::fault(variables, &slugs)
                .unwrap_or_else(|| invalid("the environment", &without_values(e.message())))
        })?;
        let builtin = file.catalog.builtin.unwrap_or(true);
        let mut documents: Vec<Document> = if builtin { vec![known] } else { Vec::new() };
        documents.extend([file.document(), added.document()]);
        let catalog = Catalog::from_documents(&documents).map_err(|e| {
            let before = documents.split_last().map_or(&[][..], |(_, before)| before);
            match &e {
                // The file alone is valid, so the environment's entries are at fault.
                CatalogError::Invalid { path, problem }
                    if Catalog::from_documents(before).is_ok() =>
                {
                    invalid(
                        "the environment (ANYROUTER_PROVIDER_…)",
                        &format!("{path}: {problem}"),
                    )
                }
                CatalogError::Invalid { path, problem } if layers.file.is_some() => {
                    layers.invalid(path, &format!("{path}: {problem}"))
                }
                _ => invalid("the catalog", &e),
            }
        })?;
        if let Some(provider) = without_address(&file.provider, &catalog) {
            let problem = "it has no base URL for its protocol; set `base_url`, and `protocol` to `openai_chat`, `openai_responses`, `anthropic_messages` or `gemini`";
            return Err(invalid(&format!("provider `{provider}`"), &problem));
        }
        let (keys, mut warnings) =
            ProviderKeys::read(&catalog, &documents, &sources.environment, builtin, read)?;
        warnings.extend(without_terms(&file.provider, &catalog));
        let seconds = |name: &str, value: Option<f64>, otherwise: Duration| match value {
            None => Ok(otherwise),
            Some(given) if given > 0.0 && given < 1e9 => Ok(Duration::from_secs_f64(given)),
            Some(_) => Err(layers.invalid(
                &format!("deadlines.{name}"),
                &format!("deadlines.{name}: must be a number of seconds above 0"),
            )),
        };
        let (given, limits) = (&file.deadlines, &file.limits);
        let deadlines = gateway::Deadlines::default();
        let defaults = gateway::Limits::default();
        let tls = match (file.tls.cert, file.tls.key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                let problem = "tls: `cert` and `key` are needed together";
                return Err(layers.invalid("tls", problem));
            }
        };
        let privacy = file.privacy;
        for (table, patch) in [
            ("privacy", &privacy),
            ("account_defaults", &file.account_defaults),
        ] {
            if let Some(problem) = passes_client_metadata(patch) {
                let key = format!("{table}.client_metadata");
                return Err(layers.invalid(&key, &format!("{key}: {problem}")));
            }
            if let Some((setting, why)) = without_effect(patch) {
                let key = format!("{table}.{setting}");
                let problem = format!("{key}: it has no effect yet, because {why}; leave it out");
                return Err(layers.invalid(&key, &problem));
            }
            for (list, i, name, near) in unknown_providers(patch, &catalog) {
                let problem = unknown_provider(&format!("{table}.{list}"), &name, near);
                if near.is_some() {
                    return Err(layers.invalid(&format!("{table}.{list}[{i}]"), &problem));
                }
                warnings.push(problem);
            }
        }
        let rules = |key: &str, rules: &Option<Vec<serde_json::Value>>| {
            Rules::parse(rules.as_deref().unwrap_or_default())
                .map_err(|e| layers.invalid(key, &format!("{key}: {e}")))
        };
        let redaction_rules = rules("privacy.redaction_rules", &privacy.redaction_rules)?
            .and(&rules("redact.rules", &file.redact.rules)?);
        let defaults_rules = &file.account_defaults.redaction_rules;
        rules("account_defaults.redaction_rules", defaults_rules)?;
        let within = |name: &str,
                      value: Option<usize>,
                      otherwise: usize,
                      range: std::ops::RangeInclusive<usize>| match value {
            Some(given) if !range.contains(&given) => Err(layers.invalid(
                &format!("limits.{name}"),
                &format!(
                    "limits.{name}: must be from {} to {}",
                    range.start(),
                    range.end()
                ),
            )),
            value => Ok(value.unwrap_or(otherwise)),
        };
        let trusted_proxies = limits.trusted_proxies.clone().unwrap_or_default();
        if let Some(bad) = trusted_proxies.iter().find(|r| !is_range(r)) {
            let key = "limits.trusted_proxies";
            let problem = format!(
                "{key}: `{bad}` is not an address or a range; write 10.0.0.1 or 10.0.0.0/8"
            );
            return Err(layers.invalid(key, &problem));
        }
        let token = match (
            sources.environment.get("ANYROUTER_METRICS_TOKEN"),
            &file.metrics.token,
        ) {
            (Some(token), _) => Some(Secret::new(token.clone())),
            (None, Some(source)) => Some(
                keys::read_source(source, &sources.environment, read)
                    .map_err(|e| layers.invalid("metrics.token", &format!("metrics.token: {e}")))?,
            ),
            (None, None) => None,
        };
        let metrics_token = token.map(Arc::new);
        let ring = match (file.vault.file, file.vault.variable, file.vault.command) {
            (None, None, None) => RingSource::DataDir,
            (Some(path), None, None) => RingSource::File(path),
            (None, Some(variable), None) => match variables.get(&variable) {
                Some(text) => RingSource::Text(variable, Arc::new(Secret::new(text.clone()))),
                None => {
                    let problem =
                        format!("vault.key_env: the environment variable {variable} is not set");
                    return Err(layers.invalid("vault.key_env", &problem));
                }
            },
            (None, None, Some(command)) if !command.is_empty() => RingSource::Command(command),
            (None, None, Some(_)) => {
                let problem = "vault.key_command: name a program and its arguments, as a list";
                return Err(layers.invalid("vault.key_command", problem));
            }
            _ => {
                let problem = "vault: set one of `key_file`, `key_env` and `key_command`";
                return Err(layers.invalid("vault", problem));
            }
        };
        Ok(Self {
            listen: file
                .listen
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8787))),
            data_dir: file.data_dir.unwrap_or_else(|| "anyrouter-data".into()),
            durability: file.usage.durability.unwrap_or_default(),
            catalog: Arc::new(catalog),
            keys,
            privacy,
            redaction_rules,
            account_defaults: Settings::default().patched(file.account_defaults),
            tls,
            limits: gateway::Limits {
                depth: within("depth", limits.depth, defaults.depth, 8..=512)?,
                answer: within(
                    "answer",
                    limits.answer,
                    defaults.answer,
                    1024..=bytes(4 << 30),
                )?,
                event: within("event", limits.event, defaults.event, 1024..=1 << 30)?,
                attempts: within("attempts", limits.attempts, defaults.attempts, 1..=64)?,
                memory: within(
                    "memory",
                    limits.memory,
                    sources.memory.unwrap_or(defaults.memory),
                    1 << 20..=bytes(4 << 40),
                )?,
                requests_per_key: within(
                    "requests_per_key",
                    limits.requests_per_key,
                    defaults.requests_per_key,
                    1..=1_000_000,
                )?,
                requests_per_account: within(
                    "requests_per_account",
                    limits.requests_per_account,
                    defaults.requests_per_account,
                    1..=1_000_000,
                )?,
                without_limiter: limits.without_limiter.unwrap_or_default(),
            },
            body_limit: within("body", limits.body, 32 << 20, 1024..=bytes(4 << 30))?,
            connections: within("connections", limits.connections, 10_000, 1..=1_000_000)?,
            requests: within("requests", limits.requests, 10_000, 1..=1_000_000)?,
            trusted_proxies,
            deadlines: gateway::Deadlines {
                first_byte: seconds("first_byte", given.first_byte, deadlines.first_byte)?,
                idle: seconds("idle", given.idle, deadlines.idle)?,
                whole: seconds("whole", given.whole, deadlines.whole)?,
                comment: seconds("comment", given.comment, deadlines.comment)?,
                memory: seconds("memory", given.memory, deadlines.memory)?,
            },
            connect_deadline: seconds("connect", given.connect, Duration::from_secs(10))?,
            body_deadline: seconds("body", given.body, Duration::from_secs(60))?,
            drain_deadline: seconds("drain", given.drain, Duration::from_secs(30))?,
            ring,
            accepts_own_terms: file.byok.accept_terms == Some(true),
            metrics_listen: file.metrics.listen,
            metrics_token,
            log_format: file.log.format.unwrap_or_default(),
            log_level: file.log.level.unwrap_or_default(),
            has_file: sources.file.is_some(),
            warnings,
        })
    }

    /// Returns the instance that the configuration describes.
    pub fn instance(&self, version: u64) -> Instance {
        let mut instance = Instance::new(
            Arc::new(CompiledCatalog::new(self.catalog.clone())),
            self.privacy.restriction(),
            version,
        );
        instance.strips_client_metadata =
            self.privacy.client_metadata == Some(ClientMetadata::Strip);
        instance.accepts_own_terms = self.accepts_own_terms;
        instance
    }

    /// Returns the settings for redaction, with placeholders derived from `key`.
    pub fn redaction(&self, key: PlaceholderKey) -> Redaction {
        Redaction {
            upstream: self.privacy.redact_upstream == Some(true),
            rules: self.redaction_rules.clone(),
            key,
        }
    }
}

/// Converts a number of bytes, saturating at `usize::MAX`.
fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Returns true if `range` is an IP address or a block in CIDR notation.
pub fn is_range(range: &str) -> bool {
    let address = range.split('/').next().unwrap_or_default();
    address
        .trim()
        .parse()
        .is_ok_and(|ip| gateway::ip_in(ip, range))
}

/// Returns the slugs of the built-in providers and those of the file.
fn slugs(known: &Document, file: &Table) -> Vec<String> {
    let of_file = file.get("provider").and_then(toml::Value::as_array);
    let of_file = of_file.into_iter().flatten().filter_map(|p| p.get("slug"));
    let of_file = of_file.filter_map(toml::Value::as_str).map(str::to_owned);
    let built_in = known.provider.iter().map(|p| p.slug.clone());
    built_in.chain(of_file).collect()
}

/// Returns a provider of the file that has no usable address.
fn without_address<'a>(entries: &'a [ProviderEntry], catalog: &Catalog) -> Option<&'a str> {
    let is_reachable = |slug: &str| {
        catalog
            .provider(slug)
            .is_none_or(|p| !p.addresses.is_empty())
    };
    entries
        .iter()
        .map(|p| p.slug.as_str())
        .find(|slug| !is_reachable(slug))
}

/// Returns a warning for each provider of the file without terms: the default policy excludes it.
fn without_terms(entries: &[ProviderEntry], catalog: &Catalog) -> Vec<String> {
    let unknown = |slug: &str| catalog.provider(slug).is_some_and(|p| p.terms.is_unknown());
    entries
        .iter()
        .filter(|p| unknown(&p.slug))
        .map(|p| format!("provider `{}` has no terms: unknown counts as the worst, and the default policy admits none of its endpoints; add [provider.terms]", p.slug))
        .collect()
}
