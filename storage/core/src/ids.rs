//! Ids are reserved in blocks. A node reserves a block of a table's ids, and its transactions assign them from memory.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::ops::Range;

use promox_kernel::{Cx, Error};
use tokio::sync::Mutex;

use crate::system::Sequence;
use crate::{Database, Db, Reader, Record, Space, Stamp, StoreError, Tx, Write};

/// The minimum number of ids per block.
const BLOCK: i64 = 64;

/// Reserved ids that are not assigned yet.
#[derive(Debug, Default)]
pub struct IdBlocks(BTreeMap<Space, VecDeque<Range<i64>>>);

impl IdBlocks {
    /// Returns the id that follows after `skip` reserved ones, or `None` if not as many are reserved.
    pub(crate) fn get(&self, space: Space, mut skip: i64) -> Option<i64> {
        for block in self.0.get(&space)? {
            let length = block.end - block.start;
            if skip < length {
                return Some(block.start + skip);
            }
            skip -= length;
        }
        None
    }

    /// Adds a reserved block.
    pub fn add(&mut self, space: Space, block: Range<i64>) {
        self.0.entry(space).or_default().push_back(block);
    }

    /// Removes the ids that a committed transaction has assigned, whose numbers `assigned` has by table.
    pub fn give(&mut self, assigned: &[(Space, i64)]) {
        for (space, count) in assigned {
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

    /// Drops all blocks. Their ids are never assigned.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Reserves a block of a table's ids. Returns the block and the writes that reserve it.
///
/// `assigned` is the number of ids that the transaction in need of more has assigned already. Blocks grow with it, so
/// that a transaction that assigns many ids needs few blocks.
pub fn take_ids(
    reader: &dyn Reader,
    database: Database,
    space: Space,
    assigned: i64,
) -> Result<(Range<i64>, Vec<Write>), StoreError> {
    let mut tx = Tx::new(reader, database, Stamp::default());
    let key = u32::from(space.0);
    let next = tx.get::<Sequence>(&key)?.map_or(1, |sequence| sequence.next);
    let end = next + assigned.max(BLOCK);
    tx.put(&Sequence { space: key, next: end })?;
    Ok((next..end, tx.finish()?.writes))
}

/// A pool of ids of a table, for work that needs an id before the transaction that writes the row. Each id is assigned
/// once. Unused ones are lost when the process ends.
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
    /// Creates a pool of ids of a table of this database.
    pub fn of(db: &Db) -> Self {
        Self { db: db.clone(), ids: Mutex::default(), table: PhantomData }
    }

    /// Returns an id that no row has had. One call in 64 reserves more ids in a transaction, and concurrent calls wait
    /// for it.
    pub async fn next(&self, cx: &Cx) -> Result<i64, Error> {
        let mut ids = self.ids.lock().await;
        if let Some(id) = ids.pop_front() {
            return Ok(id);
        }
        let reserve = |tx: &mut Tx<'_>| (0..BLOCK).map(|_| tx.next_id::<R>()).collect::<Result<VecDeque<_>, _>>();
        *ids = self.db.write(cx, reserve).await?;
        ids.pop_front().ok_or_else(|| Error::internal("the transaction reserved no ids"))
    }
}
