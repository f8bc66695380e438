//! State that all requests share: the gateway, the accounts and the configuration. It uses backends
//! only through their ports.

use std::sync::{Arc, PoisonError, RwLock};

use anyrouter_core::{
    config::Config,
    credential::{CredentialId, CredentialRecord, StoredCredential},
    gateway::{Gateway, MemoryBudget},
    ids::AccountId,
    ports::{Accounts, Clock, StoreError, UsageLog},
    secret::Secret,
    time::Timestamp,
    vault::KeyId,
};
use async_trait::async_trait;

/// Health and counters of a server's backends.
#[async_trait]
pub trait Health: Send + Sync {
    /// Returns an error if the database cannot be read and written.
    async fn database(&self) -> Result<(), StoreError>;

    /// Returns the reason if usage records cannot be written.
    fn journal(&self) -> Option<StoreError>;

    /// Returns the reason if the database does not accept usage records from the journal.
    fn import(&self) -> Option<StoreError>;

    /// Counts a request that was refused with this status before it was accepted.
    fn refused(&self, status: u16);

    /// Returns the metrics in the text format of OpenMetrics.
    fn metrics(&self, budget: &MemoryBudget) -> String;
}

/// The accounts' own credentials, and the keys that they are sealed under.
#[async_trait]
pub trait Custody: Send + Sync {
    /// Returns an account's credentials, by provider and position.
    async fn credentials(&self, account: &AccountId) -> Result<Vec<StoredCredential>, StoreError>;

    /// Adds a credential.
    async fn add(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        secret: &Secret<String>,
    ) -> Result<(), StoreError>;

    /// Replaces what is known of a credential, of which `version` was read, and ends its rest.
    async fn change(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        version: u64,
    ) -> Result<(), StoreError>;

    /// Removes a credential. A missing one is [`StoreError::Absent`].
    async fn remove(&self, account: &AccountId, id: &str) -> Result<(), StoreError>;

    /// Returns the time until which a credential rests, because its provider refused it.
    fn rests_until(&self, id: &CredentialId) -> Option<Timestamp>;

    /// Returns the state of the key ring.
    async fn status(&self) -> Result<RingStatus, StoreError>;

    /// Adds a master key, and begins to seal the accounts' keys under it.
    fn rotate(self: Arc<Self>) -> Result<(), StoreError>;
}

/// The state of the key ring.
#[derive(Clone, Debug, Default)]
pub struct RingStatus {
    /// The place of the ring.
    pub place: String,
    /// The master keys, each with the number of accounts' keys under it. The last is the current one.
    pub masters: Vec<(KeyId, u64)>,
    /// True while a rotation runs.
    pub is_rotating: bool,
    /// Accounts' keys that the last rotation has sealed anew.
    pub done: u64,
    /// Accounts' keys that it found under older master keys.
    pub total: u64,
    /// Why it broke off.
    pub failed: Option<String>,
}

/// State that all requests share.
pub struct App {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) health: Arc<dyn Health>,
    pub(crate) custody: Arc<dyn Custody>,
    config: RwLock<Arc<Config>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Creates the state from a gateway, its backends and its configuration.
    pub fn new(
        gateway: Arc<Gateway>,
        accounts: Arc<dyn Accounts>,
        health: Arc<dyn Health>,
        custody: Arc<dyn Custody>,
        config: Arc<Config>,
    ) -> Self {
        Self {
            gateway,
            accounts,
            health,
            custody,
            config: RwLock::new(config),
        }
    }

    /// Returns the current configuration.
    pub fn config(&self) -> Arc<Config> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the configuration.
    pub fn set_config(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.gateway.ports().clock
    }

    pub(crate) fn usage(&self) -> &dyn UsageLog {
        &*self.gateway.ports().usage
    }
}
