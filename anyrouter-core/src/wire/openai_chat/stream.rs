//! A stream from an OpenAI-chat upstream: each event keeps its bytes, but for the values that are ours.

use std::{borrow::Cow, ops::Range};

use crate::wire::{
    answer::{AnswerFault, AnswerNames, Meter, Progress, token_of},
    json::{JsonFault, Scanner, bare_name, push_string, utf8},
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
    names: Box<AnswerNames>,
    meter: Meter,
    /// The values that replace the upstream's, as JSON.
    id: Vec<u8>,
    model: Vec<u8>,
    provider: Vec<u8>,
    head: Option<Head>,
}

impl StreamRelay {
    /// A relay that writes these names. Events of more than `limit` bytes are faults.
    pub fn new(names: Box<AnswerNames>, limit: usize) -> Self {
        let json = |text: &str| {
            let mut out = Vec::with_capacity(text.len() + 2);
            push_string(&mut out, text);
            out
        };
        let (id, model, provider) = (json(&names.id.generation()), json(names.model.as_str()), json(&names.provider));
        Self { splitter: Splitter::new(limit), rewriter: Rewriter { names, meter: Meter::default(), id, model, provider, head: None } }
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
        let data = event.data.as_deref().unwrap_or_default();
        if data.trim_ascii() == b"[DONE]" {
            return Ok(Step::Done);
        }
        // Comments, and what stands beside the data, go on as they came, if a client can read them. An event without data would be read
        // as JSON all the same.
        let is_text = utf8(event.raw).is_some();
        if data.trim_ascii().is_empty() {
            if is_text && is_comment(event.raw) {
                out.extend_from_slice(event.raw);
            }
            return Ok(Step::Nothing);
        }
        match event.data_range().filter(|_| is_text) {
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
                if utf8(data).is_none() {
                    return Err(AnswerFault::NotTheProtocol("an OpenAI chat completion chunk"));
                }
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
        let start = out.len();
        let mut scanner = Scanner::new(data, DEPTH);
        let head = self.head.take().filter(|h| data.starts_with(&h.theirs));
        let mut chunk =
            Chunk { rewriter: self, data, out, start, written: 0, present: Present::default(), is_plain: true, seen: Seen::default() };
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
        let Chunk { written, present, seen, .. } = chunk;
        let end = scanner.position();
        if scanned.and_then(|()| scanner.end()).is_err() {
            return Err(wrong());
        }
        if let Some(error) = seen.error {
            return Err(error);
        }
        if seen.bad_choices {
            return Err(wrong());
        }
        if !seen.choices && !seen.usage {
            return Ok(false);
        }
        let close = data.get(..end).and_then(|d| d.iter().rposition(|b| *b == b'}')).unwrap_or(written);
        out.extend_from_slice(data.get(written..close).unwrap_or_default());
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
        if !seen.choices {
            out.extend_from_slice(b",\"choices\":");
            out.extend_from_slice(self.names.no_choices());
        }
        out.extend_from_slice(data.get(close..).unwrap_or_default());
        Ok(true)
    }
}

/// What the chunks of a stream begin with, up to the value of `choices`: it is the same in nearly all of them.
#[derive(Debug)]
struct Head {
    theirs: Vec<u8>,
    ours: Vec<u8>,
    present: Present,
}

/// Which of our members the upstream wrote too.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    id: bool,
    model: bool,
    provider: bool,
}

fn is_comment(raw: &[u8]) -> bool {
    raw.split(|b| matches!(b, b'\n' | b'\r')).all(|line| line.is_empty() || line.starts_with(b":"))
}

/// A chunk on its way from `data` to `out`.
struct Chunk<'a> {
    rewriter: &'a mut Rewriter,
    data: &'a [u8],
    out: &'a mut Vec<u8>,
    /// Where it begins in `out`.
    start: usize,
    /// How much of `data` is in `out`.
    written: usize,
    present: Present,
    /// Nothing so far but what every chunk of a stream says alike.
    is_plain: bool,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    choices: bool,
    bad_choices: bool,
    usage: bool,
    error: Option<AnswerFault>,
}

impl Chunk<'_> {
    fn member(&mut self, s: &mut Scanner<'_>, name: &Range<usize>) -> Result<(), JsonFault> {
        let name = bare_name(self.data.get(name.clone()).unwrap_or_default());
        if &*name == b"choices" {
            if self.is_plain && self.rewriter.head.is_none() {
                self.copy_up_to(s.position());
                let (theirs, ours) = (self.data.get(..s.position()), self.out.get(self.start..));
                let (theirs, ours) = (theirs.unwrap_or_default().to_vec(), ours.unwrap_or_default().to_vec());
                self.rewriter.head = Some(Head { theirs, ours, present: self.present });
            }
            return self.choices(s);
        }
        let value = s.value()?;
        let text = self.data.get(value.clone()).unwrap_or_default();
        match &*name {
            b"id" => {
                let meter = &mut self.rewriter.meter;
                if meter.upstream_id.is_none() {
                    meter.upstream_id = serde_json::from_slice::<Cow<'_, str>>(text).ok().and_then(|id| token_of(&id));
                }
                self.present.id = true;
                self.copy_up_to(value.start);
                self.out.extend_from_slice(&self.rewriter.id);
                self.written = value.end;
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
            b"usage" if text != b"null" => {
                self.is_plain = false;
                self.seen.usage = true;
                self.copy_up_to(value.start);
                let meter = &mut self.rewriter.meter;
                if let Some(tokens) = read_usage(text) {
                    meter.tokens = Some(tokens);
                    meter.usage_sent = true;
                    push_usage(self.out, &self.rewriter.names, &self.rewriter.meter, text);
                } else {
                    // What cannot be read is not passed on as if it were: an estimate follows at the end.
                    self.out.extend_from_slice(b"null");
                }
                self.written = value.end;
            }
            b"anyrouter_metadata" => {
                self.is_plain = false;
                self.rewriter.meter.metadata_sent = true;
                self.copy_up_to(value.start);
                self.rewriter.names.push_stream_metadata(self.out, &self.rewriter.meter);
                self.written = value.end;
            }
            b"error" if text != b"null" => {
                self.is_plain = false;
                self.seen.error = Some(error_of(text));
            }
            _ => {}
        }
        Ok(())
    }

    /// At the value of `choices`.
    fn choices(&mut self, s: &mut Scanner<'_>) -> Result<(), JsonFault> {
        self.seen.choices = true;
        let start = s.position();
        let is_list = s.peek() == Some(b'[');
        if is_list {
            read_choices(s, self.data, b"delta", &mut self.rewriter.meter)?;
        } else {
            s.value()?;
        }
        let text = self.data.get(start..s.position()).unwrap_or_default();
        self.seen.bad_choices |= !is_list && text != b"null";
        if text == b"null" || (!self.rewriter.names.include_usage && is_empty_list(text)) {
            self.copy_up_to(start);
            self.out.extend_from_slice(self.rewriter.names.no_choices());
            self.written = s.position();
        }
        Ok(())
    }

    fn copy_up_to(&mut self, place: usize) {
        self.out.extend_from_slice(self.data.get(self.written..place).unwrap_or_default());
        self.written = place;
    }
}

fn is_empty_list(text: &[u8]) -> bool {
    matches!(text, [b'[', inner @ .., b']'] if inner.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{catalog::Prices, ids::RequestId};

    /// The chunks that a client gets for these.
    fn relayed(chunks: &[&str]) -> Vec<Value> {
        let names = AnswerNames {
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
            omitted: Vec::new(),
            notes: Vec::new(),
        };
        let (mut relay, mut out) = (StreamRelay::new(Box::new(names), 1 << 20), Vec::new());
        for chunk in chunks {
            relay.feed(format!("data: {chunk}\n\n").as_bytes(), &mut out).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        text.split_terminator("\n\n").map(|e| serde_json::from_str(e.strip_prefix("data: ").unwrap()).unwrap()).collect()
    }

    #[test]
    fn what_chunks_begin_with_may_change_and_be_spaced_differently() {
        let alike = r#"{"id":"u","n":1,"choices":"#;
        let tails = [r#"[{"delta":{"content":"a"}}]}"#, r#" [{"delta":{"content":"b"}}] ,"x":2}"#, " null}", "[ ]}"];
        let mut chunks: Vec<String> = tails.iter().map(|tail| format!("{alike}{tail}")).collect();
        chunks.push(r#"{"n":1,"id":"u","choices":[{"delta":{"content":"c"}}]}"#.to_owned());
        chunks.push(format!("{alike}{}", tails[0]));
        let seen = relayed(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
        let said: Vec<&Value> = seen.iter().map(|c| &c["choices"][0]["delta"]["content"]).collect();
        assert_eq!(said, [&json!("a"), &json!("b"), &Value::Null, &Value::Null, &json!("c"), &json!("a")]);
        assert!(seen.iter().all(|c| c["id"] == "gen-000000000000000000000000" && c["n"] == 1 && c["model"] == "lab/x"), "{seen:?}");
        assert_eq!(seen[1]["x"], 2);
    }

    #[test]
    fn usage_that_cannot_be_read_is_not_passed_on_and_no_cost_but_ours_is() {
        let seen = relayed(&[
            r#"{"choices":[],"usage":{"prompt_tokens":1.5,"cost":9}}"#,
            r#"{"choices":[],"usage":{"cost":8,"prompt_tokens":1,"completion_tokens":1,"cost":7}}"#,
        ]);
        assert_eq!(seen[0]["usage"], Value::Null);
        assert_eq!(seen[1]["usage"]["cost"], Value::Null, "the price is not known");
    }

    #[test]
    fn names_that_are_spelt_with_escapes_are_the_same_names() {
        let mut relay_meter = Meter::default();
        let text = br#"[{"d\u0065lta":{"cont\u0065nt":"abcd"},"finish_re\u0061son":"stop"}]"#;
        read_choices(&mut Scanner::new(text, 16), text, b"delta", &mut relay_meter).unwrap();
        assert_eq!((relay_meter.text, relay_meter.finish_reason.as_deref()), (4, Some("stop")));
    }
}
