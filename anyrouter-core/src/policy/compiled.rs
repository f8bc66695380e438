//! The catalog and the layers compiled into bit sets, with one bit for each endpoint. The bits of
//! each model begin at a new word.

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest, Sha256};

use super::{
    Layer, OwnTerms, PriceCaps, ProviderPattern, Restriction,
    explain::{keeps_longer, outside_regions, publishes, trains_on_free, trains_on_paid},
    own_terms::{self, OwnEndpoint, OwnEndpoints},
    prices::ByPrice,
};
use crate::{
    catalog::{Catalog, Endpoint, Usd, Zdr},
    ids::push_hex,
    part::Part as _,
};

/// The facts of a catalog as bit sets for the rules, computed once per version of the catalog.
#[derive(Debug)]
pub struct CompiledCatalog {
    catalog: Arc<Catalog>,
    /// Index of the first word of each model, and the total number of words at the end.
    first_word: Vec<usize>,
    all: Vec<u64>,
    training_paid: Vec<u64>,
    training_free: Vec<u64>,
    publication: Vec<u64>,
    not_zdr: Vec<u64>,
    charges_per_request: Vec<u64>,
    providers: HashMap<String, Vec<u64>, foldhash::fast::FixedState>,
    /// Order by the prices of prompt, completion, request, image and audio, for each model.
    prices: Vec<[ByPrice; 5]>,
}

impl CompiledCatalog {
    /// Compiles `catalog`.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let mut first_word = Vec::with_capacity(catalog.models().len() + 1);
        let mut words = 0;
        for model in catalog.models() {
            first_word.push(words);
            words += model.endpoints.len().div_ceil(64);
        }
        first_word.push(words);
        let empty = vec![0; words];
        let mut it = Self {
            first_word,
            all: empty.clone(),
            training_paid: empty.clone(),
            training_free: empty.clone(),
            publication: empty.clone(),
            not_zdr: empty.clone(),
            charges_per_request: empty.clone(),
            providers: HashMap::default(),
            prices: Vec::with_capacity(catalog.models().len()),
            catalog: catalog.clone(),
        };
        for endpoint in catalog.endpoints() {
            let Some(bit) = it.bit(endpoint) else {
                continue;
            };
            let traffic = endpoint.traffic();
            set(&mut it.all, bit, true);
            set(
                &mut it.training_paid,
                bit,
                trains_on_paid(endpoint, traffic),
            );
            set(
                &mut it.training_free,
                bit,
                trains_on_free(endpoint, traffic),
            );
            set(&mut it.publication, bit, publishes(endpoint, traffic));
            set(
                &mut it.not_zdr,
                bit,
                endpoint
                    .terms
                    .zdr
                    .as_ref()
                    .is_none_or(|z| z.value != Zdr::Default),
            );
            set(
                &mut it.charges_per_request,
                bit,
                endpoint
                    .prices
                    .request
                    .is_some_and(|price| price > Usd::ZERO),
            );
            for name in endpoint.provider_names.iter().cloned() {
                set(
                    it.providers.entry(name).or_insert_with(|| empty.clone()),
                    bit,
                    true,
                );
            }
        }
        for model in catalog.models() {
            let endpoints = catalog.endpoints_of(model);
            it.prices.push([
                ByPrice::new(endpoints, |p| p.prompt),
                ByPrice::new(endpoints, |p| p.completion),
                ByPrice::new(endpoints, |p| p.request),
                ByPrice::new(endpoints, |p| p.image),
                ByPrice::new(endpoints, |p| p.audio),
            ]);
        }
        it
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    pub(super) fn endpoints_of(&self, model: usize) -> &[Endpoint] {
        self.catalog
            .models()
            .get(model)
            .map(|m| self.catalog.endpoints_of(m))
            .unwrap_or_default()
    }

    fn bit(&self, endpoint: &Endpoint) -> Option<usize> {
        let model = self.catalog.models().get(endpoint.model_index)?;
        Some(
            self.first_word.get(endpoint.model_index)? * 64
                + endpoint.index.checked_sub(model.endpoints.start)?,
        )
    }

    /// Returns the words of one model in a bit set.
    fn of<'a>(&self, model: usize, bits: &'a [u64]) -> &'a [u64] {
        let (Some(from), Some(to)) = (self.first_word.get(model), self.first_word.get(model + 1))
        else {
            return &[];
        };
        bits.part(*from..*to)
    }

    fn provider(&self, model: usize, pattern: &ProviderPattern) -> &[u64] {
        self.providers
            .get(pattern.key())
            .map(|bits| self.of(model, bits))
            .unwrap_or_default()
    }

    /// Removes the endpoints that `restriction` forbids from `bits`, the set of one model.
    pub(super) fn restrict(&self, model: usize, restriction: &Restriction, bits: &mut [u64]) {
        let r = restriction;
        for (applies, violators) in [
            (r.forbid_training_paid, &self.training_paid),
            (r.forbid_training_free, &self.training_free),
            (r.forbid_publication, &self.publication),
            (r.enforce_zdr, &self.not_zdr),
        ] {
            if applies {
                remove(bits, self.of(model, violators));
            }
        }
        for pattern in &r.block {
            remove(bits, self.provider(model, pattern));
        }
        for list in &r.allow {
            let mut allowed = super::Words::from_elem(0, bits.len());
            for pattern in list {
                for (to, from) in allowed.iter_mut().zip(self.provider(model, pattern)) {
                    *to |= from;
                }
            }
            for (to, from) in bits.iter_mut().zip(&allowed) {
                *to &= from;
            }
        }
        if !(r.block_models.is_empty() && r.allow_models.is_empty())
            && let Some(m) = self.catalog.models().get(model)
        {
            let blocked = r.block_models.iter().any(|p| p.matches(m));
            if blocked
                || !r
                    .allow_models
                    .iter()
                    .all(|list| list.iter().any(|p| p.matches(m)))
            {
                bits.fill(0);
            }
        }
        self.cap(model, &r.max_price, bits);
        if r.max_retention_days.is_some() || r.regions.is_some() {
            for (i, endpoint) in self.endpoints_of(model).iter().enumerate() {
                let out = r
                    .max_retention_days
                    .is_some_and(|days| keeps_longer(endpoint, days))
                    || r.regions
                        .as_ref()
                        .is_some_and(|regions| outside_regions(endpoint, regions));
                if out && let Some(word) = bits.get_mut(i / 64) {
                    *word &= !(1 << (i % 64));
                }
            }
        }
    }

    fn cap(&self, model: usize, caps: &PriceCaps, bits: &mut [u64]) {
        let Some(prices) = self.prices.get(model) else {
            return;
        };
        let free = caps.free_only.then_some(Usd::ZERO);
        let of_tokens = |cap: Option<Usd>| cap.into_iter().chain(free).min();
        let caps_in_order = [
            of_tokens(caps.prompt),
            of_tokens(caps.completion),
            caps.request,
            caps.image,
            caps.audio,
        ];
        for (by_price, cap) in prices.iter().zip(caps_in_order) {
            if let Some(cap) = cap {
                by_price.keep_at_most(cap, bits);
            }
        }
        if caps.free_only {
            // An endpoint with no known price for the request itself may be free.
            remove(bits, self.of(model, &self.charges_per_request));
        }
    }
}

fn set(bits: &mut [u64], bit: usize, on: bool) {
    if on && let Some(word) = bits.get_mut(bit / 64) {
        *word |= 1 << (bit % 64);
    }
}

fn remove(bits: &mut [u64], what: &[u64]) {
    for (to, from) in bits.iter_mut().zip(what) {
        *to &= !from;
    }
}

/// The layers above the request, compiled against one version of the catalog.
#[derive(Debug)]
pub struct CompiledLayers {
    catalog: Arc<CompiledCatalog>,
    layers: Vec<(Layer, Restriction)>,
    allowed: Vec<u64>,
    own: OwnEndpoints,
    fingerprint: Arc<str>,
}

impl CompiledLayers {
    /// Compiles `layers`, in any order.
    pub fn new(catalog: Arc<CompiledCatalog>, layers: Vec<(Layer, Restriction)>) -> Self {
        Self::with_own_terms(catalog, layers, &[], false)
    }

    /// Compiles `layers` for a caller whose own credentials have the terms `own`. If `accepts_own` is
    /// true, the instance and the organization judge by them too.
    pub fn with_own_terms(
        catalog: Arc<CompiledCatalog>,
        layers: Vec<(Layer, Restriction)>,
        own: &[OwnTerms],
        accepts_own: bool,
    ) -> Self {
        let mut allowed = catalog.all.clone();
        for model in 0..catalog.catalog.models().len() {
            let range = catalog
                .first_word
                .get(model)
                .copied()
                .zip(catalog.first_word.get(model + 1).copied());
            if let Some(bits) = range.and_then(|(from, to)| allowed.get_mut(from..to)) {
                for (_, restriction) in &layers {
                    catalog.restrict(model, restriction, bits);
                }
            }
        }
        let mut fingerprint = String::with_capacity(16);
        let mut text = serde_json::to_vec(&layers).unwrap_or_default();
        if !own.is_empty() {
            text.extend(serde_json::to_vec(own).unwrap_or_default());
        }
        push_hex(Sha256::digest(text).part(..8), |digit| {
            fingerprint.push(char::from(digit));
        });
        Self {
            own: own_terms::judge(&catalog.catalog, &layers, own, accepts_own),
            catalog,
            layers,
            allowed,
            fingerprint: fingerprint.into(),
        }
    }

    /// Returns the catalog that the layers were compiled against.
    pub fn catalog(&self) -> &CompiledCatalog {
        &self.catalog
    }

    /// Returns the layers as given.
    pub fn layers(&self) -> &[(Layer, Restriction)] {
        &self.layers
    }

    /// Returns the fingerprint of the layers, independent of the catalog: 16 hexadecimal digits of
    /// SHA-256.
    pub fn fingerprint(&self) -> &Arc<str> {
        &self.fingerprint
    }

    /// Returns the `nth` endpoint of a model under the terms of the caller's own credential, if
    /// they stated any.
    pub(super) fn own(&self, model: usize, nth: usize) -> Option<&OwnEndpoint> {
        if self.own.is_empty() {
            return None;
        }
        self.own.get(&(model, nth))
    }

    /// Returns true if the caller has credentials with their own terms.
    pub(super) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    pub(super) fn allowed(&self, model: usize) -> &[u64] {
        self.catalog.of(model, &self.allowed)
    }
}
