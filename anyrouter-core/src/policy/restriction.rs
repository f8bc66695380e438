//! Restrictions of layers, and their combination.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use crate::catalog::{Endpoint, Model, Usd, normalise};

/// Origin of a rule, ordered from the caller outward.
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
    /// The endpoint's own limits, which no setting can change.
    Endpoint,
}

/// A provider's name in a rule. Names are compared by letters and digits only, so that `Z.AI`
/// matches `z-ai`. A name without `/` matches all variants of the provider; a name with `/` matches
/// only that variant.
#[derive(Clone, Debug)]
pub struct ProviderPattern {
    written: String,
    key: String,
}

impl ProviderPattern {
    /// Creates a pattern from a slug or a display name in any spelling.
    pub fn new(written: &str) -> Self {
        Self {
            written: written.to_owned(),
            key: normalise(written).trim_matches('/').to_owned(),
        }
    }

    /// Returns the name as written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Returns the normalised name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns true if it matches the endpoint's provider.
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

/// A model's id, alias or bare name, in any letter case and with any variant; or the beginning of
/// an id and a star, such as `acme/*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ModelPattern(String);

impl ModelPattern {
    /// Creates a pattern from an id, an alias, a bare name, or a prefix of an id followed by `*`.
    pub fn new(written: &str) -> Self {
        Self(written.trim().to_ascii_lowercase())
    }

    /// Returns the normalised pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if it matches this model.
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
        // Any variant matches: `lab/model:free` counts as `lab/model`.
        is(&self.0) || self.0.rsplit_once(':').is_some_and(|(base, _)| is(base))
    }
}

/// Maximum prices. An unknown price is above every cap.
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
    /// True if prompt and answer must be free (a model's `:free` variant).
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

    /// Returns the name of the first cap that the endpoint exceeds, and the price if known.
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
    /// Forbids endpoints that may train on paid traffic.
    pub forbid_training_paid: bool,
    /// Forbids endpoints that may train on free traffic.
    pub forbid_training_free: bool,
    /// Forbids endpoints that may publish traffic.
    pub forbid_publication: bool,
    /// Requires zero data retention.
    pub enforce_zdr: bool,
    /// Maximum retention, in days.
    pub max_retention_days: Option<u32>,
    /// Allowed regions; every region of an endpoint must be one of these.
    pub regions: Option<BTreeSet<String>>,
    /// Blocked providers.
    pub block: BTreeSet<ProviderPattern>,
    /// Lists of allowed providers; a provider must be in each of them. The lists are not merged,
    /// since the intersection of a provider and its variant cannot be written as a list of names.
    pub allow: BTreeSet<BTreeSet<ProviderPattern>>,
    /// Blocked models.
    pub block_models: BTreeSet<ModelPattern>,
    /// Lists of allowed models; a model must be in each of them.
    pub allow_models: BTreeSet<BTreeSet<ModelPattern>>,
    /// Maximum prices.
    pub max_price: PriceCaps,
}

impl Restriction {
    /// Returns the restriction that combines both. The operation is commutative, associative and
    /// idempotent, and its result is never wider than either.
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
