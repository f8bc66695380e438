//! SQLite: accounts, keys, settings and imported usage records. One thread owns the connection that
//! serves requests; the journal's thread has one of its own for bulk imports.

mod accounts;
mod schema;
mod usage;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyrouter_core::{account::Caller, key::KeyHash};
use quick_cache::sync::Cache;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

pub use self::{
    accounts::{Account, KeyRow},
    usage::UsageTable,
};

/// The database cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct StorageError {
    what: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StorageError {
    /// What could not be done, and why.
    pub fn new(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(source: rusqlite::Error) -> Self {
        Self::new("the database", source)
    }
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Callers that were looked up, kept until their key or account changes. Only the database's thread
/// writes to it, in the order in which it changes rows, so that what was changed is never served
/// again.
type Callers = Arc<Cache<KeyHash, Arc<Caller>>>;

/// How many callers are kept: some 2 KB each, for those that call.
const CALLERS: usize = 1 << 17;
/// How many jobs may wait.
const QUEUE: usize = 1024;

/// The database, as a handle that can be cloned.
#[derive(Clone)]
pub struct Database {
    jobs: mpsc::Sender<Job>,
    callers: Callers,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Opens or makes the database in `folder`, and starts its thread. Gives the usage table's own
    /// connection beside it.
    pub fn open(folder: &Path) -> Result<(Self, UsageTable), StorageError> {
        let path = folder.join("anyrouter.db");
        let mut connection = connect(&path, "FULL")?;
        schema::migrate(&mut connection)?;
        let table = UsageTable::new(connect(&path, "NORMAL")?);
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let run = move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection);
            }
            let _ = connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
        };
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(run)
            .map_err(|e| StorageError::new("the database's thread", e))?;
        Ok((
            Self {
                jobs,
                callers: Arc::new(Cache::new(CALLERS)),
            },
            table,
        ))
    }

    /// Runs `job` on the database's thread, in its turn.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (give, take) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = give.send(job(connection));
        });
        let ended = |_| StorageError::new("the database", "its thread has ended");
        self.jobs
            .send(job)
            .await
            .map_err(|e| ended(e.to_string()))?;
        take.await.map_err(|e| ended(e.to_string()))?
    }

    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.run(|c| Ok(c.query_row("SELECT 1", [], |_| Ok(()))?))
            .await
    }
}

fn connect(path: &PathBuf, synchronous: &str) -> Result<Connection, StorageError> {
    let fail =
        |e: rusqlite::Error| StorageError::new(format!("the database at {}", path.display()), e);
    let connection = Connection::open(path).map_err(fail)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(fail)?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(fail)?;
    connection
        .pragma_update(None, "synchronous", synchronous)
        .map_err(fail)?;
    connection
        .pragma_update(None, "secure_delete", "ON")
        .map_err(fail)?;
    connection
        .pragma_update(None, "foreign_keys", "ON")
        .map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
