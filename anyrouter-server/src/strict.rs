//! An HTTP/1 connection that is stricter than its parser: a line of a request's head must end in CRLF (RFC 9112, 2.2), and what the
//! parser refuses by itself, in a response without a body, gets the API's error and a request id.
//!
//! A good request costs one look at its head, and a response one comparison of its first bytes.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use anyrouter_core::wire::error::ApiError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::Server;

/// Whether the next bytes of a connection are a request's head.
pub(crate) struct RawHead {
    is_next: AtomicBool,
    /// Bytes that were read behind the last head.
    beyond: AtomicU64,
    server: Arc<Server>,
}

impl RawHead {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { is_next: AtomicBool::new(true), beyond: AtomicU64::new(0), server }
    }

    /// A request has been read to its end; its body had this many bytes on the wire, where that is known. Only where no byte behind it
    /// has been read is the next one surely a head's first. Elsewhere the connection's later heads are not looked at.
    pub(crate) fn next(&self, body: Option<u64>) {
        if body == Some(self.beyond.load(Ordering::Relaxed)) {
            self.is_next.store(true, Ordering::Relaxed);
        }
    }

    /// The whole response in place of the parser's own, with this status.
    fn refusal(&self, status: u16) -> Vec<u8> {
        let (code, message) = match status {
            414 => ("address_too_long", "the address is too long; put what it says into the body"),
            431 => ("header_too_large", "the headers are too large; send fewer or shorter ones"),
            _ => ("invalid_http", "the request is not HTTP as RFC 9112 has it; look at its first lines"),
        };
        self.server.observer.refused(status);
        let id = self.server.gateway.request_id().to_string();
        let body = ApiError::new(status, code, message).to_openai(&id).to_string();
        let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
        format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\nx-content-type-options: nosniff\r\n\
             access-control-allow-origin: *\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// A connection, looked at.
pub(crate) struct Strict<T> {
    inner: T,
    head: Arc<RawHead>,
    /// The last byte of a head that is not complete.
    last: u8,
    /// Bytes of its line that is not complete.
    line: usize,
    /// It has a line that is.
    has_line: bool,
    /// What is written in place of the parser's own response, and how much of it was.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<T> Strict<T> {
    pub(crate) fn new(inner: T, head: Arc<RawHead>) -> Self {
        Self { inner, head, last: 0, line: 0, has_line: false, refusal: None }
    }

    /// Looks at bytes that were read. A line end without its CR becomes a byte that no head may have: the parser refuses it.
    fn look(&mut self, bytes: &mut [u8]) {
        if !self.head.is_next.load(Ordering::Relaxed) {
            self.head.beyond.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return;
        }
        let mut start = 0;
        while let Some(at) = bytes.get(start..).and_then(|rest| memchr::memchr(b'\n', rest)).map(|i| start + i) {
            let before = at.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(self.last);
            if before != b'\r' {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = 0;
                }
                return;
            }
            let is_empty = self.line + (at - start) == 1;
            (self.line, start) = (0, at + 1);
            // An empty line ends the head; those before its first line are passed over.
            if is_empty && self.has_line {
                self.has_line = false;
                self.head.beyond.store((bytes.len() - start) as u64, Ordering::Relaxed);
                self.head.is_next.store(false, Ordering::Relaxed);
                return;
            }
            self.has_line |= !is_empty;
        }
        self.line += bytes.len() - start;
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    /// The parser's own response, which has no body and none of our headers: its status.
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

impl<T: AsyncRead + Unpin> AsyncRead for Strict<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.look(buffer.filled_mut().get_mut(before..).unwrap_or_default());
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> Strict<T> {
    /// Writes what stands in place of the parser's response, and then says that all of it was written.
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

impl<T: AsyncWrite + Unpin> AsyncWrite for Strict<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.refusal.is_none()
            && let Some(status) = Self::refused(bytes)
        {
            self.refusal = Some((self.head.refusal(status), 0));
        }
        if self.refusal.is_some() {
            return self.poll_refusal(cx, bytes.len());
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, all: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
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
