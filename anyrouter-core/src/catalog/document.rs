//! Catalog documents: the members of `[[provider]]` and `[[model]]` in TOML, or the same in JSON.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer};

use super::{Dialect, Fact, FaultRow, Protocol, Terms, Tier, Usd, Zdr, price::PriceError};

/// One document. Every member is optional; a missing member is unknown, or keeps the value of an
/// earlier document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Document {
    /// Providers.
    #[serde(default)]
    pub provider: Vec<ProviderEntry>,
    /// Models.
    #[serde(default)]
    pub model: Vec<ModelEntry>,
    /// Names that stand for lists of models.
    #[serde(default, rename = "virtual")]
    pub virtuals: Vec<VirtualEntry>,
    /// Classes of providers' errors; these rows come before the built-in ones.
    #[serde(default)]
    pub fault: Vec<FaultRow>,
    /// Pages that state facts, by a short name.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceEntry>,
}

/// A page and the day on which it was checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Its address.
    pub url: String,
    /// The day, `YYYY-MM-DD`.
    pub checked: Option<String>,
}

/// A provider in a document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderEntry {
    /// Name used in rules and records.
    pub slug: String,
    /// Display name; default: the slug.
    pub name: Option<String>,
    /// The protocol at `base_url`.
    pub protocol: Option<Protocol>,
    /// Protocols of the provider in order of preference, if there are several.
    pub protocols: Option<Vec<Protocol>>,
    /// Base URL; the protocol's path is appended.
    pub base_url: Option<String>,
    /// Base URL of each protocol, if they differ.
    pub base_urls: Option<BTreeMap<Protocol, String>>,
    /// Location of the operator's key. The core does not read it.
    pub api_key: Option<KeySource>,
    /// The environment variables that usually hold the key.
    pub env: Option<Vec<String>>,
    /// True if all variables in `env` are needed.
    pub env_all: Option<bool>,
    /// Tier of the operator's credential.
    pub tier: Option<Tier>,
    /// Existence of a free tier (`yes`, `no`, `opt_in`, `by_model`, `not_found`). With `yes`, an
    /// unstated `tier` is unknown.
    pub free_tier: Option<String>,
    /// True if it supports `stream_options.include_usage`; default: true.
    pub stream_usage: Option<bool>,
    /// True if requests share one HTTP/2 connection; default: each uses a persistent HTTP/1.1
    /// connection of its own.
    pub http2: Option<bool>,
    /// Its data terms.
    #[serde(default)]
    pub terms: TermsEntry,
    /// Dialect of its endpoints; each fact replaces the built-in one.
    #[serde(default)]
    pub dialect: Dialect,
}

impl ProviderEntry {
    /// Returns the base URL for one protocol, if this entry has one.
    pub(super) fn base_url_of(&self, protocol: Protocol) -> Option<&str> {
        let own = self.base_urls.as_ref().and_then(|u| u.get(&protocol));
        own.or(self.base_url.as_ref()).map(String::as_str)
    }
}

/// Location of a key.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeySource {
    /// An environment variable.
    Env(String),
    /// A file; surrounding white space is ignored.
    File(PathBuf),
}

/// Data terms in a document.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TermsEntry {
    /// True if the provider may train on paid traffic.
    pub trains_on_paid: Option<bool>,
    /// True if the provider may train on free traffic.
    pub trains_on_free: Option<bool>,
    /// True if the provider may publish free traffic.
    pub publishes_free: Option<bool>,
    /// Days for which the provider keeps requests and answers.
    pub retention_days: Option<u32>,
    /// `true`, `false`, or `default`, `on_request`, `no`.
    #[serde(default, deserialize_with = "zdr")]
    pub zdr: Option<Zdr>,
    /// Regions in which the provider processes data.
    pub regions: Option<Vec<String>>,
    /// Replaces the facts: the operator states that the data stays on their own machines.
    pub self_hosted: Option<bool>,
    /// Page that states the facts.
    pub source: Option<String>,
    /// Day on which the page was checked.
    pub checked: Option<String>,
    /// Pages of single facts, as names in the document's `sources`.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
}

impl TermsEntry {
    /// Returns true if nothing is stated.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the facts, each with its source, and those that follow from them.
    pub(crate) fn facts(&self, pages: &BTreeMap<String, SourceEntry>) -> Terms {
        fn fact<T>(
            of: &TermsEntry,
            pages: &BTreeMap<String, SourceEntry>,
            name: &str,
            value: Option<T>,
        ) -> Option<Fact<T>> {
            let page = of.sources.get(name).and_then(|p| pages.get(p));
            let source = page.map(|p| p.url.as_str()).or(of.source.as_deref());
            let checked = page.map_or(of.checked.as_deref(), |p| p.checked.as_deref());
            Some(Fact {
                value: value?,
                because: None,
                source: source.map(Into::into),
                checked: checked.map(Into::into),
            })
        }
        let mut terms = Terms {
            trains_on_paid: fact(self, pages, "trains_on_paid", self.trains_on_paid),
            trains_on_free: fact(self, pages, "trains_on_free", self.trains_on_free),
            publishes_free: fact(self, pages, "publishes_free", self.publishes_free),
            retention_days: fact(self, pages, "retention_days", self.retention_days),
            zdr: fact(self, pages, "zdr", self.zdr),
            regions: fact(self, pages, "regions", self.regions.clone()),
        };
        if self.self_hosted == Some(true) {
            fn hosted<T>(of: &TermsEntry, value: T) -> Fact<T> {
                let (source, checked) = (
                    of.source.as_deref().map(Into::into),
                    of.checked.as_deref().map(Into::into),
                );
                Fact {
                    value,
                    because: Some("self_hosted = true".into()),
                    source,
                    checked,
                }
            }
            terms
                .trains_on_paid
                .get_or_insert_with(|| hosted(self, false));
            terms
                .trains_on_free
                .get_or_insert_with(|| hosted(self, false));
            terms
                .publishes_free
                .get_or_insert_with(|| hosted(self, false));
            terms.retention_days.get_or_insert_with(|| hosted(self, 0));
            terms.zdr.get_or_insert_with(|| hosted(self, Zdr::Default));
        }
        terms.completed()
    }
}

fn zdr<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zdr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "`true`, `false`, \"default\", \"on_request\" or \"no\""
    )]
    enum Written {
        Flag(bool),
        Word(Zdr),
    }
    Ok(
        Option::<Written>::deserialize(deserializer)?.map(|w| match w {
            Written::Flag(true) => Zdr::Default,
            Written::Flag(false) => Zdr::No,
            Written::Word(zdr) => zdr,
        }),
    )
}

/// A model in a document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelEntry {
    /// `author/slug`.
    pub id: String,
    /// Display name; default: the id's slug.
    pub name: Option<String>,
    /// Other names of it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Publication time in seconds since 1970.
    pub created: Option<u64>,
    /// Description of the model.
    pub description: Option<String>,
    /// Purpose of the model; default: `chat`.
    pub category: Option<String>,
    /// Endpoints of the model.
    #[serde(default)]
    pub endpoint: Vec<EndpointEntry>,
}

/// An endpoint in a document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EndpointEntry {
    /// The provider's slug; `slug/variant` for a variant, as `deepinfra/turbo`.
    pub provider: String,
    /// The provider's name for the model; default: the id's slug.
    pub upstream_model: Option<String>,
    /// Maximum number of tokens of prompt and answer together.
    pub context: Option<u64>,
    /// Maximum number of tokens of an answer.
    pub max_output: Option<u64>,
    /// Prices.
    #[serde(default)]
    pub price: PriceEntry,
    /// Priority; endpoints with lower values come first; default: 100.
    pub priority: Option<u32>,
    /// Capabilities.
    pub capabilities: Option<Vec<String>>,
    /// Supported members of a request.
    pub parameters: Option<Vec<String>>,
    /// Quantization of the weights.
    pub quantization: Option<String>,
    /// Facts of its own, in place of the provider's.
    #[serde(default)]
    pub terms: TermsEntry,
    /// A protocol of its own.
    pub protocol: Option<Protocol>,
    /// An address of its own.
    pub base_url: Option<String>,
    /// Dialect; each fact replaces the provider's.
    #[serde(default)]
    pub dialect: Dialect,
    /// Source of the prices and limits.
    pub source: Option<String>,
}

/// Prices in a document, in USD: per million tokens, per request, per image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PriceEntry {
    /// A million tokens of prompt.
    pub prompt: Option<Price>,
    /// A million tokens of answer.
    pub completion: Option<Price>,
    /// A million tokens read from the provider's cache.
    pub cache_read: Option<Price>,
    /// A million tokens written to the provider's cache.
    pub cache_write: Option<Price>,
    /// A million tokens written to the provider's cache for an hour; default: `cache_write`.
    pub cache_write_1h: Option<Price>,
    /// A request.
    pub request: Option<Price>,
    /// An image.
    pub image: Option<Price>,
    /// A million tokens of audio.
    pub audio: Option<Price>,
}

/// A price in a document: `"0.15"` or `0.15`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price(pub(super) String);

impl Price {
    /// Reads a price per million tokens as the price of one token.
    pub fn per_token(&self) -> Result<Usd, PriceError> {
        Usd::per_token(&self.0)
    }

    /// Reads an amount.
    pub fn amount(&self) -> Result<Usd, PriceError> {
        Usd::parse(&self.0)
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a price in USD, as \"0.15\"")]
        enum Written {
            Whole(u64),
            Number(f64),
            Text(String),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Whole(n) => n.to_string(),
            Written::Number(n) => n.to_string(),
            Written::Text(t) => t,
        }))
    }
}

/// A virtual model in a document: a name that stands for a list of models.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VirtualEntry {
    /// The name, as `anyrouter/auto`.
    pub id: String,
    /// Models it stands for, in order; empty means all models.
    #[serde(default)]
    pub models: Vec<String>,
    /// True if only free endpoints are used.
    #[serde(default)]
    pub free: bool,
}

/// Error of a document that is not a valid catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// It is not TOML, or a member is unknown or of the wrong type.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// It is not JSON, or a member is unknown or of the wrong type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is well-formed, but inconsistent.
    #[error("{problem}: {path}")]
    Invalid {
        /// Path of the member, such as `model[0].endpoint[1].provider`.
        path: String,
        /// Fault and its correction.
        problem: String,
    },
}

impl Document {
    /// Reads TOML.
    pub fn from_toml(text: &str) -> Result<Self, CatalogError> {
        Ok(toml::from_str(text)?)
    }

    /// Reads JSON.
    pub fn from_json(text: &str) -> Result<Self, CatalogError> {
        Ok(serde_json::from_str(text)?)
    }
}
