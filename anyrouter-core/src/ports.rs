//! The gateway's ports: small traits for everything outside, each with its contract. Backends
//! implement them. The in-memory backends here are complete and pass the conformance suite (feature
//! `conformance`).
//!
//! Ports are `Send + Sync`, since a gateway serves many requests at once. A port's future may be
//! dropped at any await; this must not lose anything that was accepted.

#[cfg(feature = "conformance")]
pub mod conformance;
mod events;
pub mod memory;
mod open_request;
mod store_error;

use std::{
    borrow::Cow,
    collections::BTreeMap,
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
    credential::{CredentialId, CredentialRecord, OwnCredentials},
    ids::{AccountId, RequestId},
    key::KeyHash,
    policy::{Eligible, Settings},
    route::Holder,
    secret::Secret,
    time::Timestamp,
    usage::{Outcome, Record},
    vault::{KeyId, Sealed},
    wire::connection::ConnectionFault,
};

/// A source of time.
pub trait Clock: Send + Sync {
    /// Returns the current time. It should not go backwards within a process; the gateway tolerates
    /// it if it does.
    fn now(&self) -> Timestamp;

    /// Creates a timer that fires after `after`.
    fn timer(&self, after: Duration) -> Pin<Box<dyn Timer>>;
}

/// A timer that can be reset, so that a moving deadline costs nothing until it is reached.
pub trait Timer: Future<Output = ()> + Send {
    /// Resets the timer to fire after `after` from now.
    fn reset(self: Pin<&mut Self>, after: Duration);
}

/// A source of cryptographically secure randomness.
pub trait Randomness: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// Returns 256 bits for a key. A source without enough randomness at the moment must return an
    /// error instead of bits that can be guessed.
    fn key_bits(&self) -> Result<[u8; 32], StoreError> {
        let mut bits = [0; 32];
        self.fill(&mut bits);
        Ok(bits)
    }
}

/// Lookup of keys and their accounts.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Returns the key with this hash, its account and their current settings, including every
    /// change that was acknowledged before this call (P04, P07, P11). `None` if there is no such
    /// key.
    async fn find(&self, hash: &KeyHash) -> Result<Option<Arc<Caller>>, StoreError>;
}

/// Storage of accounts, their settings and their keys. An update names the version that it is based
/// on; if that is not the current one, it fails with [`StoreError::Conflict`] and changes nothing.
/// The [`Directory`] includes every acknowledged update.
#[async_trait]
pub trait Accounts: Directory {
    /// Returns the account that was created first, if there is one.
    async fn first_account(&self) -> Result<Option<StoredAccount>, StoreError>;

    /// Returns an account.
    async fn account(&self, id: &AccountId) -> Result<Option<StoredAccount>, StoreError>;

    /// Creates an account with its first keys, all or nothing. An existing one is a conflict.
    async fn create_account(
        &self,
        id: &AccountId,
        settings: Settings,
        at: Timestamp,
        keys: Vec<KeyRecord>,
    ) -> Result<(), StoreError>;

    /// Replaces an account's settings and returns its new version.
    async fn put_settings(
        &self,
        id: &AccountId,
        settings: Settings,
        version: u64,
    ) -> Result<u64, StoreError>;

    /// Returns an account's keys, the oldest first, with their use until `now`.
    async fn keys(&self, id: &AccountId, now: Timestamp) -> Result<Vec<StoredKey>, StoreError>;

    /// Returns the key with this hash, with its use until `now`.
    async fn key(&self, hash: &KeyHash, now: Timestamp) -> Result<Option<StoredKey>, StoreError>;

    /// Adds a key to an account. An existing key is a conflict.
    async fn add_key(&self, record: KeyRecord) -> Result<(), StoreError>;

    /// Replaces a key's record and returns its new version.
    async fn put_key(&self, record: KeyRecord, version: u64) -> Result<u64, StoreError>;
}

/// The log of usage records.
///
/// `fill` is synchronous and does not wait, since `Drop` calls it. No record is lost while the
/// process runs: a record that cannot be written now stays in memory, in its slot, and is written
/// later. Every method may be called from any thread.
#[async_trait]
pub trait UsageLog: Send + Sync {
    /// Takes a slot for a request, and waits while too many are taken. Fails if records cannot be
    /// written now. The log may read `open` at any time; its contents may change until the slot is
    /// filled.
    async fn take(&self, open: &Arc<OpenRequest>) -> Result<(), StoreError>;

    /// Writes the record of a taken slot, and frees the slot.
    fn fill(&self, record: &Record) -> WriteState;

    /// Polls until the record is as durable as configured.
    fn poll_durable(
        &self,
        filled: &mut WriteState,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StoreError>>;

    /// Returns the record with this id, if it belongs to this account.
    async fn find(&self, account: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError>;

    /// Returns an account's records, the newest first.
    async fn list(&self, account: &AccountId, query: &LogQuery) -> Result<Vec<Record>, StoreError>;
}

/// Filter for a list of records.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Maximum number of records.
    pub limit: usize,
    /// Only records older than this one.
    pub before: Option<RequestId>,
    /// Only records with this model, as requested or as used.
    pub model: Option<String>,
    /// Only records with this HTTP status.
    pub status: Option<u16>,
    /// Only records with this outcome.
    pub outcome: Option<Outcome>,
    /// Only records of this key.
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

/// Rate limits of keys. Another process may hold the counters, so a call may fail:
/// [`Limits::without_limiter`](crate::gateway::Limits::without_limiter) then decides if the request
/// is admitted.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Counts a request against `limit` per minute. On one node, no period of 60 seconds exceeds
    /// the limit.
    async fn request(&self, key: &KeyHash, limit: u32) -> Result<Room, StoreError>;

    /// Reserves `tokens` against `limit` per minute, if the window has room for them.
    async fn tokens(&self, key: &KeyHash, limit: u64, tokens: u64) -> Result<Tokens, StoreError>;

    /// Replaces a reservation with the actual use. It is synchronous, since `Drop` calls it. If the
    /// limiter cannot be reached, the reservation counts.
    fn settle(&self, key: &KeyHash, reservation: Reservation, used: u64);
}

/// Result of a reservation of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// The tokens are reserved.
    Reserved(Reservation),
    /// The window has no room for the tokens.
    Refused(Room),
}

/// Room that a window has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// True if the request is admitted.
    pub admitted: bool,
    /// Limit per window.
    pub limit: u64,
    /// Amount left in this window.
    pub remaining: u64,
    /// Time until there is room again; zero if there is room now.
    pub reset: Duration,
}

/// Tokens reserved before they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Time of the reservation.
    pub at: Timestamp,
    /// Number of tokens.
    pub tokens: u64,
}

/// Storage of what is sealed: the accounts' keys, and their credentials. A [`Directory`] of the same
/// backend includes every acknowledged change.
#[async_trait]
pub trait SealedStore: Send + Sync {
    /// Returns an account's key and credentials.
    async fn own_credentials(&self, account: &AccountId) -> Result<OwnCredentials, StoreError>;

    /// Stores the key of an account that has none. An existing key is a conflict.
    async fn put_account_key(&self, account: &AccountId, key: Sealed) -> Result<(), StoreError>;

    /// Adds a credential. An existing id is a conflict, and so is one more than
    /// [`MAX_CREDENTIALS`](crate::credential::MAX_CREDENTIALS).
    async fn add_credential(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        sealed: Sealed,
    ) -> Result<(), StoreError>;

    /// Replaces what is known of a credential, of which `version` was read.
    async fn put_credential(
        &self,
        account: &AccountId,
        record: CredentialRecord,
        version: u64,
    ) -> Result<(), StoreError>;

    /// Removes a credential. A missing one is [`StoreError::Absent`].
    async fn remove_credential(&self, account: &AccountId, id: &str) -> Result<(), StoreError>;

    /// Returns at most `limit` accounts' keys that are sealed under another master key than `current`.
    async fn keys_not_under(
        &self,
        current: KeyId,
        limit: usize,
    ) -> Result<Vec<(AccountId, Sealed)>, StoreError>;

    /// Replaces an account's key, if it is still `before`.
    async fn replace_account_key(
        &self,
        account: &AccountId,
        before: &Sealed,
        key: Sealed,
    ) -> Result<(), StoreError>;

    /// Destroys an account's key, of which there is no copy, and with it everything of the account that
    /// is sealed. Its credentials are removed.
    async fn shred(&self, account: &AccountId) -> Result<(), StoreError>;

    /// Returns the number of accounts' keys under each master key.
    async fn keys_by_master(&self) -> Result<BTreeMap<KeyId, u64>, StoreError>;
}

/// Credentials for providers. A caller's own credential takes precedence over the operator's.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Returns who has a credential that a caller's request to this provider may use; `None` if nobody.
    /// [`Holder::used_for`] decides between them. A provider that needs none counts as the operator's.
    /// Without a caller, only the operator's credentials count. This is called for every endpoint and
    /// must answer from memory.
    fn holder(&self, caller: Option<&Caller>, provider: &Provider) -> Option<Holder>;

    /// Returns the credential for an eligible endpoint, in the clear while a request is forwarded (P08).
    /// The operator's is returned only if the endpoint is eligible
    /// [with it](Eligible::with_operator_credential), and the caller's own only if the endpoint is
    /// eligible [with that](Eligible::with_own_credential). Fails with [`StoreError::Absent`] if a
    /// credential is needed and there is none of these.
    async fn open(&self, caller: &Caller, to: Eligible<'_>) -> Result<Opened, StoreError>;

    /// Notes that a provider refused a caller's own credential. Until `until`, the next one is used.
    fn rest(&self, credential: &CredentialId, until: Timestamp);
}

/// A credential for one request.
#[derive(Debug, Default)]
pub struct Opened {
    /// The secret; `None` if the provider needs none.
    pub secret: Option<Secret<String>>,
    /// The caller's credential that it is from; `None` if it is the operator's.
    pub own: Option<CredentialId>,
}

/// Runs CPU-bound work of several milliseconds without delaying the other requests of the thread.
pub trait Blocking: Send + Sync {
    /// Runs `work` once and returns when it is done.
    fn run(&self, work: &mut dyn FnMut());
}

/// A request to a provider.
pub struct UpstreamRequest {
    /// Address of the provider; [`path`](Self::path) is appended.
    pub address: Address,
    /// Path of the protocol, such as `/chat/completions`.
    pub path: Cow<'static, str>,
    /// Headers, including the credential.
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

/// A body that is polled, without a task, a channel or a future per chunk. Dropping it ends the
/// transfer.
pub trait UpstreamBody: Send {
    /// Polls for the next bytes and returns all that are ready; `None` at the end.
    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>>;

    /// Signals that the answer is complete: the rest of the body may be read in the background, so
    /// that the connection can be reused.
    fn finish(self: Pin<Box<Self>>) {}
}

/// The HTTP client for providers. It follows no redirects, and connects only to the given address.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Sends a request to an eligible endpoint and returns the head of the answer, with any status.
    /// Dropping the future ends the attempt.
    async fn send(
        &self,
        to: Eligible<'_>,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError>;
}

/// Error of a connection to a provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The connection could not be made.
    #[error("no connection: {0}")]
    Connect(ConnectionFault),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(ConnectionFault),
}
