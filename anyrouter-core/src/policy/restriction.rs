//! What a layer takes away, and how two layers combine.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use crate::catalog::{Endpoint, Model, Usd, normalise};

/// Origin of a rule, the closest to the caller first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The request itself.
    Request,
    /// The preset that the request names.
    Preset,
    /// The calling key.
    Key,
    /// The account.
    Account,
    /// The account's organization.
    Organization,
    /// The operator.
    Instance,
    /// The endpoint's own limits, which no setting lifts.
    Endpoint,
}

/// Provider names are compared by their letters and digits, so that `Z.AI` is `z-ai`; a name
/// without `/` also means every regional and tier variant, a name with one means that variant
/// alone.
#[derive(Clone, Debug)]
pub struct ProviderPattern {
    written: String,
    key: String,
}

impl ProviderPattern {
    /// From a slug or a display name, however it is spelt.
    pub fn new(written: &str) -> Self {
        Self {
            written: written.to_owned(),
            key: normalise(written).trim_matches('/').to_owned(),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// As it is compared.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns true if it means this endpoint's provider.
    pub fn matches(&self, endpoint: &Endpoint) -> bool {
        endpoint.provider_names.contains(&self.key)
    }
}

impl PartialEq for ProviderPattern {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for ProviderPattern {}

impl PartialOrd for ProviderPattern {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ProviderPattern {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl Serialize for ProviderPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

/// A model's id, alias or bare name, however its letters are written and whatever variant follows;
/// or the beginning of an id and a star, as `acme/*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ModelPattern(String);

impl ModelPattern {
    /// From an id, an alias, a bare name, or a beginning of an id followed by `*`.
    pub fn new(written: &str) -> Self {
        Self(written.trim().to_ascii_lowercase())
    }

    /// As it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if it means this model.
    pub fn matches(&self, model: &Model) -> bool {
        let id = model.id.as_str().to_ascii_lowercase();
        if let Some(start) = self.0.strip_suffix('*') {
            return id.starts_with(start);
        }
        let is = |name: &str| {
            name.eq_ignore_ascii_case(&id)
                || id
                    .split_once('/')
                    .is_some_and(|(_, slug)| name.eq_ignore_ascii_case(slug))
                || model.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
        };
        // `lab/model:free` is `lab/model`, whatever the variant.
        is(&self.0) || self.0.rsplit_once(':').is_some_and(|(base, _)| is(base))
    }
}

/// The most that each price may be. A price that is not known is above every cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PriceCaps {
    /// A token of prompt.
    pub prompt: Option<Usd>,
    /// A token of answer.
    pub completion: Option<Usd>,
    /// A request.
    pub request: Option<Usd>,
    /// An image.
    pub image: Option<Usd>,
    /// A token of audio.
    pub audio: Option<Usd>,
    /// Prompt and answer cost nothing (a model's `:free` variant).
    pub free_only: bool,
}

impl PriceCaps {
    fn meet(self, other: Self) -> Self {
        let lower = |a: Option<Usd>, b: Option<Usd>| a.into_iter().chain(b).min();
        Self {
            prompt: lower(self.prompt, other.prompt),
            completion: lower(self.completion, other.completion),
            request: lower(self.request, other.request),
            image: lower(self.image, other.image),
            audio: lower(self.audio, other.audio),
            free_only: self.free_only || other.free_only,
        }
    }

    /// The first price of the endpoint that is above its cap, or not known, with the cap's name.
    pub(super) fn exceeded_by(&self, endpoint: &Endpoint) -> Option<(&'static str, Option<Usd>)> {
        let p = &endpoint.prices;
        let zero = self.free_only.then_some(Usd::ZERO);
        [
            (
                "prompt",
                self.prompt.into_iter().chain(zero).min(),
                p.prompt,
            ),
            (
                "completion",
                self.completion.into_iter().chain(zero).min(),
                p.completion,
            ),
            (
                "request",
                self.request
                    .into_iter()
                    .chain(zero.filter(|_| p.request.is_some()))
                    .min(),
                p.request,
            ),
            ("image", self.image, p.image),
            ("audio", self.audio, p.audio),
        ]
        .into_iter()
        .find(|(_, cap, price)| cap.is_some_and(|cap| price.is_none_or(|price| price > cap)))
        .map(|(name, _, price)| (name, price))
    }
}

/// Restrictions of one layer. The default forbids nothing: it is the top of the lattice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restriction {
    /// Nothing that may be trained on under paid terms.
    pub forbid_training_paid: bool,
    /// Nothing that may be trained on under free terms.
    pub forbid_training_free: bool,
    /// Nothing that may be published.
    pub forbid_publication: bool,
    /// Zero data retention only.
    pub enforce_zdr: bool,
    /// Nothing that is kept for more days than this.
    pub max_retention_days: Option<u32>,
    /// Only where every region of the endpoint is one of these.
    pub regions: Option<BTreeSet<String>>,
    /// None of these providers.
    pub block: BTreeSet<ProviderPattern>,
    /// Only providers that each of these lists has. Lists are kept apart, since a provider and its
    /// variant have no exact intersection as a list of names.
    pub allow: BTreeSet<BTreeSet<ProviderPattern>>,
    /// None of these models.
    pub block_models: BTreeSet<ModelPattern>,
    /// Only models that each of these lists has.
    pub allow_models: BTreeSet<BTreeSet<ModelPattern>>,
    /// The most that it may cost.
    pub max_price: PriceCaps,
}

impl Restriction {
    /// Returns the restrictions of both: commutative, associative, idempotent, and never wider than
    /// either.
    pub fn meet(&self, other: &Self) -> Self {
        Self {
            forbid_training_paid: self.forbid_training_paid || other.forbid_training_paid,
            forbid_training_free: self.forbid_training_free || other.forbid_training_free,
            forbid_publication: self.forbid_publication || other.forbid_publication,
            enforce_zdr: self.enforce_zdr || other.enforce_zdr,
            max_retention_days: self
                .max_retention_days
                .into_iter()
                .chain(other.max_retention_days)
                .min(),
            regions: match (&self.regions, &other.regions) {
                (Some(a), Some(b)) => Some(a & b),
                (one, None) | (None, one) => one.clone(),
            },
            block: &self.block | &other.block,
            allow: &self.allow | &other.allow,
            block_models: &self.block_models | &other.block_models,
            allow_models: &self.allow_models | &other.allow_models,
            max_price: self.max_price.meet(other.max_price),
        }
    }
}
