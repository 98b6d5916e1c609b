//! Keeps product lists and the search index up to date: rebuilt at startup, then updated every 250 ms.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::ids::ProductId;
use promox_kernel::{Cx, Error, Job, Warnings};
use promox_storage::{Follower, StoreError, Tx};

use crate::Products;
use crate::queries::epochs;
use crate::records::{Epochs, Product};

/// Products per read while the lists are rebuilt.
const REBUILD_BATCH: usize = 500;
/// Maximum products that one run indexes.
const INDEX_BATCH: usize = 500;
/// The minimum time between commits of the index, each of which takes up to 150 ms.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// The job that keeps product lists and the search index up to date.
pub(crate) fn jobs(products: &Arc<Products>) -> Vec<Job> {
    let service = products.clone();
    let update = move |cx: Cx| {
        let service = service.clone();
        async move { service.update_lists(&cx).await }
    };
    vec![Job::new("product.index", Duration::from_millis(250), update)]
}

impl Products {
    /// Rebuilds the lists from rows and indexes what the index lacks. Runs before the service accepts requests.
    pub(crate) async fn load(&self, cx: &Cx) -> Result<(), Error> {
        let begin = |tx: &Tx<'_>| {
            let epochs = epochs(tx)?;
            self.projection.write().set_tree(self.trees.at(tx, &epochs)?, epochs.categories);
            Ok::<_, StoreError>((tx.last_position()?, epochs.catalogue))
        };
        let (position, epoch) = self.db.read(begin).await?;
        *self.feed.lock().await = Some(Follower::new(self.db.clone(), position));
        if self.index.epoch() > epoch {
            self.index.clear()?;
        }
        let indexed = self.index.epoch();
        let (mut next, mut damaged) = (Some(ProductId(1)), Warnings::default());
        while let Some(first) = next {
            let batch = |tx: &Tx<'_>| {
                let mut damaged = damaged.clone();
                let products = tx.scan::<Product>().from(first).readable(REBUILD_BATCH, &mut damaged)?;
                Ok::<_, StoreError>((products, damaged))
            };
            let products: Vec<Product>;
            (products, damaged) = self.db.read(batch).await?;
            next = products.get(REBUILD_BATCH - 1).map(|last| ProductId(last.id.0 + 1));
            self.projection.write().extend(&products);
            let unindexed: Vec<Product> = products.into_iter().filter(|product| product.epoch > indexed).collect();
            self.index.put(&unindexed)?;
        }
        {
            let mut projection = self.projection.write();
            projection.damaged = damaged;
            projection.sort();
            projection.epoch = epoch;
        }
        if self.index.is_dirty() {
            self.index.commit(epoch)?;
            *self.committed_at.lock() = cx.now;
        }
        self.refresh(cx).await.map(drop)
    }

    /// Runs `read` in a transaction that the lists have caught up with.
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
                    projection.set_tree(tree, epochs.categories);
                    if !projection.catch_up(tx, epochs.catalogue)? {
                        return Ok(None);
                    }
                }
                read(tx, &epochs).map(Some)
            };
            if let Some(result) = self.db.read(attempt).await? {
                return Ok(result);
            }
        }
    }

    /// Applies changes to the lists and indexes changed products. Returns whether there is more to do.
    async fn update_lists(&self, cx: &Cx) -> Result<bool, Error> {
        let more = self.refresh(cx).await? | self.reprice(cx).await?;
        let (ids, remaining, epoch) = {
            let mut projection = self.projection.write();
            let ids: Vec<ProductId> = projection.unindexed.iter().copied().take(INDEX_BATCH).collect();
            let rest = ids.last().map(|last| projection.unindexed.split_off(&ProductId(last.0 + 1)));
            projection.unindexed = rest.unwrap_or_default();
            (ids, projection.unindexed.len(), projection.epoch)
        };
        let rows =
            |tx: &Tx<'_>| ids.iter().filter_map(|id| tx.get::<Product>(id).transpose()).collect::<Result<Vec<_>, _>>();
        let products = self.db.read(rows).await?;
        let due = cx.now.since(*self.committed_at.lock()) >= COMMIT_INTERVAL;
        let complete_epoch = if remaining == 0 { epoch } else { self.index.epoch() };
        let commit = due && (self.index.is_dirty() || !products.is_empty());
        if commit {
            *self.committed_at.lock() = cx.now;
        }
        if products.is_empty() && !commit {
            return Ok(more);
        }
        let index = self.index.clone();
        let work = move || {
            index.put(&products)?;
            if commit { index.commit(complete_epoch) } else { Ok(()) }
        };
        let indexed = tokio::task::spawn_blocking(work).await.map_err(Error::internal).flatten();
        if indexed.is_err() {
            self.projection.write().unindexed.extend(ids);
        }
        indexed.map(|()| more || remaining > 0)
    }
}
