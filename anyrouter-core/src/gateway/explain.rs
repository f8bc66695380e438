//! Explanations of how a request would be routed. One pure function serves the API, the errors and
//! the command line.

use bytes::Bytes;

use super::{
    head::Head,
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
    route::{self, Health, Holder},
    time::Timestamp,
    wire::{count::counts, error::ApiError, inbound::inbound, request::Request},
};

/// State that an explanation is based on.
#[allow(missing_debug_implementations)] // it borrows a function
pub struct Situation<'a> {
    /// The operator's configuration.
    pub instance: &'a Instance,
    /// Caller of the request.
    pub caller: &'a Caller,
    /// Health of the endpoints.
    pub health: &'a Health,
    /// Returns true if there is a credential for an endpoint.
    pub holder: &'a (dyn Fn(&Endpoint) -> Option<Holder> + Sync),
    /// Maximum depth of a request's JSON.
    pub depth: usize,
    /// Current time.
    pub now: Timestamp,
}

/// Explains how a request with this body, in `protocol`, would be routed. `pin` is the provider of
/// `X-AnyRouter-Provider`. The error is the one that the request itself would get.
pub fn explain(
    protocol: Protocol,
    body: Bytes,
    pin: Option<&str>,
    situation: &Situation<'_>,
) -> Result<Explanation, ApiError> {
    let request = inbound(protocol, body, situation.depth).map_err(invalid)?;
    explain_request(&request, pin, situation)
}

fn explain_request(
    request: &Request,
    pin: Option<&str>,
    situation: &Situation<'_>,
) -> Result<Explanation, ApiError> {
    let Situation {
        instance, caller, ..
    } = situation;
    let identifiers = Identifiers::new(
        instance.redaction.as_ref().map(|r| &r.key),
        caller.key.account.as_str(),
    );
    let targets = targets::resolve(request, instance, pin, identifiers)?;
    let layers = caller.layers(instance);
    let decisions = targets.decisions(&layers);
    let routing = targets.routing(
        request.protocol(),
        situation.health,
        situation.holder,
        situation.now,
        RequestId::first_at(situation.now),
    );
    Ok(explanation(&targets, &decisions, &routing, instance))
}

/// Explains the decisions of policy and routing about `targets`.
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
        let request = inbound(protocol, body, self.limits.depth).map_err(invalid)?;
        self.explain_request(&request, caller, pin)
    }

    fn explain_request(
        &self,
        request: &Request,
        caller: &Caller,
        pin: Option<&str>,
    ) -> Result<Explanation, ApiError> {
        let instance = self.instance();
        let holder = |e: &Endpoint| self.holder(&instance, Some(caller), e);
        let situation = Situation {
            instance: &instance,
            caller,
            health: &self.health,
            holder: &holder,
            depth: self.limits.depth,
            now: self.ports.clock.now(),
        };
        explain_request(request, pin, &situation)
    }

    /// Returns true if a provider that the policy admits would count the tokens of a request.
    pub fn has_counter(&self, head: &Head, caller: &Caller, body: Bytes) -> bool {
        let explained = head
            .read(body, self.limits.depth)
            .and_then(|request| self.explain_request(&request, caller, head.pin.as_deref()));
        let Ok(explanation) = explained else {
            return false;
        };
        let instance = self.instance();
        let catalog = instance.catalog.catalog();
        let mut endpoints = explanation
            .eligible
            .iter()
            .filter_map(|position| catalog.endpoint(position.endpoint.as_str()));
        endpoints.any(|endpoint| counts(endpoint, head.protocol))
    }
}
