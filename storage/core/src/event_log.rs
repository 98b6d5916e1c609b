//! The event log of a database, for services that follow it without owning its tables.

use std::sync::Arc;

use crate::{Db, Event, StoreError};

/// Read access to the events of a database, and to nothing else.
#[derive(Clone, Debug)]
pub struct EventLog(Db);

impl EventLog {
    /// The log of this database.
    pub fn of(db: &Db) -> Self {
        Self(db.clone())
    }

    /// Returns the first events after `position` that are still stored, at most `limit`.
    pub async fn after(&self, position: i64, limit: usize) -> Result<Vec<Arc<Event>>, StoreError> {
        self.0.events_after(position, limit).await
    }

    /// Returns the position of the newest event, or 0 if there was none.
    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general enough in its lifetime"
    )]
    pub async fn last_position(&self) -> Result<i64, StoreError> {
        self.0.read(|tx| tx.last_position()).await
    }
}
