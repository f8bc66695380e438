//! The vault of a running server: the key ring, the accounts' own credentials, and the rotation of the
//! master key.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
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
    ports::{
        Backend, Clock, Credentials, Event, Events, Opened, Randomness, SealedStore, StoreError,
    },
    route::Holder,
    secret::Secret,
    time::Timestamp,
    vault::{Key, KeyRing, Salt, Sealed, VaultError},
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

/// The accounts' keys under a master key: their number, and one of them.
pub(crate) struct InUse {
    /// Number of accounts' keys.
    pub(crate) count: u64,
    /// The account of one of them.
    pub(crate) account: AccountId,
    /// The sealed key of that account.
    pub(crate) sealed: Sealed,
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
    events: Arc<dyn Events>,
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
    /// True while one runs.
    is_running: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    failed: Mutex<Option<String>>,
}

impl Rotation {
    /// Takes the right to rotate; false if a rotation has it.
    fn begin(&self) -> bool {
        if self.is_running.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.done.store(0, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
        *self.failed() = None;
        true
    }

    fn end(&self, failed: Option<String>) {
        *self.failed() = failed;
        self.is_running.store(false, Ordering::Release);
    }

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
        events: Arc<dyn Events>,
        operators: ProviderKeys,
    ) -> Self {
        Self {
            store,
            randomness,
            clock,
            events,
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

    /// Adds a master key, which becomes the current one. An unfinished rotation has one already.
    fn add_master(&self) -> Result<(), StoreError> {
        if self.is_unfinished() {
            return Ok(());
        }
        let mut ring = KeyRing::clone(&self.ring());
        while !ring.add(self.random_key()?) {}
        self.replace_ring(ring)
    }

    fn replace_ring(&self, ring: KeyRing) -> Result<(), StoreError> {
        self.place.write(&ring)?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    /// Seals the accounts' keys under the current master key, and then drops the others. It can be
    /// interrupted anywhere, and begins where it ended.
    pub(crate) async fn reseal_all(&self) {
        if self.rotation.begin() {
            let failed = self.reseal().await.err();
            self.rotation.end(failed.map(|e| e.to_string()));
        }
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
        let is_own = caller.is_some_and(|c| self.usable(c, provider).next().is_some());
        let is_operators = !caller.is_some_and(Caller::uses_only_own_credentials)
            && self.operators().holder(caller, provider).is_some();
        match (is_own, is_operators) {
            (true, true) => Some(Holder::Both),
            (true, false) => Some(Holder::Own),
            (false, true) => Some(Holder::Operator),
            (false, false) => None,
        }
    }

    async fn open(&self, caller: &Caller, to: Eligible<'_>) -> Result<Opened, StoreError> {
        if to.with_own_credential() {
            let account = caller.key.account.as_str();
            for stored in self.usable(caller, to.provider()) {
                let id = &stored.record.id;
                match open_credential(&self.ring(), account, &caller.own, stored) {
                    Ok(secret) => {
                        return Ok(Opened {
                            secret: Some(secret),
                            own: Some(id.clone()),
                        });
                    }
                    // It does not keep the account from those that can be read.
                    Err(e) => {
                        let error = StoreError::Corrupt(format!("credential {id}: {e}"));
                        let backend = Backend::Credentials;
                        self.events.emit(Event::BackendFailed { backend, error });
                    }
                }
            }
        }
        if caller.uses_only_own_credentials() {
            let slug = &to.provider().slug;
            let why = format!("a credential of the account's own for {slug}");
            return Err(StoreError::Absent(why));
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
            is_rotating: self.rotation.is_running.load(Ordering::Acquire),
            done: self.rotation.done.load(Ordering::Relaxed),
            total: self.rotation.total.load(Ordering::Relaxed),
            failed: self.rotation.failed().clone(),
        })
    }

    fn rotate(self: Arc<Self>) -> Result<(), StoreError> {
        if !self.rotation.begin() {
            return Err(StoreError::Busy("a rotation is running".to_owned()));
        }
        if let Err(error) = self.add_master() {
            self.rotation.end(Some(error.to_string()));
            return Err(error);
        }
        tokio::spawn(async move {
            let failed = self.reseal().await.err();
            self.rotation.end(failed.map(|e| e.to_string()));
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyrouter_core::{
        config::{Config, Sources},
        policy::Settings,
        ports::{
            Accounts as _,
            memory::{ManualClock, MemoryDirectory, NoEvents},
        },
    };

    use super::*;
    use crate::clock::SystemRandomness;

    /// A disk that keeps rings, and fails from some write on.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Option<String>, usize)>>);

    impl RingPlace for Disk {
        fn write(&self, ring: &KeyRing) -> Result<(), StoreError> {
            let mut disk = self.0.lock().unwrap();
            if disk.1 == 0 {
                return Err(StoreError::Full("the disk".to_owned()));
            }
            disk.1 -= 1;
            disk.0 = Some(ring.to_text().to_string());
            Ok(())
        }

        fn is_ours(&self) -> bool {
            true
        }

        fn name(&self) -> String {
            "a disk".to_owned()
        }
    }

    /// A vault as it is opened after a crash: with the ring on the disk, and what is in the store.
    fn opened(disk: &Disk, store: &Arc<MemoryDirectory>) -> Arc<Vault> {
        let text = disk.0.lock().unwrap().0.clone().unwrap();
        let config = Config::load(&Sources::default(), &|_| unreachable!()).unwrap();
        Arc::new(Vault::new(
            KeyRing::parse(&text).unwrap(),
            Box::new(disk.clone()),
            store.clone(),
            Arc::new(SystemRandomness),
            Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000))),
            Arc::new(NoEvents),
            config.keys,
        ))
    }

    async fn secrets(vault: &Vault, accounts: &[AccountId]) -> Vec<String> {
        let mut found = Vec::new();
        for account in accounts {
            let own = vault.store.own_credentials(account).await.unwrap();
            for stored in &own.all {
                let secret = open_credential(&vault.ring(), account.as_str(), &own, stored);
                found.push(secret.unwrap().expose().clone());
            }
        }
        found
    }

    #[tokio::test]
    async fn a_rotation_that_breaks_off_anywhere_loses_nothing_and_goes_on() {
        let accounts: Vec<AccountId> = (0..5).map(|n| format!("acc_{n}").into()).collect();
        let expected: Vec<String> = (0..5).map(|n| format!("sk-{n}")).collect();
        // After so many writes of the ring and so many accounts' keys, everything stops.
        for (writes, keys) in (0..3).flat_map(|w| (0..=5).map(move |k| (w, k))) {
            let store = Arc::new(MemoryDirectory::default());
            let disk = Disk(Arc::new(Mutex::new((None, 1))));
            disk.write(&KeyRing::new(Key::from_random([1; 36]), [2; 32]))
                .unwrap();
            let vault = opened(&disk, &store);
            for (account, secret) in accounts.iter().zip(&expected) {
                let at = Timestamp::default();
                let made = store.create_account(account, Settings::default(), at, Vec::new());
                made.await.unwrap();
                let record = CredentialRecord {
                    id: "byok_1".into(),
                    provider: "openai".into(),
                    label: String::new(),
                    preview: String::new(),
                    position: 0,
                    disabled: false,
                    tier: None,
                    terms: None,
                    stated_at: None,
                    created_at: at,
                };
                let secret = Secret::new(secret.clone());
                vault.add(account, record, &secret).await.unwrap();
            }
            let old = vault.ring().current().id();
            disk.0.lock().unwrap().1 = writes;
            // The steps of a rotation, up to where it stops.
            let mut ring = KeyRing::clone(&vault.ring());
            assert!(ring.add(vault.random_key().unwrap()));
            if vault.replace_ring(ring).is_ok() {
                let current = vault.ring().current().id();
                let step = store.keys_not_under(current, keys).await.unwrap();
                for (account, sealed) in step {
                    let identity = account_key(account.as_str());
                    let ring = vault.ring();
                    let key = open_account_key(&ring, account.as_str(), &sealed).unwrap();
                    let renewed = ring.current().wrap(&identity, &key, vault.salt().unwrap());
                    let replaced = store.replace_account_key(&account, &sealed, renewed);
                    replaced.await.unwrap();
                }
                if keys == 5 {
                    vault.reseal_all().await;
                }
            }
            // The next start finds everything, and ends what was begun.
            disk.0.lock().unwrap().1 = 9;
            let again = opened(&disk, &store);
            assert_eq!(
                secrets(&again, &accounts).await,
                expected,
                "{writes} {keys}"
            );
            again.reseal_all().await;
            let ring = again.ring();
            assert_eq!(ring.ids().count(), 1, "{writes} {keys}");
            assert_eq!(writes == 0, ring.current().id() == old);
            assert_eq!(
                secrets(&again, &accounts).await,
                expected,
                "{writes} {keys}"
            );
            assert_eq!(secrets(&opened(&disk, &store), &accounts).await, expected);
        }
    }

    #[tokio::test]
    async fn shredded_rows_open_with_no_key_that_is_left() {
        let store = Arc::new(MemoryDirectory::default());
        let disk = Disk(Arc::new(Mutex::new((None, 9))));
        disk.write(&KeyRing::new(Key::from_random([1; 36]), [2; 32]))
            .unwrap();
        let vault = opened(&disk, &store);
        let account = AccountId::from("acc_1");
        let key = vault.account_key(&account).await.unwrap();
        let identity = credential("acc_1", "byok_1");
        let row = key.seal(&identity, b"sk-1", vault.salt().unwrap());
        store.shred(&account).await.unwrap();
        // The account gets another key, under which the old row does not open.
        let other = vault.account_key(&account).await.unwrap();
        assert!(other.open(&identity, &row).is_err());
        assert!(vault.ring().current().open(&identity, &row).is_err());
    }
}
