//! Repair of choices in which compatible providers deviate from OpenAI's shape.
//!
//! A conforming choice passes byte for byte. The others are rewritten: tool calls get an `index`,
//! an `id` and a string for `arguments`; a list in `content` becomes a string, and its thinking
//! parts become `reasoning`; `reasoning_content` becomes `reasoning`; the finish reason becomes one
//! of OpenAI's, which is `tool_calls` if there are calls. A finish reason is never invented. The
//! table of deviations and their sources is in docs/providers.md.

use std::{borrow::Cow, ops::Range};

use serde_json::{Map, Value, json, value::RawValue};
use smallvec::SmallVec;

use crate::{
    catalog::FailureClass,
    part::Part as _,
    wire::{
        fault::AnswerFault,
        json::{JsonFault, Scanner, bare_name, escape_strings, unescape_strings},
        meta::ResponseMeta,
        meter::Meter,
        provider_error::{ProviderError, token_of},
    },
};

/// Maximum nesting depth of an answer.
pub(super) const DEPTH: usize = 256;

/// Maximum number of choices in a response.
const CHOICES: usize = 128;
/// Maximum number of calls in a choice.
const CALLS: usize = 1024;

/// The member of a choice that holds its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A whole response.
    Message,
    /// A chunk of a stream.
    Delta,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Delta => "delta",
        }
    }
}

/// The choices of a response so far.
#[derive(Debug, Default)]
pub(super) struct Choices {
    seen: Vec<Choice>,
    /// True if a choice had an index or a finish reason, even null.
    has_form: bool,
    /// Omitted types of content, for `anyrouter_metadata`.
    pub(super) omitted: Vec<String>,
}

#[derive(Debug, Default)]
struct Choice {
    index: u64,
    finished: bool,
    calls: Vec<Call>,
    /// True if the choice has a call in the deprecated form.
    function_call: bool,
    /// True if deltas had content, which a whole message after them repeats.
    has_text: bool,
    annotations: usize,
}

/// A tool call; its position in `Choice::calls` is the index that the client sees.
#[derive(Debug)]
struct Call {
    theirs: Option<u64>,
    id: Option<String>,
    name: Option<String>,
    has_arguments: bool,
}

/// The result of reading a list of choices.
#[derive(Debug, Default)]
pub(super) struct ReadChoices {
    /// Number of choices.
    pub(super) count: usize,
    /// True if a choice has content, a call, reasoning, or a finish reason.
    pub(super) gives: bool,
    /// The repaired list, if the original deviates.
    pub(super) repaired: Option<Vec<u8>>,
    /// Fault of a choice that is invalid or an error.
    pub(super) fault: Option<AnswerFault>,
    /// Range of a usage object inside a choice.
    pub(super) usage: Option<Range<usize>>,
}

/// A scanned choice: the ranges of its members in the text, and its deviations.
#[derive(Default)]
struct Scanned {
    /// Position of the opening brace.
    start: usize,
    index: Option<Range<usize>>,
    finish: Option<Range<usize>>,
    calls: Option<Range<usize>>,
    annotations: Option<Range<usize>>,
    error: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    has_message: bool,
    /// True if a chunk has `message` in place of `delta`.
    is_misnamed: bool,
    has_role: bool,
    function_call: bool,
    gives: bool,
    deviates: bool,
    /// True if the choice has an index or a finish reason, even null.
    has_form: bool,
}

impl Choices {
    /// Reads the list of choices at the position of `scanner` in `text`, and counts its text.
    pub(super) fn read(
        &mut self,
        scanner: &mut Scanner<'_>,
        text: &[u8],
        of: Of,
        names: &ResponseMeta,
        meter: &mut Meter,
    ) -> Result<ReadChoices, JsonFault> {
        let start = scanner.position();
        let mut all: SmallVec<[Scanned; 1]> = SmallVec::new();
        scanner.array(|s| {
            // Items other than objects are skipped.
            if s.peek() == Some(b'{') {
                let start = s.position();
                all.push(Scanned {
                    start,
                    ..scan(s, text, of)?
                });
            }
            Ok(())
        })?;
        meter.text += std::mem::take(scanner.volume_mut()).text;
        let mut read = ReadChoices {
            count: all.len(),
            ..ReadChoices::default()
        };
        let mut plans: SmallVec<[Plan; 1]> = SmallVec::new();
        for scanned in &all {
            self.has_form |= scanned.has_form;
            match self.plan(scanned, text, of, names, meter) {
                Ok(plan) => {
                    read.gives |= scanned.gives || plan.finish_says_something;
                    plans.push(plan);
                }
                Err(fault) => read.fault = Some(fault),
            }
            read.usage = scanned.usage.clone().or(read.usage);
        }
        if read.fault.is_none() && plans.iter().any(|p| p.deviates) {
            let repaired = read_values(text.part(start..scanner.position())).and_then(|list| {
                let objects = list.values.into_iter().filter(Value::is_object);
                let repaired: Vec<Value> = objects
                    .zip(&plans)
                    .map(|(choice, plan)| self.repair(choice, plan, of))
                    .collect();
                let json = serde_json::to_vec(&repaired).ok()?;
                if !list.are_raw {
                    return Some(json);
                }
                let json = unescape_strings(&json);
                serde_json::from_slice::<&RawValue>(&json).ok()?;
                Some(json)
            });
            match repaired {
                Some(json) => read.repaired = Some(json),
                None => {
                    read.fault = Some(AnswerFault::NotTheProtocol("an OpenAI chat completion"));
                }
            }
        } else if read.fault.is_none() && all.iter().any(|c| c.index.is_none()) {
            read.repaired = Some(with_index(&all, text, start..scanner.position()));
        }
        Ok(read)
    }

    /// Returns true if there was a choice, and every choice has its finish reason.
    pub(super) fn are_finished(&self) -> bool {
        !self.seen.is_empty() && self.seen.iter().all(|c| c.finished)
    }

    /// Returns true if the upstream writes deltas without an index or a finish reason in any chunk:
    /// it never sends finish reasons, and only its `[DONE]` ends the answer.
    pub(super) fn know_no_finish(&self) -> bool {
        !self.has_form && !self.seen.is_empty()
    }

    /// Decides the repair of a choice, and updates the state of the choice.
    fn plan(
        &mut self,
        scanned: &Scanned,
        text: &[u8],
        of: Of,
        names: &ResponseMeta,
        meter: &mut Meter,
    ) -> Result<Plan, AnswerFault> {
        let wrong = || AnswerFault::NotTheProtocol("an OpenAI chat completion");
        let slice = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
        if let Some(error) = &scanned.error {
            return Err(AnswerFault::Error(names.origin().read_data(slice(error))));
        }
        if of == Of::Message && !scanned.has_message {
            return Err(wrong());
        }
        // Client packages read `delta`, and the role of a message, without a check.
        let is_incomplete = if of == Of::Message {
            !scanned.has_role
        } else {
            !scanned.has_message
        };
        let index = scanned
            .index
            .as_ref()
            .and_then(|r| std::str::from_utf8(slice(r)).ok()?.parse().ok());
        let index_deviates = scanned.index.is_some() && index.is_none();
        let index: u64 = index.unwrap_or(0);
        let at = match self.seen.iter().position(|c| c.index == index) {
            Some(at) => at,
            None if self.seen.len() < CHOICES => {
                self.seen.push(Choice {
                    index,
                    ..Choice::default()
                });
                self.seen.len() - 1
            }
            None => return Err(wrong()),
        };
        let choice = self.seen.get_mut(at).ok_or_else(wrong)?;
        choice.function_call |= scanned.function_call;
        let repeats_text = scanned.is_misnamed && choice.has_text;
        choice.has_text |= scanned.gives;
        let mut plan = Plan {
            index,
            repeats_text,
            deviates: scanned.deviates || index_deviates || is_incomplete,
            ..Plan::default()
        };
        if let Some(range) = &scanned.calls {
            let calls = read_values(slice(range)).ok_or_else(wrong)?.values;
            for (position, call) in calls.iter().enumerate() {
                let planned = choice
                    .call(call, calls.len(), position, of, names)
                    .ok_or_else(wrong)?;
                plan.deviates |= planned.deviates;
                plan.calls.push(planned);
            }
        }
        if let Some(range) = scanned.annotations.as_ref().filter(|_| of == Of::Delta) {
            let annotations: Vec<Value> =
                serde_json::from_slice(slice(range)).map_err(|_| wrong())?;
            plan.first_annotation = choice.annotations;
            plan.deviates |= annotations.iter().any(|a| a.get("index").is_none());
            choice.annotations += annotations.len();
        }
        let said = scanned
            .finish
            .as_ref()
            .and_then(|r| serde_json::from_slice::<Cow<'_, str>>(slice(r)).ok());
        let is_word = said.as_ref().is_some_and(|s| !s.is_empty());
        plan.deviates |= scanned.finish.is_some() && !is_word;
        if let Some(said) = said.filter(|_| is_word) {
            // A call without a name is invalid.
            if choice.calls.iter().any(|c| c.name.is_none()) {
                return Err(wrong());
            }
            let Some(word) = finish_word(&said, !choice.calls.is_empty(), choice.function_call)
            else {
                let error = ProviderError {
                    class: FailureClass::Server,
                    code: token_of(&said),
                    ..ProviderError::default()
                };
                return Err(AnswerFault::Error(error));
            };
            plan.deviates |= word != said || choice.finished;
            // A provider may repeat the finish reason, for example with its usage; the client gets
            // it once.
            if !choice.finished {
                plan.finish = Some(word);
                meter.native_finish_reason = token_of(&said);
                meter.finish_reason = Some(word.to_owned());
                plan.without_arguments = choice
                    .calls
                    .iter()
                    .enumerate()
                    .filter(|(_, c)| !c.has_arguments)
                    .map(|(i, _)| i)
                    .collect();
                plan.deviates |= !plan.without_arguments.is_empty();
            }
            choice.finished = true;
            plan.finish_says_something = true;
        }
        Ok(plan)
    }

    /// Returns the repaired choice.
    fn repair(&mut self, mut choice: Value, plan: &Plan, of: Of) -> Value {
        let Some(object) = choice.as_object_mut() else {
            return choice;
        };
        object.insert("index".to_owned(), json!(plan.index));
        object.remove("usage");
        object.insert("finish_reason".to_owned(), json!(plan.finish));
        let misnamed = if of == Of::Delta {
            object.remove(Of::Message.name())
        } else {
            None
        };
        let message = object.entry(of.name()).or_insert_with(|| json!({}));
        if !message.is_object() {
            *message = json!({});
        }
        if let Some(message) = message.as_object_mut() {
            let misnamed = misnamed
                .filter(|_| !plan.repeats_text)
                .and_then(|m| m.as_object().cloned());
            for (name, value) in misnamed.into_iter().flatten() {
                message.entry(name).or_insert(value);
            }
            self.repair_message(message, plan, of);
        }
        choice
    }

    fn repair_message(&mut self, message: &mut Map<String, Value>, plan: &Plan, of: Of) {
        let parts = match message.get_mut("content") {
            Some(Value::Array(parts)) => Some(std::mem::take(parts)),
            Some(part @ Value::Object(_)) => Some(vec![part.take()]),
            Some(number @ (Value::Number(_) | Value::Bool(_))) => {
                *number = number.to_string().into();
                None
            }
            _ => None,
        };
        if let Some(parts) = parts {
            let (text, thoughts) = self.joined(&parts);
            match text {
                Some(text) => message.insert("content".to_owned(), text.into()),
                None if of == Of::Message => message.insert("content".to_owned(), Value::Null),
                None => message.remove("content"),
            };
            if !thoughts.is_empty() {
                message.insert("reasoning".to_owned(), thoughts.into());
            }
        }
        // If both members exist, the one that is not empty is kept.
        if let Some(theirs) = message.remove("reasoning_content")
            && message
                .get("reasoning")
                .is_none_or(|r| r.is_null() || r == "")
            && (!theirs.is_null() || of == Of::Message)
        {
            message.insert("reasoning".to_owned(), theirs);
        }
        if let Some(Value::Array(annotations)) =
            message.get_mut("annotations").filter(|_| of == Of::Delta)
        {
            for (i, annotation) in annotations.iter_mut().enumerate() {
                if let Some(annotation) = annotation
                    .as_object_mut()
                    .filter(|a| !a.contains_key("index"))
                {
                    annotation.insert("index".to_owned(), json!(plan.first_annotation + i));
                }
            }
        }
        if of == Of::Message && message.get("role") != Some(&json!("assistant")) {
            message.insert("role".to_owned(), json!("assistant"));
        }
        match message.get_mut("tool_calls") {
            // Clients test the presence of the list, and in some languages an empty list is truthy.
            Some(Value::Array(calls)) if calls.is_empty() => {
                message.remove("tool_calls");
            }
            Some(Value::Array(calls)) => {
                for (call, planned) in calls.iter_mut().zip(&plan.calls) {
                    planned.repair(call, of);
                }
            }
            Some(Value::Null) if of == Of::Delta => {
                message.remove("tool_calls");
            }
            _ => {}
        }
        if of == Of::Delta && !plan.without_arguments.is_empty() {
            let calls = message.entry("tool_calls").or_insert_with(|| json!([]));
            if let Some(calls) = calls.as_array_mut() {
                for index in &plan.without_arguments {
                    match calls
                        .iter_mut()
                        .find(|c| c.get("index") == Some(&json!(index)))
                    {
                        Some(call) => {
                            let function = call.get_mut("function").and_then(Value::as_object_mut);
                            if let Some(function) = function {
                                function.insert("arguments".to_owned(), "{}".into());
                            }
                        }
                        None => {
                            calls.push(json!({"index": index, "function": {"arguments": "{}"}}));
                        }
                    }
                }
            }
        }
    }

    /// Joins the text, and the reasoning, of a list of content parts.
    fn joined(&mut self, parts: &[Value]) -> (Option<String>, String) {
        let (mut text, mut thoughts) = (None::<String>, String::new());
        for part in parts {
            match part.get("type").and_then(Value::as_str) {
                Some("text" | "output_text") | None => {
                    if let Some(piece) = part
                        .get("text")
                        .and_then(Value::as_str)
                        .or_else(|| part.as_str())
                    {
                        text.get_or_insert_default().push_str(piece);
                    }
                }
                Some("thinking" | "reasoning") => {
                    match part.get("thinking").or_else(|| part.get("text")) {
                        Some(Value::String(piece)) => thoughts.push_str(piece),
                        Some(Value::Array(pieces)) => {
                            thoughts.extend(
                                pieces
                                    .iter()
                                    .filter_map(|p| p.get("text").and_then(Value::as_str)),
                            );
                        }
                        _ => {}
                    }
                }
                Some(other) => {
                    let name = format!(
                        "choices.content.{}",
                        token_of(other).as_deref().unwrap_or("part")
                    );
                    if !self.omitted.contains(&name) && self.omitted.len() < 16 {
                        self.omitted.push(name);
                    }
                }
            }
        }
        (text, thoughts)
    }
}

/// The repair of a choice.
#[derive(Default)]
struct Plan {
    index: u64,
    /// True for a whole message that repeats the deltas before it, and is left out.
    repeats_text: bool,
    calls: SmallVec<[PlannedCall; 2]>,
    first_annotation: usize,
    finish: Option<&'static str>,
    finish_says_something: bool,
    /// Indexes of calls that end without arguments; they get `{}`.
    without_arguments: SmallVec<[usize; 2]>,
    deviates: bool,
}

struct PlannedCall {
    index: usize,
    /// New id, if the first piece has none or a duplicate.
    id: Option<String>,
    is_first: bool,
    /// True if a later piece repeats the name or has an empty one, which clients would append.
    repeats_name: bool,
    deviates: bool,
}

impl Choice {
    /// Finds or adds the call of a piece, and plans the repair of the piece. Returns `None` if
    /// there are too many calls or the piece is invalid.
    fn call(
        &mut self,
        piece: &Value,
        pieces: usize,
        position: usize,
        of: Of,
        names: &ResponseMeta,
    ) -> Option<PlannedCall> {
        fn text(value: Option<&Value>) -> Option<&str> {
            value.and_then(Value::as_str).filter(|t| !t.is_empty())
        }
        let theirs = piece.get("index").and_then(Value::as_u64);
        let id = text(piece.get("id"));
        let name =
            text(piece.pointer("/function/name")).or_else(|| text(piece.pointer("/custom/name")));
        let known = match (theirs, id) {
            _ if of == Of::Message => None,
            // A second id with the same index is a second call if it has a name.
            (Some(theirs), id) => self
                .calls
                .iter()
                .rposition(|c| c.theirs == Some(theirs))
                .filter(|at| {
                    let own = self.calls.get(*at).and_then(|c| c.id.as_deref());
                    name.is_none() || id.is_none() || own.is_none() || own == id
                }),
            (None, Some(id)) => self.calls.iter().rposition(|c| c.id.as_deref() == Some(id)),
            (None, None) if name.is_some() => None,
            // A single piece without index and id continues the last call; several pieces have the
            // order of the calls.
            (None, None) => Some(if pieces > 1 {
                position
            } else {
                self.calls.len().saturating_sub(1)
            })
            .filter(|at| *at < self.calls.len()),
        };
        let arguments = piece.pointer("/function/arguments");
        let is_custom = piece.get("custom").is_some();
        let brings = is_custom || arguments.is_some_and(|a| !a.is_null() && a.as_str() != Some(""));
        let is_first = known.is_none();
        let index = known.unwrap_or(self.calls.len());
        let mut made = None;
        if is_first {
            if self.calls.len() >= CALLS {
                return None;
            }
            // The results of two calls with the same id could not be distinguished.
            let is_new =
                id.is_some_and(|id| self.calls.iter().all(|c| c.id.as_deref() != Some(id)));
            made = (!is_new).then(|| format!("call_{}_{}", names.id.hex(), self.calls.len()));
            let id = made.clone().or_else(|| id.map(ToOwned::to_owned));
            self.calls.push(Call {
                theirs,
                id,
                name: name.map(ToOwned::to_owned),
                has_arguments: false,
            });
        }
        if of == Of::Message && !is_custom && piece.get("function").is_none_or(|f| !f.is_object()) {
            return None;
        }
        let call = self.calls.get_mut(index)?;
        let said_name = piece.pointer("/function/name");
        let repeats_name = !is_first
            && said_name
                .is_some_and(|n| text(Some(n)).is_none() || n.as_str() == call.name.as_deref());
        let repeats =
            !is_first && (repeats_name || piece.get("id").is_some() || piece.get("type").is_some());
        if call.name.is_none() {
            call.name = name.map(ToOwned::to_owned);
        }
        call.has_arguments |= brings;
        let arguments_deviate = match of {
            Of::Message => {
                !is_custom && arguments.and_then(Value::as_str).is_none_or(str::is_empty)
            }
            Of::Delta => arguments.is_some_and(|a| !a.is_string()),
        };
        // In OpenAI's shape, the calls of a whole response have no index.
        let index_deviates = of == Of::Delta && theirs != Some(index as u64);
        let lacks = is_first
            && (piece.get("type").is_none() || !is_custom && piece.get("function").is_none());
        let deviates = made.is_some() || arguments_deviate || index_deviates || lacks || repeats;
        if of == Of::Message {
            call.has_arguments = true;
        }
        Some(PlannedCall {
            index,
            id: made,
            is_first,
            repeats_name,
            deviates,
        })
    }
}

impl PlannedCall {
    fn repair(&self, call: &mut Value, of: Of) {
        let Some(call) = call.as_object_mut() else {
            return;
        };
        if of == Of::Delta || call.contains_key("index") {
            call.insert("index".to_owned(), json!(self.index));
        }
        if let Some(id) = &self.id {
            call.insert("id".to_owned(), json!(id));
        }
        if self.is_first && !call.contains_key("type") {
            call.insert("type".to_owned(), json!("function"));
        }
        if self.is_first
            && !call.contains_key("custom")
            && !call.get("function").is_some_and(Value::is_object)
        {
            call.insert("function".to_owned(), json!({"arguments": ""}));
        }
        if !self.is_first {
            call.remove("id");
            call.remove("type");
            if self.repeats_name
                && let Some(function) = call.get_mut("function").and_then(Value::as_object_mut)
            {
                function.remove("name");
            }
        }
        let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) else {
            return;
        };
        match function.get_mut("arguments") {
            Some(Value::String(text)) if text.is_empty() && of == Of::Message => {
                "{}".clone_into(text);
            }
            Some(Value::String(_)) => {}
            Some(Value::Null) if of == Of::Delta => {
                function.remove("arguments");
            }
            Some(Value::Null) | None if of == Of::Message => {
                function.insert("arguments".to_owned(), json!("{}"));
            }
            Some(other) => *other = other.to_string().into(),
            None => {}
        }
    }
}

/// Values of which a part is looked at.
struct Values {
    values: Vec<Value>,
    /// True if their strings are raw text.
    are_raw: bool,
}

/// Reads a list. Its strings stay raw if one cannot be read, since an escaped character is cut in two
/// between this chunk and another.
fn read_values(json: &[u8]) -> Option<Values> {
    let (values, are_raw) = match serde_json::from_slice(json) {
        Ok(values) => (values, false),
        Err(_) => (serde_json::from_slice(&escape_strings(json)).ok()?, true),
    };
    Some(Values { values, are_raw })
}

/// Returns OpenAI's finish reason for a provider's; `None` if the response failed.
fn finish_word(said: &str, has_calls: bool, function_call: bool) -> Option<&'static str> {
    Some(match said {
        "error"
        | "insufficient_system_resource"
        | "network_error"
        | "abort"
        | "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS" => return None,
        "length" | "model_length" | "max_tokens" | "MAX_TOKENS" => "length",
        "content_filter" | "SAFETY" | "RECITATION" | "refusal" | "sensitive"
        | "PROHIBITED_CONTENT" | "BLOCKLIST" | "SPII" | "IMAGE_SAFETY" => "content_filter",
        "function_call" => "function_call",
        // The presence of calls decides: some providers send `stop` with calls, and some send
        // `tool_calls` without.
        _ if has_calls => "tool_calls",
        "tool_calls" if function_call => "tool_calls",
        _ => "stop",
    })
}

/// Adds the missing indexes to a list of choices that otherwise conforms.
fn with_index(all: &[Scanned], text: &[u8], list: Range<usize>) -> Vec<u8> {
    let mut out = Vec::with_capacity(list.len() + 16);
    let mut written = list.start;
    for choice in all.iter().filter(|c| c.index.is_none()) {
        out.extend_from_slice(text.part(written..=choice.start));
        out.extend_from_slice(b"\"index\":0,");
        written = choice.start + 1;
    }
    out.extend_from_slice(text.part(written..list.end));
    out
}

/// Scans a choice.
fn scan(s: &mut Scanner<'_>, text: &[u8], of: Of) -> Result<Scanned, JsonFault> {
    let mut it = Scanned::default();
    let bare = |name: &Range<usize>| bare_name(text.get(name.clone()).unwrap_or_default());
    let is_null = |value: &Range<usize>| text.get(value.clone()) == Some(b"null");
    s.object(|s, name| {
        let name = bare(name);
        let is_misnamed = of == Of::Delta && *name == *b"message";
        if (*name == *of.name().as_bytes() || is_misnamed) && s.peek() == Some(b'{') {
            it.has_message |= !is_misnamed;
            it.is_misnamed |= is_misnamed;
            it.deviates |= is_misnamed;
            return s.object(|s, name| {
                let name = bare(name);
                s.count(matches!(
                    &*name,
                    b"content"
                        | b"reasoning"
                        | b"reasoning_content"
                        | b"refusal"
                        | b"tool_calls"
                        | b"function_call"
                ));
                let value = s.value()?;
                s.count(false);
                let said = text.get(value.clone()).unwrap_or_default();
                let says = !matches!(said, b"null" | b"\"\"" | b"[]" | b"{}");
                match &*name {
                    b"content" => it.deviates |= !said.starts_with(b"\"") && said != b"null",
                    b"reasoning_content" => it.deviates = true,
                    b"tool_calls" if says => it.calls = Some(value),
                    b"tool_calls" => it.deviates |= said != b"null" || of == Of::Delta,
                    b"role" => {
                        it.has_role = said == b"\"assistant\"";
                        return Ok(());
                    }
                    b"function_call" => it.function_call |= says,
                    b"annotations" if says => it.annotations = Some(value),
                    b"reasoning" | b"reasoning_details" | b"refusal" | b"audio" | b"images" => {}
                    _ => return Ok(()),
                }
                it.gives |= says;
                Ok(())
            });
        }
        let value = s.value()?;
        it.has_form |= matches!(&*name, b"index" | b"finish_reason");
        if is_null(&value) {
            return Ok(());
        }
        match &*name {
            b"index" => it.index = Some(value),
            b"finish_reason" => it.finish = Some(value),
            b"error" => it.error = Some(value),
            b"usage" => {
                it.deviates = true;
                it.usage = Some(value);
            }
            // Other members pass unchanged; Together has a second `text` next to the delta.
            _ => {}
        }
        Ok(())
    })?;
    Ok(it)
}
