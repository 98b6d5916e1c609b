//! Opening a store: lock, identity, replay, sync. What is wrong is named, and nothing is touched.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use promox_kernel::{Clock, Entropy};

use crate::disk::{DirLock, Disk, RealDisk, read_whole};
use crate::journal::recover::numbers;
use crate::journal::segment::{self, Found, StoreId};
use crate::stop::{StopHook, leave_process};

/// Where the journal's segments are.
pub(crate) const JOURNAL: &str = "journal";
/// The file that names the store and its format.
pub(crate) const IDENTITY: &str = "store";
const IDENTITY_MAGIC: [u8; 8] = *b"PROMOXD1";
/// The format on disk that this version writes.
const FORMAT: u32 = 1;

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
            Self::Damaged { .. } | Self::TooNew { .. } | Self::Duplicates { .. } => 65,
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
                write!(f, ": {what}; restore a backup into an empty directory (promox restore)")
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

/// Locks a data directory, waiting a little for one that is being let go.
pub(crate) fn lock(options: &Options) -> Result<DirLock, OpenError> {
    let (disk, dir) = (&options.disk, &options.dir);
    let started = Instant::now();
    loop {
        match disk.lock(dir).map_err(|error| OpenError::io(dir, &error))? {
            Ok(lock) => return Ok(lock),
            Err(holder) if started.elapsed() >= options.lock_wait => return Err(OpenError::Locked { holder }),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The name of the store in `dir`.
pub(crate) fn read_identity(disk: &dyn Disk, dir: &Path) -> Result<StoreId, OpenError> {
    let path = dir.join(IDENTITY);
    if !disk.exists(&path).map_err(|error| OpenError::io(&path, &error))? {
        return Err(OpenError::io(&path, &io::ErrorKind::NotFound.into()));
    }
    let file = disk.open(&path).map_err(|error| OpenError::io(&path, &error))?;
    let bytes = read_whole(&*file).map_err(|error| OpenError::io(&path, &error))?;
    decode_identity(&bytes, &path)
}

fn decode_identity(bytes: &[u8], path: &Path) -> Result<StoreId, OpenError> {
    let damaged =
        |what: &str| OpenError::Damaged { file: path.to_owned(), offset: Some(0), table: None, what: what.to_owned() };
    let (content, crc) = bytes.split_last_chunk().ok_or_else(|| damaged("it is too short"))?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return Err(damaged("its checksum fails"));
    }
    let rest = content.strip_prefix(&IDENTITY_MAGIC).ok_or_else(|| damaged("it is not of a store"))?;
    let (format, id) = rest.split_first_chunk().ok_or_else(|| damaged("it is too short"))?;
    let format = u32::from_le_bytes(*format);
    if format > FORMAT {
        return Err(OpenError::TooNew { found: format!("format {format}"), supported: format!("format {FORMAT}") });
    }
    id.try_into().map_err(|_| damaged("it has another length"))
}

/// Whether a directory holds a store, whole or damaged: opening one that does not makes a new store there.
pub fn holds_store(dir: &Path) -> bool {
    [IDENTITY, crate::base::FILE].iter().any(|name| dir.join(name).exists())
}

/// The name of the store in `dir`, which is given one when it is empty.
pub(crate) fn identity(options: &Options) -> Result<StoreId, OpenError> {
    let (disk, path) = (&options.disk, options.dir.join(IDENTITY));
    let io = |error: io::Error| OpenError::io(&path, &error);
    if disk.exists(&path).map_err(io)? {
        return read_identity(&**disk, &options.dir);
    }
    if disk.list(&options.dir).map_err(io)?.iter().any(|name| name == crate::base::FILE) {
        let what = "it is missing beside data.redb".to_owned();
        return Err(OpenError::Damaged { file: path, offset: None, table: None, what });
    }
    let id: StoreId = options.entropy.bytes();
    write_identity(&**disk, &options.dir, id).map_err(io)?;
    Ok(id)
}

pub(crate) fn write_identity(disk: &dyn Disk, dir: &Path, id: StoreId) -> io::Result<()> {
    let mut bytes = IDENTITY_MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&id);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let made = dir.join("store.tmp");
    let file = disk.open(&made)?;
    file.set_len(0)?;
    file.write(0, &bytes)?;
    file.sync()?;
    disk.rename(&made, &dir.join(IDENTITY))?;
    disk.sync_dir(dir)
}

/// The position of the oldest group that the journal still has.
pub(crate) fn first_position(disk: &dyn Disk, journal: &Path, store: &StoreId) -> Result<u64, OpenError> {
    for number in numbers(disk, journal)? {
        let path = segment::path(journal, number);
        let mut header = vec![0; segment::HEADER];
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, &error))?;
        file.read(0, &mut header).map_err(|error| OpenError::io(&path, &error))?;
        if let Found::Header(found) = Found::read(&header, store)
            && found.number == number
        {
            return Ok(found.first);
        }
    }
    Ok(1)
}
