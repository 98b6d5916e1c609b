//! Rows made ready before the transaction that writes them.
//!
//! Every transaction of a database runs on one thread, so what a row needs to become bytes, JSON above all, is better done
//! outside of it wherever the row's content is known before.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::row::encode_row_into;
use crate::tx::{Entry, entries};
use crate::{Record, StoreError, Tx};

/// A row as bytes, with its key and its index entries.
pub struct Prepared<R> {
    key: Vec<u8>,
    row: Bytes,
    entries: Vec<Entry>,
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
        Self { key, row: bytes.into(), entries: entries(Some(row)), of: PhantomData }
    }
}

impl Tx<'_> {
    /// Writes a row whose key must be free.
    pub fn insert_prepared<R: Record>(&mut self, new: &Prepared<R>) -> Result<(), StoreError> {
        self.check_free::<R>(&new.key)?;
        self.move_entries(&[], new.entries.clone(), &new.key)?;
        self.change(R::TABLE.space, new.key.clone(), Some(new.row.clone()))
    }

    /// Writes `new` in the place of `old`, a row with the same key, if that is what stands there; whether it did.
    pub fn swap_prepared<R: Record>(&mut self, old: &Prepared<R>, new: &Prepared<R>) -> Result<bool, StoreError> {
        if old.key != new.key || self.raw(R::TABLE.space, &old.key)?.as_ref() != Some(&old.row) {
            return Ok(false);
        }
        self.move_entries(&old.entries, new.entries.clone(), &new.key)?;
        self.change(R::TABLE.space, new.key.clone(), Some(new.row.clone()))?;
        Ok(true)
    }
}
