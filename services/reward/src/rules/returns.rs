//! Running shares: how much of an order's points is revoked when a part of it is returned.

use promox_kernel::{Amount, round_half_up};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// How many of `earned` points are revoked when goods worth `returned` of `whole` are returned: all when all are.
pub(crate) fn gone(earned: i64, returned: Amount, whole: Amount) -> i64 {
    if returned >= whole {
        return earned;
    }
    let share = returned.0.max(Decimal::ZERO) / whole.0;
    round_half_up(Decimal::from(earned) * share, 0).to_i64().unwrap_or(earned).clamp(0, earned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn returns_of_all_parts_revoke_everything_earned(
            earned in 0_i64..1_000_000,
            parts in prop::collection::vec(0_i64..100_000, 1..12),
        ) {
            let whole: i64 = parts.iter().sum();
            let amount = |cents: i64| Amount(Decimal::new(cents, 2));
            let (mut returned, mut taken) = (0, 0);
            for part in parts {
                returned += part;
                let now = gone(earned, amount(returned), amount(whole));
                prop_assert!(now >= taken && now <= earned);
                taken = now;
            }
            prop_assert_eq!(taken, earned);
        }
    }
}
