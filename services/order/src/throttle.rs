//! Throttling of order look-ups: a network address with too many wrong ones has to wait.

use std::time::Duration;

use promox_contract::codes;
use promox_kernel::{Cx, Error};
use promox_storage::{Cache, CacheSpace, Pace, Throttle};

/// The maximum of wrong look-ups from an address.
const PACE: Pace = Pace::Window { max_failures: 10, span: Duration::from_mins(15) };
/// The cache space of the counters by address.
const ADDRESSES: CacheSpace = CacheSpace { name: "wrong order look-ups", max_entries: 65_536, max_bytes: 4 << 20 };

/// Counts wrong look-ups by network address; `None` if throttling is disabled.
#[derive(Debug)]
pub(crate) struct LookUpThrottle(Option<Throttle>);

impl LookUpThrottle {
    pub(crate) fn new(cache: &Cache, enabled: bool) -> Self {
        Self(enabled.then(|| Throttle::new(cache, ADDRESSES, PACE)))
    }

    /// Refuses a network with too many wrong look-ups.
    pub(crate) async fn check(&self, cx: &Cx) -> Result<(), Error> {
        let Some(throttle) = &self.0 else { return Ok(()) };
        throttle.check(&cx.network_key(), cx.now).await.map_err(|wait| {
            let message = "Too many wrong order look-ups; try again later.";
            Error::throttled(codes::TOO_MANY_GUESSES, message, wait)
        })
    }

    /// Counts a wrong look-up.
    pub(crate) async fn count_wrong(&self, cx: &Cx) {
        if let Some(throttle) = &self.0 {
            throttle.fail(&cx.network_key(), cx.now).await;
        }
    }
}
