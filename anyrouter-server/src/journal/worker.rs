//! Threads of the usage log. One writes open entries, retries failed writes and begins new
//! segments; one imports records; and with `power_loss`, one syncs the journal to disk.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyrouter_core::{
    ids::RequestId,
    ports::{OpenRequest, StoreError},
    time::Timestamp,
    usage::{Opening, Record},
};

use super::{
    Durability,
    file::{Journal, Position},
    frame::{Entry, Frame, RecordEntry, entries},
    import::Import,
    shared::{OpenSlot, Shared, lock},
};

/// Age from which an open request gets an open entry.
const OPEN_ENTRY: Duration = Duration::from_millis(10);
/// Interval between the worker's checks while there is work.
const TICK: Duration = Duration::from_millis(5);
/// Time for which the worker continues its checks without work, because waking it costs a request
/// more than a check does.
const LINGER: Duration = Duration::from_millis(100);
/// Interval between attempts to write while the journal cannot be written.
const BROKEN: Duration = Duration::from_millis(100);
/// Maximum number of times that this interval doubles while the disk accepts writes and then loses
/// them, because each attempt begins a segment.
const BACKOFF: u32 = 6;
/// Interval between imports.
const IMPORT: Duration = Duration::from_millis(200);

/// Imports what an earlier process left in the journal: its records and, for each request that was
/// left open, a record with the outcome `interrupted`. Then drops its segments.
///
/// Imports the newest segment first, because the first record of a request counts: a record that a
/// disk lost was written again to a later segment, and may still be in the earlier one.
pub(super) fn recover(
    journal: &mut Journal,
    table: &mut impl Import,
    now: Timestamp,
) -> Result<(), StoreError> {
    let older = |e: std::io::Error| StoreError::from(e).during("the journal's older segments");
    let mut open: BTreeMap<RequestId, Opening> = BTreeMap::new();
    let mut ended: HashSet<RequestId> = HashSet::new();
    for stretch in journal.since(Position::default()).into_iter().rev() {
        let bytes = stretch.read().map_err(older)?;
        let (mut found, mut rewritten) = (Vec::new(), Vec::new());
        let mut opened = BTreeMap::new();
        for entry in entries(&bytes) {
            match entry {
                Entry::Record(record) => {
                    ended.insert(record.id);
                    found.push(record);
                }
                Entry::OldRecord(json) => {
                    let record: Record = serde_json::from_str(json).map_err(|e| older(e.into()))?;
                    ended.insert(record.id);
                    let frame = Frame::record(&record).map_err(|e| older(e.into()))?;
                    rewritten.extend_from_slice(frame.bytes());
                }
                Entry::Open(entry) => {
                    opened.extend(entry.opening().ok().map(|opening| (entry.id, opening)));
                }
            }
        }
        for (id, opening) in opened {
            open.entry(id).or_insert(opening);
        }
        table.import(&found)?;
        table.import(&records(entries(&rewritten)))?;
    }
    open.retain(|id, _| !ended.contains(id));
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
        let frame = Frame::record(&record).map_err(|e| older(e.into()))?;
        interrupted.extend_from_slice(frame.bytes());
    }
    table.import(&records(entries(&interrupted)))?;
    let start = journal.current_start();
    journal.drop_before(start).map_err(older)
}

fn records<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<RecordEntry<'a>> {
    entries
        .filter_map(|e| {
            if let Entry::Record(record) = e {
                Some(record)
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
            has_left: false,
            failures: 0,
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
    /// True if a segment was left because a write failed, and nothing was written since.
    has_left: bool,
    /// Number of consecutive failures to sync.
    failures: u32,
    /// Time at which work last arrived after a period without any.
    woken: Instant,
}

impl Worker {
    fn run(mut self) {
        loop {
            let stopping = self.shared.stopping.load(Ordering::SeqCst);
            if self.write_held() {
                self.write_open_entries();
            }
            if !stopping && self.shared.journal().current_length() > self.shared.segment {
                self.shared.rotate();
            }
            if stopping {
                return;
            }
            self.rest();
        }
    }

    /// Sleeps for a tick or, if there is no work, until it is woken.
    fn rest(&mut self) {
        let shared = self.shared.clone();
        let nothing = self.woken.elapsed() >= LINGER
            && !shared.is_broken.load(Ordering::SeqCst)
            && lock(&shared.open).is_empty()
            && lock(&shared.held).is_empty();
        let mut idle = lock(&shared.idle);
        *idle = nothing;
        shared.is_idle.store(nothing, Ordering::SeqCst);
        // Detects a slot that was taken after the first check and before the flag was set.
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
            BROKEN * (1 << self.failures.min(BACKOFF))
        } else {
            TICK
        };
        drop(shared.work.wait_timeout(idle, pause));
    }

    /// Writes the held records: those that failed before and, with `async`, all. Returns true if no
    /// failed record is left.
    fn write_held(&mut self) -> bool {
        let shared = self.shared.clone();
        loop {
            let Some(record) = lock(&shared.held).front().cloned() else {
                break;
            };
            if !self.append_somewhere(|| shared.append_record(&record).map(drop)) {
                return false;
            }
            lock(&shared.held).pop_front();
        }
        if shared.is_broken.load(Ordering::SeqCst) {
            // An open entry of a request, or padding, tests whether the journal is writable again.
            let probe = lock(&shared.open).values().next().map(|t| t.open.opening());
            let works = self.append_somewhere(|| {
                shared.append(match &probe {
                    Some(opening) => Frame::open(opening),
                    None => Frame::padding(),
                })
            });
            if !works {
                return false;
            }
            self.failures = match shared.mend() {
                Ok(()) => 0,
                Err(_) => self.failures.saturating_add(1),
            };
        }
        lock(&shared.held).is_empty() || shared.durability == Durability::Async
    }

    /// Appends, and on an error once more to a new segment, because the error may concern this file
    /// alone. Further attempts would not help on a full disk, and each would create a file.
    fn append_somewhere(&mut self, append: impl Fn() -> std::io::Result<()>) -> bool {
        let mut written = append().is_ok();
        if !written && !self.has_left {
            self.has_left = self.shared.rotate();
            written = self.has_left && append().is_ok();
        }
        self.has_left &= !written;
        written
    }

    fn write_open_entries(&mut self) {
        // Read first, so that a segment that begins from now on waits for the next call.
        let carrying = *lock(&self.shared.carrying);
        let due: Vec<(Arc<OpenRequest>, u32)> = {
            let open = lock(&self.shared.open);
            let is_due = |t: &&OpenSlot| {
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
        if let Some(start) = carrying {
            *lock(&self.shared.carried) = start;
            let mut carrying = lock(&self.shared.carrying);
            if *carrying == Some(start) {
                *carrying = None;
            }
        }
    }
}

/// Starts the thread that imports new records. It is separate, because a locked or slow database
/// must not delay open entries.
pub(super) fn start_import(
    shared: Arc<Shared>,
    mut table: impl Import + 'static,
) -> std::io::Result<JoinHandle<()>> {
    // The thread soon retries by itself.
    table.set_patience(Duration::from_millis(50));
    let run = move || {
        loop {
            let closing = lock(&shared.closing);
            let closing = *shared
                .import_now
                .wait_timeout(closing, IMPORT)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            let trouble = import(&shared, &mut table).err();
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

/// Imports new records, and drops segments that are not needed any more. The journal keeps records
/// that the database does not accept.
fn import(shared: &Shared, table: &mut impl Import) -> Result<(), StoreError> {
    let imported = *lock(&shared.imported);
    if !shared.journal().reaches_beyond(imported) {
        return Ok(());
    }
    for stretch in shared.importable() {
        let bytes = stretch
            .read()
            .map_err(|e| StoreError::from(e).during("the usage journal"))?;
        let mut found = entries(&bytes);
        table.import(&records(&mut found))?;
        *lock(&shared.imported) = stretch.behind(found.whole());
    }
    let unneeded = (*lock(&shared.carried)).min(*lock(&shared.imported));
    // A segment that cannot be dropped now is dropped later.
    let _ = shared.journal_alone().drop_before(unneeded);
    Ok(())
}

/// Imports the records that the journal did not accept before the end.
fn give_up_held(shared: &Shared, table: &mut impl Import) {
    let held: Vec<Record> = lock(&shared.held).drain(..).collect();
    let mut bytes = Vec::new();
    for frame in held.iter().filter_map(|r| Frame::record(r).ok()) {
        bytes.extend_from_slice(frame.bytes());
    }
    if table.import(&records(entries(&bytes))).is_err() {
        eprintln!(
            "anyrouter-server: {} usage records could not be written: neither the journal nor the database accepts them",
            held.len()
        );
    }
}

/// Starts the thread that syncs the journal for all waiting commits together. While records cannot
/// be written, the worker thread syncs instead.
pub(super) fn start_sync(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let run = move || {
        loop {
            {
                let mut disk = lock(&shared.disk);
                loop {
                    if shared.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    if disk.is_behind() && !shared.is_broken.load(Ordering::SeqCst) {
                        break;
                    }
                    disk = shared
                        .sync_wanted
                        .wait_timeout(disk, Duration::from_secs(1))
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
            // The waiting commits receive the result.
            let _ = shared.sync();
        }
    };
    std::thread::Builder::new()
        .name("usage-sync".to_owned())
        .spawn(run)
}
