//! Errors for clients, and failures of upstreams.
//!
//! An upstream's message can repeat a prompt: only its status, code and type are passed on, never
//! its text (P01).

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use crate::catalog::FailureClass;

use super::{
    capability::Capability, connection::ConnectionFault, fault::AnswerFault,
    provider_error::ProviderError,
};
use crate::{key::looks_like_a_key, policy::Explanation};

/// Kind of an error: the `type` in OpenAI's shape.
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
    /// Returns the kind for a status.
    pub fn of(status: u16) -> Self {
        match status {
            401 => Self::AuthenticationError,
            402 => Self::BillingError,
            403 => Self::PermissionError,
            404 | 405 => Self::NotFoundError,
            408 | 504 => Self::TimeoutError,
            409 => Self::Conflict,
            410 => Self::Gone,
            413 | 414 | 431 => Self::RequestTooLarge,
            429 => Self::RateLimitError,
            400..=499 => Self::InvalidRequestError,
            _ => Self::ApiError,
        }
    }

    /// Returns OpenRouter's name for it, the `error_type`.
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

/// Details of an error for a request that has no endpoint left.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Availability {
    /// The stable code.
    pub code: &'static str,
    /// True if the same request may succeed later.
    pub retryable: bool,
    /// Requested models.
    pub requested_models: Vec<String>,
    /// Providers of these models.
    pub affected_providers: Vec<String>,
    /// Rules that excluded their endpoints.
    pub excluded_by: Vec<&'static str>,
    /// Address of the documentation.
    pub docs_url: &'static str,
    /// Member of the request that left no endpoint, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
}

/// A member of a request that left no endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Constraint {
    /// The member.
    pub field: String,
    /// Fact that excluded the endpoint.
    pub detail: String,
}

/// One failed attempt, as listed in an error.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptNote {
    /// The endpoint.
    pub backend: String,
    /// Status of the provider's response, if there was one.
    pub status: Option<u16>,
    /// The class of failure, or the provider's code.
    pub error_code: String,
    /// True for the last attempt.
    pub is_final: bool,
}

/// An error for a client. It has no member for a body or a secret. It is boxed to keep results
/// small.
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

/// The parts of an error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ErrorParts {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// Message with the fault, its place and its correction.
    pub message: String,
    /// Member of the request that caused it, if there is one.
    pub param: Option<String>,
    /// Further details.
    pub metadata: Map<String, Value>,
    /// Details, if no endpoint is left.
    pub availability: Option<Box<Availability>>,
    /// Explanation with every endpoint and every rule.
    pub explanation: Option<Box<Explanation>>,
    /// Failed attempts.
    pub attempts: Vec<AttemptNote>,
    /// Seconds to wait before the next try.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// Creates an error with a code and a message.
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

    /// Returns the body in a superset of OpenAI's shape.
    pub fn to_openai(&self, request_id: &str) -> Value {
        let mut error = self.error_object();
        self.add_reasons(&mut error);
        let mut error = Value::Object(error);
        hide_keys(&mut error);
        json!({"error": error, "anyrouter_metadata": {"requestId": request_id, "attempts": self.attempts}})
    }

    /// Returns true if a privacy policy refused the request.
    pub fn is_by_policy(&self) -> bool {
        matches!(
            self.code.as_str(),
            "privacy_restricted" | "region_restricted" | "redaction_blocked"
        )
    }

    /// Adds the reasons for which no endpoint is left.
    pub(super) fn add_reasons(&self, error: &mut Map<String, Value>) {
        if let Some(availability) = &self.availability {
            error.insert("availability".to_owned(), json!(availability));
            if let Some(constraint) = &availability.constraint {
                error.insert("constraint".to_owned(), json!(constraint));
            }
        }
        if let Some(explanation) = &self.explanation {
            error.insert("explanation".to_owned(), json!(explanation));
        }
    }

    pub(super) fn error_object(&self) -> Map<String, Value> {
        let kind = ErrorKind::of(self.status);
        let members = [
            ("code", json!(self.code)),
            ("message", json!(self.message)),
            ("type", json!(kind)),
            ("param", json!(self.param)),
            ("error_type", json!(kind.error_type(self.status))),
            ("http_status", json!(self.status)),
            ("metadata", Value::Object(self.metadata.clone())),
        ];
        members
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }
}

/// Removes everything that looks like a key from an error, which may repeat a member in which the
/// client sent a key by mistake.
pub(super) fn hide_keys(value: &mut Value) {
    match value {
        Value::String(text) if looks_like_a_key(text) => {
            let hide = |word: &str| {
                if looks_like_a_key(word) {
                    "(a key)".to_owned()
                } else {
                    word.to_owned()
                }
            };
            *text = text.split_inclusive(' ').map(hide).collect();
        }
        Value::Array(items) => items.iter_mut().for_each(hide_keys),
        Value::Object(members) => members.iter_mut().for_each(|(_, value)| hide_keys(value)),
        _ => {}
    }
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub class: FailureClass,
    /// The provider's status, if it answered.
    pub status: Option<u16>,
    /// The provider's code, if it is one.
    pub code: Option<String>,
    /// The provider's type, if it is one.
    pub kind: Option<String>,
    /// The member of the request that the provider names, if it is one.
    pub param: Option<String>,
    /// The capability that the model lacks, if the provider refused the request for that.
    pub capability: Option<Capability>,
    /// The wait that the provider asks for.
    pub retry_after: Option<Duration>,
    /// Limit that the answer exceeded, in bytes.
    pub limit: Option<usize>,
    /// Fault of the connection, if it was the cause.
    pub connection: Option<ConnectionFault>,
    /// True if the request was sent with a credential of the caller's own.
    pub is_with_own_credential: bool,
}

impl Failure {
    /// Creates a failure of which only the class is known.
    pub fn new(class: FailureClass) -> Self {
        Self {
            class,
            status: None,
            code: None,
            kind: None,
            param: None,
            capability: None,
            retry_after: None,
            limit: None,
            connection: None,
            is_with_own_credential: false,
        }
    }

    /// Creates the failure for a connection that was not made or broke.
    pub fn of_connection(fault: ConnectionFault) -> Self {
        let class = match fault {
            ConnectionFault::Timeout => FailureClass::Timeout,
            _ => FailureClass::Connection,
        };
        Self {
            connection: Some(fault),
            ..Self::new(class)
        }
    }

    /// Creates the failure for a faulty answer with this status.
    pub fn of_answer(fault: AnswerFault, status: u16) -> Self {
        match fault {
            AnswerFault::Error(error) => {
                let status = error.status.unwrap_or(status);
                Self::of_error(status, error)
            }
            AnswerFault::TooLong { limit } => Self {
                status: Some(status),
                limit: Some(limit),
                ..Self::new(FailureClass::BadAnswer)
            },
            _ => Self {
                status: Some(status),
                ..Self::new(FailureClass::BadAnswer)
            },
        }
    }

    /// Creates the failure for an error that a provider sent with this status.
    pub fn of_error(status: u16, error: ProviderError) -> Self {
        let ProviderError {
            class,
            code,
            kind,
            param,
            capability,
            retry_after,
            ..
        } = error;
        Self {
            class,
            status: Some(status),
            code,
            kind,
            param,
            capability,
            retry_after,
            limit: None,
            connection: None,
            is_with_own_credential: false,
        }
    }

    /// Returns true if the endpoint caused the failure and can cool down. A missing credential does
    /// not count, since nothing was sent.
    pub fn is_the_endpoints(&self) -> bool {
        let was_not_asked = self.class == FailureClass::Credential && self.status.is_none();
        self.class.is_the_endpoints() && !was_not_asked
    }

    /// Returns the outcome in the form of a record.
    pub fn outcome(&self) -> &'static str {
        self.class.as_str()
    }

    /// Returns the error for the client if this was the last attempt.
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
            FailureClass::RateLimited | FailureClass::Quota | FailureClass::Credential if self.is_with_own_credential => {
                let (status, why) = match self.class {
                    FailureClass::RateLimited => (429, "has no room for more requests with"),
                    FailureClass::Quota => (502, "says that no quota is left for"),
                    _ => (502, "rejected"),
                };
                let what = format!("the provider {why} your own key, which rests; see anyrouter byok, and what the provider's console says of it");
                (status, "own_credential_refused", what)
            }
            FailureClass::RateLimited => {
                (429, "capacity_exhausted", "the provider has no room for more requests now; try again later".to_owned())
            }
            FailureClass::Quota | FailureClass::Credential => {
                let what = if self.class == FailureClass::Quota { "account has no quota left" } else { "API key was rejected" };
                (
                    502,
                    "upstream_error",
                    format!("the server's own {what} at the provider; your key is not the cause, ask the operator to fix it"),
                )
            }
            FailureClass::ModelMissing => {
                (404, "model_unavailable_upstream", "the provider does not have the model now; ask for another".to_owned())
            }
            FailureClass::BadAnswer => {
                let what = match self.limit {
                    Some(limit) => format!("has more than the {limit} bytes that an answer, or one event of a stream, may have"),
                    None => "could not be read".to_owned(),
                };
                (502, "upstream_error", format!("the provider's answer {what}; try again, or name another model in `models`"))
            }
            FailureClass::Overloaded => (503, "overloaded", "the provider is overloaded; try again later".to_owned()),
            FailureClass::Location => (
                502,
                "upstream_error",
                "the provider does not serve the place that the gateway calls from; name another model in `models`, or ask the operator"
                    .to_owned(),
            ),
            FailureClass::Server => (502, "upstream_error", "the provider failed; try again, or name another model in `models`".to_owned()),
            FailureClass::Moderated => {
                let status = if self.status == Some(403) { 403 } else { 400 };
                let message = "the provider's moderation refused this request; change what it says, or name another model in `models`";
                return self.refusal(status, "content_policy_violation", message.to_owned(), endpoint);
            }
            FailureClass::Rejected => {
                let status = self.status.filter(|s| matches!(s, 400 | 413 | 415 | 422)).unwrap_or(400);
                let at = self.param.as_ref().map(|p| format!(" at `{p}`")).unwrap_or_default();
                let why = if self.code.is_some() || self.kind.is_some() {
                    "its code says why"
                } else {
                    "it gave no code: compare the request with what the model accepts, or name another model in `models`"
                };
                let message = format!("the provider refused the request{at} with status {}; {why}", self.status.unwrap_or(status));
                return self.refusal(status, "upstream_rejected", message, endpoint);
            }
        };
        let mut error = ApiError::new(status, code, message);
        error.metadata = self.metadata(endpoint);
        error.retry_after = matches!(status, 429 | 503).then(|| {
            self.retry_after
                .map_or(1, |wait| whole_seconds(wait).max(1))
        });
        error
    }

    /// Returns the error for a refused request, with the provider's code if there is one.
    fn refusal(&self, status: u16, code: &str, message: String, endpoint: &str) -> ApiError {
        // A numeric code adds nothing to the status.
        let theirs = self
            .code
            .as_deref()
            .filter(|c| !c.bytes().all(|b| b.is_ascii_digit()));
        let mut error = ApiError::new(status, theirs.unwrap_or(code), message);
        error.param.clone_from(&self.param);
        error.metadata = self.metadata(endpoint);
        error
    }

    fn metadata(&self, endpoint: &str) -> Map<String, Value> {
        let members = [
            ("upstream_backend", Some(json!(endpoint))),
            ("upstream_status", self.status.map(|s| json!(s))),
            ("provider_code", self.code.as_ref().map(|c| json!(c))),
            ("provider_type", self.kind.as_ref().map(|k| json!(k))),
            ("provider_param", self.param.as_ref().map(|p| json!(p))),
            ("capability", self.capability.map(|c| json!(c.class()))),
            ("failure", Some(json!(self.outcome()))),
        ];
        members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// Returns a wait in seconds, rounded up.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
