//! The usage journal: an append-only file of checksummed records, written by the request's own task
//! with one `write` before the last byte leaves (P02). A background thread imports it in bulk into
//! the database, idempotent by record id, and drops what is imported.
//!
//! - `process_crash` (default): what `write` took, the kernel has; kill -9 cannot take it back.
//! - `power_loss`: the commit also waits for an `fdatasync`, grouped over all that wait.
//! - `async`: the commit waits for nothing; records are written by the background thread.
//!
//! Requests that take longer than 10 ms get an *open entry*; what is left open at the start becomes
//! a record with the outcome `interrupted`. A crash loses without trace only requests younger than
//! that, and no client saw one of them end.

mod disk;
#[cfg(test)]
mod faults;
mod file;
mod frame;
mod import;
mod log;
mod shared;
mod worker;

pub use anyrouter_core::config::Durability;

pub use self::{
    file::JournalError,
    frame::RecordEntry,
    import::{Import, RecordReader},
    log::{JournalLog, OpenError},
};

/// How the log is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Durability that a usage record must reach before its response may end.
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
