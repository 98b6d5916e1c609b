//! Counts the earlier uses of promotions for limits that were added later.

use promox_contract::ids::PromotionId;
use promox_contract::store::GetStoreProfile;
use promox_kernel::{Cx, Error};
use promox_storage::Lane;

use crate::Promotions;
use crate::commands::recount;

/// Batches that a change of limits waits for. A job counts the rest.
const MAX_BATCHES: usize = 100;

impl Promotions {
    /// Counts the earlier uses of a promotion after a change. A failure does not undo the change; the job continues.
    pub(crate) async fn recount(&self, cx: &Cx, id: PromotionId) {
        if let Err(error) = self.recount_some(cx, id).await {
            tracing::warn!(promotion = id.0, %error, "earlier uses are not all counted yet; the job will continue");
        }
    }

    /// Counts the earlier uses of all promotions that have uncounted ones. Returns whether there may be more.
    pub(crate) async fn recount_pending(&self, cx: &Cx) -> Result<bool, Error> {
        let pending = self.db.read(recount::pending).await?;
        for id in &pending {
            self.recount_some(cx, *id).await?;
        }
        Ok(!self.db.read(recount::pending).await?.is_empty())
    }

    async fn recount_some(&self, cx: &Cx, id: PromotionId) -> Result<(), Error> {
        for _ in 0..MAX_BATCHES {
            let Some(batch) = self.db.read(|tx| recount::batch(tx, id)).await? else { return Ok(()) };
            let store = cx.call(GetStoreProfile {}).await?;
            let count = move |tx: &mut promox_storage::Tx<'_>| {
                recount::count(tx, id, store.currency, store.ignore_plus_tags, &batch)
            };
            self.db.write_in(cx, Lane::Bulk, count).await?;
        }
        Ok(())
    }
}
