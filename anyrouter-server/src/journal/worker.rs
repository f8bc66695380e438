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

/// A request that is open for longer gets an open entry.
const OPEN_ENTRY: Duration = Duration::from_millis(10);
/// How often the worker looks while there is something to do.
const TICK: Duration = Duration::from_millis(5);
/// How long it goes on looking when there is nothing more to do: to wake it costs a request more
/// than a look does.
const LINGER: Duration = Duration::from_millis(100);
/// The time between two attempts to write while the journal cannot be written.
const BROKEN: Duration = Duration::from_millis(100);
/// That time doubles so often where the disk takes writes and then loses them: each attempt begins
/// a segment.
const BACKOFF: u32 = 6;
/// How long records wait to be imported together.
const IMPORT: Duration = Duration::from_millis(200);

/// Brings into the database what an earlier process left in the journal: its records, and for each
/// request that was left open one that says `interrupted`. Then drops it.
///
/// The newest segment goes first, since the first record of a request is the one that counts: what
/// a disk lost was written again to a later segment, and may still stand in the earlier one.
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
    /// A segment was left because it could not be written, and nothing was written since.
    has_left: bool,
    /// How often in a row the disk did not take what it was to.
    failures: u32,
    /// When there was last nothing to do, and then something.
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
            BROKEN * (1 << self.failures.min(BACKOFF))
        } else {
            TICK
        };
        drop(shared.work.wait_timeout(idle, pause));
    }

    /// Writes what could not be written before, or (`async`) was left to this thread. Gives whether
    /// nothing is left.
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
            // Writable again? A probe says so: an open entry of a request, or padding.
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

    /// Appends; to a new segment where this one does not take it, since the error may be this
    /// file's alone. That is tried once: on a full disk it does not help, and each new segment
    /// would be one more file.
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
        // Looked at first: a segment that is begun from now on is for the next time.
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

/// Brings what is new into the database. A thread of its own: a database that is locked or slow
/// must not keep open entries waiting.
pub(super) fn start_import(
    shared: Arc<Shared>,
    mut table: impl Import + 'static,
) -> std::io::Result<JoinHandle<()>> {
    // It tries again soon by itself.
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

/// Imports what is new, and drops what is not needed any more. Where the database does not take it,
/// the journal keeps it.
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
    // What cannot be dropped now is dropped later.
    let _ = shared.journal_alone().drop_before(unneeded);
    Ok(())
}

/// What the journal could not take to the end, the database may.
fn give_up_held(shared: &Shared, table: &mut impl Import) {
    let held: Vec<Record> = lock(&shared.held).drain(..).collect();
    let mut bytes = Vec::new();
    for frame in held.iter().filter_map(|r| Frame::record(r).ok()) {
        bytes.extend_from_slice(frame.bytes());
    }
    if table.import(&records(entries(&bytes))).is_err() {
        eprintln!(
            "anyrouter-server: {} usage records could not be written: neither journal nor database takes them",
            held.len()
        );
    }
}

/// Brings the journal to disk for all who wait together. While records cannot be written, that is
/// left to the thread that tries to.
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
            // What comes of it, those who wait are told.
            let _ = shared.sync();
        }
    };
    std::thread::Builder::new()
        .name("usage-sync".to_owned())
        .spawn(run)
}
