//! Recovery: which frames are there, and whether what ends the journal is the end or damage.
//!
//! Positions are dense and one group is written at a time. So a broken frame followed by nothing later is a group that was
//! never acknowledged (or the very last one, damaged since: nothing here can tell), and a broken frame followed by a later
//! one is damage. Frames that the checkpoint has applied may be broken or gone.

use std::path::{Path, PathBuf};

use super::frame::{Frame, HEADER as FRAME_HEADER, MAGIC};
use super::segment::{self, Found, HEADER, StoreId};
use super::{Sealed, Tail};
use crate::disk::{Disk, read_whole};
use crate::open::OpenError;

/// What the journal held.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The position of the next group.
    pub(crate) next: u64,
    /// Where to go on writing.
    pub(crate) tail: Option<Tail>,
    /// Full segments, oldest first.
    pub(crate) sealed: Vec<Sealed>,
    /// Segments that wait for use.
    pub(crate) spare: Vec<u64>,
    /// Groups that were replayed.
    pub(crate) replayed: u64,
}

struct Reader<'a, A> {
    store: &'a StoreId,
    /// The last position that needs no frame.
    applied: u64,
    apply: A,
    found: Recovered,
}

/// Reads the journal in `dir` and gives each frame after `applied` to `apply`, in order.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    store: &StoreId,
    applied: u64,
    apply: impl FnMut(&Frame<'_>) -> Result<(), String>,
) -> Result<Recovered, OpenError> {
    let found = Recovered { next: applied + 1, tail: None, sealed: Vec::new(), spare: Vec::new(), replayed: 0 };
    let mut reader = Reader { store, applied, apply, found };
    for number in numbers(disk, dir)? {
        reader.segment(disk, dir, number)?;
    }
    Ok(reader.found)
}

/// The numbers of the segments in `dir`, in order.
pub(crate) fn numbers(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, OpenError> {
    let names = disk.list(dir).map_err(|error| OpenError::io(dir, &error))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl<A: FnMut(&Frame<'_>) -> Result<(), String>> Reader<'_, A> {
    fn segment(&mut self, disk: &dyn Disk, dir: &Path, number: u64) -> Result<(), OpenError> {
        let path = segment::path(dir, number);
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, &error))?;
        let bytes = read_whole(&*file).map_err(|error| OpenError::io(&path, &error))?;
        let seed = segment::seed(self.store, number);
        let first = match Found::read(&bytes, self.store) {
            Found::Header(header) if header.number == number => header.first,
            _ => {
                // Header and first frame go out in one write, so a power cut may leave that frame without the header; a
                // second frame proves that the header was safe once.
                if next_frame(&bytes, HEADER, seed, self.found.next + 1).is_some() {
                    return Err(damaged(&path, 0, "the segment's header is broken"));
                }
                self.found.spare.push(number);
                return Ok(());
            }
        };
        self.check_start(&path, first)?;
        let (offset, last) = self.frames(&path, &bytes, seed, first)?;
        let len = bytes.len() as u64;
        if let Some(tail) = self.found.tail.replace(Tail { number, offset, len, last }) {
            self.found.sealed.push(Sealed { number: tail.number, len: tail.len, last: tail.last });
        }
        Ok(())
    }

    /// A segment must begin no later than with the first frame that is still missing.
    fn check_start(&mut self, path: &Path, first: u64) -> Result<(), OpenError> {
        if first > self.found.next {
            let place = format!("groups {} to {} are missing before it", self.found.next, first - 1);
            return Err(damaged(path, HEADER as u64, &place));
        }
        Ok(())
    }

    /// Applies the frames of a segment; where they end, and the position of the last.
    fn frames(&mut self, path: &Path, bytes: &[u8], seed: u32, first: u64) -> Result<(u64, u64), OpenError> {
        let (mut offset, mut expected) = (HEADER, first);
        loop {
            let rest = bytes.get(offset..).unwrap_or_default();
            match Frame::read(rest, seed).filter(|frame| frame.mark.position == expected) {
                Some(frame) => {
                    self.frame(path, offset, &frame)?;
                    offset += frame.len;
                    expected += 1;
                }
                None => match next_frame(bytes, offset, seed, expected) {
                    Some((later, position)) if position <= self.found.next => (offset, expected) = (later, position),
                    Some((later, position)) => {
                        let place = format!(
                            "groups {expected} to {} do not read; group {position} at {later} does",
                            position - 1
                        );
                        return Err(damaged(path, offset as u64, &place));
                    }
                    None => return Ok((offset as u64, expected - 1)),
                },
            }
        }
    }

    fn frame(&mut self, path: &Path, offset: usize, frame: &Frame<'_>) -> Result<(), OpenError> {
        let position = frame.mark.position;
        if position <= self.applied || position < self.found.next {
            return Ok(());
        }
        (self.apply)(frame).map_err(|why| damaged(path, offset as u64, &why))?;
        self.found.next = position + 1;
        self.found.replayed += 1;
        Ok(())
    }
}

/// The first whole frame from `offset` on whose position is at least `least`.
fn next_frame(bytes: &[u8], offset: usize, seed: u32, least: u64) -> Option<(usize, u64)> {
    let mut at = offset;
    while at + FRAME_HEADER <= bytes.len() {
        at = skip_zeros(bytes, at);
        let rest = bytes.get(at..)?;
        if rest.starts_with(&MAGIC)
            && let Some(frame) = Frame::read(rest, seed).filter(|frame| frame.mark.position >= least)
        {
            return Some((at, frame.mark.position));
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

fn damaged(path: &Path, offset: u64, what: &str) -> OpenError {
    let file: PathBuf = path.to_owned();
    OpenError::Damaged { file, offset: Some(offset), table: None, what: what.to_owned() }
}
