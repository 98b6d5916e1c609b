//! The epochs of a database, for services that derive values from another service's rows in it.

use crate::{Db, StoreError};

/// Reads epochs of a database, and nothing else. See [`Tx::epoch`](crate::Tx::epoch).
#[derive(Clone, Debug)]
pub struct Epochs(Db);

impl Epochs {
    /// The epochs of this database.
    pub fn of(db: &Db) -> Self {
        Self(db.clone())
    }

    /// The epoch of values by name; 0 before their owner first changed them.
    pub async fn current(&self, name: &str) -> Result<i64, StoreError> {
        self.0.read(|tx| tx.epoch(name)).await
    }
}
