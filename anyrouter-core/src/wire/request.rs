//! Parsed requests in any protocol: the members as ranges of the body, and the values that the
//! gateway needs.

use bytes::Bytes;
use serde::Deserialize;
use smallvec::SmallVec;

use super::{
    adjust::Adjustments,
    fault::{RequestFault, member_problem},
    json::{Member, Scanner, Volume, utf8},
};
use crate::catalog::{Endpoint, Protocol};

/// Members that are read in every protocol; each may occur only once.
const READ: [&str; 16] = [
    "redact_upstream",
    "model",
    "models",
    "messages",
    "stream",
    "max_tokens",
    "provider",
    "preset",
    "trace",
    "session_id",
    "min_context",
    "require_params",
    "tools",
    "tool_choice",
    "temperature",
    "top_p",
];

/// The members of a protocol's requests.
pub(super) struct Members {
    /// Members that the model reads: their text counts as the prompt.
    pub(super) prompt: &'static [&'static str],
    /// Members that are read only in this protocol; each may occur only once.
    pub(super) read: &'static [&'static str],
}

/// Requested reasoning of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub effort: Option<String>,
    /// Maximum number of tokens for reasoning.
    pub max_tokens: Option<u64>,
    /// True if reasoning is hidden from the client.
    pub exclude: bool,
    /// True if the client asks to see a summary of it.
    pub is_shown: bool,
}

/// A parsed request.
#[derive(Clone, Debug)]
pub struct Request {
    protocol: Protocol,
    body: Bytes,
    members: SmallVec<[Member; 16]>,
    /// Requested model.
    pub model: Option<String>,
    /// Fallback models.
    pub models: Vec<String>,
    /// True if the client asks for a stream.
    pub stream: bool,
    /// True if the client accepts a usage chunk with empty `choices`.
    pub include_usage: bool,
    /// True if only the tokens of the request are to be counted.
    pub counts: bool,
    /// Maximum number of tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Minimum context length, in tokens.
    pub min_context: Option<u64>,
    /// An alias of `provider.require_parameters`.
    pub require_params: bool,
    /// Requested reasoning of the model.
    pub reasoning: Reasoning,
    /// The preset's name.
    pub preset: Option<String>,
    /// The client's id of the session.
    pub session_id: Option<String>,
    /// The client's id of the trace.
    pub trace_id: Option<String>,
    /// The client's name for its end user.
    pub user: Option<String>,
    /// The client's name for the conversation, by which providers find their prompt caches.
    pub cache_key: Option<String>,
    /// Parts that are left out whatever the provider, such as `messages[2].content[0]`.
    pub(crate) omitted: Vec<String>,
    /// True if it asks for redaction on the way to the provider.
    pub redact: bool,
    /// Amount of text and number of files of the prompt.
    pub volume: Volume,
}

impl Request {
    /// Reads the members that all protocols share, from a body that may nest `depth` levels deep.
    pub(super) fn scan(
        protocol: Protocol,
        of_protocol: &Members,
        body: Bytes,
        depth: usize,
    ) -> Result<Self, RequestFault> {
        if let Err(e) = simdutf8::compat::from_utf8(&body) {
            return Err(RequestFault::json(format!(
                "the body is not UTF-8: byte {}",
                e.valid_up_to()
            )));
        }
        let mut scanner = Scanner::new(&body, depth);
        let mut members: SmallVec<[Member; 16]> = SmallVec::new();
        let scanned = scanner.object(|s, name| {
            let mut member = Member::new(&body, name.clone(), 0..0);
            s.count(of_protocol.prompt.iter().any(|name| member.is(&body, name)));
            member.value = s.value()?;
            s.count(false);
            members.push(member);
            Ok(())
        });
        let volume = scanner.volume();
        if let Err(e) = scanned.and_then(|()| scanner.end()) {
            return Err(RequestFault::json(format!(
                "the body is not a JSON object: {e}"
            )));
        }
        let mut it = Self {
            protocol,
            body,
            members,
            model: None,
            models: Vec::new(),
            stream: false,
            include_usage: false,
            counts: false,
            max_tokens: None,
            min_context: None,
            require_params: false,
            reasoning: Reasoning::default(),
            preset: None,
            session_id: None,
            trace_id: None,
            user: None,
            cache_key: None,
            omitted: Vec::new(),
            redact: false,
            volume,
        };
        it.check_once(of_protocol.read)?;
        it.read()?;
        Ok(it)
    }

    /// Returns the protocol of the client.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns the body of the request.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the members in order.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the text of a member's value as sent; a member that is `null` counts as absent.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        let member = self.members.iter().find(|m| m.is(&self.body, name))?;
        Some(member.value(&self.body)).filter(|v| *v != b"null")
    }

    /// Reads a member as `T`. The error names the member and never repeats its value.
    pub fn get<'a, T: Deserialize<'a>>(
        &'a self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, RequestFault> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        // The body is valid UTF-8, so this cannot fail; it avoids a check of each string.
        let text = utf8(raw).unwrap_or_default();
        serde_json::from_str(text)
            .map(Some)
            .map_err(|e| RequestFault::member(name, member_problem(name, expected, &e)))
    }

    /// Reads a member that is a whole number.
    pub(super) fn whole(&self, name: &str, expected: &str) -> Result<Option<u64>, RequestFault> {
        Ok(self.get::<Whole>(name, expected)?.map(|n| n.0))
    }

    /// Returns the maximum number of tokens of the answer: the request's, lowered to the maximum of
    /// `endpoint`.
    pub(crate) fn output_limit(
        &self,
        endpoint: &Endpoint,
        adjusted: &mut Adjustments,
    ) -> Option<u64> {
        let asked = self.max_tokens?;
        let most = endpoint.max_output.filter(|most| asked > *most);
        if let Some(most) = most {
            let name = match self.protocol {
                Protocol::Chat | Protocol::Messages => "max_tokens",
                Protocol::Responses => "max_output_tokens",
                Protocol::Gemini => "maxOutputTokens",
            };
            adjusted.note(format!(
                "{name} was lowered from {asked} to {most}, the most that the endpoint gives"
            ));
        }
        Some(most.unwrap_or(asked))
    }

    /// Returns the names of the members that are not null.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.members
            .iter()
            .filter(|m| m.value(&self.body) != b"null")
            .filter_map(|m| std::str::from_utf8(m.name(&self.body)).ok())
    }

    fn check_once(&self, of_protocol: &[&'static str]) -> Result<(), RequestFault> {
        let read = || READ.iter().chain(of_protocol);
        for (i, member) in self.members.iter().enumerate() {
            let Some(name) = read().find(|n| member.is(&self.body, n)) else {
                continue;
            };
            if self.members.iter().take(i).any(|m| m.is(&self.body, name)) {
                return Err(RequestFault::member(
                    *name,
                    format!("`{name}` occurs twice; send it once"),
                ));
            }
        }
        Ok(())
    }

    /// Reads the members that all protocols share.
    fn read(&mut self) -> Result<(), RequestFault> {
        #[derive(Deserialize)]
        struct Trace {
            trace_id: Option<String>,
        }
        let models = self
            .get::<Vec<String>>("models", "a list of strings")?
            .unwrap_or_default();
        if models.len() > 16 {
            return Err(RequestFault::member(
                "models",
                "`models` has more than 16 names; send at most 16",
            ));
        }
        if let Some(messages) = self.raw("messages")
            && !messages.starts_with(b"[")
        {
            return Err(RequestFault::member(
                "messages",
                "`messages` must be a list",
            ));
        }
        let trace: Option<Trace> = self.get("trace", "an object")?;
        self.model = self.get("model", "a string")?;
        self.models = models;
        self.stream = self.get("stream", "true or false")?.unwrap_or(false);
        self.max_tokens = self.whole("max_tokens", "a whole number above 0")?;
        self.min_context = self.whole("min_context", "a whole number")?;
        self.require_params = self
            .get("require_params", "true or false")?
            .unwrap_or(false);
        self.preset = self.get("preset", "a string")?;
        self.session_id = self.get("session_id", "a string")?;
        self.trace_id = trace.and_then(|t| t.trace_id);
        self.redact = self
            .get("redact_upstream", "true or false")?
            .unwrap_or(false);
        Ok(())
    }
}

/// A whole number, which may be written as a float: `100.0`.
pub(super) struct Whole(pub(super) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let whole = || {
            number
                .as_f64()
                .filter(|n| *n >= 0.0 && n.fract() == 0.0 && *n < 9e15)
                .map(|n| n as u64)
        };
        number
            .as_u64()
            .or_else(whole)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not a whole number"))
    }
}
