//! Accounts, keys and privacy settings. A change is in force for every request that begins after it
//! was acknowledged (P04, P07, P11).

use std::sync::Arc;

use anyrouter_core::{
    account::{Caller, KeyRecord},
    catalog::Usd,
    ids::AccountId,
    key::KeyHash,
    policy::{Settings, SettingsPatch},
    ports::{Directory, DirectoryError, StoreError},
    time::Timestamp,
};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Callers, Database, Failure,
    key_spend::{self, Period},
};

/// A key and what it was used for.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// The key.
    pub record: KeyRecord,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// What its requests cost.
    pub spent: Usd,
    /// What those of today cost, as of UTC.
    pub spent_today: Usd,
    /// What those of this week cost, which began on Monday.
    pub spent_this_week: Usd,
    /// What those of this month cost.
    pub spent_this_month: Usd,
}

impl KeyRow {
    /// A key that was not used yet.
    pub fn unused(record: KeyRecord) -> Self {
        Self {
            record,
            last_used_at: None,
            spent: Usd::ZERO,
            spent_today: Usd::ZERO,
            spent_this_week: Usd::ZERO,
            spent_this_month: Usd::ZERO,
        }
    }
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its privacy settings.
    pub settings: Settings,
}

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

type Row = (String, Option<i64>, i64);

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn key_row(
    connection: &Connection,
    (text, used, spent): Row,
    now: Timestamp,
) -> Result<KeyRow, Failure> {
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let (last_used_at, spent) = (
        used.map(|u| Timestamp::from_micros(number(u))),
        Usd::from_pico(number(spent)),
    );
    let record: KeyRecord = parse(&text)?;
    let within = |period| key_spend::spent(connection, &record.hash, period, now);
    Ok(KeyRow {
        last_used_at,
        spent,
        spent_today: within(Period::Day)?,
        spent_this_week: within(Period::Week)?,
        spent_this_month: within(Period::Month)?,
        record,
    })
}

/// Forgets every caller of an account.
fn forget(callers: &Callers, account: &AccountId) {
    callers.retain(|_, caller| caller.key.account != *account);
}

impl Database {
    /// The first account, if there is one.
    pub async fn first_account(&self) -> Result<Option<Account>, StoreError> {
        self.run(|c| {
            let found: Option<(String, String)> = c
                .query_row(
                    "SELECT id, settings FROM account ORDER BY created_at, id LIMIT 1",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            found
                .map(|(id, text)| {
                    Ok(Account {
                        id: id.into(),
                        settings: parse(&text)?,
                    })
                })
                .transpose()
        })
        .await
    }

    /// Makes an account with its first keys, all or nothing.
    pub async fn create_account(
        &self,
        account: Account,
        at: Timestamp,
        keys: Vec<KeyRecord>,
    ) -> Result<(), StoreError> {
        self.run(move |c| {
            let transaction = c.transaction()?;
            let created = i64::try_from(at.micros()).unwrap_or(i64::MAX);
            transaction.execute(
                "INSERT INTO account (id, created_at, settings) VALUES (?1, ?2, ?3)",
                params![account.id.as_str(), created, json(&account.settings)?],
            )?;
            for key in &keys {
                insert_key(&transaction, key)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// An account's settings.
    pub async fn settings(&self, account: AccountId) -> Result<Settings, StoreError> {
        self.read(move |c| settings(c, &account)).await
    }

    /// Changes an account's settings and gives them as they are now.
    pub async fn change_settings(
        &self,
        account: AccountId,
        patch: SettingsPatch,
    ) -> Result<Settings, StoreError> {
        let callers = self.callers.clone();
        self.run(move |c| {
            let changed = settings(c, &account)?.patched(patch);
            c.execute(
                "UPDATE account SET settings = ?2 WHERE id = ?1",
                params![account.as_str(), json(&changed)?],
            )?;
            forget(&callers, &account);
            Ok(changed)
        })
        .await
    }

    /// An account's keys, the oldest first, with what they were used for until `now`.
    pub async fn keys(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<KeyRow>, StoreError> {
        self.read(move |c| {
            let mut list = c.prepare_cached("SELECT record, last_used_at, spent FROM key WHERE account = ?1 ORDER BY created_at, hash")?;
            let rows = list.query_map(params![account.as_str()], row)?;
            rows.map(|row| key_row(c, row?, now)).collect()
        })
        .await
    }

    /// The key with this hash, with what it was used for until `now`.
    pub async fn key_row(
        &self,
        hash: KeyHash,
        now: Timestamp,
    ) -> Result<Option<KeyRow>, StoreError> {
        self.read(move |c| {
            let mut find =
                c.prepare_cached("SELECT record, last_used_at, spent FROM key WHERE hash = ?1")?;
            find.query_row(params![hash.as_bytes().as_slice()], row)
                .optional()?
                .map(|row| key_row(c, row, now))
                .transpose()
        })
        .await
    }

    /// Adds a key.
    pub async fn add_key(&self, record: KeyRecord) -> Result<(), StoreError> {
        self.run(move |c| insert_key(c, &record)).await
    }

    /// Changes a key; none where there is no such key.
    pub async fn change_key(
        &self,
        hash: KeyHash,
        change: impl FnOnce(&mut KeyRecord) + Send + 'static,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let callers = self.callers.clone();
        self.run(move |c| {
            let Some(mut record) = key(c, &hash)? else {
                return Ok(None);
            };
            change(&mut record);
            c.execute(
                "UPDATE key SET record = ?2 WHERE hash = ?1",
                params![hash.as_bytes().as_slice(), json(&record)?],
            )?;
            callers.remove(&hash);
            Ok(Some(record))
        })
        .await
    }
}

fn insert_key(c: &Connection, record: &KeyRecord) -> Result<(), Failure> {
    let created = i64::try_from(record.created_at.micros()).unwrap_or(i64::MAX);
    c.prepare_cached(
        "INSERT INTO key (hash, account, created_at, record) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        record.hash.as_bytes().as_slice(),
        record.account.as_str(),
        created,
        json(record)?
    ])?;
    Ok(())
}

#[async_trait]
impl Directory for Database {
    async fn find(&self, hash: &KeyHash) -> Result<Option<Arc<Caller>>, DirectoryError> {
        if let Some(caller) = self.callers.get(hash) {
            return Ok(Some(caller));
        }
        let (hash, callers) = (*hash, self.callers.clone());
        let found = self.run(move |c| {
            let Some(record) = key(c, &hash)? else {
                return Ok(None);
            };
            let settings = settings(c, &record.account)?;
            let caller = Arc::new(Caller::new(record, settings));
            callers.insert(hash, caller.clone());
            Ok(Some(caller))
        });
        found.await.map_err(|e| DirectoryError(e.to_string()))
    }
}
