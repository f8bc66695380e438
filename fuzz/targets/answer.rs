//! What providers answer, whole and as a stream, in both protocols: it reaches the client as JSON and legal events or is a fault, and no
//! split of the bytes changes what the client sees.
#![no_main]

use anyrouter_core::{catalog::Protocol, wire::answer::plain};
use fuzz::{assert_events, events, names, pieces, relayed};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let (size, bytes) = pieces(data);
    for protocol in [Protocol::OpenaiChat, Protocol::AnthropicMessages] {
        let is_json = serde_json::from_slice::<Value>(bytes).is_ok();
        if let (Ok(answer), true) = (plain(protocol, &names(), bytes), is_json) {
            assert!(serde_json::from_slice::<Value>(&answer.body).is_ok(), "a whole answer is JSON");
        }
        let whole = relayed(protocol, std::iter::once(bytes));
        assert_events(&whole.0);
        let cut = relayed(protocol, bytes.chunks(size));
        assert_eq!(events(&whole.0), events(&cut.0));
        assert_eq!(whole.1, cut.1);
    }
});
