//! Recovery: which frames are there, and whether what ends the journal is the end or damage.
//!
//! Positions are dense and one group is written at a time. So a broken frame followed by nothing later is a group that was
//! never acknowledged (or the very last ones, damaged since: nothing here can tell), and a broken frame followed by a later
//! one, or by a seal that counts it, is damage. What the checkpoint has may be broken or gone, but for its last group: the
//! journal goes on there.

use std::path::{Path, PathBuf};

use super::frame::{Frame, HEADER as FRAME_HEADER, MAGIC, Mark};
use super::segment::{self, HEADER, SEAL_MAGIC, SegmentHeader, StoreId};
use super::{Place, Reach, Sealed, Tail};
use crate::disk::{Disk, read_whole};
use crate::open::OpenError;

/// What the journal held.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// How far it goes.
    pub(crate) reach: Reach,
    /// Where to go on writing.
    pub(crate) tail: Tail,
    /// Full segments, oldest first.
    pub(crate) sealed: Vec<Sealed>,
    /// Segments that hold nothing that is needed.
    pub(crate) unused: Vec<u64>,
    /// Groups that were replayed.
    pub(crate) replayed: u64,
}

struct Recovery<'a, A> {
    store: &'a StoreId,
    apply: A,
    /// The last group that is wanted: a journal that is being written is not read beyond it.
    until: Option<u64>,
    reach: Reach,
    replayed: u64,
}

/// A segment as it was read.
struct Read {
    path: PathBuf,
    number: u64,
    bytes: Vec<u8>,
    seed: u32,
}

/// Where the frames of a segment end.
struct End {
    offset: usize,
    /// Whether the journal goes on in the next segment.
    sealed: bool,
}

/// Reads the journal in `dir` from the last group of the checkpoint, `from`, and gives each later frame to `apply`, in order.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    store: &StoreId,
    from: Reach,
    apply: impl FnMut(&Frame<'_>) -> Result<(), String>,
) -> Result<Recovered, OpenError> {
    let recovery = Recovery { store, apply, until: None, reach: from, replayed: 0 };
    recovery.run(disk, dir, from)
}

/// Reads the journal of a store that may be in use, from the last group of the checkpoint, `from`, to group `until`.
pub(crate) fn reread(disk: &dyn Disk, dir: &Path, store: &StoreId, from: Reach, until: u64) -> Result<(), OpenError> {
    let recovery = Recovery { store, apply: |_: &Frame<'_>| Ok(()), until: Some(until), reach: from, replayed: 0 };
    let reached = recovery.run(disk, dir, from)?.reach;
    let what = format!("it ends with group {}, but group {until} was committed", reached.mark.position);
    if reached.mark.position < until {
        return Err(damaged(&segment::path(dir, reached.place.segment), None, what));
    }
    Ok(())
}

/// The numbers of the segments in `dir`, in order.
pub(crate) fn numbers(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, OpenError> {
    let names = disk.list(dir).map_err(|error| OpenError::io(dir, &error))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What lies before all that the journal still has, whatever the checkpoint has.
pub(crate) fn oldest(disk: &dyn Disk, dir: &Path, store: &StoreId) -> Result<Reach, OpenError> {
    let segment = numbers(disk, dir)?.first().copied().unwrap_or(Place::BEGIN.segment);
    let mut reach = Reach { mark: Mark::default(), place: Place { segment, offset: 0 } };
    let path = segment::path(dir, segment);
    if disk.exists(&path).map_err(|error| OpenError::io(&path, &error))? {
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, &error))?;
        let bytes = read_whole(&*file).map_err(|error| OpenError::io(&path, &error))?;
        reach.mark.position = match later(&bytes, HEADER, segment::seed(store, segment), 0) {
            Some((_, Later::Frame(first))) => first.saturating_sub(1),
            Some((_, Later::Seal(last))) => last,
            None => 0,
        };
    }
    Ok(reach)
}

/// From the first one on, every segment must be there.
fn check_gaps(dir: &Path, first: u64, found: &[u64]) -> Result<(), OpenError> {
    let missing = (first..).zip(found).find(|(wanted, found)| wanted != *found);
    let missing = missing.map(|(wanted, _)| wanted).or_else(|| found.is_empty().then_some(first));
    missing.map_or(Ok(()), |number| Err(damaged(&segment::path(dir, number), None, "it is missing")))
}

impl<A: FnMut(&Frame<'_>) -> Result<(), String>> Recovery<'_, A> {
    /// Reads all segments that are needed.
    fn run(mut self, disk: &dyn Disk, dir: &Path, from: Reach) -> Result<Recovered, OpenError> {
        let numbers = numbers(disk, dir)?;
        let (mut unused, needed): (Vec<u64>, Vec<u64>) =
            numbers.into_iter().partition(|number| *number < from.place.segment);
        check_gaps(dir, from.place.segment, &needed)?;
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
                let last = self.reach.mark.position;
                tail = Some(Tail { number, offset: end.offset as u64, len, last });
            }
        }
        let next = sealed.last().map_or(from.place.segment, |sealed| sealed.number + 1);
        let tail = tail.ok_or_else(|| {
            let what = format!("it is missing; the journal continues in it after group {}", self.reach.mark.position);
            damaged(&segment::path(dir, next), None, what)
        })?;
        Ok(Recovered { reach: self.reach, tail, sealed, unused, replayed: self.replayed })
    }

    /// Reads a segment; its header and its length must be as they were when it got its name.
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

    /// Applies the frames of a segment.
    fn frames(&mut self, read: &Read) -> Result<End, OpenError> {
        let mut offset = self.begin(read)?;
        loop {
            if self.is_enough() {
                return Ok(End { offset, sealed: false });
            }
            let (rest, next) = (read.bytes.get(offset..).unwrap_or_default(), self.reach.mark.position + 1);
            if let Some(frame) = Frame::read(rest, read.seed).filter(|frame| frame.mark.position == next) {
                (self.apply)(&frame).map_err(|why| damaged(&read.path, Some(offset as u64), why))?;
                let place = Place { segment: read.number, offset: offset as u64 };
                self.reach = Reach { mark: frame.mark, place };
                self.replayed += 1;
                offset += frame.len;
            } else if segment::read_seal(rest, read.seed) == Some(next - 1) {
                return Ok(End { offset, sealed: true });
            } else {
                self.check_end(read, offset)?;
                return Ok(End { offset, sealed: false });
            }
        }
    }

    fn is_enough(&self) -> bool {
        self.until.is_some_and(|until| self.reach.mark.position >= until)
    }

    /// Where the frames that are wanted begin. The last group that the checkpoint has must still be there: otherwise the end
    /// of the journal was lost, and nothing could tell how much of it.
    fn begin(&self, read: &Read) -> Result<usize, OpenError> {
        let Reach { mark, place } = self.reach;
        if place.segment != read.number || place.offset == 0 {
            return Ok(HEADER);
        }
        let offset = usize::try_from(place.offset).unwrap_or(usize::MAX);
        let found = Frame::read(read.bytes.get(offset..).unwrap_or_default(), read.seed);
        let found = found.filter(|frame| frame.mark.position == mark.position);
        found.map(|frame| offset + frame.len).ok_or_else(|| {
            let what = format!("group {}, the last one of the checkpoint, cannot be read", mark.position);
            damaged(&read.path, Some(place.offset), what)
        })
    }

    /// The end is one only if nothing later follows in its segment.
    fn check_end(&self, read: &Read, offset: usize) -> Result<(), OpenError> {
        let next = self.reach.mark.position + 1;
        let Some((later, what)) = later(&read.bytes, offset, read.seed, next) else { return Ok(()) };
        let what = match what {
            Later::Frame(position) => {
                format!("groups {next} to {} cannot be read, but group {position} at {later} can", position - 1)
            }
            Later::Seal(last) => format!(
                "groups {next} to {last} cannot be read, but the seal at {later} \
                 counts them"
            ),
        };
        Err(damaged(&read.path, Some(offset as u64), what))
    }

    /// A segment after the end holds nothing.
    fn check_unused(&self, path: &Path, offset: u64, read: &Read) -> Result<(), OpenError> {
        if self.is_enough() {
            return Ok(());
        }
        let next = self.reach.mark.position + 1;
        let Some((_, what)) = later(&read.bytes, HEADER, read.seed, next) else { return Ok(()) };
        let (Later::Frame(position) | Later::Seal(position)) = what;
        let what = format!(
            "what should follow group {} cannot be read, but group {position} in {} can",
            next - 1,
            read.path.display()
        );
        Err(damaged(path, Some(offset), what))
    }
}

/// What reads after the end.
enum Later {
    Frame(u64),
    Seal(u64),
}

/// The first whole frame or seal from `offset` on that knows of a group from `next` on.
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

/// Most of a segment's rest is zeros: pass over them a page at a time.
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
