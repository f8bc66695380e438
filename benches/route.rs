//! Benchmark of ordering: from an eligible set to the plan, with measured endpoints.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc};

use anyrouter_core::{
    catalog::{Catalog, Document, Endpoint, Protocol},
    policy::{CompiledCatalog, CompiledLayers, Layer, evaluate},
    route::{Health, Holder, Needs, Observation, Preferences, ProviderObject, Routing, plan},
    time::Timestamp,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::json;

fn layers(count: usize) -> CompiledLayers {
    let provider = |i: usize| json!({"slug": format!("p{i}"), "protocol": "openai_chat", "base_url": "http://x"});
    let endpoint = |i: usize| json!({"provider": format!("p{i}"), "priority": i % 3, "price": {"prompt": format!("{}", i % 7), "completion": "1"}});
    let document = json!({"provider": (0..count).map(provider).collect::<Vec<_>>(), "model": [{"id": "lab/x", "endpoint": (0..count).map(endpoint).collect::<Vec<_>>()}]});
    let catalog =
        Catalog::from_documents(&[Document::from_json(&document.to_string()).unwrap()]).unwrap();
    CompiledLayers::new(
        Arc::new(CompiledCatalog::new(Arc::new(catalog))),
        Vec::new(),
    )
}

fn route(c: &mut Criterion) {
    let now = Timestamp::from_millis(1_000_000);
    let mut group = c.benchmark_group("route");
    for (name, object) in [
        ("default", json!({})),
        ("by price", json!({"sort": "price"})),
        ("by latency", json!({"sort": "latency"})),
    ] {
        let object: ProviderObject = serde_json::from_value(object).unwrap();
        let preferences = Preferences::from_object(object).unwrap();
        let request_layer = [(Layer::Request, preferences.restriction.clone())];
        for count in [1, 10, 60] {
            let layers = layers(count);
            let health = Health::default();
            for endpoint in layers.catalog().catalog().endpoints() {
                health.observe(
                    &endpoint.id,
                    Observation::Answered {
                        first_byte: 1000 * endpoint.index as u64,
                    },
                    now,
                    now,
                );
            }
            let holder = |_: &Endpoint| Some(Holder::Operator);
            let needs = Needs::default();
            let request = Routing {
                preferences: &preferences,
                needs: &needs,
                health: &health,
                holder: &holder,
                inbound: Protocol::Chat,
                now,
                seed: 1,
            };
            group.bench_with_input(BenchmarkId::new(name, count), &count, |b, count| {
                b.iter(|| {
                    let planned =
                        plan(&[evaluate(&layers, black_box(&request_layer), 0)], &request);
                    assert_eq!(planned.candidates.len(), *count);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, route);
criterion_main!(benches);
