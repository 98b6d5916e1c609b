//! The rule of an achievement: a number of events or a sum, optionally within a number of days.

use promox_kernel::{Amount, Faults, text_enum};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

/// The maximum number of events that a rule can require, and of recent events that are stored.
pub(crate) const MAX_COUNTED: usize = 1_000;
/// The longest period in which events count, in days: ten years.
const MAX_DAYS: u32 = 3_650;

text_enum! {
    /// The events that a rule counts.
    CountedEvent {
        /// An order of the user was placed. Failed and cancelled orders do not count.
        OrderCreated = "ORDER_CREATED",
        /// An order of the user was confirmed. Cancelled orders do not count.
        OrderConfirmed = "ORDER_CONFIRMED",
        /// An order was completely delivered.
        OrderDelivered = "ORDER_DELIVERED",
        /// A return of the user was approved.
        OrderReturned = "ORDER_RETURNED",
        /// A promotion was applied to a confirmed order. Each promotion counts once per order, unless the order is
        /// cancelled.
        PromotionApplied = "PROMOTION_APPLIED",
        /// A coupon was redeemed. Released redemptions do not count.
        CouponRedeemed = "COUPON_REDEEMED",
        /// Points were awarded, except by achievements. Points that are revoked with an order do not count.
        PointsAwarded = "POINTS_AWARDED",
        /// Points were redeemed on an order or for an offer. Points that are restored with an order do not count.
        PointsRedeemed = "POINTS_REDEEMED",
        /// The user reached a higher tier.
        TierChanged = "TIER_CHANGED",
        /// The user registered.
        UserRegistered = "USER_REGISTERED",
        /// A user who registered with this user's referral code has paid a first order.
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
    /// Returns the unit of the sum of these events; none if they cannot be summed.
    pub(crate) fn unit(self) -> Option<Unit> {
        match self {
            Self::PointsAwarded | Self::PointsRedeemed => Some(Unit::Points),
            Self::CouponRedeemed | Self::TierChanged | Self::UserRegistered | Self::UserReferred => None,
            _ => Some(Unit::Money),
        }
    }
}

/// A number of days: sent as a number, or as an ISO 8601 duration of days or weeks such as `"P30D"`.
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

/// The rule of an achievement: it is earned once there are `count` events with a total of `sum` within `within` days.
/// Events before the creation of the achievement do not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The event that is counted: an order placed (ORDER_CREATED), confirmed or delivered, a return approved
    /// (ORDER_RETURNED), a promotion used (PROMOTION_APPLIED), a coupon redeemed, points awarded by anything but an
    /// achievement, points redeemed, a rise to a higher tier (TIER_CHANGED), the registration, or a successful referral
    /// (USER_REFERRED). Events that are undone no longer count, but an earned achievement is kept. The event cannot be
    /// changed later.
    pub event: CountedEvent,
    /// The number of events required; 1 by default.
    #[serde(default)]
    pub count: Option<u32>,
    /// The sum required: of the totals of orders, the refunds of returns, the discounts of promotions, or points.
    #[serde(default)]
    pub sum: Option<Amount>,
    /// The number of days in which events count; null if all events count.
    #[serde(default)]
    pub within: Option<Days>,
}

impl Rule {
    /// Returns the number of events required.
    pub(crate) fn required_count(&self) -> i64 {
        i64::from(self.count.unwrap_or(1))
    }

    /// Returns the required sum, if it is an amount of money.
    pub(crate) fn money(&self) -> Option<Amount> {
        self.sum.filter(|_| self.event.unit() == Some(Unit::Money))
    }

    /// Returns what is wrong with the rule, by JSON pointer.
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
        if self.within.is_some_and(|days| days.0 == 0 || days.0 > MAX_DAYS) {
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
    fn faults_have_pointers() {
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
