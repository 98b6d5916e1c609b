//! A promotion as a document: its JSON form, and the form it is stored in.

use promox_contract::condition::{Condition, Schedule};
use promox_contract::ids::CampaignId;
use promox_kernel::{Amount, Sku, Timestamp, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::language::action::{ActionSpec, ActionType, Stage};

text_enum! {
    /// Whether a promotion goes together with others.
    StackingMode { Stackable = "STACKABLE", Exclusive = "EXCLUSIVE" }
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
    pub actions: Vec<ActionSpec>,
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
        let gift = |action: &'_ ActionSpec| action.kind == ActionType::Gift;
        let gifts = self.actions.iter().enumerate().filter(move |(_, action)| gift(action));
        gifts.filter_map(|(i, action)| action.sku.as_ref().map(|sku| (i, sku)))
    }
}
