//! What a promotion or a campaign did.

use promox_kernel::Amount;

use super::sum::adds_up;

/// What a promotion or a campaign did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributed {
    pub(crate) orders: i64,
    pub(crate) redemptions: i64,
    pub(crate) new_customers: i64,
    pub(crate) revenue: Amount,
    pub(crate) cost: Amount,
}

adds_up!(Attributed: orders, redemptions, new_customers, revenue, cost);
