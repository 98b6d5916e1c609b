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
    "A consistent backup of the whole store, for `promox restore`. At most two long reads run at a time, else 503."
}

/// Takes backups of an open store.
pub struct Backups(Store);

impl fmt::Debug for Backups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("backups")
    }
}

impl Backups {
    /// Backups of this store.
    pub fn new(store: Store) -> Arc<Self> {
        Arc::new(Self(store))
    }

    /// Registers its operation.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; Backup);
    }

    /// Writes a backup of the current state to `out`, on the calling thread; reports to `progress`.
    pub fn write(&self, out: &mut dyn Write, progress: impl FnMut(Copied)) -> Result<Copied, BackupError> {
        self.0.backup(out, progress)
    }
}

impl Handle<Backup> for Backups {
    async fn handle(&self, cx: &Cx, _: Backup) -> Result<Download, Error> {
        let (sender, reader) = BodyReader::pair();
        let (begun, begins) = oneshot::channel();
        let store = self.0.clone();
        tokio::task::spawn_blocking(move || send(&store, sender, begun));
        // A backup that cannot start is refused; once bytes have been sent, a failure can only break the stream.
        begins.await.map_err(Error::internal)??;
        let file_name = Some(file_name(cx.now));
        Ok(Download { file_name, ..Download::stream("application/octet-stream", reader) })
    }
}

/// The file name of a backup taken now, `promox-2026-11-23T05-33-00Z.backup`.
pub fn file_name(now: promox_kernel::Timestamp) -> String {
    let time = now.to_string().replace(':', "-");
    format!("promox-{}Z.backup", time.split('.').next().unwrap_or_default())
}

type Begun = oneshot::Sender<Result<(), Error>>;

fn send(store: &Store, sender: BodySender, begun: Begun) {
    let mut sink = Sink { sender, begun: Some(begun) };
    let mut out = BufWriter::with_capacity(CHUNK, &mut sink);
    let written = store.backup(&mut out, |_| {});
    // The buffered rest of a failed backup must not look like its end.
    let _ = out.into_parts();
    if let Err(error) = written {
        sink.fail(&error);
    }
}

/// Where the stream goes: to the client, once the response has begun.
struct Sink {
    sender: BodySender,
    begun: Option<Begun>,
}

impl Sink {
    fn fail(&mut self, error: &BackupError) {
        let refusal = match error {
            BackupError::Store(error) => Error::from(error.clone()),
            BackupError::Io(error) => Error::internal(error),
        };
        match self.begun.take() {
            Some(begun) => drop(begun.send(Err(refusal))),
            None => drop(self.sender.send_blocking(Err(refusal))),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(begun) = self.begun.take() {
            let _ = begun.send(Ok(()));
        }
        if self.sender.send_blocking(Ok(Bytes::copy_from_slice(bytes))) {
            return Ok(bytes.len());
        }
        Err(io::Error::other("nobody reads any more"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
