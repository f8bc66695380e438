//! Redaction of text that comes in pieces, as logs and answers do.

use std::borrow::Cow;

use super::{Blocked, Placeholders, Redactor, cut::splice, placeholder::Passed};

/// What a stream holds back before it decides, in bytes: the longest value, and what is read behind
/// one.
pub const HOLD: usize = 9 * 1024;
/// What it holds at most, where no white space stands in so much text.
const MOST: usize = 64 * 1024;
/// What it keeps of what it wrote, to know what stands before a value.
const CONTEXT: usize = 1024;

/// Redacts text piece by piece. Pieces of any size give what the whole would give by the findings
/// of [`Redactor::find`]: a value that is split over pieces is found. (That a value stands again
/// elsewhere, where nothing says what it is, it cannot know.) It holds back at least [`HOLD`]
/// bytes, up to twice as many before it writes, and at most 64 KiB, until more comes or
/// [`finish`](Self::finish) is called; it has no clock, so whoever wants a bound in time calls
/// `finish` when that is over. After an error nothing more of the text is written.
#[derive(Debug)]
pub struct StreamRedactor<'a> {
    redactor: &'a Redactor,
    buffer: String,
    /// The buffer was written up to here.
    written: usize,
    /// What is known of what was written.
    place: Passed,
    /// So long it was when no place to cut it was found.
    tried: usize,
}

impl<'a> StreamRedactor<'a> {
    /// At the beginning of a text.
    pub fn new(redactor: &'a Redactor) -> Self {
        Self {
            redactor,
            buffer: String::new(),
            written: 0,
            place: Passed::default(),
            tried: 0,
        }
    }

    /// Takes the next piece, and appends to `out` what is sure.
    pub fn push(
        &mut self,
        piece: &str,
        placeholders: &mut Placeholders,
        out: &mut String,
    ) -> Result<(), Blocked> {
        self.buffer.push_str(piece);
        // Where there was no place to cut, it is looked for again only once there is as much more.
        if self.buffer.len() - self.written > 2 * HOLD && self.buffer.len() >= self.tried + HOLD {
            self.write(false, placeholders, out)
        } else {
            Ok(())
        }
    }

    /// The text has ended: appends the rest. What is pushed afterwards is another text.
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
