//! An OpenAI chat request as an Anthropic one: translated or refused, and what is sent is JSON
//! whose turns alternate.
#![no_main]

use std::sync::LazyLock;

use anyrouter_core::{
    catalog::{Catalog, Protocol},
    wire::{adjust::Adjustments, inbound::inbound, messages::to_anthropic_messages},
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static CATALOG: LazyLock<Catalog> = LazyLock::new(fuzz::anthropic_catalog);

fuzz_target!(|data: &[u8]| {
    let is_json = serde_json::from_slice::<Value>(data).is_ok();
    let Ok(request) = inbound(Protocol::Chat, Bytes::copy_from_slice(data), 100) else {
        return;
    };
    let Ok(sent) = to_anthropic_messages(
        &request,
        &CATALOG.endpoints()[0],
        None,
        &mut Adjustments::default(),
    ) else {
        return;
    };
    if !is_json {
        // serde_json refuses what JSON does not: numbers beyond a double, and halves of surrogates.
        return;
    }
    let sent: Value = serde_json::from_slice(&sent).expect("what is sent is JSON");
    let turns = sent["messages"].as_array().expect("there are messages");
    assert!(
        turns.windows(2).all(|two| two[0]["role"] != two[1]["role"]),
        "turns alternate"
    );
    assert!(
        turns
            .iter()
            .all(|turn| turn["content"].as_array().is_some_and(|c| !c.is_empty())),
        "no turn is empty"
    );
});
