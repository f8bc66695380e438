//! Client of the gateway's API.

use std::path::Path;

use reqwest::{Certificate, Method, RequestBuilder, Response};
use serde_json::Value;

/// Error of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Invalid usage or configuration.
    #[error("{0}")]
    Use(String),
    /// The server refused the request.
    #[error("{code} ({status}): {message}\n  request {request}")]
    Refused {
        status: u16,
        code: String,
        message: String,
        request: String,
        /// The response body.
        body: Box<Value>,
    },
    /// The explained request has no endpoint.
    #[error("no endpoint may serve this request; the table above lists what would change that")]
    NotAdmitted,
    /// A redaction rule refuses the text.
    #[error("{0}")]
    Blocked(String),
    /// The response is incomplete or invalid, or cannot be written.
    #[error("{0}")]
    Broken(String),
    /// The server's certificate is not trusted.
    #[error(
        "the certificate of {0} is not trusted: {1}; give the CA's certificate with --ca FILE, or set ANYROUTER_CA_FILE"
    )]
    Untrusted(String, String),
    /// The server cannot be reached.
    #[error(
        "{0} cannot be reached: {1}; is a server running at that address? set it with --base-url"
    )]
    Unreachable(String, String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Use(_) => 2,
            Self::Refused { .. } | Self::Broken(_) => 1,
            Self::Unreachable(..) | Self::Untrusted(..) => 3,
            Self::NotAdmitted => 4,
            Self::Blocked(_) => 5,
        }
    }
}

/// Converts a connection error, distinguishing an untrusted certificate from an unreachable server.
fn unreachable(base_url: &str, error: &reqwest::Error) -> Failure {
    let mut reasons = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reasons.push(inner.to_string());
        source = inner.source();
    }
    let all = reasons.join(": ");
    let lower = all.to_lowercase();
    if lower.contains("certificate") {
        return Failure::Untrusted(base_url.to_owned(), reasons.pop().unwrap_or_default());
    }
    if lower.contains("invalid http") || lower.contains("corrupt message") {
        return Failure::Use(format!(
            "{base_url} does not speak the protocol of its address; is it http instead of https, or the reverse?"
        ));
    }
    Failure::Unreachable(base_url.to_owned(), reasons.pop().unwrap_or_default())
}

pub(crate) struct Client {
    http: reqwest::Client,
    base_url: String,
    key: Option<String>,
}

impl Client {
    pub(crate) fn new(
        base_url: &str,
        key: Option<String>,
        ca: Option<&Path>,
    ) -> Result<Self, Failure> {
        if !(base_url.starts_with("http://") || base_url.starts_with("https://")) {
            return Err(Failure::Use(format!(
                "--base-url `{base_url}` is not an address; write it like http://127.0.0.1:8787/api/v1"
            )));
        }
        let mut http = reqwest::Client::builder();
        if let Some(path) = ca {
            let wrong =
                |e: &dyn std::fmt::Display| Failure::Use(format!("--ca {}: {e}", path.display()));
            let pem = std::fs::read(path).map_err(|e| wrong(&e))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| wrong(&e))?;
            if certificates.is_empty() {
                return Err(wrong(&"it has no certificate in PEM form"));
            }
            http = certificates
                .into_iter()
                .fold(http, reqwest::ClientBuilder::add_root_certificate);
        }
        let http = http.build().map_err(|e| Failure::Use(e.to_string()))?;
        Ok(Self {
            http,
            base_url: base_url.trim_end_matches('/').to_owned(),
            key,
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base_url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request and converts an error response to a `Failure`.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request
            .send()
            .await
            .map_err(|e| unreachable(&self.base_url, &e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap_or_default();
        let text = |v: &Value| v.as_str().unwrap_or("unknown").to_owned();
        let mut message = text(&body["error"]["message"]);
        if status == 401 && self.key.is_none() {
            message.push_str("; set ANYROUTER_API_KEY, or give --key");
        }
        let code = text(&body["error"]["code"]);
        let is_managing = ["keys", "byok"].iter().any(|scope| message.contains(scope));
        if code == "insufficient_scope" && is_managing {
            message.push_str(": set ANYROUTER_MANAGEMENT_KEY, or give --management-key");
        }
        if status == 404 && !self.base_url.ends_with("/v1") {
            message.push_str("; is /api/v1 missing from --base-url?");
        }
        let request = text(&body["anyrouter_metadata"]["requestId"]);
        Err(Failure::Refused {
            status,
            code,
            message,
            request,
            body: Box::new(body),
        })
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value, Failure> {
        self.send(request)
            .await?
            .json()
            .await
            .map_err(|e| Failure::Broken(format!("the answer is not JSON: {e}")))
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, path).query(query))
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a request with one more header.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: &Value,
        (name, value): (&str, &str),
    ) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path).header(name, value);
        self.json(request.json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(self.request(Method::PATCH, path).json(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::DELETE, path)).await
    }

    /// Sends a request whose response is read as it arrives.
    pub(crate) async fn stream(&self, path: &str, body: &Value) -> Result<Response, Failure> {
        self.send(self.request(Method::POST, path).json(body)).await
    }
}
