//! Responses to heads that hyper could not read. hyper writes a bare status by itself. It is completed here before it
//! is sent, so that the client gets a problem document as for any other error.
//!
//! hyper's own response is recognised by the order of events: all responses are flushed, no request has begun since,
//! and the written bytes start like a head. A chunk of a streamed response starts with its size. HTTP/1.0 has no
//! chunks, so connections that have used it are left alone, as are those of HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use promox_contract::codes;
use promox_kernel::{Error, Kind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::edge::context;
use crate::http::edge::cors;
use crate::http::edge::exchange::{Edge, Peer};
use crate::http::edge::problem;
use crate::http::edge::status::status;
use crate::http::wire::activity::Activity;

/// The start of an HTTP/1 head.
const HEAD: &[u8] = b"HTTP/1.";
/// The maximum number of bytes of a refused request that are drained, so that its client sees the response and not a
/// connection reset.
const MAX_DRAINED: usize = 1 << 20;

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

/// A stream on which bare responses are completed.
pub(crate) struct Completed<S> {
    stream: S,
    activity: Arc<Activity>,
    edge: Arc<Edge>,
    peer: Peer,
    refusal: Option<Refusal>,
}

/// A completed response that is being written.
struct Refusal {
    left: Bytes,
    is_shut: bool,
    drained: usize,
}

impl<S> Completed<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, edge: Arc<Edge>, peer: Peer) -> Self {
        Self { stream, activity, edge, peer, refusal: None }
    }

    /// Replaces `bytes` by a completed response if they are hyper's own response. Returns whether they are.
    fn intercepts(&mut self, bytes: &[u8]) -> bool {
        let is_bare = self.refusal.is_none() && self.activity.is_settled() && bytes.starts_with(HEAD);
        if is_bare {
            let left = complete_response(&self.edge, self.peer, bytes);
            self.refusal = Some(Refusal { left, is_shut: false, drained: 0 });
        }
        is_bare
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Completed<S> {
    /// Writes the rest of the completed response.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while !refusal.left.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &refusal.left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            refusal.left.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Drains what a refused client still sends, up to a limit; the connection's deadlines bound the time.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        let mut room = [0; 4096];
        while refusal.drained < MAX_DRAINED {
            let mut buffer = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            if read == 0 {
                break;
            }
            refusal.drained += read;
        }
        Poll::Ready(Ok(()))
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
        if !self.refusal.as_ref().is_some_and(|refusal| refusal.is_shut) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if let Some(refusal) = &mut self.refusal {
            refusal.is_shut = true;
        }
        self.poll_drain(cx)
    }
}
