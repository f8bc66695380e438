//! The `anyrouter redact` command for input that is too large for memory. Text is redacted in
//! pieces, and a document is cut between its members. Each part of a document is read within the
//! lists and objects that are open at the cut, with their names.

use std::io::{Read, Write};

use anyrouter_core::redact::{PlaceholderKey, Placeholders, Redactor, StreamRedactor};

use crate::client::Failure;

/// Approximate size of a part, in bytes.
const PART: usize = 1 << 20;
/// Size at which a part without a suitable end is cut anyway, in bytes.
const MOST: usize = 16 << 20;
/// Size of a read, in bytes.
const READ: usize = 256 << 10;

/// Redacts `start` followed by `rest`. Passes the values of each part to `taken` before they are
/// wiped.
pub(crate) fn redact(
    redactor: &Redactor,
    key: &PlaceholderKey,
    start: Vec<u8>,
    mut rest: impl Read,
    is_json: bool,
    mut out: impl Write,
    mut taken: impl FnMut(&Placeholders),
) -> Result<(), Failure> {
    let mut bytes = start;
    let mut cutter = Cutter::default();
    let mut text = StreamRedactor::new(redactor);
    let mut values = Placeholders::new(key.clone());
    let mut ended = false;
    while !ended {
        let before = bytes.len();
        bytes.resize(before + READ, 0);
        let read = rest
            .read(&mut bytes[before..])
            .map_err(|e| Failure::Use(format!("standard input: {e}")))?;
        bytes.truncate(before + read);
        ended = read == 0;
        let mut done = 0;
        if is_json {
            while let Some(end) = cutter.part(&bytes[done..], ended) {
                let part = utf8(&bytes[done..done + end])?;
                write(&mut out, &cutter.redact(redactor, part, &mut values)?)?;
                done += end;
                taken(&values);
                values = Placeholders::new(key.clone());
            }
        } else {
            // The last character may be incomplete.
            done = match std::str::from_utf8(&bytes) {
                Ok(_) => bytes.len(),
                Err(e) if e.error_len().is_none() && !ended => e.valid_up_to(),
                Err(_) => return Err(no_text()),
            };
            let mut left = String::new();
            text.push(utf8(&bytes[..done])?, &mut values, &mut left)
                .map_err(|e| blocked(&e))?;
            if ended {
                text.finish(&mut values, &mut left)
                    .map_err(|e| blocked(&e))?;
            }
            write(&mut out, &left)?;
            taken(&values);
            values = Placeholders::new(key.clone());
        }
        bytes.drain(..done);
    }
    out.flush()
        .map_err(|e| Failure::Use(format!("standard output: {e}")))
}

fn utf8(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| no_text())
}

fn no_text() -> Failure {
    Failure::Use("standard input: it must be UTF-8 text".to_owned())
}

fn blocked(error: &dyn std::fmt::Display) -> Failure {
    Failure::Blocked(format!("the output ends before it: {error}"))
}

fn write(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    match out.write_all(text.as_bytes()) {
        // The reader has closed the pipe, as `head` does.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.map_err(|e| Failure::Use(format!("standard output: {e}"))),
    }
}

/// Cuts a document after its values, and tracks the lists and objects that are open at the cut.
#[derive(Default)]
struct Cutter {
    /// The open lists and objects, each object with its current member.
    open: Vec<Open>,
    /// The value of `open` at the start of the part.
    before: Vec<Open>,
    /// Number of bytes of the part that were read.
    read: usize,
    /// Start of the open string, if any.
    string: Option<usize>,
    is_escaped: bool,
    /// Start and end of the last complete string.
    last: (usize, usize),
}

#[derive(Clone, PartialEq, Eq)]
enum Open {
    List,
    Object(String),
}

impl Cutter {
    /// Returns the length of the next part, if it is complete.
    fn part(&mut self, bytes: &[u8], ended: bool) -> Option<usize> {
        if self.read == 0 {
            self.before.clone_from(&self.open);
        }
        while let Some(byte) = bytes.get(self.read) {
            let at = self.read;
            self.read += 1;
            match (self.string, byte) {
                (Some(_), _) if self.is_escaped => self.is_escaped = false,
                (Some(_), b'\\') => self.is_escaped = true,
                (Some(start), b'"') => (self.string, self.last) = (None, (start, at)),
                (None, b'"') => self.string = Some(at + 1),
                (None, b'[') => self.open.push(Open::List),
                (None, b'{') => self.open.push(Open::Object(String::new())),
                (None, b']' | b'}') => drop(self.open.pop()),
                (None, b':') => {
                    let name = bytes
                        .get(self.last.0..self.last.1)
                        .and_then(|n| std::str::from_utf8(n).ok())
                        .unwrap_or_default();
                    if let Some(Open::Object(member)) = self.open.last_mut() {
                        name.clone_into(member);
                    }
                }
                // Each of several consecutive documents is a part.
                (None, b'\n') if self.open.is_empty() => {
                    return Some(std::mem::take(&mut self.read));
                }
                (None, b',') if at > PART => {
                    self.read = 0;
                    return Some(at + 1);
                }
                _ => {}
            }
            // An overlong string, or input that is not JSON, is cut at whitespace if possible.
            if at > MOST && byte.is_ascii() && (byte.is_ascii_whitespace() || at > 2 * MOST) {
                return Some(std::mem::take(&mut self.read));
            }
        }
        (ended && !bytes.is_empty()).then(|| {
            self.read = 0;
            bytes.len()
        })
    }

    /// Redacts a part.
    fn redact(
        &self,
        redactor: &Redactor,
        part: &str,
        values: &mut Placeholders,
    ) -> Result<String, Failure> {
        // The document is closed without a trailing comma.
        let body = part.trim_end();
        let (body, comma) = body
            .strip_suffix(',')
            .map_or((body, ""), |body| (body, ","));
        let blanks = &part[body.len() + comma.len()..];
        for named in [true, false] {
            let count = self.before.len();
            let head: String = self
                .before
                .iter()
                .enumerate()
                .map(|(i, open)| open.opening(named, i + 1 == count))
                .collect();
            let tail: String = self.open.iter().rev().map(Open::closing).collect();
            let document = format!("{head}{body}{tail}");
            if serde_json::from_str::<&serde_json::value::RawValue>(&document).is_err() {
                break;
            }
            let left = redactor
                .redact_json(&document, |_, _| false, values)
                .map_err(|e| blocked(&e))?
                .into_inner();
            // If redaction changed a name in `head`, the second pass uses neutral names.
            if let Some(left) = left
                .strip_prefix(&head)
                .and_then(|left| left.strip_suffix(&tail))
            {
                return Ok(format!("{left}{comma}{blanks}"));
            }
        }
        // Input that is not JSON is redacted as text.
        Ok(redactor
            .redact(part, values)
            .map_err(|e| blocked(&e))?
            .into_inner())
    }
}

impl Open {
    fn opening(&self, named: bool, is_last: bool) -> String {
        match self {
            Self::List => "[".to_owned(),
            // The part begins with a member of the innermost object.
            Self::Object(_) if is_last => "{".to_owned(),
            Self::Object(name) => format!("{{\"{}\":", if named { name } else { "x" }),
        }
    }

    fn closing(&self) -> &'static str {
        match self {
            Self::List => "]",
            Self::Object(_) => "}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(input: &str, is_json: bool) -> String {
        let mut out = Vec::new();
        let (redactor, key) = (Redactor::default(), PlaceholderKey::from_bytes([1; 32]));
        redact(
            &redactor,
            &key,
            Vec::new(),
            input.as_bytes(),
            is_json,
            &mut out,
            |_| {},
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_large_document_stays_one_and_loses_the_same_values() {
        let row = |i: usize| {
            format!(
                r#"{{"name": "n{i}", "list": [1, "a, b", {{"ssn": {}}}], "mail": "u{i}@example.com"}}"#,
                900_000_000 + i
            )
        };
        let rows: Vec<String> = (0..14_000).map(row).collect();
        let document = format!(
            "{{\"a\": {{\"rows\": [\n{}\n]}}, \"z\": \"jane@example.com\"}}\n",
            rows.join(",\n")
        );
        assert!(document.len() > PART);
        let left = redacted(&document, true);
        let value: serde_json::Value = serde_json::from_str(&left).unwrap();
        assert_eq!(value["a"]["rows"].as_array().unwrap().len(), rows.len());
        assert!(
            !left.contains("@example.com") && !left.contains(": 9000"),
            "every part is read"
        );
        let lines = redacted(&rows.join("\n"), true);
        assert!(
            lines
                .lines()
                .all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok())
                && !lines.contains("@example.com")
        );
    }

    #[test]
    fn what_only_begins_as_a_document_is_text() {
        let text = format!(
            "{{ not, a document: {} jane@example.com",
            "word, ".repeat(250_000)
        );
        let left = redacted(&text, true);
        assert!(!left.contains("jane@") && left.starts_with("{ not, a document: word, "));
        let plain = format!("{} jane@example.com ü", "wörd ".repeat(50_000));
        assert!(
            redacted(&plain, false).ends_with('ü') && !redacted(&plain, false).contains("jane@")
        );
    }
}
