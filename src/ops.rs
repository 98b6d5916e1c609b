//! Backups of the live store: a consistent snapshot as a checksummed stream, while the shop keeps running.
//!
//! A backup contains everything, including password hashes and signing keys, so it requires a permission of its own.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use bytes::Bytes;
use promox_kernel::{BodyReader, BodySender, Cx, Download, Error, Handle, Registry, operation, register};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::engine::{BackupError, Copied, Store};

/// Bytes sent at a time.
const CHUNK: usize = 256 << 10;

/// Takes a backup of the live store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {}
operation! {
    Backup => Download, "ops.backup", Get "/api/ops/backup", Permission("ops:write"), 200,
    "A consistent backup of the whole store, for `promox restore`. Two long reads can run at once; a third one gets 503.",
    sends ["application/octet-stream"]
}

/// Takes backups of an open store.
pub struct Backups(Store);

impl fmt::Debug for Backups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("backups")
    }
}

impl Backups {
    /// Backups of `store`.
    pub fn new(store: Store) -> Arc<Self> {
        Arc::new(Self(store))
    }

    /// Registers the backup operation.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; Backup);
    }

    /// Writes a backup of the current state to `out` on the calling thread, and reports to `progress`.
    pub fn write(&self, out: &mut dyn Write, progress: impl FnMut(Copied)) -> Result<Copied, BackupError> {
        self.0.backup(out, progress)
    }
}

impl Handle<Backup> for Backups {
    async fn handle(&self, cx: &Cx, _: Backup) -> Result<Download, Error> {
        let (sender, reader) = BodyReader::pair();
        let (start, started) = oneshot::channel();
        let store = self.0.clone();
        tokio::task::spawn_blocking(move || send(&store, sender, start));
        // A backup that cannot start is refused; once bytes have been sent, a failure can only break the stream.
        started.await.map_err(Error::internal)??;
        let file_name = Some(file_name(cx.now));
        Ok(Download { file_name, ..Download::stream("application/octet-stream", reader) })
    }
}

/// The file name of a backup taken now, `promox-2026-11-23T05-33-00Z.backup`.
pub fn file_name(now: promox_kernel::Timestamp) -> String {
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
