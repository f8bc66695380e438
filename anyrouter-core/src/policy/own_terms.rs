//! The terms of a caller's own credential: a contract that the catalog does not know.

use std::collections::HashMap;

use serde::Serialize;

use super::{Layer, Restriction, explain::violations};
use crate::{
    catalog::{Catalog, Endpoint, Terms, Tier},
    ids::ProviderSlug,
};

/// A caller's statement about their own credential for a provider. The account's layer and those
/// below it judge by it, where that credential is used; the instance and the organization judge by
/// the catalog, since it is not for an account to say what they accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnTerms {
    /// The provider.
    pub provider: ProviderSlug,
    /// The tier of the credential.
    pub tier: Tier,
    /// The facts of the contract. What it does not state counts as unknown.
    pub terms: Terms,
}

/// An endpoint as the layers judge it where the caller's own credential is used.
#[derive(Debug)]
pub(super) struct OwnEndpoint {
    /// With the caller's terms in place of the catalog's.
    pub(super) endpoint: Endpoint,
    /// The layers above the request allow it.
    pub(super) is_allowed: bool,
}

/// Endpoints for which the caller has stated terms, by index of the model and of the endpoint in
/// it.
pub(super) type OwnEndpoints = HashMap<(usize, usize), OwnEndpoint, foldhash::fast::FixedState>;

/// The endpoint by which `layer` judges: the catalog's, or the caller's.
pub(super) fn as_judged<'a>(
    layer: Layer,
    catalogs: &'a Endpoint,
    own: Option<&'a OwnEndpoint>,
) -> &'a Endpoint {
    let is_the_accounts = match layer {
        Layer::Request | Layer::Preset | Layer::Key | Layer::Account => true,
        Layer::Organization | Layer::Instance | Layer::Endpoint => false,
    };
    own.filter(|_| is_the_accounts)
        .map_or(catalogs, |own| &own.endpoint)
}

/// The endpoints that `own` is about, judged by the layers above the request.
pub(super) fn judge(
    catalog: &Catalog,
    layers: &[(Layer, Restriction)],
    own: &[OwnTerms],
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
                        terms: stated.terms.clone(),
                        ..endpoint.clone()
                    },
                    is_allowed: false,
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
