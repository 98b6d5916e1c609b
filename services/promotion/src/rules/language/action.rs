//! An action as a document.
//!
//! It is a flat struct whose members are all optional, so that every fault, including members that the type of action
//! does not have, is found when it is compiled and reported with a pointer.

use promox_contract::condition::ItemFilter;
use promox_kernel::{Amount, Sku, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

text_enum! {
    /// Where a promotion applies: to catalog prices, or to the cart after them.
    Stage { Catalog = "CATALOG", Cart = "CART" }
}

text_enum! {
    /// What an action discounts.
    Scope { Order = "ORDER", Items = "ITEMS", Shipping = "SHIPPING" }
}

text_enum! {
    /// What an amount is granted for.
    Per { Unit = "UNIT", Line = "LINE", Order = "ORDER" }
}

text_enum! {
    /// What the tiers are measured by.
    Basis {
        Subtotal = "SUBTOTAL",
        Quantity = "QUANTITY",
        LineSubtotal = "LINE_SUBTOTAL",
        LineQuantity = "LINE_QUANTITY",
    }
}

text_enum! {
    /// What an action does.
    ActionType {
        PercentOff = "PERCENT_OFF",
        AmountOff = "AMOUNT_OFF",
        FixedPrice = "FIXED_PRICE",
        BuyXGetY = "BUY_X_GET_Y",
        EveryNth = "EVERY_NTH",
        Pack = "PACK",
        BundlePrice = "BUNDLE_PRICE",
        Tiered = "TIERED",
        Cheapest = "CHEAPEST",
        FreeShipping = "FREE_SHIPPING",
        Gift = "GIFT",
        PointsMultiplier = "POINTS_MULTIPLIER",
    }
}

/// An action of a promotion. Members that its type does not have are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Action")]
pub struct ActionSpec {
    /// The type of action.
    #[serde(rename = "type")]
    pub kind: ActionType,
    /// A percentage, an amount, a price or a factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Amount>,
    /// What it discounts. The default is `ITEMS` in stage `CATALOG`, otherwise `ORDER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The lines to which it applies; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<ItemFilter>,
    /// The largest discount in total; in stage `CATALOG`, per unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_discount: Option<Amount>,
    /// The maximum number of units per line that count, starting with the most expensive. With scope `ORDER` or per
    /// `LINE`, the discount never exceeds their price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_units_per_line: Option<u32>,
    /// What `AMOUNT_OFF` is granted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// The units that have to be bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buy: Option<Part>,
    /// The units that are discounted in return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<Part>,
    /// The maximum number of applications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_applications: Option<u32>,
    /// Discount every n-th unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// The number of units in a pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// The parts of a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Part>>,
    /// The price of a pack or a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    /// The percentage off each unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<Amount>,
    /// The amount off each unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_off: Option<Amount>,
    /// What the tiers are measured by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// The tiers, in ascending order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<Tier>>,
    /// The SKU of the gift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// The number of units of the gift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
}

/// A number of units of some lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The lines; all by default.
    #[serde(default)]
    pub items: ItemFilter,
    /// The number of units.
    pub quantity: u32,
    /// The percentage off these units; only in `get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<Amount>,
}

/// A tier, with exactly one of `percentOff`, `amountOff` and `unitPrice`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// The amount or quantity at which the tier begins.
    pub from: Amount,
    /// The percentage off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<Amount>,
    /// The amount off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_off: Option<Amount>,
    /// The price of a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Amount>,
}

impl ActionSpec {
    /// All of its line filters.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &ItemFilter> {
        let parts = self.buy.iter().chain(&self.get).chain(self.parts.iter().flatten());
        self.items.iter().chain(parts.map(|part| &part.items))
    }

    /// All of its line filters, to be changed.
    pub(crate) fn filters_mut(&mut self) -> impl Iterator<Item = &mut ItemFilter> {
        let parts = self.buy.iter_mut().chain(&mut self.get).chain(self.parts.iter_mut().flatten());
        self.items.iter_mut().chain(parts.map(|part| &mut part.items))
    }

    /// Its scope or the default of the stage: `ITEMS` in `CATALOG`, otherwise `ORDER`. `None` for types without a
    /// scope.
    pub(crate) fn scope_in(&self, stage: Stage) -> Option<Scope> {
        use ActionType::{AmountOff, FixedPrice, PercentOff, Tiered};
        let default = if stage == Stage::Catalog { Scope::Items } else { Scope::Order };
        let scoped = matches!(self.kind, PercentOff | AmountOff | FixedPrice | Tiered);
        self.scope.or(scoped.then_some(default))
    }

    /// What its amount is granted for. The default is `UNIT` with scope `ITEMS`, otherwise `ORDER`. `None` for types
    /// other than `AMOUNT_OFF`.
    pub(crate) fn per_in(&self, stage: Stage) -> Option<Per> {
        let default = if self.scope_in(stage) == Some(Scope::Items) { Per::Unit } else { Per::Order };
        self.per.or((self.kind == ActionType::AmountOff).then_some(default))
    }
}
