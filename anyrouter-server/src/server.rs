//! The native server: it opens its backends, connects them to the ports, and reloads its
//! configuration.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyrouter_core::{
    config::{Config, ConfigError},
    gateway::{Gateway, MemoryBudget, Ports},
    ports::{Blocking, Clock as _, StoreError, memory::MemoryLimiter},
    redact::PlaceholderKey,
};
use async_trait::async_trait;

use crate::{
    app::{App, Health},
    clock::{SystemClock, SystemRandomness},
    config::Sources,
    journal::{JournalLog, Options},
    observe::{Event, Gauges, Observer},
    progress, ring,
    storage::Database,
    upstream::HttpUpstream,
    vault::Vault,
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
    vault: Arc<Vault>,
    /// The file of the key ring, if it was created at this start.
    pub(crate) new_ring: Option<PathBuf>,
    versions: AtomicU64,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
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
        let in_use = Database::in_use(&config.data_dir)?;
        let opened =
            ring::open(&config.ring, &config.data_dir, &in_use).map_err(StartError::Storage)?;
        let placeholder_key = PlaceholderKey::from_bytes(opened.ring.placeholder());
        let vault = Arc::new(Vault::new(
            opened.ring,
            opened.place,
            Arc::new(database.clone()),
            Arc::new(SystemRandomness),
            clock.clone(),
            observer.clone(),
            config.keys.clone(),
        ));
        let upstream = HttpUpstream::new(config.connect_deadline)
            .map_err(|e| StartError::Tls(e.to_string()))?;
        let ports = Ports {
            clock: clock.clone(),
            randomness: Arc::new(SystemRandomness),
            directory: Arc::new(database.clone()),
            usage: log.clone(),
            limiter: Arc::new(MemoryLimiter::new(clock.clone())),
            credentials: vault.clone(),
            upstream: Arc::new(upstream),
            blocking: Arc::new(OffTheWorker),
            events: observer.clone(),
        };
        let gateway = Arc::new(Gateway::new(
            ports,
            config
                .instance(0)
                .with_redaction(config.redaction(placeholder_key)),
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
            app: Arc::new(App::new(
                gateway,
                accounts,
                health,
                vault.clone(),
                Arc::new(config),
            )),
            log,
            observer,
            clock,
            vault,
            new_ring: opened.created,
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
                let keys = config.keys.clone().in_place_of(&self.vault.operators());
                self.vault.set_operators(keys);
                let instance = config.instance(self.versions.fetch_add(1, Ordering::Relaxed));
                self.app.gateway.set_instance(
                    instance.with_redaction(config.redaction(self.placeholder_key())),
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

    fn placeholder_key(&self) -> PlaceholderKey {
        PlaceholderKey::from_bytes(self.vault.ring().placeholder())
    }

    /// Goes on with a rotation of the master key that broke off.
    pub(crate) fn resume(&self) {
        if self.vault.is_unfinished() {
            let vault = self.vault.clone();
            tokio::spawn(async move { vault.reseal_all().await });
        }
    }

    /// Ends the cooldown of endpoints whose address or key has changed, because the cause of the
    /// failure may be fixed.
    fn end_cooldown(&self, config: &Config) {
        let (before, keys) = (self.app.config(), self.vault.operators());
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
