//! Spend of a key: over its lifetime, and in the day, the week and the month (UTC) of its last use.
//! Each is a separate counter, so that a limit is checked with one row.

use anyrouter_core::{catalog::Usd, key::KeyHash, time::Timestamp, usage::Row};
use rusqlite::{Connection, Transaction, params};

use super::{Failure, number};

/// A calendar period after which a counter restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    /// From midnight.
    Day,
    /// From Monday (ISO 8601).
    Week,
    /// From the first.
    Month,
}

impl Period {
    const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Returns the first day of the period that contains a moment, in days since 1970.
    fn start(self, at: u64) -> u64 {
        let day = at / 1_000_000 / 86_400;
        match self {
            Self::Day => day,
            // 1970 began on a Thursday.
            Self::Week => day.saturating_sub((day + 3) % 7),
            Self::Month => {
                let of_month = i64::try_from(day * 86_400)
                    .ok()
                    .and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok())
                    .map_or(1, time::OffsetDateTime::day);
                day.saturating_sub(u64::from(of_month) - 1)
            }
        }
    }
}

/// Spend of a key in some records.
#[derive(Debug, Default)]
pub(super) struct KeySpend {
    /// Days of the records, each with its spend.
    days: Vec<(u64, u64)>,
    last_used: u64,
}

impl KeySpend {
    pub(super) fn add(&mut self, row: &Row<'_>) {
        let (day, cost) = (Period::Day.start(row.created_at), row.cost.unwrap_or(0));
        match self.days.iter_mut().find(|(d, _)| *d == day) {
            Some((_, spent)) => *spent = spent.saturating_add(cost),
            None => self.days.push((day, cost)),
        }
        self.last_used = self.last_used.max(row.created_at);
    }

    /// Adds the spend to the periods. A late record does not count in a period that began after it.
    pub(super) fn add_to_periods(
        &self,
        transaction: &Transaction<'_>,
        key: &[u8; 32],
    ) -> Result<(), Failure> {
        let mut add = transaction.prepare_cached(
            "INSERT INTO key_spend (key, period, start, spent) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET
                 spent = CASE WHEN excluded.start > start THEN excluded.spent
                     ELSE min(spent, 9223372036854775807 - excluded.spent) + excluded.spent END,
                 start = excluded.start
             WHERE excluded.start >= start",
        )?;
        for (day, spent) in &self.days {
            for period in Period::ALL {
                let start = period.start(day * 86_400 * 1_000_000);
                add.execute(params![
                    key.as_slice(),
                    period.name(),
                    number(start),
                    number(*spent)
                ])?;
            }
        }
        Ok(())
    }

    pub(super) fn add_to_lifetime(
        &self,
        transaction: &Transaction<'_>,
        key: &[u8; 32],
    ) -> Result<(), Failure> {
        let spent = self
            .days
            .iter()
            .fold(0u64, |sum, (_, n)| sum.saturating_add(*n));
        transaction
            .prepare_cached(
                "UPDATE key SET spent = min(spent, 9223372036854775807 - ?2) + ?2,
                     last_used_at = max(coalesce(last_used_at, 0), ?3) WHERE hash = ?1",
            )?
            .execute(params![
                key.as_slice(),
                number(spent),
                number(self.last_used)
            ])?;
        Ok(())
    }
}

/// Returns the spend of a key in the period that contains `now`.
pub(super) fn spent(
    connection: &Connection,
    key: &KeyHash,
    period: Period,
    now: Timestamp,
) -> Result<Usd, Failure> {
    let mut find = connection.prepare_cached(
        "SELECT spent FROM key_spend WHERE key = ?1 AND period = ?2 AND start = ?3",
    )?;
    let mut rows = find.query(params![
        key.as_bytes().as_slice(),
        period.name(),
        number(period.start(now.micros()))
    ])?;
    Ok(match rows.next()? {
        Some(row) => Usd::from_pico(row.get(0)?),
        None => Usd::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(period: Period, at: &str) -> u64 {
        period.start(Timestamp::parse_rfc3339(at).unwrap().micros())
    }

    fn day(at: &str) -> u64 {
        Timestamp::parse_rfc3339(at).unwrap().seconds() / 86_400
    }

    #[test]
    fn periods_begin_at_midnight_on_monday_and_on_the_first() {
        let at = "2026-11-29T23:59:59Z"; // a Sunday
        assert_eq!(start(Period::Day, at), day("2026-11-29T00:00:00Z"));
        assert_eq!(start(Period::Week, at), day("2026-11-23T00:00:00Z"));
        assert_eq!(start(Period::Month, at), day("2026-11-01T00:00:00Z"));
        let monday = "2026-11-30T00:00:00Z";
        assert_eq!(start(Period::Week, monday), day(monday));
        let leap = "2028-02-29T12:00:00Z";
        assert_eq!(start(Period::Month, leap), day("2028-02-01T00:00:00Z"));
    }
}
