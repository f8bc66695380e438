//! The `anyrouter chat` command.

use std::io::{IsTerminal as _, Read as _};

use anyrouter_core::wire::sse::Splitter;
use serde_json::{Value, json};

use crate::{
    args::Chat,
    client::{Client, Failure},
    table::{say, shown},
};

/// Maximum length of an event, in bytes.
const EVENT: usize = 4 << 20;

pub(crate) async fn chat(client: &Client, args: Chat, as_json: bool) -> Result<(), Failure> {
    let prompt = prompt(&args)?;
    let mut messages = Vec::new();
    messages.extend(args.system.map(|s| json!({"role": "system", "content": s})));
    messages.push(json!({"role": "user", "content": prompt}));
    let stream = !args.no_stream && !as_json;
    let mut body = json!({"model": args.model.as_deref().unwrap_or("anyrouter/auto"), "messages": messages, "stream": stream});
    if args.model.is_none() && !has_model(client, &body).await? {
        eprintln!(
            "No provider has a key yet, so the built-in demo/story answers. For a real model, set OPENAI_API_KEY (or another provider's key) and restart the server.\n"
        );
        body["model"] = "demo/story".into();
    }
    if !stream {
        let answer = client.post("/chat/completions", &body).await?;
        if as_json {
            say(&format!("{answer:#}\n"));
        } else {
            say(&format!(
                "{}\n",
                answer["choices"][0]["message"]["content"]
                    .as_str()
                    .unwrap_or_default()
            ));
        }
        return Ok(());
    }
    let mut response = client.stream("/chat/completions", &body).await?;
    let (mut splitter, mut out) = (Splitter::new(EVENT), std::io::stdout());
    let mut failure = None;
    let mut done = false;
    while let Some(bytes) = response
        .chunk()
        .await
        .map_err(|e| Failure::Broken(format!("the answer broke off: {e}")))?
    {
        let fed = splitter.feed(&bytes, |event| {
            match event.data.as_deref() {
                Some(b"[DONE]") => done = true,
                Some(data) => failure = write(&mut out, data).err(),
                None => {}
            }
            failure.is_none()
        });
        fed.map_err(|e| Failure::Broken(e.to_string()))?;
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    say("\n");
    if done {
        Ok(())
    } else {
        Err(Failure::Broken("the answer broke off".to_owned()))
    }
}

/// Returns true if any endpoint may serve the request.
async fn has_model(client: &Client, body: &Value) -> Result<bool, Failure> {
    match client.post("/route/explain", body).await {
        Ok(explanation) => Ok(explanation["eligible"]
            .as_array()
            .is_some_and(|e| !e.is_empty())),
        Err(Failure::Refused {
            status: 404, code, ..
        }) if code == "model_not_found" => Ok(false),
        // The request itself reports any other problem.
        Err(Failure::Refused { .. }) => Ok(true),
        Err(e) => Err(e),
    }
}

/// Returns the words of the command line, followed by standard input.
fn prompt(args: &Chat) -> Result<String, Failure> {
    let mut prompt = args.prompt.join(" ");
    let mut stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut text = String::new();
        stdin
            .read_to_string(&mut text)
            .map_err(|e| Failure::Use(format!("standard input: {e}")))?;
        if !text.trim().is_empty() {
            prompt = if prompt.is_empty() {
                text
            } else {
                format!("{prompt}\n\n{text}")
            };
        }
    }
    if prompt.trim().is_empty() {
        return Err(Failure::Use(
            "no question was given; pass one as an argument or on standard input".to_owned(),
        ));
    }
    Ok(prompt)
}

fn write(out: &mut impl std::io::Write, data: &[u8]) -> Result<(), Failure> {
    let chunk: Value = serde_json::from_slice(data)
        .map_err(|e| Failure::Broken(format!("a chunk is not JSON: {e}")))?;
    if let Some(error) = chunk.get("error") {
        let text = |v: &Value| v.as_str().unwrap_or("unknown").to_owned();
        let request = text(&chunk["anyrouter_metadata"]["requestId"]);
        let status = error["http_status"]
            .as_u64()
            .and_then(|s| u16::try_from(s).ok())
            .unwrap_or(502);
        return Err(Failure::Refused {
            status,
            code: text(&error["code"]),
            message: text(&error["message"]),
            request,
            body: Box::new(chunk),
        });
    }
    if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str() {
        let written = out
            .write_all(shown(text).as_bytes())
            .and_then(|()| out.flush());
        written.map_err(|e| Failure::Broken(format!("standard output: {e}")))?;
    }
    Ok(())
}
