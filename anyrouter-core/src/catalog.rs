//! Providers with their data terms, models, and endpoints (a model at a provider): data, immutable
//! once read, versioned.
//!
//! A catalog is made from [`Document`]s, in TOML or JSON: the built-in one, then the operator's
//! own, which changes it member by member. What no document states is unknown, and stays so:
//! nothing here has a default that speaks well of a provider (P03).
//!
//! ```
//! use anyrouter_core::catalog::{Catalog, Document};
//!
//! let document = Document::from_toml(r#"
//!     [[provider]]
//!     slug = "acme"
//!     protocol = "openai_chat"
//!     base_url = "https://api.acme.example/v1"
//!     [provider.terms]
//!     trains_on_paid = false
//!
//!     [[model]]
//!     id = "acme/small"
//!     [[model.endpoint]]
//!     provider = "acme"
//!     price = { prompt = "0.15", completion = "0.60" }
//! "#)?;
//! let catalog = Catalog::from_documents(&[document])?;
//! let endpoint = &catalog.endpoints()[0];
//! assert_eq!(endpoint.id.as_str(), "acme/acme-small");
//! assert!(endpoint.terms.trains_on_free.is_none(), "not stated is unknown");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "builtin")]
mod builtin;
mod dialect;
mod document;
mod faults;
mod names;
mod price;
mod protocol;
mod resolve;
mod terms;

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use serde::Serialize;

pub use self::{
    dialect::{
        Dialect, ForcedTool, OutputLimit, ReasoningBack, Reasons, Sampling, ThinkingForm,
        ToolIdForm,
    },
    document::{
        CatalogError, Document, EndpointEntry, KeySource, ModelEntry, Price, PriceEntry,
        ProviderEntry, SourceEntry, TermsEntry, VirtualEntry,
    },
    faults::{FailureClass, FaultFacts, FaultRow, FaultTable},
    names::{ModelName, NamedProvider, Variant, normalise},
    price::{PriceError, Prices, Usd},
    protocol::{Protocol, ProtocolName},
    terms::{Fact, Terms, Traffic, Zdr},
};
use crate::ids::{EndpointId, ModelId, ProviderSlug};

#[cfg(feature = "builtin")]
pub use self::builtin::builtin;

/// What a provider's credential is, as its terms see it: it decides which of them speak of the
/// traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The terms for paid use.
    Paid,
    /// The terms for free use.
    Free,
    /// Not known which: both rules apply.
    Unknown,
}

/// Where a provider answers in one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Address {
    /// The protocol spoken there.
    pub protocol: Protocol,
    /// The base, to which the protocol's path is appended; without a trailing slash.
    pub base_url: Arc<str>,
    /// It is spoken to in HTTP/2.
    pub http2: bool,
}

/// Who runs endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Provider {
    /// The name in every rule and record.
    pub slug: ProviderSlug,
    /// The name shown to people.
    pub name: Arc<str>,
    /// What the operator's credential is.
    pub tier: Tier,
    /// What it does with data. An endpoint may replace single facts.
    pub terms: Terms,
    /// Where it answers, by protocol, in order of preference.
    pub addresses: Vec<Address>,
    /// The environment variables that usually hold its key; the first that is set counts, unless
    /// all are needed.
    pub env: Vec<String>,
    /// All of `env` are needed together.
    pub env_all: bool,
    /// It understands `stream_options.include_usage`.
    pub stream_usage: bool,
}

/// What can be asked for by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// `author/slug`.
    pub id: ModelId,
    /// The name shown to people.
    pub name: Arc<str>,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// When it was published, in seconds since 1970, where the catalog says.
    pub created: Option<u64>,
    /// What it is, where the catalog says.
    pub description: Option<String>,
    /// What it is for, as `chat`.
    pub category: Arc<str>,
    /// Its endpoints, as a range of [`Catalog::endpoints`].
    pub endpoints: Range<usize>,
}

/// A model at a provider: what a request can be sent to, once the policy has made it eligible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// `provider/author-slug`.
    pub id: EndpointId,
    /// Its place in [`Catalog::endpoints`].
    #[serde(skip)]
    pub index: usize,
    /// Its provider, as a place in [`Catalog::providers`].
    #[serde(skip)]
    pub provider_index: usize,
    /// The provider's slug.
    pub provider: ProviderSlug,
    /// The provider's display name.
    pub provider_name: Arc<str>,
    /// The provider's slug, with the variant where it is one, as `deepinfra/turbo`.
    pub tag: Arc<str>,
    /// Every name that a pattern may use for its provider, as names are compared: slug and display
    /// name, each with its base, and the variant.
    #[serde(skip)]
    pub(crate) provider_names: BTreeSet<String>,
    /// Its model, as a place in [`Catalog::models`].
    #[serde(skip)]
    pub model_index: usize,
    /// The model's id.
    pub model: ModelId,
    /// What the provider calls the model.
    pub upstream_model: Arc<str>,
    /// Tokens that prompt and answer may have together, where known.
    pub context: Option<u64>,
    /// Tokens that an answer may have, where known.
    pub max_output: Option<u64>,
    /// What it costs, where known.
    pub prices: Prices,
    /// Lower comes first.
    pub priority: u32,
    /// What it can do, where known: `tools`, `vision`, `structured_output`, `reasoning`, ….
    pub capabilities: Option<Vec<String>>,
    /// The request members that it takes, where stated.
    pub parameters: Option<Vec<String>>,
    /// How the weights are stored, as `fp8`, where known.
    pub quantization: Option<String>,
    /// The facts that hold for its traffic: the provider's, but where it states its own.
    pub terms: Terms,
    /// The credential's tier.
    pub tier: Tier,
    /// Where it answers, by protocol, in order of preference; never empty.
    pub addresses: Vec<Address>,
    /// It understands `stream_options.include_usage`.
    pub stream_usage: bool,
    /// Where price and limits come from, if the catalog says.
    pub source: Option<Arc<str>>,
    /// The dialects of the protocols in which it answers, as [`addresses`](Self::addresses).
    #[serde(skip)]
    pub dialects: Vec<Arc<Dialect>>,
}

impl Endpoint {
    /// The facts about what it takes in `protocol`.
    pub fn dialect(&self, protocol: Protocol) -> Arc<Dialect> {
        let at = self.addresses.iter().position(|a| a.protocol == protocol);
        at.and_then(|at| self.dialects.get(at))
            .cloned()
            .unwrap_or_default()
    }

    /// The address to which a request that came in as `inbound` goes: the one of the same protocol
    /// if the provider has it, else the provider's first.
    pub fn address(&self, inbound: Protocol) -> Option<&Address> {
        self.addresses
            .iter()
            .find(|a| a.protocol == inbound)
            .or(self.addresses.first())
    }

    /// Which of the terms speak of a request sent here.
    pub fn traffic(&self) -> Traffic {
        Traffic::of(self.tier, &self.prices)
    }

    /// Whether it is known to do `capability`; `None` where its capabilities are not known.
    pub fn can(&self, capability: &str) -> Option<bool> {
        Some(self.capabilities.as_ref()?.iter().any(|c| c == capability))
    }
}

/// Names that stand for a list of models, as `anyrouter/auto`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VirtualModel {
    /// The name.
    pub id: ModelId,
    /// What it stands for, in order; empty: all models.
    pub models: Vec<ModelId>,
    /// Only endpoints that cost nothing.
    pub free: bool,
}

/// All that is known of providers and models, at one version.
#[derive(Clone, Debug)]
pub struct Catalog {
    version: Arc<str>,
    providers: Vec<Provider>,
    models: Vec<Model>,
    endpoints: Vec<Endpoint>,
    virtuals: Vec<VirtualModel>,
    faults: Arc<FaultTable>,
    names: HashMap<String, usize, foldhash::fast::FixedState>,
    /// The same names, as spellings are compared.
    spellings: HashMap<String, usize, foldhash::fast::FixedState>,
}

impl Catalog {
    /// Reads documents, each changing what the ones before it say.
    pub fn from_documents(documents: &[Document]) -> Result<Self, CatalogError> {
        resolve::resolve(documents)
    }

    /// A fingerprint of everything in it: 16 hexadecimal digits of SHA-256.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Every provider.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The provider with this slug.
    pub fn provider(&self, slug: &str) -> Option<&Provider> {
        self.providers.iter().find(|p| p.slug.as_str() == slug)
    }

    /// Every model.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Every endpoint; those of one model stand together.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The endpoints of one model.
    pub fn endpoints_of(&self, model: &Model) -> &[Endpoint] {
        self.endpoints
            .get(model.endpoints.clone())
            .unwrap_or_default()
    }

    /// The endpoint with this id.
    pub fn endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| e.id.as_str() == id)
    }

    /// The names that stand for lists of models.
    pub fn virtual_models(&self) -> &[VirtualModel] {
        &self.virtuals
    }

    /// The meaning of providers' errors.
    pub fn faults(&self) -> &Arc<FaultTable> {
        &self.faults
    }
}
