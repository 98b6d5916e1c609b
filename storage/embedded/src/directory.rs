//! The state of a data directory, and the steps that create a store in it.
//!
//! A store is complete when it has its identity, the file [`IDENTITY`], which is written last. Until then a marker file
//! says what is in progress. [`STARTING`] marks a first start, which has acknowledged nothing yet and starts over.
//! [`RESTORING`] marks a restore, which only another restore may replace, so that an unfinished restore is never opened
//! as an empty shop.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use promox_storage::Schema;

use crate::base::{self, CheckpointFile, Room};
use crate::disk::{Disk, read_whole};
use crate::journal;
use crate::journal::segment::StoreId;
use crate::open::{OpenError, Options};

/// The directory of the journal's segments.
pub(crate) const JOURNAL: &str = "journal";
/// The file with the store's identity and layout.
pub(crate) const IDENTITY: &str = "store";
/// The marker of a first start in progress.
const STARTING: &str = "starting";
/// The marker of a restore in progress.
const RESTORING: &str = "restoring";
/// The temporary name of an identity that is being written.
const IDENTITY_TEMP: &str = "store.tmp";
/// Files that may be in an empty directory: our own lock, and a directory that file systems create in their root.
const IGNORED: [&str; 2] = [crate::disk::LOCK, "lost+found"];
/// Maximum file names listed in an error message.
const MAX_LISTED: usize = 5;

const IDENTITY_MAGIC: [u8; 8] = *b"PROMOXD1";
/// The version of the layout of everything on disk, including rows and backups. It is raised whenever any of it
/// changes.
pub(crate) const LAYOUT: u32 = 6;

/// The state of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryState {
    /// Empty: a store may be created.
    Empty,
    /// A store, complete or damaged.
    Store,
    /// An interrupted first start.
    UnfinishedStart,
    /// An interrupted restore.
    UnfinishedRestore,
    /// Files that belong to no store, with their names.
    OtherFiles(Vec<String>),
}

/// Returns the state of a directory on the real disk.
pub fn inspect(dir: &Path) -> Result<DirectoryState, OpenError> {
    inspect_on(&crate::disk::RealDisk, dir)
}

pub(crate) fn inspect_on(disk: &dyn Disk, dir: &Path) -> Result<DirectoryState, OpenError> {
    let mut names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DirectoryState::Empty),
        Err(error) => return Err(OpenError::io(dir, &error)),
    };
    names.retain(|name| !IGNORED.contains(&name.as_str()));
    names.sort_unstable();
    let has = |file: &str| names.iter().any(|name| name == file);
    let markers = [
        (IDENTITY, DirectoryState::Store),
        (RESTORING, DirectoryState::UnfinishedRestore),
        (STARTING, DirectoryState::UnfinishedStart),
    ];
    let state = markers.into_iter().find_map(|(name, state)| has(name).then_some(state));
    match state {
        Some(state) => Ok(state),
        None if names.is_empty() => Ok(DirectoryState::Empty),
        None => Ok(DirectoryState::OtherFiles(names)),
    }
}

impl DirectoryState {
    /// Fails if no store can be created or opened in the directory.
    pub(crate) fn check(&self, dir: &Path) -> Result<(), OpenError> {
        let what = match self {
            Self::Empty | Self::UnfinishedStart | Self::Store => return Ok(()),
            Self::UnfinishedRestore => format!(
                "a restore into it did not finish (it has a file named {RESTORING}); run promox restore again, \
                     or empty the directory to start with a new shop"
            ),
            Self::OtherFiles(names) if names.iter().any(|name| name == base::FILE) => {
                let what = format!("it is missing, but {} exists", base::FILE);
                return Err(OpenError::Damaged { file: dir.join(IDENTITY), offset: None, table: None, what });
            }
            Self::OtherFiles(names) => format!(
                "it is not empty (it contains {}) and has no file named {IDENTITY}; name the directory of a store, \
                 or an empty one, with --data-dir",
                list_names(names)
            ),
        };
        Err(OpenError::NoStore { dir: dir.to_owned(), what })
    }
}

/// Lists file names for an error message.
fn list_names(names: &[String]) -> String {
    let shown = names.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A store being created. Dropping it unfinished leaves the same state as a kill of the process.
pub(crate) struct NewStore<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    marker: PathBuf,
}

impl<'a> NewStore<'a> {
    /// Begins a first start in a directory without a store.
    pub(crate) fn start(options: &'a Options) -> io::Result<Self> {
        Self::begin(options, STARTING)
    }

    /// Begins a restore in a directory without a store.
    pub(crate) fn restore(options: &'a Options) -> io::Result<Self> {
        Self::begin(options, RESTORING)
    }

    /// Creates the marker file, and removes what an earlier attempt left.
    fn begin(options: &'a Options, name: &str) -> io::Result<Self> {
        let store = Self { disk: &*options.disk, dir: &options.dir, marker: options.dir.join(name) };
        store.disk.open(&store.marker)?.sync()?;
        store.disk.sync_dir(store.dir)?;
        store.clear()?;
        Ok(store)
    }

    /// Removes the files of an earlier attempt.
    fn clear(&self) -> io::Result<()> {
        for name in [base::MADE, base::FILE, IDENTITY_TEMP] {
            let path = self.dir.join(name);
            if self.disk.exists(&path)? {
                self.disk.remove(&path)?;
            }
        }
        journal::remove(self.disk, &self.dir.join(JOURNAL))
    }

    /// Returns the temporary path of the checkpoint file.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.dir.join(base::MADE)
    }

    /// Completes the store. Creates an empty journal, which continues after the checkpoint, renames the checkpoint
    /// file, and finally writes the identity.
    pub(crate) fn finish(self, store: &StoreId, segment_bytes: u64) -> io::Result<()> {
        journal::begin(self.disk, &self.dir.join(JOURNAL), store, segment_bytes)?;
        self.disk.rename(&self.checkpoint(), &self.dir.join(base::FILE))?;
        self.disk.sync_dir(self.dir)?;
        write_identity(self.disk, self.dir, store)?;
        remove_markers(self.disk, self.dir)
    }

    /// Removes all files that were created.
    pub(crate) fn abort(self) -> io::Result<()> {
        self.clear()?;
        remove_markers(self.disk, self.dir)
    }
}

/// Removes the marker files.
fn remove_markers(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for name in [STARTING, RESTORING] {
        let path = dir.join(name);
        if disk.exists(&path)? {
            disk.remove(&path)?;
        }
    }
    disk.sync_dir(dir)
}

/// Returns the identity of the store in the directory. Creates an empty store if there is none yet.
pub(crate) fn open_or_create(options: &Options, schema: &Schema) -> Result<StoreId, OpenError> {
    let (disk, dir) = (&*options.disk, &options.dir);
    let io = |error: io::Error| OpenError::io(dir, &error);
    let state = inspect_on(disk, dir)?;
    state.check(dir)?;
    if state != DirectoryState::Store {
        return create(options, schema);
    }
    let store = read_identity(disk, dir)?;
    let checkpoint = dir.join(base::FILE);
    if !disk.exists(&checkpoint).map_err(io)? {
        let what = format!("it is missing, but {IDENTITY} exists");
        return Err(OpenError::Damaged { file: checkpoint, offset: None, table: None, what });
    }
    // A store with an identity is complete, even if a marker is left.
    remove_markers(disk, dir).map_err(io)?;
    Ok(store)
}

/// Creates an empty store.
fn create(options: &Options, schema: &Schema) -> Result<StoreId, OpenError> {
    let io = |error: io::Error| OpenError::io(&options.dir, &error);
    let new_store = NewStore::start(options).map_err(io)?;
    let store: StoreId = options.entropy.bytes();
    let room = Arc::new(Room::default());
    // A store that is being created serves no readers, so a full disk is an error and not waited for.
    room.close();
    let (disk, path, cache) = (&*options.disk, new_store.checkpoint(), options.page_bytes);
    drop(CheckpointFile::create(disk, path, store, schema, cache, room)?.checked(schema)?);
    new_store.finish(&store, options.segment_bytes).map_err(io)?;
    Ok(store)
}

/// Reads the identity of the store in `dir`.
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
    let rest = content.strip_prefix(&IDENTITY_MAGIC).ok_or_else(|| damaged("it does not identify a store"))?;
    let (layout, id) = rest.split_first_chunk().ok_or_else(|| damaged("it is too short"))?;
    check_layout(u32::from_le_bytes(*layout), path)?;
    id.try_into().map_err(|_| damaged("its length is wrong"))
}

/// Fails if data has another layout than the one of this version.
pub(crate) fn check_layout(found: u32, file: &Path) -> Result<(), OpenError> {
    if found == LAYOUT {
        return Ok(());
    }
    Err(OpenError::OtherLayout { file: file.to_owned(), found, supported: LAYOUT })
}

fn write_identity(disk: &dyn Disk, dir: &Path, id: &StoreId) -> io::Result<()> {
    let mut bytes = IDENTITY_MAGIC.to_vec();
    bytes.extend_from_slice(&LAYOUT.to_le_bytes());
    bytes.extend_from_slice(id);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let temporary = dir.join(IDENTITY_TEMP);
    let file = disk.open(&temporary)?;
    file.set_len(0)?;
    file.write(0, &bytes)?;
    file.sync()?;
    disk.rename(&temporary, &dir.join(IDENTITY))?;
    disk.sync_dir(dir)
}
