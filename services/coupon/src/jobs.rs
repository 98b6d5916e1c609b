//! Scheduled jobs: generate the codes of batches, continuing after an interruption.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Job;

use crate::Coupons;

/// Generates a bounded number of codes at a time.
pub(crate) fn generate_codes(coupons: &Arc<Coupons>) -> Job {
    let coupons = coupons.clone();
    Job::new("coupon.make_codes", Duration::from_millis(100), move |cx| {
        let coupons = coupons.clone();
        async move { coupons.generate_codes(&cx).await }
    })
}
