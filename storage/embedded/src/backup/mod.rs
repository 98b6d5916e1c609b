//! Backup and restore. A backup is a consistent snapshot of all rows as one checksummed stream, taken while the store
//! is in use.
//!
//! The stream consists of a header with the position and the names of tables and indexes, blocks of items in key order,
//! each with a checksum, and a trailer with the number of items. A stream without its trailer is incomplete. See
//! `FORMAT.md`.

mod read;
mod restore;

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use promox_kernel::Timestamp;
use promox_storage::{Direction, KeyRange, Reader, Space, StoreError};

use crate::EmbeddedEngine;
use crate::directory::LAYOUT;
use crate::journal::frame::{Mark, put_varint};
use crate::open::OpenError;

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
        let names: Vec<_> = names.all().collect();
        write(&*reader, mark, &names, out, &mut progress)
    }
}

/// Writes a backup of a state that another engine keeps. `names` are its tables and indexes, `time` is that of its
/// newest commit, and `events` are the positions of the newest event of each database. Calls `progress` after each
/// block.
pub fn back_up(
    reader: &dyn Reader,
    names: &[(Space, String)],
    time: Timestamp,
    events: [i64; 2],
    out: &mut dyn Write,
    mut progress: impl FnMut(Copied),
) -> Result<Copied, BackupError> {
    let names: Vec<_> = names.iter().map(|(space, name)| (*space, name.as_str())).collect();
    write(reader, Mark { position: 1, time, outbox: events }, &names, out, &mut progress)
}

fn write(
    reader: &dyn Reader,
    mark: Mark,
    names: &[(Space, &str)],
    out: &mut dyn Write,
    progress: &mut impl FnMut(Copied),
) -> Result<Copied, BackupError> {
    let mut stream = Stream { out, copied: Copied::default(), block: Vec::new(), crc: 0 };
    stream.header(mark, names)?;
    for (space, _) in names {
        stream.space(reader, *space, progress)?;
    }
    stream.end()?;
    Ok(stream.copied)
}

impl Stream<'_> {
    fn header(&mut self, mark: Mark, names: &[(Space, &str)]) -> io::Result<()> {
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

/// The rows and index entries of a backup, for filling a store of another engine.
pub struct BackupReader<'a> {
    source: read::Source<'a>,
    mark: Mark,
}

impl fmt::Debug for BackupReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a backup of {}", self.mark.time)
    }
}

impl<'a> BackupReader<'a> {
    /// Reads the header of a backup. `file` is its path, for error messages.
    pub fn open(file: &Path, input: &'a mut dyn Read) -> Result<Self, OpenError> {
        let mut source = read::Source::new(input, file);
        let mark = source.header()?.mark;
        Ok(Self { source, mark })
    }

    /// The time of the newest commit.
    pub fn time(&self) -> Timestamp {
        self.mark.time
    }

    /// The positions of the newest event of each database.
    pub fn events(&self) -> [i64; 2] {
        self.mark.outbox
    }

    /// How much was read.
    pub fn copied(&self) -> Copied {
        self.source.copied
    }

    /// Returns the next items in the order of their spaces and keys, each as its space, key and value. `None` at the
    /// end, which proves that the backup is complete.
    pub fn items(&mut self) -> Result<Option<Vec<(Space, Vec<u8>, Vec<u8>)>>, OpenError> {
        self.source.items()
    }
}
