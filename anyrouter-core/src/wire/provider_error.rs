//! Reading of providers' errors from a response with an error status, from a 200 response, and from
//! an event of a stream.
//!
//! Providers write errors in many shapes: `{"error": {…}}`, `{"error": "text"}`, a list of one,
//! `{"object": "error", …}`, `{"detail": "text"}`, FastAPI's `{"detail": [{"loc": […], …}]}`, and
//! plain text. Code, type and parameter are passed on if they have the form of identifiers; a
//! message is compared with the catalog's table and then dropped, because it can repeat the prompt
//! (P01).

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::capability::Capability;
use crate::{
    catalog::{FailureClass, FaultFacts, FaultTable, Protocol},
    time::Timestamp,
};

/// Maximum wait that a provider can ask for, in seconds.
const LONGEST_WAIT: f64 = 86_400.0;

/// An error from a provider, without its message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderError {
    /// The class.
    pub class: FailureClass,
    /// Status in the error itself, such as `code: 429`.
    pub status: Option<u16>,
    /// The provider's code, if it has the form of one.
    pub code: Option<String>,
    /// The provider's type, if it has the form of one.
    pub kind: Option<String>,
    /// Member of the request that the error names, if it has the form of one.
    pub param: Option<String>,
    /// The capability that the model lacks, if it refused the request for that.
    pub capability: Option<Capability>,
    /// Wait that the provider asks for.
    pub retry_after: Option<Duration>,
}

impl Default for ProviderError {
    fn default() -> Self {
        Self {
            class: FailureClass::BadAnswer,
            status: None,
            code: None,
            kind: None,
            param: None,
            capability: None,
            retry_after: None,
        }
    }
}

/// The sender of an error, and the table that classifies it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The catalog's table.
    pub table: &'a FaultTable,
    /// The provider's slug.
    pub provider: &'a str,
    /// The protocol that it speaks.
    pub protocol: Protocol,
}

impl Origin<'_> {
    /// Reads the body of a response with an error status.
    pub fn read_body(&self, status: u16, body: &[u8]) -> ProviderError {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => self.read(status, &value),
            Err(_) => self.classified(
                status,
                ErrorParts {
                    messages: vec![String::from_utf8_lossy(body).into_owned()],
                    ..ErrorParts::default()
                },
            ),
        }
    }

    /// Reads `data` as an error inside a 200 response or a stream.
    pub fn read_data(&self, data: &[u8]) -> ProviderError {
        self.read_body(200, data)
    }

    /// Reads an error inside a 200 response or a stream; `None` if `value` is something else.
    pub fn find(&self, value: &Value) -> Option<ProviderError> {
        is_error(value).then(|| self.read(200, value))
    }

    fn read(&self, status: u16, value: &Value) -> ProviderError {
        self.classified(status, ErrorParts::of(value))
    }

    fn classified(&self, status: u16, parts: ErrorParts) -> ProviderError {
        let words: Vec<&str> = parts.words.iter().map(String::as_str).collect();
        let messages: Vec<&str> = parts.messages.iter().map(String::as_str).collect();
        // In a 200 response, the status in the error takes precedence.
        let judged = if status == 200 {
            parts.status.unwrap_or(status)
        } else {
            status
        };
        let facts = FaultFacts {
            status: judged,
            words: &words,
            messages: &messages,
        };
        let class = self.table.classify(self.provider, self.protocol, &facts);
        let said = words.iter().chain(&messages).copied();
        let capability = (class == FailureClass::Rejected)
            .then(|| Capability::of(said))
            .flatten();
        ProviderError {
            class,
            status: parts.status,
            code: parts.code,
            kind: parts.kind,
            param: parts.param,
            capability,
            retry_after: parts.retry_after,
        }
    }
}

/// Returns true if an object is an error and not a response, regardless of other members.
pub fn is_error(value: &Value) -> bool {
    let is = |name: &str, word: &str| value.get(name).and_then(Value::as_str) == Some(word);
    let says_something = |e: &Value| {
        !e.is_null() && *e != false && *e != "" && e.as_object().is_none_or(|o| !o.is_empty())
    };
    value.get("error").is_some_and(says_something)
        || value.pointer("/0/error").is_some_and(|e| !e.is_null())
        || is("object", "error")
        || is("type", "error")
        || (value.get("detail").is_some_and(|d| !d.is_null()) && value.get("choices").is_none())
}

/// The parts of an error before classification.
#[derive(Default)]
struct ErrorParts {
    status: Option<u16>,
    code: Option<String>,
    kind: Option<String>,
    param: Option<String>,
    retry_after: Option<Duration>,
    words: Vec<String>,
    messages: Vec<String>,
}

impl ErrorParts {
    fn of(value: &Value) -> Self {
        let mut it = Self::default();
        let outer = value.get(0).filter(|_| value.is_array()).unwrap_or(value);
        match outer.get("error") {
            Some(Value::String(message)) => {
                it.messages.push(message.clone());
                it.object(outer);
            }
            Some(error @ Value::Object(_)) => it.object(error),
            _ => it.object(outer),
        }
        it.detail(outer.get("detail"));
        it
    }

    /// Reads the members of an error object.
    fn object(&mut self, error: &Value) {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let number = |name: &str| error.get(name).and_then(number_of);
        self.code = error.get("code").and_then(token_in);
        self.kind = error
            .get("type")
            .and_then(token_in)
            .or_else(|| error.get("status").and_then(token_in));
        // `type: "error"` is the type of the event and not of the error.
        self.kind = self.kind.take().filter(|k| k != "error");
        self.param = text("param").and_then(param_of);
        self.status = ["status_code", "http_status", "code", "status"]
            .iter()
            .filter_map(|name| number(name))
            .find(|s| (400..=599).contains(s));
        for name in ["code", "type", "status", "reason", "error_type"] {
            self.words.extend(text(name).map(ToOwned::to_owned));
        }
        self.messages.extend(
            text("message")
                .or_else(|| text("msg"))
                .map(ToOwned::to_owned),
        );
        if let Some(inner) = error.get("innererror") {
            self.words.extend(
                inner
                    .get("code")
                    .and_then(Value::as_str)
                    .map(ToOwned::to_owned),
            );
        }
        if let Some(metadata) = error.get("metadata") {
            self.metadata(metadata);
        }
        for detail in error
            .get("details")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.words.extend(
                detail
                    .get("reason")
                    .and_then(Value::as_str)
                    .map(ToOwned::to_owned),
            );
            let delay = detail
                .get("retryDelay")
                .and_then(Value::as_str)
                .and_then(seconds_of);
            self.retry_after = self.retry_after.or(delay);
        }
    }

    /// Reads OpenRouter's `metadata`: the provider's own error, and the reasons of a moderation.
    fn metadata(&mut self, metadata: &Value) {
        if metadata.get("reasons").is_some_and(Value::is_array) {
            self.words.push("reasons".to_owned());
        }
        for name in ["error_type", "provider_code"] {
            self.words.extend(
                metadata
                    .get(name)
                    .and_then(Value::as_str)
                    .map(ToOwned::to_owned),
            );
        }
        if let Some(raw) = metadata.get("raw").and_then(Value::as_str) {
            let inner = serde_json::from_str::<Value>(raw)
                .ok()
                .filter(Value::is_object);
            match inner {
                Some(inner) => {
                    let of_provider = Self::of(&inner);
                    self.words.extend(of_provider.words);
                    self.messages.extend(of_provider.messages);
                }
                None => self.messages.push(raw.to_owned()),
            }
        }
    }

    /// Reads FastAPI's `detail`: a message, or a list of problems with their places.
    fn detail(&mut self, detail: Option<&Value>) {
        match detail {
            Some(Value::String(message)) => self.messages.push(message.clone()),
            Some(Value::Array(problems)) => {
                let Some(first) = problems.first() else {
                    return;
                };
                let steps = first
                    .get("loc")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                let path: Vec<String> = steps
                    .filter_map(|s| {
                        s.as_str()
                            .map(ToOwned::to_owned)
                            .or_else(|| Some(s.as_u64()?.to_string()))
                    })
                    .collect();
                self.param = self.param.take().or_else(|| param_of(&path.join(".")));
                self.kind = self
                    .kind
                    .take()
                    .or_else(|| first.get("type").and_then(token_in));
            }
            Some(object @ Value::Object(_)) => self.object(object),
            _ => {}
        }
    }
}

/// Returns a provider's code, type or reason if it has the form of one. It is passed on, so it must
/// not contain a prompt.
pub(super) fn token_of(text: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/');
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(legal)).then(|| text.to_owned())
}

/// Returns a string or a number that has the form of a code.
fn token_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => token_of(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads a status from a number or a string of digits.
fn number_of(value: &Value) -> Option<u16> {
    value
        .as_u64()
        .and_then(|n| u16::try_from(n).ok())
        .or_else(|| value.as_str()?.parse().ok())
}

/// Returns a member's path if it has the form of one: `messages[0].content`, `body.tools.0`.
fn param_of(text: &str) -> Option<String> {
    let legal =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'[' | b']' | b'/');
    (!text.is_empty() && text.len() <= 128 && text.bytes().all(legal)).then(|| text.to_owned())
}

/// Returns the wait that a response's headers ask for: `Retry-After` in seconds or as a date (RFC
/// 9110, 10.2.3), `retry-after-ms`, or the providers' reset headers if a limit is exhausted.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::trim)
    };
    let in_ms = text("retry-after-ms")
        .and_then(|v| v.parse::<f64>().ok())
        .and_then(|ms| wait(ms / 1000.0));
    let asked = text("retry-after").and_then(|v| seconds_of(v).or_else(|| until_date(v, now)));
    in_ms.or(asked).or_else(|| reset(headers, now))
}

/// Returns the longest time until the reset of an exhausted limit.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    // Pairs of headers: the remainder of a limit, and the time of its reset (OpenAI and compatible
    // providers, Anthropic, OpenRouter).
    const LIMITS: [(&str, &str); 8] = [
        (
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("ratelimit-remaining", "ratelimit-reset"),
        (
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ),
        (
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ),
        (
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
        ),
        (
            "anthropic-ratelimit-output-tokens-remaining",
            "anthropic-ratelimit-output-tokens-reset",
        ),
    ];
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::trim)
    };
    let used_up = LIMITS.iter().filter(|(remaining, _)| {
        text(remaining)
            .and_then(|v| v.parse::<f64>().ok())
            .is_some_and(|left| left <= 0.0)
    });
    used_up
        .filter_map(|(_, reset)| text(reset).and_then(|v| moment_of(v, now)))
        .max()
}

/// Parses a reset: a duration (`6m0s`, `20ms`, `12`), a date (RFC 3339 or HTTP), or seconds or
/// milliseconds since 1970.
fn moment_of(text: &str, now: Timestamp) -> Option<Duration> {
    const A_YEAR: f64 = 31_536_000.0;
    if let Ok(number) = text.parse::<f64>() {
        return match number {
            n if n < A_YEAR => wait(n),
            n if n < 1e11 => wait(n - now.millis() as f64 / 1000.0),
            n => wait((n - now.millis() as f64) / 1000.0),
        };
    }
    seconds_of(text).or_else(|| until_date(text, now))
}

/// Parses a number of seconds or a duration as in Go and protobuf: `12`, `1.5`, `48s`, `20ms`,
/// `6m0s`, `1h2m3s`.
fn seconds_of(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return wait(seconds);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        sum += number
            * match rest.get(..unit)? {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = rest.get(unit..)?;
    }
    wait(sum)
}

fn until_date(text: &str, now: Timestamp) -> Option<Duration> {
    use time::{OffsetDateTime, format_description::well_known};
    let date = OffsetDateTime::parse(text, &well_known::Rfc2822)
        .or_else(|_| OffsetDateTime::parse(text, &well_known::Rfc3339))
        .ok()?;
    wait((date.unix_timestamp_nanos() as f64 / 1e6 - now.millis() as f64) / 1000.0)
}

/// Limits a wait to the maximum. A wait in the past is zero; `None` if it is not a number or far in
/// the past.
fn wait(seconds: f64) -> Option<Duration> {
    (seconds > -LONGEST_WAIT).then(|| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(status: u16, body: &Value) -> ProviderError {
        let table = FaultTable::builtin();
        Origin {
            table: &table,
            provider: "p",
            protocol: Protocol::Chat,
        }
        .read_body(status, body.to_string().as_bytes())
    }

    #[test]
    fn code_type_and_param_are_found_in_every_shape() {
        for (status, body, expected) in [
            (
                400,
                json!({"error": {"message": "m", "type": "t", "code": "c", "param": "messages[0].content"}}),
                (Some("c"), Some("t"), Some("messages[0].content")),
            ),
            (
                429,
                json!({"error": {"code": 429, "message": "m"}}),
                (Some("429"), None, None),
            ),
            (
                400,
                json!([{"error": {"code": 400, "status": "INVALID_ARGUMENT"}}]),
                (Some("400"), Some("INVALID_ARGUMENT"), None),
            ),
            (
                400,
                json!({"code": "invalid-argument", "error": "text of a prompt"}),
                (Some("invalid-argument"), None, None),
            ),
            (
                422,
                json!({"object": "error", "message": "m", "type": "invalid_request_message_order", "param": null, "code": "3230"}),
                (Some("3230"), Some("invalid_request_message_order"), None),
            ),
            (
                422,
                json!({"detail": [{"type": "missing", "loc": ["body", "messages", 0, "content"], "msg": "Field required", "input": "secret"}]}),
                (None, Some("missing"), Some("body.messages.0.content")),
            ),
            (
                400,
                json!({"error": {"code": "a prompt in place of a code", "type": ["x"], "param": "a prompt"}}),
                (None, None, None),
            ),
            (
                500,
                json!({"message": "m", "code": "boom"}),
                (Some("boom"), None, None),
            ),
        ] {
            let error = read(status, &body);
            assert_eq!(
                (
                    error.code.as_deref(),
                    error.kind.as_deref(),
                    error.param.as_deref()
                ),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn an_error_in_a_200_is_judged_by_the_status_that_it_names_or_by_its_words() {
        for (body, class) in [
            (
                json!({"error": {"code": 429, "message": "m"}}),
                FailureClass::RateLimited,
            ),
            (
                json!({"error": {"status_code": 400, "code": "tool_use_failed"}}),
                FailureClass::Rejected,
            ),
            (json!({"error": {"code": "502"}}), FailureClass::Server),
            (
                json!({"type": "error", "error": {"type": "overloaded_error"}}),
                FailureClass::Overloaded,
            ),
            (
                json!({"object": "error", "message": "m", "type": "internal_server_error"}),
                FailureClass::Server,
            ),
            (
                json!({"detail": "Invalid API Key"}),
                FailureClass::Credential,
            ),
            (json!({"error": "text"}), FailureClass::BadAnswer),
        ] {
            assert!(is_error(&body), "{body}");
            assert_eq!(read(200, &body).class, class, "{body}");
        }
        for body in [
            json!({"choices": []}),
            json!({"error": null, "choices": []}),
            json!({"error": false}),
            json!({"type": "ping"}),
            json!(5),
        ] {
            assert!(!is_error(&body), "{body}");
        }
    }

    #[test]
    fn a_relays_metadata_is_read_and_a_refusal_by_moderation_is_told_from_a_bad_key() {
        let flagged = json!({"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "flagged_input": "a prompt"}}});
        assert_eq!(read(403, &flagged).class, FailureClass::Moderated);
        assert_eq!(
            read(
                403,
                &json!({"error": {"code": 403, "message": "no access"}})
            )
            .class,
            FailureClass::Credential
        );
        let raw = json!({"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": "{\"error\":{\"message\":\"User location is not supported for the API use.\"}}"}}});
        assert_eq!(read(400, &raw).class, FailureClass::Location);
    }

    #[test]
    fn a_wait_is_read_in_every_form() {
        let now = Timestamp::from_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        for (headers, millis) in [
            (&[("retry-after", "7")][..], Some(7000u64)),
            (&[("retry-after", "1.5")], Some(1500)),
            (
                &[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")],
                Some(10_000),
            ),
            (&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(0)),
            (
                &[("retry-after-ms", "250"), ("retry-after", "1")],
                Some(250),
            ),
            (&[("retry-after", "soon")], None),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "6m0s"),
                ],
                Some(360_000),
            ),
            (
                &[
                    ("x-ratelimit-remaining-requests", "5"),
                    ("x-ratelimit-reset-requests", "6m0s"),
                ],
                None,
            ),
            (
                &[
                    ("x-ratelimit-remaining-tokens", "0"),
                    ("x-ratelimit-reset-tokens", "20ms"),
                ],
                Some(20),
            ),
            (
                &[
                    ("anthropic-ratelimit-tokens-remaining", "0"),
                    ("anthropic-ratelimit-tokens-reset", "1994-11-06T08:50:37Z"),
                ],
                Some(60_000),
            ),
            (
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "784111787000"),
                ],
                Some(10_000),
            ),
            (
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "784111787"),
                ],
                Some(10_000),
            ),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(n, v)| (n.parse::<http::HeaderName>().unwrap(), v.parse().unwrap()))
                .collect();
            assert_eq!(
                retry_after(&headers, now).map(|d| d.as_millis()),
                millis.map(u128::from),
                "{headers:?}"
            );
        }
        let google = json!({"error": {"code": 429, "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48.5s"}]}});
        assert_eq!(
            read(429, &google).retry_after,
            Some(Duration::from_millis(48_500))
        );
    }
}
