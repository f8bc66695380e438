//! A provider that does as it is told: for each model a list of answers, used one after the other,
//! the last for ever.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// What a provider does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers JSON.
    Json(u16, Value),
    /// Answers with headers of its own.
    With(u16, Vec<(&'static str, &'static str)>, String),
    /// Streams events, each written by itself, and ends the body.
    Events(Vec<String>),
    /// Streams events, then waits until the upstream is told to go on, then the rest.
    Pause(Vec<String>, Vec<String>),
    /// The same, and then breaks the connection.
    PauseBreak(Vec<String>, Vec<String>),
    /// Closes the connection without a word.
    Close,
    /// Says nothing.
    Hang,
    /// Writes these bytes.
    Raw(Vec<u8>),
}

/// A request as a provider got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) model: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
    pub(crate) text: String,
}

#[derive(Default)]
struct Shared {
    acts: Mutex<HashMap<String, Vec<Act>>>,
    seen: Mutex<Vec<Seen>>,
    go_on: Mutex<bool>,
    changed: Condvar,
    closed: Mutex<usize>,
    connections: AtomicUsize,
}

/// A provider at an address of its own.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let it = Self {
            address: listener.local_addr().unwrap().to_string(),
            shared: Arc::default(),
        };
        let shared = it.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                shared.connections.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || {
                    let _ = serve(stream, &shared);
                });
            }
        });
        it
    }

    /// What the provider does when it is asked for `model`.
    pub(crate) fn on(&self, model: &str, acts: Vec<Act>) {
        self.shared
            .acts
            .lock()
            .unwrap()
            .insert(model.to_owned(), acts);
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The requests for one model.
    pub(crate) fn seen_of(&self, model: &str) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|s| s.model == model)
            .collect()
    }

    /// Makes streams pause.
    pub(crate) fn hold(&self) {
        *self.shared.go_on.lock().unwrap() = false;
    }

    /// Lets paused streams go on.
    pub(crate) fn go_on(&self) {
        *self.shared.go_on.lock().unwrap() = true;
        self.shared.changed.notify_all();
    }

    /// Waits until so many paused streams have seen their client close the connection.
    pub(crate) fn wait_closed(&self, count: usize) -> bool {
        let closed = self.shared.closed.lock().unwrap();
        let (closed, _) = self
            .shared
            .changed
            .wait_timeout_while(closed, Duration::from_secs(20), |c| *c < count)
            .unwrap();
        *closed >= count
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![
            0;
            headers
                .get("content-length")
                .and_then(|l| l.parse().ok())
                .unwrap_or(0)
        ];
        reader.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        // Google's protocol has the model in the address.
        let in_path = || path.split("/models/").nth(1)?.split(':').next();
        let model = body["model"].as_str().or_else(in_path);
        let model = model.unwrap_or_default().to_owned();
        shared.seen.lock().unwrap().push(Seen {
            model: model.clone(),
            path,
            headers,
            body,
            text,
        });
        let act = {
            let mut acts = shared.acts.lock().unwrap();
            let list = acts.get_mut(&model);
            match list {
                Some(list) if list.len() > 1 => list.remove(0),
                Some(list) => list[0].clone(),
                None => Act::Json(500, json!({"error": {"message": "no script"}})),
            }
        };
        if !perform(&mut writer, &mut reader, act, shared)? {
            return Ok(());
        }
    }
}

/// False where the connection must end.
fn perform(
    to: &mut TcpStream,
    from: &mut impl Read,
    act: Act,
    shared: &Shared,
) -> std::io::Result<bool> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = |to: &mut TcpStream, text: &str| write!(to, "{:x}\r\n{text}\r\n", text.len());
    let breaks = matches!(act, Act::PauseBreak(..));
    match act {
        Act::Json(status, body) => {
            let body = body.to_string();
            write!(
                to,
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )?;
        }
        Act::With(status, headers, body) => {
            write!(
                to,
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n",
                body.len()
            )?;
            for (name, value) in headers {
                write!(to, "{name}: {value}\r\n")?;
            }
            write!(to, "\r\n{body}")?;
        }
        Act::Events(events) => {
            to.write_all(head.as_bytes())?;
            for event in events {
                chunk(to, &event)?;
            }
            to.write_all(b"0\r\n\r\n")?;
        }
        Act::Pause(before, after) | Act::PauseBreak(before, after) => {
            to.write_all(head.as_bytes())?;
            for event in before {
                chunk(to, &event)?;
            }
            // Until it is told to go on, or the other side closes.
            to.set_read_timeout(Some(Duration::from_millis(20)))?;
            let began = std::time::Instant::now();
            while !*shared.go_on.lock().unwrap() {
                let closed = match from.read(&mut [0; 1]) {
                    Ok(n) => n == 0,
                    Err(e) => !matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ),
                };
                if closed || began.elapsed() > Duration::from_secs(30) {
                    *shared.closed.lock().unwrap() += 1;
                    shared.changed.notify_all();
                    return Ok(false);
                }
            }
            to.set_read_timeout(None)?;
            for event in after {
                chunk(to, &event)?;
            }
            if breaks {
                return Ok(false);
            }
            to.write_all(b"0\r\n\r\n")?;
        }
        Act::Close => return Ok(false),
        Act::Hang => {
            let mut rest = Vec::new();
            let _ = from.read_to_end(&mut rest);
            return Ok(false);
        }
        Act::Raw(bytes) => {
            to.write_all(&bytes)?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// A whole OpenAI answer.
pub(crate) fn completion(text: &str) -> Value {
    json!({"id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": "up",
           "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
           "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})
}

/// An OpenAI stream of these pieces.
pub(crate) fn chunks(pieces: &[&str]) -> Vec<String> {
    let chunk = |delta: Value, finish: Value| {
        format!(
            "data: {}\n\n",
            json!({"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        )
    };
    let mut out = vec![chunk(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    out.extend(
        pieces
            .iter()
            .map(|p| chunk(json!({"content": p}), Value::Null)),
    );
    out.push(chunk(json!({}), json!("stop")));
    out.push(format!("data: {}\n\n", json!({"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})));
    out.push("data: [DONE]\n\n".to_owned());
    out
}

/// A whole Anthropic message.
pub(crate) fn message(content: Value, stop_reason: &str) -> Value {
    json!({"id": "msg_up", "type": "message", "role": "assistant", "model": "up", "content": content, "stop_reason": stop_reason, "stop_sequence": null,
           "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 7}})
}

/// A response with these items.
pub(crate) fn response(output: Value) -> Value {
    json!({"id": "resp_up", "object": "response", "created_at": 1, "status": "completed", "error": null, "incomplete_details": null, "model": "up",
        "output": output, "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}})
}

/// The text of a response, as an item.
pub(crate) fn output_text(text: &str) -> Value {
    json!({"type": "message", "id": "msg_up", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

/// The events of a response, each with its number.
pub(crate) fn response_events(events: &[Value]) -> Vec<String> {
    let event = |(number, event): (usize, &Value)| {
        let mut event = event.clone();
        event["sequence_number"] = json!(number);
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    };
    events.iter().enumerate().map(event).collect()
}

/// An Anthropic stream of these events.
pub(crate) fn anthropic(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|e| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap()))
        .collect()
}

/// An answer in Google's protocol with these parts.
pub(crate) fn generated(parts: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}, "modelVersion": "up", "responseId": "up"})
}

/// The chunks of a stream in Google's protocol, each with these parts.
pub(crate) fn generated_chunks(chunks: &[Value]) -> Vec<String> {
    let end = chunks.len() - 1;
    let chunk = |(i, parts): (usize, &Value)| {
        let mut chunk = generated(parts.clone());
        if i < end {
            chunk["candidates"][0]
                .as_object_mut()
                .unwrap()
                .remove("finishReason");
        }
        format!("data: {chunk}\r\n\r\n")
    };
    chunks.iter().enumerate().map(chunk).collect()
}
