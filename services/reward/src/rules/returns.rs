//! How many of an order's points are revoked when a part of the order is returned.

use promox_kernel::{Amount, round_half_up};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// Returns how many of the `earned` points are revoked in total when goods worth `returned` of `whole` are returned,
/// rounded half up. All are revoked once everything is returned.
pub(crate) fn revoked_share(earned: i64, returned: Amount, whole: Amount) -> i64 {
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
                let now = revoked_share(earned, amount(returned), amount(whole));
                prop_assert!(now >= taken && now <= earned);
                taken = now;
            }
            prop_assert_eq!(taken, earned);
        }
    }
}
