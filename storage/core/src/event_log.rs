//! The event log of a database, for services that follow it without owning its tables.

use crate::{Db, Event, StoreError};

/// The events of a database. It gives access to nothing else.
#[derive(Clone, Debug)]
pub struct EventLog(Db);

impl EventLog {
    /// The log of this database.
    pub fn of(db: &Db) -> Self {
        Self(db.clone())
    }

    /// The first events after `position` that are still stored, at most `most`.
    pub async fn after(&self, position: i64, most: usize) -> Result<Vec<Event>, StoreError> {
        self.0.read(|tx| tx.events_after(position, most)).await
    }

    /// The position of the newest event; 0 before the first.
    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general enough in its lifetime"
    )]
    pub async fn last_position(&self) -> Result<i64, StoreError> {
        self.0.read(|tx| tx.last_position()).await
    }
}
