//! Segments: files of a fixed length, filled with zeros once and used again and again, so that a sync moves no metadata.
//!
//! A segment in use begins with a header that repeats its number; one that waits for use has another's header, or none.

use std::path::{Path, PathBuf};

/// Begins each segment.
const MAGIC: [u8; 8] = *b"PROMOXJ1";
/// Bytes before the first frame.
pub(crate) const HEADER: usize = 64;
/// Bytes of the header that mean something.
const USED: usize = 36;

/// Names a store, so that no other's segment is taken for its own, and so that a client cannot write what passes for a frame.
pub(crate) type StoreId = [u8; 16];

/// The header of a segment in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    /// The position of its first frame.
    pub(crate) first: u64,
}

/// What a segment's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is, or was, in use under this header.
    Header(SegmentHeader),
    /// It has never been in use.
    Blank,
    /// Something else.
    Garbage,
}

impl SegmentHeader {
    pub(crate) fn encode(self, store: &StoreId) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let fields = MAGIC.into_iter().chain(self.number.to_le_bytes()).chain(self.first.to_le_bytes());
        let reserved = [0; 8];
        bytes.iter_mut().zip(fields.chain(reserved)).for_each(|(byte, field)| *byte = field);
        let crc = checksum(&bytes, store).to_le_bytes();
        bytes.iter_mut().skip(USED - 4).zip(crc).for_each(|(byte, crc)| *byte = crc);
        bytes
    }
}

impl Found {
    pub(crate) fn read(bytes: &[u8], store: &StoreId) -> Self {
        let header = bytes.get(..HEADER).unwrap_or(bytes);
        if header.iter().all(|byte| *byte == 0) {
            return Self::Blank;
        }
        decode(header, store).map_or(Self::Garbage, Self::Header)
    }
}

fn decode(header: &[u8], store: &StoreId) -> Option<SegmentHeader> {
    let header: &[u8; HEADER] = header.try_into().ok()?;
    let number = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let crc = u32::from_le_bytes(header.get(USED - 4..USED)?.try_into().ok()?);
    let found = SegmentHeader { number: number(8)?, first: number(16)? };
    (header.starts_with(&MAGIC) && crc == checksum(header, store)).then_some(found)
}

fn checksum(header: &[u8; HEADER], store: &StoreId) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(store), header.get(..USED - 4).unwrap_or_default())
}

/// What the checksums of a segment's frames begin with.
pub(crate) fn seed(store: &StoreId, number: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(store), &number.to_le_bytes())
}

/// The file of a segment.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.journal"))
}

/// The number in a segment's file name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".journal")?.parse().ok()
}
