//! SQLite storage of accounts, keys, settings and imported usage records. One thread owns the
//! connection that changes accounts and looks up callers. The journal's thread has its own
//! connection for bulk imports, and queries have others, so that no reader delays a request.

mod accounts;
mod columns;
mod key_spend;
mod readers;
mod schema;
mod sealed;
mod totals;
mod usage;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyrouter_core::{
    account::Caller, ids::AccountId, key::KeyHash, ports::StoreError, vault::KeyId,
};
use quick_cache::sync::Cache;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use self::readers::Readers;
pub use self::{columns::Progress, totals::Recount, usage::UsageTable};
use crate::vault::InUse;

/// Converts a number to SQLite's integer type; a larger one becomes its maximum.
fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// An error within the storage, into which `?` converts its sources. Callers outside receive a
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
        // Contains the position of the error, but none of the content.
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
            Failure::Sqlite(e) => match e.sqlite_error_code() {
                Some(
                    ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OperationInterrupted,
                ) => Self::Busy(e.to_string()),
                Some(ErrorCode::ConstraintViolation) => {
                    match e.sqlite_error().map(|e| e.extended_code) {
                        Some(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => {
                            Self::Absent(e.to_string())
                        }
                        Some(
                            rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                            | rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE,
                        ) => Self::Conflict(e.to_string()),
                        _ => Self::Unavailable(e.to_string()),
                    }
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

/// Cache of callers, kept until their key or account changes. Only the database's thread writes to
/// it, in the order of its changes to rows, so that an outdated caller is never served.
type Callers = Arc<Cache<KeyHash, Arc<Caller>>>;

/// Removes every caller of an account from the cache.
fn forget(callers: &Callers, account: &AccountId) {
    callers.retain(|_, caller| caller.key.account != *account);
}

/// Maximum number of cached callers, each of about 2 KB.
const CALLERS: usize = 1 << 17;
/// Name of the database file.
const FILE: &str = "anyrouter.db";
/// Maximum number of waiting jobs.
const QUEUE: usize = 1024;

/// A cloneable handle to the database.
#[derive(Clone)]
pub struct Database {
    jobs: mpsc::Sender<Job>,
    readers: Readers,
    callers: Callers,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Opens or creates the database in `folder`, and starts its thread. Also returns the usage
    /// table, which has its own connection. Reports long migrations to `progress`.
    pub fn open(
        folder: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Self, UsageTable), StoreError> {
        Ok(Self::open_at(folder, progress)?)
    }

    /// Returns the accounts' keys under each master key.
    pub(crate) fn in_use(folder: &Path) -> Result<BTreeMap<KeyId, InUse>, StoreError> {
        let connection = connect(&folder.join(FILE), "FULL")?;
        Ok(sealed::in_use(&connection)?)
    }

    /// Recounts the usage totals from the records, for every hour that has them.
    pub fn recount_totals(
        folder: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Recount, StoreError> {
        let mut connection = connect(&folder.join(FILE), "FULL")?;
        schema::migrate(&mut connection, progress)?;
        Ok(totals::recount(&mut connection)?)
    }

    fn open_at(
        folder: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Self, UsageTable), Failure> {
        let path = folder.join(FILE);
        let mut connection = connect(&path, "FULL")?;
        schema::migrate(&mut connection, progress)?;
        let table = UsageTable::new(connect(&path, "NORMAL")?);
        let readers = Readers::new(path);
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
                readers,
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

    /// Runs `job`, which changes nothing, on a separate connection.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.run(job).await
    }

    /// Checks that the database accepts a row and returns it. The row is rolled back.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.run(|c| {
            let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute("INSERT INTO app VALUES ('', 'a probe')", [])?;
            let back: String =
                transaction
                    .query_row("SELECT name FROM app WHERE account = ''", [], |r| r.get(0))?;
            transaction.rollback()?;
            if back == "a probe" {
                Ok(())
            } else {
                let what = "a row was not read back as written";
                Err(StoreError::Corrupt(what.to_owned()).into())
            }
        })
        .await
    }
}

fn connect(path: &Path, synchronous: &str) -> Result<Connection, StoreError> {
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
