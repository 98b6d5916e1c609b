//! Frames: the changes of one transaction group, under one checksum.
//!
//! `magic 4 · crc 4 · length 4 · position 8 · time 8 · outbox positions 2 × 8 · changes`, all little-endian. The
//! checksum covers everything after itself and starts with the segment's seed, so it fails for leftovers of an earlier
//! use of the file.

use promox_kernel::Timestamp;
use promox_storage::Space;

/// The magic number of a frame.
pub(crate) const MAGIC: [u8; 4] = *b"PMXF";
/// The header's length.
pub(crate) const HEADER: usize = 44;
/// The end of the checksum.
const CHECKED: usize = 8;

/// A position of the store: the group's dense number, its time, the last event of each database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: u64,
    pub(crate) time: Timestamp,
    pub(crate) outbox: [i64; 2],
}

/// A frame being built.
#[derive(Debug)]
pub(crate) struct FrameBuffer(Vec<u8>);

impl FrameBuffer {
    pub(crate) fn new() -> Self {
        Self(vec![0; HEADER])
    }

    /// Clears the frame, and frees the excess memory of an unusually large group.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(1 << 20);
        self.0.resize(HEADER, 0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == HEADER
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes from `start` on.
    pub(crate) fn since(&self, start: usize) -> &[u8] {
        self.0.get(start..).unwrap_or_default()
    }

    /// Appends a change; its value is at the end.
    pub(crate) fn put(&mut self, space: Space, key: &[u8], value: Option<&[u8]>) {
        self.0.extend_from_slice(&space.0.to_le_bytes());
        put_varint(key.len() as u64, &mut self.0);
        put_varint(value.map_or(0, |value| value.len() as u64 + 1), &mut self.0);
        self.0.extend_from_slice(key);
        self.0.extend_from_slice(value.unwrap_or_default());
    }

    /// Writes the header and returns the bytes to write to disk.
    pub(crate) fn seal(&mut self, mark: Mark, seed: u32) -> &[u8] {
        let length = u32::try_from(self.0.len() - HEADER).unwrap_or(u32::MAX).to_le_bytes();
        let [first, second] = mark.outbox.map(i64::to_le_bytes);
        let (position, time) = (mark.position.to_le_bytes(), mark.time.0.to_le_bytes());
        let fields = MAGIC.iter().chain(&[0; 4]).chain(&length).chain(&position).chain(&time).chain(&first);
        self.0.iter_mut().zip(fields.chain(&second)).for_each(|(byte, field)| *byte = *field);
        let crc = crc32c::crc32c_append(seed, self.0.get(CHECKED..).unwrap_or_default()).to_le_bytes();
        self.0.iter_mut().skip(4).zip(crc).for_each(|(byte, crc)| *byte = crc);
        &self.0
    }
}

/// A frame found in a file.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) mark: Mark,
    pub(crate) changes: &'a [u8],
    /// The length of the whole frame.
    pub(crate) len: usize,
}

/// One change of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    pub(crate) space: Space,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`, if it is complete and belongs to this segment.
    pub(crate) fn read(bytes: &'a [u8], seed: u32) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        if header.get(..4)? != MAGIC {
            return None;
        }
        let length = usize::try_from(u32::from_le_bytes(header.get(8..12)?.try_into().ok()?)).ok()?;
        let changes = rest.get(..length)?;
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, header.get(CHECKED..)?), changes);
        if header.get(4..8)? != crc.to_le_bytes() {
            return None;
        }
        let number = |at: usize| Some(i64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let mark = Mark {
            position: number(12)?.cast_unsigned(),
            time: Timestamp(number(20)?),
            outbox: [number(28)?, number(36)?],
        };
        Some(Self { mark, changes, len: HEADER + length })
    }

    /// Its changes, or `None` in location of one that does not decode.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Option<Change<'a>>> {
        let mut rest = self.changes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let change = take_change(&mut rest);
            if change.is_none() {
                rest = &[];
            }
            Some(change)
        })
    }
}

fn take_change<'a>(rest: &mut &'a [u8]) -> Option<Change<'a>> {
    let (space, after) = rest.split_first_chunk()?;
    *rest = after;
    let key = take_varint(rest)?;
    let value = take_varint(rest)?;
    let key = take(rest, key)?;
    let value = if value == 0 { None } else { Some(take(rest, value - 1)?) };
    Some(Change { space: Space(u16::from_le_bytes(*space)), key, value })
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(bytes)
}

pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7F) as u8);
}

pub(crate) fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> FrameBuffer {
        let mut frame = FrameBuffer::new();
        frame.put(Space(7), b"key", Some(b"value"));
        frame.put(Space(8), b"gone", None);
        frame.put(Space(9), b"", Some(b""));
        frame
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let mark = Mark { position: 5, time: Timestamp(-3), outbox: [8, 9] };
        let mut frame = sample();
        let bytes = frame.seal(mark, 42);
        let read = Frame::read(bytes, 42).unwrap();
        assert_eq!((read.mark, read.len), (mark, bytes.len()));
        let changes: Vec<_> = read.changes().map(|change| change.unwrap()).collect();
        assert_eq!(changes[0], Change { space: Space(7), key: b"key", value: Some(b"value") });
        assert_eq!(changes[1], Change { space: Space(8), key: b"gone", value: None });
        assert_eq!(changes[2], Change { space: Space(9), key: b"", value: Some(b"") });
        assert!(Frame::read(bytes, 43).is_none(), "another use of the file");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            // With and without a valid header, over arbitrary changes.
            let _ = Frame::read(&bytes, 0);
            bytes.splice(0..0, [0; HEADER]);
            let mut frame = FrameBuffer(bytes);
            let sealed = frame.seal(Mark::default(), 9).to_vec();
            let read = Frame::read(&sealed, 9).unwrap();
            proptest::prop_assert!(read.changes().count() <= sealed.len());
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_passes() {
        let bytes = sample().seal(Mark::default(), 1).to_vec();
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::read(&broken, 1).is_none(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(Frame::read(&bytes[..end], 1).is_none(), "cut at {end}");
        }
    }
}
