//! How a store is to be opened, and why one is not.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use promox_kernel::{Clock, Entropy};

use crate::disk::{DirLock, Disk, RealDisk};
use crate::stop::{StopHook, leave_process};

/// How a store is to be opened.
#[derive(Clone)]
pub struct Options {
    /// The data directory.
    pub dir: PathBuf,
    /// The disk it is on.
    pub disk: Arc<dyn Disk>,
    /// Measures how long work waits and when a checkpoint is due.
    pub clock: Clock,
    /// Names a new store.
    pub entropy: Entropy,
    /// Bytes of the checkpoint file's pages that are kept in memory.
    pub page_bytes: usize,
    /// What committed rows may weigh in memory, half in the table that grows and half in the one that is written down: a
    /// writer that is further ahead of the checkpointer waits.
    pub table_bytes: usize,
    /// A checkpoint begins when the journal has grown by so many bytes.
    pub checkpoint_bytes: u64,
    /// A checkpoint begins at the latest after this.
    pub checkpoint_every: Duration,
    /// Bytes of a journal segment.
    pub segment_bytes: u64,
    /// Bytes of the disk that stay free: below them, writes are refused and reads go on.
    pub reserve_bytes: u64,
    /// Transactions that may wait in a lane.
    pub queue: usize,
    /// How long to wait for a directory that is locked: a process that was killed may hold it for a moment.
    pub lock_wait: Duration,
    /// What is done when the engine stops by itself.
    pub on_stop: StopHook,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a store in {}", self.dir.display())
    }
}

impl Options {
    /// The edge's defaults, on the machine's own disk.
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
            lock_wait: Duration::from_secs(5),
            on_stop: leave_process(),
        }
    }

    /// Checkpoints after so many bytes of journal, in segments twice as long, 64 MiB at most.
    #[must_use]
    pub fn checkpoint_after(self, bytes: u64) -> Self {
        Self { checkpoint_bytes: bytes, segment_bytes: (bytes * 2).clamp(1 << 20, 64 << 20), ..self }
    }
}

/// Why a store was not opened. Nothing has been changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Another process has it.
    Locked {
        /// Who.
        holder: String,
    },
    /// Data is damaged.
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it, if it is known.
        offset: Option<u64>,
        /// The table, if it is known.
        table: Option<String>,
        /// What is wrong there.
        what: String,
    },
    /// The directory holds something, and no finished store.
    NoStore {
        /// The directory.
        dir: PathBuf,
        /// What is there, and what to do.
        what: String,
    },
    /// It has another layout than the one this version reads and writes.
    OtherLayout {
        /// The file that says so.
        file: PathBuf,
        /// The layout of the data.
        found: u32,
        /// The layout of this version.
        supported: u32,
    },
    /// It was written by a newer version.
    TooNew {
        /// What was found.
        found: String,
        /// What this version knows.
        supported: String,
    },
    /// A new unique index finds rows that have the same value.
    Duplicates {
        /// The index.
        index: String,
        /// Two rows' keys.
        rows: String,
    },
    /// Input or output failed.
    Io {
        /// The file.
        file: PathBuf,
        /// What happened.
        cause: String,
    },
}

impl OpenError {
    pub(crate) fn io(file: &Path, error: &io::Error) -> Self {
        Self::Io { file: file.to_owned(), cause: error.to_string() }
    }

    /// The exit code of a process that could not open its store.
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

/// Locks a data directory, which is made if it is not there, waiting a little for one that is being let go. What is in it
/// is private from then on.
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
