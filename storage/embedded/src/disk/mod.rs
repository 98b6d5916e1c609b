//! All file input and output goes through [`Disk`]: the real one, one in memory, one that fails on demand.
//!
//! Deliberately absent: buffering. What is written is in the system's hands, and safe after [`DiskFile::sync`] only.

mod faulty;
mod memory;
mod real;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use faulty::{Fault, FaultyDisk};
pub use memory::{DiskOp, Kept, MemoryDisk};
pub(crate) use real::LOCK;
pub use real::RealDisk;

/// Held as long as a directory is locked; dropped to unlock.
pub type DirLock = Box<dyn Any + Send + Sync>;

/// Where files are.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens a file to read and write, making it if it is not there.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// The names in a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory and those above it, private to who runs this, and their names safe.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes from a directory and what is in it what others were allowed.
    fn make_private(&self, dir: &Path) -> io::Result<()>;
    /// Whether there is a file.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory that is empty.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a directory safe.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that can still be written.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;
    /// Locks a directory for this process; `Err(holder)` when another has it.
    fn lock(&self, dir: &Path) -> io::Result<Result<DirLock, String>>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Its length.
    fn len(&self) -> io::Result<u64>;
    /// Whether it is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads at an offset until `out` is full or the file ends; how many bytes that were.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
    /// Writes at an offset.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts or lengthens the file; new bytes are zero.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes what was written safe.
    fn sync(&self) -> io::Result<()>;
}

/// Bytes written at once when a file is filled with zeros.
const ZEROS: usize = 256 * 1024;

/// Reads a whole file.
pub(crate) fn read_whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    let read = file.read(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fills a file with zeros from its end up to `len`, so that later writes allocate nothing. It is not synced.
pub(crate) fn fill(file: &dyn DiskFile, len: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    let mut at = file.len()?;
    while at < len {
        let step = usize::try_from(len - at).unwrap_or(ZEROS).min(ZEROS);
        file.write(at, zeros.get(..step).unwrap_or(&zeros))?;
        at += step as u64;
    }
    Ok(())
}

/// Whether an error says that the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
