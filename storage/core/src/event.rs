//! Events: written in the transaction of the change that they tell of, read by position.

use promox_kernel::{Fact, Timestamp};

use crate::{Database, Stamp, StoreError, record};

/// An event told in a transaction that has not been committed yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The type.
    pub kind: &'static str,
    /// The version of its data.
    pub version: u32,
    /// The kind of aggregate.
    pub topic: &'static str,
    /// Which one.
    pub aggregate_id: i64,
    /// JSON.
    pub data: String,
    /// When, and in which trace.
    pub stamp: Stamp,
    /// How many days it is kept; null for ever.
    pub kept_days: Option<u32>,
}

/// The partition of every event.
pub(crate) const PARTITION: u32 = 0;

record! {
    /// An event as it stands in the outbox. `position` is dense within a partition, and in the order of commits.
    pub struct Event in Ecommerce.outbox = 4, key(database: u32, partition: u32, position: i64) {
        /// `"ORDER_CONFIRMED"`.
        kind: String,
        /// The version of its data.
        version: u32,
        /// The kind of aggregate.
        topic: String,
        /// Which one.
        aggregate_id: i64,
        /// When it happened.
        occurred_at: Timestamp,
        /// W3C trace context.
        traceparent: Option<String>,
        /// JSON.
        data: String,
        /// When it may be removed; null for never.
        keep_until: Option<Timestamp>,
    }
    index EventByEnd = 5 (keep_until);
}

impl Event {
    /// The log of a database, by which its events' keys begin. Each has one partition so far.
    pub const fn log_of(database: Database) -> (u32, u32) {
        (database.number(), PARTITION)
    }

    /// Whether it is of the type that `F` says.
    pub fn is<F: Fact>(&self) -> bool {
        self.kind == F::TYPE
    }

    /// What it says.
    pub fn fact<F: Fact>(&self) -> Result<F, StoreError> {
        serde_json::from_str(&self.data)
            .map_err(|error| StoreError::Damaged { place: format!("event {} {}: {error}", self.position, self.kind) })
    }
}
