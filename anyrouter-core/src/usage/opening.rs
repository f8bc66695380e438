//! What is known of a request while it is under way.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    catalog::Protocol,
    ids::{AccountId, EndpointId, RequestId},
    key::KeyHash,
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
    /// Time of acceptance.
    pub at: Timestamp,
    /// Address of the client.
    pub ip: Option<IpAddr>,
    /// The protocol that it came in. (Entries of before there was a choice are chat.)
    #[serde(default = "chat")]
    pub inbound: Protocol,
    /// The model that was asked for, once the body was read.
    pub model_requested: Option<String>,
    /// The endpoint that was asked last, once there was one.
    pub endpoint: Option<EndpointId>,
}

/// The protocol of records that were written before there was a choice.
pub(super) const fn chat() -> Protocol {
    Protocol::Chat
}
