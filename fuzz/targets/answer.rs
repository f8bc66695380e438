//! Answers of providers, whole and as a stream, in every protocol and for every client: an answer
//! reaches the client as JSON and legal events or is a fault, and no split of the bytes changes what
//! the client sees.
#![no_main]

use anyrouter_core::{catalog::Protocol, wire::answer::plain};
use fuzz::{assert_events, events, is_json, names, pieces, relayed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (size, bytes) = pieces(data);
    for protocol in Protocol::ALL {
        for client in Protocol::ALL {
            if let Ok(answer) = plain(&names(protocol, client), bytes) {
                assert!(is_json(&answer.body), "a whole answer is JSON");
            }
            let whole = relayed(protocol, client, std::iter::once(bytes));
            assert_events(&whole.0);
            let cut = relayed(protocol, client, bytes.chunks(size));
            assert_eq!(events(&whole.0), events(&cut.0));
            assert_eq!(whole.1, cut.1);
        }
    }
});
