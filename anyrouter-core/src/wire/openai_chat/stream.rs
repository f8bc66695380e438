//! A stream from an OpenAI-chat upstream: each event keeps its bytes, but for the values that are ours.

use crate::wire::{
    answer::{AnswerFault, AnswerNames, Meter, Progress, token_of},
    json::{Scanner, push_string},
    openai_chat::answer::{DEPTH, error_of, push_usage, read_choices, read_usage},
    sse::{Event, Splitter},
};

/// Passes a stream through.
#[derive(Debug)]
pub struct StreamRelay {
    splitter: Splitter,
    rewriter: Rewriter,
}

#[derive(Debug)]
struct Rewriter {
    names: AnswerNames,
    meter: Meter,
    /// The values that replace the upstream's, as JSON.
    id: Vec<u8>,
    model: Vec<u8>,
    provider: Vec<u8>,
}

impl StreamRelay {
    /// A relay that writes these names. Events of more than `limit` bytes are faults.
    pub fn new(names: AnswerNames, limit: usize) -> Self {
        let json = |text: &str| {
            let mut out = Vec::with_capacity(text.len() + 2);
            push_string(&mut out, text);
            out
        };
        let (id, model, provider) = (json(&names.id), json(&names.model), json(&names.provider));
        Self { splitter: Splitter::new(limit), rewriter: Rewriter { names, meter: Meter::default(), id, model, provider } }
    }

    /// Takes bytes from the upstream and appends to `out` what goes to the client.
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

    /// What passed so far.
    pub fn meter(&self) -> &Meter {
        &self.rewriter.meter
    }

    /// The names that it writes.
    pub fn names(&self) -> &AnswerNames {
        &self.rewriter.names
    }
}

enum Step {
    Answered,
    Nothing,
    Done,
}

impl Rewriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Step, AnswerFault> {
        let Some(data) = event.data.as_deref() else {
            out.extend_from_slice(event.raw);
            return Ok(Step::Nothing);
        };
        if data.trim_ascii() == b"[DONE]" {
            return Ok(Step::Done);
        }
        if data.trim_ascii().is_empty() {
            out.extend_from_slice(event.raw);
            return Ok(Step::Nothing);
        }
        match event.data_range() {
            Some(range) => {
                let start = out.len();
                out.extend_from_slice(event.raw.get(..range.start).unwrap_or_default());
                if !self.chunk(data, out).inspect_err(|_| out.truncate(start))? {
                    out.truncate(start);
                    return Ok(Step::Nothing);
                }
                out.extend_from_slice(event.raw.get(range.end..).unwrap_or_default());
            }
            None => {
                // Data of several lines: a line end within JSON is white space, and becomes a space.
                let one_line: Vec<u8> = data.iter().map(|b| if *b == b'\n' { b' ' } else { *b }).collect();
                let start = out.len();
                out.extend_from_slice(b"data: ");
                if !self.chunk(&one_line, out).inspect_err(|_| out.truncate(start))? {
                    out.truncate(start);
                    return Ok(Step::Nothing);
                }
                out.extend_from_slice(b"\n\n");
            }
        }
        Ok(Step::Answered)
    }

    /// Appends a chunk with our values; false where it is no chunk, as a `ping`. Where it is none or a fault, what was appended is of no
    /// use.
    fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<bool, AnswerFault> {
        let wrong = || AnswerFault::NotTheProtocol("an OpenAI chat completion chunk");
        if std::str::from_utf8(data).is_err() {
            return Err(wrong());
        }
        let (mut written, mut has_provider, mut first) = (0, false, true);
        let (mut saw_choices, mut saw_usage, mut bad_choices, mut error) = (false, false, false, None);
        let mut scanner = Scanner::new(data, DEPTH);
        let scanned = scanner.object(|s, name| {
            let name = spelt_out(data.get(name.clone()).unwrap_or_default());
            let value = s.value()?;
            let text = data.get(value.clone()).unwrap_or_default();
            let mut replace = |with: &[u8], out: &mut Vec<u8>| {
                out.extend_from_slice(data.get(written..value.start).unwrap_or_default());
                out.extend_from_slice(with);
                written = value.end;
            };
            match &*name {
                b"id" => {
                    if self.meter.upstream_id.is_none() {
                        self.meter.upstream_id = serde_json::from_slice::<String>(text).ok().and_then(|id| token_of(&id));
                    }
                    replace(&self.id, out);
                }
                b"model" => replace(&self.model, out),
                b"provider" => {
                    has_provider = true;
                    replace(&self.provider, out);
                }
                b"choices" => {
                    saw_choices = true;
                    bad_choices = text != b"null" && !text.starts_with(b"[");
                    read_choices(text, b"delta", &mut self.meter);
                    if text == b"null" || (!self.names.include_usage && is_empty_list(text)) {
                        replace(self.names.no_choices(), out);
                    }
                }
                b"usage" if text != b"null" => {
                    if let Some(tokens) = read_usage(text) {
                        self.meter.tokens = Some(tokens);
                        self.meter.usage_sent = true;
                        saw_usage = true;
                        replace(b"", out);
                        push_usage(out, &self.names, &self.meter, text);
                    }
                }
                b"anyrouter_metadata" => {
                    self.meter.metadata_sent = true;
                    replace(b"", out);
                    self.names.push_stream_metadata(out, &self.meter);
                }
                b"error" if text != b"null" => error = Some(error_of(text)),
                _ => {}
            }
            first = false;
            Ok(())
        });
        let end = scanner.position();
        let fault = match (scanned.and_then(|()| scanner.end()), error) {
            (Err(_), _) => Some(wrong()),
            (Ok(()), Some(error)) => Some(error),
            (Ok(()), None) => bad_choices.then(wrong),
        };
        if let Some(fault) = fault {
            return Err(fault);
        }
        if !saw_choices && !saw_usage {
            return Ok(false);
        }
        let close = data.get(..end).and_then(|d| d.iter().rposition(|b| *b == b'}')).unwrap_or(written);
        out.extend_from_slice(data.get(written..close).unwrap_or_default());
        if !has_provider {
            out.extend_from_slice(if first { b"\"provider\":" } else { b",\"provider\":" });
            out.extend_from_slice(&self.provider);
        }
        if !saw_choices {
            out.extend_from_slice(b",\"choices\":");
            out.extend_from_slice(self.names.no_choices());
        }
        out.extend_from_slice(data.get(close..).unwrap_or_default());
        Ok(true)
    }
}

/// A member's name, given with its quotes, without them and with its escapes resolved.
fn spelt_out(quoted: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let bare = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !bare.contains(&b'\\') {
        return bare.into();
    }
    serde_json::from_slice::<String>(quoted).map_or(bare.into(), |name| name.into_bytes().into())
}

fn is_empty_list(text: &[u8]) -> bool {
    matches!(text, [b'[', inner @ .., b']'] if inner.trim_ascii().is_empty())
}
