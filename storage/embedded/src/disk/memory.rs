//! A disk in memory, which can record every change, so that tests can rebuild the state after a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{DirLock, Disk, DiskFile};

/// A recorded change. Files are identified by their number, since their names may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// A file was created.
    Create(PathBuf, usize),
    /// Bytes were written at an offset.
    Write(usize, u64, Vec<u8>),
    /// The length was changed.
    SetLen(usize, u64),
    /// A file was synced: earlier writes to it are durable.
    Sync(usize),
    /// A file was renamed.
    Rename(PathBuf, PathBuf),
    /// A file name was removed.
    Remove(PathBuf),
    /// A directory was synced: earlier changes of names are durable.
    SyncDir,
}

/// The part of a change that survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persisted {
    /// All of it.
    Whole,
    /// The first bytes of a write.
    First(usize),
    /// Nothing.
    Nothing,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, usize>,
    files: Vec<Vec<u8>>,
    locked: BTreeSet<PathBuf>,
    log: Option<Vec<DiskOp>>,
    capacity: Option<u64>,
}

/// A disk in memory. Clones share the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    /// Creates an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty disk that records its changes.
    pub fn recording() -> Self {
        let disk = Self::new();
        disk.record();
        disk
    }

    /// Returns the recorded changes.
    pub fn log(&self) -> Vec<DiskOp> {
        self.0.lock().log.clone().unwrap_or_default()
    }

    /// Returns the number of recorded changes.
    pub fn log_len(&self) -> usize {
        self.0.lock().log.as_ref().map_or(0, Vec::len)
    }

    /// Creates a disk from recorded changes. `persisted` returns how much of each survives, given its number and the
    /// change.
    pub fn rebuild(log: &[DiskOp], mut persisted: impl FnMut(usize, &DiskOp) -> Persisted) -> Self {
        let mut state = State::default();
        for (number, op) in log.iter().enumerate() {
            state.replay(op, persisted(number, op));
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// Starts recording, and drops earlier records.
    pub fn record(&self) {
        self.0.lock().log = Some(Vec::new());
    }

    /// Applies the persisted part of a recorded change.
    pub fn replay(&self, op: &DiskOp, persisted: Persisted) {
        self.0.lock().replay(op, persisted);
    }

    /// Returns a copy of the disk, without locks and records.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.0.lock();
        let (names, files) = (state.names.clone(), state.files.clone());
        Self(Arc::new(Mutex::new(State { names, files, ..State::default() })))
    }

    /// Limits the capacity of the disk, or removes the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Returns the names and lengths of all files.
    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.0.lock();
        let length = |file: &usize| state.files.get(*file).map_or(0, Vec::len);
        state.names.iter().map(|(path, file)| (path.clone(), length(file))).collect()
    }

    /// Flips one bit of a file.
    pub fn flip(&self, path: &Path, bit: usize) {
        let mut state = self.0.lock();
        let file = state.names.get(path).copied();
        if let Some(byte) = file.and_then(|file| state.files.get_mut(file)).and_then(|file| file.get_mut(bit / 8)) {
            *byte ^= 1 << (bit % 8);
        }
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    /// Records a change, if recording is on.
    fn note(&mut self, op: impl FnOnce() -> DiskOp) {
        if let Some(log) = &mut self.log {
            log.push(op());
        }
    }

    fn replay(&mut self, op: &DiskOp, persisted: Persisted) {
        match (op, persisted) {
            // A file's number must exist even if its name is lost.
            (DiskOp::Create(path, file), persisted) => {
                self.files.resize(self.files.len().max(file + 1), Vec::new());
                if persisted == Persisted::Whole {
                    self.names.insert(path.clone(), *file);
                }
            }
            (DiskOp::Write(file, offset, bytes), Persisted::First(first)) => {
                self.write(*file, *offset, bytes.get(..first).unwrap_or(bytes));
            }
            (DiskOp::Write(file, offset, bytes), Persisted::Whole) => self.write(*file, *offset, bytes),
            (DiskOp::SetLen(file, len), Persisted::Whole) => self.set_len(*file, *len),
            (DiskOp::Rename(from, to), Persisted::Whole) => drop(self.rename(from, to)),
            (DiskOp::Remove(path), Persisted::Whole) => drop(self.names.remove(path)),
            _ => {}
        }
    }

    fn write(&mut self, file: usize, offset: u64, bytes: &[u8]) {
        let Some(content) = self.files.get_mut(file) else { return };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        if content.len() < end {
            content.resize(end, 0);
        }
        if let Some(place) = content.get_mut(start..end) {
            place.copy_from_slice(bytes);
        }
    }

    fn set_len(&mut self, file: usize, len: u64) {
        if let Some(content) = self.files.get_mut(file) {
            content.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.names.remove(from).ok_or_else(missing)?;
        self.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(*file)).map(|content| content.len() as u64).sum()
    }

    fn check_room(&self, file: usize, end: u64) -> io::Result<()> {
        let grown = end.saturating_sub(self.files.get(file).map_or(0, |content| content.len() as u64));
        match self.capacity {
            Some(capacity) if grown > 0 && self.used() + grown > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let file = if let Some(file) = state.names.get(path) {
            *file
        } else {
            let file = state.files.len();
            state.files.push(Vec::new());
            state.names.insert(path.to_owned(), file);
            state.note(|| DiskOp::Create(path.to_owned(), file));
            file
        };
        Ok(Arc::new(MemoryFile { disk: self.clone(), file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let paths = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(paths.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn make_private(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.0.lock().names.contains_key(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.note(|| DiskOp::Rename(from.to_owned(), to.to_owned()));
        state.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.note(|| DiskOp::Remove(path.to_owned()));
        state.names.remove(path).map(drop).ok_or_else(missing)
    }

    fn remove_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        self.0.lock().note(|| DiskOp::SyncDir);
        Ok(())
    }

    fn free_space(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.0.lock();
        Ok(state.capacity.map_or(u64::MAX / 2, |capacity| capacity.saturating_sub(state.used())))
    }

    fn lock(&self, dir: &Path) -> io::Result<Result<DirLock, String>> {
        if !self.0.lock().locked.insert(dir.to_owned()) {
            return Ok(Err("another store of this process".to_owned()));
        }
        Ok(Ok(Box::new(MemoryLock { disk: self.clone(), dir: dir.to_owned() })))
    }
}

struct MemoryLock {
    disk: MemoryDisk,
    dir: PathBuf,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.disk.0.lock().locked.remove(&self.dir);
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    file: usize,
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files.get(self.file).map_or(0, |content| content.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.0.lock();
        let content = state.files.get(self.file).ok_or_else(missing)?;
        let rest = content.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let read = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..read), rest.get(..read)) {
            to.copy_from_slice(from);
        }
        Ok(read)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.check_room(self.file, offset + bytes.len() as u64)?;
        state.note(|| DiskOp::Write(self.file, offset, bytes.to_vec()));
        state.write(self.file, offset, bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.check_room(self.file, len)?;
        state.note(|| DiskOp::SetLen(self.file, len));
        state.set_len(self.file, len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.0.lock().note(|| DiskOp::Sync(self.file));
        Ok(())
    }
}
