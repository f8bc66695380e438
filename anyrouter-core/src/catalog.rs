//! The catalog: providers with their data terms, models, and endpoints (a model at a provider). It
//! is versioned data, immutable once read.
//!
//! A catalog is built from [`Document`]s in TOML or JSON: the built-in one, then the operator's
//! own, which overrides single members. A fact that no document states is unknown; no default
//! favours a provider (P03).
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
    protocol::Protocol,
    terms::{Fact, Terms, Traffic, Zdr},
};
use crate::ids::{EndpointId, ModelId, ProviderSlug};

#[cfg(feature = "builtin")]
pub use self::builtin::builtin;

/// Tier of a provider's credential. It decides which of the provider's terms apply to the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The terms for paid use.
    Paid,
    /// The terms for free use.
    Free,
    /// Unknown: the terms for paid and for free use both apply.
    Unknown,
}

/// A provider's address for one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Address {
    /// The protocol spoken there.
    pub protocol: Protocol,
    /// Base URL without a trailing slash; the protocol's path is appended.
    pub base_url: Arc<str>,
    /// True if requests to it use HTTP/2.
    pub http2: bool,
}

/// A company or server that runs endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Provider {
    /// Name used in rules and records.
    pub slug: ProviderSlug,
    /// The name shown to people.
    pub name: Arc<str>,
    /// Tier of the operator's credential.
    pub tier: Tier,
    /// Data terms. An endpoint may override single facts.
    pub terms: Terms,
    /// Addresses by protocol, in order of preference.
    pub addresses: Vec<Address>,
    /// The environment variables that usually hold its key; the first that is set counts, unless
    /// all are needed.
    pub env: Vec<String>,
    /// True if all variables in `env` are needed.
    pub env_all: bool,
    /// True if it supports `stream_options.include_usage`.
    pub stream_usage: bool,
}

/// A model that requests can name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// `author/slug`.
    pub id: ModelId,
    /// The name shown to people.
    pub name: Arc<str>,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// Publication time in seconds since 1970, if known.
    pub created: Option<u64>,
    /// Description of the model, if known.
    pub description: Option<String>,
    /// Purpose of the model, such as `chat`.
    pub category: Arc<str>,
    /// Its endpoints, as a range of [`Catalog::endpoints`].
    pub endpoints: Range<usize>,
}

/// A model at a provider. A request can be sent to it only if the policy makes it eligible.
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
    /// Normalised names that a pattern may use for the provider: slug and display name, each with
    /// its base, and the variant.
    #[serde(skip)]
    pub(crate) provider_names: BTreeSet<String>,
    /// Its model, as a place in [`Catalog::models`].
    #[serde(skip)]
    pub model_index: usize,
    /// The model's id.
    pub model: ModelId,
    /// The provider's name for the model.
    pub upstream_model: Arc<str>,
    /// Maximum number of tokens of prompt and answer together, if known.
    pub context: Option<u64>,
    /// Maximum number of tokens of an answer, if known.
    pub max_output: Option<u64>,
    /// Prices, as far as known.
    pub prices: Prices,
    /// Priority; endpoints with lower values come first.
    pub priority: u32,
    /// Capabilities, if known: `tools`, `vision`, `structured_output`, `reasoning`, ….
    pub capabilities: Option<Vec<String>>,
    /// Supported members of a request, if stated.
    pub parameters: Option<Vec<String>>,
    /// Quantization of the weights, such as `fp8`, if known.
    pub quantization: Option<String>,
    /// Data terms: the provider's, overridden by the endpoint's own.
    pub terms: Terms,
    /// The credential's tier.
    pub tier: Tier,
    /// Addresses by protocol, in order of preference; never empty.
    pub addresses: Vec<Address>,
    /// True if it supports `stream_options.include_usage`.
    pub stream_usage: bool,
    /// True if it may get a proof of reasoning that does not say who made it: its provider is the
    /// model's author, or the model has no endpoint of its author.
    pub reads_raw_proofs: bool,
    /// Source of the prices and limits, if stated.
    pub source: Option<Arc<str>>,
    /// Dialects of its protocols, in the order of [`addresses`](Self::addresses).
    #[serde(skip)]
    pub dialects: Vec<Arc<Dialect>>,
}

impl Endpoint {
    /// Returns the dialect of the endpoint in `protocol`.
    pub fn dialect(&self, protocol: Protocol) -> Arc<Dialect> {
        let at = self.addresses.iter().position(|a| a.protocol == protocol);
        at.and_then(|at| self.dialects.get(at))
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the address for a request in the protocol `inbound`: the provider's address of the
    /// same protocol if there is one, otherwise its first address.
    pub fn address(&self, inbound: Protocol) -> Option<&Address> {
        self.addresses
            .iter()
            .find(|a| a.protocol == inbound)
            .or(self.addresses.first())
    }

    /// Returns which of the terms apply to a request sent to this endpoint.
    pub fn traffic(&self) -> Traffic {
        Traffic::of(self.tier, &self.prices)
    }

    /// Returns true if it has `capability`; `None` if its capabilities are unknown.
    pub fn can(&self, capability: &str) -> Option<bool> {
        Some(self.capabilities.as_ref()?.iter().any(|c| c == capability))
    }
}

/// A name that stands for a list of models, such as `anyrouter/auto`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VirtualModel {
    /// The name.
    pub id: ModelId,
    /// Models it stands for, in order; empty means all models.
    pub models: Vec<ModelId>,
    /// True if only free endpoints are used.
    pub free: bool,
}

/// Providers, models and endpoints at one version.
#[derive(Clone, Debug)]
pub struct Catalog {
    version: Arc<str>,
    providers: Vec<Provider>,
    models: Vec<Model>,
    endpoints: Vec<Endpoint>,
    virtuals: Vec<VirtualModel>,
    faults: Arc<FaultTable>,
    names: HashMap<String, usize, foldhash::fast::FixedState>,
    /// The same names in normalised spelling.
    spellings: HashMap<String, usize, foldhash::fast::FixedState>,
}

impl Catalog {
    /// Builds a catalog from documents; each overrides the ones before it.
    pub fn from_documents(documents: &[Document]) -> Result<Self, CatalogError> {
        resolve::resolve(documents)
    }

    /// Returns the fingerprint of the whole catalog: 16 hexadecimal digits of SHA-256.
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

    /// Returns all endpoints; those of one model are adjacent.
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
