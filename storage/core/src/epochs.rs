//! Read access to an epoch of a database, for services that derive values from another service's rows.

use std::sync::Arc;

use crate::{Db, Latest, StoreError};

/// Read access to one epoch of a database, and to nothing else. See [`Tx::epoch`](crate::Tx::epoch). Clones share the
/// value that was read last.
#[derive(Clone, Debug)]
pub struct EpochReader {
    db: Db,
    name: &'static str,
    latest: Arc<Latest<i64>>,
}

impl EpochReader {
    /// The epoch of the derived values called `name` in this database.
    pub fn new(db: &Db, name: &'static str) -> Self {
        Self { db: db.clone(), name, latest: Arc::default() }
    }

    /// Returns the epoch, or 0 before the first change of the values.
    pub async fn current(&self) -> Result<i64, StoreError> {
        self.latest.get(&self.db, |tx| tx.epoch(self.name)).await
    }
}
