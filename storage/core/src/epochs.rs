//! Read access to the epochs of a database, for services that derive values from another service's rows.

use crate::{Db, StoreError};

/// Read access to the epochs of a database, and to nothing else. See [`Tx::epoch`](crate::Tx::epoch).
#[derive(Clone, Debug)]
pub struct Epochs(Db);

impl Epochs {
    /// The epochs of this database.
    pub fn of(db: &Db) -> Self {
        Self(db.clone())
    }

    /// Returns the epoch of the derived values called `name`, or 0 before their first change.
    pub async fn current(&self, name: &str) -> Result<i64, StoreError> {
        self.0.read(|tx| tx.epoch(name)).await
    }
}
