//! Errors, as clients see them and as upstreams send them.
//!
//! An upstream's message can echo a prompt: what is passed on is its status, code and type, and never its text (P01).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::{AnswerFault, token_of};
use crate::{ids::RequestId, policy::Explanation};

/// What kind of error it is: the `type` of the OpenAI shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)] // each is its own name
pub enum ErrorKind {
    InvalidRequestError,
    AuthenticationError,
    BillingError,
    PermissionError,
    NotFoundError,
    TimeoutError,
    Conflict,
    Gone,
    RequestTooLarge,
    RateLimitError,
    ApiError,
}

impl ErrorKind {
    /// The kind of a status.
    pub fn of(status: u16) -> Self {
        match status {
            401 => Self::AuthenticationError,
            402 => Self::BillingError,
            403 => Self::PermissionError,
            404 | 405 => Self::NotFoundError,
            408 | 504 => Self::TimeoutError,
            409 => Self::Conflict,
            410 => Self::Gone,
            413 => Self::RequestTooLarge,
            429 => Self::RateLimitError,
            400..=499 => Self::InvalidRequestError,
            _ => Self::ApiError,
        }
    }

    /// OpenRouter's word for it: the `error_type`.
    fn error_type(self, status: u16) -> &'static str {
        match self {
            Self::InvalidRequestError | Self::Gone => "invalid_request",
            Self::AuthenticationError => "authentication",
            Self::BillingError => "payment_required",
            Self::PermissionError => "permission_denied",
            Self::NotFoundError => "not_found",
            Self::TimeoutError => "timeout",
            Self::Conflict => "precondition_failed",
            Self::RequestTooLarge => "payload_too_large",
            Self::RateLimitError => "rate_limit_exceeded",
            Self::ApiError if status == 503 => "provider_overloaded",
            Self::ApiError if status == 502 => "provider_unavailable",
            Self::ApiError => "server",
        }
    }
}

/// Why no endpoint is left.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Availability {
    /// The stable code.
    pub code: &'static str,
    /// The same request may succeed later.
    pub retryable: bool,
    /// What was asked for.
    pub requested_models: Vec<String>,
    /// The providers that have it.
    pub affected_providers: Vec<String>,
    /// What excluded them.
    pub excluded_by: Vec<&'static str>,
    /// Where to read on.
    pub docs_url: &'static str,
    /// The member that left nothing, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
}

/// A member of a request that left no endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Constraint {
    /// The member.
    pub field: String,
    /// What it asked for.
    pub detail: String,
}

/// One attempt, as an error tells of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptNote {
    /// The endpoint.
    pub backend: String,
    /// The status that the provider answered with, if it did.
    pub status: Option<u16>,
    /// The class of failure, or the provider's code.
    pub error_code: String,
    /// It was the last.
    pub is_final: bool,
}

/// An error as a client sees it. It has no place for a body or a secret. Boxed, since results carry it everywhere.
#[derive(Clone, Debug)]
pub struct ApiError(Box<ErrorParts>);

impl std::ops::Deref for ApiError {
    type Target = ErrorParts;

    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl std::ops::DerefMut for ApiError {
    fn deref_mut(&mut self) -> &mut ErrorParts {
        &mut self.0
    }
}

/// What an error says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ErrorParts {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// What went wrong, where, and what would be right.
    pub message: String,
    /// The request's member, where it was one.
    pub param: Option<String>,
    /// What else there is to know.
    pub metadata: Map<String, Value>,
    /// Why no endpoint is left, if that is what it is.
    pub availability: Option<Box<Availability>>,
    /// Every endpoint, every rule.
    pub explanation: Option<Box<Explanation>>,
    /// The attempts that were made.
    pub attempts: Vec<AttemptNote>,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// An error with a code and a message.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorParts {
            status,
            code: code.into(),
            message: message.into(),
            param: None,
            metadata: Map::new(),
            availability: None,
            explanation: None,
            attempts: Vec::new(),
            retry_after: None,
        }))
    }

    /// The body in OpenAI's shape, a superset.
    pub fn to_openai(&self, request_id: &str) -> Value {
        let mut error = self.error_object();
        error["metadata"] = Value::Object(self.metadata.clone());
        if let Some(availability) = &self.availability {
            error["availability"] = json!(availability);
            if let Some(constraint) = &availability.constraint {
                error["constraint"] = json!(constraint);
            }
        }
        if let Some(explanation) = &self.explanation {
            error["explanation"] = json!(explanation);
        }
        json!({"error": error, "anyrouter_metadata": {"requestId": request_id, "attempts": self.attempts}})
    }

    /// The chunk that ends a stream: nothing follows it.
    pub fn to_openai_chunk(&self, id: RequestId, model: &str, created: u64) -> Vec<u8> {
        let mut error = self.error_object();
        error["metadata"] = Value::Object(self.metadata.clone());
        let chunk = json!({
            "id": id.generation(), "object": "chat.completion.chunk", "created": created, "model": model, "error": error,
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            "anyrouter_metadata": {"requestId": id, "attempts": self.attempts},
        });
        format!("data: {chunk}\n\n").into_bytes()
    }

    fn error_object(&self) -> Value {
        let kind = ErrorKind::of(self.status);
        json!({"code": self.code, "message": self.message, "type": kind, "param": self.param,
               "error_type": kind.error_type(self.status), "http_status": self.status})
    }
}

/// What kind of failure an attempt ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureClass {
    /// No connection, or it broke.
    Connection,
    /// Nothing in time.
    Timeout,
    /// The whole took longer than a request may.
    Deadline,
    /// 429.
    RateLimited,
    /// The operator's quota or credit is used up.
    Quota,
    /// 5xx.
    Server,
    /// The operator's credential is not good there.
    Credential,
    /// The provider does not have the model.
    ModelMissing,
    /// What came is no answer.
    BadAnswer,
    /// The provider refused the request itself.
    Rejected,
}

impl FailureClass {
    /// As a record writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection_failed",
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Server => "server_error",
            Self::Credential => "credential",
            Self::ModelMissing => "model_missing",
            Self::BadAnswer => "bad_answer",
            Self::Rejected => "rejected",
        }
    }

    /// Another endpoint of the model is tried, and this one cools down. A request that was rejected would be so elsewhere.
    pub fn is_the_endpoints(self) -> bool {
        !matches!(self, Self::Rejected | Self::Deadline)
    }
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub class: FailureClass,
    /// The provider's status, if it answered.
    pub status: Option<u16>,
    /// The provider's code, if it is one.
    pub code: Option<String>,
    /// The provider's type, if it is one.
    pub kind: Option<String>,
    /// Seconds after which the provider asks to be tried again.
    pub retry_after: Option<u64>,
}

impl Failure {
    /// A failure of which nothing but its class is known.
    pub fn new(class: FailureClass) -> Self {
        Self { class, status: None, code: None, kind: None, retry_after: None }
    }

    /// What an answer that is none means.
    pub fn of_answer(fault: AnswerFault, status: u16) -> Self {
        match fault {
            AnswerFault::Error { code, kind } => {
                let said = status_of(code.as_deref(), kind.as_deref());
                let class = said.map_or(FailureClass::BadAnswer, |s| class_of(s, code.as_deref(), kind.as_deref(), b""));
                Self { class, status: Some(said.unwrap_or(status)), code, kind, retry_after: None }
            }
            _ => Self { status: Some(status), ..Self::new(FailureClass::BadAnswer) },
        }
    }

    /// What an error response means: its status, `Retry-After` in seconds, and its body, of which code and type are read.
    pub fn of_response(status: u16, retry_after: Option<u64>, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        // Some providers answer a list of one.
        let error = body.get("error").or_else(|| body.pointer("/0/error")).unwrap_or(&Value::Null);
        let word = |name: &str| error.get(name).and_then(Value::as_str).and_then(token_of);
        let (code, kind) = (word("code"), word("type").or_else(|| word("status")));
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        let class = class_of(status, code.as_deref(), kind.as_deref(), message.as_bytes());
        Self { class, status: Some(status), code, kind, retry_after }
    }

    /// As a record writes it.
    pub fn outcome(&self) -> &'static str {
        self.class.as_str()
    }

    /// The error that a client sees when this was the last attempt.
    pub fn to_api_error(&self, endpoint: &str) -> ApiError {
        let (status, code, message) = match self.class {
            FailureClass::Connection => {
                (502, "upstream_error", "the provider could not be reached; try again, or name another model in `models`".to_owned())
            }
            FailureClass::Timeout => {
                (504, "upstream_timeout", "the provider did not answer in time; try again, or name another model in `models`".to_owned())
            }
            FailureClass::Deadline => (
                504,
                "upstream_timeout",
                "the answer took longer than a request may; ask for less, or ask the operator to raise deadlines.whole".to_owned(),
            ),
            FailureClass::RateLimited => {
                (429, "capacity_exhausted", "the provider has no room for more requests now; try again later".to_owned())
            }
            FailureClass::Quota | FailureClass::Credential => {
                let what = if self.class == FailureClass::Quota { "quota at" } else { "credential for" };
                (
                    502,
                    "upstream_error",
                    format!("the operator's {what} the provider is not good; your key is not the cause, and the operator can mend it"),
                )
            }
            FailureClass::ModelMissing => {
                (404, "model_unavailable_upstream", "the provider does not have the model now; ask for another".to_owned())
            }
            FailureClass::BadAnswer => {
                (502, "upstream_error", "the provider's answer could not be read; try again, or name another model in `models`".to_owned())
            }
            FailureClass::Server if matches!(self.status, Some(503 | 529)) => {
                (503, "overloaded", "the provider is overloaded; try again later".to_owned())
            }
            FailureClass::Server => (502, "upstream_error", "the provider failed; try again, or name another model in `models`".to_owned()),
            FailureClass::Rejected => {
                let status = self.status.filter(|s| matches!(s, 400 | 413 | 415 | 422)).unwrap_or(400);
                let message = format!("the provider refused the request with status {}; its code says why", self.status.unwrap_or(status));
                let mut error = ApiError::new(status, self.code.as_deref().unwrap_or("upstream_rejected"), message);
                error.metadata = self.metadata(endpoint);
                return error;
            }
        };
        let mut error = ApiError::new(status, code, message);
        error.metadata = self.metadata(endpoint);
        error.retry_after = matches!(status, 429 | 503).then(|| self.retry_after.unwrap_or(1));
        error
    }

    fn metadata(&self, endpoint: &str) -> Map<String, Value> {
        let members = [
            ("upstream_backend", Some(json!(endpoint))),
            ("upstream_status", self.status.map(|s| json!(s))),
            ("provider_code", self.code.as_ref().map(|c| json!(c))),
            ("provider_type", self.kind.as_ref().map(|k| json!(k))),
            ("failure", Some(json!(self.outcome()))),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// The status that an error in the body of a 200 speaks of.
fn status_of(code: Option<&str>, kind: Option<&str>) -> Option<u16> {
    let by_name = |w: &str| match w {
        "overloaded_error" | "overloaded" => Some(529),
        "rate_limit_error" | "rate_limit_exceeded" => Some(429),
        "api_error" | "server_error" | "internal_server_error" => Some(500),
        "timeout_error" => Some(504),
        "authentication_error" | "invalid_api_key" => Some(401),
        "permission_error" => Some(403),
        "not_found_error" | "model_not_found" => Some(404),
        "insufficient_quota" | "billing_error" => Some(402),
        "invalid_request_error" | "context_length_exceeded" | "content_filter" => Some(400),
        _ => w.parse().ok().filter(|s| (400..=599).contains(s)),
    };
    code.and_then(by_name).or_else(|| kind.and_then(by_name))
}

fn class_of(status: u16, code: Option<&str>, kind: Option<&str>, message: &[u8]) -> FailureClass {
    let quota = |w: &str| {
        matches!(w, "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" | "billing_error" | "insufficient_credits")
    };
    let says_quota =
        code.is_some_and(quota) || kind.is_some_and(quota) || memchr::memmem::find(message, b"credit balance is too low").is_some();
    match status {
        402 => FailureClass::Quota,
        400 | 403 | 429 if says_quota => FailureClass::Quota,
        401 | 403 => FailureClass::Credential,
        404 => FailureClass::ModelMissing,
        408 => FailureClass::Timeout,
        429 => FailureClass::RateLimited,
        400..=499 => FailureClass::Rejected,
        500..=599 => FailureClass::Server,
        _ => FailureClass::BadAnswer,
    }
}
