//! Ids in blocks: a node takes a block of a table's ids at once, and its transactions give them out from memory.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::system::Sequence;
use crate::{Database, Reader, Space, Stamp, StoreError, Tx, Write};

/// Ids that a node takes at once.
const BLOCK: i64 = 64;

/// Ids that were taken and not yet given out.
#[derive(Debug, Default)]
pub struct IdBlocks(BTreeMap<Space, VecDeque<Range<i64>>>);

impl IdBlocks {
    /// The id that is given out after `given` others.
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

    /// Takes out what a transaction that committed has given out.
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

    /// Forgets all blocks: nobody gets their ids any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Takes a block of ids out of a table's sequence, for a transaction that has already given out `given`: the block, and the
/// writes with which it is taken. A transaction that needs many gets them in few blocks.
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
