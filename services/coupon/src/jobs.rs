//! Scheduled jobs: requested batches are generated, also after an interruption.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Job;

use crate::Coupons;

/// Generates codes, a bounded number at a time.
pub(crate) fn make_codes(coupons: &Arc<Coupons>) -> Job {
    let coupons = coupons.clone();
    Job::new("coupon.make_codes", Duration::from_millis(100), move |cx| {
        let coupons = coupons.clone();
        async move { coupons.make_codes(&cx).await }
    })
}
