//! Figures attributed to a promotion or a campaign.

use promox_kernel::Amount;

use super::sum::impl_sum;

/// Figures attributed to a promotion or a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributed {
    pub(crate) orders: i64,
    pub(crate) redemptions: i64,
    pub(crate) new_customers: i64,
    pub(crate) revenue: Amount,
    pub(crate) cost: Amount,
}

impl_sum!(Attributed: orders, redemptions, new_customers, revenue, cost);
