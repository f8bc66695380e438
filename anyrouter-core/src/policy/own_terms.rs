//! The terms of a caller's own credential, from a contract that the catalog does not cover.

use std::collections::HashMap;

use serde::Serialize;

use super::{Layer, Restriction, explain::violations};
use crate::{
    catalog::{Catalog, Endpoint, Terms, Tier},
    ids::ProviderSlug,
};

/// A caller's statement about their own credential for a provider. If that credential is used, the
/// layers of the account, the key, the preset and the request apply these terms. The instance and
/// the organization apply the catalog's, since an account cannot decide for them, unless the operator
/// accepts it.
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
    pub(super) endpoint: Endpoint,
    /// True if the layers above the request admit it.
    pub(super) is_allowed: bool,
    /// True if the instance and the organization judge by the caller's terms as well.
    pub(super) is_accepted: bool,
}

/// Endpoints for which the caller stated terms, by the indices of model and endpoint.
pub(super) type OwnEndpoints = HashMap<(usize, usize), OwnEndpoint, foldhash::fast::FixedState>;

/// Returns the endpoint with the terms that `layer` applies: the catalog's or the caller's.
pub(super) fn as_judged<'a>(
    layer: Layer,
    catalogs: &'a Endpoint,
    own: Option<&'a OwnEndpoint>,
) -> &'a Endpoint {
    let is_the_accounts = match layer {
        Layer::Request | Layer::Preset | Layer::Key | Layer::Account => true,
        Layer::Organization | Layer::Instance => own.is_some_and(|own| own.is_accepted),
        Layer::Endpoint => false,
    };
    own.filter(|_| is_the_accounts)
        .map_or(catalogs, |own| &own.endpoint)
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
                let mut judged = OwnEndpoint {
                    endpoint: Endpoint {
                        tier: stated.tier,
                        terms: stated.terms.as_ref().unwrap_or(&endpoint.terms).clone(),
                        ..endpoint.clone()
                    },
                    is_allowed: false,
                    is_accepted,
                };
                judged.is_allowed = layers.iter().all(|(layer, restriction)| {
                    let endpoint = as_judged(*layer, endpoint, Some(&judged));
                    violations(endpoint, Some(model), *layer, restriction).is_empty()
                });
                out.insert((index, nth), judged);
            }
        }
    }
    out
}
