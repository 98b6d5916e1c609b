//! Scheduled jobs: start, end and close sales, expire reservations, report purchases to the inventory, and update
//! listeners. Each works in bounded batches.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Cx, Error, Job};

use crate::commands::reservations;
use crate::{FlashSales, queries, stream};

/// How often sales are advanced, purchases reported and listeners updated.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// All jobs.
pub(crate) fn all(sales: &Arc<FlashSales>) -> Vec<Job> {
    vec![
        job(sales, "flashsale.move", POLL_INTERVAL, |sales, cx| async move { sales.advance_due_sales(&cx).await }),
        job(sales, "flashsale.expire", Duration::from_secs(1), |sales, cx| async move { sales.expire_due(&cx).await }),
        job(sales, "flashsale.settle", POLL_INTERVAL, |sales, cx| async move { sales.report_due_purchases(&cx).await }),
        job(sales, "flashsale.update_listeners", POLL_INTERVAL, |sales, cx| async move {
            sales.update_listeners(&cx).await
        }),
    ]
}

fn job<F, R>(sales: &Arc<FlashSales>, name: &'static str, every: Duration, run: R) -> Job
where
    R: Fn(Arc<FlashSales>, Cx) -> F + Send + Sync + 'static,
    F: Future<Output = Result<bool, Error>> + Send + 'static,
{
    let sales = sales.clone();
    Job::new(name, every, move |cx| run(sales.clone(), cx))
}

impl FlashSales {
    /// Expires reservations of all running sales. Returns whether there are more.
    async fn expire_due(&self, cx: &Cx) -> Result<bool, Error> {
        let mut more = false;
        for sale in self.db.read(queries::running_sales).await? {
            if self.db.read(|tx| queries::has_expired_reservations(tx, &sale, cx.now)).await? {
                more |= self.expire(cx, sale.id).await? == reservations::MAX_SWEEP;
            }
        }
        Ok(more)
    }

    async fn update_listeners(&self, cx: &Cx) -> Result<bool, Error> {
        let followed = self.listeners.topics();
        if followed.is_empty() {
            return Ok(false);
        }
        let mut states = std::collections::BTreeMap::new();
        for id in followed {
            states.insert(id, self.db.read(|tx| stream::state(tx, id)).await?);
        }
        self.listeners.publish(&states, cx.now);
        Ok(false)
    }
}
