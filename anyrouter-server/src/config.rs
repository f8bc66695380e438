//! Settings: command line over environment over file. An error names the file, the line and the
//! key, and the server does not start.

mod certificate;
mod environment;
mod keys;
mod locate;
mod memory;
mod settings;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyrouter_core::{
    account::{Redaction, World},
    catalog::{
        self, Catalog, CatalogError, Document, FaultRow, KeySource, ModelEntry, ProviderEntry,
        SourceEntry, VirtualEntry,
    },
    gateway::{self, WithoutLimiter},
    policy::{CompiledCatalog, Settings, SettingsPatch},
    redact::{PlaceholderKey, Rules},
    secret::Secret,
};
use serde::Deserialize;

pub use self::keys::ProviderKeys;
pub(crate) use self::settings::{unknown_provider, unknown_providers, without_effect};
use crate::journal::Durability;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It reads, but something in it is wrong.
    #[error("{place}: {problem}")]
    Invalid {
        /// The file and the line, or the environment variable.
        place: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// The file's members, all of which may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    usage: Usage,
    catalog: BuiltIn,
    provider: Vec<ProviderEntry>,
    model: Vec<ModelEntry>,
    #[serde(rename = "virtual")]
    virtuals: Vec<VirtualEntry>,
    fault: Vec<FaultRow>,
    sources: BTreeMap<String, SourceEntry>,
    privacy: SettingsPatch,
    account_defaults: SettingsPatch,
    redact: Redact,
    tls: Tls,
    limits: Limits,
    deadlines: Deadlines,
    metrics: Metrics,
    log: Log,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Metrics {
    listen: Option<SocketAddr>,
    token: Option<KeySource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Usage {
    durability: Option<Durability>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BuiltIn {
    builtin: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Redact {
    rules: Option<Vec<serde_json::Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tls {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    body: Option<usize>,
    depth: Option<usize>,
    connections: Option<usize>,
    requests: Option<usize>,
    answer: Option<usize>,
    event: Option<usize>,
    attempts: Option<usize>,
    memory: Option<usize>,
    requests_per_key: Option<usize>,
    requests_per_account: Option<usize>,
    without_limiter: Option<WithoutLimiter>,
    trusted_proxies: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Deadlines {
    connect: Option<f64>,
    first_byte: Option<f64>,
    idle: Option<f64>,
    whole: Option<f64>,
    comment: Option<f64>,
    body: Option<f64>,
    memory: Option<f64>,
    drain: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    format: Option<LogFormat>,
    level: Option<LogLevel>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which log lines there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// None for requests that were answered.
    Warn,
    /// One for each request.
    #[default]
    Info,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

/// The settings that hold.
#[derive(Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What a commit waits for.
    pub durability: Durability,
    /// Providers, models, endpoints.
    pub catalog: Arc<Catalog>,
    /// The providers' keys.
    pub keys: ProviderKeys,
    /// The instance layer.
    pub privacy: SettingsPatch,
    /// What a new account starts with.
    pub account_defaults: Settings,
    /// Redaction rules that hold for every account.
    pub redaction_rules: Rules,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What a request may take.
    pub limits: gateway::Limits,
    /// Bytes of a request's body.
    pub body_limit: usize,
    /// Connections at once.
    pub connections: usize,
    /// Requests at once.
    pub requests: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// How long things may take.
    pub deadlines: gateway::Deadlines,
    /// How long a connection to a provider may take.
    pub connect_deadline: Duration,
    /// How long a request's body may take.
    pub body_deadline: Duration,
    /// How long streams may go on once the server was told to stop.
    pub drain_deadline: Duration,
    /// Where metrics have a listener of their own.
    pub metrics_listen: Option<SocketAddr>,
    /// What is asked for metrics must bear this token.
    pub metrics_token: Option<Arc<Secret<String>>>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines there are.
    pub log_level: LogLevel,
    /// There is a file.
    pub has_file: bool,
    /// What deserves a look.
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
    /// Reads all sources.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let (file, text) = match &sources.file {
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                        path: path.clone(),
                        source,
                    })?;
                (parse(path, &text)?, text)
            }
            None => (File::default(), String::new()),
        };
        let builtin = file.catalog.builtin.unwrap_or(true);
        let known = if builtin {
            catalog::builtin().map_err(|e| invalid("the built-in catalog", &e))?
        } else {
            Document::default()
        };
        let slugs: Vec<String> = known
            .provider
            .iter()
            .chain(&file.provider)
            .map(|p| p.slug.clone())
            .collect();
        let environment = environment::read(&sources.environment, &slugs)?;
        let builtin = environment.catalog.builtin.unwrap_or(builtin);
        let of = |file: &File| {
            let mut document = Document::default();
            (document.provider, document.model) = (file.provider.clone(), file.model.clone());
            (document.virtuals, document.sources) = (file.virtuals.clone(), file.sources.clone());
            document.fault.clone_from(&file.fault);
            document
        };
        let mut documents: Vec<Document> = if builtin { vec![known] } else { Vec::new() };
        documents.extend([of(&file), of(&environment)]);
        let catalog =
            Catalog::from_documents(&documents).map_err(|e| match (&e, &sources.file) {
                (CatalogError::Invalid { path: key, problem }, Some(path)) => {
                    ConfigError::Invalid {
                        place: locate::place(path, &text, key),
                        problem: format!("{key}: {problem}"),
                    }
                }
                _ => invalid("the catalog", &e),
            })?;
        if let Some(provider) = without_address(&file.provider, &catalog) {
            let problem = "it has no address in a protocol that is built; give it `base_url`, and `protocol` (chat or messages)";
            return Err(invalid(&format!("provider `{provider}`"), &problem));
        }
        let (keys, mut warnings) =
            ProviderKeys::read(&catalog, &documents, &sources.environment, builtin)?;
        warnings.extend(without_terms(&file.provider, &catalog));
        let seconds = |name: &str, value: Option<f64>, otherwise: Duration| match value {
            None => Ok(otherwise),
            Some(given) if given > 0.0 && given < 1e9 => Ok(Duration::from_secs_f64(given)),
            Some(_) => Err(invalid(
                &format!("deadlines.{name}"),
                &"must be a number of seconds above 0",
            )),
        };
        let (d, e) = (&file.deadlines, &environment.deadlines);
        let base = gateway::Deadlines::default();
        let limits = gateway::Limits::default();
        let (base_limits, over) = (&file.limits, &environment.limits);
        let tls = match (
            environment.tls.cert.or(file.tls.cert),
            environment.tls.key.or(file.tls.key),
        ) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(invalid("tls", &"`cert` and `key` are needed together")),
        };
        let privacy = file.privacy.overlaid(environment.privacy);
        for (table, patch) in [
            ("privacy", &privacy),
            ("account_defaults", &file.account_defaults),
        ] {
            let at = |key: &str| match &sources.file {
                Some(path) => locate::place(path, &text, &format!("{table}.{key}")),
                None => table.to_owned(),
            };
            if let Some((setting, why)) = without_effect(patch) {
                let problem =
                    format!("{table}.{setting}: it has no effect yet, because {why}; leave it out");
                return Err(ConfigError::Invalid {
                    place: at(setting),
                    problem,
                });
            }
            for (list, i, name, near) in unknown_providers(patch, &catalog) {
                let problem = unknown_provider(&format!("{table}.{list}"), &name, near);
                if near.is_some() {
                    return Err(ConfigError::Invalid {
                        place: at(&format!("{list}[{i}]")),
                        problem,
                    });
                }
                warnings.push(problem);
            }
        }
        let rules = privacy
            .redaction_rules
            .iter()
            .flatten()
            .chain(file.redact.rules.iter().flatten())
            .cloned()
            .collect::<Vec<_>>();
        let redaction_rules = Rules::parse(&rules).map_err(|e| invalid("redact.rules", &e))?;
        Rules::parse(
            file.account_defaults
                .redaction_rules
                .as_deref()
                .unwrap_or_default(),
        )
        .map_err(|e| invalid("account_defaults.redaction_rules", &e))?;
        let within = |name: &str,
                      value: Option<usize>,
                      otherwise: usize,
                      range: std::ops::RangeInclusive<usize>| match value {
            Some(given) if !range.contains(&given) => Err(invalid(
                &format!("limits.{name}"),
                &format!("must be from {} to {}", range.start(), range.end()),
            )),
            value => Ok(value.unwrap_or(otherwise)),
        };
        let trusted_proxies = environment
            .limits
            .trusted_proxies
            .clone()
            .or(file.limits.trusted_proxies.clone())
            .unwrap_or_default();
        if let Some(bad) = trusted_proxies.iter().find(|r| !is_range(r)) {
            return Err(invalid(
                "limits.trusted_proxies",
                &format!("`{bad}` is not an address or a range; write 10.0.0.1 or 10.0.0.0/8"),
            ));
        }
        let token = match (
            sources.environment.get("ANYROUTER_METRICS_TOKEN"),
            &file.metrics.token,
        ) {
            (Some(token), _) => Some(Secret::new(token.clone())),
            (None, Some(source)) => Some(
                keys::read_source(source, &sources.environment)
                    .map_err(|e| invalid("metrics.token", &e))?,
            ),
            (None, None) => None,
        };
        let metrics_token = token.map(Arc::new);
        warnings.extend(
            tls.iter()
                .filter_map(|(cert, _)| certificate::warning(cert)),
        );
        Ok(Self {
            listen: sources
                .listen
                .or(environment.listen)
                .or(file.listen)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8787))),
            data_dir: sources
                .data_dir
                .clone()
                .or(environment.data_dir)
                .or(file.data_dir)
                .unwrap_or_else(|| "anyrouter-data".into()),
            durability: environment
                .usage
                .durability
                .or(file.usage.durability)
                .unwrap_or_default(),
            catalog: Arc::new(catalog),
            keys,
            privacy,
            redaction_rules,
            account_defaults: Settings::default()
                .patched(file.account_defaults)
                .patched(environment.account_defaults),
            tls,
            limits: gateway::Limits {
                depth: within(
                    "depth",
                    over.depth.or(base_limits.depth),
                    limits.depth,
                    8..=512,
                )?,
                answer: within(
                    "answer",
                    over.answer.or(base_limits.answer),
                    limits.answer,
                    1024..=1 << 32,
                )?,
                event: within(
                    "event",
                    over.event.or(base_limits.event),
                    limits.event,
                    1024..=1 << 30,
                )?,
                attempts: within(
                    "attempts",
                    over.attempts.or(base_limits.attempts),
                    limits.attempts,
                    1..=64,
                )?,
                memory: within(
                    "memory",
                    over.memory.or(base_limits.memory),
                    memory::share(),
                    1 << 20..=1 << 42,
                )?,
                requests_per_key: within(
                    "requests_per_key",
                    over.requests_per_key.or(base_limits.requests_per_key),
                    limits.requests_per_key,
                    1..=1_000_000,
                )?,
                requests_per_account: within(
                    "requests_per_account",
                    over.requests_per_account
                        .or(base_limits.requests_per_account),
                    limits.requests_per_account,
                    1..=1_000_000,
                )?,
                without_limiter: over
                    .without_limiter
                    .or(base_limits.without_limiter)
                    .unwrap_or_default(),
            },
            body_limit: within(
                "body",
                over.body.or(base_limits.body),
                32 << 20,
                1024..=1 << 32,
            )?,
            connections: within(
                "connections",
                over.connections.or(base_limits.connections),
                10_000,
                1..=1_000_000,
            )?,
            requests: within(
                "requests",
                over.requests.or(base_limits.requests),
                10_000,
                1..=1_000_000,
            )?,
            trusted_proxies,
            deadlines: gateway::Deadlines {
                first_byte: seconds("first_byte", e.first_byte.or(d.first_byte), base.first_byte)?,
                idle: seconds("idle", e.idle.or(d.idle), base.idle)?,
                whole: seconds("whole", e.whole.or(d.whole), base.whole)?,
                comment: seconds("comment", e.comment.or(d.comment), base.comment)?,
                memory: seconds("memory", e.memory.or(d.memory), base.memory)?,
            },
            connect_deadline: seconds("connect", e.connect.or(d.connect), Duration::from_secs(10))?,
            body_deadline: seconds("body", e.body.or(d.body), Duration::from_secs(60))?,
            drain_deadline: seconds("drain", e.drain.or(d.drain), Duration::from_secs(30))?,
            metrics_listen: environment.metrics.listen.or(file.metrics.listen),
            metrics_token,
            log_format: sources
                .log_format
                .or(environment.log.format)
                .or(file.log.format)
                .unwrap_or_default(),
            log_level: environment.log.level.or(file.log.level).unwrap_or_default(),
            has_file: sources.file.is_some(),
            warnings,
        })
    }

    /// What the configuration contributes to every request.
    pub fn world(&self, version: u64) -> World {
        World::new(
            Arc::new(CompiledCatalog::new(self.catalog.clone())),
            self.privacy.restriction(),
            version,
        )
    }

    /// How requests are redacted, with placeholders derived from this key.
    pub fn redaction(&self, key: PlaceholderKey) -> Redaction {
        Redaction {
            upstream: self.privacy.redact_upstream == Some(true),
            rules: self.redaction_rules.clone(),
            key,
        }
    }
}

/// Whether this is an address, or a block in CIDR notation.
pub(crate) fn is_range(range: &str) -> bool {
    let address = range.split('/').next().unwrap_or_default();
    address
        .trim()
        .parse()
        .is_ok_and(|ip| gateway::ip_in(ip, range))
}

/// serde's message in words that are not Rust's, without the value that it repeats, which may be a
/// secret or a prompt.
pub(crate) fn without_values(message: &str) -> String {
    let (found, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    // The line and column of a document belong to the place, not to what was expected.
    let expected = expected.split(" at line ").next().unwrap_or_default();
    if found.starts_with("unknown variant") {
        return format!("a word that is not known; expected {expected}");
    }
    if found.starts_with("invalid type: ")
        || found.starts_with("invalid value: ")
        || found.starts_with("invalid length ")
    {
        return format!("it must be {}", kind(expected));
    }
    message.to_owned()
}

/// What serde expects, in words for people.
fn kind(expected: &str) -> String {
    let bare = expected.trim_start_matches("a ").trim_start_matches("an ");
    match bare {
        "bool" | "boolean" => "true or false",
        "string" | "borrowed string" | "str" | "character" => "a text",
        "sequence" => "a list",
        "map" | "struct" => "an object",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "nonzero u64" | "nonzero usize" => {
            "a whole number, 0 or above"
        }
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "integer" => "a whole number",
        "f32" | "f64" => "a number",
        "unit" | "null" | "Option" => "left out",
        _ if bare.starts_with("struct ") => "an object",
        _ if bare.starts_with("tuple ") || bare.starts_with("array ") => "a list",
        _ => return expected.to_owned(),
    }
    .to_owned()
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |s| locate::line(text, s.start));
        let key = e
            .span()
            .map(|s| locate::key_at(text, s.start))
            .filter(|k| !k.is_empty());
        let message = without_values(e.message());
        let problem = key.map_or_else(|| message.clone(), |k| format!("{k}: {message}"));
        ConfigError::Invalid {
            place: format!("{}, line {line}", path.display()),
            problem,
        }
    })
}

fn invalid(place: &str, problem: &dyn fmt::Display) -> ConfigError {
    ConfigError::Invalid {
        place: place.to_owned(),
        problem: problem.to_string(),
    }
}

/// A provider of the file that no request could be sent to.
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

/// Providers of the file of which nothing is stated: the default policy leaves them out.
fn without_terms(entries: &[ProviderEntry], catalog: &Catalog) -> Vec<String> {
    let unknown = |slug: &str| catalog.provider(slug).is_some_and(|p| p.terms.is_unknown());
    entries
        .iter()
        .filter(|p| unknown(&p.slug))
        .map(|p| format!("provider `{}` has no terms: unknown counts as the worst, and the default policy admits none of its endpoints; add [provider.terms]", p.slug))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_expected_is_said_in_words_that_are_not_rusts() {
        #[derive(serde::Deserialize)]
        #[allow(dead_code)] // read for its errors
        struct Settings {
            on: bool,
            count: u32,
            names: Vec<String>,
            inner: BTreeMap<String, f64>,
        }
        for (settings, expected) in [
            ("on = 5", "it must be true or false"),
            (
                "on = true\ncount = \"secret\"",
                "it must be a whole number, 0 or above",
            ),
            (
                "on = true\ncount = -1",
                "it must be a whole number, 0 or above",
            ),
            ("on = true\ncount = 1\nnames = 7", "it must be a list"),
            ("on = true\ncount = 1\nnames = [7]", "it must be a text"),
            (
                "on = true\ncount = 1\nnames = []\ninner = 3",
                "it must be an object",
            ),
            (
                "on = true\ncount = 1\nnames = []\ninner = { a = \"x\" }",
                "it must be a number",
            ),
        ] {
            let error = toml::from_str::<Settings>(settings)
                .map(|_| ())
                .unwrap_err();
            assert_eq!(without_values(error.message()), expected, "{settings}");
        }
    }
}
