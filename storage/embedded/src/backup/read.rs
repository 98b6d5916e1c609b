//! Reads the stream of a backup, and verifies the checksum of every block and the trailer.

use std::io::Read;
use std::path::{Path, PathBuf};

use promox_kernel::Timestamp;
use promox_storage::Space;

use super::{Copied, MAGIC, MAX_BLOCK};
use crate::directory::check_layout;
use crate::journal::frame::{Mark, take_varint};
use crate::open::OpenError;

/// A row or an index entry: space, key, value.
pub(crate) type Item = (Space, Vec<u8>, Vec<u8>);

/// The header of a backup.
pub(super) struct Header {
    pub(super) mark: Mark,
    pub(super) names: Vec<(Space, String)>,
}

/// A backup being read.
pub(super) struct Source<'a> {
    input: &'a mut dyn Read,
    path: PathBuf,
    pub(super) copied: Copied,
    crc: u32,
}

impl<'a> Source<'a> {
    pub(super) fn new(input: &'a mut dyn Read, path: &Path) -> Self {
        Self { input, path: path.to_owned(), copied: Copied::default(), crc: 0 }
    }

    /// An error at the current offset.
    pub(super) fn damaged(&self, what: &str) -> OpenError {
        let offset = Some(self.copied.bytes);
        OpenError::Damaged { file: self.path.clone(), offset, table: None, what: what.to_owned() }
    }

    pub(super) fn header(&mut self) -> Result<Header, OpenError> {
        let block = match self.block() {
            // Files that are not backups fail here, since their first bytes are not the length of a block.
            Err(OpenError::Damaged { .. }) => Err(self.damaged("it is not a promox backup, or its header is damaged")),
            read => read,
        }?;
        let mut rest = block.strip_prefix(&MAGIC).ok_or_else(|| self.damaged("it is not a promox backup"))?;
        let layout = take_number(&mut rest).map(u32::from_le_bytes);
        check_layout(layout.ok_or_else(|| self.damaged("its header is too short"))?, &self.path)?;
        decode_header(rest).ok_or_else(|| self.damaged("its header does not decode"))
    }

    /// Returns the items of the next block, or `None` at the end of the stream.
    pub(super) fn items(&mut self) -> Result<Option<Vec<Item>>, OpenError> {
        let block = self.block()?;
        if block.is_empty() {
            return self.end().map(|()| None);
        }
        let items = decode_items(&block).ok_or_else(|| self.damaged("a block does not decode"))?;
        self.copied.items += items.len() as u64;
        Ok(Some(items))
    }

    /// Verifies the trailer, and that nothing follows it.
    fn end(&mut self) -> Result<(), OpenError> {
        let count = self.block()?;
        if count != self.copied.items.to_le_bytes() {
            return Err(self.damaged("it does not have the number of items that its trailer states"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("it goes on after its end, so it is not the file that was written")),
            Err(error) => Err(OpenError::io(&self.path, &error)),
        }
    }

    /// Reads and verifies the next block.
    fn block(&mut self) -> Result<Vec<u8>, OpenError> {
        let (mut length, mut crc) = ([0; 4], [0; 4]);
        self.read(&mut length)?;
        self.read(&mut crc)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_BLOCK {
            return Err(self.damaged("a block is longer than the limit"));
        }
        let mut block = vec![0; length];
        self.read(&mut block)?;
        self.crc = crc32c::crc32c_append(self.crc, &block);
        if self.crc.to_le_bytes() != crc {
            return Err(self.damaged("a block fails its checksum"));
        }
        self.copied.bytes += length as u64 + 8;
        Ok(block)
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), OpenError> {
        self.input.read_exact(out).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.damaged("it is truncated"),
            _ => OpenError::io(&self.path, &error),
        })
    }
}

fn take_number<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*number)
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(bytes)
}

fn decode_header(mut rest: &[u8]) -> Option<Header> {
    let rest = &mut rest;
    let position = u64::from_le_bytes(take_number(rest)?);
    let time = Timestamp(i64::from_le_bytes(take_number(rest)?));
    let outbox = [i64::from_le_bytes(take_number(rest)?), i64::from_le_bytes(take_number(rest)?)];
    let mut names = Vec::new();
    for _ in 0..take_varint(rest)? {
        let space = Space(u16::from_le_bytes(take_number(rest)?));
        let length = take_varint(rest)?;
        names.push((space, String::from_utf8(take_bytes(rest, length)?.to_vec()).ok()?));
    }
    Some(Header { mark: Mark { position, time, outbox }, names })
}

fn decode_items(mut rest: &[u8]) -> Option<Vec<Item>> {
    let rest = &mut rest;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let space = Space(u16::from_le_bytes(take_number(rest)?));
        let (key, value) = (take_varint(rest)?, take_varint(rest)?);
        items.push((space, take_bytes(rest, key)?.to_vec(), take_bytes(rest, value)?.to_vec()));
    }
    Some(items)
}
