//! The migration that gives usage records columns. It runs in steps, each in a transaction, and
//! resumes after an interruption, because a moved row is deleted from the old table.

use anyrouter_core::usage::Record;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{
    Failure,
    usage::{COLUMNS, Sums, insert},
};

/// Progress of a long migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of processed rows.
    pub done: u64,
    /// Total number of rows.
    pub total: u64,
    /// Number of processed rows that could not be read and were kept unchanged.
    pub unreadable: u64,
}

/// Number of rows per step.
const STEP: usize = 5_000;

/// Moves every record from `usage` to `usage_columns`, which then takes its name. The lifetime
/// spend of keys was counted at import; totals and spend by period are counted here.
pub(super) fn move_records(
    connection: &mut Connection,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    let is_done: bool = connection
        .query_row(
            "SELECT 1 FROM sqlite_master WHERE name = 'usage_columns'",
            [],
            |_| Ok(()),
        )
        .optional()?
        .is_none();
    if is_done {
        return Ok(());
    }
    let count = |connection: &Connection, table: &str| -> Result<u64, Failure> {
        let sql = format!("SELECT coalesce(max(rowid) - min(rowid) + 1, 0) FROM {table}");
        Ok(connection.query_row(&sql, [], |row| row.get(0))?)
    };
    let mut unreadable = count(connection, "usage_unreadable")?;
    let mut done = count(connection, "usage_columns")? + unreadable;
    let total = done + count(connection, "usage")?;
    while step(connection, &mut done, &mut unreadable)? {
        progress(Progress {
            done,
            total,
            unreadable,
        });
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "DROP TABLE usage;
         ALTER TABLE usage_columns RENAME TO usage;",
    )?;
    transaction.commit()?;
    Ok(())
}

/// Moves some rows, and returns true if there may be more.
fn step(
    connection: &mut Connection,
    done: &mut u64,
    unreadable: &mut u64,
) -> Result<bool, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut last: Option<i64> = None;
    let mut moved: Vec<(Record, String)> = Vec::with_capacity(STEP);
    {
        let mut select = transaction
            .prepare_cached("SELECT rowid, record FROM usage ORDER BY rowid LIMIT ?1")?;
        let mut rows = select.query(params![STEP])?;
        while let Some(row) = rows.next()? {
            last = Some(row.get(0)?);
            *done += 1;
            let Ok(record) = serde_json::from_str::<Record>(&row.get::<_, String>(1)?) else {
                *unreadable += 1;
                transaction
                    .prepare_cached(
                        "INSERT INTO usage_unreadable
                         SELECT account, id, record FROM usage WHERE rowid = ?1",
                    )?
                    .execute(params![last])?;
                continue;
            };
            let mut rest = Vec::new();
            record.write_rest(&mut rest)?;
            moved.push((record, String::from_utf8(rest).unwrap_or_default()));
        }
    }
    let mut counted = Sums::default();
    for (record, rest) in &moved {
        insert(&transaction, COLUMNS, &record.row(), rest, &mut counted)?;
    }
    counted.add_to(&transaction)?;
    transaction.execute("DELETE FROM usage WHERE rowid <= ?1", params![last])?;
    transaction.commit()?;
    Ok(last.is_some())
}
