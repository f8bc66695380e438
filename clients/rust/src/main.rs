//! The `async-openai` crate against the real server; `clients/more.py` starts both server and
//! provider.

use std::{env, time::Duration};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{ChatCompletionMessageToolCalls, CreateChatCompletionRequest},
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

const TEXT: &str = "One two three.";
const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg==";

type Checked = Result<(), Box<dyn std::error::Error>>;

struct With<'a> {
    client: Client<OpenAIConfig>,
    model: &'a str,
}

fn holds(what: bool, said: &str) -> Checked {
    if what { Ok(()) } else { Err(said.into()) }
}

impl With<'_> {
    fn request(&self, messages: Value, more: Value) -> CreateChatCompletionRequest {
        let mut request = json!({"model": self.model, "messages": messages});
        if let (Some(request), Some(more)) = (request.as_object_mut(), more.as_object()) {
            request.extend(more.clone());
        }
        serde_json::from_value(request).expect("the crate has these members")
    }

    fn ask(&self, text: &str, more: Value) -> CreateChatCompletionRequest {
        self.request(json!([{"role": "user", "content": text}]), more)
    }

    fn tools() -> Value {
        json!({"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]})
    }

    async fn chats(&self) -> Checked {
        let answer = self.client.chat().create(self.ask("hello", json!({}))).await?;
        holds(answer.choices[0].message.content.as_deref() == Some(TEXT) && answer.usage.is_some_and(|u| u.total_tokens == 13), "another answer")
    }

    async fn streams(&self) -> Checked {
        let request = self.ask("hello", json!({"stream_options": {"include_usage": true}}));
        let (mut stream, mut text, mut total) = (self.client.chat().create_stream(request).await?, String::new(), 0);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            total = chunk.usage.map_or(total, |u| u.total_tokens);
            text.extend(chunk.choices.into_iter().filter_map(|c| c.delta.content));
        }
        holds(text == TEXT && total == 13, &format!("{text:?}, {total} tokens"))
    }

    async fn tools_in_a_loop(&self) -> Checked {
        let answer = self.client.chat().create(self.ask("weather", Self::tools())).await?;
        let message = &answer.choices[0].message;
        let Some(ChatCompletionMessageToolCalls::Function(call)) = message.tool_calls.as_ref().and_then(|calls| calls.first()) else {
            return Err("no call".into());
        };
        let arguments: Value = serde_json::from_str(&call.function.arguments)?;
        holds(arguments == json!({"city": "Paris", "unit": "celsius"}), "other arguments")?;
        let said = json!([
            {"role": "user", "content": "weather"},
            {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}]},
            {"role": "tool", "tool_call_id": call.id, "content": "22 degrees"},
        ]);
        let answer = self.client.chat().create(self.request(said, Self::tools())).await?;
        holds(answer.choices[0].message.content.as_deref() == Some(TEXT), "another answer")
    }

    async fn streamed_tools_in_parallel(&self) -> Checked {
        let mut stream = self.client.chat().create_stream(self.ask("both", Self::tools())).await?;
        let mut arguments = vec![String::new(); 2];
        while let Some(chunk) = stream.next().await {
            for call in chunk?.choices.into_iter().filter_map(|c| c.delta.tool_calls).flatten() {
                arguments[call.index as usize].extend(call.function.and_then(|f| f.arguments));
            }
        }
        let read: Vec<Value> = arguments.iter().map(|a| serde_json::from_str(a)).collect::<Result<_, _>>()?;
        holds(read == vec![json!({"city": "Paris", "unit": "celsius"}); 2], "other arguments")
    }

    async fn structured_output(&self) -> Checked {
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}, "day": {"type": "string"}}, "required": ["name", "day"], "additionalProperties": false});
        let more = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "event", "schema": schema, "strict": true}}});
        let answer = self.client.chat().create(self.ask("event", more)).await?;
        let event: Value = serde_json::from_str(answer.choices[0].message.content.as_deref().unwrap_or_default())?;
        holds(event == json!({"name": "Science fair", "day": "Friday"}), "another event")
    }

    async fn images(&self) -> Checked {
        let parts = json!([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": PNG}}]);
        let answer = self.client.chat().create(self.request(json!([{"role": "user", "content": parts}]), json!({}))).await?;
        holds(answer.choices[0].message.content.as_deref() == Some(TEXT), "another answer")
    }

    async fn errors_are_api_errors(&self) -> Checked {
        let nowhere = With { client: self.client.clone(), model: "no/such" };
        match nowhere.client.chat().create(nowhere.ask("hello", json!({}))).await {
            Err(OpenAIError::ApiError(e)) => {
                holds(e.status_code.as_u16() == 404 && e.api_error.code.as_deref() == Some("model_not_found"), &e.to_string())
            }
            other => Err(format!("{other:?}").into()),
        }
    }

    async fn waits_as_retry_after_says(&self) -> Checked {
        let answer = self.client.chat().create(self.ask(&format!("busy once, async-openai, {}", self.model), json!({}))).await?;
        holds(answer.choices[0].message.content.as_deref() == Some(TEXT), "another answer")
    }

    async fn gives_up_a_stream(&self) -> Checked {
        let mut stream = self.client.chat().create_stream(self.ask("wait", json!({}))).await?;
        let first = tokio::time::timeout(Duration::from_secs(10), stream.next()).await?;
        drop(stream);
        holds(first.is_some_and(|c| c.is_ok()), "no first chunk")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let config = OpenAIConfig::new().with_api_base(env::var("BASE_URL").expect("BASE_URL")).with_api_key(env::var("KEY").expect("KEY"));
    println!("async-openai 0.43");
    let (mut passed, mut failed) = (0, 0);
    for model in ["lab/open", "lab/anth"] {
        let with = With { client: Client::with_config(config.clone()), model };
        let checks: [(&str, std::pin::Pin<Box<dyn Future<Output = Checked> + '_>>); 9] = [
            ("chats", Box::pin(with.chats())),
            ("streams", Box::pin(with.streams())),
            ("tools in a loop", Box::pin(with.tools_in_a_loop())),
            ("streamed tools in parallel", Box::pin(with.streamed_tools_in_parallel())),
            ("structured output", Box::pin(with.structured_output())),
            ("images", Box::pin(with.images())),
            ("errors are API errors", Box::pin(with.errors_are_api_errors())),
            ("waits as Retry-After says", Box::pin(with.waits_as_retry_after_says())),
            ("gives up a stream", Box::pin(with.gives_up_a_stream())),
        ];
        for (name, check) in checks {
            match check.await {
                Ok(()) => {
                    passed += 1;
                    println!("  ok    {model} {name}");
                }
                Err(e) => {
                    failed += 1;
                    println!("  FAIL  {model} {name}: {e}");
                }
            }
        }
    }
    println!("\n{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}
