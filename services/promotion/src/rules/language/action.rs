//! An action as a document.
//!
//! It is a flat struct whose members are all optional, so that everything that is wrong with it is found when it is compiled and
//! reported with a pointer, members of other types of action included.

use promox_contract::condition::ItemFilter;
use promox_kernel::{Amount, Sku, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

text_enum! {
    /// Where a promotion works: on the shelf, or on the cart after it.
    Stage { Catalog = "CATALOG", Cart = "CART" }
}

text_enum! {
    /// What an action gives off.
    Scope { Order = "ORDER", Items = "ITEMS", Shipping = "SHIPPING" }
}

text_enum! {
    /// What an amount is given for.
    Per { Unit = "UNIT", Line = "LINE", Order = "ORDER" }
}

text_enum! {
    /// What the tiers of a ladder are measured on.
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

/// What a promotion gives. Which members belong to which type is said in section 5 of the contract; others are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Action")]
pub struct ActionSpec {
    /// What it does.
    #[serde(rename = "type")]
    pub kind: ActionType,
    /// A percentage, an amount, a price or a factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Amount>,
    /// What it gives off; `ORDER` unless said, `ITEMS` on the shelf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Which lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<ItemFilter>,
    /// The most it takes off; on the shelf: off a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_discount: Option<Amount>,
    /// Units of a line that count at most, those that cost most. Under `ORDER`, and `per` `LINE`, more than they cost is never given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_units_per_line: Option<u32>,
    /// What `AMOUNT_OFF` is given for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// The units that have to be bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buy: Option<Part>,
    /// The units that become cheaper for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<Part>,
    /// How often it applies at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_applications: Option<u32>,
    /// Every how manyth unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// Units of a pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// The parts of a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Part>>,
    /// What a pack or a bundle costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    /// Percent off a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<Amount>,
    /// An amount off a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_off: Option<Amount>,
    /// What a ladder's tiers are measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// A ladder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<Tier>>,
    /// What comes free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// How many of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
}

/// So many units of some lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Which lines; all unless said.
    #[serde(default)]
    pub items: ItemFilter,
    /// How many units.
    pub quantity: u32,
    /// Percent off these; only of `get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<Amount>,
}

/// A step of a ladder: one of `percentOff`, `amountOff`, `unitPrice`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// From this amount or quantity on.
    pub from: Amount,
    /// Percent off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<Amount>,
    /// An amount off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_off: Option<Amount>,
    /// What a unit costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Amount>,
}

impl ActionSpec {
    /// Its scope: `ORDER` unless said, `ITEMS` on the shelf; none for actions without.
    pub(crate) fn scope_in(&self, stage: Stage) -> Option<Scope> {
        use ActionType::{AmountOff, FixedPrice, PercentOff, Tiered};
        let usual = if stage == Stage::Catalog { Scope::Items } else { Scope::Order };
        let scoped = matches!(self.kind, PercentOff | AmountOff | FixedPrice | Tiered);
        self.scope.or(scoped.then_some(usual))
    }

    /// What its amount is for: `UNIT` under `ITEMS`, else `ORDER`, unless said.
    pub(crate) fn per_in(&self, stage: Stage) -> Option<Per> {
        let usual = if self.scope_in(stage) == Some(Scope::Items) { Per::Unit } else { Per::Order };
        self.per.or((self.kind == ActionType::AmountOff).then_some(usual))
    }
}
