//! The points that an order earns, and the amount that points pay of an order.

use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::settings::RewardSettings;

/// The maximum points that one order earns.
const MAX_EARNED: i64 = 1_000_000_000_000;

/// Returns the points that an order earns: `floor(base × rate × tier × promotion)`, at most [`MAX_EARNED`], and 0 if
/// nothing was paid for goods.
pub(crate) fn earned(base: Amount, rate: Amount, tier: Decimal, promotion: Amount) -> i64 {
    if base <= Amount::ZERO || rate <= Amount::ZERO || promotion <= Amount::ZERO {
        return 0;
    }
    let product = base
        .0
        .checked_mul(rate.0)
        .and_then(|points| points.checked_mul(tier))
        .and_then(|points| points.checked_mul(promotion.0));
    product.and_then(|points| points.floor().to_i64()).map_or(MAX_EARNED, |points| points.min(MAX_EARNED))
}

/// Why points cannot pay for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointsRefusal {
    /// Points have no value here, or the value of these is below a minor unit.
    WorthNothing,
    /// Points must pay at least this much of the order.
    BelowShare(Amount),
    /// Points may pay at most this much of the order.
    AboveShare(Amount),
}

/// Returns the value of points, rounded down to the currency's minor unit; zero if it exceeds the largest amount.
pub(crate) fn value(points: i64, point_value: Option<Amount>, currency: Currency) -> Amount {
    point_value.and_then(|value| value.times(points)).map_or(Amount::ZERO, |value| currency.round_down(value.0))
}

/// Returns the amount that points pay of an order with this `total`. Points are not reduced to fit: a value outside the
/// allowed shares is refused.
pub(crate) fn pay(
    points: u32,
    settings: &RewardSettings,
    total: Amount,
    currency: Currency,
) -> Result<Amount, PointsRefusal> {
    let value = value(i64::from(points), settings.point_value, currency);
    let share = |percent: Amount| percent.0 * total.0 / Decimal::ONE_HUNDRED;
    if value.is_zero() {
        return Err(PointsRefusal::WorthNothing);
    }
    let most = share(settings.max_share_percent);
    if value.0 > most {
        return Err(PointsRefusal::AboveShare(Amount(most.trunc_with_scale(currency.exponent()))));
    }
    let least = share(settings.min_share_percent);
    if value.0 < least {
        let unit = currency.minor_unit().0;
        let rounded_down = least.trunc_with_scale(currency.exponent());
        let least = if rounded_down < least { rounded_down + unit } else { rounded_down };
        return Err(PointsRefusal::BelowShare(Amount(least)));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn earned_points_are_rounded_down_once() {
        for (base, rate, tier, promotion, points) in [
            ("19.99", "1", "1", "1", 19),
            ("0.99", "1", "1", "1", 0),
            ("100.00", "1", "1.25", "2", 250),
            ("33.33", "1.5", "1.1", "1", 54),
            ("3.34", "0.3", "1", "1", 1),
            ("0.00", "1", "1", "1", 0),
            ("-5.00", "1", "1", "1", 0),
            ("10.00", "0", "1", "1", 0),
            ("10.00", "1", "1", "0", 0),
            ("1000000000000000000", "1000", "100", "100", MAX_EARNED),
        ] {
            let got = earned(amount(base), amount(rate), amount(tier).0, amount(promotion));
            assert_eq!(got, points, "{base} × {rate} × {tier} × {promotion}");
        }
    }

    #[test]
    fn the_value_of_points_is_rounded_down_to_the_minor_unit() {
        for (points, value, currency, worth) in [
            (1, "0.005", "GBP", "0.00"),
            (2, "0.005", "GBP", "0.01"),
            (3, "0.005", "GBP", "0.01"),
            (999, "0.009999", "GBP", "9.98"),
            (100, "0.01", "GBP", "1.00"),
            (1, "0.5", "JPY", "0"),
            (3, "0.5", "JPY", "1"),
            (199, "0.01", "JPY", "1"),
            (1, "0.0005", "KWD", "0.000"),
            (3, "0.0005", "KWD", "0.001"),
            (7, "0.001999", "KWD", "0.013"),
            (0, "1", "GBP", "0.00"),
        ] {
            let got = super::value(points, Some(amount(value)), currency.parse().unwrap());
            assert_eq!(got.to_string(), worth, "{points} at {value} {currency}");
        }
        assert!(super::value(5, None, Currency::GBP).is_zero());
    }

    proptest! {
        #[test]
        fn rounding_the_value_of_points_loses_less_than_a_minor_unit(
            points in 0_i64..10_000_000,
            millionths in 0_i64..5_000_000,
            currency in prop::sample::select(vec!["JPY", "GBP", "KWD"]),
        ) {
            let currency: Currency = currency.parse().unwrap();
            let exact = Decimal::new(millionths, 6) * Decimal::from(points);
            let worth = super::value(points, Some(Amount(Decimal::new(millionths, 6))), currency);
            prop_assert!(currency.exact(worth) == Ok(worth));
            prop_assert!(worth.0 <= exact && exact - worth.0 < currency.minor_unit().0);
        }
    }

    #[test]
    fn points_outside_the_allowed_shares_are_refused() {
        let settings = |value: Option<&str>, least: &str, most: &str| RewardSettings {
            point_value: value.map(amount),
            min_share_percent: amount(least),
            max_share_percent: amount(most),
            ..RewardSettings::default()
        };
        let yen = "JPY".parse().unwrap();
        for (points, value, shares, total, currency, want) in [
            (500, Some("0.01"), ("0", "100"), "20.00", Currency::GBP, Ok("5.00")),
            (500, None, ("0", "100"), "20.00", Currency::GBP, Err(PointsRefusal::WorthNothing)),
            (1, Some("0.001"), ("0", "100"), "20.00", Currency::GBP, Err(PointsRefusal::WorthNothing)),
            (2000, Some("0.01"), ("0", "100"), "20.00", Currency::GBP, Ok("20.00")),
            (2001, Some("0.01"), ("0", "100"), "20.00", Currency::GBP, Err(PointsRefusal::AboveShare(amount("20.00")))),
            (1001, Some("0.01"), ("0", "50"), "20.01", Currency::GBP, Err(PointsRefusal::AboveShare(amount("10.00")))),
            (1000, Some("0.01"), ("0", "50"), "20.01", Currency::GBP, Ok("10.00")),
            (200, Some("0.01"), ("10", "50"), "20.01", Currency::GBP, Err(PointsRefusal::BelowShare(amount("2.01")))),
            (201, Some("0.01"), ("10", "50"), "20.01", Currency::GBP, Ok("2.01")),
            (15, Some("0.1"), ("0", "100"), "2", yen, Ok("1")),
            (1, Some("0.005"), ("0", "100"), "20.00", Currency::GBP, Err(PointsRefusal::WorthNothing)),
            (3, Some("0.005"), ("0", "100"), "20.00", Currency::GBP, Ok("0.01")),
            (4001, Some("0.005"), ("0", "100"), "20.00", Currency::GBP, Ok("20.00")),
            (
                4002,
                Some("0.005"),
                ("0", "100"),
                "20.00",
                Currency::GBP,
                Err(PointsRefusal::AboveShare(amount("20.00"))),
            ),
            (1, Some("0.01"), ("0", "100"), "0.00", Currency::GBP, Err(PointsRefusal::AboveShare(amount("0.00")))),
        ] {
            let got = pay(points, &settings(value, shares.0, shares.1), amount(total), currency);
            assert_eq!(got, want.map(amount), "{points} at {value:?} of {total}, {shares:?}");
        }
    }
}
