//! The sealed rows: accounts' keys, and their credentials for providers.

use std::collections::BTreeMap;

use anyrouter_core::{
    credential::{CredentialRecord, MAX_CREDENTIALS, OwnCredentials, StoredCredential},
    ids::AccountId,
    ports::{SealedStore, StoreError},
    vault::{KeyId, Sealed},
};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Database, Failure, forget, number};
use crate::vault::InUse;

fn sealed(bytes: Vec<u8>) -> Result<Sealed, Failure> {
    Sealed::from_bytes(bytes).map_err(|e| StoreError::Corrupt(format!("a sealed row: {e}")).into())
}

/// Returns an account's key and credentials.
pub(super) fn own_credentials(
    c: &Connection,
    account: &AccountId,
) -> Result<OwnCredentials, Failure> {
    let mut find = c.prepare_cached("SELECT sealed FROM account_key WHERE account = ?1")?;
    let key: Option<Vec<u8>> = find
        .query_row(params![account.as_str()], |row| row.get(0))
        .optional()?;
    let key = key.map(sealed).transpose()?;
    let mut list =
        c.prepare_cached("SELECT record, sealed, version FROM credential WHERE account = ?1")?;
    let mut rows = list.query(params![account.as_str()])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let record = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        all.push(StoredCredential {
            record: serde_json::from_str(record)?,
            sealed: sealed(row.get(1)?)?,
            version: row.get(2)?,
        });
    }
    let mut own = OwnCredentials { key, all };
    own.sort();
    Ok(own)
}

/// Returns the accounts' keys under each master key.
pub(super) fn in_use(c: &Connection) -> Result<BTreeMap<KeyId, InUse>, Failure> {
    let mut count = c.prepare(
        "SELECT account, sealed, count(*) FROM account_key GROUP BY substr(sealed, 2, 4)",
    )?;
    let mut rows = count.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (account, sealed): (String, _) = (row.get(0)?, sealed(row.get(1)?)?);
        let (account, count) = (account.into(), row.get(2)?);
        found.insert(
            sealed.key_id(),
            InUse {
                count,
                account,
                sealed,
            },
        );
    }
    Ok(found)
}

#[async_trait]
impl SealedStore for Database {
    async fn own_credentials(&self, account: &AccountId) -> Result<OwnCredentials, StoreError> {
        let account = account.clone();
        self.run(move |c| own_credentials(c, &account)).await
    }

    async fn put_account_key(&self, account: &AccountId, key: Sealed) -> Result<(), StoreError> {
        let (account, callers) = (account.clone(), self.callers.clone());
        self.run(move |c| {
            c.execute(
                "INSERT INTO account_key (account, sealed) VALUES (?1, ?2)",
                params![account.as_str(), key.bytes()],
            )?;
            forget(&callers, &account);
            Ok(())
        })
        .await
    }

    async fn add_credential(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        sealed: Sealed,
    ) -> Result<(), StoreError> {
        let (account, callers) = (account.clone(), self.callers.clone());
        self.run(move |c| {
            let text = serde_json::to_string(&record)?;
            let added = c.execute(
                "INSERT INTO credential (account, id, record, sealed) SELECT ?1, ?2, ?3, ?4
                 WHERE (SELECT count(*) FROM credential WHERE account = ?1) < ?5",
                params![
                    account.as_str(),
                    &*record.id,
                    text,
                    sealed.bytes(),
                    number(MAX_CREDENTIALS as u64)
                ],
            )?;
            if added == 0 {
                let why = "the account has as many credentials as it may".to_owned();
                return Err(StoreError::Conflict(why).into());
            }
            forget(&callers, &account);
            Ok(())
        })
        .await
    }

    async fn put_credential(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        version: u64,
    ) -> Result<(), StoreError> {
        let (account, callers) = (account.clone(), self.callers.clone());
        self.run(move |c| {
            let text = serde_json::to_string(&record)?;
            let changed = c.execute(
                "UPDATE credential SET record = ?3, version = version + 1
                 WHERE account = ?1 AND id = ?2 AND version = ?4",
                params![account.as_str(), &*record.id, text, number(version)],
            )?;
            if changed == 0 {
                return Err(StoreError::Conflict("since it was read".to_owned()).into());
            }
            forget(&callers, &account);
            Ok(())
        })
        .await
    }

    async fn remove_credential(&self, account: &AccountId, id: &str) -> Result<(), StoreError> {
        let (account, id, callers) = (account.clone(), id.to_owned(), self.callers.clone());
        self.run(move |c| {
            let changed = c.execute(
                "DELETE FROM credential WHERE account = ?1 AND id = ?2",
                params![account.as_str(), id],
            )?;
            if changed == 0 {
                return Err(StoreError::Absent("no such row".to_owned()).into());
            }
            forget(&callers, &account);
            Ok(())
        })
        .await
    }

    async fn keys_not_under(
        &self,
        current: KeyId,
        limit: usize,
    ) -> Result<Vec<(AccountId, Sealed)>, StoreError> {
        self.run(move |c| {
            let mut list = c.prepare_cached(
                "SELECT account, sealed FROM account_key WHERE substr(sealed, 2, 4) <> ?1 LIMIT ?2",
            )?;
            let limit = number(limit as u64);
            let mut rows = list.query(params![current.bytes().as_slice(), limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let account: String = row.get(0)?;
                found.push((account.into(), sealed(row.get(1)?)?));
            }
            Ok(found)
        })
        .await
    }

    async fn replace_account_key(
        &self,
        account: &AccountId,
        before: &Sealed,
        key: Sealed,
    ) -> Result<(), StoreError> {
        let (account, callers) = (account.clone(), self.callers.clone());
        let before = before.clone();
        self.run(move |c| {
            let changed = c.execute(
                "UPDATE account_key SET sealed = ?3 WHERE account = ?1 AND sealed = ?2",
                params![account.as_str(), before.bytes(), key.bytes()],
            )?;
            if changed == 0 {
                return Err(StoreError::Conflict("since it was read".to_owned()).into());
            }
            forget(&callers, &account);
            Ok(())
        })
        .await
    }

    async fn shred(&self, account: &AccountId) -> Result<(), StoreError> {
        let (account, callers) = (account.clone(), self.callers.clone());
        self.run(move |c| {
            let transaction = c.transaction()?;
            for table in ["credential", "account_key"] {
                let delete = format!("DELETE FROM {table} WHERE account = ?1");
                transaction.execute(&delete, params![account.as_str()])?;
            }
            transaction.commit()?;
            forget(&callers, &account);
            Ok(())
        })
        .await
    }

    async fn keys_by_master(&self) -> Result<BTreeMap<KeyId, u64>, StoreError> {
        let in_use = self.run(|c| in_use(c)).await?;
        Ok(in_use.into_iter().map(|(id, n)| (id, n.count)).collect())
    }
}
