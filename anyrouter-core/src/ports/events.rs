//! What a gateway tells its operator: causes, as data.

use std::time::Duration;

use super::StoreError;
use crate::{
    catalog::FailureClass,
    ids::{EndpointId, ProviderSlug, RequestId},
    wire::connection::ConnectionFault,
};

/// Receives events that an operator may have to act on. It is called on the path of a request and
/// must not block.
pub trait Events: Send + Sync {
    /// Something happened.
    fn emit(&self, event: Event);
}

/// A condition that an operator may have to act on. It holds ids, configured names, failure classes
/// and statuses, and no client or provider text, key, account or client address (P01).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An attempt at an endpoint failed, for a reason that is not in the request.
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
        /// Fault of the connection, if that was the cause.
        connection: Option<ConnectionFault>,
    },
    /// An endpoint failed, and is not asked for a while.
    CooldownOpened {
        /// The endpoint.
        endpoint: EndpointId,
        /// From now on.
        lasts: Duration,
    },
    /// A cooldown ended: the endpoint answered, or its address or credential was changed.
    CooldownClosed {
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// A backend failed, and a request with it.
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
    /// Its name, as logs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Limiter => "limiter",
            Self::Credentials => "credentials",
            Self::UsageLog => "usage_log",
        }
    }
}
