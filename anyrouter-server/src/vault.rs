//! The vault of a running server: the key ring, the accounts' own credentials, and the rotation of the
//! master key.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use anyrouter_core::{
    account::Caller,
    catalog::Provider,
    config::ProviderKeys,
    credential::{
        CredentialId, CredentialRecord, StoredCredential, account_key, credential,
        open_account_key, open_credential,
    },
    ids::AccountId,
    policy::Eligible,
    ports::{Clock, Credentials, Opened, Randomness, SealedStore, StoreError},
    route::Holder,
    secret::Secret,
    time::Timestamp,
    vault::{Key, KeyRing, Salt, VaultError},
};
use async_trait::async_trait;

use crate::app::{Custody, RingStatus};

/// The place of the key ring.
pub(crate) trait RingPlace: Send + Sync {
    /// Replaces the ring, completely or not at all.
    fn write(&self, ring: &KeyRing) -> Result<(), StoreError>;

    /// Returns false if the ring is not this program's to change.
    fn is_ours(&self) -> bool;

    /// Returns the place, for messages.
    fn name(&self) -> String;
}

/// Maximum number of resting credentials that are remembered.
const RESTING: usize = 1 << 16;
/// Number of accounts' keys that a step of the rotation reads.
const STEP: usize = 256;

/// The vault.
pub(crate) struct Vault {
    store: Arc<dyn SealedStore>,
    randomness: Arc<dyn Randomness>,
    clock: Arc<dyn Clock>,
    place: Box<dyn RingPlace>,
    ring: RwLock<Arc<KeyRing>>,
    /// Held while an account's key is created, and while a master key is dropped.
    creating: tokio::sync::RwLock<()>,
    /// The operator's keys, as of the last configuration.
    operators: RwLock<Arc<ProviderKeys>>,
    resting: Mutex<HashMap<CredentialId, Timestamp>>,
    rotation: Rotation,
}

/// State of a rotation.
#[derive(Default)]
struct Rotation {
    /// Held while one runs.
    running: tokio::sync::Mutex<()>,
    done: AtomicU64,
    total: AtomicU64,
    failed: Mutex<Option<String>>,
}

impl Rotation {
    fn failed(&self) -> MutexGuard<'_, Option<String>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn corrupt(e: VaultError) -> StoreError {
    StoreError::Corrupt(e.to_string())
}

impl Vault {
    pub(crate) fn new(
        ring: KeyRing,
        place: Box<dyn RingPlace>,
        store: Arc<dyn SealedStore>,
        randomness: Arc<dyn Randomness>,
        clock: Arc<dyn Clock>,
        operators: ProviderKeys,
    ) -> Self {
        Self {
            store,
            randomness,
            clock,
            place,
            ring: RwLock::new(Arc::new(ring)),
            creating: tokio::sync::RwLock::new(()),
            operators: RwLock::new(Arc::new(operators)),
            resting: Mutex::default(),
            rotation: Rotation::default(),
        }
    }

    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the operator's keys.
    pub(crate) fn operators(&self) -> Arc<ProviderKeys> {
        self.operators
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_operators(&self, keys: ProviderKeys) {
        *self
            .operators
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn random_key(&self) -> Result<Key, StoreError> {
        let mut bytes = [0; 36];
        let secret = self.randomness.key_bits()?;
        self.randomness.fill(&mut bytes);
        let (_, rest) = bytes.split_at_mut(4);
        rest.copy_from_slice(&secret);
        Ok(Key::from_random(bytes))
    }

    fn salt(&self) -> Result<Salt, StoreError> {
        let bits = self.randomness.key_bits()?;
        let mut salt = [0; 24];
        salt.copy_from_slice(bits.get(..24).unwrap_or(&[0; 24]));
        Ok(Salt::from_random(salt))
    }

    /// Returns the key of an account, and creates it if there is none.
    async fn account_key(&self, account: &AccountId) -> Result<Key, StoreError> {
        let _creating = self.creating.read().await;
        loop {
            let own = self.store.own_credentials(account).await?;
            if let Some(sealed) = own.key {
                return open_account_key(&self.ring(), account.as_str(), &sealed).map_err(corrupt);
            }
            let key = self.random_key()?;
            let ring = self.ring();
            let identity = account_key(account.as_str());
            let sealed = ring.current().wrap(&identity, &key, self.salt()?);
            match self.store.put_account_key(account, sealed).await {
                Ok(()) => return Ok(key),
                // Another request created it.
                Err(StoreError::Conflict(_)) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn resting(&self) -> MutexGuard<'_, HashMap<CredentialId, Timestamp>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable<'a>(
        &'a self,
        caller: &'a Caller,
        provider: &'a Provider,
    ) -> impl Iterator<Item = &'a StoredCredential> + 'a {
        caller
            .own
            .usable(&provider.slug)
            .filter(|c| self.rests_until(&c.record.id).is_none())
    }

    /// Returns true if a rotation was not finished.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.ring().ids().count() > 1
    }

    fn replace_ring(&self, ring: KeyRing) -> Result<(), StoreError> {
        self.place.write(&ring)?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    /// Seals the accounts' keys under the current master key, and then drops the others. It can be
    /// interrupted anywhere, and begins where it ended.
    pub(crate) async fn reseal_all(&self) {
        let Ok(_running) = self.rotation.running.try_lock() else {
            return;
        };
        self.rotation.done.store(0, Ordering::Relaxed);
        let failed = self.reseal().await.err().map(|e| e.to_string());
        *self.rotation.failed() = failed;
    }

    async fn reseal(&self) -> Result<(), StoreError> {
        let current = self.ring().current().id();
        let counts = self.store.keys_by_master().await?;
        let left = counts.iter().filter(|(id, _)| **id != current);
        self.rotation
            .total
            .store(left.map(|(_, n)| n).sum(), Ordering::Relaxed);
        loop {
            let step = self.store.keys_not_under(current, STEP).await?;
            if step.is_empty() {
                // No key may be created under another master key between the count and the change.
                let _creating = self.creating.write().await;
                let counts = self.store.keys_by_master().await?;
                if counts.keys().any(|id| *id != current) {
                    continue;
                }
                let mut ring = KeyRing::clone(&self.ring());
                ring.retain(|_| false);
                if self.place.is_ours() {
                    self.replace_ring(ring)?;
                }
                return Ok(());
            }
            for (account, sealed) in step {
                let ring = self.ring();
                let identity = account_key(account.as_str());
                let key = open_account_key(&ring, account.as_str(), &sealed).map_err(corrupt)?;
                let renewed = ring.current().wrap(&identity, &key, self.salt()?);
                match self
                    .store
                    .replace_account_key(&account, &sealed, renewed)
                    .await
                {
                    Ok(()) => {
                        self.rotation.done.fetch_add(1, Ordering::Relaxed);
                    }
                    // It was changed or deleted since.
                    Err(StoreError::Conflict(_)) => {}
                    Err(e) => return Err(e),
                }
            }
        }
    }
}

#[async_trait]
impl Credentials for Vault {
    fn holder(&self, caller: Option<&Caller>, provider: &Provider) -> Option<Holder> {
        if caller.is_some_and(|caller| self.usable(caller, provider).next().is_some()) {
            return Some(Holder::Own);
        }
        self.operators().holder(caller, provider)
    }

    async fn open(&self, caller: &Caller, to: Eligible<'_>) -> Result<Opened, StoreError> {
        if to.with_own_credential()
            && let Some(stored) = self.usable(caller, to.provider()).next()
        {
            let account = caller.key.account.as_str();
            let secret = open_credential(&self.ring(), account, &caller.own, stored);
            return Ok(Opened {
                secret: Some(secret.map_err(corrupt)?),
                own: Some(stored.record.id.clone()),
            });
        }
        self.operators().open(caller, to).await
    }

    fn rest(&self, credential: &CredentialId, until: Timestamp) {
        let now = self.clock.now();
        let mut resting = self.resting();
        if resting.len() >= RESTING {
            resting.retain(|_, until| *until > now);
        }
        if resting.len() < RESTING {
            resting.insert(credential.clone(), until);
        }
    }
}

#[async_trait]
impl Custody for Vault {
    async fn credentials(&self, account: &AccountId) -> Result<Vec<StoredCredential>, StoreError> {
        Ok(self.store.own_credentials(account).await?.all)
    }

    async fn add(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        secret: &Secret<String>,
    ) -> Result<(), StoreError> {
        let key = self.account_key(account).await?;
        let identity = credential(account.as_str(), &record.id);
        let sealed = key.seal(&identity, secret.expose().as_bytes(), self.salt()?);
        self.store.add_credential(account, record, sealed).await
    }

    async fn change(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        version: u64,
    ) -> Result<(), StoreError> {
        self.resting().remove(&record.id);
        self.store.put_credential(account, record, version).await
    }

    async fn remove(&self, account: &AccountId, id: &str) -> Result<(), StoreError> {
        self.store.remove_credential(account, id).await
    }

    fn rests_until(&self, id: &CredentialId) -> Option<Timestamp> {
        let until = self.resting().get(id).copied();
        until.filter(|until| *until > self.clock.now())
    }

    async fn status(&self) -> Result<RingStatus, StoreError> {
        let (ring, counts) = (self.ring(), self.store.keys_by_master().await?);
        let count = |id| (id, counts.get(&id).copied().unwrap_or(0));
        Ok(RingStatus {
            place: self.place.name(),
            masters: ring.ids().map(count).collect(),
            is_rotating: self.rotation.running.try_lock().is_err(),
            done: self.rotation.done.load(Ordering::Relaxed),
            total: self.rotation.total.load(Ordering::Relaxed),
            failed: self.rotation.failed().clone(),
        })
    }

    fn rotate(self: Arc<Self>) -> Result<(), StoreError> {
        let Ok(running) = self.rotation.running.try_lock() else {
            return Err(StoreError::Busy("a rotation is running".to_owned()));
        };
        let mut ring = KeyRing::clone(&self.ring());
        while !ring.add(self.random_key()?) {}
        self.replace_ring(ring)?;
        drop(running);
        tokio::spawn(async move { self.reseal_all().await });
        Ok(())
    }
}
