//! The files of runs, in a directory of the data directory. Each is named after its run.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use promox_kernel::{BodyReader, BodySender, Error};
use tokio_util::sync::CancellationToken;

use crate::files;
use crate::ops::records::RunId;

/// Bytes sent at a time.
const CHUNK: usize = 64 << 10;
/// Bytes written between two looks at the free disk space.
const LOOK_EVERY: u64 = 4 << 20;
/// The disk space that a file leaves free, so that the store can still write.
const FREE_BYTES: u64 = 256 << 20;

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The directory of runs in a data directory.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("runs"))
    }

    fn path(&self, id: RunId) -> PathBuf {
        self.0.join(id.to_string())
    }

    /// Creates the file of a run with what `fill` writes and returns its length. Nothing is left of a file that fails or
    /// is cancelled.
    pub(crate) fn create(
        &self,
        id: RunId,
        cancelled: &CancellationToken,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<u64> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        files::create(&self.path(id), |file| {
            let mut out = Guarded { out: file, dir: &self.0, cancelled, written: 0, looked_at: 0 };
            fill(&mut out)?;
            out.flush()?;
            Ok(out.written)
        })
    }

    /// Opens the file of a run as a stream of `length` bytes.
    pub(crate) fn open(&self, id: RunId, length: u64) -> Result<BodyReader, Error> {
        let file = File::open(self.path(id)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_found("file"),
            _ => Error::internal(error),
        })?;
        let (sender, reader) = BodyReader::pair();
        tokio::task::spawn_blocking(move || send(file, &sender));
        Ok(reader.with_length(length))
    }

    /// Removes the files of runs.
    pub(crate) fn remove(&self, ids: &[RunId]) {
        for id in ids {
            let path = self.path(*id);
            if let Err(error) = fs::remove_file(&path).or_else(ignore_missing) {
                tracing::warn!(path = %path.display(), %error, "the file of a run could not be removed");
            }
        }
    }

    /// Removes everything but the files of `kept`. Returns those of `kept` that have no file.
    pub(crate) fn clean(&self, kept: &[RunId]) -> Vec<RunId> {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let path = entry.path();
            if !kept.iter().any(|id| self.path(*id) == path) {
                let _ = fs::remove_file(path);
            }
        }
        kept.iter().copied().filter(|id| !self.path(*id).exists()).collect()
    }
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Sends a file, or as much of it as the client reads.
fn send(mut file: File, sender: &BodySender) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match file.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => Ok(Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default())),
            Err(error) => Err(Error::internal(error)),
        };
        if chunk.is_err() | !sender.send_blocking(chunk) {
            return;
        }
    }
}

/// A file being written, which ends when the run is cancelled or would fill the disk.
struct Guarded<'a, W> {
    out: W,
    dir: &'a Path,
    cancelled: &'a CancellationToken,
    written: u64,
    looked_at: u64,
}

impl<W: Write> Write for Guarded<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancelled.is_cancelled() {
            return Err(io::Error::other("the run was cancelled"));
        }
        if self.written >= self.looked_at {
            self.looked_at = self.written + LOOK_EVERY;
            let disk = rustix::fs::statvfs(self.dir)?;
            if disk.f_bavail.saturating_mul(disk.f_frsize) < FREE_BYTES {
                return Err(io::Error::other("it would leave less than 256 MiB of free disk space"));
            }
        }
        let count = self.out.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
