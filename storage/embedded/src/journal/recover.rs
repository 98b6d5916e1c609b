//! Recovery reads the frames of the journal, and decides whether an unreadable frame is the end of the journal or
//! damage.
//!
//! Groups are numbered without gaps and written one at a time. If nothing follows an unreadable frame, its group was
//! never acknowledged, or it was the last group and was damaged later; the two cannot be distinguished. If a later
//! frame or a seal with a later number follows, the journal is damaged. Groups that the checkpoint contains may be
//! unreadable or missing, except for its last group, after which the journal continues.

use std::io;
use std::path::{Path, PathBuf};

use super::frame::{self, Frame, HEADER as FRAME_HEADER, MAGIC, Mark};
use super::segment::{self, HEADER, SEAL_MAGIC, SegmentHeader, StoreId};
use super::{FrameLocation, JournalPosition, Sealed, Tail};
use crate::disk::{Disk, read_whole};
use crate::open::OpenError;

/// What recovery found in the journal.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The position of the last group.
    pub(crate) reached: JournalPosition,
    /// Where writing continues.
    pub(crate) tail: Tail,
    /// The sealed segments that are still needed, oldest first.
    pub(crate) sealed: Vec<Sealed>,
    /// The numbers of segments that are not needed.
    pub(crate) unused: Vec<u64>,
    /// The number of groups that were replayed.
    pub(crate) replayed: u64,
}

/// A recovery in progress.
struct Recovery<'a, A> {
    store: &'a StoreId,
    apply: A,
    /// The last group to read, for a journal in use.
    until: Option<u64>,
    reached: JournalPosition,
    replayed: u64,
}

/// The content of a segment.
struct Read {
    path: PathBuf,
    number: u64,
    bytes: Vec<u8>,
    seed: u32,
}

/// The end of the frames in a segment.
struct End {
    offset: usize,
    /// Whether the journal continues in the next segment.
    sealed: bool,
}

/// Reads the journal in `dir` after the last group of the checkpoint, `from`, and passes each frame to `apply`, in
/// order.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    store: &StoreId,
    from: JournalPosition,
    apply: impl FnMut(&Frame<'_>) -> Result<(), String>,
) -> Result<Recovered, OpenError> {
    let recovery = Recovery { store, apply, until: None, reached: from, replayed: 0 };
    recovery.run(disk, dir, from)
}

/// Checks the journal of a store that may be in use, after the last group of the checkpoint, `from`, up to group
/// `until`.
pub(crate) fn reread(
    disk: &dyn Disk,
    dir: &Path,
    store: &StoreId,
    from: JournalPosition,
    until: u64,
) -> Result<(), OpenError> {
    let recovery = Recovery { store, apply: |_: &Frame<'_>| Ok(()), until: Some(until), reached: from, replayed: 0 };
    let reached = recovery.run(disk, dir, from)?.reached;
    let what = format!("it ends with group {}, but group {until} was committed", reached.mark.position);
    if reached.mark.position < until {
        return Err(damaged(&segment::path(dir, reached.location.segment), None, what));
    }
    Ok(())
}

/// Returns the numbers of the segments in `dir`, in order.
pub(crate) fn numbers(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, OpenError> {
    let names = disk.list(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => damaged(dir, None, "it is missing"),
        _ => OpenError::io(dir, &error),
    })?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Returns the position before the oldest frame in the journal, regardless of the checkpoint.
pub(crate) fn oldest(disk: &dyn Disk, dir: &Path, store: &StoreId) -> Result<JournalPosition, OpenError> {
    let segment = numbers(disk, dir)?.first().copied().unwrap_or(FrameLocation::BEGIN.segment);
    let mut reached = JournalPosition { mark: Mark::default(), location: FrameLocation { segment, offset: 0 } };
    let path = segment::path(dir, segment);
    if disk.exists(&path).map_err(|error| OpenError::io(&path, &error))? {
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, &error))?;
        let bytes = read_whole(&*file).map_err(|error| OpenError::io(&path, &error))?;
        reached.mark.position = match later(&bytes, HEADER, segment::seed(store, segment), 0) {
            Some((_, Later::Frame(first))) => first.saturating_sub(1),
            Some((_, Later::Seal(last))) => last,
            None => 0,
        };
    }
    Ok(reached)
}

/// Fails unless all segments from the number `first` on exist.
fn check_gaps(dir: &Path, first: u64, found: &[u64]) -> Result<(), OpenError> {
    let missing = (first..).zip(found).find(|(expected, found)| expected != *found);
    let missing = missing.map(|(expected, _)| expected).or_else(|| found.is_empty().then_some(first));
    missing.map_or(Ok(()), |number| Err(damaged(&segment::path(dir, number), None, "it is missing")))
}

impl<A: FnMut(&Frame<'_>) -> Result<(), String>> Recovery<'_, A> {
    /// Reads all needed segments.
    fn run(mut self, disk: &dyn Disk, dir: &Path, from: JournalPosition) -> Result<Recovered, OpenError> {
        let numbers = numbers(disk, dir)?;
        let (mut unused, needed): (Vec<u64>, Vec<u64>) =
            numbers.into_iter().partition(|number| *number < from.location.segment);
        check_gaps(dir, from.location.segment, &needed)?;
        let (mut sealed, mut tail): (Vec<Sealed>, Option<Tail>) = (Vec::new(), None);
        for number in needed {
            let read = self.read(disk, dir, number)?;
            let len = read.bytes.len() as u64;
            if let Some(tail) = tail {
                self.check_unused(&segment::path(dir, tail.number), tail.offset, &read)?;
                unused.push(number);
                continue;
            }
            let end = self.frames(&read)?;
            if end.sealed {
                sealed.push(Sealed { number, len });
            } else {
                let last = self.reached.mark.position;
                tail = Some(Tail { number, offset: end.offset as u64, len, last });
            }
        }
        let next = sealed.last().map_or(from.location.segment, |sealed| sealed.number + 1);
        let tail = tail.ok_or_else(|| {
            let what = format!("it is missing; the journal continues in it after group {}", self.reached.mark.position);
            damaged(&segment::path(dir, next), None, what)
        })?;
        Ok(Recovered { reached: self.reached, tail, sealed, unused, replayed: self.replayed })
    }

    /// Reads a segment. Fails if its header does not match its name or its length.
    fn read(&self, disk: &dyn Disk, dir: &Path, number: u64) -> Result<Read, OpenError> {
        let path = segment::path(dir, number);
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, &error))?;
        let bytes = read_whole(&*file).map_err(|error| OpenError::io(&path, &error))?;
        let len = bytes.len() as u64;
        match SegmentHeader::read(&bytes, self.store) {
            Some(header) if header.number != number => {
                Err(damaged(&path, Some(0), format!("it is segment {} under another name", header.number)))
            }
            Some(header) if header.len != len => Err(damaged(
                &path,
                Some(len),
                format!("it has {len} bytes of the {} that its header states", header.len),
            )),
            Some(_) => Ok(Read { seed: segment::seed(self.store, number), path, number, bytes }),
            None => Err(damaged(&path, Some(0), format!("its header cannot be read; it has {len} bytes"))),
        }
    }

    /// Applies the frames of a segment. Returns where they end.
    fn frames(&mut self, read: &Read) -> Result<End, OpenError> {
        let mut offset = self.begin(read)?;
        loop {
            if self.is_enough() {
                return Ok(End { offset, sealed: false });
            }
            let (rest, next) = (read.bytes.get(offset..).unwrap_or_default(), self.reached.mark.position + 1);
            if let Some(frame) = Frame::read(rest, read.seed).filter(|frame| frame.mark.position == next) {
                (self.apply)(&frame).map_err(|why| damaged(&read.path, Some(offset as u64), why))?;
                let location = FrameLocation { segment: read.number, offset: offset as u64 };
                self.reached = JournalPosition { mark: frame.mark, location };
                self.replayed += 1;
                offset += frame.len;
            } else if segment::read_seal(rest, read.seed) == Some(next - 1) {
                return Ok(End { offset, sealed: true });
            } else {
                self.check_end(read, offset)?;
                if frame::stated_position(rest) == Some(next) {
                    tracing::warn!(
                        file = %read.path.display(), offset, group = next,
                        "the last group of the journal cannot be read and is dropped"
                    );
                }
                return Ok(End { offset, sealed: false });
            }
        }
    }

    /// Whether the last group to read was reached.
    fn is_enough(&self) -> bool {
        self.until.is_some_and(|until| self.reached.mark.position >= until)
    }

    /// Returns where the frames to apply begin. Fails if the last group of the checkpoint cannot be read, because the
    /// end of the journal was then lost, and how much of it would be unknown.
    fn begin(&self, read: &Read) -> Result<usize, OpenError> {
        let JournalPosition { mark, location } = self.reached;
        if location.segment != read.number || location.offset == 0 {
            return Ok(HEADER);
        }
        let offset = usize::try_from(location.offset).unwrap_or(usize::MAX);
        let found = Frame::read(read.bytes.get(offset..).unwrap_or_default(), read.seed);
        let found = found.filter(|frame| frame.mark.position == mark.position);
        found.map(|frame| offset + frame.len).ok_or_else(|| {
            let what = format!("group {}, the last one of the checkpoint, cannot be read", mark.position);
            damaged(&read.path, Some(location.offset), what)
        })
    }

    /// Fails if a later frame or seal follows in the segment, so that this is not the end of the journal.
    fn check_end(&self, read: &Read, offset: usize) -> Result<(), OpenError> {
        let next = self.reached.mark.position + 1;
        let Some((later, what)) = later(&read.bytes, offset, read.seed, next) else { return Ok(()) };
        let what = match what {
            Later::Frame(position) => {
                format!("groups {next} to {} cannot be read, but group {position} at {later} can", position - 1)
            }
            Later::Seal(last) => {
                format!("groups {next} to {last} cannot be read, but the seal at {later} includes them")
            }
        };
        Err(damaged(&read.path, Some(offset as u64), what))
    }

    /// Fails if a segment after the end of the journal has later frames.
    fn check_unused(&self, path: &Path, offset: u64, read: &Read) -> Result<(), OpenError> {
        if self.is_enough() {
            return Ok(());
        }
        let next = self.reached.mark.position + 1;
        let Some((_, what)) = later(&read.bytes, HEADER, read.seed, next) else { return Ok(()) };
        let (Later::Frame(position) | Later::Seal(position)) = what;
        let what = format!(
            "the group after group {} cannot be read, but group {position} in {} can",
            next - 1,
            read.path.display()
        );
        Err(damaged(path, Some(offset), what))
    }
}

/// A frame or seal that follows an unreadable frame, with the number of its group.
enum Later {
    Frame(u64),
    Seal(u64),
}

/// Returns the first complete frame or seal from `offset` on that belongs to group `next` or later, with its offset.
fn later(bytes: &[u8], offset: usize, seed: u32, next: u64) -> Option<(usize, Later)> {
    let mut at = offset;
    while at + segment::SEAL.min(FRAME_HEADER) <= bytes.len() {
        at = skip_zeros(bytes, at);
        let rest = bytes.get(at..)?;
        let found = if rest.starts_with(&MAGIC) {
            Frame::read(rest, seed).map(|frame| (frame.mark.position, Later::Frame(frame.mark.position)))
        } else if rest.starts_with(&SEAL_MAGIC) {
            segment::read_seal(rest, seed).map(|last| (last, Later::Seal(last)))
        } else {
            None
        };
        if let Some((_, what)) = found.filter(|(position, _)| *position >= next) {
            return Some((at, what));
        }
        at += 1;
    }
    None
}

/// Skips zeros a page at a time, since most of the unused part of a segment is zeros.
fn skip_zeros(bytes: &[u8], mut at: usize) -> usize {
    const PAGE: [u8; 4096] = [0; 4096];
    while bytes.get(at..at + PAGE.len()).is_some_and(|page| page == PAGE) {
        at += PAGE.len();
    }
    at
}

fn damaged(path: &Path, offset: Option<u64>, what: impl Into<String>) -> OpenError {
    OpenError::Damaged { file: path.to_owned(), offset, table: None, what: what.into() }
}
