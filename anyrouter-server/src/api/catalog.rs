//! Providers with their terms, and endpoints.

use anyrouter_core::{
    catalog::{Endpoint, Fact, Prices, Protocol, Terms, Usd, Zdr},
    time::Timestamp,
};
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::{Answer, Shared, json};
use crate::server::Server;

/// Every provider, with its terms, their source and date.
pub(super) async fn providers(State(server): Shared) -> Answer {
    let config = server.config();
    let keys = &server.gateway.ports().credentials;
    let rows: Vec<Value> = config
        .catalog
        .providers()
        .iter()
        .map(|p| {
            let terms = terms(&p.terms);
            let regions = p.terms.regions.as_ref().map(|r| r.value.clone());
            json!({"slug": p.slug, "name": p.name, "tier": p.tier, "has_key": keys.has(p), "terms": terms, "datacenters": regions,
                   "privacy_policy_url": null, "terms_of_service_url": p.terms.trains_on_paid.as_ref().and_then(|f| f.source.clone()),
                   "status_page_url": null, "headquarters": null})
        })
        .collect();
    json(&json!({"data": rows}))
}

fn terms(terms: &Terms) -> Value {
    fn fact<T: serde::Serialize>(f: &Option<Fact<T>>) -> Value {
        match f {
            None => json!({"value": null, "known": false}),
            Some(f) => json!({"value": f.value, "known": true, "because": f.because, "source": f.source, "checked": f.checked}),
        }
    }
    json!({"trains_on_paid": fact(&terms.trains_on_paid), "trains_on_free": fact(&terms.trains_on_free), "publishes_free": fact(&terms.publishes_free),
           "retention_days": fact(&terms.retention_days), "zdr": fact(&terms.zdr), "regions": fact(&terms.regions)})
}

/// Endpoints with zero data retention.
pub(super) async fn zdr(State(server): Shared) -> Answer {
    let config = server.config();
    let zdr = |e: &&Endpoint| e.terms.zdr.as_ref().is_some_and(|z| z.value == Zdr::Default);
    let now = server.clock().now();
    let rows: Vec<Value> = config.catalog.endpoints().iter().filter(zdr).map(|e| endpoint(&server, e, now)).collect();
    json(&json!({"data": rows}))
}

/// An endpoint as the API shows it.
pub(super) fn endpoint(server: &Server, e: &Endpoint, now: Timestamp) -> Value {
    let health = server.gateway.health().view(&e.id, now);
    let latency = |p| health.first_byte(p).map(|v| v as f64 / 1e6);
    let throughput = |p| health.throughput(p);
    let percentiles = |f: &dyn Fn(u8) -> Option<f64>| f(50).map(|p50| json!({"p50": p50, "p75": f(75), "p90": f(90), "p99": f(99)}));
    json!({
        "id": e.id, "name": format!("{}: {}", e.provider_name, e.model), "model_id": e.model, "model_name": e.model,
        "provider": e.provider, "provider_name": e.provider_name, "tag": e.tag, "context_length": e.context, "max_completion_tokens": e.max_output,
        "max_prompt_tokens": e.context, "pricing": per_token(&e.prices), "quantization": e.quantization.as_deref().unwrap_or("unknown"),
        "capabilities": e.capabilities, "supported_parameters": parameters(e), "status": if health.cooldown.is_some() { -2 } else { 0 },
        "zdr": e.terms.zdr.as_ref().is_some_and(|z| z.value == Zdr::Default), "terms": terms(&e.terms), "tier": e.tier, "source": e.source,
        "latency_last_30m": percentiles(&latency), "throughput_last_30m": percentiles(&throughput),
        "uptime_last_5m": null, "uptime_last_30m": null, "uptime_last_1d": null, "supports_implicit_caching": e.prices.cache_read.is_some(),
    })
}

/// Prices in USD per million tokens.
pub(super) fn per_million(prices: &Prices) -> Value {
    table(prices, Usd::per_million)
}

/// Prices in USD per token.
pub(super) fn per_token(prices: &Prices) -> Value {
    table(prices, |p| p.to_string())
}

fn table(prices: &Prices, token: impl Fn(Usd) -> String) -> Value {
    let rows = [
        ("prompt", prices.prompt.map(&token)),
        ("completion", prices.completion.map(&token)),
        ("input_cache_read", prices.cache_read.map(&token)),
        ("input_cache_write", prices.cache_write.map(&token)),
        ("request", prices.request.map(|p| p.to_string())),
        ("image", prices.image.map(|p| p.to_string())),
        ("audio", prices.audio.map(&token)),
    ];
    let known: Map<String, Value> = rows.into_iter().filter_map(|(name, price)| Some((name.to_owned(), json!(price?)))).collect();
    known.into()
}

/// The members that an endpoint is known to take.
pub(super) fn parameters(e: &Endpoint) -> Vec<String> {
    if let Some(listed) = &e.parameters {
        return listed.clone();
    }
    let mut out: Vec<&str> = vec!["max_tokens", "temperature", "top_p", "stop"];
    if e.address(Protocol::OpenaiChat).is_some_and(|a| a.protocol == Protocol::OpenaiChat) {
        out.extend(["frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs", "top_logprobs"]);
    }
    for (capability, members) in [
        ("tools", &["tools", "tool_choice", "parallel_tool_calls"][..]),
        ("structured_output", &["response_format", "structured_outputs"]),
        ("reasoning", &["reasoning", "include_reasoning", "reasoning_effort"]),
    ] {
        if e.can(capability) == Some(true) {
            out.extend(members);
        }
    }
    out.into_iter().map(ToOwned::to_owned).collect()
}
