//! Reasoning that a provider signed. The provider must get it back byte for byte, so redaction
//! changes it in neither direction: the client sees its placeholders. Next to the provider's
//! signature stands a seal, a keyed hash of text and signature, which proves in a later request
//! that this gateway relayed the text unchanged. Without a valid seal, the text is redacted and the
//! signature removed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    catalog::Protocol,
    redact::{PlaceholderKey, SealedText, Step},
};

/// Members of a message whose entries may be signed.
const LISTS: [&str; 3] = ["reasoning_details", "content", "thinking_blocks"];
/// Members of such an entry that are its text.
const TEXTS: [&str; 3] = ["text", "thinking", "summary"];
/// Prefix of a seal.
const SEAL: &str = "relayed_";

/// Returns true if an entry of an answer is signed, or will be when it is complete.
pub(super) fn is_signed(entry: &Map<String, Value>) -> bool {
    proof(entry).is_some()
        || entry
            .get("format")
            .and_then(Value::as_str)
            .is_some_and(|f| f.starts_with("anthropic"))
}

fn proof(entry: &Map<String, Value>) -> Option<&str> {
    entry
        .get("signature")
        .and_then(Value::as_str)
        .filter(|s| !s.is_empty())
}

fn texts(entry: &Map<String, Value>) -> impl Iterator<Item = &str> {
    TEXTS
        .iter()
        .filter_map(|name| entry.get(*name).and_then(Value::as_str))
}

/// A signed text that arrives in pieces.
pub(super) struct Signed {
    sealed: SealedText,
    /// True if the client's text differs from the provider's, so that the signature is not valid.
    is_altered: bool,
}

impl Signed {
    pub(super) fn new(key: &PlaceholderKey) -> Self {
        Self {
            sealed: key.seal(),
            is_altered: false,
        }
    }

    /// Adds an entry's text as the provider wrote it.
    pub(super) fn push(&mut self, entry: &Map<String, Value>) {
        for text in texts(entry) {
            self.sealed.push(text);
        }
    }

    pub(super) const fn alter(&mut self) {
        self.is_altered = true;
    }

    /// Adds the seal if the entry has the signature. The seal is appended to the provider's `id`, a
    /// member that clients keep.
    pub(super) fn seal(&self, entry: &mut Map<String, Value>) {
        let Some(proof) = proof(entry).filter(|_| !self.is_altered) else {
            return;
        };
        let id = entry.get("id").and_then(Value::as_str).unwrap_or_default();
        let sealed = format!("{id}{SEAL}{}", self.sealed.clone().finish(proof));
        entry.insert("id".to_owned(), sealed.into());
    }
}

/// Returns a signature with the seal of its text. Anthropic's clients send a signature back
/// unchanged, and nothing else of the block that the protocol does not name.
pub(super) fn seal_signature(signature: &str, signed: &Signed) -> String {
    format!(
        "{signature}{SEAL}{}",
        signed.sealed.clone().finish(signature)
    )
}

/// Puts the signed texts of a whole answer back as the provider wrote them, and seals them.
pub(super) fn keep_signed(key: &PlaceholderKey, written: &Value, restored: &mut Value) {
    let count = written
        .get("choices")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    for choice in 0..count {
        for list in LISTS {
            let pointer = format!("/choices/{choice}/message/{list}");
            let Some(Value::Array(written)) = written.pointer(&pointer) else {
                continue;
            };
            let Some(Value::Array(restored)) = restored.pointer_mut(&pointer) else {
                continue;
            };
            for (written, restored) in written.iter().zip(restored) {
                if let (Value::Object(entry), true) = (
                    written,
                    written.as_object().is_some_and(|e| proof(e).is_some()),
                ) {
                    let mut entry = entry.clone();
                    let mut signed = Signed::new(key);
                    signed.push(&entry);
                    signed.seal(&mut entry);
                    *restored = Value::Object(entry);
                }
            }
        }
    }
}

/// The texts of a request that this gateway relayed with their signatures.
#[derive(Default)]
pub(super) struct RelayedTexts(BTreeSet<(usize, &'static str, usize)>);

impl RelayedTexts {
    /// Returns true if the leaf at `path` is such a text.
    pub(super) fn has(&self, path: &[Step<'_>]) -> bool {
        let [
            Step::Member("messages"),
            Step::Item(message),
            Step::Member(list),
            Step::Item(entry),
            Step::Member(text),
        ] = path
        else {
            return false;
        };
        TEXTS.contains(text) && self.0.iter().any(|at| *at == (*message, *list, *entry))
    }
}

/// Finds the signed texts of a request that this gateway relayed. It removes the seals, and the
/// signatures of all other texts. Returns `None` if there is no signature: the body is unchanged.
pub(super) fn open(
    protocol: Protocol,
    key: &PlaceholderKey,
    body: &str,
) -> Option<(String, RelayedTexts)> {
    memchr::memmem::find(body.as_bytes(), b"\"signature\"")?;
    let mut document: Value = serde_json::from_str(body).ok()?;
    let mut relayed = RelayedTexts::default();
    let mut is_any = false;
    let messages = document.get_mut("messages").and_then(Value::as_array_mut)?;
    for (m, message) in messages.iter_mut().enumerate() {
        for list in LISTS {
            let Some(entries) = message.get_mut(list).and_then(Value::as_array_mut) else {
                continue;
            };
            if protocol == Protocol::Messages {
                is_any |= open_blocks(key, entries, |entry| {
                    relayed.0.insert((m, list, entry));
                });
                continue;
            }
            let mut done = 0;
            // The pieces of a streamed text have the same index.
            for length in entries
                .chunk_by(are_pieces)
                .map(<[Value]>::len)
                .collect::<Vec<_>>()
            {
                let pieces = entries.get_mut(done..done + length).unwrap_or_default();
                is_any |= open_pieces(key, pieces).is_some_and(|is_relayed| {
                    relayed.0.extend(
                        (done..done + length)
                            .filter(|_| is_relayed)
                            .map(|entry| (m, list, entry)),
                    );
                    true
                });
                done += length;
            }
        }
    }
    is_any.then(|| (document.to_string(), relayed))
}

/// Takes the seals out of Anthropic's thinking blocks, and removes those that were not relayed:
/// the provider accepts none whose text was changed. `relayed` receives the places of the others.
fn open_blocks(
    key: &PlaceholderKey,
    blocks: &mut Vec<Value>,
    mut relayed: impl FnMut(usize),
) -> bool {
    let mut is_any = false;
    let mut kept = 0;
    blocks.retain_mut(|block| {
        let is_kept = match block.as_object_mut().filter(|b| proof(b).is_some()) {
            None => true,
            Some(block) => {
                is_any = true;
                let is_relayed = open_block(key, block);
                if is_relayed {
                    relayed(kept);
                }
                is_relayed
            }
        };
        kept += usize::from(is_kept);
        is_kept
    });
    is_any
}

/// Returns true if a thinking block was relayed, and restores the provider's signature.
fn open_block(key: &PlaceholderKey, block: &mut Map<String, Value>) -> bool {
    let sent = proof(block).unwrap_or_default().to_owned();
    let (signature, seal) = sent.rsplit_once(SEAL).unwrap_or((&sent, ""));
    let mut sealed = key.seal();
    for text in texts(block) {
        sealed.push(text);
    }
    let is_empty = texts(block).all(str::is_empty);
    block.insert("signature".to_owned(), signature.into());
    // A signature without a text covers reasoning that the provider omitted.
    is_empty || sealed.is(signature, seal)
}

fn are_pieces(a: &Value, b: &Value) -> bool {
    let index = |entry: &Value| entry.get("index").and_then(Value::as_u64);
    a.get("type") == b.get("type") && index(a).is_some() && index(a) == index(b)
}

/// Returns true if the pieces of a text were relayed with their signature; `None` without one.
fn open_pieces(key: &PlaceholderKey, pieces: &mut [Value]) -> Option<bool> {
    let objects = || pieces.iter().filter_map(Value::as_object);
    let proof = objects().find_map(proof)?;
    let mut sealed = key.seal();
    let mut is_empty = true;
    for text in objects().flat_map(texts) {
        is_empty &= text.is_empty();
        sealed.push(text);
    }
    let is_seal = |entry: &Map<String, Value>| {
        let id = entry.get("id").and_then(Value::as_str)?;
        let seal = id.rsplit_once(SEAL)?.1;
        Some(sealed.clone().is(proof, seal))
    };
    // A signature without a text covers reasoning that the provider omitted.
    let is_relayed = is_empty || objects().filter_map(is_seal).any(|is| is);
    for entry in pieces.iter_mut().filter_map(Value::as_object_mut) {
        if let Some((id, _)) = entry
            .get("id")
            .and_then(Value::as_str)
            .and_then(|id| id.rsplit_once(SEAL))
        {
            let id = id.to_owned();
            if id.is_empty() {
                entry.shift_remove("id");
            } else {
                entry.insert("id".to_owned(), id.into());
            }
        }
        if !is_relayed {
            entry.shift_remove("signature");
        }
    }
    Some(is_relayed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> PlaceholderKey {
        PlaceholderKey::from_bytes([5; 32])
    }

    fn sent_back(details: &Value) -> (Value, RelayedTexts) {
        let body = json!({"messages": [{"role": "user"}, {"role": "assistant", "reasoning_details": details}]}).to_string();
        let (body, relayed) = open(Protocol::Chat, &key(), &body).unwrap();
        (
            serde_json::from_str::<Value>(&body).unwrap()["messages"][1]["reasoning_details"]
                .clone(),
            relayed,
        )
    }

    fn is_kept(relayed: &RelayedTexts, entry: usize) -> bool {
        let list = Step::Member("reasoning_details");
        relayed.has(&[
            Step::Member("messages"),
            Step::Item(1),
            list,
            Step::Item(entry),
            Step::Member("text"),
        ])
    }

    #[test]
    fn a_signed_text_that_was_relayed_is_known_again() {
        let entry = json!({"type": "reasoning.text", "text": "Mail EMAIL_1", "signature": "c2ln", "index": 0});
        let answer = json!({"choices": [{"message": {"reasoning_details": [entry]}}]});
        let mut restored = json!({"choices": [{"message": {"reasoning_details": [{"text": "Mail jane@example.com"}]}}]});
        keep_signed(&key(), &answer, &mut restored);
        let given = restored
            .pointer("/choices/0/message/reasoning_details")
            .unwrap()
            .clone();
        assert_eq!(
            given[0]["text"], "Mail EMAIL_1",
            "the client sees what the provider signed"
        );
        let (sent, relayed) = sent_back(&given);
        assert_eq!(sent, json!([entry]), "and it goes back as it was");
        assert!(is_kept(&relayed, 0));
    }

    #[test]
    fn a_text_in_pieces_is_known_by_all_of_it() {
        let mut signed = Signed::new(&key());
        let piece = |text: &str| json!({"type": "reasoning.text", "text": text, "index": 0});
        for text in ["Let me", " see"] {
            signed.push(piece(text).as_object().unwrap());
        }
        let mut last = json!({"type": "reasoning.text", "signature": "c2ln", "index": 0});
        signed.seal(last.as_object_mut().unwrap());
        let (_, relayed) = sent_back(&json!([piece("Let me"), piece(" see"), last]));
        assert!(is_kept(&relayed, 0) && is_kept(&relayed, 1));
        let (sent, relayed) = sent_back(&json!([piece("Let me"), piece(" be"), last]));
        assert!(!is_kept(&relayed, 0), "another text is not what was signed");
        assert!(
            sent.as_array()
                .unwrap()
                .iter()
                .all(|e| e.get("signature").is_none()),
            "{sent}"
        );
    }

    #[test]
    fn a_proof_that_somebody_made_up_vouches_for_nothing() {
        for id in [
            json!(null),
            json!("relayed_"),
            json!("relayed_00000000000000000000000000000000"),
        ] {
            let (sent, relayed) = sent_back(
                &json!([{"type": "reasoning.text", "text": "x", "signature": "forged", "id": id}]),
            );
            assert!(
                !is_kept(&relayed, 0) && sent[0].get("signature").is_none(),
                "{sent}"
            );
        }
    }
}
