//! The native server: it opens its backends, connects them to the ports, and reloads its
//! configuration.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use anyrouter_core::{
    account::Caller,
    catalog::Provider,
    config::{Config, ConfigError, ProviderKeys},
    gateway::{Gateway, MemoryBudget, Ports},
    policy::Eligible,
    ports::{
        Blocking, Clock as _, Credentials, Randomness as _, StoreError, memory::MemoryLimiter,
    },
    redact::PlaceholderKey,
    secret::Secret,
};
use async_trait::async_trait;

use crate::{
    app::{App, Health},
    clock::{SystemClock, SystemRandomness},
    config::Sources,
    journal::{JournalLog, Options},
    observe::{Event, Gauges, Observer},
    progress,
    storage::Database,
    upstream::HttpUpstream,
};

/// Error of starting a server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder, the database or the journal cannot be used.
    #[error("{0}")]
    Storage(String),
    /// Another server uses the data folder.
    #[error("{}: another server uses this data folder; give this one its own with --data-dir", .0.display())]
    InUse(PathBuf),
    /// The server cannot listen on the address.
    #[error("{address}: {source}; another program may be listening there")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// The bootstrap file cannot be written.
    #[error("{path}: {source}")]
    Bootstrap {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl From<StoreError> for StartError {
    fn from(e: StoreError) -> Self {
        Self::Storage(e.to_string())
    }
}

/// The parts of a running server.
pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) log: Arc<JournalLog>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) clock: Arc<SystemClock>,
    keys: Arc<Keys>,
    placeholder_key: PlaceholderKey,
    versions: AtomicU64,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// The providers' keys, as of the last configuration.
struct Keys(RwLock<Arc<ProviderKeys>>);

impl Keys {
    fn now(&self) -> Arc<ProviderKeys> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl Credentials for Keys {
    fn has(&self, caller: Option<&Caller>, provider: &Provider) -> bool {
        self.now().has(caller, provider)
    }

    async fn open(
        &self,
        caller: &Caller,
        to: Eligible<'_>,
    ) -> Result<Option<Secret<String>>, StoreError> {
        self.now().open(caller, to).await
    }
}

/// Runs work while another thread takes over this one's other tasks.
struct OffTheWorker;

impl Blocking for OffTheWorker {
    fn run(&self, work: &mut dyn FnMut()) {
        use tokio::runtime::{Handle, RuntimeFlavor};
        match Handle::try_current().map(|h| h.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
            _ => work(),
        }
    }
}

/// Health of the database and the journal, and the metrics.
struct Parts {
    database: Database,
    log: Arc<JournalLog>,
    observer: Arc<Observer>,
}

#[async_trait]
impl Health for Parts {
    async fn database(&self) -> Result<(), StoreError> {
        self.database.check().await
    }

    fn journal(&self) -> Option<StoreError> {
        self.log.trouble()
    }

    fn import(&self) -> Option<StoreError> {
        self.log.import_trouble()
    }

    fn refused(&self, status: u16) {
        self.observer.refused(status);
    }

    fn metrics(&self, budget: &MemoryBudget) -> String {
        self.observer.metrics(Gauges {
            open: self.log.open_slots(),
            held: budget.used(),
            limit: budget.limit(),
            waiting: budget.waiting(),
        })
    }
}

impl Server {
    pub(crate) fn open(config: Config, observer: Arc<Observer>) -> Result<Self, StartError> {
        let clock = Arc::new(SystemClock::new());
        let (database, table) = Database::open(&config.data_dir, &mut progress::migration())?;
        let options = Options {
            durability: config.durability,
            slots: config.requests,
            ..Options::default()
        };
        let seen = observer.clone();
        let log = JournalLog::open(
            &config.data_dir.join("usage"),
            database.clone(),
            table,
            options,
            clock.now(),
            move |r| seen.record(r),
        )
        .map_err(|e| StartError::Storage(e.to_string()))?;
        let log = Arc::new(log);
        let keys = Arc::new(Keys(RwLock::new(Arc::new(config.keys.clone()))));
        let upstream = HttpUpstream::new(config.connect_deadline)
            .map_err(|e| StartError::Tls(e.to_string()))?;
        let ports = Ports {
            clock: clock.clone(),
            randomness: Arc::new(SystemRandomness),
            directory: Arc::new(database.clone()),
            usage: log.clone(),
            limiter: Arc::new(MemoryLimiter::new(clock.clone())),
            credentials: keys.clone(),
            upstream: Arc::new(upstream),
            blocking: Arc::new(OffTheWorker),
            events: observer.clone(),
        };
        let placeholder_key = placeholder_key(&config.data_dir)?;
        let gateway = Arc::new(Gateway::new(
            ports,
            config
                .instance(0)
                .with_redaction(config.redaction(placeholder_key.clone())),
            config.limits,
            config.deadlines,
        ));
        let accounts = Arc::new(database.clone());
        let health = Arc::new(Parts {
            database,
            log: log.clone(),
            observer: observer.clone(),
        });
        Ok(Self {
            app: Arc::new(App::new(gateway, accounts, health, Arc::new(config))),
            log,
            observer,
            clock,
            keys,
            placeholder_key,
            versions: AtomicU64::new(1),
        })
    }

    /// Reloads and returns the configuration. An invalid one changes nothing, and is reported.
    pub(crate) fn reload(&self, sources: &Sources) -> Option<Arc<Config>> {
        match sources.load() {
            Ok(config) => {
                for warning in &config.warnings {
                    self.observer.emit(&Event::ConfigWarning { warning });
                }
                self.end_cooldown(&config);
                // The keys come first: the previous ones still serve requests that began earlier.
                let keys = config.keys.clone().in_place_of(&self.keys.now());
                *self.keys.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                let instance = config.instance(self.versions.fetch_add(1, Ordering::Relaxed));
                self.app.gateway.set_instance(
                    instance.with_redaction(config.redaction(self.placeholder_key.clone())),
                );
                let config = Arc::new(config);
                self.app.set_config(config.clone());
                self.observer.emit(&Event::ConfigReloaded {
                    catalog: config.catalog.version(),
                });
                Some(config)
            }
            Err(error) => {
                self.observer.emit(&Event::ConfigRejected { error: &error });
                None
            }
        }
    }

    /// Ends the cooldown of endpoints whose address or key has changed, because the cause of the
    /// failure may be fixed.
    fn end_cooldown(&self, config: &Config) {
        let (before, keys) = (self.app.config(), self.keys.now());
        for endpoint in config.catalog.endpoints() {
            let known = before.catalog.endpoint(endpoint.id.as_str());
            let same_address = known.is_some_and(|k| k.addresses == endpoint.addresses);
            let provider = config.catalog.providers().get(endpoint.provider_index);
            if !same_address || !provider.is_some_and(|p| keys.agrees(&config.keys, p)) {
                self.app.gateway.end_cooldown(&endpoint.id);
            }
        }
        for gone in before.catalog.endpoints() {
            if config.catalog.endpoint(gone.id.as_str()).is_none() {
                self.app.gateway.end_cooldown(&gone.id);
            }
        }
    }
}

/// Returns the instance's secret from which placeholders are derived. It is created at the first
/// start and kept, so that a conversation's placeholders stay the same. It grants no access by
/// itself.
fn placeholder_key(folder: &std::path::Path) -> Result<PlaceholderKey, StartError> {
    let path = folder.join("placeholder.key");
    let fail = |e: std::io::Error| StartError::Storage(format!("{}: {e}", path.display()));
    match std::fs::read(&path) {
        Ok(bytes) => {
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| {
                StartError::Storage(format!(
                    "{}: it is not a key of 32 bytes; restore it, or remove it to create a new one",
                    path.display()
                ))
            })?;
            Ok(PlaceholderKey::from_bytes(bytes))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let bytes = SystemRandomness.key_bits()?;
            let unfinished = folder.join("placeholder.key.new");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&unfinished)
                .map_err(fail)?;
            file.write_all(&bytes)
                .and_then(|()| file.sync_all())
                .and_then(|()| std::fs::rename(&unfinished, &path))
                .map_err(fail)?;
            Ok(PlaceholderKey::from_bytes(bytes))
        }
        Err(e) => Err(fail(e)),
    }
}
