//! Exports: the rows of one consistent state, streamed while they are read.

use std::sync::Arc;

use bytes::Bytes;
use promox_kernel::{BodyReader, BodySender, Download, Error, Progress};
use tokio::sync::oneshot;

use crate::{Db, Record, StoreError, Tx};

/// The approximate number of bytes sent at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// The output of an export. The reader of the stream sets the pace: at most a few chunks wait for it.
#[derive(Debug)]
pub struct ExportWriter {
    sender: BodySender,
    progress: Arc<Progress>,
    buffer: Vec<u8>,
    is_open: bool,
}

impl ExportWriter {
    /// Sets the expected number of rows to that of a table, if the engine knows it.
    pub fn expect<R: Record>(&self, tx: &Tx<'_>) {
        self.expect_rows(tx.count::<R>().unwrap_or(0));
    }

    /// Sets the expected number of rows.
    pub fn expect_rows(&self, rows: u64) {
        self.progress.expect(rows);
    }

    /// The bytes that are not sent yet, to append a row to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Ends a row, and sends what has been collected if that is enough. Returns whether the client is still reading; if
    /// not, the export should end.
    pub fn end_row(&mut self) -> bool {
        self.progress.add(1);
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush();
        }
        self.is_open
    }

    fn flush(&mut self) {
        if self.is_open && !self.buffer.is_empty() {
            let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2)));
            self.is_open = self.sender.send_blocking(Ok(Bytes::from(chunk)));
        }
    }
}

impl Db {
    /// Streams what `write` writes about the current state, which it reads on a blocking thread. An error of `write`
    /// breaks the stream. Fails with [`StoreError::Busy`] if too many long reads are open.
    pub async fn export<F>(&self, media_type: &'static str, file_name: String, write: F) -> Result<Download, Error>
    where
        F: FnOnce(&Tx<'_>, &mut ExportWriter) -> Result<(), Error> + Send + 'static,
    {
        let (sender, reader) = BodyReader::pair();
        let progress = Arc::new(Progress::default());
        let mut out = ExportWriter { sender, progress: progress.clone(), buffer: Vec::new(), is_open: true };
        let (db, (start, started)) = (self.clone(), oneshot::channel());
        tokio::task::spawn_blocking(move || {
            // Beginning a long read waits for a checkpoint, which must not block a thread that serves requests.
            let state = match db.long_read() {
                Ok(state) => state,
                Err(error) => return drop(start.send(Err(error))),
            };
            let _ = start.send(Ok(()));
            let written = write(&Tx::unbounded(&*state, db.database()), &mut out);
            out.flush();
            if let Err(error) = written {
                out.sender.send_blocking(Err(error));
            }
        });
        started.await.unwrap_or(Err(StoreError::Stopped))?;
        Ok(Download { file_name: Some(file_name), progress: Some(progress), ..Download::stream(media_type, reader) })
    }
}
