//! Builds new indexes from the rows of their tables, in resumable chunks, before the store serves requests.

use promox_storage::{IndexDef, Schema, Space, TableDef, decode_row};
use redb::{ReadableDatabase, TableError};

use super::catalogue::{CATALOGUE, write_name};
use super::{Bytewise, CheckpointFile, catch_quietly, damaged, definition, sealed, unsealed};
use crate::journal::frame::Mark;
use crate::open::OpenError;

/// Maps the number of an index to the position of the store and the key of the last finished row.
const BUILDING: Bytewise = Bytewise::new("building");
/// The number of rows per chunk.
const CHUNK: usize = 10_000;

/// An index being built.
struct Build<'a> {
    table: &'a TableDef,
    index: &'a IndexDef,
    /// The position of the store. If it has changed since an interrupted build, the build starts over.
    position: u64,
}

/// Why a build has stopped.
enum Halt {
    Failed(redb::Error),
    Duplicates(String),
    Damaged(String),
}

impl<E: Into<redb::Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl CheckpointFile {
    /// Returns the indexes that the file does not have, although it has their tables.
    pub(crate) fn missing_indexes<'s>(
        &self,
        schema: &'s Schema,
    ) -> Result<Vec<(&'s TableDef, &'s IndexDef)>, OpenError> {
        let stored = catch_quietly(|| self.stored_names()).map_err(|panic| damaged(&self.path, &panic))?;
        let stored = stored.map_err(|error| self.failure(&error))?;
        let missing = |(table, index): &(&TableDef, &IndexDef)| {
            stored.contains_key(&table.space) && !stored.contains_key(&index.space)
        };
        let all = schema.tables().iter().flat_map(|table| table.indexes.iter().map(|index| (*table, index)));
        Ok(all.filter(missing).collect())
    }

    /// Builds an index of a table whose rows are all in the file.
    pub(crate) fn build_index(&self, table: &TableDef, index: &IndexDef, mark: Mark) -> Result<(), OpenError> {
        let build = Build { table, index, position: mark.position };
        tracing::info!(index = index.name, table = table.full_name(), "building a new index");
        loop {
            let built = catch_quietly(|| self.build_chunk(&build));
            match built.unwrap_or_else(|panic| Err(Halt::Damaged(panic))) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(halt) => return Err(self.halted(&build, halt)),
            }
        }
    }

    fn halted(&self, build: &Build<'_>, halt: Halt) -> OpenError {
        match halt {
            Halt::Failed(error) => self.failure(&error),
            Halt::Duplicates(rows) => {
                OpenError::Duplicates { index: format!("{} of {}", build.index.name, build.table.full_name()), rows }
            }
            Halt::Damaged(what) => {
                OpenError::Damaged { file: self.path.clone(), offset: None, table: Some(build.table.full_name()), what }
            }
        }
    }

    /// Builds the next chunk. Returns whether there may be more.
    fn build_chunk(&self, build: &Build<'_>) -> Result<bool, Halt> {
        let done = self.progress(build)?;
        let rows = self.rows_after(build.table, done.as_deref())?;
        let transaction = self.begin()?;
        if done.is_none() {
            transaction.delete_table(definition(&self.names.of(build.index.space)))?;
        }
        {
            let mut entries = transaction.open_table(definition(&self.names.of(build.index.space)))?;
            for (key, row) in &rows {
                put_entry(build, &mut entries, key, row)?;
            }
        }
        let more = rows.len() == CHUNK;
        {
            let mut building = transaction.open_table(BUILDING)?;
            let number = &build.index.space.0.to_be_bytes()[..];
            if let Some((last, _)) = rows.last().filter(|_| more) {
                building.insert(number, [&build.position.to_le_bytes(), last.as_slice()].concat().as_slice())?;
            } else {
                building.remove(number)?;
                let name = self.names.of(build.index.space);
                write_name(&mut transaction.open_table(CATALOGUE)?, build.index.space, &name)?;
            }
        }
        transaction.commit()?;
        Ok(more)
    }

    /// Returns the key of the last finished row of an interrupted build, if it can be resumed.
    fn progress(&self, build: &Build<'_>) -> Result<Option<Vec<u8>>, redb::Error> {
        let table = match self.database.begin_read()?.open_table(BUILDING) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let found = table.get(&build.index.space.0.to_be_bytes()[..])?;
        let found = found.and_then(|value| {
            let (position, key) = value.value().split_first_chunk()?;
            (u64::from_le_bytes(*position) == build.position).then(|| key.to_vec())
        });
        Ok(found)
    }

    /// Returns the next chunk of keys and rows after the key `done`.
    #[allow(clippy::type_complexity, reason = "keys and rows, used once")]
    fn rows_after(&self, table: &TableDef, done: Option<&[u8]>) -> Result<Vec<(Vec<u8>, Vec<u8>)>, redb::Error> {
        use std::ops::Bound;
        let opened = match self.database.begin_read()?.open_table(definition(&table.full_name())) {
            Ok(opened) => opened,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let start = done.map_or(Bound::Unbounded, Bound::Excluded);
        let range = opened.range::<&[u8]>((start, Bound::Unbounded))?;
        let rows = range.take(CHUNK).map(|item| item.map(|(key, row)| (key.value().to_vec(), row.value().to_vec())));
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Writes the entry of a row. Fails if the row does not decode, or if another row has the same entry.
fn put_entry(
    build: &Build<'_>,
    entries: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    key: &[u8],
    row: &[u8],
) -> Result<(), Halt> {
    let columns = decode_row(build.table.space, key, row).map_err(|error| Halt::Damaged(error.to_string()))?;
    let broken = || Halt::Damaged(format!("a row does not decode, key {key:02x?}"));
    let (_, found) = (build.table.entries)(columns).ok_or_else(broken)?;
    let space: Space = build.index.space;
    for (_, entry) in found.into_iter().filter(|(of, _)| *of == space) {
        let mut value = Vec::new();
        sealed(space, &entry, key, &mut value);
        let before = entries.insert(entry.as_slice(), value.as_slice())?;
        let before = before.and_then(|before| unsealed(space, &entry, before.value()).map(<[u8]>::to_vec));
        if let Some(other) = before.filter(|other| *other != key) {
            return Err(Halt::Duplicates(format!("the rows with keys {other:02x?} and {key:02x?}")));
        }
    }
    Ok(())
}
