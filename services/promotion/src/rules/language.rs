//! The rules language as documents: what a promotion looks like in JSON and in its table.
//!
//! Actions are flat structs with every member optional, as conditions are, so that whatever is wrong with one is found when it
//! is compiled and pointed at, and no unknown member passes unseen.

use promox_contract::condition::{Condition, ItemFilter, Schedule};
use promox_contract::ids::CampaignId;
use promox_kernel::{Amount, Sku, Timestamp, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

text_enum! {
    /// Where a promotion works: on the shelf, or on the cart after it.
    Stage { Catalog = "CATALOG", Cart = "CART" }
}

text_enum! {
    /// Whether a promotion goes together with others.
    StackingMode { Stackable = "STACKABLE", Exclusive = "EXCLUSIVE" }
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
    /// What happens when less budget is left than the discount.
    WhenShort { Refuse = "REFUSE", GiveRest = "GIVE_REST" }
}

text_enum! {
    /// Who a periodic limit counts.
    CountedPer { User = "USER", Email = "EMAIL", Address = "ADDRESS", Total = "TOTAL" }
}

text_enum! {
    /// How long a periodic limit counts, in the promotion's time zone.
    Period { Day = "DAY", Week = "WEEK", Month = "MONTH" }
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

/// A promotion in the rules language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["name", "actions"]))]
pub struct Promotion {
    /// The caller's id of a promotion that is not stored here; only in `promotions[]` of `calculate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// What people call it. Left out, it is empty, which is refused together with whatever else is wrong.
    #[serde(default)]
    pub name: String,
    /// The code that asks for it; null for an automatic one.
    #[serde(default)]
    pub code: Option<String>,
    /// Whether it applies through its coupons alone.
    #[serde(default)]
    pub coupon_only: bool,
    /// The campaign that it belongs to, and applies with.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
    /// On the shelf or on the cart; `CART` unless said.
    #[serde(default = "cart")]
    pub stage: Stage,
    /// The higher, the earlier.
    #[serde(default)]
    pub priority: i32,
    /// Whether it goes together with others.
    #[serde(default)]
    pub stacking: Stacking,
    /// Whether it touches lines of flash sales.
    #[serde(default)]
    pub include_flash: bool,
    /// From when on.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// Until when, exclusive.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// The IANA time zone of its schedule, conditions and periods.
    #[serde(default = "utc")]
    pub timezone: String,
    /// The hours of the week it runs in.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// What must hold.
    #[serde(default)]
    pub when: Option<Condition>,
    /// What it gives, in order; 1 to 8.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// How often and how much.
    #[serde(default)]
    pub limits: Option<Limits>,
}

fn cart() -> Stage {
    Stage::Cart
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Whether a promotion goes together with others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stacking {
    /// `STACKABLE` on the cart and `EXCLUSIVE` on the shelf unless said.
    #[serde(default)]
    pub mode: Option<StackingMode>,
    /// Of the stackable ones of a group one applies: the one that gives the most.
    #[serde(default)]
    pub group: Option<String>,
}

/// What a promotion gives. Which members belong to which type is said in section 5 of the contract; others are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
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

/// How often and how much.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Uses in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u32>,
    /// Uses a user, by account and by normalised address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_user: Option<u32>,
    /// What it may give in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Amount>,
    /// What happens when less is left than the discount; `REFUSE` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_short: Option<WhenShort>,
    /// Uses in a day, week or month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<PeriodLimit>,
}

/// Uses in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeriodLimit {
    /// Who is counted.
    pub per: CountedPer,
    /// How long.
    pub period: Period,
    /// How many.
    pub count: u32,
}

impl Promotion {
    /// How it stacks, by its stage unless said.
    pub fn stacking_mode(&self) -> StackingMode {
        let usual = if self.stage == Stage::Catalog { StackingMode::Exclusive } else { StackingMode::Stackable };
        self.stacking.mode.unwrap_or(usual)
    }

    /// The same with what goes without saying said, as it is kept and shown.
    #[must_use]
    pub fn spelled_out(mut self) -> Self {
        self.id = None;
        self.stacking.mode = Some(self.stacking_mode());
        let stage = self.stage;
        for action in &mut self.actions {
            action.scope = action.scope_in(stage);
            action.per = action.per_in(stage);
        }
        if let Some(limits) = &mut self.limits {
            limits.when_short.get_or_insert(WhenShort::Refuse);
        }
        self
    }

    /// What it gives away, with the place of the action.
    pub(crate) fn gifts(&self) -> impl Iterator<Item = (usize, &Sku)> {
        let gift = |action: &'_ Action| action.kind == ActionType::Gift;
        let gifts = self.actions.iter().enumerate().filter(move |(_, action)| gift(action));
        gifts.filter_map(|(i, action)| action.sku.as_ref().map(|sku| (i, sku)))
    }
}

impl Action {
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

/// A code in the one namespace of promotions and coupons: upper case, without spaces, `-` and `_`.
pub fn normal_code(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && *c != '-' && *c != '_').flat_map(char::to_uppercase).collect()
}
