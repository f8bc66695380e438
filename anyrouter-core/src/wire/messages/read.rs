//! Parsing of the members that only Anthropic's requests have: thinking, effort, the end user.

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    catalog::Protocol,
    wire::{
        fault::RequestFault,
        request::{Members, Reasoning, Request, Whole},
    },
};

const MEMBERS: Members = Members {
    prompt: &["system", "messages", "tools"],
    read: &[
        "system",
        "thinking",
        "output_config",
        "metadata",
        "stop_sequences",
        "thread",
    ],
};

/// Reads an Anthropic request.
pub(in crate::wire) fn read(body: Bytes, depth: usize) -> Result<Request, RequestFault> {
    #[derive(Deserialize)]
    struct Metadata {
        user_id: Option<String>,
    }
    let mut request = Request::scan(Protocol::Messages, &MEMBERS, body, depth)?;
    if request.raw("thread").is_some() {
        return Err(RequestFault {
            code: "thread_unsupported_request",
            param: Some("thread".to_owned()),
            problem: "threads are not stored; send the whole conversation, without `thread`"
                .to_owned(),
        });
    }
    if request.raw("messages").is_none_or(|m| {
        m.trim_ascii_start()
            .get(1..)
            .is_none_or(|m| m.trim_ascii_start().starts_with(b"]"))
    }) {
        return Err(RequestFault::missing("messages"));
    }
    let metadata: Option<Metadata> = request.get("metadata", "an object with `user_id`")?;
    request.user = metadata.and_then(|m| m.user_id);
    request.reasoning = reasoning(&request)?;
    Ok(request)
}

fn reasoning(request: &Request) -> Result<Reasoning, RequestFault> {
    #[derive(Deserialize)]
    struct Thinking {
        r#type: String,
        budget_tokens: Option<Whole>,
        display: Option<String>,
    }
    #[derive(Deserialize)]
    struct Output {
        effort: Option<String>,
    }
    let thinking: Option<Thinking> = request.get("thinking", "an object with `type`")?;
    let output: Option<Output> = request.get("output_config", "an object")?;
    let effort = output.and_then(|o| o.effort);
    Ok(match thinking {
        Some(thinking) if thinking.r#type == "disabled" => Reasoning {
            effort: Some("none".to_owned()),
            ..Reasoning::default()
        },
        Some(thinking) => Reasoning {
            effort: effort.or_else(|| Some("high".to_owned())),
            max_tokens: thinking.budget_tokens.map(|n| n.0),
            exclude: thinking.display.as_deref() == Some("omitted"),
            is_shown: true,
        },
        None => Reasoning {
            effort,
            ..Reasoning::default()
        },
    })
}
