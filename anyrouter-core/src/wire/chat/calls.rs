//! The tool calls of a chat stream as blocks. Chunks may interleave the pieces of several calls, and
//! no chunk says that a call is complete: its arguments tell.

use std::borrow::Cow;

use crate::wire::{
    event::{Block, Delta, Event},
    fault::AnswerFault,
    json::whole_characters,
};

/// Maximum number of calls that are open at once.
const OPEN_CALLS: usize = 256;

/// Receives the events of the blocks. An error ends the answer.
pub(super) type Events<'a> = dyn FnMut(Event<'_>) -> Result<(), AnswerFault> + 'a;

/// The calls of a stream.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Vec<Call>,
    /// One more than the highest index so far.
    end: u64,
}

#[derive(Debug)]
struct Call {
    index: u64,
    /// The number of its block.
    number: usize,
    nesting: Nesting,
}

/// A piece of a call, as raw JSON strings.
pub(super) struct Piece<'a> {
    pub(super) index: u64,
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) arguments: Option<&'a str>,
}

/// Parser state of arguments that arrive in pieces.
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
        // Half a character's escapes are in the next piece.
        let whole = whole_characters(piece.as_bytes());
        let text: Cow<'_, str> =
            serde_json::from_slice(whole.as_deref().unwrap_or(piece.as_bytes()))
                .unwrap_or_default();
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
    /// Adds a piece, whose block's number is `count` if it begins a call.
    pub(super) fn piece(
        &mut self,
        piece: &Piece<'_>,
        count: &mut usize,
        each: &mut Events<'_>,
    ) -> Result<(), AnswerFault> {
        let known = self.open.iter().position(|c| c.index == piece.index);
        let at = match known {
            Some(at) => at,
            // The call is complete: only pieces without content may follow.
            None if piece.index < self.end => {
                let text: Cow<'_, str> = piece
                    .arguments
                    .map_or(Ok("".into()), serde_json::from_str)
                    .map_err(|_| wrong())?;
                return if text.trim().is_empty() {
                    Ok(())
                } else {
                    Err(wrong())
                };
            }
            None => {
                self.begin(piece, *count, each)?;
                *count += 1;
                self.open.len() - 1
            }
        };
        if let (Some(call), Some(arguments)) = (self.open.get_mut(at), piece.arguments) {
            call.nesting.read(arguments);
            each(Event::Delta(call.number, Delta::Arguments(arguments)))?;
        }
        Ok(())
    }

    fn begin(
        &mut self,
        piece: &Piece<'_>,
        number: usize,
        each: &mut Events<'_>,
    ) -> Result<(), AnswerFault> {
        let (Some(id), Some(name)) = (piece.id, piece.name) else {
            return Err(wrong());
        };
        self.close_complete(each)?;
        if self.open.len() >= OPEN_CALLS {
            return Err(wrong());
        }
        self.open.push(Call {
            index: piece.index,
            number,
            nesting: Nesting::default(),
        });
        self.end = self.end.max(piece.index.saturating_add(1));
        each(Event::Open(number, Block::Call { id, name }))
    }

    /// Closes the calls whose arguments are complete.
    pub(super) fn close_complete(&mut self, each: &mut Events<'_>) -> Result<(), AnswerFault> {
        let (complete, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|c| c.nesting.is_complete);
        self.open = open;
        close_all(complete, each)
    }

    /// Closes all calls.
    pub(super) fn close(&mut self, each: &mut Events<'_>) -> Result<(), AnswerFault> {
        close_all(std::mem::take(&mut self.open), each)
    }
}

fn close_all(calls: Vec<Call>, each: &mut Events<'_>) -> Result<(), AnswerFault> {
    calls
        .iter()
        .try_for_each(|call| each(Event::Close(call.number)))
}

fn wrong() -> AnswerFault {
    AnswerFault::NotTheProtocol("an OpenAI chat completion chunk")
}
