//! The open entry of a request under way.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    catalog::Protocol,
    ids::{AccountId, EndpointId, RequestId},
    key::KeyHash,
    time::Timestamp,
};

/// The open entry of an accepted request. It remains if the process ends before the usage record is
/// written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The request's id.
    pub id: RequestId,
    /// Account of the key.
    pub account: AccountId,
    /// Hash of the key.
    pub key_hash: KeyHash,
    /// Time of acceptance.
    pub at: Timestamp,
    /// Address of the client.
    pub ip: Option<IpAddr>,
    /// Protocol of the client. (Older entries without it are chat.)
    #[serde(default = "chat")]
    pub inbound: Protocol,
    /// Requested model, once the body is read.
    pub model_requested: Option<String>,
    /// Endpoint of the last attempt, once there is one.
    pub endpoint: Option<EndpointId>,
}

/// Returns the protocol of older records, which do not state it.
pub(super) const fn chat() -> Protocol {
    Protocol::Chat
}
