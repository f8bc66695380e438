//! Read-only connections. There are several, so that a long query delays neither the thread that
//! changes accounts and looks up callers, nor all other readers.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyrouter_core::ports::StoreError;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::Failure;

/// Maximum number of concurrent queries; further queries wait.
const CONNECTIONS: usize = 4;
/// Time after which a query is interrupted: its client has gone, or it asks for too much.
const LONGEST: Duration = Duration::from_secs(20);
/// Instructions of SQLite's virtual machine between two time checks: some tens of microseconds.
const LOOK: i32 = 10_000;

/// Idle connections, and permits for all connections.
#[derive(Clone)]
pub(super) struct Readers {
    path: Arc<Path>,
    room: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path: path.into(),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            idle: Arc::default(),
        }
    }

    /// Runs `job` on a connection, on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = |e: &dyn std::fmt::Display| StoreError::Unavailable(e.to_string());
        // Held by the job, because the connection stays in use after its caller has gone.
        let room = self
            .room
            .clone()
            .acquire_owned()
            .await
            .map_err(|e| ended(&e))?;
        let readers = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _room = room;
            let connection = match readers.idle().pop() {
                Some(connection) => connection,
                None => open(&readers.path)?,
            };
            let start = Instant::now();
            connection.progress_handler(LOOK, Some(move || start.elapsed() > LONGEST));
            let result = job(&connection);
            readers.idle().push(connection);
            Ok(result?)
        });
        reading.await.map_err(|e| ended(&e))?
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
