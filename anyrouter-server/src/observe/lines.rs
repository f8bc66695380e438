//! The thread that writes log lines to standard error.

use std::{
    io::Write as _,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes of unwritten log lines above which further lines are counted and dropped.
const WAITING: usize = 4 << 20;
/// Maximum time that a line waits for others.
const GATHER: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub(super) struct Lines {
    waiting: Mutex<Vec<u8>>,
    writing: Mutex<()>,
    wake: Condvar,
    dropped: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lines {
    pub(super) fn start() -> std::io::Result<Arc<Self>> {
        let lines = Arc::new(Self::default());
        let theirs = lines.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                loop {
                    let mut waiting = lock(&theirs.waiting);
                    while waiting.is_empty() {
                        waiting = theirs
                            .wake
                            .wait(waiting)
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                    drop(waiting);
                    // Lines that arrive within the next moment are written together, so that a line
                    // does not cost a request a wake-up and a `write`.
                    std::thread::sleep(GATHER);
                    theirs.flush();
                }
            })?;
        Ok(lines)
    }

    /// Queues a line, including its line end.
    pub(super) fn push(&self, line: &str) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() > WAITING {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line.as_bytes());
        drop(waiting);
        if was_empty {
            self.wake.notify_one();
        }
    }

    /// Writes the queued lines.
    pub(super) fn flush(&self) {
        let _in_order = lock(&self.writing);
        let batch = std::mem::take(&mut *lock(&self.waiting));
        // A log that cannot be written must not stop the gateway.
        let _ = std::io::stderr().write_all(&batch);
    }

    /// What is pushed while `during` runs, which is not written.
    #[cfg(test)]
    pub(super) fn hold(&self, during: impl FnOnce()) -> String {
        let _in_order = lock(&self.writing);
        during();
        String::from_utf8(std::mem::take(&mut *lock(&self.waiting))).unwrap_or_default()
    }

    /// Returns the number of lines dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
