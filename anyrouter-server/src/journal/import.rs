//! Interface of the journal to a database, which accepts its records and returns them.

use std::time::Duration;

use anyrouter_core::{
    ids::{AccountId, RequestId},
    ports::{LogQuery, StoreError},
    usage::Record,
};
use async_trait::async_trait;

use super::frame::RecordEntry;

/// A database table that accepts records from the journal.
pub trait Import: Send {
    /// Adds records, all or none. A record whose id exists already stays unchanged, so that
    /// importing a record repeatedly counts it once.
    fn import(&mut self, records: &[RecordEntry<'_>]) -> Result<(), StoreError>;

    /// Sets the maximum wait for a database that another process has locked.
    fn set_patience(&mut self, patience: Duration);
}

/// Reader of imported records.
#[async_trait]
pub trait RecordReader: Send + Sync {
    /// Returns the record with this id, if it belongs to this account.
    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError>;

    /// Returns an account's records, newest first.
    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, StoreError>;
}
