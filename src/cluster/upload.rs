//! The body of a request on its way to an instance.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use promox_contract::codes;
use promox_kernel::{Error, Kind};

use crate::http::wire::length::too_large;

/// How far a body is.
#[derive(Debug, Default)]
pub(crate) struct UploadProgress {
    /// The number of pieces passed on.
    pieces: AtomicU64,
    is_over: AtomicBool,
    is_too_large: AtomicBool,
}

impl UploadProgress {
    /// The number of pieces passed on.
    pub(crate) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Whether nothing more is to come.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether the body was cut because it is too large.
    pub(crate) fn is_too_large(&self) -> bool {
        self.is_too_large.load(Ordering::Relaxed)
    }
}

/// The body of a request to an instance.
pub(crate) enum Upload {
    /// None.
    Empty,
    /// The client's body, passed on piece by piece.
    Client(Box<ClientBody>),
}

/// A client's body.
pub(crate) struct ClientBody {
    body: Incoming,
    left: u64,
    progress: Arc<UploadProgress>,
}

impl Upload {
    /// The client's body, of at most `limit` bytes.
    pub(crate) fn of(body: Option<Incoming>, limit: u64) -> (Self, Arc<UploadProgress>) {
        let progress = Arc::new(UploadProgress::default());
        let Some(body) = body.filter(|body| !body.is_end_stream()) else {
            progress.is_over.store(true, Ordering::Relaxed);
            return (Self::Empty, progress);
        };
        (Self::Client(Box::new(ClientBody { body, left: limit, progress: progress.clone() })), progress)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl ClientBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.progress.pieces.fetch_add(1, Ordering::Relaxed);
        match frame {
            None => {
                self.progress.is_over.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                let message = format!("The connection was lost while the body was read: {error}");
                Poll::Ready(Some(Err(Error::new(Kind::Malformed, codes::BODY_CUT, message))))
            }
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                if length > self.left {
                    self.progress.is_too_large.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(too_large(0))));
                }
                self.left -= length;
                if self.body.is_end_stream() {
                    self.progress.is_over.store(true, Ordering::Relaxed);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Client(client) => client.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(client) => client.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(client) => client.body.size_hint(),
        }
    }
}
