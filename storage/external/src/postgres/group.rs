//! A group of transactions. They run one after the other, each on the result of the earlier ones; their changes are
//! written and committed together.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use promox_kernel::value::Value;
use promox_storage::{
    Batch, Claim, Database, Direction, IdBlocks, Item, KeyRange, Reader, Record as _, Space, StoreError, Tx, Wants,
    Work, WorkOrder, decode_row, stamp_events,
};

use super::connection::Query;
use super::shared::Shared;
use super::sql::{self, Change};
use super::state::{Changed, State};

/// The maximum size of one transaction's rows and events, in bytes.
const MAX_BATCH: usize = 8 << 20;

/// What is known of a key in the database before the group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Row,
    Absent,
    /// A transaction needs the key to be free, and the insertion checks it.
    Claimed,
    Unknown,
}

/// The change of a row by the whole group.
struct RowChange {
    base: Base,
    value: Option<Bytes>,
}

/// The transactions of a group that have run, and their changes.
pub(super) struct Group {
    /// The state before the group.
    before: State,
    /// The state after the transactions that have run.
    pub(super) after: State,
    rows: BTreeMap<(Space, Vec<u8>), RowChange>,
    entries: Vec<(Space, Vec<u8>)>,
    /// Keys that must be free and are not known to be.
    pub(super) claims: Vec<Claim>,
    /// The number of ids that were assigned, by table.
    ids: Vec<(Space, i64)>,
    /// The newest time of its transactions, in microseconds.
    pub(super) time: i64,
    pub(super) emitted: bool,
}

/// The result of running a transaction.
pub(super) enum Ran {
    /// It has ended, with or without changes.
    Ended,
    /// It lacked data.
    Wants(Wants),
}

/// A state as transactions read it.
struct StateReader<'s>(&'s State);

impl Reader for StateReader<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(space, key)
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        self.0.scan(range, direction)
    }
}

impl Group {
    pub(super) fn new(before: State) -> Self {
        Self {
            after: before.clone(),
            before,
            rows: BTreeMap::new(),
            entries: Vec::new(),
            claims: Vec::new(),
            ids: Vec::new(),
            time: 0,
            emitted: false,
        }
    }

    /// Whether the group changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the ids that the group has assigned.
    pub(super) fn assigned_ids(&self) -> &[(Space, i64)] {
        &self.ids
    }

    /// Forgets the assigned ids, after they were taken from their blocks.
    pub(super) fn forget_assigned_ids(&mut self) {
        self.ids.clear();
    }

    /// Adds data that was read from the state before the group.
    pub(super) fn add_read(&mut self, read: &State) {
        self.before.merge(read);
        // What the group has changed is newer than what was read.
        let mut after = std::mem::take(&mut self.after);
        let mut read = read.clone();
        for (space, key) in self.rows.keys().chain(&self.entries) {
            read.forget_value(*space, key);
        }
        after.merge(&read);
        self.after = after;
    }

    /// Runs a transaction on the state that the earlier ones left.
    pub(super) fn run(&mut self, shared: &Shared, order: &mut WorkOrder, ids: &IdBlocks) -> Ran {
        match self.attempt(shared, order, ids) {
            Ok(None) => Ran::Ended,
            Ok(Some(wants)) => Ran::Wants(wants),
            Err(error) => {
                order.work.fail(error);
                Ran::Ended
            }
        }
    }

    fn attempt(&mut self, shared: &Shared, order: &mut WorkOrder, ids: &IdBlocks) -> Result<Option<Wants>, StoreError> {
        let (database, stamp, work) = (order.database, order.stamp.clone(), &mut order.work);
        let reader = StateReader(&self.after);
        let attempt = || {
            let mut tx = Tx::new(&reader, database, stamp).with_ids(ids).claiming();
            let commits = work.run(&mut tx);
            match tx.wants() {
                Some(wants) => Ok(Err(wants)),
                None => tx.finish().map(|batch| Ok(commits.then_some(batch))),
            }
        };
        let ran = catch_unwind(AssertUnwindSafe(attempt));
        let ran = ran.map_err(|_| StoreError::Io("a transaction panicked; see the log".to_owned()))?;
        let batch = match ran? {
            Err(wants) => return Ok(Some(wants)),
            Ok(None) => return Ok(None),
            Ok(Some(batch)) => batch,
        };
        if let Some(taken) =
            batch.claims.iter().find(|claim| matches!(self.after.get(claim.space, &claim.key), Ok(Some(_))))
        {
            return Err(StoreError::Duplicate { index: taken.name });
        }
        if let Some(wants) = self.unclear_removals(&batch) {
            return Ok(Some(wants));
        }
        self.apply(shared, database, batch)?;
        self.time = self.time.max(order.stamp.now.0);
        Ok(None)
    }

    /// Returns the keys that a transaction removes after a claim that only an insertion would have checked.
    fn unclear_removals(&self, batch: &Batch) -> Option<Wants> {
        let claimed = |space: Space, key: &[u8]| {
            let earlier = |change: &RowChange| change.base == Base::Claimed;
            self.rows.get(&(space, key.to_vec())).is_some_and(earlier)
                || batch.claims.iter().any(|claim| claim.space == space && claim.key == key)
        };
        let removed = batch.writes.iter().filter(|write| write.value.is_none());
        let unclear = removed.filter(|write| {
            self.before.get(write.space, &write.key) == Err(StoreError::Unfetched) && claimed(write.space, &write.key)
        });
        let keys: Vec<_> = unclear.map(|write| (write.space, write.key.clone())).collect();
        (!keys.is_empty()).then(|| Wants { keys, ..Wants::default() })
    }

    fn apply(&mut self, shared: &Shared, database: Database, batch: Batch) -> Result<(), StoreError> {
        let rows = batch.writes.iter().map(|write| write.key.len() + write.value.as_ref().map_or(0, Bytes::len));
        let events = batch.events.iter().map(|event| event.data.len() + 128);
        if rows.chain(events).sum::<usize>() > MAX_BATCH {
            return Err(StoreError::TooLarge { limit: "8 MiB of rows and events" });
        }
        self.emitted |= !batch.events.is_empty();
        let events = stamp_events(database, &mut self.after.last_event, batch.events);
        let outbox = promox_storage::Event::TABLE.space;
        for write in batch.writes.into_iter().chain(events) {
            if shared.place(write.space)?.index.is_some() {
                self.entries.push((write.space, write.key.clone()));
            } else {
                let claimed = write.space == outbox && write.value.is_some()
                    || batch.claims.iter().any(|claim| claim.space == write.space && claim.key == write.key);
                let before = &self.before;
                let change = self.rows.entry((write.space, write.key.clone()));
                let change = change.or_insert_with(|| RowChange {
                    base: base_of(before, write.space, &write.key, claimed),
                    value: None,
                });
                change.value.clone_from(&write.value);
            }
            self.after.put(write.space, write.key, write.value);
        }
        let unclear = |claim: &Claim| self.before.get(claim.space, &claim.key).is_err();
        self.claims.extend(batch.claims.into_iter().filter(unclear));
        self.ids.extend(batch.ids);
        Ok(())
    }

    /// Returns the statements that write the group's rows: removals first, so that their unique values are free.
    pub(super) fn statements(&self, shared: &Shared) -> Result<Vec<Query>, StoreError> {
        let (mut removals, mut writes) = (Vec::new(), Vec::new());
        let mut tables = BTreeMap::<Space, TableChanges>::new();
        for ((space, key), change) in &self.rows {
            tables.entry(*space).or_default().add(shared, &self.before, *space, key, change)?;
        }
        for (space, changes) in tables {
            let table = shared.place(space)?.table;
            if !changes.removals.is_empty() {
                removals.push(sql::delete_rows(table, &changes.removals));
            }
            for (change, rows) in changes.writes {
                writes.push(sql::write_rows(table, change, &rows));
            }
        }
        removals.extend(writes);
        Ok(removals)
    }

    /// Returns the keys of the rows and index entries that the group changes.
    pub(super) fn changed(&self) -> Changed {
        let keys = self.rows.keys().chain(&self.entries).cloned().collect();
        Changed::Keys(Arc::new(keys))
    }
}

impl Group {
    /// Returns the rows and index entries that the group has written, with their values.
    pub(super) fn into_written(self) -> Vec<(Space, Vec<u8>, Option<Bytes>)> {
        let Self { after, rows, entries, .. } = self;
        let entries = entries.into_iter().filter_map(|(space, key)| {
            let value = after.get(space, &key).ok()?;
            Some((space, key, value))
        });
        let entries: Vec<_> = entries.collect();
        let rows = rows.into_iter().map(|((space, key), change)| (space, key, change.value));
        rows.chain(entries).collect()
    }
}

/// Returns what is known of a key before the group.
fn base_of(before: &State, space: Space, key: &[u8], claimed: bool) -> Base {
    match before.get(space, key) {
        Ok(Some(_)) => Base::Row,
        Ok(None) => Base::Absent,
        Err(_) if claimed => Base::Claimed,
        Err(_) => Base::Unknown,
    }
}

/// The changes of one table's rows.
#[derive(Default)]
struct TableChanges {
    removals: Vec<Vec<Value>>,
    writes: BTreeMap<Change, Vec<Vec<Value>>>,
}

impl TableChanges {
    fn add(
        &mut self,
        shared: &Shared,
        before: &State,
        space: Space,
        key: &[u8],
        change: &RowChange,
    ) -> Result<(), StoreError> {
        let table = shared.place(space)?.table;
        let undecodable = || StoreError::Io(format!("a row of {} does not decode", table.full_name()));
        let removal = || table.key_values(space, key).ok_or_else(undecodable);
        let Some(value) = &change.value else {
            if change.base != Base::Absent {
                self.removals.push(removal()?);
            }
            return Ok(());
        };
        let columns = decode_row(space, key, value)?;
        let row = table.row_values(columns).ok_or_else(undecodable)?;
        let how = match change.base {
            Base::Absent | Base::Claimed => Change::Insert,
            Base::Unknown => Change::Upsert,
            Base::Row => {
                let old = before.get(space, key)?.ok_or_else(undecodable)?;
                let unique = |columns: &[u8]| {
                    let entries = (table.entries)(columns).map(|(_, entries)| entries);
                    let of_unique =
                        |space: &Space| table.indexes.iter().any(|index| index.unique && index.space == *space);
                    entries.map(|mut entries| {
                        entries.retain(|(space, _)| of_unique(space));
                        entries
                    })
                };
                let has_unique = table.indexes.iter().any(|index| index.unique);
                if has_unique && unique(decode_row(space, key, &old)?) != unique(columns) {
                    // Another row of the group may take the value that this one gives up.
                    self.removals.push(removal()?);
                    Change::Insert
                } else {
                    Change::Update
                }
            }
        };
        self.writes.entry(how).or_default().push(row);
        Ok(())
    }
}

/// Answers the transactions of a group.
pub(super) fn answer(orders: Vec<WorkOrder>) {
    orders.into_iter().map(|order| order.work).for_each(Work::answer);
}

/// Fails all transactions of a group with the same error.
pub(super) fn fail(mut orders: Vec<WorkOrder>, error: &StoreError) {
    orders.iter_mut().for_each(|order| order.work.fail(error.clone()));
    answer(orders);
}
