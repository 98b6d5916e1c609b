//! The epochs of a database, for services that derive values from what another service owns there.

use crate::{Db, StoreError};

/// Reads how often what is derived from rows of a database has changed, and nothing else. See [`Tx::epoch`](crate::Tx::epoch).
#[derive(Clone, Debug)]
pub struct Epochs(Db);

impl Epochs {
    /// The epochs of this database.
    pub fn of(db: &Db) -> Self {
        Self(db.clone())
    }

    /// The epoch of values by their name; 0 before their owner first began one.
    pub async fn current(&self, name: &str) -> Result<i64, StoreError> {
        self.0.read(|tx| tx.epoch(name)).await
    }
}
