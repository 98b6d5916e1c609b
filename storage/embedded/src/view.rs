//! The state that readers see: the memory table over the frozen table over the checkpoint. It is consistent, and
//! replaced as a whole.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use parking_lot::Mutex;
use promox_storage::{Direction, Item, KeyRange, Reader, Space, StoreError};

use crate::base::Base;
use crate::journal::JournalPosition;
use crate::key::Probe;
use crate::merge::{self, MergeScan};
use crate::table::{Entry, Table};

/// A memory table that is being moved into the checkpoint.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) table: Table,
    /// The position of its last group.
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
    pub(crate) memory: &'a Table,
    pub(crate) frozen: Option<&'a Table>,
    pub(crate) base: &'a Base,
}

impl View {
    pub(crate) fn layers(&self) -> Layers<'_> {
        let frozen = self.frozen.as_ref().map(|frozen| &frozen.table);
        Layers { memory: &self.memory, frozen, base: &self.base }
    }
}

impl<'a> Layers<'a> {
    /// Returns the items of a range, merged from all layers.
    pub(crate) fn merged(
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
        let tables = tables.into_iter().flatten().filter(|table| !table.is_empty());
        let above = tables.map(|table| merge::table_source(table, &bounds, direction));
        let below = self.base.source(range.space, &start, end.as_deref(), direction);
        Box::new(MergeScan::new(above.chain(std::iter::once(below)), direction))
    }
}

impl Reader for Layers<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let probe = Probe::new(space, key);
        match self.memory.get(&probe).or_else(|| self.frozen?.get(&probe)) {
            Some(Entry(value)) => Ok(value),
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

/// The latest durable state. The writer and the checkpointer replace it, and readers take it without waiting.
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

    /// Returns the state, for use that may take longer than a request.
    pub(crate) fn load_full(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Replaces the state by one that is derived from it.
    pub(crate) fn change(&self, make: impl FnOnce(&View) -> View) {
        let lock = self.change.lock();
        let next = make(&self.view.load());
        let old = self.view.swap(Arc::new(next));
        drop(lock);
        drop(old);
    }
}

/// A state for a short read. It must be dropped soon, because the checkpoint file cannot reuse the pages that it needs.
pub(crate) struct Snapshot(pub(crate) Guard<Arc<View>>);

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
