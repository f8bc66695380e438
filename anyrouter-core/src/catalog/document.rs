//! A catalog as it is written: the members of `[[provider]]` and `[[model]]` in TOML, or the same
//! in JSON.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer};

use super::{Dialect, Fact, FaultRow, ProtocolName, Terms, Tier, Usd, Zdr, price::PriceError};

/// One document. Every member may be left out; what is left out is unknown, or stays as an earlier
/// document has it.
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
    /// The meaning of providers' errors; these rows come before the built-in ones.
    #[serde(default)]
    pub fault: Vec<FaultRow>,
    /// The pages that facts were read on, by a short name, so that a page is written once.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceEntry>,
}

/// A page and the day on which it was read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Its address.
    pub url: String,
    /// The day, `YYYY-MM-DD`.
    pub checked: Option<String>,
}

/// A provider as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderEntry {
    /// The name in every rule and record.
    pub slug: String,
    /// The name shown to people; left out: the slug.
    pub name: Option<String>,
    /// The protocol at `base_url`.
    pub protocol: Option<ProtocolName>,
    /// The protocols that it speaks, in order of preference, where they are several.
    pub protocols: Option<Vec<ProtocolName>>,
    /// The address to which the protocol's path is appended.
    pub base_url: Option<String>,
    /// The address of each protocol, where they differ.
    pub base_urls: Option<BTreeMap<ProtocolName, String>>,
    /// Where the operator keeps the key. The core does not read it.
    pub api_key: Option<KeySource>,
    /// The environment variables that usually hold the key.
    pub env: Option<Vec<String>>,
    /// All of `env` are needed together.
    pub env_all: Option<bool>,
    /// What the operator's credential is.
    pub tier: Option<Tier>,
    /// There is a free tier (`yes`, `no`, `opt_in`, `by_model`, `not_found`): `yes` leaves a tier
    /// that is not stated unknown.
    pub free_tier: Option<String>,
    /// It understands `stream_options.include_usage`; left out: it does.
    pub stream_usage: Option<bool>,
    /// Its requests share one HTTP/2 connection; left out: each has an HTTP/1.1 connection of its
    /// own, which is kept.
    pub http2: Option<bool>,
    /// Its data terms.
    #[serde(default)]
    pub terms: TermsEntry,
    /// Facts about what its endpoints take; each replaces the built-in one.
    #[serde(default)]
    pub dialect: Dialect,
}

impl ProviderEntry {
    /// The address of one protocol, where this entry gives one.
    pub(super) fn base_url_of(&self, protocol: ProtocolName) -> Option<&str> {
        let own = self.base_urls.as_ref().and_then(|u| u.get(&protocol));
        own.or(self.base_url.as_ref()).map(String::as_str)
    }
}

/// Where a key is kept.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeySource {
    /// In this environment variable.
    Env(String),
    /// In this file, less white space at its ends.
    File(PathBuf),
}

/// Data terms as they are written.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TermsEntry {
    /// It may train on paid traffic.
    pub trains_on_paid: Option<bool>,
    /// It may train on free traffic.
    pub trains_on_free: Option<bool>,
    /// It may publish free traffic.
    pub publishes_free: Option<bool>,
    /// Days for which it keeps what is sent.
    pub retention_days: Option<u32>,
    /// `true`, `false`, or `default`, `on_request`, `no`.
    #[serde(default, deserialize_with = "zdr")]
    pub zdr: Option<Zdr>,
    /// Where it processes.
    pub regions: Option<Vec<String>>,
    /// In place of the facts: the operator's statement that the data stays with them.
    pub self_hosted: Option<bool>,
    /// The page that says so.
    pub source: Option<String>,
    /// The day on which it was read.
    pub checked: Option<String>,
    /// The page of single facts, as names in the document's `sources`.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
}

impl TermsEntry {
    /// Nothing is stated.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The facts, each with its source, and what follows from them.
    pub(super) fn facts(&self, pages: &BTreeMap<String, SourceEntry>) -> Terms {
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

/// A model as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelEntry {
    /// `author/slug`.
    pub id: String,
    /// The name shown to people; left out: the id's slug.
    pub name: Option<String>,
    /// Other names of it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// When it was published, in seconds since 1970.
    pub created: Option<u64>,
    /// What it is.
    pub description: Option<String>,
    /// What it is for; left out: `chat`.
    pub category: Option<String>,
    /// Where it is served.
    #[serde(default)]
    pub endpoint: Vec<EndpointEntry>,
}

/// An endpoint as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EndpointEntry {
    /// The provider's slug; `slug/variant` for a variant, as `deepinfra/turbo`.
    pub provider: String,
    /// What the provider calls the model; left out: the id's slug.
    pub upstream_model: Option<String>,
    /// Tokens that prompt and answer may have together.
    pub context: Option<u64>,
    /// Tokens that an answer may have.
    pub max_output: Option<u64>,
    /// What it costs.
    #[serde(default)]
    pub price: PriceEntry,
    /// Lower comes first; left out: 100.
    pub priority: Option<u32>,
    /// What it can do.
    pub capabilities: Option<Vec<String>>,
    /// The request members that it takes.
    pub parameters: Option<Vec<String>>,
    /// How the weights are stored.
    pub quantization: Option<String>,
    /// Facts of its own, in place of the provider's.
    #[serde(default)]
    pub terms: TermsEntry,
    /// A protocol of its own.
    pub protocol: Option<ProtocolName>,
    /// An address of its own.
    pub base_url: Option<String>,
    /// Facts about what it takes; each replaces the provider's.
    #[serde(default)]
    pub dialect: Dialect,
    /// Where price and limits come from.
    pub source: Option<String>,
}

/// Prices as they are written, in USD: per million tokens, per request, per image.
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
    /// A million tokens written to the provider's cache for an hour; left out: as `cache_write`.
    pub cache_write_1h: Option<Price>,
    /// A request.
    pub request: Option<Price>,
    /// An image.
    pub image: Option<Price>,
    /// A million tokens of audio.
    pub audio: Option<Price>,
}

/// A price as it is written: `"0.15"` or `0.15`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price(pub(super) String);

impl Price {
    /// Per million tokens, as the price of one.
    pub fn per_token(&self) -> Result<Usd, PriceError> {
        Usd::per_token(&self.0)
    }

    /// As an amount.
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

/// A name that stands for a list of models, as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VirtualEntry {
    /// The name, as `anyrouter/auto`.
    pub id: String,
    /// What it stands for, in order; empty: all models.
    #[serde(default)]
    pub models: Vec<String>,
    /// Only endpoints that cost nothing.
    #[serde(default)]
    pub free: bool,
}

/// A document that cannot be a catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// It is not TOML, or a member is unknown or of the wrong type.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// It is not JSON, or a member is unknown or of the wrong type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It reads, but does not hold together.
    #[error("{problem}: {path}")]
    Invalid {
        /// Where, as `model[0].endpoint[1].provider`.
        path: String,
        /// What is wrong, and what would be right.
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
