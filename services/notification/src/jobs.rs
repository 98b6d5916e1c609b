//! Scheduled work of notifications: sends due messages, prunes old ones.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Cx, Error, Job};
use promox_storage::{Lane, Tx};

use crate::{Notifications, commands};

/// How long finished deliveries, and mail written as files, are kept.
const DELIVERIES_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long inbox items are kept.
const INBOX_KEPT: Duration = Duration::from_hours(180 * 24);
/// Rows of a table pruned by one transaction.
const PRUNED: usize = 500;

/// Sends due messages. Batch size and pause limit the rate to some 150 messages a second.
pub(crate) fn send_due(notifications: &Arc<Notifications>) -> Job {
    let notifications = notifications.clone();
    Job::new("notification.send_due", Duration::from_millis(200), move |cx: Cx| {
        let notifications = notifications.clone();
        async move { notifications.send_due(&cx).await }
    })
}

/// Removes old rows and files.
pub(crate) fn prune(notifications: &Arc<Notifications>) -> Job {
    let notifications = notifications.clone();
    Job::new("notification.prune", Duration::from_mins(10), move |cx: Cx| {
        let notifications = notifications.clone();
        async move { notifications.prune(&cx).await }
    })
}

impl Notifications {
    async fn prune(&self, cx: &Cx) -> Result<bool, Error> {
        let (deliveries, items) = (cx.now - DELIVERIES_KEPT, cx.now - INBOX_KEPT);
        let work = move |tx: &mut Tx<'_>| Ok::<_, Error>(commands::prune(tx, deliveries, items, PRUNED)?);
        let more = self.db.write_in(cx, Lane::Bulk, work).await?;
        if !more {
            self.transport.prune(deliveries).await.map_err(Error::internal)?;
        }
        Ok(more)
    }
}
