//! A whole answer, collected from events, for a client that did not request a stream.

use super::{
    event::{Block, Delta, Event},
    fault::AnswerFault,
    json::whole_characters,
};

/// The blocks of an answer, in order.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) blocks: Vec<WholeBlock>,
    /// The finish reason, in OpenAI's terms.
    pub(super) finish: Option<String>,
}

#[derive(Debug)]
pub(super) struct WholeBlock {
    pub(super) kind: Kind,
    /// Text, reasoning or arguments, as between the quotes of a JSON string.
    pub(super) text: String,
    /// The proof of reasoning, in the same form.
    pub(super) proof: String,
}

/// The kind of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Reasoning,
    /// Reasoning that only the provider can read: the proof is all of it.
    Redacted,
    /// The call of a tool: its id and name, as JSON strings.
    Call {
        id: String,
        name: String,
    },
}

/// Returns what is between the quotes of a JSON string.
pub(super) fn inner(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or_default()
}

impl Whole {
    /// Adds an event.
    pub(super) fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start | Event::Close(_) => {}
            Event::Finish(reason) => self.finish = Some(reason.to_owned()),
            Event::Open(_, block) => {
                let (kind, proof) = match block {
                    Block::Text => (Kind::Text, ""),
                    Block::Reasoning => (Kind::Reasoning, ""),
                    Block::Redacted(data) => (Kind::Redacted, inner(data)),
                    Block::Call { id, name } => {
                        let (id, name) = (id.to_owned(), name.to_owned());
                        (Kind::Call { id, name }, "")
                    }
                };
                self.blocks.push(WholeBlock {
                    kind,
                    text: String::new(),
                    proof: proof.to_owned(),
                });
            }
            // Blocks are numbered in the order in which they open.
            Event::Delta(number, delta) => {
                if let Some(block) = self.blocks.get_mut(number) {
                    match delta {
                        Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) => {
                            block.text.push_str(inner(text));
                        }
                        Delta::Signature(proof) => block.proof.push_str(inner(proof)),
                    }
                }
            }
        }
    }

    /// Joins adjacent texts, and adjacent thoughts without a proof.
    pub(super) fn join(&mut self) {
        self.blocks.dedup_by(|block, before| {
            let is_joined = block.kind == before.kind
                && matches!(block.kind, Kind::Text | Kind::Reasoning)
                && before.proof.is_empty()
                && block.proof.is_empty();
            if is_joined {
                before.text.push_str(&block.text);
            }
            is_joined
        });
    }

    /// Passes the events to `each`, those of one block after those of another, and each text in one
    /// piece.
    pub(super) fn replay(
        &self,
        each: &mut dyn FnMut(Event<'_>) -> Result<(), AnswerFault>,
    ) -> Result<(), AnswerFault> {
        each(Event::Start)?;
        for (number, block) in self.blocks.iter().enumerate() {
            let (text, proof) = (quoted(&block.text), quoted(&block.proof));
            let (kind, delta) = match &block.kind {
                Kind::Text => (Block::Text, Delta::Text(&text)),
                Kind::Reasoning => (Block::Reasoning, Delta::Reasoning(&text)),
                Kind::Redacted => (Block::Redacted(&proof), Delta::Reasoning(&text)),
                Kind::Call { id, name } => (Block::Call { id, name }, Delta::Arguments(&text)),
            };
            each(Event::Open(number, kind))?;
            if !block.text.is_empty() {
                each(Event::Delta(number, delta))?;
            }
            if block.kind == Kind::Reasoning && !block.proof.is_empty() {
                each(Event::Delta(number, Delta::Signature(&proof)))?;
            }
            each(Event::Close(number))?;
        }
        match &self.finish {
            Some(reason) => each(Event::Finish(reason)),
            None => Ok(()),
        }
    }
}

impl WholeBlock {
    /// Returns the arguments of a call as JSON text, `{}` if there are none; `None` if the call broke
    /// off within them.
    pub(super) fn arguments(&self) -> Option<String> {
        arguments(&quoted(&self.text))
    }
}

/// Returns the arguments in a JSON string as [`WholeBlock::arguments`] does.
pub(super) fn arguments(quoted: &str) -> Option<String> {
    let whole = whole_characters(quoted.as_bytes());
    let text: String =
        serde_json::from_slice(whole.as_deref().unwrap_or(quoted.as_bytes())).ok()?;
    let text = match text.trim() {
        "" => "{}",
        text => text,
    };
    // What the arguments hold is JSON of its own.
    let text = whole_characters(text.as_bytes()).map_or_else(
        || text.to_owned(),
        |whole| String::from_utf8_lossy(&whole).into_owned(),
    );
    serde_json::from_str::<&serde_json::value::RawValue>(&text)
        .is_ok()
        .then_some(text)
}

/// Returns a text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
