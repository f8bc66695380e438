//! Benchmark of the wire formats: requests scanned, rewritten and translated; responses rewritten
//! whole and chunk by chunk. They are compared with a pass of serde_json over the same text that
//! validates it and keeps nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc};

use anyrouter_core::{
    catalog::{Catalog, Document, Prices, Protocol, Usd},
    ids::RequestId,
    wire::{
        adjust::Adjustments,
        answer::{Relay, plain},
        client_metadata::Person,
        inbound::inbound,
        json::Scanner,
        messages::to_anthropic_messages,
        meta::ResponseMeta,
    },
};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Creates a request of about this size: prose, or code and JSON with many escapes.
fn request(bytes: usize, is_code: bool) -> Bytes {
    let line = if is_code {
        "if (x == \"y\") {\n\treturn \"a\\\\b\";\n}\n"
    } else {
        "It was a bright day in April, and the clocks were as they should be. "
    };
    let text = line.repeat(bytes / line.len() + 1);
    json!({"model": "lab/x", "temperature": 0.5, "max_tokens": 500, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]})
        .to_string()
        .into()
}

fn names(protocol: Protocol, client: Protocol) -> Box<ResponseMeta> {
    let mut prices = Prices::default();
    (prices.prompt, prices.completion) = (
        Usd::per_token("0.000001").ok(),
        Usd::per_token("0.000002").ok(),
    );
    Box::new(ResponseMeta {
        id: RequestId::parse("req_000000000000000000000000").unwrap(),
        model: "lab/x".into(),
        provider: "Provider".into(),
        provider_slug: "a".into(),
        endpoint: "a/lab-x".into(),
        created: 1,
        latency_ms: 5,
        prices,
        include_usage: false,
        prompt_estimate: 3,
        adjusted: Adjustments::default(),
        protocol,
        client,
        faults: Arc::default(),
    })
}

fn requests(c: &mut Criterion) {
    let toml = "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"lab/x\"\n[[model.endpoint]]\nprovider=\"a\"\nmax_output=4096";
    let catalog = Catalog::from_documents(&[Document::from_toml(toml).unwrap()]).unwrap();
    let mut group = c.benchmark_group("wire/request");
    for (name, body) in [
        ("1 KB", request(1_000, false)),
        ("100 KB of prose", request(100_000, false)),
        ("100 KB of code", request(100_000, true)),
    ] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("scan, {name}"), |b| {
            b.iter(|| Scanner::new(black_box(&body), 128).value().unwrap());
        });
        group.bench_function(format!("serde_json, {name}"), |b| {
            b.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&body)).unwrap());
        });
        group.bench_function(format!("read, {name}"), |b| {
            b.iter(|| {
                inbound(Protocol::Chat, black_box(body.clone()), 128)
                    .unwrap()
                    .stream
            });
        });
        let read = inbound(Protocol::Chat, body.clone(), 128).unwrap();
        group.bench_function(format!("rewrite, {name}"), |b| {
            b.iter(|| {
                black_box(&read)
                    .to_openai_chat(
                        &catalog.endpoints()[0],
                        &Person::default(),
                        &mut Adjustments::default(),
                    )
                    .len()
            });
        });
        group.bench_function(format!("translate, {name}"), |b| {
            b.iter(|| {
                to_anthropic_messages(
                    black_box(&read),
                    &catalog.endpoints()[0],
                    None,
                    &mut Adjustments::default(),
                )
                .unwrap()
                .len()
            });
        });
    }
    group.finish();
}

fn answers(c: &mut Criterion) {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18});
    let text = "A sentence of an answer. ".repeat(20);
    let openai = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": usage}).to_string();
    let anthropic = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 9}}).to_string();
    let mut group = c.benchmark_group("wire/answer");
    for (name, protocol, client, body) in [
        ("rewrite 1 KB", Protocol::Chat, Protocol::Chat, &openai),
        (
            "translate 1 KB",
            Protocol::Messages,
            Protocol::Chat,
            &anthropic,
        ),
        (
            "messages, rewrite 1 KB",
            Protocol::Messages,
            Protocol::Messages,
            &anthropic,
        ),
        (
            "messages, translate 1 KB",
            Protocol::Chat,
            Protocol::Messages,
            &openai,
        ),
    ] {
        let names = names(protocol, client);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                plain(&names, black_box(body.as_bytes()))
                    .unwrap()
                    .body
                    .len()
            });
        });
    }
    group.finish();
}

/// Measures a thousand chunks, fed one by one; the throughput counts chunks.
fn chunks(c: &mut Criterion) {
    const CHUNKS: u64 = 1000;
    let event = |value: &Value| format!("data: {value}\n\n").into_bytes();
    let openai: Vec<Vec<u8>> = (0..CHUNKS)
        .map(|n| event(&json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": format!("word {n} ")}, "finish_reason": null}]})))
        .collect();
    let mut anthropic = vec![
        event(
            &json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        ),
        event(
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
    ];
    anthropic.extend((0..CHUNKS).map(|n| {
        event(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": format!("word {n} ")}}))
    }));
    let mut group = c.benchmark_group("wire/stream");
    group.throughput(Throughput::Elements(CHUNKS));
    for (name, protocol, client, pieces) in [
        ("rewrite chunks", Protocol::Chat, Protocol::Chat, &openai),
        (
            "translate chunks",
            Protocol::Messages,
            Protocol::Chat,
            &anthropic,
        ),
        (
            "messages, rewrite chunks",
            Protocol::Messages,
            Protocol::Messages,
            &anthropic,
        ),
        (
            "messages, translate chunks",
            Protocol::Chat,
            Protocol::Messages,
            &openai,
        ),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let (mut relay, mut out) = (
                    Relay::new(names(protocol, client), 1 << 20),
                    Vec::with_capacity(1 << 18),
                );
                for piece in pieces {
                    relay.feed(black_box(piece), &mut out).unwrap();
                }
                out.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, answers, chunks);
criterion_main!(benches);
