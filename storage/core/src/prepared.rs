//! Rows encoded before the transaction that writes them.
//!
//! Every transaction of a database runs on one thread, so rows whose content is known beforehand, JSON above all, are
//! better encoded outside of it.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::row::{HEADER, decode_row, encode_row_into};
use crate::tx::{Entry, entries};
use crate::{Record, StoreError, Tx};

/// An encoded row, with its key and its index entries.
pub struct Prepared<R> {
    key: Vec<u8>,
    row: Bytes,
    entries: Vec<Entry>,
    /// Whether every engine can store its values.
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
        let (key, mut bytes) = (row.key_bytes(), Vec::new());
        encode_row_into(&mut bytes, R::TABLE.space, &key, |out| row.put_columns(out));
        let checked = R::TABLE.check_values(bytes.get(HEADER..).unwrap_or_default());
        Self { key, row: bytes.into(), entries: entries(Some(row)), checked, of: PhantomData }
    }

    /// Whether `found`, a row with the same key, is this row: compared by version where the table has one.
    fn is(&self, found: &Bytes) -> Result<bool, StoreError> {
        let version = |row: &[u8]| Ok(R::TABLE.row_version(decode_row(R::TABLE.space, &self.key, row)?));
        match version(&self.row)? {
            Some(own) => Ok(version(found)? == Some(own)),
            None => Ok(self.row == found),
        }
    }
}

impl Tx<'_> {
    /// Writes a row whose key must be free.
    pub fn insert_prepared<R: Record>(&mut self, new: &Prepared<R>) -> Result<(), StoreError> {
        self.check_free::<R>(&new.key)?;
        self.move_entries(&[], new.entries.clone(), &new.key)?;
        self.put_prepared(new)
    }

    /// Replaces `old` with `new`, a row with the same key, if the stored row is unchanged; whether it did. Rows of a
    /// table with a column `version` are compared by version, other rows by all their bytes.
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
