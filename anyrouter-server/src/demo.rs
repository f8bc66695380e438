//! Built-in upstream that answers in this process, in OpenAI's protocol, and sends nothing.
//!
//! `demo/echo` repeats the last user message. If the message has placeholders, it also shows them
//! as the provider saw them, truncated so that they are not restored. `demo/story` tells a short
//! story. If it is given a few tools and the last message is not a tool's result, it calls the first
//! tool. An agent, which has more tools, gets the story: whatever it calls would go on for ever.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use anyrouter_core::ports::{UpstreamBody, UpstreamError, UpstreamResponse};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

const STORY: &str = "A letter set out to cross the sea. At every harbour somebody asked to read it first, and at every harbour it \
said: only whoever it is meant for. It arrived late, a little salted, and unopened.";

/// Maximum number of tools of a request that tries a tool call.
const FEW_TOOLS: usize = 4;

/// Answers a chat request.
pub(crate) fn answer(body: &[u8]) -> UpstreamResponse {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let stream = request["stream"] == true;
    let answer = Answer::to(&request);
    let body: Pin<Box<dyn UpstreamBody>> = if stream {
        Box::pin(Events::new(answer))
    } else {
        Box::pin(Whole(Some(answer.whole().to_string().into())))
    };
    let mut headers = HeaderMap::new();
    let kind = if stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    UpstreamResponse {
        status: StatusCode::OK,
        headers,
        body,
    }
}

struct Whole(Option<Bytes>);

impl UpstreamBody for Whole {
    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

/// A stream that creates its events on demand, so that a slow reader holds only the answer.
struct Events {
    answer: Answer,
    step: Step,
}

enum Step {
    Role,
    /// The text, from this byte offset.
    Text(usize),
    Call,
    /// The arguments, from this byte offset.
    Arguments(usize),
    Finish,
    Usage,
    Done,
    Ended,
}

impl Events {
    fn new(answer: Answer) -> Self {
        Self {
            answer,
            step: Step::Role,
        }
    }

    fn event(&mut self) -> Option<Bytes> {
        let Self { answer, step } = self;
        let chunk = |choices: Value| {
            let (created, model) = (answer.created, &answer.model);
            json!({"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": created, "model": model, "choices": choices})
        };
        let delta = |delta: Value, finish: Value| {
            chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]))
        };
        let (event, next) = loop {
            match *step {
                Step::Role => {
                    break (
                        delta(json!({"role": "assistant", "content": ""}), Value::Null),
                        Step::Text(0),
                    );
                }
                Step::Text(at) => {
                    let Some(word) = answer
                        .text
                        .get(at..)
                        .and_then(|rest| rest.split_inclusive(' ').next())
                    else {
                        *step = Step::Call;
                        continue;
                    };
                    break (
                        delta(json!({"content": word}), Value::Null),
                        Step::Text(at + word.len()),
                    );
                }
                Step::Call => {
                    let Some((name, _)) = &answer.call else {
                        *step = Step::Finish;
                        continue;
                    };
                    let head = json!({"index": 0, "id": "call_demo_1", "type": "function", "function": {"name": name, "arguments": ""}});
                    break (
                        delta(json!({"tool_calls": [head]}), Value::Null),
                        Step::Arguments(0),
                    );
                }
                Step::Arguments(at) => {
                    let arguments = answer.call.as_ref().map_or("", |(_, arguments)| arguments);
                    let Some(piece) = arguments
                        .get(at..)
                        .and_then(|rest| rest.split_inclusive(',').next())
                    else {
                        *step = Step::Finish;
                        continue;
                    };
                    let call = json!([{"index": 0, "function": {"arguments": piece}}]);
                    break (
                        delta(json!({"tool_calls": call}), Value::Null),
                        Step::Arguments(at + piece.len()),
                    );
                }
                Step::Finish => break (delta(json!({}), json!(answer.finish())), Step::Usage),
                Step::Usage => {
                    let mut usage = chunk(json!([]));
                    usage["usage"] = answer.usage.clone();
                    break (usage, Step::Done);
                }
                Step::Done => {
                    *step = Step::Ended;
                    return Some(Bytes::from_static(b"data: [DONE]\n\n"));
                }
                Step::Ended => return None,
            }
        };
        self.step = next;
        Some(format!("data: {event}\n\n").into())
    }
}

impl UpstreamBody for Events {
    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        Poll::Ready(self.event().map(Ok))
    }
}

struct Answer {
    model: String,
    text: String,
    /// The name of the tool to call, and its arguments.
    call: Option<(String, String)>,
    usage: Value,
    /// Seconds since 1970.
    created: u64,
}

impl Answer {
    fn to(request: &Value) -> Self {
        let empty = Vec::new();
        let messages = request["messages"].as_array().unwrap_or(&empty);
        let model = request["model"].as_str().unwrap_or("echo").to_owned();
        let last = messages
            .last()
            .map(|m| m["role"].as_str().unwrap_or_default());
        let tool = request["tools"]
            .get(0)
            .and_then(|t| t["function"]["name"].as_str());
        let story = model.ends_with("story");
        let tool_count = request["tools"].as_array().map_or(0, Vec::len);
        let call = tool
            .filter(|_| story && tool_count <= FEW_TOOLS && last != Some("tool"))
            .map(|name| (name.to_owned(), arguments(&request["tools"][0]).to_string()));
        let text = match (&call, story) {
            (Some(_), _) => String::new(),
            (None, true) => STORY.to_owned(),
            (None, false) => echo(
                messages
                    .iter()
                    .rev()
                    .find(|m| m["role"] == "user")
                    .map(|m| text_of(&m["content"]))
                    .unwrap_or_default(),
            ),
        };
        let words = |t: &str| t.split_whitespace().count().max(1);
        let prompt: usize = messages
            .iter()
            .map(|m| words(&text_of(&m["content"])))
            .sum();
        let completion = call
            .as_ref()
            .map_or(words(&text), |(_, arguments)| words(arguments));
        let usage = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion});
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        Self {
            model,
            text,
            call,
            usage,
            created,
        }
    }

    fn finish(&self) -> &'static str {
        if self.call.is_some() {
            "tool_calls"
        } else {
            "stop"
        }
    }

    fn whole(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": self.text, "refusal": null});
        if let Some((name, arguments)) = &self.call {
            message["content"] = Value::Null;
            message["tool_calls"] = json!([{"id": "call_demo_1", "type": "function", "function": {"name": name, "arguments": arguments}}]);
        }
        json!({"id": "chatcmpl-demo", "object": "chat.completion", "created": self.created, "model": self.model,
               "choices": [{"index": 0, "message": message, "finish_reason": self.finish()}], "usage": self.usage})
    }
}

/// Returns the text, followed by the truncated placeholders in it.
fn echo(text: String) -> String {
    let is_id = |id: &str| {
        id.len() == 12
            && id
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let seen: Vec<String> = words
        .filter_map(|word| {
            word.rsplit_once('_').filter(|(label, id)| {
                is_id(id)
                    && label.len() > 1
                    && label.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            })
        })
        .map(|(label, id)| format!("{label}_{}…", &id[..6]))
        .collect();
    if seen.is_empty() {
        text
    } else {
        format!("{text}\n\n(The provider saw: {})", seen.join(", "))
    }
}

/// The text of a message's content, a string or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|p| p["text"].as_str())
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// Arguments that fit the tool's schema: each required property with a small value of its type.
fn arguments(tool: &Value) -> Value {
    let schema = &tool["function"]["parameters"];
    let empty = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let fits = |p: &Value| match p["type"].as_str() {
        Some("number" | "integer") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => p["enum"].get(0).cloned().unwrap_or_else(|| json!("Paris")),
    };
    properties
        .iter()
        .filter(|(name, _)| required.is_empty() || required.contains(&name.as_str()))
        .map(|(n, p)| (n.clone(), fits(p)))
        .collect()
}
