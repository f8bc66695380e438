//! State that the requests and the journal's threads share: the current segment, the taken slots,
//! the held records and the state of the disk.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::RangeInclusive,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Instant,
};

use anyrouter_core::{
    ids::RequestId,
    ports::{OpenRequest, StoreError},
    usage::{Outcome, Record, RowFault},
};
use tokio::sync::Semaphore;

use super::{
    Durability, Options,
    file::{Journal, Position, Stretch},
    frame::{Entry, Frame, RecordEntry, entries},
};

/// Maximum number of separate ranges of lost records; beyond it, the oldest two are merged.
const LOST: usize = 1024;

pub(super) struct Shared {
    pub(super) durability: Durability,
    pub(super) segment: u64,
    /// Locked for reading to append, and for writing to begin or to drop a segment. Locked after
    /// `syncing` and before every other lock.
    journal: RwLock<Journal>,
    /// Locked during a sync, because the kernel reports an error to only one of several syncs.
    syncing: Mutex<()>,
    pub(super) disk: Mutex<DiskState>,
    pub(super) sync_wanted: Condvar,
    /// Taken slots, oldest first.
    pub(super) open: Mutex<BTreeMap<RequestId, OpenSlot>>,
    /// Records that could not be written yet or, with `async`, have not been. Each keeps its slot,
    /// which limits their number.
    pub(super) held: Mutex<VecDeque<Record>>,
    /// Reason that records cannot be written now.
    pub(super) broken: Mutex<Option<StoreError>>,
    pub(super) is_broken: AtomicBool,
    pub(super) stopping: AtomicBool,
    /// True while the worker sleeps and must be woken when there is work.
    pub(super) idle: Mutex<bool>,
    pub(super) is_idle: AtomicBool,
    pub(super) work: Condvar,
    /// Start of the segment to which the open entries are being rewritten.
    pub(super) carrying: Mutex<Option<Position>>,
    /// Position before which no open entry is needed: each open request has one after it.
    pub(super) carried: Mutex<Position>,
    /// End of the imported part of the journal.
    pub(super) imported: Mutex<Position>,
    /// Reason that the database does not accept records, if any.
    pub(super) import_trouble: Mutex<Option<StoreError>>,
    /// True once the journal is complete: the import thread imports it and ends.
    pub(super) closing: Mutex<bool>,
    pub(super) import_now: Condvar,
    pub(super) permits: Semaphore,
}

/// A taken slot.
pub(super) struct OpenSlot {
    pub(super) open: Arc<OpenRequest>,
    pub(super) since: Instant,
    /// Number of changes to the request when its open entry was written, or `None` if there is no
    /// entry.
    pub(super) entered: Option<u32>,
    /// True if the request has its record, which is not durable yet.
    pub(super) is_filled: bool,
}

/// Written and synced records, identified by consecutive numbers (`power_loss`).
#[derive(Default)]
pub(super) struct DiskState {
    written: u64,
    synced: u64,
    /// End of the data that is certainly on disk.
    on_disk: Position,
    /// Records covered by a failed sync, which are lost even if a later sync succeeds.
    lost: VecDeque<RangeInclusive<u64>>,
    /// Records after `synced`, in order, to be written again if the disk loses them.
    unsynced: VecDeque<(u64, RequestId, Frame)>,
    waiting: Vec<Waker>,
}

/// State of a written record on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// The record is on disk.
    Yes,
    /// The disk did not store the record.
    Lost,
    /// The state is not known yet.
    Unknown,
}

impl DiskState {
    /// Returns the state of a record.
    pub(super) fn state(&self, mark: u64) -> OnDisk {
        if self.lost.iter().any(|range| range.contains(&mark)) {
            OnDisk::Lost
        } else if mark <= self.synced {
            OnDisk::Yes
        } else {
            OnDisk::Unknown
        }
    }

    /// Wakes `waker` when a state changes.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|w| w.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// Returns true if there are records to sync.
    pub(super) fn is_behind(&self) -> bool {
        self.synced < self.written
    }

    /// Marks all records after `synced` as lost.
    fn lose(&mut self) {
        let (first, last) = (self.synced + 1, self.written);
        if first > last {
            return;
        }
        self.synced = last;
        match self.lost.back_mut() {
            Some(range) if *range.end() + 1 == first => *range = *range.start()..=last,
            _ => self.lost.push_back(first..=last),
        }
        if self.lost.len() > LOST
            && let (Some(oldest), Some(next)) = (self.lost.pop_front(), self.lost.pop_front())
        {
            self.lost.push_front(*oldest.start()..=*next.end());
        }
    }

    fn wake(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Creates the state of a journal whose records are all imported.
    pub(super) fn new(journal: Journal, options: Options) -> Self {
        let start = journal.current_start();
        Self {
            durability: options.durability,
            segment: options.segment,
            journal: RwLock::new(journal),
            syncing: Mutex::default(),
            disk: Mutex::new(DiskState {
                on_disk: start,
                ..DiskState::default()
            }),
            sync_wanted: Condvar::new(),
            open: Mutex::default(),
            held: Mutex::default(),
            broken: Mutex::default(),
            is_broken: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            idle: Mutex::default(),
            is_idle: AtomicBool::new(false),
            work: Condvar::new(),
            carrying: Mutex::default(),
            carried: Mutex::new(start),
            imported: Mutex::new(start),
            import_trouble: Mutex::default(),
            closing: Mutex::default(),
            import_now: Condvar::new(),
            permits: Semaphore::new(options.slots.min(Semaphore::MAX_PERMITS)),
        }
    }

    /// Locks the journal for appending and reading.
    pub(super) fn journal(&self) -> RwLockReadGuard<'_, Journal> {
        self.journal.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the journal exclusively, to begin or to drop a segment.
    pub(super) fn journal_alone(&self) -> RwLockWriteGuard<'_, Journal> {
        self.journal.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn syncs(&self) -> bool {
        self.durability == Durability::PowerLoss
    }

    /// Releases a slot once its record is durable. Until then, the open entry must not be dropped
    /// with its segment.
    pub(super) fn give_back(&self, id: RequestId) {
        if lock(&self.open).remove(&id).is_some() {
            self.permits.add_permits(1);
        }
    }

    /// Appends an open entry or padding.
    pub(super) fn append(&self, frame: serde_json::Result<Frame>) -> io::Result<()> {
        let written = frame
            .map_err(io::Error::from)
            .and_then(|frame| self.journal().append(&frame));
        written.inspect_err(|e| self.set_broken(e))
    }

    /// Appends a record and returns its mark. Its slot is released once the record is durable.
    pub(super) fn append_record(&self, record: &Record) -> io::Result<u64> {
        let frame = Frame::record(record).map_err(io::Error::from)?;
        let journal = self.journal();
        journal.append(&frame).inspect_err(|e| self.set_broken(e))?;
        if !self.syncs() {
            drop(journal);
            self.give_back(record.id);
            return Ok(0);
        }
        // Counted before the journal is unlocked, so that an exclusive lock sees a complete count.
        let mut disk = lock(&self.disk);
        disk.written += 1;
        let mark = disk.written;
        disk.unsynced.push_back((mark, record.id, frame));
        Ok(mark)
    }

    fn set_broken(&self, why: &io::Error) {
        let why = io::Error::new(why.kind(), why.to_string());
        *lock(&self.broken) = Some(why.into());
        self.is_broken.store(true, Ordering::SeqCst);
    }

    /// Syncs all written data to disk. If that fails, abandons the segment.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.sync_alone(&lock(&self.syncing))
    }

    /// Permits records to be written again, once the last writes are on disk.
    pub(super) fn mend(&self) -> io::Result<()> {
        let one = lock(&self.syncing);
        if self.syncs() {
            self.sync_alone(&one)?;
        }
        *lock(&self.broken) = None;
        self.is_broken.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn sync_alone(&self, _one: &MutexGuard<'_, ()>) -> io::Result<()> {
        let (segment, goal) = {
            let journal = self.journal();
            (journal.current().clone(), lock(&self.disk).written)
        };
        // The records of an older segment were synced when it was closed, or are lost.
        let synced = segment
            .end_position()
            .and_then(|end| segment.sync().map(|()| end));
        match synced {
            Ok(end) => {
                self.synced(goal, end);
                Ok(())
            }
            Err(e) => {
                self.abandon(&mut self.journal_alone(), &e);
                Err(e)
            }
        }
    }

    /// Begins a new segment and has the open entries rewritten to it. Older segments are dropped
    /// once that is done and the database has them. Until then they stay complete, so that a crash
    /// between two steps neither loses nor duplicates a record. Returns true if there is a new
    /// segment.
    pub(super) fn rotate(&self) -> bool {
        let _one = lock(&self.syncing);
        let mut journal = self.journal_alone();
        if self.syncs() {
            let segment = journal.current().clone();
            match segment.sync().and_then(|()| segment.end_position()) {
                Ok(end) => {
                    let written = lock(&self.disk).written;
                    self.synced(written, end);
                }
                Err(e) => return self.abandon(&mut journal, &e),
            }
        }
        self.begin_segment(&mut journal)
    }

    fn begin_segment(&self, journal: &mut Journal) -> bool {
        if journal.rotate().is_err() {
            return false;
        }
        for taken in lock(&self.open).values_mut() {
            taken.entered = None;
        }
        *lock(&self.carrying) = Some(journal.current_start());
        true
    }

    /// Marks the records up to `goal`, which end at `end`, as on disk.
    fn synced(&self, goal: u64, end: Position) {
        let done: Vec<RequestId> = {
            let mut disk = lock(&self.disk);
            disk.synced = disk.synced.max(goal);
            disk.on_disk = disk.on_disk.max(end);
            disk.wake();
            let count = disk.unsynced.partition_point(|(mark, ..)| *mark <= goal);
            disk.unsynced.drain(..count).map(|(_, id, _)| id).collect()
        };
        for id in done {
            self.give_back(id);
        }
    }

    /// Abandons the segment after a failed sync. The kernel may have dropped the data, and the
    /// success of a later sync would prove nothing. The records since the last sync are therefore
    /// lost, and are written again to a new segment, as records of requests that were not answered.
    /// Returns true if there is a new segment.
    fn abandon(&self, journal: &mut Journal, why: &io::Error) -> bool {
        self.set_broken(why);
        let mut disk = lock(&self.disk);
        journal.abandon(disk.on_disk);
        {
            let mut held = lock(&self.held);
            for (_, _, frame) in disk.unsynced.drain(..) {
                if let Some(Entry::Record(entry)) = entries(frame.bytes()).next()
                    && let Ok(record) = entry.record()
                {
                    held.push_back(not_committed(&record));
                }
            }
        }
        disk.lose();
        disk.wake();
        drop(disk);
        self.begin_segment(journal)
    }

    /// Returns the part of the journal that may be imported. A record that the disk may still lose
    /// must not be imported, because it would be written again with another outcome.
    pub(super) fn importable(&self) -> Vec<Stretch> {
        let journal = self.journal();
        let stretches = journal.since(*lock(&self.imported));
        if !self.syncs() {
            return stretches;
        }
        let end = lock(&self.disk).on_disk;
        stretches.into_iter().map(|s| s.before(end)).collect()
    }

    /// Passes the records that are not imported yet to the callbacks: those in memory to `held`,
    /// and the journal's entries to `each`. A record moves from memory to the journal to the
    /// database, so this order misses none. Reads files, so it must not run on an async worker.
    pub(super) fn not_imported(
        &self,
        mut held: impl FnMut(&Record),
        mut each: impl FnMut(&RecordEntry<'_>) -> Result<(), RowFault>,
    ) -> io::Result<()> {
        lock(&self.held).iter().for_each(&mut held);
        let stretches = {
            let journal = self.journal();
            journal.since(*lock(&self.imported))
        };
        for stretch in stretches {
            for entry in entries(&stretch.read()?) {
                if let Entry::Record(entry) = entry {
                    each(&entry).map_err(corrupt)?;
                }
            }
        }
        Ok(())
    }
}

fn corrupt(fault: RowFault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

/// Returns the record to keep for one that cannot be written now. A successful outcome becomes a
/// storage error, which is also what the client receives.
pub(super) fn not_committed(record: &Record) -> Record {
    let mut record = record.clone();
    if record.outcome == Outcome::Ok {
        record.outcome = Outcome::StorageError;
        record.http_status = if record.streamed { 200 } else { 503 };
        record.error_code = Some("storage_unavailable".to_owned());
    }
    record
}
