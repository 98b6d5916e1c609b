//! The status of a coupon at a time, its eligibility for a buyer, and the reason that the buyer sees.

use std::time::Duration;

use promox_contract::promotion::RejectReason;
use promox_kernel::{Faults, Timestamp};

use super::person::Redeemer;
use crate::CreateCoupon;
use crate::records::{Coupon, CouponStatus};

impl Coupon {
    /// The status. `batch_disabled` is whether the coupon's batch is disabled.
    pub(crate) fn status(&self, batch_disabled: bool, now: Timestamp) -> CouponStatus {
        if self.disabled || batch_disabled {
            CouponStatus::Disabled
        } else if self.ends_at.is_some_and(|end| end <= now) {
            CouponStatus::Expired
        } else if self.max_redemptions.is_some_and(|most| self.redeemed >= most) {
            CouponStatus::Exhausted
        } else {
            CouponStatus::Active
        }
    }

    /// The reason why a person cannot use the coupon now, apart from limits per user.
    pub(crate) fn reason(&self, batch_disabled: bool, person: &Redeemer, now: Timestamp) -> Option<RejectReason> {
        if self.user_id.is_some() && self.user_id != person.user_id {
            return Some(RejectReason::NotEligible);
        }
        if self.starts_at.is_some_and(|start| now < start) && !self.disabled && !batch_disabled {
            return Some(RejectReason::NotStarted);
        }
        match self.status(batch_disabled, now) {
            CouponStatus::Active => None,
            CouponStatus::Disabled => Some(RejectReason::Paused),
            CouponStatus::Expired => Some(RejectReason::Expired),
            CouponStatus::Exhausted => Some(RejectReason::LimitReached),
        }
    }
}

/// The reason that a caller sees. For anonymous callers, unknown, expired and personal codes look the same.
pub(crate) fn public_reason(reason: RejectReason, anonymous: bool) -> RejectReason {
    match reason {
        RejectReason::NotStarted | RejectReason::Expired | RejectReason::Paused | RejectReason::NotEligible
            if anonymous =>
        {
            RejectReason::Unknown
        }
        other => other,
    }
}

/// The terms of a new coupon or batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) max_redemptions: Option<u32>,
    pub(crate) per_user_limit: Option<u32>,
    pub(crate) starts_at: Option<Timestamp>,
    pub(crate) ends_at: Option<Timestamp>,
}

impl Terms {
    /// The terms of a requested coupon.
    pub(crate) fn asked(op: &CreateCoupon) -> Self {
        Self {
            max_redemptions: op.max_redemptions,
            per_user_limit: op.per_user_limit,
            starts_at: op.starts_at,
            ends_at: op.ends_at,
        }
    }

    /// The faults of the terms, with pointers.
    pub(crate) fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for (pointer, limit) in [("/maxRedemptions", self.max_redemptions), ("/perUserLimit", self.per_user_limit)] {
            if limit == Some(0) {
                faults.note(pointer, "must be 1 or more; omit it for no limit");
            }
        }
        if let (Some(start), Some(end)) = (self.starts_at, self.ends_at)
            && end <= start
        {
            faults.compared("/endsAt", &["/startsAt"], format!("must be after the start, {start}"));
        }
        faults
    }
}

pub(crate) fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use promox_contract::ids::PromotionId;
    use promox_kernel::UserId;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn coupon() -> Coupon {
        Coupon {
            code: "A".into(),
            promotion_id: PromotionId(1),
            batch_id: None,
            written: None,
            max_redemptions: Some(2),
            per_user_limit: None,
            user_id: None,
            starts_at: Some(at(10)),
            ends_at: Some(at(20)),
            disabled: false,
            redeemed: 0,
            version: 1,
            created_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn a_coupons_status_follows_its_row_and_its_batch() {
        use CouponStatus as Status;
        use RejectReason as Reason;
        let change = |change: fn(&mut Coupon)| {
            let mut coupon = coupon();
            change(&mut coupon);
            coupon
        };
        for (coupon, batch_disabled, now, status, reason) in [
            (coupon(), false, 10, Status::Active, None),
            (coupon(), false, 9, Status::Active, Some(Reason::NotStarted)),
            (coupon(), false, 20, Status::Expired, Some(Reason::Expired)),
            (coupon(), true, 15, Status::Disabled, Some(Reason::Paused)),
            (change(|coupon| coupon.disabled = true), false, 25, Status::Disabled, Some(Reason::Paused)),
            (change(|coupon| coupon.redeemed = 2), false, 15, Status::Exhausted, Some(Reason::LimitReached)),
            (change(|coupon| coupon.user_id = Some(UserId(7))), false, 15, Status::Active, Some(Reason::NotEligible)),
        ] {
            let now = at(now);
            assert_eq!(coupon.status(batch_disabled, now), status, "{coupon:?}");
            assert_eq!(coupon.reason(batch_disabled, &Redeemer::default(), now), reason, "{coupon:?}");
        }
    }

    #[test]
    fn reasons_are_hidden_from_anonymous_callers_only() {
        assert_eq!(public_reason(RejectReason::Expired, true), RejectReason::Unknown);
        assert_eq!(public_reason(RejectReason::Expired, false), RejectReason::Expired);
        assert_eq!(public_reason(RejectReason::ConditionsNotMet, true), RejectReason::ConditionsNotMet);
    }
}
