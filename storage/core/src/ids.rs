//! Ids in blocks: a node reserves a block of a table's ids, and its transactions assign them from memory.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::system::Sequence;
use crate::{Database, Reader, Space, Stamp, StoreError, Tx, Write};

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
