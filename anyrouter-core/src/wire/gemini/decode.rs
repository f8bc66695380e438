//! A stream of Google's as events: parts are new text, new thoughts, or whole calls, and a signature
//! belongs to the reasoning before its part.

use std::borrow::Cow;

use serde_json::{Value, json, value::RawValue};

use super::{
    event::{Chunk, FunctionCall, Part},
    partial::Partial,
};
use crate::{
    catalog::Protocol,
    wire::{
        event::{Block, Delta, Event, Sink},
        fault::AnswerFault,
        json::{RawJsonStr, push_string, utf8},
        meta::ResponseMeta,
        meter::{Meter, Progress},
        provider_error::{is_error, token_of},
        sse::Splitter,
    },
};

/// Prefix of a call's id that the provider gave. It gets back only its own ids.
pub(super) const OWN_ID: &str = "gemini_";

/// Decodes a stream.
#[derive(Debug)]
pub(in crate::wire) struct Decoder {
    splitter: Splitter,
    machine: Machine,
}

/// State of an answer.
#[derive(Debug)]
pub(super) struct Machine {
    names: Box<ResponseMeta>,
    meter: Meter,
    has_begun: bool,
    is_finished: bool,
    /// True if the event of the end was given.
    has_ended: bool,
    has_given: bool,
    /// The block of text or reasoning that is open.
    open: Option<(Kind, usize)>,
    partial: Option<Partial>,
    count: usize,
    calls: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
}

impl Decoder {
    /// Creates a decoder. Events of more than `limit` bytes are faults.
    pub(in crate::wire) fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            splitter: Splitter::new(limit),
            machine: Machine::new(names),
        }
    }

    /// Decodes a whole answer.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Self, AnswerFault> {
        let mut it = Self::new(names, 0);
        it.machine.whole(body, each)?;
        it.end(each)?;
        Ok(it)
    }

    /// Takes bytes from the upstream, and gives the events to `each`.
    pub(in crate::wire) fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Progress, AnswerFault> {
        let mut progress = Progress::default();
        let mut fault = None;
        let machine = &mut self.machine;
        let fed = self.splitter.feed(bytes, |event| {
            if let Some(data) = event.data.as_deref() {
                match machine.chunk(data, each) {
                    Ok(made) => progress.add(made),
                    Err(e) => fault = Some(e),
                }
            }
            fault.is_none()
        });
        match (fault, fed) {
            (Some(fault), _) => Err(fault),
            (None, Err(e)) => Err(AnswerFault::TooLong { limit: e.limit }),
            (None, Ok(())) => Ok(progress),
        }
    }

    /// Gives the end of the answer. The protocol has no event for it, and parts may follow the finish
    /// reason.
    pub(in crate::wire) fn end(&mut self, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        self.machine.end(each)
    }

    /// Returns the meter.
    pub(in crate::wire) fn meter(&self) -> &Meter {
        self.machine.meter()
    }

    /// Returns the names of the answer.
    pub(in crate::wire) fn names(&self) -> &ResponseMeta {
        self.machine.names()
    }

    /// Returns true if the answer has begun to say something.
    pub(in crate::wire) fn has_given(&self) -> bool {
        self.machine.has_given()
    }

    /// Returns true if the finish reason was read.
    pub(in crate::wire) fn is_finished(&self) -> bool {
        self.machine.is_finished()
    }
}

/// Returns the chunks of a whole answer: itself, or the items of an array.
pub(super) fn chunks_of(body: &[u8]) -> Result<Vec<&[u8]>, AnswerFault> {
    if utf8(body).is_none() {
        return Err(wrong());
    }
    if !body.trim_ascii_start().starts_with(b"[") {
        return Ok(vec![body]);
    }
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|_| wrong())?;
    Ok(items.into_iter().map(|i| i.get().as_bytes()).collect())
}

impl Machine {
    pub(super) fn new(names: Box<ResponseMeta>) -> Self {
        Self {
            names,
            meter: Meter::default(),
            has_begun: false,
            is_finished: false,
            has_ended: false,
            has_given: false,
            open: None,
            partial: None,
            count: 0,
            calls: 0,
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn names(&self) -> &ResponseMeta {
        &self.names
    }

    pub(super) fn has_given(&self) -> bool {
        self.has_given
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    fn error(&self, data: &[u8]) -> AnswerFault {
        AnswerFault::Error(self.names.origin().read_data(data))
    }

    /// Reads a whole answer.
    pub(super) fn whole(&mut self, body: &[u8], each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        for chunk in chunks_of(body)? {
            self.chunk(chunk, each)?;
        }
        if self.is_finished {
            Ok(())
        } else {
            Err(AnswerFault::Truncated)
        }
    }

    /// Reads a chunk.
    pub(super) fn chunk(
        &mut self,
        data: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Progress, AnswerFault> {
        let mut progress = Progress::default();
        if data.trim_ascii().is_empty() {
            return Ok(progress);
        }
        if utf8(data).is_none() {
            return Err(wrong());
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
            let is_error = serde_json::from_slice(data).is_ok_and(|v| is_error(&v));
            return Err(if is_error { self.error(data) } else { wrong() });
        };
        if chunk.error.is_some_and(|e| e.get() != "null") {
            return Err(self.error(data));
        }
        let blocked = chunk.prompt_feedback.and_then(|f| f.block_reason);
        let is_empty = chunk.candidates.is_none() && chunk.usage_metadata.is_none();
        if is_empty && blocked.is_none() && chunk.response_id.is_none() {
            return Err(wrong());
        }
        if let Some(id) = &chunk.response_id {
            self.meter.upstream_id = token_of(id);
        }
        if let Some(tokens) = chunk.usage_metadata.and_then(|usage| usage.0) {
            self.meter.tokens = Some(tokens);
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            each(&self.names, Event::Start)?;
        }
        let candidates = chunk.candidates.iter().flatten();
        for candidate in candidates.filter(|c| c.index.unwrap_or(0) == 0) {
            let parts = candidate.content.as_ref().and_then(|c| c.parts.as_ref());
            for name in candidate.untranslated() {
                self.names.omit_of_answer(name);
            }
            for part in parts.into_iter().flatten() {
                for name in part.untranslated() {
                    self.names.omit_of_answer(name);
                }
                progress.answered |= self.part(part, each)?;
            }
            if let Some(reason) = candidate.finish_reason.as_deref()
                && !reason.is_empty()
                && reason != "FINISH_REASON_UNSPECIFIED"
            {
                self.finish(reason)?;
                progress.answered = true;
            }
        }
        if let (Some(reason), false) = (blocked, self.is_finished) {
            self.finish(&reason)?;
            progress.answered = true;
        }
        self.has_given |= progress.answered;
        Ok(progress)
    }

    /// Reads a part. Returns true if it is something for the client.
    fn part(&mut self, part: &Part<'_>, each: &mut Sink<'_>) -> Result<bool, AnswerFault> {
        let signature = part.thought_signature.filter(|s| s.get() != "\"\"");
        let text = part.text.filter(|t| t.get() != "\"\"");
        if part.thought == Some(true) && part.function_call.is_none() {
            let number = self.turn_to(Kind::Reasoning, each)?;
            if let Some(text) = text {
                self.meter.text += length(text);
                let delta = Delta::Reasoning(text.get());
                each(&self.names, Event::Delta(number, delta))?;
            }
            if let Some(signature) = signature {
                self.sign(signature, each)?;
            }
            return Ok(text.is_some() || signature.is_some());
        }
        if let Some(signature) = signature {
            self.sign(signature, each)?;
        }
        if let Some(text) = text {
            let number = self.turn_to(Kind::Text, each)?;
            self.meter.text += length(text);
            each(&self.names, Event::Delta(number, Delta::Text(text.get())))?;
        }
        if let Some(call) = &part.function_call {
            self.call(call, each)?;
        }
        // Other parts are of tools that the provider runs.
        Ok(text.is_some() || signature.is_some() || part.function_call.is_some())
    }

    /// Adds a signature to the reasoning that is open, or to reasoning without text, and ends it.
    fn sign(&mut self, signature: RawJsonStr<'_>, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        let number = self.turn_to(Kind::Reasoning, each)?;
        let delta = Delta::Signature(signature.get());
        each(&self.names, Event::Delta(number, delta))?;
        self.close(each)
    }

    fn call(&mut self, call: &FunctionCall<'_>, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        let is_partial = call.will_continue == Some(true) || call.partial_args.is_some();
        if let Some(name) = call.name {
            self.end_partial(true, each)?;
            let id = match call.id.and_then(|id| id.get().strip_prefix('"')) {
                Some(id) if id != "\"" => format!("\"{OWN_ID}{id}"),
                _ => format!("\"call_{}_{}\"", self.names.id.hex(), self.calls),
            };
            self.count_call();
            if !is_partial {
                let arguments = call.args.map_or("{}", RawValue::get);
                return self.whole_call(&id, name.get(), arguments, each);
            }
            self.partial = Some(Partial {
                id,
                name: name.get().to_owned(),
                arguments: json!({}),
                created: 0,
            });
        }
        if let Some(partial) = &mut self.partial {
            for piece in call.partial_args.iter().flatten() {
                partial.add(piece).ok_or_else(wrong)?;
            }
            if call.will_continue != Some(true) {
                self.end_partial(true, each)?;
            }
        }
        Ok(())
    }

    /// Ends a call that came in pieces. One that broke off stays without its last brace, so that nobody
    /// makes it.
    fn end_partial(&mut self, is_whole: bool, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        let Some(partial) = self.partial.take() else {
            return Ok(());
        };
        let mut arguments = match &partial.arguments {
            Value::Object(_) => partial.arguments.to_string(),
            _ => "{}".to_owned(),
        };
        if !is_whole {
            arguments.pop();
        }
        self.whole_call(&partial.id, &partial.name, &arguments, each)
    }

    fn whole_call(
        &mut self,
        id: &str,
        name: &str,
        arguments: &str,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        self.close(each)?;
        let number = self.count;
        self.count += 1;
        let mut quoted = Vec::with_capacity(arguments.len() + 16);
        let object = Some(arguments).filter(|a| a.starts_with('{'));
        push_string(&mut quoted, object.unwrap_or("{}"));
        self.meter.text += quoted.len().saturating_sub(2) as u64;
        let quoted = String::from_utf8(quoted).unwrap_or_default();
        let names = &self.names;
        each(names, Event::Open(number, Block::Call { id, name }))?;
        each(names, Event::Delta(number, Delta::Arguments(&quoted)))?;
        each(names, Event::Close(number))
    }

    /// Reads the finish reason. More may follow it, so `end` gives the event.
    fn finish(&mut self, reason: &str) -> Result<(), AnswerFault> {
        let has_failed = matches!(
            reason,
            "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS"
        );
        if has_failed && self.names.client != Protocol::Gemini {
            // The model failed, and no other protocol has a reason for it.
            let error = json!({"error": {"code": 500, "status": reason, "message": ""}});
            return Err(self.error(error.to_string().as_bytes()));
        }
        let word = match reason {
            "MAX_TOKENS" => "length",
            "STOP" | "LANGUAGE" | "OTHER" | "NO_IMAGE" | "IMAGE_OTHER" => "stop",
            _ if has_failed => "stop",
            // Filters, of which there are more than the reference lists.
            _ => "content_filter",
        };
        self.is_finished = true;
        self.meter.finish_reason = Some(word.to_owned());
        self.settle();
        self.meter.native_finish_reason = token_of(reason);
        Ok(())
    }

    /// Gives the end of the answer, once.
    fn end(&mut self, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        let Some(reason) = self.meter.finish_reason.clone() else {
            return Ok(());
        };
        if !std::mem::replace(&mut self.has_ended, true) {
            self.end_partial(reason == "stop" || reason == "tool_calls", each)?;
            self.close(each)?;
            each(&self.names, Event::Finish(&reason))?;
        }
        Ok(())
    }

    /// Counts a call, which makes it the reason of a normal end.
    fn count_call(&mut self) {
        self.calls += 1;
        self.settle();
    }

    /// Google has no reason for calls, which may come before or after the reason.
    fn settle(&mut self) {
        if self.calls > 0 && self.meter.finish_reason.as_deref() == Some("stop") {
            self.meter.finish_reason = Some("tool_calls".to_owned());
        }
    }

    /// Returns the number of the open block of this kind, and opens one if there is none.
    fn turn_to(&mut self, kind: Kind, each: &mut Sink<'_>) -> Result<usize, AnswerFault> {
        match self.open {
            Some((open, number)) if open == kind => return Ok(number),
            _ => self.close(each)?,
        }
        let number = self.count;
        self.count += 1;
        self.open = Some((kind, number));
        let block = match kind {
            Kind::Text => Block::Text,
            Kind::Reasoning => Block::Reasoning,
        };
        each(&self.names, Event::Open(number, block))?;
        Ok(number)
    }

    /// Closes the open block of text or reasoning.
    fn close(&mut self, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        match self.open.take() {
            Some((_, number)) => each(&self.names, Event::Close(number)),
            None => Ok(()),
        }
    }
}

/// Returns the provider's own id of a call; `None` if the id is ours or another provider's.
pub(super) fn own_id(id: &str) -> Option<Cow<'_, str>> {
    id.strip_prefix(OWN_ID).map(Cow::Borrowed)
}

/// Returns the length of a JSON string without its quotes.
fn length(text: RawJsonStr<'_>) -> u64 {
    text.get().len().saturating_sub(2) as u64
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an answer of Google's generateContent")
}
