//! All file input and output of the engine goes through [`Disk`]: the real disk, a disk in memory, or one that fails on
//! demand.
//!
//! There is deliberately no buffering here. Written bytes are passed to the operating system, and are durable only
//! after [`DiskFile::sync`].

mod faulty;
mod memory;
mod real;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use faulty::{Fault, FaultyDisk};
pub use memory::{DiskOp, MemoryDisk, Persisted};
pub(crate) use real::LOCK;
pub use real::RealDisk;

/// Holds the lock of a directory until it is dropped.
pub type DirLock = Box<dyn Any + Send + Sync>;

/// A disk with directories and files.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens a file for reading and writing, creating it if needed.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Returns the names of the entries of a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Creates a directory and its parents, private to the current user, and makes their names durable.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Revokes the access of other users to a directory and its content.
    fn make_private(&self, dir: &Path) -> io::Result<()>;
    /// Returns whether a file exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Renames a file, replacing an existing one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Returns the free space of the file system in bytes.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;
    /// Locks a directory for this process. The inner error names the holder, if another process has locked it.
    fn lock(&self, dir: &Path) -> io::Result<Result<DirLock, String>>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Returns the length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Returns whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads at an offset until `out` is full or the file ends. Returns the number of bytes read.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
    /// Writes all bytes at an offset.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Truncates the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes written bytes durable.
    fn sync(&self) -> io::Result<()>;
}

/// The size of one write when a file is filled with zeros, in bytes.
const ZEROS: usize = 256 * 1024;

/// Reads a whole file.
pub(crate) fn read_whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    let read = file.read(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Extends a file with zeros up to `len` bytes, so that later writes do not allocate space. Does not sync the file.
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

/// Whether an error means that this process or the system has no file descriptor left, which passes.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Whether an error means that the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
