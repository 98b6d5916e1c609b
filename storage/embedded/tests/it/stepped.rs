//! A store without threads, whose writer and checkpointer the test steps, so that each run is deterministic.

use std::sync::Arc;
use std::time::Duration;

use promox_embedded::disk::Disk;
use promox_embedded::{Assembled, EmbeddedEngine, OpenError, Options};
use promox_kernel::Clock;
use promox_storage::{Database, Db, StoreError, Tx};

use crate::rows::{balances, cx, options, schema};

pub(crate) struct Stepped {
    pub(crate) parts: Assembled,
    pub(crate) clock: Clock,
}

impl Stepped {
    pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        Self::open_with(options(disk))
    }

    pub(crate) fn open_with(options: Options) -> Result<Self, OpenError> {
        let clock = options.clock.clone();
        Ok(Self { parts: EmbeddedEngine::assemble(options, &schema())?, clock })
    }

    pub(crate) fn db(&self) -> Db {
        self.parts.engine.database(Database::Ecommerce)
    }

    /// Runs one transaction in a group of its own.
    pub(crate) async fn write<T: Send + 'static>(
        &mut self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (db, cx) = (self.db(), cx(2_000));
        let (result, _) = tokio::join!(db.write(&cx, work), async { self.parts.writer.turn(Duration::ZERO) });
        result
    }

    /// Makes the writer hand its memory table to the checkpointer, which is not stepped.
    pub(crate) fn freeze(&mut self) {
        self.clock.advance(Duration::from_secs(60));
        self.parts.writer.turn(Duration::ZERO);
    }

    /// Makes the checkpointer write the frozen table.
    pub(crate) fn checkpoint(&mut self) {
        self.parts.checkpointer.turn(Duration::ZERO);
    }

    pub(crate) async fn balances(&self) -> Vec<(i64, i64)> {
        balances(&self.db()).await
    }
}
