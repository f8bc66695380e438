//! Translation of a chat request to one in Google's protocol: turns of one role are one content, the
//! results of parallel calls are in one content, with the names of their functions. Members without a
//! counterpart are omitted and listed for the client.

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::decode::own_id;
use crate::{
    catalog::{Endpoint, Protocol},
    route::GATEWAY_MEMBERS,
    wire::{
        adjust::Adjustments,
        fault::{RequestFault, member_problem},
        json::{Object, TextOr, object_of, objects},
        messages::tool_name,
        proof::format_of,
        request::Request,
    },
};

/// Members that are translated or need no translation; all others have no counterpart.
const TRANSLATED: [&str; 20] = [
    "frequency_penalty",
    "include_reasoning",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "presence_penalty",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user",
];

/// Maximum number of stop sequences.
const STOPS: usize = 5;
/// Maximum nesting depth of messages, which were already scanned within a lower limit.
const DEPTH: usize = 1024;
/// What Google accepts in place of a lost signature.
pub(super) const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Returns true if a member of a chat request can be translated.
pub(in crate::wire) fn carries(request: &Request, member: &str) -> bool {
    match member {
        "n" => request.raw("n") == Some(b"1"),
        "store" => request.raw("store") == Some(b"false"),
        // There is no switch for it.
        "parallel_tool_calls" => request.raw(member) != Some(b"false"),
        _ => TRANSLATED.contains(&member) || GATEWAY_MEMBERS.contains(&member),
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(default)]
    content: Option<Said>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(default)]
    tool_call_id: Option<String>,
    #[serde(default)]
    reasoning_details: Option<Vec<Detail>>,
}

type Said = TextOr<Value>;

#[derive(Deserialize)]
struct Call<'a> {
    id: String,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    #[serde(default)]
    custom: Option<Custom>,
}

/// A call of a tool that takes text.
#[derive(Deserialize)]
struct Custom {
    name: String,
    #[serde(default)]
    input: Option<String>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Detail {
    signature: Option<String>,
    data: Option<String>,
    format: Option<String>,
}

/// The contents so far.
struct Contents {
    all: Vec<(&'static str, Vec<Value>)>,
    system: Vec<Value>,
    /// The names of the functions that were called, by the ids of the calls.
    called: HashMap<String, String>,
    /// True if the model refuses calls without a signature.
    wants_signatures: bool,
}

/// Returns true if the model refuses calls without a signature.
pub(super) fn wants_signatures(endpoint: &Endpoint) -> bool {
    endpoint.upstream_model.contains("gemini-3")
}

/// Returns the body for an upstream.
pub(in crate::wire) fn from_chat(
    request: &Request,
    endpoint: &Endpoint,
    adjusted: &mut Adjustments,
) -> Result<Bytes, RequestFault> {
    for name in request.parameters().filter(|p| !carries(request, p)) {
        adjusted.omit(name);
    }
    let text = request
        .raw("messages")
        .ok_or_else(|| RequestFault::missing("messages"))?;
    let messages = objects(text, DEPTH).map_err(|_| {
        RequestFault::member(
            "messages",
            "`messages` must be a list of messages, each an object with a `role`",
        )
    })?;
    let mut contents = Contents {
        all: Vec::new(),
        system: Vec::new(),
        called: HashMap::new(),
        wants_signatures: wants_signatures(endpoint),
    };
    for (i, message) in messages.iter().enumerate() {
        contents.message(message, &format!("messages[{i}]"), adjusted)?;
    }
    if contents.all.is_empty() {
        return Err(RequestFault::member(
            "messages",
            "`messages` has no message with content; send at least one",
        ));
    }
    let mut body = Map::new();
    let content = |(role, parts): (&str, Vec<Value>)| {
        object_of([("role", role.into()), ("parts", parts.into())])
    };
    let all: Vec<Value> = contents.all.into_iter().map(content).collect();
    body.insert("contents".to_owned(), all.into());
    if !contents.system.is_empty() {
        let system = json!({"parts": contents.system});
        body.insert("systemInstruction".to_owned(), system);
    }
    tools(&mut body, request, adjusted)?;
    let config = config(request, endpoint, adjusted)?;
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), config.into());
    }
    Ok(Value::Object(body).to_string().into())
}

impl Contents {
    /// Adds parts to the last content if it has the same role, and otherwise to a new one.
    fn push(&mut self, role: &'static str, mut parts: Vec<Value>) {
        if parts.is_empty() {
            return;
        }
        match self.all.last_mut() {
            Some((last, known)) if *last == role => known.append(&mut parts),
            _ => self.all.push((role, parts)),
        }
    }

    fn message(
        &mut self,
        object: &Object<'_>,
        at: &str,
        adjusted: &mut Adjustments,
    ) -> Result<(), RequestFault> {
        let message: Message<'_> = serde_json::from_slice(object.raw()).map_err(|e| {
            let expected = "a message as OpenAI's API describes it";
            RequestFault::member(at, member_problem(at, expected, &e))
        })?;
        match &*message.role {
            "system" | "developer" => {
                let parts = parts_of(message.content, at, adjusted);
                if self.all.is_empty() {
                    self.system.extend(parts);
                } else {
                    // Only the first has a place of its own.
                    self.push("user", parts);
                }
            }
            "user" => {
                let parts = parts_of(message.content, at, adjusted);
                self.push("user", parts);
            }
            "assistant" => self.assistant(message, at, adjusted),
            "tool" => {
                let id = message
                    .tool_call_id
                    .ok_or_else(|| RequestFault::missing(&format!("{at}.tool_call_id")))?;
                self.result(&id, message.content, at, adjusted);
            }
            _ => {
                let at = format!("{at}.role");
                return Err(RequestFault::member(
                    &at,
                    format!("`{at}` must be system, developer, user, assistant or tool"),
                ));
            }
        }
        Ok(())
    }

    fn assistant(&mut self, message: Message<'_>, at: &str, adjusted: &mut Adjustments) {
        let mut proofs = proofs_of(message.reasoning_details.unwrap_or_default());
        let mut parts = parts_of(message.content, at, adjusted);
        if let Some(refusal) = message.refusal.filter(|r| !r.is_empty()) {
            parts.push(json!({"text": refusal}));
        }
        let calls = message.tool_calls.unwrap_or_default();
        // With calls, the last proofs are theirs, in order; one alone is that of the first call.
        let of_calls = proofs.split_off(proofs.len().saturating_sub(calls.len()));
        if let (Some(Value::Object(part)), Some(proof)) = (parts.last_mut(), proofs.pop()) {
            part.insert("thoughtSignature".to_owned(), proof.into());
        }
        for (j, call) in calls.into_iter().enumerate() {
            let (name, arguments) = match (call.function, call.custom) {
                (Some(function), _) => {
                    let text = function.arguments.as_deref().unwrap_or_default().trim();
                    let object = serde_json::from_str::<Map<String, Value>>(text);
                    if object.is_err() && !text.is_empty() {
                        // The model broke off within it.
                        adjusted.omit(format!("{at}.tool_calls[{j}].function.arguments"));
                    }
                    (function.name, Value::Object(object.unwrap_or_default()))
                }
                (None, Some(custom)) => (custom.name, json!({"input": custom.input})),
                (None, None) => {
                    adjusted.omit(format!("{at}.tool_calls[{j}]"));
                    continue;
                }
            };
            let name = tool_name(&name, adjusted);
            let mut sent = json!({"name": name, "args": arguments});
            if let (Some(id), Some(sent)) = (own_id(&call.id), sent.as_object_mut()) {
                sent.insert("id".to_owned(), json!(id));
            }
            self.called.insert(call.id, name);
            let mut part = Map::new();
            part.insert("functionCall".to_owned(), sent);
            let lost = (j == 0 && self.wants_signatures).then(|| NO_SIGNATURE.to_owned());
            if let Some(proof) = of_calls.get(j).cloned().or(lost) {
                part.insert("thoughtSignature".to_owned(), proof.into());
            }
            parts.push(part.into());
        }
        self.push("model", parts);
    }

    fn result(&mut self, id: &str, content: Option<Said>, at: &str, adjusted: &mut Adjustments) {
        let mut response = Map::new();
        let name = self.called.get(id).map_or(id, String::as_str);
        response.insert("name".to_owned(), json!(name));
        if let Some(id) = own_id(id) {
            response.insert("id".to_owned(), json!(id));
        }
        let (mut text, mut files) = (String::new(), Vec::new());
        for part in parts_of(content, at, adjusted) {
            match part.get("text").and_then(Value::as_str) {
                Some(said) => text.push_str(said),
                None => files.push(part),
            }
        }
        let object = serde_json::from_str::<Map<String, Value>>(&text);
        let result = object.map_or_else(|_| json!({"output": text}), Value::Object);
        response.insert("response".to_owned(), result);
        let mut parts = vec![json!({"functionResponse": response})];
        parts.append(&mut files);
        self.push("user", parts);
    }
}

/// Returns the signatures of a message that are Google's, in order.
fn proofs_of(details: Vec<Detail>) -> Vec<String> {
    let format = format_of(Protocol::Gemini);
    let of = |detail: Detail| {
        let is_ours = detail.format.as_deref() == Some(format);
        detail
            .signature
            .or(detail.data)
            .filter(|proof| is_ours && !proof.is_empty())
    };
    details.into_iter().filter_map(of).collect()
}

/// Returns content as parts; empty text is left out.
fn parts_of(content: Option<Said>, at: &str, adjusted: &mut Adjustments) -> Vec<Value> {
    let parts = match content {
        None => return Vec::new(),
        Some(Said::Text(text)) if text.is_empty() => return Vec::new(),
        Some(Said::Text(text)) => return vec![object_of([("text", text.into())])],
        Some(Said::Parts(parts)) => parts,
    };
    let mut translated = Vec::with_capacity(parts.len());
    for (j, part) in parts.iter().enumerate() {
        let text = part.get("text").or_else(|| part.get("refusal"));
        match (text.and_then(Value::as_str), file_of(part)) {
            (Some(""), _) => {}
            (Some(text), _) => translated.push(object_of([("text", text.into())])),
            (None, Some(file)) => translated.push(file),
            (None, None) => adjusted.omit(format!("{at}.content[{j}]")),
        }
    }
    translated
}

/// Returns an image, a file or audio as a part.
fn file_of(part: &Value) -> Option<Value> {
    let text = |pointer: &str| part.pointer(pointer).and_then(Value::as_str);
    let address = match text("/type")? {
        "image_url" => text("/image_url/url").or_else(|| text("/image_url"))?,
        "file" => text("/file/file_data")?,
        "input_audio" => {
            let data = text("/input_audio/data")?;
            let kind = match text("/input_audio/format").unwrap_or("wav") {
                "mp3" => "audio/mpeg".to_owned(),
                other => format!("audio/{other}"),
            };
            return Some(json!({"inlineData": {"mimeType": kind, "data": data}}));
        }
        _ => return None,
    };
    if let Some((kind, data)) = address
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
    {
        return Some(json!({"inlineData": {"mimeType": kind, "data": data}}));
    }
    let is_address = address.starts_with("https://") || address.starts_with("http://");
    is_address.then(|| {
        let by_name = text("/file/filename").and_then(kind_of);
        match kind_of(address).or(by_name) {
            Some(kind) => json!({"fileData": {"mimeType": kind, "fileUri": address}}),
            None => json!({"fileData": {"fileUri": address}}),
        }
    })
}

/// Returns the media type by the end of an address or of a name.
pub(super) fn kind_of(address: &str) -> Option<&'static str> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let (_, end) = path.rsplit_once('.')?;
    Some(match end.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "csv" => "text/csv",
        "html" => "text/html",
        "json" => "application/json",
        _ => return None,
    })
}

/// Inserts the functions, in one tool, and the choice among them.
fn tools(
    body: &mut Map<String, Value>,
    request: &Request,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let tools: Vec<Value> = request.get("tools", "a list of tools")?.unwrap_or_default();
    let mut declarations = Vec::new();
    for (i, tool) in tools.iter().enumerate() {
        let function = tool.get("function");
        let name = function.and_then(|f| f.get("name")).and_then(Value::as_str);
        let (Some(function), Some(name)) = (function, name) else {
            adjusted.omit(format!("tools[{i}]"));
            continue;
        };
        let mut declaration = Map::new();
        declaration.insert("name".to_owned(), json!(tool_name(name, adjusted)));
        if let Some(description) = function.get("description").filter(|d| d.is_string()) {
            declaration.insert("description".to_owned(), description.clone());
        }
        if let Some(schema) = function.get("parameters").filter(|p| p.is_object()) {
            declaration.insert("parametersJsonSchema".to_owned(), schema.clone());
        }
        declarations.push(Value::Object(declaration));
    }
    if declarations.is_empty() {
        return Ok(());
    }
    body.insert(
        "tools".to_owned(),
        json!([{"functionDeclarations": declarations}]),
    );
    let choice: Option<Value> = request.get("tool_choice", "a string or an object")?;
    let Some(choice) = choice else {
        return Ok(());
    };
    let mut name = |tool: &Value| {
        let name = tool.pointer("/function/name").and_then(Value::as_str)?;
        Some(tool_name(name, adjusted))
    };
    let config = match (choice.as_str(), choice.get("type").and_then(Value::as_str)) {
        (Some("required" | "any"), _) => json!({"mode": "ANY"}),
        (Some("none"), _) => json!({"mode": "NONE"}),
        (Some(_), _) => json!({"mode": "AUTO"}),
        (None, Some("allowed_tools")) => {
            let allowed = choice.get("allowed_tools");
            let tools = allowed
                .and_then(|a| a.get("tools"))
                .and_then(Value::as_array);
            let names: Vec<String> = tools.into_iter().flatten().filter_map(&mut name).collect();
            let mode = allowed.and_then(|a| a.get("mode")).and_then(Value::as_str);
            let mode = if mode == Some("required") {
                "ANY"
            } else {
                "VALIDATED"
            };
            json!({"mode": mode, "allowedFunctionNames": names})
        }
        (None, _) => match name(&choice) {
            Some(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
            None => {
                adjusted.omit("tool_choice");
                return Ok(());
            }
        },
    };
    body.insert(
        "toolConfig".to_owned(),
        json!({"functionCallingConfig": config}),
    );
    Ok(())
}

/// The members that have the same meaning, and Google's name.
const SETTINGS: [(&str, &str); 6] = [
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
    ("seed", "seed"),
    ("temperature", "temperature"),
    ("top_k", "topK"),
    ("top_p", "topP"),
];

/// Returns the configuration of the answer.
fn config(
    request: &Request,
    endpoint: &Endpoint,
    adjusted: &mut Adjustments,
) -> Result<Map<String, Value>, RequestFault> {
    let dialect = endpoint.dialect(Protocol::Gemini);
    let effort = request.reasoning.effort.as_deref();
    let mut config = Map::new();
    for (name, google) in SETTINGS {
        let Some(value) = request.get::<Value>(name, "a number")? else {
            continue;
        };
        if dialect.refuses(name, effort) {
            adjusted.omit(name);
        } else {
            config.insert(google.to_owned(), value);
        }
    }
    if let Some(limit) = request.output_limit(endpoint, adjusted) {
        config.insert("maxOutputTokens".to_owned(), json!(limit));
    }
    let stops = match request.get::<Value>("stop", "a string or a list of strings")? {
        Some(one @ Value::String(_)) => vec![one],
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    };
    for left in STOPS..stops.len() {
        adjusted.omit(format!("stop[{left}]"));
    }
    if !stops.is_empty() {
        let kept: Vec<Value> = stops.into_iter().take(STOPS).collect();
        config.insert("stopSequences".to_owned(), kept.into());
    }
    let format: Option<Value> = request.get("response_format", "an object")?;
    if let Some(format) = format {
        let kind = format.get("type").and_then(Value::as_str);
        if matches!(kind, Some("json_object" | "json_schema")) {
            config.insert("responseMimeType".to_owned(), json!("application/json"));
        }
        if let Some(schema) = format.pointer("/json_schema/schema") {
            config.insert("responseJsonSchema".to_owned(), schema.clone());
        }
    }
    if let Some(thinking) = thinking(request, endpoint, adjusted) {
        config.insert("thinkingConfig".to_owned(), thinking);
    }
    Ok(config)
}

/// Returns the configuration of thinking: a level for Gemini 3, a budget for Gemini 2.5.
fn thinking(request: &Request, endpoint: &Endpoint, adjusted: &mut Adjustments) -> Option<Value> {
    let model = &*endpoint.upstream_model;
    let (effort, budget) = (
        request.reasoning.effort.as_deref(),
        request.reasoning.max_tokens,
    );
    adjusted.hides_reasoning = request.reasoning.exclude;
    let is_pro = model.contains("pro");
    let mut config = if model.contains("gemini-3") {
        if budget.is_some() {
            adjusted.omit("reasoning.max_tokens");
        }
        let level = match effort? {
            "none" | "minimal" if is_pro => "LOW",
            "none" | "minimal" => "MINIMAL",
            "low" => "LOW",
            "medium" => "MEDIUM",
            _ => "HIGH",
        };
        if effort == Some("none") {
            adjusted.note("the model cannot be kept from thinking; its lowest level was asked for");
        }
        json!({"thinkingLevel": level})
    } else if model.contains("gemini-2.5") {
        let by_effort = |effort: &str| match effort {
            "none" if is_pro => 128,
            "none" => 0,
            "minimal" | "low" => 2048,
            "medium" => 8192,
            _ => 24_576,
        };
        json!({"thinkingBudget": budget.or_else(|| effort.map(by_effort))?})
    } else {
        if effort.is_some_and(|e| e != "none") || budget.is_some() {
            adjusted.omit("reasoning");
        }
        return None;
    };
    if let Some(config) = config.as_object_mut()
        && effort != Some("none")
        && !request.reasoning.exclude
    {
        config.insert("includeThoughts".to_owned(), json!(true));
    }
    Some(config)
}
