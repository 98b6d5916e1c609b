//! Events: written in the transaction of the change that they tell of, read by position.

use promox_kernel::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Stamp, StoreError, record};

/// What an event says. Data of at most 1 KB; ids, never names, emails or addresses.
pub trait Fact: Serialize + DeserializeOwned + Send + 'static {
    /// `"ORDER_CONFIRMED"`.
    const TYPE: &'static str;
    /// The kind of aggregate, `"order"`.
    const TOPIC: &'static str;
    /// The version of its data.
    const VERSION: u32 = 1;
}

/// Declares what type and topic a fact has: `fact! { OrderConfirmed = "ORDER_CONFIRMED" in "order" }`.
#[macro_export]
macro_rules! fact {
    ($($type:ty = $name:literal in $topic:literal),+ $(,)?) => {$(
        impl $crate::Fact for $type {
            const TYPE: &'static str = $name;
            const TOPIC: &'static str = $topic;
        }
    )+};
}

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
}

record! {
    /// An event as it stands in the outbox. `position` is dense and in commit order.
    pub struct Event in Ecommerce.outbox = 4, key(database: u32, position: i64) {
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
    }
}

impl Event {
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
