//! Faults of invalid requests and of invalid answers.

use super::provider_error::ProviderError;

/// Fault of an invalid request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct RequestFault {
    /// `invalid_json` or `invalid_parameter`.
    pub code: &'static str,
    /// Member with the fault, such as `provider.sort`, if there is one.
    pub param: Option<String>,
    /// The fault, its place and its correction, without any of the request's values.
    pub problem: String,
}

impl RequestFault {
    /// Creates the fault of a body that is not JSON, or not an object.
    pub fn json(problem: impl Into<String>) -> Self {
        Self {
            code: "invalid_json",
            param: None,
            problem: problem.into(),
        }
    }

    /// Creates the fault of an invalid member.
    pub fn member(param: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            code: "invalid_parameter",
            param: Some(param.into()),
            problem: problem.into(),
        }
    }

    /// Creates the fault of a missing member.
    pub fn missing(name: &str) -> Self {
        Self::member(name, format!("`{name}` is missing"))
    }
}

/// Returns the problem that serde found, with the names of members but without their values, which
/// serde's message can repeat.
pub(super) fn member_problem(name: &str, expected: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let known = text
        .split_once(", expected ")
        .map(|(_, e)| e.split(" at line").next().unwrap_or(e).to_owned());
    if text.starts_with("unknown variant") {
        return format!(
            "`{name}` has an unknown value; expected {}",
            known.unwrap_or_else(|| expected.to_owned())
        );
    }
    let about_a_member = ["duplicate field", "unknown field", "missing field"]
        .iter()
        .find_map(|start| Some((start, text.strip_prefix(start)?)));
    match about_a_member
        .and_then(|(start, rest)| Some((start, rest.split('`').nth(1).filter(|f| f.len() <= 40)?)))
    {
        Some((what, field)) => {
            let hint = known.map(|k| format!("; expected {k}")).unwrap_or_default();
            format!("`{name}` has a problem: {what} `{field}`{hint}")
        }
        None => format!("`{name}` must be {expected}"),
    }
}

/// Fault of an invalid answer from an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerFault {
    /// The answer does not follow the protocol.
    #[error("the answer is not {0}")]
    NotTheProtocol(&'static str),
    /// The answer is an error, in a 200 response or within a stream.
    #[error("the provider answered with an error")]
    Error(ProviderError),
    /// The answer ended before it was complete.
    #[error("the answer broke off")]
    Truncated,
    /// The answer exceeds the limit.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// Limit in bytes.
        limit: usize,
    },
}
