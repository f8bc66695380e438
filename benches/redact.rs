//! Benchmark of redaction on one thread: clean chat, JSON bodies, pictures, dense personal data,
//! and building the engine. It is compared with one `RegexSet` of the same patterns for secrets and
//! a few patterns for personal data, which finds less and reports only which patterns match, not
//! where. The set is measured twice: with its defaults, and with bytes for characters and a
//! gigabyte for its automaton.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use anyrouter_core::redact::{Engine, PlaceholderKey, Placeholders, Redactor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use regex::bytes::{RegexSet, RegexSetBuilder};

const CHAT: &str = "I tried the recipe that you sent last week and it came out better than I had hoped, although the dough needed a little more water than \
it says. The second time we let it rest overnight, and the crust was thinner and crisper. Do you think that it would work with whole wheat as well? \
We could meet on the weekend and bake a few loaves together, if the weather stays as it is. Otherwise let me know what suits you, and I will plan \
around it. By the way, the book about bread from the library is due soon; should I renew it, or have you finished with the chapter on rye?\n";

const DENSE: &str = "Jane Smith <jane.smith@example.com>, +1 415-555-2671, card 4111 1111 1111 1111, 10.20.30.40; IBAN DE89 3704 0044 0532 0130 00; \
SSN 536-22-1234, born 12 March 1985; AKIAIOSFODNN7EXAMPLE, ghp_16C7e42F292c6912E7710c838347Ae178B4a, password: hunter2!x.\n";

fn patterns() -> Vec<String> {
    let table = include_str!("../anyrouter-core/redact/secrets.tsv");
    let secrets = table
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split('\t').nth(1))
        .map(ToOwned::to_owned);
    let people = [
        r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,255}\.[A-Za-z]{2,24}",
        r"\b(?:\d[ -]?){13,19}\b",
        r"\+\d{1,3}[ -]?(?:\d[ -]?){6,12}",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}\b",
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
    ];
    secrets.chain(people.map(ToOwned::to_owned)).collect()
}

fn repeated(text: &str, bytes: usize) -> String {
    text.repeat(bytes / text.len() + 1)
}

fn find(c: &mut Criterion) {
    let engine = Engine::builtin();
    // The default limit of 10 MB is too small for the patterns.
    let set = RegexSetBuilder::new(patterns())
        .size_limit(1 << 30)
        .build()
        .unwrap();
    let large = RegexSetBuilder::new(patterns())
        .unicode(false)
        .size_limit(1 << 30)
        .dfa_size_limit(1 << 30)
        .build()
        .unwrap();
    let chat = repeated(CHAT, 64 << 10);
    let dense = repeated(DENSE, 64 << 10);
    let messages: Vec<_> = (0..40)
        .map(|i| serde_json::json!({"role": if i % 2 == 0 { "user" } else { "assistant" }, "content": repeated(CHAT, 1500)}))
        .collect();
    let body =
        serde_json::json!({"model": "lab/model", "messages": messages, "stream": true}).to_string();
    let picture = format!(
        "data:image/png;base64,{}",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ".repeat(50_000)
    );
    let picture =
        serde_json::json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}]}]}).to_string();

    let mut group = c.benchmark_group("redact");
    group.throughput(Throughput::Bytes(chat.len() as u64));
    group.bench_function("clean chat", |b| {
        b.iter(|| black_box(engine.find(black_box(&chat))));
    });
    let by = |set: &RegexSet| black_box(set.matches(black_box(chat.as_bytes())));
    group.bench_function("clean chat, a set with a gigabyte", |b| {
        b.iter(|| by(&large));
    });
    group
        .sample_size(10)
        .bench_function("clean chat, a set", |b| b.iter(|| by(&set)))
        .sample_size(100);
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("JSON body", |b| {
        b.iter(|| black_box(engine.find_json(black_box(&body))));
    });
    group.throughput(Throughput::Bytes(picture.len() as u64));
    group.bench_function("picture in base64", |b| {
        b.iter(|| black_box(engine.find_json(black_box(&picture))));
    });
    group.throughput(Throughput::Bytes(dense.len() as u64));
    group.bench_function("dense personal data", |b| {
        b.iter(|| black_box(engine.find(black_box(&dense))));
    });
    let redactor = Redactor::default();
    let key = PlaceholderKey::from_bytes([1; 32]);
    group.bench_function("dense personal data, redacted and restored", |b| {
        b.iter(|| {
            let mut placeholders = Placeholders::new(key.clone());
            let redacted = redactor
                .redact(black_box(&dense), &mut placeholders)
                .unwrap();
            black_box(placeholders.restore(redacted.as_str()))
        });
    });
    group.finish();
}

fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("redact");
    group.sample_size(10);
    group.bench_function("build the engine", |b| b.iter(|| black_box(Engine::new())));
    group.finish();
}

criterion_group!(benches, find, build);
criterion_main!(benches);
