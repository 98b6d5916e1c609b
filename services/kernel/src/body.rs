//! Streams of bytes into and out of an operation, with a bounded number of chunks buffered.

use std::io;

use bytes::{Buf, Bytes};

use crate::Error;
use crate::codes;

/// Chunks that a stream buffers.
const AHEAD: usize = 8;

/// A request's raw body, or none yet: the argument of `Op::attach`.
#[derive(Debug, Default)]
pub struct Body {
    /// The media type as sent, lower case, without parameters.
    pub media_type: String,
    /// The bytes of the body.
    pub reader: Option<BodyReader>,
    /// The headers, for operations that check signatures.
    pub headers: Vec<(String, String)>,
}

/// The reading end of a byte stream. It is `io::Read` for parsers on blocking threads, and async elsewhere.
#[derive(Debug)]
pub struct BodyReader {
    chunks: flume::Receiver<Result<Bytes, Error>>,
    current: Bytes,
}

/// The writing end; dropping it ends the stream.
#[derive(Debug, Clone)]
pub struct BodySender(flume::Sender<Result<Bytes, Error>>);

impl BodyReader {
    /// A stream and its writing end.
    pub fn pair() -> (BodySender, Self) {
        let (sender, chunks) = flume::bounded(AHEAD);
        (BodySender(sender), Self { chunks, current: Bytes::new() })
    }

    /// The next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        self.chunks.recv_async().await.ok()
    }

    /// The whole body, if it has at most `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.next().await {
            whole.extend_from_slice(&chunk?);
            if whole.len() > limit {
                return Err(Error::new(
                    crate::Kind::TooLarge,
                    codes::BODY_TOO_LARGE,
                    format!("The body exceeds {limit} bytes."),
                ));
            }
        }
        Ok(whole)
    }
}

impl io::Read for BodyReader {
    /// Waits for the next chunk on the calling thread: only for blocking threads.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.recv() {
                Ok(chunk) => self.current = chunk.map_err(io::Error::other)?,
                Err(flume::RecvError::Disconnected) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.split_to(length).copy_to_slice(buffer.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

impl BodySender {
    /// Sends a chunk, waiting for space; `false` when the reader is gone.
    pub async fn send(&self, chunk: Result<Bytes, Error>) -> bool {
        self.0.send_async(chunk).await.is_ok()
    }

    /// Sends a chunk if there is space now: `Some(true)` when it was sent, `Some(false)` when the reader is behind,
    /// `None` when the reader is gone.
    pub fn offer(&self, chunk: Bytes) -> Option<bool> {
        match self.0.try_send(Ok(chunk)) {
            Ok(()) => Some(true),
            Err(flume::TrySendError::Full(_)) => Some(false),
            Err(flume::TrySendError::Disconnected(_)) => None,
        }
    }

    /// Sends a chunk from a blocking thread; `false` when the reader is gone.
    pub fn send_blocking(&self, chunk: Result<Bytes, Error>) -> bool {
        self.0.send(chunk).is_ok()
    }
}
