//! Hourly totals by account, key, model, provider, app and outcome. They are updated in the
//! transaction that adds the records, so they are exact. They can be recounted for each hour that
//! still has its records.

use std::collections::HashMap;

use anyrouter_core::usage::Row;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Failure, number};

/// Maximum number of apps that an account's totals distinguish; the rest are [`OTHER`].
const APPS: u32 = 200;
/// Name of all apps beyond that maximum. No app can have this name.
const OTHER: &str = "(other)";

/// Key of a total. An unknown name is empty.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Hour<'a> {
    account: &'a str,
    /// Number of the hour, counted from 1970.
    since_1970: u64,
    key: [u8; 32],
    model: &'a str,
    provider: &'a str,
    app: &'a str,
    outcome: &'a str,
}

impl<'a> Hour<'a> {
    pub(super) fn of(row: &Row<'a>) -> Self {
        Self {
            account: row.account,
            since_1970: row.created_at / 3_600_000_000,
            key: row.key,
            model: row.model.unwrap_or_default(),
            provider: row.provider.unwrap_or_default(),
            app: row.app.unwrap_or_default(),
            outcome: row.outcome,
        }
    }
}

/// Sums of an hour: money in 10⁻¹² USD, times in microseconds.
#[derive(Debug, Default)]
pub(super) struct Totals {
    requests: u64,
    unpriced: u64,
    prompt: u64,
    completion: u64,
    cached: u64,
    cache_write: u64,
    reasoning: u64,
    cost: u64,
    latency: u64,
}

impl Totals {
    pub(super) fn add(&mut self, row: &Row<'_>) {
        for (sum, more) in [
            (&mut self.requests, 1),
            (&mut self.unpriced, u64::from(row.cost.is_none())),
            (&mut self.prompt, row.prompt),
            (&mut self.completion, row.completion),
            (&mut self.cached, row.cached),
            (&mut self.cache_write, row.cache_write),
            (&mut self.reasoning, row.reasoning),
            (&mut self.cost, row.cost.unwrap_or(0)),
            (&mut self.latency, row.latency),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Adds sums to the totals.
pub(super) fn add(
    transaction: &Transaction<'_>,
    hours: &HashMap<Hour<'_>, Totals>,
) -> Result<(), Failure> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO usage_hour VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT DO UPDATE SET
             requests = requests + excluded.requests,
             unpriced = unpriced + excluded.unpriced,
             prompt = prompt + excluded.prompt,
             completion = completion + excluded.completion,
             cached = cached + excluded.cached,
             cache_write = cache_write + excluded.cache_write,
             reasoning = reasoning + excluded.reasoning,
             cost = min(cost, 9223372036854775807 - excluded.cost) + excluded.cost,
             latency = min(latency, 9223372036854775807 - excluded.latency) + excluded.latency",
    )?;
    for (hour, totals) in hours {
        add.execute(params![
            hour.account,
            number(hour.since_1970),
            hour.key.as_slice(),
            hour.model,
            hour.provider,
            app(transaction, hour)?,
            hour.outcome,
            number(totals.requests),
            number(totals.unpriced),
            number(totals.prompt),
            number(totals.completion),
            number(totals.cached),
            number(totals.cache_write),
            number(totals.reasoning),
            number(totals.cost),
            number(totals.latency),
        ])?;
    }
    Ok(())
}

/// Returns the app's name in totals. The first apps of an account keep their names.
fn app<'a>(transaction: &Transaction<'_>, hour: &Hour<'a>) -> Result<&'a str, Failure> {
    if hour.app.is_empty() {
        return Ok("");
    }
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO app SELECT ?1, ?2
             WHERE (SELECT count(*) FROM app WHERE account = ?1) < ?3",
        )?
        .execute(params![hour.account, hour.app, APPS])?;
    let is_known = transaction
        .prepare_cached("SELECT 1 FROM app WHERE account = ?1 AND name = ?2")?
        .query_row(params![hour.account, hour.app], |_| Ok(()))
        .optional()?
        .is_some();
    Ok(if is_known { hour.app } else { OTHER })
}

/// Result of recounting the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recount {
    /// Number of hours that have records.
    pub hours: u64,
    /// Number of totals of these hours.
    pub totals: u64,
    /// Number of totals that were wrong, missing or superfluous, and were corrected.
    pub corrected: u64,
}

/// Recounts the totals of each account and hour that has records. Other totals stay, because
/// records are dropped by whole hours.
pub(super) fn recount(connection: &mut Connection) -> Result<Recount, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(&format!(
        "CREATE TEMP TABLE counted AS
         SELECT account, created_at / 3600000000 AS hour, key, coalesce(model, '') AS model,
             coalesce(provider, '') AS provider,
             CASE WHEN app IS NULL THEN ''
                 WHEN EXISTS (SELECT 1 FROM app a WHERE a.account = usage.account AND a.name = usage.app)
                 THEN app ELSE '{OTHER}' END AS app_name,
             outcome, count(*) AS requests, sum(cost IS NULL) AS unpriced, sum(prompt) AS prompt,
             sum(completion) AS completion, sum(cached) AS cached, sum(cache_write) AS cache_write,
             sum(reasoning) AS reasoning, sum(coalesce(cost, 0)) AS cost, sum(latency) AS latency
         FROM usage GROUP BY 1, 2, 3, 4, 5, 6, 7;
         CREATE TEMP TABLE stood AS
         SELECT * FROM usage_hour WHERE (account, hour) IN (SELECT account, hour FROM counted);"
    ))?;
    let one = |sql: &str| -> Result<u64, Failure> {
        Ok(transaction.query_row(sql, [], |row| row.get(0))?)
    };
    let found = Recount {
        hours: one("SELECT count(*) FROM (SELECT DISTINCT account, hour FROM counted)")?,
        totals: one("SELECT count(*) FROM counted")?,
        corrected: one("SELECT count(*) FROM (
                 SELECT account, hour, key, model, provider, app_name, outcome FROM
                     (SELECT * FROM counted EXCEPT SELECT * FROM stood)
                 UNION
                 SELECT account, hour, key, model, provider, app, outcome FROM
                     (SELECT * FROM stood EXCEPT SELECT * FROM counted))")?,
    };
    if found.corrected > 0 {
        transaction.execute_batch(
            "DELETE FROM usage_hour WHERE (account, hour) IN (SELECT account, hour FROM counted);
             INSERT INTO usage_hour SELECT * FROM counted;",
        )?;
    }
    transaction.execute_batch("DROP TABLE counted; DROP TABLE stood;")?;
    transaction.commit()?;
    Ok(found)
}
