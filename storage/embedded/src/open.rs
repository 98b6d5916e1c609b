//! Options for opening a store, and the errors of doing so.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use promox_kernel::{Clock, Entropy};

use crate::disk::{DirLock, Disk, RealDisk};
use crate::stop::{StopHook, exit_process};

/// Options for opening a store.
#[derive(Clone)]
pub struct Options {
    /// The data directory.
    pub dir: PathBuf,
    /// The disk that the directory is on.
    pub disk: Arc<dyn Disk>,
    /// The clock that measures waiting times and the age of checkpoints.
    pub clock: Clock,
    /// The source of the random identity of a new store.
    pub entropy: Entropy,
    /// The memory for cached pages of the checkpoint file, in bytes.
    pub page_bytes: usize,
    /// The memory for committed rows, in bytes: half for the growing table and half for the frozen one. When the
    /// growing table has used its half, the writer waits for the checkpointer.
    pub table_bytes: usize,
    /// The growth of the journal, in bytes, after which a checkpoint starts.
    pub checkpoint_bytes: u64,
    /// The maximum time between checkpoints.
    pub checkpoint_every: Duration,
    /// The length of a journal segment, in bytes.
    pub segment_bytes: u64,
    /// The free disk space to keep in reserve, in bytes. Below it writes are refused and reads continue.
    pub reserve_bytes: u64,
    /// Maximum transactions and chains that wait in a lane.
    pub queue: usize,
    /// Whether the links of a chain share a group. If not, the engine does not support chains and their links run one
    /// by one; tests compare the two.
    pub group_chains: bool,
    /// How long to wait for a locked directory. A process that was killed may hold its lock a little longer.
    pub lock_wait: Duration,
    /// Called when the engine stops by itself.
    pub on_stop: StopHook,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a store in {}", self.dir.display())
    }
}

impl Options {
    /// Returns the default options for a directory on the real disk.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            disk: Arc::new(RealDisk),
            clock: Clock::real(promox_kernel::Timestamp::EPOCH),
            entropy: Entropy::system(),
            page_bytes: 64 << 20,
            table_bytes: 96 << 20,
            checkpoint_bytes: 8 << 20,
            checkpoint_every: Duration::from_secs(30),
            segment_bytes: 16 << 20,
            reserve_bytes: 16 << 20,
            queue: 8_192,
            group_chains: true,
            lock_wait: Duration::from_secs(5),
            on_stop: exit_process(),
        }
    }

    /// Sets `checkpoint_bytes`, and the length of a segment to twice as much, but to at least 1 MiB and at most 64 MiB.
    #[must_use]
    pub fn checkpoint_after(self, bytes: u64) -> Self {
        Self { checkpoint_bytes: bytes, segment_bytes: (bytes * 2).clamp(1 << 20, 64 << 20), ..self }
    }
}

/// Why a store was not opened. No committed data has been changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Another process has locked the directory.
    Locked {
        /// The holder of the lock.
        holder: String,
    },
    /// The data is damaged.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The offset, if known.
        offset: Option<u64>,
        /// The table, if known.
        table: Option<String>,
        /// What is wrong.
        what: String,
    },
    /// The directory contains files but no complete store.
    NoStore {
        /// The directory.
        dir: PathBuf,
        /// What was found and what to do.
        what: String,
    },
    /// The data has another layout than the one of this version.
    OtherLayout {
        /// The file that states the layout.
        file: PathBuf,
        /// The layout of the data.
        found: u32,
        /// The layout of this version.
        supported: u32,
    },
    /// The data was written by a newer version.
    TooNew {
        /// What this version does not know.
        found: String,
        /// What this version knows instead.
        supported: String,
    },
    /// A new unique index cannot be built, because rows have the same value.
    Duplicates {
        /// The index.
        index: String,
        /// The keys of two such rows.
        rows: String,
    },
    /// Input or output failed.
    Io {
        /// The file.
        file: PathBuf,
        /// The error.
        cause: String,
    },
}

impl OpenError {
    pub(crate) fn io(file: &Path, error: &io::Error) -> Self {
        Self::Io { file: file.to_owned(), cause: error.to_string() }
    }

    /// Returns the exit code of a process that could not open its store: 75 if it is locked, 65 for unusable data, 74
    /// for failed input or output.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Locked { .. } => 75,
            Self::Damaged { .. }
            | Self::NoStore { .. }
            | Self::OtherLayout { .. }
            | Self::TooNew { .. }
            | Self::Duplicates { .. } => 65,
            Self::Io { .. } => 74,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { holder } => write!(f, "the data directory is in use by {holder}"),
            Self::Damaged { file, offset, table, what } => {
                write!(f, "{} is damaged", file.display())?;
                if let Some(offset) = offset {
                    write!(f, " at byte {offset}")?;
                }
                if let Some(table) = table {
                    write!(f, " in table {table}")?;
                }
                write!(f, ": {what}; restore a backup into an empty directory (promox restore)")?;
                if file.extension().is_some_and(|end| end == "journal") {
                    f.write_str(", or continue from the checkpoint (promox journal reset)")?;
                }
                Ok(())
            }
            Self::NoStore { dir, what } => write!(f, "{} contains no store: {what}", dir.display()),
            Self::OtherLayout { file, found, supported } => {
                write!(f, "{} has layout {found}, and this version reads layout {supported} only: ", file.display())?;
                f.write_str(
                    "export with the version that wrote it (promox export) and import with this one (promox import)",
                )
            }
            Self::TooNew { found, supported } => {
                write!(f, "the data was written by a newer version ({found}); this version knows {supported}")
            }
            Self::Duplicates { index, rows } => {
                write!(f, "the new unique index {index} cannot be built: {rows} have the same value")
            }
            Self::Io { file, cause } => write!(f, "{}: {cause}", file.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// Locks a data directory, creates it if needed, and makes it private. Waits up to `lock_wait` for another process to
/// release it.
pub(crate) fn lock(options: &Options) -> Result<DirLock, OpenError> {
    let (disk, dir) = (&options.disk, &options.dir);
    let io = |error: io::Error| OpenError::io(dir, &error);
    disk.create_dir(dir).map_err(io)?;
    let started = Instant::now();
    loop {
        match disk.lock(dir).map_err(io)? {
            Ok(lock) => return disk.make_private(dir).map(|()| lock).map_err(io),
            Err(holder) if started.elapsed() >= options.lock_wait => return Err(OpenError::Locked { holder }),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
