//! Compiled actions.

use promox_kernel::Sku;
use rust_decimal::Decimal;

use crate::rules::language::action::{Basis, Per, Scope};
use crate::rules::language::filter::Filter;
use crate::rules::minor_units::Percent;

/// A compiled action. Amounts are in minor units.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Percent { percent: Percent, scope: Scope, items: Filter, most: i64, units: u32 },
    Amount { value: i64, scope: Scope, items: Filter, per: Per, units: u32 },
    FixedPrice { value: i64, whole: bool, items: Filter },
    BuyGet { buy: (Filter, u32), get: (Filter, u32), percent: Percent, most: u32 },
    EveryNth { items: Filter, every: u32, percent: Percent },
    Pack { items: Filter, size: u32, discount: Discount },
    Bundle { parts: Vec<(Filter, u32)>, price: i64 },
    Tiered { basis: Basis, items: Filter, once: bool, tiers: Vec<(i64, Discount)> },
    Cheapest { items: Filter, discount: Discount },
    FreeShipping { most: i64 },
    Gift { sku: Sku, quantity: u32 },
    Points { factor: Decimal },
}

/// A discount on a price, or the new price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discount {
    Percent(Percent),
    Amount(i64),
    Price(i64),
}

impl Action {
    /// The filters of which one must match a line for the action to have an effect; `None` if it needs no matching
    /// line.
    pub(crate) fn needs(&self) -> Option<Vec<&Filter>> {
        match self {
            Self::Percent { scope: Scope::Shipping, .. }
            | Self::Amount { scope: Scope::Shipping, .. }
            | Self::FreeShipping { .. }
            | Self::Gift { .. }
            | Self::Points { .. } => None,
            Self::Percent { items, .. }
            | Self::Amount { items, .. }
            | Self::FixedPrice { items, .. }
            | Self::EveryNth { items, .. }
            | Self::Pack { items, .. }
            | Self::Tiered { items, .. }
            | Self::Cheapest { items, .. } => Some(vec![items]),
            Self::BuyGet { get, .. } => Some(vec![&get.0]),
            Self::Bundle { parts, .. } => parts.first().map(|(filter, _)| vec![filter]),
        }
    }
}
