//! The body of a response: whole bytes, or a stream that is compressed as it is sent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use promox_kernel::{BodyReader, Error};

use crate::cluster::download::Download;
use crate::http::wire::compress::Compressor;
use crate::http::wire::lease::AccessEnd;

/// The body of a response.
pub(crate) enum Payload {
    /// Whole bytes.
    Whole(Full<Bytes>),
    /// A stream.
    Stream(Box<Chunks>),
    /// The response of an application behind the gateway.
    Forwarded(Box<Download>),
}

type Next = Pin<Box<dyn Future<Output = (BodyReader, Option<Result<Bytes, Error>>)> + Send>>;

/// A stream of chunks.
pub(crate) struct Chunks {
    next: Option<Next>,
    compressor: Option<Compressor>,
    /// The bytes that are still to come, if their number is known.
    left: Option<u64>,
    /// Ends the stream when its caller loses its access.
    end: Option<AccessEnd>,
}

impl Payload {
    /// A payload of these bytes.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }

    /// An empty payload.
    pub(crate) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// A payload of what `reader` yields, compressed by `compressor` if given.
    pub(crate) fn stream(reader: BodyReader, compressor: Option<Compressor>) -> Self {
        let left = reader.length().filter(|_| compressor.is_none());
        Self::Stream(Box::new(Chunks { next: Some(advance(reader)), compressor, left, end: None }))
    }

    /// Ends a stream of promox with `end`, between two chunks. Other payloads stay as they are.
    pub(crate) fn end_with(&mut self, end: AccessEnd) {
        if let Self::Stream(chunks) = self {
            chunks.end = Some(end);
        }
    }
}

fn advance(mut reader: BodyReader) -> Next {
    Box::pin(async move {
        let chunk = reader.next().await;
        if matches!(chunk, Some(Err(_))) {
            // An error aborts the connection; earlier chunks are sent first.
            tokio::task::yield_now().await;
        }
        (reader, chunk)
    })
}

impl Chunks {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            (self.next, self.end) = (None, None);
        }
        loop {
            let Some(next) = &mut self.next else { return Poll::Ready(None) };
            let (reader, chunk) = std::task::ready!(next.as_mut().poll(cx));
            self.next = matches!(chunk, Some(Ok(_))).then(|| advance(reader));
            let out = match chunk {
                Some(Ok(chunk)) => {
                    self.compressor.as_mut().map_or(Ok(chunk.clone()), |compressor| compressor.push(&chunk))
                }
                Some(Err(error)) => Err(error),
                None => self.compressor.take().map_or(Ok(Bytes::new()), Compressor::finish),
            };
            match out {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Err(error) => {
                    tracing::warn!(%error, "a streamed response failed");
                    self.next = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Whole(full) => Pin::new(full).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream(chunks) => chunks.poll(cx),
            Self::Forwarded(download) => download.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(full) => full.is_end_stream(),
            Self::Stream(chunks) => chunks.next.is_none(),
            Self::Forwarded(download) => download.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(full) => full.size_hint(),
            Self::Stream(chunks) => chunks.left.map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Forwarded(download) => download.size_hint(),
        }
    }
}
