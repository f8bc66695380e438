//! The journal as the gateway's usage log: slots, records, and what is durable.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    thread::JoinHandle,
};

use anyrouter_core::{
    ids::{AccountId, RequestId},
    ports::{Filled, LogError, LogQuery, UsageLog},
    time::Timestamp,
    usage::{Opening, Outcome, Record},
};
use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{Durability, Entry, Journal, JournalError, worker};
use crate::storage::{Database, StorageError, UsageTable};

/// How the log is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What a commit waits for.
    pub durability: Durability,
    /// Requests that may be open at once; more wait.
    pub slots: usize,
}

/// Usage records: a journal before a database.
pub struct JournalLog {
    pub(super) shared: Arc<Shared>,
    database: Database,
    threads: Mutex<Vec<JoinHandle<()>>>,
    observer: Box<dyn Fn(&Record) + Send + Sync>,
}

impl std::fmt::Debug for JournalLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalLog").finish_non_exhaustive()
    }
}

/// What the requests and the threads share.
pub(super) struct Shared {
    pub(super) durability: Durability,
    pub(super) journal: Mutex<Journal>,
    /// The slots that are taken, the oldest first; whether each has its open entry.
    pub(super) open: Mutex<BTreeMap<RequestId, Taken>>,
    /// Records that could not be written yet, or (`async`) were not.
    pub(super) held: Mutex<VecDeque<Record>>,
    /// Records of older segments that the database does not have yet.
    pub(super) backlog: Mutex<Vec<Record>>,
    /// Why records cannot be written now.
    pub(super) broken: Mutex<Option<String>>,
    pub(super) is_broken: AtomicBool,
    pub(super) sync: Mutex<DiskState>,
    pub(super) sync_wanted: Condvar,
    pub(super) stopping: AtomicBool,
    /// The worker sleeps, and wants to be told when there is something to do.
    pub(super) idle: Mutex<bool>,
    pub(super) is_idle: AtomicBool,
    pub(super) work: Condvar,
    /// How much of the current segment the database has.
    pub(super) imported: Mutex<u64>,
    permits: Semaphore,
}

pub(super) struct Taken {
    pub(super) opening: Opening,
    /// The journal has an entry of it.
    pub(super) entered: bool,
    /// More is known than that entry says.
    pub(super) changed: bool,
}

/// What was written and what the disk has, counted in appends.
#[derive(Default)]
pub(super) struct DiskState {
    pub(super) written: u64,
    pub(super) synced: u64,
    pub(super) failed: bool,
    pub(super) waiting: Vec<Waker>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl JournalLog {
    /// Opens the journal in `folder`: what it holds goes into the database first, and what was left open becomes a record with the
    /// outcome `interrupted`. `observer` sees every record as it is written.
    pub fn open(
        folder: &Path,
        database: Database,
        mut table: UsageTable,
        options: Options,
        now: Timestamp,
        observer: impl Fn(&Record) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let (journal, entries) = Journal::open(folder)?;
        table.insert(&worker::recovered(entries, now))?;
        journal.drop_before().map_err(|e| StorageError::new("the journal's old segments", e))?;
        let shared = Arc::new(Shared {
            durability: options.durability,
            journal: Mutex::new(journal),
            open: Mutex::default(),
            held: Mutex::default(),
            backlog: Mutex::default(),
            broken: Mutex::default(),
            is_broken: AtomicBool::new(false),
            sync: Mutex::default(),
            sync_wanted: Condvar::new(),
            stopping: AtomicBool::new(false),
            idle: Mutex::default(),
            is_idle: AtomicBool::new(false),
            work: Condvar::new(),
            imported: Mutex::new(0),
            permits: Semaphore::new(options.slots.min(Semaphore::MAX_PERMITS)),
        });
        let mut threads = vec![worker::start(shared.clone(), table).map_err(|e| StorageError::new("the journal's thread", e))?];
        if options.durability == Durability::PowerLoss {
            threads.push(worker::start_sync(shared.clone()).map_err(|e| StorageError::new("the journal's thread", e))?);
        }
        Ok(Self { shared, database, threads: Mutex::new(threads), observer: Box::new(observer) })
    }

    /// Why records cannot be written now, if they cannot.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.shared.broken).clone()
    }

    /// The slots that are taken.
    pub fn open_slots(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Writes and imports everything, and ends the threads. Requests that are still open become `interrupted` at the next start.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.work.notify_all();
        self.shared.sync_wanted.notify_all();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
    }
}

/// The log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The database cannot.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Shared {
    /// Keeps a record that cannot be written now. What would have been an answer ends for its client in an error, and says so.
    fn hold(&self, record: &Record) {
        let mut record = record.clone();
        if record.outcome == Outcome::Ok {
            record.outcome = Outcome::StorageError;
            record.http_status = if record.streamed { 200 } else { 503 };
            record.error_code = Some("storage_unavailable".to_owned());
        }
        lock(&self.held).push_back(record);
    }

    /// Writes an entry. Where that fails the log is broken until it succeeds.
    pub(super) fn append(&self, entry: &Entry) -> Result<u64, std::io::Error> {
        let written = lock(&self.journal).append(entry);
        match &written {
            Ok(()) => {
                let mut sync = lock(&self.sync);
                sync.written += 1;
                Ok(sync.written)
            }
            Err(e) => {
                *lock(&self.broken) = Some(e.to_string());
                self.is_broken.store(true, Ordering::SeqCst);
                written.map(|()| 0)
            }
        }
    }

    /// The records that the database does not have yet, the newest first. A record moves from memory to the journal to the database:
    /// read in that order, it is seen in one of them.
    fn not_imported(&self) -> Result<Vec<Record>, LogError> {
        let mut all: Vec<Record> = lock(&self.held).iter().cloned().collect();
        let entries = {
            let journal = lock(&self.journal);
            let from = *lock(&self.imported);
            // While the journal is held, nothing moves from its segment to the backlog.
            all.extend(lock(&self.backlog).iter().cloned());
            journal.entries_from(from).map_err(|e| LogError::Unreadable(e.to_string()))?
        };
        all.extend(entries.into_iter().filter_map(|e| if let Entry::Record(r) = e { Some(r) } else { None }));
        all.sort_by_key(|r| std::cmp::Reverse(r.id));
        all.dedup_by_key(|r| r.id);
        Ok(all)
    }
}

#[async_trait]
impl UsageLog for JournalLog {
    async fn take(&self, opening: &Opening) -> Result<(), LogError> {
        let shared = &self.shared;
        if shared.is_broken.load(Ordering::SeqCst) {
            return Err(LogError::Unavailable(self.trouble().unwrap_or_default()));
        }
        let permit = shared.permits.acquire().await.map_err(|_| LogError::Unavailable("the log is closed".to_owned()))?;
        permit.forget();
        lock(&shared.open).insert(opening.id, Taken { opening: opening.clone(), entered: false, changed: true });
        if shared.is_idle.swap(false, Ordering::SeqCst) {
            *lock(&shared.idle) = false;
            shared.work.notify_all();
        }
        Ok(())
    }

    fn note(&self, opening: &Opening) {
        if let Some(taken) = lock(&self.shared.open).get_mut(&opening.id) {
            taken.opening.clone_from(opening);
            taken.changed = true;
        }
    }

    fn fill(&self, record: &Record) -> Filled {
        let shared = &self.shared;
        let taken = lock(&shared.open).remove(&record.id);
        if taken.is_none() {
            return Filled::Durable;
        }
        shared.permits.add_permits(1);
        (self.observer)(record);
        if shared.durability == Durability::Async {
            lock(&shared.held).push_back(record.clone());
            return Filled::Durable;
        }
        if shared.is_broken.load(Ordering::SeqCst) {
            shared.hold(record);
            return Filled::Held;
        }
        match shared.append(&Entry::Record(record.clone())) {
            Ok(_) if shared.durability == Durability::ProcessCrash => Filled::Durable,
            Ok(mark) => {
                shared.sync_wanted.notify_one();
                Filled::Written(mark)
            }
            Err(_) => {
                shared.hold(record);
                Filled::Held
            }
        }
    }

    fn poll_durable(&self, filled: &mut Filled, cx: &mut Context<'_>) -> Poll<Result<(), LogError>> {
        match filled {
            Filled::Durable => Poll::Ready(Ok(())),
            Filled::Held => Poll::Ready(Err(LogError::Unavailable(self.trouble().unwrap_or_default()))),
            Filled::Written(mark) => {
                let mut sync = lock(&self.shared.sync);
                if sync.synced >= *mark {
                    return Poll::Ready(Ok(()));
                }
                if sync.failed {
                    return Poll::Ready(Err(LogError::Unavailable("the disk did not take the record".to_owned())));
                }
                if !sync.waiting.iter().any(|w| w.will_wake(cx.waker())) {
                    sync.waiting.push(cx.waker().clone());
                }
                drop(sync);
                self.shared.sync_wanted.notify_one();
                Poll::Pending
            }
        }
    }

    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, LogError> {
        // First what is not imported, then the database: a record that moves between the two is seen in one of them.
        if let Some(record) = self.shared.not_imported()?.into_iter().find(|r| r.id == id) {
            return Ok(Some(record).filter(|r| r.account == *account));
        }
        self.database.usage_find(account.clone(), id).await.map_err(|e| LogError::Unreadable(e.to_string()))
    }

    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, LogError> {
        let mut out: Vec<Record> =
            self.shared.not_imported()?.into_iter().filter(|r| r.account == *account && query.wants(r)).take(query.limit).collect();
        let known = self.database.usage_list(account.clone(), query.clone()).await.map_err(|e| LogError::Unreadable(e.to_string()))?;
        out.extend(known);
        out.sort_by_key(|r| std::cmp::Reverse(r.id));
        out.dedup_by_key(|r| r.id);
        out.truncate(query.limit);
        Ok(out)
    }
}
