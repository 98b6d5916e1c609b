//! The journal: the one commit point of both databases.
//!
//! One frame per group, one group at a time, one sync per frame. Segments are prepared and recycled in the background;
//! the writer only creates one itself when none is ready.
//!
//! Each checkpoint records where the frame of its last group is ([`FrameLocation`]), and that segment stays until a later
//! checkpoint: from there on all segments must exist, complete and without a gap, or the journal is damaged.

mod dump;
pub(crate) mod frame;
pub(crate) mod recover;
pub(crate) mod segment;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use dump::dump_journal;
use frame::{FrameBuffer, Mark};
use segment::{SegmentHeader, StoreId};

use crate::disk::{Disk, DiskFile, fill, is_full};

/// Bytes of a segment before its first frame.
const HEADER: u64 = segment::HEADER as u64;
/// Bytes reserved at the end of a segment.
const SEAL: u64 = segment::SEAL as u64;

/// The location of a group's frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameLocation {
    pub(crate) segment: u64,
    /// Its offset; 0 when the journal begins after the group.
    pub(crate) offset: u64,
}

impl FrameLocation {
    /// The location in an empty journal.
    pub(crate) const BEGIN: Self = Self { segment: FIRST_NUMBER, offset: 0 };
}

/// A position of the store with its location in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalPosition {
    pub(crate) mark: Mark,
    pub(crate) location: FrameLocation,
}

/// Where writing continues after recovery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) number: u64,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// The position of the last group.
    pub(crate) last: u64,
}

/// A sealed segment, which is no longer written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) len: u64,
}

/// A prepared segment.
#[derive(Debug)]
struct Ready {
    number: u64,
    file: Arc<dyn DiskFile>,
    len: u64,
}

#[derive(Debug, Default)]
struct Stock {
    ready: Option<Ready>,
    sealed: Vec<Sealed>,
    /// The highest segment number in use or prepared: numbers have no gaps.
    last_number: u64,
}

/// The segments of a store, shared by the writer and the checkpointer.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    store: StoreId,
    size: u64,
    stock: Mutex<Stock>,
}

impl Segments {
    /// The segments found by recovery: `sealed` ones, followed by the current one with `last_number`.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        store: StoreId,
        size: u64,
        sealed: Vec<Sealed>,
        last_number: u64,
    ) -> Self {
        Self { disk, dir, store, size, stock: Mutex::new(Stock { ready: None, sealed, last_number }) }
    }

    /// Ensures that a segment is prepared.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        if self.stock.lock().ready.is_some() {
            return Ok(());
        }
        let made = self.dir.join("ahead.tmp");
        let (file, len) = self.make(&made, self.size)?;
        let mut stock = self.stock.lock();
        if stock.ready.is_none() {
            let number = stock.last_number + 1;
            stock.ready = Some(self.name(&made, file, SegmentHeader { number, len })?);
            stock.last_number = number;
        }
        Ok(())
    }

    /// Recycles or removes the segments before `needed`, the one with the last group of the checkpoint.
    pub(crate) fn release(&self, needed: u64) -> io::Result<()> {
        let mut stock = self.stock.lock();
        while let Some(oldest) = stock.sealed.first().copied().filter(|oldest| oldest.number < needed) {
            let path = segment::path(&self.dir, oldest.number);
            if stock.ready.is_some() || oldest.len != self.size {
                self.disk.remove(&path)?;
                stock.sealed.remove(0);
                continue;
            }
            let made = self.dir.join("again.tmp");
            self.disk.rename(&path, &made)?;
            stock.sealed.remove(0);
            // The old name must be gone durably before the header changes.
            self.disk.sync_dir(&self.dir)?;
            let number = stock.last_number + 1;
            let (file, len) = self.make(&made, oldest.len)?;
            stock.ready = Some(self.name(&made, file, SegmentHeader { number, len })?);
            stock.last_number = number;
        }
        Ok(())
    }

    /// A zero-filled file of at least `len` bytes, and its length.
    fn make(&self, path: &Path, len: u64) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let file = self.disk.open(path)?;
        fill(&*file, len)?;
        let len = file.len()?;
        Ok((file, len))
    }

    /// Turns a file into a segment: it is renamed last.
    fn name(&self, made: &Path, file: Arc<dyn DiskFile>, header: SegmentHeader) -> io::Result<Ready> {
        let SegmentHeader { number, len } = header;
        file.write(0, &header.encode(&self.store))?;
        file.sync()?;
        self.disk.rename(made, &segment::path(&self.dir, number))?;
        self.disk.sync_dir(&self.dir)?;
        Ok(Ready { number, file, len })
    }

    /// Takes the prepared segment, or creates one, of at least `len` bytes.
    fn take(&self, len: u64) -> io::Result<Ready> {
        let mut stock = self.stock.lock();
        if let Some(ready) = stock.ready.take_if(|ready| ready.len >= len) {
            return Ok(ready);
        }
        let made = self.dir.join("inline.tmp");
        let (file, len) = self.make(&made, len.max(self.size))?;
        // A prepared segment that is too short gives its number to this one.
        let number = stock.ready.as_ref().map_or(stock.last_number + 1, |short| short.number);
        let ready = self.name(&made, file, SegmentHeader { number, len })?;
        stock.ready = None;
        stock.last_number = number;
        Ok(ready)
    }

    fn give_back(&self, ready: Ready) {
        self.stock.lock().ready = Some(ready);
    }
}

/// The length of a new store's first segment, short so that a new store is ready at once.
const FIRST: u64 = 1 << 20;
/// Its number.
const FIRST_NUMBER: u64 = 1;

/// Removes the journal of a store that was never completed.
pub(crate) fn remove(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    names.iter().try_for_each(|name| disk.remove(&dir.join(name)))?;
    disk.remove_dir(dir)
}

/// Creates an empty journal, in a store that is not complete yet.
pub(crate) fn begin(disk: &dyn Disk, dir: &Path, store: &StoreId, size: u64) -> io::Result<()> {
    disk.create_dir(dir)?;
    let (number, len) = (FIRST_NUMBER, FIRST.min(size));
    let file = disk.open(&segment::path(dir, number))?;
    fill(&*file, len)?;
    file.write(0, &SegmentHeader { number, len }.encode(store))?;
    file.sync()?;
    disk.sync_dir(dir)
}

/// Why a frame could not be appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// There is no space; the journal is unchanged.
    Full,
    /// A write or sync failed: the content of the disk is unknown.
    Failed(io::Error),
}

impl AppendError {
    fn of(error: io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Failed(error) }
    }
}

/// The current segment.
#[derive(Debug)]
struct Current {
    number: u64,
    file: Arc<dyn DiskFile>,
    offset: u64,
    len: u64,
    seed: u32,
    /// The position of the last group.
    last: u64,
}

/// The writer's end of the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    segments: Arc<Segments>,
    store: StoreId,
    current: Current,
}

impl Journal {
    /// Continues at `tail`, after syncing its content: it may have been read from the page cache.
    pub(crate) fn resume(segments: Arc<Segments>, store: StoreId, tail: Tail) -> io::Result<Self> {
        let Tail { number, offset, len, last } = tail;
        let file = segments.disk.open(&segment::path(&segments.dir, number))?;
        file.sync()?;
        let seed = segment::seed(&store, number);
        Ok(Self { segments, store, current: Current { number, file, offset, len, seed, last } })
    }

    /// Writes and syncs a group; returns its location.
    pub(crate) fn append(&mut self, mark: Mark, frame: &mut FrameBuffer) -> Result<FrameLocation, AppendError> {
        let len = frame.len() as u64;
        if self.current.offset + len + SEAL > self.current.len {
            self.next_segment(len)?;
        }
        let current = &mut self.current;
        // A copy-on-write file system may report a full disk even here; the next group is then written to the same
        // location.
        current.file.write(current.offset, frame.seal(mark, current.seed)).map_err(AppendError::of)?;
        current.file.sync().map_err(AppendError::Failed)?;
        let location = FrameLocation { segment: current.number, offset: current.offset };
        current.offset += len;
        current.last = mark.position;
        Ok(location)
    }

    /// Continues in another segment with space for a frame. The old one's seal is durable before anything is written to
    /// the new one.
    fn next_segment(&mut self, frame: u64) -> Result<(), AppendError> {
        let next = self.segments.take(HEADER + frame + SEAL).map_err(AppendError::of)?;
        let old = &self.current;
        if let Err(error) = old.file.write(old.offset, &segment::seal(old.last, old.seed)) {
            self.segments.give_back(next);
            return Err(AppendError::of(error));
        }
        old.file.sync().map_err(AppendError::Failed)?;
        let Ready { number, file, len } = next;
        self.segments.stock.lock().sealed.push(Sealed { number: old.number, len: old.len });
        let (seed, last) = (segment::seed(&self.store, number), old.last);
        self.current = Current { number, file, offset: HEADER, len, seed, last };
        Ok(())
    }
}
