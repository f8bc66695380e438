//! Planning: orders the eligible endpoints into candidates, and explains the result.

use std::cmp::Ordering;

use super::{
    HealthView, Holder, Routing, Sort,
    rules::{carried, is_excluded, left_out, not_admitted, reasons},
    speed::{misses_latency, misses_throughput},
};
use crate::{
    catalog::{Catalog, Provider, Usd},
    policy::{
        Change, Decision, Eligible, Excluded, Explanation, Layer, Position, Rule, relaxations,
    },
};

/// An endpoint to try.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The eligible endpoint.
    pub eligible: Eligible<'a>,
    /// Criterion that decided the position.
    pub because: &'static str,
}

/// The endpoints to try, in order.
#[derive(Clone, Debug, Default)]
pub struct Plan<'a> {
    /// The candidates.
    pub candidates: Vec<Candidate<'a>>,
    /// Notes for the caller about the choice of candidates.
    pub notes: Vec<String>,
}

/// Orders the eligible endpoints of `decisions` (one per model, in order of preference).
pub fn plan<'a>(decisions: &[Decision<'a>], request: &Routing<'_>) -> Plan<'a> {
    let mut out = Plan::default();
    let mut ranked: Vec<Ranked<'a>> = Vec::new();
    for (place, decision) in decisions.iter().enumerate() {
        let of_model = decision
            .eligible()
            .filter(|e| !is_excluded(e.endpoint(), request))
            .filter_map(|e| Ranked::new(e, request, place));
        ranked.extend(of_model);
    }
    let is_alone = !request.preferences.allow_fallbacks || request.preferences.pin.is_some();
    let has_named = ranked.iter().any(|r| r.order != usize::MAX);
    if is_alone && has_named {
        // Before the order, since an own credential comes before what is named.
        ranked.retain(|r| r.order != usize::MAX);
    }
    measure(&mut ranked, request);
    prefer(&mut ranked, request, &mut out.notes);
    rank(&mut ranked, request);
    if is_alone && !has_named {
        ranked.truncate(1);
    }
    out.candidates = with_reasons(&ranked, request);
    out
}

/// Explains `decisions` about `catalog` for a request for `model`.
pub fn explain(
    model: &str,
    decisions: &[Decision<'_>],
    request: &Routing<'_>,
    catalog: &Catalog,
) -> Explanation {
    let plan = plan(decisions, request);
    let mut excluded = Vec::new();
    for decision in decisions {
        for (nth, endpoint) in decision.endpoints().iter().enumerate() {
            if plan
                .candidates
                .iter()
                .any(|c| c.eligible.endpoint().id == endpoint.id)
            {
                continue;
            }
            let mut why = decision.reasons(nth);
            why.extend(reasons(endpoint, request));
            let eligible = decision.eligible().find(|e| e.endpoint().id == endpoint.id);
            if let (Some(eligible), Some(holder)) = (eligible, (request.holder)(endpoint))
                && holder.used_for(eligible).is_none()
            {
                why.push(not_admitted());
            }
            if why.is_empty() {
                why.extend(left_out(endpoint, request));
            }
            for reason in why.iter_mut().filter(|r| r.rule == Rule::NoCredential) {
                let variable = catalog
                    .providers()
                    .get(endpoint.provider_index)
                    .and_then(key_variable);
                reason.remedy = variable.as_ref().map(|v| format!("set {v}"));
                reason.change = variable.map(|set| Change {
                    layer: Layer::Instance,
                    set,
                    to: "a key of the provider's".into(),
                });
            }
            excluded.push(Excluded {
                endpoint: endpoint.id.clone(),
                provider: endpoint.provider.clone(),
                model: endpoint.model.clone(),
                reasons: why,
            });
        }
    }
    let position = |(i, c): (usize, &Candidate<'_>)| {
        let e = c.eligible.endpoint();
        Position {
            endpoint: e.id.clone(),
            provider: e.provider.clone(),
            model: e.model.clone(),
            position: i + 1,
            inbound: request.inbound,
            outbound: e.address(request.inbound).map(|a| a.protocol),
            because: c.because,
        }
    };
    Explanation {
        model: model.to_owned(),
        policy: decisions
            .first()
            .map(|d| d.fingerprint().to_owned())
            .unwrap_or_default(),
        catalog: catalog.version().to_string(),
        eligible: plan.candidates.iter().enumerate().map(position).collect(),
        relax: relaxations(&excluded),
        excluded,
        warnings: Vec::new(),
    }
}

/// Returns the environment variables that hold a provider's key.
fn key_variable(provider: &Provider) -> Option<String> {
    let needed = if provider.env_all {
        provider.env.join(" and ")
    } else {
        provider.env.first()?.clone()
    };
    (!needed.is_empty()).then_some(needed)
}

struct Ranked<'a> {
    eligible: Eligible<'a>,
    /// True if the request would be sent with the caller's own credential.
    is_own: bool,
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
    /// Returns `None` for an endpoint that no credential may be used for.
    fn new(eligible: Eligible<'a>, request: &Routing<'_>, model: usize) -> Option<Self> {
        let e = eligible.endpoint();
        let holder = (request.holder)(e)?.used_for(eligible)?;
        let order = request
            .preferences
            .order
            .iter()
            .position(|p| p.matches(e))
            .unwrap_or(usize::MAX);
        let carries = carried(e, request).all(|(_, c)| c == Some(true));
        let price = e
            .prices
            .prompt
            .zip(e.prices.completion)
            .map(|(p, c)| p.plus(c));
        // Weighted order: the exponential variates of an inverse-square weight, smallest first
        // (Efraimidis and Spirakis, 2006).
        let weight = price.map_or(1e-30, |p| 1.0 / (p.as_f64() * 1e6).max(1e-3).powi(2));
        let chance = -uniform(request.seed, e.index).ln() / weight;
        Some(Self {
            eligible,
            is_own: holder == Holder::Own,
            view: HealthView::default(),
            model,
            order,
            slow: false,
            misses: false,
            carries,
            price,
            chance,
        })
    }
}

/// Returns a pseudorandom number in (0, 1] from `seed` and `n` (SplitMix64).
fn uniform(seed: u64, n: usize) -> f64 {
    let mut z = seed.wrapping_add((n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON
}

/// Looks up the measured speed of the candidates, if it can affect their order.
fn measure(ranked: &mut [Ranked<'_>], request: &Routing<'_>) {
    let p = request.preferences;
    let by_speed = matches!(p.sort, Some(Sort::Latency | Sort::Throughput))
        || !p.max_latency.is_empty()
        || !p.min_throughput.is_empty();
    if ranked.len() < 2 && !by_speed {
        return;
    }
    for r in ranked.iter_mut() {
        let endpoint = r.eligible.endpoint();
        if by_speed {
            r.view = request.health.view(&endpoint.id, request.now);
        } else {
            r.view.recent_first_byte = request.health.recent_first_byte(&endpoint.id, request.now);
        }
    }
    let quickest = ranked
        .iter()
        .map(|r| r.view.recent_first_byte.unwrap_or(UNMEASURED))
        .min()
        .unwrap_or(0);
    for r in ranked {
        r.slow = r
            .view
            .recent_first_byte
            .is_some_and(|own| own > SLOW && own / 4 > quickest);
    }
}

/// Applies `preferred_*`. Candidates that miss a cut-off are excluded if every candidate is
/// measured and one remains; otherwise they go to the end.
fn prefer(ranked: &mut Vec<Ranked<'_>>, request: &Routing<'_>, notes: &mut Vec<String>) {
    if request.preferences.max_latency.is_empty() && request.preferences.min_throughput.is_empty() {
        return;
    }
    let verdicts: Vec<Option<bool>> = ranked
        .iter()
        .map(|r| {
            Some(
                misses_latency(&r.view, request.preferences)?
                    || misses_throughput(&r.view, request.preferences)?,
            )
        })
        .collect();
    let all_measured = verdicts.iter().all(Option::is_some);
    let some_remain = verdicts.contains(&Some(false));
    for (r, verdict) in ranked.iter_mut().zip(&verdicts) {
        r.misses = *verdict == Some(true);
    }
    if ranked.iter().any(|r| r.misses) {
        if all_measured && some_remain {
            ranked.retain(|r| !r.misses);
            notes.push(
                "preferred latency or throughput excluded endpoints: every candidate is measured"
                    .to_owned(),
            );
        } else {
            notes.push(
                "preferred latency or throughput moved endpoints to the end: not every candidate is measured, or none meets it".to_owned(),
            );
        }
    }
}

/// Time to the first byte up to which an endpoint is never slow, in microseconds.
const SLOW: u64 = 1_000_000;
/// Assumed time to the first byte of endpoints without a recent measurement, in microseconds, so
/// that a slow endpoint is also compared with those that are not tried because of it.
const UNMEASURED: u64 = 2_000_000;

type Measure = (&'static str, fn(&Ranked<'_>, &Ranked<'_>) -> Ordering);

fn rank(ranked: &mut [Ranked<'_>], request: &Routing<'_>) {
    let measures = measures(request);
    ranked.sort_by(|a, b| {
        measures
            .iter()
            .map(|(_, m)| m(a, b))
            .find(|o| o.is_ne())
            .unwrap_or(Ordering::Equal)
    });
}

/// Returns the criteria of the order, the most important first.
fn measures(request: &Routing<'_>) -> Vec<Measure> {
    fn known_first<T: PartialOrd>(a: Option<T>, b: Option<T>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }
    let by_model: Measure = ("model", |a, b| a.model.cmp(&b.model));
    let priority: Measure = ("priority", |a, b| {
        a.eligible
            .endpoint()
            .priority
            .cmp(&b.eligible.endpoint().priority)
    });
    let price: Measure = ("price", |a, b| known_first(a.price, b.price));
    let mut out: Vec<Measure> = Vec::with_capacity(10);
    if !request.preferences.across_models {
        out.push(by_model);
    }
    out.push(("own credential", |a, b| b.is_own.cmp(&a.is_own)));
    out.push(("order", |a, b| a.order.cmp(&b.order)));
    out.push(("health", |a, b| a.slow.cmp(&b.slow)));
    out.push(("preferred", |a, b| a.misses.cmp(&b.misses)));
    out.push(("parameters", |a, b| b.carries.cmp(&a.carries)));
    match request.preferences.sort {
        Some(Sort::Price) => out.push(price),
        Some(Sort::Latency) => out.push(("latency", |a, b| {
            known_first(a.view.first_byte(50), b.view.first_byte(50))
        })),
        Some(Sort::Throughput) => {
            out.push(("throughput", |a, b| {
                known_first(
                    a.view.throughput(50).map(|t| -t),
                    b.view.throughput(50).map(|t| -t),
                )
            }));
        }
        Some(Sort::Balanced) => out.push(("balanced", |a, b| a.chance.total_cmp(&b.chance))),
        Some(Sort::Exacto) | None => {}
    }
    out.push(priority);
    out.push(price);
    out.push(by_model);
    out.push(("id", |a, b| {
        a.eligible.endpoint().id.cmp(&b.eligible.endpoint().id)
    }));
    out
}

/// Adds to each candidate the criterion that put it before the next one, or for the last, after the
/// previous one.
fn with_reasons<'a>(ranked: &[Ranked<'a>], request: &Routing<'_>) -> Vec<Candidate<'a>> {
    let measures = measures(request);
    let alone = match request.preferences.sort {
        Some(Sort::Price) => "price",
        Some(Sort::Latency) => "latency",
        Some(Sort::Throughput) => "throughput",
        Some(Sort::Balanced) => "balanced",
        _ => "priority",
    };
    let decided = |a: &Ranked<'_>, b: &Ranked<'_>| {
        measures
            .iter()
            .find(|(_, m)| m(a, b).is_ne())
            .map_or(alone, |(name, _)| name)
    };
    ranked
        .iter()
        .enumerate()
        .map(|(i, r)| {
            let neighbour = ranked.get(i + 1).or_else(|| ranked.get(i.checked_sub(1)?));
            Candidate {
                eligible: r.eligible,
                because: neighbour.map_or(alone, |n| decided(r, n)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        catalog::{Document, Endpoint, Protocol},
        policy::{CompiledCatalog, CompiledLayers, evaluate},
        route::{Health, Needs, Observation, Preferences, ProviderObject},
        time::Timestamp,
    };

    struct Rig {
        layers: CompiledLayers,
        health: Health,
        now: Timestamp,
    }

    impl Rig {
        /// One model at `a`, `b` and `c`, of these prices, alike in all else.
        fn new(prices: [&str; 3]) -> Self {
            let provider: Vec<Value> = ["a", "b", "c"]
                .iter()
                .map(
                    |slug| json!({"slug": slug, "protocol": "openai_chat", "base_url": "http://x"}),
                )
                .collect();
            let endpoint: Vec<Value> = ["a", "b", "c"]
                .iter()
                .zip(prices)
                .map(|(slug, price)| json!({"provider": slug, "price": {"prompt": price, "completion": "0"}}))
                .collect();
            let document =
                json!({"provider": provider, "model": [{"id": "lab/x", "endpoint": endpoint}]})
                    .to_string();
            let catalog =
                Catalog::from_documents(&[Document::from_json(&document).unwrap()]).unwrap();
            let layers = CompiledLayers::new(
                Arc::new(CompiledCatalog::new(Arc::new(catalog))),
                Vec::new(),
            );
            Self {
                layers,
                health: Health::default(),
                now: Timestamp::from_millis(1_000_000),
            }
        }

        /// Measures an endpoint: milliseconds to the first byte, and tokens a second.
        fn measured(self, provider: &str, first_byte: u64, throughput: f64) -> Self {
            let endpoint = self
                .layers
                .catalog()
                .catalog()
                .endpoints()
                .iter()
                .find(|e| e.provider.as_str() == provider)
                .unwrap();
            self.health.observe(
                &endpoint.id,
                Observation::Answered {
                    first_byte: first_byte * 1000,
                },
                self.now,
                self.now,
            );
            self.health
                .observe_throughput(&endpoint.id, throughput, self.now);
            self
        }

        fn ask<T>(
            &self,
            object: Value,
            seed: u64,
            answer: impl FnOnce(&[Decision<'_>], &Routing<'_>) -> T,
        ) -> T {
            let object: ProviderObject = serde_json::from_value(object).unwrap();
            let preferences = Preferences::from_object(object).unwrap();
            let layer = [(Layer::Request, preferences.restriction.clone())];
            let holder = |_: &Endpoint| Some(Holder::Operator);
            let request = Routing {
                preferences: &preferences,
                needs: &Needs::default(),
                health: &self.health,
                holder: &holder,
                inbound: Protocol::Chat,
                now: self.now,
                seed,
            };
            answer(&[evaluate(&self.layers, &layer, 0)], &request)
        }

        /// The order of the providers, and the notes.
        fn order(&self, object: Value) -> (String, usize) {
            self.ask(object, 0, |decisions, request| {
                let plan = plan(decisions, request);
                (
                    plan.candidates
                        .iter()
                        .map(|c| c.eligible.endpoint().provider.as_str())
                        .collect(),
                    plan.notes.len(),
                )
            })
        }
    }

    #[test]
    fn sorting_by_speed_puts_what_is_measured_first() {
        let rig = Rig::new(["1", "1", "1"])
            .measured("c", 100, 10.0)
            .measured("b", 200, 50.0);
        assert_eq!(rig.order(json!({})).0, "abc");
        assert_eq!(rig.order(json!({"sort": "latency"})).0, "cba");
        assert_eq!(rig.order(json!({"sort": "throughput"})).0, "bca");
        assert_eq!(
            rig.order(json!({"sort": {"by": "latency"}, "order": ["a"]}))
                .0,
            "acb",
            "what is named comes before what is quick"
        );
    }

    #[test]
    fn a_preference_excludes_only_where_all_are_measured_and_one_remains() {
        let all = Rig::new(["1", "2", "3"])
            .measured("a", 900, 5.0)
            .measured("b", 300, 50.0)
            .measured("c", 100, 20.0);
        assert_eq!(
            all.order(json!({"preferred_max_latency": 500})),
            ("bc".to_owned(), 1)
        );
        assert_eq!(
            all.order(json!({"preferred_min_throughput": 30})),
            ("b".to_owned(), 1)
        );
        assert_eq!(all.order(json!({"preferred_max_latency": {"p90": 500}, "preferred_min_throughput": {"p50": 30}})), ("b".to_owned(), 1));
        assert_eq!(
            all.order(json!({"preferred_max_latency": 50})),
            ("abc".to_owned(), 1),
            "none meets it: none is excluded"
        );
        assert_eq!(
            all.order(json!({"preferred_max_latency": 5000})),
            ("abc".to_owned(), 0),
            "all meet it: nothing to tell"
        );
        let some = Rig::new(["1", "2", "3"]).measured("a", 900, 5.0);
        assert_eq!(
            some.order(json!({"preferred_max_latency": 500})),
            ("bca".to_owned(), 1),
            "not all are measured: to the end"
        );
    }

    #[test]
    fn what_a_preference_excluded_is_explained_and_lifting_it_is_the_change() {
        let rig = Rig::new(["1", "2", "3"])
            .measured("a", 900, 5.0)
            .measured("b", 300, 50.0)
            .measured("c", 100, 20.0);
        let explanation = rig.ask(
            json!({"preferred_max_latency": 500}),
            0,
            |decisions, request| {
                explain("lab/x", decisions, request, rig.layers.catalog().catalog())
            },
        );
        let excluded = &explanation.excluded[0];
        assert_eq!(
            (
                excluded.provider.as_str(),
                excluded.reasons[0].rule,
                excluded.reasons[0].fact.as_str()
            ),
            ("a", Rule::Latency, "latency = 900 ms")
        );
        assert_eq!(
            explanation.relax[0].changes[0].set,
            "provider.preferred_max_latency"
        );
    }

    #[test]
    fn balanced_goes_by_the_inverse_square_of_the_price_and_the_same_seed_gives_the_same_order() {
        let rig = Rig::new(["1", "2", "4"]);
        let first = |seed: u64| {
            rig.ask(json!({"sort": "balanced"}), seed, |decisions, request| {
                plan(decisions, request).candidates[0]
                    .eligible
                    .endpoint()
                    .provider
                    .to_string()
            })
        };
        let mut counts = [0.0f64; 3];
        for seed in 0..4000 {
            assert_eq!(first(seed), first(seed));
            counts[["a", "b", "c"]
                .iter()
                .position(|p| *p == first(seed))
                .unwrap()] += 1.0 / 4000.0;
        }
        // Weights 1, 1/4 and 1/16.
        for (count, expected) in counts.iter().zip([16.0 / 21.0, 4.0 / 21.0, 1.0 / 21.0]) {
            assert!((count - expected).abs() < 0.03, "{counts:?}");
        }
    }
}
