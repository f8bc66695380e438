//! A request under way, as its slot and the log share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{ids::RequestId, usage::Opening};

/// A request under way: its slot writes to it, and the log reads it when it wants to know what
/// would be left of the request.
#[derive(Debug)]
pub struct OpenRequest {
    id: RequestId,
    /// Known facts, and the number of changes.
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

    /// Returns the facts known now.
    pub fn opening(&self) -> Opening {
        self.known().0.clone()
    }

    /// Returns the number of changes.
    pub fn changes(&self) -> u32 {
        self.known().1
    }

    /// Changes what is known.
    pub fn note(&self, change: impl FnOnce(&mut Opening)) {
        let mut known = self.known();
        change(&mut known.0);
        known.1 += 1;
    }

    fn known(&self) -> MutexGuard<'_, (Opening, u32)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
