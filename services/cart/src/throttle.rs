//! Throttling of agreements to reminders, so that nobody has messages sent to many addresses of others.

use std::time::Duration;

use promox_contract::codes;
use promox_kernel::{Cx, Error};
use promox_storage::{Cache, CacheSpace, Pace, Throttle};

/// The maximum of agreements from a network address.
const PACE: Pace = Pace::Window { max_failures: 20, span: Duration::from_hours(1) };
/// The cache space of the counters by network address.
const ADDRESSES: CacheSpace = CacheSpace { name: "agreements to reminders", max_entries: 65_536, max_bytes: 4 << 20 };

/// Counts agreements by network address; `None` if throttling is disabled.
#[derive(Debug)]
pub(crate) struct ReminderThrottle(Option<Throttle>);

impl ReminderThrottle {
    pub(crate) fn new(cache: &Cache, enabled: bool) -> Self {
        Self(enabled.then(|| Throttle::new(cache, ADDRESSES, PACE)))
    }

    /// Counts an agreement. Refused with 429 if there were too many from its network address.
    pub(crate) async fn count(&self, cx: &Cx) -> Result<(), Error> {
        let Some(throttle) = &self.0 else { return Ok(()) };
        throttle.count(&cx.network_key(), cx.now).await.map_err(|wait| {
            let message = "Too many reminders were agreed to from this network address; try again later.";
            Error::throttled(codes::TOO_MANY_ATTEMPTS, message, wait)
        })
    }
}
