//! A reader that counts what is read and ends when its run is cancelled.

use std::sync::Arc;

use bytes::Bytes;
use promox_kernel::Progress;
use promox_storage::{Direction, Item, KeyRange, Reader, Space, StoreError};
use tokio_util::sync::CancellationToken;

/// A long read whose scans count as progress. When it is cancelled, every read fails with [`StoreError::Stopped`].
pub(crate) struct Watched {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) cancelled: CancellationToken,
}

impl Watched {
    fn go_on(&self) -> Result<(), StoreError> {
        if self.cancelled.is_cancelled() { Err(StoreError::Stopped) } else { Ok(()) }
    }
}

impl Reader for Watched {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.go_on()?;
        self.reader.get(space, key)
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        let items = self.reader.scan(range, direction);
        Box::new(items.map(|item| {
            self.go_on()?;
            self.progress.add(1);
            item
        }))
    }

    fn count(&self, space: Space) -> Option<u64> {
        self.reader.count(space)
    }
}
