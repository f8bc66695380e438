//! Explanations of excluded endpoints, and the smallest changes that would admit them. This module
//! states each rule as a predicate on one endpoint. The bit sets are built from the same
//! predicates, and a test compares both with a naive third implementation.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Layer, Restriction};
use crate::{
    catalog::{Endpoint, Fact, Model, Protocol, Tier, Traffic, Zdr},
    ids::{EndpointId, ModelId, ProviderSlug},
};

/// Rule that excluded an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// Terms that may permit training on paid traffic.
    TrainingPaid,
    /// Terms that may permit training on free traffic.
    TrainingFree,
    /// Terms that may permit publication.
    Publication,
    /// No zero data retention.
    Zdr,
    /// Retention longer than allowed, or unknown.
    Retention,
    /// Processing outside the allowed regions, or in unknown ones.
    Region,
    /// The provider is blocked.
    ProviderBlocked,
    /// The provider is not among those allowed.
    ProviderNotAllowed,
    /// The model is blocked.
    ModelBlocked,
    /// The model is not among those allowed.
    ModelNotAllowed,
    /// A price that is unknown or above its cap.
    Price,
    /// Context or maximum output too small.
    Context,
    /// An unsupported parameter.
    Parameters,
    /// A quantization that is not requested.
    Quantization,
    /// Latency to the first byte too high.
    Latency,
    /// Throughput too low.
    Throughput,
    /// Another provider is pinned.
    Pinned,
    /// The endpoint is in a cooldown after failures.
    Cooldown,
    /// No credential for the provider.
    NoCredential,
}

impl Rule {
    /// Returns the name used in explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TrainingPaid => "training_paid",
            Self::TrainingFree => "training_free",
            Self::Publication => "publication",
            Self::Zdr => "zdr",
            Self::Retention => "retention",
            Self::Region => "region",
            Self::ProviderBlocked => "provider_blocked",
            Self::ProviderNotAllowed => "provider_not_allowed",
            Self::ModelBlocked => "model_blocked",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::Price => "price",
            Self::Context => "context",
            Self::Parameters => "parameters",
            Self::Quantization => "quantization",
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::Pinned => "pinned",
            Self::Cooldown => "cooldown",
            Self::NoCredential => "no_credential",
        }
    }

    fn is_about_training(self) -> bool {
        matches!(
            self,
            Self::TrainingPaid | Self::TrainingFree | Self::Publication
        )
    }
}

/// One rule of one layer that excludes an endpoint, and the fact that it is based on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// Layer that set it.
    pub layer: Layer,
    /// The fact, such as `trains_on_paid = true` or `zdr = unknown`.
    pub fact: String,
    /// The page that states the fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Day on which the page was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<String>,
    /// Remedy outside the settings of the API, such as `set OPENAI_API_KEY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The change of a setting that removes the reason, if there is one.
    #[serde(skip)]
    pub change: Option<Change>,
    /// Tier of the credential that, if stated, would remove the reason.
    #[serde(skip)]
    pub lifted_by_tier: Option<Tier>,
}

/// A setting to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// Layer of the setting.
    pub layer: Layer,
    /// Name of the setting in that layer.
    pub set: String,
    /// New value.
    pub to: Value,
}

/// Party that must agree to a change, ordered by distance from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// The author of the request.
    Caller,
    /// The manager of the key.
    Key,
    /// The account.
    Account,
    /// The organization.
    Organization,
    /// The operator.
    Operator,
}

/// Changes that together admit an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Relaxation {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The changes, all of them needed.
    pub changes: Vec<Change>,
    /// Party that must agree.
    pub consent: Consent,
}

/// An eligible endpoint and its position in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Position {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its provider.
    pub provider: ProviderSlug,
    /// Its model.
    pub model: ModelId,
    /// Position, counted from 1.
    pub position: usize,
    /// Protocol of the client.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub inbound: Protocol,
    /// Protocol in which the request would be sent.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub outbound: Option<Protocol>,
    /// Criterion that decided the position: `priority`, `price`, `order`, ….
    pub because: &'static str,
}

/// An excluded endpoint and the reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Excluded {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its provider.
    pub provider: ProviderSlug,
    /// Its model.
    pub model: ModelId,
    /// Every rule of every layer that excludes it.
    pub reasons: Vec<Reason>,
}

/// Explanation of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// The requested model.
    pub model: String,
    /// The fingerprint of the layers.
    pub policy: String,
    /// The version of the catalog.
    pub catalog: String,
    /// Eligible endpoints, in order.
    pub eligible: Vec<Position>,
    /// Excluded endpoints.
    pub excluded: Vec<Excluded>,
    /// The smallest changes that would admit excluded endpoints.
    pub relax: Vec<Relaxation>,
    /// Warnings, such as names that match no provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Returns true if paid terms may apply to this traffic and may permit training.
pub(super) fn trains_on_paid(endpoint: &Endpoint, traffic: Traffic) -> bool {
    traffic != Traffic::Free
        && endpoint
            .terms
            .trains_on_paid
            .as_ref()
            .is_none_or(|f| f.value)
}

/// Returns true if free terms may apply to this traffic and may permit training.
pub(super) fn trains_on_free(endpoint: &Endpoint, traffic: Traffic) -> bool {
    traffic != Traffic::Paid
        && endpoint
            .terms
            .trains_on_free
            .as_ref()
            .is_none_or(|f| f.value)
}

/// Returns true if this traffic may be free and may be published. If publication is unknown, a
/// provider that is known not to train on free traffic counts as not publishing it.
pub(super) fn publishes(endpoint: &Endpoint, traffic: Traffic) -> bool {
    let unknown = || {
        endpoint
            .terms
            .trains_on_free
            .as_ref()
            .is_none_or(|f| f.value)
    };
    traffic != Traffic::Paid
        && endpoint
            .terms
            .publishes_free
            .as_ref()
            .map_or_else(unknown, |f| f.value)
}

/// Returns true if retention is unknown or longer than `days`.
pub(super) fn keeps_longer(endpoint: &Endpoint, days: u32) -> bool {
    endpoint
        .terms
        .retention_days
        .as_ref()
        .is_none_or(|f| f.value > days)
}

/// Returns true if the regions are unknown or one of them is not in `regions`.
pub(super) fn outside_regions(endpoint: &Endpoint, regions: &BTreeSet<String>) -> bool {
    match &endpoint.terms.regions {
        Some(Fact { value, .. }) if value.first().is_some_and(|r| r != "global") => {
            value.iter().any(|r| !regions.contains(r))
        }
        _ => true,
    }
}

/// Returns each rule of this layer that excludes this endpoint.
pub(super) fn violations(
    endpoint: &Endpoint,
    model: Option<&Model>,
    layer: Layer,
    r: &Restriction,
) -> Vec<Reason> {
    let terms = &endpoint.terms;
    let traffic = endpoint.traffic();
    let mut out = Vec::new();
    let mut because =
        |rule, fact: String, page: (Option<String>, Option<String>), change: Option<Change>| {
            out.push(Reason {
                rule,
                layer,
                fact,
                source: page.0,
                checked: page.1,
                remedy: None,
                change,
                lifted_by_tier: None,
            });
        };
    let change = |names: (&str, &str), to: Value| {
        let set = match layer {
            Layer::Request => names.0.to_owned(),
            Layer::Instance => format!("privacy.{}", names.1),
            _ => names.1.to_owned(),
        };
        Some(Change { layer, set, to })
    };
    let consent = |name: &str| {
        change(
            ("provider.data_collection", name),
            if layer == Layer::Request {
                json!("allow")
            } else {
                json!(true)
            },
        )
    };

    if r.forbid_training_paid && trains_on_paid(endpoint, traffic) {
        let f = &terms.trains_on_paid;
        because(
            Rule::TrainingPaid,
            stated("trains_on_paid", f),
            page(f),
            consent("allow_training_paid"),
        );
    }
    if r.forbid_training_free && trains_on_free(endpoint, traffic) {
        let f = &terms.trains_on_free;
        because(
            Rule::TrainingFree,
            stated("trains_on_free", f),
            page(f),
            consent("allow_training_free"),
        );
    }
    if r.forbid_publication && publishes(endpoint, traffic) {
        let f = &terms.publishes_free;
        because(
            Rule::Publication,
            stated("publishes_free", f),
            page(f),
            consent("allow_publication"),
        );
    }
    if r.enforce_zdr && terms.zdr.as_ref().is_none_or(|z| z.value != Zdr::Default) {
        because(
            Rule::Zdr,
            stated("zdr", &terms.zdr),
            page(&terms.zdr),
            change(("provider.zdr", "enforce_zdr"), json!(false)),
        );
    }
    if r.max_retention_days
        .is_some_and(|days| keeps_longer(endpoint, days))
    {
        let f = &terms.retention_days;
        let to = f.as_ref().map_or(Value::Null, |f| json!(f.value));
        because(
            Rule::Retention,
            stated("retention_days", f),
            page(f),
            change(("max_retention_days", "max_retention_days"), to),
        );
    }
    if let Some(regions) = r
        .regions
        .as_ref()
        .filter(|regions| outside_regions(endpoint, regions))
    {
        let f = &terms.regions;
        let known = f
            .as_ref()
            .filter(|f| f.value.first().is_some_and(|r| r != "global"));
        let to = known.map_or(Value::Null, |f| {
            json!(regions.iter().chain(&f.value).collect::<BTreeSet<_>>())
        });
        let fact = match f {
            Some(f) => format!("regions = {}", f.value.join(", ")),
            None => "regions = unknown".to_owned(),
        };
        because(
            Rule::Region,
            fact,
            page(f),
            change(("regions", "regions"), to),
        );
    }
    if r.block.iter().any(|p| p.matches(endpoint)) {
        let rest: Vec<&str> = r
            .block
            .iter()
            .filter(|p| !p.matches(endpoint))
            .map(super::ProviderPattern::as_str)
            .collect();
        because(
            Rule::ProviderBlocked,
            format!("provider = {}", endpoint.tag),
            (None, None),
            change(("provider.ignore", "block"), json!(rest)),
        );
    }
    let closed: Vec<_> = r
        .allow
        .iter()
        .filter(|list| !list.iter().any(|p| p.matches(endpoint)))
        .collect();
    if !closed.is_empty() {
        let mut to: Vec<&str> = closed
            .iter()
            .flat_map(|list| list.iter())
            .map(super::ProviderPattern::as_str)
            .collect();
        to.push(&endpoint.tag);
        because(
            Rule::ProviderNotAllowed,
            format!("provider = {}", endpoint.tag),
            (None, None),
            change(("provider.only", "allow"), json!(to)),
        );
    }
    if let Some(model) = model {
        if r.block_models.iter().any(|p| p.matches(model)) {
            let rest: Vec<&str> = r
                .block_models
                .iter()
                .filter(|p| !p.matches(model))
                .map(super::ModelPattern::as_str)
                .collect();
            because(
                Rule::ModelBlocked,
                format!("model = {}", model.id),
                (None, None),
                change(("block_models", "block_models"), json!(rest)),
            );
        }
        let closed: Vec<_> = r
            .allow_models
            .iter()
            .filter(|list| !list.iter().any(|p| p.matches(model)))
            .collect();
        if !closed.is_empty() {
            let mut to: Vec<&str> = closed
                .iter()
                .flat_map(|list| list.iter())
                .map(super::ModelPattern::as_str)
                .collect();
            to.push(model.id.as_str());
            because(
                Rule::ModelNotAllowed,
                format!("model = {}", model.id),
                (None, None),
                change(("allow_models", "allow_models"), json!(to)),
            );
        }
    }
    if let Some((name, price)) = r.max_price.exceeded_by(endpoint) {
        let text = price.map(|p| {
            if matches!(name, "request" | "image") {
                p.to_string()
            } else {
                p.per_million()
            }
        });
        let fact = format!("price.{name} = {}", text.as_deref().unwrap_or("unknown"));
        let lift = if r.max_price.free_only {
            change(("model", "model"), json!(endpoint.model))
        } else {
            change(
                (
                    &format!("provider.max_price.{name}"),
                    &format!("max_price.{name}"),
                ),
                json!(text),
            )
        };
        because(
            Rule::Price,
            fact,
            (endpoint.source.as_deref().map(Into::into), None),
            lift,
        );
    }
    if traffic == Traffic::Either {
        for reason in out.iter_mut().filter(|r| r.rule.is_about_training()) {
            reason.lifted_by_tier = [Tier::Paid, Tier::Free].into_iter().find(|tier| {
                endpoint.tier == Tier::Unknown
                    && !violates_under(endpoint, reason.rule, Traffic::of(*tier, &endpoint.prices))
            });
        }
    }
    out
}

fn violates_under(endpoint: &Endpoint, rule: Rule, traffic: Traffic) -> bool {
    match rule {
        Rule::TrainingPaid => trains_on_paid(endpoint, traffic),
        Rule::TrainingFree => trains_on_free(endpoint, traffic),
        _ => publishes(endpoint, traffic),
    }
}

fn stated<T: std::fmt::Display>(name: &str, fact: &Option<Fact<T>>) -> String {
    match fact {
        Some(Fact {
            because: Some(because),
            ..
        }) => because.to_string(),
        Some(Fact { value, .. }) => format!("{name} = {value}"),
        None => format!("{name} = unknown"),
    }
}

fn page<T>(fact: &Option<Fact<T>>) -> (Option<String>, Option<String>) {
    let text = |t: &Option<std::sync::Arc<str>>| t.as_deref().map(ToOwned::to_owned);
    fact.as_ref()
        .map_or((None, None), |f| (text(&f.source), text(&f.checked)))
}

/// Returns the changes for each excluded endpoint that changes can admit, ordered by the number of
/// changes, by the distance of the layer from the caller, and by endpoint. Stating a tier comes
/// before allowing training or publication.
pub fn relaxations(excluded: &[Excluded]) -> Vec<Relaxation> {
    let mut found: Vec<(Relaxation, Kind)> = excluded.iter().filter_map(relaxation).collect();
    found.sort_by(|(a, _), (b, _)| {
        let rank = |r: &Relaxation| (r.changes.len(), r.changes.iter().map(|c| c.layer).max());
        rank(a)
            .cmp(&rank(b))
            .then_with(|| a.endpoint.cmp(&b.endpoint))
    });
    let Some(first) = found.iter().position(|(_, kind)| *kind == Kind::Consents) else {
        return found.into_iter().map(|(r, _)| r).collect();
    };
    let rest = found.split_off(first);
    let (stated, others): (Vec<_>, Vec<_>) = rest
        .into_iter()
        .partition(|(_, kind)| *kind == Kind::StatesTier);
    found
        .into_iter()
        .chain(stated)
        .chain(others)
        .map(|(r, _)| r)
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    StatesTier,
    Consents,
    Other,
}

fn relaxation(excluded: &Excluded) -> Option<(Relaxation, Kind)> {
    // A tier is a remedy if stating it removes a reason. If both do, choose the one that leaves
    // fewer reasons.
    let left_by = |tier: Tier| {
        excluded
            .reasons
            .iter()
            .filter(|r| r.lifted_by_tier != Some(tier))
            .count()
    };
    let tier = [Tier::Paid, Tier::Free]
        .into_iter()
        .filter(|t| {
            excluded
                .reasons
                .iter()
                .any(|r| r.lifted_by_tier == Some(*t))
        })
        .min_by_key(|t| left_by(*t));
    let mut changes = Vec::new();
    if let Some(tier) = tier {
        let set = format!("provider.{}.tier", excluded.provider);
        changes.push(Change {
            layer: Layer::Instance,
            set,
            to: json!(tier),
        });
    }
    let mut consents = false;
    for reason in excluded
        .reasons
        .iter()
        .filter(|r| tier.is_none() || r.lifted_by_tier != tier)
    {
        let change = reason.change.clone()?;
        consents |= reason.rule.is_about_training();
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    let kind = match (tier, consents) {
        (Some(_), false) => Kind::StatesTier,
        (_, true) => Kind::Consents,
        (None, false) => Kind::Other,
    };
    let consent = changes.iter().map(|c| consent(c.layer)).max()?;
    changes.sort_by_key(|c| c.layer);
    Some((
        Relaxation {
            endpoint: excluded.endpoint.clone(),
            changes,
            consent,
        },
        kind,
    ))
}

fn consent(layer: Layer) -> Consent {
    match layer {
        Layer::Request => Consent::Caller,
        Layer::Key => Consent::Key,
        Layer::Preset | Layer::Account => Consent::Account,
        Layer::Organization => Consent::Organization,
        Layer::Instance | Layer::Endpoint => Consent::Operator,
    }
}
