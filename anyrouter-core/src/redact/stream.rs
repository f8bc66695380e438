//! Redaction of text that comes in pieces, as logs and answers do.

use std::borrow::Cow;

use super::{Blocked, Placeholders, Redactor, cut::splice, placeholder::Passed};

/// Minimum length of text that a stream holds back before it decides, in bytes: the longest value,
/// and the text examined after one.
pub const HOLD: usize = 9 * 1024;
/// Maximum length of held text that contains no white space, in bytes.
const MOST: usize = 64 * 1024;
/// Length of written text that is kept as the context of later values, in bytes.
const CONTEXT: usize = 1024;

/// Redacts text piece by piece. For the findings of [`Redactor::find`], pieces of any size have the
/// same result as the whole text, even if a value is split over pieces. (It cannot find repetitions
/// of a value that have no context of their own.) It holds back at least [`HOLD`] bytes, up to
/// twice as many before it writes, and at most 64 KiB, until more text comes or
/// [`finish`](Self::finish) is called. It has no clock: to limit the delay, call `finish` after a
/// timeout. After an error it writes no more of the text.
#[derive(Debug)]
pub struct StreamRedactor<'a> {
    redactor: &'a Redactor,
    buffer: String,
    /// The end of the written part of the buffer.
    written: usize,
    /// The state at the end of the written text.
    place: Passed,
    /// The length of the buffer when a place to cut was last sought in vain.
    tried: usize,
}

impl<'a> StreamRedactor<'a> {
    /// Creates a redactor at the beginning of a text.
    pub fn new(redactor: &'a Redactor) -> Self {
        Self {
            redactor,
            buffer: String::new(),
            written: 0,
            place: Passed::default(),
            tried: 0,
        }
    }

    /// Takes the next piece, and appends the redacted text that is certain to `out`.
    pub fn push(
        &mut self,
        piece: &str,
        placeholders: &mut Placeholders,
        out: &mut String,
    ) -> Result<(), Blocked> {
        self.buffer.push_str(piece);
        // After a vain search for a place to cut, the next search waits for as much text again.
        if self.buffer.len() - self.written > 2 * HOLD && self.buffer.len() >= self.tried + HOLD {
            self.write(false, placeholders, out)
        } else {
            Ok(())
        }
    }

    /// Ends the text, and appends the rest to `out`. Later pieces belong to another text.
    pub fn finish(
        &mut self,
        placeholders: &mut Placeholders,
        out: &mut String,
    ) -> Result<(), Blocked> {
        self.write(true, placeholders, out)?;
        *self = Self::new(self.redactor);
        Ok(())
    }

    fn write(
        &mut self,
        ended: bool,
        placeholders: &mut Placeholders,
        out: &mut String,
    ) -> Result<(), Blocked> {
        let found = self.redactor.find(&self.buffer);
        let free = |at: usize| !found.iter().any(|f| f.start < at && at < f.end);
        let space = |at: &usize| {
            self.buffer
                .as_bytes()
                .get(at - 1)
                .is_some_and(u8::is_ascii_whitespace)
        };
        let cut = if ended {
            self.buffer.len()
        } else {
            let last = self.buffer.len() - HOLD;
            let places = (self.written + 1..=last)
                .rev()
                .filter(|at| self.buffer.is_char_boundary(*at) && free(*at));
            let at_space = places.clone().find(space);
            let forced = (self.buffer.len() - self.written > MOST)
                .then(|| places.clone().next())
                .flatten();
            match at_space.or(forced) {
                Some(cut) => cut,
                None => {
                    self.tried = self.buffer.len();
                    return Ok(());
                }
            }
        };
        let within: Vec<_> = found
            .into_iter()
            .filter(|f| f.start >= self.written && f.end <= cut)
            .collect();
        let cuts = self.redactor.cut_all(&self.buffer, &within, placeholders)?;
        placeholders.note_places_from(
            &mut self.place,
            &cuts,
            &self.buffer,
            self.written..cut,
            Cow::Borrowed,
        );
        out.push_str(&splice(&self.buffer, self.written..cut, &cuts));
        let keep = cut.saturating_sub(CONTEXT);
        let keep = (keep..=cut)
            .find(|at| self.buffer.is_char_boundary(*at))
            .unwrap_or(cut);
        self.buffer.drain(..keep);
        self.tried = 0;
        self.written = cut - keep;
        Ok(())
    }
}
