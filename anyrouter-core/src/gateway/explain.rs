//! Explanations of how a request would be routed: one function for the API, the errors and the
//! command line. It is pure: nothing is sent.

use bytes::Bytes;

use super::{
    identifiers::Identifiers,
    respond::invalid,
    state::Gateway,
    targets::{self, Targets, UnknownProvider},
};
use crate::{
    account::{Caller, Instance},
    catalog::{Endpoint, Protocol},
    ids::RequestId,
    policy::{Decision, Explanation},
    route::{self, Health},
    time::Timestamp,
    wire::{error::ApiError, inbound::inbound},
};

/// What a request is explained against.
#[allow(missing_debug_implementations)] // it borrows a function
pub struct Situation<'a> {
    /// The operator's part.
    pub instance: &'a Instance,
    /// Who asks.
    pub caller: &'a Caller,
    /// How endpoints have fared.
    pub health: &'a Health,
    /// Whether there is a credential for an endpoint.
    pub has_credential: &'a (dyn Fn(&Endpoint) -> bool + Sync),
    /// Depth that a request's JSON may have.
    pub depth: usize,
    /// Now.
    pub now: Timestamp,
}

/// Explains how a request with this body, in `protocol`, would be routed. `pin` is the provider of
/// `X-AnyRouter-Provider`. An error is the one that the request would get.
pub fn explain(
    protocol: Protocol,
    body: Bytes,
    pin: Option<&str>,
    situation: &Situation<'_>,
) -> Result<Explanation, ApiError> {
    let Situation {
        instance, caller, ..
    } = situation;
    let request = inbound(protocol, body, situation.depth).map_err(invalid)?;
    let identifiers = Identifiers::new(
        instance.redaction.as_ref().map(|r| &r.key),
        caller.key.account.as_str(),
    );
    let targets = targets::resolve(&request, instance, pin, identifiers)?;
    let layers = caller.layers(instance);
    let decisions = targets.decisions(&layers);
    let routing = targets.routing(
        protocol,
        situation.health,
        situation.has_credential,
        situation.now,
        RequestId::first_at(situation.now),
    );
    Ok(explanation(&targets, &decisions, &routing, instance))
}

/// Explains what the policy and the routing made of `targets`.
pub(super) fn explanation(
    targets: &Targets,
    decisions: &[Decision<'_>],
    routing: &route::Routing<'_>,
    instance: &Instance,
) -> Explanation {
    let catalog = instance.catalog.catalog();
    let mut explanation = route::explain(&targets.asked, decisions, routing, catalog);
    explanation.warnings = targets
        .unknown
        .iter()
        .map(UnknownProvider::warning)
        .collect();
    explanation
}

impl Gateway {
    /// Explains how a request would be routed now.
    pub fn explain(
        &self,
        protocol: Protocol,
        caller: &Caller,
        body: Bytes,
        pin: Option<&str>,
    ) -> Result<Explanation, ApiError> {
        let instance = self.instance();
        let has_credential = |e: &Endpoint| self.has_credential(&instance, Some(caller), e);
        let situation = Situation {
            instance: &instance,
            caller,
            health: &self.health,
            has_credential: &has_credential,
            depth: self.limits.depth,
            now: self.ports.clock.now(),
        };
        explain(protocol, body, pin, &situation)
    }
}
