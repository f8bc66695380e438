//! Accounts, keys and privacy settings. A change applies to every request that begins after its
//! acknowledgement (P04, P07, P11).

use std::sync::Arc;

use anyrouter_core::{
    account::{Caller, KeyRecord, KeySpend, StoredAccount, StoredKey},
    catalog::Usd,
    ids::AccountId,
    key::KeyHash,
    policy::Settings,
    ports::{Accounts, Directory, StoreError},
    time::Timestamp,
};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Database, Failure, forget,
    key_spend::{self, Period},
    number,
    sealed::own_credentials,
};

fn json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    Ok(serde_json::to_string(value)?)
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    Ok(serde_json::from_str(text)?)
}

fn key(c: &Connection, hash: &KeyHash) -> Result<Option<KeyRecord>, Failure> {
    let mut find = c.prepare_cached("SELECT record FROM key WHERE hash = ?1")?;
    let found: Option<String> = find
        .query_row(params![hash.as_bytes().as_slice()], |row| row.get(0))
        .optional()?;
    found.map(|text| parse(&text)).transpose()
}

fn settings(c: &Connection, account: &AccountId) -> Result<Settings, Failure> {
    let mut find = c.prepare_cached("SELECT settings FROM account WHERE id = ?1")?;
    parse(&find.query_row(params![account.as_str()], |row| row.get::<_, String>(0))?)
}

/// Beginning of a query for the columns of a key, in the order of `stored_key`.
const KEY: &str = "SELECT record, version, last_used_at, spent FROM key WHERE";

fn stored_key(
    connection: &Connection,
    row: &rusqlite::Row<'_>,
    now: Timestamp,
) -> Result<StoredKey, Failure> {
    let record: KeyRecord = parse(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
    let within = |period| key_spend::spent(connection, &record.hash, period, now);
    Ok(StoredKey {
        version: row.get(1)?,
        last_used_at: row.get::<_, Option<u64>>(2)?.map(Timestamp::from_micros),
        spent: KeySpend {
            ever: Usd::from_pico(row.get(3)?),
            today: within(Period::Day)?,
            this_week: within(Period::Week)?,
            this_month: within(Period::Month)?,
        },
        record,
    })
}

/// Decodes a row of `SELECT id, settings, version FROM account`.
fn stored_account(row: &rusqlite::Row<'_>) -> Result<StoredAccount, Failure> {
    Ok(StoredAccount {
        id: row.get::<_, String>(0)?.into(),
        settings: parse(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        version: row.get(2)?,
    })
}

/// Returns the new version after an `UPDATE` of a row at a version. `exists` looks the row up.
fn updated(
    changed: usize,
    version: u64,
    exists: impl FnOnce() -> Result<bool, Failure>,
) -> Result<u64, Failure> {
    match changed {
        0 if exists()? => Err(StoreError::Conflict("since it was read".to_owned()).into()),
        0 => Err(StoreError::Absent("no such row".to_owned()).into()),
        _ => Ok(version + 1),
    }
}

#[async_trait]
impl Accounts for Database {
    async fn first_account(&self) -> Result<Option<StoredAccount>, StoreError> {
        self.read(|c| {
            let mut find = c.prepare_cached(
                "SELECT id, settings, version FROM account ORDER BY created_at, id LIMIT 1",
            )?;
            let mut rows = find.query([])?;
            rows.next()?.map(stored_account).transpose()
        })
        .await
    }

    async fn account(&self, id: &AccountId) -> Result<Option<StoredAccount>, StoreError> {
        let id = id.clone();
        self.read(move |c| {
            let mut find =
                c.prepare_cached("SELECT id, settings, version FROM account WHERE id = ?1")?;
            let mut rows = find.query(params![id.as_str()])?;
            rows.next()?.map(stored_account).transpose()
        })
        .await
    }

    async fn create_account(
        &self,
        id: &AccountId,
        settings: Settings,
        at: Timestamp,
        keys: Vec<KeyRecord>,
    ) -> Result<(), StoreError> {
        let id = id.clone();
        self.run(move |c| {
            let transaction = c.transaction()?;
            transaction.execute(
                "INSERT INTO account (id, created_at, settings) VALUES (?1, ?2, ?3)",
                params![id.as_str(), number(at.micros()), json(&settings)?],
            )?;
            for key in &keys {
                insert_key(&transaction, key)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    async fn put_settings(
        &self,
        id: &AccountId,
        settings: Settings,
        version: u64,
    ) -> Result<u64, StoreError> {
        let (id, callers) = (id.clone(), self.callers.clone());
        self.run(move |c| {
            let changed = c.execute(
                "UPDATE account SET settings = ?2, version = version + 1
                 WHERE id = ?1 AND version = ?3",
                params![id.as_str(), json(&settings)?, number(version)],
            )?;
            let exists = || {
                let mut find = c.prepare_cached("SELECT 1 FROM account WHERE id = ?1")?;
                Ok(find.exists(params![id.as_str()])?)
            };
            let version = updated(changed, version, exists)?;
            forget(&callers, &id);
            Ok(version)
        })
        .await
    }

    async fn keys(&self, id: &AccountId, now: Timestamp) -> Result<Vec<StoredKey>, StoreError> {
        let id = id.clone();
        self.read(move |c| {
            let sql = format!("{KEY} account = ?1 ORDER BY created_at, hash");
            let mut list = c.prepare_cached(&sql)?;
            let mut rows = list.query(params![id.as_str()])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                keys.push(stored_key(c, row, now)?);
            }
            Ok(keys)
        })
        .await
    }

    async fn key(&self, hash: &KeyHash, now: Timestamp) -> Result<Option<StoredKey>, StoreError> {
        let hash = *hash;
        self.read(move |c| {
            let mut find = c.prepare_cached(&format!("{KEY} hash = ?1"))?;
            let mut rows = find.query(params![hash.as_bytes().as_slice()])?;
            let row = rows.next()?;
            row.map(|row| stored_key(c, row, now)).transpose()
        })
        .await
    }

    async fn add_key(&self, record: KeyRecord) -> Result<(), StoreError> {
        self.run(move |c| insert_key(c, &record)).await
    }

    async fn put_key(&self, record: KeyRecord, version: u64) -> Result<u64, StoreError> {
        let callers = self.callers.clone();
        self.run(move |c| {
            let hash = record.hash;
            let changed = c.execute(
                "UPDATE key SET record = ?2, version = version + 1 WHERE hash = ?1 AND version = ?3",
                params![hash.as_bytes().as_slice(), json(&record)?, number(version)],
            )?;
            let version = updated(changed, version, || Ok(key(c, &hash)?.is_some()))?;
            callers.remove(&hash);
            Ok(version)
        })
        .await
    }
}

fn insert_key(c: &Connection, record: &KeyRecord) -> Result<(), Failure> {
    c.prepare_cached(
        "INSERT INTO key (hash, account, created_at, record) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        record.hash.as_bytes().as_slice(),
        record.account.as_str(),
        number(record.created_at.micros()),
        json(record)?
    ])?;
    Ok(())
}

#[async_trait]
impl Directory for Database {
    async fn find(&self, hash: &KeyHash) -> Result<Option<Arc<Caller>>, StoreError> {
        if let Some(caller) = self.callers.get(hash) {
            return Ok(Some(caller));
        }
        let (hash, callers) = (*hash, self.callers.clone());
        let found = self.run(move |c| {
            let Some(record) = key(c, &hash)? else {
                return Ok(None);
            };
            let settings = settings(c, &record.account)?;
            let own = own_credentials(c, &record.account)?;
            let caller = Caller::new(record, settings).with_own_credentials(own);
            let caller = Arc::new(caller);
            callers.insert(hash, caller.clone());
            Ok(Some(caller))
        });
        found.await
    }
}
