//! Usage records, as the API shows them.

use anyrouter_core::{
    account::Caller,
    catalog::Usd,
    ids::RequestId,
    key::Scope,
    ports::{LogError, LogQuery, UsageLog as _},
    usage::{Outcome, Record},
    wire::error::ApiError,
};
use axum::{
    Extension,
    extract::{Path, Query, State},
    http::HeaderMap,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Error, Shared, caller, json};
use crate::{http::ClientIp, observe::outcome};

const READ: [Scope; 2] = [Scope::Inference, Scope::ReadAnalytics];

impl From<LogError> for Error {
    fn from(_: LogError) -> Self {
        ApiError::new(503, "storage_unavailable", "usage records cannot be read now; try again later").into()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ById {
    id: Option<String>,
}

pub(super) async fn generation(server: Shared, ip: Extension<ClientIp>, headers: HeaderMap, Query(query): Query<ById>) -> Answer {
    let Some(id) = query.id else {
        return Err(ApiError::new(400, "invalid_parameter", "`id` is missing; send /generation?id=gen-…").into());
    };
    generation_by_id(server, ip, headers, Path(id)).await
}

pub(super) async fn generation_by_id(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer {
    let caller = caller(&server, &headers, ip, &READ).await?;
    let missing = || ApiError::new(404, "not_found", "there is no such record, or it is not yours to see");
    let id = RequestId::parse(&id).ok_or_else(missing)?;
    let record = server.log.find(&caller.key.account, id).await?.filter(|r| may_see(&caller, r)).ok_or_else(missing)?;
    json(&json!({"data": show(&record)}))
}

/// A key with `inference` alone sees the records of its own requests.
fn may_see(caller: &Caller, record: &Record) -> bool {
    caller.key.scopes.contains(&Scope::ReadAnalytics) || record.key_hash == caller.key.hash
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Filter {
    limit: Option<usize>,
    model: Option<String>,
    status: Option<String>,
    before: Option<String>,
}

pub(super) async fn logs(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Answer {
    let caller = caller(&server, &headers, ip, &READ).await?;
    let query = query(&filter, &caller)?;
    let records = server.log.list(&caller.key.account, &query).await?;
    let rows: Vec<Value> = records.iter().map(show).collect();
    json(&json!({"data": rows}))
}

fn query(filter: &Filter, caller: &Caller) -> Result<LogQuery, ApiError> {
    let mut query = LogQuery { limit: filter.limit.unwrap_or(50).clamp(1, 1000), model: filter.model.clone(), ..LogQuery::default() };
    query.key = (!caller.key.scopes.contains(&Scope::ReadAnalytics)).then_some(caller.key.hash);
    if let Some(before) = &filter.before {
        let wrong = || ApiError::new(400, "invalid_parameter", "`before` must be the id of a request, as req_…");
        query.before = Some(RequestId::parse(before).ok_or_else(wrong)?);
    }
    if let Some(status) = &filter.status {
        let word: Result<Outcome, _> = serde_json::from_value(json!(status));
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

/// A record with OpenRouter's names and ours. Times are in milliseconds, money in USD.
pub(super) fn show(r: &Record) -> Value {
    let ms = |micros: u64| micros as f64 / 1000.0;
    let cost = r.cost.map(Usd::as_f64);
    let attempts: Vec<Value> = r
        .attempts
        .iter()
        .map(|a| json!({"endpoint": a.endpoint, "outcome": a.outcome, "http_status": a.http_status, "latency": ms(a.latency)}))
        .collect();
    let responses: Vec<Value> =
        r.attempts.iter().map(|a| json!({"endpoint_id": a.endpoint, "provider_name": a.endpoint.as_str().split('/').next(), "status": a.http_status, "latency": ms(a.latency), "is_byok": false})).collect();
    json!({
        "id": r.id.generation(), "request_id": r.id, "created_at": r.created_at.to_string(), "model": r.model, "model_requested": r.model_requested,
        "provider_name": r.provider_name, "provider": r.provider, "endpoint": r.endpoint, "upstream_id": r.upstream_id, "api_type": "completions",
        "streamed": r.streamed, "cancelled": r.outcome == Outcome::Cancelled, "outcome": outcome(r.outcome), "http_status": r.http_status,
        "error_code": r.error_code, "finish_reason": r.finish_reason, "native_finish_reason": r.native_finish_reason,
        "latency": ms(r.latency), "time_to_first_byte": r.time_to_first_byte.map(ms), "generation_time": r.generation_time.map(ms),
        "generation_speed": speed(r),
        "tokens_prompt": r.tokens.prompt, "tokens_completion": r.tokens.completion, "native_tokens_prompt": r.tokens.prompt,
        "native_tokens_completion": r.tokens.completion, "native_tokens_cached": r.tokens.cached, "native_tokens_reasoning": r.tokens.reasoning,
        "native_tokens_cache_write": r.tokens.cache_write, "estimated": r.estimated,
        "total_cost": cost, "usage": cost, "upstream_inference_cost": cost, "cost": r.cost.map(|c| c.to_string()), "is_byok": false,
        "key_hash": r.key_hash, "ip": r.ip, "attempts": attempts, "provider_responses": responses, "policy": r.policy, "catalog": r.catalog,
        "cache_key": r.cache_key, "session_id": r.session_id, "app_id": null, "origin": null, "http_referer": null, "user_agent": null,
        "external_user": null, "preset_id": null, "router": null, "moderation_latency": null, "cache_discount": null, "service_tier": null,
        "data_region": "global", "num_media_prompt": null, "num_media_completion": null, "num_search_results": null,
    })
}

/// Tokens of answer a second, once it had begun.
fn speed(r: &Record) -> Option<f64> {
    let seconds = r.generation_time.filter(|t| *t > 0)? as f64 / 1e6;
    Some(r.tokens.completion as f64 / seconds)
}
