//! The state that readers see: memory table over frozen table over checkpoint, consistent and swapped as a whole.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use parking_lot::Mutex;
use promox_storage::{Direction, Item, KeyRange, Reader, Space, StoreError};

use crate::base::Base;
use crate::journal::JournalPosition;
use crate::key::{Probe, Rows};
use crate::merge::{self, MergeScan};
use crate::table::Table;

/// A memory table being moved into the checkpoint.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) table: Table,
    /// Its position.
    pub(crate) reached: JournalPosition,
}

/// One durable state of the store.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) memory: Table,
    pub(crate) frozen: Option<Arc<Frozen>>,
    pub(crate) base: Arc<Base>,
    pub(crate) reached: JournalPosition,
}

/// The layers of a state, newest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers<'a> {
    pub(crate) memory: &'a Rows,
    pub(crate) frozen: Option<&'a Rows>,
    pub(crate) base: &'a Base,
}

impl View {
    pub(crate) fn layers(&self) -> Layers<'_> {
        let frozen = self.frozen.as_ref().map(|frozen| &frozen.table.rows);
        Layers { memory: &self.memory.rows, frozen, base: &self.base }
    }
}

impl<'a> Layers<'a> {
    /// The items of a range.
    fn merged(
        &self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        let (start, end) = range.bytes();
        if end.as_ref().is_some_and(|end| *end <= start) {
            return Box::new(std::iter::empty());
        }
        let bounds = merge::bounds(range.space, &start, end.as_deref());
        let tables = [Some(self.memory), self.frozen];
        let tables = tables.into_iter().flatten().filter(|rows| !rows.is_empty());
        let above = tables.map(|rows| merge::rows_source(rows, &bounds, direction));
        let below = self.base.source(range.space, &start, end.as_deref(), direction);
        Box::new(MergeScan::new(above.chain(std::iter::once(below)), direction))
    }
}

impl Reader for Layers<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let probe = Probe::new(space, key);
        match probe.find(self.memory).or_else(|| probe.find(self.frozen?)) {
            Some(word) => Ok(word.clone()),
            None => self.base.get(space, key),
        }
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        self.merged(range, direction)
    }
}

/// The latest durable state. The writer and the checkpointer replace it, readers take it without waiting.
#[derive(Debug)]
pub(crate) struct Published {
    view: ArcSwap<View>,
    change: Mutex<()>,
}

impl Published {
    pub(crate) fn new(view: View) -> Self {
        Self { view: ArcSwap::from_pointee(view), change: Mutex::new(()) }
    }

    pub(crate) fn load(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// A state that may be held longer than a request.
    pub(crate) fn load_full(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Replaces the state with one derived from it.
    pub(crate) fn change(&self, make: impl FnOnce(&View) -> View) {
        let lock = self.change.lock();
        let next = make(&self.view.load());
        let old = self.view.swap(Arc::new(next));
        drop(lock);
        drop(old);
    }
}

/// A checkpoint held for minutes, until its time limit.
pub(crate) struct LongRead {
    pub(crate) base: Arc<Base>,
    pub(crate) empty: Rows,
    pub(crate) until: Instant,
    /// Released with it: one of the few permits for long reads.
    pub(crate) _permit: Arc<()>,
}

impl LongRead {
    fn layers(&self) -> Result<Layers<'_>, StoreError> {
        let layers = Layers { memory: &self.empty, frozen: None, base: &self.base };
        if Instant::now() < self.until {
            Ok(layers)
        } else {
            Err(StoreError::TooLarge { limit: "the time of a long read" })
        }
    }
}

impl Reader for LongRead {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.layers()?.get(space, key)
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        match self.layers() {
            Ok(layers) => layers.merged(range, direction),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}

/// A reader's reference to a state. It should be dropped soon, since it keeps checkpoint pages in use.
pub(crate) struct Snapshot(pub(crate) Guard<Arc<View>>);

/// A long read in a stepped engine: nobody would write the checkpoint that it normally waits for.
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

impl Reader for Snapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.layers().get(space, key)
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        self.0.layers().merged(range, direction)
    }
}
