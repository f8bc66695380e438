//! Rules of routing that exclude endpoints which the policy admits. Each rule is written once, as a
//! cheap [`Hit`]; a [`Reason`] is created from it only for an explanation.

use std::time::Duration;

use serde_json::json;

use super::{
    Routing,
    speed::{misses_latency, misses_throughput},
};
use crate::{
    catalog::Endpoint,
    policy::{Change, Layer, Reason, Rule},
};

/// Returns true if a rule of routing excludes `endpoint`.
pub(super) fn is_excluded(endpoint: &Endpoint, request: &Routing<'_>) -> bool {
    hits(endpoint, request).next().is_some()
}

/// Returns a reason for each rule of routing that excludes `endpoint`.
pub(super) fn reasons(endpoint: &Endpoint, request: &Routing<'_>) -> Vec<Reason> {
    hits(endpoint, request)
        .map(|hit| hit.reason(endpoint))
        .collect()
}

/// A rule that excludes an endpoint.
enum Hit<'a> {
    Context(&'static str),
    MaxOutput(u64),
    Parameter(&'a str, Option<bool>),
    Quantization(&'a [String]),
    Pinned(&'a str),
    NoCredential,
    Cooldown(Duration),
}

fn hits<'a>(endpoint: &'a Endpoint, request: &'a Routing<'_>) -> impl Iterator<Item = Hit<'a>> {
    let (needs, preferences) = (request.needs, request.preferences);
    let context = needs
        .min_context
        .filter(|(floor, _)| endpoint.context.is_none_or(|c| c < *floor))
        .map(|(_, member)| Hit::Context(member));
    // Otherwise the limit is lowered to the endpoint's maximum.
    let max_output = endpoint.max_output.filter(|most| {
        preferences.require_parameters && needs.max_tokens.is_some_and(|asked| asked > *most)
    });
    let max_output = max_output.map(Hit::MaxOutput);
    let parameters = preferences
        .require_parameters
        .then(|| carried(endpoint, request).filter(|(_, carries)| *carries != Some(true)))
        .into_iter()
        .flatten()
        .map(|(parameter, carries)| Hit::Parameter(parameter, carries));
    let quantization = preferences
        .quantizations
        .as_deref()
        .filter(|wanted| {
            !wanted
                .iter()
                .any(|q| q == endpoint.quantization.as_deref().unwrap_or("unknown"))
        })
        .map(Hit::Quantization);
    let pinned = preferences
        .pin
        .as_ref()
        .filter(|pin| !pin.matches(endpoint))
        .map(|pin| Hit::Pinned(pin.as_str()));
    let no_credential = std::iter::once_with(|| {
        (request.holder)(endpoint)
            .is_none()
            .then_some(Hit::NoCredential)
    })
    .flatten();
    let cooldown = std::iter::once_with(|| {
        request
            .health
            .cooldown(&endpoint.id, request.now)
            .map(Hit::Cooldown)
    })
    .flatten();
    context
        .into_iter()
        .chain(max_output)
        .chain(parameters)
        .chain(quantization)
        .chain(pinned)
        .chain(no_credential)
        .chain(cooldown)
}

impl Hit<'_> {
    fn reason(&self, endpoint: &Endpoint) -> Reason {
        let own = Layer::Request;
        match *self {
            Self::Context(member) => {
                let fact = format!(
                    "context = {}",
                    endpoint
                        .context
                        .map_or("unknown".to_owned(), |n| n.to_string())
                );
                reason(
                    Rule::Context,
                    own,
                    fact,
                    Some((member, json!(endpoint.context))),
                )
            }
            Self::MaxOutput(most) => reason(
                Rule::Context,
                own,
                format!("max_output = {most}"),
                Some(("max_tokens", json!(most))),
            ),
            Self::Parameter(parameter, carries) => {
                let fact = format!(
                    "{parameter} = {}",
                    if carries.is_none() {
                        "unknown"
                    } else {
                        "unsupported"
                    }
                );
                reason(
                    Rule::Parameters,
                    own,
                    fact,
                    Some(("provider.require_parameters", json!(false))),
                )
            }
            Self::Quantization(wanted) => {
                let has = endpoint.quantization.as_deref().unwrap_or("unknown");
                let to: Vec<&str> = wanted.iter().map(String::as_str).chain([has]).collect();
                reason(
                    Rule::Quantization,
                    own,
                    format!("quantization = {has}"),
                    Some(("provider.quantizations", json!(to))),
                )
            }
            Self::Pinned(pin) => reason(
                Rule::Pinned,
                own,
                format!("pinned = {pin}"),
                Some(("X-AnyRouter-Provider", json!(null))),
            ),
            Self::NoCredential => reason(
                Rule::NoCredential,
                Layer::Endpoint,
                "credential = none".to_owned(),
                None,
            ),
            Self::Cooldown(left) => reason(
                Rule::Cooldown,
                Layer::Endpoint,
                format!("cooldown = {} ms left", left.as_millis()),
                None,
            ),
        }
    }
}

/// Returns the reason why an endpoint is not tried for which there are credentials, but none whose
/// terms the policy admits.
pub(super) fn not_admitted() -> Reason {
    let fact = "credential = none that the policy admits".to_owned();
    reason(Rule::NoCredential, Layer::Endpoint, fact, None)
}

fn reason(
    rule: Rule,
    layer: Layer,
    fact: String,
    change: Option<(&str, serde_json::Value)>,
) -> Reason {
    let change = change.map(|(set, to)| Change {
        layer,
        set: set.to_owned(),
        to,
    });
    Reason {
        rule,
        layer,
        fact,
        source: None,
        checked: None,
        remedy: None,
        change,
        lifted_by_tier: None,
    }
}

/// Returns the reasons why an endpoint is not tried although no single rule excludes it: it misses
/// a preferred latency or throughput, or fallbacks are not allowed.
pub(super) fn left_out(endpoint: &Endpoint, request: &Routing<'_>) -> Vec<Reason> {
    let view = request.health.view(&endpoint.id, request.now);
    let mut out = Vec::new();
    if misses_latency(&view, request.preferences) == Some(true) {
        let fact = format!(
            "latency = {} ms",
            view.first_byte(50).unwrap_or_default() / 1000
        );
        out.push(reason(
            Rule::Latency,
            Layer::Request,
            fact,
            Some(("provider.preferred_max_latency", json!(null))),
        ));
    }
    if misses_throughput(&view, request.preferences) == Some(true) {
        let fact = format!(
            "throughput = {:.1} tokens/s",
            view.throughput(50).unwrap_or_default()
        );
        out.push(reason(
            Rule::Throughput,
            Layer::Request,
            fact,
            Some(("provider.preferred_min_throughput", json!(null))),
        ));
    }
    if out.is_empty() {
        let fact = "allow_fallbacks = false".to_owned();
        out.push(reason(
            Rule::Pinned,
            Layer::Request,
            fact,
            Some(("provider.allow_fallbacks", json!(true))),
        ));
    }
    out
}

/// Returns the members of the request, each with the endpoint's support for it, if known.
pub(super) fn carried<'a>(
    endpoint: &'a Endpoint,
    request: &'a Routing<'_>,
) -> impl Iterator<Item = (&'a str, Option<bool>)> {
    let needs = request.needs;
    let protocol = endpoint.address(request.inbound).map(|a| a.protocol);
    let parameters = needs.parameters.iter().map(move |parameter| {
        let capability = match parameter.as_str() {
            "tools" | "tool_choice" | "parallel_tool_calls" => Some("tools"),
            "response_format" => Some("structured_output"),
            "reasoning" | "reasoning_effort" => Some("reasoning"),
            _ => None,
        };
        let listed = endpoint
            .parameters
            .as_ref()
            .map(|list| list.contains(parameter));
        let by_protocol = !needs
            .not_carried
            .iter()
            .any(|(p, member)| Some(*p) == protocol && member == parameter);
        let carries = match (by_protocol, listed, capability) {
            (false, ..) => Some(false),
            (true, Some(listed), None) => Some(listed || is_always_carried(parameter)),
            (true, Some(true), Some(_)) | (true, None, None) => Some(true),
            (true, _, Some(capability)) => endpoint.can(capability),
        };
        (parameter.as_str(), carries)
    });
    let images = needs
        .images
        .then(|| ("messages.content.image_url", endpoint.can("vision")));
    parameters.chain(images)
}

/// Returns true for members that every endpoint supports or that are never sent to a provider.
fn is_always_carried(parameter: &str) -> bool {
    const PROTOCOL: [&str; 14] = [
        "include",
        "input",
        "instructions",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "store",
        "stream",
        "stream_options",
        "system",
        "user",
    ];
    PROTOCOL.contains(&parameter) || GATEWAY_MEMBERS.contains(&parameter)
}

/// Members of a request that are only for the gateway and are never sent to a provider.
/// (`reasoning` is the gateway's as well, but affects the provider's request.)
pub(crate) const GATEWAY_MEMBERS: [&str; 9] = [
    "provider",
    "models",
    "preset",
    "trace",
    "session_id",
    "min_context",
    "require_params",
    "redact_upstream",
    "usage",
];
