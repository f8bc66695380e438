//! API of the usage records.

use std::{net::IpAddr, sync::Arc};

use anyrouter_core::{
    account::Caller,
    catalog::{Protocol, Usd},
    ids::{EndpointId, ModelId, ProviderSlug, RequestId},
    key::{KeyHash, Scope},
    ports::LogQuery,
    usage::{self, Outcome, Record},
    wire::error::ApiError,
};
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Auth, ReadUsage},
    respond::{Data, Error},
    routes::Shared,
};

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ById {
    /// Id of a generation or a request, such as `gen-…` or `req_…`.
    id: Option<String>,
}

pub(super) async fn generation(
    caller: Auth<ReadUsage>,
    app: Shared,
    Query(query): Query<ById>,
) -> Result<Data<Generation>, Error> {
    let Some(id) = query.id else {
        return Err(ApiError::new(
            400,
            "invalid_parameter",
            "`id` is missing; send /generation?id=gen-…",
        )
        .into());
    };
    generation_by_id(caller, app, Path(id)).await
}

pub(super) async fn generation_by_id(
    caller: Auth<ReadUsage>,
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<Data<Generation>, Error> {
    let missing = || {
        ApiError::new(
            404,
            "not_found",
            "there is no such record, or this key may not read it",
        )
    };
    let id = RequestId::parse(&id).ok_or_else(missing)?;
    let record = app
        .usage()
        .find(&caller.key.account, id)
        .await?
        .filter(|r| may_see(&caller, r))
        .ok_or_else(missing)?;
    Ok(Data {
        data: Generation::of(&record),
    })
}

/// Returns true if the caller may read a record. With `inference` alone, a key reads its own.
fn may_see(caller: &Caller, record: &Record) -> bool {
    caller.key.scopes.contains(&Scope::ReadAnalytics) || record.key_hash == caller.key.hash
}

/// Filter of usage records.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Filter {
    /// Maximum number of records: 50 by default, and never more than 1,000.
    limit: Option<usize>,
    /// Model of the records.
    model: Option<String>,
    /// Outcome, such as `upstream_error`, or HTTP status.
    status: Option<String>,
    /// Id of a request, as `req_…`; only older records are returned.
    before: Option<String>,
}

pub(super) async fn logs(
    caller: Auth<ReadUsage>,
    State(app): Shared,
    Query(filter): Query<Filter>,
) -> Result<Data<Vec<Generation>>, Error> {
    let query = query(&filter, &caller)?;
    let records = app.usage().list(&caller.key.account, &query).await?;
    Ok(Data {
        data: records.iter().map(Generation::of).collect(),
    })
}

fn query(filter: &Filter, caller: &Caller) -> Result<LogQuery, ApiError> {
    let mut query = LogQuery {
        limit: filter.limit.unwrap_or(50).clamp(1, 1000),
        model: filter.model.clone(),
        ..LogQuery::default()
    };
    query.key = (!caller.key.scopes.contains(&Scope::ReadAnalytics)).then_some(caller.key.hash);
    if let Some(before) = &filter.before {
        let wrong = || {
            ApiError::new(
                400,
                "invalid_parameter",
                "`before` must be the id of a request, as req_…",
            )
        };
        query.before = Some(RequestId::parse(before).ok_or_else(wrong)?);
    }
    if let Some(status) = &filter.status {
        let word: Result<Outcome, _> = serde_json::from_value(status.as_str().into());
        match (status.parse(), word) {
            (Ok(number), _) => query.status = Some(number),
            (_, Ok(outcome)) => query.outcome = Some(outcome),
            _ => {
                return Err(ApiError::new(
                    400,
                    "invalid_parameter",
                    "`status` must be an HTTP status or an outcome, as 200 or upstream_error",
                ));
            }
        }
    }
    Ok(query)
}

/// A usage record with OpenRouter's member names and additional ones. Times are in milliseconds,
/// amounts in USD. Values that are not kept are null.
#[derive(Serialize, JsonSchema)]
#[allow(clippy::struct_field_names)] // OpenRouter's names
pub(super) struct Generation {
    /// The generation's id.
    id: String,
    #[schemars(with = "String")]
    request_id: RequestId,
    created_at: String,
    /// The model that answered, or the last one tried.
    model: Option<ModelId>,
    model_requested: Option<String>,
    provider_name: Option<Arc<str>>,
    provider: Option<ProviderSlug>,
    endpoint: Option<EndpointId>,
    upstream_id: Option<String>,
    api_type: &'static str,
    /// The protocol of the client, as `anthropic_messages`.
    inbound: &'static str,
    /// The protocol of the provider that was reached last; null if none was.
    outbound: Option<&'static str>,
    streamed: bool,
    cancelled: bool,
    /// Outcome of the request.
    outcome: &'static str,
    http_status: u16,
    error_code: Option<String>,
    finish_reason: Option<String>,
    native_finish_reason: Option<String>,
    /// Time from acceptance to the end.
    latency: f64,
    /// Time from acceptance to the first byte of the response.
    time_to_first_byte: Option<f64>,
    /// Time from the first byte of the response to its end.
    generation_time: Option<f64>,
    /// Completion tokens per second, from the first byte on.
    generation_speed: Option<f64>,
    tokens_prompt: u64,
    tokens_completion: u64,
    native_tokens_prompt: u64,
    native_tokens_completion: u64,
    native_tokens_cached: u64,
    native_tokens_reasoning: u64,
    native_tokens_cache_write: u64,
    /// True if the provider did not report its usage.
    estimated: bool,
    total_cost: Option<f64>,
    usage: Option<f64>,
    upstream_inference_cost: Option<f64>,
    /// Exact cost, as a decimal number.
    cost: Option<String>,
    is_byok: bool,
    #[schemars(with = "String")]
    key_hash: KeyHash,
    ip: Option<IpAddr>,
    attempts: Vec<Attempt>,
    provider_responses: Vec<ProviderResponse>,
    policy: Option<Arc<str>>,
    catalog: Option<Arc<str>>,
    cache_key: Option<String>,
    /// Number of values redacted before the request was sent, by label.
    redacted: std::collections::BTreeMap<String, u64>,
    session_id: Option<String>,
    app_id: Option<String>,
    origin: (),
    http_referer: (),
    user_agent: (),
    external_user: (),
    preset_id: (),
    router: (),
    moderation_latency: (),
    cache_discount: (),
    service_tier: (),
    data_region: &'static str,
    num_media_prompt: (),
    num_media_completion: (),
    num_search_results: (),
}

/// An attempt at one endpoint.
#[derive(Serialize, JsonSchema)]
pub(super) struct Attempt {
    endpoint: EndpointId,
    outcome: String,
    http_status: Option<u16>,
    latency: f64,
}

impl Attempt {
    fn of(a: &usage::Attempt) -> Self {
        Self {
            endpoint: a.endpoint.clone(),
            outcome: a.outcome.to_string(),
            http_status: a.http_status,
            latency: ms(a.latency),
        }
    }
}

/// An attempt under OpenRouter's names.
#[derive(Serialize, JsonSchema)]
pub(super) struct ProviderResponse {
    endpoint_id: EndpointId,
    provider_name: String,
    status: Option<u16>,
    latency: f64,
    is_byok: bool,
}

impl ProviderResponse {
    fn of(r: &Record, a: &usage::Attempt) -> Self {
        let provider_name = a
            .endpoint
            .as_str()
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        Self {
            endpoint_id: a.endpoint.clone(),
            provider_name,
            status: a.http_status,
            latency: ms(a.latency),
            // Of the attempts before the answer, the record does not keep it.
            is_byok: r.is_byok && a.outcome == "ok",
        }
    }
}

fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

impl Generation {
    pub(super) fn of(r: &Record) -> Self {
        let cost = r.cost.map(Usd::as_f64);
        Self {
            id: r.id.generation(),
            request_id: r.id,
            created_at: r.created_at.to_string(),
            model: r.model.clone(),
            model_requested: r.model_requested.clone(),
            provider_name: r.provider_name.clone(),
            provider: r.provider.clone(),
            endpoint: r.endpoint.clone(),
            upstream_id: r.upstream_id.clone(),
            api_type: if r.counted {
                "count_tokens"
            } else {
                "completions"
            },
            inbound: r.inbound.name(),
            outbound: r.outbound.map(Protocol::name),
            streamed: r.streamed,
            cancelled: r.outcome == Outcome::Cancelled,
            outcome: r.outcome.name(),
            http_status: r.http_status,
            error_code: r.error_code.clone(),
            finish_reason: r.finish_reason.clone(),
            native_finish_reason: r.native_finish_reason.clone(),
            latency: ms(r.latency),
            time_to_first_byte: r.time_to_first_byte.map(ms),
            generation_time: r.generation_time.map(ms),
            generation_speed: speed(r),
            tokens_prompt: r.tokens.prompt,
            tokens_completion: r.tokens.completion,
            native_tokens_prompt: r.tokens.prompt,
            native_tokens_completion: r.tokens.completion,
            native_tokens_cached: r.tokens.cached,
            native_tokens_reasoning: r.tokens.reasoning,
            native_tokens_cache_write: r.tokens.cache_write,
            estimated: r.estimated,
            total_cost: cost,
            usage: cost,
            upstream_inference_cost: cost,
            cost: r.cost.map(|c| c.to_string()),
            is_byok: r.is_byok,
            key_hash: r.key_hash,
            ip: r.ip,
            attempts: r.attempts.iter().map(Attempt::of).collect(),
            provider_responses: r
                .attempts
                .iter()
                .map(|a| ProviderResponse::of(r, a))
                .collect(),
            policy: r.policy.clone(),
            catalog: r.catalog.clone(),
            cache_key: r.cache_key.clone(),
            redacted: r.redacted.clone(),
            session_id: r.session_id.clone(),
            app_id: r.app.clone(),
            origin: (),
            http_referer: (),
            user_agent: (),
            external_user: (),
            preset_id: (),
            router: (),
            moderation_latency: (),
            cache_discount: (),
            service_tier: (),
            data_region: "global",
            num_media_prompt: (),
            num_media_completion: (),
            num_search_results: (),
        }
    }
}

/// Returns the completion tokens per second, from the first byte on.
fn speed(r: &Record) -> Option<f64> {
    let seconds = r.generation_time.filter(|t| *t > 0)? as f64 / 1e6;
    Some(r.tokens.completion as f64 / seconds)
}
