//! What the targets share.

use std::sync::Arc;

use anyrouter_core::{
    catalog::{Catalog, Document, Prices, Protocol, Usd},
    ids::RequestId,
    wire::{
        adjust::Adjustments, answer::Relay, fault::AnswerFault, meta::ResponseMeta, sse::Splitter,
    },
};
use serde::de::IgnoredAny;

/// A catalog with one endpoint, which speaks Anthropic messages.
pub fn anthropic_catalog() -> Catalog {
    catalog("anthropic_messages")
}

/// The same with OpenAI chat.
pub fn openai_catalog() -> Catalog {
    catalog("openai_chat")
}

fn catalog(protocol: &str) -> Catalog {
    let toml = r#"
        [[provider]]
        slug = "a"
        protocol = "PROTOCOL"
        base_url = "http://x"
        [[model]]
        id = "lab/x"
        [[model.endpoint]]
        provider = "a"
        upstream_model = "up"
        max_output = 8192
    "#
    .replace("PROTOCOL", protocol);
    let document = Document::from_toml(&toml).expect("it is TOML");
    Catalog::from_documents(&[document]).expect("it is a catalog")
}

/// The names of an answer.
pub fn names(protocol: Protocol, client: Protocol) -> Box<ResponseMeta> {
    let mut prices = Prices::default();
    (prices.prompt, prices.completion) = (
        Usd::per_token("0.000001").ok(),
        Usd::per_token("0.000002").ok(),
    );
    Box::new(ResponseMeta {
        id: RequestId::parse("req_000000000000000000000000").expect("it is an id"),
        model: "lab/x".into(),
        provider: "Provider".into(),
        provider_slug: "a".into(),
        endpoint: "a/lab-x".into(),
        created: 1,
        latency_ms: 5,
        prices,
        include_usage: false,
        prompt_estimate: 3,
        adjusted: Adjustments::default(),
        protocol,
        client,
        faults: Arc::default(),
    })
}

/// What a client gets of a stream that comes in these pieces, and why it broke off.
pub fn relayed<'a>(
    protocol: Protocol,
    client: Protocol,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<u8>, Option<AnswerFault>) {
    let mut relay = Relay::new(names(protocol, client), 1 << 22);
    let mut out = Vec::new();
    for piece in pieces {
        match relay.feed(piece, &mut out) {
            Ok(progress) if progress.done => {
                out.extend_from_slice(&relay.last());
                return (out, None);
            }
            Ok(_) => {}
            Err(fault) => return (out, Some(fault)),
        }
    }
    let fault = relay.end(&mut out).err();
    if fault.is_none() {
        out.extend_from_slice(&relay.last());
    }
    (out, fault)
}

/// The data of each event.
pub fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let read = Splitter::new(usize::MAX).feed(stream, |event| {
        out.extend(event.data.map(|d| d.into_owned()));
        true
    });
    assert!(read.is_ok(), "nothing is that long");
    out
}

/// Whether this is JSON (RFC 8259), numbers beyond a double and halves of surrogates included.
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// What a client gets is text, and each event of it JSON or the end.
pub fn assert_events(out: &[u8]) {
    assert!(std::str::from_utf8(out).is_ok(), "not UTF-8");
    for line in out.split(|b| matches!(b, b'\n' | b'\r')) {
        let Some(data) = line.strip_prefix(b"data: ") else {
            continue;
        };
        assert!(
            is_json(data) || data == b"[DONE]" || data.is_empty(),
            "no event: {}",
            String::from_utf8_lossy(data)
        );
    }
}

/// A first byte that decides in what pieces the others come, and the others.
pub fn pieces(data: &[u8]) -> (usize, &[u8]) {
    data.split_first().map_or((1, data), |(first, rest)| {
        (usize::from(*first) % 64 + 1, rest)
    })
}
