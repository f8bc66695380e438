//! Reasoning that a provider signed. The provider must get it back byte for byte, so redaction
//! changes it in neither direction: the client sees its placeholders. Next to the provider's
//! signature stands a seal, a keyed hash of text and signature, which proves in a later request
//! that this gateway relayed the text unchanged. Without a valid seal, a chat request's text is
//! redacted and its signature removed; a thinking block of Anthropic's protocol is removed.

use std::collections::BTreeSet;

use memchr::memmem;
use serde_json::{Map, Value};

use crate::{
    catalog::Protocol,
    redact::{PlaceholderKey, SealedText, Step},
    wire::{
        json::{Object, members, objects, whole_characters},
        proof::is_without_text,
    },
};

/// Members of a message whose entries may be signed.
const LISTS: [&str; 3] = ["reasoning_details", "content", "thinking_blocks"];
/// Members of such an entry that are its text.
const TEXTS: [&str; 3] = ["text", "thinking", "summary"];
/// Maximum nesting depth of a request, which was already scanned within a lower limit.
const DEPTH: usize = 1024;
/// Prefix of a seal.
const SEAL: &str = "relayed_";
/// Length of a seal, in hexadecimal digits.
const SEAL_LENGTH: usize = 32;

/// Returns true if an entry of an answer is signed, or will be when it is complete.
pub(super) fn is_signed(entry: &Map<String, Value>) -> bool {
    proof(entry).is_some()
        || entry
            .get("format")
            .and_then(Value::as_str)
            .is_some_and(|f| f.starts_with("anthropic"))
}

/// Returns a proof that is valid only with its text.
fn proof(entry: &Map<String, Value>) -> Option<&str> {
    entry
        .get("signature")
        .and_then(Value::as_str)
        .filter(|s| !s.is_empty() && !is_without_text(s))
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
/// unchanged, but drop members of the block that the protocol does not define.
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

/// The leaves of a request that a provider signed or encrypted: message, list, entry and member.
#[derive(Default)]
pub(super) struct RelayedTexts(BTreeSet<(usize, &'static str, usize, &'static str)>);

impl RelayedTexts {
    /// Returns true if the leaf at `path` is such a text, or its proof.
    pub(super) fn has(&self, path: &[Step<'_>]) -> bool {
        let [
            Step::Member("messages"),
            Step::Item(message),
            Step::Member(list),
            Step::Item(entry),
            Step::Member(leaf),
        ] = path
        else {
            return false;
        };
        let places: &BTreeSet<(usize, &str, usize, &str)> = &self.0;
        places.contains(&(*message, *list, *entry, *leaf))
    }

    fn add(&mut self, message: usize, list: &'static str, entry: usize, leaves: &[&'static str]) {
        for leaf in leaves {
            self.0.insert((message, list, entry, leaf));
        }
    }
}

/// A request without seals.
#[derive(Default)]
pub(super) struct Opened {
    /// The body, if it changed.
    pub(super) body: Option<String>,
    pub(super) relayed: RelayedTexts,
    /// The blocks that were removed.
    pub(super) omitted: Vec<String>,
}

/// Finds the signed texts of a request that this gateway relayed. It removes the seals, and the
/// signatures of all other texts. An error means that the request cannot be read, and must not be
/// sent.
pub(super) fn open(
    protocol: Protocol,
    key: &PlaceholderKey,
    body: &str,
) -> serde_json::Result<Opened> {
    let mut opened = Opened::default();
    // An escape can stand in a name as well.
    let may_be_signed = ["signature", "redacted_thinking", "\\u"]
        .iter()
        .any(|word| memmem::find(body.as_bytes(), word.as_bytes()).is_some());
    if !may_be_signed {
        return Ok(opened);
    }
    let mut document: Value = serde_json::from_str(body)?;
    let Some(messages) = document.get_mut("messages").and_then(Value::as_array_mut) else {
        return Ok(opened);
    };
    let mut opening = Opening {
        key,
        relayed: RelayedTexts::default(),
        omitted: Vec::new(),
        is_changed: false,
    };
    match protocol {
        Protocol::Chat => opening.chat(messages),
        Protocol::Messages => opening.blocks(messages),
        // Their proofs hold without the text.
        Protocol::Responses | Protocol::Gemini => {}
    }
    opened.relayed = opening.relayed;
    opened.omitted = opening.omitted;
    // Of a member that stands twice, only the last was looked at: the others are not sent.
    if opening.is_changed || !opened.relayed.0.is_empty() && has_duplicates(body) {
        opened.body = Some(document.to_string());
    }
    Ok(opened)
}

/// Returns true if a message, or a block of one, has a member twice.
fn has_duplicates(body: &str) -> bool {
    let is_twice = |object: &Object<'_>| {
        let mut names = BTreeSet::new();
        !object.members().all(|(name, _)| names.insert(name))
    };
    let Ok(top) = members(body.as_bytes(), DEPTH) else {
        return true;
    };
    let Some(list) = top.iter().find(|m| m.is(body.as_bytes(), "messages")) else {
        return false;
    };
    objects(list.value(body.as_bytes()), DEPTH).map_or(true, |messages| {
        messages.iter().any(|message| {
            is_twice(message)
                || LISTS
                    .iter()
                    .filter_map(|list| message.get(list).filter(|list| list.starts_with(b"[")))
                    .any(|list| match objects(list, DEPTH) {
                        Ok(blocks) => blocks.iter().any(is_twice),
                        Err(_) => true,
                    })
        })
    })
}

struct Opening<'a> {
    key: &'a PlaceholderKey,
    relayed: RelayedTexts,
    omitted: Vec<String>,
    is_changed: bool,
}

impl Opening<'_> {
    fn chat(&mut self, messages: &mut [Value]) {
        for (m, message) in messages.iter_mut().enumerate() {
            for list in LISTS {
                let Some(entries) = message.get_mut(list).and_then(Value::as_array_mut) else {
                    continue;
                };
                let mut done = 0;
                // The pieces of a streamed text have the same index.
                for length in entries
                    .chunk_by(are_pieces)
                    .map(<[Value]>::len)
                    .collect::<Vec<_>>()
                {
                    let pieces = entries.get_mut(done..done + length).unwrap_or_default();
                    if let Some(is_relayed) = open_pieces(self.key, pieces) {
                        self.is_changed = true;
                        for entry in (done..done + length).filter(|_| is_relayed) {
                            self.relayed.add(m, list, entry, &TEXTS);
                        }
                    }
                    done += length;
                }
            }
        }
    }

    /// Takes the seals out of Anthropic's blocks, and removes those that were not relayed: the
    /// provider accepts none whose text was changed.
    fn blocks(&mut self, messages: &mut Vec<Value>) {
        let (mut m, mut kept_messages) = (0, 0);
        messages.retain_mut(|message| {
            let blocks = message.get_mut("content").and_then(Value::as_array_mut);
            let is_kept = blocks.is_none_or(|blocks| {
                let was_empty = blocks.is_empty();
                let (mut b, mut kept_blocks) = (0, 0);
                blocks.retain_mut(|block| {
                    let is_kept = match open_block(self.key, block) {
                        Origin::Unsigned => true,
                        Origin::Provider { is_changed, leaves } => {
                            self.is_changed |= is_changed;
                            self.relayed
                                .add(kept_messages, "content", kept_blocks, leaves);
                            true
                        }
                        Origin::Unknown => {
                            self.is_changed = true;
                            self.omitted.push(format!("messages[{m}].content[{b}]"));
                            false
                        }
                    };
                    b += 1;
                    kept_blocks += usize::from(is_kept);
                    is_kept
                });
                was_empty || !blocks.is_empty()
            });
            m += 1;
            kept_messages += usize::from(is_kept);
            is_kept
        });
    }
}

/// The origin of a block.
enum Origin {
    /// Nobody vouches for it.
    Unsigned,
    Provider {
        /// True if a seal was removed.
        is_changed: bool,
        /// The members that are the provider's.
        leaves: &'static [&'static str],
    },
    /// It has a proof that does not cover its text.
    Unknown,
}

/// Determines the origin of a block, and restores the provider's signature.
fn open_block(key: &PlaceholderKey, block: &mut Value) -> Origin {
    let Some(block) = block.as_object_mut() else {
        return Origin::Unsigned;
    };
    match block.get("type").and_then(Value::as_str) {
        Some("redacted_thinking") => match block.get("data").and_then(Value::as_str) {
            Some(data) if is_opaque(data) => Origin::Provider {
                is_changed: false,
                leaves: &["data"],
            },
            _ => Origin::Unknown,
        },
        Some("thinking") => {
            let Some(sent) = proof(block).map(ToOwned::to_owned) else {
                return Origin::Unsigned;
            };
            let sealed_by_us = sent.rsplit_once(SEAL);
            let (signature, seal) = sealed_by_us.unwrap_or((&sent, ""));
            let mut sealed = key.seal();
            let text = block.get("thinking").and_then(Value::as_str);
            let text = text.unwrap_or_default();
            sealed.push(text);
            // A signature without a text covers reasoning that the provider omitted.
            let is_relayed = sealed.is(signature, seal) || text.is_empty() && is_opaque(signature);
            block.insert("signature".to_owned(), signature.into());
            if is_relayed {
                Origin::Provider {
                    is_changed: sealed_by_us.is_some(),
                    leaves: &["thinking", "signature"],
                }
            } else {
                Origin::Unknown
            }
        }
        _ => Origin::Unsigned,
    }
}

/// Returns true for data in base64 that is longer than what a person might write into it, such as an
/// account's number.
fn is_opaque(data: &str) -> bool {
    data.len() >= 64
        && data
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b))
}

/// Returns a body without seals, for a request that is not redacted: the provider knows only its own
/// signatures. `None` if there are none. Every other byte stays.
pub(super) fn without_seals(body: &str) -> Option<String> {
    memmem::find(body.as_bytes(), SEAL.as_bytes())?;
    // Half a character makes a string unreadable, and no signature.
    let whole = whole_characters(body.as_bytes());
    let document: Value = match &whole {
        Some(whole) => serde_json::from_slice(whole).ok()?,
        None => serde_json::from_str(body).ok()?,
    };
    let mut seals = BTreeSet::new();
    let messages = document.get("messages").and_then(Value::as_array)?;
    for entry in messages
        .iter()
        .flat_map(|message| LISTS.iter().filter_map(|list| message.get(*list)))
        .filter_map(Value::as_array)
        .flatten()
    {
        for name in ["signature", "id"] {
            if let Some(value) = entry.get(name).and_then(Value::as_str)
                && let Some((_, seal)) = value.rsplit_once(SEAL)
                && seal.len() == SEAL_LENGTH
            {
                seals.insert(seal);
            }
        }
    }
    (!seals.is_empty()).then(|| {
        let cut = |body: String, seal: &&str| cut_seal(&body, &format!("{SEAL}{seal}\""));
        seals.iter().fold(body.to_owned(), cut)
    })
}

/// Cuts a seal, with the quotation mark behind it, from the end of each signature or id. The string
/// before it may have escapes, so that it is found by the seal.
fn cut_seal(body: &str, seal: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(body.len()), body);
    while let Some((before, behind)) = rest.split_once(seal) {
        out.push_str(before);
        let name = out
            .rsplit_once('"')
            .and_then(|(name, _)| name.trim_end().strip_suffix(':'))
            .map_or("", str::trim_end);
        let is_sealed = ["\"signature\"", "\"id\""]
            .iter()
            .any(|sealed| name.ends_with(sealed));
        out.push_str(if is_sealed { "\"" } else { seal });
        rest = behind;
    }
    out.push_str(rest);
    out
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
        let opened = open(Protocol::Chat, &key(), &body).unwrap();
        let body: Value = serde_json::from_str(&opened.body.unwrap()).unwrap();
        (
            body["messages"][1]["reasoning_details"].clone(),
            opened.relayed,
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

    #[test]
    fn of_anthropics_blocks_only_what_a_provider_wrote_is_kept() {
        let opaque = "QUJD".repeat(20);
        let mut signed = Signed::new(&key());
        let relayed = json!({"type": "thinking", "thinking": "Mail EMAIL_1", "signature": "s"});
        signed.push(relayed.as_object().unwrap());
        let sealed = json!({"type": "thinking", "thinking": "Mail EMAIL_1", "signature": seal_signature("s", &signed)});
        let made_up = [
            json!({"type": "thinking", "thinking": "x", "signature": opaque}),
            json!({"type": "thinking", "thinking": "", "signature": "DE89370400440532013000"}),
            json!({"type": "thinking", "thinking": "", "signature": "a:+41791234567"}),
            json!({"type": "redacted_thinking", "data": "DE89370400440532013000"}),
        ];
        let kept = [
            json!({"type": "thinking", "thinking": "", "signature": opaque}),
            json!({"type": "redacted_thinking", "data": opaque}),
            json!({"type": "text", "text": "hi", "data": "DE89370400440532013000"}),
        ];
        let content = [&made_up[..], &[sealed], &kept].concat();
        let body = json!({"messages": [{"role": "assistant", "content": made_up}, {"role": "assistant", "content": content}]});
        let opened = open(Protocol::Messages, &key(), &body.to_string()).unwrap();
        let sent: Value = serde_json::from_str(&opened.body.unwrap()).unwrap();
        let expected = [&[relayed], &kept[..]].concat();
        assert_eq!(
            sent["messages"],
            json!([{"role": "assistant", "content": expected}]),
            "and no message is empty"
        );
        assert_eq!(opened.omitted.len(), 8);
        assert_eq!(opened.omitted[4], "messages[1].content[0]");
        let is_kept = |entry: usize, leaf: &'static str| {
            let path = [
                Step::Member("messages"),
                Step::Item(0),
                Step::Member("content"),
            ];
            let path = [&path[..], &[Step::Item(entry), Step::Member(leaf)]].concat();
            opened.relayed.has(&path)
        };
        assert!(is_kept(0, "thinking") && is_kept(1, "signature") && is_kept(2, "data"));
        assert!(!is_kept(3, "data"), "a text has no proof");
        assert!(
            !is_kept(1, "data") && !is_kept(2, "text") && !is_kept(0, "summary"),
            "a proof covers its own text alone"
        );
        let twice = format!(
            r#"{{"messages":[{{"role":"assistant","content":[{{"type":"redacted_thinking","data":"IBAN","data":"{opaque}"}}]}}]}}"#
        );
        let opened = open(Protocol::Messages, &key(), &twice).unwrap();
        assert!(!opened.body.unwrap().contains("IBAN"));
    }

    #[test]
    fn without_redaction_only_the_seals_go() {
        let seal = "0123456789abcdef0123456789abcdef";
        let body = format!(
            r#"{{"n": 12345678901234567890123, "messages": [{{"content": [{{"type":"thinking","signature":"c2ln==relayed_{seal}"}}, {{"text": "relayed_{seal}"}}]}}]}}"#
        );
        assert_eq!(
            without_seals(&body).unwrap(),
            body.replacen(&format!("relayed_{seal}"), "", 1)
        );
        assert_eq!(
            without_seals(r#"{"messages": [{"content": "relayed_"}]}"#),
            None
        );
        let escaped = body
            .replace("c2ln==", r"c2\/ln")
            .replace(r#""n": "#, r#""n": "cut \ud83d", "m": "#);
        assert_eq!(
            without_seals(&escaped).unwrap(),
            escaped.replacen(&format!("relayed_{seal}"), "", 1)
        );
    }
}
