//! What the journal asks of a database: to take its records, and to give them back.

use std::time::Duration;

use anyrouter_core::{
    ids::{AccountId, RequestId},
    ports::{LogQuery, StoreError},
    usage::Record,
};
use async_trait::async_trait;

use super::frame::RecordEntry;

/// What takes records out of the journal: a table of a database.
pub trait Import: Send {
    /// Adds records, all or none. One whose id is there already stays as it is, so that a record
    /// counts once however often it is imported.
    fn import(&mut self, records: &[RecordEntry<'_>]) -> Result<(), StoreError>;

    /// How long to wait for a database that another holds.
    fn set_patience(&mut self, patience: Duration);
}

/// What gives back the records that were imported.
#[async_trait]
pub trait RecordReader: Send + Sync {
    /// The record with this id, if it is this account's.
    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError>;

    /// An account's records, the newest first.
    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, StoreError>;
}
