//! The memory table: what was committed since the last checkpoint, ordered, with snapshots that cost nothing.

use bytes::Bytes;
use imbl::OrdMap;

use crate::key::Key;

/// Rows by key; `None` hides a row that lies below.
pub(crate) type Rows = OrdMap<Key, Option<Bytes>>;

/// What a row costs beside its value: its key, its place in the tree, the allocation.
const OVERHEAD: usize = 112;

/// A memory table and what it weighs.
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
