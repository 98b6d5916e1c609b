//! Scheduled jobs of webhooks: post what is due, and delete old deliveries.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Cx, Job};
use promox_storage::{Lane, Tx};

use super::commands;
use super::records::{FAILING, HEALTHY};
use crate::Notifications;

/// How long deliveries are kept.
const RETENTION: Duration = Duration::from_hours(30 * 24);
/// Maximum deliveries deleted by one transaction.
const MAX_PRUNED: usize = 500;

/// Posts due deliveries to endpoints that accepted the last one.
pub(crate) fn send_due(notifications: &Arc<Notifications>) -> Job {
    queue("notification.send_webhooks", HEALTHY, notifications)
}

/// Posts due deliveries to endpoints that did not accept the last one. It is a job of its own, so that endpoints that
/// do not answer delay only each other.
pub(crate) fn send_failing(notifications: &Arc<Notifications>) -> Job {
    queue("notification.retry_webhooks", FAILING, notifications)
}

fn queue(name: &'static str, queue: u32, notifications: &Arc<Notifications>) -> Job {
    let notifications = notifications.clone();
    Job::new(name, Duration::from_millis(200), move |cx: Cx| {
        let notifications = notifications.clone();
        async move { notifications.post_due(&cx, queue).await }
    })
}

/// Deletes old deliveries.
pub(crate) fn prune(notifications: &Arc<Notifications>) -> Job {
    let db = notifications.db.clone();
    Job::new("notification.prune_webhooks", Duration::from_mins(10), move |cx: Cx| {
        let db = db.clone();
        async move {
            let oldest = cx.now - RETENTION;
            let work = move |tx: &mut Tx<'_>| commands::prune(tx, oldest, MAX_PRUNED);
            Ok(db.write_in(&cx, Lane::Bulk, work).await?)
        }
    })
}
