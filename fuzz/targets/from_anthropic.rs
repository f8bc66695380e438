//! An Anthropic request for an upstream of each protocol: sent on or refused, and what is sent is
//! JSON with the upstream's name of the model.
#![no_main]

use std::sync::LazyLock;

use anyrouter_core::{
    catalog::{Catalog, Protocol},
    wire::{adjust::Adjustments, inbound::inbound, outbound::outbound},
};
use bytes::Bytes;
use fuzz::is_json;
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static CATALOG: LazyLock<Catalog> = LazyLock::new(fuzz::anthropic_catalog);

fuzz_target!(|data: &[u8]| {
    let Ok(request) = inbound(Protocol::Messages, Bytes::copy_from_slice(data), 100) else {
        return;
    };
    for upstream in Protocol::ALL {
        let sent = outbound(
            upstream,
            &request,
            &HeaderMap::new(),
            &CATALOG.endpoints()[0],
            "http://x",
            Some("user"),
            &mut Adjustments::default(),
        );
        let Ok(sent) = sent else { continue };
        let body = sent.body.concat();
        assert!(is_json(&body), "what is sent is JSON");
        // serde_json refuses what JSON does not: numbers beyond a double, and halves of surrogates.
        if let Ok(body) = serde_json::from_slice::<Value>(&body) {
            assert_eq!(body["model"], "up");
        }
    }
});
