//! The threads behind the log: one writes open entries, retries what could not be written and imports; one, where a commit waits for
//! the disk, brings the journal there.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyrouter_core::{
    ids::RequestId,
    time::Timestamp,
    usage::{Outcome, Record},
};

use super::{
    Durability, Entry,
    log::{Shared, lock},
};
use crate::storage::UsageTable;

/// A request that is open for longer gets an open entry.
const OPEN_ENTRY: Duration = Duration::from_millis(10);
/// How often the worker looks while there is something to do.
const TICK: Duration = Duration::from_millis(5);
/// How long records wait to be imported together.
const IMPORT: Duration = Duration::from_millis(200);
/// A segment that is larger is dropped once it is imported.
const SEGMENT: u64 = 8 << 20;

/// What the entries of older segments come to: their records, and for what was left open one that says so.
pub(super) fn recovered(entries: Vec<Entry>, now: Timestamp) -> Vec<Record> {
    let mut records: BTreeMap<RequestId, Record> = BTreeMap::new();
    for entry in entries {
        match entry {
            Entry::Record(record) => {
                records.insert(record.id, record);
            }
            Entry::Open(opening) => {
                let known = records.get(&opening.id).is_some_and(|r| r.outcome != Outcome::Interrupted);
                if !known {
                    let mut record = Record::opened(opening);
                    record.latency = u64::try_from(now.since(record.created_at).as_micros()).unwrap_or(u64::MAX);
                    record.provider = record.endpoint.as_deref().and_then(|e| e.split('/').next()).map(ToOwned::to_owned);
                    records.insert(record.id, record);
                }
            }
        }
    }
    records.into_values().collect()
}

pub(super) fn start(shared: Arc<Shared>, table: UsageTable) -> std::io::Result<JoinHandle<()>> {
    let run = move || Worker { shared, table, last_import: Instant::now(), since: BTreeMap::new() }.run();
    std::thread::Builder::new().name("usage-journal".to_owned()).spawn(run)
}

struct Worker {
    shared: Arc<Shared>,
    table: UsageTable,
    last_import: Instant,
    /// When this thread first saw each open request.
    since: BTreeMap<RequestId, Instant>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let stopping = self.shared.stopping.load(Ordering::SeqCst);
            self.write_held();
            self.write_open_entries();
            if stopping || self.last_import.elapsed() >= IMPORT {
                self.import();
                self.last_import = Instant::now();
            }
            if stopping {
                // What the journal could not take to the end, the database may.
                let held: Vec<Record> = lock(&self.shared.held).drain(..).collect();
                if self.table.insert(&held).is_err() {
                    eprintln!(
                        "anyrouter-server: {} usage records could not be written: neither journal nor database takes them",
                        held.len()
                    );
                }
                return;
            }
            self.rest();
        }
    }

    /// Sleeps for a tick; until it is woken where there is nothing to do.
    fn rest(&self) {
        let shared = &self.shared;
        let nothing =
            !shared.is_broken.load(Ordering::SeqCst) && lock(&shared.open).is_empty() && lock(&shared.held).is_empty() && !self.has_news();
        let mut idle = lock(&shared.idle);
        *idle = nothing;
        shared.is_idle.store(nothing, Ordering::SeqCst);
        // A slot that was taken between the look and the flag is seen here.
        if nothing && lock(&shared.open).is_empty() {
            while *idle && !shared.stopping.load(Ordering::SeqCst) {
                idle = shared.work.wait_timeout(idle, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
                if !shared.is_idle.load(Ordering::SeqCst) {
                    break;
                }
            }
            return;
        }
        drop(shared.work.wait_timeout(idle, TICK));
    }

    fn has_news(&self) -> bool {
        let (_, length) = lock(&self.shared.journal).position();
        length > *lock(&self.shared.imported)
    }

    /// Writes what could not be written before, or (`async`) was left to this thread.
    fn write_held(&mut self) {
        let shared = self.shared.clone();
        loop {
            let Some(record) = lock(&shared.held).front().cloned() else { break };
            if shared.append(&Entry::Record(record)).is_err() {
                return;
            }
            lock(&shared.held).pop_front();
        }
        if shared.is_broken.load(Ordering::SeqCst) {
            // Writable again? A probe says so: an open entry of a request, or nothing but the attempt to rotate.
            let probe = lock(&shared.open).values().next().map(|t| Entry::Open(t.opening.clone()));
            let works = match probe {
                Some(entry) => shared.append(&entry).is_ok(),
                None => self.rotate(),
            };
            if works {
                *lock(&shared.broken) = None;
                shared.is_broken.store(false, Ordering::SeqCst);
            }
        }
    }

    fn write_open_entries(&mut self) {
        let mut due = Vec::new();
        {
            let open = lock(&self.shared.open);
            self.since.retain(|id, _| open.contains_key(id));
            for (id, taken) in open.iter().filter(|(_, t)| t.changed) {
                let since = *self.since.entry(*id).or_insert_with(Instant::now);
                if since.elapsed() + TICK >= OPEN_ENTRY {
                    due.push(taken.opening.clone());
                }
            }
        }
        for opening in due {
            if self.shared.append(&Entry::Open(opening.clone())).is_err() {
                return;
            }
            if let Some(taken) = lock(&self.shared.open).get_mut(&opening.id) {
                taken.entered = true;
                taken.changed = taken.opening != opening;
            }
        }
    }

    /// Brings what is new into the database. Where that cannot be, the journal keeps it.
    fn import(&mut self) {
        let shared = &self.shared;
        let backlog = lock(&shared.backlog).clone();
        if !backlog.is_empty() {
            if self.table.insert(&backlog).is_err() {
                return;
            }
            lock(&shared.backlog).clear();
            let _ = lock(&shared.journal).drop_before();
        }
        let (read, length) = {
            let journal = lock(&shared.journal);
            let from = *lock(&shared.imported);
            let (_, length) = journal.position();
            if length <= from {
                return;
            }
            (journal.entries_from(from), length)
        };
        let Ok(entries) = read else { return };
        if self.table.insert(&records(entries)).is_err() {
            return;
        }
        *lock(&shared.imported) = length;
        if length > SEGMENT {
            self.rotate();
        }
    }

    /// Begins a new segment, carries over what is still open, imports what is left of the old, and drops it. The order lets a crash
    /// between any two steps lose nothing and double nothing: until it is dropped, the old segment says all that it said.
    fn rotate(&mut self) -> bool {
        let shared = &self.shared;
        {
            let mut journal = lock(&shared.journal);
            let mut imported = lock(&shared.imported);
            let Ok(rest) = journal.entries_from(*imported) else { return false };
            if journal.rotate().is_err() {
                return false;
            }
            *imported = 0;
            lock(&shared.backlog).extend(records(rest));
        }
        let open: Vec<Entry> = lock(&shared.open).values().filter(|t| t.entered).map(|t| Entry::Open(t.opening.clone())).collect();
        if open.iter().any(|entry| shared.append(entry).is_err()) {
            return false;
        }
        if shared.durability == Durability::PowerLoss {
            let handle = lock(&shared.journal).handle();
            if handle.and_then(|f| f.sync_data()).is_err() {
                return false;
            }
        }
        let backlog = lock(&shared.backlog).clone();
        if self.table.insert(&backlog).is_err() {
            return true;
        }
        lock(&shared.backlog).clear();
        lock(&shared.journal).drop_before().is_ok()
    }
}

fn records(entries: Vec<Entry>) -> Vec<Record> {
    entries.into_iter().filter_map(|e| if let Entry::Record(r) = e { Some(r) } else { None }).collect()
}

/// Brings the journal to disk for all who wait together.
pub(super) fn start_sync(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let run = move || {
        loop {
            let goal = {
                let mut sync = lock(&shared.sync);
                while sync.written == sync.synced && !shared.stopping.load(Ordering::SeqCst) {
                    sync = shared.sync_wanted.wait_timeout(sync, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
                }
                if sync.written == sync.synced {
                    return;
                }
                sync.written
            };
            let handle = lock(&shared.journal).handle();
            let done = handle.and_then(|f| f.sync_data());
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
    std::thread::Builder::new().name("usage-sync".to_owned()).spawn(run)
}
