//! The laws of the policy (P03, P04, P05), against a naive reference.

#![allow(clippy::cloned_ref_to_slice_refs, clippy::unwrap_used)]

#[path = "policy/reference.rs"]
mod reference;

use std::sync::Arc;

use anyrouter_core::{
    catalog::{Catalog, Document, Tier, Usd},
    policy::{
        CompiledCatalog, CompiledLayers, Decision, Eligible, Layer, OwnTerms, PriceCaps, Reason,
        Restriction, Rule, Settings, SettingsPatch, evaluate,
    },
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

const LAYERS: [Layer; 5] = [
    Layer::Instance,
    Layer::Organization,
    Layer::Account,
    Layer::Key,
    Layer::Preset,
];

fn restriction(layer: &Value) -> Restriction {
    serde_json::from_value::<SettingsPatch>(layer.clone())
        .unwrap()
        .restriction()
}

/// A catalog of one model a name, from endpoints as the reference reads them.
fn catalog(endpoints: &[Value]) -> Arc<CompiledCatalog> {
    let mut providers: Vec<Value> = Vec::new();
    let mut models: Vec<Value> = Vec::new();
    for e in endpoints {
        providers.push(
            json!({"slug": e["provider"], "protocol": "openai_chat", "base_url": "http://x", "tier": e["tier"], "terms": e["terms"]}),
        );
        let own = json!({"provider": e["provider"], "price": e["price"]});
        match models.iter_mut().find(|m| m["id"] == e["model"]) {
            Some(model) => model["endpoint"].as_array_mut().unwrap().push(own),
            None => models.push(json!({"id": e["model"], "endpoint": [own]})),
        }
    }
    let document =
        Document::from_json(&json!({"provider": providers, "model": models}).to_string()).unwrap();
    Arc::new(CompiledCatalog::new(Arc::new(
        Catalog::from_documents(&[document]).unwrap(),
    )))
}

fn layers(catalog: &Arc<CompiledCatalog>, all: &[Value]) -> CompiledLayers {
    CompiledLayers::new(
        catalog.clone(),
        all.iter()
            .zip(LAYERS.iter().cycle())
            .map(|(l, at)| (*at, restriction(l)))
            .collect(),
    )
}

/// The tags of what is eligible, over all models.
fn eligible(catalog: &Arc<CompiledCatalog>, above: &[Value], request: &[Value]) -> Vec<String> {
    let layers = layers(catalog, above);
    let request: Vec<(Layer, Restriction)> = request
        .iter()
        .map(|l| (Layer::Request, restriction(l)))
        .collect();
    let models = 0..catalog.catalog().models().len();
    let mut out: Vec<String> = models
        .flat_map(|m| {
            evaluate(&layers, &request, m)
                .eligible()
                .map(|e| e.endpoint().tag.to_string())
                .collect::<Vec<_>>()
        })
        .collect();
    out.sort();
    out
}

fn maybe(value: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), value]
}

fn flag() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::from)
}

fn terms() -> impl Strategy<Value = Value> {
    let regions = prop::collection::vec(select(vec!["global", "eu", "us", "jp"]), 0..3);
    (maybe(flag()), maybe(flag()), maybe(flag()), maybe((0u32..3).prop_map(Value::from)), maybe(select(vec![json!("default"), json!("on_request"), json!("no"), json!(true), json!(false)])), maybe(regions.prop_map(Value::from)))
        .prop_map(|(paid, free, publishes, retention, zdr, regions)| {
            json!({"trains_on_paid": paid, "trains_on_free": free, "publishes_free": publishes, "retention_days": retention, "zdr": zdr, "regions": regions})
        })
}

const PROVIDERS: [&str; 6] = [
    "alpha",
    "alpha/fast",
    "beta",
    "gamma",
    "delta/eu",
    "epsilon",
];
const MODELS: [&str; 3] = ["lab/one", "lab/two", "other/three"];

fn endpoints() -> impl Strategy<Value = Vec<Value>> {
    let price = || maybe(select(vec![json!("0"), json!("0.5")]));
    let one = (
        terms(),
        select(vec!["paid", "free", "unknown"]),
        price(),
        price(),
        select(MODELS.to_vec()),
    );
    prop::collection::vec(one, 1..PROVIDERS.len()).prop_map(|all| {
        all.into_iter()
            .zip(PROVIDERS)
            .map(|((terms, tier, prompt, completion, model), provider)| {
                json!({"provider": provider, "model": model, "terms": terms, "tier": tier, "price": {"prompt": prompt, "completion": completion}})
            })
            .collect()
    })
}

fn layer() -> impl Strategy<Value = Value> {
    let providers = || {
        prop::collection::vec(
            select(vec![
                "alpha",
                "alpha/fast",
                "beta",
                "gamma",
                "delta",
                "delta/eu",
            ]),
            0..4,
        )
        .prop_map(|l| json!(l))
    };
    let models = || {
        prop::collection::vec(select(vec!["lab/one", "lab/*", "other/three"]), 0..3)
            .prop_map(|l| json!(l))
    };
    let regions =
        prop::collection::vec(select(vec!["eu", "us", "jp"]), 0..3).prop_map(|l| json!(l));
    let flags = (maybe(flag()), maybe(flag()), maybe(flag()), maybe(flag()));
    (flags, maybe((0u32..3).prop_map(Value::from)), maybe(regions), maybe(providers()), maybe(providers()), maybe(models()), maybe(models())).prop_map(
        |((paid, free, publication, zdr), retention, regions, block, allow, block_models, allow_models)| {
            let all = json!({"allow_training_paid": paid, "allow_training_free": free, "allow_publication": publication, "enforce_zdr": zdr,
                "max_retention_days": retention, "regions": regions, "block": block, "allow": allow, "block_models": block_models, "allow_models": allow_models});
            Value::Object(all.as_object().unwrap().clone().into_iter().filter(|(_, v)| !v.is_null()).collect())
        },
    )
}

#[test]
fn an_accounts_contract_lifts_its_own_rules_and_never_the_instances() {
    let endpoint = |terms: Value| json!({"provider": "alpha", "model": "lab/one", "tier": "paid", "terms": terms, "price": {"prompt": "1", "completion": "1"}});
    let catalog_of = |terms| catalog(&[endpoint(terms)]);
    let known = catalog_of(json!({"retention_days": 30}));
    let contract = catalog_of(json!({"retention_days": 0}));
    let stated = &contract.catalog().endpoints()[0];
    let own = OwnTerms {
        provider: stated.provider.clone(),
        tier: stated.tier,
        terms: Some(stated.terms.clone()),
    };
    let strict = restriction(&json!({"max_retention_days": 0}));
    let admits = |at: Layer| {
        let (above, request) = match at {
            Layer::Request => (vec![], vec![(at, strict.clone())]),
            _ => (vec![(at, strict.clone())], vec![]),
        };
        let layers =
            CompiledLayers::with_own_terms(known.clone(), above, std::slice::from_ref(&own), false);
        let decision = evaluate(&layers, &request, 0);
        let found = decision.eligible().next();
        assert!(
            !found.is_some_and(Eligible::with_operator_credential),
            "{at:?}"
        );
        found.is_some_and(Eligible::with_own_credential)
    };
    for at in [Layer::Account, Layer::Key, Layer::Preset, Layer::Request] {
        assert!(admits(at), "{at:?} judges by the contract");
    }
    for at in [Layer::Instance, Layer::Organization] {
        assert!(!admits(at), "{at:?} judges by the catalog");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_eligible_is_what_the_reference_admits(endpoints in endpoints(), above in prop::collection::vec(layer(), 0..4), request in prop::collection::vec(layer(), 0..2)) {
        let catalog = catalog(&endpoints);
        let all: Vec<&Value> = above.iter().chain(&request).collect();
        let mut expected: Vec<String> =
            endpoints.iter().filter(|e| all.iter().all(|l| reference::admits(l, e))).map(|e| e["provider"].as_str().unwrap().to_owned()).collect();
        expected.sort();
        prop_assert_eq!(eligible(&catalog, &above, &request), expected);
    }

    #[test]
    fn own_terms_count_for_the_account_and_below_and_where_that_credential_is_used(
        endpoints in endpoints(),
        above in prop::collection::vec(layer(), 0..6),
        request in prop::collection::vec(layer(), 0..2),
        (tier, terms) in (select(vec!["paid", "free", "unknown"]), terms()),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(endpoints.len());
        let mut stated = endpoints[at].clone();
        stated["tier"] = json!(tier);
        stated["terms"] = terms;
        let of_contract = catalog(std::slice::from_ref(&stated));
        let own = &of_contract.catalog().endpoints()[0];
        let own = OwnTerms { provider: own.provider.clone(), tier: own.tier, terms: Some(own.terms.clone()) };

        let catalog = catalog(&endpoints);
        let above_layers: Vec<(Layer, Restriction)> =
            above.iter().zip(LAYERS.iter().cycle()).map(|(l, at)| (*at, restriction(l))).collect();
        let layers = CompiledLayers::with_own_terms(catalog.clone(), above_layers.clone(), &[own], false);
        let request_layers: Vec<(Layer, Restriction)> = request.iter().map(|l| (Layer::Request, restriction(l))).collect();
        for model in 0..catalog.catalog().models().len() {
            let decision = evaluate(&layers, &request_layers, model);
            let mut any = false;
            for (nth, endpoint) in decision.endpoints().iter().enumerate() {
                let by_catalog = endpoints.iter().find(|e| e["provider"] == *endpoint.tag).unwrap();
                let is_stated = by_catalog["provider"] == stated["provider"];
                let is_above = |layer: Layer| layer == Layer::Instance || layer == Layer::Organization;
                // The tier is the credential's own, by whichever terms it is judged.
                let mut with_own_tier = by_catalog.clone();
                with_own_tier["tier"] = json!(tier);
                let mut with_stated = with_own_tier.clone();
                for (fact, value) in stated["terms"].as_object().unwrap().iter().filter(|(_, v)| !v.is_null()) {
                    with_stated["terms"][fact] = value.clone();
                }
                let admits = |layer: Layer, l: &Value| match (is_stated, is_above(layer)) {
                    (false, _) => reference::admits(l, by_catalog),
                    (true, false) => reference::admits(l, &stated),
                    (true, true) => reference::admits(l, &with_own_tier) && reference::admits(l, &with_stated),
                };
                let with_operator_credential = above.iter().chain(&request).all(|l| reference::admits(l, by_catalog));
                let with_own_credential = above.iter().zip(LAYERS.iter().cycle()).all(|(l, layer)| admits(*layer, l))
                    && request.iter().all(|l| admits(Layer::Request, l));
                let found = decision.eligible().find(|e| e.endpoint().id == endpoint.id);
                let got = found.map_or((false, false), |e| (e.with_operator_credential(), e.with_own_credential()));
                prop_assert_eq!(got, (with_operator_credential, with_own_credential), "{}", endpoint.tag);
                prop_assert_eq!(decision.reasons(nth).is_empty(), with_operator_credential || with_own_credential);
                any |= with_operator_credential || with_own_credential;
            }
            prop_assert_eq!(decision.is_empty(), !any);
        }
    }

    #[test]
    fn order_repetition_and_grouping_change_nothing(endpoints in endpoints(), a in layer(), b in layer(), c in layer()) {
        let catalog = catalog(&endpoints);
        let [ra, rb, rc] = [&a, &b, &c].map(restriction);
        prop_assert_eq!(ra.meet(&rb), rb.meet(&ra));
        prop_assert_eq!(ra.meet(&rb).meet(&rc), ra.meet(&rb.meet(&rc)));
        prop_assert_eq!(ra.meet(&ra), ra.clone());
        prop_assert_eq!(ra.meet(&Restriction::default()), ra);
        let one = eligible(&catalog, &[a.clone(), b.clone(), c.clone()], &[]);
        prop_assert_eq!(&one, &eligible(&catalog, &[c.clone(), a.clone(), b.clone(), a.clone()], &[]));
        prop_assert_eq!(&one, &eligible(&catalog, &[b.clone()], &[a.clone(), c.clone()]));
    }

    #[test]
    fn the_meet_of_two_layers_is_both_layers(endpoints in endpoints(), a in layer(), b in layer()) {
        let catalog = catalog(&endpoints);
        let met = CompiledLayers::new(catalog.clone(), vec![(Layer::Account, restriction(&a).meet(&restriction(&b)))]);
        let mut by_meet: Vec<String> =
            (0..catalog.catalog().models().len()).flat_map(|m| evaluate(&met, &[], m).eligible().map(|e| e.endpoint().tag.to_string()).collect::<Vec<_>>()).collect();
        by_meet.sort();
        prop_assert_eq!(by_meet, eligible(&catalog, &[a, b], &[]));
    }

    #[test]
    fn no_added_layer_admits_anything(endpoints in endpoints(), above in prop::collection::vec(layer(), 0..4), added in layer()) {
        let catalog = catalog(&endpoints);
        let before = eligible(&catalog, &above, &[]);
        for after in [eligible(&catalog, &[above.clone(), vec![added.clone()]].concat(), &[]), eligible(&catalog, &above, &[added])] {
            prop_assert!(after.iter().all(|e| before.contains(e)), "{after:?} is not within {before:?}");
        }
    }

    #[test]
    fn unknown_is_as_bad_as_the_worst_statement(endpoints in endpoints(), layer in layer(), (fact, worst) in select(vec![
        ("trains_on_paid", json!(true)), ("trains_on_free", json!(true)), ("regions", json!(["global"])), ("retention_days", json!(9)), ("zdr", json!("no")),
    ])) {
        let with = |value: &Value| -> Vec<Value> {
            let set = |e: &Value| {
                let mut e = e.clone();
                e["terms"][fact] = value.clone();
                // Zero data retention says something of retention too: here each is looked at by
                // itself.
                if fact == "retention_days" {
                    e["terms"]["zdr"] = Value::Null;
                }
                e
            };
            endpoints.iter().map(set).collect()
        };
        prop_assert_eq!(eligible(&catalog(&with(&Value::Null)), &[layer.clone()], &[]), eligible(&catalog(&with(&worst)), &[layer], &[]));
    }

    #[test]
    fn every_exclusion_is_explained_truly(endpoints in endpoints(), above in prop::collection::vec(layer(), 0..4), request in layer()) {
        let catalog = catalog(&endpoints);
        let layers = layers(&catalog, &above);
        let request = [(Layer::Request, restriction(&request))];
        for model in 0..catalog.catalog().models().len() {
            let decision = evaluate(&layers, &request, model);
            for nth in 0..decision.endpoints().len() {
                let reasons = decision.reasons(nth);
                let endpoint = &decision.endpoints()[nth];
                let is_eligible = decision.eligible().any(|e| e.endpoint().id == endpoint.id);
                prop_assert_eq!(reasons.is_empty(), is_eligible, "{}: {:?}", endpoint.id, reasons);
                for reason in &reasons {
                    check_reason(&decision, nth, reason)?;
                }
            }
        }
    }
}

/// A reason is true: its layer alone, with every other layer gone, excludes the endpoint by the
/// rule that it names.
fn check_reason(decision: &Decision<'_>, nth: usize, reason: &Reason) -> Result<(), TestCaseError> {
    let endpoint = &decision.endpoints()[nth];
    let known =
        |value: &Option<String>, unknown: &str| value.clone().unwrap_or_else(|| unknown.to_owned());
    let fact = |name: &str, value: Option<String>| format!("{name} = {}", known(&value, "unknown"));
    let t = &endpoint.terms;
    let expected = match reason.rule {
        Rule::TrainingPaid => fact(
            "trains_on_paid",
            t.trains_on_paid.as_ref().map(|f| f.value.to_string()),
        ),
        Rule::TrainingFree => fact(
            "trains_on_free",
            t.trains_on_free.as_ref().map(|f| f.value.to_string()),
        ),
        Rule::Publication => fact(
            "publishes_free",
            t.publishes_free.as_ref().map(|f| f.value.to_string()),
        ),
        Rule::Zdr => fact("zdr", t.zdr.as_ref().map(|f| f.value.to_string())),
        Rule::ProviderBlocked | Rule::ProviderNotAllowed => format!("provider = {}", endpoint.tag),
        Rule::ModelBlocked | Rule::ModelNotAllowed => format!("model = {}", endpoint.model),
        _ => reason.fact.clone(),
    };
    prop_assert_eq!(&reason.fact, &expected);
    prop_assert!(
        reason.change.is_some(),
        "every rule of the policy can be lifted"
    );
    Ok(())
}

#[test]
fn every_small_catalog_agrees_with_the_reference() {
    // All of: tier × price × the three facts × zdr, under each single restriction and each pair.
    let opt = [Value::Null, json!(true), json!(false)];
    let mut endpoints = Vec::new();
    for tier in ["paid", "free", "unknown"] {
        for price in [Value::Null, json!("0"), json!("1")] {
            for paid in &opt {
                for free in &opt {
                    for publishes in &opt {
                        for zdr in [Value::Null, json!("default"), json!("no")] {
                            let terms = json!({"trains_on_paid": paid, "trains_on_free": free, "publishes_free": publishes, "zdr": zdr});
                            endpoints.push(json!({"provider": format!("p{}", endpoints.len()), "model": "lab/one", "terms": terms, "tier": tier, "price": {"prompt": price, "completion": price}}));
                        }
                    }
                }
            }
        }
    }
    let catalog = catalog(&endpoints);
    let single = [
        json!({}),
        json!({"allow_training_paid": false}),
        json!({"allow_training_free": false}),
        json!({"allow_publication": false}),
        json!({"enforce_zdr": true}),
        json!({"max_retention_days": 0}),
    ];
    for a in &single {
        for b in &single {
            let mut expected: Vec<String> = endpoints
                .iter()
                .filter(|e| reference::admits(a, e) && reference::admits(b, e))
                .map(|e| e["provider"].as_str().unwrap().to_owned())
                .collect();
            expected.sort();
            assert_eq!(
                eligible(&catalog, &[a.clone()], &[b.clone()]),
                expected,
                "{a} and {b}"
            );
        }
    }
}

#[test]
fn price_caps_exclude_what_is_dearer_and_what_is_unknown() {
    let endpoint = |provider: &str, prompt: Value| json!({"provider": provider, "model": "lab/one", "terms": {}, "tier": "paid", "price": {"prompt": prompt, "completion": "1"}});
    let catalog = catalog(&[
        endpoint("cheap", json!("1")),
        endpoint("dear", json!("2")),
        endpoint("silent", Value::Null),
    ]);
    let layers = CompiledLayers::new(catalog, Vec::new());
    let caps = PriceCaps {
        prompt: Some(Usd::per_token("1").unwrap()),
        ..PriceCaps::default()
    };
    let request = [(
        Layer::Request,
        Restriction {
            max_price: caps,
            ..Restriction::default()
        },
    )];
    let decision = evaluate(&layers, &request, 0);
    assert_eq!(
        decision
            .eligible()
            .map(|e| e.endpoint().tag.to_string())
            .collect::<Vec<_>>(),
        ["cheap"]
    );
    assert_eq!(decision.reasons(1)[0].fact, "price.prompt = 2");
    assert_eq!(decision.reasons(2)[0].fact, "price.prompt = unknown");
}

#[test]
fn the_default_account_admits_nothing_that_may_train() {
    let account = serde_json::to_value(Settings::default()).unwrap();
    let of = |provider: &str, tier: &str, terms: Value| json!({"provider": provider, "model": "lab/one", "terms": terms, "tier": tier, "price": {"prompt": "1", "completion": "1"}});
    let catalog = catalog(&[
        of(
            "paid-clean",
            "paid",
            json!({"trains_on_paid": false, "trains_on_free": true}),
        ),
        of(
            "paid-trains",
            "paid",
            json!({"trains_on_paid": true, "trains_on_free": false}),
        ),
        of("paid-silent", "paid", json!({})),
        of(
            "free-clean",
            "free",
            json!({"trains_on_paid": true, "trains_on_free": false}),
        ),
        of(
            "free-publishes",
            "free",
            json!({"trains_on_free": false, "publishes_free": true}),
        ),
        of(
            "unknown-mixed",
            "unknown",
            json!({"trains_on_paid": false, "trains_on_free": true}),
        ),
    ]);
    let mut layer = account;
    layer.as_object_mut().unwrap().retain(|_, v| !v.is_null());
    assert_eq!(
        eligible(&catalog, &[layer], &[]),
        ["free-clean", "paid-clean"]
    );
}

mod relaxations {
    use anyrouter_core::policy::{Change, Consent, Excluded, relaxations};

    use super::*;

    fn excluded(endpoints: &[Value], above: &[Value], request: Value) -> Vec<Excluded> {
        let catalog = catalog(endpoints);
        let layers = layers(&catalog, above);
        let request = [(Layer::Request, restriction(&request))];
        let decision = evaluate(&layers, &request, 0);
        decision
            .endpoints()
            .iter()
            .enumerate()
            .filter(|(nth, _)| !decision.reasons(*nth).is_empty())
            .map(|(nth, e)| Excluded {
                endpoint: e.id.clone(),
                provider: e.provider.clone(),
                model: e.model.clone(),
                reasons: decision.reasons(nth),
            })
            .collect()
    }

    fn endpoint(provider: &str, tier: &str, terms: Value) -> Value {
        json!({"provider": provider, "model": "lab/one", "terms": terms, "tier": tier, "price": {"prompt": "1", "completion": "1"}})
    }

    #[test]
    fn where_stating_the_tier_would_do_that_is_the_change_and_it_comes_first() {
        let found = relaxations(&excluded(
            &[
                endpoint("a-trains", "paid", json!({"trains_on_paid": true})),
                endpoint(
                    "google",
                    "unknown",
                    json!({"trains_on_paid": false, "trains_on_free": true}),
                ),
            ],
            &[
                json!({}),
                json!({}),
                json!({"allow_training_paid": false, "allow_training_free": false, "allow_publication": false}),
            ],
            json!({}),
        ));
        assert_eq!(found[0].endpoint.as_str(), "google/lab-one");
        assert_eq!(
            found[0].changes,
            [Change {
                layer: Layer::Instance,
                set: "provider.google.tier".to_owned(),
                to: json!(Tier::Paid)
            }]
        );
        assert_eq!(found[0].consent, Consent::Operator);
        assert_eq!(
            found[1].changes,
            [Change {
                layer: Layer::Account,
                set: "allow_training_paid".to_owned(),
                to: json!(true)
            }]
        );
        assert_eq!(found[1].consent, Consent::Account);
    }

    #[test]
    fn the_fewest_changes_come_first_then_the_layer_closest_to_the_caller() {
        let found = relaxations(&excluded(
            &[
                endpoint("both", "paid", json!({"retention_days": 9})),
                endpoint(
                    "far",
                    "paid",
                    json!({"zdr": "default", "retention_days": 9}),
                ),
                endpoint("near", "paid", json!({"retention_days": 0})),
            ],
            &[json!({"max_retention_days": 3})],
            json!({"enforce_zdr": true}),
        ));
        let order: Vec<(&str, usize)> = found
            .iter()
            .map(|r| (r.endpoint.as_str(), r.changes.len()))
            .collect();
        assert_eq!(
            order,
            [("near/lab-one", 1), ("far/lab-one", 1), ("both/lab-one", 2)]
        );
        assert_eq!(found[0].changes[0].set, "provider.zdr");
        assert_eq!(found[1].changes[0].set, "privacy.max_retention_days");
    }

    #[test]
    fn the_changes_of_an_entry_do_admit_its_endpoint() {
        // One rule at a time: change the setting as the explanation says, and see the endpoint
        // admitted.
        let endpoints = [endpoint(
            "x",
            "paid",
            json!({"trains_on_paid": true, "retention_days": 9, "zdr": "no", "regions": ["us"]}),
        )];
        for layer in [
            json!({"allow_training_paid": false}),
            json!({"enforce_zdr": true}),
            json!({"max_retention_days": 3}),
            json!({"regions": ["eu"]}),
            json!({"block": ["x", "y"]}),
            json!({"allow": ["y"]}),
            json!({"block_models": ["lab/*"]}),
            json!({"allow_models": ["lab/two"]}),
        ] {
            let above = [json!({}), json!({}), layer.clone()];
            let found = relaxations(&excluded(&endpoints, &above, json!({})));
            let change = &found[0].changes[0];
            let mut relaxed = layer.clone();
            relaxed[&change.set] = change.to.clone();
            assert_eq!(
                eligible(&catalog(&endpoints), &[relaxed.clone()], &[]),
                ["x"],
                "{layer} relaxed to {relaxed}"
            );
        }
    }
}
