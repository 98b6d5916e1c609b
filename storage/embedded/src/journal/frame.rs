//! Frames. A frame has the changes of one transaction group, under one checksum.
//!
//! Its layout is `magic 4 · crc 4 · length 4 · position 8 · time 8 · outbox positions 2 × 8 · content length 4 · changes`,
//! little-endian. The checksum covers everything after itself and starts from the seed of the segment, so that it fails for
//! frames left by an earlier use of the file. The changes are an LZ4 block, unless they are as long as their content.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use lz4_flex::block;
use promox_kernel::Timestamp;
use promox_storage::Space;

use crate::key::Key;

/// The magic number of a frame.
pub(crate) const MAGIC: [u8; 4] = *b"PMXF";
/// The length of a frame's header, in bytes.
pub(crate) const HEADER: usize = 48;
/// The offset of the first byte that the checksum covers.
const CHECKED: usize = 8;
/// Memory that a frame keeps for the next one, in bytes.
const KEPT: usize = 1 << 20;

/// A position of the store, at the end of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The number of the group. Groups are numbered without gaps, from 1.
    pub(crate) position: u64,
    /// The time of the latest transaction so far.
    pub(crate) time: Timestamp,
    /// The position of the newest event of each database.
    pub(crate) outbox: [i64; 2],
}

/// The length from which a change is worth removing when a later one of the same group replaces it, in bytes.
const LARGE: usize = 128;

/// A frame being built.
#[derive(Debug)]
pub(crate) struct FrameBuffer {
    /// The header, and the changes as they are.
    bytes: Vec<u8>,
    /// The frame as it is written, and room behind it.
    packed: Vec<u8>,
    packed_len: usize,
    /// Where the large changes are.
    large: HashMap<Key, Range<usize>, RandomState>,
    /// Changes that later ones replace, in ascending order.
    replaced: Vec<Range<usize>>,
}

impl FrameBuffer {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; HEADER],
            packed: Vec::new(),
            packed_len: 0,
            large: HashMap::default(),
            replaced: Vec::new(),
        }
    }

    /// Removes all changes, and frees the excess memory of an unusually large group.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.bytes.resize(HEADER, 0);
        self.packed.truncate(KEPT);
        self.packed.shrink_to(KEPT);
        self.large.clear();
        self.large.shrink_to(1 << 10);
        self.replaced.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    /// The length of the header and the changes as they are.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the bytes from `start` on.
    pub(crate) fn since(&self, start: usize) -> &[u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    /// Appends a change. Its value comes last.
    pub(crate) fn put(&mut self, key: &Key, value: Option<&[u8]>) {
        let start = self.bytes.len();
        let (space, bytes) = key.parts();
        self.bytes.extend_from_slice(&space.0.to_le_bytes());
        put_varint(bytes.len() as u64, &mut self.bytes);
        put_varint(value.map_or(0, |value| value.len() as u64 + 1), &mut self.bytes);
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.replaced.extend(self.large.remove(key));
        if self.bytes.len() - start >= LARGE {
            self.large.insert(key.clone(), start..self.bytes.len());
        }
    }

    /// Removes large changes that later ones of the group replace. A group is read as a whole or not at all, so only the
    /// last value of a key matters.
    fn compact(&mut self) {
        self.replaced.sort_unstable_by_key(|range| range.start);
        let mut end = self.bytes.len();
        for range in self.replaced.drain(..).rev() {
            self.bytes.copy_within(range.end..end, range.start);
            end -= range.len();
        }
        self.bytes.truncate(end);
        self.large.clear();
    }

    /// Makes the frame ready to be written.
    pub(crate) fn pack(&mut self) {
        self.compact();
        let changes = self.bytes.get(HEADER..).unwrap_or_default();
        let room = HEADER + block::get_maximum_output_size(changes.len());
        if self.packed.len() < room {
            self.packed.resize(room, 0);
        }
        let (_, room) = self.packed.split_at_mut(HEADER);
        let length = match block::compress_into(changes, room) {
            Ok(length) if length < changes.len() => length,
            _ => {
                room.iter_mut().zip(changes).for_each(|(to, from)| *to = *from);
                changes.len()
            }
        };
        self.packed_len = HEADER + length;
    }

    /// The length of a packed frame in the file.
    pub(crate) fn packed_len(&self) -> usize {
        self.packed_len
    }

    /// Fills in the header of a packed frame, and returns the bytes to write to disk.
    pub(crate) fn seal(&mut self, mark: Mark, seed: u32) -> &[u8] {
        let length = |whole: usize| u32::try_from(whole - HEADER).unwrap_or(u32::MAX).to_le_bytes();
        let (length, content) = (length(self.packed_len), length(self.bytes.len()));
        let [first, second] = mark.outbox.map(i64::to_le_bytes);
        let (position, time) = (mark.position.to_le_bytes(), mark.time.0.to_le_bytes());
        let fields = MAGIC.iter().chain(&[0; 4]).chain(&length).chain(&position).chain(&time).chain(&first);
        let fields = fields.chain(&second).chain(&content);
        let packed = self.packed.get_mut(..self.packed_len).unwrap_or_default();
        packed.iter_mut().zip(fields).for_each(|(byte, field)| *byte = *field);
        let crc = crc32c::crc32c_append(seed, packed.get(CHECKED..).unwrap_or_default()).to_le_bytes();
        packed.iter_mut().skip(4).zip(crc).for_each(|(byte, crc)| *byte = crc);
        packed
    }
}

/// A frame that was read from a file.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) mark: Mark,
    pub(crate) changes: Cow<'a, [u8]>,
    /// The length of the whole frame in the file, in bytes.
    pub(crate) len: usize,
}

/// The number of the group that a frame at the start of `bytes` states, whether or not the frame is intact. What an earlier
/// use of the file has left states an earlier group.
pub(crate) fn stated_position(bytes: &[u8]) -> Option<u64> {
    let position = bytes.strip_prefix(&MAGIC)?.get(8..16)?;
    Some(u64::from_le_bytes(position.try_into().ok()?))
}

/// One change of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    pub(crate) space: Space,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
    /// Where the value ends, as an offset in the changes of the frame.
    pub(crate) end: usize,
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes`. Returns `None` if it is incomplete, damaged, or belongs to another
    /// segment.
    pub(crate) fn read(bytes: &'a [u8], seed: u32) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        if header.get(..4)? != MAGIC {
            return None;
        }
        let size = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?) as usize);
        let (length, content) = (size(8)?, size(44)?);
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
        let changes = if content == length {
            Cow::Borrowed(changes)
        } else {
            Cow::Owned(block::decompress(changes, content).ok()?)
        };
        Some(Self { mark, changes, len: HEADER + length })
    }

    /// Returns the changes. The first one that does not decode is `None`, and ends them.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Option<Change<'_>>> {
        let mut rest = &*self.changes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let change = take_change(self.changes.len(), &mut rest);
            if change.is_none() {
                rest = &[];
            }
            Some(change)
        })
    }
}

fn take_change<'a>(length: usize, rest: &mut &'a [u8]) -> Option<Change<'a>> {
    let (space, after) = rest.split_first_chunk()?;
    *rest = after;
    let key = take_varint(rest)?;
    let value = take_varint(rest)?;
    let key = take(rest, key)?;
    let value = if value == 0 { None } else { Some(take(rest, value - 1)?) };
    Some(Change { space: Space(u16::from_le_bytes(*space)), key, value, end: length - rest.len() })
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
        frame.put(&Key::new(Space(7), b"key"), Some(b"value"));
        frame.put(&Key::new(Space(8), b"removed"), None);
        frame.put(&Key::new(Space(9), b""), Some(b""));
        frame
    }

    #[test]
    fn a_frame_is_read_back_unchanged() {
        let mark = Mark { position: 5, time: Timestamp(-3), outbox: [8, 9] };
        let mut frame = sample();
        frame.pack();
        let bytes = frame.seal(mark, 42);
        assert_eq!(stated_position(bytes), Some(5));
        let read = Frame::read(bytes, 42).unwrap();
        assert_eq!((read.mark, read.len), (mark, bytes.len()));
        let changes: Vec<_> = read.changes().map(|change| change.unwrap()).collect();
        assert_eq!(changes[0], Change { space: Space(7), key: b"key", value: Some(b"value"), end: 12 });
        assert_eq!(changes[1], Change { space: Space(8), key: b"removed", value: None, end: 23 });
        assert_eq!(changes[2], Change { space: Space(9), key: b"", value: Some(b""), end: 27 });
        assert!(Frame::read(bytes, 43).is_none(), "a frame of another use of the file");
    }

    proptest::proptest! {
        /// The changes of a compacted frame have the effect of all that were made, and no large one twice.
        #[test]
        fn a_compacted_frame_has_the_last_value_of_each_key(
            changes in proptest::collection::vec((0_u8..6, proptest::option::of(0_usize..400)), 0..40),
        ) {
            let (mut frame, mut expected) = (FrameBuffer::new(), HashMap::new());
            for (n, (key, length)) in changes.iter().enumerate() {
                let value = length.map(|length| vec![u8::try_from(n).unwrap(); length]);
                frame.put(&Key::new(Space(1), &[*key]), value.as_deref());
                expected.insert(vec![*key], value);
            }
            frame.pack();
            let sealed = frame.seal(Mark::default(), 3).to_vec();
            let (mut read, mut large) = (HashMap::new(), Vec::new());
            let packed = Frame::read(&sealed, 3).unwrap();
            for change in packed.changes() {
                let Change { key, value, .. } = change.unwrap();
                proptest::prop_assert!(!large.contains(&key));
                if value.is_some_and(|value| value.len() >= LARGE) {
                    large.push(key);
                }
                read.insert(key.to_vec(), value.map(<[u8]>::to_vec));
            }
            proptest::prop_assert_eq!(read, expected);
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            // Once as they are, and once as changes behind a valid header.
            let _ = Frame::read(&bytes, 0);
            bytes.splice(0..0, [0; HEADER]);
            let mut frame = FrameBuffer { bytes, ..FrameBuffer::new() };
            frame.pack();
            let sealed = frame.seal(Mark::default(), 9).to_vec();
            let read = Frame::read(&sealed, 9).unwrap();
            proptest::prop_assert!(read.changes().count() <= sealed.len());
        }
    }

    #[test]
    fn flipped_bits_and_cuts_are_detected() {
        let mut frame = sample();
        frame.put(&Key::new(Space(7), b"long"), Some(&[b'a'; 60]));
        frame.pack();
        assert!(frame.packed_len() < frame.len(), "the changes are an LZ4 block");
        let bytes = frame.seal(Mark::default(), 1).to_vec();
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
