//! Translation of a request in Google's protocol to an OpenAI chat request. Calls get ids by their
//! place, since Google's may have none, and results find their calls by id or by name. Members without
//! a counterpart are omitted and listed for the client.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json, value::RawValue};

use super::{from_chat::kind_of, read::either, schema::json_schema};
use crate::catalog::Protocol;
use crate::wire::{
    adjust::Adjustments,
    fault::{RequestFault, member_problem},
    json::{push_comma, push_member, push_number, push_string, push_value},
    messages::tool_name,
    proof::Reader,
    request::Request,
};

/// Members that have a counterpart in chat, in either spelling.
const TRANSLATED: [&str; 9] = [
    "contents",
    "generationConfig",
    "generation_config",
    "model",
    "systemInstruction",
    "system_instruction",
    "toolConfig",
    "tool_config",
    "tools",
];

/// Returns true if chat can express a member of a request.
pub(in crate::wire) fn chat_carries(member: &str) -> bool {
    TRANSLATED.contains(&member)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    role: Option<String>,
    #[serde(borrow)]
    parts: OneOrMany<'a>,
}

/// A list, or its only item: Google takes both.
#[derive(Default)]
struct OneOrMany<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for OneOrMany<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&'a RawValue>::deserialize(deserializer)?;
        match value.get().as_bytes().first() {
            Some(b'[') => serde_json::from_str(value.get())
                .map(Self)
                .map_err(serde::de::Error::custom),
            Some(b'n') => Ok(Self::default()),
            _ => Ok(Self(vec![value])),
        }
    }
}

/// Adjacent contents of one role, as one: packages keep one for each chunk of a stream.
struct Turn<'a> {
    is_model: bool,
    /// The parts with their places.
    parts: Vec<(String, Part<'a>)>,
}

/// Returns the turns of a conversation.
fn turns<'a>(contents: &OneOrMany<'a>) -> Result<Vec<Turn<'a>>, RequestFault> {
    let mut turns: Vec<Turn<'a>> = Vec::new();
    for (i, content) in contents.0.iter().enumerate() {
        let at = format!("contents[{i}]");
        let content: Content<'a> = serde_json::from_str(content.get()).map_err(|e| {
            let expected = "an object with `role` and `parts`";
            RequestFault::member(&at, member_problem(&at, expected, &e))
        })?;
        let is_model = match content.role.as_deref() {
            Some("model") => true,
            None | Some("user" | "function" | "") => false,
            Some(_) => {
                let at = format!("{at}.role");
                let problem = format!("`{at}` must be user or model");
                return Err(RequestFault::member(at, problem));
            }
        };
        let parts = content.parts.0.iter().enumerate().map(|(j, part)| {
            let at = format!("{at}.parts[{j}]");
            let read: Part<'a> = serde_json::from_str(part.get()).map_err(|e| {
                RequestFault::member(&at, member_problem(&at, "a part with one kind of data", &e))
            })?;
            Ok((at, read))
        });
        let mut parts = parts.collect::<Result<Vec<_>, RequestFault>>()?;
        match turns.last_mut() {
            Some(last) if last.is_model == is_model => last.parts.append(&mut parts),
            _ => turns.push(Turn { is_model, parts }),
        }
    }
    Ok(turns)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Part<'a> {
    text: Option<String>,
    thought: Option<bool>,
    #[serde(alias = "thought_signature")]
    thought_signature: Option<String>,
    #[serde(alias = "inline_data")]
    inline_data: Option<Blob>,
    #[serde(alias = "file_data")]
    file_data: Option<FileData>,
    #[serde(borrow, alias = "function_call")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(alias = "function_response")]
    function_response: Option<FunctionResponse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    #[serde(alias = "mime_type")]
    mime_type: String,
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileData {
    #[serde(alias = "mime_type", default)]
    mime_type: Option<String>,
    #[serde(alias = "file_uri")]
    file_uri: String,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    name: String,
    id: Option<String>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct FunctionResponse {
    name: String,
    id: Option<String>,
    #[serde(default)]
    response: Value,
    #[serde(default)]
    parts: Vec<Value>,
}

/// The messages so far.
struct Messages<'a> {
    out: Vec<u8>,
    /// Calls without a result: name and id.
    open: VecDeque<(String, String)>,
    calls: usize,
    reader: Reader<'a>,
    with_reasoning: bool,
}

/// Returns the body of the chat request, with the reasoning of earlier turns if `with_reasoning` is
/// true. Proofs of reasoning that `reader` made stay with it.
pub(in crate::wire) fn to_chat(
    request: &Request,
    reader: Reader<'_>,
    with_reasoning: bool,
    adjusted: &mut Adjustments,
) -> Result<Vec<u8>, RequestFault> {
    for name in request.parameters() {
        if !chat_carries(name) && !crate::route::GATEWAY_MEMBERS.contains(&name) {
            adjusted.omit(name);
        }
    }
    let mut messages = Messages {
        out: b"{\"messages\":[".to_vec(),
        open: VecDeque::new(),
        calls: 0,
        reader,
        with_reasoning,
    };
    let expected = "an object with `parts`";
    let system: Option<Content<'_>> =
        either(request, "systemInstruction", "system_instruction", expected)?;
    if let Some(system) = system {
        let parts = system.parts.0.iter();
        let texts: Vec<String> = parts
            .filter_map(|part| serde_json::from_str::<Part<'_>>(part.get()).ok()?.text)
            .collect();
        messages.push("system", &json!(texts.join("\n\n")));
    }
    let contents: OneOrMany<'_> = request
        .get("contents", "a list of objects with `role` and `parts`")?
        .ok_or_else(|| RequestFault::missing("contents"))?;
    for turn in turns(&contents)? {
        if turn.is_model {
            messages.model(&turn.parts, adjusted);
        } else {
            messages.user(&turn.parts, adjusted);
        }
    }
    let mut out = messages.out;
    if out.last() == Some(&b'[') {
        return Err(RequestFault::member(
            "contents",
            "`contents` has nothing to answer; send at least one part",
        ));
    }
    out.push(b']');
    push_tools(&mut out, request, adjusted)?;
    push_settings(
        &mut out,
        request,
        reader.protocol == Protocol::Chat,
        adjusted,
    )?;
    out.push(b'}');
    Ok(out)
}

impl Messages<'_> {
    fn push(&mut self, role: &str, content: &Value) {
        let is_empty = content.as_str().is_some_and(str::is_empty)
            || content.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            push_comma(&mut self.out);
            push_value(&mut self.out, &json!({"role": role, "content": content}));
        }
    }

    /// Appends the results of a turn, each as a message, and then its other parts.
    fn user(&mut self, turn: &[(String, Part<'_>)], adjusted: &mut Adjustments) {
        let mut parts = Vec::new();
        let is_chat = self.reader.protocol == Protocol::Chat;
        for (at, part) in turn {
            if let Some(response) = &part.function_response {
                self.result(response, &mut parts, at, adjusted);
            } else if let Some(text) = &part.text {
                if !text.is_empty() {
                    parts.push(json!({"type": "text", "text": text}));
                }
            } else if let Some(file) = file_of(part, is_chat) {
                parts.push(file);
            } else {
                adjusted.omit(at.as_str());
            }
        }
        let content = match parts.as_mut_slice() {
            [Value::Object(one)] if one.get("type") == Some(&json!("text")) => {
                one.remove("text").unwrap_or_default()
            }
            _ => Value::Array(parts),
        };
        self.push("user", &content);
    }

    fn result(
        &mut self,
        response: &FunctionResponse,
        files: &mut Vec<Value>,
        at: &str,
        adjusted: &mut Adjustments,
    ) {
        let by_id = |(_, id): &(String, String)| response.id.as_ref() == Some(id);
        let by_name = |(name, _): &(String, String)| *name == response.name;
        let known = self
            .open
            .iter()
            .position(by_id)
            .or_else(|| self.open.iter().position(by_name));
        let id = match known.and_then(|at| self.open.remove(at)) {
            Some((_, id)) => id,
            None => response.id.clone().unwrap_or_else(|| response.name.clone()),
        };
        let is_chat = self.reader.protocol == Protocol::Chat;
        for (k, part) in response.parts.iter().enumerate() {
            let part: Option<Part<'_>> = serde_json::from_str(&part.to_string())
                .ok()
                .and_then(|part: Part<'_>| file_of(&part, is_chat))
                .map(|file| {
                    files.push(file);
                    Part::default()
                });
            if part.is_none() {
                adjusted.omit(format!("{at}.functionResponse.parts[{k}]"));
            }
        }
        push_comma(&mut self.out);
        let content = text_of(&response.response);
        let message = json!({"role": "tool", "tool_call_id": id, "content": content});
        push_value(&mut self.out, &message);
    }

    fn model(&mut self, turn: &[(String, Part<'_>)], adjusted: &mut Adjustments) {
        let (mut text, mut reasoning) = (String::new(), String::new());
        let (mut details, mut calls) = (Vec::new(), Vec::new());
        self.open.clear();
        // The proof of a thought is in a part of its own that follows it.
        let mut thought = String::new();
        for (at, part) in turn {
            let said = part.text.as_deref().unwrap_or_default();
            let proof = part.thought_signature.as_deref();
            if part.thought == Some(true) {
                thought.push_str(said);
                reasoning.push_str(said);
            }
            if let Some((proof, is_whole)) = proof.and_then(|p| self.reader.open_encoded(p)) {
                let (format, index) = (self.reader.format(), details.len());
                details.push(if is_whole {
                    json!({"type": "reasoning.encrypted", "data": proof, "format": format, "index": index})
                } else {
                    json!({"type": "reasoning.text", "text": std::mem::take(&mut thought), "signature": proof, "format": format, "index": index})
                });
            } else if proof.is_some() {
                adjusted.omit(format!("{at}.thoughtSignature"));
            }
            if part.thought == Some(true) {
                continue;
            }
            if let Some(call) = &part.function_call {
                let id = call.id.clone().filter(|id| !id.is_empty());
                let id = id.unwrap_or_else(|| format!("call_{}", self.calls));
                self.calls += 1;
                let arguments = call.args.map_or("{}", RawValue::get);
                let name = tool_name(&call.name, adjusted);
                self.open.push_back((call.name.clone(), id.clone()));
                calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}));
            } else if part.text.is_some() {
                text.push_str(said);
            } else {
                adjusted.omit(at.as_str());
            }
        }
        if text.is_empty() && calls.is_empty() {
            return;
        }
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        let mut insert = |name: &str, value: Value, is_there: bool| {
            if is_there {
                message.insert(name.to_owned(), value);
            }
        };
        let is_reasoned = self.with_reasoning && !reasoning.is_empty();
        let content = Some(&text).filter(|text| !text.is_empty());
        insert("content", json!(content), true);
        insert("reasoning", json!(reasoning), is_reasoned);
        insert("reasoning_details", json!(details), !details.is_empty());
        insert("tool_calls", json!(calls), !calls.is_empty());
        push_comma(&mut self.out);
        push_value(&mut self.out, &Value::Object(message));
    }
}

/// Returns the text of a function's result: its one output, or the object.
fn text_of(response: &Value) -> String {
    let only = response.as_object().filter(|members| members.len() == 1);
    let (name, value) = match only.and_then(|members| members.iter().next()) {
        Some((name, value)) => (name.as_str(), value),
        None => ("", response),
    };
    match (name, value) {
        ("output" | "result" | "content" | "return_value", Value::String(text)) => text.clone(),
        ("error", Value::String(text)) => format!("error: {text}"),
        _ => response.to_string(),
    }
}

/// Returns an image, a file or audio as a part of a chat message. Chat providers take files as data
/// alone.
fn file_of(part: &Part<'_>, is_chat: bool) -> Option<Value> {
    let (kind, address) = match (&part.inline_data, &part.file_data) {
        (Some(Blob { mime_type, data }), _) => {
            if let Some(format) = mime_type.strip_prefix("audio/") {
                let format = match format {
                    "mpeg" | "mp3" => "mp3",
                    other => other.trim_start_matches("x-"),
                };
                let audio = json!({"data": data, "format": format});
                return Some(json!({"type": "input_audio", "input_audio": audio}));
            }
            let address = format!("data:{mime_type};base64,{data}");
            (mime_type.as_str(), address)
        }
        (
            None,
            Some(FileData {
                mime_type,
                file_uri,
            }),
        ) => {
            let is_address = file_uri.starts_with("https://") || file_uri.starts_with("http://");
            let kind = mime_type.as_deref().or_else(|| kind_of(file_uri));
            let kind =
                kind.filter(|kind| is_address && (!is_chat || kind.starts_with("image/")))?;
            (kind, file_uri.clone())
        }
        (None, None) => return None,
    };
    match kind.split_once('/')? {
        ("image", _) => Some(json!({"type": "image_url", "image_url": {"url": address}})),
        ("video" | "audio", _) => None,
        (_, format) => {
            let name = match format {
                "pdf" => "document.pdf".to_owned(),
                "plain" => "document.txt".to_owned(),
                other => format!("document.{other}"),
            };
            Some(json!({"type": "file", "file": {"filename": name, "file_data": address}}))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declaration {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Value>,
    #[serde(default, alias = "parameters_json_schema")]
    parameters_json_schema: Option<Value>,
}

fn push_tools(
    out: &mut Vec<u8>,
    request: &Request,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let tools: OneOrMany<'_> = request.get("tools", "a list of tools")?.unwrap_or_default();
    let mut functions = Vec::new();
    for (i, tool) in tools.0.iter().enumerate() {
        let tool: Map<String, Value> = serde_json::from_str(tool.get()).map_err(|e| {
            let at = format!("tools[{i}]");
            RequestFault::member(&at, member_problem(&at, "an object", &e))
        })?;
        for (name, value) in tool {
            if !matches!(
                name.as_str(),
                "functionDeclarations" | "function_declarations"
            ) {
                // A tool that the provider runs.
                adjusted.omit(format!("tools[{i}].{name}"));
                continue;
            }
            if value.is_null() {
                continue;
            }
            let declarations: Vec<Declaration> = serde_json::from_value(value).map_err(|_| {
                let at = format!("tools[{i}].functionDeclarations");
                RequestFault::member(
                    &at,
                    format!("`{at}` must be a list of objects with a `name`"),
                )
            })?;
            for declaration in declarations {
                functions.push(function_of(declaration, adjusted));
            }
        }
    }
    if functions.is_empty() {
        return Ok(());
    }
    push_member(out, b"\"tools\"");
    push_value(out, &Value::Array(functions));
    let config: Option<Value> = either(request, "toolConfig", "tool_config", "an object")?;
    let config = config.as_ref().and_then(|c| {
        c.get("functionCallingConfig")
            .or_else(|| c.get("function_calling_config"))
    });
    if let Some(config) = config {
        push_choice(out, config, adjusted);
    }
    Ok(())
}

fn function_of(declaration: Declaration, adjusted: &mut Adjustments) -> Value {
    let Declaration {
        name,
        description,
        parameters,
        parameters_json_schema,
    } = declaration;
    let schema = parameters_json_schema
        .or(parameters)
        .filter(Value::is_object)
        .map_or_else(
            || json!({"type": "object", "properties": {}}),
            |schema| json_schema(&schema),
        );
    let mut function = Map::new();
    function.insert("name".to_owned(), json!(tool_name(&name, adjusted)));
    if let Some(description) = description {
        function.insert("description".to_owned(), json!(description));
    }
    function.insert("parameters".to_owned(), schema);
    json!({"type": "function", "function": function})
}

fn push_choice(out: &mut Vec<u8>, config: &Value, adjusted: &mut Adjustments) {
    let allowed = config
        .get("allowedFunctionNames")
        .or_else(|| config.get("allowed_function_names"))
        .and_then(Value::as_array);
    let allowed: Vec<Value> = allowed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|name| json!({"type": "function", "function": {"name": tool_name(name, adjusted)}}))
        .collect();
    let mode = config.get("mode").and_then(Value::as_str);
    let choice = match (mode, allowed.as_slice()) {
        (Some("ANY"), [one]) => one.clone(),
        (Some("ANY"), []) => json!("required"),
        (Some("NONE"), _) => json!("none"),
        (_, []) => json!("auto"),
        (mode, _) => {
            let mode = if mode == Some("ANY") {
                "required"
            } else {
                "auto"
            };
            json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}})
        }
    };
    push_member(out, b"\"tool_choice\"");
    push_value(out, &choice);
}

/// The members of `generationConfig` that have the same meaning in chat, in both spellings, and
/// chat's name.
const SETTINGS: [(&str, &str, &str); 7] = [
    ("frequencyPenalty", "frequency_penalty", "frequency_penalty"),
    ("presencePenalty", "presence_penalty", "presence_penalty"),
    ("seed", "seed", "seed"),
    ("stopSequences", "stop_sequences", "stop"),
    ("temperature", "temperature", "temperature"),
    ("topK", "top_k", "top_k"),
    ("topP", "top_p", "top_p"),
];

/// The members of `generationConfig` that are read elsewhere.
const READ: [&str; 12] = [
    "candidateCount",
    "maxOutputTokens",
    "responseJsonSchema",
    "responseMimeType",
    "responseSchema",
    "thinkingConfig",
    "candidate_count",
    "max_output_tokens",
    "response_json_schema",
    "response_mime_type",
    "response_schema",
    "thinking_config",
];

/// Maximum number of stop sequences in an OpenAI chat request.
const STOPS: usize = 4;

fn push_settings(
    out: &mut Vec<u8>,
    request: &Request,
    is_chat: bool,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    if let Some(limit) = request.max_tokens {
        push_member(out, b"\"max_tokens\"");
        push_number(out, limit);
    }
    let config: Map<String, Value> = either(
        request,
        "generationConfig",
        "generation_config",
        "an object",
    )?
    .unwrap_or_default();
    for (name, value) in config.iter().filter(|(_, value)| !value.is_null()) {
        let known = SETTINGS.iter().find(|(a, b, _)| name == a || name == b);
        match known {
            // Not a member of OpenAI's: some chat providers refuse it.
            Some((.., "top_k"))
                if is_chat || value.as_f64().is_none_or(|n| n < 1.0 || n.fract() != 0.0) =>
            {
                adjusted.omit(format!("generationConfig.{name}"));
            }
            Some((.., "top_k")) => {
                // Packages write it as a float.
                push_member(out, b"\"top_k\"");
                push_number(out, value.as_f64().unwrap_or_default() as u64);
            }
            Some((.., "stop")) if is_chat && value.as_array().is_some_and(|s| s.len() > STOPS) => {
                let stops = value.as_array().map(Vec::as_slice).unwrap_or_default();
                for left in STOPS..stops.len() {
                    adjusted.omit(format!("generationConfig.{name}[{left}]"));
                }
                let kept: Vec<&Value> = stops.iter().take(STOPS).collect();
                push_member(out, b"\"stop\"");
                push_value(out, &json!(kept));
            }
            Some((.., chat)) => {
                push_member(out, format!("\"{chat}\"").as_bytes());
                push_value(out, value);
            }
            None if READ.contains(&name.as_str()) => {}
            None => adjusted.omit(format!("generationConfig.{name}")),
        }
    }
    let candidates = config
        .get("candidateCount")
        .or_else(|| config.get("candidate_count"));
    if candidates.is_some_and(|n| *n != json!(1)) {
        adjusted.omit("generationConfig.candidateCount");
    }
    push_format_of(out, &config);
    let effort = request.reasoning.effort.as_deref();
    let by_budget = request.reasoning.max_tokens.map(|budget| match budget {
        0..=2048 => "low",
        2049..=10_000 => "medium",
        _ => "high",
    });
    match effort.or(by_budget) {
        None => {}
        Some("none") => {
            // In the member that is left out where a model never reasons.
            push_member(out, b"\"reasoning\"");
            push_value(out, &json!({"effort": "none"}));
        }
        Some(effort) => {
            let known = ["minimal", "low", "medium", "high"];
            push_member(out, b"\"reasoning_effort\"");
            push_string(
                out,
                if known.contains(&effort) {
                    effort
                } else {
                    "high"
                },
            );
        }
    }
    if request.stream {
        push_member(out, b"\"stream\"");
        out.extend_from_slice(b"true");
    }
    Ok(())
}

/// Appends the form of the output.
fn push_format_of(out: &mut Vec<u8>, config: &Map<String, Value>) {
    let schema = [
        "responseJsonSchema",
        "response_json_schema",
        "responseSchema",
        "response_schema",
    ]
    .iter()
    .find_map(|name| config.get(*name).filter(|s| s.is_object()))
    .cloned();
    let kind = config
        .get("responseMimeType")
        .or_else(|| config.get("response_mime_type"));
    let format = match (
        schema.filter(|s| !s.is_null()),
        kind.and_then(Value::as_str),
    ) {
        (Some(schema), _) => {
            json!({"type": "json_schema", "json_schema": {"name": "response", "schema": json_schema(&schema)}})
        }
        (None, Some("application/json")) => json!({"type": "json_object"}),
        (None, _) => return,
    };
    push_member(out, b"\"response_format\"");
    push_value(out, &format);
}
