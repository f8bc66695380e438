//! The state of a request under way that its slot and the log share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{ids::RequestId, usage::Opening};

/// A request under way. Its slot updates the open entry, and the log reads it at any time.
#[derive(Debug)]
pub struct OpenRequest {
    id: RequestId,
    /// Open entry and number of changes.
    known: Mutex<(Opening, u32)>,
}

impl OpenRequest {
    /// Creates the state of a newly accepted request.
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

    /// Returns the current open entry.
    pub fn opening(&self) -> Opening {
        self.known().0.clone()
    }

    /// Returns the number of changes.
    pub fn changes(&self) -> u32 {
        self.known().1
    }

    /// Changes the open entry.
    pub fn note(&self, change: impl FnOnce(&mut Opening)) {
        let mut known = self.known();
        change(&mut known.0);
        known.1 += 1;
    }

    fn known(&self) -> MutexGuard<'_, (Opening, u32)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
