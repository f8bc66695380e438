//! The place in the log that a request takes before it does anything else.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use serde::{Deserialize, Serialize};

use super::Record;
use crate::{
    ids::{AccountId, RequestId},
    key::KeyHash,
    ports::{Filled, LogError, UsageLog},
    time::Timestamp,
};

/// What is known of a request when it is accepted, and what is left of it if the process ends before its record.
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
    pub ip: Option<String>,
    /// The model that was asked for, once the body was read.
    pub model_requested: Option<String>,
    /// The endpoint that was asked last, once there was one.
    pub endpoint: Option<String>,
}

/// That a request's record is durable, as configured. It releases the last byte of the response; only [`Slot`] makes one.
#[derive(Debug)]
#[must_use = "the last byte waits for it"]
pub struct Committed(());

/// A place in the usage log: taken when a request is accepted, filled exactly once.
pub struct Slot {
    log: Arc<dyn UsageLog>,
    opening: Opening,
    filled: Option<Filled>,
}

impl Slot {
    /// Takes a place. Here, and only here, a request may wait for the log, or be told that there is no storage.
    pub async fn take(log: Arc<dyn UsageLog>, opening: Opening) -> Result<Self, LogError> {
        log.take(&opening).await?;
        Ok(Self { log, opening, filled: None })
    }

    /// Adds to what would be left of the request if the process ended now.
    pub fn note(&mut self, change: impl FnOnce(&mut Opening)) {
        change(&mut self.opening);
        if self.filled.is_none() {
            self.log.note(&self.opening);
        }
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

    /// Ready once the record is durable, or cannot be written now (it then stays in the log's memory, and is written when it can be).
    pub fn poll_committed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Committed, LogError>> {
        match &mut self.filled {
            Some(filled) => self.log.poll_durable(filled, cx).map(|done| done.map(|()| Committed(()))),
            None => Poll::Ready(Err(LogError::NotFilled)),
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("id", &self.opening.id).field("filled", &self.filled.is_some()).finish_non_exhaustive()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A slot that nobody filled is a fault in the caller; even so it leaves its record.
        if self.filled.is_none() {
            let _ = self.log.fill(&Record::opened(self.opening.clone()));
        }
    }
}
