//! Scheduled jobs: expire the reservations that were not confirmed in time.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Job;
use promox_storage::Lane;

use crate::Inventory;
use crate::commands::holds;

/// Expires reservations in bounded batches.
pub(crate) fn expire_holds(inventory: &Arc<Inventory>) -> Job {
    let inventory = inventory.clone();
    Job::new("inventory.expire_holds", Duration::from_secs(1), move |cx| {
        let db = inventory.db.clone();
        async move {
            let now = cx.now;
            if !db.read(|tx| crate::queries::has_expired(tx, now)).await? {
                return Ok(false);
            }
            db.write_in(&cx, Lane::Bulk, holds::expire).await
        }
    })
}
