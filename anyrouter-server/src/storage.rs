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

use anyrouter_core::{account::Caller, key::KeyHash, ports::StoreError};
use quick_cache::sync::Cache;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

pub use self::{
    accounts::{Account, KeyRow},
    usage::UsageTable,
};

/// An error within the storage, from which each `?` can be taken; to the outside it is a
/// [`StoreError`].
enum Failure {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sqlite(e)
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(e: serde_json::Error) -> Self {
        // Where it is malformed, and nothing of what stands there.
        Self::Store(StoreError::Corrupt(format!(
            "a row's JSON ({:?} error at byte {})",
            e.classify(),
            e.column()
        )))
    }
}

impl From<Failure> for StoreError {
    fn from(e: Failure) -> Self {
        use rusqlite::ErrorCode;
        match e {
            Failure::Store(e) => e,
            Failure::Sqlite(rusqlite::Error::QueryReturnedNoRows) => {
                Self::Absent("no such row".to_owned())
            }
            Failure::Sqlite(e) => match e.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    Self::Busy(e.to_string())
                }
                Some(ErrorCode::DiskFull) => Self::Full(e.to_string()),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Self::Corrupt(e.to_string())
                }
                _ => Self::Unavailable(e.to_string()),
            },
        }
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
    pub fn open(folder: &Path) -> Result<(Self, UsageTable), StoreError> {
        Ok(Self::open_at(folder)?)
    }

    fn open_at(folder: &Path) -> Result<(Self, UsageTable), Failure> {
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
            .map_err(|e| StoreError::from(e).during("the database's thread"))?;
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
        job: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (give, take) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = give.send(job(connection));
        });
        let ended = || StoreError::Unavailable("the database's thread has ended".to_owned());
        self.jobs.send(job).await.map_err(|_| ended())?;
        Ok(take.await.map_err(|_| ended())??)
    }

    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.run(|c| Ok(c.query_row("SELECT 1", [], |_| Ok(()))?))
            .await
    }
}

fn connect(path: &PathBuf, synchronous: &str) -> Result<Connection, StoreError> {
    let fail = |e: rusqlite::Error| {
        StoreError::from(Failure::from(e)).during(&format!("the database at {}", path.display()))
    };
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
