//! Relaying of a whole answer from an OpenAI-chat upstream: the gateway's values replace the
//! upstream's in place, its other members are added, choices that deviate from OpenAI's shape are
//! repaired, and every other byte passes unchanged.

use std::{borrow::Cow, ops::Range};

use smallvec::SmallVec;

use super::{
    shape::{Choices, DEPTH, Of},
    usage::{Usage, push_usage, tokens_of},
};
use crate::part::Part as _;
use crate::wire::{
    fault::AnswerFault,
    json::{Scanner, bare_name, push_number, push_string, utf8},
    meta::ResponseMeta,
    meter::{Meter, PlainAnswer},
    provider_error::{is_error, token_of},
};

/// Converts a whole answer from an upstream to the client's.
pub fn plain(names: &ResponseMeta, body: &[u8]) -> Result<PlainAnswer, AnswerFault> {
    let wrong = || AnswerFault::NotTheProtocol("an OpenAI chat completion");
    if utf8(body).is_none() {
        return Err(wrong());
    }
    let (mut meter, mut choices) = (Meter::default(), Choices::default());
    let mut ours: SmallVec<[(Ours, Range<usize>); 8]> = SmallVec::new();
    let (mut read, mut error, mut usage) = (None, None, None::<Range<usize>>);
    let mut scanner = Scanner::new(body, DEPTH);
    let scanned = scanner.object(|s, name| {
        let name = bare_name(body.get(name.clone()).unwrap_or_default());
        if &*name == b"choices" && s.peek() == Some(b'[') {
            let start = s.position();
            read = Some(choices.read(s, body, Of::Message, names, &mut meter)?);
            ours.push((Ours::Choices, start..s.position()));
            return Ok(());
        }
        let value = s.value()?;
        let text = body.get(value.clone()).unwrap_or_default();
        let of_ours = match &*name {
            b"id" => {
                meter.upstream_id = serde_json::from_slice::<Cow<'_, str>>(text)
                    .ok()
                    .and_then(|id| token_of(&id));
                Ours::Id
            }
            b"object" if text == b"\"error\"" => {
                error = Some(AnswerFault::Error(names.origin().read_data(body)));
                return Ok(());
            }
            b"object" => Ours::Object,
            b"created" => Ours::Created,
            b"model" => Ours::Model,
            b"provider" => Ours::Provider,
            b"usage" => {
                usage = Some(value.clone());
                Ours::Usage
            }
            b"anyrouter_metadata" => Ours::Metadata,
            b"error" if !matches!(text, b"null" | b"false" | b"{}" | b"\"\"") => {
                error = Some(AnswerFault::Error(names.origin().read_data(body)));
                return Ok(());
            }
            _ => return Ok(()),
        };
        ours.push((of_ours, value));
        Ok(())
    });
    scanned.and_then(|()| scanner.end()).map_err(|_| wrong())?;
    if let Some(error) = error {
        return Err(error);
    }
    let Some(read) = read.filter(|r| r.count > 0 || r.fault.is_some()) else {
        // A body without choices is not an answer, but may be an error.
        let said = serde_json::from_slice(body).ok().filter(is_error);
        return Err(said.map_or_else(wrong, |_| {
            AnswerFault::Error(names.origin().read_data(body))
        }));
    };
    if let Some(fault) = read.fault {
        return Err(fault);
    }
    // Without a finish reason the answer is incomplete, unless the upstream never sends one.
    if !choices.are_finished() && !choices.know_no_finish() {
        return Err(AnswerFault::Truncated);
    }
    let usage = usage.or(read.usage);
    let theirs = usage.and_then(|u| Usage::read(body.get(u)?));
    let theirs = theirs.as_ref();
    meter.tokens = theirs.and_then(tokens_of);
    let mut out = Vec::with_capacity(body.len() + 512);
    let mut written = 0;
    let omitted = &choices.omitted;
    for (of_ours, value) in &ours {
        out.extend_from_slice(body.part(written..value.start));
        let text = body.get(value.clone()).unwrap_or_default();
        match of_ours {
            Ours::Choices => out.extend_from_slice(read.repaired.as_deref().unwrap_or(text)),
            Ours::Created if text.iter().all(u8::is_ascii_digit) => out.extend_from_slice(text),
            other => other.push(&mut out, names, &meter, theirs, omitted),
        }
        written = value.end;
    }
    let end = body.iter().rposition(|b| *b == b'}').ok_or_else(wrong)?;
    out.extend_from_slice(body.part(written..end));
    for (of_ours, name) in ALL_OURS
        .iter()
        .filter(|(o, _)| !ours.iter().any(|(known, _)| known == o))
    {
        out.extend_from_slice(name);
        of_ours.push(&mut out, names, &meter, theirs, omitted);
    }
    out.extend_from_slice(body.part(end..));
    Ok(PlainAnswer {
        body: out.into(),
        meter,
    })
}

/// A member whose value the gateway writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    Id,
    Object,
    Created,
    Model,
    Choices,
    Provider,
    Usage,
    Metadata,
}

/// Members that are added if missing, each with the text before its value.
const ALL_OURS: [(Ours, &[u8]); 7] = [
    (Ours::Id, b",\"id\":"),
    (Ours::Object, b",\"object\":"),
    (Ours::Created, b",\"created\":"),
    (Ours::Model, b",\"model\":"),
    (Ours::Usage, b",\"usage\":"),
    (Ours::Provider, b",\"provider\":"),
    (Ours::Metadata, b",\"anyrouter_metadata\":"),
];

impl Ours {
    fn push(
        self,
        out: &mut Vec<u8>,
        names: &ResponseMeta,
        meter: &Meter,
        theirs: Option<&Usage<'_>>,
        omitted: &[String],
    ) {
        match self {
            Self::Id => names.push_id(out),
            Self::Object => out.extend_from_slice(b"\"chat.completion\""),
            Self::Created => push_number(out, names.created),
            Self::Model => push_string(out, names.model.as_str()),
            Self::Choices => {}
            Self::Provider => push_string(out, &names.provider),
            Self::Usage => push_usage(out, names, meter, theirs),
            Self::Metadata => names.push_metadata(out, omitted),
        }
    }
}
