//! Streams of bytes in and out of an operation, a bounded number of chunks ahead.

use std::io;

use bytes::{Buf, Bytes};

use crate::Error;

/// Chunks that may wait in a stream.
const AHEAD: usize = 8;

/// A request's raw body, or none yet: what `Op::attach` receives.
#[derive(Debug, Default)]
pub struct Body {
    /// The media type as the client named it, lower case, without parameters.
    pub media_type: String,
    /// The bytes as they come.
    pub reader: Option<BodyReader>,
    /// The headers, for operations that check signatures.
    pub headers: Vec<(String, String)>,
}

/// The reading end of a stream of bytes. It is `io::Read` for parsers on blocking threads, and async elsewhere.
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

    /// The whole body, when it is at most `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.next().await {
            whole.extend_from_slice(&chunk?);
            if whole.len() > limit {
                return Err(Error::new(
                    crate::Kind::TooLarge,
                    "BODY_TOO_LARGE",
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
    /// Sends a chunk, waiting for room; `false` when the reader is gone.
    pub async fn send(&self, chunk: Result<Bytes, Error>) -> bool {
        self.0.send_async(chunk).await.is_ok()
    }

    /// Hands on a chunk if there is room for it at once: `Some(true)` when it was taken, `Some(false)` when the reader is
    /// behind, `None` when nobody reads any more.
    pub fn offer(&self, chunk: Bytes) -> Option<bool> {
        match self.0.try_send(Ok(chunk)) {
            Ok(()) => Some(true),
            Err(flume::TrySendError::Full(_)) => Some(false),
            Err(flume::TrySendError::Disconnected(_)) => None,
        }
    }

    /// The same from a blocking thread.
    pub fn send_blocking(&self, chunk: Result<Bytes, Error>) -> bool {
        self.0.send(chunk).is_ok()
    }
}
