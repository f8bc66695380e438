//! The `provider` object of a request: what restricts becomes the policy's request layer, the rest
//! orders.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::{
    catalog::Price,
    policy::{PriceCaps, ProviderPattern, Restriction},
};

/// The `provider` object as it is sent. A member that is not known is refused: a misspelt wish for
/// privacy must not be ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the contract has them, member by member
#[non_exhaustive]
pub struct ProviderObject {
    pub only: Option<Vec<String>>,
    pub ignore: Option<Vec<String>>,
    pub order: Option<Vec<String>>,
    pub sort: Option<SortEntry>,
    pub allow_fallbacks: Option<bool>,
    pub require_parameters: Option<bool>,
    pub data_collection: Option<DataCollection>,
    pub zdr: Option<bool>,
    pub quantizations: Option<Vec<String>>,
    pub max_price: Option<MaxPrice>,
    pub preferred_max_latency: Option<ThresholdEntry>,
    pub preferred_min_throughput: Option<ThresholdEntry>,
}

/// `allow` or `deny`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DataCollection {
    Allow,
    Deny,
}

/// A word, or a word and a partition.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "price, latency, throughput, exacto, balanced, or {by, partition}"
)]
#[allow(missing_docs)]
pub enum SortEntry {
    Word(Sort),
    By(SortBy),
}

/// `{by, partition}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct SortBy {
    pub by: Sort,
    pub partition: Option<Partition>,
}

/// Whether each model's endpoints are sorted by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Partition {
    Model,
    None,
}

/// What to order by in place of priority and price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sort {
    /// The cheapest first.
    Price,
    /// The first byte soonest.
    Latency,
    /// The most tokens a second.
    Throughput,
    /// Well-formed tool calls first; as by default, as long as that is not measured.
    Exacto,
    /// At random, weighted by the inverse square of the price.
    Balanced,
}

/// Price caps in USD: per million tokens, per request, per image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct MaxPrice {
    pub prompt: Option<Price>,
    pub completion: Option<Price>,
    pub request: Option<Price>,
    pub image: Option<Price>,
    pub audio: Option<Price>,
}

/// A number, which is the median's, or one for each of some percentiles.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "a number or {p50, p75, p90, p99}")]
#[allow(missing_docs)]
pub enum ThresholdEntry {
    Median(f64),
    Percentiles(Thresholds),
}

/// Cut-offs by percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Thresholds {
    pub p50: Option<f64>,
    pub p75: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
}

impl Thresholds {
    /// Each cut-off with its percentile.
    pub fn each(&self) -> impl Iterator<Item = (u8, f64)> {
        [
            (50, self.p50),
            (75, self.p75),
            (90, self.p90),
            (99, self.p99),
        ]
        .into_iter()
        .filter_map(|(p, t)| Some((p, t?)))
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }
}

impl From<ThresholdEntry> for Thresholds {
    fn from(entry: ThresholdEntry) -> Self {
        match entry {
            ThresholdEntry::Median(p50) => Self {
                p50: Some(p50),
                ..Self::default()
            },
            ThresholdEntry::Percentiles(all) => all,
        }
    }
}

/// How a caller wants to be served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Preferences {
    /// What the request forbids: the policy's request layer.
    pub restriction: Restriction,
    /// Providers to try first, in this order.
    pub order: Vec<ProviderPattern>,
    /// What to order by.
    pub sort: Option<Sort>,
    /// Endpoints of all models are ordered together.
    pub across_models: bool,
    /// Others may be tried after the first, or after those in `order`.
    pub allow_fallbacks: bool,
    /// Only endpoints known to carry everything that was sent.
    pub require_parameters: bool,
    /// Only these quantizations.
    pub quantizations: Option<Vec<String>>,
    /// Milliseconds to the first byte.
    pub max_latency: Thresholds,
    /// Tokens a second.
    pub min_throughput: Thresholds,
    /// One provider and no other, as a header asks.
    pub pin: Option<ProviderPattern>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            restriction: Restriction::default(),
            order: Vec::new(),
            sort: None,
            across_models: false,
            allow_fallbacks: true,
            require_parameters: false,
            quantizations: None,
            max_latency: Thresholds::default(),
            min_throughput: Thresholds::default(),
            pin: None,
        }
    }
}

impl Preferences {
    /// What a `provider` object means; an error names the member and what is wrong with it.
    pub fn from_object(object: ProviderObject) -> Result<Self, (&'static str, String)> {
        let list = |names: &[String]| {
            names
                .iter()
                .map(|n| ProviderPattern::new(n))
                .collect::<BTreeSet<_>>()
        };
        let deny = object.data_collection == Some(DataCollection::Deny);
        let caps = match &object.max_price {
            None => PriceCaps::default(),
            Some(caps) => {
                let token = |p: &Option<Price>| p.as_ref().map(Price::per_token).transpose();
                let amount = |p: &Option<Price>| p.as_ref().map(Price::amount).transpose();
                let wrong = |name| move |e: crate::catalog::PriceError| (name, e.to_string());
                PriceCaps {
                    prompt: token(&caps.prompt).map_err(wrong("provider.max_price.prompt"))?,
                    completion: token(&caps.completion)
                        .map_err(wrong("provider.max_price.completion"))?,
                    request: amount(&caps.request).map_err(wrong("provider.max_price.request"))?,
                    image: amount(&caps.image).map_err(wrong("provider.max_price.image"))?,
                    audio: token(&caps.audio).map_err(wrong("provider.max_price.audio"))?,
                    free_only: false,
                }
            }
        };
        let (sort, across_models) = match object.sort {
            None => (None, false),
            Some(SortEntry::Word(sort)) => (Some(sort), false),
            Some(SortEntry::By(by)) => (Some(by.by), by.partition == Some(Partition::None)),
        };
        Ok(Self {
            restriction: Restriction {
                forbid_training_paid: deny,
                forbid_training_free: deny,
                forbid_publication: deny,
                enforce_zdr: object.zdr == Some(true),
                block: object.ignore.as_deref().map(list).unwrap_or_default(),
                allow: object.only.as_deref().map(list).into_iter().collect(),
                max_price: caps,
                ..Restriction::default()
            },
            order: object
                .order
                .iter()
                .flatten()
                .map(|n| ProviderPattern::new(n))
                .collect(),
            sort,
            across_models,
            allow_fallbacks: object.allow_fallbacks.unwrap_or(true),
            require_parameters: object.require_parameters.unwrap_or(false),
            quantizations: object.quantizations,
            max_latency: object
                .preferred_max_latency
                .map(Into::into)
                .unwrap_or_default(),
            min_throughput: object
                .preferred_min_throughput
                .map(Into::into)
                .unwrap_or_default(),
            pin: None,
        })
    }
}
