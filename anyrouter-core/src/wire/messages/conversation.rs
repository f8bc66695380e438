//! Translation of chat messages to Anthropic's: turns, parts, images and files, tool calls and
//! their results, and earlier reasoning.
//!
//! The results of a turn's calls come first in the single user turn after it. Blank text is left
//! out. System messages at the start of the conversation become the system prompt; later ones keep
//! their position, since moving them would invalidate the prompt cache.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    cache_control::push_cache_control,
    names::{ToolIds, tool_name},
    source::{Source, source},
};
use crate::{
    catalog::Dialect,
    part::Part as _,
    wire::{
        adjust::Adjustments,
        fault::{RequestFault, member_problem},
        json::{Object, RawJsonStr, objects, push_comma, push_member, push_raw, push_string},
        request::Request,
    },
};

/// Beta feature that allows system messages between other messages.
const SYSTEM_ANYWHERE: &str = "mid-conversation-system-2026-04-07";

/// The messages of a request.
pub(super) struct Conversation<'a>(Vec<Message<'a>>);

/// A message: its role, and its members as raw JSON.
struct Message<'a> {
    role: Cow<'a, str>,
    object: Object<'a>,
}

fn push_spelt(out: &mut Vec<u8>, string: RawJsonStr<'_>) {
    out.extend_from_slice(string.get().as_bytes());
}

/// Members of a message that are read.
const OF_A_MESSAGE: [&str; 7] = [
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "reasoning_details",
    "cache_control",
];
/// Members of a content part that are read.
const OF_A_PART: [&str; 6] = [
    "type",
    "text",
    "refusal",
    "image_url",
    "file",
    "cache_control",
];

/// Lists the members that are not empty and not in `read` as omitted.
fn name_unread(object: &Object<'_>, read: &[&str], at: &str, adjusted: &mut Adjustments) {
    for (name, (_, value)) in object.members() {
        if !read.contains(&&*name) && !matches!(value, b"null" | b"[]" | b"{}" | b"\"\"" | b"false")
        {
            adjusted.omit(format!("{at}.{name}"));
        }
    }
}

/// Members of a message that are read if its `reasoning_details` go back to the provider.
const WITH_THOUGHTS: [&str; 9] = [
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "reasoning_details",
    "cache_control",
    "reasoning",
    "reasoning_content",
];

/// Maximum nesting depth; the request was already scanned within a configured limit.
const DEPTH: usize = 512;

const ROLES: &str = "system, developer, user, assistant or tool";

impl<'a> Conversation<'a> {
    /// Reads the messages of a request.
    pub(super) fn read(request: &'a Request) -> Result<Self, RequestFault> {
        let text = request
            .raw("messages")
            .ok_or_else(|| RequestFault::missing("messages"))?;
        let wrong =
            |at: &str, what: &str| RequestFault::member(at, format!("`{at}` must be {what}"));
        let objects = objects(text, DEPTH).map_err(|_| {
            wrong(
                "messages",
                "a list of messages, each an object with a `role`",
            )
        })?;
        let read = |(i, object): (usize, Object<'a>)| -> Result<Message<'a>, RequestFault> {
            let at = || format!("messages[{i}]");
            if let Some(name) = object.twice(&OF_A_MESSAGE) {
                let at = at();
                return Err(RequestFault::member(
                    &at,
                    format!("`{name}` occurs twice in `{at}`; send it once"),
                ));
            }
            let role = object
                .read("role")
                .ok()
                .flatten()
                .ok_or_else(|| wrong(&format!("{}.role", at()), ROLES))?;
            Ok(Message { role, object })
        };
        objects
            .into_iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns the reason why thinking cannot be enabled, if there is one. Anthropic refuses
    /// thinking if an assistant turn of the current tool loop has calls but no signed reasoning, or
    /// if the model must continue an assistant message without reasoning.
    pub(super) fn forbids_thinking(&self) -> Option<&'static str> {
        let loop_begins = self
            .0
            .iter()
            .rposition(|m| m.role == "user")
            .map_or(0, |at| at + 1);
        let mut turns = self
            .0
            .iter()
            .enumerate()
            .skip(loop_begins)
            .filter(|(_, m)| m.role == "assistant" && !m.has_thoughts());
        let has_calls = |m: &Message<'_>| m.object.get("tool_calls").is_some_and(|c| c != b"[]");
        turns.find_map(|(i, m)| match has_calls(m) {
            true => Some("an earlier turn of this tool loop lacks its `reasoning_details`"),
            false if i + 1 == self.0.len() => {
                Some("the model does not think before it continues an assistant message")
            }
            false => None,
        })
    }

    /// Returns the number of system messages at the start of the conversation.
    fn leading(&self) -> usize {
        self.0.iter().take_while(|m| m.is_system()).count()
    }
}

impl<'a> Message<'a> {
    fn is_system(&self) -> bool {
        matches!(&*self.role, "system" | "developer")
    }

    /// Reads a member that is a list; `at` is the path of the message.
    fn list<T: Deserialize<'a>>(&self, name: &str, at: &str) -> Result<Vec<T>, RequestFault> {
        let list = self.object.read(name).map_err(|e| {
            RequestFault::member(
                format!("{at}.{name}"),
                member_problem(
                    &format!("{at}.{name}"),
                    "a list as OpenAI's API describes it",
                    &e,
                ),
            )
        });
        Ok(list?.unwrap_or_default())
    }

    /// Returns true if the message has content other than blank text.
    fn says_something(&self) -> bool {
        let has = |name: &str| {
            self.object
                .get(name)
                .is_some_and(|v| v != b"[]" && !is_blank(v))
        };
        has("content") || has("tool_calls") || has("refusal")
    }

    fn has_thoughts(&self) -> bool {
        let details: Vec<ReasoningDetail<'_>> = self
            .object
            .read("reasoning_details")
            .ok()
            .flatten()
            .unwrap_or_default();
        details
            .iter()
            .any(|d| d.is_ours() && [d.signature, d.data].iter().flatten().any(is_proof))
    }
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    function: Option<CalledFunction<'a>>,
    #[serde(borrow, default)]
    custom: Option<CalledCustom<'a>>,
}

/// A call of a custom tool, whose input is text.
#[derive(Deserialize)]
struct CalledCustom<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    input: Option<RawJsonStr<'a>>,
}

#[derive(Deserialize)]
struct CalledFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ReasoningDetail<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    signature: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    data: Option<RawJsonStr<'a>>,
    #[serde(borrow, default)]
    format: Option<Cow<'a, str>>,
    #[serde(default)]
    index: Option<u64>,
}

impl ReasoningDetail<'_> {
    /// Returns true if Anthropic made the entry; another provider's signature is not valid there.
    fn is_ours(&self) -> bool {
        self.format
            .as_deref()
            .is_none_or(|f| f.starts_with("anthropic"))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ImageUrl<'a> {
    Object {
        #[serde(borrow)]
        url: Cow<'a, str>,
    },
    Bare(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    file_data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    filename: Option<Cow<'a, str>>,
}

/// Appends the system prompt: the system messages at the start of the conversation, and
/// `instruction`.
pub(super) fn push_system(
    out: &mut Vec<u8>,
    conversation: &Conversation<'_>,
    instruction: Option<&str>,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let start = out.len();
    push_member(out, b"\"system\"");
    out.push(b'[');
    let empty = out.len();
    for (i, message) in conversation
        .0
        .iter()
        .enumerate()
        .take(conversation.leading())
    {
        name_unread(
            &message.object,
            &OF_A_MESSAGE,
            &format!("messages[{i}]"),
            adjusted,
        );
        push_message_content(
            out,
            message,
            &format!("messages[{i}].content"),
            Takes::Text,
            adjusted,
        )?;
    }
    if let Some(instruction) = instruction {
        push_comma(out);
        out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
        push_string(out, instruction);
        out.push(b'}');
    }
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.push(b']');
    }
    Ok(())
}

/// A turn: consecutive messages of one role, with tool results first.
struct Turn {
    role: &'static str,
    results: Vec<u8>,
    blocks: Vec<u8>,
    /// Indexes of its messages.
    messages: Vec<usize>,
    has_calls: bool,
}

impl Turn {
    fn is_empty(&self) -> bool {
        self.results.len() <= 1 && self.blocks.len() <= 1
    }

    fn push(&self, out: &mut Vec<u8>) {
        push_comma(out);
        out.extend_from_slice(b"{\"role\":\"");
        out.extend_from_slice(self.role.as_bytes());
        out.extend_from_slice(b"\",\"content\":");
        out.extend_from_slice(&self.results);
        let blocks = self.blocks.part(1..);
        if self.results.len() > 1 && !blocks.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(blocks);
        out.extend_from_slice(b"]}");
    }
}

/// Appends the turns, in which user and assistant alternate.
pub(super) fn push_messages(
    out: &mut Vec<u8>,
    conversation: &Conversation<'_>,
    dialect: &Dialect,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let messages = &conversation.0;
    let mut turns: Vec<Turn> = Vec::new();
    let mut ids = ToolIds::default();
    for (i, message) in messages.iter().enumerate().skip(conversation.leading()) {
        let at = format!("messages[{i}]");
        let role = match &*message.role {
            "assistant" => "assistant",
            "system" | "developer"
                if dialect.system_anywhere == Some(true) && may_stand(messages, i, &turns) =>
            {
                "system"
            }
            "user" | "tool" | "system" | "developer" => "user",
            _ => {
                return Err(RequestFault::member(
                    format!("{at}.role"),
                    format!("`{at}.role` must be {ROLES}"),
                ));
            }
        };
        if turns.last().is_none_or(|t| t.role != role) {
            turns.push(Turn {
                role,
                results: vec![b'['],
                blocks: vec![b'['],
                messages: Vec::new(),
                has_calls: false,
            });
            if role == "assistant" {
                ids.turn();
            }
        }
        let Some(turn) = turns.last_mut() else {
            continue;
        };
        turn.messages.push(i);
        name_unread(
            &message.object,
            if message.has_thoughts() {
                &WITH_THOUGHTS
            } else {
                &OF_A_MESSAGE
            },
            &at,
            adjusted,
        );
        let is_last = i + 1 == messages.len();
        match &*message.role {
            "tool" => push_tool_result(&mut turn.results, message, &at, &mut ids, adjusted)?,
            "assistant" => {
                turn.has_calls |=
                    push_assistant(&mut turn.blocks, message, &at, is_last, &mut ids, adjusted)?;
            }
            "user" => push_message_content(
                &mut turn.blocks,
                message,
                &format!("{at}.content"),
                Takes::Files,
                adjusted,
            )?,
            _ if role == "system" => {
                adjusted.betas.push(SYSTEM_ANYWHERE);
                push_message_content(
                    &mut turn.blocks,
                    message,
                    &format!("{at}.content"),
                    Takes::Text,
                    adjusted,
                )?;
            }
            _ => push_marked(
                &mut turn.blocks,
                message,
                &format!("{at}.content"),
                adjusted,
            )?,
        }
        // An empty turn is removed, so that its neighbours can merge.
        if turn.is_empty() {
            turns.pop();
        }
    }
    adjusted.betas.dedup();
    if dialect.prefill == Some(false)
        && let Some(last) = turns.pop_if(|t| t.role == "assistant" && !t.has_calls)
    {
        for i in last.messages {
            adjusted.omit(format!("messages[{i}]"));
        }
        adjusted.note("the model cannot continue an assistant message; the last one was left out");
    }
    if turns.is_empty() {
        return Err(RequestFault::member(
            "messages",
            "`messages` has no message with content; send at least one",
        ));
    }
    push_member(out, b"\"messages\"");
    out.push(b'[');
    for turn in &turns {
        turn.push(out);
    }
    out.push(b']');
    Ok(())
}

/// Returns true if a system message is allowed at its position: after a user or system turn, and
/// either last or before an assistant message.
fn may_stand(messages: &[Message<'_>], i: usize, turns: &[Turn]) -> bool {
    let next = messages
        .iter()
        .skip(i + 1)
        .find(|m| !m.is_system() && m.says_something());
    turns
        .last()
        .is_some_and(|t| matches!(t.role, "user" | "system"))
        && next.is_none_or(|m| m.role == "assistant")
}

fn push_tool_result(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    at: &str,
    ids: &mut ToolIds,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let id: Option<Cow<'_, str>> = message.object.read("tool_call_id").map_err(|_| {
        RequestFault::member(
            format!("{at}.tool_call_id"),
            format!("`{at}.tool_call_id` must be a string"),
        )
    })?;
    let id = id.ok_or_else(|| RequestFault::missing(&format!("{at}.tool_call_id")))?;
    push_comma(out);
    out.extend_from_slice(b"{\"type\":\"tool_result\",\"tool_use_id\":");
    push_string(out, &ids.result(&id));
    if let Some(content) = message.object.get("content") {
        let start = out.len();
        push_member(out, b"\"content\"");
        let list = out.len();
        if content.starts_with(b"[") {
            out.push(b'[');
            push_content(
                out,
                Some(content),
                None,
                &format!("{at}.content"),
                Takes::Files,
                adjusted,
            )?;
            out.push(b']');
        } else if content.starts_with(b"\"") {
            out.extend_from_slice(content);
        } else {
            return Err(RequestFault::member(
                format!("{at}.content"),
                format!("`{at}.content` must be a string or a list of parts"),
            ));
        }
        if out.get(list..) == Some(b"[]") || is_blank(content) {
            out.truncate(start);
        }
    }
    push_cache_control(out, message.object.get("cache_control"), adjusted);
    out.push(b'}');
    Ok(())
}

/// Appends an assistant message. Returns true if it has tool calls.
fn push_assistant(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    at: &str,
    is_last: bool,
    ids: &mut ToolIds,
    adjusted: &mut Adjustments,
) -> Result<bool, RequestFault> {
    push_thoughts(out, &message.list("reasoning_details", at)?);
    let said = message
        .object
        .get("content")
        .or(message.object.get("refusal"));
    let calls = message.list::<ToolCall<'_>>("tool_calls", at)?;
    let takes = if is_last && calls.is_empty() {
        Takes::TextToGoOnWith
    } else {
        Takes::Text
    };
    push_content(
        out,
        said,
        message.object.get("cache_control"),
        &format!("{at}.content"),
        takes,
        adjusted,
    )?;
    for (j, call) in calls.iter().enumerate() {
        let (name, input) = match (&call.function, &call.custom) {
            (Some(function), _) => (&function.name, None),
            (None, Some(custom)) => (&custom.name, custom.input),
            (None, None) => {
                let at = format!("{at}.tool_calls");
                return Err(RequestFault::member(
                    &at,
                    format!("`{at}[{j}]` must have a `function` or a `custom`"),
                ));
            }
        };
        push_comma(out);
        out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
        push_string(out, &ids.call(&call.id));
        push_member(out, b"\"name\"");
        push_string(out, &tool_name(name, adjusted));
        push_member(out, b"\"input\"");
        if let Some(input) = input {
            out.extend_from_slice(b"{\"input\":");
            push_spelt(out, input);
            out.extend_from_slice(b"}}");
            continue;
        }
        let arguments = call
            .function
            .as_ref()
            .and_then(|f| f.arguments.as_deref())
            .map(str::trim)
            .filter(|a| !a.is_empty())
            .unwrap_or("{}");
        match serde_json::from_str::<&RawValue>(arguments) {
            Ok(object) if object.get().starts_with('{') => push_raw(out, object),
            _ => {
                adjusted.omit(format!("{at}.tool_calls[{j}].function.arguments"));
                out.extend_from_slice(b"{}");
            }
        }
        out.push(b'}');
    }
    Ok(!calls.is_empty())
}

/// Returns a JSON string without its trailing white space; `None` if it has none.
fn trimmed_end(quoted: &[u8], adjusted: &mut Adjustments) -> Option<Vec<u8>> {
    let text: Cow<'_, str> = serde_json::from_slice(quoted).ok()?;
    let trimmed = text.trim_end();
    (trimmed.len() < text.len()).then(|| {
        adjusted.note("trailing white space of the message that the model continues was left out");
        let mut out = Vec::new();
        push_string(&mut out, trimmed);
        out
    })
}

/// Returns true if a JSON string is blank. Anthropic refuses blank text.
fn is_blank(quoted: &[u8]) -> bool {
    let may_be = quoted
        .get(1)
        .is_some_and(|b| matches!(b, b' ' | b'\\' | b'"') || !b.is_ascii());
    may_be
        && serde_json::from_slice::<Cow<'_, str>>(quoted).is_ok_and(|text| text.trim().is_empty())
}

/// Returns true unless another provider's proof was removed.
fn is_proof(proof: &RawJsonStr<'_>) -> bool {
    proof.get() != "\"\""
}

/// Appends signed reasoning as thinking blocks; the API refuses reasoning without its signature.
/// The pieces of a streamed block have the same index.
fn push_thoughts(out: &mut Vec<u8>, details: &[ReasoningDetail<'_>]) {
    for pieces in
        details.chunk_by(|a, b| a.kind == b.kind && a.index.is_some() && a.index == b.index)
    {
        let Some(first) = pieces.first().filter(|p| p.is_ours()) else {
            continue;
        };
        let signature = pieces.iter().find_map(|p| p.signature).filter(is_proof);
        match (&*first.kind, signature, first.data.filter(is_proof)) {
            ("reasoning.text", Some(signature), _) => {
                push_comma(out);
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"");
                for text in pieces.iter().filter_map(|p| p.text) {
                    let inner = text
                        .get()
                        .strip_prefix('"')
                        .and_then(|t| t.strip_suffix('"'));
                    out.extend_from_slice(inner.unwrap_or_default().as_bytes());
                }
                out.push(b'"');
                push_member(out, b"\"signature\"");
                push_spelt(out, signature);
                out.push(b'}');
            }
            ("reasoning.encrypted", _, Some(data)) => {
                push_comma(out);
                out.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
                push_spelt(out, data);
                out.push(b'}');
            }
            _ => {}
        }
    }
}

/// The content that a message may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Text, images and files.
    Files,
    /// Only text.
    Text,
    /// Text that the model continues; it must not end with white space.
    TextToGoOnWith,
}

fn push_message_content(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    at: &str,
    takes: Takes,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    push_content(
        out,
        message.object.get("content"),
        message.object.get("cache_control"),
        at,
        takes,
        adjusted,
    )
}

/// Appends a system message at its position, as text of the user between `<system>` tags.
fn push_marked(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    at: &str,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let mut blocks = vec![b'['];
    push_message_content(&mut blocks, message, at, Takes::Text, adjusted)?;
    let inner = blocks.part(1..);
    if inner.is_empty() {
        return Ok(());
    }
    adjusted.note(format!(
        "a system message between others was sent in `<system>` tags in the user's turn: {at}"
    ));
    let mark = |out: &mut Vec<u8>, text: &str| {
        push_comma(out);
        out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
        push_string(out, text);
        out.push(b'}');
    };
    mark(out, "<system>");
    push_comma(out);
    out.extend_from_slice(inner);
    mark(out, "</system>");
    Ok(())
}

/// Appends content blocks for a string or a list of parts.
fn push_content(
    out: &mut Vec<u8>,
    content: Option<&[u8]>,
    cache_control: Option<&[u8]>,
    at: &str,
    takes: Takes,
    adjusted: &mut Adjustments,
) -> Result<(), RequestFault> {
    let Some(content) = content else {
        return Ok(());
    };
    if content.starts_with(b"\"") {
        if !is_blank(content) {
            let trimmed = Some(content)
                .filter(|_| takes == Takes::TextToGoOnWith)
                .and_then(|c| trimmed_end(c, adjusted));
            push_comma(out);
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            out.extend_from_slice(trimmed.as_deref().unwrap_or(content));
            push_cache_control(out, cache_control, adjusted);
            out.push(b'}');
        }
        return Ok(());
    }
    let wrong = || {
        RequestFault::member(
            at,
            format!("`{at}` must be a string or a list of parts, each with a `type`"),
        )
    };
    let parts = objects(content, DEPTH).map_err(|_| wrong())?;
    // Trailing white space matters only in the last part that is not blank.
    let text_of = |part: &Object<'_>| {
        part.get("text")
            .or(part.get("refusal"))
            .is_some_and(|t| !is_blank(t))
    };
    let last = parts
        .iter()
        .rposition(text_of)
        .filter(|_| takes == Takes::TextToGoOnWith);
    for (i, part) in parts.iter().enumerate() {
        let kind: Cow<'_, str> = part.read("type").ok().flatten().ok_or_else(wrong)?;
        if let Some(name) = part.twice(&OF_A_PART) {
            return Err(RequestFault::member(
                at,
                format!("`{name}` occurs twice in `{at}[{i}]`; send it once"),
            ));
        }
        let is_file = matches!(&*kind, "image_url" | "file");
        if is_file && takes != Takes::Files
            || !push_part(out, &kind, part, last == Some(i), adjusted).map_err(|_| wrong())?
        {
            adjusted.omit(format!("{at}[{i}]"));
            continue;
        }
        name_unread(part, &OF_A_PART, &format!("{at}[{i}]"), adjusted);
        if part.get("image_url").is_some_and(|i| {
            memchr::memmem::find(i, b"\"detail\"").is_some()
                && memchr::memmem::find(i, b"\"auto\"").is_none()
        }) {
            adjusted.omit(format!("{at}[{i}].image_url.detail"));
        }
    }
    Ok(())
}

/// Appends one part. Returns false if it cannot be translated. Text that the model continues loses
/// its trailing white space.
fn push_part(
    out: &mut Vec<u8>,
    kind: &str,
    part: &Object<'_>,
    is_gone_on_with: bool,
    adjusted: &mut Adjustments,
) -> serde_json::Result<bool> {
    let block = match kind {
        "text" | "refusal" | "input_text" | "output_text" => {
            let text: Option<RawJsonStr<'_>> = part.read("text")?;
            let Some(text) = text.map_or_else(|| part.read("refusal"), |text| Ok(Some(text)))?
            else {
                return Ok(false);
            };
            if is_blank(text.get().as_bytes()) {
                return Ok(true);
            }
            let trimmed = is_gone_on_with
                .then(|| trimmed_end(text.get().as_bytes(), adjusted))
                .flatten();
            push_comma(out);
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            out.extend_from_slice(trimmed.as_deref().unwrap_or(text.get().as_bytes()));
            None
        }
        "image_url" => {
            let Some(ImageUrl::Object { url } | ImageUrl::Bare(url)) = part.read("image_url")?
            else {
                return Ok(false);
            };
            let Some(source) = source(&url, None, true) else {
                return Ok(false);
            };
            Some((source, None))
        }
        "file" => {
            let Some(File {
                file_data: Some(data),
                filename,
            }) = part.read("file")?
            else {
                return Ok(false);
            };
            let Some(source) = source(&data, filename.as_deref(), false) else {
                return Ok(false);
            };
            Some((source, filename))
        }
        _ => return Ok(false),
    };
    if let Some((source, title)) = block {
        push_comma(out);
        let (start, source, title) = match source {
            Source::Image(source) => (&b"{\"type\":\"image\",\"source\":"[..], source, None),
            Source::Document(source) => (&b"{\"type\":\"document\",\"source\":"[..], source, title),
        };
        out.extend_from_slice(start);
        out.extend_from_slice(&source);
        if let Some(title) = title {
            push_member(out, b"\"title\"");
            push_string(out, &title);
        }
    }
    push_cache_control(out, part.get("cache_control"), adjusted);
    out.push(b'}');
    Ok(true)
}
