//! What the requests and the journal's threads share: the open segment, the slots that are taken,
//! the records that wait, and what the disk has.

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

/// How many stretches of lost records are told apart. Of more, the oldest two are taken as one.
const LOST: usize = 1024;

pub(super) struct Shared {
    pub(super) durability: Durability,
    pub(super) segment: u64,
    /// Appended to by many at once; held alone to begin or to drop a segment. Taken after `syncing`
    /// and before every other lock.
    journal: RwLock<Journal>,
    /// Held for one sync: of an error that the kernel reports only once, all must hear.
    syncing: Mutex<()>,
    pub(super) disk: Mutex<DiskState>,
    pub(super) sync_wanted: Condvar,
    /// The slots that are taken, the oldest first.
    pub(super) open: Mutex<BTreeMap<RequestId, OpenSlot>>,
    /// Records that could not be written yet, or (`async`) were not. Each still has its slot, so
    /// that there are no more of them than slots.
    pub(super) held: Mutex<VecDeque<Record>>,
    /// Why records cannot be written now.
    pub(super) broken: Mutex<Option<StoreError>>,
    pub(super) is_broken: AtomicBool,
    pub(super) stopping: AtomicBool,
    /// The worker sleeps, and wants to be told when there is something to do.
    pub(super) idle: Mutex<bool>,
    pub(super) is_idle: AtomicBool,
    pub(super) work: Condvar,
    /// The beginning of a segment that what is open is being written to anew.
    pub(super) carrying: Mutex<Option<Position>>,
    /// No open entry before this is needed: each request that is still open has one behind it.
    pub(super) carried: Mutex<Position>,
    /// How much of the journal the database has.
    pub(super) imported: Mutex<Position>,
    /// Why the database does not take records, if it does not.
    pub(super) import_trouble: Mutex<Option<StoreError>>,
    /// Everything is in the journal that will be: import it, and end.
    pub(super) closing: Mutex<bool>,
    pub(super) import_now: Condvar,
    pub(super) permits: Semaphore,
}

/// A slot that is taken.
pub(super) struct OpenSlot {
    pub(super) open: Arc<OpenRequest>,
    pub(super) since: Instant,
    /// How often the request had changed when the journal's entry of it was written; none where
    /// there is no entry.
    pub(super) entered: Option<u32>,
    /// It has its record, which is not as durable yet as it must be.
    pub(super) is_filled: bool,
}

/// What was written and what the disk has, counted in records (`power_loss`).
#[derive(Default)]
pub(super) struct DiskState {
    written: u64,
    synced: u64,
    /// What the disk has for certain.
    on_disk: Position,
    /// Records that a failed sync was to cover: they are lost, whatever a later one says.
    lost: VecDeque<RangeInclusive<u64>>,
    /// The records behind `synced`, in order: to be written again where the disk loses them.
    unsynced: VecDeque<(u64, RequestId, Frame)>,
    waiting: Vec<Waker>,
}

/// What became of a record that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// It is there.
    Yes,
    /// The disk did not take it.
    Lost,
    /// That is not known yet.
    Unknown,
}

impl DiskState {
    /// What became of a record.
    pub(super) fn state(&self, mark: u64) -> OnDisk {
        if self.lost.iter().any(|range| range.contains(&mark)) {
            OnDisk::Lost
        } else if mark <= self.synced {
            OnDisk::Yes
        } else {
            OnDisk::Unknown
        }
    }

    /// Has `waker` woken when more is known.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|w| w.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// Returns true if there is something to bring to disk.
    pub(super) fn is_behind(&self) -> bool {
        self.synced < self.written
    }

    /// Everything behind `synced` is lost.
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
    /// Around a journal that has nothing in it that the database has not.
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

    /// The journal, to append and to read.
    pub(super) fn journal(&self) -> RwLockReadGuard<'_, Journal> {
        self.journal.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal, to begin or to drop a segment.
    pub(super) fn journal_alone(&self) -> RwLockWriteGuard<'_, Journal> {
        self.journal.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn syncs(&self) -> bool {
        self.durability == Durability::PowerLoss
    }

    /// Gives a slot back, once its record is as durable as it must be: until then its open entry
    /// must not be dropped with its segment.
    pub(super) fn give_back(&self, id: RequestId) {
        if lock(&self.open).remove(&id).is_some() {
            self.permits.add_permits(1);
        }
    }

    /// Writes that a request is open, or padding.
    pub(super) fn append(&self, frame: serde_json::Result<Frame>) -> io::Result<()> {
        let written = frame
            .map_err(io::Error::from)
            .and_then(|frame| self.journal().append(&frame));
        written.inspect_err(|e| self.set_broken(e))
    }

    /// Writes a record, and gives its mark; its slot is given back once it is as durable as it must
    /// be.
    pub(super) fn append_record(&self, record: &Record) -> io::Result<u64> {
        let frame = Frame::record(record).map_err(io::Error::from)?;
        let journal = self.journal();
        journal.append(&frame).inspect_err(|e| self.set_broken(e))?;
        if !self.syncs() {
            drop(journal);
            self.give_back(record.id);
            return Ok(0);
        }
        // Counted before the journal is let go: who holds it alone has everything counted.
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

    /// Brings everything that was written to disk. Where the disk does not take it, the segment is
    /// abandoned.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.sync_alone(&lock(&self.syncing))
    }

    /// Records can be written again, once what was written last is on disk.
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
        // What stands in an older segment was brought to disk when that was left, or is lost.
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

    /// Begins a new segment, and has what is still open written to it. Older ones are dropped once
    /// that is done and the database has them: until then they say all that they said, so that a
    /// crash between any two steps loses nothing and doubles nothing.
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

    /// The disk has the records up to `goal`, which end at `end`.
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

    /// A sync failed: the kernel may have dropped what it was to bring to disk, and that a later
    /// one succeeds proves nothing. So what was written since the last one is lost, and is written
    /// again to a new segment, as records of requests that were not answered. Gives whether there
    /// is a new segment.
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

    /// The part of the journal that the database may have: what the disk may still lose must not be
    /// there with another outcome.
    pub(super) fn importable(&self) -> Vec<Stretch> {
        let journal = self.journal();
        let stretches = journal.since(*lock(&self.imported));
        if !self.syncs() {
            return stretches;
        }
        let end = lock(&self.disk).on_disk;
        stretches.into_iter().map(|s| s.before(end)).collect()
    }

    /// Gives `each` the records that the database does not have yet: those in memory, and the
    /// journal's entries. A record moves from memory to the journal to the database: read in that
    /// order, it is seen in one of them. Reads files, so it is not for an async worker.
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

/// What becomes of a record that cannot be written now. What would have been an answer ends for its
/// client in an error, and says so.
pub(super) fn not_committed(record: &Record) -> Record {
    let mut record = record.clone();
    if record.outcome == Outcome::Ok {
        record.outcome = Outcome::StorageError;
        record.http_status = if record.streamed { 200 } else { 503 };
        record.error_code = Some("storage_unavailable".to_owned());
    }
    record
}
