//! Segments: the files of the journal. They are preallocated, filled with zeros, and reused, so that a sync writes no
//! metadata.
//!
//! A segment gets its name only when it is complete: filled with zeros, with a header that states its number and
//! length, and synced. A segment that is missing, shortened or without a header was therefore changed from outside. A
//! full segment ends with a seal, which states its last group and that the journal continues in the next segment.

use std::path::{Path, PathBuf};

/// The magic number of a segment.
const MAGIC: [u8; 8] = *b"PROMOXJ2";
/// The magic number of a seal.
pub(crate) const SEAL_MAGIC: [u8; 4] = *b"PMXE";
/// The offset of the first frame.
pub(crate) const HEADER: usize = 64;
/// The length of the used part of the header, including its checksum.
const USED: usize = 28;
/// The length of a seal.
pub(crate) const SEAL: usize = 16;

/// The random identity of a store. Checksums include it, so that segments of another store are detected, and clients
/// cannot write values that look like a frame.
pub(crate) type StoreId = [u8; 16];

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    /// The length of the file in bytes.
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

    /// Reads the header of a segment. Returns `None` if it is invalid or belongs to another store.
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

/// Returns the seed of the checksums of a segment's frames and seal.
pub(crate) fn seed(store: &StoreId, number: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(store), &number.to_le_bytes())
}

/// Encodes the seal of a segment whose last group is `last`.
pub(crate) fn seal(last: u64, seed: u32) -> [u8; SEAL] {
    let last = last.to_le_bytes();
    let crc = crc32c::crc32c_append(seed, &last).to_le_bytes();
    let mut bytes = [0; SEAL];
    bytes.iter_mut().zip(SEAL_MAGIC.into_iter().chain(crc).chain(last)).for_each(|(byte, field)| *byte = field);
    bytes
}

/// Reads the seal at the start of `bytes`. Returns the last group, or `None` if there is no valid seal.
pub(crate) fn read_seal(bytes: &[u8], seed: u32) -> Option<u64> {
    let (found, _) = bytes.split_first_chunk::<SEAL>()?;
    let last = u64::from_le_bytes(found.get(8..)?.try_into().ok()?);
    (*found == seal(last, seed)).then_some(last)
}

/// Returns the path of a segment.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.journal"))
}

/// Returns the number in a segment's file name, or `None` for other files.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".journal")?.parse().ok()
}
