//! API of the providers with their terms, and of the endpoints.

use std::{collections::BTreeMap, sync::Arc};

use anyrouter_core::{
    catalog::{Endpoint, Fact, Prices, Protocol, Provider, Terms, Tier, Usd, Zdr},
    ids::{EndpointId, ModelId, ProviderSlug},
    time::Timestamp,
};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::App,
    auth::Public,
    respond::{Data, Error},
    routes::Shared,
};

/// A provider, with its terms.
#[derive(Serialize, JsonSchema)]
pub(super) struct ProviderRow {
    slug: ProviderSlug,
    name: Arc<str>,
    tier: &'static str,
    /// True if this server has a key for it, or it needs none.
    has_key: bool,
    terms: TermsRow,
    datacenters: Option<Vec<String>>,
    privacy_policy_url: (),
    terms_of_service_url: Option<String>,
    status_page_url: (),
    headquarters: (),
}

/// A provider's terms for the data that it receives.
#[derive(Serialize, JsonSchema)]
pub(super) struct TermsRow {
    trains_on_paid: FactRow<bool>,
    trains_on_free: FactRow<bool>,
    publishes_free: FactRow<bool>,
    retention_days: FactRow<u32>,
    zdr: FactRow<&'static str>,
    regions: FactRow<Vec<String>>,
}

/// A statement, with its source page and the date on which it was checked. A missing statement
/// counts as the worst case.
#[derive(Serialize, JsonSchema)]
pub(super) struct FactRow<T> {
    value: Option<T>,
    known: bool,
    because: Option<String>,
    source: Option<String>,
    checked: Option<String>,
}

impl<T> FactRow<T> {
    fn of<F>(fact: &Option<Fact<F>>, value: impl Fn(&F) -> T) -> Self {
        let f = fact.as_ref();
        Self {
            value: f.map(|f| value(&f.value)),
            known: f.is_some(),
            because: f.and_then(|f| f.because.as_ref()).map(ToString::to_string),
            source: f.and_then(|f| f.source.as_ref()).map(ToString::to_string),
            checked: f.and_then(|f| f.checked.as_ref()).map(ToString::to_string),
        }
    }
}

impl TermsRow {
    fn of(terms: &Terms) -> Self {
        let zdr = |zdr: &Zdr| match zdr {
            Zdr::Default => "default",
            Zdr::OnRequest => "on_request",
            Zdr::No => "no",
        };
        Self {
            trains_on_paid: FactRow::of(&terms.trains_on_paid, |v| *v),
            trains_on_free: FactRow::of(&terms.trains_on_free, |v| *v),
            publishes_free: FactRow::of(&terms.publishes_free, |v| *v),
            retention_days: FactRow::of(&terms.retention_days, |v| *v),
            zdr: FactRow::of(&terms.zdr, zdr),
            regions: FactRow::of(&terms.regions, Clone::clone),
        }
    }
}

/// Every provider, with its terms, their source and date.
pub(super) async fn providers(
    _: Public,
    State(app): Shared,
) -> Result<Data<Vec<ProviderRow>>, Error> {
    let config = app.config();
    let keys = &app.gateway.ports().credentials;
    let row = |p: &Provider| ProviderRow {
        slug: p.slug.clone(),
        name: p.name.clone(),
        tier: tier(p.tier),
        has_key: keys.holder(None, p).is_some(),
        terms: TermsRow::of(&p.terms),
        datacenters: p.terms.regions.as_ref().map(|r| r.value.clone()),
        privacy_policy_url: (),
        terms_of_service_url: p
            .terms
            .trains_on_paid
            .as_ref()
            .and_then(|f| f.source.as_ref())
            .map(ToString::to_string),
        status_page_url: (),
        headquarters: (),
    };
    Ok(Data {
        data: config.catalog.providers().iter().map(row).collect(),
    })
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Free => "free",
        Tier::Paid => "paid",
        Tier::Unknown => "unknown",
    }
}

/// Endpoints with zero data retention.
pub(super) async fn zdr(_: Public, State(app): Shared) -> Result<Data<Vec<EndpointRow>>, Error> {
    let config = app.config();
    let zdr = |e: &&Endpoint| {
        e.terms
            .zdr
            .as_ref()
            .is_some_and(|z| z.value == Zdr::Default)
    };
    let now = app.clock().now();
    Ok(Data {
        data: config
            .catalog
            .endpoints()
            .iter()
            .filter(zdr)
            .map(|e| EndpointRow::of(&app, e, now))
            .collect(),
    })
}

/// An endpoint: a model at a provider. Prices are in USD per token, latency in seconds, throughput
/// in tokens a second.
#[derive(Serialize, JsonSchema)]
pub(super) struct EndpointRow {
    id: EndpointId,
    name: String,
    model_id: ModelId,
    model_name: ModelId,
    provider: ProviderSlug,
    provider_name: Arc<str>,
    tag: String,
    context_length: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_prompt_tokens: Option<u64>,
    pricing: PriceTable,
    quantization: String,
    capabilities: Option<Vec<String>>,
    supported_parameters: Vec<String>,
    /// 0, or -2 during a cooldown.
    status: i32,
    zdr: bool,
    terms: TermsRow,
    tier: &'static str,
    source: Option<String>,
    latency_last_30m: Option<Percentiles>,
    throughput_last_30m: Option<Percentiles>,
    uptime_last_5m: (),
    uptime_last_30m: (),
    uptime_last_1d: (),
    supports_implicit_caching: bool,
}

#[derive(Serialize, JsonSchema)]
struct Percentiles {
    p50: f64,
    p75: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

impl EndpointRow {
    pub(super) fn of(app: &App, e: &Endpoint, now: Timestamp) -> Self {
        let health = app.gateway.health().view(&e.id, now);
        let percentiles = |f: &dyn Fn(u8) -> Option<f64>| {
            f(50).map(|p50| Percentiles {
                p50,
                p75: f(75),
                p90: f(90),
                p99: f(99),
            })
        };
        Self {
            id: e.id.clone(),
            name: format!("{}: {}", e.provider_name, e.model),
            model_id: e.model.clone(),
            model_name: e.model.clone(),
            provider: e.provider.clone(),
            provider_name: e.provider_name.clone(),
            tag: e.tag.to_string(),
            context_length: e.context,
            max_completion_tokens: e.max_output,
            max_prompt_tokens: e.context,
            pricing: per_token(&e.prices),
            quantization: e.quantization.as_deref().unwrap_or("unknown").to_owned(),
            capabilities: e.capabilities.clone(),
            supported_parameters: parameters(e),
            status: if health.cooldown.is_some() { -2 } else { 0 },
            zdr: e
                .terms
                .zdr
                .as_ref()
                .is_some_and(|z| z.value == Zdr::Default),
            terms: TermsRow::of(&e.terms),
            tier: tier(e.tier),
            source: e.source.as_ref().map(ToString::to_string),
            latency_last_30m: percentiles(&|p| health.first_byte(p).map(|v| v as f64 / 1e6)),
            throughput_last_30m: percentiles(&|p| health.throughput(p)),
            uptime_last_5m: (),
            uptime_last_30m: (),
            uptime_last_1d: (),
            supports_implicit_caching: e.prices.cache_read.is_some(),
        }
    }
}

/// Prices in USD, as decimal numbers. Unknown prices are omitted.
pub(super) type PriceTable = BTreeMap<&'static str, String>;

/// Prices in USD per million tokens.
pub(super) fn per_million(prices: &Prices) -> PriceTable {
    table(prices, Usd::per_million)
}

/// Prices in USD per token.
pub(super) fn per_token(prices: &Prices) -> PriceTable {
    table(prices, |p| p.to_string())
}

fn table(prices: &Prices, token: impl Fn(Usd) -> String) -> PriceTable {
    let rows = [
        ("prompt", prices.prompt.map(&token)),
        ("completion", prices.completion.map(&token)),
        ("input_cache_read", prices.cache_read.map(&token)),
        ("input_cache_write", prices.cache_write.map(&token)),
        ("request", prices.request.map(|p| p.to_string())),
        ("image", prices.image.map(|p| p.to_string())),
        ("audio", prices.audio.map(&token)),
    ];
    rows.into_iter()
        .filter_map(|(name, price)| Some((name, price?)))
        .collect()
}

/// Returns the request members that an endpoint is known to accept.
pub(super) fn parameters(e: &Endpoint) -> Vec<String> {
    if let Some(listed) = &e.parameters {
        return listed.clone();
    }
    let mut out: Vec<&str> = vec!["max_tokens", "temperature", "top_p", "stop"];
    if e.address(Protocol::Chat)
        .is_some_and(|a| a.protocol == Protocol::Chat)
    {
        out.extend([
            "frequency_penalty",
            "presence_penalty",
            "seed",
            "logit_bias",
            "logprobs",
            "top_logprobs",
        ]);
    }
    for (capability, members) in [
        (
            "tools",
            &["tools", "tool_choice", "parallel_tool_calls"][..],
        ),
        (
            "structured_output",
            &["response_format", "structured_outputs"],
        ),
        (
            "reasoning",
            &["reasoning", "include_reasoning", "reasoning_effort"],
        ),
    ] {
        if e.can(capability) == Some(true) {
            out.extend(members);
        }
    }
    out.into_iter().map(ToOwned::to_owned).collect()
}
