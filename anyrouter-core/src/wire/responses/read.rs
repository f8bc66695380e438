//! Parsing of the members that only Responses requests have, and refusal of those that need stored
//! responses.

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    catalog::Protocol,
    wire::{
        fault::RequestFault,
        json::{Object, objects},
        request::{Members, Reasoning, Request},
    },
};

const MEMBERS: Members = Members {
    prompt: &["instructions", "input", "tools"],
    read: &[
        "background",
        "client_metadata",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "store",
        "text",
        "user",
    ],
};

/// Maximum nesting depth of the input, which was already scanned within a lower limit.
pub(super) const DEPTH: usize = 1024;

/// Reads a Responses request.
pub(in crate::wire) fn read(body: Bytes, depth: usize) -> Result<Request, RequestFault> {
    #[derive(Deserialize)]
    struct Thinking {
        effort: Option<String>,
    }
    let mut request = Request::scan(Protocol::Responses, &MEMBERS, body, depth)?;
    let stored = "responses are not stored; send the whole conversation in `input`";
    for member in ["previous_response_id", "conversation"] {
        if request.raw(member).is_some() {
            return Err(RequestFault::member(
                member,
                format!("`{member}` has nothing to refer to: {stored}"),
            ));
        }
    }
    if request.get("background", "true or false")? == Some(true) {
        return Err(RequestFault::member(
            "background",
            "`background` needs stored responses, and none are stored; set it to false and set `stream`",
        ));
    }
    let input = request
        .raw("input")
        .ok_or_else(|| RequestFault::missing("input"))?;
    match input.first() {
        Some(b'"') => {}
        Some(b'[') => {
            for (i, item) in items(input)?.iter().enumerate() {
                if item.get("type") == Some(b"\"item_reference\"") {
                    return Err(RequestFault::member(
                        format!("input[{i}]"),
                        format!(
                            "`input[{i}]` refers to a stored item, and responses are not stored; set `store` to false and send the item itself"
                        ),
                    ));
                }
            }
        }
        _ => {
            return Err(RequestFault::member(
                "input",
                "`input` must be a string or a list of items",
            ));
        }
    }
    let max_tokens = request.whole("max_output_tokens", "a whole number above 0")?;
    if max_tokens == Some(0) {
        return Err(RequestFault::member(
            "max_output_tokens",
            "`max_output_tokens` must be above 0",
        ));
    }
    let thinking: Option<Thinking> = request.get("reasoning", "an object")?;
    let user: Option<String> = request.get("user", "a string")?;
    let identifier: Option<String> = request.get("safety_identifier", "a string")?;
    request.cache_key = request.get("prompt_cache_key", "a string")?;
    request.max_tokens = max_tokens;
    request.user = identifier.or(user);
    request.reasoning = Reasoning {
        effort: thinking.and_then(|t| t.effort),
        ..Reasoning::default()
    };
    Ok(request)
}

/// Returns the items of an input that is a list.
pub(super) fn items(input: &[u8]) -> Result<Vec<Object<'_>>, RequestFault> {
    objects(input, DEPTH).map_err(|_| {
        RequestFault::member(
            "input",
            "`input` must be a string or a list of items, each an object",
        )
    })
}
