//! Scheduled jobs, each in bounded batches: sales start, end and close; reservations expire; purchases are reported to
//! the inventory; listeners get updates.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Cx, Error, Job};

use crate::commands::holds;
use crate::{FlashSales, queries, stream};

/// How soon a sale starts after its time, and how often listeners get updates.
const OFTEN: Duration = Duration::from_millis(250);

/// All jobs.
pub(crate) fn all(sales: &Arc<FlashSales>) -> Vec<Job> {
    vec![
        job(sales, "flashsale.move", OFTEN, |sales, cx| async move { sales.turn(&cx).await }),
        job(sales, "flashsale.expire", Duration::from_secs(1), |sales, cx| async move { sales.expire_due(&cx).await }),
        job(sales, "flashsale.settle", OFTEN, |sales, cx| async move { sales.settle_purchases(&cx).await }),
        job(sales, "flashsale.update_listeners", OFTEN, |sales, cx| async move { sales.update_listeners(&cx).await }),
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
    /// Ends expired reservations.
    async fn expire_due(&self, cx: &Cx) -> Result<bool, Error> {
        let mut more = false;
        for sale in self.db.read(queries::open).await? {
            if self.db.read(|tx| queries::has_lapsed(tx, &sale, cx.now)).await? {
                more |= self.expire(cx, sale.id).await? == holds::SWEEP;
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
