//! The usage record of a request: metadata only, without any content.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::Tokens;
use crate::{
    catalog::{Protocol, Usd},
    ids::{AccountId, EndpointId, ModelId, ProviderSlug, RequestId},
    key::KeyHash,
    time::Timestamp,
};

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The request was answered.
    Ok,
    /// Every attempt failed, or the answer broke off.
    UpstreamError,
    /// No endpoint was left by the policy, routing or the request's own constraints.
    Refused,
    /// A rate limit of the key was reached.
    RateLimited,
    /// The request was invalid.
    Invalid,
    /// The client disconnected.
    Cancelled,
    /// The process ended before the request.
    Interrupted,
    /// The record could not be written in time.
    StorageError,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::UpstreamError,
        Self::Refused,
        Self::RateLimited,
        Self::Invalid,
        Self::Cancelled,
        Self::Interrupted,
        Self::StorageError,
    ];

    /// Returns the name used in records, metrics and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::UpstreamError => "upstream_error",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::Invalid => "invalid",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::StorageError => "storage_error",
        }
    }

    /// The outcome with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == name)
    }
}

/// One attempt at one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The endpoint's id.
    pub endpoint: EndpointId,
    /// `ok`, or the class of failure.
    pub outcome: Cow<'static, str>,
    /// Status of the provider's response, if there was one.
    pub http_status: Option<u16>,
    /// Microseconds from the start of the attempt to the first valid byte or to the failure.
    pub latency: u64,
}

/// The usage record (P02). Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The request's id, which is also the generation's.
    pub id: RequestId,
    /// Account of the key.
    pub account: AccountId,
    /// Hash of the key.
    pub key_hash: KeyHash,
    /// Time of acceptance.
    pub created_at: Timestamp,
    /// Address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// Protocol of the client.
    #[serde(default = "super::opening::chat")]
    pub inbound: Protocol,
    /// Protocol of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Protocol>,
    /// The app's own name for itself; a hash if it does not have the form of an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The requested model; a hash if it does not have the form of a model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_requested: Option<String>,
    /// Model that answered or was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Endpoint that answered or was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointId>,
    /// Its provider's slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderSlug>,
    /// Its provider's display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_name: Option<Arc<str>>,
    /// The provider's id of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<String>,
    /// True if the request asked for a stream.
    pub streamed: bool,
    /// Outcome of the request.
    pub outcome: Outcome,
    /// Status of the response to the client.
    pub http_status: u16,
    /// Stable code of the error, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Finish reason, in OpenAI's terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Finish reason, in the provider's terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_finish_reason: Option<String>,
    /// Token usage.
    pub tokens: Tokens,
    /// True if the provider reported no usage and `tokens` is an estimate.
    pub estimated: bool,
    /// True if the request was admitted without rate limits because the limiter failed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unlimited: bool,
    /// True if the answer was paid for with the account's own credential.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_byok: bool,
    /// True if only the tokens of the request were counted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub counted: bool,
    /// Cost; `None` if a price is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// Time from acceptance to the end.
    pub latency: u64,
    /// Time from acceptance to the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_byte: Option<u64>,
    /// Time from the first byte of the answer to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_time: Option<u64>,
    /// All attempts, in order.
    pub attempts: Vec<Attempt>,
    /// Fingerprint of the policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Arc<str>>,
    /// Version of the catalog in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Arc<str>>,
    /// Number of values redacted before the request left, by label (P10).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redacted: BTreeMap<String, u64>,
    /// The truncated cache key; `None` as long as there is no cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_key: Option<String>,
    /// The client's id of the session; a hash if it does not have the form of an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
pub(super) fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Record {
    /// Creates the record of a request of which only the open entry is known.
    pub fn opened(opening: super::Opening) -> Self {
        Self {
            id: opening.id,
            account: opening.account,
            key_hash: opening.key_hash,
            created_at: opening.at,
            ip: opening.ip,
            inbound: opening.inbound,
            outbound: None,
            app: None,
            model_requested: opening.model_requested,
            model: None,
            endpoint: opening.endpoint,
            provider: None,
            provider_name: None,
            upstream_id: None,
            streamed: false,
            outcome: Outcome::Interrupted,
            http_status: 0,
            error_code: None,
            finish_reason: None,
            native_finish_reason: None,
            tokens: Tokens::default(),
            estimated: true,
            unlimited: false,
            is_byok: false,
            counted: false,
            cost: None,
            latency: 0,
            time_to_first_byte: None,
            generation_time: None,
            attempts: Vec::new(),
            policy: None,
            catalog: None,
            redacted: BTreeMap::new(),
            cache_key: None,
            session_id: None,
        }
    }
}
