//! What a plan is made from.

use super::{health::Health, preferences::Preferences};
use crate::{
    catalog::{Endpoint, Protocol},
    time::Timestamp,
};

/// What a request asks of whoever serves it.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// A floor on context length, and the member that set it.
    pub min_context: Option<(u64, &'static str)>,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u64>,
    /// The members that were sent.
    pub parameters: Vec<String>,
    /// The messages have images.
    pub images: bool,
    /// The members that a protocol cannot express.
    pub not_carried: Vec<(Protocol, String)>,
}

/// What a plan is made from, beside the decision.
#[derive(Clone, Copy)]
pub struct Routing<'a> {
    /// How the caller wants to be served.
    pub preferences: &'a Preferences,
    /// What the request asks of whoever serves it.
    pub needs: &'a Needs,
    /// How endpoints have fared.
    pub health: &'a Health,
    /// Whether there is a credential for an endpoint.
    pub has_credential: &'a (dyn Fn(&Endpoint) -> bool + Sync),
    /// The protocol that the request came in.
    pub inbound: Protocol,
    /// Now.
    pub now: Timestamp,
    /// Decides what is left to chance (`sort: "balanced"`).
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
