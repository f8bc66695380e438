//! The order of blocks in protocols whose streams write one block after the other: a block that
//! opens while another is open waits until that one is closed.

use std::collections::VecDeque;

use super::{
    event::{Block, Delta, Event},
    fault::AnswerFault,
};

/// Maximum length of the text that waits, in bytes.
const WAITING: usize = 4 << 20;

/// The blocks of a stream that are open. Their numbers rise by one.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The block whose events are passed on.
    open: Option<usize>,
    /// Blocks that opened while it was open, in order.
    waiting: VecDeque<Waiting>,
    /// The length of the text that waits.
    held: usize,
}

#[derive(Debug)]
struct Waiting {
    number: usize,
    events: Vec<Held>,
}

/// An event that waits.
#[derive(Debug)]
enum Held {
    Text,
    Reasoning,
    Redacted(String),
    Call { id: String, name: String },
    Delta(fn(&str) -> Delta<'_>, String),
    Close,
}

impl Held {
    fn of_block(block: Block<'_>) -> Self {
        match block {
            Block::Text => Self::Text,
            Block::Reasoning => Self::Reasoning,
            Block::Redacted(data) => Self::Redacted(data.to_owned()),
            Block::Call { id, name } => Self::Call {
                id: id.to_owned(),
                name: name.to_owned(),
            },
        }
    }

    fn of_delta(delta: Delta<'_>) -> Self {
        match delta {
            Delta::Text(text) => Self::Delta(|text| Delta::Text(text), text.to_owned()),
            Delta::Reasoning(text) => Self::Delta(|text| Delta::Reasoning(text), text.to_owned()),
            Delta::Signature(text) => Self::Delta(|text| Delta::Signature(text), text.to_owned()),
            Delta::Arguments(text) => Self::Delta(|text| Delta::Arguments(text), text.to_owned()),
        }
    }

    fn event(&self, number: usize) -> Event<'_> {
        match self {
            Self::Text => Event::Open(number, Block::Text),
            Self::Reasoning => Event::Open(number, Block::Reasoning),
            Self::Redacted(data) => Event::Open(number, Block::Redacted(data)),
            Self::Call { id, name } => Event::Open(number, Block::Call { id, name }),
            Self::Delta(delta, text) => Event::Delta(number, delta(text)),
            Self::Close => Event::Close(number),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Text | Self::Reasoning | Self::Close => 0,
            Self::Redacted(text) | Self::Delta(_, text) => text.len(),
            Self::Call { id, name } => id.len() + name.len(),
        }
    }
}

impl Order {
    /// Passes an event to `each` if it is its block's turn, and otherwise holds it back. The end of a
    /// block also passes the blocks that waited for it, up to one that is still open.
    pub(super) fn event(
        &mut self,
        event: Event<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), AnswerFault> {
        let (number, held) = match event {
            Event::Start | Event::Finish(_) => {
                each(event);
                return Ok(());
            }
            _ if self.open.is_none() => {
                self.pass(event, each);
                return Ok(());
            }
            Event::Open(number, block) => (number, Held::of_block(block)),
            Event::Delta(number, _) | Event::Close(number) if self.open == Some(number) => {
                self.pass(event, each);
                return Ok(());
            }
            Event::Delta(number, delta) => (number, Held::of_delta(delta)),
            Event::Close(number) => (number, Held::Close),
        };
        self.held += held.length();
        if self.held > WAITING {
            return Err(AnswerFault::TooLong { limit: WAITING });
        }
        match self.waiting.iter_mut().find(|w| w.number == number) {
            Some(block) => block.events.push(held),
            None => self.waiting.push_back(Waiting {
                number,
                events: vec![held],
            }),
        }
        Ok(())
    }

    fn pass(&mut self, event: Event<'_>, each: &mut dyn FnMut(Event<'_>)) {
        match event {
            Event::Open(number, _) => self.open = Some(number),
            Event::Close(_) => self.open = None,
            _ => {}
        }
        each(event);
        while self.open.is_none()
            && let Some(block) = self.waiting.pop_front()
        {
            self.open = Some(block.number);
            for held in &block.events {
                self.held = self.held.saturating_sub(held.length());
                if matches!(held, Held::Close) {
                    self.open = None;
                }
                each(held.event(block.number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_opens_within_another_follows_it_whole() {
        let (mut order, mut seen) = (Order::default(), Vec::new());
        let call = Block::Call {
            id: "\"a\"",
            name: "\"f\"",
        };
        for event in [
            Event::Start,
            Event::Open(0, Block::Text),
            Event::Open(1, call),
            Event::Delta(1, Delta::Arguments("\"1\"")),
            Event::Delta(0, Delta::Text("\"t\"")),
            Event::Open(2, Block::Text),
            Event::Close(1),
            Event::Close(0),
            Event::Delta(2, Delta::Text("\"u\"")),
            Event::Close(2),
        ] {
            order
                .event(event, &mut |event| seen.push(format!("{event:?}")))
                .unwrap();
        }
        let expected = [
            Event::Start,
            Event::Open(0, Block::Text),
            Event::Delta(0, Delta::Text("\"t\"")),
            Event::Close(0),
            Event::Open(1, call),
            Event::Delta(1, Delta::Arguments("\"1\"")),
            Event::Close(1),
            Event::Open(2, Block::Text),
            Event::Delta(2, Delta::Text("\"u\"")),
            Event::Close(2),
        ];
        assert_eq!(seen, expected.map(|event| format!("{event:?}")));
    }
}
