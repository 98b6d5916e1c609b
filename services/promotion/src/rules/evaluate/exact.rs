//! Amounts as exact as decisions need them: a fixed-point value, and a fingerprint that tells when two amounts are
//! equal.
//!
//! Unit prices are fractions whose denominators grow with every shared discount, without a useful bound. The engine
//! does not need the fraction itself, only which of two is larger, how they round, and whether they are equal, whole,
//! or a half. Order and rounding come from a value in parts of 2^-64 minor units, which each operation keeps accurate
//! to a few parts. Equality comes from the fraction modulo a prime: equal fractions have equal fingerprints, and
//! unequal ones that are close in value have equal fingerprints with a probability of only 2^-61. So ties and
//! boundaries are detected reliably, every operation takes constant time, and no decision depends on rounding.

use std::cmp::Ordering;
use std::iter::Sum;

/// Fractional bits of a value.
const FRACTION: u32 = 64;

/// Half a minor unit.
const HALF: Exact = Exact { parts: 1 << (FRACTION - 1), print: 1 << 60 };

/// The largest difference between the values of equal amounts, many times the accumulated error of one evaluation.
const NEAR: u128 = 1 << 48;

/// The modulus of fingerprints, 2^61 - 1. It exceeds every whole amount of a cart.
const PRIME: u64 = (1 << 61) - 1;

/// An amount in minor units, never negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    /// Its value in parts of 2^-64 minor units.
    parts: u128,
    /// Its fingerprint: numerator divided by denominator, modulo [`PRIME`].
    print: u64,
}

impl Exact {
    /// Zero.
    pub(crate) const ZERO: Self = Self { parts: 0, print: 0 };

    /// An amount of whole minor units. A negative number counts as zero.
    pub(crate) fn whole(minor: i64) -> Self {
        let minor = minor.max(0).unsigned_abs();
        Self { parts: u128::from(minor) << FRACTION, print: reduce(minor) }
    }

    /// An amount divided by a number of units.
    pub(crate) fn divided(minor: i64, units: u32) -> Self {
        let (whole, units) = (Self::whole(minor), u64::from(units.max(1)));
        Self { parts: whole.parts / u128::from(units), print: mul(whole.print, inverse(units)) }
    }

    /// Whether the amount is zero.
    pub(crate) fn is_zero(self) -> bool {
        self.print == 0 && self.parts < NEAR
    }

    /// A multiple of the amount.
    pub(crate) fn times(self, units: u32) -> Self {
        if units == 1 {
            return self;
        }
        Self { parts: self.parts.saturating_mul(u128::from(units)), print: mul(self.print, u64::from(units)) }
    }

    /// The amount multiplied by a ratio.
    pub(crate) fn scaled(self, ratio: Ratio) -> Self {
        let (low, high) = self.parts.carrying_mul(ratio.parts, 0);
        Self { parts: (high << 1) | (low >> 127), print: mul(self.print, ratio.print) }
    }

    /// The sum of two amounts.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { parts: self.parts.saturating_add(other.parts), print: add(self.print, other.print) }
    }

    /// The amount less another; zero if the other is larger.
    pub(crate) fn less(self, other: Self) -> Self {
        if self <= other {
            return Self::ZERO;
        }
        Self { parts: self.parts.saturating_sub(other.parts), print: sub(self.print, other.print) }
    }

    /// The whole minor units of the amount, and its remaining fraction.
    pub(crate) fn split(self) -> (i64, Self) {
        let whole = self.as_whole().unwrap_or(units(self.parts));
        let rest = self.parts.saturating_sub(u128::from(whole) << FRACTION);
        (money(whole), Self { parts: rest, print: sub(self.print, reduce(whole)) })
    }

    /// The amount in whole minor units, half a unit rounded up.
    pub(crate) fn half_up(self) -> i64 {
        let raised = self.plus(HALF);
        money(raised.as_whole().unwrap_or(units(raised.parts)))
    }

    /// The amount in whole minor units, half a unit rounded down.
    pub(crate) fn half_down(self) -> i64 {
        let raised = self.plus(HALF);
        money(raised.as_whole().map_or(units(raised.parts), |whole| whole.saturating_sub(1)))
    }

    /// The amount in whole minor units; `None` if it has a fraction.
    fn as_whole(self) -> Option<u64> {
        let nearest = units(self.parts.saturating_add(HALF.parts));
        let is_near = self.parts.abs_diff(u128::from(nearest) << FRACTION) < NEAR;
        (is_near && self.print == reduce(nearest)).then_some(nearest)
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other { Ordering::Equal } else { (self.parts, self.print).cmp(&(other.parts, other.print)) }
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print && self.parts.abs_diff(other.parts) < NEAR
    }
}

impl Eq for Exact {}

impl Sum for Exact {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

/// A factor from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio {
    /// Its value in parts of 2^-127.
    parts: u128,
    /// Its fingerprint: numerator divided by denominator, modulo [`PRIME`].
    print: u64,
}

impl Ratio {
    /// The factor 1.
    pub(crate) const ONE: Self = Self { parts: 1 << 127, print: 1 };
    /// One millionth. Its fingerprint is the inverse of a million.
    const MILLIONTH: Self = Self { parts: (1 << 127) / 1_000_000, print: 499_097_413_501_294_842 };

    /// The factor of a number of millionths, at most 1.
    pub(crate) fn millionths(count: u32) -> Self {
        if count >= 1_000_000 {
            return Self::ONE;
        }
        let print = mul(Self::MILLIONTH.print, u64::from(count));
        Self { parts: Self::MILLIONTH.parts * u128::from(count), print }
    }

    /// The ratio of an amount to a larger one; 1 if the other is not larger.
    pub(crate) fn of(amount: Exact, whole: Exact) -> Self {
        if amount >= whole {
            return Self::ONE;
        }
        // The ratio is applied to parts of the whole only, so bits too low to show in such a product are left out.
        let bits = (2 * FRACTION + 2 - units(whole.parts).leading_zeros()).min(127);
        let (mut quotient, mut rest, mut missing) = (0, amount.parts, bits);
        while missing > 0 {
            let step = rest.leading_zeros().clamp(1, missing);
            rest <<= step;
            quotient = (quotient << step) | (rest / whole.parts);
            rest %= whole.parts;
            missing -= step;
        }
        Self { parts: quotient << (127 - bits), print: mul(amount.print, inverse(whole.print)) }
    }
}

/// The whole minor units of a value.
fn units(parts: u128) -> u64 {
    u64::try_from(parts >> FRACTION).unwrap_or(u64::MAX)
}

/// Minor units as an amount of money.
fn money(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

fn reduce(value: u64) -> u64 {
    let folded = (value & PRIME) + (value >> 61);
    if folded >= PRIME { folded - PRIME } else { folded }
}

fn add(a: u64, b: u64) -> u64 {
    reduce(a + b)
}

fn sub(a: u64, b: u64) -> u64 {
    reduce(a + PRIME - b)
}

fn mul(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    reduce((low & PRIME) + ((high << 3) | (low >> 61)))
}

/// The multiplicative inverse: the power of [`PRIME`] - 2, which is 59 ones and then 01 in binary.
fn inverse(a: u64) -> u64 {
    let a2 = chain(a, a, 1);
    let a4 = chain(a2, a2, 2);
    let a8 = chain(a4, a4, 4);
    let a16 = chain(a8, a8, 8);
    let a32 = chain(a16, a16, 16);
    let a48 = chain(a32, a16, 16);
    let a56 = chain(a48, a8, 8);
    let a58 = chain(a56, a2, 2);
    let a59 = chain(a58, a, 1);
    chain(a59, a, 2)
}

/// Appends the binary digits of the exponent of `next` to the exponent of `power`: `power`^(2^`digits`) × `next`.
fn chain(power: u64, next: u64, digits: u32) -> u64 {
    mul((0..digits).fold(power, |power, _| mul(power, power)), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    /// The largest total of a cart.
    const MAX_MINOR_UNITS: i64 = 1_000_000_000_000_000_000;

    #[test]
    fn thirds_make_a_whole() {
        let third = Exact::divided(10, 3);
        assert_eq!(third.times(3), Exact::whole(10));
        assert_eq!([third; 3].into_iter().sum::<Exact>(), Exact::whole(10));
        assert_eq!(Exact::whole(10).less(third).less(third), third);
        assert_eq!(third.less(Exact::whole(4)), Exact::ZERO);
        assert!(third.times(3).less(Exact::whole(10)).is_zero() && !third.is_zero());
    }

    #[test]
    fn halves_round_up_or_down() {
        for (minor, units, up, down) in
            [(4, 2, 2, 2), (5, 2, 3, 2), (3, 2, 2, 1), (1, 2, 1, 0), (0, 2, 0, 0), (7, 3, 2, 2), (8, 3, 3, 3)]
        {
            let amount = Exact::divided(minor, units);
            assert_eq!((amount.half_up(), amount.half_down()), (up, down), "{minor}/{units}");
        }
        // A half reached through thirds, which no finite number of binary digits represents.
        let halves = Exact::divided(5, 3).times(3).scaled(Ratio::millionths(500_000));
        assert_eq!((halves.half_up(), halves.half_down()), (3, 2));
    }

    #[test]
    fn ratios_are_exact() {
        let third = Ratio::of(Exact::whole(1), Exact::whole(3));
        assert_eq!(Exact::whole(30).scaled(third), Exact::whole(10));
        let whole = Exact::divided(7, 3);
        assert_eq!(whole.scaled(Ratio::of(Exact::divided(5, 7), whole)), Exact::divided(5, 7));
        assert_eq!(Ratio::of(Exact::whole(2), Exact::whole(1)), Ratio::ONE);
        assert_eq!(
            Exact::whole(MAX_MINOR_UNITS).scaled(Ratio::millionths(1)),
            Exact::whole(MAX_MINOR_UNITS / 1_000_000)
        );
        assert_eq!(
            Exact::whole(MAX_MINOR_UNITS).scaled(Ratio::of(Exact::whole(1), Exact::whole(MAX_MINOR_UNITS))),
            Exact::whole(1)
        );
    }

    #[test]
    fn inverses_multiply_to_one() {
        assert_eq!(Ratio::MILLIONTH.print, inverse(1_000_000));
        for value in [1, 2, 3, 1_000_000, PRIME - 1] {
            assert_eq!(mul(value, inverse(value)), 1, "{value}");
        }
    }

    /// An operation on the latest amount, possibly with an earlier one.
    #[derive(Clone, Debug)]
    enum Step {
        Percent(u32),
        Share(i64, usize),
        Plus(usize),
        Less(usize),
        Times(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (1_u32..1_000_000).prop_map(Step::Percent),
            2 => (1_u32..100).prop_map(|percent| Step::Percent(percent * 10_000)),
            3 => (1_i64..10_000, any::<usize>()).prop_map(|(amount, of)| Step::Share(amount, of)),
            1 => any::<usize>().prop_map(Step::Plus),
            2 => any::<usize>().prop_map(Step::Less),
            1 => (1_u32..10).prop_map(Step::Times),
        ];
        prop::collection::vec(step, 1..14)
    }

    /// A fraction of any size.
    type Fraction = (BigUint, BigUint);

    /// Performs a step on both representations. Returns the new amount.
    fn take(step: &Step, known: &[(Exact, Fraction)]) -> (Exact, Fraction) {
        let at = |of: usize| &known[of % known.len()];
        let (exact, (n, d)) = known.last().unwrap();
        let big = |n: u64| BigUint::from(n);
        match step {
            Step::Percent(count) => {
                (exact.scaled(Ratio::millionths(*count)), (n * big((*count).into()), d * big(1_000_000)))
            }
            Step::Share(amount, of) => {
                let (whole, (wn, wd)) = at(*of);
                let amount_of = Exact::whole(*amount);
                if amount_of >= *whole {
                    return (*exact, (n.clone(), d.clone()));
                }
                let ratio = Ratio::of(amount_of, *whole);
                (exact.scaled(ratio), (n * wd * big(amount.unsigned_abs()), d * wn))
            }
            Step::Plus(of) => {
                let (other, (on, od)) = at(*of);
                (exact.plus(*other), (n * od + on * d, d * od))
            }
            Step::Less(of) => {
                let (other, (on, od)) = at(*of);
                let (a, b) = (n * od, on * d);
                (exact.less(*other), (if a > b { a - b } else { BigUint::ZERO }, d * od))
            }
            Step::Times(units) => (exact.times(*units), (n * big((*units).into()), d.clone())),
        }
    }

    proptest! {
        #[test]
        fn amounts_compare_and_round_like_fractions_of_any_size(start in 1_i64..1_000_000, units in 1_u32..9, steps in steps()) {
            let mut known = vec![(Exact::divided(start, units), (BigUint::from(start.unsigned_abs()), BigUint::from(units)))];
            for step in &steps {
                let next = take(step, &known);
                if next.1.0.bits() > next.1.1.bits() + 50 {
                    break; // Larger than the total of any cart.
                }
                known.push(next);
            }
            for (exact, (n, d)) in &known {
                let whole = n / d;
                let rounded = (n * 2_u32 + d) / (d * 2_u32);
                let is_half = n * 2_u32 == (&whole * 2_u32 + 1_u32) * d;
                let down = &rounded - u32::from(is_half);
                prop_assert_eq!(BigUint::from(exact.half_up().unsigned_abs()), rounded);
                prop_assert_eq!(BigUint::from(exact.half_down().unsigned_abs()), down);
                prop_assert_eq!(BigUint::from(exact.split().0.unsigned_abs()), whole.clone());
                prop_assert_eq!(exact.split().1.is_zero(), &whole * d == *n);
                prop_assert_eq!(exact.is_zero(), *n == BigUint::ZERO);
                for (other, (on, od)) in &known {
                    prop_assert_eq!(exact.cmp(other), (n * od).cmp(&(on * d)));
                }
            }
        }
    }
}
