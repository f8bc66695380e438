//! Translation steps that a whole message and a stream share.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::wire::meta::ResponseMeta;

/// Returns OpenAI's finish reason for a stop reason; it is `tool_calls` if the answer has calls and
/// ended normally.
pub(super) fn finish_reason(stop_reason: &str, has_calls: bool) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        _ if has_calls => "tool_calls",
        _ => "stop",
    }
}

/// Creates an id for a call that has none, with its quotes.
pub(super) fn made_id(names: &ResponseMeta, nth: usize) -> String {
    format!("\"call_{}_{nth}\"", names.id.hex())
}

/// Returns the input of a call as the text of an object. Some providers send it as a string, and at
/// the start of a streamed block it is usually empty.
pub(super) fn whole_input(input: Option<&RawValue>) -> String {
    let text = input.map(RawValue::get).unwrap_or_default();
    let in_string = serde_json::from_str::<Cow<'_, str>>(text)
        .ok()
        .filter(|inner| serde_json::from_str::<&RawValue>(inner).is_ok());
    let object = in_string.as_deref().unwrap_or(text).trim();
    if object.starts_with('{') {
        object.to_owned()
    } else {
        "{}".to_owned()
    }
}
