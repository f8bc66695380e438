//! What every request needs, whatever the server runs on: the gateway, accounts, configuration. It
//! knows backends by their ports alone.

use std::sync::{Arc, PoisonError, RwLock};

use anyrouter_core::{
    config::Config,
    gateway::{Gateway, MemoryBudget},
    ports::{Accounts, Clock, StoreError, UsageLog},
};
use async_trait::async_trait;

/// How a server's backends fare, and what it counts.
#[async_trait]
pub trait Health: Send + Sync {
    /// An error if the database cannot be read and written.
    async fn database(&self) -> Result<(), StoreError>;

    /// Why usage records cannot be written, if they cannot.
    fn journal(&self) -> Option<StoreError>;

    /// Why the database does not take usage records that were written, if it does not.
    fn import(&self) -> Option<StoreError>;

    /// Counts a request that was refused with this status before it was accepted.
    fn refused(&self, status: u16);

    /// Metrics in the text format of OpenMetrics.
    fn metrics(&self, budget: &MemoryBudget) -> String;
}

/// What every request needs.
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
    /// A gateway with its accounts and the configuration it was made from.
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

    /// The configuration that holds.
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
