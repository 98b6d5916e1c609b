//! The amounts of returns. Each is a difference of running sums, so that all parts add up to exactly what was paid.

use promox_kernel::{Amount, Currency, round_half_up};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// The share of `total` that falls to `part` of `whole`, not rounded.
fn portion(total: Decimal, part: Decimal, whole: Decimal) -> Decimal {
    if part >= whole { total } else { total * part / whole }
}

/// The share of an amount of a line that falls to some of its units: `now` units, after `before` units, of `quantity`.
///
/// It is the difference of two running portions, each rounded half up, so that the shares of all units add up to
/// `total` however the units are divided.
pub(crate) fn share_of_units(total: Amount, quantity: u32, before: u32, now: u32, currency: Currency) -> Amount {
    let running = |units: u32| currency.round(portion(total.0, units.into(), quantity.into()));
    running(before.saturating_add(now)) - running(before)
}

/// The worth of returned units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worth {
    /// The price paid for the units, in money and points.
    pub(crate) total: Amount,
    /// The revenue of the units: their price after discounts, without tax.
    pub(crate) net: Amount,
    /// The part of `total` that is for units which were never shipped.
    pub(crate) unshipped: Amount,
}

/// The repayment of an amount in money and points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) money: Amount,
    pub(crate) points: i64,
}

/// Splits the repayment of goods worth `now`, which are returned after goods worth `before`. All goods of the order are
/// worth `whole`, and `points` worth `points_value` paid for a part of the order.
///
/// Both parts are differences of running portions, so that returning all goods repays all their money and points.
/// Points pay for goods before shipping: if they are worth more than the goods, the rest paid for shipping and is
/// repaid by [`split_shipping`].
pub(crate) fn split_money_and_points(
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
    let value_for_goods = points_value.min(whole);
    let points_for_goods = Decimal::from(points) * value_for_goods.0 / points_value.0;
    let value_of = |part: Amount| currency.round(portion(value_for_goods.0, part.0, whole.0));
    let points_of = |part: Amount| round_half_up(portion(points_for_goods, part.0, whole.0), 0).to_i64().unwrap_or(0);
    let after = before + now;
    Split { money: now - (value_of(after) - value_of(before)), points: points_of(after) - points_of(before) }
}

/// The part of `money`, repaid for goods worth `whole`, that falls to goods worth `part`.
pub(crate) fn part_in_money(money: Amount, part: Amount, whole: Amount, currency: Currency) -> Amount {
    if part.is_zero() { currency.zero() } else { currency.round(portion(money.0, part.0, whole.0)) }
}

/// Splits the repayment of shipping worth `now`, which is refunded after shipping worth `before`. The goods of the
/// order are worth `goods`, its shipping `whole`. The part that points paid beyond the goods is returned as points.
pub(crate) fn split_shipping(
    (goods, whole): (Amount, Amount),
    before: Amount,
    now: Amount,
    points: i64,
    points_value: Amount,
    currency: Currency,
) -> Split {
    let points_for_goods = split_money_and_points(goods, Amount::ZERO, goods, points, points_value, currency).points;
    let value_for_shipping = points_value - points_value.min(goods);
    if value_for_shipping.is_zero() {
        return Split { money: now, points: 0 };
    }
    split_money_and_points(whole, before, now, points - points_for_goods, value_for_shipping, currency)
}

/// The part of the remaining revenue that is returned by a refund of `amount` without goods: the same fraction as
/// `amount` is of `remaining_paid`, the money and points that are left of the payment.
pub(crate) fn share_of_remaining_revenue(
    remaining_revenue: Amount,
    amount: Amount,
    remaining_paid: Decimal,
    currency: Currency,
) -> Amount {
    currency.round(portion(remaining_revenue.0, amount.0, remaining_paid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_part_paid_with_points_is_returned_as_points() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        let back = |before: &str, now: &str| {
            split_money_and_points(amount("30.00"), amount(before), amount(now), 500, amount("5.00"), Currency::GBP)
        };
        assert_eq!(back("0.00", "10.00"), Split { money: amount("8.33"), points: 167 });
        assert_eq!(back("10.00", "10.00"), Split { money: amount("8.34"), points: 166 });
        assert_eq!(back("20.00", "10.00"), Split { money: amount("8.33"), points: 167 });
    }

    #[test]
    fn points_that_paid_for_shipping_are_returned_with_the_shipping() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        // 10.00 of goods and 5.00 of shipping, all paid with 1,500 points.
        let back = |before: &str, now: &str| {
            split_money_and_points(amount("10.00"), amount(before), amount(now), 1_500, amount("15.00"), Currency::GBP)
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
    fn a_refund_without_goods_takes_its_share_of_the_remaining_revenue() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        for (rest, refund, paid, want) in [
            ("12.00", "10.00", "16.96", "7.08"),
            ("12.00", "16.96", "16.96", "12.00"),
            ("6.00", "10.96", "10.96", "6.00"),
            ("12.00", "0.01", "16.96", "0.01"),
            ("0.00", "4.96", "4.96", "0.00"),
        ] {
            let share = share_of_remaining_revenue(amount(rest), amount(refund), amount(paid).0, Currency::GBP);
            assert_eq!(share, amount(want), "{refund} of {paid}");
        }
    }

    proptest! {
        #[test]
        fn the_shares_of_all_units_add_up_to_what_was_paid(minor in 0_i64..1_000_000, parts in prop::collection::vec(1_u32..20, 1..12)) {
            let total = Amount(Decimal::new(minor, 2));
            let quantity: u32 = parts.iter().sum();
            let mut before = 0;
            let mut sum = Amount::ZERO;
            for part in parts {
                let share = share_of_units(total, quantity, before, part, Currency::GBP);
                prop_assert!(!share.is_negative());
                sum += share;
                before += part;
            }
            prop_assert_eq!(sum, total);
        }
    }
}
