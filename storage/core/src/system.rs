//! System tables: sequences, outbox, consumer positions, idempotency keys, dead letters, epochs, and tombstones of
//! holds that were released before they began.
//!
//! The table numbers 1 to 31 are reserved for them. Each database has its own system tables. Where an engine stores
//! both databases together, the database number at the front of the keys separates them.

use std::time::Duration;

use bytes::Bytes;
use promox_kernel::Timestamp;

use crate::event::PARTITION;
use crate::record::key_bytes;
use crate::{Database, Event, NewEvent, Record, StoreError, TableDef, Tx, Write, encode_row, record};

record! {
    /// The next id of a table.
    pub(crate) struct Sequence in Ecommerce.sequences = 2, key(space: u32) {
        next: i64,
    }
}

record! {
    /// A consumer's position, which moves in the same transaction as the consumer's effect.
    pub(crate) struct ConsumerPosition in Ecommerce.consumer_places = 6,
        key(database: u32, consumer: String, partition: u32) {
        position: i64,
        /// The database of the outbox. Null means the consumer's own database, as older versions wrote it.
        source: Option<u32>,
    }
}

record! {
    /// An event that a consumer could not apply, with the reason.
    pub(crate) struct DeadLetter in Ecommerce.dead_letters = 8, key(database: u32, consumer: String, position: i64) {
        reason: String,
        at: Timestamp,
    }
}

record! {
    /// The number of events that were removed after their expiry.
    pub(crate) struct RemovedEvents in Ecommerce.removed_events = 9, key(database: u32) {
        count: i64,
    }
}

record! {
    /// An idempotency key, with its reply once that is decided.
    pub(crate) struct StoredReply in Ecommerce.idempotency_keys = 10, key(database: u32, caller: String, key: String) {
        hour: i64,
        fingerprint: Vec<u8>,
        subject: Option<i64>,
        status: Option<u32>,
        headers: promox_kernel::Json<Vec<(String, String)>>,
        media_type: Option<String>,
        body: Vec<u8>,
    }
    index KeptByHour = 11 (database, hour);
}

record! {
    /// A counter that is incremented whenever the rows that some values are derived from change.
    pub(crate) struct Epoch in Ecommerce.epochs = 12, key(database: u32, name: String) {
        value: i64,
    }
}

record! {
    /// Marks a hold that was released before it began, so that beginning it later is refused.
    pub(crate) struct Tombstone in Ecommerce.released_holds = 13, key(database: u32, kind: String, reference: String) {
        at: Timestamp,
    }
}

/// The system table with the next id of each other table, whose key is that table's number.
pub const SEQUENCES: &TableDef = Sequence::TABLE;

/// The system tables, which each database has.
pub const SYSTEM_TABLES: &[&TableDef] = &[
    Sequence::TABLE,
    Event::TABLE,
    ConsumerPosition::TABLE,
    DeadLetter::TABLE,
    RemovedEvents::TABLE,
    StoredReply::TABLE,
    Epoch::TABLE,
    Tombstone::TABLE,
];

impl Tx<'_> {
    /// Returns the epoch of the derived values called `name`, or 0 before their first change.
    ///
    /// A service that keeps such values in memory keeps their epoch with them. Each transaction that relies on the
    /// values compares that epoch with this one.
    pub fn epoch(&self, name: &str) -> Result<i64, StoreError> {
        let epoch = self.get::<Epoch>(&(self.database().number(), name.to_owned()))?;
        Ok(epoch.map_or(0, |epoch| epoch.value))
    }

    /// Increments the epoch of the derived values called `name`, and returns the new one. The owner of the rows calls
    /// this in the transaction that changes them.
    pub fn bump_epoch(&mut self, name: &str) -> Result<i64, StoreError> {
        let value = self.epoch(name)? + 1;
        self.put(&Epoch { database: self.database().number(), name: name.to_owned(), value })?;
        Ok(value)
    }
}

/// Assigns the positions after `last` to events, advances `last`, and returns the writes of the outbox rows and their
/// index entries.
pub fn stamp_events(database: Database, last: &mut i64, events: Vec<NewEvent>) -> Vec<Write> {
    let stamped = events.into_iter().map(|event| {
        *last += 1;
        Event {
            database: database.number(),
            partition: PARTITION,
            position: *last,
            kind: event.kind.to_owned(),
            version: event.version,
            topic: event.topic.to_owned(),
            aggregate_id: event.aggregate_id,
            occurred_at: event.stamp.now,
            traceparent: event.stamp.traceparent.map(|trace| trace.as_ref().to_owned()),
            data: event.data,
            keep_until: event.kept_days.map(|days| event.stamp.now + Duration::from_secs(86_400 * u64::from(days))),
        }
    });
    stamped.flat_map(|event| row_writes(&event)).collect()
}

/// Returns the writes of a new row and its index entries.
fn row_writes<R: Record>(row: &R) -> Vec<Write> {
    let key = key_bytes(&row.key());
    let mut writes = Vec::with_capacity(2);
    row.entries(&mut |index, entry| {
        let value = Some(Bytes::copy_from_slice(&key));
        writes.push(Write { space: index.space, key: entry, value });
    });
    let value = encode_row(R::TABLE.space, &key, |out| row.put_columns(out));
    writes.push(Write { space: R::TABLE.space, key, value: Some(Bytes::from(value)) });
    writes
}
