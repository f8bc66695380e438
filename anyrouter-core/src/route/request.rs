//! Input of a plan.

use super::{health::Health, preferences::Preferences};
use crate::{
    catalog::{Endpoint, Protocol},
    policy::Eligible,
    time::Timestamp,
};

/// Requirements of a request on an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Minimum context length, and the member that sets it.
    pub min_context: Option<(u64, &'static str)>,
    /// Maximum number of tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Members of the request.
    pub parameters: Vec<String>,
    /// True if the messages have images.
    pub images: bool,
    /// Members that a protocol cannot express.
    pub not_carried: Vec<(Protocol, String)>,
}

/// The holders of a credential for a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The caller's account.
    Own,
    /// The operator.
    Operator,
    /// Both.
    Both,
}

impl Holder {
    /// Returns whose credential a request to an endpoint is sent with: the caller's own, if the policy
    /// admits it, and else the operator's.
    pub fn used_for(self, eligible: Eligible<'_>) -> Option<Self> {
        let (own, operators) = match self {
            Self::Own => (true, false),
            Self::Operator => (false, true),
            Self::Both => (true, true),
        };
        if own && eligible.with_own_credential() {
            Some(Self::Own)
        } else {
            (operators && eligible.with_operator_credential()).then_some(Self::Operator)
        }
    }
}

/// Input of a plan in addition to the decisions.
#[derive(Clone, Copy)]
pub struct Routing<'a> {
    /// Routing preferences of the caller.
    pub preferences: &'a Preferences,
    /// Requirements on an endpoint.
    pub needs: &'a Needs,
    /// Health of the endpoints.
    pub health: &'a Health,
    /// Returns whose credential an endpoint would get; `None` if there is none.
    pub holder: &'a (dyn Fn(&Endpoint) -> Option<Holder> + Sync),
    /// Protocol of the client.
    pub inbound: Protocol,
    /// Current time.
    pub now: Timestamp,
    /// Seed for random choices (`sort: "balanced"`).
    pub seed: u64,
}

impl std::fmt::Debug for Routing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routing")
            .field("preferences", self.preferences)
            .field("needs", self.needs)
            .finish_non_exhaustive()
    }
}
