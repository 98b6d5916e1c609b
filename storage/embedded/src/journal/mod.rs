//! The journal, which is the only commit point of both databases.
//!
//! Groups are written one at a time, each as one frame with one sync. Segments are prepared and recycled in the
//! background. The writer creates one itself only if none is ready.
//!
//! Each checkpoint records the location of the frame of its last group ([`FrameLocation`]). The segment with that frame
//! is kept until a later checkpoint. From it on, all segments must exist, complete and without a gap. Otherwise the
//! journal is damaged.

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

/// The offset of the first frame in a segment.
const HEADER: u64 = segment::HEADER as u64;
/// The bytes reserved for the seal at the end of a segment.
const SEAL: u64 = segment::SEAL as u64;

/// The location of a group's frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameLocation {
    pub(crate) segment: u64,
    /// The offset of the frame in the segment, or 0 if the journal begins after the group.
    pub(crate) offset: u64,
}

impl FrameLocation {
    /// The location for an empty journal, which begins after the group.
    pub(crate) const BEGIN: Self = Self { segment: FIRST_NUMBER, offset: 0 };
}

/// A position of the store, with the location of its group in the journal.
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
    /// The number of the last group.
    pub(crate) last: u64,
}

/// A sealed segment, to which nothing is written any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) len: u64,
}

/// A segment that is ready for use.
#[derive(Debug)]
struct Ready {
    number: u64,
    file: Arc<dyn DiskFile>,
    len: u64,
}

/// The segments other than the current one.
#[derive(Debug, Default)]
struct Stock {
    ready: Option<Ready>,
    sealed: Vec<Sealed>,
    /// The highest number of a segment. Numbers have no gaps.
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
    /// Creates the state after recovery: the sealed segments, followed by the current one with the number
    /// `last_number`.
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

    /// Ensures that a segment is ready for use.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        if self.stock.lock().ready.is_some() {
            return Ok(());
        }
        let temporary = self.dir.join("ahead.tmp");
        let (file, len) = self.make(&temporary, self.size)?;
        let mut stock = self.stock.lock();
        if stock.ready.is_none() {
            let number = stock.last_number + 1;
            stock.ready = Some(self.name(&temporary, file, SegmentHeader { number, len })?);
            stock.last_number = number;
        }
        Ok(())
    }

    /// Recycles or removes the segments before `needed`, which contains the last group of the checkpoint.
    pub(crate) fn release(&self, needed: u64) -> io::Result<()> {
        let mut stock = self.stock.lock();
        while let Some(oldest) = stock.sealed.first().copied().filter(|oldest| oldest.number < needed) {
            let path = segment::path(&self.dir, oldest.number);
            if stock.ready.is_some() || oldest.len != self.size {
                self.disk.remove(&path)?;
                stock.sealed.remove(0);
                continue;
            }
            let temporary = self.dir.join("again.tmp");
            self.disk.rename(&path, &temporary)?;
            stock.sealed.remove(0);
            // The removal of the old name must be durable before the header changes.
            self.disk.sync_dir(&self.dir)?;
            let number = stock.last_number + 1;
            let (file, len) = self.make(&temporary, oldest.len)?;
            stock.ready = Some(self.name(&temporary, file, SegmentHeader { number, len })?);
            stock.last_number = number;
        }
        Ok(())
    }

    /// Opens or creates a file and extends it with zeros to at least `len` bytes. Returns it with its length.
    fn make(&self, path: &Path, len: u64) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let file = self.disk.open(path)?;
        fill(&*file, len)?;
        let len = file.len()?;
        Ok((file, len))
    }

    /// Turns a file into a segment: writes its header, syncs it, and finally gives it its name.
    fn name(&self, temporary: &Path, file: Arc<dyn DiskFile>, header: SegmentHeader) -> io::Result<Ready> {
        let SegmentHeader { number, len } = header;
        file.write(0, &header.encode(&self.store))?;
        file.sync()?;
        self.disk.rename(temporary, &segment::path(&self.dir, number))?;
        self.disk.sync_dir(&self.dir)?;
        Ok(Ready { number, file, len })
    }

    /// Takes the ready segment if it has at least `len` bytes, or creates a new one.
    fn take(&self, len: u64) -> io::Result<Ready> {
        let mut stock = self.stock.lock();
        if let Some(ready) = stock.ready.take_if(|ready| ready.len >= len) {
            return Ok(ready);
        }
        let temporary = self.dir.join("inline.tmp");
        let (file, len) = self.make(&temporary, len.max(self.size))?;
        // The new segment replaces a ready segment that is too short, and gets its number.
        let number = stock.ready.as_ref().map_or(stock.last_number + 1, |short| short.number);
        let ready = self.name(&temporary, file, SegmentHeader { number, len })?;
        stock.ready = None;
        stock.last_number = number;
        Ok(ready)
    }

    /// Makes a segment that was taken ready again, because it was not used.
    fn give_back(&self, ready: Ready) {
        self.stock.lock().ready = Some(ready);
    }
}

/// The maximum length of a new store's first segment, in bytes. It is short, so that a new store is created quickly.
const FIRST: u64 = 1 << 20;
/// The number of a new store's first segment.
const FIRST_NUMBER: u64 = 1;

/// Removes the journal of a store. Does nothing if there is none.
pub(crate) fn remove(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    names.iter().try_for_each(|name| disk.remove(&dir.join(name)))?;
    disk.remove_dir(dir)
}

/// Creates an empty journal.
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
    /// The disk is full. The journal is unchanged.
    Full,
    /// A write or sync failed, so the content of the disk is unknown.
    Failed(io::Error),
}

impl AppendError {
    fn of(error: io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Failed(error) }
    }
}

/// The segment that is being written.
#[derive(Debug)]
struct Current {
    number: u64,
    file: Arc<dyn DiskFile>,
    offset: u64,
    len: u64,
    seed: u32,
    /// The number of the last group.
    last: u64,
}

/// The journal, as the writer appends to it.
#[derive(Debug)]
pub(crate) struct Journal {
    segments: Arc<Segments>,
    store: StoreId,
    current: Current,
}

impl Journal {
    /// Continues at `tail`, after syncing the segment: what recovery read may have been only in the page cache.
    pub(crate) fn resume(segments: Arc<Segments>, store: StoreId, tail: Tail) -> io::Result<Self> {
        let Tail { number, offset, len, last } = tail;
        let file = segments.disk.open(&segment::path(&segments.dir, number))?;
        file.sync()?;
        let seed = segment::seed(&store, number);
        Ok(Self { segments, store, current: Current { number, file, offset, len, seed, last } })
    }

    /// Writes and syncs a group, whose frame is packed. Returns the location of its frame.
    pub(crate) fn append(&mut self, mark: Mark, frame: &mut FrameBuffer) -> Result<FrameLocation, AppendError> {
        let len = frame.packed_len() as u64;
        if self.current.offset + len + SEAL > self.current.len {
            self.next_segment(len)?;
        }
        let current = &mut self.current;
        // A copy-on-write file system may report a full disk even here. The next group is then written to the same
        // place.
        current.file.write(current.offset, frame.seal(mark, current.seed)).map_err(AppendError::of)?;
        current.file.sync().map_err(AppendError::Failed)?;
        let location = FrameLocation { segment: current.number, offset: current.offset };
        current.offset += len;
        current.last = mark.position;
        Ok(location)
    }

    /// Continues in another segment, with space for a frame of the given length. The seal of the old segment is durable
    /// before anything is written to the new one.
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
