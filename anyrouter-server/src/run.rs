//! Running a server: the data folder, the listener, signals and shutdown.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyrouter_core::{
    config::Config,
    ports::{Accounts as _, Clock as _},
    redact::Redactor,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    clock::{SystemClock, SystemRandomness},
    config::Sources,
    listen,
    observe::{Event, Observer},
    progress,
    server::{Server, StartError},
    service::Service,
    startup,
    storage::{Database, Recount},
    tls::Tls,
};

/// Interval between log lines while storage cannot be used.
const STORAGE_AGAIN: Duration = Duration::from_secs(60);
/// Signal "file size limit exceeded" (POSIX; it has the same number on Linux and the BSDs).
const SIGXFSZ: i32 = 25;

/// Runs a server until SIGTERM or SIGINT. SIGHUP reloads the configuration.
pub async fn run(
    config: Config,
    sources: Sources,
    bootstrap_file: Option<PathBuf>,
) -> Result<(), StartError> {
    let _lock = lock_data_dir(&config)?;
    let tls = Tls::open(&config)?;
    let has_tls = tls.is_some();
    // The engine takes some milliseconds to build, which no request should wait for.
    let engine = tokio::task::spawn_blocking(|| drop(Redactor::default().find("")));
    let observer = Observer::start(config.log_format, config.log_level)
        .map_err(|e| StartError::Storage(e.to_string()))?;
    let address = config.listen;
    let warnings = config.warnings.clone();
    let server = Arc::new(Server::open(config, Arc::new(observer))?);
    let app = &server.app;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })?;
    let metrics = match app.config().metrics_listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|source| StartError::Listen { address, source })?,
        ),
        None => None,
    };
    server.resume();
    let address = listener.local_addr().unwrap_or(address);
    let base_url = format!(
        "{}://{address}/api/v1",
        if has_tls { "https" } else { "http" }
    );
    let config = app.config();
    let bootstrap = startup::bootstrap(
        &*app.accounts,
        &config,
        server.clock.now(),
        &SystemRandomness,
        |bootstrap| match &bootstrap_file {
            Some(path) => {
                bootstrap
                    .write(path, &base_url)
                    .map_err(|source| StartError::Bootstrap {
                        path: path.clone(),
                        source,
                    })
            }
            None => Ok(()),
        },
    )
    .await?;
    // A reader of the startup message may send requests and signals immediately.
    let _ = engine.await;
    let failed = |e: std::io::Error| StartError::Storage(format!("signals: {e}"));
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // With a handler, exceeding the limit fails the write instead of ending the process.
    let _file_size = signal(SignalKind::from_raw(SIGXFSZ)).map_err(failed)?;
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
    if let Some(path) = &server.new_ring {
        text.push_str(&format!(
            "The key ring was created: {}. Keep a copy in another place: without it, nothing that is sealed in the data folder can be read again.\n\n",
            path.display()
        ));
    }
    text.push_str(&startup::providers(&config, &base_url, shown));
    for warning in &warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    drop(out);

    let (for_signals, tls_for_signals) = (server.clone(), tls.clone());
    let stop = async move {
        let mut clock = tokio::time::interval(Duration::from_secs(10));
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    let (server, sources, tls) = (for_signals.clone(), sources.clone(), tls_for_signals.clone());
                    // Reloading reads files and compiles rules.
                    let _ = tokio::task::spawn_blocking(move || reload(&server, &sources, tls.as_ref())).await;
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = clock.tick() => for_signals.clock.follow(),
            }
        }
        for_signals.observer.emit(&Event::Stopping);
    };
    let watching = tokio::spawn({
        let server = server.clone();
        async move { watch_storage(&server).await }
    });
    let service = Service::new(app.clone());
    let exposing = metrics.map(|listener| {
        let router = service.metrics();
        tokio::spawn(async move { axum::serve(listener, router).await })
    });
    listen::serve(service, listener, tls, stop).await;
    watching.abort();
    if let Some(exposing) = exposing {
        exposing.abort();
    }
    let log = server.log.clone();
    let _ = tokio::task::spawn_blocking(move || log.close()).await;
    server.observer.flush();
    Ok(())
}

/// Reloads the configuration and the certificate.
fn reload(server: &Server, sources: &Sources, tls: Option<&Tls>) {
    let (Some(config), Some(tls)) = (server.reload(sources), tls) else {
        return;
    };
    if let Err(e) = tls.reload(&config) {
        server.observer.emit(&Event::CertificateRejected {
            reason: &e.to_string(),
        });
    }
}

/// Creates another inference key and management key for the first account, and returns them as
/// text. If `revoke_old` is true, revokes every other key of the account. The server must not be
/// running.
pub async fn new_keys(config: &Config, revoke_old: bool) -> Result<String, StartError> {
    let none = || no_account(config);
    let _lock = lock_existing(config)?;
    let (database, _) = Database::open(&config.data_dir, &mut progress::migration())?;
    let old = match database.first_account().await? {
        Some(account) if revoke_old => database.keys(&account.id, SystemClock::new().now()).await?,
        _ => Vec::new(),
    };
    let keys = startup::new_keys(&database, SystemClock::new().now(), &SystemRandomness)
        .await?
        .ok_or_else(none)?;
    let mut revoked = 0;
    for old in old.iter().filter(|k| !k.record.revoked) {
        let mut record = old.record.clone();
        record.revoked = true;
        database.put_key(record, old.version).await?;
        revoked += 1;
    }
    let said = if revoke_old {
        format!("\n{revoked} older keys were revoked.\n")
    } else {
        String::new()
    };
    Ok(format!("{}{said}", keys.text()))
}

/// Recounts the usage totals of every hour that has its records. Returns a report, and true if all
/// totals were right.
pub fn recount_totals(config: &Config) -> Result<(String, bool), StartError> {
    let _lock = lock_existing(config)?;
    let found = Database::recount_totals(&config.data_dir, &mut progress::migration())?;
    let Recount {
        hours,
        totals,
        corrected,
    } = found;
    let counted = format!("{totals} totals of {hours} hours were recounted from their records");
    Ok(if corrected == 0 {
        (format!("{counted}: all were right."), true)
    } else {
        (
            format!("{counted}: {corrected} were wrong and have been corrected."),
            false,
        )
    })
}

fn no_account(config: &Config) -> StartError {
    let folder = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    StartError::Storage(format!(
        "there is no account in {}; give the server's folder with --data-dir, or start the server there first",
        folder.display()
    ))
}

/// Locks an existing data folder. Creates nothing, because the folder may be the wrong one.
fn lock_existing(config: &Config) -> Result<File, StartError> {
    if !config.data_dir.is_dir() {
        return Err(no_account(config));
    }
    lock_data_dir(config).map_err(|e| match e {
        StartError::InUse(folder) => StartError::Storage(format!(
            "{}: a server is running on this data folder; stop it first",
            folder.display()
        )),
        other => other,
    })
}

/// Locks the data folder for one server. A second one would import the journal while the first
/// writes it.
fn lock_data_dir(config: &Config) -> Result<File, StartError> {
    let folder = &config.data_dir;
    let fail = |e: std::io::Error| StartError::Storage(format!("{}: {e}", folder.display()));
    // Only its owner has access, because records contain addresses.
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

/// Reports storage that cannot be used: immediately, every minute while it lasts, and when it works
/// again.
async fn watch_storage(server: &Server) {
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    // Number of requests refused before the failure, and time of the last report.
    let mut trouble: Option<(u64, Instant)> = None;
    loop {
        ticks.tick().await;
        let all = server.observer.refused_so_far(503);
        let (journal, import) = (server.log.trouble(), server.log.import_trouble());
        let Some(error) = journal.as_ref().or(import.as_ref()) else {
            if let Some((before, _)) = trouble.take() {
                let refused = all.saturating_sub(before);
                server.observer.emit(&Event::StorageRecovered { refused });
            }
            continue;
        };
        let is_due = trouble.is_none_or(|(_, told)| told.elapsed() >= STORAGE_AGAIN);
        let (before, _) = *trouble.get_or_insert((all, Instant::now()));
        if is_due {
            trouble = Some((before, Instant::now()));
            let refused = all.saturating_sub(before);
            server.observer.emit(&if journal.is_some() {
                Event::JournalFailed { error, refused }
            } else {
                Event::ImportFailed { error, refused }
            });
        }
    }
}
