//! Streamed backups of the live store: a consistent snapshot as a checksummed stream, while the shop keeps running.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use promox_kernel::{BodyReader, BodySender, Download, Error, Timestamp};
use tokio::sync::oneshot;

use crate::engine::{BackupError, Store};

/// Bytes sent at a time.
const CHUNK: usize = 256 << 10;

/// The media type of a backup.
pub(crate) const MEDIA_TYPE: &str = "application/octet-stream";

/// Streams a backup of the current state.
pub(crate) async fn stream(store: &Store, now: Timestamp) -> Result<Download, Error> {
    let (sender, reader) = BodyReader::pair();
    let (start, started) = oneshot::channel();
    let store = store.clone();
    tokio::task::spawn_blocking(move || send(&store, sender, start));
    // A backup that cannot start is refused; once bytes have been sent, a failure can only break the stream.
    started.await.map_err(Error::internal)??;
    Ok(Download { file_name: Some(file_name(now)), ..Download::stream(MEDIA_TYPE, reader) })
}

/// The file name of a backup taken now, `promox-2026-11-23T05-33-00Z.backup`.
pub fn file_name(now: Timestamp) -> String {
    let time = now.to_string().replace(':', "-");
    format!("promox-{}Z.backup", time.split('.').next().unwrap_or_default())
}

type StartSignal = oneshot::Sender<Result<(), Error>>;

fn send(store: &Store, sender: BodySender, start: StartSignal) {
    let mut sink = Sink { sender, start: Some(start) };
    let mut out = BufWriter::with_capacity(CHUNK, &mut sink);
    let written = store.backup(&mut out, |_| {});
    // The buffered rest of a failed backup must not look like its end.
    let _ = out.into_parts();
    if let Err(error) = written {
        sink.fail(&error);
    }
}

/// Passes a backup on to the client. The first write starts the response.
struct Sink {
    sender: BodySender,
    start: Option<StartSignal>,
}

impl Sink {
    fn fail(&mut self, error: &BackupError) {
        let refusal = match error {
            BackupError::Store(error) => Error::from(error.clone()),
            BackupError::Io(error) => Error::internal(error),
        };
        match self.start.take() {
            Some(start) => drop(start.send(Err(refusal))),
            None => drop(self.sender.send_blocking(Err(refusal))),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(start) = self.start.take() {
            let _ = start.send(Ok(()));
        }
        if self.sender.send_blocking(Ok(Bytes::copy_from_slice(bytes))) {
            return Ok(bytes.len());
        }
        Err(io::Error::other("the client has stopped reading"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
