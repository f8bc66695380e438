//! In-memory backends, for tests, simulations, and services that need no persistence.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    Accounts, Blocking, Clock, Credentials, Directory, Event, Events, Limiter, LogQuery,
    OpenRequest, Opened, Reservation, Room, SealedStore, StoreError, Timer, Tokens, UsageLog,
    WriteState,
};
use crate::{
    account::{Caller, KeyRecord, StoredAccount, StoredKey},
    catalog::Provider,
    credential::{
        CredentialId, CredentialRecord, MAX_CREDENTIALS, OwnCredentials, StoredCredential,
    },
    ids::{AccountId, RequestId},
    key::KeyHash,
    policy::{Eligible, Settings},
    route::Holder,
    secret::Secret,
    time::Timestamp,
    usage::{Opening, Record},
    vault::{KeyId, Sealed},
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that moves only on demand, for tests and simulations. Clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<ManualTime>>);

#[derive(Debug)]
struct ManualTime {
    now: Timestamp,
    waiting: Vec<(Timestamp, Waker)>,
}

impl ManualClock {
    /// Creates a clock at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(ManualTime {
            now,
            waiting: Vec::new(),
        })))
    }

    /// Advances the time and wakes the timers that fire.
    pub fn advance(&self, by: Duration) {
        let mut time = lock(&self.0);
        time.now = time.now.after(by);
        let now = time.now;
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut time.waiting)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        time.waiting = rest;
        drop(time);
        for (_, waker) in due {
            waker.wake();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        lock(&self.0).now
    }

    fn timer(&self, after: Duration) -> Pin<Box<dyn Timer>> {
        Box::pin(ManualTimer {
            clock: self.clone(),
            at: self.now().after(after),
        })
    }
}

struct ManualTimer {
    clock: ManualClock,
    at: Timestamp,
}

impl Future for ManualTimer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut time = lock(&self.clock.0);
        if time.now >= self.at {
            return Poll::Ready(());
        }
        time.waiting.push((self.at, cx.waker().clone()));
        Poll::Pending
    }
}

impl Timer for ManualTimer {
    fn reset(mut self: Pin<&mut Self>, after: Duration) {
        self.at = self.clock.now().after(after);
    }
}

/// Accounts and keys in memory.
#[derive(Debug, Default)]
pub struct MemoryDirectory(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The account that was created first.
    first: Option<AccountId>,
    accounts: HashMap<AccountId, StoredAccount>,
    /// Keys with their versions.
    keys: HashMap<KeyHash, (KeyRecord, u64)>,
    callers: HashMap<KeyHash, Arc<Caller>>,
    own: HashMap<AccountId, OwnCredentials>,
}

impl Kept {
    fn add_account(&mut self, id: &AccountId, settings: Settings) {
        self.first.get_or_insert_with(|| id.clone());
        let account = StoredAccount {
            id: id.clone(),
            settings,
            version: 1,
        };
        self.accounts.insert(id.clone(), account);
        self.refresh_account(id);
    }

    fn add_key(&mut self, key: KeyRecord, version: u64) {
        let hash = key.hash;
        self.keys.insert(hash, (key, version));
        self.refresh_key(&hash);
    }

    /// Rebuilds the caller of a key.
    fn refresh_key(&mut self, hash: &KeyHash) {
        if let Some((key, _)) = self.keys.get(hash) {
            let account = self.accounts.get(&key.account);
            let settings = account.map(|a| a.settings.clone()).unwrap_or_default();
            let own = self.own.get(&key.account).cloned().unwrap_or_default();
            let caller = Caller::new(key.clone(), settings).with_own_credentials(own);
            self.callers.insert(*hash, Arc::new(caller));
        }
    }

    /// Rebuilds the callers of an account.
    fn refresh_account(&mut self, id: &AccountId) {
        let of_account = self.keys.values().filter(|(key, _)| key.account == *id);
        let hashes: Vec<KeyHash> = of_account.map(|(key, _)| key.hash).collect();
        for hash in hashes {
            self.refresh_key(&hash);
        }
    }
}

impl MemoryDirectory {
    /// Adds or replaces a key without checking its version.
    pub fn put_key(&self, key: KeyRecord) {
        let mut kept = lock(&self.0);
        let version = kept
            .keys
            .get(&key.hash)
            .map_or(1, |(_, version)| version + 1);
        kept.add_key(key, version);
    }

    /// Replaces an account's settings without checking the version, and creates the account if it
    /// does not exist.
    pub fn put_settings(&self, id: &AccountId, settings: Settings) {
        let mut kept = lock(&self.0);
        match kept.accounts.get_mut(id) {
            Some(account) => {
                account.settings = settings;
                account.version += 1;
                kept.refresh_account(id);
            }
            None => kept.add_account(id, settings),
        }
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn find(&self, hash: &KeyHash) -> Result<Option<Arc<Caller>>, StoreError> {
        Ok(lock(&self.0).callers.get(hash).cloned())
    }
}

fn absent(what: &str) -> StoreError {
    StoreError::Absent(what.to_owned())
}

fn conflict(what: &str) -> StoreError {
    StoreError::Conflict(what.to_owned())
}

#[async_trait]
impl Accounts for MemoryDirectory {
    async fn first_account(&self) -> Result<Option<StoredAccount>, StoreError> {
        let kept = lock(&self.0);
        Ok(kept
            .first
            .as_ref()
            .and_then(|id| kept.accounts.get(id))
            .cloned())
    }

    async fn account(&self, id: &AccountId) -> Result<Option<StoredAccount>, StoreError> {
        Ok(lock(&self.0).accounts.get(id).cloned())
    }

    async fn create_account(
        &self,
        id: &AccountId,
        settings: Settings,
        _: Timestamp,
        keys: Vec<KeyRecord>,
    ) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        if keys.iter().any(|new| kept.keys.contains_key(&new.hash)) {
            return Err(conflict("a key"));
        }
        if kept.accounts.contains_key(id) {
            return Err(conflict("an account"));
        }
        kept.add_account(id, settings);
        for key in keys {
            kept.add_key(key, 1);
        }
        Ok(())
    }

    async fn put_settings(
        &self,
        id: &AccountId,
        settings: Settings,
        version: u64,
    ) -> Result<u64, StoreError> {
        let mut kept = lock(&self.0);
        let account = kept
            .accounts
            .get_mut(id)
            .ok_or_else(|| absent("an account"))?;
        if account.version != version {
            return Err(conflict("an account's settings"));
        }
        account.settings = settings;
        account.version += 1;
        kept.refresh_account(id);
        Ok(version + 1)
    }

    async fn keys(&self, id: &AccountId, _: Timestamp) -> Result<Vec<StoredKey>, StoreError> {
        let kept = lock(&self.0);
        let of_account = kept.keys.values().filter(|(key, _)| key.account == *id);
        let mut keys: Vec<StoredKey> = of_account.map(stored).collect();
        keys.sort_by_key(|key| (key.record.created_at, *key.record.hash.as_bytes()));
        Ok(keys)
    }

    async fn key(&self, hash: &KeyHash, _: Timestamp) -> Result<Option<StoredKey>, StoreError> {
        let kept = lock(&self.0);
        Ok(kept.keys.get(hash).map(stored))
    }

    async fn add_key(&self, record: KeyRecord) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        if !kept.accounts.contains_key(&record.account) {
            return Err(absent("the key's account"));
        }
        if kept.keys.contains_key(&record.hash) {
            return Err(conflict("a key"));
        }
        kept.add_key(record, 1);
        Ok(())
    }

    async fn put_key(&self, record: KeyRecord, version: u64) -> Result<u64, StoreError> {
        let mut kept = lock(&self.0);
        let known = kept.keys.get(&record.hash);
        let (_, newest) = known.ok_or_else(|| absent("a key"))?;
        if *newest != version {
            return Err(conflict("a key"));
        }
        kept.add_key(record, version + 1);
        Ok(version + 1)
    }
}

fn stored((record, version): &(KeyRecord, u64)) -> StoredKey {
    StoredKey {
        version: *version,
        ..StoredKey::unused(record.clone())
    }
}

/// Usage records in memory.
#[derive(Debug, Default)]
pub struct MemoryLog {
    records: Mutex<BTreeMap<RequestId, Record>>,
    open: Mutex<BTreeMap<RequestId, Arc<OpenRequest>>>,
}

impl MemoryLog {
    /// Returns all records, the oldest first.
    pub fn all(&self) -> Vec<Record> {
        lock(&self.records).values().cloned().collect()
    }

    /// Returns the open entries of the slots that are taken.
    pub fn open(&self) -> Vec<Opening> {
        lock(&self.open).values().map(|o| o.opening()).collect()
    }
}

#[async_trait]
impl UsageLog for MemoryLog {
    async fn take(&self, open: &Arc<OpenRequest>) -> Result<(), StoreError> {
        lock(&self.open).insert(open.id(), open.clone());
        Ok(())
    }

    fn fill(&self, record: &Record) -> WriteState {
        lock(&self.open).remove(&record.id);
        lock(&self.records)
            .entry(record.id)
            .or_insert_with(|| record.clone());
        WriteState::Durable
    }

    fn poll_durable(
        &self,
        _: &mut WriteState,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), StoreError>> {
        Poll::Ready(Ok(()))
    }

    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError> {
        Ok(lock(&self.records)
            .get(&id)
            .filter(|r| r.account == *account)
            .cloned())
    }

    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, StoreError> {
        let records = lock(&self.records);
        Ok(records
            .values()
            .rev()
            .filter(|r| r.account == *account && query.wants(r))
            .take(query.limit)
            .cloned()
            .collect())
    }
}

/// An in-memory limiter with sliding windows of 60 seconds in steps of one second. A second counts
/// in full while any part of it is within the window, so that no 60 seconds exceed the limit.
pub struct MemoryLimiter {
    clock: Arc<dyn Clock>,
    windows: Mutex<HashMap<KeyHash, Windows>>,
}

#[derive(Debug, Default)]
struct Windows {
    requests: Window,
    tokens: Window,
}

#[derive(Debug, Default)]
struct Window {
    /// Amounts by second.
    seconds: BTreeMap<u64, u64>,
}

const WINDOW_SECONDS: u64 = 60;

impl Window {
    fn used(&mut self, now: Timestamp) -> u64 {
        let first = now.seconds().saturating_sub(WINDOW_SECONDS);
        self.seconds = self.seconds.split_off(&first);
        self.seconds
            .values()
            .fold(0, |sum, n| sum.saturating_add(*n))
    }

    fn add(&mut self, now: Timestamp, amount: u64) {
        let at = self.seconds.entry(now.seconds()).or_default();
        *at = at.saturating_add(amount);
    }

    /// Returns the time until `wanted` fits within `limit`.
    fn reset(&self, now: Timestamp, limit: u64, wanted: u64) -> Duration {
        let mut used = self
            .seconds
            .values()
            .fold(0u64, |sum, n| sum.saturating_add(*n));
        for (second, amount) in &self.seconds {
            if used.saturating_add(wanted) <= limit {
                break;
            }
            used = used.saturating_sub(*amount);
            if used.saturating_add(wanted) <= limit {
                return Timestamp::from_millis((second + WINDOW_SECONDS + 1) * 1000).since(now);
            }
        }
        Duration::ZERO
    }
}

/// Number of keys above which idle ones are removed.
const KEYS: usize = 10_000;

/// Removes empty windows once there are many keys.
fn forget_idle(windows: &mut HashMap<KeyHash, Windows>, now: Timestamp) {
    if windows.len() > KEYS && windows.len().is_power_of_two() {
        windows.retain(|_, w| w.requests.used(now) > 0 || w.tokens.used(now) > 0);
    }
}

impl MemoryLimiter {
    /// Creates a limiter on this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            windows: Mutex::default(),
        }
    }
}

impl std::fmt::Debug for MemoryLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLimiter").finish_non_exhaustive()
    }
}

#[async_trait]
impl Limiter for MemoryLimiter {
    async fn request(&self, key: &KeyHash, limit: u32) -> Result<Room, StoreError> {
        let (now, limit) = (self.clock.now(), u64::from(limit));
        let mut windows = lock(&self.windows);
        forget_idle(&mut windows, now);
        let window = &mut windows.entry(*key).or_default().requests;
        let used = window.used(now);
        let admitted = used < limit;
        if admitted {
            window.add(now, 1);
        }
        let remaining = limit.saturating_sub(used + u64::from(admitted));
        Ok(Room {
            admitted,
            limit,
            remaining,
            reset: window.reset(now, limit, 1),
        })
    }

    async fn tokens(&self, key: &KeyHash, limit: u64, tokens: u64) -> Result<Tokens, StoreError> {
        let now = self.clock.now();
        let mut windows = lock(&self.windows);
        forget_idle(&mut windows, now);
        let window = &mut windows.entry(*key).or_default().tokens;
        let used = window.used(now);
        if used.saturating_add(tokens) > limit {
            let reset = window.reset(now, limit, tokens);
            return Ok(Tokens::Refused(Room {
                admitted: false,
                limit,
                remaining: limit.saturating_sub(used),
                reset,
            }));
        }
        window.add(now, tokens);
        Ok(Tokens::Reserved(Reservation { at: now, tokens }))
    }

    fn settle(&self, key: &KeyHash, reservation: Reservation, used: u64) {
        let mut windows = lock(&self.windows);
        let window = &mut windows.entry(*key).or_default().tokens;
        if let Some(amount) = window.seconds.get_mut(&reservation.at.seconds()) {
            *amount = amount
                .saturating_sub(reservation.tokens)
                .saturating_add(used);
        }
    }
}

#[async_trait]
impl SealedStore for MemoryDirectory {
    async fn own_credentials(&self, account: &AccountId) -> Result<OwnCredentials, StoreError> {
        Ok(lock(&self.0).own.get(account).cloned().unwrap_or_default())
    }

    async fn put_account_key(&self, account: &AccountId, key: Sealed) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        let own = kept.own.entry(account.clone()).or_default();
        if own.key.is_some() {
            return Err(conflict("the account has a key"));
        }
        own.key = Some(key);
        kept.refresh_account(account);
        Ok(())
    }

    async fn add_credential(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        sealed: Sealed,
    ) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        let own = kept.own.entry(account.clone()).or_default();
        if own.all.iter().any(|c| c.record.id == record.id) {
            return Err(conflict("the credential exists"));
        }
        if own.all.len() >= MAX_CREDENTIALS {
            return Err(conflict("the account has as many credentials as it may"));
        }
        own.all.push(StoredCredential {
            record,
            sealed,
            version: 1,
        });
        own.sort();
        kept.refresh_account(account);
        Ok(())
    }

    async fn put_credential(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        version: u64,
    ) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        let own = kept.own.entry(account.clone()).or_default();
        let found = own.all.iter_mut().find(|c| c.record.id == record.id);
        let stored = found
            .filter(|c| c.version == version)
            .ok_or_else(|| conflict("since it was read"))?;
        stored.record = record;
        stored.version += 1;
        own.sort();
        kept.refresh_account(account);
        Ok(())
    }

    async fn remove_credential(&self, account: &AccountId, id: &str) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        let own = kept.own.entry(account.clone()).or_default();
        let before = own.all.len();
        own.all.retain(|c| *c.record.id != *id);
        if own.all.len() == before {
            return Err(absent("no such credential"));
        }
        kept.refresh_account(account);
        Ok(())
    }

    async fn keys_not_under(
        &self,
        current: KeyId,
        limit: usize,
    ) -> Result<Vec<(AccountId, Sealed)>, StoreError> {
        let kept = lock(&self.0);
        let keys = kept
            .own
            .iter()
            .filter_map(|(account, own)| Some((account.clone(), own.key.clone()?)));
        Ok(keys
            .filter(|(_, key)| key.key_id() != current)
            .take(limit)
            .collect())
    }

    async fn replace_account_key(
        &self,
        account: &AccountId,
        before: &Sealed,
        key: Sealed,
    ) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        let own = kept.own.entry(account.clone()).or_default();
        if own.key.as_ref() != Some(before) {
            return Err(conflict("since it was read"));
        }
        own.key = Some(key);
        kept.refresh_account(account);
        Ok(())
    }

    async fn shred(&self, account: &AccountId) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        kept.own.remove(account);
        kept.refresh_account(account);
        Ok(())
    }

    async fn keys_by_master(&self) -> Result<BTreeMap<KeyId, u64>, StoreError> {
        let kept = lock(&self.0);
        let mut counts = BTreeMap::new();
        for key in kept.own.values().filter_map(|own| own.key.as_ref()) {
            *counts.entry(key.key_id()).or_default() += 1;
        }
        Ok(counts)
    }
}

/// Credentials in memory, by provider.
#[derive(Default)]
pub struct MemoryCredentials {
    by_provider: HashMap<String, Secret<String>>,
}

impl MemoryCredentials {
    /// Adds a credential for `provider`.
    pub fn with(mut self, provider: &str, credential: Secret<String>) -> Self {
        self.by_provider.insert(provider.to_owned(), credential);
        self
    }
}

impl std::fmt::Debug for MemoryCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_provider.keys()).finish()
    }
}

#[async_trait]
impl Credentials for MemoryCredentials {
    fn holder(&self, _: Option<&Caller>, provider: &Provider) -> Option<Holder> {
        let has = self.by_provider.contains_key(provider.slug.as_str()) || needs_none(provider);
        has.then_some(Holder::Operator)
    }

    async fn open(&self, _: &Caller, to: Eligible<'_>) -> Result<Opened, StoreError> {
        let provider = to.provider();
        let operators = self.by_provider.get(provider.slug.as_str());
        match operators.filter(|_| to.with_operator_credential()) {
            Some(credential) => Ok(Opened {
                secret: Some(credential.clone()),
                own: None,
            }),
            None if to.with_operator_credential() && needs_none(provider) => Ok(Opened::default()),
            None => Err(StoreError::Absent(format!(
                "a credential for {}",
                provider.slug
            ))),
        }
    }

    fn rest(&self, _: &CredentialId, _: Timestamp) {}
}

fn needs_none(provider: &Provider) -> bool {
    let mut addresses = provider.addresses.iter();
    addresses.all(|a| a.base_url.starts_with("demo:"))
}

/// A [`Blocking`] that runs work on the calling thread, for programs without concurrent requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Blocking for Inline {
    fn run(&self, work: &mut dyn FnMut()) {
        work();
    }
}

/// A receiver that keeps events for tests. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryEvents(Arc<Mutex<Vec<Event>>>);

impl MemoryEvents {
    /// Returns the events since the last call.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Events for MemoryEvents {
    fn emit(&self, event: Event) {
        lock(&self.0).push(event);
    }
}

/// A receiver that ignores events, for services that only use records.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn emit(&self, _: Event) {}
}
