//! A parser for server-sent events (WHATWG HTML, section 9.2) that accepts bytes in any pieces,
//! with CR, LF and CRLF, comments, and data of several lines. An event keeps its raw bytes, so that
//! it can be forwarded unchanged. The length of an unfinished event is limited.

use std::borrow::Cow;

/// One event or a run of comments, including the blank line that ends it.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Raw bytes of the event.
    pub raw: &'a [u8],
    /// Data with its lines joined by LF; `None` if there is none, as in a comment.
    pub data: Option<Cow<'a, [u8]>>,
    /// The value of its last `event` line, if it has one.
    pub name: Option<&'a [u8]>,
}

impl Event<'_> {
    /// Returns true if it has only `event` and `data` lines: some clients fail on an `id` line.
    pub fn is_bare(&self) -> bool {
        self.raw.split(|b| matches!(b, b'\n' | b'\r')).all(|line| {
            line.is_empty() || line.starts_with(b"event:") || line.starts_with(b"data:")
        })
    }
}

/// Error of an event that exceeds the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {limit} bytes")]
pub struct EventTooLong {
    /// Limit in bytes.
    pub limit: usize,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A splitter of bytes into events.
#[derive(Debug)]
pub struct Splitter {
    held: Vec<u8>,
    /// Number of bytes of `held` already searched for the end of the event.
    searched: usize,
    limit: usize,
    started: bool,
}

impl Splitter {
    /// Creates a splitter that holds at most `limit` bytes of an unfinished event.
    pub fn new(limit: usize) -> Self {
        Self {
            held: Vec::new(),
            searched: 0,
            limit,
            started: false,
        }
    }

    /// Takes bytes and calls `each` for every event that they complete; it returns false to stop.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Event<'_>) -> bool,
    ) -> Result<(), EventTooLong> {
        let mut held = std::mem::take(&mut self.held);
        let from = std::mem::take(&mut self.searched);
        let whole = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            held.as_slice()
        };
        let mut rest = whole;
        if !self.started && !rest.is_empty() {
            // The stream may begin with a byte order mark, also in pieces.
            if rest.len() < BOM.len() && BOM.starts_with(rest) {
                let begun = rest.to_vec();
                self.held = begun;
                return Ok(());
            }
            rest = rest.strip_prefix(BOM).unwrap_or(rest);
            self.started = true;
        }
        let mut skip = from;
        let mut go_on = true;
        while go_on && let Some(end) = end_of_event(rest, skip) {
            skip = 0;
            let (raw, after) = rest.split_at(end);
            go_on = each(Event {
                raw,
                data: data_of(raw),
                name: name_of(raw),
            });
            rest = after;
        }
        if rest.len() > self.limit {
            return Err(EventTooLong { limit: self.limit });
        }
        self.searched = rest.len().saturating_sub(3);
        if held.is_empty() {
            self.held.extend_from_slice(rest);
        } else {
            let used = held.len() - rest.len();
            held.drain(..used);
            self.held = held;
        }
        if self.held.is_empty() && self.held.capacity() > 4096 {
            self.held = Vec::new();
        }
        Ok(())
    }

    /// Returns the bytes of the unfinished event.
    pub fn into_rest(self) -> Vec<u8> {
        self.held
    }

    /// Returns true if there is an unfinished event.
    pub fn is_within(&self) -> bool {
        self.held.iter().any(|b| !matches!(b, b'\r' | b'\n'))
    }
}

/// Returns the end of the first event, after two line ends in a row. A final CR ends a line at
/// once; a following LF then begins the next event, where an empty line has no meaning.
fn end_of_event(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'\n', b'\r', bytes.get(at..)?)?;
        let line_end = past_line_end(bytes, at);
        if matches!(bytes.get(line_end), Some(b'\n' | b'\r')) {
            return Some(past_line_end(bytes, line_end));
        }
        if at == 0 {
            return Some(line_end);
        }
        at = line_end;
    }
}

fn past_line_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at..) {
        Some([b'\r', b'\n', ..]) => at + 2,
        _ => at + 1,
    }
}

fn name_of(raw: &[u8]) -> Option<&[u8]> {
    // Most streams have no `event` line, so a search for the letters is enough.
    memchr::memmem::find(raw, b"event")?;
    let lines = raw.split(|b| matches!(b, b'\n' | b'\r'));
    lines
        .filter_map(|line| line.strip_prefix(b"event:"))
        .map(|v| v.strip_prefix(b" ").unwrap_or(v))
        .next_back()
}

fn data_of(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut data: Option<Cow<'_, [u8]>> = None;
    for line in raw.split(|b| matches!(b, b'\n' | b'\r')) {
        let Some(value) = line.strip_prefix(b"data") else {
            continue;
        };
        let value = match value {
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            [] => value,
            _ => continue,
        };
        data = Some(match data {
            None => Cow::Borrowed(value),
            Some(before) => {
                let mut joined = before.into_owned();
                joined.push(b'\n');
                joined.extend_from_slice(value);
                Cow::Owned(joined)
            }
        });
    }
    data
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Seen = Vec<Option<Vec<u8>>>;

    fn events(pieces: &[&[u8]]) -> (Seen, Vec<u8>) {
        let (mut seen, mut raw) = (Vec::new(), Vec::new());
        let mut splitter = Splitter::new(1 << 20);
        for piece in pieces {
            splitter
                .feed(piece, |e| {
                    raw.extend_from_slice(e.raw);
                    seen.extend(e.data.map(|d| Some(d.into_owned())));
                    true
                })
                .unwrap();
        }
        (seen, raw)
    }

    #[test]
    fn every_line_end_and_several_lines_of_data() {
        let text = b": hello\n\ndata: a\n\ndata:b\r\ndata: c\r\n\r\nevent: x\rdata:  d\r\rdata\n\n";
        let (seen, raw) = events(&[text]);
        let expected: Seen = [&b"a"[..], b"b\nc", b" d", b""]
            .iter()
            .map(|d| Some(d.to_vec()))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(raw, text);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_event() {
        assert_eq!(
            events(&[b"\xef\xbb\xbfdata: a\n\n"]).0,
            [Some(b"a".to_vec())]
        );
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut splitter = Splitter::new(10);
        assert_eq!(
            splitter.feed(b"data: endless line", |_| true),
            Err(EventTooLong { limit: 10 })
        );
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            lines in prop::collection::vec(("(data|event|:|id)?:? ?[a-z\"{}é ]{0,12}", prop_oneof!["\n", "\r\n"], any::<bool>()), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut text = String::new();
            for (line, end, blank) in &lines {
                text.push_str(line);
                text.push_str(end);
                if *blank {
                    text.push_str(end);
                }
            }
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(events(&pieces).0, events(&[bytes]).0);
            let each: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(events(&each).0, events(&[bytes]).0);
        }
    }
}
