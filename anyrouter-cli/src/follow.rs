//! The `anyrouter redact --follow` command, for endless input such as that of `tail -f`.

use std::{
    io::{Read, Write},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

use anyrouter_core::redact::{PlaceholderKey, Placeholders, Redactor, StreamRedactor};

use crate::client::Failure;

/// Time without input after which held-back text is written, up to the end of the last line.
const IDLE: Duration = Duration::from_millis(250);
/// Maximum length of an incomplete line that is held back, in bytes.
const LINE: usize = 64 << 10;
/// Maximum number of findings before the placeholders are discarded. A placeholder depends only on
/// its key and value, so creating it again gives the same one.
const REMEMBERED: u64 = 10_000;

/// Redacts `input` as it arrives. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn follow(
    redactor: &Redactor,
    key: &PlaceholderKey,
    input: impl Read + Send + 'static,
    mut out: impl Write,
) -> Result<(), Failure> {
    let (sender, pieces) = mpsc::sync_channel(4);
    // The thread ends with the input, or with the process.
    std::thread::spawn(move || {
        let mut input = input;
        let mut buffer = vec![0; LINE];
        loop {
            let piece = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(buffer.get(..length).unwrap_or_default().to_vec()),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => Err(e),
            };
            let has_failed = piece.is_err();
            if sender.send(piece).is_err() || has_failed {
                return;
            }
        }
    });
    let mut write = |text: &str| match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::Use(format!("standard output: {e}"))),
        Ok(()) => Ok(true),
    };
    redact(redactor, key, &pieces, &mut write)
}

/// Redacts pieces until the input ends or the output is closed.
fn redact(
    redactor: &Redactor,
    key: &PlaceholderKey,
    pieces: &Receiver<std::io::Result<Vec<u8>>>,
    write: &mut dyn FnMut(&str) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut placeholders = Placeholders::new(key.clone());
    let mut stream = StreamRedactor::new(redactor);
    let mut line: Vec<u8> = Vec::new();
    let mut holds = false;
    loop {
        let mut left = String::new();
        let piece = pieces.recv_timeout(IDLE);
        let blocked = match &piece {
            Ok(Ok(bytes)) => {
                line.extend_from_slice(bytes);
                let whole: Vec<u8> = line.drain(..whole(&line)).collect();
                holds |= !whole.is_empty();
                stream.push(
                    &String::from_utf8_lossy(&whole),
                    &mut placeholders,
                    &mut left,
                )
            }
            Ok(Err(e)) => return Err(Failure::Use(format!("standard input: {e}"))),
            Err(RecvTimeoutError::Timeout) if !std::mem::take(&mut holds) => continue,
            Err(RecvTimeoutError::Timeout) => stream.finish(&mut placeholders, &mut left),
            Err(RecvTimeoutError::Disconnected) => stream
                .push(
                    &String::from_utf8_lossy(&line),
                    &mut placeholders,
                    &mut left,
                )
                .and_then(|()| stream.finish(&mut placeholders, &mut left)),
        };
        // Text that was complete before a rule blocked the rest is already written, as in any
        // stream.
        blocked.map_err(|e| Failure::Blocked(format!("nothing more was written: {e}")))?;
        if !left.is_empty() && !write(&left)?
            || matches!(piece, Err(RecvTimeoutError::Disconnected))
        {
            return Ok(());
        }
        if placeholders.counts().values().sum::<u64>() > REMEMBERED {
            placeholders = Placeholders::new(key.clone());
        }
    }
}

/// Returns the length of the complete lines, or of the whole characters of an overlong line.
fn whole(bytes: &[u8]) -> usize {
    match bytes.iter().rposition(|b| *b == b'\n') {
        Some(end) => end + 1,
        None if bytes.len() < LINE => 0,
        None => (bytes.len() - 3..bytes.len())
            .rev()
            .find(|at| bytes.get(*at).is_some_and(|b| b & 0xc0 != 0x80))
            .unwrap_or(bytes.len()),
    }
}
