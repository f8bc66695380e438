//! The gateway: its ports, its limits, and the state that its requests share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::load::{Concurrency, MemoryBudget};
use crate::{
    account::{Caller, Instance},
    catalog::Endpoint,
    ids::{AccountId, EndpointId, RequestId},
    key::KeyHash,
    ports::{
        Backend, Blocking, Clock, Credentials, Directory, Event, Events, Limiter, Randomness,
        StoreError, Upstream, UsageLog,
    },
    redact::{Redactor, RuleFault},
    route::{CooldownChange, Health, Holder, Observation},
    time::Timestamp,
};

/// Limits of requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum depth of a request's JSON.
    pub depth: usize,
    /// Maximum length of a plain answer, in bytes.
    pub answer: usize,
    /// Maximum length of one event of a stream, in bytes.
    pub event: usize,
    /// Maximum number of attempts for a request.
    pub attempts: usize,
    /// Maximum memory of all bodies together, in bytes.
    pub memory: usize,
    /// Maximum number of concurrent requests of one key.
    pub requests_per_key: usize,
    /// Maximum number of concurrent requests of one account.
    pub requests_per_account: usize,
    /// Admission of requests whose keys have limits, while the limiter fails.
    pub without_limiter: WithoutLimiter,
}

/// Admission of requests whose keys have limits, while the limiter fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutLimiter {
    /// Refuse the request: no key exceeds its limits.
    #[default]
    Refuse,
    /// Admit the request: limits are not enforced meanwhile.
    Admit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 128,
            answer: 64 << 20,
            event: 32 << 20,
            attempts: 8,
            memory: 1 << 30,
            requests_per_key: 4000,
            requests_per_account: 8000,
            without_limiter: WithoutLimiter::Refuse,
        }
    }
}

/// Deadlines of requests.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the beginning of an attempt to its first event, or to a plain answer's head.
    pub first_byte: Duration,
    /// Maximum silence after the first byte.
    pub idle: Duration,
    /// The whole request, its stream included.
    pub whole: Duration,
    /// Silence after which a comment is sent to the client, and interval between comments.
    pub comment: Duration,
    /// Wait for memory for a body.
    pub memory: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            first_byte: seconds(300),
            idle: seconds(120),
            whole: seconds(1800),
            comment: seconds(10),
            memory: seconds(10),
        }
    }
}

/// Interval at which a request checks if another request has compiled its rules.
const COMPILING: Duration = Duration::from_millis(2);

/// The ports of a gateway.
#[derive(Clone)]
#[allow(missing_docs)] // each is its port
pub struct Ports {
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
    pub directory: Arc<dyn Directory>,
    pub usage: Arc<dyn UsageLog>,
    pub limiter: Arc<dyn Limiter>,
    pub credentials: Arc<dyn Credentials>,
    pub upstream: Arc<dyn Upstream>,
    pub blocking: Arc<dyn Blocking>,
    pub events: Arc<dyn Events>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// A gateway, shared by all requests.
#[derive(Debug)]
pub struct Gateway {
    pub(super) ports: Ports,
    pub(super) limits: Limits,
    pub(super) deadlines: Deadlines,
    instance: RwLock<Arc<Instance>>,
    pub(super) health: Health,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) keys: Arc<Concurrency<KeyHash>>,
    pub(super) accounts: Arc<Concurrency<AccountId>>,
    /// Moving average of completion tokens, by key, for keys with a token limit.
    answers: Mutex<HashMap<KeyHash, u64>>,
}

impl Gateway {
    /// Creates a gateway on these ports.
    pub fn new(ports: Ports, instance: Instance, limits: Limits, deadlines: Deadlines) -> Self {
        Self {
            ports,
            limits,
            deadlines,
            instance: RwLock::new(Arc::new(instance)),
            health: Health::default(),
            budget: MemoryBudget::new(limits.memory),
            keys: Concurrency::new(limits.requests_per_key),
            accounts: Concurrency::new(limits.requests_per_account),
            answers: Mutex::default(),
        }
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Returns the operator's part of every request, as of now.
    pub fn instance(&self) -> Arc<Instance> {
        self.instance
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the instance for requests that begin from now on.
    pub fn set_instance(&self, instance: Instance) {
        *self
            .instance
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(instance);
    }

    /// Returns the health of the endpoints.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The budget that all bodies share.
    pub fn budget(&self) -> &Arc<MemoryBudget> {
        &self.budget
    }

    /// Returns a new request id.
    pub fn request_id(&self) -> RequestId {
        let mut random = [0; 6];
        self.ports.randomness.fill(&mut random);
        RequestId::new(self.ports.clock.now(), random)
    }

    /// Returns whose credential a request of `caller` to an endpoint would get.
    pub fn holder(
        &self,
        instance: &Instance,
        caller: Option<&Caller>,
        endpoint: &Endpoint,
    ) -> Option<Holder> {
        let provider = instance
            .catalog
            .catalog()
            .providers()
            .get(endpoint.provider_index)?;
        self.ports.credentials.holder(caller, provider)
    }

    /// Updates an endpoint's health, and emits an event if its cooldown opens or closes.
    pub(super) fn observe(
        &self,
        endpoint: &EndpointId,
        seen: Observation,
        started: Timestamp,
        now: Timestamp,
    ) {
        if let Some(change) = self.health.observe(endpoint, seen, started, now) {
            let endpoint = endpoint.clone();
            self.ports.events.emit(match change {
                CooldownChange::Opened(lasts) => Event::CooldownOpened { endpoint, lasts },
                CooldownChange::Closed => Event::CooldownClosed { endpoint },
            });
        }
    }

    /// Ends the cooldown of `endpoint`, since the cause of its failures may be gone.
    pub fn end_cooldown(&self, endpoint: &EndpointId) {
        if self.health.end_cooldown(endpoint) {
            let endpoint = endpoint.clone();
            self.ports.events.emit(Event::CooldownClosed { endpoint });
        }
    }

    /// Emits an event for a backend that failed.
    pub(super) fn failed(&self, backend: Backend, error: StoreError) {
        self.ports
            .events
            .emit(Event::BackendFailed { backend, error });
    }

    /// Returns a caller's redactor. Its rules are compiled once, through [`Blocking`]; concurrent
    /// requests wait without blocking a thread.
    pub async fn redactor(
        &self,
        caller: &Caller,
        instance: &Instance,
    ) -> Result<Arc<Redactor>, RuleFault> {
        loop {
            if let Some(compiled) = caller.compiled_redactor(instance) {
                return Ok(compiled);
            }
            if let Some(_alone) = caller.compiling() {
                let mut compiled = None;
                let work = &mut || compiled = Some(caller.redactor(instance));
                self.ports.blocking.run(work);
                // If the backend did not run the work, this thread does.
                return compiled.unwrap_or_else(|| caller.redactor(instance));
            }
            self.ports.clock.timer(COMPILING).await;
        }
    }

    /// Returns the moving average of completion tokens of a key with a token limit.
    pub(super) fn answers_lately(&self, key: &KeyHash) -> u64 {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(key).copied().unwrap_or(0)
    }

    /// Adds the completion tokens of an answer to the moving average.
    pub(super) fn remember_answer(&self, key: &KeyHash, completion: u64) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= 100_000 {
            answers.clear();
        }
        let known = answers.entry(*key).or_insert(completion);
        *known = (known.saturating_mul(3).saturating_add(completion)) / 4;
    }
}
