//! Streams of bytes into and out of an operation, with a bounded number of chunks buffered.

use std::io;

use bytes::{Buf, Bytes};

use crate::Error;
use crate::codes;

/// The maximum number of chunks that a stream buffers.
const MAX_BUFFERED_CHUNKS: usize = 8;

/// A request's raw body: the argument of [`Op::attach`](crate::Op::attach). The default value is a body not yet
/// attached.
#[derive(Debug, Default)]
pub struct Body {
    /// The media type as sent, lower case, without parameters.
    pub media_type: String,
    /// The bytes of the body, until they are read.
    pub reader: Option<BodyReader>,
    /// The headers, for operations that check signatures.
    pub headers: Vec<(String, String)>,
}

/// The reading end of a byte stream. It implements `io::Read` for parsers on blocking threads; elsewhere it is read
/// async.
#[derive(Debug)]
pub struct BodyReader {
    chunks: flume::Receiver<Result<Bytes, Error>>,
    current: Bytes,
    length: Option<u64>,
}

/// The writing end of a byte stream; dropping it ends the stream.
#[derive(Debug, Clone)]
pub struct BodySender(flume::Sender<Result<Bytes, Error>>);

impl BodyReader {
    /// A stream and its writing end.
    pub fn pair() -> (BodySender, Self) {
        let (sender, chunks) = flume::bounded(MAX_BUFFERED_CHUNKS);
        (BodySender(sender), Self { chunks, current: Bytes::new(), length: None })
    }

    /// States the number of bytes that the stream will have.
    #[must_use]
    pub fn with_length(self, length: u64) -> Self {
        Self { length: Some(length), ..self }
    }

    /// The number of bytes that the stream will have, if it was stated.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        self.chunks.recv_async().await.ok()
    }

    /// The next chunk, waiting on the calling thread: only for blocking threads.
    pub fn next_blocking(&mut self) -> Option<Result<Bytes, Error>> {
        self.chunks.recv().ok()
    }

    /// Reads the whole body. 413 `BODY_TOO_LARGE` if it exceeds `limit` bytes.
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
    /// Sends a chunk, waiting for space; `false` if the reader was dropped.
    pub async fn send(&self, chunk: Result<Bytes, Error>) -> bool {
        self.0.send_async(chunk).await.is_ok()
    }

    /// Sends a chunk if there is space now. Returns `Some(true)` if it was sent, `Some(false)` if the buffer is full,
    /// and `None` if the reader was dropped.
    pub fn offer(&self, chunk: Bytes) -> Option<bool> {
        match self.0.try_send(Ok(chunk)) {
            Ok(()) => Some(true),
            Err(flume::TrySendError::Full(_)) => Some(false),
            Err(flume::TrySendError::Disconnected(_)) => None,
        }
    }

    /// Sends a chunk from a blocking thread, waiting for space; `false` if the reader was dropped.
    pub fn send_blocking(&self, chunk: Result<Bytes, Error>) -> bool {
        self.0.send(chunk).is_ok()
    }
}
