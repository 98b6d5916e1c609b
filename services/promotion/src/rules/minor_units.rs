//! Arithmetic on whole minor units: percentages are rounded once, amounts are shared by largest remainder.
//!
//! Amounts are whole minor units (pence, yen, fils) in `i64`, at most 10^18, so that every product fits in 128 bits.
//! Where 64 bits are enough they are used, because a division of 128 bits costs ten times as much.

use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;

use crate::rules::evaluate::exact::{Exact, Ratio};

/// The largest amount of a cart, price or budget, in minor units.
pub(crate) const MAX_MINOR_UNITS: i64 = 1_000_000_000_000_000_000;

/// 100 %, in millionths.
const WHOLE: i64 = 1_000_000;

/// An amount in minor units, rounded half-up.
pub(crate) fn to_minor(amount: Amount, currency: Currency) -> Option<i64> {
    currency.minor_units(currency.round(amount.0))
}

/// Minor units as an amount in the currency's scale.
pub(crate) fn to_amount(minor: i64, currency: Currency) -> Amount {
    Amount(Decimal::new(minor, currency.exponent()))
}

/// A percentage: above 0, at most 100, at most 4 decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent {
    millionths: i64,
    ratio: Ratio,
}

impl Percent {
    /// 100 %.
    pub(crate) const ALL: Self = Self { millionths: WHOLE, ratio: Ratio::ONE };

    /// Reads a percentage; `None` unless it is above 0, at most 100 and has at most 4 decimals.
    pub(crate) fn new(value: Amount) -> Option<Self> {
        let millionths = value.0.checked_mul(Decimal::from(10_000))?;
        let count = millionths.is_integer().then(|| u32::try_from(millionths).ok()).flatten()?;
        let millionths = i64::from(count);
        (1..=WHOLE).contains(&millionths).then(|| Self { millionths, ratio: Ratio::millionths(count) })
    }

    /// Whether the percentage is lower than another.
    pub(crate) fn is_below(self, other: Self) -> bool {
        self.millionths < other.millionths
    }

    /// The percentage of an amount, not rounded.
    pub(crate) fn of_exact(self, amount: Exact) -> Exact {
        amount.scaled(self.ratio)
    }

    /// The percentage of an amount in minor units, rounded half-up.
    pub(crate) fn of(self, amount: i64) -> i64 {
        match amount.checked_mul(self.millionths) {
            Some(product) if product < i64::MAX - WHOLE => (product + WHOLE / 2) / WHOLE,
            _ => narrow(half_up(i128::from(amount) * i128::from(self.millionths), i128::from(WHOLE))),
        }
    }

    /// The percentage of an amount in minor units, rounded down, so that a cap is not exceeded.
    pub(crate) fn at_most(self, amount: i64) -> i64 {
        narrow(i128::from(amount) * i128::from(self.millionths) / i128::from(WHOLE))
    }

    /// A price reduced by the percentage, rounded half-up.
    pub(crate) fn off(self, price: i64) -> i64 {
        narrow(half_up(i128::from(price) * i128::from(WHOLE - self.millionths), i128::from(WHOLE)))
    }
}

/// The quotient of two non-negative numbers, rounded half-up.
fn half_up(numerator: i128, denominator: i128) -> i128 {
    (numerator + denominator / 2) / denominator.max(1)
}

/// Narrows to 64 bits. A larger value cannot result from amounts up to [`MAX_MINOR_UNITS`].
fn narrow(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(MAX_MINOR_UNITS)
}

/// Rounds the exact parts of a total to whole shares, by largest remainder, with ties to the earlier line. `parts` has
/// each line's exact part and its room, the most it can take. What a line cannot take, because of earlier rounding,
/// goes to the others.
pub(crate) fn apportion(total: i64, parts: &[(Exact, i64)]) -> Vec<i64> {
    let mut left = total;
    let mut remainders: Vec<(Exact, usize)> = Vec::with_capacity(parts.len());
    let mut shares = Vec::with_capacity(parts.len());
    for (i, (part, room)) in parts.iter().enumerate() {
        let (whole, remainder) = part.split();
        let share = whole.min(*room).min(left);
        left -= share;
        shares.push(share);
        if share < *room && !part.is_zero() {
            remainders.push((remainder, i));
        }
    }
    let extra = usize::try_from(left).unwrap_or(0).min(remainders.len());
    if extra > 0 && extra < remainders.len() {
        remainders.select_nth_unstable_by(extra - 1, |a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    }
    for (_, i) in remainders.into_iter().take(extra) {
        let more = at(&shares, i) + 1;
        set(&mut shares, i, more);
        left -= 1;
    }
    for (share, (_, room)) in shares.iter_mut().zip(parts) {
        let more = (room - *share).clamp(0, left);
        *share += more;
        left -= more;
    }
    shares
}

/// Shares a total over lines in proportion to their weights, by largest remainder, with ties to the earlier line. No
/// line gets more than its room; what it cannot take goes to the others. The shares sum to the total, or to the sum of
/// all room if that is less.
pub(crate) fn share(total: i64, weights: &[i64], rooms: &[i64]) -> Vec<i64> {
    let mut shares = vec![0; weights.len()];
    let mut open: Vec<usize> =
        weights.iter().zip(rooms).enumerate().filter(|(_, (w, r))| **w > 0 && **r > 0).map(|(i, _)| i).collect();
    let mut left = total;
    while left > 0 && !open.is_empty() {
        spread(left, weights, &open, &mut shares);
        let over = |i: &usize| at(&shares, *i) > at(rooms, *i);
        let full: Vec<usize> = open.iter().copied().filter(over).collect();
        if full.is_empty() {
            break;
        }
        for i in &full {
            let room = at(rooms, *i);
            set(&mut shares, *i, room);
            left -= room;
        }
        open.retain(|i| !full.contains(i));
    }
    shares
}

fn at(values: &[i64], i: usize) -> i64 {
    values.get(i).copied().unwrap_or(0)
}

fn set(values: &mut [i64], i: usize, value: i64) {
    if let Some(place) = values.get_mut(i) {
        *place = value;
    }
}

/// Shares a total over the lines that are not full, in proportion to their weights.
fn spread(total: i64, weights: &[i64], open: &[usize], shares: &mut [i64]) {
    let sum: i128 = open.iter().map(|i| i128::from(at(weights, *i))).sum();
    let mut left = total;
    let mut remainders: Vec<(u128, usize)> = Vec::with_capacity(open.len());
    for i in open {
        let (floor, remainder) = divide(total, at(weights, *i), sum);
        set(shares, *i, floor);
        left -= floor;
        remainders.push((remainder, *i));
    }
    let extra = usize::try_from(left).unwrap_or(0).min(remainders.len());
    if extra > 0 && extra < remainders.len() {
        remainders.select_nth_unstable_by(extra - 1, |a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    }
    for (_, i) in remainders.into_iter().take(extra) {
        let more = at(shares, i) + 1;
        set(shares, i, more);
    }
}

/// The quotient and remainder of `total × weight ÷ sum`, of which nothing is negative and the sum is not zero.
fn divide(total: i64, weight: i64, sum: i128) -> (i64, u128) {
    let (total, weight, sum) = (total.unsigned_abs(), weight.unsigned_abs(), sum.unsigned_abs());
    if let (Some(product), Ok(sum)) = (total.checked_mul(weight), u64::try_from(sum)) {
        let quotient = product / sum.max(1);
        return (i64::try_from(quotient).unwrap_or(MAX_MINOR_UNITS), u128::from(product % sum.max(1)));
    }
    let product = u128::from(total) * u128::from(weight);
    let quotient = product / sum.max(1);
    (i64::try_from(quotient).unwrap_or(MAX_MINOR_UNITS), product % sum.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_follow_the_largest_remainder_and_respect_room() {
        let open = |n: usize| vec![i64::MAX; n];
        for (total, weights, rooms, want) in [
            (10, vec![1, 1, 1], open(3), vec![4, 3, 3]),
            (100, vec![333, 333, 334], open(3), vec![33, 33, 34]),
            (1, vec![5, 5], open(2), vec![1, 0]),
            (7, vec![0, 3], open(2), vec![0, 7]),
            (9, vec![1, 1, 1], vec![1, 9, 9], vec![1, 4, 4]),
            (9, vec![1, 1, 1], vec![1, 2, 9], vec![1, 2, 6]),
            (9, vec![1, 1], vec![2, 3], vec![2, 3]),
            (0, vec![1, 1], open(2), vec![0, 0]),
        ] {
            assert_eq!(share(total, &weights, &rooms), want, "{total} over {weights:?} in {rooms:?}");
        }
    }

    #[test]
    fn percentages_round_half_up_once() {
        let percent = |text: &str| Percent::new(text.parse().unwrap()).unwrap();
        assert_eq!(percent("50").of(1), 1);
        assert_eq!(percent("10").of(4), 0);
        assert_eq!(percent("10").of(5), 1);
        assert_eq!(percent("33.3333").of(10_000), 3333);
        assert_eq!(percent("33.3333").of_exact(Exact::whole(3)), Exact::divided(999_999, 1_000_000));
        assert_eq!(percent("100").of(MAX_MINOR_UNITS), MAX_MINOR_UNITS);
        assert_eq!(percent("50").off(1), 1);
        for bad in ["0", "-1", "100.0001", "1.00001"] {
            assert_eq!(Percent::new(bad.parse().unwrap()), None, "{bad}");
        }
    }

    #[test]
    fn exact_parts_are_rounded_to_whole_shares() {
        let third = |amount: i64| Exact::divided(amount, 3);
        let open = [i64::MAX; 3];
        for (total, parts, rooms, want) in [
            (10, [third(10); 3], open, [4, 3, 3]),
            (10, [third(8), third(11), third(11)], open, [3, 4, 3]),
            (10, [third(8), third(11), third(11)], [i64::MAX, 3, 3], [4, 3, 3]),
            (5, [Exact::ZERO, third(7), third(8)], open, [0, 2, 3]),
            (9, [third(9); 3], [3, 3, 2], [3, 3, 2]),
        ] {
            let lines: Vec<(Exact, i64)> = parts.into_iter().zip(rooms).collect();
            assert_eq!(apportion(total, &lines), want, "{total} as {lines:?}");
        }
    }

    #[test]
    fn minor_units_are_amounts_in_the_currencys_scale() {
        assert_eq!(to_amount(5, Currency::GBP).to_string(), "0.05");
        assert_eq!(to_minor("1.005".parse().unwrap(), Currency::GBP), Some(101));
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_total_and_respect_room(
            total in 0_i64..1_000_000_000_000, lines in prop::collection::vec((0_i64..1_000_000_000, 0_i64..1_000_000_000), 1..50),
        ) {
            let (weights, rooms): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
            let shares = share(total, &weights, &rooms);
            let room: i64 = weights.iter().zip(&rooms).filter(|(w, _)| **w > 0).map(|(_, r)| *r).sum();
            prop_assert_eq!(shares.iter().sum::<i64>(), total.min(room));
            prop_assert!(shares.iter().zip(&rooms).all(|(share, room)| *share >= 0 && share <= room));
        }
    }
}
