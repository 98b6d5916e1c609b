//! The options for opening a store, and the errors.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use promox_kernel::{Clock, Entropy};

use crate::disk::{DirLock, Disk, RealDisk};
use crate::stop::{StopHook, exit_process};

/// The options for opening a store.
#[derive(Clone)]
pub struct Options {
    /// The data directory.
    pub dir: PathBuf,
    /// The disk that the directory is on.
    pub disk: Arc<dyn Disk>,
    /// Measures waiting times and the age of checkpoints.
    pub clock: Clock,
    /// Generates the identity of a new store.
    pub entropy: Entropy,
    /// Memory for pages of the checkpoint file, in bytes.
    pub page_bytes: usize,
    /// Memory for committed rows, in bytes: half for the growing table and half for the frozen one. A writer that is
    /// further ahead of the checkpointer waits.
    pub table_bytes: usize,
    /// A checkpoint starts when the journal has grown by this many bytes.
    pub checkpoint_bytes: u64,
    /// A checkpoint starts at the latest after this time.
    pub checkpoint_every: Duration,
    /// The length of a journal segment, in bytes.
    pub segment_bytes: u64,
    /// Reserved free disk space in bytes: below it, writes are refused and reads continue.
    pub reserve_bytes: u64,
    /// Transactions and chains that may wait in a lane.
    pub queue: usize,
    /// Whether the links of a chain share a group. Otherwise they are run in turn, as by an engine that can do no better: for tests
    /// that hold the two against each other.
    pub group_chains: bool,
    /// How long to wait for a directory that is locked: a process that was killed may hold it for a moment.
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
    /// The defaults, on the real disk.
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

    /// Checkpoints after this many bytes of journal, in segments twice as long, at most 64 MiB.
    #[must_use]
    pub fn checkpoint_after(self, bytes: u64) -> Self {
        Self { checkpoint_bytes: bytes, segment_bytes: (bytes * 2).clamp(1 << 20, 64 << 20), ..self }
    }
}

/// Why a store was not opened. Nothing has been changed on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Another process has the lock.
    Locked {
        /// The holder of the lock.
        holder: String,
    },
    /// Data is damaged.
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
        /// What was found, and what to do.
        what: String,
    },
    /// The data has another layout than this version's.
    OtherLayout {
        /// The file that states the layout.
        file: PathBuf,
        /// The layout of the data.
        found: u32,
        /// The layout of this version.
        supported: u32,
    },
    /// It was written by a newer version.
    TooNew {
        /// The version found.
        found: String,
        /// The newest version supported.
        supported: String,
    },
    /// A new unique index has rows with the same value.
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

    /// The exit code of a process that failed to open its store.
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

/// Locks a data directory, creating it if needed, and waits briefly for a lock that is being released. The directory is
/// made private.
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
