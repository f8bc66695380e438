//! An HTTP/1 connection with stricter checks than its parser: every line of a request's head must
//! end in CRLF (RFC 9112, 2.2), and a body must not have two lengths (6.1). The parser's own
//! refusals, which have no body, are replaced by the API's error with a request id.
//!
//! A valid request costs one scan of its head, and a response one comparison of its first bytes.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use anyrouter_core::wire::error::ApiError;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::app::App;

/// Creates the responses that replace the parser's refusals.
pub(crate) struct Refusals {
    app: Arc<App>,
}

impl Refusals {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Returns the complete response with this status, which replaces the parser's own.
    fn refusal(&self, status: u16) -> Vec<u8> {
        let (code, message) = match status {
            414 => (
                "address_too_long",
                "the address is too long; move its content to the body",
            ),
            431 => (
                "header_too_large",
                "the headers are too large; send fewer or shorter ones",
            ),
            _ => (
                "invalid_http",
                "the request is not valid HTTP (RFC 9112); check its first lines",
            ),
        };
        self.app.health.refused(status);
        let id = self.app.gateway.request_id().to_string();
        let body = ApiError::new(status, code, message)
            .to_openai(&id)
            .to_string();
        let reason = http::StatusCode::from_u16(status)
            .ok()
            .and_then(|s| s.canonical_reason())
            .unwrap_or("Error");
        format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\nx-content-type-options: nosniff\r\n\
             access-control-allow-origin: *\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// Kind of the next bytes of a connection (RFC 9112, 2.1 and 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The head of a request.
    Head,
    /// This many bytes of its body.
    Body(u64),
    /// The line with the size of a chunk.
    Size,
    /// This many bytes of a chunk, including the line end after it.
    Chunk(u64),
    /// The lines after the last chunk.
    Trailer,
}

/// A connection whose requests are checked.
pub(crate) struct StrictConnection<T> {
    inner: T,
    refusals: Arc<Refusals>,
    next: Next,
    /// Beginning of the incomplete line; `length` is its length so far.
    line: SmallVec<[u8; 64]>,
    length: usize,
    last: u8,
    /// True if the head has a complete line.
    has_line: bool,
    /// The content length that the head declares.
    body: Option<u64>,
    is_chunked: bool,
    /// The response that replaces the parser's own, and the number of its bytes already written.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<T> StrictConnection<T> {
    pub(crate) fn new(inner: T, refusals: Arc<Refusals>) -> Self {
        Self {
            inner,
            refusals,
            next: Next::Head,
            line: SmallVec::new(),
            length: 0,
            last: 0,
            has_line: false,
            body: None,
            is_chunked: false,
            refusal: None,
        }
    }

    /// Checks bytes that were read. Replaces an invalid line end with a byte that no head may
    /// contain, so that the parser refuses it.
    fn look(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.len() - at;
            if let Next::Body(left) | Next::Chunk(left) = &mut self.next {
                let passed = rest.min(usize::try_from(*left).unwrap_or(rest));
                *left -= passed as u64;
                at += passed;
                match self.next {
                    Next::Body(0) => self.next = Next::Head,
                    Next::Chunk(0) => self.next = Next::Size,
                    _ => {}
                }
                continue;
            }
            let part = bytes.get(at..).unwrap_or_default();
            let end = memchr::memchr(b'\n', part);
            let part = part.get(..end.unwrap_or(rest)).unwrap_or_default();
            if let (0, Some(end), [line @ .., b'\r']) = (self.length, end, part) {
                // Most lines arrive whole.
                at += end;
                if !self.end_line(line, line.len()) {
                    return refuse(bytes, at);
                }
                at += 1;
                continue;
            }
            let room = self.line.inline_size().saturating_sub(self.line.len());
            self.line
                .extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
            self.length += part.len();
            self.last = part.last().copied().unwrap_or(self.last);
            at += part.len();
            if end.is_none() {
                return;
            }
            let is_bare = self.length == 0 || self.last != b'\r';
            if is_bare && self.next == Next::Head {
                return refuse(bytes, at);
            }
            let (line, length) = (
                std::mem::take(&mut self.line),
                self.length - usize::from(!is_bare),
            );
            (self.length, self.last) = (0, 0);
            if !self.end_line(
                line.get(..length.min(line.len())).unwrap_or_default(),
                length,
            ) {
                return refuse(bytes, at);
            }
            at += 1;
        }
    }

    /// Handles a complete line, given its beginning and its length without the line end. Returns
    /// false if it ends a head that declares two body lengths.
    fn end_line(&mut self, text: &[u8], length: usize) -> bool {
        match self.next {
            // An empty line ends the head; empty lines before its first line are skipped.
            Next::Head if length == 0 && self.has_line => {
                let (body, is_chunked) = (
                    std::mem::take(&mut self.body),
                    std::mem::take(&mut self.is_chunked),
                );
                self.has_line = false;
                self.next = match body {
                    Some(_) if is_chunked => return false,
                    None if is_chunked => Next::Size,
                    None | Some(0) => Next::Head,
                    Some(body) => Next::Body(body),
                };
            }
            Next::Head => {
                self.has_line |= length > 0;
                if let Some(length) = value_of(text, b"content-length:") {
                    self.body = Some(
                        std::str::from_utf8(length)
                            .ok()
                            .and_then(|l| l.trim().parse().ok())
                            .unwrap_or(0),
                    );
                }
                self.is_chunked |= value_of(text, b"transfer-encoding:").is_some();
            }
            Next::Size => {
                let digits = text
                    .split(|b| !b.is_ascii_hexdigit())
                    .next()
                    .unwrap_or_default();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|d| u64::from_str_radix(d, 16).ok())
                    .unwrap_or(0);
                self.next = if size == 0 {
                    Next::Trailer
                } else {
                    Next::Chunk(size.saturating_add(2))
                };
            }
            Next::Trailer if length == 0 => self.next = Next::Head,
            Next::Trailer | Next::Body(_) | Next::Chunk(_) => {}
        }
        true
    }

    /// Returns the status of the parser's own response, which has no body and none of our headers.
    fn refused(bytes: &[u8]) -> Option<u16> {
        let rest = bytes.strip_prefix(b"HTTP/1.1 4")?;
        let status = match rest.get(..2)? {
            b"00" => 400,
            b"14" => 414,
            b"31" => 431,
            _ => return None,
        };
        let is_ours = memchr::memmem::find(bytes, b"x-request-id").is_some();
        (bytes.ends_with(b"\r\n\r\n") && !is_ours).then_some(status)
    }
}

/// Writes a byte that no head may contain at `at`.
fn refuse(bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = 0;
    }
}

/// Returns the value of a head's line, if it has this name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, value) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name).then_some(value)
}

impl<T: AsyncRead + Unpin> AsyncRead for StrictConnection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.look(buffer.filled_mut().get_mut(before..).unwrap_or_default());
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> StrictConnection<T> {
    /// Writes the response that replaces the parser's, and then reports `length` bytes as written.
    fn poll_refusal(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some((bytes, written)) = &mut self.refusal {
            let rest = bytes.get(*written..).unwrap_or_default();
            if rest.is_empty() {
                self.refusal = None;
                break;
            }
            let wrote = std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += wrote;
        }
        Poll::Ready(Ok(length))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for StrictConnection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.refusal.is_none()
            && let Some(status) = Self::refused(bytes)
        {
            self.refusal = Some((self.refusals.refusal(status), 0));
        }
        if self.refusal.is_some() {
            return self.poll_refusal(cx, bytes.len());
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        all: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = all.first().map(|s| &**s).unwrap_or_default();
        if self.refusal.is_some() || Self::refused(first).is_some() {
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
