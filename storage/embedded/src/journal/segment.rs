//! Segments: files of a fixed length, filled with zeros once and used again and again, so that a sync moves no metadata.
//!
//! A segment has its name only when it is whole: filled, with a header that states its number and its length, all of it
//! synced. So one that is missing, shorter or without its header was changed from outside. One that is written no more ends
//! with a seal, which states its last group and that the journal goes on in the segment after it.

use std::path::{Path, PathBuf};

/// Begins each segment.
const MAGIC: [u8; 8] = *b"PROMOXJ2";
/// Begins each seal.
pub(crate) const SEAL_MAGIC: [u8; 4] = *b"PMXE";
/// Bytes before the first frame.
pub(crate) const HEADER: usize = 64;
/// Bytes of the header that mean something.
const USED: usize = 28;
/// Bytes of a seal.
pub(crate) const SEAL: usize = 16;

/// Names a store, so that no other's segment is taken for its own, and so that a client cannot write what passes for a frame.
pub(crate) type StoreId = [u8; 16];

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    /// Bytes of the file.
    pub(crate) len: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(self, store: &StoreId) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let fields = MAGIC.into_iter().chain(self.number.to_le_bytes()).chain(self.len.to_le_bytes());
        bytes.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        let crc = checksum(&bytes, store).to_le_bytes();
        bytes.iter_mut().skip(USED - 4).zip(crc).for_each(|(byte, crc)| *byte = crc);
        bytes
    }

    /// The header that a file begins with, if it is whole and of this store.
    pub(crate) fn read(bytes: &[u8], store: &StoreId) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER>()?;
        let number = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let crc = header.get(USED - 4..USED)?;
        let found = Self { number: number(8)?, len: number(16)? };
        (header.starts_with(&MAGIC) && crc == checksum(header, store).to_le_bytes()).then_some(found)
    }
}

fn checksum(header: &[u8; HEADER], store: &StoreId) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(store), header.get(..USED - 4).unwrap_or_default())
}

/// What the checksums of a segment's frames and of its seal begin with.
pub(crate) fn seed(store: &StoreId, number: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(store), &number.to_le_bytes())
}

/// The seal of a segment whose last group is `last`.
pub(crate) fn seal(last: u64, seed: u32) -> [u8; SEAL] {
    let last = last.to_le_bytes();
    let crc = crc32c::crc32c_append(seed, &last).to_le_bytes();
    let mut bytes = [0; SEAL];
    bytes.iter_mut().zip(SEAL_MAGIC.into_iter().chain(crc).chain(last)).for_each(|(byte, field)| *byte = field);
    bytes
}

/// The last group that a seal at the start of `bytes` states.
pub(crate) fn read_seal(bytes: &[u8], seed: u32) -> Option<u64> {
    let (found, _) = bytes.split_first_chunk::<SEAL>()?;
    let last = u64::from_le_bytes(found.get(8..)?.try_into().ok()?);
    (*found == seal(last, seed)).then_some(last)
}

/// The file of a segment.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.journal"))
}

/// The number in a segment's file name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".journal")?.parse().ok()
}
