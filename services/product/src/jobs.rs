//! Keeps lists and the search index up to date: rebuilt at the start, then updated every quarter of a second.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::ids::ProductId;
use promox_kernel::{Cx, Error, Job, Warnings};
use promox_storage::{Follower, StoreError, Tx};

use crate::Products;
use crate::queries::epochs;
use crate::records::{Epochs, Product};

/// Products per read while memory is rebuilt.
const REBUILT_AT_ONCE: usize = 500;
/// Products indexed by one run.
const INDEXED_AT_ONCE: usize = 500;
/// The minimum time between commits of the index, each of which takes up to 150 ms.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// Keeps lists and the search index up to date.
pub(crate) fn jobs(products: &Arc<Products>) -> Vec<Job> {
    let service = products.clone();
    let turn = move |cx: Cx| {
        let service = service.clone();
        async move { service.turn(&cx).await }
    };
    vec![Job::new("product.index", Duration::from_millis(250), turn)]
}

impl Products {
    /// Rebuilds memory from rows, before the service serves.
    pub(crate) async fn load(&self, cx: &Cx) -> Result<(), Error> {
        let start = |tx: &Tx<'_>| {
            let epochs = epochs(tx)?;
            self.projection.write().plant(self.trees.at(tx, &epochs)?, epochs.categories);
            Ok::<_, StoreError>((tx.last_position()?, epochs.catalogue))
        };
        let (place, epoch) = self.db.read(start).await?;
        *self.feed.lock().await = Some(Follower::new(self.db.clone(), place));
        if self.index.epoch() > epoch {
            self.index.clear()?;
        }
        let indexed = self.index.epoch();
        let (mut next, mut damaged) = (Some(ProductId(1)), Warnings::default());
        while let Some(first) = next {
            let batch = |tx: &Tx<'_>| {
                let mut damaged = damaged.clone();
                let products = tx.scan::<Product>().from(first).readable(REBUILT_AT_ONCE, &mut damaged)?;
                Ok::<_, StoreError>((products, damaged))
            };
            let products: Vec<Product>;
            (products, damaged) = self.db.read(batch).await?;
            next = products.get(REBUILT_AT_ONCE - 1).map(|last| ProductId(last.id.0 + 1));
            self.projection.write().extend(&products);
            let fresh: Vec<Product> = products.into_iter().filter(|product| product.epoch > indexed).collect();
            self.index.put(&fresh)?;
        }
        {
            let mut projection = self.projection.write();
            projection.damaged = damaged;
            projection.sort();
            projection.epoch = epoch;
        }
        if self.index.is_dirty() {
            self.index.commit(epoch)?;
            *self.committed.lock() = cx.now;
        }
        self.refresh(cx).await.map(drop)
    }

    /// Reads in a transaction whose state the lists have reached.
    pub(crate) async fn read_current<T>(
        &self,
        read: impl Fn(&Tx<'_>, &Epochs) -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let attempt = |tx: &Tx<'_>| {
                let epochs = epochs(tx)?;
                let behind = self.projection.read().epoch < epochs.catalogue;
                if behind {
                    let tree = self.trees.at(tx, &epochs)?;
                    let mut projection = self.projection.write();
                    projection.plant(tree, epochs.categories);
                    if !projection.catch_up(tx, epochs.catalogue)? {
                        return Ok(None);
                    }
                }
                read(tx, &epochs).map(Some)
            };
            if let Some(answer) = self.db.read(attempt).await? {
                return Ok(answer);
            }
        }
    }

    /// Applies changes and indexes them; whether there is more.
    async fn turn(&self, cx: &Cx) -> Result<bool, Error> {
        let more = self.refresh(cx).await? | self.reprice(cx).await?;
        let (ids, rest, epoch) = {
            let mut projection = self.projection.write();
            let ids: Vec<ProductId> = projection.unindexed.iter().copied().take(INDEXED_AT_ONCE).collect();
            let rest = ids.last().map(|last| projection.unindexed.split_off(&ProductId(last.0 + 1)));
            projection.unindexed = rest.unwrap_or_default();
            (ids, projection.unindexed.len(), projection.epoch)
        };
        let rows =
            |tx: &Tx<'_>| ids.iter().filter_map(|id| tx.get::<Product>(id).transpose()).collect::<Result<Vec<_>, _>>();
        let products = self.db.read(rows).await?;
        let due = cx.now.since(*self.committed.lock()) >= COMMIT_EVERY;
        let whole = if rest == 0 { epoch } else { self.index.epoch() };
        let commits = due && (self.index.is_dirty() || !products.is_empty());
        if commits {
            *self.committed.lock() = cx.now;
        }
        if products.is_empty() && !commits {
            return Ok(more);
        }
        let index = self.index.clone();
        let work = move || {
            index.put(&products)?;
            if commits { index.commit(whole) } else { Ok(()) }
        };
        let done = tokio::task::spawn_blocking(work).await.map_err(Error::internal).flatten();
        if done.is_err() {
            self.projection.write().unindexed.extend(ids);
        }
        done.map(|()| more || rest > 0)
    }
}
