//! A transaction: reads through an overlay of its own changes, and collects one batch.
//!
//! It has no network, clock or randomness: the time comes with the [`Stamp`].

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use promox_kernel::{Fact, Timestamp};

use crate::record::{decode, key_bytes};
use crate::replay::NewAnswer;
use crate::row::{HEADER, encode_row_into};
use crate::{
    Batch, Claim, Database, Direction, Event, IdBlocks, Index, IndexDef, Item, KeyRange, NewEvent, Reader, Reads,
    Record, Scan, Space, StoreError, Wants, Write,
};

/// Row and index changes per transaction.
const MAX_WRITES: usize = 16_384;
/// Bytes of changes per transaction.
const MAX_BYTES: usize = 4 << 20;
/// Rows that one short read may visit.
const MAX_READS: usize = 20_000;

/// An index and the key of a row's entry in it.
pub(crate) type Entry = (&'static IndexDef, Vec<u8>);

/// A row's index entries; none for no row.
pub(crate) fn entries<R: Record>(row: Option<&R>) -> Vec<Entry> {
    let mut found = Vec::new();
    if let Some(row) = row {
        row.entries(&mut |index, entry| found.push((index, entry)));
    }
    found
}

/// The time and trace of a transaction.
#[derive(Clone, Debug, Default)]
pub struct Stamp {
    /// The request's time.
    pub now: Timestamp,
    /// W3C trace context, copied into events.
    pub traceparent: Option<Arc<str>>,
}

/// A transaction over one database. Reads see its own writes; others see nothing before it is durable.
pub struct Tx<'a> {
    reader: &'a dyn Reader,
    database: Database,
    stamp: Stamp,
    overlay: BTreeMap<(Space, Vec<u8>), Option<Bytes>>,
    events: Vec<NewEvent>,
    bytes: usize,
    reads: Cell<usize>,
    most_reads: usize,
    broken: OnceCell<StoreError>,
    wants: RefCell<Wants>,
    read_only: bool,
    /// The source of ids, and how many it has assigned.
    ids: Option<&'a IdBlocks>,
    given: BTreeMap<Space, i64>,
    /// The read log, if the engine asked for one.
    log: Option<RefCell<Reads>>,
    /// Keys that must be free, if the engine checks them with the write.
    claims: Option<Vec<Claim>>,
    /// Scratch space for encoding rows and building lookup keys.
    scratch: Cell<Vec<u8>>,
    /// The reply to store with an idempotency key.
    answer: Option<NewAnswer>,
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a transaction of {} with {} changes", self.database.name(), self.overlay.len())
    }
}

impl<'a> Tx<'a> {
    /// A transaction that reads from `reader`.
    pub fn new(reader: &'a dyn Reader, database: Database, stamp: Stamp) -> Self {
        Self {
            reader,
            database,
            stamp,
            overlay: BTreeMap::new(),
            events: Vec::new(),
            bytes: 0,
            reads: Cell::new(0),
            most_reads: MAX_READS,
            broken: OnceCell::new(),
            wants: RefCell::default(),
            read_only: false,
            ids: None,
            given: BTreeMap::new(),
            log: None,
            claims: None,
            scratch: Cell::default(),
            answer: None,
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

    /// Leaves it to the write to check that keys are free: the closure continues as if they were, and the engine
    /// returns [`StoreError::Duplicate`] instead.
    #[must_use]
    pub fn claiming(self) -> Self {
        Self { claims: Some(Vec::new()), ..self }
    }

    /// Makes this a read transaction for display: it decides nothing and cannot write.
    pub fn reading(reader: &'a dyn Reader, database: Database) -> Self {
        Self { read_only: true, ..Self::new(reader, database, Stamp::default()) }
    }

    /// Sets the reply to store with an idempotency key.
    pub(crate) fn set_answer(&mut self, answer: NewAnswer) {
        self.answer = Some(answer);
    }

    /// The reply to store with an idempotency key, if any.
    pub(crate) fn take_answer(&mut self) -> Option<NewAnswer> {
        self.answer.take()
    }

    /// Whether this is a read transaction for display.
    pub(crate) fn read_only(&self) -> bool {
        self.read_only
    }

    /// Lifts the limit on rows: for verify, export and other long reads.
    pub fn unbounded(reader: &'a dyn Reader, database: Database) -> Self {
        Self { most_reads: usize::MAX, ..Self::new(reader, database, Stamp::default()) }
    }

    /// The request's time.
    pub fn now(&self) -> Timestamp {
        self.stamp.now
    }

    /// The database.
    pub fn database(&self) -> Database {
        self.database
    }

    /// The row with this key.
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

    /// The row that a unique index points to; `columns` are the index's, as a tuple.
    pub fn get_by<I: Index>(
        &self,
        columns: impl promox_kernel::encoding::KeyPart,
    ) -> Result<Option<I::Row>, StoreError> {
        match self.raw(I::DEF.space, &key_bytes(&columns))? {
            Some(key) => self.get_by_bytes(&key),
            None => Ok(None),
        }
    }

    /// The rows of a table in key order.
    pub fn scan<R: Record>(&self) -> Scan<'_, 'a, R> {
        Scan::table(self)
    }

    /// The rows of a table in index order.
    pub fn scan_by<I: Index>(&self) -> Scan<'_, 'a, I::Row> {
        Scan::index(self, I::DEF)
    }

    /// Writes a row, new or not, and its index entries.
    pub fn put<R: Record>(&mut self, row: &R) -> Result<(), StoreError> {
        let key = row.key_bytes();
        if !R::TABLE.indexes.is_empty() {
            let old = self.raw(R::TABLE.space, &key)?.map(|old| self.decode::<R>(&key, &old)).transpose()?;
            self.move_entries(&entries(old.as_ref()), entries(Some(row)), &key)?;
        }
        self.put_row(row, key)
    }

    /// Writes a row whose key must be free.
    pub fn insert<R: Record>(&mut self, row: &R) -> Result<(), StoreError> {
        let key = row.key_bytes();
        self.check_free::<R>(&key)?;
        self.move_entries(&[], entries(Some(row)), &key)?;
        self.put_row(row, key)
    }

    /// Fails the transaction unless a key is free.
    pub(crate) fn check_free<R: Record>(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.claim_key(R::TABLE.space, key, R::TABLE.name)
    }

    /// Fails the transaction unless a key of a table or a unique index is free, or lets the write check it.
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

    /// Removes a row and its index entries; whether it existed.
    pub fn delete<R: Record>(&mut self, key: &R::Key) -> Result<bool, StoreError> {
        let key = key_bytes(key);
        let Some(old) = self.raw(R::TABLE.space, &key)? else { return Ok(false) };
        self.move_entries(&entries(Some(&self.decode::<R>(&key, &old)?)), Vec::new(), &key)?;
        self.change(R::TABLE.space, key, None)?;
        Ok(true)
    }

    /// An id of a table that no other row has had. The first is 1; their order means nothing, since each node assigns
    /// ids of its own blocks. An id of a dropped transaction may be assigned again, or never.
    pub fn next_id<R: Record>(&mut self) -> Result<i64, StoreError> {
        let space = R::TABLE.space;
        let given = self.given.entry(space).or_default();
        if let Some(id) = self.ids.and_then(|ids| ids.get(space, *given)) {
            *given += 1;
            return Ok(id);
        }
        self.wants.get_mut().ids.push((space, *given));
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

    /// What has not been fetched. If there is any, the closure must run again with it.
    pub fn wants(&self) -> Option<Wants> {
        let wants = self.wants.take();
        (!wants.is_empty()).then_some(wants)
    }

    /// Ends the transaction: its changes, or the error.
    pub fn finish(self) -> Result<Batch, StoreError> {
        if let Some(error) = self.broken.into_inner() {
            return Err(error);
        }
        let writes = self.overlay.into_iter().map(|((space, key), value)| Write { space, key, value }).collect();
        Ok(Batch {
            writes,
            events: self.events,
            ids: self.given.into_iter().collect(),
            claims: self.claims.unwrap_or_default(),
            reads: self.log.map(RefCell::into_inner).unwrap_or_default(),
        })
    }

    /// Events of this transaction's database after a position, oldest first.
    pub fn events_after(&self, position: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.scan::<Event>().prefix(Event::log_of(self.database)).from(position.saturating_add(1)).collect(limit)
    }

    /// The position of the newest event of this transaction's database; 0 before the first.
    pub fn last_position(&self) -> Result<i64, StoreError> {
        let last = self.scan::<Event>().prefix(Event::log_of(self.database)).backward().first()?;
        Ok(last.map_or(0, |event| event.position))
    }

    /// A row's or entry's bytes, own changes first.
    pub(crate) fn raw(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.own(space, key) {
            Some(value) => Ok(value),
            None => self.below(space, key),
        }
    }

    /// The bytes below its own changes.
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

    /// The transaction's own change to a key.
    #[allow(clippy::option_option, reason = "no own change is one thing, an own removal another")]
    fn own(&self, space: Space, key: &[u8]) -> Option<Option<Bytes>> {
        if self.overlay.is_empty() {
            return None;
        }
        let mut scratch = self.scratch.take();
        scratch.clear();
        scratch.extend_from_slice(key);
        let whole = (space, scratch);
        let found = self.overlay.get(&whole).cloned();
        self.scratch.set(whole.1);
        found
    }

    /// Items of a range, with own changes merged.
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

    /// Breaks the transaction with an error of a scan.
    pub(crate) fn scan_failed(&self, error: StoreError, range: &KeyRange, direction: Direction) -> StoreError {
        if error == StoreError::Unfetched {
            self.wants.borrow_mut().ranges.push((range.clone(), direction));
        }
        self.break_with(error)
    }

    pub(crate) fn count_read(&self) -> Result<(), StoreError> {
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() <= self.most_reads {
            return Ok(());
        }
        Err(self.break_with(StoreError::TooLarge { limit: "rows read" }))
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

    /// Updates a row's index entries.
    pub(crate) fn move_entries(&mut self, gone: &[Entry], come: Vec<Entry>, key: &[u8]) -> Result<(), StoreError> {
        for (index, entry) in gone {
            if !come.iter().any(|(kept, same)| kept.space == index.space && same == entry) {
                self.change(index.space, entry.clone(), None)?;
            }
        }
        for (index, entry) in come {
            if gone.iter().any(|(kept, same)| kept.space == index.space && *same == entry) {
                continue;
            }
            if index.unique {
                self.claim_key(index.space, &entry, index.name)?;
            }
            self.change(index.space, entry, Some(Bytes::copy_from_slice(key)))?;
        }
        Ok(())
    }

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

    /// A broken transaction never commits, whatever its closure does with the error.
    pub(crate) fn break_with(&self, error: StoreError) -> StoreError {
        let _ = self.broken.set(error.clone());
        error
    }
}
