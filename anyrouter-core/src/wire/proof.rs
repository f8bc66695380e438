//! Proofs of reasoning. A proof is valid only at the provider and model that made it, so it travels
//! with their name, in the member that the client's protocol has for proofs: another endpoint, as
//! after a fallback, is never sent a foreign one.

use std::borrow::Cow;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use bytes::Bytes;
use memchr::memmem;
use sha2::{Digest, Sha256};

use super::{json::push_string, meta::ResponseMeta};
use crate::{
    catalog::{Endpoint, Protocol},
    ids::push_hex,
    part::Part as _,
    redact::{LeafKind, Step, walk},
};

/// Prefix of a proof that travels.
pub(super) const PREFIX: &str = "anyrouter.";

/// The beginning of a proof in base64. Google's packages read theirs as base64, and write it in either
/// alphabet.
pub(super) const ENCODED_PREFIX: &str = "YW55cm91dGVyL";

/// A proof of reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof<'a> {
    pub(super) text: &'a str,
    /// True if it is all of the reasoning, which then has no text.
    pub(super) is_whole: bool,
}

/// The endpoint that a request goes to, which reads only the proofs that it made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) protocol: Protocol,
}

impl Reader<'_> {
    /// Returns the `format` of the reader's proofs in a chat request's `reasoning_details`, as
    /// OpenRouter names them.
    pub(super) const fn format(&self) -> &'static str {
        format_of(self.protocol)
    }

    /// Returns the provider's proof in base64 if the endpoint made it.
    pub(super) fn open_encoded(&self, text: &str) -> Option<(String, bool)> {
        let text = decoded(text)?;
        let proof = self.open(&text)?;
        Some((proof.text.to_owned(), proof.is_whole))
    }

    /// Determines whose the proof in a JSON string is. Clients of Google's protocol have it in base64.
    pub(super) fn whose(&self, proof: &[u8]) -> Whose {
        let Ok(text) = serde_json::from_slice::<Cow<'_, str>>(proof) else {
            return Whose::Foreign;
        };
        let wrapped = if text.starts_with(PREFIX) {
            Some(text.to_string())
        } else {
            decoded(&text)
        };
        let own = wrapped.as_deref().and_then(|wrapped| self.open(wrapped));
        match own {
            Some(own) => Whose::Own(own.text.to_owned()),
            None if is_like_wrapped(&text) => Whose::Foreign,
            None if self.endpoint.reads_raw_proofs => Whose::Raw,
            None => Whose::Foreign,
        }
    }

    /// Returns a chat request with the proofs of its reasoning as the endpoint reads them, and others
    /// empty; `None` if there are none.
    pub(super) fn opened_details(&self, body: &str) -> Option<Vec<u8>> {
        memmem::find(body.as_bytes(), b"reasoning_details")?;
        let mut out = Vec::with_capacity(body.len());
        let mut written = 0;
        let walked = walk(body, |leaf| {
            let is_proof = matches!(
                leaf.path,
                [
                    Step::Member("messages"),
                    Step::Item(_),
                    Step::Member("reasoning_details"),
                    Step::Item(_),
                    Step::Member("signature" | "data"),
                ]
            );
            let quoted = leaf.range.start.saturating_sub(1)..leaf.range.end + 1;
            if leaf.kind != LeafKind::String || !is_proof || leaf.range.is_empty() {
                return;
            }
            let opened = match self.whose(body.as_bytes().part(quoted.clone())) {
                Whose::Own(proof) => proof,
                Whose::Raw => return,
                Whose::Foreign => String::new(),
            };
            out.extend_from_slice(body.as_bytes().part(written..quoted.start));
            push_string(&mut out, &opened);
            written = quoted.end;
        });
        if walked.is_err() || written == 0 {
            return None;
        }
        out.extend_from_slice(body.as_bytes().part(written..body.len()));
        Some(out)
    }

    /// Returns the provider's proof if the endpoint made it.
    pub(super) fn open<'t>(&self, text: &'t str) -> Option<Proof<'t>> {
        let maker = maker(
            self.endpoint.provider.as_str(),
            self.endpoint.model.as_str(),
        );
        [false, true].into_iter().find_map(|is_whole| {
            let text = text.strip_prefix(&prefix(self.protocol, &maker, is_whole))?;
            // Without a proof, only the name travels: packages drop reasoning that has none.
            (!text.is_empty()).then_some(Proof { text, is_whole })
        })
    }
}

/// Returns true for a proof that was wrapped, whatever became of it.
fn is_like_wrapped(text: &str) -> bool {
    let text = text.trim_start();
    let begins = |prefix: &str| {
        let start = text.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    begins(PREFIX) || text.starts_with(ENCODED_PREFIX)
}

/// Whose a proof in a request is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The endpoint made it; this is what its provider gave.
    Own(String),
    /// Another endpoint made it.
    Foreign,
    /// It does not say who made it, as in a session that began elsewhere, and the endpoint may get it.
    Raw,
}

/// Wraps the proofs in an answer of the client's own protocol; every other byte stays as it is.
#[derive(Debug, Default)]
pub(super) struct Wrapping {
    /// The blocks whose signature has begun: further pieces of it follow the name of its maker.
    signed: Vec<u64>,
}

impl Wrapping {
    /// Wraps the proofs in the events of `out` from `start` on.
    pub(super) fn events(&mut self, names: &ResponseMeta, out: &mut Vec<u8>, start: usize) {
        if !may_have_proof(names.protocol, out.part(start..out.len())) {
            return;
        }
        let events = out.split_off(start.min(out.len()));
        for line in events.split_inclusive(|b| *b == b'\n') {
            // Asked of each event again: what comes in the same piece must not decide.
            let data = line
                .strip_prefix(b"data:")
                .filter(|data| may_have_proof(names.protocol, data))
                .and_then(|data| std::str::from_utf8(data).ok());
            match data.and_then(|data| self.wrapped(names, data)) {
                Some(data) => {
                    out.extend_from_slice(b"data:");
                    out.extend_from_slice(&data);
                }
                None => out.extend_from_slice(line),
            }
        }
    }

    /// Wraps the proofs in a whole answer.
    pub(super) fn whole(names: &ResponseMeta, body: Bytes) -> Bytes {
        let text = std::str::from_utf8(&body).ok();
        let text = text.filter(|_| may_have_proof(names.protocol, &body));
        match text.and_then(|text| Self::default().wrapped(names, text)) {
            Some(wrapped) => wrapped.into(),
            None => body,
        }
    }

    /// Returns the text with its proofs wrapped; `None` if it has none.
    fn wrapped(&mut self, names: &ResponseMeta, text: &str) -> Option<Vec<u8>> {
        let bytes = text.as_bytes();
        let (mut index, mut proofs) = (0, Vec::new());
        walk(text, |leaf| {
            if leaf.kind == LeafKind::Number && matches!(leaf.path, [Step::Member("index")]) {
                index = text
                    .get(leaf.range)
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(0);
            } else if leaf.kind == LeafKind::String
                && !leaf.range.is_empty()
                && let Some(is_whole) = proof_at(names.protocol, leaf.path)
            {
                let is_piece = matches!(leaf.path, [Step::Member("delta" | "content_block"), _]);
                proofs.push((leaf.range, is_whole, is_piece));
            }
        })
        .ok()?;
        let (mut out, mut written) = (Vec::with_capacity(bytes.len() + 128), 0);
        for (range, is_whole, is_piece) in proofs {
            if is_piece {
                if self.signed.contains(&index) {
                    continue;
                }
                self.signed.push(index);
            }
            out.extend_from_slice(bytes.part(written..range.start));
            let prefix = prefix_of(names, is_whole);
            let proof = bytes.part(range.clone());
            match names.protocol {
                Protocol::Gemini => {
                    let quoted = [b"\"", proof, b"\""].concat();
                    let proof: String = serde_json::from_slice(&quoted).unwrap_or_default();
                    out.extend(STANDARD.encode(format!("{prefix}{proof}")).bytes());
                }
                Protocol::Chat | Protocol::Responses | Protocol::Messages => {
                    out.extend_from_slice(prefix.as_bytes());
                    out.extend_from_slice(proof);
                }
            }
            written = range.end;
        }
        if written == 0 {
            return None;
        }
        out.extend_from_slice(bytes.part(written..bytes.len()));
        Some(out)
    }
}

fn may_have_proof(protocol: Protocol, answer: &[u8]) -> bool {
    let has = |word: &str| memmem::find(answer, word.as_bytes()).is_some();
    match protocol {
        Protocol::Chat => false,
        Protocol::Responses => has("encrypted_content"),
        Protocol::Messages => has("signature") || has("redacted_thinking"),
        Protocol::Gemini => has("houghtSignature") || has("thought_signature"),
    }
}

/// Returns true for the place of a proof that is all of the reasoning, false for that of another
/// proof, and `None` for any other place, in an answer or in an event of one.
fn proof_at(protocol: Protocol, path: &[Step<'_>]) -> Option<bool> {
    use Step::{Item, Member};
    match protocol {
        // Chat providers' own are read by nobody else.
        Protocol::Chat => None,
        Protocol::Responses => matches!(
            path,
            [Member("item"), Member("encrypted_content")]
                | [.., Member("output"), Item(_), Member("encrypted_content")]
        )
        .then_some(false),
        Protocol::Messages => match path {
            [Member("delta" | "content_block"), Member(name)]
            | [Member("content"), Item(_), Member(name)] => match *name {
                "signature" => Some(false),
                "data" => Some(true),
                _ => None,
            },
            _ => None,
        },
        Protocol::Gemini => matches!(
            path,
            [
                Member("candidates"),
                Item(_),
                Member("content"),
                Member("parts"),
                Item(_),
                Member("thoughtSignature" | "thought_signature")
            ]
        )
        .then_some(false),
    }
}

/// Returns the `format` of a protocol's proofs in `reasoning_details`.
pub(super) const fn format_of(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat => "unknown",
        Protocol::Responses => "openai-responses-v1",
        Protocol::Messages => "anthropic-claude-v1",
        Protocol::Gemini => "google-gemini-v1",
    }
}

/// Returns the prefix of a proof for the client of an answer.
pub(super) fn prefix_of(names: &ResponseMeta, is_whole: bool) -> String {
    let maker = maker(names.provider_slug.as_str(), names.model.as_str());
    prefix(names.protocol, &maker, is_whole)
}

/// Returns a proof as a client of another protocol gets it, both as JSON strings.
pub(super) fn for_client<'a>(names: &ResponseMeta, proof: &'a str, is_whole: bool) -> Cow<'a, str> {
    match (names.protocol, proof.strip_prefix('"')) {
        (_, Some(_)) if names.client == Protocol::Gemini && names.protocol != Protocol::Gemini => {
            let text: Cow<'_, str> = serde_json::from_str(proof).unwrap_or_default();
            let text = format!("{}{text}", prefix_of(names, is_whole));
            format!("\"{}\"", STANDARD.encode(text)).into()
        }
        (_, Some(rest)) if names.client != names.protocol => {
            format!("\"{}{rest}", prefix_of(names, is_whole)).into()
        }
        _ => proof.into(),
    }
}

fn prefix(protocol: Protocol, maker: &str, is_whole: bool) -> String {
    let form = if is_whole { "whole" } else { "proof" };
    format!("{PREFIX}{}.{form}.{maker}.", protocol.name())
}

fn maker(provider: &str, model: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [provider, model] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut hex = String::with_capacity(64);
    push_hex(&hasher.finalize(), |digit| hex.push(char::from(digit)));
    hex.truncate(12);
    hex
}

/// Returns the text of a proof in base64.
fn decoded(text: &str) -> Option<String> {
    if !text.starts_with(ENCODED_PREFIX) {
        return None;
    }
    let standard: String = text
        .chars()
        .filter(|c| *c != '=')
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    String::from_utf8(STANDARD_NO_PAD.decode(standard).ok()?).ok()
}

/// Returns true for a proof that is valid only with the text of the reasoning, byte for byte.
pub(crate) fn is_bound_to_text(proof: &str) -> bool {
    decoded(proof)
        .as_deref()
        .unwrap_or(proof)
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_prefix(Protocol::Messages.name()))
        .is_some_and(|rest| rest.starts_with(".proof."))
}

/// Returns true for a travelling proof that is valid without the text of the reasoning.
pub(crate) fn is_without_text(proof: &str) -> bool {
    proof.starts_with(PREFIX) && !is_bound_to_text(proof)
}
