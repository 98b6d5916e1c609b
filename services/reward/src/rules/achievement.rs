//! When something is achieved: so many events, or so much money, perhaps within so many days.

use std::time::Duration;

use promox_kernel::{Amount, FieldError, Timestamp, text_enum};
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::records::{Mark, Progress};

/// Events that a rule counts at most, and recent ones that are remembered.
pub(crate) const MOST_COUNTED: usize = 1_000;
/// Ten years.
const LONGEST_DAYS: u32 = 3_650;

text_enum! {
    /// What a rule counts.
    CountedEvent {
        /// An order of the user's was placed; one that failed or was cancelled counts no more.
        OrderCreated = "ORDER_CREATED",
        /// An order of the user's was confirmed; a cancelled one counts no more.
        OrderConfirmed = "ORDER_CONFIRMED",
        /// All of an order was delivered.
        OrderDelivered = "ORDER_DELIVERED",
        /// A return of the user's was approved.
        OrderReturned = "ORDER_RETURNED",
        /// A promotion had an effect on an order that was confirmed; each promotion once an order, until it is cancelled.
        PromotionApplied = "PROMOTION_APPLIED",
        /// A coupon was redeemed; one that was given back counts no more.
        CouponRedeemed = "COUPON_REDEEMED",
        /// Points were given, but for those that achievements give; what is taken back with an order counts no more.
        PointsAwarded = "POINTS_AWARDED",
        /// Points were spent, on an order or in the catalogue; what comes back with an order counts no more.
        PointsRedeemed = "POINTS_REDEEMED",
        /// The user came to a higher tier.
        TierChanged = "TIER_CHANGED",
        /// The user registered.
        UserRegistered = "USER_REGISTERED",
        /// Somebody who registered with the user's code has paid a first order.
        UserReferred = "USER_REFERRED",
    }
}

/// What events add up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Money,
    Points,
}

impl CountedEvent {
    /// What its events come to, if they come to anything.
    pub(crate) fn unit(self) -> Option<Unit> {
        match self {
            Self::PointsAwarded | Self::PointsRedeemed => Some(Unit::Points),
            Self::CouponRedeemed | Self::TierChanged | Self::UserRegistered | Self::UserReferred => None,
            _ => Some(Unit::Money),
        }
    }
}

/// Days: sent as a number, or as an ISO 8601 duration of days or weeks, `"P30D"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Days(pub u32);

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct DaysVisitor;
        impl de::Visitor<'_> for DaysVisitor {
            type Value = Days;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of days, or a duration such as \"P30D\"")
            }
            fn visit_u64<E: de::Error>(self, days: u64) -> Result<Days, E> {
                u32::try_from(days).map(Days).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Days, E> {
                let number = |text: &str| text.parse::<u32>().ok();
                let days = text.strip_prefix('P').and_then(|rest| match rest.strip_suffix('W') {
                    Some(weeks) => number(weeks)?.checked_mul(7),
                    None => number(rest.strip_suffix('D')?),
                });
                days.map(Days).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        d.deserialize_any(DaysVisitor)
    }
}

impl JsonSchema for Days {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Days".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["integer", "string"], "minimum": 1, "pattern": "^P[0-9]+[DW]$", "example": 30})
    }
}

/// When an achievement is reached: once the events number `count` and come to `sum`, those within `within` days of each other.
/// What happened before the achievement was made does not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What is counted, for the user that it belongs to: orders placed (ORDER_CREATED), confirmed, delivered, returns approved
    /// (ORDER_RETURNED), promotions used (PROMOTION_APPLIED), coupons redeemed, points given by anything but an achievement,
    /// points spent, rises to a higher tier (TIER_CHANGED), registrations, friends brought (USER_REFERRED). What is undone
    /// counts no more; an achievement that was granted stays. It cannot be changed later.
    pub event: CountedEvent,
    /// How many it takes; 1 when neither this nor `sum` is given.
    #[serde(default)]
    pub count: Option<u32>,
    /// What they must come to: what was paid for orders, given back by returns, taken off by promotions, or the points.
    #[serde(default)]
    pub sum: Option<Amount>,
    /// Only those of the last so many days count; null for all.
    #[serde(default)]
    pub within: Option<Days>,
}

impl Rule {
    /// How many events it takes.
    pub(crate) fn wanted(&self) -> i64 {
        i64::from(self.count.unwrap_or(1))
    }

    /// The sum of money that it takes, if it is one.
    pub(crate) fn money(&self) -> Option<Amount> {
        self.sum.filter(|_| self.event.unit() == Some(Unit::Money))
    }

    /// What is wrong with it, by pointer.
    pub(crate) fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut fault = |member: &str, detail: &str| faults.push(FieldError::new(format!("/rule/{member}"), detail));
        if self.count.is_some_and(|count| count == 0 || count as usize > MOST_COUNTED) {
            fault("count", "must be 1 to 1,000 events");
        }
        let unit = self.event.unit();
        match self.sum {
            Some(_) if unit.is_none() => fault("sum", "only orders, returns, promotions and points can be summed"),
            Some(sum) if sum <= Amount::ZERO => fault("sum", "must be greater than zero; omit it for none"),
            Some(sum) if unit == Some(Unit::Points) && !sum.0.fract().is_zero() => fault("sum", "must be whole points"),
            _ => {}
        }
        if self.within.is_some_and(|days| days.0 == 0 || days.0 > LONGEST_DAYS) {
            fault("within", "must be 1 to 3,650 days");
        }
        faults
    }

    /// Counts an event; whether that is enough.
    pub(crate) fn count_in(&self, progress: &mut Progress, mark: Mark, now: Timestamp) -> bool {
        progress.count += 1;
        progress.sum += mark.amount;
        progress.updated_at = now;
        if let Some(days) = self.within {
            progress.marks.push(mark);
            forget(progress, now - Duration::from_hours(24 * u64::from(days.0)));
        }
        progress.count >= self.wanted() && self.sum.is_none_or(|sum| progress.sum >= sum)
    }

    /// Counts out what was undone.
    pub(crate) fn count_out(&self, progress: &mut Progress, undone: &Undone) {
        if self.within.is_none() {
            progress.count = (progress.count - undone.times).max(0);
            progress.sum = (progress.sum - undone.amount).max(Amount(Decimal::ZERO));
            return;
        }
        if undone.times > 0 {
            progress.marks.retain(|known| known.of != undone.of);
        } else if let Some(mark) = progress.marks.iter_mut().find(|known| known.of == undone.of) {
            mark.amount = (mark.amount - undone.amount).max(Amount(Decimal::ZERO));
        }
        sum_up(progress);
    }
}

/// What of an order or a redemption was undone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undone {
    pub(crate) of: i64,
    /// How many events; none while a part of it stays.
    pub(crate) times: i64,
    pub(crate) amount: Amount,
}

/// Only what is recent counts, and of that no more than can be asked for.
fn forget(progress: &mut Progress, before: Timestamp) {
    progress.marks.retain(|mark| mark.at > before.0);
    let over = progress.marks.len().saturating_sub(MOST_COUNTED);
    progress.marks.drain(..over);
    sum_up(progress);
}

fn sum_up(progress: &mut Progress) {
    progress.count = i64::try_from(progress.marks.len()).unwrap_or(i64::MAX);
    progress.sum = progress.marks.iter().map(|mark| mark.amount).sum();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::AchievementId;
    use promox_kernel::UserId;

    fn rule(count: Option<u32>, sum: Option<&str>, within: Option<u32>) -> Rule {
        let event = CountedEvent::OrderConfirmed;
        Rule { event, count, sum: sum.map(|it| it.parse().unwrap()), within: within.map(Days) }
    }

    fn reached(rule: &Rule, events: &[(u64, &str)]) -> Vec<bool> {
        let start = Timestamp::from_seconds(1_000_000);
        let (marks, sum) = (promox_kernel::Json(Vec::new()), Amount::ZERO);
        let mut progress =
            Progress { user_id: UserId(1), achievement_id: AchievementId(1), count: 0, sum, marks, updated_at: start };
        let count = |(of, (days, amount)): (i64, &(u64, &str))| {
            let at = start + Duration::from_hours(24 * days);
            rule.count_in(&mut progress, Mark { of, at: at.0, amount: amount.parse().unwrap() }, at)
        };
        (1..).zip(events).map(count).collect()
    }

    #[test]
    fn rules_count_and_sum_within_their_days() {
        for (rule, events, want) in [
            (rule(None, None, None), &[(0, "1.00")][..], &[true][..]),
            (rule(Some(2), None, None), &[(0, "1.00"), (900, "1.00")], &[false, true]),
            (rule(None, Some("10.00"), None), &[(0, "9.99"), (1, "0.01")], &[false, true]),
            (rule(Some(3), Some("10.00"), None), &[(0, "9.99"), (1, "0.01"), (2, "0.00")], &[false, false, true]),
            (rule(Some(2), None, Some(7)), &[(0, "1.00"), (7, "1.00"), (13, "1.00")], &[false, false, true]),
            (rule(None, Some("5.00"), Some(7)), &[(0, "4.00"), (8, "4.00"), (9, "1.00")], &[false, false, true]),
        ] {
            assert_eq!(reached(&rule, events), want, "{rule:?}");
        }
    }

    #[test]
    fn faults_are_pointed_at() {
        for (rule, pointer) in [
            (rule(Some(0), None, None), "/rule/count"),
            (rule(Some(1_001), None, None), "/rule/count"),
            (rule(None, Some("0"), None), "/rule/sum"),
            (rule(None, None, Some(0)), "/rule/within"),
            (Rule { event: CountedEvent::UserRegistered, ..rule(None, Some("1"), None) }, "/rule/sum"),
        ] {
            assert_eq!(rule.faults()[0].pointer, pointer);
        }
        for (json, days) in [("30", 30), ("\"P30D\"", 30), ("\"P2W\"", 14)] {
            assert_eq!(serde_json::from_str::<Days>(json).unwrap(), Days(days));
        }
        for json in ["-1", "\"30\"", "\"PT1H\"", "\"P\"", "[]", "1.5", "\"P-1D\"", "99999999999"] {
            assert!(serde_json::from_str::<Days>(json).is_err(), "{json}");
        }
    }
}
