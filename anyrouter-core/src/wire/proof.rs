//! Proofs of reasoning in a client protocol that is not the provider's. A proof is valid only at the
//! provider and model that made it, so it travels with their name, in the member that the client's
//! protocol has for proofs: another endpoint is never sent a foreign one.

use std::borrow::Cow;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use sha2::{Digest, Sha256};

use super::meta::ResponseMeta;
use crate::{
    catalog::{Endpoint, Protocol},
    ids::push_hex,
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

/// Returns a proof as a client of another protocol gets it, both as JSON strings. Chat has a member for
/// the maker's protocol, which Anthropic's proofs use as in OpenRouter's API.
pub(super) fn for_client<'a>(names: &ResponseMeta, proof: &'a str, is_whole: bool) -> Cow<'a, str> {
    match (names.protocol, proof.strip_prefix('"')) {
        (Protocol::Messages, _) if names.client == Protocol::Chat => proof.into(),
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
