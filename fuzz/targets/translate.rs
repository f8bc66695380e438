//! A request of each protocol for an upstream of each: sent on or refused, and what is sent is JSON
//! with the upstream's name of the model.
#![no_main]

use std::sync::LazyLock;

use anyrouter_core::{
    catalog::{Catalog, Protocol},
    wire::{adjust::Adjustments, client_metadata::Person, inbound::inbound, outbound::outbound},
};
use bytes::Bytes;
use fuzz::is_json;
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static CATALOG: LazyLock<Catalog> = LazyLock::new(fuzz::anthropic_catalog);

fuzz_target!(|data: &[u8]| {
    let person = Person {
        user: Some("user"),
        cache_key: Some("conversation"),
        passes_metadata: false,
    };
    for client in Protocol::ALL {
        let Ok(request) = inbound(client, Bytes::copy_from_slice(data), 100) else {
            continue;
        };
        for upstream in Protocol::ALL {
            let sent = outbound(
                upstream,
                &request,
                &HeaderMap::new(),
                &CATALOG.endpoints()[0],
                "http://x",
                &person,
                &mut Adjustments::default(),
            );
            let Ok(sent) = sent else { continue };
            let body = sent.body.concat();
            assert!(is_json(&body), "what is sent is JSON");
            // serde_json refuses what JSON does not: numbers beyond a double, and halves of
            // surrogates.
            if let Ok(body) = serde_json::from_slice::<Value>(&body) {
                let model = match upstream {
                    Protocol::Gemini => Value::Null,
                    Protocol::Chat | Protocol::Messages | Protocol::Responses => "up".into(),
                };
                assert_eq!(body["model"], model);
            }
        }
    }
});
