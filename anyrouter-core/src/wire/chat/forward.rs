//! Forwarding of a chat request to an upstream of the same protocol: only members that change are
//! rewritten, and every other byte passes unchanged.

use bytes::Bytes;

use super::history;
use crate::{
    catalog::{Dialect, Endpoint, ForcedTool, OutputLimit, Protocol},
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        client_metadata::{CACHE_KEY_NOTE, Person},
        json::{Member, push_member, push_number, push_string},
        request::Request,
    },
};

/// Length in bytes above which a value is passed on as a slice of the body, without a copy.
const LONG: usize = 4096;

impl Request {
    /// Returns the body for an OpenAI-chat upstream: the model's name is replaced, the gateway's
    /// own members are left out, usage is requested, and the rest is adapted to the endpoint's
    /// dialect. `adjusted` lists the members that the endpoint does not accept. The pieces of the
    /// result share long values with the body of the request.
    pub fn to_openai_chat(
        &self,
        endpoint: &Endpoint,
        person: &Person<'_>,
        adjusted: &mut Adjustments,
    ) -> Vec<Bytes> {
        let dialect = endpoint.dialect(Protocol::Chat);
        let mut pieces = Vec::with_capacity(3);
        let mut out = Vec::with_capacity(self.body().len().min(LONG) + 256);
        out.push(b'{');
        let mut limit_written = false;
        for member in self.members() {
            let name = |n: &str| member.is(self.body(), n);
            let value = member.value(self.body());
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
                    self.body().get(member.name.clone()).unwrap_or_default(),
                ),
            }
            if name("model") {
                push_string(&mut out, &endpoint.upstream_model);
            } else if name("store") && value == b"true" {
                adjusted.note("store was sent as false: responses are not stored");
                out.extend_from_slice(b"false");
            } else if name("prompt_cache_key")
                && value != b"null"
                && person
                    .treatment(Protocol::Chat, "prompt_cache_key")
                    .is_some()
            {
                adjusted.note(CACHE_KEY_NOTE);
                match person.cache_key {
                    Some(key) => push_string(&mut out, key),
                    None => out.extend_from_slice(b"null"),
                }
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
                pieces.push(self.body().slice(member.value.clone()));
            } else {
                out.extend_from_slice(value);
            }
        }
        if self.raw("model").is_none() && !self.members().iter().any(|m| m.is(self.body(), "model"))
        {
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

    /// Appends the effort from `reasoning` as `reasoning_effort`.
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

    /// Returns true if a member is left out because it is redundant or the endpoint would refuse
    /// it. `adjusted` lists the member, unless it is refused and its value is the default.
    fn is_left_out(&self, member: &Member, dialect: &Dialect, adjusted: &mut Adjustments) -> bool {
        let Some(name) = member.decoded_name(self.body()) else {
            return false;
        };
        let (name, value) = (name.as_str(), member.value(self.body()));
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

    /// Appends the client's `stream_options` with `include_usage` set.
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

/// Returns the effort to send for `asked`, with a note if it differs; `None` if the endpoint
/// accepts no similar effort.
fn noted_effort<'a>(
    dialect: &'a Dialect,
    asked: &'a str,
    adjusted: &mut Adjustments,
) -> Option<&'a str> {
    let sent = dialect.effort(asked)?;
    if sent != asked {
        adjusted.note(format!(
            "reasoning effort {asked} was sent as {sent}, the nearest that the endpoint accepts"
        ));
    }
    Some(sent)
}

/// Returns true if a `tool_choice` forces a call.
fn is_forced(choice: &[u8]) -> bool {
    choice == b"\"required\"" || choice.starts_with(b"{")
}

fn is_empty_list(text: &[u8]) -> bool {
    matches!(text, [b'[', inner @ .., b']'] if inner.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::inbound::inbound;
    use crate::{
        catalog::{Catalog, Document},
        wire::fault::RequestFault,
    };

    fn parse(text: &str) -> Result<Request, RequestFault> {
        inbound(Protocol::Chat, Bytes::copy_from_slice(text.as_bytes()), 64)
    }

    /// Returns an endpoint of the model `up`, whose provider has these members.
    fn endpoint(members: &str) -> Endpoint {
        let toml = format!(
            "[[provider]]\nslug=\"a\"\nprotocol=\"openai_chat\"\nbase_url=\"http://x\"\n{members}\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"\nupstream_model=\"up\"\nmax_output=1000"
        );
        Catalog::from_documents(&[Document::from_toml(&toml).unwrap()])
            .unwrap()
            .endpoints()[0]
            .clone()
    }

    /// Returns the body that is sent for `text` in a dialect, and the adjustments.
    fn adjusted(text: &str, dialect: &str) -> (String, Adjustments) {
        let mut adjusted = Adjustments::default();
        let sent = parse(text).unwrap().to_openai_chat(
            &endpoint(&format!("dialect = {{ {dialect} }}")),
            &Person::default(),
            &mut adjusted,
        );
        (String::from_utf8(sent.concat()).unwrap(), adjusted)
    }

    fn sent(text: &str, stream_usage: bool) -> String {
        let endpoint = endpoint(&format!("stream_usage = {stream_usage}"));
        String::from_utf8(
            parse(text)
                .unwrap()
                .to_openai_chat(&endpoint, &Person::default(), &mut Adjustments::default())
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
        let pieces = inbound(Protocol::Chat, body.clone(), 64)
            .unwrap()
            .to_openai_chat(
                &endpoint(""),
                &Person::default(),
                &mut Adjustments::default(),
            );
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
    fn no_provider_is_asked_to_store_a_completion() {
        let (body, adjusted) = adjusted(r#"{"model":"m","store":true}"#, "");
        assert_eq!(body, r#"{"model":"up","store":false}"#);
        assert_eq!(adjusted.notes.len(), 1);
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
            inbound(Protocol::Chat, Bytes::from_static(b"{\"a\":\"\xff\"}"), 9)
                .unwrap_err()
                .code,
            "invalid_json"
        );
    }
}
