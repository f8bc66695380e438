//! The journal as the gateway's usage log: slots, records, and what is durable.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    thread::JoinHandle,
    time::Instant,
};

use anyrouter_core::{
    ids::{AccountId, RequestId},
    ports::{Filled, LogError, LogQuery, OpenRequest, UsageLog},
    time::Timestamp,
    usage::{Outcome, Record},
};
use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{
    Durability,
    file::{Journal, JournalError, Position},
    frame::{Entry, Frame, RecordEntry, entries},
    worker,
};
use crate::storage::{Database, StorageError, UsageTable};

/// How the log is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What a commit waits for.
    pub durability: Durability,
    /// Requests that may be open at once; more wait.
    pub slots: usize,
    /// A segment of more bytes is left for a new one.
    pub segment: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            slots: 10_000,
            segment: 8 << 20,
        }
    }
}

/// Usage records: a journal before a database.
pub struct JournalLog {
    pub(super) shared: Arc<Shared>,
    database: Database,
    threads: Mutex<(Vec<JoinHandle<()>>, Option<JoinHandle<()>>)>,
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
    pub(super) segment: u64,
    /// Appended to by many at once; held alone to begin or to drop a segment.
    pub(super) journal: RwLock<Journal>,
    /// The slots that are taken, the oldest first.
    pub(super) open: Mutex<BTreeMap<RequestId, Taken>>,
    /// Records that could not be written yet, or (`async`) were not. Each still has its slot, so
    /// that there are no more of them than slots.
    pub(super) held: Mutex<VecDeque<Record>>,
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
    /// How much of the journal the database has.
    pub(super) imported: Mutex<Position>,
    /// No open entry before this is needed: each request that is still open has one behind it.
    pub(super) carried: Mutex<Position>,
    /// Why the database does not take records, if it does not.
    pub(super) import_trouble: Mutex<Option<String>>,
    /// Everything is in the journal that will be: import it, and end.
    pub(super) closing: Mutex<bool>,
    pub(super) import_now: Condvar,
    pub(super) permits: Semaphore,
}

pub(super) struct Taken {
    pub(super) open: Arc<OpenRequest>,
    pub(super) since: Instant,
    /// How often the request had changed when the journal's entry of it was written; none where
    /// there is no entry.
    pub(super) entered: Option<u32>,
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
    /// Opens the journal in `folder`: what it holds goes into the database first, and what was left
    /// open becomes a record with the outcome `interrupted`. `observer` sees every record as it is
    /// written.
    pub fn open(
        folder: &Path,
        database: Database,
        mut table: UsageTable,
        options: Options,
        now: Timestamp,
        observer: impl Fn(&Record) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let mut journal = Journal::open(folder, options.durability == Durability::PowerLoss)?;
        worker::recover(&mut journal, &mut table, now)?;
        let imported = journal.current_start();
        let shared = Arc::new(Shared {
            durability: options.durability,
            segment: options.segment,
            journal: RwLock::new(journal),
            open: Mutex::default(),
            held: Mutex::default(),
            broken: Mutex::default(),
            is_broken: AtomicBool::new(false),
            sync: Mutex::default(),
            sync_wanted: Condvar::new(),
            stopping: AtomicBool::new(false),
            idle: Mutex::default(),
            is_idle: AtomicBool::new(false),
            work: Condvar::new(),
            imported: Mutex::new(imported),
            carried: Mutex::new(imported),
            import_trouble: Mutex::default(),
            closing: Mutex::default(),
            import_now: Condvar::new(),
            permits: Semaphore::new(options.slots.min(Semaphore::MAX_PERMITS)),
        });
        let failed = |e| StorageError::new("the journal's threads", e);
        let mut threads = vec![worker::start(shared.clone()).map_err(failed)?];
        if options.durability == Durability::PowerLoss {
            threads.push(worker::start_sync(shared.clone()).map_err(failed)?);
        }
        let import = worker::start_import(shared.clone(), table).map_err(failed)?;
        Ok(Self {
            shared,
            database,
            threads: Mutex::new((threads, Some(import))),
            observer: Box::new(observer),
        })
    }

    /// Why records cannot be written now, if they cannot.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.shared.broken).clone()
    }

    /// Why the database does not take records, if it does not. The journal keeps them.
    pub fn import_trouble(&self) -> Option<String> {
        lock(&self.shared.import_trouble).clone()
    }

    /// The slots that are taken.
    pub fn open_slots(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Writes and imports everything, and ends the threads. Requests that are still open become
    /// `interrupted` at the next start.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.work.notify_all();
        self.shared.sync_wanted.notify_all();
        let (threads, import) = &mut *lock(&self.threads);
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
        *lock(&self.shared.closing) = true;
        self.shared.import_now.notify_all();
        if let Some(import) = import.take() {
            let _ = import.join();
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
    /// The journal, to append and to read.
    pub(super) fn journal(&self) -> RwLockReadGuard<'_, Journal> {
        self.journal.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal, to begin or to drop a segment.
    pub(super) fn journal_alone(&self) -> RwLockWriteGuard<'_, Journal> {
        self.journal.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a slot back, once its record is written: until then its open entry must not be dropped
    /// with its segment.
    pub(super) fn give_back(&self, id: RequestId) {
        lock(&self.open).remove(&id);
        self.permits.add_permits(1);
    }

    /// Writes a frame. Where that fails the log is broken until it succeeds.
    pub(super) fn append(&self, frame: serde_json::Result<Frame>) -> std::io::Result<u64> {
        let written = frame
            .map_err(std::io::Error::from)
            .and_then(|frame| self.journal().append(&frame));
        match written {
            Ok(()) if self.durability == Durability::PowerLoss => {
                let mut sync = lock(&self.sync);
                sync.written += 1;
                Ok(sync.written)
            }
            Ok(()) => Ok(0),
            Err(e) => {
                *lock(&self.broken) = Some(e.to_string());
                self.is_broken.store(true, Ordering::SeqCst);
                Err(e)
            }
        }
    }

    /// Gives `each` the records that the database does not have yet: those in memory, and the
    /// journal's entries. A record moves from memory to the journal to the database: read in that
    /// order, it is seen in one of them.
    fn not_imported(
        &self,
        mut held: impl FnMut(&Record),
        mut each: impl FnMut(&RecordEntry<'_>) -> serde_json::Result<()>,
    ) -> Result<(), LogError> {
        lock(&self.held).iter().for_each(&mut held);
        let stretches = {
            let journal = self.journal();
            journal.since(*lock(&self.imported))
        };
        let unreadable = |e: std::io::Error| LogError::Unreadable(e.to_string());
        for stretch in stretches {
            for entry in entries(&stretch.read().map_err(unreadable)?) {
                if let Entry::Record(entry) = entry {
                    each(&entry).map_err(|e| unreadable(e.into()))?;
                }
            }
        }
        Ok(())
    }
}

/// What becomes of a record that cannot be written now. What would have been an answer ends for its
/// client in an error, and says so.
fn not_committed(record: &Record) -> Record {
    let mut record = record.clone();
    if record.outcome == Outcome::Ok {
        record.outcome = Outcome::StorageError;
        record.http_status = if record.streamed { 200 } else { 503 };
        record.error_code = Some("storage_unavailable".to_owned());
    }
    record
}

#[async_trait]
impl UsageLog for JournalLog {
    async fn take(&self, open: &Arc<OpenRequest>) -> Result<(), LogError> {
        let shared = &self.shared;
        if shared.is_broken.load(Ordering::SeqCst) {
            return Err(LogError::Unavailable(self.trouble().unwrap_or_default()));
        }
        let permit = shared
            .permits
            .acquire()
            .await
            .map_err(|_| LogError::Unavailable("the log is closed".to_owned()))?;
        permit.forget();
        lock(&shared.open).insert(
            open.id(),
            Taken {
                open: open.clone(),
                since: Instant::now(),
                entered: None,
            },
        );
        if shared.is_idle.swap(false, Ordering::SeqCst) {
            *lock(&shared.idle) = false;
            shared.work.notify_all();
        }
        Ok(())
    }

    fn fill(&self, record: &Record) -> Filled {
        let shared = &self.shared;
        if !lock(&shared.open).contains_key(&record.id) {
            return Filled::Durable;
        }
        if shared.durability == Durability::Async {
            (self.observer)(record);
            lock(&shared.held).push_back(record.clone());
            return Filled::Durable;
        }
        let written = if shared.is_broken.load(Ordering::SeqCst) {
            None
        } else {
            shared.append(Frame::record(record)).ok()
        };
        match written {
            Some(mark) => {
                shared.give_back(record.id);
                (self.observer)(record);
                if shared.durability == Durability::ProcessCrash {
                    return Filled::Durable;
                }
                shared.sync_wanted.notify_one();
                Filled::Written(mark)
            }
            None => {
                let record = not_committed(record);
                (self.observer)(&record);
                lock(&shared.held).push_back(record);
                Filled::Held
            }
        }
    }

    fn poll_durable(
        &self,
        filled: &mut Filled,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LogError>> {
        match filled {
            Filled::Durable => Poll::Ready(Ok(())),
            Filled::Held => Poll::Ready(Err(LogError::Unavailable(
                self.trouble().unwrap_or_default(),
            ))),
            Filled::Written(mark) => {
                let mut sync = lock(&self.shared.sync);
                if sync.synced >= *mark {
                    return Poll::Ready(Ok(()));
                }
                if sync.failed {
                    return Poll::Ready(Err(LogError::Unavailable(
                        "the disk did not take the record".to_owned(),
                    )));
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
        // First what is not imported, then the database: a record that moves between the two is
        // seen in one of them.
        let mut found = None;
        let in_memory = |r: &Record| r.id == id && r.account == *account;
        let mut held = None;
        self.shared.not_imported(
            |r| held = in_memory(r).then(|| r.clone()).or(held.take()),
            |entry| {
                if entry.id == id && entry.account == account.as_str() {
                    found = Some(entry.record()?);
                }
                Ok(())
            },
        )?;
        match found.or(held) {
            Some(record) => Ok(Some(record)),
            None => self
                .database
                .usage_find(account.clone(), id)
                .await
                .map_err(|e| LogError::Unreadable(e.to_string())),
        }
    }

    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, LogError> {
        let (mut held, mut out) = (Vec::new(), Vec::new());
        self.shared.not_imported(
            |r| held.extend((r.account == *account).then(|| r.clone())),
            |entry| {
                if entry.account == account.as_str() {
                    out.push(entry.record()?);
                }
                Ok(())
            },
        )?;
        out.extend(held);
        out.retain(|r| query.wants(r));
        let known = self
            .database
            .usage_list(account.clone(), query.clone())
            .await
            .map_err(|e| LogError::Unreadable(e.to_string()))?;
        out.extend(known);
        out.sort_by_key(|r| std::cmp::Reverse(r.id));
        out.dedup_by_key(|r| r.id);
        out.truncate(query.limit);
        Ok(out)
    }
}
