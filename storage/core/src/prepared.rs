//! Rows that are encoded before the transaction that writes them.
//!
//! All transactions of a database run on one thread. Encoding rows whose content is known beforehand, especially large
//! JSON, outside of it keeps that thread free.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::row::{HEADER, decode_row, encode_row_into};
use crate::tx::{Entry, entries};
use crate::{Record, StoreError, Tx};

/// An encoded row with its key and index entries.
pub struct Prepared<R> {
    key: Vec<u8>,
    row: Bytes,
    entries: Vec<Entry>,
    /// An error if the row has a value that not every engine can store.
    checked: Result<(), StoreError>,
    of: PhantomData<fn() -> R>,
}

impl<R: Record> std::fmt::Debug for Prepared<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a row of {}, {} bytes", R::TABLE.name, self.row.len())
    }
}

impl<R: Record> Prepared<R> {
    /// Encodes a row.
    pub fn of(row: &R) -> Self {
        let (key, mut bytes) = (row.key_bytes(), Vec::with_capacity(1_024));
        encode_row_into(&mut bytes, R::TABLE.space, &key, |out| row.put_columns(out));
        let checked = R::TABLE.check_values(bytes.get(HEADER..).unwrap_or_default());
        Self { key, row: bytes.into(), entries: entries(Some(row)), checked, of: PhantomData }
    }

    /// Whether the stored row `found`, which has the same key, equals this row. Rows are compared by version if the
    /// table has a `version` column, else by their bytes.
    fn is(&self, found: &Bytes) -> Result<bool, StoreError> {
        let version = |row: &[u8]| Ok(R::TABLE.row_version(decode_row(R::TABLE.space, &self.key, row)?));
        match version(&self.row)? {
            Some(own) => Ok(version(found)? == Some(own)),
            None => Ok(self.row == found),
        }
    }
}

impl Tx<'_> {
    /// Writes a row whose key must be free; otherwise the transaction fails with [`StoreError::Duplicate`].
    pub fn insert_prepared<R: Record>(&mut self, new: &Prepared<R>) -> Result<(), StoreError> {
        self.check_free::<R>(&new.key)?;
        self.move_entries(&[], new.entries.clone(), &new.key)?;
        self.put_prepared(new)
    }

    /// Replaces the stored row with `new` if it still equals `old`, which must have the same key. Returns whether it
    /// did. Rows are compared by version if the table has a `version` column, else by their bytes.
    pub fn swap_prepared<R: Record>(&mut self, old: &Prepared<R>, new: &Prepared<R>) -> Result<bool, StoreError> {
        if old.key != new.key {
            return Ok(false);
        }
        let Some(found) = self.raw(R::TABLE.space, &old.key)? else { return Ok(false) };
        if !old.is(&found).map_err(|error| self.break_with(error))? {
            return Ok(false);
        }
        self.move_entries(&old.entries, new.entries.clone(), &new.key)?;
        self.put_prepared(new)?;
        Ok(true)
    }

    fn put_prepared<R: Record>(&mut self, new: &Prepared<R>) -> Result<(), StoreError> {
        new.checked.clone().map_err(|error| self.break_with(error))?;
        self.change(R::TABLE.space, new.key.clone(), Some(new.row.clone()))
    }
}
