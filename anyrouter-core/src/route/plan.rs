//! From what is eligible to what is tried, in order; and the explanation of both.

use std::cmp::Ordering;

use serde_json::json;

use super::{Health, HealthView, Preferences, Sort};
use crate::{
    catalog::{Endpoint, Protocol, Usd},
    policy::{Change, Decision, Eligible, Excluded, Explanation, Layer, Position, Reason, Rule, relaxations},
    time::Timestamp,
};

/// What a request asks of whoever serves it.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// A floor on context length, and the member that set it.
    pub min_context: Option<(u64, &'static str)>,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u64>,
    /// The members that were sent.
    pub parameters: Vec<String>,
    /// The messages have images.
    pub images: bool,
    /// The members that cannot be translated to Anthropic messages.
    pub not_in_anthropic: Vec<String>,
}

/// What a plan is made from, beside the decision.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// How the caller wants to be served.
    pub preferences: &'a Preferences,
    /// What the request asks of whoever serves it.
    pub needs: &'a Needs,
    /// How endpoints have fared.
    pub health: &'a Health,
    /// Whether there is a credential for an endpoint.
    pub has_credential: &'a (dyn Fn(&Endpoint) -> bool + Sync),
    /// The protocol that the request came in.
    pub inbound: Protocol,
    /// Now.
    pub now: Timestamp,
    /// Decides what is left to chance (`sort: "balanced"`).
    pub seed: u64,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("preferences", self.preferences).field("needs", self.needs).finish_non_exhaustive()
    }
}

/// An endpoint to try.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What the policy made eligible.
    pub eligible: Eligible<'a>,
    /// What decided its place.
    pub because: &'static str,
}

/// What to try, in order.
#[derive(Clone, Debug, Default)]
pub struct Plan<'a> {
    /// The candidates.
    pub candidates: Vec<Candidate<'a>>,
    /// What the caller should know of how they were chosen.
    pub notes: Vec<String>,
}

/// Orders what `decisions` (one a model, in order of preference) left.
pub fn plan<'a>(decisions: &[Decision<'a>], request: &Request<'_>) -> Plan<'a> {
    let mut out = Plan::default();
    let mut ranked: Vec<Ranked<'a>> = Vec::new();
    for (place, decision) in decisions.iter().enumerate() {
        let of_model = decision.eligible().filter(|e| !is_excluded(e.endpoint(), request)).map(|e| Ranked::new(e, request, place));
        ranked.extend(of_model);
    }
    prefer(&mut ranked, request, &mut out.notes);
    rank(&mut ranked, request);
    if !request.preferences.allow_fallbacks || request.preferences.pin.is_some() {
        let named = ranked.iter().filter(|r| r.order != usize::MAX).count();
        ranked.truncate(named.max(1));
    }
    out.candidates = with_reasons(&ranked, request);
    out
}

/// Explains `decisions` for a request that asked for `model`.
pub fn explain(model: &str, decisions: &[Decision<'_>], request: &Request<'_>, catalog_version: &str) -> Explanation {
    let plan = plan(decisions, request);
    let mut excluded = Vec::new();
    for decision in decisions {
        for (nth, endpoint) in decision.endpoints().iter().enumerate() {
            if plan.candidates.iter().any(|c| c.eligible.endpoint().id == endpoint.id) {
                continue;
            }
            let mut reasons = decision.reasons(nth);
            reasons.extend(own_reasons(endpoint, request));
            if reasons.is_empty() {
                reasons.extend(left_out(endpoint, request));
            }
            excluded.push(Excluded {
                endpoint: endpoint.id.clone(),
                provider: endpoint.provider.clone(),
                model: endpoint.model.clone(),
                reasons,
            });
        }
    }
    let position = |(i, c): (usize, &Candidate<'_>)| {
        let e = c.eligible.endpoint();
        Position { endpoint: e.id.clone(), provider: e.provider.clone(), model: e.model.clone(), position: i + 1, because: c.because }
    };
    Explanation {
        model: model.to_owned(),
        policy: decisions.first().map(|d| d.fingerprint().to_owned()).unwrap_or_default(),
        catalog: catalog_version.to_owned(),
        eligible: plan.candidates.iter().enumerate().map(position).collect(),
        relax: relaxations(&excluded),
        excluded,
    }
}

fn is_excluded(endpoint: &Endpoint, request: &Request<'_>) -> bool {
    !own_reasons(endpoint, request).is_empty()
}

fn reason(rule: Rule, layer: Layer, fact: String, change: Option<(&str, serde_json::Value)>) -> Reason {
    let change = change.map(|(set, to)| Change { layer, set: set.to_owned(), to });
    Reason { rule, layer, fact, source: None, checked: None, change, lifted_by_tier: None }
}

/// Each of routing's own rules that excludes an endpoint.
fn own_reasons(endpoint: &Endpoint, request: &Request<'_>) -> Vec<Reason> {
    let (needs, preferences) = (request.needs, request.preferences);
    let mut out = Vec::new();
    let known = |name: &str, n: Option<u64>| format!("{name} = {}", n.map_or("unknown".to_owned(), |n| n.to_string()));
    if let Some((floor, member)) = needs.min_context
        && endpoint.context.is_none_or(|c| c < floor)
    {
        out.push(reason(Rule::Context, Layer::Request, known("context", endpoint.context), Some((member, json!(endpoint.context)))));
    }
    if let (Some(asked), Some(most)) = (needs.max_tokens, endpoint.max_output)
        && asked > most
    {
        out.push(reason(Rule::Context, Layer::Request, known("max_output", Some(most)), Some(("max_tokens", json!(most)))));
    }
    if preferences.require_parameters {
        for (parameter, carries) in carried(endpoint, request).into_iter().filter(|(_, c)| *c != Some(true)) {
            let fact = format!("{parameter} = {}", if carries.is_none() { "unknown" } else { "unsupported" });
            out.push(reason(Rule::Parameters, Layer::Request, fact, Some(("provider.require_parameters", json!(false)))));
        }
    }
    if let Some(wanted) = &preferences.quantizations {
        let has = endpoint.quantization.as_deref().unwrap_or("unknown");
        if !wanted.iter().any(|q| q == has) {
            let to: Vec<&str> = wanted.iter().map(String::as_str).chain([has]).collect();
            out.push(reason(
                Rule::Quantization,
                Layer::Request,
                format!("quantization = {has}"),
                Some(("provider.quantizations", json!(to))),
            ));
        }
    }
    if let Some(pin) = preferences.pin.as_ref().filter(|pin| !pin.matches(endpoint)) {
        out.push(reason(Rule::Pinned, Layer::Request, format!("pinned = {}", pin.as_str()), Some(("X-AnyRouter-Provider", json!(null)))));
    }
    if !(request.has_credential)(endpoint) {
        out.push(reason(Rule::NoCredential, Layer::Endpoint, "credential = none".to_owned(), None));
    }
    if let Some(left) = request.health.view(endpoint, request.now).cooldown {
        out.push(reason(Rule::Cooldown, Layer::Endpoint, format!("cooldown = {} ms left", left.as_millis()), None));
    }
    out
}

/// Why an endpoint that no single rule excludes is not tried: a preference that every candidate could be measured by, or fallbacks
/// that are not allowed.
fn left_out(endpoint: &Endpoint, request: &Request<'_>) -> Vec<Reason> {
    let view = request.health.view(endpoint, request.now);
    let mut out = Vec::new();
    if misses_latency(&view, request) == Some(true) {
        let fact = format!("latency = {} ms", view.first_byte(50).unwrap_or_default() / 1000);
        out.push(reason(Rule::Latency, Layer::Request, fact, Some(("provider.preferred_max_latency", json!(null)))));
    }
    if misses_throughput(&view, request) == Some(true) {
        let fact = format!("throughput = {:.1} tokens/s", view.throughput(50).unwrap_or_default());
        out.push(reason(Rule::Throughput, Layer::Request, fact, Some(("provider.preferred_min_throughput", json!(null)))));
    }
    if out.is_empty() {
        let fact = "allow_fallbacks = false".to_owned();
        out.push(reason(Rule::Pinned, Layer::Request, fact, Some(("provider.allow_fallbacks", json!(true)))));
    }
    out
}

/// What was sent that not every endpoint carries, and whether this one is known to.
fn carried(endpoint: &Endpoint, request: &Request<'_>) -> Vec<(String, Option<bool>)> {
    let needs = request.needs;
    let anthropic = endpoint.address(request.inbound).is_some_and(|a| a.protocol == Protocol::AnthropicMessages);
    let mut out = Vec::new();
    for parameter in &needs.parameters {
        let capability = match parameter.as_str() {
            "tools" | "tool_choice" | "parallel_tool_calls" => Some("tools"),
            "response_format" => Some("structured_output"),
            "reasoning" | "reasoning_effort" => Some("reasoning"),
            _ => None,
        };
        let listed = endpoint.parameters.as_ref().map(|list| list.contains(parameter));
        let by_protocol = !(anthropic && needs.not_in_anthropic.contains(parameter));
        let carries = match (by_protocol, listed, capability) {
            (false, ..) => Some(false),
            (true, Some(listed), None) => Some(listed || ALWAYS.contains(&parameter.as_str())),
            (true, Some(true), Some(_)) | (true, None, None) => Some(true),
            (true, _, Some(capability)) => endpoint.can(capability),
        };
        out.push((parameter.clone(), carries));
    }
    if needs.images {
        out.push(("messages.content.image_url".to_owned(), endpoint.can("vision")));
    }
    out
}

/// Members that every endpoint carries, or that never leave the gateway.
const ALWAYS: [&str; 16] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "provider",
    "models",
    "preset",
    "trace",
    "session_id",
    "min_context",
    "require_params",
    "usage",
    "user",
    "metadata",
];

struct Ranked<'a> {
    eligible: Eligible<'a>,
    view: HealthView,
    model: usize,
    order: usize,
    slow: bool,
    misses: bool,
    carries: bool,
    price: Option<Usd>,
    chance: f64,
}

impl<'a> Ranked<'a> {
    fn new(eligible: Eligible<'a>, request: &Request<'_>, model: usize) -> Self {
        let e = eligible.endpoint();
        let order = request.preferences.order.iter().position(|p| p.matches(e)).unwrap_or(usize::MAX);
        let carries = carried(e, request).iter().all(|(_, c)| *c == Some(true));
        let price = e.prices.prompt.zip(e.prices.completion).map(|(p, c)| p.plus(c));
        // Weighted order: the exponential variates of an inverse-square weight, smallest first (Efraimidis and Spirakis, 2006).
        let weight = price.map_or(1e-30, |p| 1.0 / (p.as_f64() * 1e6).max(1e-3).powi(2));
        let chance = -uniform(request.seed, e.index).ln() / weight;
        Self { eligible, view: request.health.view(e, request.now), model, order, slow: false, misses: false, carries, price, chance }
    }
}

/// A number in (0, 1] that `seed` and `n` decide (SplitMix64).
fn uniform(seed: u64, n: usize) -> f64 {
    let mut z = seed.wrapping_add((n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON
}

/// Whether the median first byte is above a cut-off; `None` where it is not measured.
fn misses_latency(view: &HealthView, request: &Request<'_>) -> Option<bool> {
    let cuts = &request.preferences.max_latency;
    if cuts.is_empty() {
        return Some(false);
    }
    cuts.each().map(|(p, cut)| view.first_byte(p).map(|v| v as f64 / 1000.0 > cut)).try_fold(false, |any, miss| Some(any || miss?))
}

fn misses_throughput(view: &HealthView, request: &Request<'_>) -> Option<bool> {
    let cuts = &request.preferences.min_throughput;
    if cuts.is_empty() {
        return Some(false);
    }
    cuts.each().map(|(p, cut)| view.throughput(p).map(|v| v < cut)).try_fold(false, |any, miss| Some(any || miss?))
}

/// Applies `preferred_*`: what misses a cut-off is excluded where every candidate is measured and one remains, and else goes to the
/// end. And finds what is slow.
fn prefer(ranked: &mut Vec<Ranked<'_>>, request: &Request<'_>, notes: &mut Vec<String>) {
    let quickest = ranked.iter().map(|r| r.view.recent_first_byte.unwrap_or(UNMEASURED)).min().unwrap_or(0);
    for r in ranked.iter_mut() {
        r.slow = r.view.recent_first_byte.is_some_and(|own| own > SLOW && own / 4 > quickest);
    }
    if request.preferences.max_latency.is_empty() && request.preferences.min_throughput.is_empty() {
        return;
    }
    let verdicts: Vec<Option<bool>> =
        ranked.iter().map(|r| Some(misses_latency(&r.view, request)? || misses_throughput(&r.view, request)?)).collect();
    let all_measured = verdicts.iter().all(Option::is_some);
    let some_remain = verdicts.contains(&Some(false));
    for (r, verdict) in ranked.iter_mut().zip(&verdicts) {
        r.misses = *verdict == Some(true);
    }
    if ranked.iter().any(|r| r.misses) {
        if all_measured && some_remain {
            ranked.retain(|r| !r.misses);
            notes.push("preferred latency or throughput excluded endpoints: every candidate is measured".to_owned());
        } else {
            notes.push(
                "preferred latency or throughput moved endpoints to the end: not every candidate is measured, or none meets it".to_owned(),
            );
        }
    }
}

/// An endpoint whose first byte comes sooner is not slow, whatever the others do; in microseconds.
const SLOW: u64 = 1_000_000;
/// What an endpoint that was not measured lately is taken for, so that a slow one is compared with those that it keeps from being asked.
const UNMEASURED: u64 = 2_000_000;

type Measure = (&'static str, fn(&Ranked<'_>, &Ranked<'_>) -> Ordering);

fn rank(ranked: &mut [Ranked<'_>], request: &Request<'_>) {
    let measures = measures(request);
    ranked.sort_by(|a, b| measures.iter().map(|(_, m)| m(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal));
}

/// What decides, the most important first.
fn measures(request: &Request<'_>) -> Vec<Measure> {
    fn known_first<T: PartialOrd>(a: Option<T>, b: Option<T>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }
    let by_model: Measure = ("model", |a, b| a.model.cmp(&b.model));
    let priority: Measure = ("priority", |a, b| a.eligible.endpoint().priority.cmp(&b.eligible.endpoint().priority));
    let price: Measure = ("price", |a, b| known_first(a.price, b.price));
    let mut out: Vec<Measure> = Vec::with_capacity(10);
    if !request.preferences.across_models {
        out.push(by_model);
    }
    out.push(("order", |a, b| a.order.cmp(&b.order)));
    out.push(("health", |a, b| a.slow.cmp(&b.slow)));
    out.push(("preferred", |a, b| a.misses.cmp(&b.misses)));
    out.push(("parameters", |a, b| b.carries.cmp(&a.carries)));
    match request.preferences.sort {
        Some(Sort::Price) => out.push(price),
        Some(Sort::Latency) => out.push(("latency", |a, b| known_first(a.view.first_byte(50), b.view.first_byte(50)))),
        Some(Sort::Throughput) => {
            out.push(("throughput", |a, b| known_first(a.view.throughput(50).map(|t| -t), b.view.throughput(50).map(|t| -t))));
        }
        Some(Sort::Balanced) => out.push(("balanced", |a, b| a.chance.total_cmp(&b.chance))),
        Some(Sort::Exacto) | None => {}
    }
    out.push(priority);
    out.push(price);
    out.push(by_model);
    out.push(("id", |a, b| a.eligible.endpoint().id.cmp(&b.eligible.endpoint().id)));
    out
}

/// Names for each candidate the measure that put it before the next; for the last, behind the one before.
fn with_reasons<'a>(ranked: &[Ranked<'a>], request: &Request<'_>) -> Vec<Candidate<'a>> {
    let measures = measures(request);
    let alone = match request.preferences.sort {
        Some(Sort::Price) => "price",
        Some(Sort::Latency) => "latency",
        Some(Sort::Throughput) => "throughput",
        Some(Sort::Balanced) => "balanced",
        _ => "priority",
    };
    let decided = |a: &Ranked<'_>, b: &Ranked<'_>| measures.iter().find(|(_, m)| m(a, b).is_ne()).map_or(alone, |(name, _)| name);
    ranked
        .iter()
        .enumerate()
        .map(|(i, r)| {
            let neighbour = ranked.get(i + 1).or_else(|| ranked.get(i.checked_sub(1)?));
            Candidate { eligible: r.eligible, because: neighbour.map_or(alone, |n| decided(r, n)) }
        })
        .collect()
}
