//! The store service on the memory engine.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Clock, Cx, Entropy, Error, Node, Registry, Timestamp};
use promox_storage::{Database, Db, MemoryEngine, Service as _, Tx};

use crate::{Store, StoreSettings};

/// A node with nothing but the store service.
pub(super) struct Desk {
    node: Arc<Node>,
    db: Db,
    pub(super) store: Arc<Store>,
}

impl Desk {
    pub(super) fn open() -> Self {
        let db = Db::new(MemoryEngine::new(), Database::Ecommerce);
        let node = Node::new(Clock::manual(Timestamp::from_seconds(1_800_000_000)), Entropy::seeded(7));
        let store = Store::new(db.clone(), StoreSettings::default());
        let mut registry = Registry::default();
        store.register(&mut registry);
        node.install(registry);
        Self { node, db, store }
    }

    pub(super) fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_mins(1))
    }

    /// One transaction.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.db.write(&self.cx(), work).await
    }
}
