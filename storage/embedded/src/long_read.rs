//! Long reads: one state that is read for minutes, for verification, exports and backups, beside transactions.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use promox_storage::{Direction, Item, KeyRange, Reader, Space, StoreError};

use crate::base::Base;
use crate::metrics::read;
use crate::shared::Shared;
use crate::table::Table;
use crate::view::{Layers, View};

/// Reads of a long read between two looks at the time.
const READS_PER_LOOK: u32 = 64;
/// The work of a long read after which it lets transactions go first.
const SLICE: Duration = Duration::from_millis(1);
/// The longest pause of a long read.
const MAX_PAUSE: Duration = Duration::from_millis(4);

/// Lets transactions go first: while others commit, a long read pauses after each slice of work for as long as the
/// slice took, so it uses at most half a core. On an idle store it never pauses.
pub(crate) struct Slices {
    shared: Arc<Shared>,
    reads: Cell<u32>,
    /// The number of transactions at the last look.
    transactions: Cell<u64>,
    slice_began: Cell<Instant>,
}

impl Slices {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let transactions = Cell::new(read(&shared.counters.transactions));
        Self { shared, reads: Cell::new(0), transactions, slice_began: Cell::new(Instant::now()) }
    }

    fn step(&self) {
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() < READS_PER_LOOK {
            return;
        }
        self.reads.set(0);
        let worked = self.slice_began.get().elapsed();
        if worked < SLICE {
            return;
        }
        let transactions = read(&self.shared.counters.transactions);
        if self.transactions.replace(transactions) != transactions {
            thread::sleep(worked.min(MAX_PAUSE));
        }
        self.slice_began.set(Instant::now());
    }
}

/// A long read of a checkpoint, which fails after its time limit, or when the disk is nearly full.
pub(crate) struct LongRead {
    pub(crate) base: Arc<Base>,
    pub(crate) empty: Table,
    pub(crate) until: Instant,
    pub(crate) slices: Slices,
    /// One of the few permits for long reads, released when this is dropped.
    pub(crate) _permit: Arc<()>,
}

impl LongRead {
    fn layers(&self) -> Result<Layers<'_>, StoreError> {
        if self.slices.shared.room.is_scarce() {
            return Err(StoreError::Full);
        }
        if Instant::now() > self.until {
            return Err(StoreError::TooLarge { limit: "30 minutes for a long read" });
        }
        Ok(Layers { memory: &self.empty, frozen: None, base: &self.base })
    }
}

impl Reader for LongRead {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.slices.step();
        self.layers()?.get(space, key)
    }

    fn count(&self, space: Space) -> Option<u64> {
        self.base.count(space)
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        match self.layers() {
            Ok(layers) => Box::new(layers.merged(range, direction).inspect(|_| self.slices.step())),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}

/// A long read of an engine without threads, where it cannot wait for a checkpoint.
pub(crate) struct SteppedRead {
    pub(crate) view: Arc<View>,
    pub(crate) _permit: Arc<()>,
}

impl Reader for SteppedRead {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.view.layers().get(space, key)
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        self.view.layers().merged(range, direction)
    }
}
