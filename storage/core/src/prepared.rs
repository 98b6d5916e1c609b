//! Rows made ready before the transaction that writes them.
//!
//! Every transaction of a database runs on one thread, so what a row needs to become bytes, JSON above all, is better done
//! outside of it wherever the row's content is known before.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::row::{HEADER, decode_row, encode_row_into};
use crate::tx::{Entry, entries};
use crate::{Record, StoreError, Tx};

/// A row as bytes, with its key and its index entries.
pub struct Prepared<R> {
    key: Vec<u8>,
    row: Bytes,
    entries: Vec<Entry>,
    /// Whether every engine takes its values.
    checked: Result<(), StoreError>,
    of: PhantomData<fn() -> R>,
}

impl<R: Record> std::fmt::Debug for Prepared<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a row of {}, {} bytes", R::TABLE.name, self.row.len())
    }
}

impl<R: Record> Prepared<R> {
    /// Makes a row ready.
    pub fn of(row: &R) -> Self {
        let (key, mut bytes) = (row.key_bytes(), Vec::new());
        encode_row_into(&mut bytes, R::TABLE.space, &key, |out| row.put_columns(out));
        let checked = R::TABLE.check_values(bytes.get(HEADER..).unwrap_or_default());
        Self { key, row: bytes.into(), entries: entries(Some(row)), checked, of: PhantomData }
    }

    /// Whether `found`, a row with the same key, is this row: by its version, where rows of the table have one.
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

    /// Writes `new` in the place of `old`, a row with the same key, if that row stands there unchanged; whether it did. Rows of a
    /// table with a column `version` are unchanged when that is the same, other rows when all their bytes are.
    pub fn swap_prepared<R: Record>(&mut self, old: &Prepared<R>, new: &Prepared<R>) -> Result<bool, StoreError> {
        if old.key != new.key {
            return Ok(false);
        }
        let Some(found) = self.raw(R::TABLE.space, &old.key)? else { return Ok(false) };
        if !old.is(&found).map_err(|error| self.break_off(error))? {
            return Ok(false);
        }
        self.move_entries(&old.entries, new.entries.clone(), &new.key)?;
        self.put_prepared(new)?;
        Ok(true)
    }

    fn put_prepared<R: Record>(&mut self, new: &Prepared<R>) -> Result<(), StoreError> {
        new.checked.clone().map_err(|error| self.break_off(error))?;
        self.change(R::TABLE.space, new.key.clone(), Some(new.row.clone()))
    }
}
