//! Scheduled jobs: send due messages and delete old ones.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Cx, Error, Job};
use promox_storage::{Lane, Tx};

use crate::{Notifications, commands};

/// How long finished deliveries, and mail written as files, are kept.
const DELIVERY_RETENTION: Duration = Duration::from_hours(30 * 24);
/// How long inbox items are kept.
const INBOX_RETENTION: Duration = Duration::from_hours(180 * 24);
/// Maximum rows of a table deleted by one transaction.
const MAX_PRUNED: usize = 500;

/// Sends due messages.
pub(crate) fn send_due(notifications: &Arc<Notifications>) -> Job {
    let notifications = notifications.clone();
    Job::new("notification.send_due", Duration::from_millis(200), move |cx: Cx| {
        let notifications = notifications.clone();
        async move { notifications.send_due(&cx).await }
    })
}

/// Deletes old deliveries, inbox items and files.
pub(crate) fn prune(notifications: &Arc<Notifications>) -> Job {
    let notifications = notifications.clone();
    Job::new("notification.prune", Duration::from_mins(10), move |cx: Cx| {
        let notifications = notifications.clone();
        async move { notifications.prune(&cx).await }
    })
}

impl Notifications {
    async fn prune(&self, cx: &Cx) -> Result<bool, Error> {
        let (oldest_delivery, oldest_item) = (cx.now - DELIVERY_RETENTION, cx.now - INBOX_RETENTION);
        let work =
            move |tx: &mut Tx<'_>| Ok::<_, Error>(commands::prune(tx, oldest_delivery, oldest_item, MAX_PRUNED)?);
        let more = self.db.write_in(cx, Lane::Bulk, work).await?;
        if !more {
            self.transport.prune(oldest_delivery).await.map_err(Error::internal)?;
        }
        Ok(more)
    }
}
