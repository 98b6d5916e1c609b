//! When an achievement is earned: by a number of events or a sum, optionally within a number of days.

use promox_kernel::{Amount, Faults, text_enum};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

/// Maximum events that a rule counts, and recent ones that are remembered.
pub(crate) const MAX_COUNTED: usize = 1_000;
/// Ten years.
const LONGEST_DAYS: u32 = 3_650;

text_enum! {
    /// The events that a rule counts.
    CountedEvent {
        /// An order of the user was placed; failed and cancelled ones do not count.
        OrderCreated = "ORDER_CREATED",
        /// An order of the user was confirmed; cancelled ones do not count.
        OrderConfirmed = "ORDER_CONFIRMED",
        /// An order was completely delivered.
        OrderDelivered = "ORDER_DELIVERED",
        /// A return of the user was approved.
        OrderReturned = "ORDER_RETURNED",
        /// A promotion applied to a confirmed order; each promotion once per order, until it is cancelled.
        PromotionApplied = "PROMOTION_APPLIED",
        /// A coupon was redeemed; released redemptions do not count.
        CouponRedeemed = "COUPON_REDEEMED",
        /// Points were awarded, except by achievements; points that are revoked with an order do not count.
        PointsAwarded = "POINTS_AWARDED",
        /// Points were redeemed, on an order or for an offer; points that are restored with an order do not count.
        PointsRedeemed = "POINTS_REDEEMED",
        /// The user reached a higher tier.
        TierChanged = "TIER_CHANGED",
        /// The user registered.
        UserRegistered = "USER_REGISTERED",
        /// A user who registered with this user's code has paid a first order.
        UserReferred = "USER_REFERRED",
    }
}

/// The unit of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Money,
    Points,
}

impl CountedEvent {
    /// The unit of the sum of its events, if they have one.
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

/// When an achievement is earned: once there are `count` events with a total of `sum`, within `within` days. Events
/// before the creation of the achievement do not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The events counted for the user: orders placed (ORDER_CREATED), confirmed, delivered, returns approved
    /// (ORDER_RETURNED), promotions used (PROMOTION_APPLIED), coupons redeemed, points awarded by anything but an
    /// achievement, points redeemed, rises to a higher tier (TIER_CHANGED), registrations, successful referrals
    /// (USER_REFERRED). Undone events no longer count; an earned achievement stays. It cannot be changed later.
    pub event: CountedEvent,
    /// The number of events required; 1 when neither this nor `sum` is given.
    #[serde(default)]
    pub count: Option<u32>,
    /// The sum required: of paid orders, refunds of returns, promotion discounts, or points.
    #[serde(default)]
    pub sum: Option<Amount>,
    /// Only events of the last this many days count; null for all.
    #[serde(default)]
    pub within: Option<Days>,
}

impl Rule {
    /// The number of events required.
    pub(crate) fn wanted(&self) -> i64 {
        i64::from(self.count.unwrap_or(1))
    }

    /// The sum of money required, if it is one.
    pub(crate) fn money(&self) -> Option<Amount> {
        self.sum.filter(|_| self.event.unit() == Some(Unit::Money))
    }

    /// What is wrong with it, by pointer.
    pub(crate) fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        let mut fault = |member: &str, detail: &str| faults.note(format!("/rule/{member}"), detail);
        if self.count.is_some_and(|count| count == 0 || count as usize > MAX_COUNTED) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(count: Option<u32>, sum: Option<&str>, within: Option<u32>) -> Rule {
        let event = CountedEvent::OrderConfirmed;
        Rule { event, count, sum: sum.map(|item| item.parse().unwrap()), within: within.map(Days) }
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
            assert_eq!(rule.faults().into_list()[0].pointer, pointer);
        }
        for (json, days) in [("30", 30), ("\"P30D\"", 30), ("\"P2W\"", 14)] {
            assert_eq!(serde_json::from_str::<Days>(json).unwrap(), Days(days));
        }
        for json in ["-1", "\"30\"", "\"PT1H\"", "\"P\"", "[]", "1.5", "\"P-1D\"", "99999999999"] {
            assert!(serde_json::from_str::<Days>(json).is_err(), "{json}");
        }
    }
}
