//! Exact amounts: fractions of a minor unit, never negative, rounded only where money is given.
//!
//! A fraction is kept in 128 bits and reduced when it would no longer fit. Of one that does not fit even then, the digits
//! beyond [`FINE`] parts of a minor unit are rounded; it takes several discounts shared over different goods to get there.

use std::cmp::Ordering;
use std::iter::Sum;

use super::numbers::MOST;

/// Parts of a minor unit that are kept of a fraction which does not fit 128 bits.
const FINE: u128 = 1 << 40;

/// An amount in minor units, as a fraction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    numerator: u128,
    denominator: u128,
}

impl Exact {
    /// Nothing.
    pub(crate) const ZERO: Self = Self { numerator: 0, denominator: 1 };

    /// Whole minor units; what is negative is nothing.
    pub(crate) fn whole(minor: i64) -> Self {
        Self { numerator: u128::from(minor.max(0).unsigned_abs()), denominator: 1 }
    }

    /// An amount divided by a number of units.
    pub(crate) fn divided(minor: i64, units: u32) -> Self {
        Self { denominator: u128::from(units.max(1)), ..Self::whole(minor) }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.numerator == 0
    }

    /// So many times the amount.
    pub(crate) fn times(self, units: u32) -> Self {
        if units == 1 { self } else { self.scaled(Ratio::of(u128::from(units), 1)) }
    }

    /// The amount multiplied with a ratio.
    pub(crate) fn scaled(self, ratio: Ratio) -> Self {
        if self.denominator == FINE {
            let part = ratio.of.checked_mul(ratio.over);
            let (part, whole) = part.map_or_else(|| ratio.reduced(), |part| (part, ratio.to));
            return Self { numerator: proportion(self.numerator, part, whole), denominator: FINE };
        }
        // Amounts of one cart mostly have denominators that are multiples of each other.
        if (ratio.over == self.denominator || ratio.over > 1 && self.denominator.is_multiple_of(ratio.over))
            && let Some(product) =
                (Self { denominator: self.denominator / ratio.over, ..self }).product(ratio.of, ratio.to)
        {
            return product;
        }
        let part = ratio.of.checked_mul(ratio.over);
        part.and_then(|part| self.product(part, ratio.to)).unwrap_or_else(|| self.scaled_narrowly(ratio))
    }

    /// The product of reduced fractions, or what is nearest to it.
    #[cold]
    fn scaled_narrowly(self, ratio: Ratio) -> Self {
        let (it, (of, to)) = (self.reduced(), ratio.reduced());
        let (down, across) = (gcd(it.numerator, to), gcd(of, it.denominator));
        let crossed = Self { numerator: it.numerator / down, denominator: it.denominator / across };
        let (of, to) = (of / across, to / down);
        crossed
            .product(of, to)
            .unwrap_or_else(|| Self { numerator: proportion(crossed.fine(), of, to), denominator: FINE })
    }

    fn product(self, of: u128, to: u128) -> Option<Self> {
        let numerator = self.numerator.checked_mul(of)?;
        Some(Self { numerator, denominator: self.denominator.checked_mul(to)? })
    }

    /// The sum of two amounts.
    pub(crate) fn plus(self, other: Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return if self.is_zero() { other } else { self };
        }
        self.merged(other, u128::checked_add)
    }

    /// What is left when another amount is taken off; nothing when that is more.
    pub(crate) fn less(self, other: Self) -> Self {
        if other.is_zero() {
            return self;
        }
        if self <= other { Self::ZERO } else { self.merged(other, u128::checked_sub) }
    }

    fn merged(self, other: Self, merge: fn(u128, u128) -> Option<u128>) -> Self {
        let coarse = self.denominator == FINE || other.denominator == FINE;
        let tried = if coarse { None } else { self.over_one(other, merge) };
        let exact = tried.or_else(|| if coarse { None } else { self.reduced().over_one(other.reduced(), merge) });
        exact.unwrap_or_else(|| Self {
            numerator: merge(self.fine(), other.fine()).unwrap_or_default(),
            denominator: FINE,
        })
    }

    /// Two amounts merged over one denominator, if that fits.
    fn over_one(self, other: Self, merge: fn(u128, u128) -> Option<u128>) -> Option<Self> {
        let (a, b) = (self.denominator, other.denominator);
        if a == b {
            return Some(Self { numerator: merge(self.numerator, other.numerator)?, denominator: a });
        }
        let common = common_part(a, b);
        let (of_self, of_other) = (b / common, a / common);
        let numerator = merge(self.numerator.checked_mul(of_self)?, other.numerator.checked_mul(of_other)?)?;
        Some(Self { numerator, denominator: a.checked_mul(of_self)? })
    }

    /// The same with a denominator of 64 bits, if reducing does it.
    pub(crate) fn narrowed(self) -> Self {
        if bits(self.denominator) > 64 && self.denominator != FINE { self.reduced() } else { self }
    }

    fn reduced(self) -> Self {
        if self.denominator == 1 {
            return self;
        }
        let common = gcd(self.numerator, self.denominator);
        Self { numerator: self.numerator / common, denominator: self.denominator / common }
    }

    /// In [`FINE`] parts, to the nearest.
    fn fine(self) -> u128 {
        if self.denominator == FINE {
            return self.numerator;
        }
        let (whole, rest) = self.divide();
        let excess = bits(self.denominator).saturating_sub(u128::BITS - bits(FINE) - 1);
        let (rest, denominator) = (rest >> excess, self.denominator >> excess);
        whole.saturating_mul(FINE).saturating_add((rest * FINE + denominator / 2) / denominator.max(1))
    }

    /// The whole minor units of it, and its fraction in parts of 2^63: equal fractions have equal parts.
    pub(crate) fn split(self) -> (i64, u64) {
        let (whole, rest) = self.divide();
        let excess = bits(self.denominator).saturating_sub(64);
        let parts = ((rest >> excess) << 63) / (self.denominator >> excess);
        (narrow(whole), u64::try_from(parts).unwrap_or(u64::MAX))
    }

    /// In whole minor units, half a unit rounded up.
    pub(crate) fn half_up(self) -> i64 {
        let (whole, rest) = self.divide();
        narrow(whole + u128::from(rest >= self.denominator - rest))
    }

    /// In whole minor units, half a unit rounded down.
    pub(crate) fn half_down(self) -> i64 {
        let (whole, rest) = self.divide();
        narrow(whole + u128::from(rest > self.denominator - rest))
    }

    fn divide(self) -> (u128, u128) {
        if self.denominator == 1 {
            return (self.numerator, 0);
        }
        match (u64::try_from(self.numerator), u64::try_from(self.denominator)) {
            (Ok(numerator), Ok(denominator)) => {
                (u128::from(numerator / denominator), u128::from(numerator % denominator))
            }
            _ => (self.numerator / self.denominator, self.numerator % self.denominator),
        }
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.denominator == other.denominator {
            return self.numerator.cmp(&other.numerator);
        }
        let products = self.numerator.checked_mul(other.denominator).zip(other.numerator.checked_mul(self.denominator));
        products.map_or_else(|| by_quotients(*self, *other), |(a, b)| a.cmp(&b))
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Exact {}

impl Sum for Exact {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

/// Compares fractions whose products do not fit, by their continued fractions.
fn by_quotients(mut a: Exact, mut b: Exact) -> Ordering {
    let mut turned = false;
    loop {
        let (whole_a, whole_b) = (a.numerator / a.denominator, b.numerator / b.denominator);
        let (rest_a, rest_b) = (a.numerator % a.denominator, b.numerator % b.denominator);
        let found = match whole_a.cmp(&whole_b) {
            Ordering::Equal if rest_a == 0 || rest_b == 0 => rest_a.min(1).cmp(&rest_b.min(1)),
            Ordering::Equal => {
                a = Exact { numerator: a.denominator, denominator: rest_a };
                b = Exact { numerator: b.denominator, denominator: rest_b };
                turned = !turned;
                continue;
            }
            unequal => unequal,
        };
        return if turned { found.reverse() } else { found };
    }
}

/// What an amount is multiplied with: `of × over ÷ to`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    of: u128,
    to: u128,
    /// A part of what is multiplied that many amounts have as their denominator.
    over: u128,
}

impl Ratio {
    /// `of ÷ to`.
    pub(crate) fn of(of: u128, to: u128) -> Self {
        Self { of, to, over: 1 }
    }

    /// How much of `whole` an amount is; `None` where there is nothing.
    pub(crate) fn between(amount: Exact, whole: Exact) -> Option<Self> {
        if whole.is_zero() {
            return None;
        }
        let (amount, whole) = (amount.reduced(), whole.reduced());
        if amount.denominator == whole.denominator {
            return Some(Self::of(amount.numerator, whole.numerator));
        }
        if let Some(to) = whole.numerator.checked_mul(amount.denominator) {
            return Some(Self { of: amount.numerator, to, over: whole.denominator });
        }
        Some(Self::of(amount.fine(), whole.fine().max(1)))
    }

    fn reduced(self) -> (u128, u128) {
        let common = gcd(self.over, self.to);
        let (over, to) = (self.over / common, self.to / common);
        let common = gcd(self.of, to);
        let (of, to) = (self.of / common, to / common);
        of.checked_mul(over).map_or_else(
            // The last digits of both are left out.
            || ((of >> 32).saturating_mul(over >> 32), (to >> 64).max(1)),
            |of| (of, to),
        )
    }
}

/// The greatest common divisor of denominators, by a look where one is a multiple of the other.
fn common_part(a: u128, b: u128) -> u128 {
    if a == 1 || b == 1 {
        return 1;
    }
    let (small, large) = (a.min(b), a.max(b));
    let multiple = match (u64::try_from(small), u64::try_from(large)) {
        (Ok(small), Ok(large)) => large.is_multiple_of(small),
        _ => large.is_multiple_of(small),
    };
    if multiple { small } else { gcd(a, b) }
}

/// `amount × part ÷ whole`. Of what is too large for 128 bits the last digits are left out of the ratio.
fn proportion(amount: u128, part: u128, whole: u128) -> u128 {
    let excess = (bits(amount) + bits(part)).saturating_sub(u128::BITS);
    let whole = (whole >> excess).max(1);
    (amount.saturating_mul(part >> excess)).saturating_add(whole / 2) / whole
}

fn bits(value: u128) -> u32 {
    u128::BITS - value.leading_zeros()
}

/// The greatest common divisor, at least 1, without a division.
fn gcd(mut a: u128, mut b: u128) -> u128 {
    if a == 0 || b == 0 {
        return a.max(b).max(1);
    }
    let twos = (a | b).trailing_zeros();
    a >>= a.trailing_zeros();
    while b != 0 {
        b >>= b.trailing_zeros();
        if let (Ok(a), Ok(b)) = (u64::try_from(a), u64::try_from(b)) {
            return u128::from(small_gcd(a, b)) << twos;
        }
        (a, b) = (a.min(b), a.max(b) - a.min(b));
    }
    a << twos
}

/// The same of odd numbers in 64 bits.
fn small_gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        b >>= b.trailing_zeros();
        (a, b) = (a.min(b), a.max(b) - a.min(b));
    }
    a
}

/// Into 64 bits; what does not fit is above [`MOST`] and never comes from amounts within it.
fn narrow(value: u128) -> i64 {
    i64::try_from(value).unwrap_or(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    fn exact(numerator: u128, denominator: u128) -> Exact {
        Exact { numerator, denominator }
    }

    #[test]
    fn thirds_make_a_whole() {
        let third = Exact::divided(10, 3);
        assert_eq!(third.times(3), Exact::whole(10));
        assert_eq!([third; 3].into_iter().sum::<Exact>(), Exact::whole(10));
        assert_eq!(Exact::whole(10).less(third).less(third), third);
        assert_eq!(third.less(Exact::whole(4)), Exact::ZERO);
    }

    #[test]
    fn halves_round_as_asked() {
        for (numerator, up, down) in [(4, 2, 2), (5, 3, 2), (3, 2, 1), (1, 1, 0), (0, 0, 0)] {
            assert_eq!((exact(numerator, 2).half_up(), exact(numerator, 2).half_down()), (up, down), "{numerator}");
        }
        assert_eq!((exact(7, 3).half_up(), exact(8, 3).half_down()), (2, 3));
    }

    #[test]
    fn ratios_are_exact() {
        let of = |amount, whole| Ratio::between(amount, whole).unwrap();
        assert_eq!(Exact::whole(30).scaled(of(Exact::whole(1), Exact::whole(3))), Exact::whole(10));
        assert_eq!(exact(5, 7).scaled(of(exact(7, 3), exact(5, 3))), Exact::whole(1));
        assert!(Ratio::between(Exact::whole(1), Exact::ZERO).is_none());
    }

    #[test]
    fn what_does_not_fit_is_near() {
        // Denominators that share nothing grow until they no longer fit.
        let mut amount = Exact::whole(1_000_000);
        let (mut numerator, mut denominator) = (BigInt::from(1_000_000), BigInt::from(1));
        for prime in [1_000_003_u32, 999_983, 1_000_033, 999_979, 1_000_037, 999_961, 1_000_039, 999_959] {
            amount = amount.scaled(Ratio::of(u128::from(prime - 1), u128::from(prime)));
            amount = amount.plus(Exact::divided(1, prime));
            numerator = numerator * (prime - 1) + &denominator;
            denominator *= prime;
        }
        let (whole, parts) = (&numerator / &denominator, (numerator % &denominator) * FINE / denominator);
        let known = amount.fine();
        let wanted = u128::try_from(whole * FINE + parts).unwrap();
        assert!(known.abs_diff(wanted) < 100, "{known} instead of {wanted} parts");
    }

    proptest! {
        #[test]
        fn fractions_add_and_compare_as_they_should(a in 0_u64..1 << 40, b in 1_u64..1 << 20, c in 0_u64..1 << 40, d in 1_u64..1 << 20) {
            let (first, second) = (exact(a.into(), b.into()), exact(c.into(), d.into()));
            let wide = |n: u64, d: u64| u128::from(n) * u128::from(d);
            prop_assert_eq!(first.cmp(&second), wide(a, d).cmp(&wide(c, b)));
            prop_assert_eq!(by_quotients(first, second), wide(a, d).cmp(&wide(c, b)));
            prop_assert_eq!(first.plus(second), exact(wide(a, d) + wide(c, b), wide(b, d)));
            prop_assert_eq!(first.plus(second).less(second), first);
            prop_assert_eq!(first.reduced(), first);
            let (whole, parts) = first.split();
            prop_assert_eq!(u128::try_from(whole).unwrap(), u128::from(a / b));
            prop_assert_eq!(parts == 0, a % b == 0 );
        }

        #[test]
        fn coarse_values_are_to_the_nearest(a in 0_u64..1 << 50, b in 1_u64..1 << 40) {
            let fine = exact(a.into(), b.into()).fine();
            let nearest = (u128::from(a) * FINE * 2 + u128::from(b)) / (2 * u128::from(b));
            prop_assert_eq!(fine, nearest);
        }
    }
}
