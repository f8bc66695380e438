//! The usage record: one for every accepted request, committed before the client can see the
//! response end (P02).
//!
//! A request takes a [`Slot`] when it is accepted and fills it once. Filling is synchronous, so
//! that a response that is dropped leaves its record from `Drop`; a filled slot, once durable as
//! configured, gives [`Committed`], and nothing else releases the last byte of a response. The log
//! behind it is a [port](crate::ports::UsageLog).

mod record;
mod slot;
mod tokens;

pub use self::{
    record::{Attempt, Outcome, Record},
    slot::{Committed, OpenRequest, Opening, Slot},
    tokens::{Tokens, cost},
};
