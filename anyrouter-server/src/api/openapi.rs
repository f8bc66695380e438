//! The API's description (OpenAPI 3.1), made from what it describes: each route is added with what
//! it takes and answers, and the schemas are those of the types that are read and written.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, handler::Handler, http::Method, response::Response, routing::MethodFilter};
use bytes::Bytes;
use http::header;
use schemars::{
    JsonSchema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::server::Server;

/// Who may ask.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Anyone; a good key may change the answer.
    Anyone,
    /// Whoever has a good key.
    AnyKey,
    /// A key with one of these scopes.
    Scopes(&'static str),
}

/// One method of one path.
pub(super) struct Operation {
    id: &'static str,
    about: &'static str,
    access: Access,
    query: Option<Make>,
    body: Option<Make>,
    answers: Vec<(u16, &'static str, Make)>,
}

type Make = fn(&mut SchemaGenerator) -> Value;

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

const JSON: &str = "application/json";

/// Values of path parameters that every server has, by the path's first part and the parameter's
/// name.
const EXAMPLES: [((&str, &str), &str); 3] = [
    (("models", "author"), "demo"),
    (("models", "slug"), "echo"),
    (("models", "id"), "echo"),
];

impl Operation {
    pub(super) fn new(id: &'static str, access: Access, about: &'static str) -> Self {
        Self {
            id,
            about,
            access,
            query: None,
            body: None,
            answers: Vec::new(),
        }
    }

    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(schema::<T>);
        self
    }

    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(schema::<T>);
        self
    }

    pub(super) fn answers<T: JsonSchema>(self, status: u16) -> Self {
        self.answers_as::<T>(status, JSON)
    }

    /// Several kinds of content of one status are added one by one.
    pub(super) fn answers_as<T: JsonSchema>(mut self, status: u16, content: &'static str) -> Self {
        self.answers.push((status, content, schema::<T>));
        self
    }

    fn describe(&self, path: &str, schemas: &mut Schemas) -> Value {
        let mut parameters: Vec<Value> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| {
                let mut parameter = json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}});
                if let Some((_, example)) = EXAMPLES.iter().find(|(known, _)| known == &(path.split('/').nth(1).unwrap_or_default(), name))
                {
                    parameter["example"] = (*example).into();
                }
                parameter
            })
            .collect();
        parameters.extend(
            self.query
                .into_iter()
                .flat_map(|make| query_parameters(make, &mut schemas.read)),
        );
        let mut responses = Map::new();
        for (status, content, make) in &self.answers {
            let response = responses
                .entry(status.to_string())
                .or_insert_with(|| json!({"description": "The answer.", "content": {}}));
            response["content"][content] = json!({"schema": make(&mut schemas.written)});
        }
        let error = json!({"description": "An error; its `code` is stable.", "content": {JSON: {"schema": schema::<ErrorAnswer>(&mut schemas.written)}}});
        for status in ["4XX", "5XX"] {
            responses.entry(status).or_insert(error.clone());
        }
        let key = json!({"key": []});
        let (security, scopes) = match self.access {
            Access::Anyone => (json!([{}, key]), String::new()),
            Access::AnyKey => (json!([key]), " Any good key will do.".to_owned()),
            Access::Scopes(scopes) => (json!([key]), format!(" Scope: {scopes}.")),
        };
        let mut out = json!({"operationId": self.id, "summary": self.about, "description": format!("{}{scopes}", self.about),
            "security": security, "parameters": parameters, "responses": responses});
        if let Some(make) = self.body {
            out["requestBody"] =
                json!({"required": true, "content": {JSON: {"schema": make(&mut schemas.read)}}});
        }
        out
    }
}

/// Each member of an object as a parameter. The object's own schema is of no use to anyone.
fn query_parameters(make: Make, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut schema = make(generator);
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        schema = generator.definitions_mut().remove(name).unwrap_or_default();
    }
    let members = schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    members
        .into_iter()
        .map(|(name, mut member)| {
            let about = member.as_object_mut().and_then(|m| m.remove("description"));
            // Left out is the only way to say nothing.
            if let Some(types) = member["type"].as_array() {
                member["type"] = types.iter().find(|t| *t != "null").cloned().unwrap_or_default();
            }
            json!({"name": name, "in": "query", "required": false, "description": about.unwrap_or_default(), "schema": member})
        })
        .collect()
}

/// Routes, with their description.
pub(super) struct Routes {
    router: Router<Arc<Server>>,
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: Schemas,
}

/// What is read may leave members out that are always written.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let of = |contract: Contract| {
            let settings = SchemaSettings::draft2020_12().with(|s| {
                s.definitions_path = "/components/schemas".into();
                s.contract = contract;
            });
            settings.into_generator()
        };
        Self {
            read: of(Contract::Deserialize),
            written: of(Contract::Serialize),
        }
    }
}

impl Routes {
    pub(super) fn new() -> Self {
        Self {
            router: Router::new(),
            paths: BTreeMap::new(),
            schemas: Schemas::new(),
        }
    }

    /// Adds a method of a path, given without the API's prefix.
    pub(super) fn on<H, T>(
        mut self,
        method: &Method,
        path: &str,
        handler: H,
        operation: Operation,
    ) -> Self
    where
        H: Handler<T, Arc<Server>>,
        T: 'static,
    {
        let described = operation.describe(path, &mut self.schemas);
        self.paths
            .entry(format!("/api/v1{path}"))
            .or_default()
            .insert(method.as_str().to_lowercase(), described);
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        self.router = self.router.route(path, axum::routing::on(filter, handler));
        self
    }

    /// The router, and the description as JSON.
    pub(super) fn build(mut self) -> (Router<Arc<Server>>, Bytes) {
        let mut schemas = self.schemas.read.take_definitions(true);
        schemas.extend(self.schemas.written.take_definitions(true));
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "AnyRouter", "version": env!("CARGO_PKG_VERSION"),
                "description": "One endpoint in front of every LLM provider. The same paths are under `/v1`.",
                "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": self.paths,
            "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key, as `sk-ar-…`."}}},
        });
        (self.router, document.to_string().into())
    }
}

/// The description itself.
pub(super) fn document(document: Bytes) -> Response {
    let mut response = Response::new(document.into());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(JSON));
    response
}

/// What is answered in place of what was asked for.
#[derive(JsonSchema)]
#[allow(dead_code)] // `ApiError` writes it; here it is described
struct ErrorAnswer {
    error: ErrorObject,
    anyrouter_metadata: ErrorMetadata,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct ErrorObject {
    /// Stable: programs may go by it.
    code: String,
    /// What went wrong, where, and what would be right.
    message: String,
    #[schemars(rename = "type")]
    kind: String,
    /// The member of the request, where it was one.
    param: Option<String>,
    error_type: String,
    http_status: u16,
    metadata: Map<String, Value>,
}

#[derive(JsonSchema)]
#[allow(dead_code, non_snake_case)] // the contract's spelling
struct ErrorMetadata {
    requestId: String,
    attempts: Vec<Value>,
}

/// An answer whose content is under `data`.
#[derive(Serialize, JsonSchema)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

/// What a chat completion takes: OpenAI's request, with our members beside.
#[derive(JsonSchema)]
#[allow(dead_code)] // `ChatRequest` reads it, without building it
pub(super) struct ChatBody {
    /// A model's id, as `anthropic/claude-sonnet-4.5`, an alias, or a virtual name, as
    /// `anyrouter/auto`.
    #[schemars(extend("examples" = ["demo/echo"]))]
    model: String,
    messages: Vec<ChatMessage>,
    stream: Option<bool>,
    max_tokens: Option<std::num::NonZeroU32>,
    temperature: Option<f64>,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct ChatMessage {
    role: Role,
    content: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code)]
enum Role {
    System,
    User,
    Assistant,
}

/// A chat completion, with the provider that made it and what it cost.
#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct ChatAnswer {
    id: String,
    object: String,
    created: u64,
    /// The model that answered.
    model: String,
    /// The provider that answered.
    provider: String,
    choices: Vec<Value>,
    usage: Value,
    anyrouter_metadata: Value,
}

/// Server-sent events: `chat.completion.chunk`s, comments, and `[DONE]`.
#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct ChatStream(String);
