//! The order of an Anthropic stream's blocks: one after the other. A block that begins while another
//! is open waits until that one is closed.

use std::collections::VecDeque;

use crate::wire::fault::AnswerFault;

/// Maximum length of the events that wait, in bytes.
const WAITING: usize = 4 << 20;

/// The blocks of a stream that are open. Their numbers rise by one.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// The block whose events are written.
    open: Option<usize>,
    /// Blocks that began while it was open, in order.
    waiting: VecDeque<Waiting>,
    /// The length of the events that wait.
    held: usize,
}

#[derive(Debug)]
struct Waiting {
    number: usize,
    events: Vec<u8>,
    is_closed: bool,
}

impl Sequence {
    /// Appends an event of a block; the first one opens it. The event goes to `out` if it is the
    /// block's turn.
    pub(super) fn write(
        &mut self,
        number: usize,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), AnswerFault> {
        if *self.open.get_or_insert(number) == number {
            write(out);
            return Ok(());
        }
        let first = self.waiting.front().map_or(number, |w| w.number);
        let at = number.saturating_sub(first);
        if at == self.waiting.len() {
            self.waiting.push_back(Waiting {
                number,
                events: Vec::new(),
                is_closed: false,
            });
        }
        if let Some(block) = self.waiting.get_mut(at) {
            let before = block.events.len();
            write(&mut block.events);
            self.held += block.events.len() - before;
        }
        if self.held > WAITING {
            return Err(AnswerFault::TooLong { limit: WAITING });
        }
        Ok(())
    }

    /// Appends the last event of a block, and then the blocks that waited for it, up to one that is
    /// still open.
    pub(super) fn close(
        &mut self,
        number: usize,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), AnswerFault> {
        self.write(number, out, write)?;
        if self.open != Some(number) {
            if let Some(block) = self.waiting.iter_mut().find(|w| w.number == number) {
                block.is_closed = true;
            }
            return Ok(());
        }
        self.open = None;
        while self.open.is_none()
            && let Some(block) = self.waiting.pop_front()
        {
            self.held = self.held.saturating_sub(block.events.len());
            out.extend_from_slice(&block.events);
            self.open = (!block.is_closed).then_some(block.number);
        }
        Ok(())
    }
}
