//! Events. They are written in the transaction of the change that they report, and read by position.

use promox_kernel::{Fact, Timestamp};

use crate::{Database, Stamp, StoreError, record};

/// An event emitted in a transaction that is not committed yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event type, such as `"ORDER_CONFIRMED"`.
    pub kind: &'static str,
    /// The version of its data.
    pub version: u32,
    /// The kind of aggregate.
    pub topic: &'static str,
    /// The id of the aggregate.
    pub aggregate_id: i64,
    /// The data as JSON.
    pub data: String,
    /// The time and trace of the transaction.
    pub stamp: Stamp,
    /// The number of days to keep the event; `None` means forever.
    pub kept_days: Option<u32>,
}

/// The only partition so far, which holds all events.
pub(crate) const PARTITION: u32 = 0;

record! {
    /// An event in the outbox. `position` is dense within a partition and in commit order.
    pub struct Event in Ecommerce.outbox = 4, key(database: u32, partition: u32, position: i64) {
        /// The event type, such as `"ORDER_CONFIRMED"`.
        kind: String,
        /// The version of its data.
        version: u32,
        /// The kind of aggregate.
        topic: String,
        /// The id of the aggregate.
        aggregate_id: i64,
        /// The time of the transaction that emitted it.
        occurred_at: Timestamp,
        /// The W3C trace context of the request.
        traceparent: Option<String>,
        /// The data as JSON.
        data: String,
        /// When the event may be removed; null means never.
        keep_until: Option<Timestamp>,
    }
    index EventByEnd = 5 (keep_until);
}

impl Event {
    /// Returns the key prefix of a database's events.
    pub const fn log_of(database: Database) -> (u32, u32) {
        (database.number(), PARTITION)
    }

    /// Whether this is an event of type `F`.
    pub fn is<F: Fact>(&self) -> bool {
        self.kind == F::TYPE
    }

    /// The event's data as JSON.
    pub fn fact_value(&self) -> Result<serde_json::Value, StoreError> {
        serde_json::from_str(&self.data).map_err(|error| self.damaged(&error))
    }

    /// Decodes the event's data.
    pub fn fact<F: Fact>(&self) -> Result<F, StoreError> {
        serde_json::from_str(&self.data).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, error: &serde_json::Error) -> StoreError {
        StoreError::Damaged { place: format!("event {} {}: {error}", self.position, self.kind) }
    }
}
