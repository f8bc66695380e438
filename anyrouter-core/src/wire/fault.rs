//! Faults: a request that cannot be understood, and a response that is none.

use super::provider_error::ProviderError;

/// A request that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct RequestFault {
    /// `invalid_json` or `invalid_parameter`.
    pub code: &'static str,
    /// The member, as `provider.sort`, where it is one.
    pub param: Option<String>,
    /// What is wrong, where, and what would be right; without what was sent.
    pub problem: String,
}

impl RequestFault {
    /// The body is not JSON, or not an object.
    pub fn json(problem: impl Into<String>) -> Self {
        Self {
            code: "invalid_json",
            param: None,
            problem: problem.into(),
        }
    }

    /// A member is wrong.
    pub fn member(param: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            code: "invalid_parameter",
            param: Some(param.into()),
            problem: problem.into(),
        }
    }

    /// A member is missing.
    pub fn missing(name: &str) -> Self {
        Self::member(name, format!("`{name}` is missing"))
    }
}

/// What serde found wrong, without the values that it repeats: the names of members are told, what
/// stood in them is not.
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

/// What an upstream sent that is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerFault {
    /// It is not the protocol.
    #[error("the answer is not {0}")]
    NotTheProtocol(&'static str),
    /// It is an error, in a 200 or in the middle of a stream.
    #[error("the provider answered with an error")]
    Error(ProviderError),
    /// It ended before it was complete.
    #[error("the answer broke off")]
    Truncated,
    /// It is larger than what is held.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
}
