//! The tool calls of a chat stream in order, one after the other. Chunks may interleave the pieces
//! of several calls; events cannot. A call whose arguments are not complete stays open, and the
//! pieces of others wait for their turn.

use std::borrow::Cow;

use crate::wire::{
    event::{Block, Delta, Event},
    fault::AnswerFault,
};

/// Maximum length of the arguments that wait, in bytes.
const WAITING: usize = 4 << 20;

/// The calls of a stream.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// The call whose block is open.
    open: Option<(u64, Nesting)>,
    waiting: Vec<Waiting>,
}

/// A call that waits for its turn.
#[derive(Debug)]
struct Waiting {
    index: u64,
    id: String,
    name: String,
    /// Its arguments so far, as the inner text of a JSON string.
    arguments: String,
}

/// A piece of a call, as raw JSON strings.
pub(super) struct Piece<'a> {
    pub(super) index: u64,
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) arguments: Option<&'a str>,
}

/// The nesting of arguments that arrive in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    is_complete: bool,
}

impl Nesting {
    /// Reads a piece, which is a JSON string.
    fn read(&mut self, piece: &str) {
        let text: Cow<'_, str> = serde_json::from_str(piece).unwrap_or_default();
        for byte in text.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    self.is_complete |= self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

impl Calls {
    /// Adds a piece. The caller has closed any block that is not a call's.
    pub(super) fn piece(
        &mut self,
        piece: &Piece<'_>,
        each: &mut impl FnMut(Event<'_>),
    ) -> Result<(), AnswerFault> {
        match &mut self.open {
            Some((index, nesting)) if *index == piece.index => {
                if let Some(arguments) = piece.arguments {
                    nesting.read(arguments);
                    each(Event::Delta(Delta::Arguments(arguments)));
                }
            }
            Some(_) => self.wait(piece)?,
            None => {
                let (Some(id), Some(name)) = (piece.id, piece.name) else {
                    return Err(wrong());
                };
                self.begin(piece.index, id, name, piece.arguments, each);
            }
        }
        while self.open.is_some_and(|(_, nesting)| nesting.is_complete) && !self.waiting.is_empty()
        {
            self.next(each);
        }
        Ok(())
    }

    /// Closes the calls, those that wait among them.
    pub(super) fn close(&mut self, each: &mut impl FnMut(Event<'_>)) {
        while !self.waiting.is_empty() {
            self.next(each);
        }
        if self.open.take().is_some() {
            each(Event::Close);
        }
    }

    fn begin(
        &mut self,
        index: u64,
        id: &str,
        name: &str,
        arguments: Option<&str>,
        each: &mut impl FnMut(Event<'_>),
    ) {
        each(Event::Open(Block::Call { id, name }));
        let mut nesting = Nesting::default();
        if let Some(arguments) = arguments {
            nesting.read(arguments);
            each(Event::Delta(Delta::Arguments(arguments)));
        }
        self.open = Some((index, nesting));
    }

    fn wait(&mut self, piece: &Piece<'_>) -> Result<(), AnswerFault> {
        let inner = piece
            .arguments
            .and_then(|a| a.strip_prefix('"')?.strip_suffix('"'))
            .unwrap_or_default();
        let held: usize = self.waiting.iter().map(|w| w.arguments.len()).sum();
        if held + inner.len() > WAITING {
            return Err(AnswerFault::TooLong { limit: WAITING });
        }
        if let Some(call) = self.waiting.iter_mut().find(|w| w.index == piece.index) {
            call.arguments.push_str(inner);
            return Ok(());
        }
        let (Some(id), Some(name)) = (piece.id, piece.name) else {
            return Err(wrong());
        };
        self.waiting.push(Waiting {
            index: piece.index,
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: inner.to_owned(),
        });
        Ok(())
    }

    /// Closes the open call and begins the first that waits.
    fn next(&mut self, each: &mut impl FnMut(Event<'_>)) {
        if self.open.take().is_some() {
            each(Event::Close);
        }
        let call = self.waiting.remove(0);
        let arguments = format!("\"{}\"", call.arguments);
        let arguments = Some(arguments.as_str()).filter(|_| !call.arguments.is_empty());
        self.begin(call.index, &call.id, &call.name, arguments, each);
    }
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an OpenAI chat completion chunk")
}
