//! Ids in blocks: a node reserves a block of a table's ids, and its transactions assign them from memory.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::ops::Range;

use promox_kernel::{Cx, Error};
use tokio::sync::Mutex;

use crate::system::Sequence;
use crate::{Database, Db, Reader, Record, Space, Stamp, StoreError, Tx, Write};

/// Ids per block.
const BLOCK: i64 = 64;

/// Reserved ids that are not assigned yet.
#[derive(Debug, Default)]
pub struct IdBlocks(BTreeMap<Space, VecDeque<Range<i64>>>);

impl IdBlocks {
    /// The id that is assigned after `given` others.
    pub(crate) fn get(&self, space: Space, mut given: i64) -> Option<i64> {
        for block in self.0.get(&space)? {
            let length = block.end - block.start;
            if given < length {
                return Some(block.start + given);
            }
            given -= length;
        }
        None
    }

    /// Adds a block.
    pub fn add(&mut self, space: Space, block: Range<i64>) {
        self.0.entry(space).or_default().push_back(block);
    }

    /// Removes the ids that a committed transaction has assigned.
    pub fn give(&mut self, given: &[(Space, i64)]) {
        for (space, count) in given {
            let Some(blocks) = self.0.get_mut(space) else { continue };
            let mut left = *count;
            while let Some(block) = blocks.front_mut() {
                let taken = left.min(block.end - block.start);
                block.start += taken;
                left -= taken;
                if block.start < block.end {
                    break;
                }
                blocks.pop_front();
            }
        }
    }

    /// Drops all blocks: their ids are never assigned.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Reserves a block of a table's sequence for a transaction that has already assigned `given` ids: the block, and the
/// writes that reserve it. A transaction that needs many gets them in few blocks.
pub fn take_ids(
    reader: &dyn Reader,
    database: Database,
    space: Space,
    given: i64,
) -> Result<(Range<i64>, Vec<Write>), StoreError> {
    let mut tx = Tx::new(reader, database, Stamp::default());
    let key = u32::from(space.0);
    let next = tx.get::<Sequence>(&key)?.map_or(1, |sequence| sequence.next);
    let end = next + given.max(BLOCK);
    tx.put(&Sequence { space: key, next: end })?;
    Ok((next..end, tx.finish()?.writes))
}

/// Ids of a table for work that names a row before the transaction that writes it. Each is assigned once; unused ones
/// are lost when the process ends.
pub struct IdPool<R> {
    db: Db,
    ids: Mutex<VecDeque<i64>>,
    table: PhantomData<fn() -> R>,
}

impl<R: Record> std::fmt::Debug for IdPool<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ids of {}", R::TABLE.name)
    }
}

impl<R: Record> IdPool<R> {
    /// Ids of a table of this database.
    pub fn of(db: &Db) -> Self {
        Self { db: db.clone(), ids: Mutex::default(), table: PhantomData }
    }

    /// An id that no other row has had. One call in 64 reserves ids by a transaction, and concurrent calls wait for it.
    pub async fn next(&self, cx: &Cx) -> Result<i64, Error> {
        let mut ids = self.ids.lock().await;
        if let Some(id) = ids.pop_front() {
            return Ok(id);
        }
        let take = |tx: &mut Tx<'_>| (0..BLOCK).map(|_| tx.next_id::<R>()).collect::<Result<VecDeque<_>, _>>();
        *ids = self.db.write(cx, take).await?;
        ids.pop_front().ok_or_else(|| Error::internal("no ids were taken"))
    }
}
