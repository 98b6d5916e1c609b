//! What a return gives back: the units' running share of what their line cost, so that all units give exactly that.

use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
