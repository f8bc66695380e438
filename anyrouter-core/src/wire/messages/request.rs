//! Translation of an OpenAI chat request to an Anthropic one. Text keeps its JSON escapes, without
//! unescaping and escaping. Members without a counterpart are omitted and listed for the client.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    cache_control::CACHE_MARKS,
    conversation::{Conversation, push_messages, push_system},
    thinking::{Thinking, instruction, max_tokens, push_thinking, thinking},
    tools::push_tools,
};
use crate::{
    catalog::{Dialect, Endpoint, Protocol, Sampling},
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        fault::RequestFault,
        json::{push_member, push_string, push_value},
        request::Request,
    },
};

/// Members that are translated or need no translation; all others have no counterpart.
const TRANSLATED: [&str; 18] = [
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "parallel_tool_calls",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user",
    "include_reasoning",
];

/// Returns true if a member of the request can be translated.
pub(in crate::wire) fn carries(request: &Request, member: &str) -> bool {
    match member {
        "n" => request.raw("n") == Some(b"1"),
        "store" => request.raw("store") == Some(b"false"),
        "response_format" => {
            let format = request.get::<Value>("response_format", "an object");
            !matches!(format, Ok(Some(format)) if format.get("type") == Some(&"json_object".into()))
        }
        _ => TRANSLATED.contains(&member) || GATEWAY_MEMBERS.contains(&member),
    }
}

/// Returns the body for an Anthropic upstream. `adjusted` records omissions and changes. `user` is
/// the pseudonym of the end user for the provider.
pub fn to_anthropic_messages(
    request: &Request,
    endpoint: &Endpoint,
    user: Option<&str>,
    adjusted: &mut Adjustments,
) -> Result<Bytes, RequestFault> {
    let dialect = endpoint.dialect(Protocol::Messages);
    let conversation = Conversation::read(request)?;
    for name in request.parameters().filter(|p| !carries(request, p)) {
        adjusted.omit(name);
    }
    let marks = |name: &str| {
        memchr::memmem::find_iter(request.raw(name).unwrap_or_default(), b"\"cache_control\"")
            .count()
    };
    adjusted.cache_marks_over = (marks("messages") + marks("tools")).saturating_sub(CACHE_MARKS);
    let mut out = Vec::with_capacity(request.raw("messages").map_or(0, <[u8]>::len) + 512);
    out.extend_from_slice(b"{\"model\":");
    push_string(&mut out, &endpoint.upstream_model);
    let thinking = thinking(request, endpoint, &dialect, &conversation, adjusted);
    push_member(&mut out, b"\"max_tokens\"");
    push_value(
        &mut out,
        &json!(max_tokens(request, endpoint, thinking, adjusted)),
    );
    let instruction = instruction(request, &dialect, adjusted)?;
    push_system(&mut out, &conversation, instruction.as_deref(), adjusted)?;
    push_messages(&mut out, &conversation, &dialect, adjusted)?;
    push_tools(&mut out, request, &dialect, adjusted)?;
    push_sampling(&mut out, request, &dialect, thinking, adjusted)?;
    push_stop(&mut out, request, adjusted)?;
    push_thinking(&mut out, request, &dialect, thinking, adjusted)?;
    if let Some(user) = user {
        push_member(&mut out, b"\"metadata\"");
        push_value(&mut out, &json!({"user_id": user}));
    }
    if request.stream {
        push_member(&mut out, b"\"stream\"");
        out.extend_from_slice(b"true");
    }
    out.push(b'}');
    Ok(out.into())
}

/// Appends `temperature`, `top_p` and `top_k`, as far as the model accepts them.
fn push_sampling(
    out: &mut Vec<u8>,
    request: &Request,
    dialect: &Dialect,
    thinking: Thinking,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let takes_none = dialect.sampling == Some(Sampling::None);
    // While thinking, the model accepts only the default temperature.
    let thinks = thinking != Thinking::Off;
    let temperature = request.get::<f64>("temperature", "a number")?;
    let mut has_temperature = false;
    if let Some(temperature) = temperature {
        let is_default = (temperature - 1.0).abs() < f64::EPSILON;
        if (thinks || takes_none) && !is_default {
            adjusted.omit("temperature");
        } else {
            if temperature > 1.0 {
                adjusted.note("temperature was lowered to 1, the provider's maximum");
            } else if temperature < 0.0 {
                adjusted.note("temperature was raised to 0, the provider's minimum");
            }
            has_temperature = true;
            push_member(out, b"\"temperature\"");
            push_value(out, &json!(temperature.clamp(0.0, 1.0)));
        }
    }
    if let Some(top_p) = request.get::<f64>("top_p", "a number")? {
        // Some models accept only one of `temperature` and `top_p`.
        let is_refused = match dialect.sampling {
            Some(Sampling::None) => top_p < 0.99 || has_temperature,
            Some(Sampling::One) => has_temperature,
            _ => false,
        };
        // While thinking, a model accepts only `top_p` of at least 0.95.
        let is_refused = is_refused || (thinks && top_p < 0.95);
        if is_refused {
            if top_p < 1.0 {
                adjusted.omit("top_p");
            }
        } else {
            push_member(out, b"\"top_p\"");
            out.extend_from_slice(request.raw("top_p").unwrap_or_default());
        }
    }
    if let Some(top_k) = request.raw("top_k") {
        let is_count = top_k.iter().all(u8::is_ascii_digit) && top_k != b"0";
        if takes_none || thinks || !is_count {
            adjusted.omit("top_k");
        } else {
            push_member(out, b"\"top_k\"");
            out.extend_from_slice(top_k);
        }
    }
    Ok(())
}

/// Appends the stop sequences that are not blank; Anthropic refuses blank ones.
fn push_stop(
    out: &mut Vec<u8>,
    request: &Request,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let wrong = || RequestFault::member("stop", "`stop` must be a string or a list of strings");
    let all = match request.get::<Value>("stop", "a string or a list of strings")? {
        None => return Ok(()),
        Some(Value::Array(all)) => all,
        Some(one @ Value::String(_)) => vec![one],
        Some(_) => return Err(wrong()),
    };
    let mut kept = Vec::new();
    for stop in &all {
        match stop {
            Value::Null => {}
            Value::String(text) if text.trim().is_empty() => {
                if !text.is_empty() {
                    adjusted.omit("stop");
                }
            }
            Value::String(text) => kept.push(text.as_str()),
            _ => return Err(wrong()),
        }
    }
    if !kept.is_empty() {
        push_member(out, b"\"stop_sequences\"");
        push_value(out, &json!(kept));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Document};
    use crate::wire::inbound::inbound;

    fn translate(text: &str, capabilities: &str) -> (Value, Vec<String>) {
        let toml = format!(
            "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"\nupstream_model=\"up\"\nmax_output=8192\n{capabilities}"
        );
        let catalog = Catalog::from_documents(&[Document::from_toml(&toml).unwrap()]).unwrap();
        let request = inbound(Protocol::Chat, Bytes::copy_from_slice(text.as_bytes()), 64).unwrap();
        let mut adjusted = Adjustments::default();
        let body =
            to_anthropic_messages(&request, &catalog.endpoints()[0], Some("u"), &mut adjusted)
                .unwrap();
        (serde_json::from_slice(&body).unwrap(), adjusted.omitted)
    }

    #[test]
    fn what_should_be_a_string_and_is_none_is_refused_and_named() {
        let catalog = Catalog::from_documents(&[Document::from_toml(
            "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"",
        )
        .unwrap()])
        .unwrap();
        for (messages, param) in [
            (
                r#"[{"role":"user","content":[{"type":"text","text":5}]}]"#,
                "messages[0].content",
            ),
            (
                r#"[{"role":"tool","tool_call_id":5,"content":"x"}]"#,
                "messages[0].tool_call_id",
            ),
            (
                r#"[{"role":"tool","tool_call_id":"c","content":{"a":1}}]"#,
                "messages[0].content",
            ),
            (
                r#"[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":null}}]}]"#,
                "messages[0].tool_calls",
            ),
            (
                r#"[{"role":"assistant","reasoning_details":[{"type":"reasoning.text","signature":5}]}]"#,
                "messages[0].reasoning_details",
            ),
            (
                r#"[{"role":"user","role":"assistant","content":"x"}]"#,
                "messages[0]",
            ),
            (r#"[{"content":"x"}]"#, "messages[0].role"),
            (r#"["x"]"#, "messages"),
            ("[]", "messages"),
            (r#"[{"role":"user","content":""}]"#, "messages"),
        ] {
            let request = inbound(
                Protocol::Chat,
                Bytes::from(format!(r#"{{"model":"a/m","messages":{messages}}}"#)),
                64,
            )
            .unwrap();
            let fault = to_anthropic_messages(
                &request,
                &catalog.endpoints()[0],
                None,
                &mut Adjustments::default(),
            )
            .unwrap_err();
            assert_eq!(fault.param.as_deref(), Some(param), "{messages}: {fault}");
        }
    }

    #[test]
    fn a_conversation_with_tools_becomes_turns_of_blocks() {
        let (body, omitted) = translate(
            r#"{"model":"a/m","messages":[
                {"role":"system","content":"be kind"},{"role":"developer","content":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}]},
                {"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"image_url","image_url":{"url":"https://x/y.png"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,QQ=="}}]},
                {"role":"assistant","content":null,"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig"}],"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.50}"}},{"id":"t2","type":"function","function":{"name":"g","arguments":""}}]},
                {"role":"tool","tool_call_id":"t1","content":"one"},{"role":"tool","tool_call_id":"t2","content":[{"type":"text","text":"two"}]},
                {"role":"user","content":"go on"}],
              "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"g"}}],
              "tool_choice":"required","parallel_tool_calls":false,"stop":"END","temperature":0.5,"user":"u","stream":true}"#,
            "",
        );
        assert_eq!(omitted, [""; 0]);
        assert_eq!(
            body,
            json!({
                "model": "up", "max_tokens": 8192,
                "system": [{"type": "text", "text": "be kind"}, {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
                "messages": [
                    {"role": "user", "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}, "title": "a.pdf"}]},
                    {"role": "assistant", "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "sig"},
                        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1.50}},
                        {"type": "tool_use", "id": "t2", "name": "g", "input": {}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                        {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "two"}]},
                        {"type": "text", "text": "go on"}]}],
                "tools": [
                    {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true},
                    {"name": "g", "input_schema": {"type": "object", "properties": {}}}],
                "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
                "temperature": 0.5, "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "stream": true})
        );
    }

    #[test]
    fn thinking_that_was_streamed_in_pieces_goes_back_whole() {
        let (body, _) = translate(
            r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","reasoning_details":[
                {"type":"reasoning.text","text":"Let \"me","index":0},{"type":"reasoning.text","text":" see","index":0},{"type":"reasoning.text","signature":"c2ln","index":0},
                {"type":"reasoning.encrypted","data":"b64","index":1},{"type":"reasoning.text","text":"unsigned","index":2}]}]}"#,
            "",
        );
        let thoughts = json!([{"type": "thinking", "thinking": "Let \"me see", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "b64"}, {"type": "text", "text": "y"}]);
        assert_eq!(body["messages"][1]["content"], thoughts);
    }

    #[test]
    fn only_users_send_pictures_and_files() {
        let picture = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}"#;
        let (body, omitted) = translate(
            &format!(
                r#"{{"messages":[{{"role":"system","content":[{{"type":"text","text":"s"}},{picture}]}},{{"role":"user","content":[{picture}]}},
                {{"role":"assistant","content":[{{"type":"text","text":"a"}},{picture}]}},{{"role":"user","content":"x"}}]}}"#
            ),
            "",
        );
        assert_eq!(
            omitted,
            ["messages[0].content[1]", "messages[2].content[1]"]
        );
        assert_eq!(body["messages"][0]["content"][0]["type"], "image");
        assert_eq!(
            body["messages"][1]["content"],
            json!([{"type": "text", "text": "a"}])
        );
    }

    #[test]
    fn a_cache_mark_keeps_what_anthropic_takes_of_it() {
        for (mark, kept, left_out) in [
            (
                r#"{"type":"ephemeral","ttl":"1h"}"#,
                json!({"type": "ephemeral", "ttl": "1h"}),
                &[][..],
            ),
            (
                r#"{"scope":"global","type":"ephemeral"}"#,
                json!({"type": "ephemeral"}),
                &["cache_control.scope"],
            ),
            (
                r#"{"type":"ephemeral","ttl":300}"#,
                json!({"type": "ephemeral"}),
                &["cache_control.ttl"],
            ),
            (r#"{"type":"persistent"}"#, Value::Null, &["cache_control"]),
            ("true", Value::Null, &["cache_control"]),
        ] {
            let part = format!(r#"{{"type":"text","text":"x","cache_control":{mark}}}"#);
            let (body, omitted) = translate(
                &format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#),
                "",
            );
            assert_eq!(
                body["messages"][0]["content"][0]
                    .get("cache_control")
                    .unwrap_or(&Value::Null),
                &kept,
                "{mark}"
            );
            assert_eq!(omitted, left_out, "{mark}");
        }
    }

    #[test]
    fn text_that_the_model_goes_on_with_does_not_end_in_white_space() {
        for content in [
            r#""a \n""#,
            r#"[{"type":"text","text":"a \n"}]"#,
            r#"[{"type":"text","text":"a "},{"type":"text","text":" "}]"#,
        ] {
            let (body, _) = translate(
                &format!(
                    r#"{{"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","content":{content}}}]}}"#
                ),
                "",
            );
            assert_eq!(
                body["messages"][1]["content"],
                json!([{"type": "text", "text": "a"}]),
                "{content}"
            );
        }
    }

    #[test]
    fn of_too_many_marks_for_the_cache_the_last_are_kept() {
        let part = |i: usize| {
            format!(r#"{{"type":"text","text":"{i}","cache_control":{{"type":"ephemeral"}}}}"#)
        };
        let parts: Vec<String> = (0..6).map(part).collect();
        let (body, omitted) = translate(
            &format!(
                r#"{{"messages":[{{"role":"user","content":[{}]}}]}}"#,
                parts.join(",")
            ),
            "",
        );
        let marked: Vec<bool> = body["messages"][0]["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b.get("cache_control").is_some())
            .collect();
        assert_eq!(marked, [false, false, true, true, true, true]);
        assert_eq!(omitted, ["cache_control"]);
    }

    #[test]
    fn a_limit_that_leaves_no_room_to_think_leaves_thinking_off() {
        let (body, omitted) = translate(
            r#"{"messages":[{"role":"user","content":"x"}],"reasoning_effort":"high","max_tokens":1}"#,
            "",
        );
        assert_eq!(
            (body.get("thinking"), &body["max_tokens"]),
            (None, &json!(1))
        );
        assert_eq!(omitted, ["reasoning"]);
    }

    #[test]
    fn members_of_messages_and_parts_that_nobody_reads_are_named() {
        let (body, omitted) = translate(
            r#"{"messages":[{"role":"user","name":"jo","content":[{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"high"},"x":1}]},
            {"role":"assistant","content":"a","reasoning":"r","annotations":[],"audio":{"id":"1"},"function_call":null},{"role":"user","content":"x"}],"top_k":"5"}"#,
            "",
        );
        assert_eq!(
            omitted,
            [
                "messages[0].name",
                "messages[0].content[0].x",
                "messages[0].content[0].image_url.detail",
                "messages[1].reasoning",
                "messages[1].audio",
                "top_k"
            ]
        );
        assert_eq!(body["messages"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn only_the_tools_that_may_be_called_are_sent() {
        let tool = |name: &str| format!(r#"{{"type":"function","function":{{"name":"{name}"}}}}"#);
        let (body, omitted) = translate(
            &format!(
                r#"{{"messages":[{{"role":"user","content":"x"}}],"tools":[{},{}],"tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"required","tools":[{}]}}}}}}"#,
                tool("f"),
                tool("g"),
                tool("g")
            ),
            "",
        );
        assert_eq!(omitted, [""; 0]);
        assert_eq!(body["tools"].as_array().unwrap().len(), 1);
        assert_eq!(
            (&body["tools"][0]["name"], &body["tool_choice"]),
            (&json!("g"), &json!({"type": "any"}))
        );
    }

    #[test]
    fn a_call_of_a_tool_that_takes_text_has_its_text_as_input() {
        let (body, _) = translate(
            r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","type":"custom","custom":{"name":"run","input":"ls \"a\""}}]},
            {"role":"tool","tool_call_id":"c","content":"y"}]}"#,
            "",
        );
        assert_eq!(
            body["messages"][1]["content"][0]["input"],
            json!({"input": "ls \"a\""})
        );
    }

    #[test]
    fn what_has_no_place_is_named() {
        let (body, omitted) = translate(
            r#"{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}},{"type":"text","text":"x"}]}],"seed":1,"logit_bias":{},"n":1,"response_format":{"type":"json_object"}}"#,
            "",
        );
        assert_eq!(
            omitted,
            [
                "seed",
                "logit_bias",
                "response_format",
                "messages[0].content[0]"
            ]
        );
        assert_eq!(
            body["messages"][0]["content"],
            json!([{"type": "text", "text": "x"}])
        );
    }

    #[test]
    fn effort_becomes_a_budget_or_adaptive_thinking() {
        let text = r#"{"messages":[{"role":"user","content":"x"}],"reasoning":{"effort":"high"},"max_tokens":2000}"#;
        let (body, _) = translate(text, "");
        assert_eq!(
            (&body["thinking"]["budget_tokens"], &body["max_tokens"]),
            (&json!(1600), &json!(2000))
        );
        let (body, _) = translate(
            text,
            "capabilities = [\"reasoning\", \"adaptive_thinking\"]",
        );
        assert_eq!(body["thinking"], json!({"type": "adaptive"}));
        assert_eq!(body["output_config"], json!({"effort": "high"}));
        let (body, omitted) = translate(text, "capabilities = [\"tools\"]");
        assert!(body.get("thinking").is_none() && omitted == ["reasoning"]);
    }

    #[test]
    fn structured_output_becomes_an_output_format() {
        let (body, _) = translate(
            r#"{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}}"#,
            "",
        );
        let schema = json!({"type": "object", "additionalProperties": false});
        assert_eq!(
            body["output_config"]["format"],
            json!({"type": "json_schema", "schema": schema})
        );
    }

    #[test]
    fn text_goes_over_as_it_is_spelt() {
        let request = inbound(
            Protocol::Chat,
            Bytes::from_static(
                br#"{"messages":[{"role":"user","content":"\u00e9\ud83d\ude00 \"q\""}]}"#,
            ),
            9,
        )
        .unwrap();
        let toml = "[[provider]]\nslug=\"a\"\nprotocol=\"anthropic_messages\"\nbase_url=\"http://x\"\n[[model]]\nid=\"a/m\"\n[[model.endpoint]]\nprovider=\"a\"";
        let catalog = Catalog::from_documents(&[Document::from_toml(toml).unwrap()]).unwrap();
        let body = to_anthropic_messages(
            &request,
            &catalog.endpoints()[0],
            None,
            &mut Adjustments::default(),
        )
        .unwrap();
        assert!(String::from_utf8_lossy(&body).contains(r#""text":"\u00e9\ud83d\ude00 \"q\"""#));
        assert!(String::from_utf8_lossy(&body).contains(r#""max_tokens":4096"#));
    }
}
