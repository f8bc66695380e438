//! The gateway's usage log over the journal, with its slots, records and durability.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    task::{Context, Poll},
    thread::JoinHandle,
    time::Instant,
};

use anyrouter_core::{
    ids::{AccountId, RequestId},
    ports::{LogQuery, OpenRequest, StoreError, UsageLog, WriteState},
    time::Timestamp,
    usage::Record,
};
use async_trait::async_trait;

use super::{
    Durability, Options,
    disk::{Disk, FileSystem},
    file::{Journal, JournalError},
    import::{Import, RecordReader},
    shared::{OnDisk, OpenSlot, Shared, lock, not_committed},
    worker,
};

/// A usage log with a journal in front of a database.
pub struct JournalLog {
    shared: Arc<Shared>,
    reader: Box<dyn RecordReader>,
    threads: Mutex<(Vec<JoinHandle<()>>, Option<JoinHandle<()>>)>,
    observer: Box<dyn Fn(&Record) + Send + Sync>,
}

impl std::fmt::Debug for JournalLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalLog").finish_non_exhaustive()
    }
}

impl JournalLog {
    /// Opens the journal in `folder` and imports its records. A request that was left open becomes
    /// a record with the outcome `interrupted`. `observer` is called for every record when it is
    /// written.
    pub fn open(
        folder: &Path,
        reader: impl RecordReader + 'static,
        table: impl Import + 'static,
        options: Options,
        now: Timestamp,
        observer: impl Fn(&Record) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let disk = Arc::new(FileSystem);
        Self::open_on(disk, folder, reader, table, options, now, observer)
    }

    /// Opens the journal like [`open`](Self::open), on another disk.
    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        reader: impl RecordReader + 'static,
        mut table: impl Import + 'static,
        options: Options,
        now: Timestamp,
        observer: impl Fn(&Record) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let mut journal = Journal::open(disk, folder)?;
        worker::recover(&mut journal, &mut table, now)?;
        let shared = Arc::new(Shared::new(journal, options));
        let failed = |e: std::io::Error| StoreError::from(e).during("the journal's threads");
        let mut threads = vec![worker::start(shared.clone()).map_err(failed)?];
        if options.durability == Durability::PowerLoss {
            threads.push(worker::start_sync(shared.clone()).map_err(failed)?);
        }
        let import = worker::start_import(shared.clone(), table).map_err(failed)?;
        Ok(Self {
            shared,
            reader: Box::new(reader),
            threads: Mutex::new((threads, Some(import))),
            observer: Box::new(observer),
        })
    }

    /// Returns the reason if records cannot be written now.
    pub fn trouble(&self) -> Option<StoreError> {
        lock(&self.shared.broken).clone()
    }

    /// Returns the reason if the database does not accept records. The journal keeps them.
    pub fn import_trouble(&self) -> Option<StoreError> {
        lock(&self.shared.import_trouble).clone()
    }

    /// Returns the number of requests that have no record yet.
    pub fn open_slots(&self) -> usize {
        let open = lock(&self.shared.open);
        open.values().filter(|taken| !taken.is_filled).count()
    }

    fn broken(&self) -> StoreError {
        self.trouble()
            .unwrap_or_else(|| StoreError::Unavailable("the usage journal".to_owned()))
    }

    #[cfg(test)]
    pub(super) fn durability(&self) -> Durability {
        self.shared.durability
    }

    #[cfg(test)]
    pub(super) fn free_slots(&self) -> usize {
        self.shared.permits.available_permits()
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
        if self.shared.durability == Durability::PowerLoss {
            // The import thread moves records that the disk still does not accept to the database.
            let _ = self.shared.sync();
        }
        *lock(&self.shared.closing) = true;
        self.shared.import_now.notify_all();
        if let Some(import) = import.take() {
            let _ = import.join();
        }
    }
}

/// Error of opening the log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The records in the journal cannot be imported.
    #[error(transparent)]
    Storage(#[from] StoreError),
}

#[async_trait]
impl UsageLog for JournalLog {
    async fn take(&self, open: &Arc<OpenRequest>) -> Result<(), StoreError> {
        let shared = &self.shared;
        if shared.is_broken.load(Ordering::SeqCst) {
            return Err(self.broken());
        }
        let permit = shared
            .permits
            .acquire()
            .await
            .map_err(|_| StoreError::Unavailable("the log is closed".to_owned()))?;
        permit.forget();
        lock(&shared.open).insert(
            open.id(),
            OpenSlot {
                open: open.clone(),
                since: Instant::now(),
                entered: None,
                is_filled: false,
            },
        );
        if shared.is_idle.swap(false, Ordering::SeqCst) {
            *lock(&shared.idle) = false;
            shared.work.notify_all();
        }
        Ok(())
    }

    fn fill(&self, record: &Record) -> WriteState {
        let shared = &self.shared;
        match lock(&shared.open).get_mut(&record.id) {
            Some(taken) if !taken.is_filled => {
                taken.is_filled = true;
                // The record makes an open entry unnecessary.
                taken.entered = Some(taken.open.changes());
            }
            _ => return WriteState::Durable,
        }
        if shared.durability == Durability::Async {
            (self.observer)(record);
            lock(&shared.held).push_back(record.clone());
            return WriteState::Durable;
        }
        let written = if shared.is_broken.load(Ordering::SeqCst) {
            None
        } else {
            shared.append_record(record).ok()
        };
        match written {
            Some(mark) => {
                (self.observer)(record);
                if shared.durability == Durability::ProcessCrash {
                    return WriteState::Durable;
                }
                shared.sync_wanted.notify_one();
                WriteState::Written(mark)
            }
            None => {
                let record = not_committed(record);
                (self.observer)(&record);
                lock(&shared.held).push_back(record);
                WriteState::Held
            }
        }
    }

    fn poll_durable(
        &self,
        filled: &mut WriteState,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StoreError>> {
        match filled {
            WriteState::Durable => Poll::Ready(Ok(())),
            WriteState::Held => Poll::Ready(Err(self.broken())),
            WriteState::Written(mark) => {
                let mut disk = lock(&self.shared.disk);
                match disk.state(*mark) {
                    OnDisk::Yes => Poll::Ready(Ok(())),
                    OnDisk::Lost => Poll::Ready(Err(StoreError::Unavailable(
                        "the disk did not store the record".to_owned(),
                    ))),
                    OnDisk::Unknown => {
                        disk.wait(cx.waker());
                        Poll::Pending
                    }
                }
            }
        }
    }

    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError> {
        // Reads the records that are not imported before the database, so that a record that moves
        // between the two is not missed.
        let (shared, of) = (self.shared.clone(), account.clone());
        let waiting = blocking(move || {
            let (mut held, mut found) = (None, None);
            shared.not_imported(
                |r| {
                    if r.id == id && r.account == of {
                        held = Some(r.clone());
                    }
                },
                |entry| {
                    if entry.id == id && entry.row.account == of.as_str() {
                        found = Some(entry.record()?);
                    }
                    Ok(())
                },
            )?;
            Ok(found.or(held))
        });
        match waiting.await? {
            Some(record) => Ok(Some(record)),
            None => self.reader.find(account, id).await,
        }
    }

    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, StoreError> {
        let (shared, of, wanted) = (self.shared.clone(), account.clone(), query.clone());
        let waiting = blocking(move || {
            let (mut held, mut out) = (Vec::new(), Vec::new());
            shared.not_imported(
                |r| held.extend((r.account == of).then(|| r.clone())),
                |entry| {
                    if entry.row.account == of.as_str() {
                        out.push(entry.record()?);
                    }
                    Ok(())
                },
            )?;
            out.extend(held);
            out.retain(|r| wanted.wants(r));
            Ok(out)
        });
        let mut out = waiting.await?;
        let known = self.reader.list(account, query).await?;
        out.extend(known);
        out.sort_by_key(|r| std::cmp::Reverse(r.id));
        out.dedup_by_key(|r| r.id);
        out.truncate(query.limit);
        Ok(out)
    }
}

/// Reads files without blocking an async worker.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|e| StoreError::from(e).during("the usage journal"))
}
