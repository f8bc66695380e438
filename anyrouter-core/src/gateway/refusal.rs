//! Errors for requests without an eligible endpoint: the error code, and advice on what to change.

use super::targets::Targets;
use crate::{
    catalog::{Catalog, Endpoint},
    policy::{Excluded, Explanation, Layer, Reason, Rule},
    wire::error::{ApiError, Availability, Constraint},
};

/// Returns the error for a request that has no endpoint left.
pub(super) fn refusal(
    targets: &Targets,
    explanation: Explanation,
    catalog: &Catalog,
    cooldown_seconds: u64,
) -> ApiError {
    // The endpoint that is nearest to being admitted explains the refusal best.
    let nearest = explanation
        .excluded
        .iter()
        .min_by_key(|e| (e.reasons.len(), e.reasons.iter().map(|r| r.rule).max()));
    let verdict = match nearest {
        None => Verdict::NoEndpoints,
        Some(_)
            if explanation
                .excluded
                .iter()
                .any(|e| is_only(e, Rule::Cooldown)) =>
        {
            Verdict::Unavailable
        }
        Some(_)
            if explanation
                .excluded
                .iter()
                .any(|e| is_only(e, Rule::NoCredential)) =>
        {
            Verdict::NoEndpoints
        }
        Some(e) => verdict(&e.reasons),
    };
    let (status, code) = match verdict {
        Verdict::NoEndpoints => (404, "no_endpoints"),
        Verdict::Unavailable => (503, "temporarily_unavailable"),
        Verdict::Privacy => (404, "privacy_restricted"),
        Verdict::Region => (403, "region_restricted"),
        Verdict::Constraint => (404, "constraint_filtered"),
    };
    let model = &explanation.model;
    let help = match verdict {
        Verdict::NoEndpoints => no_credential(&explanation, catalog),
        Verdict::Unavailable => {
            format!("its endpoints failed lately; try again in {cooldown_seconds} s")
        }
        _ => explanation.relax.first().map_or_else(
            || "`explanation` names every rule".to_owned(),
            |r| {
                let changes: Vec<String> = r
                    .changes
                    .iter()
                    .map(|c| format!("{} = {} ({})", c.set, c.to, layer(c.layer)))
                    .collect();
                format!(
                    "the smallest change that would admit one: {}",
                    changes.join(" and ")
                )
            },
        ),
    };
    let mut error = ApiError::new(
        status,
        code,
        format!(
            "no endpoint of `{model}` may serve this request: {}{help}",
            rules(&explanation)
        ),
    );
    error.retry_after = (verdict == Verdict::Unavailable).then_some(cooldown_seconds);
    let mut affected: Vec<String> = explanation
        .excluded
        .iter()
        .map(|e| e.provider.to_string())
        .collect();
    affected.sort();
    affected.dedup();
    let constraint = nearest
        .filter(|_| verdict == Verdict::Constraint)
        .and_then(|e| e.reasons.iter().find(|r| is_constraint(r)));
    error.availability = Some(Box::new(Availability {
        code,
        retryable: verdict == Verdict::Unavailable,
        requested_models: targets
            .models
            .iter()
            .filter_map(|(m, _)| Some(catalog.models().get(*m)?.id.to_string()))
            .collect(),
        affected_providers: affected,
        excluded_by: excluded_by(&explanation),
        docs_url: "/docs/errors.md",
        constraint: constraint.map(|r| {
            let set = r.change.as_ref().map(|c| c.set.clone()).unwrap_or_default();
            let parameter = r.fact.split(" = ").next().unwrap_or_default();
            let field = if r.rule == Rule::Parameters {
                parameter.to_owned()
            } else {
                set
            };
            Constraint {
                field,
                detail: r.fact.clone(),
            }
        }),
    }));
    error.explanation = Some(Box::new(explanation));
    error
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    NoEndpoints,
    Unavailable,
    Privacy,
    Region,
    Constraint,
}

fn is_only(excluded: &Excluded, rule: Rule) -> bool {
    !excluded.reasons.is_empty() && excluded.reasons.iter().all(|r| r.rule == rule)
}

/// Returns true if the rule concerns price, capabilities or routing, not data protection.
fn is_constraint(reason: &Reason) -> bool {
    match reason.rule {
        Rule::Price
        | Rule::Context
        | Rule::Parameters
        | Rule::Quantization
        | Rule::Latency
        | Rule::Throughput
        | Rule::Pinned => true,
        Rule::ProviderBlocked | Rule::ProviderNotAllowed => reason.layer == Layer::Request,
        _ => false,
    }
}

fn verdict(reasons: &[Reason]) -> Verdict {
    let lasting = || {
        reasons
            .iter()
            .filter(|r| !matches!(r.rule, Rule::Cooldown | Rule::NoCredential))
    };
    if lasting().any(|r| r.rule == Rule::Region) {
        return Verdict::Region;
    }
    if lasting().any(|r| !is_constraint(r)) {
        Verdict::Privacy
    } else {
        Verdict::Constraint
    }
}

fn excluded_by(explanation: &Explanation) -> Vec<&'static str> {
    let mut out: Vec<&str> = explanation
        .excluded
        .iter()
        .flat_map(|e| &e.reasons)
        .filter_map(|r| match r.rule {
            Rule::Zdr | Rule::Retention => Some("data_policy:zdr"),
            Rule::TrainingPaid | Rule::TrainingFree | Rule::Publication => {
                Some("data_policy:training")
            }
            Rule::Region => Some("data_region"),
            Rule::Price => Some("max_price"),
            Rule::Context => Some("context_length"),
            Rule::Parameters => Some("require_parameters"),
            Rule::Quantization => Some("quantization"),
            Rule::ProviderBlocked | Rule::ProviderNotAllowed | Rule::Pinned => {
                Some("allowed_providers")
            }
            _ => None,
        })
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

fn layer(layer: Layer) -> &'static str {
    match layer {
        Layer::Request => "request",
        Layer::Preset => "preset",
        Layer::Key => "key",
        Layer::Account => "account",
        Layer::Organization => "organization",
        Layer::Instance => "instance",
        Layer::Endpoint => "endpoint",
    }
}

/// Formats the rules that excluded endpoints, each with its layer and count:
/// `training_paid (account) × 2; `.
fn rules(explanation: &Explanation) -> String {
    let mut counts: std::collections::BTreeMap<(&str, &str), usize> =
        std::collections::BTreeMap::new();
    for reason in explanation.excluded.iter().flat_map(|e| &e.reasons) {
        *counts
            .entry((reason.rule.as_str(), layer(reason.layer)))
            .or_default() += 1;
    }
    counts
        .iter()
        .take(6)
        .map(|((rule, layer), n)| format!("{rule} ({layer}) × {n}; "))
        .collect()
}

fn no_credential(explanation: &Explanation, catalog: &Catalog) -> String {
    let needs = |e: &&Excluded| is_only(e, Rule::NoCredential);
    let provider = explanation
        .excluded
        .iter()
        .find(needs)
        .and_then(|e| catalog.provider(e.provider.as_str()));
    match provider.and_then(|p| p.env.first().map(|env| (p, env))) {
        Some((provider, env)) => format!(
            "there is no key for {} that may be used; add your own (anyrouter byok add {}), or the operator sets {env} and starts again",
            provider.name, provider.slug
        ),
        None => "there is no key for its providers that may be used".to_owned(),
    }
}

/// Returns the seconds until the first cooldown of these endpoints ends, at least 1.
pub(super) fn cooldown_seconds<'a>(
    endpoints: impl Iterator<Item = &'a Endpoint>,
    health: &crate::route::Health,
    now: crate::time::Timestamp,
) -> u64 {
    let left = endpoints
        .filter_map(|e| health.cooldown(&e.id, now))
        .min()
        .unwrap_or_default();
    left.as_secs() + u64::from(left.subsec_nanos() > 0).max(u64::from(left.as_secs() == 0))
}
