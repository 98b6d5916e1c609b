//! Events: written in the transaction of the change that they report, read by position.

use promox_kernel::{Fact, Timestamp};

use crate::{Database, Stamp, StoreError, record};

/// An event emitted in a transaction that is not committed yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The type.
    pub kind: &'static str,
    /// The version of its data.
    pub version: u32,
    /// The kind of aggregate.
    pub topic: &'static str,
    /// The id of the aggregate.
    pub aggregate_id: i64,
    /// JSON.
    pub data: String,
    /// The time and trace of the transaction.
    pub stamp: Stamp,
    /// How many days it is kept; null means forever.
    pub kept_days: Option<u32>,
}

/// The partition of every event.
pub(crate) const PARTITION: u32 = 0;

record! {
    /// An event in the outbox. `position` is dense within a partition and in commit order.
    pub struct Event in Ecommerce.outbox = 4, key(database: u32, partition: u32, position: i64) {
        /// `"ORDER_CONFIRMED"`.
        kind: String,
        /// The version of its data.
        version: u32,
        /// The kind of aggregate.
        topic: String,
        /// The id of the aggregate.
        aggregate_id: i64,
        /// When it happened.
        occurred_at: Timestamp,
        /// W3C trace context.
        traceparent: Option<String>,
        /// JSON.
        data: String,
        /// When it may be removed; null means never.
        keep_until: Option<Timestamp>,
    }
    index EventByEnd = 5 (keep_until);
}

impl Event {
    /// The log of a database, the prefix of its events' keys. Each has one partition so far.
    pub const fn log_of(database: Database) -> (u32, u32) {
        (database.number(), PARTITION)
    }

    /// Whether it has the type of `F`.
    pub fn is<F: Fact>(&self) -> bool {
        self.kind == F::TYPE
    }

    /// Its data.
    pub fn fact<F: Fact>(&self) -> Result<F, StoreError> {
        serde_json::from_str(&self.data)
            .map_err(|error| StoreError::Damaged { place: format!("event {} {}: {error}", self.position, self.kind) })
    }
}
