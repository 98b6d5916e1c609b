//! The answer to a head that hyper could not read. hyper writes a bare status by itself and tells nobody before; on its way
//! out it is completed here, so that it is the same document as any other refusal.
//!
//! What is hyper's own follows from the order of things: all that was answered is flushed, no request has begun since, and
//! what is written begins as a head. A chunk of a streamed answer begins with its size; HTTP/1.0 has no chunks, so a
//! connection that has spoken it is left alone, as is one of HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use promox_kernel::{Error, Kind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::edge::context;
use crate::http::edge::cors;
use crate::http::edge::exchange::{Edge, Peer};
use crate::http::edge::problem;
use crate::http::edge::status::status;
use crate::http::wire::activity::Activity;

/// How a head of HTTP/1 begins.
const HEAD: &[u8] = b"HTTP/1.";
/// Bytes of a refused request that are read on, so that its client meets the answer and not a connection that was reset.
const MOST_DRAINED: usize = 1 << 20;

/// What hyper's bare answer stands for.
fn meant(bare: &[u8]) -> Error {
    let code = bare.split(|byte| *byte == b' ').nth(1);
    if code == Some(b"400") {
        return Error::new(
            Kind::Malformed,
            "MALFORMED_REQUEST",
            "This is not an HTTP/1.1 request: its head cannot be read.",
        );
    }
    context::head_too_large()
}

/// The bare answer with the document and the headers that every refusal has.
fn completed(edge: &Edge, peer: Peer, bare: &[u8]) -> Bytes {
    let (error, id) = (meant(bare), edge.name_of(&HeaderMap::new()));
    tracing::debug!(client = %peer.address, request_id = &*id, %error, "the head of a request could not be read");
    let document = problem::document(&error, &id, "");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
    cors::guard(&mut headers, peer.secure);
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(context::REQUEST_ID, id);
    }
    let mut out = format!("HTTP/1.1 {}\r\n", status(error.kind())).into_bytes();
    // The rest of hyper's lines stand as they are: the date, and that the connection ends.
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

/// A stream on which bare answers are completed.
pub(crate) struct Completed<S> {
    stream: S,
    activity: Arc<Activity>,
    edge: Arc<Edge>,
    peer: Peer,
    refusal: Option<Refusal>,
}

/// A completed answer on its way out.
struct Refusal {
    left: Bytes,
    is_shut: bool,
    drained: usize,
}

impl<S> Completed<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, edge: Arc<Edge>, peer: Peer) -> Self {
        Self { stream, activity, edge, peer, refusal: None }
    }

    /// Takes what is written as hyper's own answer, if it is.
    fn takes(&mut self, bytes: &[u8]) -> bool {
        let is_bare = self.refusal.is_none() && self.activity.is_settled() && bytes.starts_with(HEAD);
        if is_bare {
            let left = completed(&self.edge, self.peer, bytes);
            self.refusal = Some(Refusal { left, is_shut: false, drained: 0 });
        }
        is_bare
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Completed<S> {
    /// Writes what is left of the completed answer.
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

    /// Drops what a refused client still sends, up to a bound; how long is the connection's deadlines' affair.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        let mut room = [0; 4096];
        while refusal.drained < MOST_DRAINED {
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
        if self.takes(bytes) {
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
            && self.takes(bytes)
        {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper asks for this once it has nothing left to write.
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
