//! Benchmark of a policy decision: from a request's restriction (zero data retention, two providers
//! ignored, one price cap) to the eligible set of a model, with account and key layers. It is
//! compared with a loop over the facts of every endpoint. The explanation is measured too.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{collections::BTreeSet, hint::black_box, sync::Arc};

use anyrouter_core::{
    catalog::{Catalog, Document, Usd, Zdr},
    policy::{
        CompiledCatalog, CompiledLayers, Layer, PriceCaps, ProviderPattern, Restriction, Settings,
        SettingsPatch, evaluate,
    },
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::json;

/// Creates a catalog of one model at `count` providers, of which the request admits about half.
fn catalog(count: usize) -> Arc<CompiledCatalog> {
    let mut providers = Vec::new();
    let mut endpoints = Vec::new();
    for i in 0..count {
        let terms = json!({"trains_on_paid": i % 7 == 0, "trains_on_free": true, "retention_days": i % 3, "zdr": if i % 2 == 0 { "default" } else { "on_request" }});
        providers.push(
            json!({"slug": format!("provider-{i}"), "protocol": "openai_chat", "base_url": "http://x", "tier": "paid", "terms": terms}),
        );
        endpoints.push(json!({"provider": format!("provider-{i}"), "price": {"prompt": format!("{}.5", i % 5), "completion": "1"}}));
    }
    let document = Document::from_json(
        &json!({"provider": providers, "model": [{"id": "lab/model", "endpoint": endpoints}]})
            .to_string(),
    )
    .unwrap();
    Arc::new(CompiledCatalog::new(Arc::new(
        Catalog::from_documents(&[document]).unwrap(),
    )))
}

fn request() -> [(Layer, Restriction); 1] {
    let restriction = Restriction {
        enforce_zdr: true,
        block: BTreeSet::from([
            ProviderPattern::new("provider-2"),
            ProviderPattern::new("provider-4"),
        ]),
        max_price: PriceCaps {
            prompt: Some(Usd::per_token("3").unwrap()),
            ..PriceCaps::default()
        },
        ..Restriction::default()
    };
    [(Layer::Request, restriction)]
}

fn layers(catalog: Arc<CompiledCatalog>) -> CompiledLayers {
    let key = SettingsPatch {
        max_retention_days: Some(Some(1)),
        ..SettingsPatch::default()
    };
    CompiledLayers::new(
        catalog,
        vec![
            (Layer::Account, Settings::default().restriction()),
            (Layer::Key, key.restriction()),
        ],
    )
}

/// Computes the same with a loop over every endpoint and every rule.
fn by_loop(layers: &CompiledLayers, request: &Restriction) -> usize {
    let catalog = layers.catalog().catalog();
    let fits = |e: &&anyrouter_core::catalog::Endpoint| {
        let t = &e.terms;
        t.trains_on_paid.as_ref().is_some_and(|f| !f.value)
            && t.retention_days.as_ref().is_some_and(|f| f.value <= 1)
            && t.zdr.as_ref().is_some_and(|z| z.value == Zdr::Default)
            && !request
                .block
                .iter()
                .any(|p| p.as_str() == e.provider.as_str())
            && e.prices.prompt <= request.max_price.prompt
    };
    catalog.endpoints().iter().filter(fits).count()
}

fn policy(c: &mut Criterion) {
    let request = request();
    let mut group = c.benchmark_group("policy");
    for count in [1, 10, 60, 500, 5000] {
        let layers = layers(catalog(count));
        assert_eq!(
            evaluate(&layers, &request, 0).eligible().count(),
            by_loop(&layers, &request[0].1)
        );
        group.bench_with_input(BenchmarkId::new("evaluate", count), &count, |b, _| {
            b.iter(|| black_box(evaluate(&layers, black_box(&request), 0)).is_empty());
        });
        group.bench_with_input(BenchmarkId::new("by hand", count), &count, |b, _| {
            b.iter(|| by_loop(&layers, black_box(&request[0].1)));
        });
    }
    let layers = layers(catalog(60));
    let decision = evaluate(&layers, &request, 0);
    group.bench_function("explain 60", |b| {
        b.iter(|| {
            (0..60)
                .map(|nth| black_box(decision.reasons(nth)).len())
                .sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, policy);
criterion_main!(benches);
