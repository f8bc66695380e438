//! API of the models.

use std::sync::Arc;

use anyrouter_core::{
    account::Instance,
    catalog::{Catalog, Endpoint, Model, Zdr},
    ids::{ModelId, ProviderSlug},
    policy::{CompiledLayers, evaluate},
    time::Timestamp,
    wire::error::ApiError,
};
use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::{EndpointRow, PriceTable, parameters, per_million, per_token};
use crate::{
    app::App,
    auth::{AnyKey, Auth, Public},
    respond::{Data, Error, Json},
    routes::Shared,
};

/// Filter of a list of models.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct ModelFilter {
    /// Endpoints of this provider.
    provider: Option<String>,
    /// Models of this category, such as `chat`.
    category: Option<String>,
    /// Endpoints with this capability, such as `tools` or `vision`.
    capability: Option<String>,
    /// Minimum context of an endpoint, in tokens.
    min_context: Option<u64>,
    /// `0` ignores the caller's policy.
    privacy: Option<String>,
    /// `1` keeps only endpoints with zero data retention.
    zdr: Option<String>,
    /// Sort order, such as `price`, `context` or `name`.
    sort: Option<String>,
    /// Text that the id or the name contains.
    q: Option<String>,
    /// Maximum number of models.
    limit: Option<usize>,
}

impl ModelFilter {
    /// Rejects an unknown value of `zdr`, so that a misspelling does not look like a filter.
    fn check(&self) -> Result<(), ApiError> {
        if self
            .zdr
            .as_deref()
            .is_none_or(|word| matches!(word, "" | "0" | "1" | "false" | "true"))
        {
            return Ok(());
        }
        let mut error = ApiError::new(400, "invalid_parameter", "`zdr` must be 1 or 0");
        error.param = Some("zdr".to_owned());
        Err(error)
    }
}

/// A model with its visible endpoints.
struct Row<'a> {
    model: &'a Model,
    endpoints: Vec<&'a Endpoint>,
    is_available: bool,
}

impl<'a> Row<'a> {
    fn new(app: &App, instance: &Instance, model: &'a Model, endpoints: Vec<&'a Endpoint>) -> Self {
        let is_available = endpoints
            .iter()
            .any(|e| app.gateway.holder(instance, None, e).is_some());
        Self {
            model,
            endpoints,
            is_available,
        }
    }
}

fn is_on(value: Option<&String>) -> bool {
    value.is_some_and(|v| !matches!(v.as_str(), "" | "0" | "false"))
}

/// Returns the filtered models, under the caller's policy if `layers` is given.
fn rows<'a>(
    app: &App,
    instance: &'a Instance,
    layers: Option<&CompiledLayers>,
    narrow: &ModelFilter,
) -> Vec<Row<'a>> {
    let catalog = instance.catalog.catalog();
    let mut out = Vec::new();
    for (index, model) in catalog.models().iter().enumerate() {
        let admitted = |e: &&Endpoint| {
            layers.is_none_or(|l| {
                evaluate(l, &[], index)
                    .eligible()
                    .any(|x| x.endpoint().id == e.id)
            })
        };
        let fits = |e: &&Endpoint| {
            narrow
                .provider
                .as_ref()
                .is_none_or(|p| anyrouter_core::policy::ProviderPattern::new(p).matches(e))
                && narrow
                    .capability
                    .as_ref()
                    .is_none_or(|c| e.can(c) == Some(true))
                && narrow
                    .min_context
                    .is_none_or(|n| e.context.is_some_and(|c| c >= n))
                && (!is_on(narrow.zdr.as_ref())
                    || e.terms
                        .zdr
                        .as_ref()
                        .is_some_and(|z| z.value == Zdr::Default))
        };
        let endpoints: Vec<&Endpoint> = catalog
            .endpoints_of(model)
            .iter()
            .filter(fits)
            .filter(admitted)
            .collect();
        let text = format!("{} {}", model.id, model.name).to_lowercase();
        let named = narrow
            .q
            .as_ref()
            .is_none_or(|q| text.contains(&q.to_lowercase()));
        if named
            && !endpoints.is_empty()
            && narrow
                .category
                .as_ref()
                .is_none_or(|c| **c == *model.category)
        {
            out.push(Row::new(app, instance, model, endpoints));
        }
    }
    match narrow.sort.as_deref() {
        Some("price" | "pricing-low-to-high") => {
            out.sort_by_key(|r| cheapest(r).map_or((true, None), |p| (false, Some(p))));
        }
        Some("context" | "context-high-to-low") => {
            out.sort_by_key(|r| {
                std::cmp::Reverse(r.endpoints.iter().filter_map(|e| e.context).max())
            });
        }
        Some("name") => out.sort_by(|a, b| a.model.id.cmp(&b.model.id)),
        Some("created" | "newest") => out.sort_by_key(|r| std::cmp::Reverse(r.model.created)),
        _ => {}
    }
    out.truncate(narrow.limit.unwrap_or(usize::MAX));
    out
}

fn cheapest(row: &Row<'_>) -> Option<u64> {
    row.endpoints
        .iter()
        .filter_map(|e| Some(e.prices.prompt?.plus(e.prices.completion?).pico()))
        .min()
}

/// A model, with the combined capabilities of its endpoints and the prices of the first.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelRow {
    id: ModelId,
    canonical_slug: ModelId,
    object: &'static str,
    /// True if one of its providers has a key here.
    available: bool,
    name: Arc<str>,
    display_name: Arc<str>,
    provider: Option<ProviderSlug>,
    /// Tags of its endpoints.
    providers: Vec<String>,
    owned_by: String,
    category: String,
    /// Seconds since 1970, or 0 if unknown.
    created: u64,
    description: String,
    context_length: Option<u64>,
    /// USD per million tokens.
    pricing: Option<PriceTable>,
    /// USD per token.
    pricing_per_token: Option<PriceTable>,
    capabilities: Vec<String>,
    supported_parameters: Vec<String>,
    architecture: Architecture,
    top_provider: TopProvider,
    per_request_limits: (),
    links: Links,
}

#[derive(Serialize, JsonSchema)]
struct Architecture {
    modality: String,
    input_modalities: Vec<&'static str>,
    output_modalities: Vec<&'static str>,
    tokenizer: &'static str,
    instruct_type: (),
}

#[derive(Serialize, JsonSchema)]
struct TopProvider {
    context_length: Option<u64>,
    max_completion_tokens: Option<u64>,
    is_moderated: bool,
}

#[derive(Serialize, JsonSchema)]
struct Links {
    details: String,
}

/// A list of models in the format of OpenAI and OpenRouter.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelList {
    object: &'static str,
    data: Vec<ModelRow>,
    total_count: usize,
}

/// A list of models, in Anthropic's format if `anthropic-version` or `x-api-key` is sent.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ModelListing {
    Openai(ModelList),
    Anthropic(AnthropicList),
}

/// A model, in Anthropic's format if `anthropic-version` or `x-api-key` is sent.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneModel {
    Openai(Box<ModelRow>),
    Anthropic(AnthropicModel),
}

#[derive(Serialize, JsonSchema)]
pub(super) struct AnthropicList {
    data: Vec<AnthropicModel>,
    has_more: bool,
    first_id: Option<ModelId>,
    last_id: Option<ModelId>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct AnthropicModel {
    #[serde(rename = "type")]
    kind: &'static str,
    id: ModelId,
    display_name: Arc<str>,
    created_at: String,
}

/// Number of models.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelCount {
    data: Count,
    count: usize,
}

#[derive(Serialize, JsonSchema)]
struct Count {
    count: usize,
}

/// A model's endpoints.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelEndpoints {
    id: ModelId,
    name: Arc<str>,
    created: u64,
    description: String,
    architecture: Architecture,
    endpoints: Vec<EndpointRow>,
}

impl ModelRow {
    fn of(row: &Row<'_>) -> Self {
        let (model, first) = (row.model, row.endpoints.first());
        let can = |c: &str| row.endpoints.iter().any(|e| e.can(c) == Some(true));
        let mut input = vec!["text"];
        input.extend(can("vision").then_some("image"));
        input.extend(can("files").then_some("file"));
        input.extend(can("audio").then_some("audio"));
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names.dedup();
            names
        };
        Self {
            id: model.id.clone(),
            canonical_slug: model.id.clone(),
            object: "model",
            available: row.is_available,
            name: model.name.clone(),
            display_name: model.name.clone(),
            provider: first.map(|e| e.provider.clone()),
            providers: row.endpoints.iter().map(|e| e.tag.to_string()).collect(),
            owned_by: model
                .id
                .as_str()
                .split('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            category: model.category.to_string(),
            created: model.created.unwrap_or(0),
            description: model.description.as_deref().unwrap_or_default().to_owned(),
            context_length: row.endpoints.iter().filter_map(|e| e.context).max(),
            pricing: first.map(|e| per_million(&e.prices)),
            pricing_per_token: first.map(|e| per_token(&e.prices)),
            capabilities: sorted(
                row.endpoints
                    .iter()
                    .filter_map(|e| e.capabilities.as_ref())
                    .flatten()
                    .cloned()
                    .collect(),
            ),
            supported_parameters: sorted(
                row.endpoints.iter().flat_map(|e| parameters(e)).collect(),
            ),
            architecture: Architecture {
                modality: format!("{}->text", input.join("+")),
                input_modalities: input,
                output_modalities: vec!["text"],
                tokenizer: "Other",
                instruct_type: (),
            },
            top_provider: TopProvider {
                context_length: first.and_then(|e| e.context),
                max_completion_tokens: first.and_then(|e| e.max_output),
                is_moderated: false,
            },
            per_request_limits: (),
            links: Links {
                details: format!("/api/v1/models/{}/endpoints", model.id),
            },
        }
    }
}

impl ModelList {
    fn of(rows: &[Row<'_>]) -> Self {
        Self {
            object: "list",
            data: rows.iter().map(ModelRow::of).collect(),
            total_count: rows.len(),
        }
    }
}

impl AnthropicModel {
    fn of(row: &Row<'_>) -> Self {
        let model = row.model;
        Self {
            kind: "model",
            id: model.id.clone(),
            display_name: model.name.clone(),
            created_at: Timestamp::from_millis(model.created.unwrap_or(0) * 1000).to_string(),
        }
    }
}

impl AnthropicList {
    fn of(rows: &[Row<'_>]) -> Self {
        let id = |r: Option<&Row<'_>>| r.map(|r| r.model.id.clone());
        Self {
            data: rows.iter().map(AnthropicModel::of).collect(),
            has_more: false,
            first_id: id(rows.first()),
            last_id: id(rows.last()),
        }
    }
}

/// A list of models in Google's format.
#[derive(Serialize, JsonSchema)]
pub(super) struct GoogleList {
    models: Vec<GoogleModel>,
}

/// A model in Google's format.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GoogleModel {
    name: String,
    version: &'static str,
    display_name: Arc<str>,
    input_token_limit: Option<u64>,
    output_token_limit: Option<u64>,
    supported_generation_methods: [&'static str; 3],
}

impl GoogleModel {
    fn of(row: &Row<'_>) -> Self {
        let most =
            |f: fn(&Endpoint) -> Option<u64>| row.endpoints.iter().filter_map(|e| f(e)).max();
        Self {
            name: format!("models/{}", row.model.id),
            version: "1",
            display_name: row.model.name.clone(),
            input_token_limit: most(|e| e.context),
            output_token_limit: most(|e| e.max_output),
            supported_generation_methods: [
                "generateContent",
                "streamGenerateContent",
                "countTokens",
            ],
        }
    }
}

/// Returns the models in Google's format.
pub(super) fn google_list(app: &App) -> GoogleList {
    let instance = app.gateway.instance();
    let rows = rows(app, &instance, None, &ModelFilter::default());
    GoogleList {
        models: rows.iter().map(GoogleModel::of).collect(),
    }
}

/// Returns one model in Google's format, by its id, an alias, or its bare name.
pub(super) fn google_model(app: &App, name: &str) -> Result<GoogleModel, ApiError> {
    let instance = app.gateway.instance();
    let catalog = instance.catalog.catalog();
    let model = find(catalog, name)?;
    let endpoints = catalog.endpoints_of(model).iter().collect();
    Ok(GoogleModel::of(&Row::new(app, &instance, model, endpoints)))
}

/// Returns the caller's layers, or `None` without a key or with `privacy=0`.
fn layers(
    app: &App,
    caller: Option<&Auth<AnyKey>>,
    narrow: &ModelFilter,
) -> Option<Arc<CompiledLayers>> {
    let off = narrow.privacy.as_deref() == Some("0");
    let caller = caller.filter(|_| !off)?;
    Some(caller.layers(&app.gateway.instance()))
}

pub(super) async fn list(
    _: Public,
    caller: Option<Auth<AnyKey>>,
    State(app): Shared,
    headers: HeaderMap,
    Query(narrow): Query<ModelFilter>,
) -> Result<Json<ModelListing>, Error> {
    narrow.check()?;
    let layers = layers(&app, caller.as_ref(), &narrow);
    let instance = app.gateway.instance();
    let rows = rows(&app, &instance, layers.as_deref(), &narrow);
    Ok(Json(if wants_anthropic(&headers) {
        ModelListing::Anthropic(AnthropicList::of(&rows))
    } else {
        ModelListing::Openai(ModelList::of(&rows))
    }))
}

/// Lists the models that the caller's policy admits.
pub(super) async fn user(
    caller: Auth<AnyKey>,
    State(app): Shared,
    Query(narrow): Query<ModelFilter>,
) -> Result<Json<ModelList>, Error> {
    narrow.check()?;
    let instance = app.gateway.instance();
    let layers = caller.layers(&instance);
    let rows = rows(&app, &instance, Some(&layers), &narrow);
    Ok(Json(ModelList::of(&rows)))
}

pub(super) async fn count(
    _: Public,
    caller: Option<Auth<AnyKey>>,
    State(app): Shared,
    Query(narrow): Query<ModelFilter>,
) -> Result<Json<ModelCount>, Error> {
    narrow.check()?;
    let layers = layers(&app, caller.as_ref(), &narrow);
    let instance = app.gateway.instance();
    let count = rows(&app, &instance, layers.as_deref(), &narrow).len();
    Ok(Json(ModelCount {
        data: Count { count },
        count,
    }))
}

/// Returns the model of this name, or an error that suggests similar names.
fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Model, ApiError> {
    if let Some(model) = catalog.find(name).and_then(|i| catalog.models().get(i)) {
        return Ok(model);
    }
    let near = catalog.near(name);
    let hint = if near.is_empty() {
        "GET /api/v1/models lists what there is".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    Err(ApiError::new(
        404,
        "model_not_found",
        format!("no such model: {hint}"),
    ))
}

/// Returns true if a client of Anthropic's protocol asks.
fn wants_anthropic(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version") || headers.contains_key("x-api-key")
}

/// Returns one model, by its id with `/` escaped, an alias, or its bare name.
pub(super) async fn one(
    _: Public,
    State(app): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<OneModel>, Error> {
    let instance = app.gateway.instance();
    let catalog = instance.catalog.catalog();
    let model = find(catalog, &id)?;
    let endpoints = catalog.endpoints_of(model).iter().collect();
    let row = Row::new(&app, &instance, model, endpoints);
    Ok(Json(if wants_anthropic(&headers) {
        OneModel::Anthropic(AnthropicModel::of(&row))
    } else {
        OneModel::Openai(Box::new(ModelRow::of(&row)))
    }))
}

/// Returns one model, by its unescaped id.
pub(super) async fn one_of(
    public: Public,
    app: Shared,
    headers: HeaderMap,
    Path((author, slug)): Path<(String, String)>,
) -> Result<Json<OneModel>, Error> {
    one(public, app, headers, Path(format!("{author}/{slug}"))).await
}

pub(super) async fn endpoints(
    _: Public,
    State(app): Shared,
    Path((author, slug)): Path<(String, String)>,
) -> Result<Data<ModelEndpoints>, Error> {
    let instance = app.gateway.instance();
    let catalog = instance.catalog.catalog();
    let model = find(catalog, &format!("{author}/{slug}"))?;
    let now = app.clock().now();
    let endpoints = catalog.endpoints_of(model);
    let whole = ModelRow::of(&Row::new(
        &app,
        &instance,
        model,
        endpoints.iter().collect(),
    ));
    Ok(Data {
        data: ModelEndpoints {
            id: whole.id,
            name: whole.name,
            created: whole.created,
            description: whole.description,
            architecture: whole.architecture,
            endpoints: endpoints
                .iter()
                .map(|e| EndpointRow::of(&app, e, now))
                .collect(),
        },
    })
}
