//! The journal: the one commit point of both databases.
//!
//! One frame a group, one group at a time, one sync a frame. Segments are prepared and recycled beside the writer, which
//! makes one itself only when none is ready.

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

/// Where writing goes on after recovery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) number: u64,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) last: u64,
}

/// A segment that is written no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) len: u64,
    /// The position of its last frame.
    pub(crate) last: u64,
}

/// A segment that waits for use.
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
    last_number: u64,
}

/// The segments of a store, shared by the writer and who prepares them.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    size: u64,
    stock: Mutex<Stock>,
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, size: u64, sealed: Vec<Sealed>, last_number: u64) -> Self {
        Self { disk, dir, size, stock: Mutex::new(Stock { ready: None, sealed, last_number }) }
    }

    /// Makes sure that a segment is ready ahead.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        if self.stock.lock().ready.is_some() {
            return Ok(());
        }
        let made = self.dir.join("ahead.tmp");
        let file = self.make(&made, self.size)?;
        let mut stock = self.stock.lock();
        if stock.ready.is_none() {
            stock.last_number += 1;
            let number = stock.last_number;
            self.disk.rename(&made, &segment::path(&self.dir, number))?;
            self.disk.sync_dir(&self.dir)?;
            stock.ready = Some(Ready { number, file, len: self.size });
        }
        Ok(())
    }

    /// Recycles or removes segments whose last frame is applied.
    pub(crate) fn release(&self, applied: u64) -> io::Result<()> {
        let mut stock = self.stock.lock();
        while let Some(oldest) = stock.sealed.first().copied().filter(|oldest| oldest.last <= applied) {
            let path = segment::path(&self.dir, oldest.number);
            if stock.ready.is_none() && oldest.len == self.size {
                let number = stock.last_number + 1;
                let to = segment::path(&self.dir, number);
                self.disk.rename(&path, &to)?;
                self.disk.sync_dir(&self.dir)?;
                stock.last_number = number;
                stock.ready = Some(Ready { number, file: self.disk.open(&to)?, len: oldest.len });
            } else {
                self.disk.remove(&path)?;
            }
            stock.sealed.remove(0);
        }
        Ok(())
    }

    fn make(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path)?;
        fill(&*file, len)?;
        Ok(file)
    }

    /// Takes the segment that is ready, or makes one, at least `len` long.
    fn take(&self, len: u64) -> io::Result<Ready> {
        let mut stock = self.stock.lock();
        if let Some(ready) = stock.ready.take_if(|ready| ready.len >= len) {
            return Ok(ready);
        }
        if let Some(mut short) = stock.ready.take() {
            match fill(&*short.file, len) {
                Ok(()) => short.len = len,
                Err(error) => {
                    stock.ready = Some(short);
                    return Err(error);
                }
            }
            return Ok(short);
        }
        let (number, len) = (stock.last_number + 1, len.max(self.size));
        let made = self.dir.join("inline.tmp");
        let file = self.make(&made, len)?;
        self.disk.rename(&made, &segment::path(&self.dir, number))?;
        self.disk.sync_dir(&self.dir)?;
        stock.last_number = number;
        Ok(Ready { number, file, len })
    }

    /// Makes the first segment of a store short, so that a new store is ready at once.
    pub(crate) fn prepare_first(&self) -> io::Result<()> {
        let ready = self.take_first(self.size.min(FIRST))?;
        self.stock.lock().ready = Some(ready);
        Ok(())
    }

    fn take_first(&self, len: u64) -> io::Result<Ready> {
        let number = self.stock.lock().last_number + 1;
        let path = segment::path(&self.dir, number);
        let file = self.make(&path, len)?;
        self.disk.sync_dir(&self.dir)?;
        self.stock.lock().last_number = number;
        Ok(Ready { number, file, len })
    }
}

/// Bytes of a new store's first segment.
const FIRST: u64 = 1 << 20;

/// Makes a journal that holds nothing and goes on at `first`: a restored store's. What was there before is removed.
pub(crate) fn begin(disk: &dyn Disk, dir: &Path, store: &StoreId, first: u64) -> io::Result<()> {
    for name in disk.list(dir)? {
        disk.remove(&dir.join(name))?;
    }
    let file = disk.open(&segment::path(dir, 1))?;
    fill(&*file, FIRST)?;
    file.write(0, &SegmentHeader { number: 1, first }.encode(store))?;
    file.sync()?;
    disk.sync_dir(dir)
}

/// Why a frame could not be appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// There is no room; the journal ends where it did.
    Full,
    /// A write or sync failed: what is on the disk is unknown.
    Failed(io::Error),
}

impl AppendError {
    fn of(error: io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Failed(error) }
    }
}

#[derive(Debug)]
struct Current {
    number: u64,
    file: Arc<dyn DiskFile>,
    offset: u64,
    len: u64,
    seed: u32,
    last: u64,
}

/// The writer's end of the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    segments: Arc<Segments>,
    store: StoreId,
    current: Option<Current>,
    /// The header of the segment in use, as long as it has no frame.
    header: Option<[u8; segment::HEADER]>,
}

impl Journal {
    /// Goes on at `tail`, whose content is made safe first: it may have been read from the page cache.
    pub(crate) fn resume(segments: Arc<Segments>, store: StoreId, tail: Option<Tail>) -> io::Result<Self> {
        let mut journal = Self { segments, store, current: None, header: None };
        if let Some(tail) = tail {
            let file = journal.segments.disk.open(&segment::path(&journal.segments.dir, tail.number))?;
            file.sync()?;
            let seed = segment::seed(&store, tail.number);
            let Tail { number, offset, len, last } = tail;
            journal.current = Some(Current { number, file, offset, len, seed, last });
        }
        Ok(journal)
    }

    /// Writes a group and makes it safe.
    pub(crate) fn append(&mut self, mark: Mark, frame: &mut FrameBuffer) -> Result<(), AppendError> {
        let len = frame.len() as u64;
        if self.current.as_ref().is_none_or(|current| current.offset + len > current.len) {
            self.roll(mark.position, len)?;
        }
        let Some(current) = &mut self.current else { return Err(AppendError::Full) };
        let sealed = frame.seal(mark, current.seed);
        let written = match self.header {
            None => current.file.write(current.offset, sealed),
            Some(header) => current.file.write(0, &[&header[..], sealed].concat()),
        };
        // A file system that copies on write may be full even here; the next group is then written to the same place.
        written.map_err(AppendError::of)?;
        current.file.sync().map_err(AppendError::Failed)?;
        self.header = None;
        current.offset += len;
        current.last = mark.position;
        Ok(())
    }

    /// Begins another segment; its header goes out with its first frame.
    fn roll(&mut self, first: u64, frame: u64) -> Result<(), AppendError> {
        let taken = self.segments.take(frame + segment::HEADER as u64);
        let Ready { number, file, len } = taken.map_err(AppendError::of)?;
        self.header = Some(SegmentHeader { number, first }.encode(&self.store));
        let seed = segment::seed(&self.store, number);
        let offset = segment::HEADER as u64;
        if let Some(old) = self.current.replace(Current { number, file, offset, len, seed, last: 0 }) {
            self.segments.stock.lock().sealed.push(Sealed { number: old.number, len: old.len, last: old.last });
        }
        Ok(())
    }
}
