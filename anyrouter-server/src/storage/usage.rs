//! Usage records in the database, stored in order of arrival and found by account or key and
//! time-ordered id. Sums are updated in the transaction that adds the records.

use std::{collections::HashMap, time::Duration};

use anyrouter_core::{
    ids::{AccountId, RequestId},
    ports::{LogQuery, StoreError},
    usage::{Record, Row},
};
use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior, params, types::Value};

use super::{
    Database, Failure,
    key_spend::KeySpend,
    number,
    totals::{self, Hour, Totals},
};
use crate::journal::{Import, RecordEntry, RecordReader};

macro_rules! insert_into {
    ($table:literal) => {
        concat!(
            "INSERT OR IGNORE INTO ",
            $table,
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)"
        )
    };
}

/// The connection for imports.
#[derive(Debug)]
pub struct UsageTable(Connection);

impl UsageTable {
    pub(super) fn new(connection: Connection) -> Self {
        Self(connection)
    }

    fn add(&mut self, records: &[RecordEntry<'_>]) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut counted = Sums::default();
        for record in records {
            insert(&transaction, USAGE, &record.row, record.rest, &mut counted)?;
        }
        counted.add_to(&transaction)?;
        // In the same transaction, so that importing a record repeatedly counts its cost once.
        counted.add_lifetimes(&transaction)?;
        transaction.commit()?;
        Ok(())
    }
}

impl Import for UsageTable {
    fn import(&mut self, records: &[RecordEntry<'_>]) -> Result<(), StoreError> {
        Ok(self.add(records)?)
    }

    fn set_patience(&mut self, patience: Duration) {
        // On an error, the previous timeout stays in effect.
        let _ = self.0.busy_timeout(patience);
    }
}

/// Sums of records that are being added.
#[derive(Default)]
pub(super) struct Sums<'a> {
    hours: HashMap<Hour<'a>, Totals>,
    keys: HashMap<[u8; 32], KeySpend>,
}

impl<'a> Sums<'a> {
    fn note(&mut self, row: &Row<'a>) {
        self.hours.entry(Hour::of(row)).or_default().add(row);
        self.keys.entry(row.key).or_default().add(row);
    }

    /// Adds the sums to the hourly totals and to the keys' spend by period.
    pub(super) fn add_to(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        totals::add(transaction, &self.hours)?;
        for (key, spend) in &self.keys {
            spend.add_to_periods(transaction, key)?;
        }
        Ok(())
    }

    /// Adds the sums to the keys' lifetime spend, and updates the time of their last use.
    fn add_lifetimes(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        for (key, spend) in &self.keys {
            spend.add_to_lifetime(transaction, key)?;
        }
        Ok(())
    }
}

/// Insert statements for the table that a migration fills, and for the final table.
pub(super) const COLUMNS: &str = insert_into!("usage_columns");
const USAGE: &str = insert_into!("usage");

/// Inserts a row with one of the statements above, and counts it. An existing row stays unchanged
/// and is not counted again.
pub(super) fn insert<'a>(
    transaction: &Transaction<'_>,
    statement: &str,
    row: &Row<'a>,
    rest: &str,
    counted: &mut Sums<'a>,
) -> Result<(), Failure> {
    let added = transaction.prepare_cached(statement)?.execute(params![
        row.account,
        row.id.as_slice(),
        row.key.as_slice(),
        number(row.created_at),
        row.model_requested,
        row.model,
        row.provider,
        row.endpoint,
        row.inbound,
        row.outbound,
        row.app,
        row.http_status,
        row.outcome,
        number(row.prompt),
        number(row.completion),
        number(row.cached),
        number(row.cache_write),
        number(row.cache_write_1h),
        number(row.reasoning),
        row.cost.map(number),
        number(row.latency),
        row.time_to_first_byte.map(number),
        rest,
    ])?;
    if added > 0 {
        counted.note(row);
    }
    Ok(())
}

/// Decodes a row of `SELECT * FROM usage`.
fn record(row: &rusqlite::Row<'_>) -> Result<Record, Failure> {
    let text = |i| -> rusqlite::Result<&str> { Ok(row.get_ref(i)?.as_str()?) };
    let optional = |i| -> rusqlite::Result<Option<&str>> { Ok(row.get_ref(i)?.as_str_or_null()?) };
    let columns = Row {
        account: text(0)?,
        id: row.get(1)?,
        key: row.get(2)?,
        created_at: row.get(3)?,
        model_requested: optional(4)?,
        model: optional(5)?,
        provider: optional(6)?,
        endpoint: optional(7)?,
        inbound: text(8)?,
        outbound: optional(9)?,
        app: optional(10)?,
        http_status: row.get(11)?,
        outcome: text(12)?,
        prompt: row.get(13)?,
        completion: row.get(14)?,
        cached: row.get(15)?,
        cache_write: row.get(16)?,
        cache_write_1h: row.get(17)?,
        reasoning: row.get(18)?,
        cost: row.get(19)?,
        latency: row.get(20)?,
        time_to_first_byte: row.get(21)?,
    };
    let record = columns.record(text(22)?);
    Ok(record.map_err(|e| StoreError::Corrupt(e.to_string()))?)
}

#[async_trait]
impl RecordReader for Database {
    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError> {
        let account = account.clone();
        self.read(move |c| {
            let mut find =
                c.prepare_cached("SELECT * FROM usage WHERE account = ?1 AND id = ?2")?;
            let mut rows = find.query(params![account.as_str(), id.as_bytes().as_slice()])?;
            rows.next()?.map(record).transpose()
        })
        .await
    }

    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, StoreError> {
        let (account, query) = (account.clone(), query.clone());
        self.read(move |c| {
            let (sql, values) = select(account.as_str(), &query);
            let mut list = c.prepare_cached(&sql)?;
            let mut rows = list.query(rusqlite::params_from_iter(values))?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                out.push(record(row)?);
            }
            Ok(out)
        })
        .await
    }
}

/// Returns the statement for a query, and its values. Each set of filters has one statement.
fn select(account: &str, query: &LogQuery) -> (String, Vec<Value>) {
    // Uses the key's own index, because an account may have a million records, and the key none.
    let index = if query.key.is_some() {
        "usage_of_key"
    } else {
        "usage_of_account"
    };
    let mut sql = format!("SELECT * FROM usage INDEXED BY {index} WHERE account = ?1");
    let mut values = vec![Value::from(account.to_owned())];
    let mut filter = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(key) = query.key {
        filter("key = ?", key.as_bytes().to_vec().into());
    }
    if let Some(before) = query.before {
        filter("id < ?", before.as_bytes().to_vec().into());
    }
    if let Some(model) = &query.model {
        filter("(model = ? OR model_requested = ?)", model.clone().into());
    }
    if let Some(status) = query.status {
        filter("http_status = ?", i64::from(status).into());
    }
    if let Some(outcome) = query.outcome {
        filter("outcome = ?", outcome.name().to_owned().into());
    }
    filter(
        "TRUE ORDER BY id DESC LIMIT ?",
        number(query.limit as u64).into(),
    );
    (sql, values)
}
