//! A response stream as events. Items are known by their index, since some upstreams give an item
//! another id in each event. What an upstream says only at the end of an item, or of the response, is
//! taken from there.

use super::event::{Event, Item, Part, Response};
use crate::wire::{
    event::{self, Block, Delta, Sink},
    fault::AnswerFault,
    json::{RawJsonStr, has_content, push_string, utf8},
    meta::ResponseMeta,
    meter::{Meter, Progress},
    provider_error::{is_error, token_of},
    sse::Splitter,
};

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
    has_given: bool,
    /// The open items, by the upstream's index.
    open: Vec<(u64, Open)>,
    /// The indexes of items that are complete.
    done: Vec<u64>,
    /// The number of blocks so far.
    count: usize,
    calls: usize,
    /// The items by the ids of their announcements, as JSON.
    item_ids: Vec<(u64, String)>,
    /// The ids of the calls and of their items, as JSON.
    call_ids: Vec<String>,
    /// The places in the whole output of the items that no event announced.
    unannounced: Vec<usize>,
    has_text: bool,
    /// True if an item was not announced before its text.
    is_unannounced: bool,
    /// True if the model has refused, which the status does not show.
    has_refused: bool,
}

/// An open item.
#[derive(Debug)]
enum Open {
    /// A message, with its parts so far.
    Message(Vec<Text>),
    Call {
        number: usize,
        has_arguments: bool,
        is_custom: bool,
    },
    Reasoning {
        number: usize,
        /// The part whose text came last, and true if it is of the summary: the reasoning itself says
        /// the same.
        part: Option<(bool, u64)>,
    },
    /// An item without a counterpart, such as the call of a tool that the provider runs.
    Other,
}

/// A part of a message that has text.
#[derive(Clone, Copy, Debug)]
struct Text {
    part: u64,
    number: usize,
    is_open: bool,
}

/// Maximum number of items that are open at once.
const OPEN_ITEMS: usize = 256;
/// Maximum number of items and of parts of an item.
const ITEMS: usize = 1 << 16;
/// The index of the first item that only the whole response has.
const AFTER: u64 = 1 << 32;

impl Decoder {
    /// Creates a decoder. Events of more than `limit` bytes are faults.
    pub(in crate::wire) fn new(names: Box<ResponseMeta>, limit: usize) -> Self {
        Self {
            splitter: Splitter::new(limit),
            machine: Machine::new(names),
        }
    }

    /// Decodes a whole response.
    pub(in crate::wire) fn of_whole(
        names: Box<ResponseMeta>,
        body: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Self, AnswerFault> {
        let mut it = Self::new(names, 0);
        it.machine.whole(body, each)?;
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
                match machine.event(event.name, data, each) {
                    Ok(made) => progress.add(made),
                    Err(e) => fault = Some(e),
                }
            }
            fault.is_none() && !progress.done
        });
        match (fault, fed) {
            (Some(fault), _) => Err(fault),
            (None, Err(e)) if !progress.done => Err(AnswerFault::TooLong { limit: e.limit }),
            (None, _) => Ok(progress),
        }
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

    /// Returns true if the last event was read.
    pub(in crate::wire) fn is_finished(&self) -> bool {
        self.machine.is_finished()
    }
}

impl Machine {
    pub(super) fn new(names: Box<ResponseMeta>) -> Self {
        Self {
            names,
            meter: Meter::default(),
            has_begun: false,
            is_finished: false,
            has_given: false,
            open: Vec::new(),
            done: Vec::new(),
            count: 0,
            calls: 0,
            item_ids: Vec::new(),
            call_ids: Vec::new(),
            unannounced: Vec::new(),
            has_text: false,
            is_unannounced: false,
            has_refused: false,
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

    /// Returns true if an item was not announced before its text.
    pub(super) fn is_unannounced(&self) -> bool {
        self.is_unannounced
    }

    /// Returns the number of blocks so far.
    pub(super) fn blocks(&self) -> usize {
        self.count
    }

    /// Returns the number of items so far.
    pub(super) fn items(&self) -> usize {
        self.open.len() + self.done.len()
    }

    /// Returns the indexes of the open items.
    pub(super) fn open_items(&self) -> Vec<u64> {
        self.open.iter().map(|(index, _)| *index).collect()
    }

    /// Returns the fault for an error, with the object that has the member `error` or is one.
    fn error(&self, data: &[u8]) -> AnswerFault {
        AnswerFault::Error(self.names.origin().read_data(data))
    }

    /// Reads a whole response.
    pub(super) fn whole(&mut self, body: &[u8], each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        let read = utf8(body)
            .and_then(|text| serde_json::from_str::<Response<'_>>(text).ok())
            .filter(|r| r.output.is_some() || r.status.is_some());
        match read {
            Some(read) => self.end_with(read, body, false, each),
            None if serde_json::from_slice(body).is_ok_and(|v| is_error(&v)) => {
                Err(self.error(body))
            }
            None => Err(AnswerFault::NotTheProtocol(
                "a response of OpenAI's Responses API",
            )),
        }
    }

    /// Returns the index of the item that an event belongs to. Some upstreams give only its id.
    fn index_of(&self, event: &Event<'_>) -> u64 {
        let id = event
            .item_id
            .or(event.item.as_ref().and_then(|item| item.id));
        let by_id = || {
            let id = id?.get();
            let known = self.item_ids.iter().find(|(_, known)| known == id);
            known.map(|(index, _)| *index)
        };
        let is_new = event.kind == "response.output_item.added";
        let last = self.open.last().filter(|_| !is_new);
        event
            .output_index
            .or_else(by_id)
            .or_else(|| last.map(|(index, _)| *index))
            .unwrap_or(self.items() as u64)
    }

    /// Reads one event.
    pub(super) fn event(
        &mut self,
        name: Option<&[u8]>,
        data: &[u8],
        each: &mut Sink<'_>,
    ) -> Result<Progress, AnswerFault> {
        let nothing = Progress::default();
        let given = Progress {
            answered: true,
            done: false,
        };
        if data.trim_ascii().is_empty() || data.trim_ascii() == b"[DONE]" || self.is_finished {
            return Ok(nothing);
        }
        if utf8(data).is_none() {
            return Err(wrong());
        }
        if name == Some(b"error") {
            return Err(self.error(data));
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
            let is_error = serde_json::from_slice(data).is_ok_and(|v| is_error(&v));
            return Err(if is_error { self.error(data) } else { wrong() });
        };
        let index = self.index_of(&event);
        let before = self.count;
        match &*event.kind {
            "response.created" | "response.queued" | "response.in_progress" => {
                self.begin(each)?;
                if let Some(Ok(Response { id: Some(id), .. })) = event
                    .response
                    .map(|r| serde_json::from_str::<Response<'_>>(r.get()))
                {
                    self.meter.upstream_id = token_of(&id);
                }
                return Ok(nothing);
            }
            "response.output_item.added" => {
                let item = event.item.as_ref().ok_or_else(wrong)?;
                self.item(index, item, each)?;
            }
            "response.output_text.delta" | "response.refusal.delta" => {
                self.has_refused |= &*event.kind == "response.refusal.delta";
                let text = event.delta.ok_or_else(wrong)?;
                self.text(index, event.part(), text, each)?;
            }
            "response.output_text.done" | "response.refusal.done" => {
                self.has_refused |= event.refusal.is_some();
                if let Some(text) = event.text.or(event.refusal) {
                    self.whole_text(index, event.part(), text, each)?;
                }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let text = event.delta.ok_or_else(wrong)?;
                let is_summary = event.kind.contains("summary");
                self.thought(index, (is_summary, event.part()), text, each)?;
            }
            "response.function_call_arguments.delta" => {
                let piece = event.delta.ok_or_else(wrong)?;
                self.arguments(index, piece, each)?;
            }
            "response.function_call_arguments.done" => {
                if let Some(arguments) = event.arguments {
                    self.whole_arguments(index, arguments.get(), each)?;
                }
            }
            "response.custom_tool_call_input.done" => {
                if let Some(input) = event.input {
                    self.whole_arguments(index, &of_input(input), each)?;
                }
            }
            "response.output_item.done" => {
                let item = event.item.as_ref().ok_or_else(wrong)?;
                self.whole_item(index, item, each)?;
            }
            "response.failed" => {
                // Some upstreams have the error beside the response.
                let inner = event.response.map(|r| r.get().as_bytes());
                let has_error = |r: &&[u8]| {
                    serde_json::from_slice::<Response<'_>>(r)
                        .is_ok_and(|r| r.error.is_some_and(|e| e.get() != "null"))
                };
                return Err(self.error(inner.filter(has_error).unwrap_or(data)));
            }
            "response.completed" | "response.incomplete" => {
                let response = event.response.ok_or_else(wrong)?;
                let is_incomplete = event.kind == "response.incomplete";
                self.end(response.get().as_bytes(), is_incomplete, each)?;
                return Ok(Progress {
                    answered: true,
                    done: true,
                });
            }
            "error" => return Err(self.error(data)),
            // Events of the provider's tools, and those that are not known yet.
            _ => return Ok(nothing),
        }
        let has_given = self.count > before || event.delta.is_some_and(|d| d.get() != "\"\"");
        self.has_given |= has_given;
        Ok(if has_given { given } else { nothing })
    }

    fn begin(&mut self, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        each(&self.names, event::Event::Start)
    }

    fn give(&self, event: event::Event<'_>, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        each(&self.names, event)
    }

    /// Opens an item, unless it is open or complete.
    fn item(
        &mut self,
        index: u64,
        item: &Item<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        self.begin(each)?;
        if self.done.contains(&index) || self.open.iter().any(|(i, _)| *i == index) {
            return Ok(());
        }
        if self.open.len() >= OPEN_ITEMS || self.done.len() >= ITEMS {
            return Err(wrong());
        }
        if let Some(id) = item.id {
            self.item_ids.push((index, id.get().to_owned()));
        }
        let open = match &*item.kind {
            "message" => Open::Message(Vec::new()),
            "function_call" | "custom_tool_call" => {
                let name = item.name.ok_or_else(wrong)?;
                let made = || format!("\"call_{}_{}\"", self.names.id.hex(), self.calls);
                let id = item
                    .call_id
                    .or(item.id)
                    .filter(|id| id.get() != "\"\"")
                    .map_or_else(made, |id| id.get().to_owned());
                let number = self.next();
                self.calls += 1;
                let name = name.get();
                self.give(
                    event::Event::Open(number, Block::Call { id: &id, name }),
                    each,
                )?;
                self.call_ids.push(id);
                self.call_ids.extend(item.id.map(|id| id.get().to_owned()));
                Open::Call {
                    number,
                    has_arguments: false,
                    is_custom: item.kind == "custom_tool_call",
                }
            }
            "reasoning" => {
                let number = self.next();
                self.give(event::Event::Open(number, Block::Reasoning), each)?;
                Open::Reasoning { number, part: None }
            }
            other => {
                let kind = token_of(other);
                self.names
                    .omit_of_answer(kind.as_deref().unwrap_or("an item"));
                Open::Other
            }
        };
        self.open.push((index, open));
        Ok(())
    }

    /// Returns the number of the next block.
    fn next(&mut self) -> usize {
        self.count += 1;
        self.count - 1
    }

    /// Adds a piece of a message's text. Some upstreams announce neither the message nor its part.
    fn text(
        &mut self,
        index: u64,
        part: u64,
        text: RawJsonStr<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        self.begin(each)?;
        if !self.open.iter().any(|(i, _)| *i == index) {
            if self.done.contains(&index) || self.open.len() >= OPEN_ITEMS {
                return Err(wrong());
            }
            self.is_unannounced = true;
            self.open.push((index, Open::Message(Vec::new())));
        }
        let Some(Open::Message(texts)) = open_of(&mut self.open, index) else {
            return Err(wrong());
        };
        let known = texts.iter().find(|t| t.part == part).copied();
        let number = match known {
            Some(Text { is_open: false, .. }) => return Err(wrong()),
            Some(text) => text.number,
            None if texts.len() >= ITEMS => return Err(wrong()),
            None => {
                // The parts of a message follow each other.
                let number = self.count;
                self.count += 1;
                for text in texts.iter_mut().filter(|t| t.is_open) {
                    text.is_open = false;
                    each(&self.names, event::Event::Close(text.number))?;
                }
                texts.push(Text {
                    part,
                    number,
                    is_open: true,
                });
                each(&self.names, event::Event::Open(number, Block::Text))?;
                number
            }
        };
        self.meter.text += length(text);
        self.has_text = true;
        self.give(event::Event::Delta(number, Delta::Text(text.get())), each)
    }

    /// Adds the text of a part unless it came in pieces.
    fn whole_text(
        &mut self,
        index: u64,
        part: u64,
        text: RawJsonStr<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        let is_known = match open_of(&mut self.open, index) {
            Some(Open::Message(texts)) => texts.iter().any(|t| t.part == part),
            _ => self.done.contains(&index),
        };
        if is_known || text.get() == "\"\"" {
            return Ok(());
        }
        self.text(index, part, text, each)
    }

    /// Adds a piece of reasoning; the parts of a summary are paragraphs.
    fn thought(
        &mut self,
        index: u64,
        of_part: (bool, u64),
        text: RawJsonStr<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        let Some(Open::Reasoning { number, part }) = open_of(&mut self.open, index) else {
            return Ok(());
        };
        if part.is_some_and(|(is_summary, _)| is_summary != of_part.0) {
            return Ok(());
        }
        let (number, last) = (*number, part.replace(of_part));
        if last.is_some_and(|last| last != of_part) {
            let break_ = Delta::Reasoning("\"\\n\\n\"");
            self.give(event::Event::Delta(number, break_), each)?;
        }
        self.meter.text += length(text);
        self.give(
            event::Event::Delta(number, Delta::Reasoning(text.get())),
            each,
        )
    }

    fn arguments(
        &mut self,
        index: u64,
        piece: RawJsonStr<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        let Some(Open::Call {
            number,
            has_arguments,
            is_custom: false,
        }) = open_of(&mut self.open, index)
        else {
            // The end of the item has all of it.
            return Ok(());
        };
        if piece.get() == "\"\"" {
            return Ok(());
        }
        *has_arguments = true;
        let number = *number;
        self.meter.text += length(piece);
        self.give(
            event::Event::Delta(number, Delta::Arguments(piece.get())),
            each,
        )
    }

    /// Adds the arguments of a call, as a JSON string, unless they came in pieces.
    fn whole_arguments(
        &mut self,
        index: u64,
        arguments: &str,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        let Some(Open::Call {
            number,
            has_arguments: has_arguments @ false,
            ..
        }) = open_of(&mut self.open, index)
        else {
            return Ok(());
        };
        if arguments == "\"\"" {
            return Ok(());
        }
        *has_arguments = true;
        let number = *number;
        self.meter.text += arguments.len().saturating_sub(2) as u64;
        self.give(
            event::Event::Delta(number, Delta::Arguments(arguments)),
            each,
        )
    }

    /// Completes an item, with all of it that did not come before.
    fn whole_item(
        &mut self,
        index: u64,
        item: &Item<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        if self.done.contains(&index) {
            return Ok(());
        }
        self.item(index, item, each)?;
        match &*item.kind {
            "message" => {
                for (part, said) in (0..).zip(item.content.iter().flatten()) {
                    self.has_refused |= said.refusal.is_some();
                    for (name, value) in [
                        ("annotations", said.annotations),
                        ("logprobs", said.logprobs),
                    ] {
                        if value.is_some_and(has_content) {
                            self.names.omit_of_answer(name);
                        }
                    }
                    if let Some(text) = said.text.or(said.refusal) {
                        self.whole_text(index, part, text, each)?;
                    }
                }
            }
            "function_call" | "custom_tool_call" => {
                if let Some(arguments) = arguments_of(item) {
                    self.whole_arguments(index, &arguments, each)?;
                }
            }
            "reasoning" => self.whole_reasoning(index, item, each)?,
            _ => {}
        }
        self.close(index, each)
    }

    /// Adds the reasoning that did not come in pieces, and its encrypted form.
    fn whole_reasoning(
        &mut self,
        index: u64,
        item: &Item<'_>,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        let Some(Open::Reasoning { number, part }) = open_of(&mut self.open, index) else {
            return Ok(());
        };
        let (number, has_text) = (*number, part.is_some());
        // A summary stands for the reasoning itself.
        let is_there = |parts: &&Vec<Part<'_>>| !parts.is_empty();
        let parts = item.summary.as_ref().filter(is_there);
        if let (false, Some(parts)) = (has_text, parts.or(item.content.as_ref())) {
            for (part, said) in (0..).zip(parts) {
                if let Some(text) = said.text.filter(|t| t.get() != "\"\"") {
                    self.thought(index, (true, part), text, each)?;
                }
            }
        }
        if let Some(proof) = item.encrypted_content.filter(|p| p.get() != "\"\"") {
            let delta = Delta::Signature(proof.get());
            self.give(event::Event::Delta(number, delta), each)?;
        }
        Ok(())
    }

    /// Closes an item's blocks.
    fn close(&mut self, index: u64, each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        let Some(at) = self.open.iter().position(|(i, _)| *i == index) else {
            return Ok(());
        };
        let (_, item) = self.open.remove(at);
        self.done.push(index);
        match item {
            Open::Message(texts) => {
                for text in texts.iter().filter(|t| t.is_open) {
                    self.give(event::Event::Close(text.number), each)?;
                }
                Ok(())
            }
            Open::Call {
                number,
                has_arguments,
                ..
            } => {
                if !has_arguments {
                    let none = Delta::Arguments("\"{}\"");
                    self.give(event::Event::Delta(number, none), each)?;
                }
                self.give(event::Event::Close(number), each)
            }
            Open::Reasoning { number, .. } => self.give(event::Event::Close(number), each),
            Open::Other => Ok(()),
        }
    }

    /// Adds the items that no event announced. Their indexes may differ from those of the events, so
    /// calls are known by their ids, and text and reasoning are taken only if there was none.
    fn rest(&mut self, output: &[Item<'_>], each: &mut Sink<'_>) -> Result<(), AnswerFault> {
        let (has_text, has_items) = (self.has_text, !self.done.is_empty());
        let known = self.call_ids.clone();
        for (at, item) in output.iter().enumerate() {
            let is_known = match &*item.kind {
                "message" => has_text,
                "function_call" | "custom_tool_call" => {
                    let is = |id: Option<RawJsonStr<'_>>| {
                        id.is_some_and(|id| known.iter().any(|known| known == id.get()))
                    };
                    match (item.call_id, item.id) {
                        // Without an id, only its place tells it.
                        (None, None) => self.done.contains(&(at as u64)),
                        (call_id, id) => is(call_id) || is(id),
                    }
                }
                _ => true,
            };
            if !(has_items && is_known) {
                self.unannounced.push(at);
                self.whole_item(AFTER + at as u64, item, each)?;
            }
        }
        Ok(())
    }

    /// Returns the places in the whole output of the items that no event announced.
    pub(super) fn unannounced(&self) -> &[usize] {
        &self.unannounced
    }

    /// Reads the whole response at the end.
    fn end(
        &mut self,
        response: &[u8],
        is_incomplete: bool,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        let read = serde_json::from_slice(response).map_err(|_| wrong())?;
        self.end_with(read, response, is_incomplete, each)
    }

    fn end_with(
        &mut self,
        read: Response<'_>,
        response: &[u8],
        is_incomplete: bool,
        each: &mut Sink<'_>,
    ) -> Result<(), AnswerFault> {
        let incomplete = read.incomplete_details.and_then(|d| d.reason);
        let status = if is_incomplete || incomplete.is_some() {
            "incomplete"
        } else {
            read.status.as_deref().unwrap_or("completed")
        };
        let has_error = read.error.is_some_and(|e| e.get() != "null");
        if matches!(status, "failed" | "cancelled") || has_error {
            return Err(self.error(response));
        }
        if !matches!(status, "completed" | "incomplete") {
            return Err(AnswerFault::Truncated);
        }
        self.begin(each)?;
        if let Some(id) = &read.id {
            self.meter.upstream_id = token_of(id);
        }
        let output = read.output.unwrap_or_default();
        for index in self.open.iter().map(|(i, _)| *i).collect::<Vec<_>>() {
            let at = usize::try_from(index).ok();
            if let Some(item) = at.and_then(|at| output.get(at)) {
                self.whole_item(index, item, each)?;
            }
            self.close(index, each)?;
        }
        self.rest(&output, each)?;
        self.meter.tokens = read.usage.and_then(|usage| usage.0);
        let native = incomplete.as_deref().unwrap_or(status);
        let reason = match (status, native) {
            ("incomplete", "content_filter") => "content_filter",
            ("incomplete", _) => "length",
            _ if self.has_refused => "content_filter",
            _ if self.calls > 0 => "tool_calls",
            _ => "stop",
        };
        self.meter.finish_reason = Some(reason.to_owned());
        self.meter.native_finish_reason = token_of(native);
        self.is_finished = true;
        self.has_given = true;
        self.give(event::Event::Finish(reason), each)
    }
}

fn open_of(open: &mut [(u64, Open)], index: u64) -> Option<&mut Open> {
    open.iter_mut()
        .find(|(i, _)| *i == index)
        .map(|(_, item)| item)
}

/// Returns the arguments of a call as a JSON string.
fn arguments_of(item: &Item<'_>) -> Option<String> {
    if item.kind == "custom_tool_call" {
        return item.input.map(of_input);
    }
    let text = item.arguments?.get();
    Some(match text.as_bytes().first() {
        Some(b'"') => text.to_owned(),
        Some(b'{') => string_of(text),
        _ => return None,
    })
}

/// Returns the arguments that stand for the input of a custom tool: an object with one text.
fn of_input(input: RawJsonStr<'_>) -> String {
    string_of(&format!("{{\"input\":{}}}", input.get()))
}

fn string_of(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 16);
    push_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// Returns the length of a JSON string without its quotes.
fn length(text: RawJsonStr<'_>) -> u64 {
    text.get().len().saturating_sub(2) as u64
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("a stream of OpenAI's Responses API")
}
