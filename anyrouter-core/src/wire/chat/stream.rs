//! Relaying of a stream from an OpenAI-chat upstream: each event keeps its bytes, except for the
//! gateway's values and choices that deviate from OpenAI's shape.

use std::{borrow::Cow, ops::Range};

use serde_json::{Map, Value};

use super::{
    shape::{Choices, DEPTH, Of},
    usage::{Usage, push_usage, tokens_of},
    write::{no_choices, push_chunk_start},
};
use crate::{
    part::Part as _,
    usage::Tokens,
    wire::{
        fault::AnswerFault,
        json::{JsonFault, Scanner, bare_name, members, push_number, push_string, utf8},
        meta::ResponseMeta,
        meter::{Meter, PlainAnswer, Progress},
        provider_error::{is_error, token_of},
        sse::{Event, Splitter},
    },
};

/// A relay of a stream within the protocol.
#[derive(Debug)]
pub struct StreamRelay {
    splitter: Splitter,
    rewriter: Rewriter,
}

#[derive(Debug)]
struct Rewriter {
    names: Box<ResponseMeta>,
    meter: Meter,
    choices: Choices,
    /// Values that replace the upstream's, as JSON.
    id: Vec<u8>,
    model: Vec<u8>,
    provider: Vec<u8>,
    head: Option<Head>,
    /// True if the client has received content; from then on, comments are relayed.
    committed: bool,
    /// The upstream's usage object, which is sent only in the last chunk.
    usage: Option<Vec<u8>>,
    /// Other members of the upstream's usage chunk, each after a comma.
    last_members: Vec<u8>,
}

impl StreamRelay {
    /// Creates a relay that writes these names. Events of more than `limit` bytes are faults.
    pub fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        let json = |text: &str| {
            let mut out = Vec::with_capacity(text.len() + 2);
            push_string(&mut out, text);
            out
        };
        let (id, model, provider) = (
            json(&names.id.generation()),
            json(names.model.as_str()),
            json(&names.provider),
        );
        let rewriter = Rewriter {
            names,
            meter: Meter::default(),
            choices: Choices::default(),
            id,
            model,
            provider,
            head: None,
            committed: false,
            usage: None,
            last_members: Vec::new(),
        };
        Self {
            splitter: Splitter::new(limit),
            rewriter,
        }
    }

    /// Takes bytes from the upstream and appends the client's bytes to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, AnswerFault> {
        let mut progress = Progress::default();
        let mut fault = None;
        let rewriter = &mut self.rewriter;
        let fed = self.splitter.feed(bytes, |event| {
            match rewriter.event(&event, out) {
                Ok(Step::Answered) => progress.answered = true,
                Ok(Step::Nothing) => {}
                Ok(Step::Done) => progress.done = true,
                Err(e) => fault = Some(e),
            }
            fault.is_none() && !progress.done
        });
        match (fault, fed) {
            (Some(fault), _) => Err(fault),
            (None, Err(e)) if !progress.done => Err(AnswerFault::TooLong { limit: e.limit }),
            (None, _) => Ok(progress),
        }
    }

    /// Creates a relay that has relayed a whole answer as a stream, for a client that requested a
    /// stream. Everything but its end is appended to `out`.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        answer: &PlainAnswer,
        out: &mut Vec<u8>,
    ) -> Result<Self, AnswerFault> {
        let mut chunk: Map<String, Value> =
            serde_json::from_slice(&answer.body).map_err(|_| wrong())?;
        chunk.remove("anyrouter_metadata");
        // An estimate is removed here; `push_end` adds it again, marked as an estimate.
        if answer.meter.tokens.is_none() {
            chunk.remove("usage");
        }
        let event = format!("data: {}\n\n", Value::Object(chunk));
        let mut relay = Self::new(names, event.len());
        relay.feed(event.as_bytes(), out)?;
        let meter = &mut relay.rewriter.meter;
        meter
            .native_finish_reason
            .clone_from(&answer.meter.native_finish_reason);
        meter.upstream_id.clone_from(&answer.meter.upstream_id);
        Ok(relay)
    }

    /// Sets the meter, for an answer that was read whole.
    pub(super) fn set_meter(&mut self, meter: Meter) {
        self.rewriter.meter = meter;
    }

    /// Returns the meter of the answer so far.
    pub fn meter(&self) -> &Meter {
        &self.rewriter.meter
    }

    /// Returns the names that it writes.
    pub fn names(&self) -> &ResponseMeta {
        &self.rewriter.names
    }

    pub(super) fn names_mut(&mut self) -> &mut ResponseMeta {
        &mut self.rewriter.names
    }

    /// Returns true if the client has received content.
    pub fn has_given(&self) -> bool {
        self.rewriter.committed
    }

    /// Returns true if every choice has its finish reason.
    pub fn is_finished(&self) -> bool {
        self.rewriter.choices.are_finished()
    }

    /// Appends the end of the stream: the last chunk, with the upstream's usage and our metadata,
    /// and `[DONE]`.
    pub(in crate::wire) fn push_end(&self, out: &mut Vec<u8>) {
        let Rewriter {
            names,
            meter,
            choices,
            usage,
            last_members,
            ..
        } = &self.rewriter;
        push_chunk_start(names, out);
        out.extend_from_slice(no_choices(names));
        out.extend_from_slice(last_members);
        out.extend_from_slice(b",\"usage\":");
        push_usage(
            out,
            names,
            meter,
            usage.as_deref().and_then(Usage::read).as_ref(),
        );
        out.extend_from_slice(b",\"anyrouter_metadata\":");
        names.push_stream_metadata(out, meter, &choices.omitted);
        out.extend_from_slice(b"}\n\ndata: [DONE]\n\n");
    }
}

enum Step {
    /// The client receives content.
    Answered,
    Nothing,
    Done,
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an OpenAI chat completion chunk")
}

impl Rewriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Step, AnswerFault> {
        let data = event.data.as_deref().unwrap_or_default();
        if data.trim_ascii() == b"[DONE]" {
            return if self.choices.are_finished() || self.choices.know_no_finish() {
                Ok(Step::Done)
            } else {
                Err(AnswerFault::Truncated)
            };
        }
        if event.name == Some(b"error") {
            return Err(AnswerFault::Error(self.names.origin().read_data(data)));
        }
        // Comments are relayed if they are valid. Other events without data are dropped, since
        // clients would parse them as JSON.
        if data.trim_ascii().is_empty() {
            if self.committed && is_comment(event.raw) && utf8(event.raw).is_some() {
                out.extend_from_slice(event.raw);
            }
            return Ok(Step::Nothing);
        }
        if utf8(data).is_none() {
            return Err(wrong());
        }
        if matches!(data.trim_ascii(), b"null" | b"[]" | b"{}") {
            return Ok(Step::Nothing);
        }
        // The event becomes one `data` line; its other fields are dropped, since some clients fail
        // on an `id`.
        let start = out.len();
        out.extend_from_slice(b"data: ");
        let passed = if memchr::memchr(b'\n', data).is_none() {
            self.chunk(data, out)
        } else {
            // A line end within JSON is white space, and becomes a space.
            let one_line: Vec<u8> = data
                .iter()
                .map(|b| if *b == b'\n' { b' ' } else { *b })
                .collect();
            self.chunk(&one_line, out)
        };
        out.extend_from_slice(b"\n\n");
        match passed {
            Ok(Passed::Gives) => {
                self.committed = true;
                Ok(Step::Answered)
            }
            Ok(Passed::SaysNothing) => Ok(Step::Nothing),
            Ok(Passed::IsNotForTheClient) => {
                out.truncate(start);
                Ok(Step::Nothing)
            }
            Err(fault) => {
                out.truncate(start);
                Err(fault)
            }
        }
    }

    /// Appends a chunk with the gateway's values. The caller must discard the appended bytes if the
    /// chunk is not for the client or is a fault.
    fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<Passed, AnswerFault> {
        let start = out.len();
        let mut scanner = Scanner::new(data, DEPTH);
        let head = self.head.take().filter(|h| data.starts_with(&h.theirs));
        let mut chunk = Chunk {
            rewriter: self,
            data,
            out,
            start,
            written: 0,
            present: Present::default(),
            is_plain: true,
            seen: Seen::default(),
        };
        let scanned = match head {
            Some(head) => {
                chunk.out.extend_from_slice(&head.ours);
                chunk.written = head.theirs.len();
                chunk.present = head.present;
                let scanned = scanner
                    .enter(head.theirs.len(), |s| chunk.choices(s))
                    .and_then(|()| scanner.rest_of_object(|s, name| chunk.member(s, name)));
                chunk.rewriter.head = Some(head);
                scanned
            }
            None => scanner.object(|s, name| chunk.member(s, name)),
        };
        let Chunk {
            written,
            present,
            seen,
            ..
        } = chunk;
        let end = scanner.position();
        if scanned.and_then(|()| scanner.end()).is_err() {
            return Err(wrong());
        }
        if seen.is_error {
            return Err(AnswerFault::Error(self.names.origin().read_data(data)));
        }
        if let Some(fault) = seen.fault {
            return Err(fault);
        }
        if seen.bad_choices {
            return Err(wrong());
        }
        if seen.choices == 0 {
            // A usage chunk, a first chunk without choices, or another object.
            let value = || serde_json::from_slice(data).ok().filter(is_error);
            if !seen.usage && !seen.has_choices && value().is_some() {
                return Err(AnswerFault::Error(self.names.origin().read_data(data)));
            }
            if seen.usage || seen.has_choices {
                self.keep_members(data);
            }
            return Ok(Passed::IsNotForTheClient);
        }
        let close = data
            .get(..end)
            .and_then(|d| d.iter().rposition(|b| *b == b'}'))
            .unwrap_or(written);
        out.extend_from_slice(data.part(written..close));
        for (is_there, name, value) in [
            (present.id, &b",\"id\":"[..], &self.id),
            (present.model, b",\"model\":", &self.model),
            (present.provider, b",\"provider\":", &self.provider),
        ] {
            if !is_there {
                out.extend_from_slice(name);
                out.extend_from_slice(value);
            }
        }
        if !present.object {
            out.extend_from_slice(b",\"object\":\"chat.completion.chunk\"");
        }
        if !present.created {
            out.extend_from_slice(b",\"created\":");
            push_number(out, self.names.created);
        }
        out.extend_from_slice(data.part(close..));
        Ok(if seen.gives {
            Passed::Gives
        } else {
            Passed::SaysNothing
        })
    }

    /// Keeps the other members of a chunk without choices, to send them with the last chunk.
    fn keep_members(&mut self, data: &[u8]) {
        const OURS: [&str; 9] = [
            "id",
            "object",
            "created",
            "model",
            "provider",
            "choices",
            "usage",
            "anyrouter_metadata",
            "prompt_filter_results",
        ];
        self.last_members.clear();
        for member in members(data, DEPTH).unwrap_or_default() {
            let name = member.decoded_name(data).unwrap_or_default();
            if !OURS.contains(&name.as_str()) && self.last_members.len() < KEPT {
                self.last_members.push(b',');
                self.last_members
                    .extend_from_slice(data.part(member.name.start..member.value.end));
            }
        }
    }
}

/// Length of the kept members after which no further member is kept, in bytes.
const KEPT: usize = 16 << 10;

/// The significance of a chunk to the client.
enum Passed {
    /// It has content, a call, reasoning, or a finish reason.
    Gives,
    /// It begins a choice, or is empty.
    SaysNothing,
    /// It is a usage chunk, which is merged into the last chunk, or not a chunk, such as a `ping`.
    IsNotForTheClient,
}

/// The start of a chunk, up to the value of `choices`. It is cached, since nearly all chunks of a
/// stream have the same one.
#[derive(Debug)]
struct Head {
    theirs: Vec<u8>,
    ours: Vec<u8>,
    present: Present,
}

/// The gateway's members that the upstream's chunk already has.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    id: bool,
    object: bool,
    created: bool,
    model: bool,
    provider: bool,
}

/// Returns true if an event consists only of comment lines.
fn is_comment(raw: &[u8]) -> bool {
    let mut lines = raw
        .split(|b| matches!(b, b'\n' | b'\r'))
        .filter(|line| !line.is_empty())
        .peekable();
    lines.peek().is_some() && lines.all(|line| line.starts_with(b":"))
}

/// A chunk that is being copied from `data` to `out`.
struct Chunk<'a> {
    rewriter: &'a mut Rewriter,
    data: &'a [u8],
    out: &'a mut Vec<u8>,
    /// Position of the chunk in `out`.
    start: usize,
    /// Number of bytes of `data` that were copied or replaced.
    written: usize,
    present: Present,
    /// True if all members so far are the same in every chunk, so that they can be cached.
    is_plain: bool,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    /// Number of choices.
    choices: usize,
    /// True if there is a list of choices, even empty or null.
    has_choices: bool,
    bad_choices: bool,
    usage: bool,
    gives: bool,
    is_error: bool,
    fault: Option<AnswerFault>,
}

impl Chunk<'_> {
    fn member(&mut self, s: &mut Scanner<'_>, name: &Range<usize>) -> Result<(), JsonFault> {
        let name = bare_name(self.data.get(name.clone()).unwrap_or_default());
        if &*name == b"choices" {
            if self.is_plain && self.rewriter.head.is_none() {
                self.copy_up_to(s.position());
                let (theirs, ours) = (self.data.get(..s.position()), self.out.get(self.start..));
                let (theirs, ours) = (
                    theirs.unwrap_or_default().to_vec(),
                    ours.unwrap_or_default().to_vec(),
                );
                self.rewriter.head = Some(Head {
                    theirs,
                    ours,
                    present: self.present,
                });
            }
            return self.choices(s);
        }
        let value = s.value()?;
        let text = self.data.get(value.clone()).unwrap_or_default();
        match &*name {
            b"id" => {
                let meter = &mut self.rewriter.meter;
                if meter.upstream_id.is_none() {
                    meter.upstream_id = serde_json::from_slice::<Cow<'_, str>>(text)
                        .ok()
                        .and_then(|id| token_of(&id));
                }
                self.present.id = true;
                self.copy_up_to(value.start);
                self.out.extend_from_slice(&self.rewriter.id);
                self.written = value.end;
            }
            b"object" => {
                self.present.object = true;
                if text == b"\"error\"" {
                    self.is_plain = false;
                    self.seen.is_error = true;
                } else if text != b"\"chat.completion.chunk\"" {
                    self.copy_up_to(value.start);
                    self.out.extend_from_slice(b"\"chat.completion.chunk\"");
                    self.written = value.end;
                }
            }
            b"created" => {
                self.present.created = true;
                if !text.iter().all(u8::is_ascii_digit) {
                    self.copy_up_to(value.start);
                    push_number(self.out, self.rewriter.names.created);
                    self.written = value.end;
                }
            }
            b"model" => {
                self.present.model = true;
                self.copy_up_to(value.start);
                self.out.extend_from_slice(&self.rewriter.model);
                self.written = value.end;
            }
            b"provider" => {
                self.present.provider = true;
                self.copy_up_to(value.start);
                self.out.extend_from_slice(&self.rewriter.provider);
                self.written = value.end;
            }
            // Usage is sent once, in the last chunk, since clients add up every usage.
            b"usage" if text != b"null" => {
                self.is_plain = false;
                self.seen.usage = true;
                self.usage(text);
                self.copy_up_to(value.start);
                self.out.extend_from_slice(b"null");
                self.written = value.end;
            }
            b"x_groq" => {
                self.is_plain = false;
                let usage = members(text, DEPTH)
                    .ok()
                    .and_then(|m| m.into_iter().find(|m| m.is(text, "usage")));
                if let Some(usage) = usage.filter(|_| !self.seen.usage) {
                    self.usage(usage.value(text));
                }
            }
            b"anyrouter_metadata" => {
                self.is_plain = false;
                self.copy_up_to(value.start);
                self.out.extend_from_slice(b"null");
                self.written = value.end;
            }
            b"error" if !matches!(text, b"null" | b"false" | b"{}" | b"\"\"") => {
                self.is_plain = false;
                self.seen.is_error = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps a usage object; the last readable one wins.
    fn usage(&mut self, text: &[u8]) {
        // Some upstreams end with an object of zeros.
        let has_counted = self.rewriter.meter.tokens.is_some();
        let counts = |tokens: &Tokens| !has_counted || tokens.total() > 0;
        if let Some(tokens) = Usage::read(text).and_then(|u| tokens_of(&u)).filter(counts) {
            self.rewriter.meter.tokens = Some(tokens);
            self.rewriter.usage = Some(text.to_vec());
        }
    }

    /// Reads the value of `choices`.
    fn choices(&mut self, s: &mut Scanner<'_>) -> Result<(), JsonFault> {
        let start = s.position();
        if s.peek() != Some(b'[') {
            let value = s.value()?;
            let is_null = self.data.get(value) == Some(b"null");
            self.seen.has_choices |= is_null;
            self.seen.bad_choices |= !is_null;
            return Ok(());
        }
        self.seen.has_choices = true;
        let rewriter = &mut *self.rewriter;
        let read = rewriter.choices.read(
            s,
            self.data,
            Of::Delta,
            &rewriter.names,
            &mut rewriter.meter,
        )?;
        self.seen.choices += read.count;
        self.seen.gives |= read.gives;
        if let Some(usage) = read.usage {
            self.usage(self.data.get(usage).unwrap_or_default());
        }
        if let Some(repaired) = read.repaired {
            self.copy_up_to(start);
            self.out.extend_from_slice(&repaired);
            self.written = s.position();
        }
        self.seen.fault = self.seen.fault.take().or(read.fault);
        Ok(())
    }

    fn copy_up_to(&mut self, place: usize) {
        self.out
            .extend_from_slice(self.data.part(self.written..place));
        self.written = place;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use std::sync::Arc;

    use crate::{
        catalog::{Prices, Protocol},
        ids::RequestId,
        wire::adjust::Adjustments,
    };

    fn relay() -> StreamRelay {
        let names = ResponseMeta {
            id: RequestId::parse("req_000000000000000000000000").unwrap(),
            model: "lab/x".into(),
            provider: "Prov".into(),
            provider_slug: "prov".into(),
            endpoint: "prov/lab-x".into(),
            created: 1,
            latency_ms: 5,
            prices: Prices::default(),
            include_usage: true,
            prompt_estimate: 3,
            adjusted: Adjustments::default(),
            protocol: Protocol::Chat,
            client: Protocol::Chat,
            faults: Arc::default(),
        };
        StreamRelay::new(Box::new(names), 1 << 20)
    }

    /// Returns the chunks that a client gets for `chunks`.
    fn relayed(chunks: &[&str]) -> Vec<Value> {
        let (mut relay, mut out) = (relay(), Vec::new());
        for chunk in chunks {
            relay
                .feed(format!("data: {chunk}\n\n").as_bytes(), &mut out)
                .unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        text.split_terminator("\n\n")
            .map(|e| serde_json::from_str(e.strip_prefix("data: ").unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn what_chunks_begin_with_may_change_and_be_spaced_differently() {
        let alike = r#"{"id":"u","n":1,"choices":"#;
        let tails = [
            r#"[{"delta":{"content":"a"}}]}"#,
            r#" [{"delta":{"content":"b"}}] ,"x":2}"#,
            " null}",
            "[ ]}",
        ];
        let mut chunks: Vec<String> = tails.iter().map(|tail| format!("{alike}{tail}")).collect();
        chunks.push(r#"{"n":1,"id":"u","choices":[{"delta":{"content":"c"}}]}"#.to_owned());
        chunks.push(format!("{alike}{}", tails[0]));
        let seen = relayed(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
        let said: Vec<&Value> = seen
            .iter()
            .map(|c| &c["choices"][0]["delta"]["content"])
            .collect();
        assert_eq!(
            said,
            [&json!("a"), &json!("b"), &json!("c"), &json!("a")],
            "a chunk without choices is not for the client"
        );
        assert!(
            seen.iter()
                .all(|c| c["id"] == "gen-000000000000000000000000"
                    && c["n"] == 1
                    && c["model"] == "lab/x"),
            "{seen:?}"
        );
        assert_eq!(seen[1]["x"], 2);
    }

    /// Returns the last chunk that a client gets for `chunks`.
    fn last(chunks: &[&str]) -> Value {
        let (mut relay, mut out) = (relay(), Vec::new());
        for chunk in chunks {
            relay
                .feed(format!("data: {chunk}\n\n").as_bytes(), &mut out)
                .unwrap();
        }
        let mut end = Vec::new();
        relay.push_end(&mut end);
        let text = String::from_utf8(end).unwrap();
        serde_json::from_str(
            text.strip_prefix("data: ")
                .unwrap()
                .strip_suffix("\n\ndata: [DONE]\n\n")
                .unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn usage_goes_out_once_with_the_last_chunk_and_no_cost_but_ours() {
        let content = r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
        let ending = r#"{"choices":[],"service_tier":"flex","usage":{"cost":8,"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"cost":7}}"#;
        assert!(
            relayed(&[content, ending])
                .iter()
                .all(|c| c["usage"].is_null())
        );
        let end = last(&[content, ending]);
        assert_eq!(end["usage"]["prompt_tokens"], 3, "the last one counts");
        assert_eq!(end["usage"]["cost"], Value::Null, "the price is not known");
        assert_eq!(end["service_tier"], "flex");
        assert_eq!(end["anyrouter_metadata"]["usage"]["totalTokens"], 4);
        assert_eq!(
            last(&[r#"{"choices":[],"usage":{"prompt_tokens":1.5}}"#])["usage"]["estimated"],
            true,
            "what cannot be read is estimated"
        );
        assert_eq!(
            last(&[
                r#"{"choices":[{"delta":{}}],"x_groq":{"usage":{"prompt_tokens":5,"completion_tokens":2}}}"#
            ])["usage"]["prompt_tokens"],
            5
        );
        assert_eq!(
            last(&[
                r#"{"choices":[{"delta":{},"usage":{"prompt_tokens":5,"completion_tokens":2}}]}"#
            ])["usage"]["prompt_tokens"],
            5
        );
    }

    /// Returns the fault of `chunks`, if there is one.
    fn fault(chunks: &[&str]) -> Option<AnswerFault> {
        let (mut relay, mut out) = (relay(), Vec::new());
        chunks.iter().find_map(|chunk| {
            relay
                .feed(format!("{chunk}\n\n").as_bytes(), &mut out)
                .err()
        })
    }

    #[test]
    fn errors_in_every_shape_and_ends_before_the_finish_reason_are_faults() {
        let half = r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
        for chunk in [
            r#"data: {"error":{"message":"m"}}"#,
            r#"data: {"error":"m"}"#,
            r#"data: {"object":"error","message":"m","code":429}"#,
            r#"data: {"detail":"m"}"#,
            "event: error\ndata: {\"message\":\"m\"}",
            "event: error\ndata: no JSON",
            r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#,
            r#"data: {"choices":[{"index":0,"delta":{},"error":{"code":502}}]}"#,
            r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
        ] {
            assert!(
                matches!(fault(&[half, chunk]), Some(AnswerFault::Error(_))),
                "{chunk}"
            );
        }
        assert_eq!(fault(&["data: [DONE]"]), Some(AnswerFault::Truncated));
        assert_eq!(fault(&[half, "data: [DONE]"]), Some(AnswerFault::Truncated));
        let bare = r#"data: {"choices":[{"delta":{"content":"a"}}]}"#;
        assert_eq!(
            fault(&[bare, "data: [DONE]"]),
            None,
            "who knows no finish reasons ends with `[DONE]`"
        );
        assert_eq!(
            fault(&[
                r#"data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#,
                "data: [DONE]"
            ]),
            Some(AnswerFault::Truncated)
        );
        let two = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{"content":"b"}}]}"#;
        assert_eq!(
            fault(&[two, "data: [DONE]"]),
            Some(AnswerFault::Truncated),
            "one of two choices has not ended"
        );
        assert_eq!(
            fault(&[
                half,
                r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                "data: [DONE]"
            ]),
            None
        );
    }

    #[test]
    fn nothing_is_given_before_content_a_call_reasoning_or_the_end() {
        let gives = |chunk: &str| {
            relay()
                .feed(format!("data: {chunk}\n\n").as_bytes(), &mut Vec::new())
                .unwrap()
                .answered
        };
        for chunk in [
            r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":""}}]}"#,
            r#"{"choices":[],"id":"","model":"","prompt_filter_results":[{"prompt_index":0}]}"#,
            r#"{"choices":[{"delta":{"role":"assistant"},"finish_reason":""}]}"#,
        ] {
            assert!(!gives(chunk), "{chunk}");
        }
        for chunk in [
            r#"{"choices":[{"delta":{"content":" "}}]}"#,
            r#"{"choices":[{"delta":{"reasoning":"r"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{}]}}]}"#,
            r#"{"choices":[{"delta":{"refusal":"r"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        ] {
            assert!(gives(chunk), "{chunk}");
        }
    }

    /// Returns the deltas that a client gets for `choices`.
    fn deltas(choices: &[Value]) -> Vec<Value> {
        let chunks: Vec<String> = choices
            .iter()
            .map(|c| json!({"choices": [c]}).to_string())
            .collect();
        let mut seen = relayed(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
        seen.iter_mut().map(|c| c["choices"][0].take()).collect()
    }

    #[test]
    fn calls_get_an_index_and_two_ids_on_one_index_are_two_calls() {
        let call = |index: Value, id: &str, name: &str, arguments: Value| {
            let mut call = json!({"type": "function", "function": {"arguments": arguments}});
            if !index.is_null() {
                call["index"] = index;
            }
            if !id.is_empty() {
                call["id"] = json!(id);
            }
            if !name.is_empty() {
                call["function"]["name"] = json!(name);
            }
            json!({"index": 0, "delta": {"tool_calls": [call]}})
        };
        let seen = deltas(&[
            call(json!(1), "a", "f", json!("{")),
            call(json!(1), "a", "", json!("}")),
            call(json!(1), "b", "g", json!({"x": 1})),
            call(Value::Null, "c", "h", json!("")),
            call(Value::Null, "", "", json!("[1")),
            call(Value::Null, "", "k", json!("2")),
            json!({"index": 0, "delta": {}, "finish_reason": "stop"}),
        ]);
        let calls: Vec<&Value> = seen.iter().map(|c| &c["delta"]["tool_calls"][0]).collect();
        assert_eq!(
            calls
                .iter()
                .take(6)
                .map(|c| c["index"].as_u64().unwrap())
                .collect::<Vec<_>>(),
            [0, 0, 1, 2, 2, 3]
        );
        assert_eq!(calls[2]["function"]["arguments"], "{\"x\":1}");
        assert!(
            calls[5]["id"].as_str().unwrap().starts_with("call_"),
            "a call without an id gets one"
        );
        assert_eq!(seen[6]["finish_reason"], "tool_calls", "calls decide");
        let none = deltas(&[
            json!({"index": 0, "delta": {"content": "{}"}, "finish_reason": "tool_calls"}),
        ]);
        assert_eq!(none[0]["finish_reason"], "stop", "and there are none here");
        let empty = deltas(&[
            call(json!(0), "a", "f", json!("")),
            json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"}),
        ]);
        assert_eq!(
            empty[1]["delta"]["tool_calls"],
            json!([{"index": 0, "function": {"arguments": "{}"}}]),
            "no arguments are an empty object"
        );
    }

    #[test]
    fn content_is_a_string_and_reasoning_is_in_reasoning() {
        let seen = deltas(&[
            json!({"index": 0, "delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}}),
            json!({"index": 0, "delta": {"content": [{"type": "thinking", "thinking": "m"}, {"type": "text", "text": "a"}, {"type": "reference", "ids": [1]}]}}),
            json!({"index": 0, "delta": {"content": null, "reasoning_content": "r"}}),
            json!({"index": 0, "delta": {"annotations": [{"type": "url_citation"}, {"type": "url_citation"}]}}),
            json!({"index": 0, "delta": {"annotations": [{"type": "url_citation"}], "tool_calls": null}}),
        ]);
        assert_eq!(seen[0]["delta"], json!({"reasoning": "hm"}));
        assert_eq!(seen[1]["delta"], json!({"content": "a", "reasoning": "m"}));
        assert_eq!(seen[2]["delta"], json!({"content": null, "reasoning": "r"}));
        assert_eq!(seen[3]["delta"]["annotations"][1]["index"], 1);
        assert_eq!(
            seen[4]["delta"],
            json!({"annotations": [{"type": "url_citation", "index": 2}]})
        );
    }

    #[test]
    fn what_clients_read_without_asking_is_there() {
        let seen = deltas(&[
            json!({"index": 0, "delta": null}),
            json!({"index": 0}),
            json!({"index": 0, "delta": {"content": "a", "tool_calls": []}}),
        ]);
        assert_eq!(seen[0]["delta"], json!({}));
        assert_eq!(seen[1]["delta"], json!({}));
        let bare = relayed(&[r#"{"choices":[{"delta":{"content":"a"}}]}"#]);
        assert_eq!(
            bare[0]["choices"],
            json!([{"index": 0, "delta": {"content": "a"}}]),
            "a choice has its index"
        );
        assert_eq!(seen[2]["delta"], json!({"content": "a"}));
        let misnamed =
            deltas(&[json!({"index": 0, "message": {"role": "assistant", "content": "a"}})]);
        assert_eq!(
            misnamed[0]["delta"],
            json!({"role": "assistant", "content": "a"}),
            "a chunk's message is its delta"
        );
        assert!(misnamed[0].get("message").is_none());
    }

    #[test]
    fn later_pieces_of_a_call_do_not_say_again_who_it_is() {
        let piece = |more: Value, function: Value| {
            let mut call = json!({"index": 0, "function": function});
            call.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            json!({"index": 0, "delta": {"tool_calls": [call]}})
        };
        let again = json!({"id": "a", "type": "function"});
        let seen = deltas(&[
            piece(again.clone(), json!({"name": "f", "arguments": ""})),
            piece(again, json!({"name": "f", "arguments": "{"})),
            piece(
                json!({"id": "", "type": ""}),
                json!({"name": "", "arguments": "}"}),
            ),
            piece(json!({"id": null}), json!({"name": null, "arguments": " "})),
        ]);
        let calls: Vec<&Value> = seen.iter().map(|c| &c["delta"]["tool_calls"][0]).collect();
        assert_eq!(
            *calls[0],
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}})
        );
        for (call, arguments) in calls[1..].iter().zip(["{", "}", " "]) {
            assert_eq!(
                **call,
                json!({"index": 0, "function": {"arguments": arguments}})
            );
        }
    }

    #[test]
    fn zeros_do_not_overwrite_a_usage_that_counted() {
        let good = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;
        let zeros =
            r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#;
        assert_eq!(last(&[good, zeros])["usage"]["prompt_tokens"], 7);
        assert_eq!(last(&[zeros])["usage"]["total_tokens"], 0);
    }

    #[test]
    fn an_events_other_fields_stay_behind() {
        let (mut relay, mut out) = (relay(), Vec::new());
        let event = b"id: 7\nevent: chunk\nretry: 5\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        relay.feed(event, &mut out).unwrap();
        relay
            .feed(
                b"data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\nid: 8\n\n",
                &mut out,
            )
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("data: {")
                && text.ends_with("}\n\n")
                && text.matches('\n').count() == 4,
            "{text}"
        );
    }

    #[test]
    fn nothing_is_said_twice_and_nothing_is_made_up() {
        let whole = json!({"index": 0, "delta": {}, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"});
        let seen = deltas(&[
            json!({"index": 0, "delta": {"content": "Hel"}}),
            json!({"index": 0, "delta": {"content": "lo"}}),
            whole,
        ]);
        assert!(seen[2]["delta"].get("content").is_none(), "{seen:?}");
        let nameless = r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function"}]}}]}"#;
        let end = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;
        assert!(
            matches!(
                fault(&[nameless, end]),
                Some(AnswerFault::NotTheProtocol(_))
            ),
            "a call without a name"
        );
        let call = |index: u64| json!({"index": index, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let two = deltas(&[json!({"index": 0, "delta": {"tool_calls": [call(0), call(1)]}})]);
        let ids: Vec<&Value> = two[0]["delta"]["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| &c["id"])
            .collect();
        assert!(
            ids[0] == "c" && ids[1] != "c",
            "two calls of one id: {ids:?}"
        );
    }

    #[test]
    fn content_that_is_no_string_becomes_one() {
        let seen = deltas(&[
            json!({"index": 0, "delta": {"content": {"type": "text", "text": "A"}}}),
            json!({"index": 0, "delta": {"content": 5}}),
        ]);
        assert_eq!(
            (&seen[0]["delta"]["content"], &seen[1]["delta"]["content"]),
            (&json!("A"), &json!("5"))
        );
    }

    #[test]
    fn data_that_says_nothing_ends_nothing() {
        let half = r#"data: {"error":{},"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
        let end = r#"data: {"error":{},"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        assert_eq!(
            fault(&[
                half,
                "data: null",
                "data: []",
                "data: {}",
                end,
                "data: [DONE]"
            ]),
            None
        );
    }
}
