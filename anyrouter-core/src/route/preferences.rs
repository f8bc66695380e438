//! The `provider` object of a request: restrictions for the policy's request layer, and preferences
//! for the order.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::{
    catalog::Price,
    policy::{PriceCaps, ProviderPattern, Restriction},
};

/// The `provider` object as sent. An unknown member is an error, since a misspelt privacy setting
/// must not be ignored.
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

/// Set of endpoints that are sorted together: those of one model, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Partition {
    Model,
    None,
}

/// Measure that orders endpoints before priority and price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sort {
    /// The cheapest first.
    Price,
    /// The shortest time to the first byte first.
    Latency,
    /// The highest throughput first.
    Throughput,
    /// The most reliable tool calls first; not measured yet, so the same as the default order.
    Exacto,
    /// Random order, weighted by the inverse square of the price.
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

/// A cut-off for the median, or cut-offs by percentile.
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
    /// Returns each percentile with its cut-off.
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

    /// Returns true if there is no cut-off.
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

/// Routing preferences of a caller.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Preferences {
    /// Restriction of the request: the policy's request layer.
    pub restriction: Restriction,
    /// Providers to try first, in this order.
    pub order: Vec<ProviderPattern>,
    /// Measure to sort by.
    pub sort: Option<Sort>,
    /// True if the endpoints of all models are ordered together.
    pub across_models: bool,
    /// True if other endpoints may be tried after the first, or after those in `order`.
    pub allow_fallbacks: bool,
    /// True if only endpoints known to support all members of the request are used.
    pub require_parameters: bool,
    /// Allowed quantizations.
    pub quantizations: Option<Vec<String>>,
    /// Cut-offs for the time to the first byte, in milliseconds.
    pub max_latency: Thresholds,
    /// Cut-offs for throughput, in tokens per second.
    pub min_throughput: Thresholds,
    /// The one provider that a header names.
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
    /// Converts a `provider` object; an error holds the member and the fault.
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
