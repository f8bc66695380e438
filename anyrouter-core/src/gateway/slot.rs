//! Slots of the usage log; a request takes one before it does anything else (P02).
//!
//! A request takes a [`Slot`] when it is accepted and fills it once. Filling is synchronous, so
//! that `Drop` can write the record of a response that is dropped. A filled slot returns
//! [`Committed`] once it is durable as configured; only this releases the last byte of a response.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    ports::{OpenRequest, StoreError, UsageLog, WriteState},
    usage::{Opening, Record},
};

/// Proof that a request's record is durable as configured. It releases the last byte of the
/// response; only [`Slot`] creates it.
#[derive(Debug)]
#[must_use = "the last byte waits for it"]
pub struct Committed(());

/// A slot of the usage log, taken when a request is accepted and filled exactly once.
pub struct Slot {
    log: Arc<dyn UsageLog>,
    open: Arc<OpenRequest>,
    filled: Option<WriteState>,
}

impl Slot {
    /// Takes a slot. Only here can a request wait for the log, or fail because records cannot be
    /// written.
    pub async fn take(log: Arc<dyn UsageLog>, opening: Opening) -> Result<Self, StoreError> {
        let open = Arc::new(OpenRequest::new(opening));
        log.take(&open).await?;
        Ok(Self {
            log,
            open,
            filled: None,
        })
    }

    /// Changes the open entry, which remains if the process ends before the record.
    pub fn note(&mut self, change: impl FnOnce(&mut Opening)) {
        self.open.note(change);
    }

    /// Fills the slot. A second record is ignored: one request has one record.
    pub fn fill(&mut self, record: &Record) {
        if self.filled.is_none() {
            self.filled = Some(self.log.fill(record));
        }
    }

    /// Returns true if the slot is filled.
    pub fn is_filled(&self) -> bool {
        self.filled.is_some()
    }

    /// Polls until the record is durable. An error means that it cannot be written now: it stays in
    /// the log's memory and is written later.
    pub fn poll_committed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Committed, StoreError>> {
        match &mut self.filled {
            Some(filled) => self
                .log
                .poll_durable(filled, cx)
                .map(|done| done.map(|()| Committed(()))),
            None => Poll::Ready(Err(StoreError::Absent(
                "the record of this slot".to_owned(),
            ))),
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("id", &self.open.id())
            .field("filled", &self.filled.is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Dropping an unfilled slot is a bug in the caller; even so, a record is written.
        if self.filled.is_none() {
            let _ = self.log.fill(&Record::opened(self.open.opening()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::{
        catalog::Protocol, ids::RequestId, key::KeyHash, ports::memory::MemoryLog, time::Timestamp,
        usage::Outcome,
    };

    fn taken(log: &Arc<MemoryLog>) -> Slot {
        let at = Timestamp::from_millis(1);
        let opening = Opening {
            id: RequestId::new(at, [1; 6]),
            account: "acc".into(),
            key_hash: KeyHash::from_bytes(&[1; 32]).unwrap(),
            at,
            ip: None,
            inbound: Protocol::Chat,
            model_requested: None,
            endpoint: None,
        };
        let mut take = std::pin::pin!(Slot::take(log.clone(), opening));
        match take.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(slot) => slot.unwrap(),
            Poll::Pending => panic!("there is room"),
        }
    }

    #[test]
    fn a_dropped_slot_leaves_its_record() {
        let log = Arc::new(MemoryLog::default());
        let mut slot = taken(&log);
        slot.note(|o| o.model_requested = Some("asked".to_owned()));
        drop(slot);
        let all = log.all();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].outcome, all[0].model_requested.as_deref()),
            (Outcome::Interrupted, Some("asked"))
        );
    }

    #[test]
    fn a_slot_takes_one_record_and_commits_only_then() {
        let log = Arc::new(MemoryLog::default());
        let mut slot = taken(&log);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(
            slot.poll_committed(&mut cx),
            Poll::Ready(Err(StoreError::Absent(_)))
        ));
        let mut record = Record::opened(slot.open.opening());
        record.http_status = 200;
        slot.fill(&record);
        record.http_status = 599;
        slot.fill(&record);
        assert!(matches!(slot.poll_committed(&mut cx), Poll::Ready(Ok(_))));
        drop(slot);
        let statuses: Vec<u16> = log.all().iter().map(|r| r.http_status).collect();
        assert_eq!(statuses, [200]);
    }
}
