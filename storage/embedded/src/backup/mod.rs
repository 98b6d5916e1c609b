//! Backup and restore. A backup is a consistent snapshot of all rows as one checksummed stream, taken while the store
//! is in use.
//!
//! The stream consists of a header with the position and the names of tables and indexes, blocks of items in key order,
//! each with a checksum, and a trailer with the number of items. A stream without its trailer is incomplete. See
//! `FORMAT.md`.

mod read;
mod restore;

use std::fmt;
use std::io::{self, Write};

use promox_storage::{Direction, KeyRange, Reader, Space, StoreError};

use crate::EmbeddedEngine;
use crate::directory::LAYOUT;
use crate::journal::frame::{Mark, put_varint};

pub(crate) use read::Item;
pub use restore::restore;

/// The magic number of a backup.
const MAGIC: [u8; 8] = *b"PROMOXB1";
/// The size at which a block is written, in bytes.
const BLOCK: usize = 1 << 20;
/// The maximum size of a block, in bytes. It has space for the longest row with its key.
const MAX_BLOCK: usize = BLOCK + (16 << 20);

/// The size of a backup or a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The number of rows and index entries.
    pub items: u64,
    /// The length of the stream in bytes.
    pub bytes: u64,
}

/// Why a backup failed.
#[derive(Debug)]
pub enum BackupError {
    /// The store could not be read.
    Store(StoreError),
    /// The stream could not be written.
    Io(io::Error),
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "the backup could not be written: {error}"),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A backup being written.
struct Stream<'a> {
    out: &'a mut dyn Write,
    copied: Copied,
    block: Vec<u8>,
    /// The checksum of the content of all blocks so far.
    crc: u32,
}

impl EmbeddedEngine {
    /// Writes a backup to `out`. Calls `progress` after each block.
    pub fn backup(&self, out: &mut dyn Write, mut progress: impl FnMut(Copied)) -> Result<Copied, BackupError> {
        let (reader, mark, names) = self.long_read_with_mark()?;
        let mut stream = Stream { out, copied: Copied::default(), block: Vec::new(), crc: 0 };
        stream.header(mark, names.all())?;
        for (space, _) in names.all() {
            stream.space(&*reader, space, &mut progress)?;
        }
        stream.end()?;
        Ok(stream.copied)
    }
}

impl Stream<'_> {
    fn header<'n>(&mut self, mark: Mark, names: impl Iterator<Item = (Space, &'n str)>) -> io::Result<()> {
        let names: Vec<_> = names.collect();
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&LAYOUT.to_le_bytes());
        header.extend_from_slice(&mark.position.to_le_bytes());
        header.extend_from_slice(&mark.time.0.to_le_bytes());
        mark.outbox.iter().for_each(|position| header.extend_from_slice(&position.to_le_bytes()));
        put_varint(names.len() as u64, &mut header);
        for (space, name) in names {
            header.extend_from_slice(&space.0.to_le_bytes());
            put_varint(name.len() as u64, &mut header);
            header.extend_from_slice(name.as_bytes());
        }
        self.write_block(&header)
    }

    /// Writes the items of one space.
    fn space(
        &mut self,
        reader: &dyn Reader,
        space: Space,
        progress: &mut impl FnMut(Copied),
    ) -> Result<(), BackupError> {
        for item in reader.scan(&KeyRange::all(space), Direction::Forward) {
            let (key, value) = item?;
            self.block.extend_from_slice(&space.0.to_le_bytes());
            put_varint(key.len() as u64, &mut self.block);
            put_varint(value.len() as u64, &mut self.block);
            self.block.extend_from_slice(&key);
            self.block.extend_from_slice(&value);
            self.copied.items += 1;
            if self.block.len() >= BLOCK {
                self.flush()?;
                progress(self.copied);
            }
        }
        Ok(())
    }

    /// Writes the current block, unless it is empty.
    fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        self.write_block(&block)
    }

    /// Writes the trailer: an empty block, and a block with the number of items.
    fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        let items = self.copied.items.to_le_bytes();
        self.write_block(&[])?;
        self.write_block(&items)?;
        self.out.flush()
    }

    /// Writes a block with its length and checksum. The checksum also covers all earlier blocks, so that none can be
    /// missing.
    fn write_block(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&self.crc.to_le_bytes())?;
        self.out.write_all(bytes)?;
        self.copied.bytes += bytes.len() as u64 + 8;
        Ok(())
    }
}
