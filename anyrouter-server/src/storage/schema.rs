//! The tables, by migrations that only go forward.

use rusqlite::Connection;

use super::{Failure, StoreError};

/// Each migration, in order. What stands here is never changed, only added to.
const MIGRATIONS: &[&str] = &[
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
];

/// Brings the database to the newest version. One that is newer than this program is refused.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > MIGRATIONS.len() {
        let newest = MIGRATIONS.len();
        return Err(StoreError::Unavailable(format!(
            "the database has version {version}, and this program knows {newest}; start the version that wrote it"
        ))
        .into());
    }
    for (i, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", i + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_once_and_a_newer_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection).is_ok());
        assert!(migrate(&mut connection).is_ok());
        connection.pragma_update(None, "user_version", 999).unwrap();
        assert!(
            StoreError::from(migrate(&mut connection).unwrap_err())
                .to_string()
                .contains("999")
        );
    }
}
