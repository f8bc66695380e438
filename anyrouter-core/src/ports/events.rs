//! Events for the operator of a gateway, as data.

use std::time::Duration;

use super::StoreError;
use crate::{
    catalog::FailureClass,
    ids::{EndpointId, ProviderSlug, RequestId},
    wire::connection::ConnectionFault,
};

/// A receiver of events that an operator may have to act on. It is called while a request is served
/// and must not block.
pub trait Events: Send + Sync {
    /// Receives an event.
    fn emit(&self, event: Event);
}

/// A condition that an operator may have to act on. It contains ids, configured names, failure
/// classes and statuses, but no text of clients or providers, keys, accounts or client addresses
/// (P01).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An attempt at an endpoint failed, and the request was not the cause.
    UpstreamFailed {
        /// The request.
        request: RequestId,
        /// The provider.
        provider: ProviderSlug,
        /// The endpoint.
        endpoint: EndpointId,
        /// The kind of failure.
        class: FailureClass,
        /// The provider's status, if it answered.
        status: Option<u16>,
        /// Fault of the connection, if it was the cause.
        connection: Option<ConnectionFault>,
    },
    /// A cooldown of an endpoint opened.
    CooldownOpened {
        /// The endpoint.
        endpoint: EndpointId,
        /// Duration from now on.
        lasts: Duration,
    },
    /// A cooldown ended: the endpoint answered, or its address or credential changed.
    CooldownClosed {
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// A backend failed while a request needed it.
    BackendFailed {
        /// The backend, by its port.
        backend: Backend,
        /// Error of the backend.
        error: StoreError,
    },
}

/// A backend that can fail, by its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Keys and accounts.
    Directory,
    /// Rates of keys.
    Limiter,
    /// Providers' keys.
    Credentials,
    /// Usage records.
    UsageLog,
}

impl Backend {
    /// Returns the name used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Limiter => "limiter",
            Self::Credentials => "credentials",
            Self::UsageLog => "usage_log",
        }
    }
}
