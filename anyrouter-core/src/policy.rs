//! The policy engine: decides which endpoints a request *may* be sent to (P03, P04, P05).
//!
//! Each layer (instance, organization, account, key, preset, request) contributes a
//! [`Restriction`]. Restrictions form a meet-semilattice: [`Restriction::meet`] is commutative,
//! associative and idempotent, and another layer can only remove endpoints. An unknown fact about a
//! provider counts as the worst.
//!
//! The catalog and the layers are compiled into bit sets once per version of either; a request then
//! costs a few AND operations. [`evaluate`] is the only function that creates an [`Eligible`], and
//! an upstream can be called with nothing else. Its [`Decision`] can also
//! [explain](Decision::reasons) every excluded endpoint; the reasons are computed on demand.
//!
//! ```
//! use std::sync::Arc;
//! use anyrouter_core::{catalog::{Catalog, Document}, policy::{self, CompiledCatalog, CompiledLayers, Layer, Restriction, Settings}};
//!
//! let document = Document::from_toml(r#"
//!     [[provider]]
//!     slug = "keeps"
//!     protocol = "openai_chat"
//!     base_url = "https://keeps.example/v1"
//!     terms = { trains_on_paid = false, retention_days = 30 }
//!     [[model]]
//!     id = "lab/model"
//!     [[model.endpoint]]
//!     provider = "keeps"
//!     price = { prompt = "1", completion = "2" }
//! "#)?;
//! let catalog = CompiledCatalog::new(Arc::new(Catalog::from_documents(&[document])?));
//! let account = Settings::default().restriction();
//! let layers = CompiledLayers::new(Arc::new(catalog), vec![(Layer::Account, account)]);
//! assert_eq!(policy::evaluate(&layers, &[], 0).eligible().count(), 1);
//!
//! let request = [(Layer::Request, Restriction { enforce_zdr: true, ..Restriction::default() })];
//! let decision = policy::evaluate(&layers, &request, 0);
//! assert_eq!(decision.eligible().count(), 0);
//! let reason = &decision.reasons(0)[0];
//! assert_eq!((reason.rule.as_str(), reason.layer, reason.fact.as_str()), ("zdr", Layer::Request, "zdr = unknown"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compiled;
mod explain;
mod own_terms;
mod prices;
mod restriction;
mod settings;

use smallvec::SmallVec;

pub use self::{
    compiled::{CompiledCatalog, CompiledLayers},
    explain::{
        Change, Consent, Excluded, Explanation, Position, Reason, Relaxation, Rule, relaxations,
    },
    own_terms::OwnTerms,
    restriction::{Layer, ModelPattern, PriceCaps, ProviderPattern, Restriction},
    settings::{ClientMetadata, Settings, SettingsPatch},
};
use crate::catalog::{Endpoint, Provider};

/// An endpoint that the policy admits for a request. Only [`evaluate`] creates one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eligible<'a> {
    endpoint: &'a Endpoint,
    provider: &'a Provider,
    with_operator_credential: bool,
    with_own_credential: bool,
}

impl<'a> Eligible<'a> {
    /// The endpoint.
    pub fn endpoint(self) -> &'a Endpoint {
        self.endpoint
    }

    /// Its provider.
    pub fn provider(self) -> &'a Provider {
        self.provider
    }

    /// Returns true if it is eligible with the operator's credential, under the catalog's terms.
    pub fn with_operator_credential(self) -> bool {
        self.with_operator_credential
    }

    /// Returns true if it is eligible with the caller's own credential, under the [terms](OwnTerms)
    /// that they stated for it, or under the catalog's if they stated none.
    pub fn with_own_credential(self) -> bool {
        self.with_own_credential
    }
}

/// The policy's decision about the endpoints of one model for one request.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    layers: &'a CompiledLayers,
    request: &'a [(Layer, Restriction)],
    model: usize,
    bits: Words,
    /// The eligible endpoints with the caller's own credentials, if these have their own terms.
    own: Option<Words>,
}

/// The bit set of one model's endpoints.
type Words = SmallVec<[u64; 2]>;

/// Decides which endpoints of `model` (an index into the catalog's models) a request may be sent
/// to, under the compiled `layers` and those of the request. An unknown model has no endpoints.
pub fn evaluate<'a>(
    layers: &'a CompiledLayers,
    request: &'a [(Layer, Restriction)],
    model: usize,
) -> Decision<'a> {
    let catalog = layers.catalog();
    let mut bits: Words = layers.allowed(model).into();
    for (_, restriction) in request {
        catalog.restrict(model, restriction, &mut bits);
    }
    let own = layers.has_own().then(|| {
        let mut own = bits.clone();
        let model_entry = catalog.catalog().models().get(model);
        for nth in 0..catalog.endpoints_of(model).len() {
            let Some(judged) = layers.own(model, nth) else {
                continue;
            };
            let is_eligible = judged.is_allowed
                && request.iter().all(|(layer, restriction)| {
                    let found = judged.violations(model_entry, *layer, restriction);
                    found.is_empty()
                });
            if let Some(word) = own.get_mut(nth / 64) {
                let bit = 1 << (nth % 64);
                *word = if is_eligible {
                    *word | bit
                } else {
                    *word & !bit
                };
            }
        }
        own
    });
    Decision {
        layers,
        request,
        model,
        bits,
        own,
    }
}

fn is_set(bits: &Words, nth: usize) -> bool {
    bits.get(nth / 64)
        .is_some_and(|word| word & (1 << (nth % 64)) != 0)
}

impl<'a> Decision<'a> {
    /// Returns the eligible endpoints, in the catalog's order.
    pub fn eligible(&self) -> impl Iterator<Item = Eligible<'a>> + use<'a, '_> {
        let endpoints = self.endpoints();
        let providers = self.layers.catalog().catalog().providers();
        let own = self.own.as_ref().unwrap_or(&self.bits);
        let words = self.bits.iter().zip(own).enumerate();
        let set = words.flat_map(|(word, (operators, own))| {
            let mut rest = operators | own;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                let is_in = |bits: &u64| bits & (1 << bit) != 0;
                Some((word * 64 + bit, is_in(operators), is_in(own)))
            })
        });
        set.filter_map(
            move |(bit, with_operator_credential, with_own_credential)| {
                let endpoint = endpoints.get(bit)?;
                let provider = providers.get(endpoint.provider_index)?;
                Some(Eligible {
                    endpoint,
                    provider,
                    with_operator_credential,
                    with_own_credential,
                })
            },
        )
    }

    /// Returns true if no endpoint is eligible.
    pub fn is_empty(&self) -> bool {
        let own = self.own.as_ref().unwrap_or(&self.bits);
        self.bits.iter().chain(own).all(|w| *w == 0)
    }

    /// Returns all endpoints of the model, eligible or not.
    pub fn endpoints(&self) -> &'a [Endpoint] {
        self.layers.catalog().endpoints_of(self.model)
    }

    /// Returns the model, as an index into the catalog's models.
    pub fn model(&self) -> usize {
        self.model
    }

    /// Returns every rule of every layer that excludes the `nth` endpoint of the model; none if it
    /// is eligible with any credential. If the caller has a credential with its own terms, the
    /// rules are those that exclude the endpoint under these terms.
    pub fn reasons(&self, nth: usize) -> Vec<Reason> {
        let Some(endpoint) = self.endpoints().get(nth) else {
            return Vec::new();
        };
        let catalog = self.layers.catalog().catalog();
        let model = catalog.models().get(self.model);
        let own = self.layers.own(self.model, nth);
        if own.is_some() && is_set(&self.bits, nth) {
            return Vec::new();
        }
        let layers = self.layers.layers().iter().chain(self.request);
        let mut reasons: Vec<Reason> = layers
            .flat_map(|(layer, restriction)| {
                own.map_or_else(
                    || explain::violations(endpoint, model, *layer, restriction),
                    |own| own.violations(model, *layer, restriction),
                )
            })
            .collect();
        reasons.sort_by_key(|r| (std::cmp::Reverse(r.layer), r.rule));
        reasons
    }

    /// Returns the fingerprint of the layers above the request: 16 hexadecimal digits.
    pub fn fingerprint(&self) -> &'a str {
        self.layers.fingerprint()
    }
}
