//! The gateway's interfaces to the outside, as small traits, each with its contract. Backends
//! implement them; the in-memory ones here are real, and are the first to pass the conformance
//! suite (feature `conformance`).
//!
//! Ports are `Send + Sync`, for a gateway that serves many requests at once. A port's future may be
//! dropped at any await: nothing that was accepted may be lost by it.

#[cfg(feature = "conformance")]
pub mod conformance;
mod events;
pub mod memory;
mod open_request;
mod store_error;

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

pub use self::{
    events::{Backend, Event, Events},
    open_request::OpenRequest,
    store_error::StoreError,
};
use crate::{
    account::{Caller, KeyRecord, StoredAccount, StoredKey},
    catalog::{Address, Provider},
    ids::{AccountId, RequestId},
    key::KeyHash,
    policy::{Eligible, Settings},
    secret::Secret,
    time::Timestamp,
    usage::{Outcome, Record},
    wire::connection::ConnectionFault,
};

/// Time.
pub trait Clock: Send + Sync {
    /// Returns the current time. It should not go backwards within a process; the gateway tolerates
    /// it if it does.
    fn now(&self) -> Timestamp;

    /// A timer that is done after `after`.
    fn timer(&self, after: Duration) -> Pin<Box<dyn Timer>>;
}

/// A timer that can be set anew, so that a deadline which moves costs nothing until it is reached.
pub trait Timer: Future<Output = ()> + Send {
    /// Done after `after` from now, whatever it was set to.
    fn reset(self: Pin<&mut Self>, after: Duration);
}

/// Randomness good enough for keys.
pub trait Randomness: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// 256 bits for a key. A source that may have none at the moment says so here, rather than give
    /// bits that can be guessed.
    fn key_bits(&self) -> Result<[u8; 32], StoreError> {
        let mut bits = [0; 32];
        self.fill(&mut bits);
        Ok(bits)
    }
}

/// Lookup of keys and their accounts.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The key with this hash, with its account and their settings as of now: a change that was
    /// acknowledged before this was called is in it (P04, P07, P11). `None` where there is no such
    /// key.
    async fn find(&self, hash: &KeyHash) -> Result<Option<Arc<Caller>>, StoreError>;
}

/// Accounts, their settings and their keys. A change is a value, made from a version that was read:
/// where another was faster it is [`StoreError::Conflict`], and nothing is changed. Once it is
/// acknowledged, the [`Directory`] has it.
#[async_trait]
pub trait Accounts: Directory {
    /// The account that was made first, if there is one.
    async fn first_account(&self) -> Result<Option<StoredAccount>, StoreError>;

    /// An account.
    async fn account(&self, id: &AccountId) -> Result<Option<StoredAccount>, StoreError>;

    /// Makes an account with its first keys, all or nothing. One that exists is a conflict.
    async fn create_account(
        &self,
        id: &AccountId,
        settings: Settings,
        at: Timestamp,
        keys: Vec<KeyRecord>,
    ) -> Result<(), StoreError>;

    /// Replaces an account's settings, and gives its new version.
    async fn put_settings(
        &self,
        id: &AccountId,
        settings: Settings,
        version: u64,
    ) -> Result<u64, StoreError>;

    /// An account's keys, the oldest first, with what they were used for until `now`.
    async fn keys(&self, id: &AccountId, now: Timestamp) -> Result<Vec<StoredKey>, StoreError>;

    /// The key with this hash, with what it was used for until `now`.
    async fn key(&self, hash: &KeyHash, now: Timestamp) -> Result<Option<StoredKey>, StoreError>;

    /// Adds a key to an account. One that exists is a conflict.
    async fn add_key(&self, record: KeyRecord) -> Result<(), StoreError>;

    /// Replaces a key's record, and gives its new version.
    async fn put_key(&self, record: KeyRecord, version: u64) -> Result<u64, StoreError>;
}

/// The log of usage records.
///
/// `fill` is synchronous and does not wait: it is called from `Drop`. What it was given is never
/// lost while the process lives: a record that cannot be written now stays in memory, in its slot,
/// and is written when it can be. Every method may be called from any thread.
#[async_trait]
pub trait UsageLog: Send + Sync {
    /// Takes a slot for a request, waiting while there are too many; an error where records cannot
    /// be written now. What is known of the request may change until its slot is filled; the log
    /// looks at it when it wants to.
    async fn take(&self, open: &Arc<OpenRequest>) -> Result<(), StoreError>;

    /// Writes the record of a taken slot, and gives the slot back.
    fn fill(&self, record: &Record) -> WriteState;

    /// Ready when what was filled is as durable as the log is configured to make it.
    fn poll_durable(
        &self,
        filled: &mut WriteState,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StoreError>>;

    /// The record with this id, if it is this account's.
    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError>;

    /// An account's records, the newest first.
    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, StoreError>;
}

/// Which records to list.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// At most so many.
    pub limit: usize,
    /// Only those older than this one.
    pub before: Option<RequestId>,
    /// Only of this model, as asked for or as answered.
    pub model: Option<String>,
    /// Only with this HTTP status.
    pub status: Option<u16>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// Only of this key.
    pub key: Option<KeyHash>,
}

impl LogQuery {
    /// Returns true if a record matches the query, apart from `limit`.
    pub fn wants(&self, record: &Record) -> bool {
        let named = |m: &String| {
            record.model_requested.as_ref() == Some(m)
                || record
                    .model
                    .as_ref()
                    .is_some_and(|model| model.as_str() == m)
        };
        self.before.is_none_or(|b| record.id < b)
            && self.model.as_ref().is_none_or(named)
            && self.status.is_none_or(|s| record.http_status == s)
            && self.outcome.is_none_or(|o| record.outcome == o)
            && self.key.is_none_or(|k| record.key_hash == k)
    }
}

/// State of a record after [`UsageLog::fill`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteState {
    /// Durable as configured.
    Durable,
    /// Written; durable once the log has made everything up to this mark so.
    Written(u64),
    /// Not written yet: it stays in memory.
    Held,
}

/// Rate limits of keys. The counters may be kept by another process, and a call may fail:
/// [`Limits::without_limiter`](crate::gateway::Limits::without_limiter) then decides whether the
/// request is admitted.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Counts a request against `limit` per minute. On one node there is no overshoot in any 60
    /// seconds.
    async fn request(&self, key: &KeyHash, limit: u32) -> Result<Room, StoreError>;

    /// Reserves `tokens` against `limit` per minute, where the window has room for them.
    async fn tokens(&self, key: &KeyHash, limit: u64, tokens: u64) -> Result<Tokens, StoreError>;

    /// Replaces a reservation by what was used. Synchronous: it is called from `Drop`. A limiter
    /// that cannot be reached then counts the reservation.
    fn settle(&self, key: &KeyHash, reservation: Reservation, used: u64);
}

/// The answer to a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// They are reserved.
    Reserved(Reservation),
    /// There is no room for them.
    Refused(Room),
}

/// Room that a window has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The request is admitted.
    pub admitted: bool,
    /// Per window.
    pub limit: u64,
    /// Left in this window.
    pub remaining: u64,
    /// Until there is room again; zero where there is.
    pub reset: Duration,
}

/// Tokens taken before they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Time of the reservation.
    pub at: Timestamp,
    /// Number of tokens.
    pub tokens: u64,
}

/// Credentials for providers. Those of a caller's own come before the operator's.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// True if a caller's request can be sent to this provider: there is a credential, or it needs
    /// none. Without a caller, only the operator's count. It is asked for every candidate, and
    /// answers from memory.
    fn has(&self, caller: Option<&Caller>, provider: &Provider) -> bool;

    /// The credential for an endpoint that the policy made eligible, in the clear for as long as a
    /// request is being forwarded; none where the provider needs none. It is the operator's only if
    /// the endpoint is eligible [with theirs](Eligible::with_operator_credential), and the caller's
    /// own only if it is [with that](Eligible::with_own_credential): the policy judged the one or
    /// the other. [`StoreError::Absent`] where it needs one and there is none of these.
    async fn open(
        &self,
        caller: &Caller,
        to: Eligible<'_>,
    ) -> Result<Option<Secret<String>>, StoreError>;
}

/// Runs CPU-bound work of several milliseconds without delaying the other requests of the thread.
pub trait Blocking: Send + Sync {
    /// Runs `work`, and returns when it is done.
    fn run(&self, work: &mut dyn FnMut());
}

/// A request to a provider.
pub struct UpstreamRequest {
    /// Address of the provider; [`path`](Self::path) is appended.
    pub address: Address,
    /// The protocol's path, as `/chat/completions`.
    pub path: Cow<'static, str>,
    /// Headers, the credential among them.
    pub headers: HeaderMap,
    /// The body, in pieces.
    pub body: Vec<Bytes>,
}

impl fmt::Debug for UpstreamRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamRequest")
            .field("address", &self.address)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A provider's answer.
pub struct UpstreamResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, polled by the task that serves the client.
    pub body: Pin<Box<dyn UpstreamBody>>,
}

impl fmt::Debug for UpstreamResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A body that is polled: no task, no channel, no future for a chunk. Dropping it ends the
/// transfer.
pub trait UpstreamBody: Send {
    /// The next bytes, all that are ready together; `None` at the end.
    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>>;

    /// The answer is complete: what is left of the body may be read in the background, so that its
    /// connection can be used again.
    fn finish(self: Pin<Box<Self>>) {}
}

/// The way to providers. It follows no redirect, and opens no connection but to the address that it
/// is given.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Sends a request to an endpoint that the policy made eligible, and gives the head of the
    /// answer, whatever its status. Dropping the future ends the attempt.
    async fn send(
        &self,
        to: Eligible<'_>,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError>;
}

/// A provider that could not be reached, or broke off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(ConnectionFault),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(ConnectionFault),
}
