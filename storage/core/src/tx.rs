//! A transaction reads through an overlay of its own changes, which it collects into one batch.
//!
//! It has no access to the network, the clock or randomness. Its time comes from the [`Stamp`].

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use promox_kernel::{Fact, Timestamp};

use crate::record::{decode, key_bytes};
use crate::replay::NewReply;
use crate::row::{HEADER, encode_row_into};
use crate::{
    Batch, Claim, Database, Direction, Event, IdBlocks, Index, IndexDef, Item, KeyRange, NewEvent, Reader, Reads,
    Record, Scan, Space, StoreError, Wants, Write,
};

/// Maximum row and index changes per transaction.
const MAX_WRITES: usize = 16_384;
/// Maximum bytes of changes per transaction.
const MAX_BYTES: usize = 4 << 20;
/// Maximum rows read per transaction, except for long reads.
const MAX_READS: usize = 20_000;

/// An index and the key of a row's entry in it.
pub(crate) type Entry = (&'static IndexDef, Vec<u8>);

/// Returns a row's index entries. There are none if there is no row.
pub(crate) fn entries<R: Record>(row: Option<&R>) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Some(row) = row {
        row.entries(&mut |index, entry| entries.push((index, entry)));
    }
    entries
}

/// The key and the index entries of a row as a transaction has read it, before a change.
pub struct Before<R> {
    key: Vec<u8>,
    entries: Vec<Entry>,
    of: PhantomData<fn() -> R>,
}

impl<R: Record> Before<R> {
    /// Takes them from a row that is stored.
    pub fn of(row: &R) -> Self {
        Self { key: row.key_bytes(), entries: entries(Some(row)), of: PhantomData }
    }
}

impl<R: Record> std::fmt::Debug for Before<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a row of {} before a change", R::TABLE.name)
    }
}

/// The time and trace of a transaction.
#[derive(Clone, Debug, Default)]
pub struct Stamp {
    /// The request's time.
    pub now: Timestamp,
    /// The W3C trace context, which is copied into events.
    pub traceparent: Option<Arc<str>>,
}

/// A transaction over one database. Its reads see its own writes. Others see them once they are durable.
pub struct Tx<'a> {
    reader: &'a dyn Reader,
    database: Database,
    stamp: Stamp,
    overlay: BTreeMap<(Space, Vec<u8>), Option<Bytes>>,
    events: Vec<NewEvent>,
    bytes: usize,
    reads: Cell<usize>,
    max_reads: usize,
    broken: OnceCell<StoreError>,
    wants: RefCell<Wants>,
    read_only: bool,
    /// The reserved ids.
    ids: Option<&'a IdBlocks>,
    /// The number of ids that this transaction has assigned, by table.
    assigned_ids: BTreeMap<Space, i64>,
    /// The read log, if the engine asked for one.
    log: Option<RefCell<Reads>>,
    /// Keys that must be free, if the engine checks them at the commit.
    claims: Option<Vec<Claim>>,
    /// A reused buffer for encoding rows and building lookup keys.
    scratch: Cell<Vec<u8>>,
    /// The reply that the transaction stores with an idempotency key.
    reply: Option<NewReply>,
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a transaction of {} with {} changes", self.database.name(), self.overlay.len())
    }
}

impl<'a> Tx<'a> {
    /// Creates a transaction that reads from `reader`.
    pub fn new(reader: &'a dyn Reader, database: Database, stamp: Stamp) -> Self {
        Self {
            reader,
            database,
            stamp,
            overlay: BTreeMap::new(),
            events: Vec::new(),
            bytes: 0,
            reads: Cell::new(0),
            max_reads: MAX_READS,
            broken: OnceCell::new(),
            wants: RefCell::default(),
            read_only: false,
            ids: None,
            assigned_ids: BTreeMap::new(),
            log: None,
            claims: None,
            scratch: Cell::default(),
            reply: None,
        }
    }

    /// Assigns ids from these blocks.
    #[must_use]
    pub fn with_ids(self, ids: &'a IdBlocks) -> Self {
        Self { ids: Some(ids), ..self }
    }

    /// Logs reads, for an engine that validates them at the commit.
    #[must_use]
    pub fn logging(self) -> Self {
        Self { log: Some(RefCell::default()), ..self }
    }

    /// Defers the checks that keys are free to the commit. The closure continues as if they were, and the engine fails
    /// the transaction with [`StoreError::Duplicate`] if one is not.
    #[must_use]
    pub fn claiming(self) -> Self {
        Self { claims: Some(Vec::new()), ..self }
    }

    /// Creates a read transaction for display, which cannot write.
    pub fn reading(reader: &'a dyn Reader, database: Database) -> Self {
        Self { read_only: true, ..Self::new(reader, database, Stamp::default()) }
    }

    /// Sets the reply that the transaction stores with an idempotency key.
    pub(crate) fn set_reply(&mut self, reply: NewReply) {
        self.reply = Some(reply);
    }

    /// Takes the reply that the transaction stores with an idempotency key, if any.
    pub(crate) fn take_reply(&mut self) -> Option<NewReply> {
        self.reply.take()
    }

    /// Whether this is a read transaction for display.
    pub(crate) fn read_only(&self) -> bool {
        self.read_only
    }

    /// Creates a transaction without a limit on rows, for verify, export and other long reads.
    pub fn unbounded(reader: &'a dyn Reader, database: Database) -> Self {
        Self { max_reads: usize::MAX, ..Self::new(reader, database, Stamp::default()) }
    }

    /// Returns the number of rows of a table if the engine knows it without reading them. It is for displaying progress.
    pub fn count<R: Record>(&self) -> Option<u64> {
        self.reader.count(R::TABLE.space)
    }

    /// Returns the request's time.
    pub fn now(&self) -> Timestamp {
        self.stamp.now
    }

    /// Returns the database of the transaction.
    pub fn database(&self) -> Database {
        self.database
    }

    /// Returns the row with this key, or `None` if it does not exist.
    pub fn get<R: Record>(&self, key: &R::Key) -> Result<Option<R>, StoreError> {
        self.get_by_bytes(&key_bytes(key))
    }

    pub(crate) fn get_by_bytes<R: Record>(&self, key: &[u8]) -> Result<Option<R>, StoreError> {
        self.count_read()?;
        self.raw(R::TABLE.space, key)?.map(|row| self.decode(key, &row)).transpose()
    }

    /// Decodes a row that was found under `key`.
    pub(crate) fn decode<R: Record>(&self, key: &[u8], row: &[u8]) -> Result<R, StoreError> {
        decode(key, row).map_err(|error| self.break_with(error))
    }

    /// Returns the row that a unique index points to. `columns` are the columns of the index, as a value or a tuple.
    pub fn get_by<I: Index>(
        &self,
        columns: impl promox_kernel::encoding::KeyPart,
    ) -> Result<Option<I::Row>, StoreError> {
        match self.raw(I::DEF.space, &key_bytes(&columns))? {
            Some(key) => self.get_by_bytes(&key),
            None => Ok(None),
        }
    }

    /// Scans the rows of a table in key order.
    pub fn scan<R: Record>(&self) -> Scan<'_, 'a, R> {
        Scan::table(self)
    }

    /// Scans the rows of a table in the order of an index.
    pub fn scan_by<I: Index>(&self) -> Scan<'_, 'a, I::Row> {
        Scan::index(self, I::DEF)
    }

    /// Inserts or replaces a row and its index entries.
    pub fn put<R: Record>(&mut self, row: &R) -> Result<(), StoreError> {
        let key = row.key_bytes();
        if !R::TABLE.indexes.is_empty() {
            let old = self.raw(R::TABLE.space, &key)?.map(|old| self.decode::<R>(&key, &old)).transpose()?;
            self.move_entries(&entries(old.as_ref()), entries(Some(row)), &key)?;
        }
        self.put_row(row, key)
    }

    /// Replaces a row by a later state of it. Unlike [`Tx::put`], it does not read and decode the row again to find the
    /// index entries that change. Nothing else may have changed the row in this transaction since `before` was taken.
    pub fn put_changed<R: Record>(&mut self, before: &Before<R>, row: &R) -> Result<(), StoreError> {
        let key = row.key_bytes();
        debug_assert_eq!(before.key, key, "the row before and after a change has the same key");
        self.move_entries(&before.entries, entries(Some(row)), &key)?;
        self.put_row(row, key)
    }

    /// Inserts a row. Its key must be free; otherwise the transaction fails with [`StoreError::Duplicate`].
    pub fn insert<R: Record>(&mut self, row: &R) -> Result<(), StoreError> {
        let key = row.key_bytes();
        self.check_free::<R>(&key)?;
        self.move_entries(&[], entries(Some(row)), &key)?;
        self.put_row(row, key)
    }

    /// Fails the transaction unless the key of a row is free.
    pub(crate) fn check_free<R: Record>(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.claim_key(R::TABLE.space, key, R::TABLE.name)
    }

    /// Fails the transaction unless a key of a table or a unique index is free. If the engine checks that at the
    /// commit, the key is only recorded.
    fn claim_key(&mut self, space: Space, key: &[u8], name: &'static str) -> Result<(), StoreError> {
        let taken = match (self.own(space, key), &mut self.claims) {
            (Some(own), _) => own.is_some(),
            (None, Some(claims)) => {
                claims.push(Claim { space, key: key.to_vec(), name });
                false
            }
            (None, None) => self.below(space, key)?.is_some(),
        };
        if taken { Err(self.break_with(StoreError::Duplicate { index: name })) } else { Ok(()) }
    }

    /// Removes a row and its index entries. Returns whether the row existed.
    pub fn delete<R: Record>(&mut self, key: &R::Key) -> Result<bool, StoreError> {
        let key = key_bytes(key);
        let Some(old) = self.raw(R::TABLE.space, &key)? else { return Ok(false) };
        self.move_entries(&entries(Some(&self.decode::<R>(&key, &old)?)), Vec::new(), &key)?;
        self.change(R::TABLE.space, key, None)?;
        Ok(true)
    }

    /// Assigns an id that no row of the table has had. The first id is 1. The order of ids means nothing, since each
    /// node assigns ids from its own blocks. An id of a dropped transaction may or may not be assigned again.
    pub fn next_id<R: Record>(&mut self) -> Result<i64, StoreError> {
        let space = R::TABLE.space;
        let assigned = self.assigned_ids.entry(space).or_default();
        if let Some(id) = self.ids.and_then(|ids| ids.get(space, *assigned)) {
            *assigned += 1;
            return Ok(id);
        }
        self.wants.get_mut().ids.push((space, *assigned));
        Err(self.break_with(StoreError::Unfetched))
    }

    /// Emits an event in this transaction.
    pub fn emit<F: Fact>(&mut self, aggregate_id: impl Into<i64>, fact: &F) -> Result<(), StoreError> {
        let data = serde_json::to_string(fact).map_err(|error| StoreError::Io(error.to_string()))?;
        self.events.push(NewEvent {
            kind: F::TYPE,
            version: F::VERSION,
            topic: F::TOPIC,
            aggregate_id: aggregate_id.into(),
            data,
            stamp: self.stamp.clone(),
            kept_days: F::KEPT_DAYS,
        });
        Ok(())
    }

    /// Takes what the transaction lacked, if anything. The engine must then fetch it and run the closure again.
    pub fn wants(&self) -> Option<Wants> {
        let wants = self.wants.take();
        (!wants.is_empty()).then_some(wants)
    }

    /// Ends the transaction. Returns its changes, or the first error of one of its operations.
    pub fn finish(self) -> Result<Batch, StoreError> {
        if let Some(error) = self.broken.into_inner() {
            return Err(error);
        }
        let writes = self.overlay.into_iter().map(|((space, key), value)| Write { space, key, value }).collect();
        Ok(Batch {
            writes,
            events: self.events,
            ids: self.assigned_ids.into_iter().collect(),
            claims: self.claims.unwrap_or_default(),
            reads: self.log.map(RefCell::into_inner).unwrap_or_default(),
        })
    }

    /// Returns the events of this database after a position, oldest first, at most `limit`.
    pub fn events_after(&self, position: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.scan::<Event>().prefix(Event::log_of(self.database)).from(position.saturating_add(1)).collect(limit)
    }

    /// Returns the position of the newest event of this database, or 0 if there was none.
    pub fn last_position(&self) -> Result<i64, StoreError> {
        let last = self.scan::<Event>().prefix(Event::log_of(self.database)).backward().first()?;
        Ok(last.map_or(0, |event| event.position))
    }

    /// Returns the stored bytes of a row or an index entry, with the transaction's own changes applied.
    pub(crate) fn raw(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.own(space, key) {
            Some(value) => Ok(value),
            None => self.below(space, key),
        }
    }

    /// Returns the stored bytes without the transaction's own changes.
    fn below(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = match self.reader.get(space, key) {
            Ok(found) => found,
            Err(error) => {
                if error == StoreError::Unfetched {
                    self.wants.borrow_mut().keys.push((space, key.to_vec()));
                }
                return Err(self.break_with(error));
            }
        };
        if let Some(log) = &self.log {
            let version = found.as_ref().and_then(|_| self.reader.version(space, key));
            log.borrow_mut().keys.push((space, key.to_vec(), version));
        }
        Ok(found)
    }

    /// Returns the transaction's own change to a key: `None` if there is none, `Some(None)` for a removal.
    #[allow(clippy::option_option, reason = "no change and a removal differ")]
    fn own(&self, space: Space, key: &[u8]) -> Option<Option<Bytes>> {
        if self.overlay.is_empty() {
            return None;
        }
        let mut scratch = self.scratch.take();
        scratch.clear();
        scratch.extend_from_slice(key);
        let lookup = (space, scratch);
        let found = self.overlay.get(&lookup).cloned();
        self.scratch.set(lookup.1);
        found
    }

    /// Returns the items of a range, with the transaction's own changes merged.
    pub(crate) fn items<'s>(
        &'s self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 's> {
        let (start, end) = range.bytes();
        if end.as_ref().is_some_and(|end| *end <= start) {
            return Box::new(std::iter::empty());
        }
        let mut below = self.reader.scan(range, direction);
        if let Some(log) = &self.log {
            below = crate::reads::logged(below, log, self.reader, range, direction);
        }
        if self.overlay.is_empty() {
            return below;
        }
        let until = match end {
            Some(end) => (range.space, end),
            None => (Space(range.space.0.saturating_add(1)), Vec::new()),
        };
        let own = self.overlay.range((range.space, start)..until).map(|((_, key), value)| (key, value));
        match direction {
            Direction::Forward => crate::scan::merge(below, own, direction),
            Direction::Backward => crate::scan::merge(below, own.rev(), direction),
        }
    }

    /// Breaks the transaction with an error of a scan, and records the range if it has not been fetched.
    pub(crate) fn scan_failed(&self, error: StoreError, range: &KeyRange, direction: Direction) -> StoreError {
        if error == StoreError::Unfetched {
            self.wants.borrow_mut().ranges.push((range.clone(), direction));
        }
        self.break_with(error)
    }

    /// Counts a row that is read, and breaks the transaction at the limit.
    pub(crate) fn count_read(&self) -> Result<(), StoreError> {
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() <= self.max_reads {
            return Ok(());
        }
        Err(self.break_with(StoreError::TooLarge { limit: "20,000 rows read" }))
    }

    fn put_row<R: Record>(&mut self, row: &R, key: Vec<u8>) -> Result<(), StoreError> {
        let scratch = self.scratch.get_mut();
        encode_row_into(scratch, R::TABLE.space, &key, |out| row.put_columns(out));
        if let Err(error) = R::TABLE.check_values(scratch.get(HEADER..).unwrap_or_default()) {
            return Err(self.break_with(error));
        }
        let bytes = Bytes::copy_from_slice(scratch);
        self.change(R::TABLE.space, key, Some(bytes))
    }

    /// Replaces the index entries of the row with this key.
    pub(crate) fn move_entries(&mut self, old: &[Entry], new: Vec<Entry>, key: &[u8]) -> Result<(), StoreError> {
        for (index, entry) in old {
            if !new.iter().any(|(other, same)| other.space == index.space && same == entry) {
                self.change(index.space, entry.clone(), None)?;
            }
        }
        for (index, entry) in new {
            if old.iter().any(|(other, same)| other.space == index.space && *same == entry) {
                continue;
            }
            if index.unique {
                self.claim_key(index.space, &entry, index.name)?;
            }
            self.change(index.space, entry, Some(Bytes::copy_from_slice(key)))?;
        }
        Ok(())
    }

    /// Records a change of a key in the overlay, within the limits of a transaction.
    pub(crate) fn change(&mut self, space: Space, key: Vec<u8>, value: Option<Bytes>) -> Result<(), StoreError> {
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
        if self.overlay.len() >= MAX_WRITES {
            return Err(self.break_with(StoreError::TooLarge { limit: "16,384 row writes" }));
        }
        if self.bytes > MAX_BYTES {
            return Err(self.break_with(StoreError::TooLarge { limit: "4 MiB of changes" }));
        }
        self.overlay.insert((space, key), value);
        Ok(())
    }

    /// Breaks the transaction: it never commits, even if its closure ignores the error. Returns the error.
    pub(crate) fn break_with(&self, error: StoreError) -> StoreError {
        let _ = self.broken.set(error.clone());
        error
    }
}
