//! The encoding of a stored row: a layout byte, a checksum of space, key and columns, then the columns.
//!
//! The checksum covers the key, so that a row stored under a wrong key is detected.

use crate::{Space, StoreError};

/// The current layout.
const LAYOUT: u8 = 1;
/// The length of the layout byte and the checksum.
pub(crate) const HEADER: usize = 5;

fn checksum(space: Space, key: &[u8], columns: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&space.0.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, key), columns)
}

/// Encodes a row. `put` appends its columns.
pub fn encode_row(space: Space, key: &[u8], put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut row = Vec::with_capacity(128);
    encode_row_into(&mut row, space, key, put);
    row
}

/// Encodes a row into a buffer, replacing its content.
pub(crate) fn encode_row_into(row: &mut Vec<u8>, space: Space, key: &[u8], put: impl FnOnce(&mut Vec<u8>)) {
    row.clear();
    row.extend_from_slice(&[LAYOUT, 0, 0, 0, 0]);
    put(row);
    let (header, columns) = row.split_at_mut(HEADER);
    let crc = checksum(space, key, columns).to_le_bytes();
    header.iter_mut().skip(1).zip(crc).for_each(|(byte, crc)| *byte = crc);
}

/// Verifies a row and returns its encoded columns. Fails with [`StoreError::Damaged`].
pub fn decode_row<'a>(space: Space, key: &[u8], row: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let damaged =
        |why: &str| StoreError::Damaged { place: format!("a row of table {} {why}, key {key:02x?}", space.0) };
    let (header, columns) = row.split_at_checked(HEADER).ok_or_else(|| damaged("is too short"))?;
    match header {
        [LAYOUT, crc @ ..] if *crc == checksum(space, key, columns).to_le_bytes() => Ok(columns),
        [LAYOUT, ..] => Err(damaged("fails its checksum")),
        _ => Err(damaged("has a layout that this version does not know")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_detected() {
        let row = encode_row(Space(7), b"key", |out| out.extend_from_slice(b"columns"));
        assert_eq!(decode_row(Space(7), b"key", &row).unwrap(), b"columns");
        for bit in 0..row.len() * 8 {
            let mut broken = row.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_row(Space(7), b"key", &broken).is_err(), "bit {bit}");
        }
        assert!(decode_row(Space(7), b"kez", &row).is_err() && decode_row(Space(8), b"key", &row).is_err());
    }
}
