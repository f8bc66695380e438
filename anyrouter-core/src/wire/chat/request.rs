//! A chat request, read once: its members as ranges of the body, and the values of those that the
//! gateway needs.

use bytes::Bytes;
use serde::Deserialize;
use smallvec::SmallVec;

use super::history;
use crate::{
    catalog::{Dialect, Endpoint, ForcedTool, OutputLimit, Protocol},
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        fault::{RequestFault, member_problem},
        json::{Member, Scanner, Volume, push_member, push_number, push_string, utf8},
    },
};

/// A value of more bytes is not copied.
const LONG: usize = 4096;

/// The members that are read here; each may stand once.
const READ: [&str; 25] = [
    "redact_upstream",
    "model",
    "models",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "provider",
    "preset",
    "trace",
    "session_id",
    "min_context",
    "require_params",
    "usage",
    "reasoning",
    "reasoning_effort",
    "tools",
    "tool_choice",
    "response_format",
    "stop",
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "user",
];

/// What is asked of the model's thinking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub effort: Option<String>,
    /// Tokens that it may take.
    pub max_tokens: Option<u64>,
    /// It need not be shown.
    pub exclude: bool,
}

/// A chat request.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    body: Bytes,
    members: SmallVec<[Member; 16]>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// Models to fall back to.
    pub models: Vec<String>,
    /// The answer is a stream.
    pub stream: bool,
    /// The client takes a usage chunk with empty `choices`.
    pub include_usage: bool,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u64>,
    /// A floor on context length, in tokens.
    pub min_context: Option<u64>,
    /// An alias of `provider.require_parameters`.
    pub require_params: bool,
    /// What is asked of the model's thinking.
    pub reasoning: Reasoning,
    /// The preset's name.
    pub preset: Option<String>,
    /// The client's name of the session.
    pub session_id: Option<String>,
    /// The client's name of the trace.
    pub trace_id: Option<String>,
    /// The client's name of its end user.
    pub user: Option<String>,
    /// It asks for redaction on the way to the provider.
    pub redact: bool,
    /// How much text and how many files messages and tools have.
    pub volume: Volume,
}

impl ChatRequest {
    /// Reads a body that may nest `depth` deep.
    pub fn parse(body: Bytes, depth: usize) -> Result<Self, RequestFault> {
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
            s.count(member.is(&body, "messages") || member.is(&body, "tools"));
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
            body,
            members,
            model: None,
            models: Vec::new(),
            stream: false,
            include_usage: false,
            max_tokens: None,
            min_context: None,
            require_params: false,
            reasoning: Reasoning::default(),
            preset: None,
            session_id: None,
            trace_id: None,
            user: None,
            redact: false,
            volume,
        };
        it.check_once()?;
        it.read()?;
        Ok(it)
    }

    /// The body that it was read from.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The text of a member's value, as it was sent; a member that is `null` counts as absent.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        let member = self.members.iter().find(|m| m.is(&self.body, name))?;
        Some(member.value(&self.body)).filter(|v| *v != b"null")
    }

    /// Reads a member as `T`. The error names the member, and never repeats what was sent.
    pub fn get<'a, T: Deserialize<'a>>(
        &'a self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, RequestFault> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        // The body was checked: this cannot fail, and saves checking each string in it.
        let text = utf8(raw).unwrap_or_default();
        serde_json::from_str(text)
            .map(Some)
            .map_err(|e| RequestFault::member(name, member_problem(name, expected, &e)))
    }

    /// Reads a member that is a whole number.
    fn whole(&self, name: &str, expected: &str) -> Result<Option<u64>, RequestFault> {
        Ok(self.get::<Whole>(name, expected)?.map(|n| n.0))
    }

    /// The most tokens that the answer may have at `endpoint`: what was asked for, lowered to what
    /// the endpoint can do.
    pub(crate) fn output_limit(
        &self,
        endpoint: &Endpoint,
        adjusted: &mut Adjustments,
    ) -> Option<u64> {
        let asked = self.max_tokens?;
        let most = endpoint.max_output.filter(|most| asked > *most);
        if let Some(most) = most {
            adjusted.note(format!(
                "max_tokens was lowered from {asked} to {most}, the most that the endpoint gives"
            ));
        }
        Some(most.unwrap_or(asked))
    }

    /// The names of the members that are there and not null.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.members
            .iter()
            .filter(|m| m.value(&self.body) != b"null")
            .filter_map(|m| std::str::from_utf8(m.name(&self.body)).ok())
    }

    fn check_once(&self) -> Result<(), RequestFault> {
        for (i, member) in self.members.iter().enumerate() {
            let Some(name) = READ.iter().find(|n| member.is(&self.body, n)) else {
                continue;
            };
            if self.members.iter().take(i).any(|m| m.is(&self.body, name)) {
                return Err(RequestFault::member(
                    *name,
                    format!("`{name}` stands twice; send it once"),
                ));
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), RequestFault> {
        #[derive(Deserialize)]
        struct StreamOptions {
            include_usage: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Trace {
            trace_id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Thinking {
            effort: Option<String>,
            max_tokens: Option<Whole>,
            exclude: Option<bool>,
            enabled: Option<bool>,
        }
        let model = self.get("model", "a string")?;
        let models = self
            .get::<Vec<String>>("models", "a list of strings")?
            .unwrap_or_default();
        if models.len() > 16 {
            return Err(RequestFault::member(
                "models",
                "`models` has more than 16 names; send at most 16",
            ));
        }
        let stream = self.get("stream", "true or false")?.unwrap_or(false);
        let options: Option<StreamOptions> =
            self.get("stream_options", "an object with `include_usage`")?;
        let completion = self.whole("max_completion_tokens", "a whole number above 0")?;
        let max_tokens = completion.or(self.whole("max_tokens", "a whole number above 0")?);
        if max_tokens == Some(0) {
            return Err(RequestFault::member(
                "max_tokens",
                "`max_tokens` must be above 0",
            ));
        }
        let thinking: Option<Thinking> =
            self.get("reasoning", "an object with `effort` or `max_tokens`")?;
        let mut reasoning = Reasoning {
            effort: self.get("reasoning_effort", "a string")?,
            ..Reasoning::default()
        };
        if let Some(e) = thinking {
            let by_switch = e.enabled.and_then(|on| {
                (e.effort.is_none() && e.max_tokens.is_none()).then_some(if on {
                    "medium"
                } else {
                    "none"
                })
            });
            let asked = e.effort.or(by_switch.map(ToOwned::to_owned));
            reasoning = Reasoning {
                effort: reasoning.effort.or(asked),
                max_tokens: e.max_tokens.map(|n| n.0),
                exclude: e.exclude.unwrap_or(false),
            };
        }
        // An older name of `reasoning.exclude`.
        reasoning.exclude |= self.raw("include_reasoning") == Some(b"false");
        let levels = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
        if reasoning
            .effort
            .as_deref()
            .is_some_and(|e| !levels.contains(&e))
        {
            return Err(RequestFault::member(
                "reasoning_effort",
                format!("the effort must be one of {}", levels.join(", ")),
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
        let min_context = self.whole("min_context", "a whole number")?;
        let require_params = self
            .get("require_params", "true or false")?
            .unwrap_or(false);
        let preset = self.get("preset", "a string")?;
        let session_id: Option<String> = self.get("session_id", "a string")?;
        let trace: Option<Trace> = self.get("trace", "an object")?;
        let _: Option<serde::de::IgnoredAny> = self.get("usage", "an object")?;
        self.redact = self
            .get("redact_upstream", "true or false")?
            .unwrap_or(false);
        self.user = self.get("user", "a string")?;
        self.model = model;
        self.models = models;
        self.stream = stream;
        self.include_usage = options.and_then(|o| o.include_usage).unwrap_or(false);
        self.max_tokens = max_tokens;
        self.min_context = min_context;
        self.require_params = require_params;
        self.reasoning = reasoning;
        self.preset = preset;
        self.session_id = session_id;
        self.trace_id = trace.and_then(|t| t.trace_id);
        Ok(())
    }

    /// The body for an OpenAI-chat upstream: the model's name replaced, the gateway's own members
    /// left out, usage asked for, and what the endpoint's dialect wants otherwise written so. What
    /// it does not take is named in `adjusted`. It comes in pieces: a long value is a part of the
    /// body that came in, and not a copy of it.
    pub fn to_openai_chat(&self, endpoint: &Endpoint, adjusted: &mut Adjustments) -> Vec<Bytes> {
        let dialect = endpoint.dialect(Protocol::Chat);
        let mut pieces = Vec::with_capacity(3);
        let mut out = Vec::with_capacity(self.body.len().min(LONG) + 256);
        out.push(b'{');
        let mut limit_written = false;
        for member in &self.members {
            let name = |n: &str| member.is(&self.body, n);
            let value = member.value(&self.body);
            if GATEWAY_MEMBERS.iter().any(|n| name(n))
                || (name("reasoning") && !dialect.takes("reasoning"))
            {
                continue;
            }
            if name("stream_options") && (!endpoint.stream_usage || self.stream) {
                continue;
            }
            if value != b"null" && self.is_left_out(member, &dialect, adjusted) {
                continue;
            }
            if self.max_tokens.is_some() && (name("max_tokens") || name("max_completion_tokens")) {
                if !std::mem::replace(&mut limit_written, true) {
                    self.push_output_limit(&mut out, endpoint, &dialect, adjusted);
                }
                continue;
            }
            let renamed = dialect
                .renames
                .as_ref()
                .and_then(|r| r.iter().find(|(from, _)| name(from)));
            match renamed {
                Some((_, to)) => push_member(&mut out, format!("\"{to}\"").as_bytes()),
                None => push_member(
                    &mut out,
                    self.body.get(member.name.clone()).unwrap_or_default(),
                ),
            }
            if name("model") {
                push_string(&mut out, &endpoint.upstream_model);
            } else if let Some(messages) = name("messages")
                .then(|| history::rewritten(value, &dialect, adjusted))
                .flatten()
            {
                out.extend_from_slice(&messages);
            } else if let (Some(word), true) = (
                &dialect.required_tool,
                name("tool_choice") && value == b"\"required\"",
            ) {
                push_string(&mut out, word);
            } else if let (Some(effort), true) = (&self.reasoning.effort, name("reasoning_effort"))
            {
                push_string(
                    &mut out,
                    noted_effort(&dialect, effort, adjusted).unwrap_or(effort),
                );
            } else if value.len() > LONG {
                pieces.push(std::mem::take(&mut out).into());
                pieces.push(self.body.slice(member.value.clone()));
            } else {
                out.extend_from_slice(value);
            }
        }
        if self.raw("model").is_none() && !self.members.iter().any(|m| m.is(&self.body, "model")) {
            push_member(&mut out, b"\"model\"");
            push_string(&mut out, &endpoint.upstream_model);
        }
        if !dialect.takes("reasoning") {
            self.push_reasoning_effort(&mut out, &dialect, adjusted);
        }
        if self.stream && endpoint.stream_usage {
            push_member(&mut out, b"\"stream_options\"");
            self.push_stream_options(&mut out);
        }
        out.push(b'}');
        pieces.push(out.into());
        pieces
    }

    /// What `reasoning` asks for, as `reasoning_effort`.
    fn push_reasoning_effort(
        &self,
        out: &mut Vec<u8>,
        dialect: &Dialect,
        adjusted: &mut Adjustments,
    ) {
        if let (Some(effort), None) = (&self.reasoning.effort, self.raw("reasoning_effort")) {
            match noted_effort(dialect, effort, adjusted) {
                Some(effort) => {
                    push_member(out, b"\"reasoning_effort\"");
                    push_string(out, effort);
                }
                None => adjusted.omit("reasoning"),
            }
        }
        if self.reasoning.max_tokens.is_some() {
            adjusted.omit("reasoning.max_tokens");
        }
        if self.reasoning.exclude {
            adjusted.omit("reasoning.exclude");
        }
    }

    /// Returns true if a member that says something is not sent, because the endpoint would refuse
    /// it; it is named, unless it says nothing that the endpoint would not do anyway.
    fn is_left_out(&self, member: &Member, dialect: &Dialect, adjusted: &mut Adjustments) -> bool {
        let Some(name) = member.decoded_name(&self.body) else {
            return false;
        };
        let (name, value) = (name.as_str(), member.value(&self.body));
        let has_tools = || self.raw("tools").is_some_and(|t| !is_empty_list(t));
        let is_default =
            || matches!(name, "temperature" | "top_p") && matches!(value, b"1" | b"1.0");
        let left_out = match name {
            "tools" => is_empty_list(value),
            "tool_choice" | "parallel_tool_calls" if !has_tools() => true,
            "tool_choice" if is_forced(value) => match dialect.forced_tool {
                Some(ForcedTool::No) => true,
                Some(ForcedTool::WithoutThinking) => self
                    .reasoning
                    .effort
                    .as_deref()
                    .is_some_and(|e| e != "none"),
                _ => false,
            },
            "reasoning_effort" => self
                .reasoning
                .effort
                .as_deref()
                .is_some_and(|e| dialect.effort(e).is_none()),
            _ => OPENROUTERS.contains(&name) && !dialect.takes(name),
        };
        if left_out {
            adjusted.omit(name);
        } else if dialect.refuses(name, self.reasoning.effort.as_deref()) {
            if !is_default() {
                adjusted.omit(name);
            }
            return true;
        }
        left_out
    }

    fn push_output_limit(
        &self,
        out: &mut Vec<u8>,
        endpoint: &Endpoint,
        dialect: &Dialect,
        adjusted: &mut Adjustments,
    ) {
        let Some(limit) = self.output_limit(endpoint, adjusted) else {
            return;
        };
        let is_new_name = match dialect.max_tokens {
            Some(name) => name == OutputLimit::MaxCompletionTokens,
            None => self.raw("max_completion_tokens").is_some(),
        };
        push_member(
            out,
            if is_new_name {
                b"\"max_completion_tokens\""
            } else {
                b"\"max_tokens\""
            },
        );
        push_number(out, limit);
    }

    /// The client's `stream_options`, with `include_usage` set.
    fn push_stream_options(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let sent = self.raw("stream_options").unwrap_or(b"{}");
        for member in crate::wire::json::members(sent, 8).unwrap_or_default() {
            if !member.is(sent, "include_usage") {
                push_member(out, sent.get(member.name.clone()).unwrap_or_default());
                out.extend_from_slice(member.value(sent));
            }
        }
        push_member(out, b"\"include_usage\"");
        out.extend_from_slice(b"true}");
    }
}

/// OpenRouter's own members, which other providers refuse.
const OPENROUTERS: [&str; 6] = [
    "include_reasoning",
    "transforms",
    "route",
    "plugins",
    "debug",
    "image_config",
];

/// The effort that is sent for `asked`, with a note where it is another; none where the endpoint
/// takes none like it.
fn noted_effort<'a>(
    dialect: &'a Dialect,
    asked: &'a str,
    adjusted: &mut Adjustments,
) -> Option<&'a str> {
    let sent = dialect.effort(asked)?;
    if sent != asked {
        adjusted.note(format!(
            "reasoning effort {asked} was sent as {sent}, the nearest that the endpoint takes"
        ));
    }
    Some(sent)
}

/// Returns true if a `tool_choice` demands a call.
fn is_forced(choice: &[u8]) -> bool {
    choice == b"\"required\"" || choice.starts_with(b"{")
}

fn is_empty_list(text: &[u8]) -> bool {
    matches!(text, [b'[', inner @ .., b']'] if inner.trim_ascii().is_empty())
}

/// A whole number, which may be written as a float: `100.0`.
struct Whole(u64);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Document};

    fn parse(text: &str) -> Result<ChatRequest, RequestFault> {
        ChatRequest::parse(Bytes::copy_from_slice(text.as_bytes()), 64)
    }

    /// An endpoint whose model is called `up`, of a provider with these members.
    fn endpoint(members: &str) -> Endpoint {
        let toml = format!(
            "[[provider]]\nslug=\"a\"\nprotocol=\"openai_chat\"\nbase_url=\"http://x\"\n{members}\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"\nupstream_model=\"up\"\nmax_output=1000"
        );
        Catalog::from_documents(&[Document::from_toml(&toml).unwrap()])
            .unwrap()
            .endpoints()[0]
            .clone()
    }

    /// What is sent of `text` in a dialect, and what is said of it.
    fn adjusted(text: &str, dialect: &str) -> (String, Adjustments) {
        let mut adjusted = Adjustments::default();
        let sent = parse(text).unwrap().to_openai_chat(
            &endpoint(&format!("dialect = {{ {dialect} }}")),
            &mut adjusted,
        );
        (String::from_utf8(sent.concat()).unwrap(), adjusted)
    }

    fn sent(text: &str, stream_usage: bool) -> String {
        let endpoint = endpoint(&format!("stream_usage = {stream_usage}"));
        String::from_utf8(
            parse(text)
                .unwrap()
                .to_openai_chat(&endpoint, &mut Adjustments::default())
                .concat(),
        )
        .unwrap()
    }

    #[test]
    fn only_the_changed_members_are_rewritten() {
        let text = r#"{"model":"lab/x", "messages":[{"role":"user","content":"h\u00e9 "}],"temperature":1.0e0,"provider":{"zdr":true},"x":[1, 2]}"#;
        assert_eq!(
            sent(text, true),
            r#"{"model":"up","messages":[{"role":"user","content":"h\u00e9 "}],"temperature":1.0e0,"x":[1, 2]}"#
        );
    }

    #[test]
    fn a_long_value_is_passed_on_and_not_copied() {
        let long = "x".repeat(LONG);
        let body = Bytes::from(format!(
            r#"{{"messages":["{long}"],"model":"m","stream":true}}"#
        ));
        let pieces = ChatRequest::parse(body.clone(), 64)
            .unwrap()
            .to_openai_chat(&endpoint(""), &mut Adjustments::default());
        assert_eq!(
            pieces.concat(),
            format!(r#"{{"messages":["{long}"],"model":"up","stream":true,"stream_options":{{"include_usage":true}}}}"#).as_bytes()
        );
        assert!(
            body.as_ptr_range().contains(&pieces[1].as_ptr()),
            "the messages are the client's own bytes"
        );
    }

    #[test]
    fn usage_is_asked_for_where_the_provider_takes_it() {
        let text = r#"{"model":"m","stream":true,"stream_options":{"include_usage":false,"include_obfuscation":false}}"#;
        assert_eq!(
            sent(text, true),
            r#"{"model":"up","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#
        );
        assert_eq!(sent(text, false), r#"{"model":"up","stream":true}"#);
    }

    #[test]
    fn reasoning_is_written_as_the_provider_knows_it() {
        assert_eq!(
            sent(r#"{"model":"m","reasoning":{"effort":"low"}}"#, true),
            r#"{"model":"up","reasoning_effort":"low"}"#
        );
        assert_eq!(
            adjusted(r#"{"model":"m","reasoning":{"max_tokens":5}}"#, "")
                .1
                .omitted,
            ["reasoning.max_tokens"]
        );
    }

    #[test]
    fn a_request_is_written_in_the_endpoints_dialect_and_what_is_left_out_is_named() {
        for (text, dialect, expected, omitted) in [
            (
                r#"{"max_tokens":9}"#,
                "max_tokens = \"max_completion_tokens\"",
                r#"{"max_completion_tokens":9,"model":"up"}"#,
                &[][..],
            ),
            (
                r#"{"max_completion_tokens":9,"max_tokens":8}"#,
                "max_tokens = \"max_tokens\"",
                r#"{"max_tokens":9,"model":"up"}"#,
                &[],
            ),
            (
                r#"{"max_tokens":100.0}"#,
                "",
                r#"{"max_tokens":100,"model":"up"}"#,
                &[],
            ),
            (
                r#"{"tools":[],"tool_choice":"auto","parallel_tool_calls":true}"#,
                "",
                r#"{"model":"up"}"#,
                &["tools", "tool_choice", "parallel_tool_calls"],
            ),
            (
                r#"{"tools":[1],"tool_choice":"required"}"#,
                "required_tool = \"any\"",
                r#"{"tools":[1],"tool_choice":"any","model":"up"}"#,
                &[],
            ),
            (
                r#"{"tools":[1],"tool_choice":"required"}"#,
                "forced_tool = \"no\"",
                r#"{"tools":[1],"model":"up"}"#,
                &["tool_choice"],
            ),
            (
                r#"{"reasoning_effort":"medium"}"#,
                "efforts = [\"low\", \"high\"]",
                r#"{"reasoning_effort":"high","model":"up"}"#,
                &[],
            ),
            (
                r#"{"reasoning_effort":"none"}"#,
                "efforts = [\"low\", \"high\"]",
                r#"{"model":"up"}"#,
                &["reasoning_effort"],
            ),
            (
                r#"{"seed":1}"#,
                "renames = { seed = \"random_seed\" }",
                r#"{"random_seed":1,"model":"up"}"#,
                &[],
            ),
            (
                r#"{"seed":1,"stop":null}"#,
                "refuses = [\"seed\", \"stop\"]",
                r#"{"stop":null,"model":"up"}"#,
                &["seed"],
            ),
            (
                r#"{"temperature":1,"top_p":0.5}"#,
                "reasons = \"always\", refuses_while_reasoning = [\"temperature\", \"top_p\"]",
                r#"{"model":"up"}"#,
                &["top_p"],
            ),
            (
                r#"{"include_reasoning":true,"transforms":[],"route":"fallback","plugins":[],"debug":{},"image_config":{}}"#,
                "takes = [\"transforms\"]",
                r#"{"transforms":[],"model":"up"}"#,
                &[
                    "include_reasoning",
                    "route",
                    "plugins",
                    "debug",
                    "image_config",
                ],
            ),
            (
                r#"{"reasoning":{"effort":"low","exclude":true}}"#,
                "takes = [\"reasoning\"]",
                r#"{"reasoning":{"effort":"low","exclude":true},"model":"up"}"#,
                &[],
            ),
        ] {
            let (sent, said) = adjusted(text, dialect);
            assert_eq!(sent, expected, "{text}");
            assert_eq!(said.omitted, omitted, "{text}");
        }
    }

    #[test]
    fn an_output_limit_above_the_endpoints_is_lowered_with_a_note() {
        let (sent, said) = adjusted(r#"{"max_tokens":64000}"#, "");
        assert_eq!(sent, r#"{"max_tokens":1000,"model":"up"}"#);
        assert_eq!(
            said.notes,
            ["max_tokens was lowered from 64000 to 1000, the most that the endpoint gives"]
        );
    }

    #[test]
    fn a_member_that_is_read_may_stand_once_however_it_is_spelt() {
        let fault = parse(r#"{"model":"a","mod\u0065l":"b"}"#).unwrap_err();
        assert_eq!(
            (fault.code, fault.param.as_deref()),
            ("invalid_parameter", Some("model"))
        );
        assert!(
            parse(r#"{"model":"a","seed":1,"seed":2}"#).is_ok(),
            "what the gateway does not read is the provider's to judge"
        );
    }

    #[test]
    fn a_fault_names_the_member_and_repeats_nothing() {
        for (text, param) in [
            (r#"{"model":{"secret":1}}"#, "model"),
            (r#"{"stream":"secret"}"#, "stream"),
            (r#"{"messages":"secret"}"#, "messages"),
            (r#"{"max_tokens":-5}"#, "max_tokens"),
            (r#"{"models":["secret",2]}"#, "models"),
            (r#"{"reasoning_effort":"secret"}"#, "reasoning_effort"),
            (
                r#"{"stream_options":{"include_usage":"secret"}}"#,
                "stream_options",
            ),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.param.as_deref(), Some(param), "{text}");
            assert!(!fault.problem.contains("secret"), "{}", fault.problem);
        }
        assert_eq!(parse("{\"a\":").unwrap_err().code, "invalid_json");
        assert_eq!(
            ChatRequest::parse(Bytes::from_static(b"{\"a\":\"\xff\"}"), 9)
                .unwrap_err()
                .code,
            "invalid_json"
        );
    }
}
