//! A server, put together: configuration, storage, journal, gateway, listener.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use anyrouter_core::{
    catalog::Provider,
    gateway::{Gateway, Ports},
    ports::{Clock, Credentials, Randomness as _, memory::MemoryLimiter},
    redact::{PlaceholderKey, Redactor},
    secret::Secret,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    clock::{SystemClock, SystemRandomness},
    config::{Config, ConfigError, ProviderKeys, Sources},
    http::{self, SharedTls},
    journal::{JournalLog, Options},
    observe::Observer,
    startup,
    storage::Database,
    upstream::HttpUpstream,
};

/// A server that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder, the database or the journal cannot be used.
    #[error("{0}")]
    Storage(String),
    /// Another server uses the data folder.
    #[error("{}: another server uses this data folder; give this one its own with --data-dir", .0.display())]
    InUse(PathBuf),
    /// The address cannot be listened at.
    #[error("{address}: {source}; another program may be listening there")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
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
        /// Why.
        source: std::io::Error,
    },
}

impl From<crate::storage::StorageError> for StartError {
    fn from(e: crate::storage::StorageError) -> Self {
        Self::Storage(e.to_string())
    }
}

/// What every request needs.
pub struct Server {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) database: Database,
    pub(crate) log: Arc<JournalLog>,
    pub(crate) observer: Arc<Observer>,
    clock: Arc<SystemClock>,
    keys: Arc<Keys>,
    placeholder_key: PlaceholderKey,
    config: RwLock<Arc<Config>>,
    /// The listener's TLS, where it has a certificate.
    tls: Option<SharedTls>,
    worlds: AtomicU64,
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

impl Credentials for Keys {
    fn has(&self, provider: &Provider) -> bool {
        self.now().has(provider)
    }

    fn open(&self, provider: &Provider) -> Option<Secret<String>> {
        self.now().open(provider)
    }
}

impl Server {
    /// The configuration that holds.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn open(config: Config, observer: Arc<Observer>) -> Result<Self, StartError> {
        let clock = Arc::new(SystemClock::new());
        let (database, table) = Database::open(&config.data_dir)?;
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
        let told = observer.clone();
        let report = move |host: &str, reason: &str| {
            told.note_often(
                "warn",
                &format!("connect:{host}"),
                &format!("provider at {host} cannot be reached: {reason}"),
            );
        };
        let upstream = HttpUpstream::new(config.connect_deadline, report)
            .map_err(|e| StartError::Tls(e.to_string()))?;
        let ports = Ports {
            clock: clock.clone(),
            randomness: Arc::new(SystemRandomness),
            directory: Arc::new(database.clone()),
            usage: log.clone(),
            limiter: Arc::new(MemoryLimiter::new(clock.clone())),
            credentials: keys.clone(),
            upstream: Arc::new(upstream),
        };
        let placeholder_key = placeholder_key(&config.data_dir)?;
        let gateway = Arc::new(Gateway::new(
            ports,
            config
                .world(0)
                .with_redaction(config.redaction(placeholder_key.clone())),
            config.limits,
            config.deadlines,
        ));
        let tls = config
            .tls
            .as_ref()
            .map(|(cert, key)| acceptor(cert, key))
            .transpose()?;
        Ok(Self {
            gateway,
            tls: tls.map(|tls| Arc::new(RwLock::new(tls))),
            database,
            log,
            observer,
            clock,
            keys,
            placeholder_key,
            config: RwLock::new(Arc::new(config)),
            worlds: AtomicU64::new(1),
        })
    }

    /// Reads the configuration again. A bad one changes nothing, and says why.
    fn reload(&self, sources: &Sources) {
        match Config::load(sources) {
            Ok(config) => {
                for warning in &config.warnings {
                    self.observer.note("warn", warning);
                }
                if let Err(e) = self.reload_tls(&config) {
                    self.observer.note(
                        "error",
                        &format!(
                            "the certificate was not read again, and the one of before stays: {e}"
                        ),
                    );
                }
                self.forgive(&config);
                // The keys first: those of before still serve whoever began before.
                let keys = config.keys.clone().in_place_of(&self.keys.now());
                *self.keys.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                let world = config.world(self.worlds.fetch_add(1, Ordering::Relaxed));
                self.gateway.set_world(
                    world.with_redaction(config.redaction(self.placeholder_key.clone())),
                );
                let message = format!(
                    "configuration reloaded: catalog {}; changes to [limits], [deadlines], [usage], [metrics] listen, [tls] and listen take effect at the next start",
                    config.catalog.version()
                );
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                self.observer.note("info", &message);
            }
            Err(e) => self.observer.note(
                "error",
                &format!("the configuration was not reloaded, and nothing changed: {e}"),
            ),
        }
    }

    /// Reads certificate and key again: connections that begin from now on get the new one.
    fn reload_tls(&self, config: &Config) -> Result<(), StartError> {
        let (Some(tls), Some((cert, key))) = (&self.tls, &config.tls) else {
            return Ok(());
        };
        let new = acceptor(cert, key)?;
        *tls.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Ends the cooldown of endpoints whose address or key is another one now: what failed may have
    /// been repaired.
    fn forgive(&self, config: &Config) {
        let (before, keys) = (self.config(), self.keys.now());
        for endpoint in config.catalog.endpoints() {
            let known = before.catalog.endpoint(endpoint.id.as_str());
            let same_address = known.is_some_and(|k| k.addresses == endpoint.addresses);
            let provider = config.catalog.providers().get(endpoint.provider_index);
            if !same_address || !provider.is_some_and(|p| keys.agrees(&config.keys, p)) {
                self.gateway.health().forgive(&endpoint.id);
            }
        }
    }

    /// Tells of storage that cannot be used: at once, every minute while it lasts, and when it is
    /// over.
    async fn watch_storage(&self) {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(500));
        let mut since: Option<(std::time::Instant, u64)> = None;
        loop {
            ticks.tick().await;
            let trouble = self
                .log
                .trouble()
                .map(|t| format!("the usage journal cannot be written: {t}"));
            let trouble = trouble.or_else(|| {
                self.log
                    .import_trouble()
                    .map(|t| format!("the database does not take usage records: {t}"))
            });
            let refused = self.observer.refused_so_far(503);
            match (trouble, since) {
                (Some(trouble), began) => {
                    let (_, before) = *since.get_or_insert((std::time::Instant::now(), refused));
                    let count = refused - before;
                    let message = format!(
                        "{trouble}; {count} requests were refused for it so far; free the disk, or see /readyz"
                    );
                    if began.is_none() {
                        self.observer.note("error", &message);
                    } else {
                        self.observer.note_often("error", "storage", &message);
                    }
                }
                (None, Some((_, before))) => {
                    since = None;
                    self.observer.note(
                        "info",
                        &format!(
                            "storage can be used again; {} requests were refused meanwhile",
                            refused - before
                        ),
                    );
                }
                (None, None) => {}
            }
        }
    }
}

/// Whether certificate and key can be used, for `--check`.
pub fn check_tls(config: &Config) -> Result<(), StartError> {
    config
        .tls
        .as_ref()
        .map_or(Ok(()), |(cert, key)| acceptor(cert, key).map(|_| ()))
}

/// "File size limit exceeded" (POSIX; its number is the same on Linux and the BSDs).
const SIGXFSZ: i32 = 25;

/// Runs a server until it is told to stop (SIGTERM, SIGINT). SIGHUP reads the configuration again.
pub async fn run(
    config: Config,
    sources: Sources,
    bootstrap_file: Option<PathBuf>,
) -> Result<(), StartError> {
    let _lock = lock_data_dir(&config)?;
    let has_tls = config.tls.is_some();
    let observer = Observer::start(config.log_format, config.log_level)
        .map_err(|e| StartError::Storage(e.to_string()))?;
    let address = config.listen;
    let warnings = config.warnings.clone();
    let server = Arc::new(Server::open(config, Arc::new(observer))?);
    // It takes some milliseconds, and no request should wait for it.
    std::thread::spawn(|| drop(Redactor::default().find("")));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })?;
    let metrics = match server.config().metrics_listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|source| StartError::Listen { address, source })?,
        ),
        None => None,
    };
    let address = listener.local_addr().unwrap_or(address);
    let base_url = format!(
        "{}://{address}/api/v1",
        if has_tls { "https" } else { "http" }
    );
    let config = server.config();
    let bootstrap = startup::bootstrap(&server.database, &config, server.clock(), |bootstrap| {
        match &bootstrap_file {
            Some(path) => {
                bootstrap
                    .write(path, &base_url)
                    .map_err(|source| StartError::Bootstrap {
                        path: path.clone(),
                        source,
                    })
            }
            None => Ok(()),
        }
    })
    .await?;
    let mut text = format!(
        "AnyRouter {} listens at {base_url}\n\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut shown = None;
    match (&bootstrap, bootstrap_file) {
        (Some(_), Some(path)) => text.push_str(&format!(
            "The first account's keys are in {}\n\n",
            path.display()
        )),
        (Some(bootstrap), None) => {
            text.push_str(&bootstrap.text());
            text.push('\n');
            shown = Some(&bootstrap.inference);
        }
        (None, _) => {}
    }
    text.push_str(&startup::providers(&config, &base_url, shown));
    for warning in &warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    drop(out);

    let failed = |e: std::io::Error| StartError::Storage(format!("signals: {e}"));
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // A file that may not grow further is an error of a write, and not the end of the process.
    let _file_size = signal(SignalKind::from_raw(SIGXFSZ)).map_err(failed)?;
    let for_signals = server.clone();
    let stop = async move {
        let mut clock = tokio::time::interval(std::time::Duration::from_secs(10));
        loop {
            tokio::select! {
                _ = hangup.recv() => for_signals.reload(&sources),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = clock.tick() => for_signals.clock.follow(),
            }
        }
        for_signals
            .observer
            .note("info", "stopping: streams may finish");
    };
    let watching = tokio::spawn({
        let server = server.clone();
        async move { server.watch_storage().await }
    });
    let exposing = metrics.map(|listener| {
        let router = crate::api::metrics_router(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await })
    });
    http::serve(server.clone(), listener, server.tls.clone(), stop).await;
    watching.abort();
    if let Some(exposing) = exposing {
        exposing.abort();
    }
    let log = server.log.clone();
    let _ = tokio::task::spawn_blocking(move || log.close()).await;
    server.observer.flush();
    Ok(())
}

/// Makes another inference and management key for the first account, and gives them as text; where
/// `revoke_old` says so, every other key of the account is revoked. The server must not be running.
pub async fn new_keys(config: &Config, revoke_old: bool) -> Result<String, StartError> {
    let folder = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    let none = || {
        StartError::Storage(format!(
            "there is no account in {}; say with --data-dir which folder the server uses, or start it there first",
            folder.display()
        ))
    };
    // Nothing is made in a folder that is the wrong one.
    if !folder.is_dir() {
        return Err(none());
    }
    let _lock = lock_data_dir(config).map_err(|e| match e {
        StartError::InUse(folder) => StartError::Storage(format!(
            "{}: a server is running on this data folder; stop it first",
            folder.display()
        )),
        other => other,
    })?;
    let (database, _) = Database::open(&config.data_dir)?;
    let old = match database.first_account().await? {
        Some(account) if revoke_old => database.keys(account.id).await?,
        _ => Vec::new(),
    };
    let keys = startup::new_keys(&database, &SystemClock::new())
        .await?
        .ok_or_else(none)?;
    let mut revoked = 0;
    for old in old.iter().filter(|k| !k.record.revoked) {
        database
            .change_key(old.record.hash, |record| record.revoked = true)
            .await?;
        revoked += 1;
    }
    let said = if revoke_old {
        format!("\n{revoked} older keys were revoked.\n")
    } else {
        String::new()
    };
    Ok(format!("{}{said}", keys.text()))
}

/// One server on a data folder: a second would import the first one's journal under its feet.
fn lock_data_dir(config: &Config) -> Result<File, StartError> {
    let folder = &config.data_dir;
    let fail = |e: std::io::Error| StartError::Storage(format!("{}: {e}", folder.display()));
    // Its owner's alone: records hold addresses.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(fail)?;
    let file = File::create(folder.join("lock")).map_err(fail)?;
    file.try_lock().map_err(|e| match e {
        std::fs::TryLockError::WouldBlock => StartError::InUse(folder.clone()),
        std::fs::TryLockError::Error(e) => fail(e),
    })?;
    Ok(file)
}

/// The instance's secret from which placeholders are derived: made at the first start, and kept, so
/// that a conversation's placeholders stay the same. It opens nothing by itself.
fn placeholder_key(folder: &std::path::Path) -> Result<PlaceholderKey, StartError> {
    let path = folder.join("placeholder.key");
    let fail = |e: std::io::Error| StartError::Storage(format!("{}: {e}", path.display()));
    match std::fs::read(&path) {
        Ok(bytes) => {
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| {
                StartError::Storage(format!(
                    "{}: it is no key of 32 bytes; restore it, or remove it to have a new one made",
                    path.display()
                ))
            })?;
            Ok(PlaceholderKey::from_bytes(bytes))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            SystemRandomness.fill(&mut bytes);
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

fn acceptor(cert: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor, StartError> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let wrong = |path: &PathBuf, e: &dyn std::fmt::Display| {
        StartError::Tls(format!("{}: {e}", path.display()))
    };
    let certs: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(cert, &e))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .and_then(|b| b.with_no_client_auth().with_single_cert(certs, key_der))
        .map_err(|e| wrong(cert, &e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
