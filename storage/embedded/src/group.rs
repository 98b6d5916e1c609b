//! Transaction groups. The transactions of a group run one after the other, each on the result of the earlier ones, and
//! readers do not see them before the whole group is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use promox_storage::{
    Batch, Database, IdBlocks, Space, StoreError, Tx, Work, WorkOrder, Write, stamp_events, take_ids,
};

use crate::journal::JournalPosition;
use crate::journal::frame::FrameBuffer;
use crate::key::Key;
use crate::quiet;
use crate::table::Table;
use crate::view::{Layers, View};

/// The maximum size of one transaction's rows and events, in bytes.
const MAX_BATCH: usize = 8 << 20;

/// The state that the writer works on: the published state with the current group applied.
#[derive(Debug)]
pub(crate) struct Working {
    pub(crate) table: Table,
    pub(crate) reached: JournalPosition,
    pub(crate) frame: FrameBuffer,
    /// The keys of the current transaction, and the end of each value in the frame. Kept to reuse its memory.
    pub(crate) placed: Vec<(Key, usize)>,
    /// Ids reserved by this and earlier groups.
    pub(crate) ids: IdBlocks,
}

/// The result of running a closure.
enum Run {
    /// The reserved ids of these tables have run out, each after the given number was assigned.
    Wants(Vec<(Space, i64)>),
    /// The closure has ended with these changes, or `None` if it refused.
    Ended(Option<Batch>),
}

/// The transactions of a group, which wait for the group to become durable.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) answers: Vec<Box<dyn Work>>,
    /// Whether any of them has emitted events.
    pub(crate) emitted: bool,
}

impl Group {
    /// Fails all of them with the same error.
    pub(crate) fn fail(&mut self, error: &StoreError) {
        self.answers.iter_mut().for_each(|work| work.fail(error.clone()));
        self.answer();
    }

    /// Sends the results of all of them.
    pub(crate) fn answer(&mut self) {
        self.answers.drain(..).for_each(Work::answer);
    }
}

impl Working {
    /// Drops the current group and returns to the published state.
    pub(crate) fn reset(&mut self, view: &View) {
        self.table = view.memory.clone();
        self.reached = view.reached;
        self.frame.clear();
        // The group may have reserved blocks of ids.
        self.ids.clear();
    }

    /// Runs a transaction, and the remaining links if it is the first of a chain, and adds them to the group. Links
    /// after one that is refused or fails are skipped.
    pub(crate) fn run_all(&mut self, first: WorkOrder, rest: Vec<WorkOrder>, view: &View, group: &mut Group) {
        let mut continues = self.run(first, view, group);
        for mut order in rest {
            if continues {
                continues = self.run(order, view, group);
            } else {
                order.work.skip();
                group.answers.push(order.work);
            }
        }
    }

    /// Runs one transaction and adds it to the group. Returns whether it commits with the group.
    fn run(&mut self, mut order: WorkOrder, view: &View, group: &mut Group) -> bool {
        let committed = match self.attempt(&mut order, view) {
            Ok(Some(emitted)) => {
                group.emitted |= emitted;
                true
            }
            Ok(None) => false,
            Err(error) => {
                order.work.fail(error);
                false
            }
        };
        group.answers.push(order.work);
        committed
    }

    /// Runs one transaction. Returns whether it emitted events, or `None` if it refused.
    fn attempt(&mut self, order: &mut WorkOrder, view: &View) -> Result<Option<bool>, StoreError> {
        let now = order.stamp.now;
        let batch = loop {
            match self.run_closure(order, view)? {
                Run::Wants(ids) => self.take_ids(order.database, view, &ids)?,
                Run::Ended(batch) => break batch,
            }
        };
        let Some(batch) = batch else { return Ok(None) };
        let emitted = self.apply(order.database, batch)?;
        let time = &mut self.reached.mark.time;
        *time = now.max(*time);
        Ok(Some(emitted))
    }

    fn run_closure(&mut self, order: &mut WorkOrder, view: &View) -> Result<Run, StoreError> {
        let layers = Layers { memory: &self.table, ..view.layers() };
        let (database, stamp, work, ids) = (order.database, order.stamp.clone(), &mut order.work, &self.ids);
        let attempt = || {
            let mut tx = Tx::new(&layers, database, stamp).with_ids(ids);
            let commits = work.run(&mut tx);
            match tx.wants() {
                Some(wants) => Ok(Run::Wants(wants.ids)),
                None => tx.finish().map(|batch| Run::Ended(commits.then_some(batch))),
            }
        };
        let result = quiet::on_this_thread(|| catch_unwind(AssertUnwindSafe(attempt)));
        result.map_err(|panic| StoreError::Io(format!("a transaction panicked: {}", quiet::message(&*panic))))?
    }

    /// Reserves blocks of ids for tables whose ids have run out. They are written with the group, even if the
    /// transaction is refused.
    fn take_ids(&mut self, database: Database, view: &View, wants: &[(Space, i64)]) -> Result<(), StoreError> {
        for (space, assigned) in wants {
            let layers = Layers { memory: &self.table, ..view.layers() };
            let (block, writes) = take_ids(&layers, database, *space, *assigned)?;
            self.put(writes.iter());
            self.ids.add(*space, block);
        }
        Ok(())
    }

    /// Adds the changes and events of a transaction. Returns whether it emitted events.
    fn apply(&mut self, database: Database, batch: Batch) -> Result<bool, StoreError> {
        let emitted = !batch.events.is_empty();
        let rows = batch.writes.iter().map(|write| write.key.len() + write.value.as_ref().map_or(0, Bytes::len));
        let events = batch.events.iter().map(|event| event.data.len() + 128);
        if rows.chain(events).sum::<usize>() > MAX_BATCH {
            return Err(StoreError::TooLarge { limit: "8 MiB of rows and events" });
        }
        let stamped = match self.reached.mark.outbox.get_mut(database as usize) {
            Some(last) => stamp_events(database, last, batch.events),
            None => Vec::new(),
        };
        self.put(batch.writes.iter().chain(&stamped));
        self.ids.give(&batch.ids);
        Ok(emitted)
    }

    /// Adds the changes of a transaction to the frame and the table. The values in the table are slices of one copy of
    /// these bytes of the frame, so that they need a single allocation.
    fn put<'w>(&mut self, writes: impl Iterator<Item = &'w Write> + Clone) {
        let start = self.frame.len();
        for write in writes.clone() {
            let key = Key::new(write.space, &write.key);
            self.frame.put(&key, write.value.as_deref());
            self.placed.push((key, self.frame.len() - start));
        }
        let slab = self.table.add_slab(Bytes::copy_from_slice(self.frame.since(start)));
        for (write, (key, end)) in writes.zip(self.placed.drain(..)) {
            let value = write.value.as_ref().map(|value| (end - value.len(), value.len()));
            self.table.insert(key, slab, value);
        }
    }
}
