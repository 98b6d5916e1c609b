//! What the client still sends, or has sent in vain, when a connection ends: responses to heads that hyper could not read,
//! and bodies that were refused.
//!
//! To an unreadable head hyper writes a bare status by itself. It is completed here before it is sent, so that the client
//! gets a problem document as for any other error.
//!
//! hyper's own response is recognised by the order of events: all responses are flushed, no request has begun since,
//! and the written bytes start like a head. A chunk of a streamed response starts with its size. HTTP/1.0 has no
//! chunks, so connections that have used it are left alone, as are those of HTTP/2.
//!
//! A connection that is closed while bytes arrive is reset, and the client may lose the response. So the connection is
//! closed in one direction first, and what still arrives is read for a moment (RFC 9112, section 9.6).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use promox_contract::codes;
use promox_kernel::{Error, Kind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::http::edge::context;
use crate::http::edge::cors;
use crate::http::edge::exchange::{Edge, Peer};
use crate::http::edge::problem;
use crate::http::edge::status::status;
use crate::http::wire::activity::Activity;

/// The start of an HTTP/1 head.
const HEAD: &[u8] = b"HTTP/1.";
/// How long a connection is read after its last response, so that a client that is still sending sees the response.
const LINGER: Duration = Duration::from_secs(5);

/// The error behind hyper's bare response.
fn error_behind(bare: &[u8]) -> Error {
    let code = bare.split(|byte| *byte == b' ').nth(1);
    if code == Some(b"400") {
        return Error::new(
            Kind::Malformed,
            codes::MALFORMED_REQUEST,
            "This is not an HTTP/1.1 request: its head cannot be read.",
        );
    }
    context::head_too_large()
}

/// The bare response, completed by the problem document and the headers that every error has.
fn complete_response(edge: &Edge, peer: Peer, bare: &[u8]) -> Bytes {
    let (error, id) = (error_behind(bare), edge.request_id_of(&HeaderMap::new()));
    tracing::debug!(client = %peer.address, request_id = &*id, %error, "the head of a request could not be read");
    let document = problem::document(&error, &id, "");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
    cors::add_security_headers(&mut headers, peer.secure);
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(context::REQUEST_ID, id);
    }
    let mut out = format!("HTTP/1.1 {}\r\n", status(error.kind())).into_bytes();
    // hyper's other lines are kept: the date, and `Connection: close`.
    let lines = bare.split(|byte| *byte == b'\n').skip(1).map(<[u8]>::trim_ascii);
    let kept = lines.filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with(b"content-length:"));
    let own: Vec<Vec<u8>> =
        headers.iter().map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes()].concat()).collect();
    for line in kept.chain(own.iter().map(Vec::as_slice)) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&document);
    out.into()
}

/// A stream on which bare responses are completed, and that is closed only when the client has stopped sending.
pub(crate) struct Completed<S> {
    stream: S,
    activity: Arc<Activity>,
    edge: Arc<Edge>,
    peer: Peer,
    /// The rest of a completed response that is being written.
    refusal: Option<Bytes>,
    /// Until when the client is read, once nothing more is sent.
    lingers: Option<Pin<Box<Sleep>>>,
}

impl<S> Completed<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, edge: Arc<Edge>, peer: Peer) -> Self {
        Self { stream, activity, edge, peer, refusal: None, lingers: None }
    }

    /// Replaces `bytes` by a completed response if they are hyper's own response. Returns whether they are.
    fn intercepts(&mut self, bytes: &[u8]) -> bool {
        let is_bare = self.refusal.is_none() && self.activity.is_settled() && bytes.starts_with(HEAD);
        if is_bare {
            self.refusal = Some(complete_response(&self.edge, self.peer, bytes));
        }
        is_bare
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Completed<S> {
    /// Writes the rest of the completed response.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(left) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while !left.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            left.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what the client still sends, for a limited time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(end) = &mut self.lingers else { return Poll::Ready(()) };
        let mut room = [0; 16 << 10];
        loop {
            if end.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // The client has closed the connection too.
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Completed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Completed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.intercepts(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [bytes] = slices
            && self.intercepts(bytes)
        {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper calls this once it has nothing left to write.
        self.activity.flushed();
        ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if self.refusal.is_some() || self.activity.is_unread() {
                self.lingers = Some(Box::pin(sleep(LINGER)));
            }
        }
        self.poll_linger(cx).map(Ok)
    }
}
