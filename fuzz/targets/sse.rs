//! Server-sent events: no split of the bytes changes the events.
#![no_main]

use anyrouter_core::wire::sse::Splitter;
use fuzz::pieces;
use libfuzzer_sys::fuzz_target;

/// The data of each event that has some, and the bytes of all. (Of a CRLF that is cut in two, the
/// LF is an empty line more.)
fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut splitter, mut data, mut raw) = (Splitter::new(1 << 22), Vec::new(), Vec::new());
    for piece in pieces {
        let fed = splitter.feed(piece, |event| {
            raw.extend_from_slice(event.raw);
            data.extend(event.data.map(|d| d.into_owned()));
            true
        });
        assert!(fed.is_ok(), "nothing is that long");
    }
    (data, raw)
}

fuzz_target!(|data: &[u8]| {
    let (size, bytes) = pieces(data);
    let (whole, cut) = (events(std::iter::once(bytes)), events(bytes.chunks(size)));
    assert_eq!(whole.0, cut.0);
    // The last LF may belong to the last event or wait for more.
    assert!(
        whole.1.len().abs_diff(cut.1.len()) <= 1
            && (whole.1.starts_with(&cut.1) || cut.1.starts_with(&whole.1))
    );
});
