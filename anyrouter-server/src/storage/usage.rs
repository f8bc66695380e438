//! Usage records in the database: in the order in which they came, found by account and
//! time-ordered id.

use std::{collections::HashMap, time::Duration};

use anyrouter_core::{
    ids::{AccountId, RequestId},
    key::KeyHash,
    ports::{LogQuery, StoreError},
    usage::Record,
};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Database, Failure};
use crate::journal::{Import, RecordEntry, RecordReader};

/// The connection that imports.
#[derive(Debug)]
pub struct UsageTable(Connection);

impl UsageTable {
    pub(super) fn new(connection: Connection) -> Self {
        Self(connection)
    }

    fn insert(&mut self, records: &[RecordEntry<'_>]) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        let transaction = self.0.transaction()?;
        {
            let mut by_key: HashMap<KeyHash, (u64, u64)> = HashMap::new();
            let mut insert = transaction.prepare_cached(
                "INSERT OR IGNORE INTO usage (id, account, record) VALUES (?1, ?2, ?3)",
            )?;
            for record in records {
                let added = insert.execute(params![
                    record.id.as_bytes().as_slice(),
                    record.account,
                    record.json
                ])?;
                if added > 0 {
                    let (spent, used) = by_key.entry(record.key_hash).or_default();
                    *spent = spent.saturating_add(record.cost.pico());
                    *used = (*used).max(record.created_at.micros());
                }
            }
            // In the same transaction, so that what a key spent is counted once however often a
            // record is imported.
            let mut update = transaction
                .prepare_cached("UPDATE key SET spent = iif(spent > 9223372036854775807 - ?2, 9223372036854775807, spent + ?2), last_used_at = max(coalesce(last_used_at, 0), ?3) WHERE hash = ?1")?;
            for (key, (spent, used)) in by_key {
                let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                update.execute(params![
                    key.as_bytes().as_slice(),
                    number(spent),
                    number(used)
                ])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

impl Import for UsageTable {
    fn import(&mut self, records: &[RecordEntry<'_>]) -> Result<(), StoreError> {
        Ok(self.insert(records)?)
    }

    fn set_patience(&mut self, patience: Duration) {
        // Without it, it waits as long as it did.
        let _ = self.0.busy_timeout(patience);
    }
}

#[async_trait]
impl RecordReader for Database {
    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError> {
        let account = account.clone();
        self.run(move |c| {
            let mut find =
                c.prepare_cached("SELECT record FROM usage WHERE id = ?1 AND account = ?2")?;
            let found: Option<String> = find
                .query_row(params![id.as_bytes().as_slice(), account.as_str()], |row| {
                    row.get(0)
                })
                .optional()?;
            Ok(found.map(|text| serde_json::from_str(&text)).transpose()?)
        })
        .await
    }

    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, StoreError> {
        let (account, query) = (account.clone(), query.clone());
        self.run(move |c| {
            let mut list = c.prepare_cached(
                "SELECT record FROM usage WHERE account = ?1 AND id < ?2 ORDER BY id DESC",
            )?;
            let before = query
                .before
                .map_or_else(|| vec![0xff; 12], |id| id.as_bytes().to_vec());
            let mut rows = list.query(params![account.as_str(), before])?;
            let mut out = Vec::new();
            while out.len() < query.limit
                && let Some(row) = rows.next()?
            {
                let record: Record = serde_json::from_str(&row.get::<_, String>(0)?)?;
                if query.wants(&record) {
                    out.push(record);
                }
            }
            Ok(out)
        })
        .await
    }
}
