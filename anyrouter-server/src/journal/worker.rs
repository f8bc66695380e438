//! The threads behind the log: one writes open entries, retries what could not be written and
//! leaves segments that have grown; one imports; one, where a commit waits for the disk, brings the
//! journal there.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyrouter_core::{
    ids::RequestId,
    ports::OpenRequest,
    time::Timestamp,
    usage::{Opening, Record},
};

use super::{
    file::{Journal, Position},
    frame::{Entry, Frame, RecordEntry, entries},
    log::{OpenError, Shared, Taken, lock},
};
use crate::storage::{StorageError, UsageTable};

/// A request that is open for longer gets an open entry.
const OPEN_ENTRY: Duration = Duration::from_millis(10);
/// How often the worker looks while there is something to do.
const TICK: Duration = Duration::from_millis(5);
/// How long it goes on looking when there is nothing more to do: to wake it costs a request more
/// than a look does.
const LINGER: Duration = Duration::from_millis(100);
/// The time between two attempts to write while the journal cannot be written.
const BROKEN: Duration = Duration::from_millis(100);
/// How long records wait to be imported together.
const IMPORT: Duration = Duration::from_millis(200);

/// Brings into the database what an earlier process left in the journal: its records, and for each
/// request that was left open one that says `interrupted`. Then drops it.
pub(super) fn recover(
    journal: &mut Journal,
    table: &mut UsageTable,
    now: Timestamp,
) -> Result<(), OpenError> {
    let mut open: BTreeMap<RequestId, Opening> = BTreeMap::new();
    let mut ended: HashSet<RequestId> = HashSet::new();
    for stretch in journal.since(Position::default()) {
        let bytes = stretch
            .read()
            .map_err(|e| StorageError::new("the journal's older segments", e))?;
        let mut records = Vec::new();
        for entry in entries(&bytes) {
            match entry {
                Entry::Record(record) => {
                    open.remove(&record.id);
                    ended.insert(record.id);
                    records.push(record);
                }
                Entry::Open(entry) if !ended.contains(&entry.id) => {
                    open.extend(entry.opening().ok().map(|opening| (entry.id, opening)));
                }
                Entry::Open(_) => {}
            }
        }
        table.insert(&records)?;
    }
    let mut interrupted = Vec::new();
    for opening in open.into_values() {
        let mut record = Record::opened(opening);
        record.latency =
            u64::try_from(now.since(record.created_at).as_micros()).unwrap_or(u64::MAX);
        record.provider = record
            .endpoint
            .as_ref()
            .and_then(|e| e.as_str().split('/').next())
            .map(Into::into);
        let frame =
            Frame::record(&record).map_err(|e| StorageError::new("an interrupted request", e))?;
        interrupted.extend_from_slice(frame.bytes());
    }
    table.insert(&records(entries(&interrupted)))?;
    let start = journal.current_start();
    journal
        .drop_before(start)
        .map_err(|e| StorageError::new("the journal's older segments", e))?;
    Ok(())
}

fn records<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<RecordEntry<'a>> {
    entries
        .filter_map(|e| {
            if let Entry::Record(r) = e {
                Some(r)
            } else {
                None
            }
        })
        .collect()
}

pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let run = move || {
        Worker {
            shared,
            carrying: None,
            has_left: false,
            woken: Instant::now(),
        }
        .run();
    };
    std::thread::Builder::new()
        .name("usage-journal".to_owned())
        .spawn(run)
}

struct Worker {
    shared: Arc<Shared>,
    /// The beginning of a segment that the open entries are being written to anew.
    carrying: Option<Position>,
    /// A segment was left because it could not be written, and nothing was written since.
    has_left: bool,
    /// When there was last nothing to do, and then something.
    woken: Instant,
}

impl Worker {
    fn run(mut self) {
        loop {
            let stopping = self.shared.stopping.load(Ordering::SeqCst);
            self.write_held();
            self.write_open_entries();
            if !stopping && self.shared.journal().current_length() > self.shared.segment {
                self.rotate();
            }
            if stopping {
                return;
            }
            self.rest();
        }
    }

    /// Sleeps for a tick; until it is woken where there is nothing to do.
    fn rest(&mut self) {
        let shared = self.shared.clone();
        let nothing = self.woken.elapsed() >= LINGER
            && !shared.is_broken.load(Ordering::SeqCst)
            && lock(&shared.open).is_empty()
            && lock(&shared.held).is_empty();
        let mut idle = lock(&shared.idle);
        *idle = nothing;
        shared.is_idle.store(nothing, Ordering::SeqCst);
        // A slot that was taken between the look and the flag is seen here.
        if nothing && lock(&shared.open).is_empty() {
            while *idle && !shared.stopping.load(Ordering::SeqCst) {
                idle = shared
                    .work
                    .wait_timeout(idle, Duration::from_secs(1))
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                if !shared.is_idle.load(Ordering::SeqCst) {
                    break;
                }
            }
            self.woken = Instant::now();
            return;
        }
        let pause = if shared.is_broken.load(Ordering::SeqCst) {
            BROKEN
        } else {
            TICK
        };
        drop(shared.work.wait_timeout(idle, pause));
    }

    /// Writes what could not be written before, or (`async`) was left to this thread.
    fn write_held(&mut self) {
        let shared = self.shared.clone();
        loop {
            let Some(record) = lock(&shared.held).front().cloned() else {
                break;
            };
            if !self.append_somewhere(|| Frame::record(&record)) {
                return;
            }
            lock(&shared.held).pop_front();
            shared.give_back(record.id);
        }
        if shared.is_broken.load(Ordering::SeqCst) {
            // Writable again? A probe says so: an open entry of a request, or padding.
            let probe = lock(&shared.open).values().next().map(|t| t.open.opening());
            let works = match probe {
                Some(opening) => self.append_somewhere(|| Frame::open(&opening)),
                None => self.append_somewhere(Frame::padding),
            };
            if works {
                *lock(&shared.broken) = None;
                shared.is_broken.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Appends a frame; to a new segment where this one does not take it, since the error may be
    /// this file's alone. That is tried once: on a full disk it does not help, and each new segment
    /// would be one more file.
    fn append_somewhere(&mut self, frame: impl Fn() -> serde_json::Result<Frame>) -> bool {
        let mut written = self.shared.append(frame()).is_ok();
        if !written && !self.has_left {
            self.has_left = self.rotate();
            written = self.has_left && self.shared.append(frame()).is_ok();
        }
        self.has_left &= !written;
        written
    }

    fn write_open_entries(&mut self) {
        let due: Vec<(Arc<OpenRequest>, u32)> = {
            let open = lock(&self.shared.open);
            let is_due = |t: &&Taken| {
                t.since.elapsed() + TICK >= OPEN_ENTRY && t.entered != Some(t.open.changes())
            };
            open.values()
                .filter(is_due)
                .map(|t| (t.open.clone(), t.open.changes()))
                .collect()
        };
        for (request, changes) in due {
            if self.shared.append(Frame::open(&request.opening())).is_err() {
                return;
            }
            if let Some(taken) = lock(&self.shared.open).get_mut(&request.id()) {
                taken.entered = Some(changes);
            }
        }
        if let Some(start) = self.carrying.take() {
            *lock(&self.shared.carried) = start;
        }
    }

    /// Begins a new segment, and has what is still open written to it. Older ones are dropped once
    /// that is done and the database has them: until then they say all that they said, so that a
    /// crash between any two steps loses nothing and doubles nothing.
    fn rotate(&mut self) -> bool {
        let start = {
            let mut journal = self.shared.journal_alone();
            if journal.rotate().is_err() {
                return false;
            }
            journal.current_start()
        };
        for taken in lock(&self.shared.open).values_mut() {
            taken.entered = None;
        }
        self.carrying = Some(start);
        true
    }
}

/// Brings what is new into the database. A thread of its own: a database that is locked or slow
/// must not keep open entries waiting.
pub(super) fn start_import(
    shared: Arc<Shared>,
    mut table: UsageTable,
) -> std::io::Result<JoinHandle<()>> {
    // It tries again soon by itself.
    let _ = table.set_patience(Duration::from_millis(50));
    let run = move || {
        loop {
            let closing = lock(&shared.closing);
            let closing = *shared
                .import_now
                .wait_timeout(closing, IMPORT)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            let trouble = import(&shared, &mut table).err().map(|e| e.to_string());
            *lock(&shared.import_trouble) = trouble;
            if closing {
                return give_up_held(&shared, &mut table);
            }
        }
    };
    std::thread::Builder::new()
        .name("usage-import".to_owned())
        .spawn(run)
}

/// Imports what is new, and drops what is not needed any more. Where the database does not take it,
/// the journal keeps it.
fn import(shared: &Shared, table: &mut UsageTable) -> Result<(), StorageError> {
    let imported = *lock(&shared.imported);
    if !shared.journal().reaches_beyond(imported) {
        return Ok(());
    }
    let stretches = shared.journal().since(imported);
    for stretch in stretches {
        let bytes = stretch
            .read()
            .map_err(|e| StorageError::new("the usage journal", e))?;
        let mut found = entries(&bytes);
        table.insert(&records(&mut found))?;
        *lock(&shared.imported) = stretch.behind(found.whole());
    }
    let unneeded = (*lock(&shared.carried)).min(*lock(&shared.imported));
    // What cannot be dropped now is dropped later.
    let _ = shared.journal_alone().drop_before(unneeded);
    Ok(())
}

/// What the journal could not take to the end, the database may.
fn give_up_held(shared: &Shared, table: &mut UsageTable) {
    let held: Vec<Record> = lock(&shared.held).drain(..).collect();
    let mut bytes = Vec::new();
    for frame in held.iter().filter_map(|r| Frame::record(r).ok()) {
        bytes.extend_from_slice(frame.bytes());
    }
    if table.insert(&records(entries(&bytes))).is_err() {
        eprintln!(
            "anyrouter-server: {} usage records could not be written: neither journal nor database takes them",
            held.len()
        );
    }
}

/// Brings the journal to disk for all who wait together.
pub(super) fn start_sync(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let run = move || {
        loop {
            let goal = {
                let mut sync = lock(&shared.sync);
                while sync.written == sync.synced && !shared.stopping.load(Ordering::SeqCst) {
                    sync = shared
                        .sync_wanted
                        .wait_timeout(sync, Duration::from_secs(1))
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
                if sync.written == sync.synced {
                    return;
                }
                sync.written
            };
            // What stands in an older segment was brought to disk when that was left.
            let file = shared.journal().current_file();
            let done = file.sync_data();
            let mut sync = lock(&shared.sync);
            match done {
                Ok(()) => {
                    sync.synced = goal;
                    sync.failed = false;
                }
                Err(e) => {
                    sync.failed = true;
                    *lock(&shared.broken) = Some(e.to_string());
                    shared.is_broken.store(true, Ordering::SeqCst);
                }
            }
            for waker in sync.waiting.drain(..) {
                waker.wake();
            }
            let failed = sync.failed;
            drop(sync);
            if failed {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    };
    std::thread::Builder::new()
        .name("usage-sync".to_owned())
        .spawn(run)
}
