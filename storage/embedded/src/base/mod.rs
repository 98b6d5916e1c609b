//! The checkpoint: one redb file with the sorted rows, one table per space, and the position of the checkpoint.
//!
//! redb does not verify its pages on reads. Rows are verified by their own checksum, and index entries by a checksum
//! that is appended here. A read on which redb panics is reported as damage instead of ending the process.

mod backend;
mod build;
mod catalogue;
mod load;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use promox_storage::{Direction, Schema, Space, StoreError, decode_row};
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableError, WriteTransaction,
};

pub(crate) use backend::Room;
pub(crate) use catalogue::Names;
use catalogue::check_known;

use crate::disk::Disk;
use crate::journal::JournalPosition;
use crate::journal::segment::StoreId;
use crate::key::Key;
use crate::merge::Source;
use crate::open::OpenError;
use crate::quiet;
use crate::table::Table;
use backend::Backend;

/// The file's name in the data directory.
pub(crate) const FILE: &str = "data.redb";
/// Its temporary name until it is complete.
pub(crate) const MADE: &str = "data.new";
/// The bytes of rows and entries per durable commit of a checkpoint. Short commits keep the journal's syncs short.
const COMMIT: usize = 1 << 20;

type Bytewise = TableDefinition<'static, &'static [u8], &'static [u8]>;
type ReadTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A table held open. Its last key is cached once it is known.
struct Opened {
    table: ReadTable,
    last: OnceLock<Vec<u8>>,
}

impl Opened {
    /// Whether a key is greater than the last one. Keys with new ids are, so that they need no lookup in the tree. A
    /// last entry whose checksum fails does not count.
    fn ends_before(&self, key: &[u8], intact: impl Fn(&[u8], &[u8]) -> bool) -> Result<bool, redb::StorageError> {
        if let Some(last) = self.last.get() {
            return Ok(key > last.as_slice());
        }
        let Some((last, value)) = self.table.last()? else { return Ok(true) };
        let (last, intact) = (last.value(), intact(last.value(), value.value()));
        Ok(intact && key > self.last.get_or_init(|| last.to_vec()).as_slice())
    }
}

/// A checkpoint, held open for reading.
pub(crate) struct Base {
    tables: Vec<Option<Opened>>,
    names: Arc<Names>,
    failed: Arc<AtomicBool>,
    pub(crate) reached: JournalPosition,
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a checkpoint at group {}", self.reached.mark.position)
    }
}

impl Base {
    /// Returns the names of the spaces.
    pub(crate) fn names(&self) -> Arc<Names> {
        self.names.clone()
    }

    fn table(&self, space: Space) -> Option<&Opened> {
        self.tables.get(usize::from(space.0)).and_then(Option::as_ref)
    }

    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(table) = self.table(space) else { return Ok(None) };
        let intact = |key: &[u8], value: &[u8]| self.check(space, key, value).is_ok();
        self.guard(space, || {
            let found = if table.ends_before(key, intact)? { None } else { table.table.get(key)? };
            Ok(found.map(|value| self.check(space, key, value.value())).transpose())
        })
    }

    /// Returns the number of items of a space, without reading them. `None` if that fails.
    pub(crate) fn count(&self, space: Space) -> Option<u64> {
        let Some(table) = self.table(space) else { return Some(0) };
        self.guard(space, || table.table.len().map(Ok)).ok()
    }

    /// Returns the items of the checkpoint in a range of a space. A damaged item is an error, which other items may
    /// follow.
    pub(crate) fn source(&self, space: Space, start: &[u8], end: Option<&[u8]>, direction: Direction) -> Source<'_> {
        let Some(table) = self.table(space) else { return Box::new(std::iter::empty()) };
        let range = self.guard(space, || {
            if table.ends_before(start, |key, value| self.check(space, key, value).is_ok())? {
                return Ok(Ok(None));
            }
            let range = match end {
                Some(end) => table.table.range(start..end)?,
                None => table.table.range(start..)?,
            };
            Ok(Ok(Some(range)))
        });
        let mut range = match range {
            Ok(Some(range)) => range,
            Ok(None) => return Box::new(std::iter::empty()),
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let next = move || {
            let item = self.guard(space, || {
                let item = match direction {
                    Direction::Forward => range.next().transpose()?,
                    Direction::Backward => range.next_back().transpose()?,
                };
                let Some((key, value)) = item else { return Ok(Ok(None)) };
                let key = key.value().to_vec();
                Ok(self.check(space, &key, value.value()).map(|value| Some((key, Some(value)))))
            });
            item.transpose()
        };
        Box::new(std::iter::from_fn(next))
    }

    /// Verifies a value and removes the checksum that was appended to it.
    fn check(&self, space: Space, key: &[u8], value: &[u8]) -> Result<Bytes, StoreError> {
        let damaged = || {
            let table = self.names.of(space);
            StoreError::DamagedRow { place: format!("{FILE}, table {table}, key {key:02x?}"), table }
        };
        if self.names.is_index(space) {
            return unsealed(space, key, value).map(Bytes::copy_from_slice).ok_or_else(damaged);
        }
        decode_row(space, key, value).map_err(|_| damaged())?;
        Ok(Bytes::copy_from_slice(value))
    }

    /// Runs a redb read, which may panic on damaged pages.
    fn guard<T>(
        &self,
        space: Space,
        read: impl FnOnce() -> Result<Result<T, StoreError>, redb::StorageError>,
    ) -> Result<T, StoreError> {
        let damaged =
            |why: &str| StoreError::Damaged { place: format!("{FILE}, table {}: {why}", self.names.of(space)) };
        match catch_quietly(read) {
            Ok(Ok(found)) => found,
            Ok(Err(redb::StorageError::Corrupted(why))) => Err(damaged(&why)),
            Ok(Err(error)) => {
                self.failed.store(true, Ordering::Release);
                Err(StoreError::Io(format!("{FILE}: {error}")))
            }
            Err(panic) => Err(damaged(&panic)),
        }
    }
}

/// Runs an operation that may panic on damaged data. The error is the message of the panic.
pub(crate) fn catch_quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    quiet::on_this_thread(|| catch_unwind(AssertUnwindSafe(work))).map_err(|panic| quiet::message(&*panic))
}

/// Writes the value of an index entry and its checksum to `out`.
fn sealed(space: Space, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(value);
    out.extend_from_slice(&entry_crc(space, key, value).to_le_bytes());
}

/// Removes the checksum from the value of an index entry. Returns `None` if it fails.
fn unsealed<'a>(space: Space, key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (entry, crc) = value.split_last_chunk()?;
    (entry_crc(space, key, entry).to_le_bytes() == *crc).then_some(entry)
}

fn entry_crc(space: Space, key: &[u8], value: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&space.0.to_be_bytes()), key);
    crc32c::crc32c_append(crc, value)
}

/// The checkpoint file.
pub(crate) struct CheckpointFile {
    database: Database,
    names: Arc<Names>,
    store: StoreId,
    path: PathBuf,
    failed: Arc<AtomicBool>,
}

impl std::fmt::Debug for CheckpointFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl CheckpointFile {
    /// Opens or creates the file, checks that this version knows its content, and records the names of new spaces.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: PathBuf,
        store: StoreId,
        schema: &Schema,
        cache: usize,
        room: Arc<Room>,
    ) -> Result<Self, OpenError> {
        Self::create(disk, path, store, schema, cache, room)?.checked(schema)
    }

    /// Opens or creates the file, without checking its content.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: PathBuf,
        store: StoreId,
        schema: &Schema,
        cache: usize,
        room: Arc<Room>,
    ) -> Result<Self, OpenError> {
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, &error))?;
        let mut builder = Database::builder();
        builder.set_cache_size(cache).set_repair_callback(|repair| {
            tracing::info!(progress = repair.progress(), "repairing the checkpoint file after an unclean shutdown");
        });
        let opened = catch_quietly(|| builder.create_with_backend(Backend::new(file, room)));
        let database =
            opened.map_err(|panic| damaged(&path, &panic))?.map_err(|error| failure(&path, &error.into()))?;
        let names = Arc::new(Names::of_schema(schema));
        Ok(Self { database, names, store, path, failed: Arc::default() })
    }

    /// Checks that this version knows the content of the file, and records the names of new spaces.
    pub(crate) fn checked(self, schema: &Schema) -> Result<Self, OpenError> {
        let caught = catch_quietly(|| self.catalogue(schema));
        caught.map_err(|panic| damaged(&self.path, &panic))??;
        Ok(self)
    }

    /// Whether a read has failed for a reason other than damage. redb then refuses all further operations.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Opens the latest commit for reading.
    pub(crate) fn base(&self) -> Result<Base, redb::Error> {
        catch_quietly(|| self.read_base()).unwrap_or_else(|panic| Err(redb::Error::Corrupted(panic)))
    }

    fn read_base(&self) -> Result<Base, redb::Error> {
        let transaction = self.database.begin_read()?;
        let mut tables = Vec::new();
        for (space, name) in self.names.all() {
            let table = match transaction.open_table(definition(name)) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let at = usize::from(space.0);
            tables.resize_with(tables.len().max(at + 1), || None);
            if let Some(place) = tables.get_mut(at) {
                *place = Some(Opened { table, last: OnceLock::new() });
            }
        }
        let reached = catalogue::read_position(&transaction)?;
        Ok(Base { tables, names: self.names.clone(), failed: self.failed.clone(), reached })
    }

    /// Writes a memory table in several durable commits. The last one records the new position.
    pub(crate) fn apply(&self, table: &Table, reached: JournalPosition) -> Result<(), redb::Error> {
        let mut rows = table.iter().peekable();
        loop {
            let transaction = self.begin()?;
            let mut bytes = 0;
            while let Some(first) = rows.peek().map(|(key, _)| key.parts().0).filter(|_| bytes < COMMIT) {
                bytes += self.apply_space(&transaction, first, &mut rows, COMMIT - bytes)?;
            }
            if rows.peek().is_none() {
                catalogue::write_position(&transaction, reached, &self.store)?;
                transaction.commit()?;
                return Ok(());
            }
            transaction.commit()?;
        }
    }

    /// Writes rows of one space until there are no more or `limit` bytes are written. Returns the number of bytes.
    fn apply_space<'r>(
        &self,
        transaction: &WriteTransaction,
        space: Space,
        rows: &mut std::iter::Peekable<impl Iterator<Item = (&'r Key, Option<Bytes>)>>,
        limit: usize,
    ) -> Result<usize, redb::Error> {
        let name = self.names.of(space);
        let mut table = transaction.open_table(definition(&name))?;
        let (mut bytes, mut entry) = (0, Vec::new());
        while let Some((key, value)) = rows.next_if(|(key, _)| bytes < limit && key.parts().0 == space) {
            let key = key.parts().1;
            bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + 32;
            match value {
                None => drop(table.remove(key)?),
                Some(value) if self.names.is_index(space) => {
                    sealed(space, key, &value, &mut entry);
                    table.insert(key, entry.as_slice())?;
                }
                Some(value) => drop(table.insert(key, &value[..])?),
            }
        }
        Ok(bytes)
    }

    /// Begins a durable transaction with quick repair. A single transaction without it would make the next start repair
    /// the whole file after an unclean shutdown.
    fn begin(&self) -> Result<WriteTransaction, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    pub(crate) fn failure(&self, error: &redb::Error) -> OpenError {
        failure(&self.path, error)
    }
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

fn failure(path: &std::path::Path, error: &redb::Error) -> OpenError {
    match error {
        // Which is how redb reports a file that is not one of its own.
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => damaged(path, &error.to_string()),
        redb::Error::Io(error) => OpenError::io(path, error),
        redb::Error::UpgradeRequired(version) => OpenError::TooNew {
            found: format!("{FILE} of file format {version}"),
            supported: "an older file format".to_owned(),
        },
        other => damaged(path, &other.to_string()),
    }
}

fn damaged(path: &std::path::Path, what: &str) -> OpenError {
    OpenError::Damaged { file: path.to_owned(), offset: None, table: None, what: what.to_owned() }
}
