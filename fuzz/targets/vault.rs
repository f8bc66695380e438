//! Sealed rows and key rings: no bytes make the vault panic, and none but those that were sealed open.
#![no_main]

use anyrouter_core::vault::{Identity, Key, KeyRing, Salt, Sealed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(ring) = KeyRing::parse(text)
    {
        let again = KeyRing::parse(&ring.to_text()).expect("a ring that was written is read");
        assert!(again.ids().eq(ring.ids()));
    }
    let (key, identity) = (Key::from_random([1; 36]), Identity::new("row", &["a"]));
    if let Ok(sealed) = Sealed::from_bytes(data.to_vec()) {
        assert!(
            key.open(&identity, &sealed).is_err(),
            "nobody guesses a tag"
        );
    }
    let sealed = key.seal(&identity, data, Salt::from_random([2; 24]));
    let opened = key.open(&identity, &sealed).expect("what was sealed opens");
    assert_eq!(opened.expose(), data);
});
