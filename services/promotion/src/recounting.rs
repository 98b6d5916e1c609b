//! Publishes limits that a promotion gets later, once its earlier uses are counted for them.

use std::time::Duration;

use promox_contract::ids::PromotionId;
use promox_contract::store::GetStoreProfile;
use promox_kernel::{Cx, Error};
use promox_storage::{Lane, Tx};

use crate::checks::command_context;
use crate::commands::promotions;
use crate::commands::recount::{self, MAX_EXAMINED, NewCount};
use crate::{Promotions, reject, rules};

/// How long limits stay announced after the last request for them.
const ANNOUNCED: Duration = Duration::from_mins(10);
/// How long before its deadline a request stops counting, at most.
const MARGIN: Duration = Duration::from_secs(2);
/// Batches that one run of the job counts for a promotion.
const MAX_BATCHES: usize = 100;

impl Promotions {
    /// Announces the limits of a changed document and counts earlier uses for them, so that the document can be stored.
    /// If they are so many that the request's deadline comes first, it is refused; repeating it continues.
    pub(crate) async fn count_for(
        &self,
        cx: &Cx,
        (id, version): (PromotionId, i64),
        document: &rules::Promotion,
    ) -> Result<(), Error> {
        let (context, document) = (command_context(cx).await?, document.clone());
        let count = NewCount { token: cx.node.entropy.token(), until: cx.node.clock.now() + ANNOUNCED };
        let announce = move |tx: &mut Tx<'_>| promotions::announce(tx, &context, (id, version), &document, &count);
        self.db.write(cx, announce).await?;
        let left = cx.ends_at.since(cx.node.clock.now());
        let stops_at = cx.ends_at - MARGIN.min(left / 4);
        while self.count_batch(cx, id).await? {
            if stops_at <= cx.node.clock.now() {
                return Err(reject::uses_uncounted());
            }
        }
        Ok(())
    }

    /// Counts the earlier uses of all promotions that have uncounted ones. Returns whether there may be more.
    pub(crate) async fn recount_pending(&self, cx: &Cx) -> Result<bool, Error> {
        self.db.write_in(cx, Lane::Bulk, recount::sweep).await?;
        for id in self.db.read(recount::pending).await? {
            for _ in 0..MAX_BATCHES {
                if !self.count_batch(cx, id).await? {
                    break;
                }
            }
        }
        Ok(!self.db.read(recount::pending).await?.is_empty())
    }

    /// Counts the next batch of a promotion's earlier uses. Returns false if none are left.
    async fn count_batch(&self, cx: &Cx, id: PromotionId) -> Result<bool, Error> {
        let Some(batch) = self.db.read(|tx| recount::batch(tx, id, MAX_EXAMINED)).await? else { return Ok(false) };
        let ignore_plus_tags = cx.call(GetStoreProfile {}).await?.ignore_plus_tags;
        let count = move |tx: &mut Tx<'_>| recount::count(tx, id, ignore_plus_tags, &batch);
        self.db.write_in(cx, Lane::Bulk, count).await?;
        Ok(true)
    }
}
