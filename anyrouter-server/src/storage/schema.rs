//! The tables, defined by migrations that only go forward.

use rusqlite::{Connection, TransactionBehavior};

use super::{
    Failure, StoreError,
    columns::{self, Progress},
};

enum Migration {
    /// Statements that run in one transaction.
    Statements(&'static str),
    /// A function that can be interrupted anywhere and then resumes.
    Work(fn(&mut Connection, &mut dyn FnMut(Progress)) -> Result<(), Failure>),
}

/// All migrations, in order. New ones are added, and existing ones never change.
const MIGRATIONS: &[Migration] = &[
    Migration::Statements(
        "
    CREATE TABLE account (
        id TEXT PRIMARY KEY,
        created_at INTEGER NOT NULL,
        settings TEXT NOT NULL
    ) STRICT;
    CREATE TABLE key (
        hash BLOB PRIMARY KEY,
        account TEXT NOT NULL REFERENCES account(id),
        created_at INTEGER NOT NULL,
        last_used_at INTEGER,
        spent INTEGER NOT NULL DEFAULT 0,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX key_by_account ON key(account, created_at);
    CREATE TABLE usage (
        id BLOB PRIMARY KEY,
        account TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_account ON usage(account, id);
",
    ),
    Migration::Statements(
        "
    -- A row is appended behind the last one: keyed by its id, each page was left half empty, and a record had more than a page's share.
    CREATE TABLE usage_appended (
        account TEXT NOT NULL,
        id BLOB NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    INSERT INTO usage_appended SELECT account, id, record FROM usage ORDER BY id;
    DROP TABLE usage;
    ALTER TABLE usage_appended RENAME TO usage;
    CREATE UNIQUE INDEX usage_by_account ON usage(account, id);
",
    ),
    Migration::Statements(
        "
    ALTER TABLE account ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE key ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
    -- What a key spent in the day, the ISO week and the month (UTC) that it was last used in. `start` is the first day, counted from 1970.
    CREATE TABLE key_spend (
        key BLOB NOT NULL,
        period TEXT NOT NULL,
        start INTEGER NOT NULL,
        spent INTEGER NOT NULL,
        PRIMARY KEY (key, period)
    ) STRICT, WITHOUT ROWID;
    -- Totals of each hour, counted from 1970. A name that is not known is ''.
    CREATE TABLE usage_hour (
        account TEXT NOT NULL,
        hour INTEGER NOT NULL,
        key BLOB NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        app TEXT NOT NULL,
        outcome TEXT NOT NULL,
        requests INTEGER NOT NULL,
        unpriced INTEGER NOT NULL,
        prompt INTEGER NOT NULL,
        completion INTEGER NOT NULL,
        cached INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        reasoning INTEGER NOT NULL,
        cost INTEGER NOT NULL,
        latency INTEGER NOT NULL,
        PRIMARY KEY (account, hour, key, model, provider, app, outcome)
    ) STRICT, WITHOUT ROWID;
    -- The apps that an account's totals tell apart.
    CREATE TABLE app (
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (account, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage_columns (
        account TEXT NOT NULL,
        id BLOB NOT NULL,
        key BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        model_requested TEXT,
        model TEXT,
        provider TEXT,
        endpoint TEXT,
        inbound TEXT NOT NULL,
        outbound TEXT,
        app TEXT,
        http_status INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        prompt INTEGER NOT NULL,
        completion INTEGER NOT NULL,
        cached INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        cache_write_1h INTEGER NOT NULL,
        reasoning INTEGER NOT NULL,
        cost INTEGER,
        latency INTEGER NOT NULL,
        time_to_first_byte INTEGER,
        rest TEXT NOT NULL
    ) STRICT;
    -- Records of before that cannot be read: nobody looks for them, and they are not dropped.
    CREATE TABLE usage_unreadable (account TEXT NOT NULL, id BLOB NOT NULL, record TEXT NOT NULL) STRICT;
    CREATE UNIQUE INDEX usage_of_account ON usage_columns(account, id);
    CREATE INDEX usage_of_key ON usage_columns(key, id);
",
    ),
    Migration::Work(columns::move_records),
    Migration::Statements(
        "
    -- Each account's key, sealed under a master key of the ring. Without it, nothing of the account that is sealed can be read.
    CREATE TABLE account_key (
        account TEXT PRIMARY KEY REFERENCES account(id),
        sealed BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    -- An account's own credentials for providers, each sealed under the account's key.
    CREATE TABLE credential (
        account TEXT NOT NULL REFERENCES account(id),
        id TEXT NOT NULL,
        record TEXT NOT NULL,
        sealed BLOB NOT NULL,
        version INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (account, id)
    ) STRICT, WITHOUT ROWID;
",
    ),
];

/// Migrates the database to the newest version, and reports progress if that takes long. Refuses a
/// database that is newer than this program.
pub(super) fn migrate(
    connection: &mut Connection,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > MIGRATIONS.len() {
        let newest = MIGRATIONS.len();
        return Err(StoreError::Unavailable(format!(
            "the database has version {version}, and this program supports up to {newest}; start the version that wrote it"
        ))
        .into());
    }
    for (i, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        match migration {
            Migration::Statements(statements) => {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                transaction.execute_batch(statements)?;
                transaction.pragma_update(None, "user_version", i + 1)?;
                transaction.commit()?;
            }
            Migration::Work(work) => {
                work(connection, progress)?;
                connection.pragma_update(None, "user_version", i + 1)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_once_and_a_newer_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection, &mut |_| {}).is_ok());
        assert!(migrate(&mut connection, &mut |_| {}).is_ok());
        connection.pragma_update(None, "user_version", 999).unwrap();
        let refused = migrate(&mut connection, &mut |_| {}).unwrap_err();
        assert!(StoreError::from(refused).to_string().contains("999"));
    }
}
