//! What a return gives back: the units' running share of what their line cost, so that all units give exactly that.

use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// What units `before + 1 ..= before + now` of a line of `quantity` units give back, of `total` in all.
///
/// It is the difference of two running shares, each rounded half-up, so the parts always sum to the whole.
pub(crate) fn share(total: Amount, quantity: u32, before: u32, now: u32, currency: Currency) -> Amount {
    let running = |units: u32| match units {
        0 => currency.zero(),
        units if units >= quantity => currency.round(total.0),
        units => currency.round(total.0 * Decimal::from(units) / Decimal::from(quantity)),
    };
    running(before.saturating_add(now)) - running(before)
}

/// How a return's worth is paid back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) money: Amount,
    pub(crate) points: i64,
}

/// How goods worth `before..before + now`, of `whole` in all, are paid back when `points` worth `points_value` paid a part:
/// running shares again, so that all goods give back all points and all the money.
pub(crate) fn split(
    whole: Amount,
    before: Amount,
    now: Amount,
    points: i64,
    points_value: Amount,
    currency: Currency,
) -> Split {
    if whole.is_zero() || points == 0 {
        return Split { money: now, points: 0 };
    }
    let by_points = |part: Amount| currency.round(points_value.0 * part.0 / whole.0);
    let units =
        |part: Amount| promox_kernel::round_half_up(Decimal::from(points) * part.0 / whole.0, 0).to_i64().unwrap_or(0);
    let after = before + now;
    Split { money: now - (by_points(after) - by_points(before)), points: units(after) - units(before) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_points_paid_goes_back_as_points() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        let back = |before: &str, now: &str| {
            split(amount("30.00"), amount(before), amount(now), 500, amount("5.00"), Currency::GBP)
        };
        assert_eq!(back("0.00", "10.00"), Split { money: amount("8.33"), points: 167 });
        assert_eq!(back("10.00", "10.00"), Split { money: amount("8.34"), points: 166 });
        assert_eq!(back("20.00", "10.00"), Split { money: amount("8.33"), points: 167 });
    }

    proptest! {
        #[test]
        fn all_units_give_back_exactly_what_was_paid(minor in 0_i64..1_000_000, parts in prop::collection::vec(1_u32..20, 1..12)) {
            let total = Amount(Decimal::new(minor, 2));
            let quantity: u32 = parts.iter().sum();
            let mut before = 0;
            let mut sum = Amount::ZERO;
            for part in parts {
                let given = share(total, quantity, before, part, Currency::GBP);
                prop_assert!(!given.is_negative());
                sum += given;
                before += part;
            }
            prop_assert_eq!(sum, total);
        }
    }
}
