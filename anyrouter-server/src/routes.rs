//! Registration of routes, and their description (OpenAPI 3.1). Both derive from the handlers'
//! types, so the description always matches what a handler requires, accepts and returns.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use axum::{
    Extension, Router,
    extract::{Path, Query, State},
    handler::Handler,
    http::{HeaderMap, Method},
    response::Response,
    routing::MethodFilter,
};
use bytes::Bytes;
use schemars::{
    JsonSchema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value, json};

use anyrouter_core::key::Scope;

use crate::{
    app::App,
    auth::{Auth, Authority, Public, Require},
    body::{JsonBody, RawBody},
    respond::{self, Created, Data, Error, Json},
};

/// The state that handlers take.
pub(crate) type Shared = State<Arc<App>>;

/// Contribution of a handler's argument to a description.
pub(crate) trait Argument {
    fn describe(_: &mut Operation) {}
}

impl<S: Require> Argument for Auth<S> {}
impl<S: Require> Argument for Option<Auth<S>> {}
impl Argument for Public {}
impl Argument for Shared {}
impl Argument for HeaderMap {}
impl<T> Argument for Path<T> {}
impl<T> Argument for Extension<T> {}

impl<T: JsonSchema> Argument for Query<T> {
    fn describe(operation: &mut Operation) {
        operation.query::<T>();
    }
}

impl<T: JsonSchema> Argument for JsonBody<T> {
    fn describe(operation: &mut Operation) {
        operation.body::<T>();
    }
}

impl<T: JsonSchema> Argument for RawBody<T> {
    fn describe(operation: &mut Operation) {
        operation.body::<T>();
    }
}

/// Contribution of a handler's response to a description.
pub(crate) trait Responds {
    fn describe(_: &mut Operation) {}
}

impl Responds for Response {}
impl Responds for Infallible {}

impl<T: JsonSchema> Responds for Json<T> {
    fn describe(operation: &mut Operation) {
        operation.responds::<T>(200);
    }
}

impl<T: JsonSchema> Responds for Data<T> {
    fn describe(operation: &mut Operation) {
        operation.responds::<Self>(200);
    }
}

impl<T: JsonSchema> Responds for Created<T> {
    fn describe(operation: &mut Operation) {
        operation.responds::<T>(201);
    }
}

impl<T: JsonSchema> Responds for respond::State<T> {
    fn describe(operation: &mut Operation) {
        operation.responds::<T>(200);
        operation.responds::<T>(503);
    }
}

/// A handler whose first argument, [`Auth`] or [`Public`], declares who may call it. Any other
/// handler does not compile as a route.
pub(crate) trait Described<A> {
    type Authority: Authority;
    fn describe(operation: &mut Operation);
}

macro_rules! described {
    ($first:ident $(, $argument:ident)*) => {
        impl<F, Fut, R, $first, $($argument),*> Described<($first, $($argument,)*)> for F
        where
            F: Fn($first, $($argument),*) -> Fut,
            Fut: Future<Output = Result<R, Error>>,
            R: Responds,
            $first: Authority + Argument,
            $($argument: Argument,)*
        {
            type Authority = $first;

            fn describe(operation: &mut Operation) {
                $first::describe(operation);
                $($argument::describe(operation);)*
                R::describe(operation);
            }
        }
    };
}

described!(A1);
described!(A1, A2);
described!(A1, A2, A3);
described!(A1, A2, A3, A4);
described!(A1, A2, A3, A4, A5);
described!(A1, A2, A3, A4, A5, A6);

/// A method of a path.
pub(crate) struct Operation {
    id: &'static str,
    about: &'static str,
    any_of: Option<&'static [Scope]>,
    words: String,
    query: Option<Make>,
    body: Option<Make>,
    responses: Vec<(u16, &'static str, Make)>,
}

type Make = fn(&mut SchemaGenerator) -> Value;

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

const JSON: &str = "application/json";

/// Values of path parameters that exist on every server, by the first part of the path and the name
/// of the parameter.
const EXAMPLES: [((&str, &str), &str); 3] = [
    (("models", "author"), "demo"),
    (("models", "slug"), "echo"),
    (("models", "id"), "echo"),
];

impl Operation {
    pub(crate) fn query<T: JsonSchema>(&mut self) {
        self.query = Some(schema::<T>);
    }

    pub(crate) fn body<T: JsonSchema>(&mut self) {
        self.body = Some(schema::<T>);
    }

    pub(crate) fn responds<T: JsonSchema>(&mut self, status: u16) {
        self.responds_as::<T>(status, JSON);
    }

    /// Adds a kind of content to the responses with this status.
    pub(crate) fn responds_as<T: JsonSchema>(&mut self, status: u16, content: &'static str) {
        self.responses.push((status, content, schema::<T>));
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
        for (status, content, make) in &self.responses {
            let response = responses
                .entry(status.to_string())
                .or_insert_with(|| json!({"description": "The response.", "content": {}}));
            response["content"][content] = json!({"schema": make(&mut schemas.written)});
        }
        let error = json!({"description": "An error; its `code` is stable.", "content": {JSON: {"schema": schema::<ErrorAnswer>(&mut schemas.written)}}});
        for status in ["4XX", "5XX"] {
            responses.entry(status).or_insert(error.clone());
        }
        let key = json!({"key": []});
        let (security, scopes) = match self.any_of {
            None => (json!([{}, key]), String::new()),
            Some([]) => (json!([key]), " Any valid key is sufficient.".to_owned()),
            Some(_) => (json!([key]), format!(" Scope: {}.", self.words)),
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

/// Converts each member of an object to a query parameter. Removes the unused schema of the object.
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
            // A query parameter is omitted instead of null.
            if let Some(types) = member["type"].as_array() {
                member["type"] = types.iter().find(|t| *t != "null").cloned().unwrap_or_default();
            }
            json!({"name": name, "in": "query", "required": false, "description": about.unwrap_or_default(), "schema": member})
        })
        .collect()
}

/// Routes, with their requirements and descriptions.
pub(crate) struct Routes {
    router: Router<Arc<App>>,
    #[cfg(test)]
    table: Vec<(Method, String, String)>,
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: Schemas,
}

/// Schemas of types that are read and of types that are written. Members that are always written
/// may be optional when they are read.
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
    pub(crate) fn new() -> Self {
        Self {
            router: Router::new(),
            #[cfg(test)]
            table: Vec::new(),
            paths: BTreeMap::new(),
            schemas: Schemas::new(),
        }
    }

    /// Adds a method of an API path, given without the API's prefix. The handler's types determine
    /// what it requires, accepts and returns.
    pub(crate) fn on<H, A, T>(
        self,
        method: Method,
        path: &str,
        id: &'static str,
        about: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Arc<App>> + Described<A>,
        T: 'static,
    {
        let mut operation = Operation {
            id,
            about,
            any_of: H::Authority::ANY_OF,
            words: H::Authority::words(),
            query: None,
            body: None,
            responses: Vec::new(),
        };
        H::describe(&mut operation);
        let mut routes = self.page(method.clone(), path, handler);
        let described = operation.describe(path, &mut routes.schemas);
        routes
            .paths
            .entry(format!("/api/v1{path}"))
            .or_default()
            .insert(method.as_str().to_lowercase(), described);
        routes
    }

    /// Adds a method of a path without a description, for people or for monitoring.
    #[allow(clippy::disallowed_methods)] // the one place where routes are registered
    pub(crate) fn page<H, A, T>(mut self, method: Method, path: &str, handler: H) -> Self
    where
        H: Handler<T, Arc<App>> + Described<A>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        #[cfg(test)]
        self.table
            .push((method, path.to_owned(), H::Authority::words()));
        self.router = self.router.route(path, axum::routing::on(filter, handler));
        self
    }

    /// Each method of each path, and what it requires in words.
    #[cfg(test)]
    pub(crate) fn table(&self) -> &[(Method, String, String)] {
        &self.table
    }

    /// Returns the router.
    pub(crate) fn router(&self) -> Router<Arc<App>> {
        self.router.clone()
    }

    /// Returns the description of the described routes, as JSON.
    pub(crate) fn description(&mut self) -> Bytes {
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
        document.to_string().into()
    }
}

/// The body of an error response.
#[derive(JsonSchema)]
#[allow(dead_code)] // `ApiError` writes it; here it is described
struct ErrorAnswer {
    error: ErrorObject,
    anyrouter_metadata: ErrorMetadata,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct ErrorObject {
    /// Stable code, on which programs may rely.
    code: String,
    /// Description of the error, its place and its remedy.
    message: String,
    #[schemars(rename = "type")]
    kind: String,
    /// The member of the request that caused the error, if any.
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
