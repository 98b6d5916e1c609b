//! The memory table: the rows committed since the last checkpoint, in key order, with snapshots in O(1).

use bytes::Bytes;

use crate::key::{Key, Rows};

/// The approximate memory of a row in addition to its value (key, tree node and allocation), in bytes.
const OVERHEAD: usize = 112;

/// A memory table, with its approximate size in bytes.
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
