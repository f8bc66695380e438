//! The place in the log that a request takes before it does anything else.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use serde::{Deserialize, Serialize};

use super::Record;
use crate::{
    catalog::Protocol,
    ids::{AccountId, EndpointId, RequestId},
    key::KeyHash,
    ports::{Filled, LogError, UsageLog},
    time::Timestamp,
};

/// What is known of a request when it is accepted, and what is left of it if the process ends
/// before its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The request's id.
    pub id: RequestId,
    /// Whose it is.
    pub account: AccountId,
    /// The key that was used.
    pub key_hash: KeyHash,
    /// When it was accepted.
    pub at: Timestamp,
    /// Where it came from.
    pub ip: Option<IpAddr>,
    /// The protocol that it came in. (Entries of before there was a choice are chat.)
    #[serde(default = "chat")]
    pub inbound: Protocol,
    /// The model that was asked for, once the body was read.
    pub model_requested: Option<String>,
    /// The endpoint that was asked last, once there was one.
    pub endpoint: Option<EndpointId>,
}

pub(super) const fn chat() -> Protocol {
    Protocol::Chat
}

/// A request under way: its slot writes to it, and the log reads it when it wants to know what
/// would be left of the request.
#[derive(Debug)]
pub struct OpenRequest {
    id: RequestId,
    /// What is known, and how often that changed.
    known: Mutex<(Opening, u32)>,
}

impl OpenRequest {
    /// A request that was just accepted.
    pub fn new(opening: Opening) -> Self {
        Self {
            id: opening.id,
            known: Mutex::new((opening, 0)),
        }
    }

    /// The request's id.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// What is known now.
    pub fn opening(&self) -> Opening {
        self.known().0.clone()
    }

    /// How often that changed.
    pub fn changes(&self) -> u32 {
        self.known().1
    }

    fn note(&self, change: impl FnOnce(&mut Opening)) {
        let mut known = self.known();
        change(&mut known.0);
        known.1 += 1;
    }

    fn known(&self) -> MutexGuard<'_, (Opening, u32)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a request's record is durable, as configured. It releases the last byte of the response;
/// only [`Slot`] makes one.
#[derive(Debug)]
#[must_use = "the last byte waits for it"]
pub struct Committed(());

/// A place in the usage log: taken when a request is accepted, filled exactly once.
pub struct Slot {
    log: Arc<dyn UsageLog>,
    open: Arc<OpenRequest>,
    filled: Option<Filled>,
}

impl Slot {
    /// Takes a place. Here, and only here, a request may wait for the log, or be told that there is
    /// no storage.
    pub async fn take(log: Arc<dyn UsageLog>, opening: Opening) -> Result<Self, LogError> {
        let open = Arc::new(OpenRequest::new(opening));
        log.take(&open).await?;
        Ok(Self {
            log,
            open,
            filled: None,
        })
    }

    /// Adds to what would be left of the request if the process ended now.
    pub fn note(&mut self, change: impl FnOnce(&mut Opening)) {
        self.open.note(change);
    }

    /// Fills the place. A second record is not taken: one request, one record.
    pub fn fill(&mut self, record: &Record) {
        if self.filled.is_none() {
            self.filled = Some(self.log.fill(record));
        }
    }

    /// Whether it was filled.
    pub fn is_filled(&self) -> bool {
        self.filled.is_some()
    }

    /// Ready once the record is durable, or cannot be written now (it then stays in the log's
    /// memory, and is written when it can be).
    pub fn poll_committed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Committed, LogError>> {
        match &mut self.filled {
            Some(filled) => self
                .log
                .poll_durable(filled, cx)
                .map(|done| done.map(|()| Committed(()))),
            None => Poll::Ready(Err(LogError::NotFilled)),
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("id", &self.open.id)
            .field("filled", &self.filled.is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A slot that nobody filled is a fault in the caller; even so it leaves its record.
        if self.filled.is_none() {
            let _ = self.log.fill(&Record::opened(self.open.opening()));
        }
    }
}
