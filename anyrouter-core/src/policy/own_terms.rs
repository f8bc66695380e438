//! The terms of a caller's own credential, from a contract that the catalog does not cover.

use std::collections::HashMap;

use serde::Serialize;

use super::{Layer, Reason, Restriction, explain::violations};
use crate::{
    catalog::{Catalog, Endpoint, Model, Terms, Tier},
    ids::ProviderSlug,
};

/// A caller's statement about their own credential for a provider. If that credential is used, the
/// layers of the account, the key, the preset and the request apply these terms. The instance and the
/// organization apply the catalog's for the credential's tier, since an account cannot decide for them,
/// and what the account states that is worse, unless the operator accepts its statement alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnTerms {
    /// The provider.
    pub provider: ProviderSlug,
    /// The tier of the credential.
    pub tier: Tier,
    /// The facts of the contract. A fact that it does not state is unknown. Without a contract, the
    /// catalog's terms apply.
    pub terms: Option<Terms>,
}

/// An endpoint with the caller's own credential.
#[derive(Debug)]
pub(super) struct OwnEndpoint {
    /// The endpoint with the caller's terms in place of the catalog's.
    endpoint: Endpoint,
    /// The endpoint with the catalog's terms for the tier of the caller's credential; and the same with
    /// the facts that the caller states.
    above: [Endpoint; 2],
    /// True if the layers above the request admit it.
    pub(super) is_allowed: bool,
    /// True if the instance and the organization judge by the caller's terms alone.
    is_accepted: bool,
}

/// Endpoints for which the caller stated terms, by the indices of model and endpoint.
pub(super) type OwnEndpoints = HashMap<(usize, usize), OwnEndpoint, foldhash::fast::FixedState>;

impl OwnEndpoint {
    /// Returns how the endpoint with the caller's credential violates a layer's restriction. What the
    /// instance and the organization forbid must hold by the catalog and by the caller's statement,
    /// whichever is worse.
    pub(super) fn violations(
        &self,
        model: Option<&Model>,
        layer: Layer,
        restriction: &Restriction,
    ) -> Vec<Reason> {
        let is_above = matches!(layer, Layer::Organization | Layer::Instance);
        if self.is_accepted || !is_above {
            return violations(&self.endpoint, model, layer, restriction);
        }
        let mut found: Vec<Reason> = Vec::new();
        for endpoint in &self.above {
            for reason in violations(endpoint, model, layer, restriction) {
                if !found.iter().any(|known| known.rule == reason.rule) {
                    found.push(reason);
                }
            }
        }
        found
    }
}

/// Returns the endpoints that `own` covers, with the decision of the layers above the request.
pub(super) fn judge(
    catalog: &Catalog,
    layers: &[(Layer, Restriction)],
    own: &[OwnTerms],
    is_accepted: bool,
) -> OwnEndpoints {
    let mut out = OwnEndpoints::default();
    for stated in own {
        for (index, model) in catalog.models().iter().enumerate() {
            for (nth, endpoint) in catalog.endpoints_of(model).iter().enumerate() {
                if endpoint.provider != stated.provider {
                    continue;
                }
                let of_catalog = Endpoint {
                    tier: stated.tier,
                    ..endpoint.clone()
                };
                let with_terms = |terms: &Terms| Endpoint {
                    terms: terms.clone(),
                    ..of_catalog.clone()
                };
                let terms = stated.terms.as_ref().unwrap_or(&endpoint.terms);
                let mut judged = OwnEndpoint {
                    endpoint: with_terms(terms),
                    above: [
                        of_catalog.clone(),
                        with_terms(&endpoint.terms.overlaid(terms)),
                    ],
                    is_allowed: false,
                    is_accepted,
                };
                judged.is_allowed = layers.iter().all(|(layer, restriction)| {
                    let found = judged.violations(Some(model), *layer, restriction);
                    found.is_empty()
                });
                out.insert((index, nth), judged);
            }
        }
    }
    out
}
