//! State that all requests share: the gateway, the accounts and the configuration. It uses backends
//! only through their ports.

use std::sync::{Arc, PoisonError, RwLock};

use anyrouter_core::{
    config::Config,
    gateway::{Gateway, MemoryBudget},
    ports::{Accounts, Clock, StoreError, UsageLog},
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

/// State that all requests share.
pub struct App {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) health: Arc<dyn Health>,
    config: RwLock<Arc<Config>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Creates the state from a gateway, its accounts and its configuration.
    pub fn new(
        gateway: Arc<Gateway>,
        accounts: Arc<dyn Accounts>,
        health: Arc<dyn Health>,
        config: Arc<Config>,
    ) -> Self {
        Self {
            gateway,
            accounts,
            health,
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
