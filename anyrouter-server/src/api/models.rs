//! What there is to ask for.

use anyrouter_core::{
    catalog::{Catalog, Endpoint, Model, Zdr},
    policy::{CompiledLayers, evaluate},
    wire::error::ApiError,
};
use axum::{
    Extension,
    extract::{Path, Query, State},
    http::HeaderMap,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Error, Shared, caller,
    catalog::{endpoint, parameters, per_million, per_token},
    json,
};
use crate::{http::ClientIp, server::Server};

/// What a list may be narrowed to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Narrow {
    provider: Option<String>,
    category: Option<String>,
    capability: Option<String>,
    min_context: Option<u64>,
    privacy: Option<String>,
    zdr: Option<String>,
    sort: Option<String>,
    q: Option<String>,
    limit: Option<usize>,
}

/// A model with those of its endpoints that are shown.
struct Row<'a> {
    model: &'a Model,
    endpoints: Vec<&'a Endpoint>,
}

fn is_on(value: Option<&String>) -> bool {
    value.is_some_and(|v| !matches!(v.as_str(), "" | "0" | "false"))
}

/// The models, narrowed; under `layers` where the caller's policy is to be applied.
fn rows<'a>(catalog: &'a Catalog, layers: Option<&CompiledLayers>, narrow: &Narrow) -> Vec<Row<'a>> {
    let mut out = Vec::new();
    for (index, model) in catalog.models().iter().enumerate() {
        let admitted = |e: &&Endpoint| layers.is_none_or(|l| evaluate(l, &[], index).eligible().any(|x| x.endpoint().id == e.id));
        let fits = |e: &&Endpoint| {
            narrow.provider.as_ref().is_none_or(|p| anyrouter_core::policy::ProviderPattern::new(p).matches(e))
                && narrow.capability.as_ref().is_none_or(|c| e.can(c) == Some(true))
                && narrow.min_context.is_none_or(|n| e.context.is_some_and(|c| c >= n))
                && (!is_on(narrow.zdr.as_ref()) || e.terms.zdr.as_ref().is_some_and(|z| z.value == Zdr::Default))
        };
        let endpoints: Vec<&Endpoint> = catalog.endpoints_of(model).iter().filter(fits).filter(admitted).collect();
        let text = format!("{} {}", model.id, model.name).to_lowercase();
        let named = narrow.q.as_ref().is_none_or(|q| text.contains(&q.to_lowercase()));
        if named && !endpoints.is_empty() && narrow.category.as_ref().is_none_or(|c| **c == *model.category) {
            out.push(Row { model, endpoints });
        }
    }
    match narrow.sort.as_deref() {
        Some("price" | "pricing-low-to-high") => out.sort_by_key(|r| cheapest(r).map_or((true, None), |p| (false, Some(p)))),
        Some("context" | "context-high-to-low") => {
            out.sort_by_key(|r| std::cmp::Reverse(r.endpoints.iter().filter_map(|e| e.context).max()));
        }
        Some("name") => out.sort_by(|a, b| a.model.id.cmp(&b.model.id)),
        Some("created" | "newest") => out.sort_by_key(|r| std::cmp::Reverse(r.model.created)),
        _ => {}
    }
    out.truncate(narrow.limit.unwrap_or(usize::MAX));
    out
}

fn cheapest(row: &Row<'_>) -> Option<u64> {
    row.endpoints.iter().filter_map(|e| Some(e.prices.prompt?.plus(e.prices.completion?).pico())).min()
}

fn show(row: &Row<'_>) -> Value {
    let (model, first) = (row.model, row.endpoints.first());
    let context = row.endpoints.iter().filter_map(|e| e.context).max();
    let author = model.id.as_str().split('/').next().unwrap_or_default();
    let can = |c: &str| row.endpoints.iter().any(|e| e.can(c) == Some(true));
    let mut input = vec!["text"];
    input.extend(can("vision").then_some("image"));
    input.extend(can("files").then_some("file"));
    input.extend(can("audio").then_some("audio"));
    let mut capabilities: Vec<&String> = row.endpoints.iter().filter_map(|e| e.capabilities.as_ref()).flatten().collect();
    capabilities.sort();
    capabilities.dedup();
    let mut supported: Vec<String> = row.endpoints.iter().flat_map(|e| parameters(e)).collect();
    supported.sort();
    supported.dedup();
    json!({
        "id": model.id, "canonical_slug": model.id, "object": "model", "name": model.name, "display_name": model.name,
        "provider": first.map(|e| e.provider.as_str()), "providers": row.endpoints.iter().map(|e| e.tag.as_ref()).collect::<Vec<_>>(),
        "owned_by": author, "category": model.category, "created": model.created.unwrap_or(0), "description": model.description.as_deref().unwrap_or(""),
        "context_length": context, "pricing": first.map(|e| per_million(&e.prices)), "pricing_per_token": first.map(|e| per_token(&e.prices)),
        "capabilities": capabilities, "supported_parameters": supported,
        "architecture": {"modality": format!("{}->text", input.join("+")), "input_modalities": input, "output_modalities": ["text"], "tokenizer": "Other", "instruct_type": null},
        "top_provider": {"context_length": first.and_then(|e| e.context), "max_completion_tokens": first.and_then(|e| e.max_output), "is_moderated": false},
        "per_request_limits": null, "links": {"details": format!("/api/v1/models/{}/endpoints", model.id)},
    })
}

/// The layers of whoever calls, where there is a key and `privacy=0` was not asked for.
async fn layers(
    server: &Server,
    headers: &HeaderMap,
    ip: ClientIp,
    narrow: &Narrow,
) -> Result<Option<std::sync::Arc<CompiledLayers>>, Error> {
    if !headers.contains_key("authorization") && !headers.contains_key("x-api-key") {
        return Ok(None);
    }
    let caller = caller(server, headers, ip, &[]).await?;
    let off = narrow.privacy.as_deref() == Some("0");
    Ok((!off).then(|| caller.layers(&server.gateway.world())))
}

pub(super) async fn list(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    Query(narrow): Query<Narrow>,
) -> Answer {
    let layers = layers(&server, &headers, ip, &narrow).await?;
    let world = server.gateway.world();
    let rows = rows(world.catalog.catalog(), layers.as_deref(), &narrow);
    if headers.contains_key("anthropic-version") || headers.contains_key("x-api-key") {
        let data: Vec<Value> = rows
            .iter()
            .map(|r| {
                let created = anyrouter_core::time::Timestamp::from_millis(r.model.created.unwrap_or(0) * 1000);
                json!({"type": "model", "id": r.model.id, "display_name": r.model.name, "created_at": created.to_string()})
            })
            .collect();
        let id = |r: Option<&Row<'_>>| r.map(|r| r.model.id.to_string());
        return json(&json!({"data": data, "has_more": false, "first_id": id(rows.first()), "last_id": id(rows.last())}));
    }
    let data: Vec<Value> = rows.iter().map(show).collect();
    json(&json!({"object": "list", "data": data, "total_count": data.len()}))
}

/// The models that the caller's policy leaves.
pub(super) async fn user(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    Query(narrow): Query<Narrow>,
) -> Answer {
    let caller = caller(&server, &headers, ip, &[]).await?;
    let world = server.gateway.world();
    let layers = caller.layers(&world);
    let data: Vec<Value> = rows(world.catalog.catalog(), Some(&layers), &narrow).iter().map(show).collect();
    json(&json!({"object": "list", "data": data}))
}

pub(super) async fn count(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    Query(narrow): Query<Narrow>,
) -> Answer {
    let layers = layers(&server, &headers, ip, &narrow).await?;
    let world = server.gateway.world();
    let count = rows(world.catalog.catalog(), layers.as_deref(), &narrow).len();
    json(&json!({"data": {"count": count}, "count": count}))
}

/// The model of this name, or an error that names those near it.
fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Model, ApiError> {
    if let Some(model) = catalog.find(name).and_then(|i| catalog.models().get(i)) {
        return Ok(model);
    }
    let near = catalog.near(name);
    let hint =
        if near.is_empty() { "GET /api/v1/models lists what there is".to_owned() } else { format!("did you mean {}?", near.join(", ")) };
    Err(ApiError::new(404, "model_not_found", format!("no such model: {hint}")))
}

/// One model, by its id with the `/` escaped, by an alias or by its bare name.
pub(super) async fn one(State(server): Shared, Path(id): Path<String>) -> Answer {
    let world = server.gateway.world();
    let catalog = world.catalog.catalog();
    let model = find(catalog, &id)?;
    json(&show(&Row { model, endpoints: catalog.endpoints_of(model).iter().collect() }))
}

/// One model, by its id as it is.
pub(super) async fn one_of(server: Shared, Path((author, slug)): Path<(String, String)>) -> Answer {
    one(server, Path(format!("{author}/{slug}"))).await
}

pub(super) async fn endpoints(State(server): Shared, Path((author, slug)): Path<(String, String)>) -> Answer {
    let world = server.gateway.world();
    let catalog = world.catalog.catalog();
    let model = find(catalog, &format!("{author}/{slug}"))?;
    let now = server.clock().now();
    let rows: Vec<Value> = catalog.endpoints_of(model).iter().map(|e| endpoint(&server, e, now)).collect();
    let whole = show(&Row { model, endpoints: catalog.endpoints_of(model).iter().collect() });
    json(&json!({"data": {
        "id": model.id, "name": model.name, "created": model.created.unwrap_or(0), "description": model.description.as_deref().unwrap_or(""),
        "architecture": whole["architecture"], "endpoints": rows,
    }}))
}
