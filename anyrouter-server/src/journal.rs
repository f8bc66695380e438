//! The usage journal: an append-only file of checksummed records. The task of a request writes its
//! record with one `write` before the last byte of the response leaves (P02). A background thread
//! imports the records in bulk into the database, idempotently by record id, and drops imported
//! ones.
//!
//! - `process_crash` (default): the kernel holds what `write` accepted, so it survives kill -9.
//! - `power_loss`: the commit also waits for an `fdatasync`, which concurrent commits share.
//! - `async`: the commit waits for nothing; the background thread writes the records.
//!
//! A request that takes longer than 10 ms gets an *open entry*. At the next start, a request that
//! was left open becomes a record with the outcome `interrupted`. A crash loses without trace only
//! younger requests, none of which had ended for its client.

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

/// Options of the usage log.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Durability that a usage record must reach before its response may end.
    pub durability: Durability,
    /// Maximum number of open requests; further requests wait.
    pub slots: usize,
    /// Size of a segment above which a new one begins, in bytes.
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
