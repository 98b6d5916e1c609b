//! The memory table: rows committed since the last checkpoint, ordered, with O(1) snapshots.

use bytes::Bytes;

use crate::key::{Key, Rows};

/// The overhead of a row beside its value: key, tree node, allocation.
const OVERHEAD: usize = 112;

/// A memory table and its size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Rows,
    pub(crate) bytes: usize,
}

impl Table {
    pub(crate) fn insert(&mut self, key: Key, value: Option<Bytes>) {
        self.bytes += weight(value.as_ref());
        if let Some(old) = self.rows.insert(key, value) {
            self.bytes = self.bytes.saturating_sub(weight(old.as_ref()));
        }
    }
}

fn weight(value: Option<&Bytes>) -> usize {
    OVERHEAD + value.map_or(0, Bytes::len)
}
