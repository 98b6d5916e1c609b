//! Scheduled jobs: the eviction of instances whose leases have expired.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Job;

use crate::Discovery;

/// How often expired leases are looked for.
const EVICT_EVERY: Duration = Duration::from_secs(15);

pub(crate) fn jobs(discovery: &Arc<Discovery>) -> Vec<Job> {
    let discovery = discovery.clone();
    let evict = move |cx: promox_kernel::Cx| {
        let discovery = discovery.clone();
        async move {
            for (app, id) in discovery.registry.lock().evict(cx.now) {
                tracing::warn!(app, instance = id, "an instance did not renew its lease and was evicted");
            }
            Ok(false)
        }
    };
    vec![Job::new("discovery.evict", EVICT_EVERY, evict)]
}
