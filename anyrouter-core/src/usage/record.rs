//! What is kept of a request: metadata, and nothing that was said.

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
    /// It was answered.
    Ok,
    /// Every attempt failed, or the answer broke off.
    UpstreamError,
    /// The policy or its own limits left no endpoint.
    Refused,
    /// Its key had no room.
    RateLimited,
    /// It could not be understood.
    Invalid,
    /// The client went away.
    Cancelled,
    /// The process ended first.
    Interrupted,
    /// Its record could not be written in time.
    StorageError,
}

impl Outcome {
    /// All of them.
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

    /// Its name, as records, metrics and the API have it.
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

/// One try at one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The endpoint's id.
    pub endpoint: EndpointId,
    /// `ok`, or the class of failure.
    pub outcome: Cow<'static, str>,
    /// The status that the provider answered with, if it did.
    pub http_status: Option<u16>,
    /// Microseconds from the beginning of the attempt to its first good byte, or to its failure.
    pub latency: u64,
}

/// The usage record (P02). Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The request's id, which is also the generation's.
    pub id: RequestId,
    /// Whose it is.
    pub account: AccountId,
    /// The key that was used.
    pub key_hash: KeyHash,
    /// Time of acceptance.
    pub created_at: Timestamp,
    /// Address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The protocol that the request came in.
    #[serde(default = "super::opening::chat")]
    pub inbound: Protocol,
    /// The protocol in which the provider was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Protocol>,
    /// The app that sent it, as it names itself; a hash where that does not read like an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The model as it was asked for; a hash where that is not the name of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_requested: Option<String>,
    /// The model that answered, or was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// The endpoint that answered, or was asked last.
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
    /// It was a stream.
    pub streamed: bool,
    /// Outcome of the request.
    pub outcome: Outcome,
    /// The status that the client was answered with.
    pub http_status: u16,
    /// The stable code of the error, where it was one.
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
    /// The provider did not say what it used; `tokens` is estimated.
    pub estimated: bool,
    /// The limiter failed, and the request was admitted without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unlimited: bool,
    /// Cost; `None` if a price is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// From acceptance to the end.
    pub latency: u64,
    /// From acceptance to the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_byte: Option<u64>,
    /// From the first byte of the answer to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_time: Option<u64>,
    /// Every try, in order.
    pub attempts: Vec<Attempt>,
    /// The fingerprint of the policy that held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Arc<str>>,
    /// The version of the catalog that held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Arc<str>>,
    /// Number of values redacted before the request left, by label (P10).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redacted: BTreeMap<String, u64>,
    /// The truncated cache key; none as long as there is no cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_key: Option<String>,
    /// The client's own name of the session; a hash where it does not read like an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
pub(super) fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Record {
    /// The record of a request of which nothing is known but that it was accepted.
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
