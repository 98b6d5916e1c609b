//! Refunds of returns: shares of what was paid, as differences of running sums, so that all parts add up to exactly the
//! whole.

use promox_kernel::{Amount, Currency, round_half_up};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// The share of `part` in `total`, when `whole` gets all of it; not rounded.
fn portion(total: Decimal, part: Decimal, whole: Decimal) -> Decimal {
    if part >= whole { total } else { total * part / whole }
}

/// The share of the units `before + 1 ..= before + now`, of a line with `quantity` units, in `total`.
///
/// It is the difference of two running portions, each rounded half-up, so the units of a line get all of it, however
/// they are returned.
pub(crate) fn share(total: Amount, quantity: u32, before: u32, now: u32, currency: Currency) -> Amount {
    let running = |units: u32| currency.round(portion(total.0, units.into(), quantity.into()));
    running(before.saturating_add(now)) - running(before)
}

/// The worth of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worth {
    /// The price paid for them, in money and points.
    pub(crate) total: Amount,
    /// Their share of the goods' revenue: after discounts, without tax.
    pub(crate) net: Amount,
}

/// How the worth of a return is repaid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) money: Amount,
    pub(crate) points: i64,
}

/// How goods worth `now` are repaid, after others worth `before`, of an order whose goods are worth `whole` and of
/// which `points` worth `points_value` paid a part.
///
/// Both shares are differences of running portions, so returning all goods repays all their points and all their money.
/// Points pay goods before shipping: if they are worth more than the goods, the rest paid for shipping, which
/// [`split_shipping`] repays.
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
    let for_goods = points_value.min(whole);
    let of_goods = Decimal::from(points) * for_goods.0 / points_value.0;
    let by_points = |part: Amount| currency.round(portion(for_goods.0, part.0, whole.0));
    let units = |part: Amount| round_half_up(portion(of_goods, part.0, whole.0), 0).to_i64().unwrap_or(0);
    let after = before + now;
    Split { money: now - (by_points(after) - by_points(before)), points: units(after) - units(before) }
}

/// How shipping worth `now` is repaid, after other shipping worth `before`, of an order whose goods are worth `goods` and
/// whose shipping is worth `whole`. What points paid beyond the goods goes back as points.
pub(crate) fn split_shipping(
    (goods, whole): (Amount, Amount),
    before: Amount,
    now: Amount,
    points: i64,
    points_value: Amount,
    currency: Currency,
) -> Split {
    let for_goods = split(goods, Amount::ZERO, goods, points, points_value, currency).points;
    let by_points = points_value - points_value.min(goods);
    if by_points.is_zero() {
        return Split { money: now, points: 0 };
    }
    split(whole, before, now, points - for_goods, by_points, currency)
}

/// The share of the remaining revenue that a refund of money alone takes: the same as `amount` is of `paid`, the
/// remaining money and points.
pub(crate) fn share_of_rest(rest: Amount, amount: Amount, paid: Decimal, currency: Currency) -> Amount {
    currency.round(portion(rest.0, amount.0, paid))
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

    #[test]
    fn points_that_paid_for_shipping_stay_with_it() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        // 10.00 of goods and 5.00 of shipping, all paid with 1,500 points.
        let back = |before: &str, now: &str| {
            split(amount("10.00"), amount(before), amount(now), 1_500, amount("15.00"), Currency::GBP)
        };
        assert_eq!(back("0.00", "10.00"), Split { money: amount("0.00"), points: 1_000 });
        assert_eq!(back("0.00", "5.00"), Split { money: amount("0.00"), points: 500 });
        let shipping = |points: i64, value: &str, before: &str, now: &str| {
            let order = (amount("10.00"), amount("5.00"));
            split_shipping(order, amount(before), amount(now), points, amount(value), Currency::GBP)
        };
        assert_eq!(shipping(1_500, "15.00", "0.00", "5.00"), Split { money: amount("0.00"), points: 500 });
        assert_eq!(shipping(1_400, "14.00", "0.00", "5.00"), Split { money: amount("1.00"), points: 400 });
        assert_eq!(shipping(1_400, "14.00", "0.00", "2.50"), Split { money: amount("0.50"), points: 200 });
        assert_eq!(shipping(1_400, "14.00", "2.50", "2.50"), Split { money: amount("0.50"), points: 200 });
        assert_eq!(shipping(500, "5.00", "0.00", "5.00"), Split { money: amount("5.00"), points: 0 });
        assert_eq!(shipping(0, "0.00", "0.00", "5.00"), Split { money: amount("5.00"), points: 0 });
    }

    #[test]
    fn a_refund_of_money_takes_its_share_of_what_is_left() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        for (rest, refund, paid, want) in [
            ("12.00", "10.00", "16.96", "7.08"),
            ("12.00", "16.96", "16.96", "12.00"),
            ("6.00", "10.96", "10.96", "6.00"),
            ("12.00", "0.01", "16.96", "0.01"),
            ("0.00", "4.96", "4.96", "0.00"),
        ] {
            let share = share_of_rest(amount(rest), amount(refund), amount(paid).0, Currency::GBP);
            assert_eq!(share, amount(want), "{refund} of {paid}");
        }
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
